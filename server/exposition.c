#include "server/exposition.h"

#include <string.h>

#include "core/check.h"
#include "core/engine.h"
#include "server/exposition_text.h"
#include "server/metrics.h"
#include "server/server.h"

/* A histogram of counts has 27 limits and three lines more, and a label's value may double. */
_Static_assert(30 * (2 * EXPOSITION_NAME_SIZE + 96) < EXPOSITION_PIECE_MIN, "it fits");
_Static_assert(EXPOSITION_NAME_SIZE == ENGINE_NAME_SIZE_MAX, "any name fits");

void exposition_begin(struct exposition *exposition, struct server *server,
                      const struct exposition_facts *facts, uint64_t topics_max)
{
    *exposition = (struct exposition){.server = server, .facts = *facts, .topics_max = topics_max};
}

/* ---- going on ---- */

static void name_set(struct exposition_name *name, const char *bytes, size_t size)
{
    CHECK(size <= EXPOSITION_NAME_SIZE);
    name->given = true;
    name->size = size;
    memcpy(name->bytes, bytes, size);
    name->bytes[size] = '\0';
}

static struct namespace *find_space(const struct exposition *exposition)
{
    return engine_namespace_find(exposition->server->engine, exposition->space.bytes,
                                 exposition->space.size);
}

/* Whether a namespace has this row at all. */
static bool has_row(const struct exposition *exposition, struct namespace *ns,
                    const struct engine_namespace_info *info)
{
    const enum metric_scope scope = metrics_row(exposition->row)->scope;
    uint64_t cursors = 0;

    if (scope == METRIC_SPACES || info->state != ENGINE_SERVING) {
        return scope == METRIC_SPACES;
    }
    if (scope == METRIC_CURSOR && !exposition_space(ns, "cursors", &cursors)) {
        return false;
    }
    return scope == METRIC_SPACE ||
           (info->topics <= exposition->topics_max && cursors <= exposition->topics_max);
}

static bool next_space(struct exposition *exposition)
{
    struct exposition_name *name = &exposition->space;
    struct namespace *ns;

    while ((ns = engine_namespace_next(exposition->server->engine, name->given ? name->bytes : NULL,
                                       name->size)) != NULL) {
        struct engine_namespace_info info;

        engine_namespace_info(ns, &info);
        name_set(name, info.name, strlen(info.name));
        exposition->topic.given = false;
        if (has_row(exposition, ns, &info)) {
            return true;
        }
    }
    return false;
}

static bool next_topic(struct exposition *exposition)
{
    struct namespace *ns = exposition->space.given ? find_space(exposition) : NULL;
    struct exposition_name *name = &exposition->topic;
    struct engine_topic_info info;

    exposition->cursor.given = false;
    if (ns == NULL || engine_topic_next(ns, name->given ? name->bytes : "",
                                        name->given ? name->size : 0, &info) != 1) {
        return false;
    }
    name_set(name, info.name, info.name_size);
    (void)exposition_topic(&info, metrics_row(exposition->row)->source, &exposition->value);
    return true;
}

static struct engine_topic_ref topic_ref(const struct exposition *exposition)
{
    return (struct engine_topic_ref){.name = exposition->topic.bytes,
                                     .name_size = exposition->topic.size};
}

static bool next_cursor(struct exposition *exposition)
{
    const struct engine_topic_ref topic = topic_ref(exposition);
    struct namespace *ns = exposition->topic.given ? find_space(exposition) : NULL;
    struct exposition_name *name = &exposition->cursor;
    struct engine_cursor_info info;
    struct error err;

    if (ns == NULL || engine_cursor_next(ns, &topic, name->given ? name->bytes : NULL,
                                         name->given ? name->size : 0, &info, &err) != 1) {
        return false;
    }
    name_set(name, info.name, info.name_size);
    return exposition_cursor(&info, metrics_row(exposition->row)->source, &exposition->value);
}

/* The next of what the row's scope counts. */
static bool next_item(struct exposition *exposition)
{
    const enum metric_scope scope = metrics_row(exposition->row)->scope;

    switch (scope) {
    case METRIC_DAEMON:
        return exposition->item++ == 0;
    case METRIC_REPLIES:
        return exposition->item++ < METER_TYPES;
    case METRIC_CLASSES:
        return exposition->item++ < METER_CLASSES;
    case METRIC_SPACES:
    case METRIC_SPACE:
        return next_space(exposition);
    case METRIC_TOPIC:
        while (!next_topic(exposition)) {
            if (!next_space(exposition)) {
                return false;
            }
        }
        return true;
    case METRIC_CURSOR:
        while (!next_cursor(exposition)) {
            while (!next_topic(exposition)) {
                if (!next_space(exposition)) {
                    return false;
                }
            }
        }
        return true;
    }
    return false;
}

