#include "server/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/engine.h"
#include "server/clock.h"
#include "server/configured.h"
#include "server/descriptors.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/server.h"

/* A namespace whose settings change. */
struct reload_space {
    struct engine_command command;
    struct reload *reload; /* Borrowed */
    struct namespace *ns;  /* Borrowed: it cannot be deleted while the command is under way */
    const char *name;      /* The same */
    struct engine_setting to[CONFIGURED_COUNT];
    struct engine_setting from[CONFIGURED_COUNT];
    uint32_t count;
    bool set;
};

void reload_init(struct reload *reload, struct server *server, struct config *config,
                 const struct config_source *source)
{
    memset(reload, 0, sizeof *reload);
    reload->server = server;
    reload->config = config;
    reload->source = source;
}

void reload_deinit(struct reload *reload)
{
    config_free(&reload->next);
    free(reload->spaces);
    reload->spaces = NULL;
    reload->space_count = 0;
}

/* The end, however it went. */
static void end(struct reload *reload, const char *status)
{
    reload_deinit(reload);
    reload->busy = false;
    reload->reverting = false;
    reload->why[0] = '\0';
    notify_ready(status);
    if (reload->again) {
        reload->again = false;
        reload_begin(reload);
    }
}

static void refuse(struct reload *reload)
{
    /* Never held back, here and below: each answers somebody who asked. */
    log_each(LOG_LEVEL_ERROR, "reload", "refused: the configuration stays as it was");
    end(reload, "serving; the last reload was refused, see the log");
}

static void say_all(const struct config_report *report, enum log_level level)
{
    uint32_t i;

    for (i = 0; i < report->count; i++) {
        log_each(level, "config", report->texts[i]);
    }
    if (report->left_off > 0) {
        log_write(level, "config", "and %u more", report->left_off);
    }
}

/* ---- taking over ---- */

static void say_change(const struct options *before, const struct options *after, int index,
                       const char *remark)
{
    char old[OPTIONS_PATH_SIZE];
    char new[OPTIONS_PATH_SIZE];
    char where[OPTIONS_ORIGIN_SIZE];
    char text[2 * OPTIONS_PATH_SIZE + OPTIONS_ORIGIN_SIZE + 128];

    options_text(before, index, old);
    options_text(after, index, new);
    option_origin_text(&after->origin[index], where);
    (void)snprintf(text, sizeof text, "%s: %s -> %s (%s)%s", options_rows()[index].key, old, new,
                   where, remark);
    log_each(LOG_LEVEL_INFO, "reload", text);
}

static void say_settings(const struct reload_space *space)
{
    uint32_t i;

    for (i = 0; i < space->count; i++) {
        const struct option_row *row = configured_row(space->to[i].key);
        char text[2 * VALUE_TEXT_SIZE + CONFIG_NAME_SIZE_MAX + 64];
        char old[VALUE_TEXT_SIZE];
        char new[VALUE_TEXT_SIZE];

        value_format(row->type, space->from[i].value, old, sizeof old);
        value_format(row->type, space->to[i].value, new, sizeof new);
        (void)snprintf(text, sizeof text, "namespace \"%s\": %s: %s -> %s", space->name, row->key,
                       old, new);
        log_each(LOG_LEVEL_INFO, "reload", text);
    }
}

/* Who may do what with a namespace, if that changes. "": where no section says anything. */
static void say_access(const struct config *before, const struct config *after, const char *name)
{
    char old[OPTIONS_PATH_SIZE];
    char new[OPTIONS_PATH_SIZE];
    char text[2 * OPTIONS_PATH_SIZE + CONFIG_NAME_SIZE_MAX + 64];

    if (access_same(access_of(before, name), access_of(after, name))) {
        return;
    }
    access_rules_text(access_of(before, name), old, sizeof old);
    access_rules_text(access_of(after, name), new, sizeof new);
    (void)snprintf(text, sizeof text,
                   name[0] != '\0' ? "namespace \"%s\": allow: %s -> %s"
                                   : "defaults%s: allow: %s -> %s",
                   name, old, new);
    log_each(LOG_LEVEL_INFO, "reload", text);
}

/* Everything has been set: what is in force becomes what was read. In place, because others
 * borrow the options. */
static void finish(struct reload *reload)
{
    struct config *config = reload->config;
    struct config *next = &reload->next;
    unsigned waiting = 0;
    uint32_t space;
    int i;

    for (space = 0; space < reload->space_count; space++) {
        say_settings(&reload->spaces[space]);
        configured_tell_quota(reload->spaces[space].ns);
    }
    say_access(config, next, "");
    for (space = 0; space < next->namespace_count; space++) {
        say_access(config, next, next->namespaces[space].name);
    }
    for (space = 0; space < config->namespace_count; space++) {
        const char *name = config->namespaces[space].name;

        if (config_namespace_find(next, name) == NULL) { /* Its section went */
            say_access(config, next, name);
        }
    }
    for (i = 0; i < OPTION_COUNT; i++) {
        if (!options_same(&config->options, &next->options, i)) {
            say_change(&config->options, &next->options, i, "");
        }
        if (!options_same(&config->options, &reload->wanted, i) &&
            options_rows()[i].when == OPTION_WHEN_START) {
            say_change(&config->options, &reload->wanted, i, ": only a restart changes that");
            waiting++;
        }
    }
    next->command = config->command;
    config_free(config);
    *config = *next;
    memset(next, 0, sizeof *next);
    log_init((enum log_level)config->options.log);
    descriptors_raise(&config->options);
    server_reconfigured(reload->server);
    log_each(LOG_LEVEL_INFO, "reload", waiting > 0 ? "done; what is left takes a restart" : "done");
    end(reload, waiting > 0 ? "serving; part of the configuration takes a restart" : "serving");
}

