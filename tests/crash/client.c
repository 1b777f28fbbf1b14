#include "tests/crash/client.h"

#include <stdlib.h>
#include <string.h>

#include "client/tusk.h"
#include "tests/crash/entry.h"
#include "tests/crash/report.h"
#include "tests/sim/random.h"

#define TIMEOUT_MS 30000

struct run {
    struct clients *clients;
    struct client *client;
    struct random random;
    struct tusk *t;
    bool gone; /* The daemon, as far as this client can tell */
};

/* The client of this thread, for callbacks: their argument is a batch's number. */
static _Thread_local struct client *mine;

static void topic_name(char *out, size_t size, uint32_t topic)
{
    (void)snprintf(out, size, "t%u", topic);
}

static void cursor_name(char *out, size_t size, const struct client *client)
{
    (void)snprintf(out, size, "c%u", client->id);
}

/* Few topics get most; new ones appear as lives go by, so that some are young in every crash. */
static uint16_t draw_topic(struct run *run)
{
    const uint32_t life = run->client->model->life;
    const uint32_t known = 4 + life < MODEL_TOPICS ? 4 + life : MODEL_TOPICS;

    return (uint16_t)random_below(&run->random, random_chance(&run->random, 85) ? 3 : known);
}

static bool connect_client(struct run *run)
{
    const struct model *model = run->client->model;
    const struct tusk_options options = {
        .size = sizeof options,
        .path = model->socket,
        .space = model->spaces[run->client->space].name,
        .timeout_ms = TIMEOUT_MS,
    };

    return tusk_connect(&options, &run->t, NULL) == TUSK_OK;
}

/* ---- producer ---- */

static void on_appended(void *user, int code, const struct tusk_append_result *result)
{
    struct client *client = mine;
    const uint32_t number = (uint32_t)(uintptr_t)user;
    struct sent *sent = &client->sent[number];

    sent->acked_ns = model_now_ns();
    sent->acked_at = model_position(client->model);
    if (code == TUSK_OK) {
        sent->fate = FATE_ACKED;
        sent->topic_id = result->topic_id;
        sent->first_offset = result->first_offset;
        sent->durable_end = result->durable_end;
        if (result->last_offset - result->first_offset + 1 != sent->count && client->bad[0] == 0) {
            (void)snprintf(client->bad, sizeof client->bad,
                           "batch %u of %u entries got [%llu, %llu]", number, sent->count,
                           (unsigned long long)result->first_offset,
                           (unsigned long long)result->last_offset);
        }
    } else if (tusk_outcome(code) == TUSK_NOT_STORED) {
        sent->fate = FATE_REFUSED;
    }
    (void)fprintf(
        client->journal,
        "append %u t%u count %u%s sent %llu: code %d at %llu log %llu id %llu offset %llu "
        "durable end %llu\n",
        number, sent->topic, sent->count, sent->durable ? " durable" : "",
        (unsigned long long)sent->sent_ns, code, (unsigned long long)sent->acked_ns,
        (unsigned long long)sent->acked_at, (unsigned long long)sent->topic_id,
        (unsigned long long)sent->first_offset, (unsigned long long)sent->durable_end);
}

/* One more batch. False: not now. */
static bool send_batch(struct run *run)
{
    static _Thread_local uint8_t bytes[ENTRY_BATCH_MAX][ENTRY_SIZE_MAX];
    struct client *client = run->client;
    const uint64_t seed = client->model->seed;
    const uint32_t number = client->sent_count;
    const struct entry_batch batch = entry_shape(seed, client->id, number);
    struct entry_name name = {.client = client->id, .number = number};
    struct tusk_bytes entries[ENTRY_BATCH_MAX];
    struct sent *sent = model_sent(client);
    char topic[16];
    int code;

    sent->topic = draw_topic(run);
    sent->count = (uint8_t)batch.count;
    sent->durable = random_chance(&run->random, 15);
    topic_name(topic, sizeof topic, sent->topic);
    name.topic = sent->topic;
    for (name.index = 0; name.index < batch.count; name.index++) {
        entry_make(seed, &name, &batch, bytes[name.index]);
        entries[name.index] = (struct tusk_bytes){bytes[name.index], batch.sizes[name.index]};
    }
    sent->sent_ns = model_now_ns();
    code = tusk_submit_append_batch(run->t, topic, entries, batch.count,
                                    sent->durable ? TUSK_APPEND_DURABLE : 0, on_appended,
                                    (void *)(uintptr_t)number);
    if (code != TUSK_OK) {
        sent->fate = FATE_REFUSED; /* It was never submitted */
        run->gone = run->gone || code != TUSK_EBUSY;
        return false;
    }
    return true;
}

