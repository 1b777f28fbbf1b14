/* Reads that may be answered with a range: a part of a block that nobody has looked at. A reader
 * that checks what it gets has the same from them as without them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/unit/range_fixture.h"

#define LARGE_PADDED 6080u /* Of a batch of fixture_append_size(6000) */

/* ---- what is delivered ---- */

/* A reader is given the same batches with ranges as without, whatever the size of its reads,
 * while the engine that wrote them runs, after a clean stop and after a kill. */
static void a_drain_of_ranges_gives_what_a_checked_drain_gives(void **state)
{
    static const uint32_t sizes[] = {1, 3000, 7000, 15000, 1u << 20};
    struct fixture *f = *state;
    unsigned life;
    unsigned i;

    range_fill(f);
    for (life = 0; life < 3; life++) {
        unsigned ranges = 0;

        for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            ranges += range_compare_drains(f, sizes[i], 0);
            ranges += range_compare_drains(f, sizes[i], 1 + 3 * i);
        }
        assert_true(ranges > 10);
        assert_int_equal(fixture_stat(f, "range_reads"), ranges);
        range_expect_nothing_pinned(f);
        if (life == 0) {
            fixture_stop(f);
            fixture_open(f);
        } else {
            fixture_kill(f);
        }
    }
}

/* Offsets that were never given, as after a kill, are no obstacle: ranges begin and end in such gaps,
 * and hold what lies around them. */
static void a_range_goes_over_gaps(void **state)
{
    static const uint32_t sizes[] = {3000, 7000, 15000, 1u << 20};
    struct fixture *f = *state;
    unsigned gaps = 0;
    unsigned ranges = 0;
    unsigned i;

    range_fill(f);
    for (i = 0; i < 6; i++) {
        const uint64_t end = fixture_info(f, "t").end;

        fixture_kill(f);
        assert_int_equal(fixture_append_size(f, "t", 4500), 0);
        gaps += fixture_info(f, "t").end > end + 1;
        assert_int_equal(fixture_append_size(f, "t", 300), 0);
    }
    assert_true(gaps > 0);
    fixture_stop(f);
    fixture_open(f);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ranges += range_compare_drains(f, sizes[i], 0);
        ranges += range_compare_drains(f, sizes[i], 0); /* With what the first one has learned */
    }
    assert_true(ranges > 20);
}

/* A full block is given as one range, from its first batch to behind its last, also by an engine
 * that finds it. */
static void a_sealed_block_is_one_range(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    unsigned life;

    range_fill(f);
    for (life = 0; life < 2; life++) {
        assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
        assert_true(is_range(&read));
        assert_int_equal(read.request.from, 0);
        assert_int_equal(read.request.to % RANGE_PER_BATCH, 0);
        assert_int_equal(read.request.range.size,
                         read.request.to / RANGE_PER_BATCH * RANGE_BATCH_PADDED);
        assert_true(read.request.range.size + RANGE_BATCH_PADDED >
                    20u << 10); /* No other would fit */
        assert_int_equal(read.request.end, RANGE_PER_BATCH * RANGE_BATCHES);
        assert_int_equal(read.request.durable_end, RANGE_PER_BATCH * RANGE_BATCHES);
        range_end(&read);
        fixture_stop(f);
        fixture_open(f);
    }
}

/* The block that is written to is given as a range, up to what it holds by then, and goes on
 * growing behind it. */
static void the_active_block_is_a_range_up_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint8_t before[20u << 10];
    uint8_t after[20u << 10];
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 2; i++) { /* So large that they go straight to the block */
        assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    }
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    assert_int_equal(read.request.to, 2);
    range_copy(&read.request.range, before);
    assert_true(range_checks_out(f, &read.request, before));
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
    range_copy(&read.request.range, after);
    assert_memory_equal(before, after, read.request.range.size);
    range_end(&read);
    assert_int_equal(range_ask_unchecked(f, &read, 2), 0);
    assert_true(is_range(&read));
    assert_int_equal(read.request.to, 3);
    range_end(&read);
}

/* ---- limits ---- */

