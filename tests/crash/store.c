#include "tests/crash/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/tusk.h"
#include "tests/crash/report.h"

#define SETTINGS_MAX 12u
#define SETTING_SIZE 48u

void store_open(struct store *store, uint64_t seed, const char *data_dir, const char *schedule,
                const atomic_ulong *position)
{
    memset(store, 0, sizeof *store);
    report_make_dir(store->dir, sizeof store->dir);
    daemon_init(&store->daemon);
    if (data_dir != NULL) {
        (void)snprintf(store->daemon.data_dir, sizeof store->daemon.data_dir, "%s", data_dir);
    }
    model_init(&store->model, seed, store->dir, schedule);
    store->model.socket = store->daemon.socket;
    store->model.position = position;
    random_init(&store->random, seed + 1);
    (void)snprintf(store->where, sizeof store->where, "start");
}

void store_kill(struct store *store)
{
    if (store->daemon.pid > 0) {
        daemon_kill(&store->daemon);
    }
}

void store_close(struct store *store)
{
    store_kill(store);
    model_deinit(&store->model);
    if (report_violations() > 0) {
        (void)printf("kept: %s (journals), %s (daemon)\n", store->dir, store->daemon.dir);
        return;
    }
    report_remove(store->dir);
    daemon_deinit(&store->daemon);
}

void store_print_log(const struct store *store)
{
    char line[4096];
    FILE *log = fopen(store->daemon.log, "r");
    long size;

    if (log == NULL) {
        return;
    }
    (void)fseek(log, 0, SEEK_END);
    size = ftell(log);
    (void)fseek(log, size > 3000 ? size - 3000 : 0, SEEK_SET);
    while (fgets(line, sizeof line, log) != NULL) {
        (void)printf("    %s", line);
    }
    (void)fclose(log);
}

/* Sizes of the daemon: the same at every start of a store. */
static unsigned draw_settings(const struct store *store, char (*out)[SETTING_SIZE])
{
    static const char *const blocks[] = {"512KiB", "1MiB", "2MiB"};
    static const char *const segments[] = {"2", "4", "8"};
    static const char *const files[] = {"1MiB", "2MiB", "4MiB"};
    static const char *const journals[] = {"4MiB", "8MiB", "32MiB"};
    static const char *const windows[] = {"256KiB", "2MiB", "64MiB"};
    struct random random;
    unsigned count = 0;

    random_init(&random, store->model.seed + 2);
#define DRAW(name, from)                                                                           \
    (void)snprintf(out[count++], SETTING_SIZE, name "=%s", (from)[random_below(&random, 3)])
    DRAW("block_size", blocks);
    DRAW("blocks_per_segment", segments);
    DRAW("journal_file_max", files);
    DRAW("journal_size_max", journals);
    DRAW("unsynced_window", windows);
#undef DRAW
    (void)snprintf(out[count++], SETTING_SIZE, "batch_size_max=500KiB");
    (void)snprintf(out[count++], SETTING_SIZE, "entry_size_max=500KiB");
    (void)snprintf(out[count++], SETTING_SIZE, "ring_size=4MiB");
    return count;
}

void store_spawn(struct store *store)
{
    static const char *const ways[] = {"uring", "posix", "mmap"};
    char settings[SETTINGS_MAX][SETTING_SIZE];
    const unsigned count = draw_settings(store, settings);
    const char *arguments[2 * SETTINGS_MAX + 3] = {"--io", ways[random_below(&store->random, 3)]};
    unsigned i;

    for (i = 0; i < count; i++) {
        arguments[2 + 2 * i] = "--set";
        arguments[3 + 2 * i] = settings[i];
    }
    arguments[2 + 2 * i] = NULL;
    daemon_spawn(&store->daemon, arguments);
}

bool store_start(struct store *store)
{
    char why[600];

    store_spawn(store);
    if (!daemon_await_ready(&store->daemon)) {
        report_violation("%s: seed %llu: the daemon does not start, but exits with %d",
                         store->where, (unsigned long long)store->model.seed,
                         daemon_wait(&store->daemon));
        store_print_log(store);
        return false;
    }
    if (!store->created) {
        store->created = model_create_spaces(&store->model, why, sizeof why);
        if (!store->created) {
            report_violation("%s: namespaces cannot be made: %s", store->where, why);
            return false;
        }
    }
    return true;
}

void store_load(struct store *store, uint32_t window, uint32_t pause_us)
{
    clients_start(&store->clients, &store->model, window, pause_us);
    store->loaded = true;
}

void store_unload(struct store *store)
{
    if (store->loaded) {
        clients_stop(&store->clients);
        model_sync_journals(&store->model);
        store->loaded = false;
    }
}

void store_judge(struct store *store, enum ending ending, uint64_t cut, bool settle)
{
    static struct found found;
    struct judgement judgement = {.model = &store->model,
                                  .found = &found,
                                  .ending = ending,
                                  .cut = cut,
                                  .where = store->where};

    if (judge_read(&store->model, &found, store->where)) {
        judge_check(&judgement);
        if (settle) {
            judge_settle(&judgement);
        }
    }
    store->acked += judgement.acked;
    store->lost += judgement.lost;
    store->entries += found.entries;
    judge_free(&judgement);
    found_free(&found);
}

bool store_die(struct store *store)
{
    store_kill(store);
    store_unload(store);
    if (!store_start(store)) {
        return false;
    }
    store_judge(store, ENDING_KILL, UINT64_MAX, true);
    return true;
}

static bool digest_now(struct store *store, uint64_t *digest)
{
    static struct found found;
    const bool good = judge_read(&store->model, &found, store->where);

    *digest = found_digest(&store->model, &found);
    found_free(&found);
    return good;
}

void store_expect_same_again(struct store *store)
{
    uint64_t before;
    uint64_t after;

    if (!digest_now(store, &before)) {
        return;
    }
    store_kill(store);
    if (store_start(store) && digest_now(store, &after) && before != after) {
        report_violation("%s: seed %llu: a second restart finds something else", store->where,
                         (unsigned long long)store->model.seed);
    }
}

void store_expect_writable(struct store *store)
{
    uint32_t i;

    for (i = 0; i < MODEL_SPACES; i++) {
        struct space *space = &store->model.spaces[i];
        const struct tusk_options options = {.size = sizeof options,
                                             .path = store->daemon.socket,
                                             .space = space->name,
                                             .timeout_ms = 60000};
        struct tusk_append_result result;
        struct tusk_failure failure;
        struct tusk *t;

        /* A topic of its own ("t" and a number is the clients'), which is deleted again. */
        if (tusk_connect(&options, &t, &failure) != TUSK_OK) {
            report_violation("%s: %s: %s", store->where, space->name, failure.text);
            continue;
        }
        if (tusk_append(t, "again", "new", 3, TUSK_APPEND_DURABLE, &result) != TUSK_OK ||
            tusk_topic_delete(t, "again") != TUSK_OK) {
            report_violation("%s: %s takes no new writes: %s", store->where, space->name,
                             tusk_last_error(t)->text);
        } else if (result.first_offset < model_issued(space, result.topic_id)) {
            report_violation("%s: %s: offset %llu of topic %llu is issued again", store->where,
                             space->name, (unsigned long long)result.first_offset,
                             (unsigned long long)result.topic_id);
        } else if (!store->branches) {
            model_issue(space, result.topic_id, result.last_offset + 1);
        }
        (void)tusk_close(t);
    }
}
