/* libtusk: append to and read from the topics of a tuskd on this machine.
 *
 *     #include <stdio.h>
 *     #include <tusk.h>
 *
 *     int main(void)
 *     {
 *         struct tusk_options options = {.size = sizeof options, .client = "example"};
 *         struct tusk_failure failure;
 *         struct tusk_batch *batch;
 *         struct tusk_entry entry;
 *         struct tusk *t;
 *
 *         if (tusk_connect(&options, &t, &failure) != TUSK_OK) {
 *             fprintf(stderr, "%s\n", failure.text);
 *             return 1;
 *         }
 *         if (tusk_append(t, "orders", "hello", 5, 0, NULL) != TUSK_OK) {
 *             fprintf(stderr, "%s\n", tusk_last_error(t)->text);
 *         } else if (tusk_read(t, "orders", NULL, &batch) == TUSK_OK) {
 *             while (tusk_batch_next(batch, &entry)) {
 *                 printf("%llu: %.*s\n", (unsigned long long)entry.offset, (int)entry.size,
 *                        (const char *)entry.data);
 *             }
 *             tusk_batch_free(batch);
 *         }
 *         return tusk_close(t) == TUSK_OK ? 0 : 1;
 *     }
 *
 * Words. An *entry* is the bytes you append; its *offset* is its place in its *topic*, never
 * issued twice (there may be gaps). A *batch* is entries stored together or not at all. A
 * *cursor* is a named place in a topic that the daemon keeps for a reader. A connection
 * belongs to one *namespace*, an isolated set of topics.
 *
 * Rules that hold everywhere below:
 *
 * - Functions return TUSK_OK (0) or a negative code of enum tusk_error, unless they say
 *   otherwise. tusk_last_error() has the sentence that belongs to the last failure.
 * - Arguments are borrowed until the call returns. What comes out through `**out` has exactly
 *   one _free or _close, and *out is NULL after a failure.
 * - Topic, cursor and namespace names are UTF-8 of at most 255 bytes. The cursor name ""
 *   is the default cursor. Topics have at least one byte.
 * - Every call ends in time. Blocking calls take at most the connection's timeout
 *   (tusk_set_timeout), those with timeout_ms at most that: 0 does not wait at all, and
 *   TUSK_TIMEOUT_DEFAULT is the connection's.
 * - Structs with a `size` member may grow: set it to sizeof the struct, and zero the rest.
 * - A connection, with the producers and consumers made from it, is used by one thread at a
 *   time. Different connections share nothing. A tusk_batch is independent of its connection.
 *   The library makes no threads, touches no signals and prints nothing.
 * - Callbacks run only inside tusk_process(), tusk_flush(), tusk_close(), blocking calls,
 *   and calls of a producer or consumer. From inside a callback only tusk_submit_*(),
 *   tusk_last_error() and functions without a connection may be called; others return
 *   TUSK_EINVALID and do nothing.
 *
 * The usual codes, which any call that asks the daemon may return: EINVALID (an argument, or a
 * call from inside a callback), ENOTFOUND (a topic or cursor of that name), ETIMEOUT, ECLOSED and
 * EUNREACHABLE (the connection), EUNKNOWN (of a call that changes something), EIO, EPROTOCOL,
 * ENOMEM. Below, functions name the codes they have besides, and those that mean more there.
 *
 * What became of it. A call that changes something ends in one of three ways, and
 * tusk_outcome() names which: stored, not stored, or unknown (TUSK_EUNKNOWN: the request may
 * have reached the daemon, and no answer came). The library never repeats a request by
 * itself, and never reconnects. */
#ifndef TUSK_H
#define TUSK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TUSK_API __attribute__((visibility("default")))
#else
#define TUSK_API
#endif

#define TUSK_NAME_SIZE_MAX 255
#define TUSK_SOCKET_DEFAULT "/run/tusk/tuskd.sock"
#define TUSK_TIMEOUT_DEFAULT (-1)

/* ---- How calls end ---- */

enum tusk_error {
    TUSK_OK = 0,
    TUSK_ENOMEM = -1,        /* Out of memory, here or in the daemon */
    TUSK_EIO = -2,           /* The daemon's disk failed; its log says more */
    TUSK_ENOSPACE = -3,      /* The daemon's file system is full; nothing was stored */
    TUSK_ECORRUPT = -4,      /* Stored bytes do not check out; details: offsets [a, b) */
    TUSK_EVERSION = -5,      /* No common protocol version */
    TUSK_ENOTFOUND = -6,     /* No such namespace, topic or cursor */
    TUSK_ETOOBIG = -7,       /* Larger than a limit; the sentence names it */
    TUSK_EBUSY = -8,         /* A limit is reached: process what is pending, or try later */
    TUSK_ECLOSED = -9,       /* The daemon is stopping, or the connection ended before */
    TUSK_EINVALID = -10,     /* The call or request is not valid */
    TUSK_EEXISTS = -11,      /* Exists already */
    TUSK_EDENIED = -12,      /* This user may not do that */
    TUSK_EUNKNOWN = -13,     /* Done or not done: nobody can tell */
    TUSK_ETRIMMED = -14,     /* Before the first entry kept; detail a: the first offset kept */
    TUSK_EEND = -15,         /* No entry there yet; details: a the end, b the durable end */
    TUSK_ESTALE = -16,       /* The cursor was moved by a seek; details: a offset, b epoch */
    TUSK_EQUOTA = -17,       /* The namespace's quota is used up */
    TUSK_ELOCKED = -18,      /* In use by another process */
    TUSK_ETIMEOUT = -19,     /* The deadline passed; what should have changed did not */
    TUSK_EUNREACHABLE = -20, /* No daemon answers, or the connection broke during a read */
    TUSK_EPROTOCOL = -21,    /* The peer's bytes are not this protocol; the connection is dead */
    TUSK_EUNSUPPORTED = -22  /* The daemon does not have this */
};

