#include "tests/crash/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/tusk.h"
#include "tests/crash/report.h"
#include "tests/sim/random.h"

#define SETTINGS 3u

/* ---- arrays ---- */

/* Room for one more; the array may move. */
static void grow(void **array, uint32_t *room, uint32_t count, size_t size)
{
    if (count < *room) {
        return;
    }
    *room = *room == 0 ? 256 : *room * 2;
    *array = realloc(*array, *room * size);
    report_need(*array != NULL, "memory for the model");
}

#define MODEL_PUSH(name)                                                                           \
    struct name *model_##name(struct client *client)                                               \
    {                                                                                              \
        struct name *item;                                                                         \
                                                                                                   \
        grow((void **)&client->name, &client->name##_room, client->name##_count, sizeof *item);    \
        item = &client->name[client->name##_count++];                                              \
        memset(item, 0, sizeof *item);                                                             \
        return item;                                                                               \
    }

MODEL_PUSH(sent)
MODEL_PUSH(moved)
MODEL_PUSH(delivered)
MODEL_PUSH(synced)

/* ---- life ---- */

static void draw_space(struct model *model, uint32_t index, const char *only, struct random *random)
{
    static const char *const kinds[MODEL_SPACES] = {"each", "lazy", "none"};
    static const uint64_t lazy_ms[] = {5, 20, 50, 200};
    static const uint64_t every[] = {0, 0, 10, 100};
    struct space *space = &model->spaces[index];
    const char *kind = only != NULL ? only : kinds[index];

    (void)snprintf(space->name, sizeof space->name, "%s%u", kind, index);
    space->fsync_ms = lazy_ms[random_below(random, 4)];
    if (strcmp(kind, "each") == 0) {
        space->fsync_ms = 0;
    } else if (strcmp(kind, "none") == 0) {
        space->fsync_ms = UINT64_MAX;
    }
    space->consistency = every[random_below(random, 4)];
    space->consumed = random_chance(random, 25);
}

static void add_client(struct model *model, uint32_t space, bool consumer)
{
    struct client *client = &model->clients[model->client_count];
    char path[512];
    uint32_t i;

    *client = (struct client){
        .model = model, .id = model->client_count, .space = space, .consumer = consumer};
    for (i = 0; i < MODEL_TOPICS; i++) {
        client->cursors[i] = MODEL_NEVER;
    }
    (void)snprintf(path, sizeof path, "%s/client%u", model->dir, client->id);
    client->journal = fopen(path, "w");
    report_need(client->journal != NULL, "open a client's journal");
    model->client_count++;
}

void model_init(struct model *model, uint64_t seed, const char *dir, const char *only)
{
    struct random random;
    uint32_t i;

    memset(model, 0, sizeof *model);
    model->seed = seed;
    (void)snprintf(model->dir, sizeof model->dir, "%s", dir);
    report_need(mkdir(dir, 0700) == 0 || errno == EEXIST, "make a directory for journals");
    random_init(&random, seed);
    for (i = 0; i < MODEL_SPACES; i++) {
        draw_space(model, i, only, &random);
        add_client(model, i, false);
        add_client(model, i, false);
        add_client(model, i, true);
    }
}

void model_deinit(struct model *model)
{
    uint32_t i;

    for (i = 0; i < model->client_count; i++) {
        struct client *client = &model->clients[i];

        (void)fclose(client->journal);
        free(client->sent);
        free(client->moved);
        free(client->delivered);
        free(client->synced);
    }
    for (i = 0; i < MODEL_SPACES; i++) {
        free(model->spaces[i].issued);
    }
}

bool model_create_spaces(struct model *model, char *why, size_t why_size)
{
    const struct tusk_options options = {
        .size = sizeof options, .path = model->socket, .timeout_ms = 60000};
    struct tusk_failure failure;
    struct tusk *t;
    uint32_t i;
    int code = tusk_connect(&options, &t, &failure);

    if (code != TUSK_OK) {
        (void)snprintf(why, why_size, "%s", failure.text);
        return false;
    }
    for (i = 0; i < MODEL_SPACES && code == TUSK_OK; i++) {
        const struct space *space = &model->spaces[i];
        const struct tusk_setting settings[SETTINGS] = {
            {TUSK_SETTING_RETENTION,
             space->consumed ? TUSK_RETENTION_CONSUMED : TUSK_RETENTION_ALL},
            {TUSK_SETTING_FSYNC, space->fsync_ms},
            {TUSK_SETTING_CONSISTENCY, space->consistency},
        };

        code = tusk_namespace_create(t, space->name, settings, SETTINGS);
    }
    (void)snprintf(why, why_size, "%s", tusk_last_error(t)->text);
    (void)tusk_close(t);
    return code == TUSK_OK;
}

void model_sync_journals(struct model *model)
{
    uint32_t i;

    for (i = 0; i < model->client_count; i++) {
        FILE *journal = model->clients[i].journal;

        report_need(fflush(journal) == 0 && fdatasync(fileno(journal)) == 0,
                    "sync a client's journal");
    }
}

/* ---- offsets ---- */

uint64_t model_issued(const struct space *space, uint64_t topic_id)
{
    uint32_t i;

    for (i = 0; i < space->issued_count; i++) {
        if (space->issued[i].topic_id == topic_id) {
            return space->issued[i].before;
        }
    }
    return 0;
}

void model_issue(struct space *space, uint64_t topic_id, uint64_t end)
{
    uint32_t i;

    for (i = 0; i < space->issued_count; i++) {
        if (space->issued[i].topic_id == topic_id) {
            if (end > space->issued[i].before) {
                space->issued[i].before = end;
            }
            return;
        }
    }
    space->issued = realloc(space->issued, (space->issued_count + 1) * sizeof *space->issued);
    report_need(space->issued != NULL, "memory for the model");
    space->issued[space->issued_count++] = (struct issued){.topic_id = topic_id, .before = end};
}

uint64_t model_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t model_position(const struct model *model)
{
    return model->position == NULL ? 0 : atomic_load(model->position);
}

uint64_t model_entry_sum(uint64_t offset, uint32_t client, uint32_t number, uint32_t index)
{
    uint64_t state = offset ^ ((uint64_t)client << 48) ^ ((uint64_t)index << 32) ^
                     (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);

    return random_split(&state);
}
