/* Cursors: where consumers stand, when that is recorded, and the requests that move it.
 *
 * A checkpoint moves a cursor forward and is recorded as the consistency says; a seek moves it
 * anywhere, counts its epoch up, so that checkpoints of before it are refused, and is recorded
 * always. A position by time is looked up by a read of one entry. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/command.h"
#include "core/namespace.h"
#include "core/probe.h"

/* ---- positions and their records ---- */

static struct format_record cursor_record(const struct cursor *cursor, uint16_t type)
{
    struct format_record record = {
        .type = type, .name = cursor->name, .name_size = cursor->name_size};

    CHECK(type >= RECORD_CURSOR_CREATE);
    CHECK(type <= RECORD_CURSOR_DELETE);
    CHECK(cursor->name_size <= FORMAT_NAME_SIZE_MAX);
    record.field[CURSOR_TOPIC] = cursor->topic->id;
    record.field[CURSOR_ID] = cursor->id;
    record.field[CURSOR_OFFSET] = cursor->offset;
    record.field[CURSOR_EPOCH] = cursor->epoch;
    return record;
}

/* Put the cursor's position into the journal. */
static void record_cursor(struct cursor *cursor, uint16_t type)
{
    struct namespace *ns = cursor->topic->ns;
    const struct format_record record = cursor_record(cursor, type);

    CHECK(type != RECORD_CURSOR_DELETE);
    CHECK(!cursor->topic->deleted);
    cursor->recorded_offset = cursor->offset;
    link_remove(&cursor->unrecorded);
    flusher_cursor(&ns->flusher, cursor);
    cursor->ticket = journal_record(&ns->journal, &record);
    PROBE6(cursor_save, ns->name, &cursor->topic->name[0], cursor->topic->name_size,
           &cursor->name[0], cursor->name_size, cursor->offset);
    CHECK(cursor->ticket > ns->journal.written);
}

struct cursor *cursor_get(struct topic *topic, const char *name, size_t size, bool create,
                          uint64_t offset, struct error *err)
{
    struct namespace *ns = topic->ns;
    const uint64_t quota = ns->settings.quota_cursors;
    struct cursor *cursor = topic_cursor_find(topic, name, size);

    CHECK(err != NULL);
    CHECK(name != NULL || size == 0);
    CHECK(!topic->deleted);
    if (cursor != NULL) {
        return cursor;
    }
    if (!create) {
        (void)error_set(err, TUSK_ENOTFOUND, "topic \"%.*s\" has no cursor \"%.*s\"",
                        (int)topic->name_size, topic->name, (int)size, name);
        return NULL;
    }
    if (size > ENGINE_NAME_SIZE_MAX) {
        (void)error_set(err, TUSK_EINVALID, "a cursor's name has at most %u bytes, not %zu",
                        ENGINE_NAME_SIZE_MAX, size);
        return NULL;
    }
    if (topic->cursor_count >= ns->options->cursors_max ||
        (quota > 0 && ns->cursor_count >= quota)) {
        const bool over = quota > 0 && ns->cursor_count >= quota;

        (void)error_set(err, over ? TUSK_EQUOTA : TUSK_EBUSY,
                        over ? "the namespace has %u cursors, and a quota of %llu: delete some, or "
                               "raise quota-cursors (tusk ns set)"
                             : "the topic has %u cursors, and cursors_max is %llu",
                        over ? ns->cursor_count : topic->cursor_count,
                        (unsigned long long)(over ? quota : ns->options->cursors_max));
        return NULL;
    }
    manifest_touch(topic);
    cursor = topic_cursor_add(topic, topic->next_cursor_id, name, size, offset, 1);
    if (cursor == NULL) {
        (void)error_set(err, TUSK_ENOMEM, "create a cursor");
        return NULL;
    }
    CHECK(cursor->topic == topic);
    ns->cursor_count++;
    record_cursor(cursor, RECORD_CURSOR_CREATE);
    return cursor;
}

