/* Disks that fail, or change their mind, while a tool works: what salvage carries is true and what
 * it does not carry is told, whatever one read says the second time; and a new store that could
 * not be written whole is no store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/damaged_store.h"
#include "tests/support/offline_fixture.h"

#define MARKER "here the disk changes its mind"
#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

/* ---- a disk that gives something else ---- */

/* From a read on, a byte near a marker reads differently. */
static struct {
    struct io_ops ops;
    const struct io_ops *real;
    unsigned reads;
    unsigned from;   /* The first read that is wrong; 0: none is */
    unsigned before; /* Which byte: so far before the marker */
    unsigned wrong;  /* Reads that gave the wrong byte */
} fickle;

static int read_fickle(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                       size_t *got, struct error *err)
{
    const int rc = fickle.real->read_direct(file, data, size, offset, got, err);
    uint8_t *at = rc == 0 ? memmem(data, *got, MARKER, strlen(MARKER)) : NULL;

    fickle.reads++;
    if (fickle.from != 0 && fickle.reads >= fickle.from && at != NULL &&
        at - data >= (long)fickle.before) {
        at[-(long)fickle.before] ^= 4;
        fickle.wrong++;
    }
    return rc;
}

static void make_fickle(struct io *io)
{
    fickle.real = io->ops;
    fickle.ops = *io->ops;
    fickle.ops.read_direct = read_fickle;
    fickle.reads = 0;
    fickle.wrong = 0;
    io->ops = &fickle.ops;
}

/* Salvage it; what comes back is true, and what is missing was told. Returns how many entries are
 * missing. */
static unsigned salvage_truly(struct fixture *f, const char *topic, const struct held *then,
                              struct said *said)
{
    struct fixture *to = fixture_new(40);
    struct held now;
    unsigned lost;

    offline_salvage_disk(f, to, said);
    if (said->status != OFFLINE_DONE && said->status != OFFLINE_DAMAGED) {
        fail_msg("read %u, byte %u: exit %d\n%s", fickle.from, fickle.before, said->status,
                 said->text);
    }
    fixture_open(to);
    held_read(to, topic, &now);
    lost = held_missing(then, &now);
    if (lost > 0 && (said->status == OFFLINE_DONE || said->counts.lost < lost)) {
        fail_msg("read %u, byte %u: %u entries lost\n%s", fickle.from, fickle.before, lost,
                 said->text);
    }
    held_free(&now);
    fixture_free(to);
    return lost;
}

/* A store whose entries only the journal has, in several files, so that each file is read again
 * for each topic. */
static struct fixture *store_in_its_journal(struct held *then)
{
    struct fixture *f = fixture_new(41);
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    for (i = 0; i < 12; i++) {
        assert_int_equal(fixture_append_size(f, "a", 3000), 0);
        (void)fixture_append_strings(f, "b", i == 1 ? MARKER : "nothing special", NULL);
    }
    held_read(f, "b", then);
    fixture_close(f);
    sim_disk_settle(f->disk);
    offline_remove(f, SEGMENT);
    return f;
}

/* A batch of the journal is looked at when the store is opened, and its bytes are read again when
 * it is carried. They are verified again: what they say the second time is damage of that batch,
 * not an entry nobody wrote, and not the end of the salvage. */
static void a_journal_that_changes_its_mind_costs_the_batch(void **state)
{
    struct fixture *f;
    struct held then;
    struct said said;
    unsigned costs = 0;
    unsigned reads = 1;

    (void)state;
    f = store_in_its_journal(&then);
    f->on_io = make_fickle;
    /* In the entry, in its length, in the batch's header, in the record's before it. */
    for (fickle.before = 0; fickle.before < 200; fickle.before += 13) {
        for (fickle.from = 1; fickle.from <= reads; fickle.from++) {
            const unsigned lost = salvage_truly(f, "b", &then, &said);

            /* Wrong from the first read on, it was never known; later, it is one batch. */
            costs += fickle.from > 1 && lost == 1 && said_has(&said, "not again");
            reads = fickle.reads;
            said_free(&said);
        }
    }
    assert_in_range(reads, 5, 1000);
    assert_true(costs > 0);
    held_free(&then);
    fixture_free(f);
}

/* A large batch is read in two pieces, its header with the one before. The header is verified again
 * with the body, so that offsets and sizes are those that its checksum covers. */
