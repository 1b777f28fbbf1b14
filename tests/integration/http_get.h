/* Asking over HTTP, and taking the answer apart. Everything that is not as HTTP says fails the
 * test. */
#ifndef TESTS_INTEGRATION_HTTP_GET_H
#define TESTS_INTEGRATION_HTTP_GET_H

#include <stddef.h>

struct daemon;

struct http_answer {
    int status;
    char *head;      /* Owned, terminated */
    char *body;      /* Owned, terminated; without the frames of chunks */
    size_t raw_size; /* Of the body as it was sent */
    unsigned chunks;
};

/* <dir>/m; good until the next call. */
const char *http_socket(const struct daemon *daemon);
int http_connect(const struct daemon *daemon);
void http_get(const struct daemon *daemon, const char *path, struct http_answer *answer);
/* Send text as it is, and receive until the daemon closes. */
void http_ask(const struct daemon *daemon, const char *text, struct http_answer *answer);
/* The same on a connection, which is closed. */
void http_ask_on(int fd, const char *text, struct http_answer *answer);
void http_free(struct http_answer *answer);

#endif