enum tusk_stored {
    TUSK_STORED = 1,        /* Stored, as durably as was asked */
    TUSK_NOT_STORED = 2,    /* Not stored, now or ever: it is safe to send it again */
    TUSK_STORED_UNKNOWN = 3 /* Sending it again may store it twice */
};

/* What a code means for a call that should have changed something: TUSK_OK is stored,
 * TUSK_EUNKNOWN is unknown, every other code is not stored. */
TUSK_API enum tusk_stored tusk_outcome(int code);

/* A failure in full. */
struct tusk_failure {
    int code;          /* enum tusk_error */
    uint64_t detail_a; /* As the list above says; else 0 */
    uint64_t detail_b;
    char text[512]; /* A sentence: what, where, why. Terminated */
};

/* A general sentence for a code, and its name without prefix ("NOSPACE"). Never NULL. */
TUSK_API const char *tusk_error_text(int code);
TUSK_API const char *tusk_error_name(int code);
/* The library's version, "0.1.0". */
TUSK_API const char *tusk_version(void);

/* ---- Connection ---- */

struct tusk; /* A connection */

struct tusk_options {
    size_t size;
    const char *path;             /* Of the socket; NULL: TUSK_SOCKET_DEFAULT */
    const char *space;            /* Namespace; NULL or "": "default" */
    const char *client;           /* What this program calls itself in the daemon's log; or NULL */
    int timeout_ms;               /* Of blocking calls; 0: 5000 */
    uint32_t send_buffer_size;    /* Bytes submitted and not sent yet; 0: 1 MiB */
    uint32_t receive_buffer_size; /* Bytes; at least, and by default, 256 KiB */
};

/* Connect and agree on a version. options may be NULL. failure may be NULL, or is filled when
 * the call fails. Codes: EUNREACHABLE (nobody listens there), EDENIED, ENOTFOUND (no such
 * namespace), EVERSION, EINVALID (a path or name too long), ETIMEOUT, EPROTOCOL, ENOMEM, and
 * what the daemon answers. */
TUSK_API int tusk_connect(const struct tusk_options *options, struct tusk **out,
                          struct tusk_failure *failure);
/* The same over a connected stream socket. The library owns fd after success only. */
TUSK_API int tusk_connect_fd(int fd, const struct tusk_options *options, struct tusk **out,
                             struct tusk_failure *failure);
/* End the connection and free everything of it. NULL is allowed. Requests still pending
 * complete first, with the codes of a broken connection (see "Pipelined"): flush before.
 * Close its producers and consumers before, too. EINVALID from inside a callback.
 *
 * What the daemon lent to a consumer (see TUSK_CONSUMER_NO_MAP) with a reply that was not taken is
 * given back, where that can be said at once; what cannot be the daemon keeps until this process
 * ends. A program that stays, and has closed a consumer in the middle, is sure of it when it calls
 * tusk_process() before, until tusk_in_flight() is 0. */
TUSK_API int tusk_close(struct tusk *t);

/* The last failure on this connection; code TUSK_OK if there was none. Valid until the next
 * call. In a callback that got a code it is that request's. Never NULL. */
TUSK_API const struct tusk_failure *tusk_last_error(const struct tusk *t);

struct tusk_info {
    size_t size;
    uint8_t store_id[16];         /* Of the namespace's directory */
    uint64_t incarnation;         /* New at each start of the daemon */
    uint64_t fsync_ms;            /* 0: each append; UINT64_MAX: none */
    uint32_t consistency;         /* 0: strict; N: at-least-once:N */
    uint32_t entry_size_max;      /* Bytes */
    uint32_t batch_size_max;      /* Bytes: 4 for each entry, and the entries */
    uint32_t in_flight_max;       /* Requests */
    uint64_t in_flight_bytes_max; /* Bytes of them */
    char server[256];             /* "tuskd 0.1.0" */
};

/* What the daemon said when the connection was made. Asks nobody. EINVALID: info->size. */
TUSK_API int tusk_info(const struct tusk *t, struct tusk_info *info);
/* The timeout of blocking calls from now on, more than 0; else EINVALID, and it stays. */
TUSK_API int tusk_set_timeout(struct tusk *t, int timeout_ms);

/* ---- Appending, one call at a time ---- */

#define TUSK_APPEND_DURABLE 0x1u   /* Answer when on disk, whatever the fsync schedule */
#define TUSK_APPEND_NO_CREATE 0x2u /* A topic that does not exist is TUSK_ENOTFOUND */

