/* Stretches: what one topic gets in a turn goes to its block once, and the journal says where; after a crash it is there, or
 * the history ends before it. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

#define BATCHES 12u /* A record of a 32 KiB journal file holds as many */
#define ENTRY_SIZE 500u

/* Append entries of letters from `letter` on in one turn, to "t", or to "t" and "u" by turns. All acknowledged. */
static void append_some(struct fixture *f, unsigned count, bool two_topics, char letter)
{
    struct fixture_append appends[BATCHES];
    uint8_t data[ENTRY_SIZE];
    unsigned i;

    for (i = 0; i < count; i++) {
        struct batch_entry entry = {.data = data, .size = ENTRY_SIZE};

        memset(data, (int)(letter + (int)i), sizeof data);
        appends[i].request.durable = false;
        appends[i].request.no_create = false;
        fixture_append_begin(f, &appends[i], two_topics && i % 2 == 1 ? "u" : "t", &entry, 1);
    }
    for (i = 0; i < count; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
}

static void append_in_one_turn(struct fixture *f, bool two_topics)
{
    append_some(f, BATCHES, two_topics, 'a');
}

/* A topic whose first append has made its offsets and its space ready; schedule none. */
static void open_lazy(struct fixture *f)
{
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_append_strings(f, "u", "first", NULL);
    fixture_settle(f);
}

struct seen {
    unsigned count;
};

static void see(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct seen *seen = arg;

    (void)offset;
    if (seen->count > 0) {
        assert_int_equal(size, ENTRY_SIZE);
        assert_int_equal(data[0], 'a' + seen->count - 1);
        assert_int_equal(data[size - 1], data[0]);
    }
    seen->count++;
}

/* "t" holds "first" and the first `count` of the turn's entries. */
static void expect_entries(struct fixture *f, unsigned count)
{
    struct seen seen = {0};

    assert_int_equal(fixture_read_all(f, "t", 1u << 20, see, &seen), count + 1);
}

static unsigned records_of(const struct journal_image *image, uint16_t type)
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < image->record_count; i++) {
        count += image->records[i].header.type == type ? 1u : 0u;
    }
    return count;
}

static struct journal_image *crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    return journal_image_load(f->disk, FIXTURE_DIR);
}

/* Eight kilobytes of one topic in a turn: they are written to the block only, the journal gets a few hundred bytes. */
static void a_turn_of_one_topic_is_written_once(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    uint64_t before;

    open_lazy(f);
    before = fixture_stat(f, "journal_bytes");
    append_in_one_turn(f, false);
    assert_int_equal(fixture_stat(f, "direct_appends"), BATCHES);
    assert_true(fixture_stat(f, "journal_bytes") - before < 512);
    expect_entries(f, BATCHES);
    image = crash(f);
    assert_int_equal(records_of(image, RECORD_STRETCH), 1);
    journal_image_free(image);
}

/* The same bytes of two topics by turns stay in the journal: one write for all topics is what it is for. */
static void a_turn_of_several_topics_stays_in_the_journal(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;

    open_lazy(f);
    append_in_one_turn(f, true);
    assert_int_equal(fixture_stat(f, "direct_appends"), 0);
    image = crash(f);
    assert_int_equal(records_of(image, RECORD_STRETCH), 0);
    journal_image_free(image);
}

/* In schedule each a sync of the block costs more than a second write of the bytes: its own threshold decides. */
static void each_has_a_threshold_of_its_own(void **state)
{
    struct fixture *f = *state;

    f->options.direct_threshold_each = 16u << 10;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_settle(f);
    append_in_one_turn(f, false);
    assert_int_equal(fixture_stat(f, "direct_appends"), 0);
    expect_entries(f, BATCHES);
}

/* kill -9 loses nothing of it: the bytes are in the page cache, the record names them. */
static void a_stretch_survives_the_process(void **state)
{
    struct fixture *f = *state;
    uint64_t end;

    open_lazy(f);
    append_in_one_turn(f, false);
    end = fixture_info(f, "t").end;
    fixture_kill(f);
    expect_entries(f, BATCHES);
    assert_true(fixture_info(f, "t").end >= end);
    assert_int_equal(fixture_info(f, "t").entries, BATCHES + 1);
    append_in_one_turn(f, true); /* And it goes on behind it */
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").entries, BATCHES + 1 + BATCHES / 2);
}

/* A sync makes journal and block durable, both: a power cut behind it takes nothing. */
static void a_synced_stretch_survives_a_power_cut(void **state)
{
    struct fixture *f = *state;

    open_lazy(f);
    append_in_one_turn(f, false);
    fixture_sync(f);
    fixture_power_cut(f);
    expect_entries(f, BATCHES);
}

/* Whatever a power cut leaves of an unsynced stretch, of its record and of what came behind: a beginning of the history, whole
 * batches, and a second recovery finds the same. */
static void an_unsynced_stretch_is_there_or_not(void **state)
{
    enum { FEW = 2, SEEDS = 100 };
    unsigned there = 0;
    unsigned seed;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct fixture *f = fixture_new(seed);
        uint64_t entries;

        f->options.direct_threshold = 1024;
        open_lazy(f);
        fixture_sync(f);
        append_some(f, FEW, false, 'a');
        assert_int_equal(fixture_stat(f, "direct_appends"), FEW);
        fixture_append_strings(f, "u", "behind", NULL);
        fixture_power_cut(f);
        entries = fixture_info(f, "t").entries;
        assert_true(entries == 1 || entries == FEW + 1);
        expect_entries(f, (unsigned)entries - 1);
        if (entries == 1) {
            assert_int_equal(fixture_info(f, "u").entries, 1);
        }
        there += entries > 1 ? 1 : 0;
        fixture_power_cut(f);
        assert_int_equal(fixture_info(f, "t").entries, entries);
        fixture_free(f);
    }
    assert_in_range(there, 1, SEEDS - 1);
}

