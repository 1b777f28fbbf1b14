/* Requests that change tables: cursors, trims, deletes, settings, and how much of them survives. */
#include <errno.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

static struct engine_command on(enum engine_command_kind kind, const char *topic,
                                const char *cursor)
{
    return (struct engine_command){.kind = kind,
                                   .topic = {.name = topic, .name_size = strlen(topic)},
                                   .cursor = cursor,
                                   .cursor_size = cursor == NULL ? 0 : strlen(cursor)};
}

static int move_to(struct fixture *f, enum engine_command_kind kind, const char *cursor,
                   enum engine_position position, uint64_t value)
{
    struct engine_command command = on(kind, "t", cursor);

    command.position = position;
    command.value = value;
    return fixture_command(f, &command);
}

static void open_with_entries(struct fixture *f)
{
    fixture_open(f);
    fixture_append_strings(f, "t", "0", "1", "2", "3", "4", "5", NULL);
}

/* ---- checkpoints ---- */

/* A checkpoint moves a cursor forward only, says where it stands, and makes the cursor when it is new, unless
 * told not to. */
static void a_checkpoint_never_moves_back(void **state)
{
    struct fixture *f = *state;
    struct engine_command command = on(ENGINE_CHECKPOINT, "t", "c");

    open_with_entries(f);
    command.no_create = true;
    command.offset = 4;
    assert_int_equal(fixture_command(f, &command), TUSK_ENOTFOUND);
    command.no_create = false;
    assert_int_equal(fixture_command(f, &command), 0);
    assert_int_equal(command.offset, 4);
    assert_int_equal(command.epoch, 1);
    command.offset = 2;
    assert_int_equal(fixture_command(f, &command), 0);
    assert_int_equal(command.offset, 4);
    command.offset = 7;
    assert_int_equal(fixture_command(f, &command), TUSK_EINVALID); /* Behind the end */
    command.offset = UINT64_MAX;
    assert_int_equal(fixture_command(f, &command), TUSK_EINVALID);
    assert_int_equal(fixture_cursor(f, "t", "c"), 4);
    assert_int_equal(fixture_checkpoint(f, "nosuch", "c", 0), TUSK_ENOTFOUND);
}

/* Strict: when the answer is there, no power cut takes the checkpoint, nor the entries it passed. */
static void a_strict_checkpoint_is_durable_with_its_entries(void **state)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 3600000, ENGINE_FSYNC_NONE};
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(8);

        f->options.settings.fsync_ms = schedules[i];
        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        open_with_entries(f);
        assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
        assert_int_equal(fixture_checkpoint(f, "t", "c", 6), 0);
        fixture_power_cut(f);
        assert_int_equal(fixture_cursor(f, "t", "c"), 6);
        fixture_expect(f, "t", "0", "1", "2", "3", "4", "5", NULL);
        fixture_free(f);
    }
}

/* Schedule each: what is written and not durable yet nobody has read, so no checkpoint passes it. */
static void a_checkpoint_passes_only_what_can_be_read(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"6", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};

    f->options.inline_sync = false;
    open_with_entries(f);
    fixture_settle(f);
    sim_disk_set_pace(f->disk, 0); /* No sync ends by itself */
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_turn(f);
    assert_false(append.finished);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 7), TUSK_EINVALID);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 7), 0);
}

/* A cursor and an entry behind it in one moment: no cut keeps the cursor and loses the entry. */
static void no_cut_leaves_a_cursor_ahead_of_the_log(void **state)
{
    uint64_t nth;

    (void)state;
    for (nth = 1; nth <= 40; nth++) {
        struct fixture *f = fixture_new(nth);
        uint64_t i;

        f->options.settings.fsync_ms = 1;
        fixture_open(f);
        sim_disk_cut_at(f->disk, SIM_CHANGES, nth, SIM_AMID);
        for (i = 0; i < 10; i++) {
            (void)fixture_try_append(f, "t", "entry", false);
            (void)fixture_checkpoint(f, "t", "c", i + 1);
        }
        if (!sim_disk_is_down(f->disk)) {
            sim_disk_power_cut(f->disk);
        }
        fixture_close(f);
        fixture_open(f);
        if (fixture_stat(f, "topics") > 0) {
            const uint64_t cursor = fixture_cursor(f, "t", "c");

            assert_true(cursor == UINT64_MAX || cursor <= fixture_info(f, "t").end);
        }
        fixture_free(f);
    }
}

