/* Seals and sparse indexes: derived, so nothing may depend on them, and what a crash or a restart lost of them comes
 * back by itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/crc32c.h"
#include "tests/support/engine_fixture.h"

#define BLOCK_SIZE (32u << 10)
#define ENTRY_SIZE 900u
#define ENTRIES 100u /* Four full blocks, and one begun */

struct seals {
    struct fixture *f;
    unsigned good;    /* With a seal of their own */
    unsigned indexed; /* With an index, too */
    unsigned hollow;  /* Without the first batch of what they seal */
    uint64_t entries; /* Of the one that says it has most */
};

/* Look at every block of a segment on the device. */
static void look(void *arg, const char *path, uint64_t size)
{
    struct seals *seals = arg;
    const size_t length = strlen(path);
    uint8_t *bytes;
    uint64_t at;

    if (length < 4 || strcmp(path + length - 4, ".seg") != 0) {
        return;
    }
    bytes = sim_disk_file(seals->f->disk, path, &size);
    for (at = 0; at + BLOCK_SIZE <= size; at += BLOCK_SIZE) {
        struct format_index_entry entries[FORMAT_INDEX_MAX];
        struct format_block block;
        struct format_seal seal;

        if (format_block_decode(&block, bytes + at) != 0 ||
            format_seal_decode(&seal, &block, bytes + at + FORMAT_PAGE) != 0) {
            continue;
        }
        seals->good++;
        seals->entries = seal.entries > seals->entries ? seal.entries : seals->entries;
        seals->indexed += seal.index_count > 0 &&
                          format_index_decode(entries, seal.index_count, seal.index_crc,
                                              bytes + at + format_block_limit(BLOCK_SIZE)) == 0;
    }
    free(bytes);
}

/* No engine runs. */
static struct seals look_at_seals(struct fixture *f)
{
    struct seals seals = {.f = f};

    sim_disk_list(f->disk, look, &seals);
    return seals;
}

static void append_all(struct fixture *f)
{
    unsigned i;

    for (i = 0; i < ENTRIES; i++) {
        assert_int_equal(fixture_append_size(f, "t", ENTRY_SIZE), 0);
    }
    assert_int_equal(fixture_info(f, "t").blocks, 5);
}

static void check_every_offset(struct fixture *f, uint64_t count)
{
    uint64_t offset;

    for (offset = 0; offset < count; offset++) {
        struct fixture_read read = {
            .request = {.position = ENGINE_AT_OFFSET, .value = offset, .max_entries = 1}};

        fixture_read_begin(f, &read, "t");
        assert_int_equal(fixture_read_end(f, &read), 0);
        assert_int_equal(read.request.from, offset);
        assert_int_equal(read.request.to, offset + 1);
        fixture_read_free(&read);
    }
}

/* Blocks that became full since the last manifest are sealed by recovery, with the index their records give. */
static void recovery_seals_what_the_journal_filled(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    append_all(f);
    fixture_close(f);
    assert_int_equal(look_at_seals(f).good, 0);
    fixture_open(f);
    assert_int_equal(f->findings, 1);
    fixture_close(f);
    assert_int_equal(look_at_seals(f).good, 4);
    assert_int_equal(look_at_seals(f).indexed, 4);
    fixture_open(f);
    check_every_offset(f, ENTRIES);
}

/* All is in its block, and in a manifest; its seals were written behind it, and may not have reached the device. */
static void make_manifest(struct fixture *f)
{
    const uint64_t manifests = fixture_stat(f, "manifests");

    fixture_settle(f); /* Idle for long enough */
    assert_int_equal(fixture_stat(f, "manifests"), manifests + 1);
}

static void lose_what_is_not_synced(struct fixture *f)
{
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
}

/* A manifest comes before the seals of the blocks it calls full. When the crash comes between, the blocks are walked. */
static void recovery_seals_by_walking_what_a_manifest_left(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    append_all(f);
    make_manifest(f);
    lose_what_is_not_synced(f);
    assert_int_equal(look_at_seals(f).good, 0);
    fixture_open(f);
    check_every_offset(f, ENTRIES);
    lose_what_is_not_synced(f);
    assert_int_equal(look_at_seals(f).good, 4);
    assert_int_equal(look_at_seals(f).indexed, 4);
}

