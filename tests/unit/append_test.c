/* Appends: what is stored, what is refused and why, and where entries get their places. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

/* A batch is stored whole and in order: its entries get consecutive offsets, the next batch those behind. */
static void entries_get_consecutive_offsets(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_append_strings(f, "orders", "one", "two", NULL), 0);
    assert_int_equal(fixture_append_strings(f, "orders", "three", NULL), 2);
    assert_int_equal(fixture_append_strings(f, "bills", "first", NULL), 0);
    fixture_expect(f, "orders", "one", "two", "three", NULL);
    fixture_expect(f, "bills", "first", NULL);
}

/* A crash in the middle of anything leaves whole batches only. Here: at each disk operation of a batch of many
 * entries, which is directly written in one half of the runs and goes through the journal in the other. */
static void a_batch_is_there_whole_or_not_at_all(void **state)
{
    unsigned cuts = 0;
    uint64_t nth;

    (void)state;
    for (nth = 1; nth < 60; nth++) {
        struct fixture *f = fixture_new(nth);
        struct fixture_log log = {.topic = "t"};
        const uint32_t size = nth % 2 == 0 ? 20 : 200;

        fixture_open(f);
        assert_int_equal(fixture_log_append(f, &log, 1, 30, true), 0);
        sim_disk_cut_at(f->disk, SIM_CHANGES, nth / 2 + 1, SIM_AMID);
        (void)fixture_log_append(f, &log, 50, size, true);
        cuts += sim_disk_is_down(f->disk) ? 1u : 0u;
        sim_disk_power_cut(f->disk);
        fixture_close(f);
        fixture_open(f);
        fixture_log_check(f, &log, log.durable);
        assert_true(log.acked == 1 || log.acked == 51);
        fixture_free(f);
    }
    assert_true(cuts > 3);
}

/* Every limit has an answer at it and behind it: the largest batch a block takes is stored, one byte more is
 * TOOBIG, and so is an entry over its own limit. */
static void a_batch_over_a_limit_is_too_big(void **state)
{
    struct fixture *f = *state;

    f->options.entry_size_max = 19000;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 19000), 0);
    assert_int_equal(fixture_append_size(f, "t", 19001), TUSK_ETOOBIG);
    fixture_stop(f);
    f->options.entry_size_max = 1u << 20;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", FIXTURE_BATCH_MAX - 4), 0);
    assert_int_equal(fixture_append_size(f, "t", FIXTURE_BATCH_MAX - 3), TUSK_ETOOBIG);
    fixture_stop(f);
    f->options.batch_size_max = 1000;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 996), 0);
    assert_int_equal(fixture_append_size(f, "t", 997), TUSK_ETOOBIG);
    assert_int_equal(fixture_info(f, "t").end, 3 + fixture_info(f, "t").first);
}

/* An empty entry is an entry. */
static void an_entry_may_be_empty(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "", "a", "", NULL);
    fixture_expect(f, "t", "", "a", "", NULL);
    fixture_stop(f);
    fixture_open(f);
    fixture_expect(f, "t", "", "a", "", NULL);
}

static int append_bytes(struct fixture *f, const uint8_t *batch, size_t size)
{
    struct fixture_append append = {0};
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    int status;

    /* Borrow the fixture's bookkeeping; the bytes are the test's. */
    fixture_append_begin(f, &append, "ok", &entry, 1);
    status = fixture_append_end(f, &append);
    assert_int_equal(status, 0);
    append.finished = false;
    append.request.topic = (struct engine_topic_ref){.name = "t", .name_size = 1};
    append.request.batch = batch;
    append.request.batch_size = size;
    engine_append(f->ns, &append.request);
    return fixture_append_end(f, &append);
}

static size_t one_entry(uint8_t bytes[128])
{
    const struct batch_entry entry = {.data = (const uint8_t *)"entry", .size = 5};

    batch_encode(bytes, &entry, 1);
    return batch_encoded_size(1, 5);
}

