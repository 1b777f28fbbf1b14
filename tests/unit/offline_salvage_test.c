/* salvage: what validates is in the new store, bit for bit and at its offset; what is not there was
 * told; and the new store is one that the engine opens and goes on with. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/damaged_store.h"
#include "tests/support/journal_image.h"
#include "tests/support/offline_fixture.h"
#include "tests/support/old_batch.h"

#define SAMPLES 300u
#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

/* The tables of a store, open, with everything that salvage keeps. */
static struct fixture *rich_store(void)
{
    struct fixture *f = fixture_new(11);
    struct engine_command command = {.kind = ENGINE_TOPIC_SET};
    struct engine_setting rule[2] = {{ENGINE_SETTING_RETENTION, ENGINE_RETAIN_AGE},
                                     {ENGINE_SETTING_RETENTION_AGE_MS, 86400000}};
    unsigned i;

    f->options.manifest_journal_bytes = 6u << 10; /* Two manifests, and the journal behind them */
    fixture_open(f);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_append_size(f, "orders", 700 + i), 0);
    }
    (void)fixture_append_strings(f, "caf\xc3\xa9", "un", "deux", "", NULL);
    (void)fixture_append_strings(f, "gone", "never", "again", NULL);
    (void)fixture_append_strings(f, "aged", "young", NULL);
    command.topic = (struct engine_topic_ref){.name = "aged", .name_size = 4};
    command.settings = rule;
    command.settings_count = 2;
    assert_int_equal(fixture_command(f, &command), 0);
    fixture_set(f, ENGINE_SETTING_QUOTA_TOPICS, 77);
    assert_int_equal(fixture_checkpoint(f, "orders", "billing", 41), 0);
    assert_int_equal(fixture_checkpoint(f, "orders", "", 7), 0);
    assert_int_equal(fixture_trim(f, "orders", 3), 0);
    assert_int_equal(fixture_delete(f, "gone"), 0);
    fixture_settle(f);
    /* A gap: an unclean stop. */
    fixture_kill(f);
    assert_int_equal(fixture_append_size(f, "orders", 500), 0);
    fixture_settle(f);
    return f;
}

static bool has_topic(struct fixture *f, const char *name)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = strlen(name)};
    struct engine_topic_info info;

    return engine_topic_info(f->ns, &ref, &info, &f->err) == 0;
}

/* Nothing damaged, nothing lost: entries, offsets, gaps, times, trims, cursors, settings, ids. Only
 * the store is another. */
static void a_sound_store_comes_back_whole(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(12);
    struct engine_topic_info before = fixture_info(f, "orders");
    struct engine_topic_info after;
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    struct held then;
    struct held now;
    struct said said;
    unsigned reopened;

    (void)state;
    memcpy(store_id, f->ns->store_id, sizeof store_id);
    held_read(f, "orders", &then);
    assert_int_equal(then.count, 58);
    assert_true(then.offset[57] > 60); /* The gap */
    fixture_stop(f);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DONE);
    assert_true(said_has(&said, "nothing lost"));
    said_free(&said);
    for (reopened = 0; reopened < 2; reopened++) {
        fixture_open(to);
        assert_int_equal(to->findings, reopened); /* The first stop was clean */
        held_read(to, "orders", &now);
        assert_int_equal(held_missing(&then, &now), 0);
        held_free(&now);
        after = fixture_info(to, "orders");
        assert_int_equal(after.id, before.id);
        assert_int_equal(after.first, before.first);
        assert_int_equal(after.end, before.end);
        assert_int_equal(after.created_us, before.created_us);
        assert_int_equal(after.last_time_us, before.last_time_us);
        assert_int_equal(fixture_cursor(to, "orders", "billing"), 41);
        assert_int_equal(fixture_cursor(to, "orders", ""), 7);
        fixture_expect(to, "caf\xc3\xa9", "un", "deux", "", NULL);
        assert_int_equal(fixture_info(to, "aged").retention.age_ms, 86400000);
        assert_int_equal(to->ns->settings.quota_topics, 77);
        assert_false(has_topic(to, "gone"));
        assert_memory_not_equal(to->ns->store_id, store_id, sizeof store_id);
        fixture_close(to); /* As by a kill: the older of its manifests must do, too */
    }
    fixture_open(to);
    /* It goes on where the old one would: behind everything that was issued. */
    assert_true(fixture_append_strings(to, "orders", "next", NULL) >= before.end);
    fixture_stop(to);
    offline_verify_disk(to, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_DONE);
    said_free(&said);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* A batch of which only the first entries are trimmed is kept, and begins where the topic does. */