/* A checkpoint with the epoch of before a seek is stale, told with where the cursor stands. */
static void a_stale_epoch_is_refused(void **state)
{
    struct fixture *f = *state;
    struct engine_command command = on(ENGINE_CHECKPOINT, "t", "c");

    open_with_entries(f);
    command.offset = 5;
    assert_int_equal(fixture_command(f, &command), 0);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_OFFSET, 1), 0);
    command.offset = 6;
    command.epoch = 1;
    assert_int_equal(fixture_command(f, &command), TUSK_ESTALE);
    assert_int_equal(command.base.detail_a, 1);
    assert_int_equal(command.base.detail_b, 2);
    command.epoch = 2;
    assert_int_equal(fixture_command(f, &command), 0);
    fixture_power_cut(f);
    command.epoch = 1;
    assert_int_equal(fixture_command(f, &command), TUSK_ESTALE);
    command.epoch = 0; /* Any */
    assert_int_equal(fixture_command(f, &command), 0);
    assert_int_equal(command.epoch, 2);
}

/* At-least-once, every N: a daemon crash forgets fewer than N entries' checkpoints, and none older than a
 * second; a clean stop forgets none. Nothing is ever skipped. */
static void at_least_once_forgets_a_bounded_part(void **state)
{
    struct fixture *f = *state;
    uint64_t i;

    f->options.settings.consistency = 10;
    fixture_open(f);
    for (i = 0; i < 35; i++) {
        fixture_append_strings(f, "t", "x", NULL);
        assert_int_equal(fixture_checkpoint(f, "t", "c", i + 1), 0);
    }
    assert_int_equal(fixture_cursor(f, "t", "c"), 35);
    fixture_kill(f);
    assert_in_range(fixture_cursor(f, "t", "c"), 26, 35);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 35), 0);
    fixture_pass(f, 1100000);
    fixture_kill(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 35);
    assert_int_equal(fixture_try_append(f, "t", "y", false), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "c", fixture_info(f, "t").end), 0);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), fixture_info(f, "t").end);
}

/* At-least-once: a checkpoint is answered when taken, and costs no sync of its own. */
static void at_least_once_costs_no_sync(void **state)
{
    struct fixture *f = *state;
    uint64_t syncs;
    uint64_t i;

    f->options.settings.consistency = 100;
    open_with_entries(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 0), 0);
    fixture_settle(f);
    syncs = sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC));
    for (i = 1; i <= 6; i++) {
        assert_int_equal(fixture_checkpoint(f, "t", "c", i), 0);
    }
    assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC)), syncs);
}

/* ---- seeks ---- */

/* A seek goes anywhere from the first kept entry to the end, durably, and counts an epoch each time. */
static void a_seek_goes_anywhere_in_the_topic(void **state)
{
    struct fixture *f = *state;

    open_with_entries(f);
    assert_int_equal(fixture_trim(f, "t", 1), 0);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_LATEST, 0), 0);
    assert_int_equal(fixture_cursor(f, "t", "c"), 6);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_EARLIEST, 0), 0);
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_OFFSET, 3), 0);
    fixture_power_cut(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 3);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_OFFSET, 0), TUSK_ETRIMMED);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_OFFSET, 7), TUSK_EINVALID);
    assert_int_equal(move_to(f, ENGINE_SEEK, "c", ENGINE_AT_CURSOR, 0), TUSK_EINVALID);
    assert_int_equal(fixture_cursor(f, "t", "c"), 3);
}