static void sync_now(struct run *run)
{
    const uint64_t sent_ns = model_now_ns();

    if (tusk_sync(run->t) == TUSK_OK) {
        struct synced *synced = model_synced(run->client);

        synced->sent_ns = sent_ns;
        synced->acked_at = model_position(run->client->model);
        (void)fprintf(run->client->journal, "sync sent %llu: done log %llu\n",
                      (unsigned long long)sent_ns, (unsigned long long)synced->acked_at);
    }
}

static void produce(struct run *run)
{
    const uint32_t window = (uint32_t)random_between(&run->random, 1, run->clients->window);

    while (!run->gone && !atomic_load(&run->clients->stop)) {
        while (tusk_in_flight(run->t) < window && send_batch(run)) {
        }
        run->gone = run->gone || tusk_process(run->t, 20) != TUSK_OK;
        if (!run->gone && random_chance(&run->random, 1)) {
            sync_now(run);
        }
        report_pause_us(run->clients->pause_us);
    }
    /* Told to stop while the daemon runs: the last replies are worth waiting for. */
    if (!run->gone) {
        (void)tusk_flush(run->t, TIMEOUT_MS);
    }
}

/* ---- consumer ---- */

static void note_bad_entry(struct client *client, uint32_t topic, const struct tusk_entry *entry)
{
    if (client->bad[0] == 0) {
        (void)snprintf(client->bad, sizeof client->bad,
                       "t%u offset %llu: delivered bytes are not those of any entry", topic,
                       (unsigned long long)entry->offset);
    }
}

/* Check what was delivered and write it down. Returns where it ends. */
static uint64_t take_delivery(struct run *run, uint16_t topic, struct tusk_batch *batch)
{
    struct client *client = run->client;
    struct tusk_batch_info info = {.size = sizeof info};
    struct delivered *delivered = model_delivered(client);
    struct tusk_entry entry;
    struct entry_name name;

    (void)tusk_batch_info(batch, &info);
    *delivered = (struct delivered){.topic = topic,
                                    .from = info.from,
                                    .to = info.to,
                                    .durable_end = info.durable_end,
                                    .told_at = model_position(client->model)};
    while (tusk_batch_next(batch, &entry)) {
        if (!entry_read_name(entry.data, entry.size, &name) || name.topic != topic ||
            !entry_matches(client->model->seed, &name, entry.data, entry.size)) {
            note_bad_entry(client, topic, &entry);
            continue;
        }
        delivered->sum += model_entry_sum(entry.offset, name.client, name.number, name.index);
    }
    tusk_batch_free(batch);
    return info.to;
}

static void write_moved(struct client *client, const struct moved *moved)
{
    (void)fprintf(client->journal, "cursor t%u to %llu%s sent %llu: %s log %llu\n", moved->topic,
                  (unsigned long long)moved->offset, moved->anywhere ? " or on" : "",
                  (unsigned long long)moved->sent_ns, moved->acked ? "acked" : "unknown",
                  (unsigned long long)moved->acked_at);
}

static void consume_some(struct run *run, uint16_t topic, const char *name, const char *cursor,
                         const struct tusk_read_options *options)
{
    struct moved *moved = model_moved(run->client);
    struct tusk_batch *batch;
    int code;

    moved->topic = topic;
    moved->sent_ns = model_now_ns();
    code = tusk_consume(run->t, name, cursor, options, &batch);
    if (code == TUSK_OK) {
        moved->acked = true;
        moved->acked_at = model_position(run->client->model);
        moved->offset = take_delivery(run, topic, batch);
    } else if (tusk_outcome(code) == TUSK_STORED_UNKNOWN) {
        moved->anywhere = true;
    } else {
        run->client->moved_count--; /* It moved nothing */
        return;
    }
    write_moved(run->client, moved);
}

