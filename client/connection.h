/* The inside of struct tusk: requests in flight over one stream.
 *
 *     pipeline_reserve --> write the frame --> pipeline_commit --> request.done, exactly once
 *                                                 |                     ^
 *                                                 +--- pipeline_turn ---+
 *
 * A request lives in a slot; its id is the slot's index (low half) and how many requests the
 * connection had before (high half), so a reply finds its slot without a search and an id is
 * never used twice. Slots in flight are linked in the order of submission, which is the order
 * in which they complete when the connection breaks.
 *
 * `done` runs only inside pipeline_turn() and pipeline_break(), never inside a submission.
 *
 * proto/status.h is not included here or anywhere else beside tusk.h: both spell the codes. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include "client/mapped.h"
#include "client/stream.h"
#include "client/tusk.h"
#include "proto/batch.h"
#include "proto/frame.h"
#include "proto/message.h"

struct request;

/* How a request ended. Which member of u depends on the request's type. */
struct reply {
    int code;
    union {
        struct message_append_reply append; /* APPEND */
        struct message_cursor_reply cursor; /* CHECKPOINT, SEEK, CURSOR_CREATE */
        uint64_t value;                     /* TOPIC_CREATE, TOPIC_TRIM */
        struct tusk_batch *batch;           /* READ: moved to `done` */
        struct {
            const uint8_t *data; /* Borrowed until `done` returns */
            size_t size;
        } body; /* The rest */
    } u;
};

typedef void (*request_done_fn)(struct tusk *t, const struct request *request,
                                const struct reply *reply);
/* The head of a successful READ reply is there, its batches may not be. */
typedef void (*request_head_fn)(struct tusk *t, const struct request *request,
                                const struct message_read_reply *head);

/* What a submission says about its request. */
struct request_plan {
    uint16_t type;        /* enum message_type */
    bool mapped;          /* READ: batches may be mapped */
    bool changes;         /* Without an answer its outcome is unknown */
    request_done_fn done; /* NULL: nobody wants to know */
    request_head_fn head; /* READ; or NULL */
    union {
        tusk_append_fn append;
        tusk_read_fn read;
        tusk_checkpoint_fn checkpoint;
    } fn; /* The user's callback, for `done` */
    void *user;
    uint32_t count; /* APPEND: entries */
    uint64_t tag;   /* For `done` */
};

struct request {
    struct request_plan plan;
    uint64_t id;
    uint64_t begin; /* Position of its first byte in the stream */
    uint32_t size;  /* Of its frame */
    uint32_t newer; /* Slot submitted next; REQUEST_NONE: newest. Free: next free */
    uint32_t older;
    bool used;
};

#define REQUEST_NONE UINT32_MAX

struct tusk {
    struct stream stream;
    int timeout_ms;
    struct message_hello_reply hello; /* `server` is not valid; server_name is */
    char server_name[MESSAGE_NAME_SIZE_MAX + 1];
    uint32_t frame_size_max;

    struct request *slots; /* Owned; grows to slot_limit */
    uint32_t slot_count;
    uint32_t slot_limit;
    uint32_t free_slot;
    uint32_t oldest; /* In flight */
    uint32_t newest;
    uint32_t in_flight;
    uint64_t in_flight_bytes;
    uint64_t requests; /* So far; the high half of ids */

    struct tusk_batch *incoming; /* A READ reply being received into its own memory; or NULL */
    struct frame incoming_frame;
    bool incoming_told; /* Its head was looked at */

    struct mapped mapped;

    bool dead; /* Nothing is sent or received any more; `broken` says why */
    bool in_callback;
    struct tusk_failure failure; /* The last one */
    struct tusk_failure broken;
};

/* proto/status.h */
const char *status_text(int code);
const char *status_name(int code);

/* Fill *failure, which may be NULL, and return code. */
__attribute__((format(printf, 3, 4))) int failure_set(struct tusk_failure *failure, int code,
                                                      const char *format, ...);