/* No range holds more bytes than the reader asked for, or than the engine gives at once. */
static void a_range_is_within_the_bytes_asked_for(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint32_t max;
    unsigned ranges = 0;

    range_store(f);
    for (max = 1; max < 20000; max += 333) {
        read = (struct fixture_read){.request = {.unchecked = true, .max_bytes = max}};
        assert_int_equal(range_ask(f, &read, 0), 0);
        assert_true(!is_range(&read) || read.request.range.size <= max);
        ranges += is_range(&read);
        range_end(&read);
    }
    assert_true(ranges > 10);
    fixture_stop(f);
    f->options.read_bytes_max = 5 * RANGE_BATCH_PADDED;
    fixture_open(f);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    assert_true(read.request.range.size <= 5 * RANGE_BATCH_PADDED);
    range_end(&read);
}

/* No range holds more entries than the reader asked for. */
static void a_range_is_within_the_entries_asked_for(void **state)
{
    struct fixture *f = *state;
    unsigned ranges = 0;
    uint32_t max;

    range_store(f);
    for (max = 1; max <= 2 * RANGE_PER_BATCH * RANGE_BATCHES; max++) {
        struct fixture_read read = {.request = {.unchecked = true, .max_entries = max}};

        assert_int_equal(range_ask(f, &read, 0), 0);
        assert_true(read.request.to - read.request.from <= max);
        ranges += is_range(&read);
        range_end(&read);
    }
    assert_true(ranges > 10);
}

/* Schedule each: what is in its block and not durable yet is not in a range either. */
static void a_range_ends_where_readers_do(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};
    const struct batch_entry entry = {.data = calloc(1, 6000), .size = 6000};
    struct fixture_read read;

    assert_non_null(entry.data);
    f->options.inline_sync = false;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_pass(f, 1000);
    assert_false(append.finished);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    assert_int_equal(read.request.to, 1);
    assert_int_equal(read.request.end, 1);
    assert_int_equal(read.request.range.size, LARGE_PADDED);
    range_end(&read);
    assert_int_equal(range_ask_unchecked(f, &read, 1), TUSK_EEND);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_int_equal(read.request.to, 2);
    range_end(&read);
    free((void *)(uintptr_t)entry.data);
}

/* What would be smaller than a range may be is copied; what is as large is not. */
static void a_range_is_as_large_as_it_has_to_be(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.unchecked = true, .max_entries = 1}};

    f->options.range_min = 2 * LARGE_PADDED;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(range_ask(f, &read, 0), 0);
    assert_false(is_range(&read));
    assert_non_null(read.request.data);
    range_end(&read);
    read = (struct fixture_read){.request = {.unchecked = true, .max_entries = 2}};
    assert_int_equal(range_ask(f, &read, 0), 0);
    assert_true(is_range(&read));
    assert_int_equal(read.request.range.size, 2 * LARGE_PADDED);
    range_end(&read);
    fixture_stop(f);
    f->options.range_min = 2 * LARGE_PADDED + 1;
    fixture_open(f);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    range_end(&read);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_false(is_range(&read));
    range_end(&read);
}

/* ---- reads that are never ranges ---- */

/* Nobody has looked at a range, so nothing that needs a look is one: a read that moves a cursor,
 * one by time, one that names a batch the reader has. One that does not ask for it is none
 * either. */
static void what_needs_a_look_is_never_a_range(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[] = {
        {.request = {.unchecked = true,
                     .position = ENGINE_AT_CURSOR,
                     .cursor = "c",
                     .cursor_size = 1,
                     .consume = true}},
        {.request = {.unchecked = true, .position = ENGINE_AT_TIME, .value = 1}},
        {.request = {.unchecked = true, .held = 1000000}},
        {.request = {.unchecked = false}},
    };
    struct fixture_read control = {
        .request = {
            .unchecked = true, .position = ENGINE_AT_CURSOR, .cursor = "none", .cursor_size = 4}};
    unsigned i;

    range_store(f);
    for (i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        assert_int_equal(range_ask(f, &reads[i], 0), 0);
        assert_false(is_range(&reads[i]));
        assert_non_null(reads[i].request.data);
        assert_int_equal(reads[i].request.from, 0);
        range_end(&reads[i]);
    }
    assert_int_equal(fixture_cursor(f, "t", "c"), reads[0].request.to);
    assert_int_equal(fixture_stat(f, "range_reads"), 0);
    assert_int_equal(range_ask(f, &control, 0), 0);
    assert_true(is_range(&control));
    range_end(&control);
}

