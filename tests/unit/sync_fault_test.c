/* Several owners sync one segment file at the same time: the flusher for direct writes, manifests for applied tails,
 * reservations for their space. The kernel tells only one of them that pages are gone, and then takes them for
 * clean. Whichever sync it tells, nothing is acknowledged that is lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

enum { ROUNDS = 8, TOPICS = 6 };

struct sent {
    struct fixture_append append;
    char topic[4];
    uint8_t data[5000];
};

/* Direct appends to several topics at once, so that blocks are reserved in the segment that is being synced. */
static void send_round(struct fixture *f, struct sent *sent, unsigned round)
{
    unsigned i;

    for (i = 0; i < TOPICS; i++) {
        const struct batch_entry entry = {.data = sent[i].data, .size = sizeof sent[i].data};

        (void)snprintf(sent[i].topic, sizeof sent[i].topic, "t%u", i);
        memset(sent[i].data, (int)(16 * round + i), sizeof sent[i].data);
        fixture_append_begin(f, &sent[i].append, sent[i].topic, &entry, 1);
        fixture_turn(f);
    }
}

static void compare(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    const struct sent *sent = arg;

    assert_int_equal(offset, sent->append.request.first_offset);
    assert_int_equal(size, sizeof sent->data);
    assert_memory_equal(data, sent->data, size);
}

static void expect_stored(struct fixture *f, struct sent *sent)
{
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET,
                                            .value = sent->append.request.first_offset,
                                            .max_entries = 1}};

    if (sent->append.request.base.status != 0) {
        return;
    }
    fixture_read_begin(f, &read, sent->topic);
    if (fixture_read_end(f, &read) != 0) {
        fail_msg("acknowledged and lost: %s", read.request.base.error.text);
    }
    fixture_entries(&read.request, compare, sent);
    fixture_read_free(&read);
}

/* The nth sync fails and loses its pages. False: there are fewer. */
static bool lose_nth(uint64_t seed, uint64_t nth)
{
    struct fixture *f = fixture_new(seed);
    struct sent *sent = calloc(ROUNDS * TOPICS, sizeof *sent);
    unsigned round;
    unsigned i;
    bool fired;

    assert_non_null(sent);
    f->options.inline_sync = false;
    f->options.blocks_per_segment = 64;
    f->options.manifest_journal_bytes = 8u << 10;
    f->options.manifest_direct_bytes = 40000;
    sim_disk_set_pace(f->disk, 30);
    sim_disk_set_policy(f->disk, SIM_CUT_KEEP);
    fixture_open(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_ALLOCATE), nth, false,
                  nth % 2 == 0 ? EIO : ENOSPC, SIM_LOSE);
    for (round = 0; round < ROUNDS; round++) {
        send_round(f, sent + round * TOPICS, round);
    }
    for (i = 0; i < ROUNDS * TOPICS; i++) {
        (void)fixture_append_end(f, &sent[i].append);
    }
    fired = sim_disk_fired(f->disk) > 0;
    sim_disk_clear_faults(f->disk);
    fixture_power_cut(f);
    for (i = 0; i < ROUNDS * TOPICS; i++) {
        expect_stored(f, &sent[i]);
    }
    free(sent);
    fixture_free(f);
    return fired;
}

/* Each sync in turn, under several orders of completion. */
static void a_lost_page_is_never_acknowledged(void **state)
{
    uint64_t seed;
    uint64_t nth;

    (void)state;
    for (seed = 1; seed <= 12; seed++) {
        for (nth = 1; lose_nth(seed, nth); nth++) {
            assert_true(nth < 1000);
        }
        printf("seed %" PRIu64 ": %" PRIu64 " syncs\n", seed, nth);
        assert_true(nth > 10);
    }
}

/* ---- a manifest beside another sync ---- */

/* The first sync of a segment that comes while `armed` takes the error, and tells nobody until the end of the test. */
static struct {
    struct io_ops ops; /* The disk's, but for submit */
    const struct io_ops *disk_ops;
    struct fixture *f;
    struct io_file *segment;
    bool armed;
    bool taken;
} withheld;

static void submit_or_withhold(struct io *io, struct io_op *op)
{
    if (!withheld.armed || op->kind != IO_OP_SYNC || op->file != withheld.segment) {
        withheld.disk_ops->submit(io, op);
        return;
    }
    withheld.armed = false;
    withheld.taken = true;
    sim_disk_fail(withheld.f->disk, SIM_BIT(SIM_SYNC), 1, false, EIO, SIM_LOSE);
    assert_int_equal(io_sync(op->file, NULL, NULL), TUSK_EIO);
}

static void withhold_from(struct fixture *f)
{
    withheld.f = f;
    withheld.disk_ops = f->io->ops;
    withheld.ops = *f->io->ops;
    withheld.ops.submit = submit_or_withhold;
    withheld.armed = false;
    withheld.taken = false;
    withheld.segment = f->ns->space.segments[0]->file;
    f->io->ops = &withheld.ops;
}

/* A manifest says that block bytes are on the device, and lets go of the journal that has them. Its own sync of the segment
 * succeeds although a reservation's, still under way, was given the error of those bytes: then there is no manifest, and after
 * a power cut the journal has everything. */
static void a_manifest_waits_for_the_syncs_beside_its_own(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "a"};
    struct sent *beside = calloc(1, sizeof *beside);
    const struct batch_entry entry = {.data = beside->data, .size = 100};
    char before[IO_PATH_SIZE];
    char after[IO_PATH_SIZE];
    unsigned i;

    f->options.tail_apply_bytes = 256;
    f->options.manifest_journal_bytes = 8u << 10;
    f->options.blocks_per_segment = 16;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    assert_int_equal(fixture_log_append(f, &log, 1, 1000, true), 0);
    fixture_settle(f);
    withhold_from(f);
    assert_int_equal(fixture_log_append(f, &log, 1, 1000, true), 0); /* In its block, unsynced */
    withheld.armed = true;
    fixture_append_begin(f, &beside->append, "b", &entry, 1); /* Reserves a block beside it */
    for (i = 0; i < 100 && !withheld.taken; i++) {
        fixture_turn(f);
    }
    assert_true(withheld.taken);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", before);
    for (i = 0; i < 8; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 1000, true), 0); /* A manifest is due */
    }
    for (i = 0; i < 2000; i++) {
        fixture_turn(f);
    }
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", after);
    assert_string_equal(after, before);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    free(beside->append.batch);
    free(beside);
    fixture_open(f);
    fixture_log_check(f, &log, log.durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_manifest_waits_for_the_syncs_beside_its_own),
        cmocka_unit_test(a_lost_page_is_never_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
