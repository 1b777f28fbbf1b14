/* Cursors: never back, each entry to one consuming read, and none is passed that nobody got. */
#include <stdlib.h>

#include "core/check.h"
#include "tests/histories/check_state.h"

static bool of_cursor(const struct op *op, uint32_t topic, uint32_t cursor)
{
    return op->topic == topic && op->cursor == cursor && op->fate != OP_REFUSED &&
           (op->kind == OP_PEEK || op->kind == OP_CONSUME || op->kind == OP_CHECKPOINT ||
            op->kind == OP_POSITION);
}

static bool delivered(const struct op *op)
{
    return op->kind == OP_CONSUME && op->fate == OP_DONE;
}

/* Whether a daemon may have forgotten, by dying, that it delivered one before it delivered the
 * other. */
static bool forgotten(const struct record *record, const struct op *one, const struct op *other)
{
    uint32_t i;

    for (i = 0; record->consistency > 0 && i < record->death_count; i++) {
        const uint64_t death = record->deaths[i];

        if ((one->called < death && death < other->returned) ||
            (other->called < death && death < one->returned)) {
            return true;
        }
    }
    return false;
}

static void check_once(struct check *check, uint32_t number)
{
    const struct op *op = check_op(check, number);
    uint32_t i;

    for (i = 0; i < number; i++) {
        const struct op *other = check_op(check, i);

        if (delivered(other) && other->topic == op->topic && other->cursor == op->cursor &&
            other->from < op->to && op->from < other->to && !forgotten(check->record, op, other)) {
            check_fail(check, "each entry is delivered to one consuming read", number,
                       "#%u got [%llu, %llu)", i, (unsigned long long)other->from,
                       (unsigned long long)other->to);
        }
    }
}

/* The moments from which on each entry may have been passed: somebody who asked then got it, or
 * said that it is done. Owned by the caller. */
static uint64_t *passable(const struct check *check, uint32_t topic, uint32_t cursor)
{
    const struct check_log *log = &check->logs[topic];
    uint64_t *since = malloc((log->count + 1u) * sizeof *since);
    uint32_t number;
    uint32_t i;

    CHECK(since != NULL);
    for (i = 0; i < log->count; i++) {
        since[i] = MOMENT_NEVER;
    }
    for (number = 0; number < check->record->op_count; number++) {
        const struct op *op = check_op(check, number);
        uint32_t to = 0;

        if (!of_cursor(op, topic, cursor)) {
            continue;
        }
        i = 0;
        if (op->kind == OP_CHECKPOINT) {
            to = check_at(log, op->offset);
        } else if (delivered(op)) {
            i = check_at(log, op->from);
            to = check_at(log, op->to);
        }
        for (; i < to; i++) {
            since[i] = op->called < since[i] ? op->called : since[i];
        }
    }
    return since;
}

/* Entries that reads without a reply may have taken away, until a moment. */
static uint64_t taken_unseen(const struct check *check, const struct op *until)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < check->record->op_count; i++) {
        const struct op *op = check_op(check, i);

        if (op->kind == OP_CONSUME && op->fate == OP_UNKNOWN && op->topic == until->topic &&
            op->cursor == until->cursor && op->called < until->returned) {
            sum += op->max_entries;
        }
    }
    return sum;
}

/* The cursor stands at an offset: everything before it was passed. */
static void check_passed(struct check *check, uint32_t number, const uint64_t *since,
                         uint64_t offset)
{
    const struct op *op = check_op(check, number);
    const struct check_log *log = &check->logs[op->topic];
    const uint32_t to = check_at(log, offset);
    uint64_t missing = 0;
    uint32_t i;

    for (i = 0; i < to; i++) {
        missing += since[i] > op->returned ? 1u : 0u;
    }
    if (missing > 0 && missing > taken_unseen(check, op)) {
        check_fail(check, "no cursor passes an entry that nobody got", number,
                   "%llu before offset %llu", (unsigned long long)missing,
                   (unsigned long long)offset);
    }
}

/* Where an answer says that the cursor stood, or must stand at least. */
static void check_position(struct check *check, uint32_t number, const uint64_t *since)
{
    const struct op *op = check_op(check, number);
    const struct check_known *then = &check->known[number][op->topic];
    const bool reads = op->kind == OP_CONSUME || op->kind == OP_PEEK;
    const uint64_t position = reads ? op->from : op->position;

    if (op->fate == OP_END) {
        /* It has passed at least what was known to be there. */
        check_passed(check, number, since, then->end);
        return;
    }
    if (position < then->position[op->cursor]) {
        check_fail(check, "a cursor never goes back", number, "it stood at %llu",
                   (unsigned long long)then->position[op->cursor]);
    }
    if (op->kind == OP_CHECKPOINT && position < op->offset) {
        check_fail(check, "a checkpoint is answered with where the cursor stands", number,
                   "that is before what was asked");
    }
    check_passed(check, number, since, position);
}

void check_cursors(struct check *check)
{
    uint32_t topic;
    uint32_t cursor;
    uint32_t i;

    for (topic = 0; topic < RECORD_TOPICS_MAX; topic++) {
        for (cursor = 0; cursor < RECORD_CURSORS_MAX; cursor++) {
            uint64_t *since = passable(check, topic, cursor);

            for (i = 0; i < check->record->op_count && check->broken == NULL; i++) {
                const struct op *op = check_op(check, i);

                if (!of_cursor(op, topic, cursor) || op->fate == OP_UNKNOWN) {
                    continue;
                }
                check_position(check, i, since);
                if (delivered(op)) {
                    check_once(check, i);
                }
            }
            free(since);
        }
    }
}
