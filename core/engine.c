/* The engine: its options, the table of namespaces, turns, and finished requests. Elsewhere: the
 * directories of namespaces, made, found and removed (engine_directory.c). */
#include "core/engine_state.h"

#include <stdlib.h>

#include "core/check.h"

void engine_options_default(struct engine_options *options)
{
    CHECK(options != NULL);
    *options = (struct engine_options){
        .settings = {.fsync_ms = 200, .consistency = 0},
        .block_size = 10u << 20,
        .blocks_per_segment = 100,
        .journal_file_min = 1u << 19,
        .journal_file_max = 64u << 20,
        .journal_size_max = 1ull << 30,
        .manifest_journal_bytes = 64ull << 20,
        .manifest_direct_bytes = 256ull << 20,
        .manifest_idle_us = 30000000,
        .unsynced_bytes_max = 64ull << 20,
        .ring_size = 64u << 20,
        .direct_threshold = 64u << 10,
        .direct_threshold_each = 256u << 10,
        .tail_apply_bytes = 64u << 10,
        .entry_size_max = 8u << 20,
        .batch_size_max = 10u << 20,
        .topics_max = 1000000,
        .cursors_max = 10000,
        .waiting_bytes_max = 256ull << 20,
        .quota_wait_us = 3000000,
        .range_min = 32u << 10,
        .read_bytes_max = 8ull << 20,
        .inline_sync = true,
    };
}

const struct engine_options *engine_options_of(const struct engine *engine)
{
    CHECK(engine != NULL);
    return &engine->options;
}

struct io *engine_io(const struct engine *engine)
{
    CHECK(engine->io != NULL);
    return engine->io;
}

uint64_t engine_random(struct engine *engine)
{
    CHECK(engine->options.random != NULL);
    return engine->options.random(engine->options.random_arg);
}

void engine_finished(struct engine *engine, struct engine_request *request)
{
    CHECK(request->done != NULL);
    CHECK(request->ns->engine == engine);
    CHECK(request->status <= 0);
    queue_push(&engine->finished, request);
}

static int check_options(const struct engine_options *options, struct error *err)
{
    const char *wrong = NULL;

    CHECK(options->random != NULL);
    if (options->block_size < FORMAT_BLOCK_SIZE_MIN ||
        options->block_size > FORMAT_BLOCK_SIZE_MAX || options->block_size % FORMAT_PAGE != 0) {
        wrong = "block size: a multiple of 4 KiB from 32 KiB to 1 GiB";
    } else if (options->blocks_per_segment == 0 || options->blocks_per_segment > 10000) {
        wrong = "blocks per segment: 1 to 10000";
    } else if (options->journal_file_min < 8u * FORMAT_PAGE ||
               options->journal_file_min % FORMAT_PAGE != 0 ||
               options->journal_file_max < options->journal_file_min) {
        wrong =
            "journal file size: at least 32 KiB, a multiple of 4 KiB, the greatest not the least";
    } else if (options->ring_size % 4096u != 0 ||
               options->ring_size < 4u * options->journal_file_min) {
        wrong = "ring size: a multiple of 4 KiB, at least four times the smallest journal file";
    } else if (options->tail_apply_bytes > options->ring_size / 8u) {
        wrong = "tail size: at most an eighth of the ring";
    }
    return wrong == NULL ? 0 : error_set(err, TUSK_EINVALID, "option out of range: %s", wrong);
}

/* ---- the table ---- */

void engine_table_insert(struct engine *engine, struct namespace *ns)
{
    struct namespace **link = &engine->namespaces;

    CHECK(ns->engine == engine);
    CHECK(ns->name_size > 0);
    CHECK(engine_namespace_find(engine, ns->name, ns->name_size) == NULL);
    while (*link != NULL &&
           name_compare((*link)->name, (*link)->name_size, ns->name, ns->name_size) < 0) {
        link = &(*link)->next;
    }
    ns->next = *link;
    *link = ns;
}

void engine_table_remove(struct engine *engine, struct namespace *ns)
{
    struct namespace **link = &engine->namespaces;

    CHECK(ns->engine == engine);
    while (*link != ns) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = ns->next;
}

struct namespace *engine_namespace_find(struct engine *engine, const char *name, size_t size)
{
    struct namespace *ns = engine->namespaces;

    CHECK(name != NULL || size == 0);
    while (ns != NULL && name_compare(ns->name, ns->name_size, name, size) != 0) {
        ns = ns->next;
    }
    return ns;
}

struct namespace *engine_namespace_next(struct engine *engine, const char *after, size_t size)
{
    struct namespace *ns = engine->namespaces;

    CHECK(after != NULL || size == 0);
    while (ns != NULL && after != NULL && name_compare(ns->name, ns->name_size, after, size) <= 0) {
        ns = ns->next;
    }
    return ns;
}

void engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info)
{
    /* A refused namespace may have none, or one that makes no sense. */
    const uint32_t block_max =
        ns->block_size < FORMAT_BLOCK_SIZE_MIN
            ? 0
            : format_block_limit(ns->block_size) - FORMAT_BLOCK_DATA - BATCH_HEADER_SIZE;

    CHECK(info != NULL);
    CHECK(ns->incarnation_count <= NAMESPACE_INCARNATIONS_MAX);
    CHECK(ns->name[ns->name_size] == '\0');
    *info = (struct engine_namespace_info){
        .name = ns->name,
        .state = ns->state,
        .reason = ns->reason,
        .reason_code = ns->reason_code,
        .store_id = ns->store_id,
        .incarnation =
            ns->incarnation_count == 0 ? 0 : ns->incarnations[ns->incarnation_count - 1].id,
        .topics = ns->topic_count,
        .cursors = ns->cursor_count,
        .block_size = ns->block_size,
        .blocks_bytes = (uint64_t)ns->space.used_count * ns->block_size,
        .batch_size_max =
            ns->options->batch_size_max < block_max ? ns->options->batch_size_max : block_max,
        .entry_size_max = ns->options->entry_size_max,
        .settings = ns->settings};
    if (info->entry_size_max > info->batch_size_max - 4u) {
        info->entry_size_max = info->batch_size_max - 4u;
    }
}

