/* What waits in memory to be written to its block: each write of it fails once, or finds no space, and whatever was acknowledged as
 * durable is in the journal, because nothing is forgotten there before it is in its block. */
#include <errno.h>
#include <stdlib.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define LOGS 3u

/* Many small batches of several topics, more than the ring holds, synced now and then; then a stop. Whether the fault was met. */
static bool run(uint64_t nth, bool lazy, int os_error)
{
    struct fixture *f = fixture_new(nth + 1);
    struct fixture_log logs[LOGS] = {{.topic = "a"}, {.topic = "b"}, {.topic = "c"}};
    struct error err;
    bool fired;
    unsigned i;

    f->options.settings.fsync_ms = lazy ? ENGINE_FSYNC_NONE : ENGINE_FSYNC_EACH;
    f->options.manifest_journal_bytes = 24u << 10;
    fixture_open(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), nth, false, os_error, SIM_FAIL_PARTLY);
    for (i = 0; i < 150 && fixture_serves(f); i++) {
        const uint32_t size = i % 40 == 39 ? 3000 : 16;

        if (fixture_log_append(f, &logs[i % 7 < 5 ? 0 : i % LOGS], 1, size, i % 50 == 49) == 0 &&
            i % 60 == 59 && fixture_serves(f)) {
            (void)fixture_log_sync(f, &logs[0]);
        }
    }
    if (fixture_serves(f)) {
        const int rc = engine_stop(f->engine, &f->now, &err);

        assert_true(rc == 0 || sim_disk_fired(f->disk) > 0);
    }
    fired = sim_disk_fired(f->disk) > 0;
    sim_disk_clear_faults(f->disk);
    fixture_close(f);
    fixture_open(f);
    for (i = 0; i < LOGS; i++) {
        if (logs[i].maybe > 0) {
            fixture_log_check(f, &logs[i], logs[i].durable);
            assert_int_equal(fixture_log_append(f, &logs[i], 1, 16, true), 0);
        }
    }
    fixture_free(f);
    return fired;
}

static void a_tail_that_cannot_be_written_is_not_lost(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned e;
    unsigned lazy;

    (void)state;
    for (e = 0; e < 2; e++) {
        for (lazy = 0; lazy < 2; lazy++) {
            uint64_t nth = 1;

            while (run(nth, lazy == 1, errors[e])) {
                nth++;
            }
            assert_in_range(nth, 20, 2000);
        }
    }
}

/* A tail of more pieces than one write takes is written in several: when one of them fails, nothing of it is taken for written. */
static void a_tail_of_many_pieces_is_all_or_nothing(void **state)
{
    uint64_t writes = 0;
    uint64_t nth = 0;
    unsigned i;

    (void)state;
    do {
        struct fixture *f = fixture_new(7);
        struct fixture_log log = {.topic = "a"};
        struct error err;
        int rc;

        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        f->options.block_size = 64u << 10;
        f->options.ring_size = 512u << 10;
        f->options.tail_apply_bytes = 64u << 10;
        fixture_open(f);
        for (i = 0; i < 560; i++) {
            assert_int_equal(fixture_log_append(f, &log, 1, 8, false), 0);
        }
        assert_int_equal(fixture_log_sync(f, &log), 0);
        sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), ++nth, false, EIO, SIM_FAIL_PARTLY);
        writes = sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE));
        rc = engine_stop(f->engine, &f->now, &err);
        writes = sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE)) - writes;
        assert_int_equal(rc, writes >= nth ? TUSK_EIO : 0);
        sim_disk_clear_faults(f->disk);
        fixture_power_cut(f);
        fixture_log_check(f, &log, log.durable);
        fixture_free(f);
    } while (writes >= nth);
    assert_in_range(nth, 4, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tail_that_cannot_be_written_is_not_lost),
        cmocka_unit_test(a_tail_of_many_pieces_is_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
