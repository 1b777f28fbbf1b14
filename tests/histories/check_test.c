/* The judge of recorded histories, held to each of its rules: it accepts what may happen, and
 * objects to each hand-made history that breaks one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/histories/check.h"
#include "tests/histories/record.h"

struct fixture {
    struct record record;
    char text[512];
};

/* ---- words to write histories with ---- */

static uint32_t call_append(struct fixture *f, uint32_t client, uint32_t count)
{
    return record_call(&f->record,
                       &(struct op){.kind = OP_APPEND, .client = client, .entry_count = count});
}

static void acked(struct fixture *f, uint32_t number, uint64_t from, uint64_t durable_end)
{
    const uint32_t count = f->record.ops[number].entry_count;

    record_return(
        &f->record, number,
        &(struct op){
            .fate = OP_DONE, .from = from, .to = from + count, .durable_end = durable_end});
}

/* Sent, and acknowledged before anything else happens. */
static uint32_t append(struct fixture *f, uint32_t client, uint32_t count, uint64_t from)
{
    const uint32_t number = call_append(f, client, count);

    acked(f, number, from, 0);
    return number;
}

static uint32_t call(struct fixture *f, enum op_kind kind, uint64_t offset)
{
    return record_call(
        &f->record, &(struct op){.kind = kind, .client = 9, .offset = offset, .max_entries = 100});
}

/* An answer with the values of one append, from one of its entries on. */
static void delivers(struct fixture *f, uint32_t number, uint32_t append, uint32_t first,
                     uint32_t count, uint64_t from, uint64_t end)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        record_entry(&f->record, from + i, record_value(append, first + i));
    }
    record_return(
        &f->record, number,
        &(struct op){
            .fate = OP_DONE, .from = from, .to = from + count, .end = end, .entry_count = count});
}

static void ends(struct fixture *f, uint32_t number, uint64_t end, uint64_t durable_end)
{
    record_return(&f->record, number,
                  &(struct op){.fate = OP_END, .end = end, .durable_end = durable_end});
}

static void stands(struct fixture *f, uint32_t number, uint64_t position)
{
    record_return(&f->record, number, &(struct op){.fate = OP_DONE, .position = position});
}

/* What the reads at the end see: values, at these offsets. */
static void final_log(struct fixture *f, const struct record_entry *entries, uint32_t count)
{
    /* cppcheck-suppress uninitvar ; the first count are written */
    const uint64_t end = count > 0 ? entries[count - 1].offset + 1 : 0;
    uint32_t number = record_call(
        &f->record,
        &(struct op){.kind = OP_READ, .client = 100, .final = true, .max_entries = UINT32_MAX});
    uint32_t i;

    for (i = 0; i < count; i++) {
        record_entry(&f->record, entries[i].offset, entries[i].value);
    }
    if (count > 0) {
        record_return(&f->record, number,
                      &(struct op){.fate = OP_DONE,
                                   .from = entries[0].offset,
                                   .to = end,
                                   .end = end,
                                   .durable_end = end,
                                   .entry_count = count});
    } else {
        ends(f, number, 0, 0);
    }
}

/* The log has the entries of these appends, whole, one behind the other from offset 0 on. */
static void final_appends(struct fixture *f, const uint32_t *appends, uint32_t count)
{
    struct record_entry entries[64];
    uint32_t used = 0;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < count; i++) {
        for (k = 0; k < f->record.ops[appends[i]].entry_count; k++) {
            assert_true(used < 64);
            entries[used] = (struct record_entry){used, record_value(appends[i], k)};
            used++;
        }
    }
    final_log(f, entries, used);
}

static void expect(struct fixture *f, const char *rule)
{
    const char *broken = check_record(&f->record, f->text, sizeof f->text);

    if (rule == NULL && broken != NULL) {
        print_error("%s: %s\n", broken, f->text);
    }
    if (rule == NULL) {
        assert_null(broken);
    } else {
        assert_non_null(broken);
        assert_string_equal(broken, rule);
        assert_true(strlen(f->text) > 0);
    }
}

static int setup(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    record_deinit(&f->record);
    return 0;
}

/* ---- what may happen ---- */

/* Two appends that overlap may stand in either order, and a read beside them may see none, one or
 * both. */
static void overlapping_requests_may_happen_in_any_order(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 2);
    const uint32_t b = call_append(f, 2, 1);
    const uint32_t none = call(f, OP_READ, 0);
    const uint32_t one = call(f, OP_READ, 0);

    ends(f, none, 0, 0);
    delivers(f, one, b, 0, 1, 0, 1);
    acked(f, a, 1, 0);
    acked(f, b, 0, 0);
    final_appends(f, (const uint32_t[]){b, a}, 2);
    expect(f, NULL);
}

