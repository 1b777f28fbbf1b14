#include "tests/sim/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/scene.h"

const char *const ledger_space_names[LEDGER_SPACES] = {"default", "eu", "\xc3\x9cn\xc3\xaf %2"};
const char *const ledger_topic_names[LEDGER_TOPICS] = {"orders", "a", "a.b", "K\xc3\xb6ln/%2e",
                                                       "orders2"};
const char *const ledger_cursor_names[LEDGER_CURSORS] = {"", "billing", "c", "\xf0\x9f\x90\x98"};

static unsigned index_of(const char *const *names, unsigned count, const char *name, size_t size)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) {
            break;
        }
    }
    return i;
}

unsigned ledger_topic_index(const char *name, size_t size)
{
    return index_of(ledger_topic_names, LEDGER_TOPICS, name, size);
}

unsigned ledger_cursor_index(const char *name, size_t size)
{
    return index_of(ledger_cursor_names, LEDGER_CURSORS, name, size);
}

unsigned ledger_space_index(const char *name, size_t size)
{
    return index_of(ledger_space_names, LEDGER_SPACES, name, size);
}

void ledger_deinit(struct ledger *ledger)
{
    uint64_t i;

    while (ledger->spaces != NULL) {
        struct ledger_space *space = ledger->spaces;

        while (space->topics != NULL) {
            struct ledger_topic *topic = space->topics;

            space->topics = topic->next;
            free(topic->placed);
            free(topic);
        }
        ledger->spaces = space->next;
        free(space);
    }
    for (i = 0; i < ledger->append_count; i++) {
        free(ledger->appends[i]->bytes);
        free(ledger->appends[i]);
    }
    free(ledger->appends);
}

struct ledger_append *ledger_append_new(struct ledger *ledger)
{
    struct ledger_append *append = calloc(1, sizeof *append);

    CHECK(append != NULL);
    if (ledger->append_count == ledger->append_room) {
        ledger->append_room = 2 * ledger->append_room + 64;
        ledger->appends =
            realloc(ledger->appends, ledger->append_room * sizeof(struct ledger_append *));
        CHECK(ledger->appends != NULL);
    }
    ledger->appends[ledger->append_count++] = append;
    append->number = ledger->append_count;
    append->told = NEVER;
    return append;
}

struct ledger_space *ledger_space_find(struct ledger *ledger, const uint8_t store_id[16])
{
    struct ledger_space *space = ledger->spaces;

    while (space != NULL && memcmp(space->store_id, store_id, 16) != 0) {
        space = space->next;
    }
    return space;
}

struct ledger_space *ledger_space_new(struct scene *s, unsigned index, const uint8_t store_id[16])
{
    struct ledger_space *space = calloc(1, sizeof *space);

    CHECK(space != NULL);
    space->index = index;
    memcpy(space->store_id, store_id, 16);
    space->fsync.since = NEVER;
    space->consistency.since = NEVER;
    space->next = s->ledger.spaces;
    s->ledger.spaces = space;
    return space;
}

struct ledger_topic *ledger_topic(struct scene *s, struct ledger_space *space, uint64_t id,
                                  unsigned name_index)
{
    struct ledger_topic *topic = space->topics;
    unsigned i;

    while (topic != NULL && topic->id != id) {
        topic = topic->next;
    }
    if (topic != NULL) {
        if (name_index != LEDGER_TOPICS && topic->name_index != name_index) {
            scene_fail(s, "an id is never used for another topic", "id %llu: %s, was %s",
                       (unsigned long long)id, ledger_topic_names[name_index],
                       ledger_topic_names[topic->name_index]);
        }
        return topic;
    }
    if (name_index == LEDGER_TOPICS) {
        return NULL;
    }
    topic = calloc(1, sizeof *topic);
    CHECK(topic != NULL);
    topic->space = space;
    topic->id = id;
    topic->name_index = name_index;
    topic->told = ++s->event;
    topic->issued_end = s->engine_options.offset_start;
    topic->trim_asked = topic->issued_end;
    for (i = 0; i < LEDGER_CURSORS; i++) {
        topic->cursors[i].most = topic->issued_end;
    }
    topic->next = space->topics;
    space->topics = topic;
    return topic;
}

