/* What the files of the work share among themselves. */
#ifndef TESTS_SOAK_WORK_STATE_H
#define TESTS_SOAK_WORK_STATE_H

#include "tests/soak/work.h"

#define TIMEOUT_MS 60000 /* Bound of every wait: nothing is judged by it */

/* rc is TUSK_OK, or the work is broken. */
void need(struct tusk *t, int rc, const char *what, const struct work_topic *topic);
struct tusk *connect_to(struct work *work, const char *space);
/* One of the clients, connected if it is not. */
struct tusk *some_client(struct work *work);
/* Make a topic that does not exist. */
void make_topic(struct work *work, struct tusk *t, struct work_topic *topic);

/* Turns: each draws how much. */
void append_pipelined(struct work *work, struct tusk *t, struct work_topic *topic);
void append_singly(struct work *work, struct tusk *t, struct work_topic *topic);
void append_by_producer(struct work *work, struct tusk *t, struct work_topic *topic);
void read_anywhere(struct work *work, struct tusk *t, struct work_topic *topic);
void read_at_cursor(struct work *work, struct tusk *t, struct work_topic *topic);
void drain_by_consumer(struct work *work, struct tusk *t, struct work_topic *topic);
void trim(struct work *work, struct tusk *t, struct work_topic *topic, uint64_t offset);
/* A client that comes, and goes in the middle. */
void come_and_go(struct work *work, struct work_topic *topic);
void delete_topic(struct work *work, struct tusk *t, struct work_topic *topic);
void manage_cursors(struct work *work, struct tusk *t, struct work_topic *topic);
void look_around(struct work *work, struct tusk *t, struct work_topic *topic);
void visit_space(struct work *work, struct tusk *t);

#endif