struct tusk_bytes {
    const void *data; /* May be NULL when size is 0 */
    size_t size;
};

struct tusk_append_result {
    uint64_t topic_id;
    uint64_t first_offset; /* Of the first entry; those of one batch follow one another */
    uint64_t last_offset;
    uint64_t durable_end; /* Entries of the topic before this offset are on disk */
};

/* Append one entry. *result (may be NULL) is filled on success: the entry is stored then, as
 * durably as the namespace's fsync schedule or flags say. ETIMEOUT, ECLOSED and EUNREACHABLE here
 * mean that nothing was sent; once a byte was, it is EUNKNOWN. Codes besides the usual: ETOOBIG
 * (entry_size_max, batch_size_max), ENOSPACE, EQUOTA, EBUSY; none of them stored anything. */
TUSK_API int tusk_append(struct tusk *t, const char *topic, const void *data, size_t size,
                         uint32_t flags, struct tusk_append_result *result);
/* Append count (at least 1) entries: all of them or none. Codes as tusk_append(). */
TUSK_API int tusk_append_batch(struct tusk *t, const char *topic, const struct tusk_bytes *entries,
                               uint32_t count, uint32_t flags, struct tusk_append_result *result);
/* Return when everything appended to the namespace before, by anybody, is on disk. */
TUSK_API int tusk_sync(struct tusk *t);
/* Return when the daemon has answered. */
TUSK_API int tusk_ping(struct tusk *t);

/* ---- Reading, one call at a time ---- */

enum tusk_position_kind {
    TUSK_FROM_DEFAULT = 0,  /* The first entry; for a consumer with a cursor, its cursor */
    TUSK_FROM_OFFSET = 1,   /* value: an offset; in a gap, the next entry */
    TUSK_FROM_TIME = 2,     /* value: microseconds since 1970; the first entry then or later */
    TUSK_FROM_EARLIEST = 3, /* The first entry kept */
    TUSK_FROM_LATEST = 4    /* Behind the last entry */
};

struct tusk_position {
    uint32_t kind; /* enum tusk_position_kind */
    uint64_t value;
};

#define TUSK_READ_SKIP_DAMAGE 0x2u /* Go on behind damage, and say what was skipped */
/* The daemon may send what it has not looked at, which is faster; this library checks every batch
 * as ever. On TUSK_ECORRUPT the detail is then the range of the whole reply; the same read without
 * this flag gives the daemon's word: the exact range that is damaged, or TUSK_ETRIMMED. tusk_read()
 * and tusk_peek(), and consumers, do both by themselves. Reads that consume, and daemons that do
 * not have it, do without. */
#define TUSK_READ_UNCHECKED 0x4u

struct tusk_read_options {
    size_t size;
    struct tusk_position from; /* Not with a cursor */
    uint32_t max_bytes;        /* Of entries; 0: 1 MiB. One entry is returned even if larger */
    uint32_t max_entries;      /* 0: as many as fit */
    uint32_t wait_ms;          /* Wait for an entry at the end; on top of the timeout */
    uint32_t flags;            /* TUSK_READ_* */
};

/* One entry, inside the memory of a batch. */
struct tusk_entry {
    uint64_t offset;
    uint64_t time_us; /* When the daemon took it, microseconds since 1970 */
    const void *data; /* Never NULL */
    size_t size;
};

/* Entries [from, to) of a topic, checked: both checksums of every stored batch matched. */
struct tusk_batch;

struct tusk_batch_info {
    size_t size;
    uint64_t topic_id;
    uint64_t from; /* Offsets covered; gaps are possible */
    uint64_t to;   /* Read on from here */
    uint64_t end;  /* Behind the last entry that readers see */
    uint64_t durable_end;
    uint64_t epoch;        /* Of the cursor; 0 without one */
    uint64_t skipped_from; /* Damage that was skipped, 0 and 0 if none */
    uint64_t skipped_to;
    uint32_t entry_count;
    uint64_t payload_size; /* Bytes of the entries */
};

/* Read from options->from; nothing moves. options may be NULL. *out has at least one entry, but for
 * TUSK_READ_SKIP_DAMAGE with nothing behind the damage (tusk_batch_info() says what was skipped);
 * it is freed with tusk_batch_free(). Codes besides the usual: EEND (after wait_ms), ETRIMMED,
 * ECORRUPT (also when bytes changed on the way to here), and EUNREACHABLE when the connection
 * broke. EINVALID also when the offset lies beyond the end. */
TUSK_API int tusk_read(struct tusk *t, const char *topic, const struct tusk_read_options *options,
                       struct tusk_batch **out);
/* Read from where the cursor stands, and leave it there. A cursor that does not exist reads from
 * the first entry, and is not created. Codes as tusk_read(). */
TUSK_API int tusk_peek(struct tusk *t, const char *topic, const char *cursor,
                       const struct tusk_read_options *options, struct tusk_batch **out);
/* Read from the cursor and move it behind what is returned, in one request. When the answer
 * is lost the entries are, too (EUNKNOWN): prefer tusk_checkpoint() after the work. A cursor that
 * does not exist is created at the first entry. Codes as tusk_read(). */
TUSK_API int tusk_consume(struct tusk *t, const char *topic, const char *cursor,
                          const struct tusk_read_options *options, struct tusk_batch **out);

