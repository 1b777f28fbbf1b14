#include "tests/exhaustive/scenarios.h"

#include <string.h>

#include "tests/support/journal_image.h"

/* ---- what an act may come back with ---- */

/* The disk or the memory failed, or the engine has stopped; anything else is a wrong word. */
static bool expect(int status)
{
    assert_true(status == 0 || status == TUSK_EUNKNOWN || status == TUSK_EIO ||
                status == TUSK_ENOSPACE || status == TUSK_ENOMEM || status == TUSK_ECLOSED ||
                status == TUSK_EBUSY || status == TUSK_ELOCKED);
    return status == 0;
}

/* An append too; and where the topic could not be made, there is nothing to ask of it. */
static bool expect_or_absent(int status)
{
    return status == TUSK_ENOTFOUND || status == TUSK_EINVALID ? false : expect(status);
}

static void append(struct scene *s, unsigned topic, uint32_t count, uint32_t size, bool durable)
{
    if (scene_usable(s)) {
        (void)expect(promise_append(&s->p, s->f, topic, count, size, durable));
    }
}

static void try_open(struct scene *s)
{
    const int rc = fixture_try_open(s->f);

    if (rc != 0) {
        assert_true(rc < 0);
        assert_true(strlen(s->f->err.text) > 0);
    } else if (!fixture_serves(s->f)) {
        assert_true(strlen(fixture_reason(s->f)) > 0);
    }
}

static void pass(struct scene *s, uint64_t us)
{
    if (scene_usable(s)) {
        fixture_pass(s->f, us);
    }
}

/* ---- stores ---- */

/* Nothing may fail here. */
static void put(struct scene *s, unsigned topic, uint32_t count, uint32_t size)
{
    assert_int_equal(promise_append(&s->p, s->f, topic, count, size, true), 0);
}

static void serving(struct scene *s)
{
    fixture_open(s->f);
    put(s, 0, 2, 300);
    put(s, 1, 1, 5000);
    fixture_settle(s->f);
}

/* Something in every table, and blocks behind each other. */
static void full(struct scene *s)
{
    unsigned i;

    fixture_open(s->f);
    for (i = 0; i < 12; i++) {
        put(s, 0, 2, 600);
        put(s, 1, 1, 5000);
    }
    assert_int_equal(promise_checkpoint(&s->p, s->f, 0, 3), 0);
    fixture_settle(s->f);
}

static void killed(struct scene *s)
{
    full(s);
    assert_int_equal(promise_append(&s->p, s->f, 0, 3, 200, false), 0);
    sim_disk_process_crash(s->f->disk);
    fixture_close(s->f);
}

static void cut(struct scene *s)
{
    full(s);
    assert_int_equal(promise_append(&s->p, s->f, 0, 3, 200, false), 0);
    sim_disk_power_cut(s->f->disk);
    promise_cut(&s->p);
    fixture_close(s->f);
}

static void stopped(struct scene *s)
{
    full(s);
    assert_int_equal(promise_stop(&s->p, s->f), 0);
    fixture_close(s->f);
}

/* The newest manifest is damaged: recovery begins with the older one. */
static void newest_manifest_damaged(struct scene *s)
{
    char path[IO_PATH_SIZE];

    killed(s);
    sim_disk_settle(s->f->disk);
    /* The spare's name is greater than any number. */
    assert_true(fixture_last_file(s->f, FIXTURE_DIR "/manifest-0", "", path) >= 2);
    sim_disk_flip_bit(s->f->disk, path, 8 * 40);
}

/* Full blocks whose seals, behind the manifest, the cut has taken. */
static void unsealed(struct scene *s)
{
    unsigned i;

    fixture_open(s->f);
    for (i = 0; i < 30; i++) {
        put(s, 1, 1, 3000);
    }
    fixture_settle(s->f);
    sim_disk_power_cut(s->f->disk);
    promise_cut(&s->p);
    fixture_close(s->f);
}

/* Large batches that are in their blocks only, behind the mark. */
static void killed_behind_direct(struct scene *s)
{
    serving(s);
    assert_int_equal(promise_append(&s->p, s->f, 1, 1, 5000, false), 0);
    assert_int_equal(promise_append(&s->p, s->f, 1, 2, 4000, false), 0);
    sim_disk_process_crash(s->f->disk);
    fixture_close(s->f);
}