/* One step: from a row's head to its first item, from item to item, to the next row. False: behind
 * the last one. */
static bool advance(struct exposition *exposition)
{
    exposition->headed = true;
    if (!next_item(exposition)) {
        exposition->row++;
        exposition->headed = false;
        exposition->item = 0;
        exposition->space = (struct exposition_name){0};
        exposition->topic = (struct exposition_name){0};
        exposition->cursor = (struct exposition_name){0};
    }
    return exposition->row < metrics_count();
}

/* ---- saying it ---- */

static void say_replies(const struct exposition *exposition, const struct metric *metric,
                        struct text *text)
{
    const unsigned type = exposition->item - 1;
    const char *name = meter_type_name(type);
    unsigned status;

    for (status = 0; name != NULL && status < METER_STATUSES; status++) {
        const uint64_t count = exposition->server->meter.replies[type][status];
        const char *status_text = status_name(-(int)status);
        const struct text_label labels[TEXT_LABELS_MAX] = {
            {"type", name, strlen(name)}, {"status", status_text, strlen(status_text)}};

        if (count > 0 || (status == 0 && type != 0)) {
            text_value(text, metric, labels, count);
        }
    }
}

static void say_class(const struct exposition *exposition, const struct metric *metric,
                      struct text *text)
{
    const enum meter_class class = (enum meter_class)(exposition->item - 1);
    const char *name = meter_class_name(class);
    const struct text_label labels[TEXT_LABELS_MAX] = {{"class", name, strlen(name)}};

    text_histogram(text, metric, labels, &exposition->server->meter.latency_us[class]);
}

static void say_daemon(const struct exposition *exposition, const struct metric *metric,
                       struct text *text)
{
    const struct text_label labels[TEXT_LABELS_MAX] = {{0}};
    uint64_t value;

    if (metric->kind == METRIC_HISTOGRAM) {
        text_histogram(text, metric, labels,
                       exposition_daemon_histogram(exposition->server, metric->source));
    } else if (exposition_daemon(exposition->server, &exposition->facts, metric->source, &value)) {
        text_value(text, metric, labels, value);
    }
}

static void say_stored(const struct exposition *exposition, const struct metric *metric,
                       struct text *text)
{
    const struct exposition_name *space = &exposition->space;
    const struct exposition_name *topic = &exposition->topic;
    const struct exposition_name *cursor = &exposition->cursor;
    const struct text_label labels[TEXT_LABELS_MAX] = {
        {"namespace", space->bytes, space->size},
        {topic->given ? "topic" : NULL, topic->bytes, topic->size},
        {cursor->given ? "cursor" : NULL, cursor->bytes, cursor->size}};
    struct namespace *ns = find_space(exposition);
    uint64_t value = exposition->value;

    if (metric->kind == METRIC_HISTOGRAM) {
        if (ns != NULL) { /* It may be gone since the last piece */
            text_histogram(text, metric, labels, exposition_space_histogram(ns, metric->source));
        }
    } else if (topic->given || (ns != NULL && exposition_space(ns, metric->source, &value))) {
        text_value(text, metric, labels, value);
    }
}

/* Where the exposition stands. False: it does not fit. */
static bool say(const struct exposition *exposition, struct text *text)
{
    const struct metric *metric = metrics_row(exposition->row);
    const size_t before = text->used;

    if (!exposition->headed) {
        if (metric->help[0] != '\0') {
            text_head(text, metric);
        }
    } else if (metric->scope == METRIC_REPLIES) {
        say_replies(exposition, metric, text);
    } else if (metric->scope == METRIC_CLASSES) {
        say_class(exposition, metric, text);
    } else if (metric->scope == METRIC_DAEMON) {
        say_daemon(exposition, metric, text);
    } else {
        say_stored(exposition, metric, text);
    }
    if (text->full) {
        text->used = before;
        return false;
    }
    return true;
}

size_t exposition_piece(struct exposition *exposition, char *out, size_t size)
{
    struct text text = {.bytes = out, .size = size};

    CHECK(size >= EXPOSITION_PIECE_MIN);
    while (exposition->row < metrics_count()) {
        if (!say(exposition, &text)) {
            CHECK(text.used > 0);
            break;
        }
        (void)advance(exposition);
    }
    return text.used;
}
