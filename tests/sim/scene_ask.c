/* What clients ask for: requests of every type, and with each what may be answered. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

#define ENTRIES_MAX 24u

static const uint64_t SCHEDULES[] = {ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE, 1, 20};

/* ---- what requests are about ---- */

/* Remember what has been told of the topic; the answer may not say less. */
static void note_topic(struct client *c, struct call *call)
{
    const struct ledger_topic *topic = call->topic;

    call->space = c->space;
    if (topic == NULL) {
        call->may |= MAY(-TUSK_ENOTFOUND);
        return;
    }
    call->end = topic->end;
    call->durable_end = topic->durable_end;
    call->first = topic->first;
}

static struct message_topic choose_topic(struct client *c, struct call *call)
{
    struct scene *s = c->scene;
    struct message_topic topic = {.id = 0};

    if (s->taste.same_percent == 0 || !scene_chance(s, s->taste.same_percent)) {
        c->last_name = (unsigned)scene_below(s, s->taste.topics);
    }
    call->name_index = c->last_name;
    call->topic = ledger_topic_live(c->space, call->name_index);
    if (call->topic != NULL && scene_chance(s, 40)) {
        topic.id = call->topic->id;
    } else {
        topic.name = ask_name(ledger_topic_names[call->name_index]);
    }
    note_topic(c, call);
    return topic;
}

/* For what nobody could judge if it met another topic than the one that is known. */
static struct message_topic by_id(const struct call *call)
{
    return (struct message_topic){.id = call->topic == NULL ? NEVER : call->topic->id};
}

static struct message_name choose_cursor(struct client *c, struct call *call)
{
    call->cursor = (unsigned)scene_below(c->scene, LEDGER_CURSORS);
    if (call->topic == NULL || call->topic->delete_asked) {
        c->scene->ledger.blind[c->space_index][call->name_index] |= 1u << call->cursor;
    }
    if (call->topic != NULL) {
        call->epoch = call->topic->cursors[call->cursor].epoch;
        call->offset = call->topic->cursors[call->cursor].offset;
    }
    return ask_name(ledger_cursor_names[call->cursor]);
}

static uint64_t some_offset(struct scene *s, const struct ledger_topic *topic)
{
    const uint64_t low = topic->first > s->engine_options.offset_start
                             ? topic->first
                             : s->engine_options.offset_start;
    const uint64_t end = topic->end > low ? topic->end : low;

    switch (scene_below(s, 10)) {
    case 0:
        return end + scene_below(s, 4);
    case 1:
        return low > 3 ? low - scene_below(s, 4) : low;
    case 2:
    case 3:
        return end;
    default:
        return low + scene_below(s, end - low + 1);
    }
}

static struct message_position choose_position(struct client *c, struct call *call, uint16_t most)
{
    struct scene *s = c->scene;
    struct message_position position = {.kind = (uint16_t)random_between(&s->random, 1, most)};

    if (position.kind == POSITION_OFFSET) {
        position.value =
            call->topic != NULL ? some_offset(s, call->topic) : s->engine_options.offset_start;
        call->may |= MAY(-TUSK_ETRIMMED);
        call->may |= position.value > call->end ? MAY(-TUSK_EINVALID) : 0;
    } else if (position.kind == POSITION_TIME) {
        position.value = scene_wall_us(s) - scene_below(s, 100000);
        call->may |= MAY(-TUSK_ETRIMMED);
    }
    return position;
}

/* ---- APPEND ---- */

static uint32_t entry_size(struct scene *s)
{
    if (scene_chance(s, s->taste.big_percent)) {
        return (uint32_t)random_between(&s->random, 1000, 30000);
    }
    return (uint32_t)scene_below(s, s->taste.entry_max + 1u);
}

