/* Retention: what a topic gives up by rule, and what it never does. */
#include <string.h>

#include "tests/support/engine_fixture.h"

/* Four full blocks of four entries each, and an active one. */
static void fill(struct fixture *f, const char *topic)
{
    unsigned i;

    for (i = 0; i < 17; i++) {
        fixture_pass(f, 1000);
        assert_int_equal(fixture_append_size(f, topic, 4900), 0);
    }
    assert_int_equal(fixture_info(f, topic).blocks, 5);
}

static void set_topic(struct fixture *f, const char *topic, uint64_t kind, uint16_t key,
                      uint64_t value)
{
    const struct engine_setting settings[] = {{1, kind}, {key, value}};
    struct engine_command set = {.kind = ENGINE_TOPIC_SET,
                                 .topic = {.name = topic, .name_size = strlen(topic)},
                                 .settings = settings,
                                 .settings_count = 2};

    assert_int_equal(fixture_command(f, &set), 0);
}

/* Long enough for retention to look once. */
static void look(struct fixture *f)
{
    fixture_pass(f, 1100000);
    fixture_settle(f);
}

/* By default nothing is ever given up, whatever was consumed and however old it is. */
static void the_default_keeps_everything(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t");
    assert_int_equal(fixture_checkpoint(f, "t", "c", 17), 0);
    look(f);
    f->now.wall_us += 3000000000;
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 0);
}

/* By consumption: blocks go behind the slowest cursor, whole ones only, and never without any cursor. */
static void consumed_blocks_go_behind_the_slowest_cursor(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t");
    fixture_set(f, 1, ENGINE_RETAIN_CONSUMED);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 0); /* No cursor: nobody has consumed */
    assert_int_equal(fixture_checkpoint(f, "t", "fast", 17), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "slow", 7), 0);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 4);
    assert_int_equal(fixture_info(f, "t").blocks, 4);
    assert_int_equal(fixture_checkpoint(f, "t", "slow", 16), 0);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 16); /* The active block stays */
    assert_int_equal(fixture_info(f, "t").blocks, 1);
    fixture_power_cut(f);
    assert_int_equal(fixture_info(f, "t").first, 16);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 16), 0);
}

/* Only durable cursors count: a checkpoint that a crash could still forget gives nothing up. */
static void a_cursor_that_is_not_durable_frees_nothing(void **state)
{
    struct fixture *f = *state;

    f->options.settings.consistency = 1000; /* At least once: recorded a second later */
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.settings.retention.kind = ENGINE_RETAIN_CONSUMED;
    f->options.manifest_idle_us = UINT64_MAX / 4;
    fixture_open(f);
    fill(f, "t");
    fixture_sync(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 12), 0);
    fixture_pass(f, 5000000); /* Recorded, written, not synced */
    assert_int_equal(fixture_cursor(f, "t", "c"), 12);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fixture_sync(f);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 12);
}

/* A seek back holds what lies behind it at once. */
static void a_seek_back_holds_what_it_needs(void **state)
{
    struct fixture *f = *state;
    struct engine_command seek = {.kind = ENGINE_SEEK,
                                  .topic = {.name = "t", .name_size = 1},
                                  .cursor = "c",
                                  .cursor_size = 1,
                                  .position = ENGINE_AT_OFFSET,
                                  .value = 5};

    fixture_open(f);
    fill(f, "t");
    assert_int_equal(fixture_checkpoint(f, "t", "c", 17), 0);
    assert_int_equal(fixture_command(f, &seek), 0);
    fixture_set(f, 1, ENGINE_RETAIN_CONSUMED);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 4);
    assert_int_equal(fixture_cursor(f, "t", "c"), 5);
}

/* By age: a block goes when its newest entry is old enough. */
static void old_blocks_go(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t");
    set_topic(f, "t", ENGINE_RETAIN_AGE, 2, 60000);
    look(f);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fixture_pass(f, 30000000);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fixture_pass(f, 32000000);
    assert_int_equal(fixture_info(f, "t").first, 16);
}

/* A wall clock that jumps does not make entries old: by age nothing goes until it is believed again, and the
 * alarm counts. */
static void a_clock_jump_deletes_nothing(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t");
    set_topic(f, "t", ENGINE_RETAIN_AGE, 2, 60000);
    look(f);
    f->now.wall_us += 365ull * 24 * 3600 * 1000000;
    fixture_pass(f, 20000000);
    assert_int_equal(fixture_info(f, "t").first, 0);
    assert_true(fixture_stat(f, "retention_alarms") > 0);
    f->now.wall_us -= 365ull * 24 * 3600 * 1000000; /* Set right again */
    fixture_pass(f, 10000000);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fixture_pass(f, 60000000);
    assert_int_equal(fixture_info(f, "t").first, 16);
}

/* By size: the oldest blocks go as long as the rest holds what is to be kept. */
static void a_topic_is_kept_to_its_size(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t");
    set_topic(f, "t", ENGINE_RETAIN_SIZE, 3, 3 * f->options.block_size);
    look(f);
    assert_int_equal(fixture_info(f, "t").blocks, 3);
    assert_int_equal(fixture_info(f, "t").first, 8);
    set_topic(f, "t", ENGINE_RETAIN_SIZE, 3, 0);
    look(f);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
    assert_int_equal(fixture_info(f, "t").end, 17);
}

/* A topic's own rule goes before the namespace's. */
static void a_topics_own_rule_goes_first(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "kept");
    fill(f, "t");
    set_topic(f, "kept", ENGINE_RETAIN_ALL, 3, 0);
    fixture_set(f, 1, ENGINE_RETAIN_SIZE);
    look(f);
    assert_int_equal(fixture_info(f, "kept").blocks, 5);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_default_keeps_everything),
        FIXTURE_TEST(consumed_blocks_go_behind_the_slowest_cursor),
        FIXTURE_TEST(a_cursor_that_is_not_durable_frees_nothing),
        FIXTURE_TEST(a_seek_back_holds_what_it_needs),
        FIXTURE_TEST(old_blocks_go),
        FIXTURE_TEST(a_clock_jump_deletes_nothing),
        FIXTURE_TEST(a_topic_is_kept_to_its_size),
        FIXTURE_TEST(a_topics_own_rule_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