/* What has no reply may be there or not, and so may what a client sent before it went. */
static void unknown_appends_may_be_there_or_not(void **state)
{
    struct fixture *f = *state;
    const uint32_t there = call_append(f, 1, 2);
    const uint32_t absent = call_append(f, 2, 2);
    const uint64_t death = record_death(&f->record);
    uint32_t after;

    record_lost(&f->record, there, death);
    record_lost(&f->record, absent, death);
    after = append(f, 3, 1, 2);
    final_appends(f, (const uint32_t[]){there, after}, 2);
    expect(f, NULL);
}

/* Consuming reads that overlap share what there is; a checkpoint passes what nobody read; a cursor
 * that is not strict may go back as far as it says when the daemon dies, and delivers that
 * again. */
static void cursors_may_share_skip_and_forget_what_they_say(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 10, 0);
    const uint32_t first = call(f, OP_CONSUME, 0);
    const uint32_t second = call(f, OP_CONSUME, 0);
    uint32_t checkpoint;
    uint32_t third;

    f->record.consistency = 3;
    delivers(f, second, a, 2, 2, 2, 10);
    delivers(f, first, a, 0, 2, 0, 10);
    checkpoint = call(f, OP_CHECKPOINT, 6);
    stands(f, checkpoint, 6);
    (void)record_death(&f->record);
    third = call(f, OP_CONSUME, 0);
    delivers(f, third, a, 3, 4, 3, 10);
    final_appends(f, &a, 1);
    expect(f, NULL);
}

/* Somebody may see a checkpoint that nobody has been told yet: when the daemon dies then, it need
 * not be kept. */
static void an_unacknowledged_checkpoint_may_be_seen_and_lost(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 4, 0);
    const uint32_t checkpoint = call(f, OP_CHECKPOINT, 3);

    stands(f, call(f, OP_POSITION, 0), 3);
    record_lost(&f->record, checkpoint, record_death(&f->record));
    stands(f, call(f, OP_POSITION, 0), 0);
    final_appends(f, &a, 1);
    expect(f, NULL);
}

/* ---- the log ---- */

/* An acknowledged append that is gone is a loss, whatever else is there. */
static void objects_to_a_lost_append(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);

    (void)append(f, 1, 1, 1);
    final_appends(f, &a, 1);
    expect(f, "what was acknowledged is there");
}

/* A part of a batch must never be seen, also when nobody knows whether it was stored. */
static void objects_to_half_a_batch(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 3);

    record_lost(&f->record, a, MOMENT_NEVER);
    final_log(f, (const struct record_entry[]){{0, record_value(a, 0)}, {1, record_value(a, 1)}},
              2);
    expect(f, "a batch is there whole or not at all");
}

/* Nothing is stored a second time by itself. */
static void objects_to_a_batch_that_is_there_twice(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);

    final_appends(f, (const uint32_t[]){a, a}, 2);
    expect(f, "a batch is there once");
}

/* The offset of a reply is where the entry is, now and later. */
static void objects_to_a_batch_at_another_offset(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 5);

    final_appends(f, &a, 1);
    expect(f, "a batch is where its reply said");
}

/* A refusal means not stored, now or ever. */
static void objects_to_what_was_refused(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 1);

    record_return(&f->record, a, &(struct op){.fate = OP_REFUSED});
    final_appends(f, &a, 1);
    expect(f, "what was refused is not there");
}

/* Entries are not invented. */
static void objects_to_what_nobody_sent(void **state)
{
    struct fixture *f = *state;

    final_log(f, &(struct record_entry){0, record_value(7, 0)}, 1);
    expect(f, "nothing is there that was not sent");
}

/* An offset is given to one entry. */
static void objects_to_an_offset_that_comes_twice(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);
    const uint32_t b = append(f, 1, 1, 1);

    final_log(f, (const struct record_entry[]){{0, record_value(a, 0)}, {0, record_value(b, 0)}},
              2);
    expect(f, "the log has each offset once");
}

/* ---- order ---- */

/* Whoever sends when another was acknowledged comes behind it. */
static void objects_to_an_append_before_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 1);
    const uint32_t b = append(f, 2, 1, 0);

    final_appends(f, (const uint32_t[]){b, a}, 2);
    expect(f, "what was acknowledged before another was sent stands before it");
}

