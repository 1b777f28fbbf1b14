/* What the parts of the checker share. Private to check*.c. */
#ifndef TESTS_HISTORIES_CHECK_STATE_H
#define TESTS_HISTORIES_CHECK_STATE_H

#include "tests/histories/record.h"

/* An entry of the log, as the reads at the end saw it. */
struct check_entry {
    uint64_t offset;
    uint64_t value;
    uint64_t called; /* The latest moment at which this or an entry before it was sent */
};

struct check_log {
    struct check_entry *entries; /* Owned, by offset */
    uint32_t count;
};

/* What had been told about a topic when a request was sent. */
struct check_known {
    uint64_t end;
    uint64_t durable_end;
    uint64_t position[RECORD_CURSORS_MAX]; /* Seen by anybody */
    uint64_t told[RECORD_CURSORS_MAX];     /* As the answer to what moved it */
    uint64_t kept[RECORD_CURSORS_MAX];     /* As durable */
};

struct check {
    const struct record *record;
    struct check_log logs[RECORD_TOPICS_MAX];
    struct check_known (*known)[RECORD_TOPICS_MAX]; /* Owned: of each request, when it was sent */
    uint64_t *place; /* Owned: of each append, its first offset; MOMENT_NEVER: it is not there */
    char *text;
    size_t text_size;
    const char *broken;
};

/* Note the first rule that was broken, and by which request. */
void check_fail(struct check *check, const char *rule, uint32_t number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The first entry of the log at an offset or behind it; count: there is none. */
uint32_t check_at(const struct check_log *log, uint64_t offset);
static inline const struct op *check_op(const struct check *check, uint32_t number)
{
    return &check->record->ops[number];
}

/* check_time.c: fills `known` on the way. */
void check_ends(struct check *check);
/* check_cursor.c: needs `known`. */
void check_cursors(struct check *check);

#endif