/* A batch that is not what it says is refused, and leaves nothing: damage is CORRUPT, what a newer producer
 * may mean is UNSUPPORTED, all else is INVALID. */
static void a_wrong_batch_is_refused_by_kind(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[128] = {0};
    struct batch_header header;
    const struct engine_topic_ref t = {.name = "t", .name_size = 1};
    struct engine_topic_info info;
    const size_t size = one_entry(bytes);

    fixture_open(f);
    assert_int_equal(append_bytes(f, bytes, size - 1), TUSK_EINVALID);
    assert_int_equal(append_bytes(f, bytes, size + 1), TUSK_EINVALID);
    assert_int_equal(append_bytes(f, bytes, 0), TUSK_EINVALID);
    bytes[size - 1] ^= 1;
    assert_int_equal(append_bytes(f, bytes, size), TUSK_ECORRUPT);
    (void)one_entry(bytes);
    bytes[8] = 1; /* First offset: the daemon's */
    assert_int_equal(append_bytes(f, bytes, size), TUSK_EINVALID);
    (void)one_entry(bytes);
    batch_header_decode(&header, bytes);
    header.producer_id = 7;
    batch_header_encode(bytes, &header);
    header.body_crc = batch_body_crc(bytes, header.stored_size);
    batch_header_encode(bytes, &header);
    assert_int_equal(append_bytes(f, bytes, size), TUSK_EUNSUPPORTED);
    (void)one_entry(bytes);
    bytes[3] = BATCH_CODEC_ZSTD;
    assert_int_equal(append_bytes(f, bytes, size), TUSK_EUNSUPPORTED);
    (void)one_entry(bytes);
    bytes[2] = 2; /* Version */
    assert_int_equal(append_bytes(f, bytes, size), TUSK_EUNSUPPORTED);
    (void)one_entry(bytes);
    bytes[62] = BATCH_FLAG_KEYS >> 16;
    assert_int_equal(append_bytes(f, bytes, size), TUSK_EUNSUPPORTED);
    assert_int_equal(engine_topic_info(f->ns, &t, &info, &f->err), TUSK_ENOTFOUND);
}

/* A refused append creates no topic, and an append may ask that none be created. */
static void no_create_makes_no_topic(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {.request.no_create = true};
    char long_name[258];

    fixture_open(f);
    fixture_append_begin(f, &append, "t", &entry, 1);
    assert_int_equal(fixture_append_end(f, &append), TUSK_ENOTFOUND);
    assert_int_equal(fixture_stat(f, "topics"), 0);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_append_begin(f, &append, "t", &entry, 1);
    assert_int_equal(fixture_append_end(f, &append), 0);
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = '\0';
    assert_int_equal(fixture_try_append(f, long_name, "x", false), TUSK_EINVALID);
    assert_int_equal(fixture_try_append(f, "", "x", false), TUSK_EINVALID);
    long_name[255] = '\0';
    assert_int_equal(fixture_try_append(f, long_name, "x", false), 0);
    fixture_expect(f, long_name, "x", NULL);
}

/* A namespace's quotas of topics and bytes are kept exactly; raising one lets appends go on. */
static void quotas_are_kept(void **state)
{
    struct fixture *f = *state;
    unsigned stored = 0;
    int status;

    fixture_open(f);
    fixture_set(f, 19, 2);
    fixture_append_strings(f, "a", "x", NULL);
    fixture_append_strings(f, "b", "x", NULL);
    assert_int_equal(fixture_try_append(f, "c", "x", false), TUSK_EQUOTA);
    fixture_set(f, 19, 3);
    fixture_append_strings(f, "c", "x", NULL);
    fixture_set(f, 18, 5 * f->options.block_size);
    do {
        status = fixture_append_size(f, "a", 8000);
        stored += status == 0 ? 1u : 0u;
    } while (status == 0 && stored < 100);
    assert_int_equal(status, TUSK_EQUOTA);
    assert_true(fixture_stat(f, "blocks_used") <= 5);
    assert_true(stored >= 4);
    assert_int_equal(fixture_info(f, "a").end, stored + 1);
    fixture_set(f, 18, 0);
    assert_int_equal(fixture_append_size(f, "a", 8000), 0);
}