/* A place inside a batch is no place where a range begins; what is delivered begins there all
 * the same. */
static void no_range_begins_inside_a_batch(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint64_t i;

    range_store(f);
    for (i = 1; i < RANGE_PER_BATCH * RANGE_BATCHES; i += RANGE_PER_BATCH) {
        assert_int_equal(range_ask_unchecked(f, &read, i), 0);
        assert_false(is_range(&read));
        assert_int_equal(read.request.from, i);
        range_end(&read);
    }
}

/* What is not in memory is not promised: it is read as ever, and delivered. */
static void nothing_cold_is_a_range(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    range_store(f);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0); /* Its index is known from here on */
    assert_true(is_range(&read));
    range_end(&read);
    sim_disk_set_cold(f->disk, 100);
    assert_int_equal(range_compare_drains(f, 0, 0), 0);
    sim_disk_set_cold(f->disk, 0);
    assert_true(range_compare_drains(f, 0, 0) > 0);
}

/* Who maps a range has the device's part in its own hands: it need not be in memory, and is the same
 * as when it is. Its place says where its first batch stands in which file. The simulated disk has
 * no file to open. */
static void a_range_to_be_mapped_may_be_cold(void **state)
{
    struct fixture *f = *state;
    struct fixture_read warm;
    struct fixture_read cold = {.request = {.unchecked = true, .mapped = true}};
    struct engine_place place;
    char path[IO_PATH_SIZE];
    int fd;

    range_store(f);
    assert_int_equal(range_ask_unchecked(f, &warm, 0), 0);
    assert_true(is_range(&warm));
    sim_disk_set_cold(f->disk, 100);
    assert_int_equal(range_ask(f, &cold, 0), 0);
    assert_true(is_range(&cold));
    assert_int_equal(cold.request.to, warm.request.to);
    assert_int_equal(cold.request.range.size, warm.request.range.size);
    assert_int_equal(cold.request.data_size, warm.request.data_size);
    engine_range_place(&cold.request.range, &place);
    assert_int_equal(place.block + cold.request.block_position, range_place(f, 0, path));
    assert_int_equal(place.block % f->options.block_size, 0);
    assert_true(place.block < place.segment_size);
    assert_int_equal(strtoull(strrchr(path, '/') + 1, NULL, 16), place.segment);
    assert_int_equal(engine_range_open(&cold.request.range, &fd), TUSK_EUNSUPPORTED);
    range_end(&cold);
    sim_disk_set_cold(f->disk, 0);
    range_end(&warm);
    range_expect_nothing_pinned(f);
}

/* ---- what is held ---- */

/* Append and trim so much that every free block is used, several times. */
static void use_all_blocks(struct fixture *f)
{
    unsigned i;

    for (i = 0; i < 40; i++) {
        assert_int_equal(fixture_append_size(f, "new", 16000), 0);
        assert_int_equal(fixture_trim(f, "new", fixture_info(f, "new").end - 1), 0);
    }
    fixture_settle(f);
}

/* A block stays as it is while a range of it is held, though its entries are given up and every
 * other block is used again; it is free when the range is released. */
static void a_held_block_is_used_again_only_after_its_release(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    range_fill(f);
    for (round = 0; round < 2; round++) { /* Trimmed, then deleted */
        struct fixture_read read;
        uint8_t before[32u << 10];
        uint8_t after[32u << 10];

        assert_int_equal(range_ask_unchecked(f, &read, fixture_info(f, "t").first), 0);
        assert_true(is_range(&read));
        range_copy(&read.request.range, before);
        if (round == 0) {
            assert_int_equal(fixture_trim(f, "t", read.request.to), 0);
        } else {
            assert_int_equal(fixture_delete(f, "t"), 0);
        }
        use_all_blocks(f);
        assert_int_equal(fixture_stat(f, "blocks_freeing"), 1);
        /* Nothing is synced or looked for meanwhile: it may be held for as long as a client likes */
        assert_false(space_is_freeing(&f->ns->space));
        range_copy(&read.request.range, after);
        assert_memory_equal(before, after, read.request.range.size);
        range_end(&read);
        assert_null(read.request.range.segment);
        assert_true(space_is_freeing(&f->ns->space));
        use_all_blocks(f);
        assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
    }
    range_expect_nothing_pinned(f);
}

