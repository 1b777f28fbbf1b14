/* The quota of bytes: who is refused, who waits, and what goes instead. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "tests/support/engine_fixture.h"
#include "tests/unit/range_fixture.h"

#define ENTRY_SIZE 4900u /* Four of them fill a block */
#define PER_BLOCK 4u

struct told {
    unsigned count;
    uint64_t entries;
    uint64_t bytes;
    uint64_t to; /* Of the last one */
    char topic[8];
};

static void on_dropped(void *arg, const struct engine_dropped *dropped)
{
    struct told *told = arg;

    assert_string_equal(dropped->space, "default");
    assert_true(dropped->to > dropped->from);
    assert_true(dropped->topic_size < sizeof told->topic);
    memcpy(told->topic, dropped->topic, dropped->topic_size);
    told->topic[dropped->topic_size] = '\0';
    told->count++;
    told->entries += dropped->entries;
    told->bytes += dropped->bytes;
    told->to = dropped->to;
}

static void open_with(struct fixture *f, enum engine_quota_policy policy, uint64_t blocks)
{
    f->options.settings.quota_policy = policy;
    f->options.settings.quota_bytes = blocks * f->options.block_size;
    fixture_open(f);
}

static void fill_entries(struct fixture *f, const char *topic, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        fixture_pass(f, 1000);
        assert_int_equal(fixture_append_size(f, topic, ENTRY_SIZE), 0);
    }
}

/* Where the quota has room, a full block comes with the next one, taken ahead of need. */
static void fill(struct fixture *f, const char *topic, unsigned blocks)
{
    fill_entries(f, topic, blocks * PER_BLOCK);
}

/* Two entries fewer: nothing is taken ahead. */
static void fill_nearly(struct fixture *f, const char *topic, unsigned blocks)
{
    fill_entries(f, topic, blocks * PER_BLOCK - 2);
}

/* An append of one entry that is left under way. */
static void begin(struct fixture *f, struct fixture_append *append, const char *topic,
                  uint32_t size)
{
    static uint8_t bytes[ENTRY_SIZE];
    const struct batch_entry entry = {.data = bytes, .size = size};

    assert_true(size <= sizeof bytes);
    fixture_append_begin(f, append, topic, &entry, 1);
}

/* A refusal says what is used, what is allowed and what to do, and loses nothing. */
static void a_refusal_says_what_is_used_and_allowed(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    char figure[32];

    open_with(f, ENGINE_QUOTA_REJECT, 3);
    fill(f, "t", 3);
    begin(f, &append, "t", ENTRY_SIZE);
    assert_int_equal(fixture_append_end(f, &append), TUSK_EQUOTA);
    assert_int_equal(append.request.base.detail_a, 3 * f->options.block_size);
    assert_int_equal(append.request.base.detail_b, 3 * f->options.block_size);
    (void)snprintf(figure, sizeof figure, "%u", 3 * f->options.block_size);
    assert_non_null(strstr(append.request.base.error.text, figure));
    assert_non_null(strstr(append.request.base.error.text, "tusk ns set"));
    assert_int_equal(fixture_info(f, "t").first, 0);
    assert_int_equal(fixture_info(f, "t").end, 3 * PER_BLOCK);
    assert_int_equal(fixture_stat(f, "quota_refusals"), 1);
    assert_int_equal(fixture_stat(f, "quota_dropped_entries"), 0);
}

/* With drop-oldest no append is refused; what goes is the front, it is told, and the quota holds. */
static void drop_oldest_keeps_the_newest(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};
    unsigned i;

    f->options.dropped = on_dropped;
    f->options.dropped_arg = &told;
    open_with(f, ENGINE_QUOTA_DROP_OLDEST, 3);
    for (i = 0; i < 10 * PER_BLOCK; i++) {
        assert_int_equal(fixture_append_size(f, "t", ENTRY_SIZE), 0);
        assert_true(fixture_stat(f, "blocks_used") <= 3);
    }
    assert_int_equal(fixture_info(f, "t").end, 10 * PER_BLOCK);
    assert_int_equal(fixture_info(f, "t").first, 7 * PER_BLOCK);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 7 * PER_BLOCK - 1), TUSK_ETRIMMED);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 7 * PER_BLOCK), 0);
    assert_int_equal(told.entries, 7 * PER_BLOCK);
    assert_int_equal(told.bytes, 7 * (uint64_t)f->options.block_size);
    assert_int_equal(told.to, 7 * PER_BLOCK);
    assert_string_equal(told.topic, "t");
    assert_int_equal(fixture_stat(f, "quota_dropped_entries"), 7 * PER_BLOCK);
    assert_int_equal(fixture_stat(f, "quota_dropped_blocks"), 7);
}