/* What the journal tells of a full block is enough for its seal: no block is read for it, so a start takes no longer for many of them. */
static void recovery_seals_without_a_look_what_its_records_filled(void **state)
{
    struct fixture *f = *state;
    uint64_t block;

    f->options.manifest_journal_bytes = 400u << 10;
    f->options.manifest_idle_us = UINT64_C(1) << 40;
    fixture_open(f);
    append_all(f);
    lose_what_is_not_synced(f);
    for (block = 0; block < 4; block++) {
        sim_disk_set_unreadable(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                                block * BLOCK_SIZE + FORMAT_BLOCK_DATA, BATCH_HEADER_SIZE);
    }
    fixture_open(f);
    sim_disk_clear_unreadable(f->disk);
    lose_what_is_not_synced(f);
    assert_int_equal(look_at_seals(f).good, 4);
    assert_int_equal(look_at_seals(f).indexed, 4);
}

/* When only the process died, the seals are still in the page cache, and recovery takes them from there. Its manifest
 * says that they are there, so they are, whatever comes. */
static void seals_found_by_recovery_are_durable(void **state)
{
    struct fixture *f = *state;
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    uint32_t i;

    fixture_open(f);
    append_all(f);
    make_manifest(f);
    fixture_kill(f);
    for (i = 0; i < 4; i++) {
        assert_true(namespace_topic(f->ns, &ref)->blocks[i].sealed);
    }
    lose_what_is_not_synced(f);
    assert_int_equal(look_at_seals(f).good, 4);
}

/* A block with damage in it gets no seal, which would vouch for it; the others do. */
static void recovery_does_not_seal_damage(void **state)
{
    struct fixture *f = *state;
    const char *path = FIXTURE_DIR "/0000000000000001.seg";

    fixture_open(f);
    append_all(f);
    make_manifest(f);
    lose_what_is_not_synced(f);
    sim_disk_flip_bit(f->disk, path, 8 * (uint64_t)(FORMAT_BLOCK_DATA + 8));
    fixture_open(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), TUSK_ECORRUPT);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), 0);
    fixture_close(f);
    assert_int_equal(look_at_seals(f).good, 3);
}

/* The first block of the only topic, as the newest manifest has it. */
static void change_block(struct fixture *f, int end, int entries)
{
    struct format_manifest head;
    struct format_incarnation incarnation;
    struct format_topic topic;
    struct format_topic_block block;
    char path[IO_PATH_SIZE];
    const uint8_t *at;
    const uint8_t *limit;
    uint8_t *bytes;
    uint8_t *place;
    uint64_t size;
    uint64_t i;

    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    bytes = sim_disk_file(f->disk, path, &size);
    assert_int_equal(format_manifest_decode(&head, bytes), 0);
    at = bytes + FORMAT_PAGE;
    limit = at + head.body_size;
    for (i = 0; i < head.incarnation_count; i++) {
        assert_int_equal(format_incarnation_decode(&incarnation, &at, limit), 0);
    }
    assert_int_equal(format_topic_decode(&topic, &at, limit), 0);
    assert_int_equal(topic.cursor_count, 0);
    place = bytes + (at - bytes);
    assert_int_equal(format_topic_block_decode(&block, &at, limit), 0);
    block.end = (uint32_t)((int)block.end + end);
    block.entries = (uint32_t)((int)block.entries + entries);
    (void)format_topic_block_encode(place, &block);
    head.body_crc = crc32c(0, bytes + FORMAT_PAGE, head.body_size);
    format_manifest_encode(bytes, &head);
    sim_disk_overwrite(f->disk, path, 0, bytes, size);
    free(bytes);
}

/* Nor does a block get one whose batches do not add up to what the tables say of it: they end before it, or behind it, or are more; or
 * one of them is of no size. */
static void recovery_seals_no_block_that_does_not_add_up(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 5; i++) {
        struct fixture *f = fixture_new(1);

        fixture_open(f);
        append_all(f);
        make_manifest(f);
        lose_what_is_not_synced(f);
        if (i == 0) {
            change_block(f, BATCH_ALIGN, 0);
        } else if (i == 1) {
            change_block(f, -(int)BATCH_ALIGN, 0);
        } else if (i == 2) {
            change_block(f, 0, -1);
        } else if (i == 3) {
            change_block(f, 0, 1);
        } else {
            sim_disk_zero(f->disk, FIXTURE_DIR "/0000000000000001.seg", FORMAT_BLOCK_DATA,
                          BATCH_HEADER_SIZE);
        }
        fixture_open(f);
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, ENTRIES - 1), 0);
        fixture_close(f);
        assert_int_equal(look_at_seals(f).good, 3);
        fixture_free(f);
    }
}

/* After a clean stop the active block's index is not there. Reading in it brings it back, whatever is read first,
 * and every entry of it is true. */
