/* The table of metrics: metrics.def is the list; this is what is made of it. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>
#include <stdio.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric_scope {
    METRIC_DAEMON,
    METRIC_REPLIES, /* Of each type and status */
    METRIC_CLASSES, /* Of requests */
    METRIC_SPACES,  /* All namespaces */
    METRIC_SPACE,   /* Those that serve */
    METRIC_TOPIC,
    METRIC_CURSOR,
};

enum metric_unit { METRIC_ONE, METRIC_US, METRIC_MS };

/* One row of metrics.def. */
struct metric {
    const char *name;
    enum metric_kind kind;
    enum metric_scope scope;
    enum metric_unit unit;
    const char *source;
    const char *label; /* "": none */
    const char *help;  /* "": that of the row before, which has the same name */
};

uint32_t metrics_count(void);
const struct metric *metrics_row(uint32_t index);
/* "counter", "gauge" or "histogram". */
const char *metrics_kind_name(enum metric_kind kind);
/* The labels of a scope, as the manual has them: "namespace, topic". */
const char *metrics_scope_labels(enum metric_scope scope);
/* A histogram's limits are 2^first, 2^(first + 1), ..., 2^last of its unit. */
void metrics_limits(enum metric_unit unit, unsigned *first, unsigned *last);
/* tusk-metrics(7), as scdoc takes it. */
void metrics_manual(FILE *out);

#endif
