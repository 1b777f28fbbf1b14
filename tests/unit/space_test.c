/* Space: blocks are reserved before they are written, come back only when nothing could still need what they held,
 * and give their space back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

static void open_small(struct fixture *f, uint64_t fsync_ms)
{
    f->options.settings.fsync_ms = fsync_ms;
    fixture_open(f);
}

/* `count` entries of a quarter of a block each. */
static void grow(struct fixture *f, const char *topic, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        assert_int_equal(fixture_append_size(f, topic, 4900), 0);
    }
}

static unsigned segment_files(struct fixture *f)
{
    char path[IO_PATH_SIZE];

    return fixture_last_file(f, FIXTURE_DIR, ".seg", path);
}

/* A freed block is used again only when its free record is durable and a durable mark says so: until then a power cut
 * would bring its topic back. */
static void a_freed_block_waits_for_record_and_mark(void **state)
{
    struct fixture *f = *state;
    const struct flusher *flusher;
    uint64_t free_lsn;

    f->options.inline_sync = false;
    open_small(f, ENGINE_FSYNC_EACH);
    grow(f, "t", 8);
    fixture_settle(f);
    flusher = &f->ns->flusher;
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
    assert_int_equal(fixture_delete(f, "t"), 0);
    free_lsn = f->ns->space.free_lsn_max;
    while (fixture_stat(f, "blocks_freeing") > 0) {
        assert_int_equal(fixture_stat(f, "blocks_free") + fixture_stat(f, "blocks_used") +
                             fixture_stat(f, "blocks_freeing"),
                         4 * fixture_stat(f, "segments"));
        fixture_turn(f);
    }
    assert_true(flusher->marked >= free_lsn);
    assert_true(flusher->durable >= free_lsn);
}

/* What is freed gives its space back, whichever life of the daemon had taken it. */
static void space_comes_back_over_a_restart(void **state)
{
    struct fixture *f = *state;
    uint64_t before;
    unsigned i;

    open_small(f, ENGINE_FSYNC_EACH);
    for (i = 0; i < 40; i++) {
        grow(f, "t", 4);
        grow(f, "u", 4); /* So that no segment becomes empty as a whole */
    }
    fixture_stop(f);
    fixture_open(f);
    before = sim_disk_used(f->disk);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_pass(f, 5000000);
    assert_true(sim_disk_used(f->disk) < before - 25 * (32u << 10));
}

/* On a full disk free blocks keep their space, a few of them: a topic whose next block has found none takes one of those
 * instead, as soon as there is one. */
static void freed_space_is_used_on_a_full_disk(void **state)
{
    struct fixture *f = *state;

    open_small(f, ENGINE_FSYNC_EACH);
    grow(f, "t", 8);
    fixture_settle(f);
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk) + (256u << 10));
    while (fixture_append_size(f, "t", 4900) == 0) {
    }
    assert_int_equal(fixture_append_size(f, "t", 4900), TUSK_ENOSPACE);
    assert_int_equal(fixture_trim(f, "t", 8), 0);
    fixture_pass(f, 5000000);
    grow(f, "t", 4);
}

/* In schedule none too freed blocks come back by themselves: a sync is made for them now and then. */
static void freed_blocks_come_back_in_every_schedule(void **state)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 5, ENGINE_FSYNC_NONE};
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(i + 1);

        open_small(f, schedules[i]);
        grow(f, "t", 8);
        assert_int_equal(fixture_trim(f, "t", 8), 0);
        assert_true(fixture_stat(f, "blocks_freeing") > 0);
        grow(f, "u", 1);
        fixture_pass(f, 5000000);
        assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
        fixture_free(f);
    }
}

/* Where syncs are rare, a freed block does not wait for two of them: as soon as its record is durable, a mark says so, and is made durable. */
static void a_freed_block_waits_for_one_sync_only(void **state)
{
    static const uint64_t schedules[] = {60000, ENGINE_FSYNC_NONE};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(i + 1);

        open_small(f, schedules[i]);
        grow(f, "t", 8);
        fixture_sync(f);
        assert_int_equal(fixture_trim(f, "t", 8), 0); /* Durable */
        fixture_pass(f, 50000);
        assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
        fixture_free(f);
    }
}

/* In schedule none a rule of retention frees blocks that nobody waits for. That costs a sync now and then, not one at once. */
static void what_a_rule_frees_waits_for_a_sync_now_and_then(void **state)
{
    struct fixture *f = *state;
    static const struct engine_setting setting = {.key = 1, .value = ENGINE_RETAIN_CONSUMED};
    struct engine_command set = {.kind = ENGINE_TOPIC_SET,
                                 .topic = {.name = "t", .name_size = 1},
                                 .settings = &setting,
                                 .settings_count = 1};
    uint64_t syncs;
    unsigned turns;

    open_small(f, ENGINE_FSYNC_NONE);
    grow(f, "t", 8);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 8), 0);
    assert_int_equal(fixture_command(f, &set), 0);
    for (turns = 0; turns < 30000 && fixture_stat(f, "blocks_freeing") == 0; turns++) {
        fixture_turn(f);
    }
    assert_true(fixture_stat(f, "blocks_freeing") > 0);
    syncs = fixture_stat(f, "syncs");
    fixture_pass(f, FLUSHER_MARK_US / 2);
    assert_int_equal(fixture_stat(f, "syncs"), syncs);
    assert_true(fixture_stat(f, "blocks_freeing") > 0);
    fixture_pass(f, FLUSHER_MARK_US);
    assert_true(fixture_stat(f, "syncs") > syncs);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
}