/* The same with what the system call said. */
__attribute__((format(printf, 4, 5))) int failure_errno(struct tusk_failure *failure, int code,
                                                        int error, const char *format, ...);

/* Members of a caller's struct that this library does not know stay as they are, and those
 * that the caller does not know are not written. */
int struct_out(void *out, size_t out_size, const void *in, size_t in_size);

void pipeline_init(struct tusk *t);
void pipeline_deinit(struct tusk *t);

/* Room for one frame of frame_size bytes, 0 or a code: EBUSY, ETOOBIG, ECLOSED, ENOMEM. The
 * body begins FRAME_HEADER_SIZE behind *frame. */
int pipeline_reserve(struct tusk *t, uint64_t frame_size, uint8_t **frame);
/* Send the reserved frame, whose body is written. Returns its id. */
uint64_t pipeline_commit(struct tusk *t, uint8_t *frame, uint32_t frame_size,
                         const struct request_plan *plan);
/* Both at once, for a message without bytes behind it. *id may be NULL. */
int pipeline_submit(struct tusk *t, const struct message *message, const struct request_plan *plan,
                    uint64_t *id);

/* Send, receive and complete what there is, without waiting. 0, or the code that the
 * connection is dead with. */
int pipeline_turn(struct tusk *t);
/* The same, and once more after waiting for something to happen. */
int pipeline_turn_until(struct tusk *t, uint64_t deadline_us);
/* Complete everything in flight as broken off. code and text become t->broken. */
__attribute__((format(printf, 3, 4))) void pipeline_break(struct tusk *t, int code,
                                                          const char *format, ...);
/* Forget a request: `done` will not run. Returns how it ended, as far as can be known: ETIMEOUT
 * if no byte was sent (and none will be) or nothing depends on it, else EUNKNOWN. */
int pipeline_abandon(struct tusk *t, uint64_t id);
/* The request with this id if it is in flight; or NULL. */
struct request *request_find(const struct tusk *t, uint64_t id);
/* Free its slot, then run `done`. */
void request_complete(struct tusk *t, struct request *request, const struct reply *reply);
/* The oldest request in flight whose plan has this `user`; or NULL. */
const struct request *pipeline_oldest_of(const struct tusk *t, const void *user);
/* The deadline of a call. Negative timeouts mean the connection's. */
uint64_t pipeline_deadline_us(const struct tusk *t, int timeout_ms);
/* EINVALID, with a sentence, inside a callback; else 0. */
int pipeline_check_outside_callback(struct tusk *t);

/* A topic by name. EINVALID if it is not a name. */
int topic_by_name(struct tusk *t, const char *name, struct message_topic *topic);
int name_from(struct tusk *t, const char *what, const char *text, struct message_name *name);

/* Where the entries of an APPEND go: `lengths` for count u32, `payload` behind it. */
struct append_room {
    uint8_t *frame;
    uint32_t frame_size;
    uint8_t *batch;
    uint8_t *lengths;
    uint8_t *payload;
    uint32_t count;
    uint32_t body_size;
};

/* Room for an append of count entries of payload_size bytes in all. flags: TUSK_APPEND_*. */
int append_reserve(struct tusk *t, const struct message_topic *topic, uint32_t flags,
                   uint32_t count, uint64_t payload_size, struct append_room *room);
/* Lengths and payload are written: checksum and send. Fills in type, changes and count. */
uint64_t append_commit(struct tusk *t, const struct append_room *room, struct request_plan plan);
/* A whole batch by reference. */
int append_submit(struct tusk *t, const char *topic, const struct tusk_bytes *entries,
                  uint32_t count, uint32_t flags, struct request_plan plan, uint64_t *id);
void append_result_fill(struct tusk_append_result *result, const struct message_append_reply *reply,
                        uint32_t count);

/* A READ, of a topic by name or id. consume: with a cursor only. */
int read_message(struct tusk *t, struct message *message, const char *topic, const char *cursor,
                 const struct tusk_read_options *options, bool consume);

#endif