/* A record of offsets reserved is damaged, between others that are not. */
static void run_damaged(struct scene *s)
{
    const struct image_record *run;
    struct journal_image *image;

    serving(s);
    put(s, 2, 1, 100);
    fixture_settle(s->f);
    sim_disk_process_crash(s->f->disk);
    fixture_close(s->f);
    sim_disk_settle(s->f->disk);
    image = journal_image_load(s->f->disk, FIXTURE_DIR);
    run = journal_image_last(image, RECORD_RUN, image->mark);
    sim_disk_flip_bit(s->f->disk, run->file->path, 8 * (run->offset + 9));
    journal_image_free(image);
}

static void unsynced(struct scene *s)
{
    unsigned i;

    fixture_open(s->f);
    for (i = 0; i < 8; i++) {
        assert_int_equal(promise_append(&s->p, s->f, 0, 2, 400, false), 0);
        assert_int_equal(promise_append(&s->p, s->f, 1, 1, 5000, false), 0);
    }
}

static void on_device(struct scene *s)
{
    stopped(s);
    sim_disk_settle(s->f->disk);
    sim_disk_drop_cache(s->f->disk);
    sim_disk_set_cold(s->f->disk, 100);
    fixture_open(s->f);
    fixture_settle(s->f);
}

static void with_other(struct scene *s)
{
    serving(s);
    assert_int_equal(engine_namespace_create(s->f->engine, "other", 5, NULL, 0, &s->f->err), 0);
    fixture_settle(s->f);
    s->has_other = s->may_have_other = true;
}

/* ---- acts ---- */

static void append_small(struct scene *s)
{
    append(s, 0, 1, 200, true);
    append(s, 0, 1, 0 + PROMISE_ENTRY_MIN, false);
    append(s, 0, 5, 100, true);
}

static void append_direct(struct scene *s)
{
    append(s, 1, 1, 5000, true);
    append(s, 1, 2, 4000, true);
}

static void append_lazily(struct scene *s)
{
    append(s, 0, 2, 300, false);
    append(s, 1, 1, 9000, false);
    append(s, 0, 1, 100, false);
    pass(s, 3000);
}

static void append_at_once(struct scene *s)
{
    const uint64_t event = promise_event(&s->p);
    struct promise_pending pending[6];
    unsigned i;

    for (i = 0; i < 6; i++) {
        promise_append_begin(&s->p, s->f, &pending[i], event, i % 3, 1, i % 2 == 0 ? 5000 : 200,
                             i < 4);
    }
    for (i = 0; i < 6; i++) {
        (void)expect(promise_append_end(&s->p, s->f, &pending[i]));
    }
}

static void roll_blocks(struct scene *s)
{
    unsigned i;

    for (i = 0; i < 5; i++) {
        append(s, 0, 1, 9000, i % 2 == 0);
    }
    pass(s, 2000);
}

static void roll_journal(struct scene *s)
{
    unsigned i;

    for (i = 0; i < 30; i++) {
        append(s, 0, 2, 900, i % 4 == 0);
    }
    pass(s, 10000);
}

static void sync_act(struct scene *s)
{
    (void)expect(promise_sync(&s->p, s->f));
    append(s, 0, 1, 100, false);
    if (scene_usable(s)) {
        (void)expect(promise_sync(&s->p, s->f));
    }
}

static void checkpoints(struct scene *s)
{
    uint64_t at;

    for (at = 1; at < 4; at++) {
        if (scene_usable(s)) {
            (void)expect_or_absent(promise_checkpoint(&s->p, s->f, 0, at));
        }
        append(s, 0, 1, 100, false);
    }
    pass(s, 1200000);
}

static int command(struct scene *s, struct engine_command *command)
{
    const char *name = promise_topic_name(0);

    if (!scene_usable(s)) {
        return TUSK_ECLOSED;
    }
    if (command->topic.name == NULL) {
        command->topic = (struct engine_topic_ref){.name = name, .name_size = strlen(name)};
    }
    return fixture_command(s->f, command);
}