/* What a reply must wait for: strict means durable. At-least-once means that the records, without
 * which more would be forgotten than it says, are written: a read that a sync has woken records
 * behind the last write of its turn. (The durable offset does not tell: a seek may have been there
 * before.) */
static uint64_t cursor_ticket(const struct cursor *cursor)
{
    const struct namespace *ns = cursor->topic->ns;
    const uint64_t safe = ns->settings.consistency == 0 ? ns->flusher.durable : ns->journal.written;

    return cursor->ticket > safe ? cursor->ticket : 0;
}

void cursor_answer(struct namespace *ns, struct engine_request *request, uint64_t ticket)
{
    if (ticket == 0) {
        request_finish(ns, request);
    } else if (ns->settings.consistency == 0) {
        request_when_durable(ns, request, ticket);
    } else {
        request_when_written(ns, request, ticket);
    }
}

uint64_t cursor_move(struct cursor *cursor, uint64_t offset)
{
    struct namespace *ns = cursor->topic->ns;
    const uint64_t every = ns->settings.consistency;

    CHECK(!cursor->topic->deleted);
    CHECK(cursor->recorded_offset <= cursor->offset);
    CHECK(offset >= cursor->offset);
    if (offset > cursor->offset) {
        manifest_touch(cursor->topic);
        cursor->offset = offset;
        ns->counters.checkpoints++;
    }
    if (cursor->offset == cursor->recorded_offset) {
        return cursor_ticket(cursor); /* Nothing new; but the record may not be safe yet */
    }
    /* Offsets may have gaps, so this counts at least as many entries as were consumed. */
    if (every == 0 || cursor->offset - cursor->recorded_offset >= every) {
        record_cursor(cursor, RECORD_CURSOR_CHECKPOINT);
        return cursor_ticket(cursor);
    }
    if (!link_linked(&cursor->unrecorded)) {
        cursor->unrecorded_since_us = ns->now.mono_us;
        list_append(&ns->unrecorded_cursors, &cursor->unrecorded);
    }
    return cursor_ticket(cursor); /* Of the record before: what is forgotten counts from there */
}

void cursor_work(struct namespace *ns)
{
    struct link *link;

    CHECK(ns->state == ENGINE_SERVING);
    while ((link = list_first(&ns->unrecorded_cursors)) != NULL) {
        struct cursor *cursor = link_owner(link, struct cursor, unrecorded);

        CHECK(cursor->topic->ns == ns);
        if (ns->now.mono_us < cursor->unrecorded_since_us + NAMESPACE_CURSOR_RECORD_US ||
            journal_admits(&ns->journal, FORMAT_RECORD_ALIGN, JOURNAL_LAST) != 1) {
            return;
        }
        record_cursor(cursor, RECORD_CURSOR_CHECKPOINT);
    }
}

void cursor_record_all(struct namespace *ns)
{
    struct link *link;

    CHECK(ns->stopping);
    while ((link = list_first(&ns->unrecorded_cursors)) != NULL &&
           journal_admits(&ns->journal, FORMAT_RECORD_ALIGN, JOURNAL_LAST) == 1) {
        record_cursor(link_owner(link, struct cursor, unrecorded), RECORD_CURSOR_CHECKPOINT);
    }
}

uint64_t cursor_deadline(const struct namespace *ns)
{
    const struct link *first = ns->unrecorded_cursors.next;

    CHECK(ns->state == ENGINE_SERVING);
    /* Whatever makes room in the journal has a deadline of its own, or ends in a turn. */
    if (first == &ns->unrecorded_cursors ||
        journal_admits(&ns->journal, FORMAT_RECORD_ALIGN, JOURNAL_LAST) != 1) {
        return UINT64_MAX;
    }
    return link_owner(first, struct cursor, unrecorded)->unrecorded_since_us +
           NAMESPACE_CURSOR_RECORD_US;
}

/* ---- requests ---- */