/* What died with the daemon cannot come behind what was sent to the next one. */
static void objects_to_an_append_that_survives_its_daemon_unstored(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 1);
    uint32_t b;

    record_lost(&f->record, a, record_death(&f->record));
    b = append(f, 2, 1, 0);
    final_appends(f, (const uint32_t[]){b, a}, 2);
    expect(f, "what was acknowledged before another was sent stands before it");
}

/* Pipelined appends of one client keep their order. */
static void objects_to_one_clients_appends_in_another_order(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 1);
    const uint32_t b = call_append(f, 1, 1);

    acked(f, b, 0, 0);
    acked(f, a, 1, 0);
    final_appends(f, (const uint32_t[]){b, a}, 2);
    expect(f, "one client's appends keep their order");
}

/* ---- reads ---- */

/* A read begins with the first entry that is there. */
static void objects_to_a_read_that_skips(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 3, 0);

    delivers(f, call(f, OP_READ, 0), a, 1, 2, 1, 3);
    final_appends(f, &a, 1);
    expect(f, "a read delivers what the log has, and skips nothing");
}

/* An offset shows everybody the same entry. */
static void objects_to_a_read_of_something_else(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 2, 0);

    delivers(f, call(f, OP_READ, 0), a, 1, 1, 0, 2);
    final_appends(f, &a, 1);
    expect(f, "a read delivers what the log has, and skips nothing");
}

/* No answer knows the future. */
static void objects_to_a_read_of_what_is_not_sent_yet(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);
    const uint32_t read = call(f, OP_INFO, 0);

    record_return(&f->record, read, &(struct op){.fate = OP_DONE, .end = 2});
    final_appends(f, (const uint32_t[]){a, append(f, 1, 1, 1)}, 2);
    expect(f, "nobody sees what was not sent yet");
}

/* END in front of an entry would make a reader wait for what is there. */
static void objects_to_an_end_with_something_behind_it(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 2, 0);

    ends(f, call(f, OP_READ, 1), 2, 0);
    final_appends(f, &a, 1);
    expect(f, "END is where no entry is");
}

/* A limit of entries is one. */
static void objects_to_more_than_was_asked_for(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 2, 0);
    const uint32_t read = record_call(&f->record, &(struct op){.kind = OP_READ, .max_entries = 1});

    delivers(f, read, a, 0, 2, 0, 2);
    final_appends(f, &a, 1);
    expect(f, "a read delivers something, and no more than asked for");
}

/* A reply cannot deliver beyond the end that it names. */
static void objects_to_offsets_that_contradict_each_other(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 2, 0);

    delivers(f, call(f, OP_READ, 0), a, 0, 2, 0, 1);
    final_appends(f, &a, 1);
    expect(f, "the offsets of a reply fit each other");
}

/* ---- ends ---- */

/* Read your append: the same client, or another one that asks later. */
static void objects_to_an_acknowledged_append_that_is_not_seen(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);

    ends(f, call(f, OP_READ, 0), 0, 0);
    final_appends(f, &a, 1);
    expect(f, "what was acknowledged or seen is seen from then on");
}

/* What one reader saw does not vanish for the next one. */
static void objects_to_a_read_that_is_taken_back(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 1);

    delivers(f, call(f, OP_READ, 0), a, 0, 1, 0, 1);
    ends(f, call(f, OP_READ, 0), 0, 0);
    acked(f, a, 0, 0);
    final_appends(f, &a, 1);
    expect(f, "what was acknowledged or seen is seen from then on");
}

/* Durable is for good. */
static void objects_to_durable_entries_that_no_longer_are(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = call_append(f, 1, 1);

    acked(f, a, 0, 1);
    ends(f, call(f, OP_READ, 1), 1, 0);
    final_appends(f, &a, 1);
    expect(f, "what is durable stays durable");
}

/* After SYNC everything acknowledged before it is durable. */
static void objects_to_a_sync_that_did_not(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);

    stands(f, call(f, OP_SYNC, 0), 0);
    ends(f, call(f, OP_READ, 1), 1, 0);
    final_appends(f, &a, 1);
    expect(f, "what is durable stays durable");
}

/* With fsync each an acknowledgement means durable. */
static void objects_to_an_acknowledgement_too_early(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 1, 0);

    f->record.each = true;
    final_appends(f, &a, 1);
    expect(f, "an acknowledgement that means durable comes when it is");
}

/* ---- cursors ---- */

/* Two workers that share a cursor never get the same entry. */
static void objects_to_an_entry_consumed_twice(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 4, 0);
    const uint32_t first = call(f, OP_CONSUME, 0);
    const uint32_t second = call(f, OP_CONSUME, 0);

    delivers(f, first, a, 0, 2, 0, 4);
    delivers(f, second, a, 1, 2, 1, 4);
    final_appends(f, &a, 1);
    expect(f, "each entry is delivered to one consuming read");
}

