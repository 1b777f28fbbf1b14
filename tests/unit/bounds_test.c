/* What is asked for beyond a bound, or makes no sense, is refused with its name, changes nothing, and is told in the next turn; and what
 * is asked for twice is answered twice, in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/io_files.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

/* ---- topics ---- */

/* A client that makes up topic names fills no memory: at the limit a new topic is refused, and those that are there go on. */
static void topics_beyond_the_limit_are_refused(void **state)
{
    struct fixture *f = *state;

    f->options.topics_max = 2;
    fixture_open(f);
    assert_int_equal(fixture_try_append(f, "a", "1", false), 0);
    assert_int_equal(fixture_try_append(f, "b", "1", false), 0);
    assert_int_equal(fixture_try_append(f, "c", "1", false), TUSK_EBUSY);
    assert_int_equal(fixture_try_append(f, "a", "2", false), 0);
    fixture_kill(f);
    fixture_expect(f, "a", "1", "2", NULL);
    fixture_expect(f, "b", "1", NULL);
    assert_int_equal(fixture_delete(f, "b"), 0);
    assert_int_equal(fixture_try_append(f, "c", "1", false), 0);
}

/* An id is never given twice, so that an old one never means a new topic: when they are used up, there are no new topics. */
static void ids_of_topics_are_not_given_twice(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_try_append(f, "a", "1", false), 0);
    f->ns->next_topic_id = FORMAT_COUNTER_MAX;
    assert_int_equal(fixture_try_append(f, "b", "1", false), TUSK_ETOOBIG);
    assert_int_equal(fixture_try_append(f, "a", "2", false), 0);
    fixture_expect(f, "a", "1", "2", NULL);
}

/* ---- batches ---- */

static void mark_done(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

/* A batch of one entry, with a field of its header changed, to a topic by id or by name; its status. */
static int append_changed(struct fixture *f, uint64_t topic_id, unsigned at, uint8_t value)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    uint8_t batch[128];
    bool finished = false;
    struct engine_append append = {.topic = {.id = topic_id, .name = "t", .name_size = 1},
                                   .batch = batch,
                                   .batch_size = batch_encoded_size(1, 1)};

    append.base.done = mark_done;
    append.base.arg = &finished;
    batch_encode(batch, &entry, 1);
    batch[at] ^= value;
    engine_now(f->engine, &f->now);
    engine_append(f->ns, &append);
    if (append.base.status != 0) {
        assert_int_equal(engine_deadline(f->engine), 0); /* A refusal does not wait for anything */
    }
    fixture_wait(f, &finished);
    return append.base.status;
}

/* Offset, time, chain and the checksum over them are the daemon's: a batch that brings its own is refused, or it would choose them. */
static void fields_of_the_daemon_are_not_taken_from_batches(void **state)
{
    static const struct {
        unsigned at;
        int status;
    } fields[] = {
        {4, TUSK_EINVALID},      /* Header checksum */
        {8, TUSK_EINVALID},      /* First offset */
        {16, TUSK_EINVALID},     /* Time */
        {52, TUSK_EINVALID},     /* Chain */
        {24, TUSK_EUNSUPPORTED}, /* Producer */
    };
    struct fixture *f = *state;
    unsigned i;

    fixture_open(f);
    assert_int_equal(append_changed(f, 0, 0, 0), 0);
    for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_int_equal(append_changed(f, 0, fields[i].at, 1), fields[i].status);
    }
    fixture_expect(f, "t", "x", NULL);
}

/* An id that no topic has makes no topic, whatever the name beside it. */
static void an_unknown_id_makes_no_topic(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(append_changed(f, 77, 0, 0), TUSK_ENOTFOUND);
    assert_int_equal(f->ns->topic_count, 0);
}

/* ---- settings ---- */

static int set_topic(struct fixture *f, uint16_t key, uint64_t value)
{
    const struct engine_setting setting = {key, value};
    struct engine_command command = {
        .kind = ENGINE_TOPIC_SET,
        .topic = {.name = "t", .name_size = 1},
        /* cppcheck-suppress danglingLifetime ; both end with the function */
        .settings = &setting,
        .settings_count = 1};

    return fixture_command(f, &command);
}

static int set_namespace(struct fixture *f, uint16_t key, uint64_t value)
{
    const struct engine_setting setting = {key, value};
    struct engine_command command = {
        .kind = ENGINE_NAMESPACE_SET,
        /* cppcheck-suppress danglingLifetime ; both end with the function */
        .settings = &setting,
        .settings_count = 1};

    return fixture_command(f, &command);
}

/* A rule that does not exist keeps nothing and deletes nothing: it is refused, for a topic, a namespace, and one to be made. Only a topic
 * can take what its namespace has. */