static void cursors(struct scene *s)
{
    struct engine_command create = {.kind = ENGINE_CURSOR_CREATE,
                                    .cursor = "other",
                                    .cursor_size = 5,
                                    .position = ENGINE_AT_EARLIEST};
    struct engine_command seek = {.kind = ENGINE_SEEK,
                                  .cursor = "other",
                                  .cursor_size = 5,
                                  .position = ENGINE_AT_TIME,
                                  .value = 1};
    struct engine_command gone = {
        .kind = ENGINE_CURSOR_DELETE, .cursor = "other", .cursor_size = 5};
    int status;

    (void)expect(command(s, &create));
    status = command(s, &seek);
    assert_true(status == TUSK_ECORRUPT || expect_or_absent(status) || status != 0);
    (void)expect_or_absent(command(s, &gone));
}

static void settings(struct scene *s)
{
    const struct engine_setting setting = {.key = ENGINE_SETTING_RETENTION,
                                           .value = ENGINE_RETAIN_ALL};
    struct engine_command create = {.kind = ENGINE_TOPIC_CREATE,
                                    .topic = {.name = "made", .name_size = 4},
                                    .settings = &setting,
                                    .settings_count = 1};
    struct engine_command topic_set = {
        .kind = ENGINE_TOPIC_SET, .settings = &setting, .settings_count = 1};
    struct engine_command ns_set = {
        .kind = ENGINE_NAMESPACE_SET, .settings = &setting, .settings_count = 1};

    (void)expect(command(s, &create));
    (void)expect(command(s, &topic_set));
    (void)expect(command(s, &ns_set));
}

static void read_cold(struct scene *s)
{
    uint64_t offset;

    for (offset = 0; offset < 18 && scene_usable(s); offset += 5) {
        const int status = fixture_try_read(s->f, promise_topic_name(0), ENGINE_AT_OFFSET, offset);

        if (status != TUSK_ECORRUPT) {
            (void)expect(status);
        }
        (void)fixture_try_read(s->f, promise_topic_name(1), ENGINE_AT_OFFSET, offset / 2);
    }
}

static void consume(struct scene *s)
{
    struct promise_topic *t = &s->p.topics[0];
    unsigned i;

    for (i = 0; i < 3 && scene_usable(s); i++) {
        struct fixture_read read = {.request = {.position = ENGINE_AT_CURSOR,
                                                .cursor = "k",
                                                .cursor_size = 1,
                                                .max_entries = 2,
                                                .consume = true}};
        const uint64_t event = promise_event(&s->p);
        int status;

        fixture_read_begin(s->f, &read, promise_topic_name(0));
        status = fixture_read_end(s->f, &read);
        /* Where an unknown outcome leaves it: two entries further. */
        t->positions[t->position_count++] = (struct promise_position){
            .event = event, .offset = status == 0 ? read.request.to : t->position + 2};
        t->position = status == 0 ? read.request.to : t->position;
        assert_true(status == TUSK_ECORRUPT || status == TUSK_ENOTFOUND || status == 0 ||
                    !expect(status));
        fixture_read_free(&read);
        if (status != 0) {
            return;
        }
    }
}

static void trim(struct scene *s)
{
    (void)expect_or_absent(promise_trim(&s->p, s->f, 1, 6));
    append(s, 1, 1, 5000, true);
    pass(s, 20000);
}

static void delete_and_reuse(struct scene *s)
{
    unsigned i;

    if (expect_or_absent(promise_delete(&s->p, s->f, 1))) {
        for (i = 0; i < 4; i++) {
            append(s, 2, 1, 9000, true);
        }
        append(s, 1, 1, 100, true);
    }
    pass(s, 20000);
}

static void churn(struct scene *s)
{
    unsigned round;
    unsigned i;

    for (round = 0; round < 3; round++) {
        for (i = 0; i < 5; i++) {
            append(s, 2, 1, 9000, false);
        }
        if (!scene_usable(s) || !expect_or_absent(promise_delete(&s->p, s->f, 2))) {
            return;
        }
    }
    pass(s, 20000);
}

static void retain(struct scene *s)
{
    unsigned i;

    s->p.topics[1].retained = true;
    s->p.topics[0].retained = true;
    for (i = 0; i < 6; i++) {
        append(s, 1, 1, 9000, true);
    }
    pass(s, 2500000);
}

static void create_namespace(struct scene *s)
{
    s->may_have_other = true;
    s->has_other = engine_namespace_create(s->f->engine, "other", 5, NULL, 0, &s->f->err) == 0;
    assert_true(s->has_other || s->f->err.code < 0);
    pass(s, 2000);
}

