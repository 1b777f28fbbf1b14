/* A world of the simulation: one disk, the engine on it through several lives, a model of what must be
 * true, and the requests under way. Everything in it follows from its seed.
 *
 *     world_run:  open --> turns of requests and polls --> crash or stop --> open, judge --> ... --> last judgement
 *
 * Elsewhere: what is asked for (workload.c), what must be answered (oracle.c, oracle_done.c, oracle_read.c), what must
 * be there after a crash (judge.c), what the disk does (io_sim.h, faults.c), many worlds (drive.h). */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdarg.h>

#include "core/recovery_table.h"
#include "tests/sim/drive.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/model.h"
#include "tests/sim/random.h"

#define WORLD_NAMESPACES 3u
#define WORLD_HELD 8u
#define WORLD_LOG 48u
#define WORLD_LINE 200u
#define NOT_STAGED UINT64_MAX /* Put into results before a request, to see when they are set */

enum world_kind {
    KIND_PLAIN,       /* Crashes only: nothing acked may go, nothing may be refused */
    KIND_SYNC_FAULT,  /* An fsync fails, loses what it covered, and would lie when repeated */
    KIND_WRITE_FAULT, /* A change fails, once or from then on */
    KIND_READ_FAULT,  /* Places that cannot be read */
    KIND_NO_SPACE,    /* The disk is full, and later it is not */
    KIND_LIE,         /* Flushes and writes that report success and did not happen */
    KIND_ROT_BLOCKS,  /* Damage in segments between two lives */
    KIND_ROT_JOURNAL, /* Damage in journal and manifests between two lives */
    KIND_COUNT
};

/* Added up over worlds. */
struct world_report {
    uint64_t hash;
    uint64_t worlds;
    uint64_t operations;
    uint64_t lives;
    uint64_t crashes;
    uint64_t open_cuts; /* During recovery */
    uint64_t appends;
    uint64_t reads;
    uint64_t ranges;       /* Of them, answered with one */
    uint64_t statuses[24]; /* Replies by status */
    uint64_t kept;         /* Steps found after a crash, */
    uint64_t lost;         /* and those that were not, rightly */
    uint64_t refused;      /* Namespaces refused, in worlds that may */
    uint64_t corrupt;      /* Damage reported */
    uint64_t dropped;      /* Entries that a quota took */
    uint64_t kinds[KIND_COUNT];
    uint64_t rows[ROW_COUNT];
};

/* How a life ended, the worst last. */
enum ending { END_CLEAN, END_PROCESS, END_POWER };

enum op_kind { OP_APPEND, OP_READ, OP_COMMAND };

/* A request under way. */
struct op {
    struct op *next; /* In the order submitted */
    struct world *world;
    enum op_kind kind;
    uint64_t number;
    uint64_t tick;
    uint64_t mono_us;
    struct model_namespace *ns;
    struct model_topic *topic;   /* NULL: none when it was submitted */
    struct model_cursor *cursor; /* NULL: none */
    struct step *step;           /* What it changed */
    bool staged;
    bool finished;
    bool refused; /* And judged */
    bool cancelled;
    bool by_id;
    bool wrong;     /* Malformed on purpose, or too big: must be refused */
    bool must_sync; /* Staged where the reply promises durability */
    bool looked_up; /* A command whose place waits for a lookup by time */
    bool loose;     /* At-least-once when staged */
    uint64_t start; /* Of a read: where it must begin; NOT_STAGED: not known */
    uint64_t low;   /* The end readers saw at least, when it was submitted */
    uint64_t asked_offset;
    uint64_t asked_epoch;
    uint64_t result_offset; /* When it was staged */
    uint64_t result_epoch;
    uint8_t *bytes; /* Owned: an append's batch, or what a read returned */
    size_t size;
    char topic_name[ENGINE_NAME_SIZE_MAX];
    char cursor_name[32];
    struct engine_setting settings[3];
    union {
        struct engine_append append;
        struct engine_read read;
        struct engine_command command;
    };
};

/* A range that a read was answered with, kept to see that nothing changes it. */
struct held {
    struct model_namespace *ns;
    const struct model_topic *topic;
    uint64_t from; /* First entry delivered of it */
    struct engine_range range;
    uint8_t *bytes; /* Owned: as they were when it came */
};

/* What a world likes to do, drawn once (swarm). */
struct world_taste {
    unsigned weights[16]; /* See workload.c */
    unsigned topics;
    unsigned same_percent; /* That an append is followed by another of the same topic */
    unsigned durable_percent;
    unsigned big_percent;
    unsigned burst;     /* Most requests in a turn */
    unsigned long_gaps; /* Percent of turns that let much time pass */
    unsigned entry_max;
    bool imitate; /* Payloads that are old stored bytes */
    bool clock_jumps;
    bool small_journal; /* BUSY may come */
    bool retention;
    bool quota;
    bool many_settings;
};