static void settings_that_make_no_sense_are_refused(void **state)
{
    const struct engine_setting bad = {ENGINE_SETTING_RETENTION, 99};
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(set_topic(f, ENGINE_SETTING_RETENTION, 99), TUSK_EINVALID);
    assert_int_equal(set_topic(f, ENGINE_SETTING_FSYNC, 0), TUSK_EINVALID);
    assert_int_equal(set_topic(f, ENGINE_SETTING_RETENTION, ENGINE_RETAIN_AGE), 0);
    assert_int_equal(set_topic(f, ENGINE_SETTING_RETENTION, ENGINE_RETAIN_INHERIT), 0);
    assert_int_equal(set_namespace(f, ENGINE_SETTING_RETENTION, ENGINE_RETAIN_INHERIT),
                     TUSK_EINVALID);
    assert_int_equal(set_namespace(f, 4711, 1), TUSK_EINVALID);
    assert_int_equal(engine_namespace_create(f->engine, "eu", 2, &bad, 1, &f->err), TUSK_EINVALID);
    assert_null(engine_namespace_find(f->engine, "eu", 2));
    assert_int_equal(fixture_info(f, "t").retention.kind, ENGINE_RETAIN_INHERIT);
}

/* ---- reads ---- */

/* A read that could give nothing, whatever is there, or would move a cursor that it does not name, is refused. */
static void reads_that_make_no_sense_are_refused(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    for (i = 0; i < 2; i++) {
        char name[ENGINE_NAME_SIZE_MAX + 1] = {'c'};

        read = (struct fixture_read){.request = {.consume = i == 0}};
        if (i == 1) {
            read.request.position = ENGINE_AT_CURSOR;
            read.request.cursor = name;
            read.request.cursor_size = sizeof name;
        }
        fixture_read_begin(f, &read, "t");
        assert_int_equal(fixture_read_end(f, &read), TUSK_EINVALID);
        fixture_read_free(&read);
    }
}

static uint8_t *no_room(struct engine_read *read, size_t used, size_t size)
{
    (void)read;
    (void)used;
    (void)size;
    return NULL;
}

/* The reader has no memory for what was found: it is told, its cursor stays, and the next read finds it. */
static void a_reader_without_memory_loses_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    for (round = 0; round < 2; round++) { /* From the tail in memory, then from its block */
        bool finished = false;
        struct engine_read read = {.topic = {.name = "t", .name_size = 1},
                                   .cursor = "c",
                                   .cursor_size = 1,
                                   .position = ENGINE_AT_CURSOR,
                                   .max_bytes = 1000,
                                   .max_entries = 10,
                                   .consume = true,
                                   .held = UINT64_MAX,
                                   .room = no_room};

        read.base.done = mark_done;
        read.base.arg = &finished;
        engine_now(f->engine, &f->now);
        engine_read(f->ns, &read);
        fixture_wait(f, &finished);
        assert_int_equal(read.base.status, TUSK_ENOMEM);
        assert_true(fixture_cursor(f, "t", "c") == UINT64_MAX || fixture_cursor(f, "t", "c") == 0);
        fixture_expect(f, "t", "a", NULL);
        fixture_stop(f);
        fixture_open(f);
    }
}

/* A time to come: nothing is there yet, and what comes then is found. */
static void a_time_to_come_is_the_end(void **state)
{
    struct fixture *f = *state;
    const uint64_t later = 1000000;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, f->now.wall_us + later), TUSK_EEND);
    fixture_pass(f, 2 * later);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, f->now.wall_us), TUSK_EEND);
    fixture_append_strings(f, "t", "c", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, f->now.wall_us - later / 2), 0);
}

/* ---- commands ---- */

struct two_commands {
    struct engine_command command[2];
    bool finished[2];
};

/* Both submitted in one turn. */
static void submit_two(struct fixture *f, struct two_commands *two, struct engine_command like)
{
    unsigned i;

    engine_now(f->engine, &f->now);
    for (i = 0; i < 2; i++) {
        two->command[i] = like;
        two->finished[i] = false;
        two->command[i].base.done = mark_done;
        two->command[i].base.arg = &two->finished[i];
        engine_command(f->ns, &two->command[i]);
    }
}

/* A trim asked for twice is answered twice, and the second answer is no promise that the first could not keep: neither comes before the
 * trim is durable. */
static void a_trim_asked_for_again_waits_for_the_first(void **state)
{
    struct fixture *f = *state;
    struct two_commands two;

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    sim_disk_set_pace(f->disk, 0);
    submit_two(f, &two,
               (struct engine_command){
                   .kind = ENGINE_TOPIC_TRIM, .topic = {.name = "t", .name_size = 1}, .offset = 1});
    assert_false(two.finished[0] || two.finished[1]);
    sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), 1, true, EIO, SIM_LOSE);
    sim_disk_set_pace(f->disk, 100);
    fixture_wait(f, &two.finished[0]);
    fixture_wait(f, &two.finished[1]);
    assert_int_equal(two.command[0].base.status, TUSK_EUNKNOWN);
    assert_int_equal(two.command[1].base.status, TUSK_EUNKNOWN);
}

