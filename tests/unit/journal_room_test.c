/* The journal's room: what is admitted fits, the last file is left to a stop, and what a turn holds back and what a file is given
 * are bounded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define TRIM_SIZE 16u /* The body of a trim */

/* A record that changes nothing and fills one unit of the journal. */
static void put_record(struct fixture *f)
{
    const struct format_record record = {.type = RECORD_TRIM, .field = {1, 0}};

    assert_int_equal(format_record_size(&record), FORMAT_RECORD_HEADER_SIZE + TRIM_SIZE);
    (void)journal_record(&f->ns->journal, &record);
}

/* No file can be made any more, none comes back, and what is there is used up by who may leave `reserve` files. */
static void use_up(struct fixture *f, unsigned reserve)
{
    const struct journal *journal = &f->ns->journal;

    while (journal_admits(journal, TRIM_SIZE, reserve) == 1) {
        put_record(f);
        fixture_turn(f);
    }
}

static void open_on_a_full_disk(struct fixture *f)
{
    f->options.manifest_journal_bytes = 400u << 10;
    f->options.manifest_idle_us = UINT64_C(1) << 40;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
}

/* Whoever is admitted leaves as many files as it was told to, whatever its record needs: it never begins one of them. */
static void what_is_admitted_leaves_the_reserve(void **state)
{
    struct fixture *f = *state;
    unsigned reserve;

    open_on_a_full_disk(f);
    for (reserve = JOURNAL_RESERVE; reserve >= JOURNAL_LAST; reserve--) {
        use_up(f, reserve);
        assert_int_equal(f->ns->journal.spare_count, reserve);
        assert_int_equal(journal_admits(&f->ns->journal, TRIM_SIZE, reserve), TUSK_ENOSPACE);
        assert_true(fixture_serves(f));
    }
}

/* When only the last file is left, and the one in use full, nothing but a stop begins it: no mark of an idle journal, and no position of a
 * lazy cursor. So the stop is clean, and the next start finds room. */
