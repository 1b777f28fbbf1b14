#include "server/exposition_values.h"

#include <string.h>

#include "core/engine.h"
#include "server/server.h"
#include "server/stats.h"

struct wanted {
    const char *name;
    uint64_t value;
    bool found;
};

static void compare(void *arg, const char *name, uint64_t value)
{
    struct wanted *wanted = arg;

    if (!wanted->found && strcmp(name, wanted->name) == 0) {
        wanted->value = value;
        wanted->found = true;
    }
}

static bool answer(const struct wanted *wanted, uint64_t *value)
{
    *value = wanted->value;
    return wanted->found;
}

bool exposition_daemon(const struct server *server, const struct exposition_facts *facts,
                       const char *name, uint64_t *value)
{
    struct wanted wanted = {.name = name};

    stats_server(server, compare, &wanted);
    compare(&wanted, "one", 1);
    compare(&wanted, "start_us", facts->start_us);
    compare(&wanted, "ready", facts->ready);
    compare(&wanted, "disk_size_bytes", facts->disk_size_bytes);
    compare(&wanted, "disk_available_bytes", facts->disk_available_bytes);
    return answer(&wanted, value);
}

bool exposition_space(struct namespace *ns, const char *name, uint64_t *value)
{
    struct wanted wanted = {.name = name};
    struct engine_namespace_info info;

    engine_namespace_info(ns, &info);
    compare(&wanted, "serving", info.state == ENGINE_SERVING);
    if (info.state == ENGINE_SERVING) {
        engine_stats(ns, compare, &wanted);
        compare(&wanted, "congested", engine_namespace_congested(ns));
        compare(&wanted, "quota_bytes", info.settings.quota_bytes);
        compare(&wanted, "quota_topics", info.settings.quota_topics);
        compare(&wanted, "quota_cursors", info.settings.quota_cursors);
    }
    return answer(&wanted, value);
}

bool exposition_topic(const struct engine_topic_info *info, const char *name, uint64_t *value)
{
    struct wanted wanted = {.name = name};

    compare(&wanted, "first", info->first);
    compare(&wanted, "end", info->end);
    compare(&wanted, "durable_end", info->durable_end);
    compare(&wanted, "entries", info->entries);
    compare(&wanted, "bytes", info->bytes);
    compare(&wanted, "last_time_us", info->last_time_us);
    return answer(&wanted, value);
}

bool exposition_cursor(const struct engine_cursor_info *info, const char *name, uint64_t *value)
{
    struct wanted wanted = {.name = name};

    compare(&wanted, "offset", info->offset);
    compare(&wanted, "durable_offset", info->durable_offset);
    compare(&wanted, "lag", info->lag);
    return answer(&wanted, value);
}

const struct histogram *exposition_daemon_histogram(const struct server *server, const char *name)
{
    if (strcmp(name, "turn") == 0) {
        return &server->meter.turn_us;
    }
    return strcmp(name, "lag") == 0 ? &server->meter.lag_us : NULL;
}

const struct histogram *exposition_space_histogram(const struct namespace *ns, const char *name)
{
    static const struct {
        const char *name;
        enum engine_histogram which;
    } names[] = {
        {"batch_entries", ENGINE_BATCH_ENTRIES},
        {"batch_bytes", ENGINE_BATCH_BYTES},
        {"sync", ENGINE_SYNC_US},
        {"group_batches", ENGINE_GROUP_BATCHES},
        {"group_bytes", ENGINE_GROUP_BYTES},
    };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return engine_histogram(ns, names[i].which);
        }
    }
    return NULL;
}