/* ---- more of the same ---- */

static uint8_t *fixed;

static uint8_t *fixed_room(struct engine_read *read, size_t used, size_t size)
{
    (void)read;
    (void)used;
    assert_true(size <= 1024);
    return fixed;
}

/* Each entry has the limit, not their sum; and one that is too large is found wherever it stands. */
static void the_limit_of_entries_is_each_entrys(void **state)
{
    static const uint8_t bytes[101];
    struct fixture *f = *state;
    unsigned i;

    f->options.entry_size_max = 100;
    fixture_open(f);
    for (i = 0; i < 2; i++) {
        const struct batch_entry entries[] = {{bytes, 100}, {bytes, 99}, {bytes, 100 + i}};
        struct fixture_append append = {.finished = false};

        fixture_append_begin(f, &append, "t", entries, 3);
        assert_int_equal(fixture_append_end(f, &append), i == 0 ? 0 : TUSK_ETOOBIG);
    }
    assert_int_equal(fixture_info(f, "t").entries, 3);
}

/* A quota beyond the limit of all namespaces does not lift that limit; one below it has its own word. */
static void a_quota_lifts_no_limit(void **state)
{
    struct fixture *f = *state;

    f->options.topics_max = 2;
    fixture_open(f);
    fixture_set(f, ENGINE_SETTING_QUOTA_TOPICS, 5);
    assert_int_equal(fixture_try_append(f, "a", "1", false), 0);
    assert_int_equal(fixture_try_append(f, "b", "1", false), 0);
    assert_int_equal(fixture_try_append(f, "c", "1", false), TUSK_EBUSY);
    fixture_set(f, ENGINE_SETTING_QUOTA_TOPICS, 1);
    assert_int_equal(fixture_try_append(f, "c", "1", false), TUSK_EQUOTA);
}

/* An entry that is written and not durable, in schedule each: nobody is shown it, also not by its time. When the schedule changes to one
 * that shows what is written, who waits gets it at once. */
static void what_is_not_shown_yet_is_not_found(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"b", .size = 1};
    const struct engine_setting setting = {ENGINE_SETTING_FSYNC, ENGINE_FSYNC_NONE};
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};
    struct fixture_read read = {
        .request = {.position = ENGINE_AT_OFFSET, .value = 1, .wait_ms = 1000}};
    struct two_commands two;

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    fixture_pass(f, 50000);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_turn(f);
    fixture_turn(f);
    assert_false(append.finished);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, f->now.wall_us - 1000), TUSK_EEND);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), TUSK_EEND);
    fixture_read_begin(f, &read, "t");
    fixture_turn(f);
    assert_false(read.finished);
    submit_two(f, &two,
               (struct engine_command){
                   .kind = ENGINE_NAMESPACE_SET,
                   /* cppcheck-suppress danglingLifetime ; both end with the function */
                   .settings = &setting,
                   .settings_count = 1});
    fixture_turn(f);
    assert_true(read.finished);
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.from, 1);
    fixture_read_free(&read);
    sim_disk_set_pace(f->disk, 100);
    fixture_wait(f, &two.finished[1]);
    assert_int_equal(fixture_append_end(f, &append), 0);
}

/* Each reader waits as long as it said, and one that gives up is answered soon, whether it waits for entries or for the disk. */
static void every_reader_waits_its_own_time(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[3];
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    for (i = 0; i < 3; i++) {
        reads[i] = (struct fixture_read){
            .request = {.position = ENGINE_AT_OFFSET, .value = 1, .wait_ms = 30 - 10 * i}};
        fixture_read_begin(f, &reads[i], "t");
    }
    fixture_pass(f, 12000);
    assert_true(reads[2].finished && !reads[1].finished && !reads[0].finished);
    engine_read_cancel(&reads[0].request);
    fixture_turn(f);
    assert_true(reads[0].finished && !reads[1].finished);
    fixture_pass(f, 12000);
    assert_true(reads[1].finished);
    for (i = 0; i < 3; i++) {
        assert_int_equal(reads[i].request.base.status, TUSK_EEND); /* Nothing was there */
        fixture_read_free(&reads[i]);
    }
    fixture_kill(f); /* Nothing of it in memory */
    sim_disk_set_cold(f->disk, 100);
    sim_disk_set_pace(f->disk, 0);
    reads[0] = (struct fixture_read){.request = {.position = ENGINE_AT_OFFSET, .wait_ms = 1000}};
    fixture_read_begin(f, &reads[0], "t");
    engine_read_cancel(&reads[0].request);
    sim_disk_set_pace(f->disk, 100);
    fixture_wait(f, &reads[0].finished);
    assert_int_equal(reads[0].request.base.status, 0); /* With what it had */
    fixture_read_free(&reads[0]);
}