/* A seek by time looks into blocks and tails, and puts the cursor on the first entry of then or later. */
static void a_seek_by_time_finds_its_entry(void **state)
{
    struct fixture *f = *state;
    uint64_t times[10];
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 10; i++) {
        fixture_pass(f, 1000);
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
        times[i] = fixture_info(f, "t").last_time_us;
    }
    for (i = 0; i < 10; i++) {
        char cursor[] = "c";

        cursor[0] = (char)('a' + i);
        assert_int_equal(move_to(f, ENGINE_SEEK, cursor, ENGINE_AT_TIME, times[i]), 0);
        assert_int_equal(fixture_cursor(f, "t", cursor), i);
    }
    assert_int_equal(move_to(f, ENGINE_SEEK, "z", ENGINE_AT_TIME, times[9] + 1), 0);
    assert_int_equal(fixture_cursor(f, "t", "z"), 10);
}

/* A cursor is created once, at a position, and deleted once. */
static void cursors_are_created_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct engine_command gone = on(ENGINE_CURSOR_DELETE, "t", "c");
    char long_name[257];

    open_with_entries(f);
    assert_int_equal(move_to(f, ENGINE_CURSOR_CREATE, "c", ENGINE_AT_OFFSET, 2), 0);
    assert_int_equal(move_to(f, ENGINE_CURSOR_CREATE, "c", ENGINE_AT_OFFSET, 2), TUSK_EEXISTS);
    assert_int_equal(fixture_cursor(f, "t", "c"), 2);
    fixture_power_cut(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 2);
    assert_int_equal(fixture_command(f, &gone), 0);
    assert_int_equal(fixture_command(f, &gone), TUSK_ENOTFOUND);
    fixture_power_cut(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), UINT64_MAX);
    assert_int_equal(fixture_stat(f, "cursors"), 0);
    memset(long_name, 'c', sizeof long_name);
    long_name[256] = '\0';
    assert_int_equal(fixture_checkpoint(f, "t", long_name, 1), TUSK_EINVALID);
    assert_int_equal(move_to(f, ENGINE_SEEK, long_name, ENGINE_AT_EARLIEST, 0), TUSK_EINVALID);
    long_name[255] = '\0';
    assert_int_equal(fixture_checkpoint(f, "t", long_name, 1), 0);
    fixture_kill(f);
    assert_int_equal(fixture_cursor(f, "t", long_name), 1);
}

/* The number of cursors is bounded, per topic by the engine and per namespace by the quota. */
static void cursors_are_bounded(void **state)
{
    struct fixture *f = *state;

    f->options.cursors_max = 3;
    open_with_entries(f);
    assert_int_equal(fixture_checkpoint(f, "t", "a", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "b", 1), 0);
    fixture_set(f, 20, 2);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), TUSK_EQUOTA);
    fixture_set(f, 20, 0);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "d", 1), TUSK_EBUSY);
    assert_int_equal(fixture_checkpoint(f, "t", "a", 2), 0);
}

/* Cursors are listed in byte order of their names, whatever the order of creation. */
static void cursors_are_listed_in_order(void **state)
{
    static const char *const names[] = {"b", "a", "ba", "", "\xff", "aa", "B"};
    static const char *const sorted[] = {"", "B", "a", "aa", "b", "ba", "\xff"};
    struct fixture *f = *state;
    const struct engine_topic_ref t = {.name = "t", .name_size = 1};
    struct engine_cursor_info info = {0};
    char after[8];
    unsigned i;

    open_with_entries(f);
    for (i = 0; i < 7; i++) {
        assert_int_equal(fixture_checkpoint(f, "t", names[i], i % 6), 0);
    }
    for (i = 0; i < 7; i++) {
        assert_int_equal(
            engine_cursor_next(f->ns, &t, i == 0 ? NULL : after, info.name_size, &info, &f->err),
            1);
        assert_int_equal(info.name_size, strlen(sorted[i]));
        assert_memory_equal(info.name, sorted[i], info.name_size);
        assert_int_equal(info.lag, 6 - info.offset);
        memcpy(after, info.name, info.name_size);
    }
    assert_int_equal(engine_cursor_next(f->ns, &t, after, info.name_size, &info, &f->err), 0);
}