void engine_namespace_use(struct namespace *ns, int change)
{
    CHECK(change == 1 || change == -1);
    ns->users += change;
    CHECK(ns->users >= 0);
}

bool engine_namespace_congested(const struct namespace *ns)
{
    CHECK(ns->waiting_bytes <= ns->options->waiting_bytes_max);
    return ns->state == ENGINE_SERVING &&
           (flusher_full(&ns->flusher) || ns->waiting_bytes > ns->options->waiting_bytes_max / 4 ||
            journal_admits(&ns->journal, 1u << 16, JOURNAL_RESERVE) == 0);
}

/* ---- opening ---- */

int engine_open(struct engine **out, struct io *io, const struct engine_options *options,
                const struct engine_time *now, struct error *err)
{
    struct engine *engine;
    int rc;

    CHECK(out != NULL);
    CHECK(io != NULL);
    CHECK(options != NULL);
    CHECK(now != NULL);
    *out = NULL;
    rc = check_options(options, err);
    if (rc != 0) {
        return rc;
    }
    engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return error_set(err, TUSK_ENOMEM, "open the engine");
    }
    engine->io = io;
    engine->options = *options;
    engine->now = *now;
    rc = io_lock(io, "LOCK", err);
    if (rc == 0) {
        rc = engine_open_namespaces(engine, err);
    }
    if (rc != 0) {
        engine_close(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

/* ---- turns ---- */

void engine_now(struct engine *engine, const struct engine_time *now)
{
    struct namespace *ns;

    CHECK(engine != NULL);
    CHECK(now != NULL);
    CHECK(now->mono_us >= engine->now.mono_us);
    engine->now = *now;
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        ns->now = *now;
    }
}

static void run_finished(struct engine *engine)
{
    /* Only those finished so far: what done() starts is for the next turn. */
    struct request_queue finished = engine->finished;
    struct engine_request *request;

    engine->finished = (struct request_queue){0};
    while ((request = queue_pop(&finished)) != NULL) {
        CHECK(request->ns->engine == engine);
        CHECK(request->next == NULL);
        CHECK(request->ns->requests > 0);
        request->ns->requests--;
        request->done(request);
    }
}

bool engine_poll(struct engine *engine, const struct engine_time *now)
{
    struct namespace *ns;

    CHECK(engine != NULL);
    CHECK(now != NULL);
    engine_now(engine, now);
    (void)io_poll(engine->io);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        namespace_turn(ns);
    }
    run_finished(engine);
    return engine->finished.first != NULL || engine_deadline(engine) == 0;
}

bool engine_would_sync(const struct engine *engine)
{
    const struct namespace *ns;

    CHECK(engine != NULL);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        if (ns->state == ENGINE_SERVING && flusher_would_sync(&ns->flusher)) {
            return true;
        }
    }
    return false;
}

uint64_t engine_deadline(const struct engine *engine)
{
    const struct namespace *ns;
    uint64_t deadline = engine->finished.first != NULL ? 0 : UINT64_MAX;

    CHECK(engine != NULL);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        const uint64_t own = namespace_deadline(ns);

        deadline = own < deadline ? own : deadline;
    }
    return deadline;
}

struct namespace *engine_oldest_sync(const struct engine *engine, uint64_t mono_us,
                                     uint64_t *age_us)
{
    struct namespace *oldest = NULL;
    struct namespace *ns;

    CHECK(engine != NULL);
    *age_us = 0;
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        const uint64_t begun_us = ns->flusher.begun_us;
        /* The caller's clock may have been read before the turn that began the sync. */
        const uint64_t age = mono_us > begun_us ? mono_us - begun_us : 0;

        if (ns->state == ENGINE_SERVING && ns->flusher.in_flight &&
            (oldest == NULL || age > *age_us)) {
            oldest = ns;
            *age_us = age;
        }
    }
    return oldest;
}

struct namespace *engine_failed(struct engine *engine, struct error *err)
{
    struct namespace *ns;

    CHECK(engine != NULL);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        if (ns->state == ENGINE_STOPPED) {
            (void)error_set(err, TUSK_EIO, "namespace \"%s\" stopped: %s", ns->name, ns->reason);
            return ns;
        }
    }
    return NULL;
}

int engine_stop(struct engine *engine, const struct engine_time *now, struct error *err)
{
    struct namespace *ns;
    int rc = 0;

    CHECK(engine != NULL);
    CHECK(now != NULL);
    engine_now(engine, now);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        struct error own;

        if (ns->state != ENGINE_REFUSED && namespace_stop(ns, &own) != 0 && rc == 0) {
            *err = own;
            rc = own.code;
        }
    }
    while (engine->finished.first != NULL) {
        run_finished(engine);
    }
    CHECK(engine->finished.first == NULL);
    return rc;
}

void engine_close(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    while (engine->namespaces != NULL) {
        struct namespace *ns = engine->namespaces;

        CHECK(ns->engine == engine);
        engine->namespaces = ns->next;
        namespace_free(ns);
    }
    free(engine);
}
