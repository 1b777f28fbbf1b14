/* Edges of the engine as a whole: reads while it stops, lists, namespaces that fail or are refused; and its
 * smallest parts. */
#include <errno.h>
#include <string.h>

#include "core/io_files.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

static void mark_done(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static uint8_t *no_room(struct engine_read *read, size_t used, size_t size)
{
    (void)read;
    (void)used;
    (void)size;
    return NULL;
}

struct again {
    struct fixture *f;
    struct engine_read first;
    struct engine_read second;
    bool finished;
};

static void read_again(struct engine_request *request)
{
    struct again *again = request->arg;

    again->second = again->first;
    again->second.base.done = mark_done;
    again->second.base.arg = &again->finished;
    engine_read(again->f->ns, &again->second);
}

/* Who waited for entries is told that the daemon stops, and whoever asks again while it does is told so, too: nobody is left. */
static void a_read_while_stopping_is_answered(void **state)
{
    struct fixture *f = *state;
    struct again again = {.f = f};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    again.first = (struct engine_read){.topic = {.name = "t", .name_size = 1},
                                       .position = ENGINE_AT_LATEST,
                                       .max_bytes = 10,
                                       .max_entries = 10,
                                       .wait_ms = 60000,
                                       .held = UINT64_MAX,
                                       .room = no_room};
    again.first.base.done = read_again;
    again.first.base.arg = &again;
    engine_now(f->engine, &f->now);
    engine_read(f->ns, &again.first);
    fixture_turn(f);
    assert_int_equal(engine_stop(f->engine, &f->now, &f->err), 0);
    assert_int_equal(again.first.base.status, TUSK_ECLOSED);
    assert_true(again.finished);
    assert_int_equal(again.second.base.status, TUSK_ECLOSED);
    fixture_close(f);
}

/* A list is of the topics there are, also when there are none, or fewer than before. */
static void lists_are_of_what_there_is(void **state)
{
    struct fixture *f = *state;
    struct engine_topic_info info;

    fixture_open(f);
    assert_int_equal(engine_topic_next(f->ns, NULL, 0, &info), 0);
    fixture_append_strings(f, "b", "1", NULL);
    fixture_append_strings(f, "a", "1", NULL);
    assert_int_equal(engine_topic_next(f->ns, NULL, 0, &info), 1);
    assert_memory_equal(info.name, "a", 1);
    assert_int_equal(fixture_delete(f, "a"), 0);
    assert_int_equal(engine_topic_next(f->ns, NULL, 0, &info), 1);
    assert_memory_equal(info.name, "b", 1);
    assert_int_equal(engine_topic_next(f->ns, "b", 1, &info), 0);
}

/* Two namespaces cannot be stopped cleanly: both are tried, and the first to fail is told. */
static void a_stop_goes_on_behind_a_failure(void **state)
{
    struct fixture *f = *state;
    struct namespace *own;
    struct error err;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    own = f->ns;
    assert_int_equal(engine_namespace_create(f->engine, "eu", 2, NULL, 0, &err), 0);
    fixture_append_strings(f, "t", "a", NULL);
    f->ns = engine_namespace_find(f->engine, "eu", 2);
    fixture_append_strings(f, "t", "a", NULL);
    sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), 1, true, EIO, SIM_LOSE);
    assert_int_equal(engine_stop(f->engine, &f->now, &err), TUSK_EIO);
    assert_int_not_equal(own->state, ENGINE_SERVING);
    assert_int_not_equal(f->ns->state, ENGINE_SERVING);
    assert_non_null(strstr(err.text, "stop namespace"));
    f->ns = own;
    fixture_close(f);
}

/* What an earlier delete left behind cannot be looked at: the next delete says so, and the namespace is still there. */
static void a_delete_that_cannot_sweep_deletes_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err;

    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "eu", 2, NULL, 0, &err), 0);
    sim_disk_fail(f->disk, SIM_BIT(SIM_LIST_DIR), 1, false, EIO, SIM_FAIL);
    assert_int_equal(engine_namespace_delete(f->engine, "eu", 2, &err), TUSK_EIO);
    assert_non_null(strstr(err.text, "delete namespace"));
    assert_non_null(engine_namespace_find(f->engine, "eu", 2));
    assert_int_equal(engine_namespace_delete(f->engine, "eu", 2, &err), 0);
}