struct ledger_topic *ledger_topic_live(struct ledger_space *space, unsigned name_index)
{
    struct ledger_topic *topic = space == NULL ? NULL : space->topics;

    while (topic != NULL && (topic->name_index != name_index || topic->deleted)) {
        topic = topic->next;
    }
    return topic;
}

uint32_t ledger_at(const struct ledger_topic *topic, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = topic->placed_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (topic->placed[middle]->end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* a was known to be stored before b was asked for, or the same client asked for it first. */
static bool must_precede(const struct ledger_append *a, const struct ledger_append *b)
{
    return (a->fate == FATE_TOLD && a->told < b->asked) ||
           (a->client == b->client && a->order < b->order);
}

static void check_order(struct scene *s, const struct ledger_append *append,
                        const struct ledger_topic *topic)
{
    uint32_t i;

    for (i = 0; i < topic->placed_count; i++) {
        const struct ledger_append *other = topic->placed[i];
        const bool before = other->first < append->first;

        if (other != append &&
            (before ? must_precede(append, other) : must_precede(other, append))) {
            scene_fail(s, "a topic has one order, that of requests that followed each other",
                       "topic %llu: append %llu at %llu, append %llu at %llu",
                       (unsigned long long)topic->id, (unsigned long long)append->number,
                       (unsigned long long)append->first, (unsigned long long)other->number,
                       (unsigned long long)other->first);
        }
    }
}

void ledger_place(struct scene *s, struct ledger_append *append, struct ledger_topic *topic,
                  uint64_t first)
{
    const uint32_t at = ledger_at(topic, first);

    if (append->topic != NULL) {
        if (append->topic != topic || append->first != first) {
            scene_fail(s, "an append is stored once", "append %llu: %llu/%llu and %llu/%llu",
                       (unsigned long long)append->number, (unsigned long long)append->topic->id,
                       (unsigned long long)append->first, (unsigned long long)topic->id,
                       (unsigned long long)first);
        }
        return;
    }
    append->topic = topic;
    append->first = first;
    append->end = first + append->entries;
    if ((at < topic->placed_count && topic->placed[at]->first < append->end) ||
        (append->life == s->life && first < topic->issued_end)) {
        scene_fail(s, "no offset is issued twice", "topic %llu at %llu, issued before up to %llu",
                   (unsigned long long)topic->id, (unsigned long long)first,
                   (unsigned long long)topic->issued_end);
    }
    if (topic->placed_count == topic->placed_room) {
        topic->placed_room = 2 * topic->placed_room + 16;
        topic->placed = realloc(topic->placed, topic->placed_room * sizeof(struct ledger_append *));
        CHECK(topic->placed != NULL);
    }
    memmove(topic->placed + at + 1, topic->placed + at,
            (topic->placed_count - at) * sizeof(struct ledger_append *));
    topic->placed[at] = append;
    topic->placed_count++;
    check_order(s, append, topic);
}

/* The number that begins a batch's first entry; 0: none of ours. */
static uint64_t number_of(const uint8_t *batch)
{
    struct batch_iterator it;
    struct batch_entry entry;
    uint64_t number;

    batch_entries(&it, batch);
    if (!batch_next(&it, &entry) || entry.size < sizeof number) {
        return 0;
    }
    memcpy(&number, entry.data, sizeof number);
    return number;
}

struct ledger_append *ledger_sight(struct scene *s, struct ledger_topic *topic,
                                   const uint8_t *batch, size_t size)
{
    struct batch_header header;
    const uint64_t number = number_of(batch);
    struct ledger_append *append;

    batch_header_decode(&header, batch);
    if (number == 0 || number > s->ledger.append_count) {
        scene_fail(s, "nothing is read that was not appended", "topic %llu at %llu",
                   (unsigned long long)topic->id, (unsigned long long)header.first_offset);
    }
    append = s->ledger.appends[number - 1];
    if (append->size != size || memcmp(append->bytes + BATCH_HEADER_SIZE, batch + BATCH_HEADER_SIZE,
                                       size - BATCH_HEADER_SIZE) != 0) {
        scene_fail(s, "what is read is what was appended, bit for bit", "append %llu",
                   (unsigned long long)number);
    }
    if (append->space_index != topic->space->index ||
        (append->space != NULL && append->space != topic->space) ||
        (append->topic_id != 0 ? append->topic_id != topic->id
                               : append->name_index != topic->name_index)) {
        scene_fail(s, "an entry is in the topic it was appended to", "append %llu, topic %llu",
                   (unsigned long long)number, (unsigned long long)topic->id);
    }
    if (append->fate == FATE_NEVER || append->fate == FATE_GONE) {
        scene_fail(s,
                   append->fate == FATE_GONE ? "what was lost does not come back"
                                             : "what was refused, or never sent, is not stored",
                   "append %llu", (unsigned long long)number);
    }
    if (append->time_us != 0 && append->time_us != header.time_us) {
        scene_fail(s, "an entry keeps its time", "append %llu", (unsigned long long)number);
    }
    append->space = topic->space;
    append->time_us = header.time_us;
    ledger_place(s, append, topic, header.first_offset);
    if (append->fate == FATE_OPEN) {
        append->fate = FATE_TOLD;
        append->told = ++s->event;
    }
    return append;
}

static bool behind(uint64_t epoch_a, uint64_t offset_a, uint64_t epoch_b, uint64_t offset_b)
{
    return epoch_a < epoch_b || (epoch_a == epoch_b && offset_a < offset_b);
}

bool ledger_cursor_asked(const struct scene *s, const struct ledger_topic *topic, unsigned cursor)
{
    return topic->cursors[cursor].asked ||
           (s->ledger.blind[topic->space->index][topic->name_index] & 1u << cursor) != 0;
}

void ledger_cursor_told(struct scene *s, struct ledger_topic *topic, unsigned index, uint64_t epoch,
                        uint64_t offset, bool promised, bool outlives)
{
    struct ledger_cursor *cursor = &topic->cursors[index];

    (void)s;
    cursor->asked = true;
    cursor->told = true;
    if (offset > cursor->most) {
        cursor->most = offset;
    }
    if (behind(cursor->epoch, cursor->offset, epoch, offset)) {
        cursor->epoch = epoch;
        cursor->offset = offset;
    }
    if (promised && behind(cursor->kept_epoch, cursor->kept_offset, epoch, offset)) {
        cursor->kept_epoch = epoch;
        cursor->kept_offset = offset;
    }
    if (outlives && behind(cursor->life_epoch, cursor->life_offset, epoch, offset)) {
        cursor->life_epoch = epoch;
        cursor->life_offset = offset;
    }
    if (promised && offset > topic->promised_end) {
        topic->promised_end = offset; /* A strict cursor is never ahead of the durable log */
    }
}

void ledger_cursor_delivered(struct scene *s, struct ledger_topic *topic, unsigned index,
                             const struct ledger_delivery *delivery)
{
    struct ledger_cursor *cursor = &topic->cursors[index];
    const uint64_t count = cursor->delivery_count;
    uint64_t i;

    for (i = 0; i < count && i < LEDGER_DELIVERIES; i++) {
        const struct ledger_delivery *before = &cursor->deliveries[i];

        if (before->epoch == delivery->epoch && before->from < delivery->to &&
            delivery->from < before->to) {
            scene_fail(s, "reads that consume by one cursor deliver each entry to one of them",
                       "topic %llu cursor %u epoch %llu: [%llu, %llu), and before [%llu, %llu)",
                       (unsigned long long)topic->id, index, (unsigned long long)delivery->epoch,
                       (unsigned long long)delivery->from, (unsigned long long)delivery->to,
                       (unsigned long long)before->from, (unsigned long long)before->to);
        }
    }
    cursor->deliveries[count % LEDGER_DELIVERIES] = *delivery;
    cursor->delivery_count++;
}

void ledger_ends_told(struct ledger_topic *topic, uint64_t end, uint64_t durable_end)
{
    topic->end = end > topic->end ? end : topic->end;
    topic->durable_end = durable_end > topic->durable_end ? durable_end : topic->durable_end;
    if (durable_end > topic->promised_end) {
        topic->promised_end = durable_end;
    }
}
