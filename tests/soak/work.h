/* What the soak does to a daemon, drawn from a seed, and what it knows of the daemon's topics.
 *
 *     work_open ---> { work_turn, work_turn, ... ---> work_settle }* ---> work_close
 *
 * Nobody else appends and the daemon never stops, so the model is exact: offsets follow one
 * another from 0, and what a topic still has to hold is known, but for what retention gives up by
 * itself. Every entry that is read is compared with it. What does not fit ends the program
 * (work_broken). */
#ifndef TESTS_SOAK_WORK_H
#define TESTS_SOAK_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "client/tusk.h"
#include "tests/sim/random.h"

#define WORK_LASTING 8u /* Topics that are there from beginning to end */
#define WORK_TOPICS 32u /* With those that come and go */
#define WORK_CLIENTS 6u /* Connections that stay for a while; the first is never closed by a turn */
#define WORK_BLOCK_KIB 256u

struct work_topic {
    char name[32];
    uint64_t serial;
    uint64_t first;  /* At least: retention may have given up more */
    uint64_t end;    /* Exactly */
    uint64_t cursor; /* Where its cursor "c" stands; WORK_NONE */
    bool exists;
    bool self_trimming; /* By retention */
};

#define WORK_NONE UINT64_MAX

/* Operations, by what they are. */
struct work_counts {
    uint64_t appended; /* Entries */
    uint64_t read;     /* Entries, each checked */
    uint64_t requests; /* Everything else that was asked and answered, and connections made */
};

struct work {
    const char *socket; /* Borrowed */
    uint64_t seed;
    bool small; /* Few entries a request, so that most operations are requests */
    struct random random;
    struct tusk *clients[WORK_CLIENTS]; /* NULL: closed; opened when it is drawn */
    struct work_topic topics[WORK_TOPICS];
    struct work_counts counts;
    uint64_t next_serial;
};

/* Connect, and make the lasting topics. */
void work_open(struct work *work, uint64_t seed, bool small, const char *socket);
/* Do one thing. */
void work_turn(struct work *work);
/* Bring the daemon back to what is the same each time: only the lasting topics, trimmed to their
 * ends; one client; nothing under way. */
void work_settle(struct work *work);
/* A counter of STATS. */
uint64_t work_stat(struct work *work, const char *name);
void work_close(struct work *work);
uint64_t work_operations(const struct work *work);

/* A promise was broken: say which, and exit with 1. Defined by the program. */
_Noreturn void work_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
