/* What the daemon asks of itself before it serves anyone: the options that were given explicitly
 * are set on the namespace "default", which is its own. Other namespaces keep what they were
 * created with. */
#include <string.h>

#include "config/options.h"
#include "core/engine.h"
#include "core/io.h"
#include "proto/message.h"
#include "server/clock.h"
#include "server/dispatch.h"
#include "server/storage.h"

#define DEFAULT_NAMESPACE "default"

static struct engine_time read_clocks(void)
{
    return (struct engine_time){.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
}

static void on_applied(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static int run_command(const struct storage *storage, struct namespace *ns,
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
        return error_set(err, command->base.status, "set options of namespace \"%s\": %s",
                         DEFAULT_NAMESPACE, command->base.error.text);
    }
    return 0;
}

int dispatch_defaults(const struct storage *storage, const struct options *options,
                      struct error *err)
{
    struct namespace *ns =
        engine_namespace_find(storage->engine, DEFAULT_NAMESPACE, strlen(DEFAULT_NAMESPACE));
    struct engine_command command = {.kind = ENGINE_NAMESPACE_SET};
    struct engine_namespace_info info;
    struct engine_setting settings[2];
    uint32_t count = 0;

    if (ns == NULL) {
        return 0;
    }
    engine_namespace_info(ns, &info);
    if (info.state != ENGINE_SERVING) {
        return 0;
    }
    if (options->given[OPTION_fsync] && options->fsync != info.settings.fsync_ms) {
        settings[count++] = (struct engine_setting){ENGINE_SETTING_FSYNC, options->fsync};
    }
    if (options->given[OPTION_consistency] && options->consistency != info.settings.consistency) {
        settings[count++] =
            (struct engine_setting){ENGINE_SETTING_CONSISTENCY, options->consistency};
    }
    if (count == 0) {
        return 0;
    }
    command.settings = settings;
    command.settings_count = count;
    return run_command(storage, ns, &command, err);
}
