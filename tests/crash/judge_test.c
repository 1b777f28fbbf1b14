/* The judge judged: a history that is in order is accepted, and each way of breaking it is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/crash/entry.h"
#include "tests/crash/judge.h"
#include "tests/crash/report.h"

#define BATCHES                                                                                    \
    6u /* Of client 0, two entries each, to topic 1; client 1 has half as many, to topic 2 */

struct scene {
    struct model model;
    struct found found;
    enum ending ending;
    char dir[256];
};

static struct found_entry *add_found(struct found_topic *topic, uint32_t client, uint32_t number,
                                     uint32_t index)
{
    struct found_entry *entry = &topic->entries[topic->count++];

    *entry = (struct found_entry){
        .offset = topic->end++, .client = client, .number = number, .index = index};
    return entry;
}

static void add_sent(struct scene *scene, uint32_t client, uint16_t topic, uint8_t count,
                     uint64_t when)
{
    struct sent *sent = model_sent(&scene->model.clients[client]);
    struct found_topic *found = &scene->found.topics[0][topic];
    uint32_t i;

    *sent = (struct sent){.topic = topic,
                          .fate = FATE_ACKED,
                          .count = count,
                          .topic_id = found->topic_id,
                          .first_offset = found->end,
                          .sent_ns = when,
                          .acked_ns = when + 5};
    for (i = 0; i < count; i++) {
        (void)add_found(found, client, scene->model.clients[client].sent_count - 1, i);
    }
}

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct moved *moved;
    uint32_t space;
    uint32_t i;

    assert_non_null(scene);
    report_make_dir(scene->dir, sizeof scene->dir);
    model_init(&scene->model, 1, scene->dir, NULL);
    scene->model.spaces[0].fsync_ms = 0;
    scene->model.spaces[0].consistency = 0;
    scene->model.spaces[0].consumed = false;
    for (space = 0; space < MODEL_SPACES; space++) {
        for (i = 0; i < MODEL_TOPICS; i++) {
            memset(scene->found.topics[space][i].cursors, 0xff,
                   sizeof scene->found.topics[space][i].cursors);
        }
    }
    for (i = 1; i <= 2; i++) {
        scene->found.topics[0][i].exists = true;
        scene->found.topics[0][i].topic_id = 10 + i;
        scene->found.topics[0][i].entries = calloc(32, sizeof(struct found_entry));
    }
    for (i = 0; i < BATCHES; i++) {
        add_sent(scene, 0, 1, 2, 100 * i);
        if (i % 2 == 0) {
            add_sent(scene, 1, 2, 1, 100 * i + 50);
        }
    }
    moved = model_moved(&scene->model.clients[2]);
    *moved = (struct moved){.topic = 1, .acked = true, .offset = 10, .sent_ns = 400};
    scene->found.topics[0][1].cursors[2] = 10;
    scene->ending = ENDING_KILL;
    report_silence(true);
    *state = scene;
    return 0;
}

static int free_scene(void **state)
{
    struct scene *scene = *state;

    model_deinit(&scene->model);
    found_free(&scene->found);
    assert_true(report_run("rm -rf '%s'", scene->dir));
    report_silence(false);
    free(scene);
    return 0;
}

static bool noticed(struct scene *scene)
{
    struct judgement judgement = {.model = &scene->model,
                                  .found = &scene->found,
                                  .ending = scene->ending,
                                  .cut = UINT64_MAX,
                                  .where = "test"};
    const uint64_t before = report_violations();

    judge_check(&judgement);
    judge_free(&judgement);
    return report_violations() > before;
}

static struct found_topic *topic_1(struct scene *scene)
{
    return &scene->found.topics[0][1];
}

static void remove_entry(struct found_topic *topic, uint32_t at)
{
    topic->count--;
    memmove(&topic->entries[at], &topic->entries[at + 1],
            (topic->count - at) * sizeof *topic->entries);
}

/* The last batch of topic 1, and the checkpoint, belong to what a lazy schedule may lose. */
static void lose_the_last(struct scene *scene)
{
    topic_1(scene)->count -= 2;
    topic_1(scene)->end -= 2;
}

static void what_is_in_order_is_accepted(void **state)
{
    assert_false(noticed(*state));
}