/* The next entry: 1 and *entry, or 0 after the last. Its bytes live as long as the batch. */
TUSK_API int tusk_batch_next(struct tusk_batch *batch, struct tusk_entry *entry);
/* Begin again at the first entry. */
TUSK_API void tusk_batch_rewind(struct tusk_batch *batch);
/* EINVALID: info->size. */
TUSK_API int tusk_batch_info(const struct tusk_batch *batch, struct tusk_batch_info *info);
/* Free it, and with it the bytes of its entries. NULL is allowed. */
TUSK_API void tusk_batch_free(struct tusk_batch *batch);

#define TUSK_CHECKPOINT_NO_CREATE 0x1u /* A cursor that does not exist is TUSK_ENOTFOUND */

struct tusk_cursor_place {
    uint64_t offset; /* Of the first entry not processed */
    uint64_t epoch;  /* Counts the seeks */
};

/* Everything before offset is processed. Only moves forward: behind the cursor, nothing
 * changes and *place (may be NULL) says where it stands. epoch: as last seen, or 0 for any;
 * ESTALE when a seek changed it since. Returns when persisted as the namespace's consistency
 * says. A cursor that does not exist is created, unless flags say no (ENOTFOUND); EQUOTA and EBUSY
 * when there may be no more. EINVALID also when offset lies beyond the end. */
TUSK_API int tusk_checkpoint(struct tusk *t, const char *topic, const char *cursor, uint64_t offset,
                             uint64_t epoch, uint32_t flags, struct tusk_cursor_place *place);
/* Move a cursor anywhere, durably; creates it if need be (EQUOTA, EBUSY). *place (may be NULL) says
 * where it stands then, under a new epoch. EINVALID also when an offset lies beyond the end,
 * ETRIMMED when before the first entry kept. */
TUSK_API int tusk_seek(struct tusk *t, const char *topic, const char *cursor,
                       struct tusk_position position, struct tusk_cursor_place *place);

/* ---- Topics, cursors, namespaces ---- */

enum tusk_setting_key {
    TUSK_SETTING_RETENTION = 1,      /* enum tusk_retention */
    TUSK_SETTING_RETENTION_AGE = 2,  /* Milliseconds */
    TUSK_SETTING_RETENTION_SIZE = 3, /* Bytes */
    TUSK_SETTING_FSYNC = 16,         /* Namespace: 0 each, N every N ms, UINT64_MAX none */
    TUSK_SETTING_CONSISTENCY = 17,   /* Namespace: 0 strict, N at-least-once:N */
    TUSK_SETTING_QUOTA_BYTES = 18,   /* Namespace: bytes of blocks; 0 none */
    TUSK_SETTING_QUOTA_TOPICS = 19,  /* Namespace; 0 none */
    TUSK_SETTING_QUOTA_CURSORS = 20, /* Namespace; 0 none */
    TUSK_SETTING_QUOTA_POLICY = 21   /* Namespace: enum tusk_quota_policy */
};

/* What becomes of an append that needs a block beyond the quota of bytes. */
enum tusk_quota_policy {
    TUSK_QUOTA_REJECT = 0,      /* EQUOTA */
    TUSK_QUOTA_DROP_OLDEST = 1, /* The namespace's oldest full blocks go */
    TUSK_QUOTA_WAIT = 2         /* It waits; EQUOTA when the daemon's quota_wait is over */
};

enum tusk_retention {
    TUSK_RETENTION_ALL = 0,
    TUSK_RETENTION_CONSUMED = 1, /* Until every cursor is past it */
    TUSK_RETENTION_AGE_LIMIT = 2,
    TUSK_RETENTION_SIZE_LIMIT = 3,
    TUSK_RETENTION_INHERIT = 255 /* Topic: as the namespace says */
};

#define TUSK_SETTINGS_MAX 32

struct tusk_setting {
    uint16_t key; /* enum tusk_setting_key; each at most once */
    uint64_t value;
};

struct tusk_topic_info {
    size_t size;
    uint64_t topic_id;
    uint64_t created_us; /* Microseconds since 1970 */
    uint64_t first;      /* First offset kept */
    uint64_t end;        /* Behind the last entry that readers see */
    uint64_t durable_end;
    uint64_t entries;      /* Kept */
    uint64_t bytes;        /* Of blocks in use */
    uint64_t last_time_us; /* Of the last batch; 0: none */
    uint32_t blocks;
    uint32_t cursors;
    uint32_t setting_count;
    struct tusk_setting settings[TUSK_SETTINGS_MAX];
    char name[TUSK_NAME_SIZE_MAX + 1];
};

struct tusk_cursor_info {
    size_t size;
    uint64_t offset;
    uint64_t durable_offset;
    uint64_t epoch;
    uint64_t lag; /* Entries between it and the end */
    char name[TUSK_NAME_SIZE_MAX + 1];
};

enum tusk_namespace_state {
    TUSK_NAMESPACE_SERVING = 0,
    TUSK_NAMESPACE_REFUSED = 1, /* Damaged; reason says how */
    TUSK_NAMESPACE_STOPPED = 2  /* Its disk failed */
};

