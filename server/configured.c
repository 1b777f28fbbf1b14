#include "server/configured.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "core/check.h"
#include "core/engine.h"
#include "core/io.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/storage.h"

static const struct {
    int option;
    uint16_t key;
    size_t offset;
} rows[] = {
    {OPTION_retention, ENGINE_SETTING_RETENTION, offsetof(struct engine_settings, retention.kind)},
    {OPTION_retention_age, ENGINE_SETTING_RETENTION_AGE_MS,
     offsetof(struct engine_settings, retention.age_ms)},
    {OPTION_retention_size, ENGINE_SETTING_RETENTION_BYTES,
     offsetof(struct engine_settings, retention.bytes)},
    {OPTION_fsync, ENGINE_SETTING_FSYNC, offsetof(struct engine_settings, fsync_ms)},
    {OPTION_consistency, ENGINE_SETTING_CONSISTENCY, offsetof(struct engine_settings, consistency)},
    {OPTION_quota_size, ENGINE_SETTING_QUOTA_BYTES, offsetof(struct engine_settings, quota_bytes)},
    {OPTION_quota_topics, ENGINE_SETTING_QUOTA_TOPICS,
     offsetof(struct engine_settings, quota_topics)},
    {OPTION_quota_cursors, ENGINE_SETTING_QUOTA_CURSORS,
     offsetof(struct engine_settings, quota_cursors)},
    {OPTION_quota_policy, ENGINE_SETTING_QUOTA_POLICY,
     offsetof(struct engine_settings, quota_policy)},
};

_Static_assert(sizeof rows / sizeof rows[0] == CONFIGURED_COUNT, "a row for each setting");

int configured_option(uint32_t index)
{
    CHECK(index < CONFIGURED_COUNT);
    return rows[index].option;
}

uint64_t configured_current(const struct engine_settings *settings, uint32_t index)
{
    uint64_t value;

    CHECK(index < CONFIGURED_COUNT);
    memcpy(&value, (const char *)settings + rows[index].offset, sizeof value);
    return value;
}

const struct option_origin *configured_find(const struct config *config, const char *name,
                                            uint32_t index, uint64_t *value)
{
    const int option = configured_option(index);
    const struct config_namespace *space = config_namespace_find(config, name);
    const struct option_origin *origin = &config->options.origin[option];
    const bool own = strcmp(name, "default") == 0 && origin->kind != ORIGIN_DEFAULT;

    /* Its own section is nearer than [defaults], and a file behind environment and arguments. */
    if (space != NULL && space->origin[option].kind == ORIGIN_FILE &&
        (!own || origin->kind == ORIGIN_FILE)) {
        *value = space->value[option];
        return &space->origin[option];
    }
    if (own) {
        *value = options_get(&config->options, option);
        return origin;
    }
    return NULL;
}

uint32_t configured_changes(const struct config *config, const char *name,
                            const struct engine_settings *settings, struct engine_setting *to,
                            struct engine_setting *from)
{
    uint32_t count = 0;
    uint32_t i;

    for (i = 0; i < CONFIGURED_COUNT; i++) {
        const uint64_t before = configured_current(settings, i);
        uint64_t value;

        if (configured_find(config, name, i, &value) != NULL && value != before) {
            to[count] = (struct engine_setting){.key = rows[i].key, .value = value};
            from[count++] = (struct engine_setting){.key = rows[i].key, .value = before};
        }
    }
    return count;
}

void configured_initial(const struct config *config, const char *name, struct engine_setting *out)
{
    uint32_t i;

    for (i = 0; i < CONFIGURED_COUNT; i++) {
        out[i].key = rows[i].key;
        if (configured_find(config, name, i, &out[i].value) == NULL) {
            out[i].value = options_get(&config->options, rows[i].option);
        }
    }
}

const struct option_row *configured_row(uint16_t key)
{
    uint32_t i = 0;

    while (i < CONFIGURED_COUNT && rows[i].key != key) {
        i++;
    }
    CHECK(i < CONFIGURED_COUNT);
    return &options_rows()[rows[i].option];
}

bool configured_fixed(const struct config *config, const char *name,
                      const struct engine_setting *settings, uint32_t count, char *text,
                      size_t size)
{
    const struct option_origin *origin;
    char where[OPTIONS_ORIGIN_SIZE];
    uint64_t value;
    uint32_t i;
    uint32_t j;

    for (i = 0; i < count; i++) {
        for (j = 0; j < CONFIGURED_COUNT; j++) {
            if (rows[j].key != settings[i].key) {
                continue;
            }
            origin = configured_find(config, name, j, &value);
            if (origin != NULL && origin->kind == ORIGIN_FILE && value != settings[i].value) {
                option_origin_text(origin, where);
                (void)snprintf(text, size,
                               "%s of namespace \"%s\" is fixed by %s: change it there, and reload",
                               options_rows()[rows[j].option].key, name, where);
                return true;
            }
        }
    }
    return false;
}

