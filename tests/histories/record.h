/* What concurrent clients asked one namespace and what they were told, in the order in which it
 * happened: the evidence that check.h judges.
 *
 * Every request has the moment at which it was sent and the moment at which its reply was taken.
 * Moments are numbers that only grow; one request came before another when its reply was taken
 * before the other was sent, else the two overlap and may have happened in either order.
 *
 * Entries are named by numbers: that of their append and their place in it. */
#ifndef TESTS_HISTORIES_RECORD_H
#define TESTS_HISTORIES_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_TOPICS_MAX 4u
#define RECORD_CURSORS_MAX 2u
#define RECORD_BATCH_MAX 256u /* Entries of one append */
#define MOMENT_NEVER UINT64_MAX

enum op_kind {
    OP_APPEND,
    OP_READ,    /* From an offset */
    OP_PEEK,    /* From where a cursor stands */
    OP_CONSUME, /* The same, and it moves */
    OP_CHECKPOINT,
    OP_POSITION, /* Where a cursor stands */
    OP_INFO,
    OP_SYNC, /* Of the namespace: of all topics */
};

enum op_fate {
    OP_UNKNOWN, /* No reply: it may have happened until `returned` */
    OP_DONE,
    OP_END,     /* A read that found the end */
    OP_REFUSED, /* It did not happen, now or ever */
};

struct op {
    enum op_kind kind;
    enum op_fate fate;
    uint32_t client; /* A connection: its appends to one topic keep their order */
    uint32_t topic;
    uint32_t cursor;
    uint64_t called;      /* Moments */
    uint64_t returned;    /* Without a reply: the last moment at which it may have happened */
    uint64_t offset;      /* Asked for: where a read begins, a checkpoint goes */
    uint32_t max_entries; /* Asked for by a read */
    bool durable;         /* The reply to this append means durable */
    bool final;           /* Of the reads at the end, which together see everything */
    uint64_t from;        /* Told: an append's or a read's offsets [from, to) */
    uint64_t to;
    uint64_t end;
    uint64_t durable_end;
    uint64_t position;      /* Told: where the cursor stands, */
    uint64_t kept_position; /* and where it stands whatever happens (of OP_POSITION) */
    uint32_t entry_first;   /* What a read delivered, or an append had: in record->entries */
    uint32_t entry_count;
};

struct record_entry {
    uint64_t offset; /* Where it was read */
    uint64_t value;
};

struct record {
    struct op *ops; /* Owned */
    uint32_t op_count;
    uint32_t op_room;
    struct record_entry *entries; /* Owned */
    uint32_t entry_count;
    uint32_t entry_room;
    uint64_t *deaths; /* Owned: moments at which the daemon was killed */
    uint32_t death_count;
    uint64_t now; /* The next moment */
    bool each;    /* An append's reply means durable */
    uint64_t
        consistency; /* 0: strict; N: that many entries' worth of checkpoints may be forgotten */
};

void record_deinit(struct record *record);

/* Something was sent now. Returns its number; an append's entries are added with it. */
uint32_t record_call(struct record *record, const struct op *asked);
/* A reply to it was taken now: *told has its fate and what was told. */
void record_return(struct record *record, uint32_t number, const struct op *told);
/* There will be no reply. It happened until then, or never: MOMENT_NEVER when nobody knows. */
void record_lost(struct record *record, uint32_t number, uint64_t until);
/* A read whose reply is recorded next delivered this. */
void record_entry(struct record *record, uint64_t offset, uint64_t value);
/* The daemon died now. Returns that moment. */
uint64_t record_death(struct record *record);

static inline uint64_t record_value(uint32_t append, uint32_t index)
{
    return (uint64_t)append * RECORD_BATCH_MAX + index;
}

const char *record_kind_name(enum op_kind kind);
/* One line about a request, for people. */
void record_print(const struct record *record, uint32_t number, char *text, size_t size);

#endif
