#include "server/metrics.h"

#include "core/check.h"

static const struct metric rows[] = {
#define METRIC(name, kind, scope, unit, source, label, help)                                       \
    {name, METRIC_##kind, METRIC_##scope, METRIC_##unit, source, label, help},
#include "server/metrics.def"
#undef METRIC
};

uint32_t metrics_count(void)
{
    return sizeof rows / sizeof rows[0];
}

const struct metric *metrics_row(uint32_t index)
{
    CHECK(index < metrics_count());
    return &rows[index];
}

const char *metrics_kind_name(enum metric_kind kind)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};

    return names[kind];
}

const char *metrics_scope_labels(enum metric_scope scope)
{
    static const char *const names[] = {
        [METRIC_DAEMON] = "",
        [METRIC_REPLIES] = "type, status",
        [METRIC_CLASSES] = "class",
        [METRIC_SPACES] = "namespace",
        [METRIC_SPACE] = "namespace",
        [METRIC_TOPIC] = "namespace, topic",
        [METRIC_CURSOR] = "namespace, topic, cursor",
    };

    return names[scope];
}

void metrics_limits(enum metric_unit unit, unsigned *first, unsigned *last)
{
    /* From 16 us, a turn of the loop, to 17 s; and from one to 64 MiB, a little more than a sync
     * may cover. */
    *first = unit == METRIC_ONE ? 0 : 4;
    *last = unit == METRIC_ONE ? 26 : 24;
}