/* A bit in the block, behind the mark: the record does not count, and the history ends before it (R8). */
static void a_bad_byte_behind_the_mark_is_the_end(void **state)
{
    struct fixture *f = *state;
    const uint8_t letters[8] = "eeeeeeee";
    char path[IO_PATH_SIZE];
    uint64_t offset;

    open_lazy(f);
    append_in_one_turn(f, false);
    journal_image_free(crash(f));
    assert_true(fixture_find(f, ".seg", letters, sizeof letters, path, &offset));
    sim_disk_flip_bit(f->disk, path, 8 * (offset + 20));
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
    expect_entries(f, 0);
}

/* The same before the mark is damage of the block: that entry is refused, those around it are read (R9). */
static void a_bad_byte_before_the_mark_is_damage_of_one_batch(void **state)
{
    struct fixture *f = *state;
    const uint8_t letters[8] = "eeeeeeee";
    char path[IO_PATH_SIZE];
    uint64_t first;
    uint64_t offset;

    open_lazy(f);
    first = fixture_info(f, "t").end;
    append_in_one_turn(f, false);
    fixture_sync(f);
    fixture_append_strings(f, "u", "carries the mark", NULL);
    journal_image_free(crash(f));
    assert_true(fixture_find(f, ".seg", letters, sizeof letters, path, &offset));
    sim_disk_flip_bit(f->disk, path, 8 * (offset + 20));
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").entries, BATCHES + 1);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, first + 3), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, first + 4), TUSK_ECORRUPT);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, first + 5), 0);
}

/* A stretch that the history ended before leaves its batches in the block; the next life writes others in their place, with
 * the same generation and the same sizes. If the disk loses one of those writes, an old batch stands there that verifies by
 * itself. The chain shows that it is none of this stretch. */
static void a_batch_of_a_life_before_is_not_taken_for_one_of_this(void **state)
{
    enum { STORED = BATCH_HEADER_SIZE + 4 + ENTRY_SIZE };
    struct fixture *f = *state;
    const uint8_t letters[8] = "eeeeeeee";
    struct journal_image *image;
    const struct image_record *hit;
    uint8_t old[STORED];
    uint8_t *file;
    uint64_t size;
    char path[IO_PATH_SIZE];
    uint64_t offset;

    open_lazy(f);
    fixture_sync(f);
    append_in_one_turn(f, false);
    image = crash(f);
    hit = journal_image_last(image, RECORD_STRETCH, UINT64_MAX);
    sim_disk_flip_bit(f->disk, hit->file->path, 8 * (hit->offset + 9));
    journal_image_free(image);
    assert_true(fixture_find(f, ".seg", letters, sizeof letters, path, &offset));
    offset -= BATCH_HEADER_SIZE + 4;
    file = sim_disk_file(f->disk, path, &size);
    memcpy(old, file + offset, sizeof old);
    free(file);
    fixture_open(f);
    expect_entries(f, 0);
    append_some(f, BATCHES, false, 'A');
    assert_int_equal(fixture_stat(f, "direct_appends"), BATCHES);
    journal_image_free(crash(f));
    sim_disk_overwrite(f->disk, path, offset, old, sizeof old);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
    expect_entries(f, 0);
}

/* A stretch that only the page cache had when the process died is served by the next one, and a power cut after that takes nothing of it:
 * its block is synced before anything is served, also where nothing else of that block was touched. */
static void a_stretch_that_was_served_survives_a_cut(void **state)
{
    struct fixture *f = *state;

    open_lazy(f);
    fixture_stop(f);
    fixture_open(f); /* The manifest knows the block, and that it has its header */
    append_in_one_turn(f, false);
    assert_int_equal(fixture_stat(f, "direct_appends"), BATCHES);
    fixture_kill(f);
    expect_entries(f, BATCHES);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    expect_entries(f, BATCHES);
}

/* The time of a stretch is its topic's: behind a restart, with the clock set back, what comes next is not older. */
static void times_go_on_behind_a_stretch(void **state)
{
    struct fixture *f = *state;
    uint64_t last;

    open_lazy(f);
    fixture_pass(f, 1000000);
    append_in_one_turn(f, false);
    last = fixture_info(f, "t").last_time_us;
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").last_time_us, last);
    f->now.wall_us -= 3600000000;
    fixture_append_strings(f, "t", "later", NULL);
    assert_true(fixture_info(f, "t").last_time_us >= last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_turn_of_one_topic_is_written_once),
        FIXTURE_TEST(a_turn_of_several_topics_stays_in_the_journal),
        FIXTURE_TEST(each_has_a_threshold_of_its_own),
        FIXTURE_TEST(a_stretch_survives_the_process),
        FIXTURE_TEST(a_synced_stretch_survives_a_power_cut),
        FIXTURE_TEST(an_unsynced_stretch_is_there_or_not),
        FIXTURE_TEST(a_bad_byte_behind_the_mark_is_the_end),
        FIXTURE_TEST(a_bad_byte_before_the_mark_is_damage_of_one_batch),
        FIXTURE_TEST(a_batch_of_a_life_before_is_not_taken_for_one_of_this),
        FIXTURE_TEST(a_stretch_that_was_served_survives_a_cut),
        FIXTURE_TEST(times_go_on_behind_a_stretch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
