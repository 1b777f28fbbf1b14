/* Manifests: what they hold is exactly the tables as of one moment, however much goes on meanwhile, so that the older
 * one with more journal says the same as the newer one with less. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define TOPICS 6u

/* ---- what a recovered store says ---- */

struct digest {
    uint64_t tables;
    uint64_t entries;
    uint64_t blocks; /* Bytes in use of every block */
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
    return hash * 0xff51afd7ed558ccdu;
}

static void mix_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    uint64_t *hash = arg;
    uint32_t i;

    *hash = mix(mix(*hash, offset), size);
    for (i = 0; i < size; i++) {
        *hash = mix(*hash, data[i]);
    }
}

static void mix_blocks(struct fixture *f, const struct topic *topic, uint64_t *hash)
{
    uint32_t i;
    uint32_t k;

    for (i = 0; i < topic->block_count; i++) {
        const struct block *block = &topic->blocks[i];
        char path[IO_PATH_SIZE];
        uint64_t size;
        uint8_t *data;

        space_path(&f->ns->space, path, block->segment_number);
        data = sim_disk_file(f->disk, path, &size);
        for (k = FORMAT_BLOCK_DATA; k < block->end; k++) {
            assert_true((uint64_t)block->index * f->ns->block_size + k < size);
            *hash = mix(*hash, data[(uint64_t)block->index * f->ns->block_size + k]);
        }
        *hash = mix(mix(mix(*hash, block->generation), block->end), block->entries);
        free(data);
    }
}

static struct digest digest(struct fixture *f)
{
    struct digest d = {0};
    struct engine_topic_info info;
    char name[256];
    size_t size = 0;

    while (engine_topic_next(f->ns, name, size, &info) == 1) {
        const struct engine_topic_ref ref = {.id = info.id};
        const struct topic *topic = namespace_topic(f->ns, &ref);
        uint32_t i;

        size = info.name_size;
        memcpy(name, info.name, size);
        name[size] = '\0';
        d.tables = mix(mix(mix(mix(d.tables, info.id), info.first), info.end), info.entries);
        d.tables = mix(mix(d.tables, topic->next_offset), topic->last_crc);
        for (i = 0; i < topic->cursor_count; i++) {
            d.tables = mix(mix(d.tables, topic->cursors[i]->id), topic->cursors[i]->offset);
            d.tables = mix(d.tables, topic->cursors[i]->epoch);
        }
        (void)fixture_read_all(f, name, 0, mix_entry, &d.entries);
        mix_blocks(f, topic, &d.blocks);
    }
    return d;
}

/* ---- a workload ---- */

static void step(struct fixture *f)
{
    char topic[] = "t0";
    const uint64_t what = random_below(&f->random, 100);

    topic[1] = (char)('0' + random_below(&f->random, TOPICS));
    if (what < 80) {
        (void)fixture_append_size(f, topic, (uint32_t)random_between(&f->random, 1, 900));
    } else if (what < 85) {
        (void)fixture_append_size(f, topic, (uint32_t)random_between(&f->random, 4000, 9000));
    } else if (what < 93 && fixture_stat(f, "topics") > 0) {
        const struct engine_topic_ref ref = {.name = topic, .name_size = 2};
        struct engine_topic_info info;

        if (engine_topic_info(f->ns, &ref, &info, &f->err) == 0) {
            assert_int_equal(fixture_checkpoint(f, topic, what % 2 == 0 ? "even" : "odd", info.end),
                             0);
        }
    } else if (what < 98) {
        const struct engine_topic_ref ref = {.name = topic, .name_size = 2};
        struct engine_topic_info info;

        if (engine_topic_info(f->ns, &ref, &info, &f->err) == 0) {
            assert_int_equal(fixture_trim(f, topic, info.first + (info.end - info.first) / 2), 0);
        }
    } else {
        (void)fixture_delete(f, topic);
    }
}

static void damage_newest(struct fixture *f)
{
    char path[IO_PATH_SIZE];

    assert_true(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) >= 2);
    sim_disk_flip_bit(f->disk, path, 8 * 100);
}

/* Open what a crash left, twice: from the newest manifest and from the one before. Both must come to the same
 * tables, entries and block bytes. */
static void expect_both_manifests_agree(struct fixture *f)
{
    struct sim_disk *original = f->disk;
    struct digest with_newest;
    struct digest with_older;

    f->disk = sim_disk_clone(original);
    fixture_open(f);
    with_newest = digest(f);
    fixture_close(f);
    sim_disk_free(f->disk);
    f->disk = sim_disk_clone(original);
    damage_newest(f);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
    with_older = digest(f);
    assert_int_equal(with_newest.tables, with_older.tables);
    assert_int_equal(with_newest.entries, with_older.entries);
    assert_int_equal(with_newest.blocks, with_older.blocks);
    fixture_close(f);
    sim_disk_free(f->disk);
    f->disk = original;
}