static void a_batch_trimmed_in_part_is_kept(void **state)
{
    struct fixture *f = fixture_new(23);
    struct fixture *to = fixture_new(24);
    struct said said;

    (void)state;
    fixture_open(f);
    (void)fixture_append_strings(f, "a", "one", "two", "three", NULL);
    assert_int_equal(fixture_trim(f, "a", 2), 0);
    fixture_stop(f);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DONE);
    said_free(&said);
    fixture_open(to);
    assert_int_equal(fixture_info(to, "a").first, 2);
    fixture_expect(to, "a", "three", NULL);
    fixture_free(to);
    fixture_free(f);
}

/* The newest manifest of a salvaged store is damaged: the older one says the same. */
static void either_manifest_of_the_new_store_will_do(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(12);
    char path[IO_PATH_SIZE];
    struct said said;

    (void)state;
    fixture_stop(f);
    offline_salvage_disk(f, to, &said);
    said_free(&said);
    (void)fixture_last_file(to, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_flip_bit(to->disk, path, 500);
    fixture_open(to);
    assert_int_equal(to->ns->recovery_rows[ROW_R16], 1);
    fixture_expect(to, "caf\xc3\xa9", "un", "deux", "", NULL);
    assert_int_equal(fixture_cursor(to, "orders", "billing"), 41);
    fixture_free(to);
    fixture_free(f);
}

/* One flipped bit anywhere costs at most the batch it is in, and that is told; in a manifest it
 * costs nothing. */
static void a_flipped_bit_costs_at_most_its_batch(void **state)
{
    struct damaged_store store;
    struct held then[DAMAGED_LOGS];
    struct random random;
    struct fixture *f;
    unsigned lost_somewhere = 0;
    unsigned i;
    unsigned k;

    (void)state;
    damaged_store_make(&store);
    f = damaged_store_copy(&store);
    fixture_open(f);
    for (k = 0; k < DAMAGED_LOGS; k++) {
        held_read(f, store.logs[k].topic, &then[k]);
    }
    fixture_free(f);
    random_init(&random, 20261122);
    print_message("seed 20261122\n");
    for (i = 0; i < SAMPLES; i++) {
        const unsigned file = (unsigned)random_below(&random, store.files);
        const uint64_t byte = random_below(&random, store.used[file] > 0 ? store.used[file] : 1);
        struct fixture *to = fixture_new(13);
        struct said said;
        struct held now;
        unsigned lost = 0;

        f = damaged_store_copy(&store);
        if (store.used[file] > 0) {
            sim_disk_flip_bit(f->disk, store.paths[file], byte * 8 + random_below(&random, 8));
        }
        offline_salvage_disk(f, to, &said);
        assert_true(said.status == OFFLINE_DONE || said.status == OFFLINE_DAMAGED);
        fixture_open(to);
        for (k = 0; k < DAMAGED_LOGS; k++) {
            held_read(to, store.logs[k].topic, &now);
            lost += held_missing(&then[k], &now);
            held_free(&now);
            assert_true(fixture_info(to, store.logs[k].topic).end >= store.ends[k] ||
                        now.count == 0);
        }
        /* Without generation and first LSN a journal file is nothing. */
        if (strstr(store.paths[file], ".jnl") != NULL && byte >= 56 && byte < 72) {
            lost = 0;
        }
        if (lost > 2 || (lost > 0 && said.status != OFFLINE_DAMAGED) ||
            fixture_cursor(to, "small", "c") != 20) {
            fail_msg("byte %llu of %s: %u entries lost\n%s", (unsigned long long)byte,
                     store.paths[file], lost, said.text);
        }
        lost_somewhere += lost > 0;
        assert_int_equal(fixture_append_size(to, "small", 10), 0);
        said_free(&said);
        fixture_free(to);
        fixture_free(f);
    }
    assert_true(lost_somewhere > 0);
    for (k = 0; k < DAMAGED_LOGS; k++) {
        held_free(&then[k]);
    }
    damaged_store_free(&store);
}

/* Without any manifest topics come back with names, entries and offsets, from blocks and journal.
 */
static void without_manifests_the_blocks_are_enough(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(14);
    struct held then;
    struct held now;
    struct said said;
    uint64_t end;

    (void)state;
    held_read(f, "orders", &then);
    end = fixture_info(f, "orders").end;
    fixture_stop(f);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") >= 2);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "no valid manifest"));
    fixture_open(to);
    held_read(to, "orders", &now);
    /* What was trimmed may be back; nothing that was there is gone. */
    assert_true(now.count >= then.count);
    assert_int_equal(held_missing(&now, &then), now.count - then.count);
    fixture_expect(to, "caf\xc3\xa9", "un", "deux", "", NULL);
    assert_true(fixture_append_strings(to, "orders", "next", NULL) >= end);
    held_free(&now);

    /* And without the journal, too. */
    fixture_free(to);
    to = fixture_new(15);
    said_free(&said);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    fixture_open(to);
    held_read(to, "orders", &now);
    assert_true(now.count >= then.count);
    assert_int_equal(held_missing(&now, &then), now.count - then.count);
    fixture_expect(to, "caf\xc3\xa9", "un", "deux", "", NULL);
    assert_true(fixture_append_strings(to, "orders", "next", NULL) >= end);
    said_free(&said);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* A journal that is gone takes nothing along that the blocks hold; cursors and settings are those
 * of the manifest. */
static void without_journal_the_manifest_is_enough(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(16);
    struct held then;
    struct held now;
    struct said said;

    (void)state;
    held_read(f, "orders", &then);
    fixture_stop(f);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "as of its manifest"));
    fixture_open(to);
    held_read(to, "orders", &now);
    assert_int_equal(held_missing(&then, &now), 0);
    assert_int_equal(fixture_cursor(to, "orders", "billing"), 41);
    assert_false(has_topic(to, "gone"));
    said_free(&said);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* A segment that is gone: its topics are there, with a gap that is told. The rest is whole. */
static void a_missing_segment_is_a_gap(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(17);
    struct held then;
    struct held now;
    struct said said;

    (void)state;
    held_read(f, "orders", &then);
    fixture_stop(f);
    offline_remove(f, SEGMENT);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "LOST topic \"orders\", offsets 3 to "));
    fixture_open(to);
    held_read(to, "orders", &now);
    assert_true(held_missing(&then, &now) > 0);
    assert_int_equal(fixture_cursor(to, "orders", "billing"), 41);
    said_free(&said);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* What the device does not give is a gap of what it held, and no more. */
