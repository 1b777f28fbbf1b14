/* What the clients of one store did, and what they were told: the memory against which the store is
 * held after each crash.
 *
 *     model_init ---> { clients run (client.h) ---> crash, restart ---> judge (judge.h)
 *                       ---> judge_settle }* ---> model_deinit
 *
 * A *life* is the time from a start of the daemon to its end. What was not settled by a judgement
 * belongs to the life that just ended. Each client's part is written by its thread alone, and read
 * by others only when no client runs. Beside it each client keeps a journal, a file of lines outside
 * the file system under test, which is synced before a judgement: when something is violated, it is
 * the evidence. */
#ifndef TESTS_CRASH_MODEL_H
#define TESTS_CRASH_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MODEL_SPACES 3u /* Namespaces: one per schedule */
#define MODEL_TOPICS 24u
#define MODEL_CLIENTS_MAX 16u
#define MODEL_NEVER UINT64_MAX

enum fate {
    FATE_UNKNOWN,
    FATE_ACKED,
    FATE_REFUSED, /* Told, or known, not to be stored */
};

enum settled {
    SETTLED_NOT,
    SETTLED_PRESENT,
    SETTLED_LOST,
    /* Retention took it, or may have: that is not durable at once, so a crash may bring it back. */
    SETTLED_GONE,
};

/* One batch; its number is its place in the client's array. */
struct sent {
    uint16_t topic;
    uint8_t fate;    /* enum fate */
    uint8_t settled; /* enum settled */
    uint8_t count;
    bool durable; /* Asked to be durable when acknowledged */
    uint64_t topic_id;
    uint64_t first_offset;
    uint64_t durable_end; /* As the acknowledgement said */
    uint64_t sent_ns;
    uint64_t acked_ns;
    uint64_t acked_at; /* Position in the disk's log when the acknowledgement was received */
};

/* A checkpoint, or a read that consumed. */
struct moved {
    uint16_t topic;
    bool acked;
    bool anywhere; /* A consume without an answer: nobody knows how far */
    bool settled;
    uint64_t offset;
    uint64_t sent_ns;
    uint64_t acked_at;
};

/* Entries [from, to) of a topic were delivered; sum is entry_sum() of them. */
struct delivered {
    uint16_t topic;
    uint64_t from;
    uint64_t to;
    uint64_t sum;
    uint64_t durable_end;
    uint64_t told_at;
};

struct synced {
    uint64_t sent_ns;
    uint64_t acked_at;
};

struct client {
    struct model *model; /* Borrowed */
    uint32_t id;         /* Also its cursor's name: "c<id>" */
    uint32_t space;
    bool consumer;
    FILE *journal; /* Owned */
    struct sent *sent;
    uint32_t sent_count;
    uint32_t sent_room;
    struct moved *moved;
    uint32_t moved_count;
    uint32_t moved_room;
    struct delivered *delivered; /* Of the life under way */
    uint32_t delivered_count;
    uint32_t delivered_room;
    struct synced *synced; /* Of the life under way */
    uint32_t synced_count;
    uint32_t synced_room;
    uint64_t cursors[MODEL_TOPICS]; /* Settled places; MODEL_NEVER: no cursor */
    char bad[600];                  /* What a client itself saw go wrong; "" nothing */
    bool told_damage;               /* bad is what the daemon said: a dying disk may look so */
};

/* Of one topic, by its id: offsets below were issued before this life. */
struct issued {
    uint64_t topic_id;
    uint64_t before;
};

struct space {
    char name[16];
    uint64_t fsync_ms;    /* 0 each, UINT64_MAX none */
    uint64_t consistency; /* 0 strict */
    bool consumed;        /* Retention: entries go when every cursor has passed them */
    struct issued *issued;
    uint32_t issued_count;
};

struct model {
    uint64_t seed;
    struct space spaces[MODEL_SPACES];
    struct client clients[MODEL_CLIENTS_MAX];
    uint32_t client_count;
    const atomic_ulong *position; /* Of the disk's log; NULL: there is none */
    const char *socket;           /* Borrowed */
    uint32_t life;
    char dir[256]; /* Of the journals */
};

/* Draw a store from the seed: schedules, consistencies, clients. only: "each", "lazy", "none" or NULL for all three.
 * The journals go to dir, which is made. */
void model_init(struct model *model, uint64_t seed, const char *dir, const char *only);
void model_deinit(struct model *model);
/* Make the namespaces. False: the daemon refused, *why says so. */
bool model_create_spaces(struct model *model, char *why, size_t why_size);
/* The first free element of a client's array, zeroed. */
struct sent *model_sent(struct client *client);
struct moved *model_moved(struct client *client);
struct delivered *model_delivered(struct client *client);
struct synced *model_synced(struct client *client);
/* Journals to the disk. */
void model_sync_journals(struct model *model);
/* Offsets of a topic below this were issued before this life. */
uint64_t model_issued(const struct space *space, uint64_t topic_id);
void model_issue(struct space *space, uint64_t topic_id, uint64_t end);
uint64_t model_now_ns(void);
uint64_t model_position(const struct model *model);
/* The place of an entry in a sum that does not depend on order. */
uint64_t model_entry_sum(uint64_t offset, uint32_t client, uint32_t number, uint32_t index);

#endif
