/* Requests that change tables: one record each, answered when it is durable. Here: taking them, and
 * what changes topics and the namespace; cursors are cursor.c's. */
#include "core/command.h"

#include "core/check.h"
#include "core/namespace.h"
#include "core/tail.h"

/* ---- trims and deletes ---- */

#define FREE_SIZE 64u /* At most, of a free record's body */

static uint64_t free_block(struct topic *topic, const struct block *block)
{
    struct namespace *ns = topic->ns;
    struct format_record record = {.type = RECORD_BLOCK_FREE};
    uint64_t ticket;

    CHECK(block->index < ns->blocks_per_segment);
    CHECK(!topic->deleted);
    record.field[BLOCK_SEGMENT] = block->segment_number;
    record.field[BLOCK_INDEX] = block->index;
    record.field[BLOCK_GENERATION] = block->generation;
    ticket = journal_record(&ns->journal, &record);
    if (block->segment != NULL) {
        space_free(&ns->space, block->segment, block->index, ticket);
    }
    return ticket;
}

uint64_t topic_trim_to(struct topic *topic, uint64_t first)
{
    struct namespace *ns = topic->ns;
    struct format_record record = {.type = RECORD_TRIM};
    uint32_t whole = 0;
    uint64_t ticket;
    uint32_t i;

    CHECK(!topic->deleted);
    CHECK(topic->tail_bytes == 0 || topic->block_count > 0);
    CHECK(first >= topic->first);
    CHECK(first <= topic->next_offset);
    manifest_touch(topic);
    topic->first = first;
    record.field[TRIM_TOPIC] = topic->id;
    record.field[TRIM_FIRST] = first;
    ticket = journal_record(&ns->journal, &record);
    topic->trim_ticket = ticket;
    /* The active block stays: its end is where the topic goes on. */
    while (whole + 1 < topic->block_count && topic->blocks[whole].end_offset <= first) {
        whole++;
    }
    /* What finds no room in the journal now goes later (retention.c), or with the next trim. */
    for (i = 0; i < whole && journal_admits(&ns->journal, FREE_SIZE, JOURNAL_RESERVE_FREES) == 1;
         i++) {
        ticket = free_block(topic, &topic->blocks[i]);
    }
    topic_drop_blocks(topic, i);
    return ticket;
}

static uint64_t delete_topic(struct topic *topic)
{
    struct namespace *ns = topic->ns;
    struct format_record record = {.type = RECORD_TOPIC_DELETE};
    uint64_t ticket;
    uint32_t i;

    CHECK(!topic->deleted);
    CHECK(ns->cursor_count >= topic->cursor_count);
    manifest_touch(topic);
    /* Its bytes leave memory before their journal records can be forgotten. */
    (void)tail_apply(topic);
    append_fail_waiting(topic, TUSK_ENOTFOUND, "the topic was deleted");
    read_fail_topic(topic);
    CHECK(topic->waiting == NULL);
    CHECK(list_empty(&topic->readers));
    /* The name goes first: a crash in between leaves blocks without an owner, which recovery
     * finds free, never a topic without its blocks. */
    record.field[TOPIC_ID] = topic->id;
    ticket = journal_record(&ns->journal, &record);
    for (i = 0; i < topic->block_count; i++) {
        const struct block *block = &topic->blocks[i];

        if (journal_admits(&ns->journal, FREE_SIZE, JOURNAL_RESERVE_FREES) == 1) {
            ticket = free_block(topic, block);
        } else if (block->segment != NULL) {
            /* The delete says it, too */
            space_free(&ns->space, block->segment, block->index, ticket);
        }
    }
    if (topic->next_segment != NULL) {
        space_return(&ns->space, topic->next_segment, topic->next_index);
        topic->next_segment = NULL;
    }
    for (i = 0; i < topic->cursor_count; i++) {
        link_remove(&topic->cursors[i]->unrecorded); /* No record of it may follow the delete */
    }
    ns->cursor_count -= topic->cursor_count;
    namespace_remove_topic(ns, topic);
    topic->deleted = true;
    topic->dead_ticket = ticket;
    topic->next_dead = ns->graveyard;
    ns->graveyard = topic;
    return ticket;
}

/* ---- commands ---- */

void command_error(struct namespace *ns, struct engine_command *command, const struct error *err)
{
    CHECK(err->code < 0);
    CHECK(command->base.ns == ns);
    request_fail(ns, &command->base, err->code, "%s", err->text);
}

static struct topic *command_topic(struct namespace *ns, struct engine_command *command)
{
    struct topic *topic = namespace_topic(ns, &command->topic);

