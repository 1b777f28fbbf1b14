/* Metrics as text: Prometheus' format, version 0.0.4, a piece at a time.
 *
 *     exposition_begin ---> { exposition_piece }* ---> 0: that was the last one
 *
 * A piece is as many whole lines as fit; between two of them the loop may do other things, and
 * topics and namespaces may come and go. So no metric is torn apart or said twice, a histogram
 * agrees with itself, but two metrics may be of different moments. Nothing is allocated; topics and
 * cursors have metrics only where a namespace has few enough of them. */
#ifndef SERVER_EXPOSITION_H
#define SERVER_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/exposition_values.h"

struct server;

/* Of a piece, at least: the largest thing that is not divided is a histogram of a namespace with
 * the longest name, each byte of it escaped. */
#define EXPOSITION_PIECE_MIN (24u * 1024u)
#define EXPOSITION_NAME_SIZE 255u

struct exposition_name {
    bool given;
    size_t size;
    char bytes[EXPOSITION_NAME_SIZE + 1];
};

struct exposition {
    struct server *server; /* Borrowed */
    struct exposition_facts facts;
    uint64_t topics_max;
    uint32_t row;
    bool headed;   /* The row's HELP and TYPE have been said */
    uint32_t item; /* Of a scope that is counted */
    struct exposition_name space;
    struct exposition_name topic;
    struct exposition_name cursor;
    uint64_t value; /* Of the topic or cursor, when it was found */
};

/* topics_max: of a namespace, for its topics to have metrics of their own; of cursors likewise. */
void exposition_begin(struct exposition *exposition, struct server *server,
                      const struct exposition_facts *facts, uint64_t topics_max);
/* The next lines, into size bytes, at least EXPOSITION_PIECE_MIN. How many bytes; 0: no more. */
size_t exposition_piece(struct exposition *exposition, char *out, size_t size);

#endif