void cursor_checkpoint(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    const uint64_t end = topic_visible_end(topic);
    struct cursor *cursor = topic_cursor_find(topic, command->cursor, command->cursor_size);
    struct error err;
    uint64_t ticket;

    CHECK(command->kind == ENGINE_CHECKPOINT);
    CHECK(topic->ns == ns);
    CHECK(command->cursor != NULL || command->cursor_size == 0);
    if (command->offset > end) {
        request_fail(ns, &command->base, TUSK_EINVALID,
                     "checkpoint at offset %llu lies beyond the end of the topic, %llu",
                     (unsigned long long)command->offset, (unsigned long long)end);
        return;
    }
    if (cursor != NULL && command->epoch != 0 && command->epoch != cursor->epoch) {
        command->base.detail_a = cursor->offset;
        command->base.detail_b = cursor->epoch;
        request_fail(ns, &command->base, TUSK_ESTALE,
                     "the cursor was moved by a seek (epoch %llu, not %llu): read from it again",
                     (unsigned long long)cursor->epoch, (unsigned long long)command->epoch);
        return;
    }
    if (cursor == NULL) {
        cursor = cursor_get(topic, command->cursor, command->cursor_size, !command->no_create,
                            topic->first, &err);
        if (cursor == NULL) {
            command_error(ns, command, &err);
            return;
        }
    }
    ticket =
        cursor_move(cursor, command->offset > cursor->offset ? command->offset : cursor->offset);
    command->offset = cursor->offset;
    command->epoch = cursor->epoch;
    cursor_answer(ns, &command->base, ticket);
}

/* SEEK and CURSOR_CREATE, once the offset is known. */
static void run_position(struct namespace *ns, struct engine_command *command, struct topic *topic,
                         uint64_t offset)
{
    const uint64_t end = topic_visible_end(topic);
    struct cursor *cursor = topic_cursor_find(topic, command->cursor, command->cursor_size);
    struct error err;

    CHECK(command->kind == ENGINE_SEEK || command->kind == ENGINE_CURSOR_CREATE);
    CHECK(topic->ns == ns);
    CHECK(topic->first <= end);
    if (command->kind == ENGINE_CURSOR_CREATE && cursor != NULL) {
        request_fail(ns, &command->base, TUSK_EEXISTS, "the cursor exists already");
        return;
    }
    if (offset > end || offset < topic->first) {
        request_fail(ns, &command->base, offset > end ? TUSK_EINVALID : TUSK_ETRIMMED,
                     "offset %llu is not between the first entry kept, %llu, and the end, %llu",
                     (unsigned long long)offset, (unsigned long long)topic->first,
                     (unsigned long long)end);
        command->base.detail_a = topic->first;
        return;
    }
    if (cursor == NULL) {
        cursor = cursor_get(topic, command->cursor, command->cursor_size, true, offset, &err);
        if (cursor == NULL) {
            command_error(ns, command, &err);
            return;
        }
    } else {
        manifest_touch(topic);
        cursor->offset = offset;
        cursor->epoch++;
        record_cursor(cursor, RECORD_CURSOR_SEEK);
    }
    command->offset = cursor->offset;
    command->epoch = cursor->epoch;
    request_when_durable(ns, &command->base, ns->journal.next_lsn - 1);
}

/* A position by time needs a look into blocks: a read of one entry finds it. */
struct time_lookup {
    struct engine_read read;
    struct engine_command *command;
    uint8_t *buffer;
};

static uint8_t *lookup_room(struct engine_read *read, size_t used, size_t size)
{
    struct time_lookup *lookup = (struct time_lookup *)(void *)read;
    uint8_t *buffer = realloc(lookup->buffer, size);

    CHECK(size > 0);
    CHECK(used <= size);
    CHECK(lookup->command != NULL);
    (void)used;
    if (buffer != NULL) {
        lookup->buffer = buffer;
    }
    return buffer;
}

