#include "tests/histories/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

/* Room for one more of size bytes each. */
static void *grow(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count == *room) {
        *room = *room == 0 ? 256 : *room * 2;
        items = realloc(items, *room * size);
        CHECK(items != NULL);
    }
    return items;
}

void record_deinit(struct record *record)
{
    free(record->ops);
    free(record->entries);
    free(record->deaths);
    memset(record, 0, sizeof *record);
}

uint32_t record_call(struct record *record, const struct op *asked)
{
    struct op *op;

    record->ops = grow(record->ops, record->op_count, &record->op_room, sizeof *record->ops);
    op = &record->ops[record->op_count];
    *op = *asked;
    op->fate = OP_UNKNOWN;
    op->called = record->now++;
    op->returned = MOMENT_NEVER;
    if (op->kind == OP_APPEND) {
        CHECK(op->entry_count >= 1 && op->entry_count <= RECORD_BATCH_MAX);
    }
    return record->op_count++;
}

void record_return(struct record *record, uint32_t number, const struct op *told)
{
    struct op *op = &record->ops[number];

    CHECK(number < record->op_count);
    CHECK(op->fate == OP_UNKNOWN && op->returned == MOMENT_NEVER);
    op->returned = record->now++;
    op->fate = told->fate;
    op->from = told->from;
    op->to = told->to;
    op->end = told->end;
    op->durable_end = told->durable_end;
    op->position = told->position;
    op->kept_position = told->kept_position;
    if (op->kind != OP_APPEND) {
        op->entry_count = told->entry_count;
        op->entry_first = record->entry_count - told->entry_count;
    }
}

void record_lost(struct record *record, uint32_t number, uint64_t until)
{
    CHECK(record->ops[number].fate == OP_UNKNOWN);
    record->ops[number].returned = until;
}

void record_entry(struct record *record, uint64_t offset, uint64_t value)
{
    record->entries =
        grow(record->entries, record->entry_count, &record->entry_room, sizeof *record->entries);
    record->entries[record->entry_count++] =
        (struct record_entry){.offset = offset, .value = value};
}

uint64_t record_death(struct record *record)
{
    /* A life has few deaths. */
    record->deaths = realloc(record->deaths, (record->death_count + 1) * sizeof *record->deaths);
    CHECK(record->deaths != NULL);
    record->deaths[record->death_count++] = record->now;
    return record->now++;
}

const char *record_kind_name(enum op_kind kind)
{
    static const char *const names[] = {"append",     "read",     "peek", "consume",
                                        "checkpoint", "position", "info", "sync"};

    return names[kind];
}

void record_print(const struct record *record, uint32_t number, char *text, size_t size)
{
    static const char *const fates[] = {"unknown", "done", "END", "refused"};
    const struct op *op = &record->ops[number];
    char returned[32] = "never";

    if (op->returned != MOMENT_NEVER) {
        (void)snprintf(returned, sizeof returned, "%llu", (unsigned long long)op->returned);
    }
    (void)snprintf(text, size,
                   "#%u %s by client %u [%llu, %s] topic %u cursor %u: asked %llu (%u), %s; "
                   "[%llu, %llu) end %llu durable %llu position %llu, %u entries",
                   number, record_kind_name(op->kind), op->client, (unsigned long long)op->called,
                   returned, op->topic, op->cursor, (unsigned long long)op->offset, op->max_entries,
                   fates[op->fate], (unsigned long long)op->from, (unsigned long long)op->to,
                   (unsigned long long)op->end, (unsigned long long)op->durable_end,
                   (unsigned long long)op->position, op->entry_count);
}