struct tusk_namespace_info {
    size_t size;
    uint64_t topics;
    uint64_t bytes; /* Of blocks in use */
    uint32_t state; /* enum tusk_namespace_state */
    uint32_t setting_count;
    struct tusk_setting settings[TUSK_SETTINGS_MAX];
    char name[TUSK_NAME_SIZE_MAX + 1];
    char reason[TUSK_NAME_SIZE_MAX + 1];
};

/* One value of the daemon's configuration. */
struct tusk_config_item {
    uint32_t size;       /* Filled by the library: what it knows of this struct */
    int needs_restart;   /* Not 0: a change counts from the next start, else from a reload */
    const char *section; /* "server", "defaults" or "namespace" */
    const char *space;   /* The namespace, in that section; else "" */
    const char *key;
    const char *value;
    const char *fallback; /* The built-in value */
    const char *origin;   /* "default", "--fsync", "TUSK_LOG", "FILE:LINE", "stored", ... */
};

#define TUSK_RIGHT_READ 0x1u   /* Read, peek and consume; make, move and delete cursors */
#define TUSK_RIGHT_APPEND 0x2u /* Append, and make topics by it; sync */
#define TUSK_RIGHT_ADMIN 0x4u  /* Topics, settings, the namespace itself, the configuration */

/* What somebody may do with a namespace. */
struct tusk_access {
    size_t size;
    uint32_t uid;
    uint32_t rights; /* TUSK_RIGHT_* */
    char user[TUSK_NAME_SIZE_MAX +
              1]; /* Of somebody else, as the daemon's system knows him, or "" */
    char why[TUSK_NAME_SIZE_MAX + 1]; /* The rule that gives it, or why none does */
};

#define TUSK_PATH_SIZE_MAX 1024

/* The files that make a copy of a namespace, by their numbers, both ends included but for
 * segments_end. tusk-format(5) has their names. */
struct tusk_snapshot {
    size_t size;
    uint64_t manifest_first;
    uint64_t manifest_last;
    uint64_t journal_first;
    uint64_t journal_last;
    uint64_t journal_used;             /* Bytes of the last journal file; behind them, zeros */
    uint64_t segments_end;             /* All segments with smaller numbers that are there */
    char root[TUSK_PATH_SIZE_MAX + 1]; /* The daemon's data directory, absolute */
    char dir[TUSK_PATH_SIZE_MAX + 1];  /* The namespace's, below it */
};

#define TUSK_UID_NONE UINT32_MAX

/* A request that took longer than the daemon's slowlog_threshold. Times are microseconds. */
struct tusk_slow_request {
    uint32_t size;        /* Filled by the library: what it knows of this struct */
    int code;             /* What it was answered: TUSK_OK, or another code */
    uint64_t number;      /* Counted from 1 at each start of the daemon */
    uint64_t time_us;     /* When its reply was ready, since 1970 */
    uint64_t duration_us; /* From when it was taken until then; the sum of the next four */
    uint64_t waited_us;   /* Until it had its place: for space, a quota, the journal, offsets */
    uint64_t queued_us;   /* From there until the write, or the sync it needed, was begun */
    uint64_t worked_us;   /* Writing, reading, and what else the daemon did then */
    uint64_t synced_us;   /* The sync that it needed */
    uint64_t entries;     /* Appended, or read; 0 where that is not known */
    uint64_t bytes;
    uint32_t pid;        /* Of the client; 0: it had gone */
    uint32_t uid;        /* Likewise; TUSK_UID_NONE */
    const char *request; /* "append", "topic_create", ... */
    const char *space;   /* Its namespace */
    const char *topic;   /* "": of none, or of one that is gone */
    const char *client;  /* What it calls itself; "": it had gone */
};

/* Called for each item of a list; the item lives until it returns. Not 0 ends the list, which
 * then returns TUSK_OK. Other calls on the connection are allowed inside. */
typedef int (*tusk_topic_fn)(void *user, const struct tusk_topic_info *info);
typedef int (*tusk_cursor_fn)(void *user, const struct tusk_cursor_info *info);
typedef int (*tusk_namespace_fn)(void *user, const struct tusk_namespace_info *info);
typedef int (*tusk_stat_fn)(void *user, const char *name, uint64_t value);
typedef int (*tusk_config_fn)(void *user, const struct tusk_config_item *item);
typedef int (*tusk_slow_fn)(void *user, const struct tusk_slow_request *slow);

/* Create a topic, durably, with settings (may be NULL with count 0). EEXISTS if there is one,
 * EQUOTA and EBUSY if there may be no more, ENOSPACE. *topic_id (may be NULL) is its id. */
TUSK_API int tusk_topic_create(struct tusk *t, const char *topic,
                               const struct tusk_setting *settings, uint32_t count,
                               uint64_t *topic_id);
/* Change settings, durably; those not named stay. */
TUSK_API int tusk_topic_set(struct tusk *t, const char *topic, const struct tusk_setting *settings,
                            uint32_t count);
/* Durable when it returns: entries, cursors and id are gone for good. */
TUSK_API int tusk_topic_delete(struct tusk *t, const char *topic);
/* Give up the entries before offset, cursors or no cursors. *first (may be NULL) is the first
 * offset kept afterwards. Durable when it returns. EINVALID also when offset lies beyond the
 * end. */