/* Appends, direct appends, cursors, trims and deletes go on while manifests are taken; at random moments the
 * process dies, and the older manifest says what the newer one says. */
static void the_older_manifest_says_the_same(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 10; seed++) {
        struct fixture *f = fixture_new(seed);
        const unsigned steps = 150 + (unsigned)random_below(&f->random, 300);
        unsigned i;

        printf("seed %" PRIu64 "\n", seed);
        f->options.manifest_journal_bytes = 20u << 10;
        f->options.settings.fsync_ms = seed % 2 == 0 ? ENGINE_FSYNC_EACH : 2;
        fixture_open(f);
        for (i = 0; i < steps || fixture_stat(f, "manifests") < 3; i++) {
            step(f);
        }
        sim_disk_process_crash(f->disk);
        fixture_close(f);
        sim_disk_settle(f->disk);
        expect_both_manifests_agree(f);
        fixture_free(f);
    }
}

static void topic_name(char name[244], unsigned number)
{
    memset(name, 'n', 243);
    name[243] = '\0';
    name[snprintf(name, 12, "%u", number)] = 'n';
}

/* Tables that take several turns to save (hundreds of topics with long names), changed between the turns: the
 * snapshot is of its own moment all the same. */
static void a_snapshot_in_slices_is_of_one_moment(void **state)
{
    enum { MANY = 600 };
    struct fixture *f = *state;
    uint64_t taken;
    char name[244];
    unsigned changed = 0;
    unsigned i;

    f->options.settings.fsync_ms = 1;
    f->options.journal_size_max = 8u << 20;
    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    for (i = 0; i < MANY; i++) {
        topic_name(name, i);
        fixture_append_strings(f, name, "first", NULL);
    }
    fixture_settle(f);
    taken = fixture_stat(f, "manifests");
    for (i = 0; i < 3000 && fixture_stat(f, "manifests") < taken + 2; i++) {
        topic_name(name, (unsigned)random_below(&f->random, MANY));
        changed += f->ns->manifest.step == MANIFEST_SAVING ? 1u : 0u;
        assert_int_equal(fixture_append_size(f, name, 700), 0);
        if (i % 17 == 0) {
            assert_int_equal(fixture_checkpoint(f, name, "c", 1), 0);
        } else if (i % 41 == 0) {
            assert_int_equal(fixture_delete(f, name), 0);
        }
    }
    assert_true(fixture_stat(f, "manifests") >= taken + 2);
    assert_true(changed > 2);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    expect_both_manifests_agree(f);
}

/* ---- when ---- */

/* A manifest is due after so much journal, so many bytes written directly, or some time without an append
 * while something is not in its block yet. */
static void manifests_come_when_due(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    f->options.manifest_direct_bytes = 30000;
    f->options.manifest_idle_us = 5000000;
    fixture_open(f);
    assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
    fixture_pass(f, 3000000);
    assert_int_equal(fixture_stat(f, "manifests"), 1);
    fixture_pass(f, 3000000);
    fixture_settle(f);
    assert_int_equal(fixture_stat(f, "manifests"), 2); /* Idle */
    fixture_pass(f, 20000000);
    assert_int_equal(fixture_stat(f, "manifests"), 2); /* Nothing new to hold */
    for (i = 0; i < 4; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 8000, true), 0);
    }
    fixture_settle(f);
    assert_int_equal(fixture_stat(f, "manifests"), 3); /* Direct bytes */
    fixture_stop(f);
    f->options.manifest_journal_bytes = 20000;
    fixture_open(f);
    for (i = 0; i < 12; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
    fixture_settle(f);
    assert_true(fixture_stat(f, "manifests") >= 1); /* Journal */
    fixture_log_check(f, &log, log.durable);
}

/* The two newest manifests are kept, and no more. */
static void two_manifests_are_kept(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    char path[IO_PATH_SIZE];
    unsigned i;

    f->options.manifest_journal_bytes = 16u << 10;
    fixture_open(f);
    for (i = 0; i < 120; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 1000, true), 0);
    }
    fixture_settle(f);
    assert_true(fixture_stat(f, "manifests") > 4);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    assert_int_equal(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path), 2);
}

/* Want of space for a manifest is not fatal at any of its steps: the older ones stand, appends go on, and it is
 * taken once there is space again. */
