/* What the clients of the simulated daemon asked for and were told: from it alone, and from PROTOCOL.md, follows
 * what they may be told next, and what must be there after a crash. No line of it comes from how the daemon works.
 *
 *     asked ---> told ---> after a crash: found, or gone
 *       \-- refused, or never sent whole: must not be seen, ever
 *
 * Time is a count of what clients do and learn (an *event*): if one of them was told of a thing before another
 * was asked, then the first comes before the second in the one history there must be. Nothing else orders them,
 * since requests and replies may be under way for any time. */
#ifndef TESTS_SIM_LEDGER_H
#define TESTS_SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"

struct observed;
struct scene;

#define LEDGER_SPACES 3u
#define LEDGER_TOPICS 5u
#define LEDGER_CURSORS 4u
#define LEDGER_DELIVERIES 64u /* Remembered of each cursor */
#define NEVER UINT64_MAX

enum fate {
    FATE_OPEN,  /* Asked, or the connection ended without a reply: stored or not */
    FATE_TOLD,  /* A reply said it is stored, or somebody read it */
    FATE_NEVER, /* Refused, or not sent whole: not stored, now or ever */
    FATE_GONE   /* Not there after a start: it must not come back */
};

/* One APPEND that was asked for. */
struct ledger_append {
    uint64_t number; /* Also the beginning of its first entry */
    uint64_t client;
    uint64_t order; /* Among that client's requests */
    unsigned space_index;
    unsigned name_index;
    uint64_t asked; /* Events; told is NEVER until it is */
    uint64_t told;
    unsigned life;
    enum fate fate;
    bool promised;              /* Nothing may lose it */
    bool synced;                /* Its client asked for it before a SYNC that was answered */
    bool found;                 /* In the last start */
    struct ledger_space *space; /* NULL: not known yet */
    struct ledger_topic *topic; /* NULL: its place is not known yet */
    uint64_t topic_id;          /* Asked by id; 0: by name */
    uint64_t first;
    uint64_t end;
    uint64_t time_us; /* 0: not known */
    uint8_t *bytes;   /* Owned: as it was sent */
    size_t size;
    uint32_t entries;
};

/* What a consuming read delivered: offsets [from, to), while the cursor had that epoch. */
struct ledger_delivery {
    uint64_t epoch;
    uint64_t from;
    uint64_t to;
};

/* Where a cursor is at least. (epoch, offset) only grows: a checkpoint moves forward, a seek counts the epoch up. */
struct ledger_cursor {
    bool told;       /* Somebody was told it is there */
    bool loose;      /* Deleted perhaps, or cut back: nothing can be said until the next start */
    bool asked;      /* Somebody asked for something that makes it */
    uint64_t epoch;  /* Told, */
    uint64_t offset; /* in this life */
    uint64_t kept_epoch; /* Promised to outlive a power cut */
    uint64_t kept_offset;
    uint64_t life_epoch; /* Promised to outlive the process */
    uint64_t life_offset;
    uint64_t most; /* No checkpoint went further */
    unsigned
        seeks; /* Asked in this life, or before and unknown: each may have counted the epoch up */
    /* The last in this life; number i is at i % LEDGER_DELIVERIES. */
    struct ledger_delivery deliveries[LEDGER_DELIVERIES];
    uint64_t delivery_count;
};

struct ledger_topic {
    struct ledger_topic *next;
    struct ledger_space *space;
    uint64_t id; /* 0: it was lost */
    unsigned name_index;
    uint64_t told; /* Event since when somebody knows it; NEVER: found by a start */
    bool promised; /* Its creation was told durable */
    bool delete_asked;
    bool deleted;        /* Told so */
    uint64_t issued_end; /* Of earlier lives: nothing before it is issued again */
    uint64_t end;        /* Told in this life */
    uint64_t durable_end;
    uint64_t promised_end; /* Entries before it were told durable */
    uint64_t first;        /* Told; never goes back */
    uint64_t trim_asked;
    struct ledger_append **placed; /* Owned list, by offset; the appends are the ledger's */
    uint32_t placed_count;
    uint32_t placed_room;
    struct ledger_cursor cursors[LEDGER_CURSORS];
};

/* A setting: known since an event, or not (NEVER) while a change is under way. */
struct ledger_setting {
    uint64_t value;
    uint64_t since;
};

