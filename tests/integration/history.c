#include "tests/integration/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/fixture.h"

#define LABEL_SIZE 80u

void history_init(struct history *history, const char *topic, uint32_t pad)
{
    *history = (struct history){.pad = pad};
    (void)snprintf(history->topic, sizeof history->topic, "%s", topic);
    history->batches = calloc(HISTORY_BATCHES_MAX, sizeof *history->batches);
    assert_non_null(history->batches);
}

void history_deinit(struct history *history)
{
    free(history->batches);
    history->batches = NULL;
}

/* What entry `index` of batch `number` says; padded with a letter that depends on both. */
static void make_entry(const struct history *history, char *out, uint32_t number, uint32_t index)
{
    const int size = snprintf(out, LABEL_SIZE, "%s batch %u entry %u of %u;", history->topic,
                              number, index, history->batches[number].count);

    assert_true(size > 0 && size < (int)LABEL_SIZE);
    memset(out + size, 'a' + (int)((number + index) % 26), history->pad);
    out[(uint32_t)size + history->pad] = '\0';
}

static uint64_t next_id = 1000;

bool history_send(struct history *history, struct wire *wire)
{
    const uint32_t number = history->count;
    struct history_batch *batch = &history->batches[number];
    const char *texts[HISTORY_ENTRIES_MAX];
    struct message message;
    uint8_t *bytes;
    uint32_t i;
    bool sent;

    assert_true(number < HISTORY_BATCHES_MAX);
    *batch = (struct history_batch){.count = (uint8_t)(number % HISTORY_ENTRIES_MAX + 1)};
    for (i = 0; i < batch->count; i++) {
        char *text = malloc(LABEL_SIZE + history->pad);

        assert_non_null(text);
        make_entry(history, text, number, i);
        texts[i] = text;
    }
    message = wire_append_message(history->topic, texts, batch->count, &bytes);
    history->count++;
    /* Ids ascend over all connections, so that a reply has one owner. */
    batch->id = next_id++;
    wire->next_id = batch->id;
    sent = wire_send(wire, &message) != 0;
    for (i = 0; i < batch->count; i++) {
        free((void *)(uintptr_t)texts[i]);
    }
    free(bytes);
    return sent;
}

/* The batch that a reply is for: one of the last, so the search begins there. */
static struct history_batch *find(struct history *histories, uint32_t count, uint64_t id,
                                  struct history **owner)
{
    uint32_t i;
    uint32_t number;

    for (i = 0; i < count; i++) {
        for (number = histories[i].count; number > 0; number--) {
            struct history_batch *batch = &histories[i].batches[number - 1];

            if (batch->id == id) {
                *owner = &histories[i];
                return batch;
            }
            if (batch->id < id) {
                break;
            }
        }
    }
    return NULL;
}

bool history_take(struct history *histories, uint32_t count, struct wire *wire)
{
    struct message_append_reply result;
    struct history_batch *batch;
    struct wire_reply reply;
    struct history *owner = NULL;

    if (!wire_receive(wire, &reply)) {
        return false;
    }
    batch = find(histories, count, reply.id, &owner);
    assert_non_null(batch);
    assert_int_equal(batch->fate, HISTORY_UNKNOWN);
    if (reply.status == TUSK_EUNKNOWN) {
        return true;
    }
    if (reply.status != 0) {
        batch->fate = HISTORY_REFUSED;
        owner->refused++;
        owner->last_status = reply.status;
        return true;
    }
    assert_int_equal(message_append_reply_decode(&result, reply.body, reply.size), 0);
    batch->fate = HISTORY_ACKED;
    batch->first_offset = result.first_offset;
    owner->acked++;
    /* An offset that was given once, to a batch that was kept or lost, is never given again. */
    assert_true(result.first_offset >= owner->end_seen);
    owner->end_seen = result.first_offset + batch->count;
    return true;
}

uint32_t history_open(const struct history *history)
{
    uint32_t open = 0;
    uint32_t i;

    for (i = 0; i < history->count; i++) {
        open += history->batches[i].fate == HISTORY_UNKNOWN;
    }
    return open;
}

/* ---- checking ---- */

struct check {
    struct history *history;
    uint32_t last;        /* Batch of the entry before */
    uint64_t last_offset; /* Its offset */
    bool any;
    char *text;
};

static void check_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct check *check = arg;
    struct history *history = check->history;
    struct history_batch *batch;
    char label[LABEL_SIZE];
    uint32_t number;
    uint32_t index;
    uint32_t count;

    (void)snprintf(label, sizeof label, "%.*s", size < LABEL_SIZE ? (int)size : (int)LABEL_SIZE - 1,
                   (const char *)data);
    assert_int_equal(sscanf(label, "%*s batch %u entry %u of %u;", &number, &index, &count), 3);
    assert_true(number < history->count);
    batch = &history->batches[number];
    assert_int_equal(count, batch->count);
    make_entry(history, check->text, number, index);
    assert_int_equal(size, strlen(check->text));
    assert_memory_equal(data, check->text, size);
    /* Order, wholeness, no doubles: entry `index` comes right behind index - 1 of its batch, and
     * the first entry of a batch behind a whole one. */
    assert_true(!check->any || offset > check->last_offset);
    assert_int_equal(index, batch->seen);
    if (index == 0) {
        assert_true(!check->any || number > check->last);
        assert_true(!check->any ||
                    history->batches[check->last].seen == history->batches[check->last].count);
    } else {
        assert_int_equal(number, check->last);
        assert_int_equal(offset, check->last_offset + 1);
    }
    assert_int_not_equal(batch->fate, HISTORY_REFUSED);
    if (batch->fate == HISTORY_ACKED) {
        assert_int_equal(offset, batch->first_offset + index);
    }
    batch->seen++;
    check->last = number;
    check->last_offset = offset;
    check->any = true;
}

void history_check(struct history *history, struct wire *wire)
{
    struct check check = {.history = history, .text = malloc(LABEL_SIZE + history->pad)};
    uint32_t i;

    assert_non_null(check.text);
    for (i = 0; i < history->count; i++) {
        history->batches[i].seen = 0;
    }
    if (history->acked > 0) {
        (void)wire_drain(wire, history->topic, 0, check_entry, &check);
    }
    for (i = 0; i < history->count; i++) {
        const struct history_batch *batch = &history->batches[i];

        assert_true(batch->seen == 0 || batch->seen == batch->count);
        assert_true(batch->fate != HISTORY_ACKED || batch->seen == batch->count);
    }
    if (check.any && check.last_offset + 1 > history->end_seen) {
        history->end_seen = check.last_offset + 1;
    }
    free(check.text);
}