    CHECK(command->base.ns == ns);
    if (topic == NULL) {
        request_fail(ns, &command->base, TUSK_ENOTFOUND, "no such topic in namespace \"%s\"",
                     ns->name);
    } else {
        command->topic_id = topic->id;
    }
    return topic;
}

static void run_topic_create(struct namespace *ns, struct engine_command *command)
{
    struct engine_settings settings = {.retention = {.kind = ENGINE_RETAIN_INHERIT}};
    struct topic *topic;
    struct error err;
    uint64_t ticket;

    CHECK(command->kind == ENGINE_TOPIC_CREATE);
    if (command->topic.id != 0) {
        request_fail(ns, &command->base, TUSK_EINVALID, "a new topic is named, not numbered");
        return;
    }
    if (settings_apply(&settings, true, command->settings, command->settings_count, &err) != 0) {
        command_error(ns, command, &err);
        return;
    }
    if (namespace_topic(ns, &command->topic) != NULL) {
        request_fail(ns, &command->base, TUSK_EEXISTS, "topic \"%.*s\" exists already",
                     (int)command->topic.name_size, command->topic.name);
        return;
    }
    topic = append_create_topic(ns, command->topic.name, command->topic.name_size,
                                &settings.retention, &ticket, &err);
    if (topic == NULL) {
        command_error(ns, command, &err);
        return;
    }
    command->topic_id = topic->id;
    request_when_durable(ns, &command->base, ticket);
}

static void run_topic_set(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    struct engine_settings settings = {.retention = topic->retention};
    struct format_record record = {.type = RECORD_TOPIC_SET};
    struct error err;

    CHECK(command->kind == ENGINE_TOPIC_SET);
    CHECK(topic->ns == ns);
    if (settings_apply(&settings, true, command->settings, command->settings_count, &err) != 0) {
        command_error(ns, command, &err);
        return;
    }
    manifest_touch(topic);
    topic->retention = settings.retention;
    record.field[TOPIC_ID] = topic->id;
    record.field[TOPIC_RETENTION] = settings.retention.kind;
    record.field[TOPIC_AGE] = settings.retention.age_ms;
    record.field[TOPIC_BYTES] = settings.retention.bytes;
    request_when_durable(ns, &command->base, journal_record(&ns->journal, &record));
}

static void run_trim(struct namespace *ns, struct engine_command *command, struct topic *topic)
{
    const uint64_t end = topic_visible_end(topic);
    uint64_t ticket;

    CHECK(command->kind == ENGINE_TOPIC_TRIM);
    CHECK(topic->ns == ns);
    CHECK(topic->first <= end);
    if (command->offset > end) {
        request_fail(ns, &command->base, TUSK_EINVALID,
                     "trim to offset %llu lies beyond the end of the topic, %llu",
                     (unsigned long long)command->offset, (unsigned long long)end);
        return;
    }
    if (command->offset <= topic->first) {
        command->offset = topic->first;
        if (topic->trim_ticket > ns->flusher.durable) {
            request_when_durable(ns, &command->base, topic->trim_ticket);
        } else {
            request_finish(ns, &command->base);
        }
        return;
    }
    ticket = topic_trim_to(topic, command->offset);
    request_when_durable(ns, &command->base, ticket);
}

static void run_namespace_set(struct namespace *ns, struct engine_command *command)
{
    struct engine_settings settings = ns->settings;
    struct format_record record = {.type = RECORD_NAMESPACE_SET};
    struct topic *topic;
    struct topic *next;
    struct error err;

    CHECK(command->kind == ENGINE_NAMESPACE_SET);
    CHECK(command->base.ns == ns);
    if (settings_apply(&settings, false, command->settings, command->settings_count, &err) != 0) {
        command_error(ns, command, &err);
        return;
    }
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        topic->shown_end = topic_visible_end(topic); /* Ends never go back */
        if (ns->settings.fsync_ms != ENGINE_FSYNC_EACH) {
            /* What is staged already is acknowledged when written, and is there to be read then. */
            topic->shown_pending = topic->next_offset;
        }
    }
    ns->settings = settings;
    ns->retry_stalled = true; /* The quota may be another one */
    record.flags = (uint8_t)settings.quota_policy;
    record.field[0] = settings.retention.kind;
    record.field[1] = settings.retention.age_ms;
    record.field[2] = settings.retention.bytes;
    record.field[3] = settings.fsync_ms;
    record.field[4] = settings.consistency;
    record.field[5] = settings.quota_bytes;
    record.field[6] = settings.quota_topics;
    record.field[7] = settings.quota_cursors;
    request_when_durable(ns, &command->base, journal_record(&ns->journal, &record));
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        if (topic_visible_end(topic) > topic->shown_end) {
            read_wake(topic); /* What is written can be read now, durable or not */
        }
    }
}