TUSK_API int tusk_topic_trim(struct tusk *t, const char *topic, uint64_t offset, uint64_t *first);
/* What is known of one topic. */
TUSK_API int tusk_topic_info(struct tusk *t, const char *topic, struct tusk_topic_info *info);
/* All topics, by name. fn runs before it returns. */
TUSK_API int tusk_topic_list(struct tusk *t, tusk_topic_fn fn, void *user);

/* Create a cursor, durably, at position. EEXISTS if there is one; other codes as tusk_seek().
 * *place may be NULL. */
TUSK_API int tusk_cursor_create(struct tusk *t, const char *topic, const char *cursor,
                                struct tusk_position position, struct tusk_cursor_place *place);
/* Durable when it returns. ENOTFOUND: no such topic, or no such cursor. */
TUSK_API int tusk_cursor_delete(struct tusk *t, const char *topic, const char *cursor);
/* All cursors of a topic, by name. */
TUSK_API int tusk_cursor_list(struct tusk *t, const char *topic, tusk_cursor_fn fn, void *user);

/* Create a namespace, durably, with settings (may be NULL with count 0). EEXISTS if there is one,
 * ENOSPACE. This connection stays in its own. */
TUSK_API int tusk_namespace_create(struct tusk *t, const char *space,
                                   const struct tusk_setting *settings, uint32_t count);
/* Change settings, durably; those not named stay. space "": the connection's own. EINVALID also for
 * one that the daemon's configuration fixes. */
TUSK_API int tusk_namespace_set(struct tusk *t, const char *space,
                                const struct tusk_setting *settings, uint32_t count);
/* All namespaces, those that are refused included. */
TUSK_API int tusk_namespace_list(struct tusk *t, tusk_namespace_fn fn, void *user);
/* With everything in it. EBUSY while connections use it, EINVALID for "default". */
TUSK_API int tusk_namespace_delete(struct tusk *t, const char *space);

/* What a user (a name or a number; NULL: this one) may do with a namespace (NULL: the
 * connection's), whether it is there or not. About others it takes the right admin there (EDENIED).
 * ENOTFOUND: the daemon's system knows no such user. A daemon older than this call: EUNSUPPORTED.
 */
TUSK_API int tusk_access(struct tusk *t, const char *user, const char *space,
                         struct tusk_access *access);

/* Have the files of the connection's namespace hold still for a copy that somebody makes who may
 * read them, as `tusk snapshot` does: everything acknowledged before is in it, durably; the daemon
 * goes on serving. Copy what *snapshot says, then call tusk_snapshot_end(). It also ends with the
 * connection, and then, too, the copy is worth nothing. Takes the right admin (EDENIED). EBUSY: one
 * is being taken. A daemon older than this call: EUNSUPPORTED. */
TUSK_API int tusk_snapshot_begin(struct tusk *t, struct tusk_snapshot *snapshot);
/* The copy is made. shared: not 0 when it may share bytes of segments with the original (reflink):
 * of other files none, and of segments no page behind which nothing is written. TUSK_OK: it is
 * good. ENOSPACE: the disk became full meanwhile, and the daemon needed what it had held back:
 * throw the copy away. EINVALID: none was begun. */
TUSK_API int tusk_snapshot_end(struct tusk *t, int shared);

/* The daemon's counters, under the names of its metrics. */
TUSK_API int tusk_stats(struct tusk *t, tusk_stat_fn fn, void *user);
/* The daemon's configuration, value by value: what it uses, or, with files not 0, what a start
 * would use now, with its files read again; EINVALID, and what is wrong, when they are not
 * valid. */
TUSK_API int tusk_config(struct tusk *t, int files, tusk_config_fn fn, void *user);
/* The last requests that took long, newest first, at most count (0: all that the daemon has kept),
 * of the namespaces that this user may administer. EDENIED without the right admin on the
 * connection's. A daemon older than this call: EUNSUPPORTED. */
TUSK_API int tusk_slowlog(struct tusk *t, uint32_t count, tusk_slow_fn fn, void *user);
/* Have the daemon forget those with this number and smaller ones; UINT64_MAX: all. */
TUSK_API int tusk_slowlog_forget(struct tusk *t, uint64_t number);

/* ---- Pipelined: many requests in flight ----
 *
 * tusk_submit_*() copies the request into the send buffer and returns; each submission that
 * returned TUSK_OK gets exactly one callback. It returns TUSK_EBUSY, and stores nothing, when
 * the send buffer or the daemon's limits of requests in flight are full: then process what is
 * pending, and submit again. Appends to one topic are stored in the order of submission.
 *
 * When the connection breaks every pending request completes at once: what changes something
 * with TUSK_EUNKNOWN if any byte of it may have been sent and TUSK_ECLOSED if none was, reads
 * with TUSK_EUNREACHABLE. Later calls return TUSK_ECLOSED. */

typedef void (*tusk_append_fn)(void *user, int code, const struct tusk_append_result *result);
/* batch is the callee's to free; NULL unless code is TUSK_OK. */
typedef void (*tusk_read_fn)(void *user, int code, struct tusk_batch *batch);
typedef void (*tusk_checkpoint_fn)(void *user, int code, const struct tusk_cursor_place *place);