static void lookup_done(struct engine_request *request)
{
    struct time_lookup *lookup = (struct time_lookup *)(void *)request;
    struct engine_command *command = lookup->command;
    struct namespace *ns = command->base.ns;
    const struct engine_topic_ref by_id = {.id = lookup->read.topic_id};
    struct topic *topic = namespace_topic(ns, &by_id);
    const int status = request->status;
    /* Where the end was when nothing was found: entries may have come since, and are not passed. A
     * trim since is passed. */
    uint64_t offset = status == TUSK_EEND ? request->detail_a : lookup->read.from;

    CHECK(command->state == lookup);
    CHECK(status <= 0);
    CHECK(topic == NULL || topic->id == lookup->read.topic_id);
    command->state = NULL;
    if (namespace_broken(ns) || ns->stopping) {
        /* A record now would come behind the clean close. */
        request_fail(ns, &command->base, ns->stopping ? TUSK_ECLOSED : TUSK_EIO,
                     "namespace \"%s\": %s", ns->name,
                     ns->stopping ? "the daemon is stopping" : ns->reason);
    } else if (topic == NULL) {
        request_fail(ns, &command->base, TUSK_ENOTFOUND, "the topic was deleted");
    } else if (status == 0 || status == TUSK_EEND) {
        offset = offset < topic->first ? topic->first : offset;
        run_position(ns, command, topic, offset);
    } else {
        request_fail(ns, &command->base, status, "%s", request->error.text);
    }
    free(lookup->buffer);
    free(lookup);
}

static void find_time(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    struct time_lookup *lookup = calloc(1, sizeof *lookup);

    CHECK(command->cursor_size <= sizeof command->kept_cursor);
    CHECK(command->state == NULL);
    CHECK(!topic->deleted);
    if (lookup == NULL) {
        request_fail(ns, &command->base, TUSK_ENOMEM, "look up a time");
        return;
    }
    lookup->command = command;
    lookup->read.base.done = lookup_done;
    lookup->read.topic.id = topic->id;
    lookup->read.topic_id = topic->id;
    lookup->read.position = ENGINE_AT_TIME;
    lookup->read.value = command->value;
    lookup->read.max_bytes = 1;
    lookup->read.max_entries = 1;
    lookup->read.held = UINT64_MAX;
    lookup->read.room = lookup_room;
    command->state = lookup;
    /* What the command points at is borrowed only during this call. */
    command->cursor = memcpy(command->kept_cursor, command->cursor, command->cursor_size);
    engine_read(ns, &lookup->read);
}

void cursor_seek(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    CHECK(command->kind == ENGINE_SEEK || command->kind == ENGINE_CURSOR_CREATE);
    CHECK(topic->ns == ns);
    if (command->cursor_size > ENGINE_NAME_SIZE_MAX) {
        request_fail(ns, &command->base, TUSK_EINVALID, "a cursor's name has at most %u bytes",
                     ENGINE_NAME_SIZE_MAX);
        return;
    }
    switch (command->position) {
    case ENGINE_AT_OFFSET:
        run_position(ns, command, topic, command->value);
        break;
    case ENGINE_AT_EARLIEST:
        run_position(ns, command, topic, topic->first);
        break;
    case ENGINE_AT_LATEST:
        run_position(ns, command, topic, topic_visible_end(topic));
        break;
    case ENGINE_AT_TIME:
        find_time(ns, command, topic);
        break;
    case ENGINE_AT_CURSOR:
    default:
        request_fail(ns, &command->base, TUSK_EINVALID, "not a position to seek to");
        break;
    }
}

void cursor_delete(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    struct error err;
    struct cursor *cursor =
        cursor_get(topic, command->cursor, command->cursor_size, false, 0, &err);
    struct format_record record;

    CHECK(command->kind == ENGINE_CURSOR_DELETE);
    CHECK(topic->ns == ns);
    if (cursor == NULL) {
        command_error(ns, command, &err);
        return;
    }
    manifest_touch(topic);
    record = cursor_record(cursor, RECORD_CURSOR_DELETE);
    request_when_durable(ns, &command->base, journal_record(&ns->journal, &record));
    CHECK(ns->cursor_count > 0);
    topic_cursor_remove(topic, cursor);
    ns->cursor_count--;
}
