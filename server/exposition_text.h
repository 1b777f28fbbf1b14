/* Lines of Prometheus' text format, into memory that is given. */
#ifndef SERVER_EXPOSITION_TEXT_H
#define SERVER_EXPOSITION_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/metrics.h"

struct histogram;

struct text {
    char *bytes;
    size_t size;
    size_t used;
    bool full; /* Something did not fit: what is there is of no use */
};

/* A label and its value, which is escaped. name NULL: none. */
struct text_label {
    const char *name;
    const char *value;
    size_t size;
};

#define TEXT_LABELS_MAX 4u

/* HELP and TYPE. */
void text_head(struct text *text, const struct metric *metric);
/* One value. labels: TEXT_LABELS_MAX of them. */
void text_value(struct text *text, const struct metric *metric, const struct text_label *labels,
                uint64_t value);
/* Buckets, sum and count. */
void text_histogram(struct text *text, const struct metric *metric, const struct text_label *labels,
                    const struct histogram *histogram);

#endif
