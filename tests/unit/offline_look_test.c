/* What the offline tools look at, of a store in use, of one with an accepted loss, and of what is missing from it; and what salvage
 * keeps besides entries. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/bytes.h"
#include "tests/support/forged_journal.h"
#include "tests/support/offline_fixture.h"

#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

static void salvage(struct fixture *f, struct fixture *to, int status)
{
    struct said said;

    offline_salvage_disk(f, to, &said);
    if (said.status != status) {
        fail_msg("exit %d, wanted %d:\n%s", said.status, status, said.text);
    }
    said_free(&said);
    fixture_open(to);
}

/* A store in use is looked at as far as it stands still: sealed blocks are judged, what the daemon is still writing is not, and the daemon
 * notices nothing. */
static void a_store_in_use_is_judged_by_what_stands_still(void **state)
{
    struct fixture *f = *state;
    struct said said;
    unsigned i;

    f->options.manifest_journal_bytes = 6u << 10;
    fixture_open(f);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_append_size(f, "t", 900), 0);
        fixture_settle(f);
    }
    assert_true(fixture_stat(f, "manifests") >= 2);
    sim_disk_settle(f->disk); /* What is looked at is the device */
    offline_verify_live(f, &said);
    if (said.status != OFFLINE_DONE) {
        fail_msg("exit %d\n%s", said.status, said.text);
    }
    said_free(&said);
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_BLOCK_DATA + BATCH_HEADER_SIZE + 50));
    offline_verify_live(f, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "DAMAGE (entries) topic \"t\", offsets 0 to 0"));
    said_free(&said);
    assert_int_equal(fixture_append_size(f, "t", 900), 0);
}

/* A loss that a person has accepted is not found again each time somebody looks. */
static void an_accepted_loss_is_not_damage(void **state)
{
    struct fixture *f = *state;
    struct forged_tables tables;
    struct said said;
    unsigned round;

    forged_make_tables(f, &tables);
    forged_lose_the_cursor(f);
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    said_free(&said);
    fixture_open(f);
    f->options.accept_loss = NULL;
    fixture_append_strings(f, "u", "next", NULL);
    fixture_settle(f);
    for (round = 0; round < 2;
         round++) { /* The older manifest from before the loss, and behind it */
        if (round == 0) {
            fixture_close(f);
            sim_disk_settle(f->disk);
        } else {
            fixture_open(f);
            fixture_stop(f);
        }
        offline_verify_disk(f, OUT_TEXT, &said);
        if (said.status != OFFLINE_DONE) {
            fail_msg("round %u, exit %d\n%s", round, said.status, said.text);
        }
        said_free(&said);
    }
}

static void remove_journal_directory(struct fixture *f)
{
    struct io *io;

    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", "") > 0);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_remove_dir(io, FIXTURE_DIR "/journal", &f->err), 0);
    assert_int_equal(io_sync_dir(io, FIXTURE_DIR, &f->err), 0);
    io_close(io);
}

/* The directory of the journal is gone as a whole: tables and blocks are not, and after them the blocks alone. */
static void without_the_journals_directory_the_rest_is_there(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    fixture_open(f);
    fixture_append_strings(f, "t", "one", "two", NULL);
    fixture_stop(f);
    remove_journal_directory(f);
    for (round = 0; round < 2; round++) {
        struct fixture *to = fixture_new(70 + round);

        salvage(f, to, OFFLINE_DAMAGED);
        fixture_expect(to, "t", "one", "two", NULL);
        fixture_free(to);
        if (round == 0) {
            assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") > 0);
        }
    }
}

/* A journal header that fails is believed where the first record proves it; one that names no possible LSN, or has no record behind
 * it, is not, and nothing is read where it points. */