/* The last batch is gone: in schedule each, and after a kill in every schedule, that is a loss. */
static void loss_of_what_was_acknowledged_is_noticed(void **state)
{
    struct scene *scene = *state;

    lose_the_last(scene);
    assert_true(noticed(scene));
    scene->ending = ENDING_POWER;
    assert_true(noticed(scene));
    scene->model.spaces[0].fsync_ms = 200;
    scene->ending = ENDING_KILL;
    assert_true(noticed(scene));
}

/* After a power cut a lazy schedule may have lost it; but not if it was asked to be durable, or said
 * to be, or synced. */
static void only_promises_bind_a_lazy_schedule(void **state)
{
    struct scene *scene = *state;
    struct client *client = &scene->model.clients[0];
    struct sent *last = &client->sent[BATCHES - 1];

    scene->model.spaces[0].fsync_ms = 200;
    scene->ending = ENDING_POWER;
    lose_the_last(scene);
    assert_false(noticed(scene));
    last->durable = true;
    assert_true(noticed(scene));
    last->durable = false;
    last->durable_end = last->first_offset + 2;
    assert_true(noticed(scene));
    last->durable_end = 0;
    model_synced(client)->sent_ns = last->acked_ns + 1;
    assert_true(noticed(scene));
}

/* A batch in the middle is gone, or one of topic 2 although a later one of topic 1 is there. */
static void holes_are_noticed(void **state)
{
    struct scene *scene = *state;

    scene->model.spaces[0].fsync_ms = 200;
    scene->ending = ENDING_POWER;
    scene->found.topics[0][2].count--;
    assert_true(noticed(scene)); /* Batch 4 of topic 2 was acknowledged before batch 5 was sent */
    scene->found.topics[0][2].count++;
    remove_entry(topic_1(scene), 2);
    remove_entry(topic_1(scene), 2);
    scene->found.topics[0][1].cursors[2] = 10;
    assert_true(noticed(scene));
}

static void halves_doubles_and_inventions_are_noticed(void **state)
{
    struct scene *scene = *state;
    struct found_topic *topic = topic_1(scene);

    topic->count--; /* Half of the last batch */
    assert_true(noticed(scene));
    topic->count++;
    assert_false(noticed(scene));
    (void)add_found(topic, 0, 0, 0); /* Batch 0 again */
    (void)add_found(topic, 0, 0, 1);
    assert_true(noticed(scene));
    topic->count -= 2;
    (void)add_found(topic, 0, BATCHES, 0);
    assert_true(noticed(scene));
    topic->count--;
    topic->entries[3].offset = 2; /* Order */
    assert_true(noticed(scene));
}

static void what_should_not_be_there_is_noticed(void **state)
{
    struct scene *scene = *state;
    struct sent *first = &scene->model.clients[0].sent[0];

    first->fate = FATE_REFUSED;
    assert_true(noticed(scene));
    first->fate = FATE_ACKED;
    first->settled = SETTLED_LOST;
    assert_true(noticed(scene));
    first->settled = SETTLED_NOT;
    first->first_offset = 1; /* It was acknowledged elsewhere */
    assert_true(noticed(scene));
}

static void settle(struct scene *scene)
{
    struct judgement judgement = {.model = &scene->model,
                                  .found = &scene->found,
                                  .ending = scene->ending,
                                  .cut = UINT64_MAX,
                                  .where = "test"};

    judge_check(&judgement);
    judge_settle(&judgement);
    judge_free(&judgement);
}

/* Retention is not durable at once: what it took may be back after a crash, where it was. What was
 * lost may not, nor anything where nothing goes by retention. */
static void what_retention_took_may_come_back(void **state)
{
    struct scene *scene = *state;
    struct found_topic *topic = topic_1(scene);
    const struct found_entry first[2] = {topic->entries[0], topic->entries[1]};
    const struct sent *sent = scene->model.clients[0].sent;

    scene->model.spaces[0].consumed = true;
    remove_entry(topic, 0);
    remove_entry(topic, 0);
    topic->first = 2;
    assert_false(noticed(scene));
    settle(scene);
    assert_int_equal(sent[0].settled, SETTLED_GONE);
    memmove(topic->entries + 2, topic->entries, topic->count * sizeof *topic->entries);
    memcpy(topic->entries, first, sizeof first);
    topic->count += 2;
    topic->first = 0;
    assert_false(noticed(scene));
    topic->entries[0].index = 1; /* But only as it was */
    assert_true(noticed(scene));
}