static void unreadable_sectors_cost_what_they_held(void **state)
{
    struct fixture *f = rich_store();
    struct fixture *to = fixture_new(18);
    struct held then;
    struct held now;
    struct said said;

    (void)state;
    held_read(f, "orders", &then);
    fixture_stop(f);
    sim_disk_set_unreadable(f->disk, SEGMENT, FORMAT_BLOCK_DATA + FORMAT_PAGE, 1);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "could not be read from the device"));
    fixture_open(to);
    held_read(to, "orders", &now);
    assert_int_equal(held_missing(&then, &now), said.counts.lost);
    assert_true(said.counts.lost > 0 && said.counts.lost <= 8);
    said_free(&said);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* Batches of every size up to a block's, so that they are written alone and together. */
static void batches_of_every_size_come_back(void **state)
{
    struct fixture *f = fixture_new(19);
    struct fixture *to = fixture_new(20);
    static const uint32_t sizes[] = {1,       100, 70000,  1 << 20, (1 << 20) + 13, (1 << 20) + 12,
                                     3000000, 0,   2500000};
    struct held then;
    struct held now;
    struct said said;
    unsigned i;

    (void)state;
    f->options.block_size = 4u << 20;
    f->options.journal_file_max = 8u << 20;
    fixture_open(f);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(fixture_append_size(f, "big", sizes[i]), 0);
    }
    held_read(f, "big", &then);
    fixture_stop(f);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DONE);
    fixture_open(to);
    held_read(to, "big", &now);
    assert_int_equal(held_missing(&then, &now), 0);
    assert_int_equal(now.count, sizeof sizes / sizeof sizes[0]);
    said_free(&said);
    held_free(&now);
    held_free(&then);
    fixture_free(to);
    fixture_free(f);
}