/* The oldest block of the namespace goes, whoever appends. */
static void drop_oldest_takes_the_oldest_of_all_topics(void **state)
{
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_DROP_OLDEST, 4);
    fill_nearly(f, "b", 2);
    fill_nearly(f, "a", 2);
    fill_entries(f, "a", 3); /* Of which the last needs a block */
    assert_int_equal(fixture_info(f, "b").first, PER_BLOCK);
    assert_int_equal(fixture_info(f, "a").first, 0);
    fill_entries(f, "b", 3); /* Its active one stays: now another's is the oldest */
    assert_int_equal(fixture_info(f, "b").first, PER_BLOCK);
    assert_int_equal(fixture_info(f, "a").first, PER_BLOCK);
}

/* Active blocks never go: when there are no others, the append is refused at once. */
static void drop_oldest_leaves_active_blocks(void **state)
{
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_DROP_OLDEST, 2);
    fill_nearly(f, "a", 1);
    fill_nearly(f, "b", 1);
    fill_entries(f, "a", 2);
    assert_int_equal(fixture_append_size(f, "a", ENTRY_SIZE), TUSK_EQUOTA);
    assert_int_equal(fixture_stat(f, "quota_dropped_blocks"), 0);
    assert_int_equal(fixture_info(f, "a").end, PER_BLOCK);
}

/* A block that somebody holds is not dropped, nor what lies behind it in its topic: the next oldest
 * of another topic goes, and when there is none the append waits until it is let go. */
static void drop_oldest_leaves_what_is_held(void **state)
{
    struct fixture_read read = {.request = {.unchecked = true, .max_entries = 1}};
    struct fixture_append append = {0};
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_DROP_OLDEST, 4);
    fill_nearly(f, "t", 2);
    fill_nearly(f, "b", 2);
    assert_int_equal(range_ask(f, &read, 0), 0);
    assert_true(is_range(&read));
    fill_entries(f, "t", 3);
    assert_int_equal(fixture_info(f, "t").first, 0);
    assert_int_equal(fixture_info(f, "b").first, PER_BLOCK);
    fill_entries(f, "b", 2);
    begin(f, &append, "b", ENTRY_SIZE);
    fixture_pass(f, 1000000);
    assert_false(append.finished);
    assert_int_equal(fixture_info(f, "t").first, 0);
    range_end(&read);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(fixture_info(f, "t").first, PER_BLOCK);
}

/* With wait an append waits, in order, until a trim has made room. */
static void a_waiting_append_is_stored_when_there_is_room(void **state)
{
    struct fixture_append first = {0};
    struct fixture_append second = {0};
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_WAIT, 3);
    fill(f, "t", 3);
    begin(f, &first, "t", ENTRY_SIZE);
    begin(f, &second, "t", 1);
    fixture_pass(f, 1000000);
    assert_false(first.finished);
    assert_false(second.finished);
    assert_int_equal(fixture_stat(f, "waiting_appends"), 2);
    assert_int_equal(fixture_trim(f, "t", PER_BLOCK), 0);
    assert_int_equal(fixture_append_end(f, &first), 0);
    assert_int_equal(fixture_append_end(f, &second), 0);
    assert_int_equal(first.request.first_offset, 3 * PER_BLOCK);
    assert_int_equal(second.request.first_offset, 3 * PER_BLOCK + 1);
}

/* So does a higher quota, or another policy. */
static void a_waiting_append_is_stored_when_the_quota_changes(void **state)
{
    struct fixture_append append = {0};
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_WAIT, 3);
    fill(f, "t", 3);
    begin(f, &append, "t", ENTRY_SIZE);
    fixture_set(f, ENGINE_SETTING_QUOTA_BYTES, 4 * f->options.block_size);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fill_entries(f, "t", 3);
    memset(&append, 0, sizeof append);
    begin(f, &append, "t", ENTRY_SIZE);
    fixture_pass(f, 1000000);
    assert_false(append.finished);
    fixture_set(f, ENGINE_SETTING_QUOTA_POLICY, ENGINE_QUOTA_DROP_OLDEST);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(fixture_info(f, "t").first, PER_BLOCK);
}

