/* From a frame to the engine and back to a reply: the dispatch*.c files are the only ones that
 * know both the messages of the protocol and the engine.
 *
 *     dispatch.c          decodes, asks for rights, and passes each type to its handler
 *     dispatch_hello.c    HELLO
 *     dispatch_append.c   APPEND
 *     dispatch_read.c     READ, RELEASE
 *     dispatch_command.c  what changes cursors, topics and settings, and SYNC
 *     dispatch_query.c    lists, TOPIC_INFO, STATS
 *     dispatch_space.c    creating, deleting and listing namespaces
 *     dispatch_config.c   CONFIG
 *     dispatch_access.c   ACCESS
 *     dispatch_snapshot.c SNAPSHOT_BEGIN, SNAPSHOT_END
 *     dispatch_slow.c     which requests took long, and SLOWLOG */
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/reply.h"

struct buffer;
struct connection;
struct engine_request;
struct engine_setting;
struct engine_settings;
struct engine_topic_ref;
struct frame;
struct message;
struct message_settings;
struct message_topic;
struct namespace;
struct request;
struct server;

enum dispatch_result {
    DISPATCH_TAKEN, /* Answered, or will be */
    DISPATCH_LATER, /* A limit is reached: the same frame again, after a turn */
};

/* Take one whole frame; body is borrowed for the call. */
enum dispatch_result dispatch_frame(struct connection *connection, const struct frame *frame,
                                    const uint8_t *body);
/* The connection closes: cancel its waiting reads, leave its requests behind, let its namespace go.
 * Not from inside engine_poll(). */
void dispatch_leave(struct connection *connection);
/* The client will send nothing more: its waiting reads have nothing to wait for, and appends no
 * longer wait for a quota. */
void dispatch_cancel_waits(struct connection *connection);

/* ---- between the dispatch files ---- */

/* frame_size: of the whole request, for the bytes in flight. */
typedef enum dispatch_result dispatch_fn(struct connection *connection, struct reply_to to,
                                         const struct message *message, uint32_t frame_size);

dispatch_fn dispatch_hello;
dispatch_fn dispatch_append;
dispatch_fn dispatch_read;
dispatch_fn dispatch_release;
dispatch_fn dispatch_command;
/* Whether rights are enough for what is asked; else the client has been told what is missing. */
bool dispatch_may(struct connection *connection, struct reply_to to, uint32_t has, uint32_t needed,
                  const char *space, size_t space_size);
/* A command for a namespace that need not be the connection's. */
enum dispatch_result dispatch_command_on(struct namespace *ns, struct connection *connection,
                                         struct reply_to to, const struct message *message,
                                         uint32_t frame_size);
dispatch_fn dispatch_topic_list;
dispatch_fn dispatch_topic_info;
dispatch_fn dispatch_cursor_list;
dispatch_fn dispatch_stats;
dispatch_fn dispatch_access;
dispatch_fn dispatch_config;
dispatch_fn dispatch_space_create;
dispatch_fn dispatch_space_set;
dispatch_fn dispatch_slowlog;
dispatch_fn dispatch_space_list;
dispatch_fn dispatch_space_delete;
dispatch_fn dispatch_snapshot_begin;
dispatch_fn dispatch_snapshot_end;
/* The connection leaves its namespace: a snapshot that it has begun ends. */
void dispatch_snapshot_leave(struct connection *connection);

/* The engine is done with a request: keep it, if it took long. Before the answer is made. */
void dispatch_slow_done(const struct request *request, const struct engine_request *base);
/* The same of what is answered at once: when its handler was called (0: not of interest), and when
 * it returned. */
uint64_t dispatch_slow_begin(const struct server *server);
void dispatch_slow_end(struct connection *connection, const struct message *message,
                       uint64_t began_us);

/* The same topic in the engine's words; borrows from the message. */
struct engine_topic_ref dispatch_topic(const struct message_topic *topic);
/* Likewise for settings, into an array of MESSAGE_SETTINGS_MAX. */
uint32_t dispatch_settings(struct engine_setting *out, const struct message_settings *settings);
/* No request could be had. LATER when some are in flight, whose end will make room; else NOMEM. */
enum dispatch_result dispatch_no_request(struct connection *connection, struct reply_to to);

/* A reply whose size is not known beforehand: items behind a head, up to the frame limit. */
struct listing {
    struct connection *connection;
    struct reply_to to;
    struct buffer *buffer; /* Owned until listing_send() or listing_drop() */
    uint32_t head_size;
    uint16_t count;
};

/* 0, or TUSK_ENOMEM. */
int listing_begin(struct listing *listing, struct connection *connection, struct reply_to to,
                  uint32_t head_size);
/* Room for one more item of size bytes, or NULL: the frame is full, or memory is out. */
uint8_t *listing_room(struct listing *listing, size_t size);
/* Where the head goes. */
uint8_t *listing_head(struct listing *listing);
void listing_send(struct listing *listing);
void listing_drop(struct listing *listing);

#endif