static void the_last_file_is_left_to_a_stop(void **state)
{
    struct fixture *f = *state;
    uint64_t end;

    f->options.settings.consistency = 1000;
    open_on_a_full_disk(f);
    fixture_append_strings(f, "t", "b", "c", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    use_up(f, JOURNAL_LAST);
    end = f->ns->journal.next_lsn;
    fixture_pass(f, 4 * FLUSHER_MARK_US);
    assert_true(f->ns->journal.next_lsn == end);
    assert_int_equal(f->ns->journal.spare_count, JOURNAL_LAST);
    assert_false(list_empty(&f->ns->unrecorded_cursors));
    fixture_stop(f);
    sim_disk_clear_faults(f->disk);
    fixture_open(f);
    assert_int_equal(f->findings, 0);
    assert_int_equal(fixture_cursor(f, "t", "c"), 0); /* Told again: at least once */
    fixture_expect(f, "t", "a", "b", "c", NULL);
}

/* What a turn has put is written before it comes to much more than four megabytes, or the ring would fill with what nobody has written. */
static void a_turn_holds_a_bounded_part_of_the_ring(void **state)
{
    const uint64_t held_max = 4u << 20;
    struct fixture *f = *state;
    const struct journal *journal;
    uint64_t begin;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.journal_file_min = 16u << 20;
    f->options.journal_file_max = 16u << 20;
    f->options.journal_size_max = 256u << 20;
    f->options.manifest_journal_bytes = 128u << 20;
    f->options.ring_size = 64u << 20;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    journal = &f->ns->journal;
    begin = journal->next_lsn;
    while (journal->next_lsn - begin < 2 * held_max) {
        put_record(f);
        assert_true(journal->span_bytes <= held_max + FORMAT_RECORD_ALIGN);
        assert_true(f->ns->ring.head - journal_unwritten_position(journal) <=
                    held_max + FORMAT_RECORD_ALIGN);
    }
    assert_true(journal->span_bytes < held_max);
    fixture_turn(f);
    assert_int_equal(journal->failure.code, 0);
    fixture_kill(f);
    fixture_expect(f, "t", "a", NULL);
}

/* Where the ring holds what no file has yet: from the record that is being built, or from where the next one comes. */
static void what_is_unwritten_begins_with_the_open_record(void **state)
{
    static const struct batch_entry entry = {.data = (const uint8_t *)"a", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};
    const struct journal *journal;
    uint64_t head;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    journal = &f->ns->journal;
    head = f->ns->ring.head;
    assert_true(head > 1);
    assert_true(journal_unwritten_position(journal) == head);
    fixture_append_begin(f, &append, "t", &entry, 1);
    assert_true(journal->open);
    assert_true(f->ns->ring.head > head);
    assert_true(journal_unwritten_position(journal) == head);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_true(journal_unwritten_position(journal) == f->ns->ring.head);
}

static uint64_t size_of_zeros(struct fixture *f, const char *path)
{
    uint64_t size;
    uint8_t *bytes = sim_disk_file(f->disk, path, &size);
    uint64_t i;

    for (i = 0; i < size; i++) {
        assert_int_equal(bytes[i], 0);
    }
    free(bytes);
    return size;
}

/* A file made while somebody waits is written from its beginning to its end, each byte once. */
static void a_file_is_zeroed_once(void **state)
{
    static const struct {
        uint64_t size;
        unsigned writes;
    } files[] = {{2 * JOURNAL_ZERO_STEP, 2}, {2 * JOURNAL_ZERO_STEP + FORMAT_PAGE, 3}};
    struct fixture *f = *state;
    struct journal *journal;
    unsigned i;

    fixture_open(f);
    journal = &f->ns->journal;
    for (i = 0; i < 2; i++) {
        const uint64_t writes = sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE));
        const unsigned spares = journal->spare_count;
        char path[IO_PATH_SIZE];

        journal_path(journal, path, journal->next_number);
        assert_int_equal(journal_make_spare(journal, files[i].size, &f->err), 0);
        assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE)) - writes,
                         files[i].writes);
        assert_int_equal(journal->spare_count, spares + 1);
        assert_int_equal(size_of_zeros(f, path), files[i].size);
    }
}

/* Files that take several steps to fill. */
static void open_with_large_files(struct fixture *f, uint64_t fsync_ms)
{
    f->options.settings.fsync_ms = fsync_ms;
    f->options.journal_file_min = 256u << 10;
    f->options.journal_file_max = 256u << 10;
    f->options.journal_size_max = 4u << 20;
    f->options.ring_size = 2u << 20;
    fixture_open(f);
}

/* One spare more comes behind an eighth of a file, another behind a half of it: not with the last record before. */
static void spares_come_behind_their_place(void **state)
{
    static const unsigned parts[] = {8, 2};
    struct fixture *f = *state;
    const struct journal *journal;
    unsigned i;

    open_with_large_files(f, ENGINE_FSYNC_NONE);
    fixture_append_strings(f, "t", "a", NULL);
    journal = &f->ns->journal;
    for (i = 0; i < 2; i++) {
        while (journal->next_lsn - journal->current->first_lsn <
               journal->current->size / parts[i]) {
            put_record(f);
        }
        fixture_settle(f);
        assert_int_equal(journal->spare_count, JOURNAL_RESERVE + i);
        put_record(f);
        fixture_settle(f);
        assert_int_equal(journal->spare_count, JOURNAL_RESERVE + i + 1);
    }
}