/* A batch whose first entry begins with the append's number, of at most ASK_BATCH_MAX. Returns the size of its largest entry. */
static uint32_t make_batch(struct scene *s, struct ledger_append *append, size_t payload_max)
{
    static uint8_t payload[ASK_BATCH_MAX];
    struct batch_entry entries[ENTRIES_MAX];
    const uint32_t count = 1 + (uint32_t)scene_below(s, scene_chance(s, 10) ? ENTRIES_MAX : 4);
    uint32_t largest = 0;
    size_t used = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint32_t size = entry_size(s) + (i == 0 ? (uint32_t)sizeof append->number : 0);

        size = size > payload_max - used ? (uint32_t)(payload_max - used) : size;
        entries[i] = (struct batch_entry){.data = payload + used, .size = size};
        largest = size > largest ? size : largest;
        used += size;
    }
    random_fill(&s->random, payload, used);
    memcpy(payload, &append->number, sizeof append->number);
    append->entries = count;
    append->size = batch_encoded_size(count, used);
    append->bytes = malloc(append->size);
    CHECK(append->bytes != NULL);
    batch_encode(append->bytes, entries, count);
    return largest;
}

static void ask_append(struct client *c)
{
    struct scene *s = c->scene;
    struct call *call = client_call(c, MESSAGE_APPEND);
    struct ledger_append *append = ledger_append_new(&s->ledger);
    struct message message = {.type = MESSAGE_APPEND};
    uint32_t largest;

    call->may = MAY_OK | MAY(-TUSK_EBUSY);
    message.u.append.topic = choose_topic(c, call);
    message.u.append.flags = scene_chance(s, s->taste.durable_percent) ? APPEND_DURABLE : 0;
    message.u.append.flags |= scene_chance(s, 4) ? APPEND_NO_CREATE : 0;
    /* Before HELLO is answered nobody knows the limit, but that it cannot be smaller than this. */
    largest = make_batch(s, append, c->greeted ? ASK_BATCH_MAX : 15000);
    message.u.append.batch_size = (uint32_t)append->size;
    append->client = c->number;
    append->order = call->order;
    append->space_index = c->space_index;
    append->space = c->space;
    append->name_index = call->name_index;
    append->topic_id = message.u.append.topic.id;
    append->asked = call->asked;
    append->life = s->life;
    call->append = append;
    call->creates = append->topic_id == 0 && (message.u.append.flags & APPEND_NO_CREATE) == 0 &&
                    s->config.options.create_topics;
    if (call->creates) {
        call->may &= ~MAY(-TUSK_ENOTFOUND);
    }
    if (!c->greeted) {
        call->may |= MAY(-TUSK_ETOOBIG);
    } else if (append->size - BATCH_HEADER_SIZE > c->hello.batch_size_max ||
               largest > c->hello.entry_size_max) {
        call->may = MAY(-TUSK_ETOOBIG) | MAY(-TUSK_ENOTFOUND) | MAY(-TUSK_EBUSY);
    }
    if (scene_chance(s, 1)) {
        append->bytes[BATCH_HEADER_SIZE + scene_below(s, append->size - BATCH_HEADER_SIZE)] ^= 1;
        call->may = MAY(-TUSK_ECORRUPT) | MAY(-TUSK_EINVALID) | MAY(-TUSK_ETOOBIG) |
                    MAY(-TUSK_ENOTFOUND) | MAY(-TUSK_EBUSY);
    }
    ask_send(c, call, &message, append->bytes, append->size);
}

/* ---- READ ---- */

/* From the first entry kept, or from where the last read ended: as much as there is, mapped. */
static void drain(struct client *c, struct call *call, struct message_read *read)
{
    struct scene *s = c->scene;
    const uint64_t start = s->engine_options.offset_start;
    uint64_t from = call->first > start ? call->first : start;

    if (c->drained == call->topic && c->drained_to >= from && c->drained_to < call->end &&
        scene_chance(s, 70)) {
        from = c->drained_to;
    }
    read->position = (struct message_position){.kind = POSITION_OFFSET, .value = from};
    read->flags = READ_UNCHECKED | READ_MAPPED;
    read->max_bytes = scene_chance(s, 70) ? 1u << 20 : 1u << scene_below(s, 20);
    read->max_entries = UINT32_MAX;
    call->may |= MAY(-TUSK_ETRIMMED) | (from > call->end ? MAY(-TUSK_EINVALID) : 0);
}

