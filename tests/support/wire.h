/* The protocol without a library: a socket, frames, and a bound on every wait.
 *
 * Functions named wire_expect_* and those that return nothing fail the test (abort with a message)
 * when the daemon does anything else. Names are C strings; a request's id is chosen by
 * wire_next_id(). */
#ifndef TESTS_SUPPORT_WIRE_H
#define TESTS_SUPPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/message.h"
#include "proto/status.h"

#define WIRE_WAIT_MS 60000

struct wire {
    int fd;
    uint64_t next_id;
    struct message_hello_reply hello; /* name pointer excluded: it is not kept */
    uint8_t *input;                   /* Owned */
    size_t input_size;
    size_t input_begin;
    size_t input_end;
};

/* A reply; body is borrowed until the next receive. */
struct wire_reply {
    uint16_t type; /* Of the request */
    int status;    /* 0 or a negative TUSK_E* */
    uint64_t id;
    const uint8_t *body;
    size_t size;
};

struct wire_entries {
    uint32_t count;
    const char *const *texts;
};

/* The test goes on only if this is true. */
void wire_need(bool good, const char *what);

/* Connect; HELLO to a namespace (NULL: without HELLO). */
void wire_open(struct wire *wire, const char *socket_path, const char *space);
/* The same, but says whether it went well. */
bool wire_try_open(struct wire *wire, const char *socket_path, const char *space);
/* HELLO on a connection without. Returns the status; TUSK_ECLOSED: there is none. */
int wire_hello(struct wire *wire, const char *space);
void wire_close(struct wire *wire);

/* Send bytes as they are. False: the daemon has closed. */
bool wire_send_bytes(struct wire *wire, const void *bytes, size_t size);
/* Send a request. Returns its id. For APPEND the batch goes behind. */
uint64_t wire_send(struct wire *wire, const struct message *message);
/* A frame with any header, for what the encoder would not write. */
void wire_send_frame(struct wire *wire, uint32_t size, uint16_t type, uint64_t id, const void *body,
                     size_t body_size);
/* The bytes of a request, as wire_send() would send them. malloc()ed. */
uint8_t *wire_encode(const struct message *message, uint64_t id, size_t *size);

/* Wait for the next reply. False: the daemon closed the connection. */
bool wire_receive(struct wire *wire, struct wire_reply *reply);
/* Whether something can be received within so many milliseconds. */
bool wire_readable(struct wire *wire, int timeout_ms);
/* Wait until the daemon has closed the connection; replies on the way are dropped. Returns their
 * number. */
unsigned wire_expect_closed(struct wire *wire);
/* Send, and wait for the reply to just this. */
int wire_call(struct wire *wire, const struct message *message, struct wire_reply *reply);

struct message_name wire_name(const char *text);
struct message_topic wire_topic(const char *name);
/* A batch of entries: a message that borrows *bytes, which is malloc()ed. */
struct message wire_append_message(const char *topic, const char *const *texts, uint32_t count,
                                   uint8_t **bytes);

/* Append entries as one batch. Returns the status; *first (NULL allowed) the first offset. */
int wire_append(struct wire *wire, const char *topic, const char *const *texts, uint32_t count,
                uint64_t *first);
int wire_append_one(struct wire *wire, const char *topic, const char *text);
/* Append an entry of size bytes of one character. */
int wire_append_fill(struct wire *wire, const char *topic, char fill, uint32_t size);

/* A request to read from an offset, to be changed by the caller. */
struct message wire_read_message(const char *topic, uint64_t offset);
/* Walks the entries that a reply to a read delivers. */
typedef void wire_entry_fn(void *arg, uint64_t offset, const uint8_t *data, uint32_t size);
void wire_entries(const struct wire_reply *reply, wire_entry_fn *fn, void *arg);
/* Expect exactly these texts in [from, end of the topic). */
void wire_expect_entries(struct wire *wire, const char *topic, uint64_t from,
                         const char *const *texts, uint32_t count);
/* Read a whole topic from an offset, calling fn for each entry. Returns the end. */
uint64_t wire_drain(struct wire *wire, const char *topic, uint64_t from, wire_entry_fn *fn,
                    void *arg);

int wire_checkpoint(struct wire *wire, const char *topic, const char *cursor, uint64_t offset);
/* Where a cursor stands: what CURSOR_LIST says. UINT64_MAX: there is none of that name. */
uint64_t wire_cursor(struct wire *wire, const char *topic, const char *cursor);
int wire_simple(struct wire *wire, uint16_t type); /* PING, SYNC, STATS */
/* A number of STATS; UINT64_MAX: there is none of that name. */
uint64_t wire_stat(struct wire *wire, const char *name);
/* Until it has that value; the test fails when that does not come to pass. */
void wire_await_stat(struct wire *wire, const char *name, uint64_t value);
/* A value of CONFIG, and where it came from, as texts of 1,025 bytes. space "": an option. Returns
 * the status; there must be such a value. */
int wire_config(struct wire *wire, bool files, const char *space, const char *key, char *value,
                char *origin);
int wire_space_create(struct wire *wire, const char *name, uint64_t fsync_ms);

#endif