/* Appends may fill the journal behind the older manifest up to its limit, and not beyond; what makes room may. */
static void the_limit_of_the_journal_is_its_last_byte(void **state)
{
    struct fixture *f = *state;
    const struct journal *journal;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    journal = &f->ns->journal;
    f->ns->manifest.older_lsn = journal->next_lsn - f->options.journal_size_max;
    assert_int_equal(journal_admits(journal, TRIM_SIZE, JOURNAL_RESERVE), 1);
    f->ns->manifest.older_lsn--;
    assert_int_equal(journal_admits(journal, TRIM_SIZE, JOURNAL_RESERVE), 0);
    assert_int_equal(journal_admits(journal, TRIM_SIZE, JOURNAL_RESERVE_FREES), 1);
}

/* What preparing a spare has done to its file. */
struct preparation {
    unsigned writes;
    unsigned reservations;
    uint64_t zeroed;
};

static struct preparation prepare_a_spare(uint64_t fsync_ms)
{
    struct preparation seen = {0};
    struct fixture *f = fixture_new(1);
    const struct journal *journal;
    const struct journal_file *last;
    enum journal_step before = JOURNAL_IDLE;
    char path[IO_PATH_SIZE];
    unsigned spares;
    unsigned turns;

    open_with_large_files(f, fsync_ms);
    journal = &f->ns->journal;
    spares = journal->spare_count;
    while (journal->spare_count == spares && journal->step == JOURNAL_IDLE) {
        fixture_append_strings(f, "t", "a", NULL); /* An eighth of the file, and one more is made */
    }
    for (turns = 0; turns < 1000 && journal->spare_count == spares; turns++) {
        if (journal->op.kind == IO_OP_ALLOCATE && before != journal->step) {
            seen.reservations++;
        }
        if (journal->op.kind == IO_OP_WRITE && seen.zeroed <= journal->op.offset) {
            assert_true(seen.zeroed == journal->op.offset);
            seen.zeroed = journal->op.offset + journal->op.size;
            seen.writes++;
        }
        before = journal->step;
        fixture_turn(f);
    }
    assert_int_equal(journal->spare_count, spares + 1);
    for (last = journal->spares; last->next != NULL;) {
        last = last->next;
    }
    journal_path(journal, path, last->number);
    seen.zeroed = size_of_zeros(f, path);
    fixture_free(f);
    return seen;
}

/* Schedule each: a spare is written to its end, in order, so that a commit is one flush of space that was written before. In the others it is
 * reserved at once, and nothing is written twice. */
static void spares_are_zeroed_for_commits_and_reserved_else(void **state)
{
    const struct preparation each = prepare_a_spare(ENGINE_FSYNC_EACH);
    const struct preparation timed = prepare_a_spare(5);
    const struct preparation none = prepare_a_spare(ENGINE_FSYNC_NONE);

    (void)state;
    assert_int_equal(each.writes, 4);
    assert_int_equal(each.reservations, 0);
    assert_int_equal(timed.writes, 0);
    assert_int_equal(timed.reservations, 1);
    assert_int_equal(none.writes, 0);
    assert_int_equal(none.reservations, 1);
    assert_int_equal(each.zeroed, 256u << 10);
    assert_int_equal(timed.zeroed, 256u << 10);
    assert_int_equal(none.zeroed, 256u << 10);
}

/* A file is being prepared, and nothing else is under way: the operation of that step fails. */
static void fail_a_step(struct fixture *f, enum journal_step step, enum sim_kind kind, int error)
{
    const struct journal *journal = &f->ns->journal;
    unsigned turns;

    while (journal->step == JOURNAL_IDLE) {
        fixture_append_strings(f, "t", "a", NULL);
    }
    sim_disk_set_pace(f->disk, 100);
    for (turns = 0; turns < 100 && journal->step != step; turns++) {
        fixture_turn(f);
    }
    assert_int_equal(journal->step, step);
    assert_int_equal(f->io->in_flight, 1);
    sim_disk_fail(f->disk, SIM_BIT(kind), 1, false, error, SIM_FAIL);
    fixture_pass(f, 10000);
    assert_int_equal(sim_disk_fired(f->disk), 1);
}

/* Want of space, of descriptors or of memory is waited for where it leaves nothing in doubt, and a second later there is a file. Everything else
 * stops the namespace: what a failed operation has left behind is not known. */
