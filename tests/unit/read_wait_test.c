/* Reads that wait for entries, and reads by cursor that consume what they deliver. */
#include <string.h>

#include "tests/support/engine_fixture.h"

/* Begin a read that waits at the end of topic "t". */
static void wait_at_end(struct fixture *f, struct fixture_read *read, uint32_t wait_ms)
{
    *read = (struct fixture_read){.request = {.position = ENGINE_AT_LATEST, .wait_ms = wait_ms}};
    fixture_read_begin(f, read, "t");
    fixture_turn(f);
    assert_false(read->finished);
}

/* A read that waits at the end is answered by the append that follows, with just that. */
static void an_append_wakes_all_who_wait(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[3];
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    for (i = 0; i < 3; i++) {
        wait_at_end(f, &reads[i], 1000);
    }
    fixture_append_strings(f, "other", "x", NULL);
    fixture_pass(f, 10000);
    assert_false(reads[0].finished);
    fixture_append_strings(f, "t", "b", NULL);
    for (i = 0; i < 3; i++) {
        assert_int_equal(fixture_read_end(f, &reads[i]), 0);
        assert_int_equal(reads[i].request.from, 1);
        assert_int_equal(reads[i].request.to, 2);
        fixture_read_free(&reads[i]);
    }
}

/* Nobody waits longer than asked: then there is no entry, told with the end. */
static void a_wait_ends_at_its_time(void **state)
{
    struct fixture *f = *state;
    struct fixture_read soon;
    struct fixture_read late;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    wait_at_end(f, &late, 500);
    wait_at_end(f, &soon, 20);
    assert_true(engine_deadline(f->engine) <= f->now.mono_us + 20000);
    fixture_pass(f, 19000);
    assert_false(soon.finished);
    fixture_pass(f, 2000);
    assert_true(soon.finished);
    assert_int_equal(soon.request.base.status, TUSK_EEND);
    assert_int_equal(soon.request.base.detail_a, 1);
    assert_false(late.finished);
    assert_int_equal(fixture_read_end(f, &late), TUSK_EEND);
}

/* A read that is given up is answered in the next turn; one that was answered already is left alone. */
static void a_wait_can_be_given_up(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    wait_at_end(f, &read, 1000000);
    engine_read_cancel(&read.request);
    fixture_turn(f);
    fixture_turn(f);
    assert_true(read.finished);
    assert_true(read.request.base.status == TUSK_EEND || read.request.base.status == TUSK_ECLOSED);
    engine_read_cancel(&read.request);
}

/* A topic that goes away tells those who wait for it; a stop tells everybody. */
static void waits_end_with_topic_and_engine(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    wait_at_end(f, &read, 1000000);
    assert_int_equal(fixture_delete(f, "t"), 0);
    assert_int_equal(fixture_read_end(f, &read), TUSK_ENOTFOUND);
    fixture_append_strings(f, "t", "b", NULL);
    wait_at_end(f, &read, 1000000);
    assert_int_equal(engine_stop(f->engine, &f->now, &f->err), 0);
    assert_true(read.finished);
    assert_int_equal(read.request.base.status, TUSK_ECLOSED);
}

/* In schedule `each` a waiting reader is woken by durability, not by the write. */
static void in_each_a_wait_ends_with_durability(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"b", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {0};
    struct fixture_read read;

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    wait_at_end(f, &read, 1000000);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_pass(f, 2000);
    assert_false(read.finished);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.durable_end, 2);
    fixture_read_free(&read);
    assert_int_equal(fixture_append_end(f, &append), 0);
}

/* ---- by cursor ---- */

static int read_by_cursor(struct fixture *f, struct fixture_read *read, const char *cursor,
                          uint32_t max_entries, bool consume)
{
    *read = (struct fixture_read){.request = {.position = ENGINE_AT_CURSOR,
                                              .cursor = cursor,
                                              .cursor_size = strlen(cursor),
                                              .max_entries = max_entries,
                                              .consume = consume}};
    fixture_read_begin(f, read, "t");
    return fixture_read_end(f, read);
}

/* A peek moves nothing, and does not even make a cursor. A read that consumes moves the cursor behind exactly what
 * it delivered, durably before it is answered. */