/* When quota_wait is over it is refused, and nothing of it is stored; what fits behind it is. */
static void a_wait_ends(void **state)
{
    struct fixture_append large = {0};
    struct fixture_append small = {0};
    struct fixture *f = *state;
    uint64_t since;

    open_with(f, ENGINE_QUOTA_WAIT, 3);
    fill(f, "t", 3);
    since = f->now.mono_us;
    begin(f, &large, "t", ENTRY_SIZE);
    begin(f, &small, "t", 16);
    assert_int_equal(fixture_append_end(f, &large), TUSK_EQUOTA);
    assert_true(f->now.mono_us - since >= f->options.quota_wait_us);
    assert_int_equal(large.request.base.detail_b, 3 * f->options.block_size);
    assert_int_equal(fixture_stat(f, "waiting_bytes"), 0);
    fixture_settle(f);
    assert_true(small.finished); /* Its time is up, too, or there was room */
    (void)fixture_append_end(f, &small);
    fixture_kill(f);
    assert_true(fixture_info(f, "t").end >= 3 * PER_BLOCK);
    assert_int_equal(fixture_info(f, "t").entries,
                     3 * PER_BLOCK + (small.request.base.status == 0 ? 1 : 0));
}

/* Whose client is gone does not wait: not the first of a topic, not one in the middle. */
static void a_cancelled_append_does_not_wait(void **state)
{
    struct fixture_append appends[4] = {0};
    struct fixture *f = *state;
    unsigned i;

    open_with(f, ENGINE_QUOTA_WAIT, 3);
    fill(f, "t", 3);
    for (i = 0; i < 4; i++) {
        begin(f, &appends[i], "t", ENTRY_SIZE);
    }
    fixture_turn(f);
    engine_append_cancel(&appends[1].request);
    engine_append_cancel(&appends[3].request);
    fixture_turn(f);
    fixture_turn(f);
    assert_true(appends[1].finished);
    assert_true(appends[3].finished);
    assert_false(appends[0].finished);
    assert_int_equal(fixture_stat(f, "waiting_appends"), 2);
    assert_int_equal(fixture_append_end(f, &appends[1]), TUSK_EQUOTA);
    assert_int_equal(fixture_append_end(f, &appends[3]), TUSK_EQUOTA);
    assert_int_equal(fixture_trim(f, "t", PER_BLOCK), 0);
    assert_int_equal(fixture_append_end(f, &appends[0]), 0);
    assert_int_equal(fixture_append_end(f, &appends[2]), 0);
    assert_int_equal(appends[2].request.first_offset, 3 * PER_BLOCK + 1);
}

/* No more than so many wait: the next one is refused at once, and a topic that has room in its
 * block goes on. */
