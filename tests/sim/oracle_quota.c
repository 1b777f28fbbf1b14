/* What a quota took: told at once, because what is asked in the same turn must know it. */
#include <string.h>

#include "tests/sim/oracle.h"

static struct model_namespace *find_namespace(struct world *w, const char *name)
{
    unsigned i = 0;

    while (strcmp(w->namespaces[i].name, name) != 0) {
        i++;
    }
    return &w->namespaces[i];
}

static void check_held(struct world *w, const struct model_topic *topic,
                       const struct engine_dropped *dropped)
{
    unsigned i;

    for (i = 0; i < WORLD_HELD; i++) {
        const struct held *held = &w->held[i];

        if (held->ns != NULL && held->topic == topic && held->from >= dropped->from &&
            held->from < dropped->to) {
            world_fail(w, "a quota takes nothing that is being read",
                       "topic %llu: [%llu, %llu) dropped, a range from %llu is held",
                       (unsigned long long)topic->id, (unsigned long long)dropped->from,
                       (unsigned long long)dropped->to, (unsigned long long)held->from);
        }
    }
}

void oracle_dropped(void *arg, const struct engine_dropped *dropped)
{
    struct world *w = arg;
    struct model_namespace *ns = find_namespace(w, dropped->space);
    const struct engine_settings *settings = model_settings(ns);
    struct model_topic *topic = model_topic_live(ns, dropped->topic, dropped->topic_size);
    struct engine_namespace_info info;
    struct step *step;

    oracle_reads_decided(w); /* Those that ended before */
    if (w->damaged) {
        return; /* What is there now is not what the model has */
    }
    if (topic == NULL || dropped->from != model_first(topic) || dropped->to <= dropped->from) {
        world_fail(w, "a quota takes the front of a topic", "namespace %s: [%llu, %llu)", ns->name,
                   (unsigned long long)dropped->from, (unsigned long long)dropped->to);
    }
    if (dropped->entries < model_entries(topic, dropped->from, dropped->to)) {
        world_fail(w, "what a quota took is counted", "topic %llu: %llu entries",
                   (unsigned long long)topic->id, (unsigned long long)dropped->entries);
    }
    engine_namespace_info(ns->handle, &info);
    if (settings->quota_policy != ENGINE_QUOTA_DROP_OLDEST || settings->quota_bytes == 0 ||
        info.blocks_bytes + dropped->bytes + info.block_size <= settings->quota_bytes) {
        world_fail(w, "a quota takes only what it must",
                   "namespace %s: policy %llu, %llu and %llu of %llu bytes", ns->name,
                   (unsigned long long)settings->quota_policy,
                   (unsigned long long)info.blocks_bytes, (unsigned long long)dropped->bytes,
                   (unsigned long long)settings->quota_bytes);
    }
    check_held(w, topic, dropped);
    step = world_step(w, ns, STEP_TRIM, topic, 0);
    step->first = dropped->to;
    history_push(&topic->firsts, step);
    w->report->dropped += dropped->entries;
    world_log(w, "quota: topic %llu from %llu", (unsigned long long)topic->id,
              (unsigned long long)dropped->to);
}