static void peek_and_checkpoint(struct run *run, uint16_t topic, const char *name,
                                const char *cursor, const struct tusk_read_options *options)
{
    struct tusk_batch *batch;
    struct moved *moved;
    uint64_t offset;
    int code = tusk_peek(run->t, name, cursor, options, &batch);

    if (code != TUSK_OK) {
        if (code == TUSK_ECORRUPT && run->client->bad[0] == 0) {
            (void)snprintf(run->client->bad, sizeof run->client->bad, "%s",
                           tusk_last_error(run->t)->text);
            run->client->told_damage = true;
        }
        return;
    }
    offset = take_delivery(run, topic, batch);
    if (random_chance(&run->random, 20)) {
        return; /* The same comes again */
    }
    moved = model_moved(run->client);
    moved->topic = topic;
    moved->offset = offset;
    moved->sent_ns = model_now_ns();
    code = tusk_checkpoint(run->t, name, cursor, offset, 0, 0, NULL);
    if (code == TUSK_OK) {
        moved->acked = true;
        moved->acked_at = model_position(run->client->model);
    } else if (tusk_outcome(code) == TUSK_NOT_STORED) {
        run->client->moved_count--;
        return;
    }
    write_moved(run->client, moved);
}

static void read_on(struct run *run)
{
    const struct tusk_read_options options = {
        .size = sizeof options,
        .max_bytes = (uint32_t)random_between(&run->random, 1000, 60000),
        .wait_ms = 5,
    };
    char cursor[16];

    cursor_name(cursor, sizeof cursor, run->client);
    while (!atomic_load(&run->clients->stop) && tusk_last_error(run->t)->code != TUSK_ECLOSED) {
        const uint16_t topic = draw_topic(run);
        char name[16];

        topic_name(name, sizeof name, topic);
        if (random_chance(&run->random, 20)) {
            consume_some(run, topic, name, cursor, &options);
        } else {
            peek_and_checkpoint(run, topic, name, cursor, &options);
        }
        if (tusk_ping(run->t) != TUSK_OK) {
            return;
        }
        report_pause_us(run->clients->pause_us);
    }
}

/* ---- threads ---- */

static void *run_client(void *arg)
{
    struct run *run = arg;
    const struct model *model = run->client->model;

    random_init(&run->random,
                model->seed ^ ((uint64_t)model->life << 32) ^ ((uint64_t)run->client->id << 16));
    mine = run->client;
    (void)fprintf(run->client->journal, "life %u\n", model->life);
    if (connect_client(run)) {
        if (run->client->consumer) {
            read_on(run);
        } else {
            produce(run);
        }
        (void)tusk_close(run->t);
    }
    free(run);
    return NULL;
}

void clients_start(struct clients *clients, struct model *model, uint32_t window, uint32_t pause)
{
    uint32_t i;

    clients->model = model;
    clients->window = window;
    clients->pause_us = pause;
    atomic_store(&clients->stop, false);
    for (i = 0; i < model->client_count; i++) {
        struct run *run = calloc(1, sizeof *run);

        report_need(run != NULL, "memory for a client");
        run->clients = clients;
        run->client = &model->clients[i];
        report_need(pthread_create(&clients->threads[i], NULL, run_client, run) == 0,
                    "start a client");
    }
}

void clients_stop(struct clients *clients)
{
    uint32_t i;

    atomic_store(&clients->stop, true);
    for (i = 0; i < clients->model->client_count; i++) {
        (void)pthread_join(clients->threads[i], NULL);
    }
}

void clients_report(struct model *model, bool power_cut)
{
    uint32_t i;

    for (i = 0; i < model->client_count; i++) {
        struct client *client = &model->clients[i];

        /* The daemon outlives the disk for a moment, and finds blocks without what it wrote there. */
        if (client->bad[0] != 0 && !(client->told_damage && power_cut)) {
            report_violation("seed %llu life %u client %u: %s", (unsigned long long)model->seed,
                             model->life, client->id, client->bad);
        }
        client->bad[0] = 0;
        client->told_damage = false;
    }
}