/* Every namespace, each with its own block size, "default" or not. */
static void all_namespaces_come_along(void **state)
{
    struct fixture *f = fixture_new(21);
    struct fixture *to = fixture_new(22);
    struct said said;
    struct namespace *ns;

    (void)state;
    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "eu", 2, NULL, 0, &f->err), 0);
    (void)fixture_append_strings(f, "a", "one", NULL);
    ns = f->ns;
    f->ns = engine_namespace_find(f->engine, "eu", 2);
    (void)fixture_append_strings(f, "b", "two", NULL);
    f->ns = ns;
    fixture_stop(f);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DONE);
    said_free(&said);
    fixture_open(to);
    fixture_expect(to, "a", "one", NULL);
    to->ns = engine_namespace_find(to->engine, "eu", 2);
    assert_non_null(to->ns);
    fixture_expect(to, "b", "two", NULL);
    fixture_free(to);
    fixture_free(f);
}

/* A batch that a crash cut off, in the place of newer ones. What is newer is kept: from the journal where recovery has not written it to the
 * block yet, with and without a loss in between, and from the block, with and without the journal. */
static void an_old_batch_hides_nothing(void **state)
{
    enum { WHOLE, LOST, ACCEPTED, NO_JOURNAL, CASES };
    unsigned i;

    (void)state;
    for (i = 0; i < CASES * OLD_BATCH_WAYS; i++) {
        const unsigned which = i % CASES;
        struct fixture *f = fixture_new(25);
        struct fixture *to = fixture_new(26);
        const uint64_t kept =
            which == WHOLE ? old_batch_whole(f, i / CASES) : old_batch_make(f, i / CASES);
        uint64_t offset = which == WHOLE ? kept - 1 : kept;
        struct said said;

        if (which >= ACCEPTED) {
            f->options.accept_loss = "default";
            fixture_open(f);
            fixture_stop(f);
        }
        if (which == NO_JOURNAL) {
            assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
        }
        offline_salvage_disk(f, to, &said);
        said_free(&said);
        fixture_open(to);
        for (; offset < kept + OLD_BATCH_KEPT; offset++) {
            struct fixture_read read = {
                .request = {.position = ENGINE_AT_OFFSET, .value = offset, .max_entries = 1}};

            fixture_read_begin(to, &read, "t");
            assert_int_equal(fixture_read_end(to, &read), 0);
            assert_int_equal(read.request.from, offset);
            fixture_read_free(&read);
        }
        fixture_free(to);
        fixture_free(f);
    }
}

/* A bit of the nth-last record that gives a block to a topic. */
static void damage_allocation(struct fixture *f, unsigned nth)
{
    struct journal_image *image = journal_image_load(f->disk, FIXTURE_DIR);
    const struct image_record *record = NULL;
    uint64_t before = UINT64_MAX;
    unsigned i;

    for (i = 0; i <= nth; i++) {
        record = journal_image_last(image, RECORD_BLOCK_ALLOCATE, before);
        before = record->header.lsn;
    }
    sim_disk_flip_bit(f->disk, record->file->path, (record->offset + record->header.size - 3) * 8);
    journal_image_free(image);
}

