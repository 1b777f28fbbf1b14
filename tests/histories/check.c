#include "tests/histories/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/histories/check_state.h"

void check_fail(struct check *check, const char *rule, uint32_t number, const char *format, ...)
{
    char line[320];
    char why[160];
    va_list args;

    if (check->broken != NULL) {
        return;
    }
    check->broken = rule;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    record_print(check->record, number, line, sizeof line);
    (void)snprintf(check->text, check->text_size, "%s: %s", line, why);
}

uint32_t check_at(const struct check_log *log, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = log->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (log->entries[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- the log ---- */

/* Put the reads at the end together. */
static void gather(struct check *check)
{
    const struct record *record = check->record;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < RECORD_TOPICS_MAX; i++) {
        check->logs[i].entries = calloc(record->entry_count + 1u, sizeof *check->logs[i].entries);
        CHECK(check->logs[i].entries != NULL);
    }
    for (i = 0; i < record->op_count; i++) {
        const struct op *op = check_op(check, i);
        struct check_log *log = &check->logs[op->topic];

        for (k = 0; op->kind == OP_READ && op->final && k < op->entry_count; k++) {
            const struct record_entry *entry = &record->entries[op->entry_first + k];

            if (log->count > 0 && entry->offset <= log->entries[log->count - 1].offset) {
                check_fail(check, "the log has each offset once", i, "offset %llu comes again",
                           (unsigned long long)entry->offset);
                return;
            }
            log->entries[log->count++] =
                (struct check_entry){.offset = entry->offset, .value = entry->value};
        }
    }
}

/* The append that an entry of the log belongs to; NULL, and why, when there is none. */
static const struct op *owner(struct check *check, uint32_t topic, const struct check_entry *entry)
{
    const uint64_t number = entry->value / RECORD_BATCH_MAX;
    const struct op *op =
        number < check->record->op_count ? check_op(check, (uint32_t)number) : NULL;

    if (op == NULL || op->kind != OP_APPEND || op->topic != topic ||
        entry->value % RECORD_BATCH_MAX >= op->entry_count) {
        check_fail(check, "nothing is there that was not sent", 0, "value %llu at offset %llu",
                   (unsigned long long)entry->value, (unsigned long long)entry->offset);
        return NULL;
    }
    if (op->fate == OP_REFUSED) {
        check_fail(check, "what was refused is not there", (uint32_t)number, "at offset %llu",
                   (unsigned long long)entry->offset);
    }
    return op;
}

/* One batch of the log, from its first entry on. Returns its entries; 0: it is none. */
static uint32_t check_batch(struct check *check, uint32_t topic, uint32_t first)
{
    const struct check_log *log = &check->logs[topic];
    const struct check_entry *entries = &log->entries[first];
    const struct op *op = owner(check, topic, entries);
    const uint32_t number = (uint32_t)(entries->value / RECORD_BATCH_MAX);
    uint32_t i;

    if (op == NULL) {
        return 0;
    }
    for (i = 0; i < op->entry_count; i++) {
        if (first + i == log->count || entries[i].value != record_value(number, i) ||
            entries[i].offset != entries->offset + i) {
            check_fail(check, "a batch is there whole or not at all", number,
                       "entry %u is not at offset %llu", i,
                       (unsigned long long)entries->offset + i);
            return 0;
        }
    }
    if (check->place[number] != MOMENT_NEVER) {
        check_fail(check, "a batch is there once", number, "at offsets %llu and %llu",
                   (unsigned long long)check->place[number], (unsigned long long)entries->offset);
    }
    if (op->fate == OP_DONE && (op->from != entries->offset || op->to != op->from + i)) {
        check_fail(check, "a batch is where its reply said", number, "it is at offset %llu",
                   (unsigned long long)entries->offset);
    }
    check->place[number] = entries->offset;
    return i;
}

/* The log of a topic, batch by batch: whose they are, and in which order. */
static void check_topic(struct check *check, uint32_t topic)
{
    struct check_log *log = &check->logs[topic];
    uint64_t latest = 0; /* When an append before this one in the log was sent, at the latest */
    uint32_t latest_number = 0;
    uint32_t first = 0;

    while (first < log->count && check->broken == NULL) {
        const uint32_t number = (uint32_t)(log->entries[first].value / RECORD_BATCH_MAX);
        const uint32_t count = check_batch(check, topic, first);
        const struct op *op;
        uint32_t i;

        if (count == 0) {
            return;
        }
        op = check_op(check, number);
        if (first > 0 && latest > op->returned) {
            check_fail(check, "what was acknowledged before another was sent stands before it",
                       number, "but append #%u does", latest_number);
        }
        if (op->called > latest) {
            latest = op->called;
            latest_number = number;
        }
        for (i = 0; i < count; i++) {
            log->entries[first + i].called = latest;
        }
        first += count;
    }
}

/* Appends of one client to one topic keep the order in which it sent them. */
static void check_sessions(struct check *check)
{
    const struct record *record = check->record;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < record->op_count; i++) {
        const struct op *op = check_op(check, i);

        if (op->kind != OP_APPEND) {
            continue;
        }
        if (op->fate == OP_DONE && check->place[i] == MOMENT_NEVER) {
            check_fail(check, "what was acknowledged is there", i, "it is not");
        }
        for (k = i; check->place[i] != MOMENT_NEVER && k > 0; k--) {
            const struct op *before = check_op(check, k - 1);

            if (before->kind == OP_APPEND && before->client == op->client &&
                before->topic == op->topic && check->place[k - 1] != MOMENT_NEVER) {
                if (check->place[k - 1] > check->place[i]) {
                    check_fail(check, "one client's appends keep their order", i,
                               "#%u was sent before it", k - 1);
                }
                break;
            }
        }
    }
}

/* ---- reads ---- */

/* Everything that stands before an offset had been sent when this was answered. */
static void check_past(struct check *check, uint32_t number, uint64_t offset)
{
    const struct op *op = check_op(check, number);
    const struct check_log *log = &check->logs[op->topic];
    const uint32_t at = check_at(log, offset);

    if (at > 0 && log->entries[at - 1].called > op->returned) {
        check_fail(check, "nobody sees what was not sent yet", number,
                   "something before offset %llu was sent at %llu", (unsigned long long)offset,
                   (unsigned long long)log->entries[at - 1].called);
    }
}

static void check_delivered(struct check *check, uint32_t number)
{
    const struct op *op = check_op(check, number);
    const struct check_log *log = &check->logs[op->topic];
    const uint32_t at = check_at(log, op->kind == OP_READ ? op->offset : op->from);
    uint32_t i;

    if (op->from >= op->to || op->to > op->end || op->durable_end > op->end ||
        (op->kind == OP_READ && op->from < op->offset)) {
        check_fail(check, "the offsets of a reply fit each other", number, "they do not");
    }
    if (op->entry_count == 0 || op->entry_count > op->max_entries) {
        check_fail(check, "a read delivers something, and no more than asked for", number,
                   "%u entries", op->entry_count);
    }
    for (i = 0; i < op->entry_count; i++) {
        const struct record_entry *entry = &check->record->entries[op->entry_first + i];

        if (at + i >= log->count || log->entries[at + i].offset != entry->offset ||
            log->entries[at + i].value != entry->value || entry->offset >= op->to) {
            check_fail(check, "a read delivers what the log has, and skips nothing", number,
                       "entry %u is value %llu at offset %llu", i, (unsigned long long)entry->value,
                       (unsigned long long)entry->offset);
            return;
        }
    }
    if (check_at(log, op->to) != at + op->entry_count) {
        check_fail(check, "a read delivers what the log has, and skips nothing", number,
                   "the log has more before %llu", (unsigned long long)op->to);
    }
}

static void check_reads(struct check *check)
{
    uint32_t i;

    for (i = 0; i < check->record->op_count && check->broken == NULL; i++) {
        const struct op *op = check_op(check, i);
        const struct check_log *log = &check->logs[op->topic];
        const bool reads = op->kind == OP_READ || op->kind == OP_PEEK || op->kind == OP_CONSUME;

        if (op->fate == OP_DONE && reads) {
            check_delivered(check, i);
        }
        if (op->fate == OP_END && op->kind == OP_READ &&
            check_at(log, op->offset) < check_at(log, op->end)) {
            check_fail(check, "END is where no entry is", i, "there is one");
        }
        if (op->fate == OP_END || (op->fate == OP_DONE && (reads || op->kind == OP_INFO))) {
            check_past(check, i, op->end);
        }
        if (op->fate == OP_DONE && op->kind == OP_APPEND) {
            check_past(check, i, op->durable_end);
        }
    }
}

const char *check_record(const struct record *record, char *text, size_t size)
{
    struct check check = {.record = record, .text = text, .text_size = size};
    uint32_t i;

    check.known = calloc(record->op_count + 1u, sizeof *check.known);
    check.place = malloc((record->op_count + 1u) * sizeof *check.place);
    CHECK(check.known != NULL && check.place != NULL);
    for (i = 0; i < record->op_count; i++) {
        check.place[i] = MOMENT_NEVER;
    }
    gather(&check);
    for (i = 0; i < RECORD_TOPICS_MAX && check.broken == NULL; i++) {
        check_topic(&check, i);
    }
    if (check.broken == NULL) {
        check_sessions(&check);
        check_reads(&check);
    }
    if (check.broken == NULL) {
        check_ends(&check);
    }
    if (check.broken == NULL) {
        check_cursors(&check);
    }
    for (i = 0; i < RECORD_TOPICS_MAX; i++) {
        free(check.logs[i].entries);
    }
    free(check.known);
    free(check.place);
    return check.broken;
}