/* As many readers may hold a block as there are: it is free when the last one has released it. */
static void a_block_is_held_by_each_of_its_ranges(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[3];
    unsigned i;

    range_fill(f);
    for (i = 0; i < 3; i++) {
        assert_int_equal(range_ask_unchecked(f, &reads[i], 0), 0);
        assert_true(is_range(&reads[i]));
    }
    assert_int_equal(fixture_trim(f, "t", reads[0].request.to), 0);
    for (i = 0; i < 3; i++) {
        use_all_blocks(f);
        assert_int_equal(fixture_stat(f, "blocks_freeing"), 1);
        range_end(&reads[i]);
    }
    use_all_blocks(f);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
}

/* ---- sending ---- */

struct receiver {
    uint8_t bytes[32u << 10];
    size_t size;
    int answer; /* Of the next send; > 0: this many bytes are taken at most */
};

static int receive(void *arg, int socket_fd, const void *data, size_t size)
{
    struct receiver *receiver = arg;
    const size_t taken = (size_t)receiver->answer < size ? (size_t)receiver->answer : size;

    assert_int_equal(socket_fd, 99);
    if (receiver->answer <= 0) {
        return receiver->answer;
    }
    assert_true(receiver->size + taken <= sizeof receiver->bytes);
    memcpy(receiver->bytes + receiver->size, data, taken);
    receiver->size += taken;
    return (int)taken;
}

/* A range is sent piece by piece as it stands, as far as the socket takes it; who is told that
 * it cannot be sent has lost nothing of it. */
static void a_range_is_sent_as_it_stands(void **state)
{
    struct fixture *f = *state;
    struct receiver *receiver = calloc(1, sizeof *receiver);
    struct fixture_read read;
    uint8_t data[32u << 10];
    size_t sent = 7;

    assert_non_null(receiver);
    range_store(f);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    range_copy(&read.request.range, data);
    assert_int_equal(engine_range_send(&read.request.range, 0, 99, &sent), TUSK_EUNSUPPORTED);
    sim_disk_set_send(f->disk, receive, receiver);
    receiver->answer = -EPIPE;
    assert_int_equal(engine_range_send(&read.request.range, 0, 99, &sent), TUSK_EUNREACHABLE);
    receiver->answer = -EAGAIN;
    assert_int_equal(engine_range_send(&read.request.range, 0, 99, &sent), TUSK_EBUSY);
    assert_int_equal(sent, 0);
    receiver->answer = 777;
    sim_disk_set_cold(f->disk, 100);
    assert_int_equal(engine_range_send(&read.request.range, 0, 99, &sent), TUSK_EBUSY);
    assert_int_equal(receiver->size, 0);
    sim_disk_set_cold(f->disk, 0);
    while (receiver->size < read.request.range.size) {
        const uint32_t from = (uint32_t)receiver->size;

        assert_int_equal(engine_range_send(&read.request.range, from, 99, &sent), 0);
        assert_true(sent > 0);
        assert_int_equal(receiver->size, from + sent);
    }
    assert_int_equal(receiver->size, read.request.range.size);
    assert_memory_equal(receiver->bytes, data, receiver->size);
    range_end(&read);
    sim_disk_set_send(f->disk, NULL, NULL);
    free(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RANGE_TEST(a_drain_of_ranges_gives_what_a_checked_drain_gives),
        RANGE_TEST(a_range_goes_over_gaps),
        RANGE_TEST(a_sealed_block_is_one_range),
        RANGE_TEST(the_active_block_is_a_range_up_to_its_end),
        RANGE_TEST(a_range_is_within_the_bytes_asked_for),
        RANGE_TEST(a_range_is_within_the_entries_asked_for),
        RANGE_TEST(a_range_ends_where_readers_do),
        RANGE_TEST(a_range_is_as_large_as_it_has_to_be),
        RANGE_TEST(what_needs_a_look_is_never_a_range),
        RANGE_TEST(no_range_begins_inside_a_batch),
        RANGE_TEST(nothing_cold_is_a_range),
        RANGE_TEST(a_range_to_be_mapped_may_be_cold),
        RANGE_TEST(a_held_block_is_used_again_only_after_its_release),
        RANGE_TEST(a_block_is_held_by_each_of_its_ranges),
        RANGE_TEST(a_range_is_sent_as_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