/* The record that gave a block to a topic is damaged. What the block itself brings back is there; what
 * only the journal tells of is lost, and is counted: neither more nor less than what is missing. */
static void what_lost_its_block_is_counted(void **state)
{
    uint64_t lost = 0;
    unsigned round;
    unsigned i;

    (void)state;
    for (round = 0; round < 8; round++) {
        struct fixture *f = fixture_new(31);
        struct fixture *to = fixture_new(32);
        struct held then[2];
        struct held now[2];
        struct said said;

        f->options.manifest_journal_bytes = 8u << 20;
        fixture_open(f);
        for (i = 0; i < 150; i++) {
            assert_int_equal(fixture_append_size(f, i % 3 == 0 ? "u" : "t", 500 + i), 0);
        }
        fixture_settle(f);
        held_read(f, "t", &then[0]);
        held_read(f, "u", &then[1]);
        fixture_close(f);
        sim_disk_settle(f->disk);
        damage_allocation(f, round % 4);
        if (round >= 4) {
            offline_remove(f, SEGMENT);
        }
        offline_salvage_disk(f, to, &said);
        assert_int_equal(said.status, OFFLINE_DAMAGED);
        fixture_open(to);
        held_read(to, "t", &now[0]);
        held_read(to, "u", &now[1]);
        assert_int_equal(held_missing(&then[0], &now[0]) + held_missing(&then[1], &now[1]),
                         said.counts.lost);
        lost += said.counts.lost;
        assert_int_equal(
            said.counts.lost > 0,
            said_has(&said, "the journal tells of them, and what said in which block"));
        for (i = 0; i < 2; i++) {
            held_free(&now[i]);
            held_free(&then[i]);
        }
        said_free(&said);
        fixture_free(to);
        fixture_free(f);
    }
    assert_true(lost > 10);
}

/* The same record of a topic that was deleted later: nothing is missing that anybody wants. */
static void what_was_deleted_behind_a_loss_is_not_counted(void **state)
{
    struct fixture *f = fixture_new(33);
    struct fixture *to = fixture_new(34);
    struct said said;

    (void)state;
    f->options.manifest_journal_bytes = 8u << 20;
    fixture_open(f);
    (void)fixture_append_strings(f, "kept", "one", NULL);
    (void)fixture_append_strings(f, "gone", "two", "three", NULL);
    assert_int_equal(fixture_delete(f, "gone"), 0);
    (void)fixture_append_strings(f, "kept", "four", NULL);
    fixture_settle(f);
    fixture_close(f);
    sim_disk_settle(f->disk);
    damage_allocation(f, 0);
    offline_remove(f, SEGMENT); /* Nor does the block say whose it was */
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_int_equal(said.counts.lost, 0);
    fixture_open(to);
    fixture_expect(to, "kept", "one", "four", NULL);
    said_free(&said);
    fixture_free(to);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lost_its_block_is_counted),
        cmocka_unit_test(what_was_deleted_behind_a_loss_is_not_counted),
        cmocka_unit_test(a_sound_store_comes_back_whole),
        cmocka_unit_test(a_batch_trimmed_in_part_is_kept),
        cmocka_unit_test(either_manifest_of_the_new_store_will_do),
        cmocka_unit_test(a_flipped_bit_costs_at_most_its_batch),
        cmocka_unit_test(without_manifests_the_blocks_are_enough),
        cmocka_unit_test(without_journal_the_manifest_is_enough),
        cmocka_unit_test(a_missing_segment_is_a_gap),
        cmocka_unit_test(unreadable_sectors_cost_what_they_held),
        cmocka_unit_test(batches_of_every_size_come_back),
        cmocka_unit_test(all_namespaces_come_along),
        cmocka_unit_test(an_old_batch_hides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