static void delete_namespace(struct scene *s)
{
    s->has_other = false;
    s->may_have_other = engine_namespace_delete(s->f->engine, "other", 5, &s->f->err) != 0;
    assert_true(!s->may_have_other || s->f->err.code < 0);
    pass(s, 2000);
}

static void stop(struct scene *s)
{
    (void)promise_stop(&s->p, s->f);
    fixture_close(s->f);
}

static void stop_and_open(struct scene *s)
{
    append(s, 0, 1, 100, false);
    if (scene_usable(s)) {
        if (promise_stop(&s->p, s->f) != 0) {
            promise_cut(&s->p); /* Recovery reads what the device has */
        }
        fixture_close(s->f);
        try_open(s);
    }
    append(s, 0, 1, 100, true);
}

static void open_and_append(struct scene *s)
{
    try_open(s);
    append(s, 0, 1, 100, true);
    append(s, 1, 1, 5000, true);
    pass(s, 2000);
}

/* ---- options ---- */

static void at_least_once(struct engine_options *options)
{
    options->settings.consistency = 100;
}

static void retain_size(struct engine_options *options)
{
    options->settings.retention =
        (struct engine_retention_rule){.kind = ENGINE_RETAIN_SIZE, .bytes = 20000};
}

static void inline_sync(struct engine_options *options)
{
    options->inline_sync = true;
}

static void serving_at_least_once(struct scene *s)
{
    s->p.at_least_once = true;
    serving(s);
}

static void one_manifest(struct engine_options *options)
{
    options->manifest_journal_bytes = 1u << 20;
}

static void accepting(struct engine_options *options)
{
    options->accept_loss = "default";
    options->manifest_journal_bytes = 1u << 20;
    options->manifest_idle_us = UINT64_C(1) << 40;
}

#define EACH ENGINE_FSYNC_EACH
#define NONE ENGINE_FSYNC_NONE

const struct scenario scenarios[] = {
    {"opening a new directory", EACH, NULL, NULL, open_and_append},
    {"opening after a kill", EACH, NULL, killed, open_and_append},
    {"opening after a power cut", 1, NULL, cut, open_and_append},
    {"opening after a stop", EACH, NULL, stopped, open_and_append},
    {"opening with the older manifest", EACH, NULL, newest_manifest_damaged, open_and_append},
    {"opening without seals", EACH, one_manifest, unsealed, open_and_append},
    {"opening behind direct batches", NONE, NULL, killed_behind_direct, open_and_append},
    {"opening with an accepted loss", EACH, accepting, run_damaged, open_and_append},
    {"appending", EACH, NULL, serving, append_small},
    {"appending, synced inline", EACH, inline_sync, serving, append_small},
    {"appending directly", EACH, NULL, serving, append_direct},
    {"appending every millisecond", 1, NULL, serving, append_lazily},
    {"appending unsynced", NONE, NULL, serving, append_lazily},
    {"appending to three topics at once", EACH, NULL, serving, append_at_once},
    {"appending to three topics at once, lazily", 1, NULL, serving, append_at_once},
    {"rolling blocks over", EACH, NULL, serving, roll_blocks},
    {"rolling the journal over", EACH, NULL, serving, roll_journal},
    {"rolling the journal over, lazily", 1, NULL, serving, roll_journal},
    {"syncing", NONE, NULL, unsynced, sync_act},
    {"strict checkpoints", 1, NULL, serving, checkpoints},
    {"checkpoints at least once", 1, at_least_once, serving_at_least_once, checkpoints},
    {"cursors", EACH, NULL, full, cursors},
    {"settings", EACH, NULL, serving, settings},
    {"reading from the device", EACH, NULL, on_device, read_cold},
    {"consuming", EACH, NULL, on_device, consume},
    {"trimming", EACH, NULL, full, trim},
    {"deleting and using blocks again", EACH, NULL, full, delete_and_reuse},
    {"making and removing segments", 1, NULL, serving, churn},
    {"retention by size", EACH, retain_size, serving, retain},
    {"creating a namespace", EACH, NULL, serving, create_namespace},
    {"deleting a namespace", EACH, NULL, with_other, delete_namespace},
    {"stopping", NONE, NULL, unsynced, stop},
    {"stopping and opening", 1, NULL, full, stop_and_open},
};
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];
