/* Counters that begin around the powers of two: offsets, LSNs, numbers of segments, manifests, journal files, topics and opens.
 * A workload takes each across the boundary, through a kill, a power cut and a stop. At 2^64 offsets end, as a limit that is told,
 * and the format lets LSNs and numbers of files end at 2^63; no store lives to see that, and one that is made to may be
 * refused, but nothing else.
 *
 * Offsets begin where an option says. The others begin in a store that is written here by hand: a manifest without topics and
 * an empty journal file, as a store would have them that came so far. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/promise.h"

enum counter { OFFSET, LSN, SEGMENT, MANIFEST, JOURNAL, TOPIC, OPEN, COUNTERS };

static const char *const counter_names[COUNTERS] = {
    "offsets",       "LSNs",   "segment numbers",  "manifest numbers",
    "journal files", "topics", "ordinals of opens"};

static const unsigned powers[] = {16, 32, 63, 64};
#define POWERS (sizeof powers / sizeof powers[0])

#define BELOW 12 /* Of 2^64: so many steps before it and none behind */
#define JOURNAL_SIZE (32u << 10)

/* ---- a store that begins there ---- */

struct listing {
    char paths[32][IO_PATH_SIZE];
    unsigned count;
};

static void add_path(void *arg, const char *path, uint64_t size)
{
    struct listing *listing = arg;

    (void)size;
    if (strcmp(path, "LOCK") != 0) {
        assert_true(listing->count < 32);
        memcpy(listing->paths[listing->count++], path, strlen(path) + 1);
    }
}

static void write_file(struct io *io, const char *path, const void *data, size_t size,
                       uint64_t whole)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct io_file *file;
    struct error err;

    assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &err), 0);
    assert_int_equal(io_truncate(file, whole, &err), 0);
    assert_int_equal(io_write(file, &iov, 1, 0, &err), 0);
    io_close_file(file);
}

/* Write the manifest and the journal file anew, with the counter moved. */
static void rewrite(struct fixture *f, const char *newest, enum counter counter, uint64_t value)
{
    uint8_t page[FORMAT_PAGE];
    char path[IO_PATH_SIZE];
    struct format_manifest manifest;
    struct format_journal journal = {.generation = 77, .size = JOURNAL_SIZE};
    uint64_t size;
    uint8_t *data = sim_disk_file(f->disk, newest, &size);

    assert_int_equal(format_manifest_decode(&manifest, data), 0);
    manifest.lsn = counter == LSN ? value : 6400;
    manifest.mark = manifest.lsn;
    manifest.chain_crc = 0;
    manifest.number = counter == MANIFEST ? value : manifest.number;
    manifest.next_segment = counter == SEGMENT ? value : manifest.next_segment;
    manifest.next_topic_id = counter == TOPIC ? value : manifest.next_topic_id;
    manifest.incarnation_ordinal = counter == OPEN ? value : manifest.incarnation_ordinal;
    format_manifest_encode(data, &manifest);
    memcpy(journal.store_id, manifest.store_id, sizeof journal.store_id);
    journal.number = counter == JOURNAL ? value : 1000;
    journal.first_lsn = manifest.lsn;
    journal.mark = manifest.lsn;
    format_journal_encode(page, &journal);
    (void)snprintf(path, sizeof path, FIXTURE_DIR "/manifest-%016" PRIx64, manifest.number);
    write_file(f->io, path, data, FORMAT_PAGE + manifest.body_size,
               FORMAT_PAGE + manifest.body_size);
    (void)snprintf(path, sizeof path, FIXTURE_DIR "/journal/%016" PRIx64 ".jnl", journal.number);
    write_file(f->io, path, page, sizeof page, JOURNAL_SIZE);
    free(data);
}

