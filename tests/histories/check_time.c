/* What anybody was told is so for whoever asks afterwards: ends, and what is durable. One walk
 * through the moments, with what has been told so far. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/histories/check_state.h"

enum event_kind { EVENT_NONE, EVENT_CALL, EVENT_RETURN, EVENT_DEATH };

struct event {
    enum event_kind kind;
    uint32_t number;
};

/* What happened at each moment. */
static struct event *events_of(const struct record *record)
{
    struct event *events = calloc(record->now + 1, sizeof *events);
    uint32_t i;

    CHECK(events != NULL);
    for (i = 0; i < record->op_count; i++) {
        const struct op *op = &record->ops[i];

        CHECK(op->called < record->now);
        events[op->called] = (struct event){EVENT_CALL, i};
        if (op->fate != OP_UNKNOWN) {
            CHECK(op->returned < record->now && op->returned > op->called);
            events[op->returned] = (struct event){EVENT_RETURN, i};
        }
    }
    for (i = 0; i < record->death_count; i++) {
        events[record->deaths[i]] = (struct event){EVENT_DEATH, i};
    }
    return events;
}

static void raise_to(uint64_t *value, uint64_t to)
{
    *value = to > *value ? to : *value;
}

static void raise_end(struct check *check, uint32_t number, struct check_known *now, uint64_t end,
                      uint64_t durable_end)
{
    const struct op *op = check_op(check, number);
    const struct check_known *then = &check->known[number][op->topic];

    if (end < then->end) {
        check_fail(check, "what was acknowledged or seen is seen from then on", number,
                   "the end was %llu", (unsigned long long)then->end);
    }
    if (durable_end < then->durable_end) {
        check_fail(check, "what is durable stays durable", number, "%llu was",
                   (unsigned long long)then->durable_end);
    }
    raise_to(&now->end, end);
    raise_to(&now->durable_end, durable_end);
}

static void acknowledged(struct check *check, uint32_t number, struct check_known *now)
{
    const struct op *op = check_op(check, number);

    if ((op->durable || check->record->each) && op->durable_end < op->to) {
        check_fail(check, "an acknowledgement that means durable comes when it is", number,
                   "it is not");
    }
    raise_end(check, number, now, check->known[number][op->topic].end, op->durable_end);
    raise_to(&now->end, op->to);
}

/* What is left of a position when the daemon has died. */
static uint64_t remembered(const struct record *record, uint64_t position)
{
    return position - (position < record->consistency ? position : record->consistency);
}

/* Where a cursor stands, of a reply that was taken now. Of a daemon that died meanwhile it says
 * only what outlived it. */
static void raise_position(struct check *check, uint32_t number, struct check_known *now,
                           uint64_t position)
{
    const struct record *record = check->record;
    const struct op *op = check_op(check, number);
    const bool looked = op->kind == OP_POSITION; /* Moved nothing, so nothing was promised */
    bool survived = true;
    uint32_t i;

    raise_to(&now->kept[op->cursor], op->kept_position);
    for (i = 0; i < record->death_count; i++) {
        if (op->called < record->deaths[i] && record->deaths[i] < op->returned) {
            position = remembered(record, position);
            survived = false;
        }
    }
    if (!looked) {
        raise_to(&now->told[op->cursor], position);
    }
    if (survived || !looked) {
        raise_to(&now->position[op->cursor], position);
    }
}

static void returned(struct check *check, uint32_t number, struct check_known *known)
{
    const struct op *op = check_op(check, number);
    struct check_known *now = &known[op->topic];
    uint32_t i;

    if (op->fate == OP_REFUSED) {
        return;
    }
    switch (op->kind) {
    case OP_APPEND:
        acknowledged(check, number, now);
        break;
    case OP_CONSUME:
        if (op->fate == OP_DONE) {
            raise_position(check, number, now, op->to);
        }
        raise_end(check, number, now, op->end, op->durable_end);
        break;
    case OP_READ:
    case OP_PEEK:
    case OP_INFO:
        raise_end(check, number, now, op->end, op->durable_end);
        break;
    case OP_CHECKPOINT:
    case OP_POSITION:
        raise_position(check, number, now, op->position);
        break;
    case OP_SYNC:
        for (i = 0; i < RECORD_TOPICS_MAX; i++) {
            raise_to(&known[i].durable_end, check->known[number][i].end);
        }
        break;
    }
}

/* The death of the daemon: of cursors, what was promised is left. */
static void died(const struct record *record, struct check_known *known)
{
    uint32_t topic;
    uint32_t i;

    for (topic = 0; topic < RECORD_TOPICS_MAX; topic++) {
        struct check_known *now = &known[topic];

        for (i = 0; i < RECORD_CURSORS_MAX; i++) {
            now->told[i] = remembered(record, now->told[i]);
            now->position[i] = now->told[i] > now->kept[i] ? now->told[i] : now->kept[i];
        }
    }
}

void check_ends(struct check *check)
{
    struct check_known known[RECORD_TOPICS_MAX] = {0};
    struct event *events = events_of(check->record);
    uint64_t moment;

    for (moment = 0; moment < check->record->now && check->broken == NULL; moment++) {
        const struct event *event = &events[moment];

        switch (event->kind) {
        case EVENT_CALL:
            memcpy(check->known[event->number], known, sizeof known);
            break;
        case EVENT_RETURN:
            returned(check, event->number, known);
            break;
        case EVENT_DEATH:
            died(check->record, known);
            break;
        case EVENT_NONE:
            break;
        }
    }
    free(events);
}