static void ask_read(struct client *c)
{
    struct scene *s = c->scene;
    struct call *call = client_call(c, MESSAGE_READ);
    struct message message = {.type = MESSAGE_READ};
    struct message_read *read = &message.u.read;

    call->may = MAY_OK | MAY(-TUSK_EEND) | MAY(-TUSK_ETOOBIG) | MAY(-TUSK_ETRIMMED);
    read->topic = choose_topic(c, call);
    read->held = MESSAGE_HELD_NONE;
    if (c->maps && call->topic != NULL && scene_chance(s, 70)) {
        drain(c, call, read);
        ask_send(c, call, &message, NULL, 0);
        return;
    }
    read->position = choose_position(c, call, POSITION_CURSOR);
    if (read->position.kind == POSITION_CURSOR) {
        read->cursor = choose_cursor(c, call);
        read->flags = scene_chance(s, 40) ? READ_CONSUME : 0;
        call->may |= read->flags != 0 ? MAY(-TUSK_EBUSY) | MAY(-TUSK_ESTALE) : 0;
        if (call->topic != NULL && read->flags != 0) {
            call->topic->cursors[call->cursor].asked = true;
        }
    }
    if ((read->flags & READ_CONSUME) == 0 && scene_chance(s, c->maps ? 80 : 40)) {
        read->flags |=
            scene_chance(s, c->maps ? 10 : 50) ? READ_UNCHECKED : READ_UNCHECKED | READ_MAPPED;
    }
    read->max_bytes = 1u << scene_below(s, 20);
    read->max_entries = 1 + (uint32_t)scene_below(s, UINT64_C(1) << scene_below(s, 12));
    if ((read->flags & READ_UNCHECKED) != 0 && scene_chance(s, 60)) { /* As a drain asks */
        read->max_bytes = 1u << 20;
        read->max_entries = UINT32_MAX;
    }
    read->wait_ms =
        scene_chance(s, 30) ? (uint32_t)scene_below(s, UINT64_C(1) << scene_below(s, 13)) : 0;
    if (call->topic != NULL && call->topic->placed_count > 0 && scene_chance(s, 20) &&
        read->max_entries != UINT32_MAX) {
        read->held = call->topic->placed[scene_below(s, call->topic->placed_count)]->first;
    }
    ask_send(c, call, &message, NULL, 0);
}

/* ---- cursors and topics ---- */

static void ask_cursor(struct client *c, uint16_t type)
{
    struct scene *s = c->scene;
    struct call *call = client_call(c, type);
    struct message message = {.type = type};
    const struct message_topic topic = choose_topic(c, call);
    const struct message_name name = choose_cursor(c, call);
    struct ledger_cursor *cursor = call->topic == NULL ? NULL : &call->topic->cursors[call->cursor];

    call->may |= MAY_OK | MAY(-TUSK_EBUSY);
    if (type == MESSAGE_CURSOR_DELETE) {
        message.u.cursor = (struct message_cursor){.topic = by_id(call), .cursor = name};
        call->may |= MAY(-TUSK_ENOTFOUND);
        if (cursor != NULL) {
            cursor->loose = true;
        }
    } else if (type == MESSAGE_CHECKPOINT) {
        message.u.checkpoint = (struct message_checkpoint){
            .topic = topic,
            .cursor = name,
            .offset = call->topic != NULL ? some_offset(s, call->topic) : 0,
            .epoch = scene_chance(s, 30) ? (call->epoch != 0 ? call->epoch : 1) : 0,
            .flags = scene_chance(s, 10) ? CHECKPOINT_NO_CREATE : 0,
        };
        call->may |= message.u.checkpoint.epoch != 0 ? MAY(-TUSK_ESTALE) : 0;
        call->may |= message.u.checkpoint.offset > call->end ? MAY(-TUSK_EINVALID) : 0;
        if (message.u.checkpoint.flags != 0 && (cursor == NULL || !cursor->told || cursor->loose)) {
            call->may |= MAY(-TUSK_ENOTFOUND);
        }
        if (cursor != NULL && message.u.checkpoint.offset > cursor->most) {
            cursor->most = message.u.checkpoint.offset;
        }
    } else {
        message.u.cursor_position = (struct message_cursor_position){
            .topic = topic,
            .cursor = name,
            .position = choose_position(c, call, POSITION_LATEST),
        };
        call->may |= type == MESSAGE_CURSOR_CREATE ? MAY(-TUSK_EEXISTS) : 0;
        if (cursor != NULL) {
            cursor->seeks++;
        }
    }
    if (cursor != NULL) {
        cursor->asked = true;
    }
    ask_send(c, call, &message, NULL, 0);
}