static void run_on_topic(struct namespace *ns, struct engine_command *command)
{
    struct topic *topic = command_topic(ns, command);

    CHECK(command->kind != ENGINE_SYNC);
    CHECK(command->kind != ENGINE_NAMESPACE_SET);
    CHECK(topic == NULL || topic->ns == ns);
    if (topic == NULL) {
        return;
    }
    switch (command->kind) {
    case ENGINE_CHECKPOINT:
        cursor_checkpoint(ns, command, topic);
        break;
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
        cursor_seek(ns, command, topic);
        break;
    case ENGINE_CURSOR_DELETE:
        cursor_delete(ns, command, topic);
        break;
    case ENGINE_TOPIC_SET:
        run_topic_set(ns, command, topic);
        break;
    case ENGINE_TOPIC_DELETE:
        request_when_durable(ns, &command->base, delete_topic(topic));
        break;
    case ENGINE_TOPIC_TRIM:
        run_trim(ns, command, topic);
        break;
    case ENGINE_TOPIC_CREATE:
    case ENGINE_NAMESPACE_SET:
    case ENGINE_SYNC:
    default:
        UNREACHABLE("not a command on a topic");
    }
}

/* Everything put so far; an open record ends behind next_lsn. */
static void sync_staged(struct namespace *ns, struct engine_command *command)
{
    CHECK(command->kind == ENGINE_SYNC);
    CHECK(command->awaited == 0);
    CHECK(ns->flusher.durable <= ns->journal.next_lsn);
    if (ns->journal.next_lsn == ns->flusher.durable && !ns->journal.open) {
        request_finish(ns, &command->base);
    } else {
        request_when_durable(ns, &command->base, ns->journal.next_lsn + (ns->journal.open ? 1 : 0));
    }
}

static void run_sync(struct namespace *ns, struct engine_command *command)
{
    CHECK(command->kind == ENGINE_SYNC);
    CHECK(ns->waiting_appends <= ns->waited_appends);
    command->behind = ns->waited_appends;
    command->awaited = ns->waiting_appends;
    if (command->awaited == 0) {
        sync_staged(ns, command);
    } else {
        queue_push(&ns->sync_queue, &command->base);
    }
}

void sync_append_settled(struct namespace *ns, uint64_t waiting)
{
    struct request_queue left = {0};
    struct engine_request *request;

    CHECK(waiting > 0);
    CHECK(waiting <= ns->waited_appends);
    while ((request = queue_pop(&ns->sync_queue)) != NULL) {
        struct engine_command *command = (struct engine_command *)(void *)request;

        CHECK(command->awaited > 0);
        command->awaited -= waiting <= command->behind ? 1u : 0u;
        if (command->awaited == 0) {
            sync_staged(ns, command);
        } else {
            queue_push(&left, request);
        }
    }
    ns->sync_queue = left;
}

void engine_command(struct namespace *ns, struct engine_command *command)
{
    int admits;

    CHECK(command->base.done != NULL);
    CHECK(command->settings != NULL || command->settings_count == 0);
    ns->requests++;
    command->base.ns = ns;
    command->base.kind = REQUEST_COMMAND;
    command->base.status = 0;
    command->base.detail_a = 0;
    command->base.detail_b = 0;
    command->base.staged_us = 0;
    command->base.next = NULL;
    command->topic_id = 0;
    command->state = NULL;
    if (namespace_broken(ns) || ns->stopping) {
        request_fail(ns, &command->base, ns->stopping ? TUSK_ECLOSED : TUSK_EIO,
                     "namespace \"%s\": %s", ns->name,
                     ns->stopping ? "the daemon is stopping" : ns->reason);
        return;
    }
    if (command->kind == ENGINE_SYNC) {
        run_sync(ns, command);
        return;
    }
    admits = journal_admits(&ns->journal, 1024, JOURNAL_LAST);
    if (admits != 1) {
        request_fail(ns, &command->base, admits == 0 ? TUSK_EBUSY : admits,
                     "namespace \"%s\" has no journal space for this now", ns->name);
        return;
    }
    if (command->kind == ENGINE_TOPIC_CREATE) {
        run_topic_create(ns, command);
    } else if (command->kind == ENGINE_NAMESPACE_SET) {
        run_namespace_set(ns, command);
    } else {
        run_on_topic(ns, command);
    }
}