static void only_a_consuming_read_moves_the_cursor(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", "d", NULL);
    assert_int_equal(read_by_cursor(f, &read, "c", 2, false), 0);
    assert_int_equal(read.request.to, 2);
    assert_int_equal(read.request.epoch, 0);
    fixture_read_free(&read);
    assert_int_equal(fixture_cursor(f, "t", "c"), UINT64_MAX);
    assert_int_equal(read_by_cursor(f, &read, "c", 3, true), 0);
    assert_int_equal(read.request.to, 3);
    assert_int_equal(read.request.epoch, 1);
    fixture_read_free(&read);
    fixture_power_cut(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 3);
    assert_int_equal(read_by_cursor(f, &read, "c", 3, true), 0);
    assert_int_equal(read.request.from, 3);
    fixture_read_free(&read);
    assert_int_equal(read_by_cursor(f, &read, "c", 3, true), TUSK_EEND);
    assert_int_equal(fixture_cursor(f, "t", "c"), 4);
}

/* Reading an empty topic, or its end, by cursor leaves the cursor where it is. */
static void reading_nothing_moves_nothing(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(read_by_cursor(f, &read, "c", 9, true), 0);
    fixture_read_free(&read);
    assert_int_equal(read_by_cursor(f, &read, "c", 9, true), TUSK_EEND);
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
    fixture_power_cut(f);
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(read_by_cursor(f, &read, "c", 9, true), 0);
    assert_int_equal(read.request.to - read.request.from, 1);
    fixture_read_free(&read);
}

/* A cursor whose entries were given up behind its back is told so, not moved silently. */
static void a_cursor_behind_the_first_kept_entry_is_told(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    assert_int_equal(fixture_trim(f, "t", 2), 0);
    assert_int_equal(read_by_cursor(f, &read, "c", 9, true), TUSK_ETRIMMED);
    assert_int_equal(read.request.base.detail_a, 2);
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
}

static void wait_to_consume(struct fixture *f, struct fixture_read *read)
{
    *read = (struct fixture_read){.request = {.position = ENGINE_AT_CURSOR,
                                              .cursor = "c",
                                              .cursor_size = 1,
                                              .max_entries = 1,
                                              .wait_ms = 1000,
                                              .consume = true}};
    fixture_read_begin(f, read, "t");
    fixture_turn(f);
}

/* Consumers that wait by one cursor share what comes: each entry is given to one of them. */
static void an_entry_is_consumed_once(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[2];
    uint64_t offset;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    for (i = 0; i < 2; i++) {
        wait_to_consume(f, &reads[i]);
        assert_false(reads[i].finished);
    }
    fixture_append_strings(f, "t", "b", NULL);
    fixture_pass(f, 10000);
    assert_true(reads[0].finished != reads[1].finished);
    offset = fixture_append_strings(f, "t", "c", NULL);
    for (i = 0; i < 2; i++) {
        assert_int_equal(fixture_read_end(f, &reads[i]), 0);
        assert_int_equal(reads[i].request.to, reads[i].request.from + 1);
        fixture_read_free(&reads[i]);
    }
    assert_int_not_equal(reads[0].request.from, reads[1].request.from);
    assert_int_equal(fixture_cursor(f, "t", "c"), offset + 1);
}

/* A seek while a consuming read is on its way: the read is refused as stale, and the cursor stays where the
 * seek put it. */
static void a_seek_beats_a_read_under_way(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_CURSOR,
                                            .cursor = "c",
                                            .cursor_size = 1,
                                            .consume = true,
                                            .wait_ms = 1000000}};
    struct engine_command seek = {.kind = ENGINE_SEEK,
                                  .topic = {.name = "t", .name_size = 1},
                                  .cursor = "c",
                                  .cursor_size = 1,
                                  .position = ENGINE_AT_OFFSET,
                                  .value = 0};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    fixture_read_begin(f, &read, "t");
    fixture_turn(f);
    assert_int_equal(fixture_command(f, &seek), 0);
    assert_int_equal(seek.epoch, 2);
    fixture_append_strings(f, "t", "c", NULL);
    assert_int_equal(fixture_read_end(f, &read), TUSK_ESTALE);
    assert_int_equal(read.request.base.detail_a, 0);
    assert_int_equal(read.request.base.detail_b, 2);
    fixture_read_free(&read);
    assert_int_equal(fixture_cursor(f, "t", "c"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(an_append_wakes_all_who_wait),
        FIXTURE_TEST(a_wait_ends_at_its_time),
        FIXTURE_TEST(a_wait_can_be_given_up),
        FIXTURE_TEST(waits_end_with_topic_and_engine),
        FIXTURE_TEST(in_each_a_wait_ends_with_durability),
        FIXTURE_TEST(only_a_consuming_read_moves_the_cursor),
        FIXTURE_TEST(an_entry_is_consumed_once),
        FIXTURE_TEST(reading_nothing_moves_nothing),
        FIXTURE_TEST(a_cursor_behind_the_first_kept_entry_is_told),
        FIXTURE_TEST(a_seek_beats_a_read_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