/* One life of a namespace, from its creation to its deletion: known by its store id. */
struct ledger_space {
    struct ledger_space *next;
    unsigned index; /* Of its name */
    uint8_t store_id[16];
    bool deleted; /* Told so */
    /* Its fsync setting may have changed in this life. When it becomes "each" in the turn of an append that was
     * taken before, that is acknowledged when written, and readers see it only when it is durable. Not held against the daemon. */
    bool rescheduled;
    struct ledger_setting fsync;
    struct ledger_setting consistency;
    struct ledger_topic *topics;
};

enum ledger_presence { SPACE_ABSENT, SPACE_PRESENT, SPACE_UNKNOWN };

/* A name of a namespace. */
struct ledger_name {
    enum ledger_presence presence;
    bool changing;          /* A client creates or deletes it, or nobody knows */
    bool setting;           /* A client changes its settings, or nobody knows */
    uint64_t present_since; /* Event */
    uint64_t absent_since;
    bool fresh;                  /* Made, and nobody has seen its store id yet */
    struct ledger_setting fsync; /* As it was made */
    struct ledger_setting consistency;
    struct ledger_space *space; /* That of now; NULL: not known, or none */
};

struct ledger {
    struct ledger_append **appends; /* Owned, by number - 1 */
    uint64_t append_count;
    uint64_t append_room;
    struct ledger_space *spaces; /* Owned */
    struct ledger_name names[LEDGER_SPACES];
    /* Cursors (bits) asked for in a topic of that name when nobody could say which topic it would be. */
    unsigned blind[LEDGER_SPACES][LEDGER_TOPICS];
};

extern const char *const ledger_space_names[LEDGER_SPACES];
extern const char *const ledger_topic_names[LEDGER_TOPICS];
extern const char *const ledger_cursor_names[LEDGER_CURSORS];

/* LEDGER_TOPICS (or _CURSORS, _SPACES): none of them. */
unsigned ledger_topic_index(const char *name, size_t size);
unsigned ledger_cursor_index(const char *name, size_t size);
unsigned ledger_space_index(const char *name, size_t size);

void ledger_deinit(struct ledger *ledger);
struct ledger_append *ledger_append_new(struct ledger *ledger);
struct ledger_space *ledger_space_find(struct ledger *ledger, const uint8_t store_id[16]);
struct ledger_space *ledger_space_new(struct scene *scene, unsigned index,
                                      const uint8_t store_id[16]);
/* The topic of that id, made known when it is not. Fails the scene when ids or names contradict. name_index
 * LEDGER_TOPICS: not known; then an unknown topic gives NULL. */
struct ledger_topic *ledger_topic(struct scene *scene, struct ledger_space *space, uint64_t id,
                                  unsigned name_index);
/* A topic of that name that lives, as far as is known; NULL: none. */
struct ledger_topic *ledger_topic_live(struct ledger_space *space, unsigned name_index);

/* An append has this place: order, overlap and reuse are checked. */
void ledger_place(struct scene *scene, struct ledger_append *append, struct ledger_topic *topic,
                  uint64_t first);
/* A stored batch was seen by somebody: which append is it, and may it be seen? Places it. */
struct ledger_append *ledger_sight(struct scene *scene, struct ledger_topic *topic,
                                   const uint8_t *batch, size_t size);
/* The first placed append whose end is behind offset; placed_count: none. */
uint32_t ledger_at(const struct ledger_topic *topic, uint64_t offset);
/* Whether some request may have made a cursor, or moved it. */
bool ledger_cursor_asked(const struct scene *scene, const struct ledger_topic *topic,
                         unsigned cursor);
/* Somebody was told that a cursor stands there. promised: durable, as its schedule says. */
void ledger_cursor_told(struct scene *scene, struct ledger_topic *topic, unsigned cursor,
                        uint64_t epoch, uint64_t offset, bool promised, bool outlives);
/* A read that consumed delivered [from, to): nothing of it was delivered by the cursor before. */
void ledger_cursor_delivered(struct scene *scene, struct ledger_topic *topic, unsigned cursor,
                             const struct ledger_delivery *delivery);
/* Ends that somebody was told. */
void ledger_ends_told(struct ledger_topic *topic, uint64_t end, uint64_t durable_end);

/* ledger_judge.c: what a start found against what was told, and the ledger of the next life. */
void ledger_judge(struct scene *scene, const struct observed *seen);

#endif
