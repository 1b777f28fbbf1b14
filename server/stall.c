#include "server/stall.h"

#include <stdio.h>

#include "core/engine.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/notify.h"

#define STATUS_SIZE 384u

static void show(const char *name, uint64_t age_us)
{
    char status[STATUS_SIZE];

    (void)snprintf(status, sizeof status,
                   "the disk is slow: a sync of namespace %s has been under way for %llu s", name,
                   (unsigned long long)(age_us / 1000000));
    notify_trouble(status);
}

void stall_look(struct stall *stall, const struct engine *engine, uint64_t mono_us)
{
    struct engine_namespace_info info;
    uint64_t age_us;
    struct namespace *ns = engine_oldest_sync(engine, mono_us, &age_us);

    if (ns != NULL && age_us >= STALL_US) {
        engine_namespace_info(ns, &info);
        if (!stall->slow) {
            log_event(LOG_EVENT_DISK_SLOW, "disk", info.name,
                      "a sync of namespace \"%s\" has been under way for %llu ms: the disk is slow "
                      "or stands still; what waits for it to be durable waits on",
                      info.name, (unsigned long long)(age_us / 1000));
        }
        stall->slow = true;
        stall->worst_us = age_us > stall->worst_us ? age_us : stall->worst_us;
        show(info.name, age_us);
    } else if (stall->slow) {
        log_info("disk", "the disk answers again, after %llu ms or a little more",
                 (unsigned long long)(stall->worst_us / 1000));
        *stall = (struct stall){.slow = false};
        notify_trouble(NULL);
    }
}