/* *result and *place are valid inside the callback, and NULL unless code is TUSK_OK. fn may
 * be NULL. Returned at once, without a callback: EBUSY, ETOOBIG, EINVALID, ECLOSED. The callback's
 * codes are those of the blocking call of the same name. */
TUSK_API int tusk_submit_append(struct tusk *t, const char *topic, const void *data, size_t size,
                                uint32_t flags, tusk_append_fn fn, void *user);
TUSK_API int tusk_submit_append_batch(struct tusk *t, const char *topic,
                                      const struct tusk_bytes *entries, uint32_t count,
                                      uint32_t flags, tusk_append_fn fn, void *user);
/* cursor NULL: from options->from. Else a peek at the cursor. fn is not NULL. */
TUSK_API int tusk_submit_read(struct tusk *t, const char *topic, const char *cursor,
                              const struct tusk_read_options *options, tusk_read_fn fn, void *user);
TUSK_API int tusk_submit_checkpoint(struct tusk *t, const char *topic, const char *cursor,
                                    uint64_t offset, uint64_t epoch, uint32_t flags,
                                    tusk_checkpoint_fn fn, void *user);

/* Send everything, and wait until each append and checkpoint submitted before has completed; how
 * each ended, its callback is told. ETIMEOUT: some are still pending, and stay so. */
TUSK_API int tusk_flush(struct tusk *t, int timeout_ms);
/* Requests submitted and not completed. */
TUSK_API uint32_t tusk_in_flight(const struct tusk *t);

/* For an event loop: when poll() reports tusk_events() on tusk_fd(), call tusk_process() with 0.
 * The fd stays the same, and the connection's, until tusk_close(). Ask for tusk_events() again
 * after each call of this library: POLLIN, with POLLOUT while something is to be sent, or 0 when
 * the connection is dead. */
TUSK_API int tusk_fd(const struct tusk *t);
TUSK_API int tusk_events(const struct tusk *t);
/* Send what can be sent, take what has arrived, run callbacks; wait up to timeout_ms for
 * something to arrive. TUSK_OK also when nothing did; a code when the connection is dead. */
TUSK_API int tusk_process(struct tusk *t, int timeout_ms);

/* ---- Producer: entries one by one, sent in batches ----
 *
 *     open --> append, append, ... --> flush --> append ... --> close
 *
 * Entries gather in a batch, which goes out when it holds count or bytes enough, when its
 * first entry is linger_us old, or at flush. Without threads, age is noticed by the calls
 * below: an idle program calls tusk_producer_process() (tusk_producer_due_ms() says when).
 *
 * After a batch has failed the producer takes no more (append returns the batch's code), so
 * that no later entry is stored in front of a lost one unnoticed. Batches that were in flight
 * already complete on their own. tusk_producer_resume() goes on. */

struct tusk_producer;

/* One batch is done. */
struct tusk_delivery {
    int code;              /* tusk_outcome(code) holds for all its entries */
    uint64_t index;        /* Of its first entry: counts what append() took, from 0 */
    uint32_t count;        /* Entries */
    uint64_t first_offset; /* When stored; entry i has first_offset + i */
    uint64_t durable_end;
};

typedef void (*tusk_delivery_fn)(void *user, const struct tusk_delivery *delivery);

struct tusk_producer_options {
    size_t size;
    const char *topic;
    uint32_t flags;           /* TUSK_APPEND_* */
    uint32_t batch_count_max; /* Entries; 0: 1000 */
    uint32_t batch_bytes_max; /* Of entries; 0: 64 KiB. A larger entry goes alone */
    uint32_t linger_us;       /* 0: 1000 */
    uint32_t in_flight_max;   /* Batches; 0: 64. Bounds the memory with the send buffer */
    tusk_delivery_fn fn;      /* May be NULL */
    void *user;
};

struct tusk_producer_info {
    size_t size;
    uint64_t taken; /* Entries that append() took: the sum of those below */
    uint64_t stored;
    uint64_t not_stored;
    uint64_t unknown;
    uint64_t pending;      /* Gathering or in flight */
    uint64_t first_offset; /* Of the first entry stored; UINT64_MAX: none */
    uint64_t last_offset;  /* Of the last entry stored */
    uint64_t durable_end;  /* As last told */
    int code;              /* Why it takes no more; TUSK_OK: it does */
};

/* *options is copied, the topic's name too; nothing is sent yet. EINVALID, ENOMEM. */
TUSK_API int tusk_producer_open(struct tusk *t, const struct tusk_producer_options *options,
                                struct tusk_producer **out);
/* Take a copy of one entry. While there is no room: waits up to timeout_ms, then EBUSY, and the
 * entry was not taken. Codes besides: ETOOBIG, that of a failed batch, ECLOSED. */
TUSK_API int tusk_producer_append(struct tusk_producer *p, const void *data, size_t size,
                                  int timeout_ms);
/* Send a batch that is due, take replies, run callbacks. Does not wait. The code of a failed batch,
 * or of the connection. */