static void a_block_that_changes_its_mind_costs_the_batch(void **state)
{
    const size_t size = 700000;
    struct fixture *f = fixture_new(42);
    char *text = malloc(size + 1);
    struct held then;
    struct said said;
    unsigned reads = 1;
    unsigned costs = 0;

    (void)state;
    assert_non_null(text);
    memset(text, 'y', size);
    text[size] = '\0';
    memcpy(text, MARKER, strlen(MARKER));
    f->options.block_size = 4u << 20;
    f->options.journal_file_max = 8u << 20;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", (uint32_t)size), 0);
    (void)fixture_append_strings(f, "t", text, NULL);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    held_read(f, "t", &then);
    fixture_stop(f);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    f->on_io = make_fickle;
    for (fickle.before = 0; fickle.before < 72; fickle.before += 11) {
        for (fickle.from = 1; fickle.from <= reads; fickle.from++) {
            costs += salvage_truly(f, "t", &then, &said) == 1;
            reads = fickle.reads;
            said_free(&said);
        }
    }
    assert_in_range(reads, 5, 1000);
    assert_true(costs > 0);
    free(text);
    held_free(&then);
    fixture_free(f);
}

/* Each read of the device fails once: a page that could not be read is zeros to salvage, which tells
 * what it cost and goes on. */
static void a_read_that_fails_costs_no_more_than_it_held(void **state)
{
    struct fixture *f;
    struct held then;
    struct said said;
    uint64_t fired = 0;
    uint64_t nth;

    (void)state;
    f = store_in_its_journal(&then);
    fickle.from = 0;
    for (nth = 1; nth == 1 || fired == nth - 1; nth++) {
        sim_disk_fail(f->disk, SIM_BIT(SIM_READ_DIRECT), nth, false, EIO, SIM_FAIL);
        (void)salvage_truly(f, "b", &then, &said);
        fired = sim_disk_fired(f->disk);
        sim_disk_clear_faults(f->disk);
        said_free(&said);
    }
    assert_in_range(nth, 10, 1000);
    held_free(&then);
    fixture_free(f);
}

/* A store without tables: of topic "b" the journal has all, blocks have some, under heads of which none is left at the beginning. */
static struct fixture *store_without_tables(unsigned kind, struct held *then)
{
    struct fixture *f = fixture_new(46);
    struct io *io;
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    for (i = 0; i < 30; i++) {
        assert_int_equal(fixture_append_size(f, "b", 1500), 0);
    }
    held_read(f, "b", then);
    if (kind == 2) {
        fixture_stop(f);
    } else {
        fixture_close(f);
        sim_disk_settle(f->disk);
    }
    assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") > 0);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_make_dir(io, FIXTURE_DIR "/journal/notes", &f->err), 0);
    assert_int_equal(io_sync_dir(io, FIXTURE_DIR "/journal", &f->err), 0);
    io_close(io);
    sim_disk_zero(f->disk, SEGMENT, 0, kind == 0 ? 4 * 32768 : kind == 1 ? 8192 : 100);
    if (kind == 2) { /* Damage inside of blocks, and no journal */
        assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/0", ".jnl") > 0);
        sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_BLOCK_DATA + 2 * 1600));
        sim_disk_zero(f->disk, SEGMENT, 32768 + FORMAT_BLOCK_DATA + 4096, 8192);
    }
    return f;
}

/* An error that says nothing about the store, as want of memory in the kernel, is no damage: salvage fails with it, or says what it says
 * without. Never is less salvaged for it. */
static void an_error_that_is_no_damage_is_not_taken_for_it(void **state)
{
    unsigned kind;

    (void)state;
    for (kind = 0; kind < 3; kind++) {
        struct held then;
        struct fixture *f = store_without_tables(kind, &then);
        struct fixture *to = fixture_new(47);
        struct said whole;
        bool fired = true;
        uint64_t nth;

        offline_salvage_disk(f, to, &whole);
        assert_int_equal(whole.status, OFFLINE_DAMAGED);
        assert_true(whole.counts.entries > 0);
        fixture_free(to);
        for (nth = 1; fired; nth++) {
            const uint64_t before = sim_disk_fired(f->disk);
            struct said said;

            to = fixture_new(47);
            sim_disk_fail(f->disk, SIM_READS | SIM_BIT(SIM_SIZE), nth, false, ENOMEM, SIM_FAIL);
            offline_salvage_disk(f, to, &said);
            fired = sim_disk_fired(f->disk) > before;
            sim_disk_clear_faults(f->disk);
            if (said.status != OFFLINE_FAILED && strcmp(said.text, whole.text) != 0) {
                fail_msg("%u, operation %llu: exit %d\n%s", kind, (unsigned long long)nth,
                         said.status, said.text);
            }
            /* Without a block the sizes are the default ones, and writing takes long. */
            fired = fired && (kind != 0 || !said_has(&said, "write namespace"));
            said_free(&said);
            fixture_free(to);
        }
        assert_in_range(nth, 15, 1000);
        said_free(&whole);
        held_free(&then);
        fixture_free(f);
    }
}

