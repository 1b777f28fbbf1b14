/* Messages as systemd's journal keeps them: fields. Used by log.c only. */
#ifndef SERVER_LOG_JOURNAL_H
#define SERVER_LOG_JOURNAL_H

#include <stdbool.h>

/* All borrowed. */
struct log_fields {
    int priority; /* As syslog(3) has them */
    const char *part;
    const char *event; /* NULL: none, and then no id */
    const char *id;
    const char *space; /* NULL: none */
    const char *text;
    unsigned held; /* Like it, and not written */
};

/* False: not sent, or not built with libsystemd. */
bool log_journal_send(const struct log_fields *fields);

#endif