/* While a read of a block is on its way, the block is not given to anybody, though its topic is deleted and that is
 * durable. In some of the orders of completion the read is last. */
static void a_block_that_is_read_stays(void **state)
{
    unsigned outlived = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 40; seed++) {
        struct fixture *f = fixture_new(seed);
        struct fixture_read read = {0};
        const struct slot *slot;

        f->options.inline_sync = false;
        open_small(f, ENGINE_FSYNC_EACH);
        grow(f, "t", 8);
        fixture_settle(f);
        sim_disk_set_cold(f->disk, 100);
        fixture_read_begin(f, &read, "t"); /* Submitted */
        slot = &f->ns->space.segments[0]->slots[0];
        assert_int_equal(slot->pins, 1);
        sim_disk_set_pace(f->disk, 10);
        assert_int_equal(fixture_delete(f, "t"), 0);
        while (slot->state != SLOT_FREE || !read.finished) {
            assert_false(slot->pins > 0 && slot->state == SLOT_FREE);
            outlived += slot->pins > 0 && slot->free_lsn <= f->ns->flusher.marked ? 1u : 0u;
            fixture_turn(f);
        }
        assert_true(read.request.base.status == 0 || read.request.base.status == TUSK_ENOTFOUND);
        fixture_read_free(&read);
        fixture_free(f);
    }
    assert_true(outlived > 0);
}

/* Segments that hold nothing any more are removed, and the space goes back to the file system. */
static void empty_segments_go(void **state)
{
    struct fixture *f = *state;
    uint64_t used;

    open_small(f, ENGINE_FSYNC_EACH);
    grow(f, "keep", 2);
    fixture_settle(f);
    used = sim_disk_used(f->disk);
    grow(f, "t", 100);
    assert_true(fixture_stat(f, "segments") >= 6);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_pass(f, 5000000);
    assert_true(fixture_stat(f, "segments") <= 3);
    sim_disk_settle(f->disk);
    assert_int_equal(segment_files(f), fixture_stat(f, "segments"));
    /* What stays: the pool of free blocks, and the journal. */
    assert_true(sim_disk_used(f->disk) < used + (SPACE_POOL + 1) * (32u << 10) + (256u << 10));
    assert_int_equal(fixture_try_read(f, "keep", ENGINE_AT_OFFSET, 1), 0);
}

/* New topics that come faster than segments are made find a whole segment of free blocks from then on; when nobody
 * wants them any more, they go back. */
static void a_burst_of_topics_has_a_segment_kept_ahead(void **state)
{
    enum { TOPICS = 12, BLOCKS = 8 };
    const struct batch_entry entry = {.data = (const uint8_t *)"text", .size = 4};
    struct fixture *f = *state;
    struct fixture_append appends[TOPICS] = {0};
    char names[TOPICS][8];
    unsigned i;

    f->options.blocks_per_segment = BLOCKS;
    open_small(f, ENGINE_FSYNC_EACH);
    assert_true(fixture_stat(f, "blocks_free") <= BLOCKS);
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%u", i);
        fixture_append_begin(f, &appends[i], names[i], &entry, 1);
    }
    for (i = 0; i < TOPICS; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    fixture_pass(f, 100000);
    assert_true(fixture_stat(f, "blocks_free") >= BLOCKS);
    for (i = 0; i < TOPICS; i++) {
        assert_int_equal(fixture_delete(f, names[i]), 0);
    }
    fixture_pass(f, 5000000);
    assert_true(fixture_stat(f, "blocks_free") < 2 * BLOCKS);
}

/* Greater than the number of any segment that topic "t" uses. */
static uint64_t numbers_used(struct fixture *f)
{
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    const struct topic *topic = namespace_topic(f->ns, &ref);
    uint64_t used = 0;
    uint32_t i;

    for (i = 0; topic != NULL && i < topic->block_count; i++) {
        if (topic->blocks[i].segment_number >= used) {
            used = topic->blocks[i].segment_number + 1;
        }
    }
    return used;
}

/* A segment that held something has its number for ever: the next one made has a greater one, whatever was
 * removed and however the engine ended. */
static void segment_numbers_are_never_reused(void **state)
{
    struct fixture *f = *state;
    uint64_t used = 0;
    unsigned i;

    open_small(f, ENGINE_FSYNC_EACH);
    for (i = 0; i < 9; i++) {
        const uint64_t before = used;

        grow(f, "t", 60);
        used = numbers_used(f) > used ? numbers_used(f) : used;
        assert_true(used >= before);
        assert_int_equal(fixture_delete(f, "t"), 0);
        fixture_pass(f, 3000000);
        assert_true(f->ns->space.next_segment >= used);
        if (i % 3 == 0) {
            fixture_power_cut(f);
        } else if (i % 3 == 1) {
            fixture_stop(f);
            fixture_open(f);
        }
        assert_true(f->ns->space.next_segment >= used);
    }
    assert_true(used > 15);
}