struct world {
    struct drive_limits limits;
    struct world_report *report;
    enum world_kind kind;
    struct random random;
    struct random engine_random;
    struct sim_disk *disk;
    struct io *io;
    struct engine *engine;
    struct engine_options options;
    struct world_taste taste;
    struct held held[WORLD_HELD]; /* Where ns is not NULL */
    int64_t wall_offset;          /* Wall clock minus the virtual one */
    uint64_t tick;
    uint64_t poll_tick;      /* Of the poll under way, or the last one */
    struct engine_time told; /* What the engine believes the time is */
    bool in_poll;
    bool scanning;            /* What is learned now was staged in the last poll */
    uint64_t operations;      /* Requests so far */
    uint64_t operations_goal; /* Of the whole world */
    unsigned life;
    unsigned lives;
    bool disturbed; /* The power is out, or the engine has stopped by itself: this life ends */
    bool damaged;   /* By damage_last() */
    bool faulted;   /* The disk has failed an operation in this life: errors are excused */
    uint64_t fired; /* Faults met before this life */
    bool stopping;
    bool first_start; /* Nothing has been started since the last ending */
    bool full;        /* The disk may have no room */
    bool fatal;       /* A fault has struck that must stop the namespace */
    enum ending ending;
    uint64_t good_poll_us; /* Time of the last poll that met a healthy disk */
    struct op *ops;
    struct op **ops_end;
    uint32_t in_flight;
    struct op *completed[4096]; /* In the order done() ran */
    unsigned completed_count;
    struct model_namespace namespaces[WORLD_NAMESPACES];
    struct step *steps; /* All ever made, owned */
    uint8_t seen[4096]; /* Stored bytes of an earlier read, to imitate */
    size_t seen_size;
    uint64_t results; /* Hash of all replies */
    char log[WORLD_LOG][WORLD_LINE];
    uint64_t log_count;
};

/* Run one world. A broken promise prints what is known and ends the process with status 1. */
void world_run(const struct drive_limits *limits, struct world_report *report);

/* For the parts of the simulation. */
_Noreturn void world_fail(struct world *world, const char *promise, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_log(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline uint64_t world_below(struct world *world, uint64_t limit)
{
    return random_below(&world->random, limit);
}
static inline bool world_chance(struct world *world, unsigned percent)
{
    return random_chance(&world->random, percent);
}
struct engine_time world_now(const struct world *world);
struct step *world_step(struct world *world, struct model_namespace *ns, enum step_kind kind,
                        struct model_topic *topic, uint64_t number);
/* The same, settled from the beginning: the first of a history. */
struct step *world_base_step(struct world *world, enum step_kind kind, struct model_topic *topic);
/* Tell the engine the time, before a request. */
void world_tell(struct world *world);
/* One engine_poll() and everything that follows from it. Returns what it returned. */
bool world_poll(struct world *world);
/* Poll until nothing is under way (parked reads are cancelled); a request that never ends is a broken promise. */
void world_drain(struct world *world);
/* After a poll or a stop: learn what was staged, judge the replies. */
void world_collect(struct world *world);
/* Let virtual time pass, polling when the engine wants to be. */
void world_pass(struct world *world, uint64_t us);
void world_free_ops(struct world *world);

/* Errors of the disk are no broken promise now. */
static inline bool world_excused(const struct world *world)
{
    return world->disturbed || world->faulted;
}

/* And so is damage that is reported. */
static inline bool world_may_be_damaged(const struct world *world)
{
    return world_excused(world) || world->kind == KIND_READ_FAULT || world->kind == KIND_LIE;
}

/* options.c */
void world_choose(struct world *world);
void world_choose_life(struct world *world);
void world_print_options(const struct world *world);
const char *world_kind_name(enum world_kind kind);

/* life.c */
void world_live(struct world *world);
/* One start, for damage.c: no cuts, any outcome. */
int life_open(struct world *world, struct error *err);
/* Which namespaces there are now; counts rows of the recovery table. */
void life_learn(struct world *world);
void life_close(struct world *world);

/* faults.c: what the kind of the world does to the disk, */
void faults_begin_life(struct world *world);
void faults_turn(struct world *world);
/* before the engine closes, */
void faults_check(struct world *world);
/* after it has, */
void faults_end_life(struct world *world);
/* and before it opens: true if everything may be unusable until faults_heal(). */
bool faults_before_start(struct world *world);
void faults_heal(struct world *world);

/* damage.c: the last of a world whose disk breaks its word. */
bool damage_is_last(const struct world *world);
void damage_last(struct world *world);
/* What is appended afterwards, to see that it can be. */
#define DAMAGE_PROBE_SIZE 24u
extern const uint8_t damage_probe[DAMAGE_PROBE_SIZE];

#endif