TUSK_API int tusk_producer_process(struct tusk_producer *p);
/* Milliseconds until a batch is due; -1: none gathers. */
TUSK_API int tusk_producer_due_ms(const struct tusk_producer *p);
/* Send everything and wait until it is done. TUSK_OK: all entries since the last resume are
 * stored. Else the code of the first batch that was not, or ETIMEOUT: some are pending. */
TUSK_API int tusk_producer_flush(struct tusk_producer *p, int timeout_ms);
/* Take entries again after a failure. */
TUSK_API void tusk_producer_resume(struct tusk_producer *p);
/* EINVALID: info->size. */
TUSK_API int tusk_producer_info(const struct tusk_producer *p, struct tusk_producer_info *info);
/* Flush, then free. Batches not done in time are delivered as EUNKNOWN, or ETIMEOUT (not
 * stored) if no byte of them was sent. Returns as flush does. NULL is allowed. */
TUSK_API int tusk_producer_close(struct tusk_producer *p, int timeout_ms);

/* ---- Consumer: entry after entry, read ahead ----
 *
 * Keeps up to two reads ahead of what next() returns. Its place is its own: the cursor (if it
 * has one) moves by checkpoints only. With checkpoint_every = N, an entry counts as
 * processed when next() is called again; every N processed entries, and when there is nothing
 * to return, a checkpoint is sent, without waiting for its answer. */

struct tusk_consumer;

#define TUSK_CONSUMER_PEEK 0x1u        /* Never move the cursor */
#define TUSK_CONSUMER_SKIP_DAMAGE 0x2u /* See tusk_consumer_info.skipped_* */
#define TUSK_CONSUMER_STOP_AT_END 0x4u /* At the end EEND at once instead of waiting */
/* Entries are copied to this process, never read from the daemon's files where they lie. Without
 * this flag, where daemon and kernel (Linux 5.14) can, what is large enough is mapped read-only,
 * and an entry's data points into the map, until the next call as ever. A disk that fails while a
 * mapped page is read again from it raises SIGBUS, as with every map of a file. When the daemon
 * was restarted meanwhile and has used a block again, the next call says TUSK_ECLOSED, and no
 * checkpoint covers what was read from it. A child of fork() must not use the consumer. */
#define TUSK_CONSUMER_NO_MAP 0x8u

struct tusk_consumer_options {
    size_t size;
    const char *topic;
    const char *cursor;        /* NULL: none */
    struct tusk_position from; /* TUSK_FROM_DEFAULT: the cursor, or the first entry */
    uint32_t flags;            /* TUSK_CONSUMER_* */
    uint32_t checkpoint_every; /* Entries; 0: only by tusk_consumer_checkpoint() */
    uint32_t read_bytes;       /* Of one read; 0: 1 MiB */
    uint32_t wait_ms;          /* How long the daemon may hold a read at the end; 0: 10,000 */
};

struct tusk_consumer_info {
    size_t size;
    uint64_t position;     /* Behind the last entry returned */
    uint64_t end;          /* As last told */
    uint64_t durable_end;  /* As last told */
    uint64_t checkpointed; /* Where the daemon last confirmed the cursor; 0: not yet */
    uint64_t epoch;        /* Of the cursor, as last told */
    uint64_t entries;      /* Returned */
    uint64_t gap_offsets;  /* Offsets passed over because no entry has them */
    uint64_t skipped;      /* Offsets skipped as damaged */
    uint64_t skipped_from; /* The last such range */
    uint64_t skipped_to;
};

/* *options is copied, its names too. Reads nothing yet; a topic that does not exist shows at the
 * first next(). EINVALID, ENOMEM. */
TUSK_API int tusk_consumer_open(struct tusk *t, const struct tusk_consumer_options *options,
                                struct tusk_consumer **out);
/* The next entry, valid until the next call on this consumer. Codes:
 * EEND: nothing arrived within timeout_ms, or, with STOP_AT_END, there is nothing.
 * ETRIMMED: entries were given up before they were read; detail a is the first kept, and the
 *   next call goes on there.
 * ECORRUPT: entries [a, b) cannot be read. Stays until tusk_consumer_seek().
 * ESTALE: somebody moved the cursor (a seek); the next call goes on where it stands now.
 * ETIMEOUT: with STOP_AT_END, no answer within timeout_ms.
 * EUNREACHABLE, ECLOSED: the connection broke. */
TUSK_API int tusk_consumer_next(struct tusk_consumer *c, struct tusk_entry *entry, int timeout_ms);
/* Checkpoint everything that next() returned, and wait for the answer; with timeout_ms 0 send
 * it only. EINVALID without a cursor. */
TUSK_API int tusk_consumer_checkpoint(struct tusk_consumer *c, int timeout_ms);
/* Go on elsewhere. The cursor stays, and checkpoints still only move it forward. */
TUSK_API int tusk_consumer_seek(struct tusk_consumer *c, struct tusk_position position);
/* EINVALID: info->size. */
TUSK_API int tusk_consumer_info(const struct tusk_consumer *c, struct tusk_consumer_info *info);
/* Free it, without a checkpoint of its own: entries that were returned and not checkpointed
 * are returned again to the next consumer. Waits up to timeout_ms for checkpoints in flight.
 * TUSK_OK, or the code of the last checkpoint that failed. NULL is allowed. */
TUSK_API int tusk_consumer_close(struct tusk_consumer *c, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