/* ---- namespaces ---- */

static void set_spaces(struct reload *reload);

static void all_answered(struct reload *reload)
{
    if (reload->reverting) {
        refuse(reload);
    } else if (reload->why[0] == '\0') {
        finish(reload);
    } else {
        log_each(LOG_LEVEL_ERROR, "reload", reload->why);
        reload->reverting = true;
        set_spaces(reload);
    }
}

static void on_answered(struct engine_request *request)
{
    struct reload_space *space = request->arg;
    struct reload *reload = space->reload;

    if (request->status == 0) {
        space->set = !reload->reverting;
    } else if (reload->reverting) {
        log_error("reload", "namespace \"%s\" could not be set back, it keeps what was wanted: %s",
                  space->name, request->error.text);
    } else {
        (void)snprintf(reload->why, sizeof reload->why, "set namespace \"%s\": %s", space->name,
                       request->error.text);
    }
    CHECK(reload->pending > 0);
    reload->pending--;
    if (reload->pending == 0) {
        all_answered(reload);
    }
}

/* Give the engine a command for each namespace; when reverting, for those that were set. */
static void set_spaces(struct reload *reload)
{
    const bool reverting = reload->reverting;
    uint32_t i;

    /* One for this loop: no answer may find that it is the last while there are more to ask. */
    reload->pending = 1;
    server_stage(reload->server);
    for (i = 0; i < reload->space_count; i++) {
        struct reload_space *space = &reload->spaces[i];

        if (reverting && !space->set) {
            continue;
        }
        space->command = (struct engine_command){
            .kind = ENGINE_NAMESPACE_SET,
            .settings = reverting ? space->from : space->to,
            .settings_count = space->count,
        };
        space->command.base.done = on_answered;
        space->command.base.arg = space;
        reload->pending++;
        engine_command(space->ns, &space->command);
    }
    server_want_turn(reload->server);
    reload->pending--;
    if (reload->pending == 0) {
        all_answered(reload);
    }
}

/* Which namespaces are to be set, and to what. False: out of memory. */
static bool plan_spaces(struct reload *reload)
{
    struct engine *engine = reload->server->engine;
    struct namespace *ns = engine_namespace_next(engine, NULL, 0);
    struct engine_namespace_info info;

    while (ns != NULL) {
        struct reload_space plan = {.reload = reload, .ns = ns};
        struct reload_space *more;

        engine_namespace_info(ns, &info);
        plan.name = info.name;
        if (info.state == ENGINE_SERVING) {
            plan.count =
                configured_changes(&reload->next, info.name, &info.settings, plan.to, plan.from);
        }
        if (plan.count > 0) {
            more = realloc(reload->spaces, (reload->space_count + 1) * sizeof *more);
            if (more == NULL) {
                return false;
            }
            reload->spaces = more;
            more[reload->space_count++] = plan;
        }
        ns = engine_namespace_next(engine, info.name, strlen(info.name));
    }
    return true;
}

/* ---- reading ---- */

/* Put back what only a start changes; what was read of it is kept in `wanted`, to be told. What is
 * left must still fit together. */
static bool keep_what_a_start_changes(struct reload *reload)
{
    struct options_error error;
    int i;

    reload->wanted = reload->next.options;
    for (i = 0; i < OPTION_COUNT; i++) {
        /* The same value has its new place in the files. */
        if (options_rows()[i].when == OPTION_WHEN_START &&
            !options_same(&reload->next.options, &reload->config->options, i) &&
            !config_take(&reload->next, reload->config, i)) {
            log_error("reload", "out of memory");
            return false;
        }
    }
    if (options_check(&reload->next.options, &error) != 0) {
        log_error("reload", "without a restart this does not fit together: %s", error.text);
        return false;
    }
    return true;
}

void reload_begin(struct reload *reload)
{
    if (reload->busy) {
        reload->again = true;
        return;
    }
    reload->busy = true;
    notify_reloading(clock_mono_us());
    log_each(LOG_LEVEL_INFO, "reload", "SIGHUP: reading the configuration again");
    if (config_load(&reload->next, reload->source) != 0) {
        say_all(&reload->next.warnings, LOG_LEVEL_WARNING);
        say_all(&reload->next.errors, LOG_LEVEL_ERROR);
        refuse(reload);
        return;
    }
    say_all(&reload->next.warnings, LOG_LEVEL_WARNING);
    if (!keep_what_a_start_changes(reload)) {
        refuse(reload);
        return;
    }
    if (!plan_spaces(reload)) {
        log_error("reload", "out of memory");
        refuse(reload);
        return;
    }
    set_spaces(reload);
}