static void a_restart_learns_the_index_by_reading(void **state)
{
    struct fixture *f = *state;
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    const struct block_index *index;
    struct topic *topic;
    uint32_t i;

    fixture_open(f);
    for (i = 0; i < 20; i++) {
        assert_int_equal(fixture_append_size(f, "t", ENTRY_SIZE), 0);
    }
    fixture_stop(f);
    fixture_open(f);
    topic = namespace_topic(f->ns, &ref);
    assert_null(topic->index);
    assert_int_equal(fixture_append_size(f, "t", 10), 0); /* A note in the middle */
    assert_int_equal(topic->index->count, 1);
    assert_true(topic->index->entries[0].position > FORMAT_BLOCK_DATA);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 7), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 15), 0);
    index = topic->index;
    assert_true(index->count >= 4);
    assert_int_equal(index->entries[0].position, FORMAT_BLOCK_DATA);
    for (i = 0; i < index->count; i++) {
        const struct format_index_entry *entry = &index->entries[i];

        assert_int_equal(entry->offset, entry->entries);
        assert_true(i == 0 || (entry->position >= entry[-1].position + FORMAT_PAGE &&
                               entry->offset > entry[-1].offset));
    }
    check_every_offset(f, 21);
}

/* Of a clone of the disk that loses power now, keeping nothing but seals: how many of them are of blocks whose batches are not there. */
static bool not_a_seal(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    (void)arg;
    return strstr(path, ".seg") != NULL && kind == SIM_WRITE &&
           (offset % BLOCK_SIZE < FORMAT_PAGE || offset % BLOCK_SIZE >= FORMAT_BLOCK_DATA);
}

static void count_hollow(void *arg, const char *path, uint64_t size)
{
    struct seals *seals = arg;
    uint8_t *bytes;
    uint64_t at;

    if (strstr(path, ".seg") == NULL) {
        return;
    }
    bytes = sim_disk_file(seals->f->disk, path, &size);
    for (at = 0; at + BLOCK_SIZE <= size; at += BLOCK_SIZE) {
        struct batch_header header;
        const uint8_t *data = bytes + at + FORMAT_BLOCK_DATA;

        if (memcmp(bytes + at + FORMAT_PAGE, FORMAT_MAGIC_SEAL, FORMAT_MAGIC_SIZE) == 0) {
            seals->good++;
            seals->hollow += batch_header_check(data, BLOCK_SIZE, &header) != BATCH_GOOD ? 1 : 0;
        }
    }
    free(bytes);
}

static void cut_a_clone(void *arg, struct sim_disk *disk, enum sim_kind kind)
{
    struct seals *seals = arg;
    struct fixture clone = {.disk = sim_disk_clone(disk)};
    struct seals seen = {.f = &clone};

    (void)kind;
    sim_disk_set_delay(clone.disk, not_a_seal, NULL);
    sim_disk_power_cut(clone.disk);
    sim_disk_list(clone.disk, count_hollow, &seen);
    seals->good = seen.good > seals->good ? seen.good : seals->good;
    seals->hollow += seen.hollow;
    sim_disk_free(clone.disk);
}

/* A start writes batches back to their blocks, and then the seals of those that are full. Whenever the power goes, what is sealed is there. */
static void a_start_seals_only_what_is_on_the_device(void **state)
{
    struct fixture *f = *state;
    struct seals seals = {.f = f};

    f->options.manifest_journal_bytes = 400u << 10;
    fixture_open(f);
    append_all(f);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    sim_disk_set_watch(f->disk, cut_a_clone, &seals);
    fixture_open(f);
    sim_disk_set_watch(f->disk, NULL, NULL);
    assert_true(seals.good >= 3);
    assert_int_equal(seals.hollow, 0);
}

/* A start that cannot write a seal is refused, and says what it was writing and what the disk said. */
static void a_seal_that_cannot_be_written_is_named(void **state)
{
    unsigned named = 0;
    uint64_t nth;

    (void)state;
    for (nth = 1; named == 0; nth++) {
        struct fixture *f = fixture_new(1);

        f->options.manifest_journal_bytes = 400u << 10;
        fixture_open(f);
        append_all(f);
        sim_disk_process_crash(f->disk);
        fixture_close(f);
        sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), nth, false, EIO, SIM_FAIL);
        assert_int_equal(fixture_try_open(f), 0);
        assert_true(sim_disk_fired(f->disk) > 0);
        assert_false(fixture_serves(f));
        if (strstr(fixture_reason(f), "write the seals of full blocks") != NULL) {
            assert_non_null(strstr(fixture_reason(f), strerror(EIO)));
            named++;
        }
        fixture_free(f);
    }
}

/* Blocks of topic "a" in which the journal of another life, which a power cut took, had filled more. */
static void refill(struct fixture *f, struct fixture_log *log, uint32_t size)
{
    while (fixture_info(f, log->topic).blocks < 3) {
        assert_int_equal(fixture_log_append(f, log, 1, size, false), 0);
    }
}

