/* What is answered to a request, and its bytes, a piece at a time. */
#ifndef SERVER_SCRAPE_ANSWER_H
#define SERVER_SCRAPE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "server/exposition.h"
#include "server/http.h"

struct server;

#define SCRAPE_PIECE_SIZE (32u * 1024u)
#define SCRAPE_REASON_SIZE 1024u

_Static_assert(SCRAPE_PIECE_SIZE >= EXPOSITION_PIECE_MIN + 64, "and the frame of a chunk");

struct scrape_answer {
    const char *body; /* What is left of it, borrowed */
    size_t body_size;
    bool exposing; /* The body is made as it is sent */
    bool chunked;
    bool whole; /* Its last piece has been given */
    struct exposition exposition;
    char reason[SCRAPE_REASON_SIZE]; /* A body that is made here */
};

/* The answer to a request, or to what is none. Returns the size of its head, in SCRAPE_PIECE_SIZE
 * bytes at out. */
size_t scrape_answer_begin(struct scrape_answer *answer, struct server *server, uint64_t start_us,
                           enum http_verdict verdict, const struct http_request *request,
                           char *out);
/* The next bytes; 0: that was all. */
size_t scrape_answer_piece(struct scrape_answer *answer, char *out);

#endif