static void add_setting(struct message_settings *settings, uint16_t key, uint64_t value)
{
    settings->items[settings->count++] = (struct message_setting){.key = key, .value = value};
}

static void ask_topic(struct client *c, uint16_t type)
{
    struct scene *s = c->scene;
    struct call *call = client_call(c, type);
    struct message message = {.type = type};
    const struct message_topic topic = choose_topic(c, call);

    call->may |= MAY_OK | MAY(-TUSK_EBUSY);
    if (type == MESSAGE_TOPIC_CREATE) {
        message.u.topic_settings.topic.name = ask_name(ledger_topic_names[call->name_index]);
        call->creates = true;
        call->may = MAY_OK | MAY(-TUSK_EBUSY) | MAY(-TUSK_EEXISTS);
    } else if (type == MESSAGE_TOPIC_SET) {
        message.u.topic_settings.topic = topic;
        if (s->taste.retention) {
            add_setting(&message.u.topic_settings.settings, SETTING_RETENTION, scene_below(s, 4));
            add_setting(&message.u.topic_settings.settings, SETTING_RETENTION_AGE_MS,
                        random_between(&s->random, 1, 20000));
        }
    } else if (type == MESSAGE_TOPIC_TRIM) {
        message.u.topic_trim.topic = by_id(call);
        message.u.topic_trim.offset = call->topic != NULL ? some_offset(s, call->topic) : 0;
        if (c->drained != NULL && c->drained == call->topic && scene_chance(s, 60)) {
            message.u.topic_trim.offset = c->drained_to; /* While it may be leased */
        }
        call->may |= message.u.topic_trim.offset > call->end ? MAY(-TUSK_EINVALID) : 0;
        if (call->topic != NULL && message.u.topic_trim.offset > call->topic->trim_asked) {
            call->topic->trim_asked = message.u.topic_trim.offset;
        }
    } else {
        message.u.topic = topic; /* TOPIC_DELETE, TOPIC_INFO */
    }
    if (type == MESSAGE_TOPIC_DELETE) {
        message.u.topic = by_id(call);
        c->scene->ledger.blind[c->space_index][call->name_index] = ~0u;
        if (call->topic != NULL) {
            call->topic->delete_asked = true;
        }
    }
    ask_send(c, call, &message, NULL, 0);
}

static void ask_list(struct client *c, uint16_t type)
{
    struct scene *s = c->scene;
    struct call *call = client_call(c, type);
    struct message message = {.type = type};

    call->space = c->space;
    call->may = MAY_OK;
    if (type == MESSAGE_CURSOR_LIST) {
        message.u.cursor_list.topic = choose_topic(c, call);
        message.u.cursor_list.max = 1 + (uint32_t)scene_below(s, 6);
        message.u.cursor_list.from_first = true;
    } else if (type == MESSAGE_CONFIG) {
        message.u.config.max = 1 + (uint32_t)scene_below(s, 60);
        message.u.config.from = (uint32_t)scene_below(s, 60);
        message.u.config.files = scene_chance(s, 10);
        call->may = message.u.config.files ? MAY(-TUSK_EUNSUPPORTED) : MAY_OK;
    } else {
        message.u.list.max = 1 + (uint32_t)scene_below(s, 6);
        message.u.list.after =
            ask_name(scene_chance(s, 60) ? "" : ledger_topic_names[scene_below(s, 2)]);
    }
    ask_send(c, call, &message, NULL, 0);
}

/* ---- namespaces ---- */