static void a_journal_header_is_believed_if_it_proves_itself(void **state)
{
    static const struct {
        unsigned at; /* A byte of the header to be changed */
        bool proves;
    } changes[] = {{100, true}, {20, true}, {71, false}, {56, false}, {64, false}};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture *f = fixture_new(72);
        struct fixture *to = fixture_new(73);
        struct said said;
        char path[IO_PATH_SIZE] = FIXTURE_DIR "/journal/0000000000000001.jnl";

        f->options.manifest_journal_bytes = 1u << 20;
        fixture_open(f);
        fixture_append_strings(f, "t", "one", "two", NULL);
        fixture_close(f);
        sim_disk_settle(f->disk);
        offline_remove(f, SEGMENT); /* So that only the journal has them */
        assert_true(sim_disk_exists(f->disk, path));
        sim_disk_flip_bit(f->disk, path, 8 * changes[i].at + 7);
        offline_salvage_disk(f, to, &said);
        assert_int_equal(said.status, OFFLINE_DAMAGED);
        assert_int_equal(said.counts.entries, changes[i].proves ? 2 : 0);
        said_free(&said);
        fixture_free(to);
        fixture_free(f);
    }
}

/* A store nobody has used yet is salvaged, too: its settings are there, and it takes appends. */
static void an_unused_store_comes_back(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(74);

    fixture_open(f);
    fixture_set(f, ENGINE_SETTING_QUOTA_TOPICS, 7);
    fixture_stop(f);
    salvage(f, to, OFFLINE_DONE);
    assert_int_equal(to->ns->settings.quota_topics, 7);
    fixture_append_strings(to, "t", "one", NULL);
    fixture_free(to);
}

static int command_cursor(struct fixture *f, enum engine_command_kind kind, const char *name)
{
    struct engine_command command = {.kind = kind,
                                     .topic = {.name = "t", .name_size = 1},
                                     .cursor = name,
                                     .cursor_size = strlen(name),
                                     .position = ENGINE_AT_EARLIEST};

    return fixture_command(f, &command);
}

/* A cursor was deleted: its id is not given to another one in the new store either, or a record of the old would mean the new. */
static void ids_of_deleted_cursors_are_not_given_again(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(75);
    uint64_t next;

    fixture_open(f);
    fixture_append_strings(f, "t", "one", NULL);
    assert_int_equal(command_cursor(f, ENGINE_CURSOR_CREATE, "kept"), 0);
    assert_int_equal(command_cursor(f, ENGINE_CURSOR_CREATE, "gone"), 0);
    assert_int_equal(command_cursor(f, ENGINE_CURSOR_DELETE, "gone"), 0);
    next = namespace_topic_by_id(f->ns, 1)->next_cursor_id;
    fixture_stop(f);
    salvage(f, to, OFFLINE_DONE);
    assert_int_equal(namespace_topic_by_id(to->ns, 1)->next_cursor_id, next);
    assert_int_equal(fixture_cursor(to, "t", "kept"), 0);
    assert_true(fixture_cursor(to, "t", "gone") == UINT64_MAX);
    fixture_free(to);
}

/* Hundreds of small batches that only the journal has, of topics one of which has none: all are there, and offsets go on behind them. */
static void many_batches_come_from_the_journal(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(76);
    struct engine_command create = {.kind = ENGINE_TOPIC_CREATE,
                                    .topic = {.name = "empty", .name_size = 5}};
    struct held then;
    struct held now;
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    assert_int_equal(fixture_command(f, &create), 0);
    for (i = 0; i < 400; i++) {
        assert_int_equal(fixture_append_size(f, i % 3 == 0 ? "u" : "t", 4), 0);
    }
    held_read(f, "t", &then);
    fixture_close(f);
    sim_disk_settle(f->disk);
    sim_disk_zero(f->disk, SEGMENT, 0, 4 * (32u << 10));
    salvage(f, to, OFFLINE_DONE);
    held_read(to, "t", &now);
    assert_int_equal(held_missing(&then, &now), 0);
    assert_true(fixture_info(to, "t").end >= fixture_info(to, "t").entries);
    assert_int_equal(fixture_info(to, "empty").entries, 0);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_store_in_use_is_judged_by_what_stands_still),
        FIXTURE_TEST(an_accepted_loss_is_not_damage),
        FIXTURE_TEST(without_the_journals_directory_the_rest_is_there),
        cmocka_unit_test(a_journal_header_is_believed_if_it_proves_itself),
        FIXTURE_TEST(an_unused_store_comes_back),
        FIXTURE_TEST(ids_of_deleted_cursors_are_not_given_again),
        FIXTURE_TEST(many_batches_come_from_the_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