/* Appends of one topic that have to wait (for offsets, for space) are stored in the order submitted, whatever
 * comes between them. */
static void waiting_appends_keep_their_order(void **state)
{
    enum { COUNT = 40 };
    struct fixture *f = *state;
    struct fixture_append appends[COUNT] = {0};
    unsigned i;

    sim_disk_set_pace(f->disk, 10);
    fixture_open(f);
    for (i = 0; i < COUNT; i++) {
        uint8_t data[1200];
        const struct batch_entry entry = {.data = data, .size = sizeof data};

        memset(data, (int)i, sizeof data);
        fixture_append_begin(f, &appends[i], i % 4 == 3 ? "other" : "t", &entry, 1);
        if (i % 8 == 0) {
            fixture_turn(f);
        }
    }
    assert_true(fixture_stat(f, "waiting_appends") > 0);
    for (i = 0; i < COUNT; i++) {
        const uint64_t offset = i % 4 == 3 ? i / 4 : i - (i + 1) / 4;

        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
        assert_int_equal(appends[i].request.first_offset, offset);
    }
}

/* What waits is bounded: past the limit an append is told to come back, and is not stored. */
static void waiting_appends_are_bounded(void **state)
{
    enum { COUNT = 20 };
    struct fixture *f = *state;
    struct fixture_append appends[COUNT] = {0};
    unsigned busy = 0;
    unsigned i;

    f->options.waiting_bytes_max = 10000;
    fixture_open(f);
    for (i = 0; i < COUNT; i++) {
        uint8_t data[1000] = {0};
        const struct batch_entry entry = {.data = data, .size = sizeof data};

        fixture_append_begin(f, &appends[i], "t", &entry, 1); /* A new topic waits for its run */
    }
    for (i = 0; i < COUNT; i++) {
        const int status = fixture_append_end(f, &appends[i]);

        assert_true(status == 0 || status == TUSK_EBUSY);
        busy += status == 0 ? 0u : 1u;
    }
    assert_int_equal(busy, COUNT - 9); /* Nine of 1,068 bytes fit */
    assert_int_equal(fixture_info(f, "t").end, 9);
}

/* Whatever a power cut takes, an offset that was given once is never given again, and what is appended
 * afterwards lies behind everything that was. */
static void offsets_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    uint64_t before;
    unsigned round;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    for (round = 0; round < 6; round++) {
        unsigned i;

        for (i = 0; i < 30; i++) {
            /* fixture_log_append() fails on an offset that was seen before. */
            assert_int_equal(fixture_log_append(f, &log, 3, 50, false), 0);
        }
        if (round % 2 == 0) {
            assert_int_equal(fixture_log_sync(f, &log), 0);
            assert_int_equal(fixture_log_append(f, &log, 3, 50, false), 0);
        }
        before = log.offset;
        fixture_power_cut(f);
        fixture_log_check(f, &log, log.durable);
        assert_true(log.offset >= before);
    }
}

/* A run is extended ahead of need, and used only when that is durable: with the journal never synced for the appends
 * themselves, and all of it lost, what comes next lies behind every offset that was given. */
static void a_run_is_used_only_when_it_is_durable(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.manifest_journal_bytes = 1u << 20;
    f->options.journal_size_max = 4u << 20;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    for (i = 0; i < 12; i++) {
        unsigned k;

        for (k = 0; k <= 7 * i; k++) {
            assert_int_equal(fixture_log_append(f, &log, 50, 8, false), 0);
        }
        fixture_power_cut(f);
        fixture_log_check(f, &log, 0);
    }
    assert_true(log.offset > 12 * 1024);
}