static void ask_space(struct client *c, uint16_t type)
{
    struct scene *s = c->scene;
    const unsigned index = (unsigned)scene_below(s, LEDGER_SPACES);
    struct ledger_name *name = &s->ledger.names[index];
    struct message message = {.type = type};
    struct ledger_space *space;
    struct call *call;

    /* One change of a name at a time, and none behind one that nobody was told of: else nobody could say what
     * there must be. */
    if (name->changing || name->setting || (index == 0 && type != MESSAGE_NAMESPACE_SET)) {
        return;
    }
    call = client_call(c, type);
    call->space_index = index;
    call->space = name->space;
    if (type == MESSAGE_NAMESPACE_DELETE) {
        message.u.name = ask_name(ledger_space_names[index]);
        call->may =
            name->presence == SPACE_ABSENT ? MAY(-TUSK_ENOTFOUND) : MAY_OK | MAY(-TUSK_EBUSY);
        name->changing = true;
        c->space_deleted = c->space_deleted || index == c->space_index;
    } else {
        message.u.namespace_settings.name = ask_name(ledger_space_names[index]);
        add_setting(&message.u.namespace_settings.settings, SETTING_FSYNC,
                    SCHEDULES[scene_below(s, 4)]);
        add_setting(&message.u.namespace_settings.settings, SETTING_CONSISTENCY,
                    scene_below(s, 3) * 7);
        if (type == MESSAGE_NAMESPACE_CREATE) {
            call->may = name->presence == SPACE_PRESENT ? MAY(-TUSK_EEXISTS) : MAY_OK;
            name->changing = true;
        } else {
            call->may =
                name->presence == SPACE_PRESENT ? MAY_OK | MAY(-TUSK_EBUSY) : MAY(-TUSK_ENOTFOUND);
            name->setting = true;
            for (space = s->ledger.spaces; space != NULL; space = space->next) {
                if (space->index == index) {
                    space->rescheduled = true;
                    space->fsync.since = NEVER;
                    space->consistency.since = NEVER;
                }
            }
            name->fsync.since = NEVER;
            name->consistency.since = NEVER;
        }
    }
    ask_send(c, call, &message, NULL, 0);
    if (scene_chance(s, 50)) {
        ask_read(c); /* Behind a request that keeps the server waiting for the disk */
    }
}

static uint16_t choose_type(struct scene *s)
{
    uint64_t total = 0;
    uint64_t roll;
    uint16_t type;

    for (type = 1; type < MESSAGE_TYPE_END; type++) {
        total += s->taste.weights[type];
    }
    roll = scene_below(s, total);
    for (type = 1; roll >= s->taste.weights[type]; type++) {
        roll -= s->taste.weights[type];
    }
    return type;
}

void ask_something(struct client *c)
{
    const bool wants_places = c->maps && c->lessee->hoards && scene_chance(c->scene, 85);
    const uint16_t type = wants_places ? MESSAGE_READ : choose_type(c->scene);

    switch (type) {
    case MESSAGE_APPEND:
        ask_append(c);
        break;
    case MESSAGE_READ:
        ask_read(c);
        break;
    case MESSAGE_CHECKPOINT:
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
    case MESSAGE_CURSOR_DELETE:
        ask_cursor(c, type);
        break;
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_SET:
    case MESSAGE_TOPIC_DELETE:
    case MESSAGE_TOPIC_TRIM:
    case MESSAGE_TOPIC_INFO:
        ask_topic(c, type);
        break;
    case MESSAGE_TOPIC_LIST:
    case MESSAGE_CURSOR_LIST:
    case MESSAGE_NAMESPACE_LIST:
    case MESSAGE_CONFIG:
        ask_list(c, type);
        break;
    case MESSAGE_NAMESPACE_CREATE:
    case MESSAGE_NAMESPACE_SET:
    case MESSAGE_NAMESPACE_DELETE:
        ask_space(c, type);
        break;
    case MESSAGE_RELEASE:
        ask_release(c);
        break;
    case MESSAGE_ACCESS:
        ask_access(c);
        break;
    case MESSAGE_SLOWLOG:
        ask_slowlog(c);
        break;
    default:
        ask_simple(c, type);
        break;
    }
}