/* ---- topics ---- */

/* A trim gives up what lies before an offset, for good; it never brings anything back, nor passes the end. */
static void a_trim_is_durable_and_one_way(void **state)
{
    struct fixture *f = *state;

    open_with_entries(f);
    assert_int_equal(fixture_trim(f, "t", 4), 0);
    assert_int_equal(fixture_trim(f, "t", 2), 0); /* Nothing to do */
    fixture_expect(f, "t", "4", "5", NULL);
    assert_int_equal(fixture_trim(f, "t", 7), TUSK_EINVALID);
    fixture_power_cut(f);
    fixture_expect(f, "t", "4", "5", NULL);
    assert_int_equal(fixture_trim(f, "t", 6), 0);
    fixture_expect(f, "t", NULL);
    fixture_append_strings(f, "t", "6", NULL);
    fixture_expect(f, "t", "6", NULL);
    fixture_power_cut(f);
    fixture_expect(f, "t", "6", NULL);
}

/* A topic deleted and made again is another one: a new id, no old entry, no old cursor. */
static void a_deleted_topic_comes_back_empty_and_new(void **state)
{
    struct fixture *f = *state;
    uint64_t id;
    unsigned i;

    open_with_entries(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 3), 0);
    for (i = 0; i < 4; i++) {
        struct engine_command by_id = {.kind = ENGINE_SYNC};

        id = fixture_info(f, "t").id;
        assert_int_equal(fixture_delete(f, "t"), 0);
        assert_int_equal(fixture_delete(f, "t"), TUSK_ENOTFOUND);
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_EARLIEST, 0), TUSK_ENOTFOUND);
        if (i % 2 == 0) {
            fixture_power_cut(f);
        }
        assert_int_equal(fixture_try_append(f, "t", "new", false), 0);
        assert_true(fixture_info(f, "t").id > id);
        assert_int_equal(fixture_cursor(f, "t", "c"), UINT64_MAX);
        fixture_expect(f, "t", "new", NULL);
        by_id = (struct engine_command){.kind = ENGINE_TOPIC_TRIM, .topic = {.id = id}};
        assert_int_equal(fixture_command(f, &by_id), TUSK_ENOTFOUND);
    }
    assert_int_equal(fixture_stat(f, "topics"), 1);
    assert_int_equal(fixture_stat(f, "cursors"), 0);
}

/* Topics are made by name, once, with settings of their own, which can be changed. */
static void topics_are_created_and_set(void **state)
{
    const struct engine_setting by_size[] = {{1, ENGINE_RETAIN_SIZE}, {3, 1u << 20}};
    const struct engine_setting wrong = {16, 0}; /* Of a namespace */
    struct fixture *f = *state;
    struct engine_command create = on(ENGINE_TOPIC_CREATE, "t", NULL);
    struct engine_command set = on(ENGINE_TOPIC_SET, "t", NULL);
    struct engine_command by_id = {.kind = ENGINE_TOPIC_CREATE, .topic = {.id = 5}};

    fixture_open(f);
    assert_int_equal(fixture_command(f, &set), TUSK_ENOTFOUND);
    create.settings = &wrong;
    create.settings_count = 1;
    assert_int_equal(fixture_command(f, &create), TUSK_EINVALID);
    create.settings = by_size;
    create.settings_count = 2;
    assert_int_equal(fixture_command(f, &create), 0);
    assert_int_equal(create.topic_id, fixture_info(f, "t").id);
    assert_int_equal(fixture_command(f, &create), TUSK_EEXISTS);
    assert_int_equal(fixture_command(f, &by_id), TUSK_EINVALID);
    fixture_power_cut(f);
    assert_int_equal(fixture_info(f, "t").retention.kind, ENGINE_RETAIN_SIZE);
    assert_int_equal(fixture_info(f, "t").retention.bytes, 1u << 20);
    set.settings = &(const struct engine_setting){1, ENGINE_RETAIN_INHERIT};
    set.settings_count = 1;
    assert_int_equal(fixture_command(f, &set), 0);
    fixture_power_cut(f);
    assert_int_equal(fixture_info(f, "t").retention.kind, ENGINE_RETAIN_INHERIT);
    assert_int_equal(fixture_info(f, "t").retention.bytes, 1u << 20);
}