static void begin_at(struct fixture *f, enum counter counter, uint64_t value)
{
    struct listing listing = {.count = 0};
    char newest[IO_PATH_SIZE];
    unsigned i;

    fixture_open(f);
    fixture_stop(f);
    assert_true(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", newest) >= 1);
    sim_disk_list(f->disk, add_path, &listing);
    assert_int_equal(io_sim_open(&f->io, f->disk), 0);
    for (i = 0; i < listing.count; i++) {
        char away[IO_PATH_SIZE];

        /* The manifest is read once more, under another name. */
        (void)snprintf(away, sizeof away, FIXTURE_DIR "/away");
        if (strcmp(listing.paths[i], newest) == 0) {
            assert_int_equal(io_rename(f->io, newest, away, &f->err), 0);
        } else {
            assert_int_equal(io_unlink(f->io, listing.paths[i], &f->err), 0);
        }
    }
    sim_disk_settle(f->disk);
    rewrite(f, FIXTURE_DIR "/away", counter, value);
    assert_int_equal(io_unlink(f->io, FIXTURE_DIR "/away", &f->err), 0);
    sim_disk_settle(f->disk);
    io_close(f->io);
    f->io = NULL;
}

/* ---- the workload ---- */

struct run {
    struct fixture *f;
    struct promise p;
    bool near_the_end; /* Of offsets, or ids of topics: what finds none left is refused */
    bool may_be_refused;
    uint64_t refused;
};

/* False: refused, where that is allowed. */
static bool open_again(struct run *run)
{
    fixture_close(run->f);
    if (!run->may_be_refused) {
        fixture_open(run->f);
        return true;
    }
    assert_int_equal(fixture_try_open(run->f), 0);
    if (!fixture_serves(run->f)) {
        assert_true(strlen(fixture_reason(run->f)) > 0);
        run->refused++;
        return false;
    }
    return true;
}

static void expect(struct run *run, int status)
{
    if (status != 0) {
        run->refused++;
        assert_true(run->near_the_end);
        assert_int_equal(status, TUSK_ETOOBIG); /* A limit, which the sentence names */
    }
}

static void append(struct run *run, unsigned topic, uint32_t count, uint32_t size)
{
    expect(run, promise_append(&run->p, run->f, topic, count, size, false));
}

/* Blocks, segments, journal files, manifests, runs of offsets, topics: some of each. */
static void work(struct run *run)
{
    unsigned i;

    for (i = 0; i < 8; i++) {
        append(run, 0, 2, 700);
        append(run, 1, 1, 6000);
        append(run, 2, 3, 50);
    }
    expect(run, promise_sync(&run->p, run->f));
    if (promise_end(run->f, 0) > 0) {
        expect(run, promise_checkpoint(&run->p, run->f, 0, promise_end(run->f, 0)));
        expect(run, promise_trim(&run->p, run->f, 0, promise_end(run->f, 0)));
    }
    if (promise_end(run->f, 2) > 0) {
        expect(run, promise_delete(&run->p, run->f, 2));
    }
    append(run, 2, 1, 100);
    fixture_pass(run->f, 20000);
    assert_true(fixture_serves(run->f));
    promise_told(&run->p, run->f);
    promise_check_running(&run->p, run->f);
}

static bool crash(struct run *run, bool power)
{
    if (power) {
        promise_told(&run->p, run->f);
        sim_disk_power_cut(run->f->disk);
    } else {
        sim_disk_process_crash(run->f->disk);
    }
    if (!open_again(run)) {
        return false;
    }
    promise_check(&run->p, run->f);
    return true;
}

static void live(struct run *run)
{
    if (!open_again(run)) {
        return;
    }
    work(run);
    if (!crash(run, false)) {
        return;
    }
    work(run);
    if (!crash(run, true)) {
        return;
    }
    assert_int_equal(promise_stop(&run->p, run->f), 0);
    if (open_again(run)) {
        promise_check(&run->p, run->f);
        work(run);
    }
}

static void run_case(struct exhaust *x, enum counter counter, uint64_t value, uint64_t fsync_ms,
                     bool near_the_end)
{
    struct run run = {.f = fixture_new(3),
                      .near_the_end = near_the_end && (counter == OFFSET || counter == TOPIC),
                      .may_be_refused = near_the_end && counter != OFFSET};
    unsigned i;

    promise_init(&run.p);
    sim_disk_set_policy(run.f->disk, SIM_CUT_DROP);
    run.f->options.settings.fsync_ms = fsync_ms;
    run.f->options.manifest_journal_bytes = 8u << 10;
    if (counter == OFFSET) {
        run.f->options.offset_start = value;
        for (i = 0; i < PROMISE_TOPICS; i++) {
            run.p.topics[i].base = run.p.topics[i].trimmed = run.p.topics[i].trim_asked = value;
        }
    } else {
        begin_at(run.f, counter, value);
    }
    live(&run);
    exhaust_count(x, 0, run.refused);
    fixture_free(run.f);
}

/* The power of two at which a counter ends. */
static unsigned end_power(enum counter counter)
{
    return counter == OFFSET || counter == OPEN ? 64 : 63;
}

static void run_unit(struct exhaust *x, uint64_t unit)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 1, ENGINE_FSYNC_NONE};
    const enum counter counter = (enum counter)(unit / POWERS);
    const unsigned end = end_power(counter);
    const unsigned power = powers[unit % POWERS] > end ? 62 : powers[unit % POWERS];
    const uint64_t step = counter == LSN ? FORMAT_RECORD_ALIGN : 1;
    const uint64_t at = power == 64 ? 0 : UINT64_C(1) << power;
    /* 2^64 - 1 is no offset. */
    const int last = power == end ? (counter == OFFSET ? -2 : -1) : 2;
    unsigned i;
    int k;

    for (k = power == end ? -BELOW : -2; k <= last; k++) {
        for (i = 0; i < 3; i++) {
            if (exhaust_case(x, "%s from 2^%u%+d%s, schedule %u", counter_names[counter], power, k,
                             step > 1 ? " records" : "", i)) {
                run_case(x, counter, at + (uint64_t)(int64_t)k * step, schedules[i], power == end);
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct exhaust_program program = {.name = "exhaust_limits",
                                            .unit = "counters around a power",
                                            .cases = "starts",
                                            .units = COUNTERS * POWERS,
                                            .seconds = 60,
                                            .counts = {"refusals at the end"},
                                            .run = run_unit};

    return exhaust_main(argc, argv, &program);
}
