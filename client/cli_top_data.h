/* What `tusk top` shows: topics and cursors as of the last look, with what changed since the one
 * before.
 *
 *     top_look, top_look, ... --> top_sort_topics, top_sort_cursors --> shown --> top_free
 */
#ifndef CLIENT_CLI_TOP_DATA_H
#define CLIENT_CLI_TOP_DATA_H

#include "client/tusk.h"

#include <stdbool.h>
#include <time.h>

struct top_topic {
    uint64_t id;
    char *name; /* Owned */
    uint64_t entries;
    uint64_t end;
    uint64_t bytes;
    uint32_t cursors;
    double rate; /* Entries a second; 0 at the first look */
};

struct top_cursor {
    uint64_t topic_id;
    char *topic; /* Owned */
    char *name;  /* Owned */
    uint64_t offset;
    uint64_t lag;
    double rate; /* Entries a second that it moved; backwards below 0 */
};

struct top_counters {
    uint64_t append_entries;
    uint64_t append_bytes;
    uint64_t read_entries;
    uint64_t read_bytes;
    uint64_t unsynced_bytes;
    uint64_t sync_us;
    uint64_t connections;
};

/* Topics and cursors are in the order of their ids between looks; sorting is for the screen, over
 * pointers. */
struct top_look {
    struct top_topic *topics; /* Owned */
    size_t topic_count;
    size_t topic_capacity;
    struct top_cursor *cursors; /* Owned */
    size_t cursor_count;
    size_t cursor_capacity;
    struct top_counters counters;
    struct timespec at; /* Monotonic */
};

struct top_data {
    struct top_look now;
    struct top_look before;
    double elapsed; /* Seconds between them; 0: there is one only */
};

/* Ask the daemon. TUSK_OK, or a code: data->now is what it was. */
int top_data_look(struct top_data *data, struct tusk *t);
void top_data_free(struct top_data *data);
/* How much a counter changed a second. */
double top_data_rate(const struct top_data *data, uint64_t now, uint64_t before);

enum top_order { TOP_BY_RATE, TOP_BY_BYTES, TOP_BY_NAME };
enum top_cursor_order { TOP_BY_LAG, TOP_BY_CURSOR };

/* Pointers into data->now, for the caller to free; NULL without memory. */
const struct top_topic **top_data_topics(const struct top_data *data, enum top_order order);
const struct top_cursor **top_data_cursors(const struct top_data *data,
                                           enum top_cursor_order order);

#endif
