/* Where the values of metrics come from, by the names in metrics.def. */
#ifndef SERVER_EXPOSITION_VALUES_H
#define SERVER_EXPOSITION_VALUES_H

#include <stdbool.h>
#include <stdint.h>

struct engine_cursor_info;
struct engine_topic_info;
struct histogram;
struct namespace;
struct server;

/* What only whoever asks knows. */
struct exposition_facts {
    uint64_t start_us; /* Wall clock */
    bool ready;
    uint64_t disk_size_bytes;
    uint64_t disk_available_bytes;
};

/* The value of that name, into *value. False: there is none. */
bool exposition_daemon(const struct server *server, const struct exposition_facts *facts,
                       const char *name, uint64_t *value);
bool exposition_space(struct namespace *ns, const char *name, uint64_t *value);
bool exposition_topic(const struct engine_topic_info *info, const char *name, uint64_t *value);
bool exposition_cursor(const struct engine_cursor_info *info, const char *name, uint64_t *value);
/* NULL: there is none. */
const struct histogram *exposition_daemon_histogram(const struct server *server, const char *name);
const struct histogram *exposition_space_histogram(const struct namespace *ns, const char *name);

#endif