/* An offset below what was issued in an earlier life, and one that two lost batches were given. */
static void offsets_issued_twice_are_noticed(void **state)
{
    struct scene *scene = *state;
    struct sent *sent = scene->model.clients[0].sent;

    scene->model.spaces[0].fsync_ms = 200;
    scene->ending = ENDING_POWER;
    lose_the_last(scene);
    assert_false(noticed(scene));
    sent[BATCHES - 1].first_offset = sent[BATCHES - 2].first_offset + 1;
    assert_true(noticed(scene));
    sent[BATCHES - 1].first_offset = sent[BATCHES - 2].first_offset + 2;
    model_issue(&scene->model.spaces[0], 11, 1);
    assert_true(noticed(scene));
}

static void strict_cursors_stay_where_they_were_acknowledged(void **state)
{
    struct scene *scene = *state;
    uint64_t *cursor = &topic_1(scene)->cursors[2];

    *cursor = 8;
    assert_true(noticed(scene));
    *cursor = 11; /* Nobody moved it there */
    assert_true(noticed(scene));
    *cursor = MODEL_NEVER;
    assert_true(noticed(scene));
    *cursor = 10;
    topic_1(scene)->end = 9;
    assert_true(noticed(scene)); /* Beyond the log */
}

static void loose_cursors_stay_within_their_bound(void **state)
{
    struct scene *scene = *state;
    struct client *client = &scene->model.clients[2];
    uint64_t *cursor = &topic_1(scene)->cursors[2];

    scene->model.spaces[0].consistency = 3;
    *model_moved(client) = (struct moved){.topic = 1, .acked = true, .offset = 8};
    *model_moved(client) = (struct moved){.topic = 1, .acked = true, .offset = 7};
    *cursor = 8;
    assert_false(noticed(scene));
    *cursor = 7;
    assert_true(noticed(scene));
    scene->ending = ENDING_POWER;
    assert_false(noticed(scene));
    scene->ending = ENDING_CLEAN;
    *cursor = 8;
    assert_true(noticed(scene));
}

static void retention_and_deliveries_are_checked(void **state)
{
    struct scene *scene = *state;
    struct client *client = &scene->model.clients[2];
    struct delivered *delivered = model_delivered(client);

    *delivered = (struct delivered){.topic = 1, .from = 2, .to = 4};
    delivered->sum = model_entry_sum(2, 0, 1, 0) + model_entry_sum(3, 0, 1, 1);
    assert_false(noticed(scene));
    delivered->sum++;
    assert_true(noticed(scene));
    delivered->sum--;
    scene->model.spaces[0].consumed = true;
    topic_1(scene)->first = 12; /* The cursor is at 10 */
    topic_1(scene)->count = 0;
    assert_true(noticed(scene));
}

/* Whichever byte of an entry is changed, it is not that entry any more. */
static void every_byte_of_an_entry_counts(void **state)
{
    const struct entry_batch batch = entry_shape(7, 3, 9);
    const uint32_t size = batch.sizes[0];
    struct entry_name name = {.client = 3, .number = 9, .topic = 2};
    uint8_t *bytes = malloc(size);
    uint32_t i;

    (void)state;
    assert_non_null(bytes);
    entry_make(7, &name, &batch, bytes);
    assert_true(entry_matches(7, &name, bytes, size));
    assert_false(entry_matches(7, &name, bytes, size - 1));
    assert_false(entry_matches(8, &name, bytes, size));
    for (i = 0; i < size; i++) {
        bytes[i] ^= 1;
        assert_false(entry_matches(7, &name, bytes, size));
        bytes[i] ^= 1;
    }
    free(bytes);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, make_scene, free_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(what_is_in_order_is_accepted),
        SCENE(loss_of_what_was_acknowledged_is_noticed),
        SCENE(only_promises_bind_a_lazy_schedule),
        SCENE(holes_are_noticed),
        SCENE(halves_doubles_and_inventions_are_noticed),
        SCENE(what_should_not_be_there_is_noticed),
        SCENE(what_retention_took_may_come_back),
        SCENE(offsets_issued_twice_are_noticed),
        SCENE(strict_cursors_stay_where_they_were_acknowledged),
        SCENE(loose_cursors_stay_within_their_bound),
        SCENE(retention_and_deliveries_are_checked),
        cmocka_unit_test(every_byte_of_an_entry_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