void configured_tell_quota(struct namespace *ns)
{
    static const char *const policies[] = {
        [ENGINE_QUOTA_REJECT] = "nothing is lost; appends that need a new block are refused",
        [ENGINE_QUOTA_DROP_OLDEST] =
            "the oldest full blocks go with the next append that needs one",
        [ENGINE_QUOTA_WAIT] =
            "nothing is lost; appends that need a new block wait, and are refused",
    };
    const struct engine_settings *settings;
    struct engine_namespace_info info;

    engine_namespace_info(ns, &info);
    settings = &info.settings;
    CHECK(settings->quota_policy <= ENGINE_QUOTA_WAIT);
    if (settings->quota_bytes != 0 && info.blocks_bytes > settings->quota_bytes) {
        log_warning("quota",
                    "namespace \"%s\" uses %llu bytes of blocks, %llu more than its quota-bytes of "
                    "%llu: %s until that many are free",
                    info.name, (unsigned long long)info.blocks_bytes,
                    (unsigned long long)(info.blocks_bytes - settings->quota_bytes),
                    (unsigned long long)settings->quota_bytes, policies[settings->quota_policy]);
    }
    if (settings->quota_topics != 0 && info.topics > settings->quota_topics) {
        log_warning("quota",
                    "namespace \"%s\" has %llu topics, and a quota of %llu: none goes, and no more "
                    "are made",
                    info.name, (unsigned long long)info.topics,
                    (unsigned long long)settings->quota_topics);
    }
    if (settings->quota_cursors != 0 && info.cursors > settings->quota_cursors) {
        log_warning("quota",
                    "namespace \"%s\" has %llu cursors, and a quota of %llu: none goes, and no "
                    "more are made",
                    info.name, (unsigned long long)info.cursors,
                    (unsigned long long)settings->quota_cursors);
    }
}

/* ---- before the loop runs ---- */

static struct engine_time read_clocks(void)
{
    return (struct engine_time){.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
}

static void on_applied(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static int run_command(const struct storage *storage, struct namespace *ns, const char *name,
                       struct engine_command *command, struct error *err)
{
    struct engine_time now = read_clocks();
    bool done = false;

    command->base.done = on_applied;
    command->base.arg = &done;
    engine_now(storage->engine, &now);
    engine_command(ns, command);
    while (!done) {
        now = read_clocks();
        if (!engine_poll(storage->engine, &now) && !done) {
            (void)io_wait(storage->io); /* Runs what completed; the next poll looks at it */
        }
    }
    if (command->base.status != 0) {
        return error_set(err, command->base.status, "set options of namespace \"%s\": %s", name,
                         command->base.error.text);
    }
    return 0;
}

static void warn_of_absent(const struct storage *storage, const struct config *config)
{
    char where[OPTIONS_ORIGIN_SIZE];
    uint32_t i;

    for (i = 0; i < config->namespace_count; i++) {
        const struct config_namespace *space = &config->namespaces[i];

        if (engine_namespace_find(storage->engine, space->name, strlen(space->name)) == NULL) {
            option_origin_text(&space->section, where);
            log_warning("config", "%s: there is no namespace \"%s\" (yet)", where, space->name);
        }
    }
}

int configured_apply(const struct storage *storage, const struct config *config, struct error *err)
{
    struct namespace *ns = engine_namespace_next(storage->engine, NULL, 0);
    struct engine_setting from[CONFIGURED_COUNT];
    struct engine_setting to[CONFIGURED_COUNT];
    struct engine_namespace_info info;
    int rc;

    warn_of_absent(storage, config);
    while (ns != NULL) {
        struct engine_command command = {.kind = ENGINE_NAMESPACE_SET, .settings = to};

        engine_namespace_info(ns, &info);
        if (info.state == ENGINE_SERVING) {
            command.settings_count =
                configured_changes(config, info.name, &info.settings, to, from);
            rc = command.settings_count == 0 ? 0
                                             : run_command(storage, ns, info.name, &command, err);
            if (rc != 0) {
                return rc;
            }
            configured_tell_quota(ns);
        }
        ns = engine_namespace_next(storage->engine, info.name, strlen(info.name));
    }
    return 0;
}