static void no_more_wait_than_may(void **state)
{
    enum { MOST = 1024 };
    struct fixture *f = *state;
    struct fixture_append *appends = calloc(MOST, sizeof *appends);
    struct fixture_append more = {0};
    unsigned i;

    assert_non_null(appends);
    open_with(f, ENGINE_QUOTA_WAIT, 4);
    assert_int_equal(fixture_append_size(f, "other", 1), 0);
    fill(f, "t", 3);
    for (i = 0; i < MOST; i++) {
        begin(f, &appends[i], "t", ENTRY_SIZE);
    }
    begin(f, &more, "t", ENTRY_SIZE);
    fixture_turn(f);
    assert_true(more.finished);
    assert_int_equal(fixture_append_end(f, &more), TUSK_EQUOTA);
    assert_false(appends[0].finished);
    assert_int_equal(fixture_append_size(f, "other", 1), 0);
    assert_false(appends[0].finished);
    fixture_set(f, ENGINE_SETTING_QUOTA_BYTES, 0);
    for (i = 0; i < MOST; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    free(appends);
}

/* A quota below what is used is taken. With reject nothing goes; with drop-oldest nothing goes
 * before somebody needs a block, and then down to the quota. */
static void a_quota_below_what_is_used_is_taken(void **state)
{
    struct fixture *f = *state;

    open_with(f, ENGINE_QUOTA_REJECT, 0);
    fill_nearly(f, "t", 8);
    fixture_set(f, ENGINE_SETTING_QUOTA_BYTES, 3 * f->options.block_size);
    fixture_pass(f, 3000000);
    fill_entries(f, "t", 2);
    assert_int_equal(fixture_append_size(f, "t", ENTRY_SIZE), TUSK_EQUOTA);
    assert_int_equal(fixture_info(f, "t").first, 0);
    fixture_set(f, ENGINE_SETTING_QUOTA_POLICY, ENGINE_QUOTA_DROP_OLDEST);
    fixture_pass(f, 3000000);
    assert_int_equal(fixture_info(f, "t").first, 0);
    assert_int_equal(fixture_append_size(f, "t", ENTRY_SIZE), 0);
    assert_int_equal(fixture_info(f, "t").first, 6 * PER_BLOCK);
    assert_int_equal(fixture_stat(f, "blocks_used"), 3);
}

/* The policy is remembered by the journal and by the manifest, and nothing else is a policy. */
static void the_policy_is_remembered(void **state)
{
    const struct engine_setting nonsense = {ENGINE_SETTING_QUOTA_POLICY, 3};
    struct engine_command set = {
        .kind = ENGINE_NAMESPACE_SET, .settings = &nonsense, .settings_count = 1};
    struct engine_namespace_info info;
    struct fixture *f = *state;

    fixture_open(f);
    fixture_set(f, ENGINE_SETTING_QUOTA_POLICY, ENGINE_QUOTA_WAIT);
    fixture_power_cut(f);
    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.settings.quota_policy, ENGINE_QUOTA_WAIT);
    fixture_set(f, ENGINE_SETTING_QUOTA_POLICY, ENGINE_QUOTA_DROP_OLDEST);
    fixture_stop(f);
    fixture_open(f); /* From the manifest of the clean stop */
    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.settings.quota_policy, ENGINE_QUOTA_DROP_OLDEST);
    assert_int_equal(fixture_command(f, &set), TUSK_EINVALID);
}

/* A record as the first version wrote it, and one of a policy that is not known, refuse. */
static void what_is_no_policy_refuses(void **state)
{
    const struct format_record record = {.type = RECORD_NAMESPACE_SET, .field = {0, 0, 0, 7}};
    uint8_t bytes[256] = {0};
    struct format_record_header header = {.type = RECORD_NAMESPACE_SET};
    struct format_record back;

    (void)state;
    header.size = format_record_size(&record);
    header.body_crc = format_record_body_encode(bytes, &record);
    assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
    assert_int_equal(format_quota_policy(back.flags), ENGINE_QUOTA_REJECT);
    header.flags = ENGINE_QUOTA_WAIT;
    assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
    assert_int_equal(format_quota_policy(back.flags), ENGINE_QUOTA_WAIT);
    header.flags = 200;
    assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
    assert_int_equal(format_quota_policy(back.flags), ENGINE_QUOTA_REJECT);
    header.flags = 0x100;
    assert_int_equal(format_record_body_decode(&back, &header, bytes), TUSK_EVERSION);
}

/* What was dropped stays dropped, and the store recovers, wherever a power cut comes. */
static void what_was_dropped_is_gone_from_the_front_only(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    open_with(f, ENGINE_QUOTA_DROP_OLDEST, 3);
    for (round = 0; round < 8; round++) {
        uint64_t first;
        uint64_t offset;

        fill(f, "t", 2);
        first = fixture_info(f, "t").first;
        fixture_power_cut(f);
        assert_true(fixture_info(f, "t").first <= first);
        for (offset = first; offset < first + PER_BLOCK; offset++) {
            assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, offset), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_refusal_says_what_is_used_and_allowed),
        FIXTURE_TEST(drop_oldest_keeps_the_newest),
        FIXTURE_TEST(drop_oldest_takes_the_oldest_of_all_topics),
        FIXTURE_TEST(drop_oldest_leaves_active_blocks),
        RANGE_TEST(drop_oldest_leaves_what_is_held),
        FIXTURE_TEST(a_waiting_append_is_stored_when_there_is_room),
        FIXTURE_TEST(a_waiting_append_is_stored_when_the_quota_changes),
        FIXTURE_TEST(a_wait_ends),
        FIXTURE_TEST(a_cancelled_append_does_not_wait),
        FIXTURE_TEST(no_more_wait_than_may),
        FIXTURE_TEST(a_quota_below_what_is_used_is_taken),
        FIXTURE_TEST(the_policy_is_remembered),
        cmocka_unit_test(what_is_no_policy_refuses),
        FIXTURE_TEST(what_was_dropped_is_gone_from_the_front_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