static void no_space_for_a_manifest_is_not_fatal(void **state)
{
    static const unsigned kinds[] = {SIM_BIT(SIM_CREATE), SIM_BIT(SIM_RENAME),
                                     SIM_BIT(SIM_ALLOCATE)};
    unsigned i;
    unsigned k;

    (void)state;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture *f = fixture_new(i + 1);
        struct fixture_log log = {.topic = "t"};

        f->options.manifest_idle_us = 100000;
        fixture_open(f);
        assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
        fixture_settle(f);
        for (k = 0; k < 3; k++) {
            sim_disk_fail(f->disk, kinds[i], 1, true, ENOSPC, SIM_FAIL);
            assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
            fixture_pass(f, 1500000);
            assert_true(fixture_serves(f));
            sim_disk_clear_faults(f->disk);
            fixture_pass(f, 2500000);
            assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
            fixture_pass(f, 2500000);
        }
        assert_true(fixture_stat(f, "manifests") > 3);
        fixture_power_cut(f);
        fixture_log_check(f, &log, log.durable);
        fixture_free(f);
    }
}

/* Damage in any byte of the newest manifest that is in use is found, and the older one is taken. */
static void damage_anywhere_in_a_manifest_is_found(void **state)
{
    uint64_t at;
    uint64_t size = 0;

    (void)state;
    for (at = 0; at == 0 || at < size; at += 61) {
        struct fixture *f = fixture_new(9);
        char path[IO_PATH_SIZE];

        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_append_strings(f, "u", "b", NULL);
        assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
        fixture_stop(f);
        (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
        if (at == 0) {
            uint8_t *data = sim_disk_file(f->disk, path, &size);
            struct format_manifest head;

            assert_int_equal(format_manifest_decode(&head, data), 0);
            size = FORMAT_PAGE + head.body_size;
            free(data);
        }
        sim_disk_flip_bit(f->disk, path, 8 * at + at % 8);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
        fixture_expect(f, "t", "a", NULL);
        fixture_expect(f, "u", "b", NULL);
        assert_int_equal(fixture_cursor(f, "t", "c"), 1);
        fixture_free(f);
    }
}

/* A sync that found no space has lost what it was to cover, and the next one of that file would not say so. Whichever sync it is, the
 * manifest that gets the name is whole. */
static void no_manifest_is_named_behind_a_failed_sync(void **state)
{
    bool fired = true;
    uint64_t nth;

    (void)state;
    for (nth = 1; fired; nth++) {
        struct fixture *f = fixture_new(nth);
        struct fixture_log log = {.topic = "t"};
        unsigned i;

        f->options.manifest_journal_bytes = 8u << 10;
        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        fixture_open(f);
        sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), nth, false, ENOSPC, SIM_LOSE);
        for (i = 0; i < 12; i++) {
            (void)fixture_log_append(f, &log, 1, 2000, true);
        }
        fixture_pass(f, 3000000); /* What a full disk put off is tried again */
        fired = sim_disk_fired(f->disk) > 0;
        sim_disk_clear_faults(f->disk);
        fixture_power_cut(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R16], 0);
        fixture_log_check(f, &log, log.durable);
        fixture_free(f);
    }
    assert_true(nth > 10);
}

/* The id of a cursor that was deleted is not given again, also behind a manifest that has forgotten the cursor: the older manifest's
 * journal still has it. */
static void ids_of_cursors_are_never_used_twice(void **state)
{
    const struct engine_topic_ref by_name = {.name = "t", .name_size = 1};
    struct engine_command command = {
        .kind = ENGINE_CURSOR_DELETE, .topic = by_name, .cursor = "second", .cursor_size = 6};
    struct fixture *f = *state;
    uint64_t deleted;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "first", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "second", 1), 0);
    deleted = topic_cursor_find(namespace_topic(f->ns, &by_name), "second", 6)->id;
    assert_int_equal(fixture_command(f, &command), 0);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_checkpoint(f, "t", "third", 1), 0);
    assert_true(topic_cursor_find(namespace_topic(f->ns, &by_name), "third", 5)->id > deleted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_manifest_is_named_behind_a_failed_sync),
        FIXTURE_TEST(ids_of_cursors_are_never_used_twice),
        cmocka_unit_test(the_older_manifest_says_the_same),
        FIXTURE_TEST(a_snapshot_in_slices_is_of_one_moment),
        FIXTURE_TEST(manifests_come_when_due),
        FIXTURE_TEST(two_manifests_are_kept),
        cmocka_unit_test(no_space_for_a_manifest_is_not_fatal),
        cmocka_unit_test(damage_anywhere_in_a_manifest_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