/* A strict cursor forgets nothing, also when the daemon dies. */
static void objects_to_a_strict_cursor_that_forgets(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 4, 0);

    delivers(f, call(f, OP_CONSUME, 0), a, 0, 2, 0, 4);
    (void)record_death(&f->record);
    stands(f, call(f, OP_POSITION, 0), 1);
    final_appends(f, &a, 1);
    expect(f, "a cursor never goes back");
}

/* What a cursor list called durable is, whatever the consistency. */
static void objects_to_a_durable_position_that_is_forgotten(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 9, 0);

    f->record.consistency = 5;
    stands(f, call(f, OP_CHECKPOINT, 4), 4);
    record_return(&f->record, call(f, OP_POSITION, 0),
                  &(struct op){.fate = OP_DONE, .position = 4, .kept_position = 4});
    (void)record_death(&f->record);
    stands(f, call(f, OP_POSITION, 0), 3);
    final_appends(f, &a, 1);
    expect(f, "a cursor never goes back");
}

/* One that is not strict forgets no more than it says. */
static void objects_to_a_cursor_that_forgets_too_much(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 9, 0);

    f->record.consistency = 3;
    stands(f, call(f, OP_CHECKPOINT, 8), 8);
    (void)record_death(&f->record);
    stands(f, call(f, OP_POSITION, 0), 4);
    final_appends(f, &a, 1);
    expect(f, "a cursor never goes back");
}

/* A cursor that jumps over entries loses them for its consumer. */
static void objects_to_entries_that_a_cursor_passed_unseen(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 6, 0);

    delivers(f, call(f, OP_CONSUME, 0), a, 0, 2, 0, 6);
    delivers(f, call(f, OP_CONSUME, 0), a, 3, 2, 3, 6);
    final_appends(f, &a, 1);
    expect(f, "no cursor passes an entry that nobody got");
}

/* A cursor at the end although entries known to be there were never delivered. */
static void objects_to_an_end_in_front_of_entries(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 2, 0);

    ends(f, call(f, OP_CONSUME, 0), 2, 0);
    final_appends(f, &a, 1);
    expect(f, "no cursor passes an entry that nobody got");
}

/* A checkpoint that is acknowledged has moved the cursor. */
static void objects_to_a_checkpoint_that_was_not_made(void **state)
{
    struct fixture *f = *state;
    const uint32_t a = append(f, 1, 6, 0);

    stands(f, call(f, OP_CHECKPOINT, 4), 2);
    final_appends(f, &a, 1);
    expect(f, "a checkpoint is answered with where the cursor stands");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(overlapping_requests_may_happen_in_any_order),
        TEST(unknown_appends_may_be_there_or_not),
        TEST(cursors_may_share_skip_and_forget_what_they_say),
        TEST(an_unacknowledged_checkpoint_may_be_seen_and_lost),
        TEST(objects_to_a_lost_append),
        TEST(objects_to_half_a_batch),
        TEST(objects_to_a_batch_that_is_there_twice),
        TEST(objects_to_a_batch_at_another_offset),
        TEST(objects_to_what_was_refused),
        TEST(objects_to_what_nobody_sent),
        TEST(objects_to_an_offset_that_comes_twice),
        TEST(objects_to_an_append_before_what_was_acknowledged),
        TEST(objects_to_an_append_that_survives_its_daemon_unstored),
        TEST(objects_to_one_clients_appends_in_another_order),
        TEST(objects_to_a_read_that_skips),
        TEST(objects_to_a_read_of_something_else),
        TEST(objects_to_a_read_of_what_is_not_sent_yet),
        TEST(objects_to_an_end_with_something_behind_it),
        TEST(objects_to_more_than_was_asked_for),
        TEST(objects_to_offsets_that_contradict_each_other),
        TEST(objects_to_an_acknowledged_append_that_is_not_seen),
        TEST(objects_to_a_read_that_is_taken_back),
        TEST(objects_to_durable_entries_that_no_longer_are),
        TEST(objects_to_a_sync_that_did_not),
        TEST(objects_to_an_acknowledgement_too_early),
        TEST(objects_to_an_entry_consumed_twice),
        TEST(objects_to_a_strict_cursor_that_forgets),
        TEST(objects_to_a_durable_position_that_is_forgotten),
        TEST(objects_to_a_cursor_that_forgets_too_much),
        TEST(objects_to_entries_that_a_cursor_passed_unseen),
        TEST(objects_to_an_end_in_front_of_entries),
        TEST(objects_to_a_checkpoint_that_was_not_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