/* Blocks are reserved in steps, so that a small topic takes little, and always ahead of what is written. */
static void blocks_are_reserved_in_steps(void **state)
{
    struct fixture *f = *state;
    const struct slot *slot = NULL;
    uint32_t seen = 0;
    unsigned steps = 0;
    unsigned i;

    f->options.block_size = 4u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.journal_file_max = 1u << 20;
    open_small(f, 1);
    for (i = 0; i < 300; i++) {
        const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
        const struct block *block;

        assert_int_equal(fixture_append_size(f, "t", 10000), 0);
        block = topic_active(namespace_topic(f->ns, &ref));
        slot = &block->segment->slots[block->index];
        assert_true(block->end <= slot->reserved);
        if (slot->reserved != seen) {
            assert_true(slot->reserved == SPACE_STEP_FIRST || slot->reserved == SPACE_STEP_SECOND ||
                        slot->reserved == f->options.block_size);
            seen = slot->reserved;
            steps++;
        }
    }
    assert_int_equal(steps, 3);
}

/* Ten topics with one small entry each do not take ten blocks of space. */
static void small_topics_take_little_space(void **state)
{
    struct fixture *f = *state;
    uint64_t used;
    unsigned i;

    f->options.block_size = 4u << 20;
    open_small(f, ENGINE_FSYNC_EACH);
    fixture_append_strings(f, "a", "x", NULL);
    fixture_settle(f);
    used = sim_disk_used(f->disk);
    for (i = 0; i < 10; i++) {
        char name[] = "t0";

        name[1] = (char)('0' + i);
        fixture_append_strings(f, name, "x", NULL);
    }
    fixture_settle(f);
    assert_true(sim_disk_used(f->disk) - used <= 11 * SPACE_STEP_FIRST);
}

/* With no room for a new block the append is refused and nothing is stored; a smaller one that fits what is reserved
 * still is. When room comes, appends go on. */
static void a_failed_reservation_refuses_the_append(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    uint64_t end;
    unsigned i;

    open_small(f, ENGINE_FSYNC_EACH);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_ALLOCATE), 1, true, ENOSPC, SIM_FAIL);
    for (i = 0; i < 30 && status == 0; i++) {
        status = fixture_append_size(f, "t", 4900);
    }
    assert_int_equal(status, TUSK_ENOSPACE);
    assert_true(fixture_serves(f));
    end = fixture_info(f, "t").end;
    assert_int_equal(fixture_append_size(f, "t", 4900), TUSK_ENOSPACE);
    assert_int_equal(fixture_info(f, "t").end, end);
    assert_int_equal(fixture_try_append(f, "new", "x", false), TUSK_ENOSPACE);
    sim_disk_clear_faults(f->disk);
    fixture_pass(f, 2000000);
    assert_int_equal(fixture_append_size(f, "t", 4900), 0);
    assert_int_equal(fixture_try_append(f, "new", "x", false), 0);
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").end, end + 1);
}

/* A segment of the next number that is there already, whoever left it, costs a number and nothing else. */
static void a_leftover_segment_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    const uint64_t entries = 60;
    struct io_file *leftover;
    char path[IO_PATH_SIZE];
    struct io *io;
    uint64_t next;
    uint64_t i;

    fixture_open(f);
    fixture_settle(f);
    next = f->ns->space.next_segment;
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < 2; i++) {
        space_path(&f->ns->space, path, next + i);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &leftover, &f->err), 0);
        io_close_file(leftover);
    }
    for (i = 0; i < entries; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 3000, true), 0);
    }
    io_close(io);
    assert_true(fixture_serves(f));
    assert_true(f->ns->space.next_segment > next + 2);
    fixture_log_check(f, &log, entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_leftover_segment_is_passed_over),
        FIXTURE_TEST(a_freed_block_waits_for_record_and_mark),
        FIXTURE_TEST(space_comes_back_over_a_restart),
        FIXTURE_TEST(freed_space_is_used_on_a_full_disk),
        cmocka_unit_test(freed_blocks_come_back_in_every_schedule),
        cmocka_unit_test(a_block_that_is_read_stays),
        FIXTURE_TEST(empty_segments_go),
        FIXTURE_TEST(a_burst_of_topics_has_a_segment_kept_ahead),
        FIXTURE_TEST(segment_numbers_are_never_reused),
        FIXTURE_TEST(blocks_are_reserved_in_steps),
        FIXTURE_TEST(small_topics_take_little_space),
        FIXTURE_TEST(a_failed_reservation_refuses_the_append),
        cmocka_unit_test(a_freed_block_waits_for_one_sync_only),
        FIXTURE_TEST(what_a_rule_frees_waits_for_a_sync_now_and_then),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
