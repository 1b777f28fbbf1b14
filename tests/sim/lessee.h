/* A lessee: the process of a client, and what it has mapped. It may live on when its connection has
 * ended, and go on reading what it leased.
 *
 *     connected ---> left (the connection has ended) ---> dead ---> forgotten, when nobody asks for it
 *          \------------ killed, and that ended the connection ------^
 *
 * What holds is what PROTOCOL.md says ("Mapped"): the bytes of a lease do not change, and its block
 * is not used for anything else, from the reply to the release or the end of the process, in this
 * life of the daemon. In a later one that is so as long as the block's generation is the reply's.
 *
 *     lease: none ---> held ---> given back (RELEASE is asked) ---> none (it is answered)
 *
 * Elsewhere: what is asked for (scene_ask.c), the daemon's descriptors (scene_descriptors.c). */
#ifndef TESTS_SIM_LESSEE_H
#define TESTS_SIM_LESSEE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h"

struct call;
struct client;
struct ledger_space;
struct scene;

enum lease_state { LEASE_NONE, LEASE_HELD, LEASE_GIVEN_BACK };

struct leased {
    enum lease_state state;
    bool ended;                 /* With its namespace: no lease any more, but still mapped */
    bool old;                   /* Of an earlier life of the daemon */
    struct ledger_space *space; /* Not followed when old */
    uint64_t since;             /* Event */
    uint32_t file;              /* Kept, while there are bytes */
    uint64_t block;             /* Where its block begins in the file, */
    uint64_t from;              /* and the batches */
    uint64_t generation;
    uint32_t size;
    uint8_t *bytes;    /* Owned, while held: as they were; NULL: the process could not map them */
    uint64_t until_us; /* Then it is released */
};

/* A segment whose descriptor came. */
struct lessee_segment {
    uint64_t number;
    bool mapped; /* False: the kernel had no descriptor for the process */
    uint32_t file;
};

struct lessee {
    struct lessee *next;
    uint64_t number; /* Its client's; the process id follows from it */
    bool has_client; /* Its client is there, or what is left of it */
    bool left;
    bool farewell; /* It gave all back when it left */
    bool dead;
    bool watched;     /* The daemon has a descriptor of it */
    bool unwatchable; /* It could have none */
    bool hoards;      /* It releases nothing by itself */
    uint64_t dies_us; /* When left; NEVER: not in this life of the daemon */
    uint64_t look_us; /* When left: it reads again what it has */
    uint32_t
        unknown; /* Leases it may have besides: of replies that it did not take, or when it died */
    struct lessee_segment segments[MESSAGE_MAPPED_SEGMENTS]; /* Sent last, in turn */
    unsigned segment_at;
    unsigned segment_count;
    struct leased leases[MESSAGE_LEASES_MAX];
};

/* The process of a new client. */
struct lessee *lessee_new(struct scene *scene, uint64_t number);
/* NULL: it is forgotten. */
struct lessee *lessee_find(const struct scene *scene, uint64_t number);
/* The client's connection ends, with these leases perhaps on their way to it. */
void lessee_leave(struct client *client, uint32_t unknown);
/* The same, and the last that the daemon was told is that all leases are given back; certain: it
 * will hear that. */
void lessee_bid_farewell(struct client *client, bool certain);
/* Those that left read, and die. */
void lessee_act(struct scene *scene);
/* When the next one does, at the latest until_us. */
uint64_t lessee_next(const struct scene *scene, uint64_t until_us);
/* Everybody who left dies now. */
void lessee_end_left(struct scene *scene);
/* The life of the daemon is over. cut: and so is everybody's. */
void lessee_end_life(struct scene *scene, bool cut);
/* Read again, if it is still there, what all of them have. */
void lessee_look_at_all(struct scene *scene);
void lessee_deinit(struct scene *scene);

/* lessee_place.c */
/* A place came instead of batches: lease it, and let the reply be those that the map shows. False:
 * they cannot be seen. */
bool lessee_take(struct client *client, const struct call *call, struct message_read_reply *reply);
/* What the process reads of a lease is what it was: its block's generation, or every byte. */
void lessee_look(struct scene *scene, const struct lessee *lessee, struct leased *leased,
                 bool all_bytes);
/* It does without what it leased from here on. */
void lessee_unmap(struct scene *scene, struct leased *leased);
/* Fill in what it wants to release by now. Returns how many those are. */
uint16_t lessee_due(struct client *client, struct message_release *release);
/* It gives back what RELEASE names. False: something of that is not leased. */
bool lessee_give_back(struct client *client, const struct message_release *release);
/* It was answered; taken: what was leased is not any more. */
void lessee_given_back(struct client *client, const struct message_release *release, bool taken);
/* The namespace of the client was deleted, and the leases with it. */
void lessee_space_deleted(struct client *client);

/* How many leases the daemon has, as it says. */
struct lessee_counts {
    uint64_t live;
    uint64_t left;
    uint64_t retired;
};
/* They have those that are there since that event. */
void lessee_check_counts(struct scene *scene, const struct lessee_counts *counts, uint64_t since);
/* The same when nobody is connected: then there are also none that nobody has. */
void lessee_check_left(struct scene *scene, const struct lessee_counts *counts);

#endif