/* A namespace's settings last, and nonsense changes nothing. */
static void namespace_settings_last(void **state)
{
    const struct engine_setting half_wrong[] = {{18, 5}, {16, 3600001}};
    struct fixture *f = *state;
    struct engine_command set = {
        .kind = ENGINE_NAMESPACE_SET, .settings = half_wrong, .settings_count = 2};
    struct engine_namespace_info info;

    fixture_open(f);
    assert_int_equal(fixture_command(f, &set), TUSK_EINVALID);
    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.settings.quota_bytes, 0);
    fixture_set(f, 16, ENGINE_FSYNC_NONE);
    fixture_set(f, 17, 7);
    fixture_set(f, 18, 1u << 30);
    fixture_power_cut(f);
    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.settings.fsync_ms, ENGINE_FSYNC_NONE);
    assert_int_equal(info.settings.consistency, 7);
    assert_int_equal(info.settings.quota_bytes, 1u << 30);
}

static void note(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

/* A seek by time reads a block. When the topic goes meanwhile, that is the answer, and no cursor comes of it. */
static void a_seek_by_time_ends_with_its_topic(void **state)
{
    struct fixture *f = *state;
    bool answered = false;
    struct engine_command seek = {.base = {.done = note, .arg = &answered},
                                  .kind = ENGINE_SEEK,
                                  .topic = {.name = "t", .name_size = 1},
                                  .cursor = "c",
                                  .cursor_size = 1,
                                  .position = ENGINE_AT_TIME,
                                  .value = 1};

    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
    sim_disk_set_cold(f->disk, 100);
    engine_now(f->engine, &f->now);
    engine_command(f->ns, &seek);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_wait(f, &answered);
    assert_int_equal(seek.base.status, TUSK_ENOTFOUND);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_cursor(f, "t", "c"), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_checkpoint_never_moves_back),
        cmocka_unit_test(a_strict_checkpoint_is_durable_with_its_entries),
        FIXTURE_TEST(a_checkpoint_passes_only_what_can_be_read),
        cmocka_unit_test(no_cut_leaves_a_cursor_ahead_of_the_log),
        FIXTURE_TEST(a_stale_epoch_is_refused),
        FIXTURE_TEST(at_least_once_forgets_a_bounded_part),
        FIXTURE_TEST(at_least_once_costs_no_sync),
        FIXTURE_TEST(a_seek_goes_anywhere_in_the_topic),
        FIXTURE_TEST(a_seek_by_time_finds_its_entry),
        FIXTURE_TEST(a_seek_by_time_ends_with_its_topic),
        FIXTURE_TEST(cursors_are_created_and_deleted),
        FIXTURE_TEST(cursors_are_bounded),
        FIXTURE_TEST(cursors_are_listed_in_order),
        FIXTURE_TEST(a_trim_is_durable_and_one_way),
        FIXTURE_TEST(a_deleted_topic_comes_back_empty_and_new),
        FIXTURE_TEST(topics_are_created_and_set),
        FIXTURE_TEST(namespace_settings_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