/* Recovery finds a history that is not durable yet, and the power is cut: the history ends earlier then, and blocks are
 * filled anew, with other batches at other places. No block is sealed for an end that was taken back; and should there
 * be such a seal, it is not taken for the block's: what is read by its index would be found damaged. */
static void a_seal_of_a_lost_history_is_not_believed(void **state)
{
    unsigned refused = 0;
    uint64_t sealed;
    uint64_t nth;

    (void)state;
    for (nth = 1; nth <= 40; nth++) {
        struct fixture *f = fixture_new(nth);
        struct fixture_log log = {.topic = "a"};

        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        f->options.manifest_journal_bytes = 1u << 30;
        f->options.manifest_idle_us = UINT64_C(1) << 60;
        fixture_open(f);
        assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
        refill(f, &log, 700);
        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        sim_disk_process_crash(f->disk);
        fixture_close(f);
        sim_disk_cut_at(f->disk, SIM_BIT(SIM_SYNC), nth, SIM_BEFORE);
        if (fixture_try_open(f) != 0 || !fixture_serves(f)) {
            refused++;
        }
        sim_disk_power_cut(f->disk);
        fixture_close(f);
        sealed = look_at_seals(f).entries;
        fixture_open(f);
        fixture_log_check(f, &log, log.durable);
        assert_true(sealed <= log.acked);
        refill(f, &log, 1100);
        assert_int_equal(fixture_log_sync(f, &log), 0);
        f->ns->manifest.requested = true;
        fixture_pass(f, 1000000);
        fixture_power_cut(f);
        fixture_log_check(f, &log, log.durable);
        assert_int_equal(fixture_try_read(f, "a", ENGINE_AT_OFFSET, log.offset - 2), 0);
        fixture_stop(f);
        fixture_open(f);
        fixture_log_check(f, &log, log.durable);
        fixture_free(f);
    }
    assert_true(refused > 5);
}

/* A seal of the same use of a block, with an index, but of an end that is not the block's: as an accepted loss may leave
 * it. */
static void forge_seal(struct fixture *f, const char *path)
{
    struct format_index_entry entries[FORMAT_INDEX_MAX];
    uint8_t page[FORMAT_PAGE];
    struct format_block block;
    struct format_seal seal;
    uint64_t size;
    uint8_t *bytes = sim_disk_file(f->disk, path, &size);
    uint32_t i;

    assert_int_equal(format_block_decode(&block, bytes), 0);
    assert_int_equal(format_seal_decode(&seal, &block, bytes + FORMAT_PAGE), 0);
    assert_int_equal(format_index_decode(entries, seal.index_count, seal.index_crc,
                                         bytes + format_block_limit(BLOCK_SIZE)),
                     0);
    for (i = 1; i < seal.index_count; i++) {
        entries[i].position += BATCH_ALIGN;
    }
    seal.entries--;
    seal.next_offset--;
    seal.index_crc = format_index_encode(page, entries, seal.index_count);
    sim_disk_overwrite(f->disk, path, format_block_limit(BLOCK_SIZE), page, sizeof page);
    format_seal_encode(page, &block, &seal);
    sim_disk_overwrite(f->disk, path, FORMAT_PAGE, page, sizeof page);
    free(bytes);
}

/* What a seal says of another end is not used: neither does a read go by its index, nor does recovery take it for the
 * block's and write none. */
static void a_seal_of_another_end_is_not_used(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    uint64_t at;
    uint64_t offset;
    struct seals seals;

    fixture_open(f);
    append_all(f);
    fixture_stop(f);
    assert_true(fixture_find(f, "1.seg", "TUSKSEA", 7, path, &at));
    forge_seal(f, path);
    fixture_open(f);
    for (offset = 0; offset < 20; offset++) {
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, offset), 0);
    }
    fixture_stop(f);
    seals = look_at_seals(f);
    assert_true(seals.good >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(recovery_seals_what_the_journal_filled),
        FIXTURE_TEST(recovery_seals_by_walking_what_a_manifest_left),
        FIXTURE_TEST(seals_found_by_recovery_are_durable),
        FIXTURE_TEST(recovery_does_not_seal_damage),
        cmocka_unit_test(recovery_seals_no_block_that_does_not_add_up),
        FIXTURE_TEST(a_restart_learns_the_index_by_reading),
        FIXTURE_TEST(a_start_seals_only_what_is_on_the_device),
        cmocka_unit_test(a_seal_that_cannot_be_written_is_named),
        cmocka_unit_test(a_seal_of_a_lost_history_is_not_believed),
        FIXTURE_TEST(a_seal_of_another_end_is_not_used),
        FIXTURE_TEST(recovery_seals_without_a_look_what_its_records_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