static void a_step_that_fails_is_waited_for_or_fatal(void **state)
{
    static const struct {
        enum journal_step step;
        enum sim_kind kind;
        uint64_t fsync_ms;
        int error;
        bool waits;
    } cases[] = {
        {JOURNAL_CREATING, SIM_CREATE, ENGINE_FSYNC_EACH, ENOSPC, true},
        {JOURNAL_CREATING, SIM_CREATE, ENGINE_FSYNC_EACH, EMFILE, true},
        {JOURNAL_CREATING, SIM_CREATE, ENGINE_FSYNC_EACH, ENOMEM, true},
        {JOURNAL_CREATING, SIM_CREATE, ENGINE_FSYNC_EACH, EIO, false},
        {JOURNAL_CREATING, SIM_CREATE, ENGINE_FSYNC_EACH, EACCES, false},
        {JOURNAL_ZEROING, SIM_WRITE, ENGINE_FSYNC_EACH, ENOSPC, true},
        {JOURNAL_ZEROING, SIM_WRITE, ENGINE_FSYNC_EACH, EMFILE, false},
        {JOURNAL_ZEROING, SIM_WRITE, ENGINE_FSYNC_EACH, EIO, false},
        {JOURNAL_SYNCING, SIM_SYNC, ENGINE_FSYNC_EACH, ENOSPC, true},
        {JOURNAL_SYNCING, SIM_SYNC, ENGINE_FSYNC_EACH, EIO, false},
        {JOURNAL_SYNCING, SIM_ALLOCATE, ENGINE_FSYNC_NONE, ENOSPC, true},
        {JOURNAL_SYNCING, SIM_ALLOCATE, ENGINE_FSYNC_NONE, EIO, false},
        {JOURNAL_SYNCING_DIR, SIM_SYNC_DIR, ENGINE_FSYNC_EACH, ENOSPC, false},
        {JOURNAL_SYNCING_DIR, SIM_SYNC_DIR, ENGINE_FSYNC_EACH, EIO, false},
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new(1);
        const struct journal *journal;
        uint64_t unlinks;
        unsigned spares;

        open_with_large_files(f, cases[i].fsync_ms);
        journal = &f->ns->journal;
        spares = journal->spare_count;
        unlinks = sim_disk_operations(f->disk, SIM_BIT(SIM_UNLINK));
        fail_a_step(f, cases[i].step, cases[i].kind, cases[i].error);
        if (fixture_serves(f) != cases[i].waits) {
            fail_msg("step %d, %s: %s", (int)cases[i].step, strerror(cases[i].error),
                     fixture_reason(f));
        }
        if (cases[i].waits) {
            assert_true(journal->no_space);
            assert_int_equal(journal->spare_count, spares);
            assert_int_equal(journal->step, JOURNAL_IDLE);
            fixture_pass(f, 1100000);
            assert_false(journal->no_space);
            assert_int_equal(journal->spare_count, spares + 1);
            fixture_stop(f);
            fixture_open(f);
            assert_int_equal(f->findings, 0);
        } else {
            assert_non_null(strstr(fixture_reason(f), "prepare a journal file"));
            assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_UNLINK)), unlinks);
        }
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_is_admitted_leaves_the_reserve),
        FIXTURE_TEST(the_last_file_is_left_to_a_stop),
        FIXTURE_TEST(a_turn_holds_a_bounded_part_of_the_ring),
        FIXTURE_TEST(a_file_is_zeroed_once),
        cmocka_unit_test(spares_are_zeroed_for_commits_and_reserved_else),
        cmocka_unit_test(a_step_that_fails_is_waited_for_or_fatal),
        FIXTURE_TEST(what_is_unwritten_begins_with_the_open_record),
        FIXTURE_TEST(spares_come_behind_their_place),
        FIXTURE_TEST(the_limit_of_the_journal_is_its_last_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