/* ---- the end of a start ---- */

static void forget(void *arg, const char *name, const char *text)
{
    (void)arg;
    (void)name;
    (void)text;
}

/* A namespace that is refused asks for nothing and holds nobody up; nor does anything need to listen to what is found. */
static void a_refused_namespace_asks_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char path[IO_PATH_SIZE];
    unsigned round;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    while (fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) > 0) {
        struct io *io;

        assert_int_equal(io_sim_open(&io, f->disk), 0);
        assert_int_equal(io_unlink(io, path, &err), 0);
        assert_int_equal(io_sync_dir(io, FIXTURE_DIR, &err), 0);
        (void)io_make_dir(io, "ns/.removing", &err);
        (void)io_make_dir(io, "ns/no%namespace", &err);
        io_close(io);
    }
    for (round = 0; round < 2; round++) {
        f->options.finding = round == 0 ? forget : NULL;
        f->options.accept_loss = "another";
        assert_int_equal(fixture_try_open(f), 0);
        assert_false(fixture_serves(f));
        assert_false(engine_would_sync(f->engine));
        assert_false(engine_namespace_congested(f->ns));
        assert_false(engine_poll(f->engine, &f->now));
        assert_true(engine_deadline(f->engine) == UINT64_MAX);
        assert_int_equal(engine_stop(f->engine, &f->now, &err), 0);
        fixture_close(f);
    }
}

/* ---- small parts ---- */

/* Operations wait in queues that are put one behind the other: none is lost, none overtakes. */
static void queues_are_joined_in_order(void **state)
{
    struct io_op ops[4] = {{0}};
    struct disk_queue one = {0};
    struct disk_queue two = {0};
    unsigned i;

    (void)state;
    disk_queue_append(&one, &two);
    assert_int_equal(one.count, 0);
    disk_queue_push(&two, &ops[0]);
    disk_queue_append(&one, &two);
    assert_int_equal(one.count, 1);
    two = (struct disk_queue){0};
    for (i = 1; i < 4; i++) {
        disk_queue_push(&two, &ops[i]);
    }
    disk_queue_append(&one, &two);
    assert_int_equal(one.count, 4);
    for (i = 0; i < 4; i++) {
        assert_ptr_equal(disk_queue_pop(&one), &ops[i]);
    }
}

/* An error's code is what a program acts on, with or without somebody who reads the sentence. */
static void an_error_needs_nobody_to_read_it(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(error_set(NULL, TUSK_ENOMEM, "nobody reads %s", "this"), TUSK_ENOMEM);
    assert_int_equal(error_code_of(EACCES), TUSK_EDENIED);
    assert_int_equal(error_code_of(EPERM), TUSK_EDENIED);
    assert_int_equal(error_code_of(ENFILE), TUSK_EBUSY);
    assert_int_equal(error_code_of(EMFILE), TUSK_EBUSY);
    assert_int_equal(error_code_of(EDQUOT), TUSK_ENOSPACE);
    assert_int_equal(error_code_of(ENOENT), TUSK_ENOTFOUND);
    assert_int_equal(error_code_of(EEXIST), TUSK_EEXISTS);
    assert_int_equal(error_errno(&err, EACCES, "open %s", "x"), TUSK_EDENIED);
    assert_int_equal(error_wrap(&err, "read"), TUSK_EDENIED);
    assert_int_equal(error_wrap(NULL, "nobody reads this"), TUSK_EIO);
    assert_non_null(strstr(err.text, "read: open x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_read_while_stopping_is_answered),
        FIXTURE_TEST(lists_are_of_what_there_is),
        FIXTURE_TEST(a_stop_goes_on_behind_a_failure),
        FIXTURE_TEST(a_delete_that_cannot_sweep_deletes_nothing),
        FIXTURE_TEST(a_refused_namespace_asks_for_nothing),
        cmocka_unit_test(queues_are_joined_in_order),
        cmocka_unit_test(an_error_needs_nobody_to_read_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