/* ---- a new disk that fails ---- */

/* Each operation that writes the new store fails once, or finds no space: salvage says so, and
 * never that it is done. When it says that it is done, everything is there. */
static void a_store_that_could_not_be_written_is_no_store(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    struct damaged_store store;
    struct held then[DAMAGED_LOGS];
    unsigned refused = 0;
    unsigned e;

    (void)state;
    damaged_store_make(&store);
    for (e = 0; e < 2; e++) {
        bool fired = true;
        uint64_t nth;

        for (nth = 1; fired; nth++) {
            struct fixture *f = damaged_store_copy(&store);
            struct fixture *to = fixture_new(43);
            struct said said;
            struct held now;
            unsigned k;

            sim_disk_fail(to->disk, SIM_ALL, nth, false, errors[e], SIM_FAIL);
            offline_salvage_disk(f, to, &said);
            fired = sim_disk_fired(to->disk) > 0;
            sim_disk_clear_faults(to->disk);
            if (said.status != OFFLINE_DONE) {
                if (!fired ||
                    (said.status != OFFLINE_FAILED && (e == 0 || said.status != OFFLINE_FULL))) {
                    fail_msg("operation %llu: exit %d\n%s", (unsigned long long)nth, said.status,
                             said.text);
                }
                refused++;
            }
            fixture_open(f);
            for (k = 0; said.status == OFFLINE_DONE && k < DAMAGED_LOGS; k++) {
                if (k == 0) {
                    sim_disk_power_cut(to->disk);
                    fixture_open(to);
                }
                held_read(f, store.logs[k].topic, &then[k]);
                held_read(to, store.logs[k].topic, &now);
                assert_int_equal(held_missing(&then[k], &now), 0);
                held_free(&now);
                held_free(&then[k]);
            }
            said_free(&said);
            fixture_free(to);
            fixture_free(f);
        }
        assert_in_range(nth, 30, 3000);
    }
    assert_true(refused > 30);
    damaged_store_free(&store);
}

/* The same for a store of several segments, each of which has to be made, and one of batches that are written alone. */
static void larger_stores_are_whole_or_none(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned kind;

    (void)state;
    for (kind = 0; kind < 3; kind++) {
        struct fixture *f = fixture_new(44);
        struct held then;
        struct held now;
        bool fired = true;
        uint64_t nth;
        unsigned i;

        if (kind >= 2) {
            f->options.block_size = 4u << 20;
            f->options.journal_file_max = 8u << 20;
        }
        fixture_open(f);
        for (i = 0; i < (kind < 2 ? 9 : 3); i++) {
            assert_int_equal(fixture_append_size(f, "t", kind < 2 ? 12000 : (1u << 20) + i), 0);
        }
        held_read(f, "t", &then);
        fixture_stop(f);
        for (nth = 1; fired; nth++) {
            struct fixture *to = fixture_new(45);
            struct said said;

            sim_disk_fail(to->disk, SIM_CHANGES, nth, false, errors[kind % 2], SIM_FAIL_PARTLY);
            offline_salvage_disk(f, to, &said);
            fired = sim_disk_fired(to->disk) > 0;
            sim_disk_clear_faults(to->disk);
            assert_true(said.status == OFFLINE_DONE || fired);
            if (said.status == OFFLINE_DONE) {
                sim_disk_power_cut(to->disk);
                fixture_open(to);
                held_read(to, "t", &now);
                assert_int_equal(held_missing(&then, &now), 0);
                held_free(&now);
            }
            said_free(&said);
            fixture_free(to);
        }
        assert_in_range(nth, 30, 3000);
        held_free(&then);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_that_changes_its_mind_costs_the_batch),
        cmocka_unit_test(a_block_that_changes_its_mind_costs_the_batch),
        cmocka_unit_test(a_read_that_fails_costs_no_more_than_it_held),
        cmocka_unit_test(an_error_that_is_no_damage_is_not_taken_for_it),
        cmocka_unit_test(a_store_that_could_not_be_written_is_no_store),
        cmocka_unit_test(larger_stores_are_whole_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
