#include "server/slowlog.h"

#include <stdlib.h>

#include "core/check.h"
#include "server/log.h"

static struct slow_entry *place(const struct slowlog *log, uint64_t number)
{
    CHECK(number > 0);
    CHECK(log->size > 0);
    return &log->ring[(number - 1) % log->size];
}

/* The number of the oldest one for which there has been room. */
static uint64_t oldest(const struct slowlog *log)
{
    return log->count > log->size ? log->count - log->size + 1 : 1;
}

/* Another size. False: no memory, and it has the one it had. */
static bool resize(struct slowlog *log, uint32_t size)
{
    struct slowlog larger = {.size = size, .count = log->count};
    uint64_t number;

    if (size > 0) {
        larger.ring = calloc(size, sizeof *larger.ring);
        if (larger.ring == NULL) {
            return false;
        }
    }
    for (number = oldest(&larger); number <= log->count; number++) {
        if (number >= oldest(log)) {
            *place(&larger, number) = *place(log, number);
        }
    }
    free(log->ring);
    log->ring = larger.ring;
    log->size = size;
    return true;
}

void slowlog_configure(struct slowlog *log, uint64_t threshold_ms, uint64_t entries)
{
    CHECK(entries <= UINT32_MAX);
    log->threshold_us = threshold_ms == 0 ? SLOWLOG_OFF : threshold_ms * 1000;
    if (entries != log->size && !resize(log, (uint32_t)entries)) {
        log_warning("slowlog", "out of memory: %u slow requests are kept, not %llu", log->size,
                    (unsigned long long)entries);
    }
}

void slowlog_deinit(struct slowlog *log)
{
    free(log->ring);
    log->ring = NULL;
    log->size = 0;
}

struct slow_entry *slowlog_add(struct slowlog *log)
{
    struct slow_entry *entry;

    log->count++;
    if (log->size == 0) {
        return NULL;
    }
    entry = place(log, log->count);
    *entry = (struct slow_entry){.number = log->count};
    return entry;
}

struct slow_entry *slowlog_before(const struct slowlog *log, uint64_t before)
{
    uint64_t number = before == 0 || before > log->count ? log->count : before - 1;

    for (; log->size > 0 && number >= oldest(log); number--) {
        if (place(log, number)->number == number) {
            return place(log, number);
        }
    }
    return NULL;
}