/* A reader that has the first batch already gets what follows it; alone, it need not be sent again. */
static void a_batch_that_is_held_is_not_sent_alone(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET}};
    bool finished = false;
    unsigned round;

    fixture_open(f);
    for (round = 0; round < 2; round++) {
        fixture_append_strings(f, "t", "a", NULL);
        read = (struct fixture_read){.request = {.position = ENGINE_AT_OFFSET}};
        fixture_read_begin(f, &read, "t");
        assert_int_equal(fixture_read_end(f, &read), 0);
        fixture_read_free(&read);
        {
            uint8_t room[1024];
            struct engine_read held = {.topic = {.name = "t", .name_size = 1},
                                       .position = ENGINE_AT_OFFSET,
                                       .max_bytes = 1000,
                                       .max_entries = 10,
                                       .held = 0,
                                       .room = fixed_room};

            held.base.done = mark_done;
            held.base.arg = &finished;
            fixed = room;
            finished = false;
            engine_now(f->engine, &f->now);
            engine_read(f->ns, &held);
            fixture_wait(f, &finished);
            assert_int_equal(held.base.status, 0);
            assert_int_equal(held.to, round + 1);
            assert_int_equal(held.data_size, round == 0 ? 0 : read.request.data_size);
        }
    }
}

/* A read of no bytes or of no entries could give nothing for ever. */
static void a_read_of_nothing_is_refused(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    for (i = 0; i < 2; i++) {
        bool finished = false;
        struct engine_read read = {.topic = {.name = "t", .name_size = 1},
                                   .position = ENGINE_AT_OFFSET,
                                   .max_bytes = i,
                                   .max_entries = 1 - i,
                                   .held = UINT64_MAX,
                                   .room = no_room};

        read.base.done = mark_done;
        read.base.arg = &finished;
        engine_now(f->engine, &f->now);
        engine_read(f->ns, &read);
        fixture_wait(f, &finished);
        assert_int_equal(read.base.status, TUSK_EINVALID);
    }
}

/* A sync promises what was submitted before it, and waits for no append that came later. */
static void a_sync_waits_for_what_came_before_it(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"b", .size = 1};
    struct fixture *f = *state;
    struct fixture_append appends[3] = {{.finished = false}};
    static const char *const topics[] = {"a", "b", "c"};
    struct two_commands syncs[3];
    unsigned i;

    f->options.inline_sync = false;
    fixture_open(f);
    sim_disk_set_pace(f->disk, 0);
    for (i = 0; i < 3; i++) {
        fixture_append_begin(f, &appends[i], topics[i], &entry, 1);
        submit_two(f, &syncs[i], (struct engine_command){.kind = ENGINE_SYNC});
        fixture_turn(f);
    }
    assert_false(syncs[0].finished[0]);
    sim_disk_set_pace(f->disk, 50);
    for (i = 0; i < 3; i++) {
        fixture_wait(f, &syncs[i].finished[0]);
        fixture_wait(f, &syncs[i].finished[1]);
        assert_int_equal(syncs[i].command[0].base.status, 0);
        assert_true(appends[i].finished);
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    fixture_power_cut(f);
    for (i = 0; i < 3; i++) {
        fixture_expect(f, topics[i], "b", NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(topics_beyond_the_limit_are_refused),
        FIXTURE_TEST(ids_of_topics_are_not_given_twice),
        FIXTURE_TEST(fields_of_the_daemon_are_not_taken_from_batches),
        FIXTURE_TEST(an_unknown_id_makes_no_topic),
        FIXTURE_TEST(settings_that_make_no_sense_are_refused),
        FIXTURE_TEST(reads_that_make_no_sense_are_refused),
        FIXTURE_TEST(a_reader_without_memory_loses_nothing),
        FIXTURE_TEST(a_time_to_come_is_the_end),
        FIXTURE_TEST(a_trim_asked_for_again_waits_for_the_first),
        FIXTURE_TEST(the_limit_of_entries_is_each_entrys),
        FIXTURE_TEST(a_quota_lifts_no_limit),
        FIXTURE_TEST(what_is_not_shown_yet_is_not_found),
        FIXTURE_TEST(every_reader_waits_its_own_time),
        FIXTURE_TEST(a_batch_that_is_held_is_not_sent_alone),
        FIXTURE_TEST(a_read_of_nothing_is_refused),
        FIXTURE_TEST(a_sync_waits_for_what_came_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