/* After a clean stop no offset is left out: runs go on. */
static void a_clean_stop_leaves_no_gap(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "one", NULL);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_append_strings(f, "t", "two", NULL), 1);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_append_strings(f, "t", "three", NULL), 2);
}

/* At the end of the numbers a topic takes no more, instead of wrapping: its offsets stop before 2^64 - 1. */
static void offsets_stop_before_the_wrap(void **state)
{
    struct fixture *f = *state;

    f->options.offset_start = UINT64_MAX - 4;
    fixture_open(f);
    assert_int_equal(fixture_append_strings(f, "t", "one", "two", NULL), UINT64_MAX - 4);
    assert_int_equal(fixture_try_append(f, "t", "three", false), 0);
    assert_int_equal(fixture_try_append(f, "t", "four", false), TUSK_ETOOBIG);
    fixture_expect(f, "t", "one", "two", "three", NULL);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_try_append(f, "t", "four", false), TUSK_ETOOBIG);
    fixture_expect(f, "t", "one", "two", "three", NULL);
}

/* Offsets across 2^32 and 2^63 are offsets like any others, across a restart too. */
static void offsets_pass_the_powers_of_two(void **state)
{
    static const uint64_t starts[] = {UINT32_MAX - 1ull, INT64_MAX - 1ull};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(7);

        f->options.offset_start = starts[i];
        fixture_open(f);
        assert_int_equal(fixture_append_strings(f, "t", "1", "2", "3", "4", NULL), starts[i]);
        fixture_expect(f, "t", "1", "2", "3", "4", NULL);
        fixture_kill(f);
        fixture_expect(f, "t", "1", "2", "3", "4", NULL);
        assert_true(fixture_append_strings(f, "t", "5", NULL) >= starts[i] + 4);
        fixture_expect(f, "t", "1", "2", "3", "4", "5", NULL);
        fixture_free(f);
    }
}

/* A full disk is told batch by batch, nothing of a refused batch is stored, reads and trims go on, and appends
 * resume by themselves once there is space. */
static void a_full_disk_is_a_clean_no(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    int status = 0;
    unsigned i;

    fixture_open(f);
    assert_int_equal(fixture_log_append(f, &log, 4, 500, true), 0);
    fixture_settle(f);
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk) + 100000);
    for (i = 0; i < 200 && status == 0; i++) {
        status = fixture_log_append(f, &log, 4, 500, true);
    }
    assert_int_equal(status, TUSK_ENOSPACE);
    assert_true(fixture_serves(f));
    fixture_log_check(f, &log, log.acked);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    fixture_power_cut(f);
    fixture_log_check(f, &log, log.durable);
    sim_disk_set_capacity(f->disk, UINT64_MAX);
    fixture_pass(f, 2500000);
    assert_int_equal(fixture_log_append(f, &log, 4, 500, true), 0);
    fixture_log_check(f, &log, log.durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(entries_get_consecutive_offsets),
        cmocka_unit_test(a_batch_is_there_whole_or_not_at_all),
        FIXTURE_TEST(a_batch_over_a_limit_is_too_big),
        FIXTURE_TEST(an_entry_may_be_empty),
        FIXTURE_TEST(a_wrong_batch_is_refused_by_kind),
        FIXTURE_TEST(no_create_makes_no_topic),
        FIXTURE_TEST(quotas_are_kept),
        FIXTURE_TEST(waiting_appends_keep_their_order),
        FIXTURE_TEST(waiting_appends_are_bounded),
        FIXTURE_TEST(offsets_are_never_given_twice),
        FIXTURE_TEST(a_run_is_used_only_when_it_is_durable),
        FIXTURE_TEST(a_clean_stop_leaves_no_gap),
        FIXTURE_TEST(offsets_stop_before_the_wrap),
        cmocka_unit_test(offsets_pass_the_powers_of_two),
        FIXTURE_TEST(a_full_disk_is_a_clean_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
