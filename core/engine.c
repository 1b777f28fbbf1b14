/* The engine: the table of namespaces, the data directory, and finished requests. */
#include "core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

#define DEFAULT_NAME "default"
/* A directory being made or removed has a name no namespace can have. */
#define MAKING_NAME ".making"
#define REMOVING_NAME ".removing"
#define MAKING "ns/" MAKING_NAME
#define REMOVING "ns/" REMOVING_NAME

struct engine {
    struct io *io;
    struct engine_options options;
    struct engine_time now;
    struct namespace *namespaces; /* In byte order of names */
    struct request_queue finished;
};

void engine_options_default(struct engine_options *options)
{
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
        .read_bytes_max = 8ull << 20,
        .inline_sync = true,
    };
}

const struct engine_options *engine_options_of(const struct engine *engine)
{
    return &engine->options;
}

struct io *engine_io(const struct engine *engine)
{
    return engine->io;
}

uint64_t engine_random(struct engine *engine)
{
    return engine->options.random(engine->options.random_arg);
}

void engine_finished(struct engine *engine, struct engine_request *request)
{
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

static void insert(struct engine *engine, struct namespace *ns)
{
    struct namespace **link = &engine->namespaces;

    while (*link != NULL &&
           name_compare((*link)->name, (*link)->name_size, ns->name, ns->name_size) < 0) {
        link = &(*link)->next;
    }
    ns->next = *link;
    *link = ns;
}

static void take_out(struct engine *engine, struct namespace *ns)
{
    struct namespace **link = &engine->namespaces;

    while (*link != ns) {
        link = &(*link)->next;
    }
    *link = ns->next;
}

struct namespace *engine_namespace_find(struct engine *engine, const char *name, size_t size)
{
    struct namespace *ns = engine->namespaces;

    while (ns != NULL && name_compare(ns->name, ns->name_size, name, size) != 0) {
        ns = ns->next;
    }
    return ns;
}

struct namespace *engine_namespace_next(struct engine *engine, const char *after, size_t size)
{
    struct namespace *ns = engine->namespaces;

    while (ns != NULL && after != NULL && name_compare(ns->name, ns->name_size, after, size) <= 0) {
        ns = ns->next;
    }
    return ns;
}

void engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info)
{
    const uint32_t block_max = ns->block_size == 0 ? 0
                                                   : format_block_limit(ns->block_size) -
                                                         FORMAT_BLOCK_DATA - BATCH_HEADER_SIZE;

    *info = (struct engine_namespace_info){
        .name = ns->name,
        .state = ns->state,
        .reason = ns->reason,
        .store_id = ns->store_id,
        .incarnation =
            ns->incarnation_count == 0 ? 0 : ns->incarnations[ns->incarnation_count - 1].id,
        .topics = ns->topic_count,
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
    ns->users += change;
    CHECK(ns->users >= 0);
}

bool engine_namespace_congested(const struct namespace *ns)
{
    return ns->state == ENGINE_SERVING &&
           (flusher_full(&ns->flusher) || ns->waiting_bytes > ns->options->waiting_bytes_max / 4 ||
            journal_admits(&ns->journal, 1u << 16, JOURNAL_RESERVE) == 0);
}

/* ---- removing directories ---- */

struct sweep {
    struct io *io;
    const char *dir;
    struct error *err;
};

static int sweep_dir(struct io *io, const char *dir, struct error *err);

static int sweep_entry(void *arg, const char *name, enum io_kind kind)
{
    struct sweep *sweep = arg;
    char path[IO_PATH_SIZE];

    (void)snprintf(path, sizeof path, "%s/%s", sweep->dir, name);
    return kind == IO_KIND_DIRECTORY ? sweep_dir(sweep->io, path, sweep->err)
                                     : io_unlink(sweep->io, path, sweep->err);
}

static int sweep_dir(struct io *io, const char *dir, struct error *err)
{
    struct sweep sweep = {.io = io, .dir = dir, .err = err};
    const int rc = io_list_dir(io, dir, sweep_entry, &sweep, err);

    return rc != 0 ? rc : io_remove_dir(io, dir, err);
}

/* ---- creating ---- */

/* Everything is made under a name that is swept at start; the rename makes it a namespace. */
static int create(struct engine *engine, struct namespace *ns,
                  const struct engine_settings *settings, struct error *err)
{
    char dir[sizeof ns->dir];
    int rc;

    memcpy(dir, ns->dir, sizeof dir);
    (void)snprintf(ns->dir, sizeof ns->dir, "%s", MAKING);
    ns->now = engine->now;
    (void)sweep_dir(engine->io, MAKING, err); /* What an earlier one could not sweep */
    rc = namespace_create(ns, settings, err);
    if (rc == 0) {
        rc = io_rename(engine->io, MAKING, dir, err);
    }
    if (rc == 0) {
        rc = io_sync_dir(engine->io, "ns", err);
    }
    memcpy(ns->dir, dir, sizeof dir);
    return rc;
}

int engine_namespace_create(struct engine *engine, const char *name, size_t size,
                            const struct engine_setting *settings, uint32_t count,
                            struct error *err)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    struct engine_settings with = engine->options.settings;
    struct namespace *ns;
    struct error swept;
    int rc;

    if (size == 0 || size > ENGINE_NAME_SIZE_MAX || !format_name_encode(encoded, name, size)) {
        return error_set(err, TUSK_EINVALID,
                         "a namespace's name has 1 to %u bytes, percent-encoded too",
                         ENGINE_NAME_SIZE_MAX);
    }
    if (engine_namespace_find(engine, name, size) != NULL) {
        return error_set(err, TUSK_EEXISTS, "namespace \"%.*s\" exists already", (int)size, name);
    }
    rc = settings_apply(&with, false, settings, count, err);
    if (rc != 0) {
        return rc;
    }
    ns = namespace_new(engine, name, size);
    if (ns == NULL) {
        return error_set(err, TUSK_ENOMEM, "create a namespace");
    }
    rc = create(engine, ns, &with, err);
    if (rc != 0) {
        namespace_free(ns);
        (void)sweep_dir(engine->io, MAKING, &swept); /* Or at the next start */
        return rc;
    }
    insert(engine, ns);
    return 0;
}

int engine_namespace_delete(struct engine *engine, const char *name, size_t size, struct error *err)
{
    struct namespace *ns = engine_namespace_find(engine, name, size);
    struct error swept;
    char dir[sizeof ns->dir];
    int rc;

    if (ns == NULL) {
        return error_set(err, TUSK_ENOTFOUND, "no namespace \"%.*s\"", (int)size, name);
    }
    if (strcmp(ns->name, DEFAULT_NAME) == 0) {
        return error_set(err, TUSK_EINVALID, "namespace \"default\" cannot be deleted");
    }
    if (ns->users > 0 || ns->durable_queue.first != NULL || ns->written_queue.first != NULL ||
        ns->waiting_appends > 0) {
        return error_set(err, TUSK_EBUSY, "namespace \"%s\" is in use by %d connections", ns->name,
                         ns->users);
    }
    /* What an earlier delete could not sweep would be in the way. */
    rc = sweep_dir(engine->io, REMOVING, err);
    if (rc != 0 && rc != TUSK_ENOTFOUND) {
        return error_wrap(err, "delete namespace \"%s\"", ns->name);
    }
    memcpy(dir, ns->dir, sizeof dir);
    namespace_close_files(ns);
    /* The name goes first, durably; what it held is swept now, or at the next start. */
    if (io_rename(engine->io, dir, REMOVING, err) != 0 || io_sync_dir(engine->io, "ns", err) != 0) {
        ns->state = ENGINE_STOPPED;
        (void)snprintf(ns->reason, sizeof ns->reason, "half deleted; restart the daemon");
        return error_wrap(err, "delete namespace \"%s\"", ns->name);
    }
    (void)sweep_dir(engine->io, REMOVING, &swept);
    take_out(engine, ns);
    free(ns);
    return 0;
}

/* ---- opening ---- */

struct opening {
    struct engine *engine;
    struct error *err;
    int rc;
};

static int open_entry(void *arg, const char *name, enum io_kind kind)
{
    struct opening *opening = arg;
    struct engine *engine = opening->engine;
    char decoded[FORMAT_ENCODED_NAME_SIZE];
    size_t size;
    struct namespace *ns;

    if (strcmp(name, MAKING_NAME) == 0 || strcmp(name, REMOVING_NAME) == 0) {
        return 0;
    }
    size = kind == IO_KIND_DIRECTORY ? format_name_decode(decoded, name) : 0;
    if (size == 0) {
        if (engine->options.finding != NULL) {
            engine->options.finding(engine->options.finding_arg, name,
                                    "is not a namespace's directory: left alone");
        }
        return 0;
    }
    ns = namespace_new(engine, decoded, size);
    if (ns == NULL) {
        opening->rc = error_set(opening->err, TUSK_ENOMEM, "open namespaces");
        return 1;
    }
    insert(engine, ns);
    return 0;
}

static int recover_one(struct engine *engine, struct namespace *ns, struct error *err)
{
    const char *accept = engine->options.accept_loss;
    int rc;

    ns->now = engine->now;
    rc = recovery_run(ns, accept != NULL && strcmp(accept, ns->name) == 0, err);
    if (rc == TUSK_ECLOSED) {
        return rc;
    }
    if (rc != 0) {
        memcpy(ns->reason, err->text, sizeof ns->reason);
        namespace_close_files(ns);
        ns->state = ENGINE_REFUSED;
        if (engine->options.finding != NULL) {
            engine->options.finding(engine->options.finding_arg, ns->name, ns->reason);
        }
    }
    return 0;
}

/* The names found are made durable before anything relies on them: the last process may have died between
 * giving a name and syncing it, and the machine with it later. */
static int prepare_dir(struct engine *engine, struct error *err)
{
    struct error ignored;
    const int made = io_make_dir(engine->io, "ns", err);

    if ((made != 0 && made != TUSK_EEXISTS) || io_sync_dir(engine->io, "", err) != 0 ||
        io_sync_dir(engine->io, "ns", err) != 0) {
        return err->code;
    }
    if (made == TUSK_EEXISTS) {
        /* What a crash left half made or half removed holds nothing anybody was told of. */
        (void)sweep_dir(engine->io, MAKING, &ignored);
        (void)sweep_dir(engine->io, REMOVING, &ignored);
    }
    return 0;
}

static int open_all(struct engine *engine, struct error *err)
{
    struct opening opening = {.engine = engine, .err = err};
    struct namespace *ns;
    int rc = prepare_dir(engine, err);

    if (rc == 0) {
        rc = io_list_dir(engine->io, "ns", open_entry, &opening, err);
        rc = opening.rc != 0 ? opening.rc : rc;
    }
    for (ns = engine->namespaces; ns != NULL && rc == 0; ns = ns->next) {
        rc = recover_one(engine, ns, err);
    }
    if (rc == 0 && engine_namespace_find(engine, DEFAULT_NAME, sizeof DEFAULT_NAME - 1) == NULL) {
        rc = engine_namespace_create(engine, DEFAULT_NAME, sizeof DEFAULT_NAME - 1, NULL, 0, err);
    }
    return rc;
}

int engine_open(struct engine **out, struct io *io, const struct engine_options *options,
                const struct engine_time *now, struct error *err)
{
    struct engine *engine;
    int rc;

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
        rc = open_all(engine, err);
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
        request->done(request);
    }
}

bool engine_poll(struct engine *engine, const struct engine_time *now)
{
    struct namespace *ns;

    engine_now(engine, now);
    (void)io_poll(engine->io);
    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        namespace_turn(ns);
    }
    run_finished(engine);
    return engine->finished.first != NULL || engine_deadline(engine) == 0;
}

uint64_t engine_deadline(const struct engine *engine)
{
    const struct namespace *ns;
    uint64_t deadline = engine->finished.first != NULL ? 0 : UINT64_MAX;

    for (ns = engine->namespaces; ns != NULL; ns = ns->next) {
        const uint64_t own = namespace_deadline(ns);

        deadline = own < deadline ? own : deadline;
    }
    return deadline;
}

struct namespace *engine_failed(struct engine *engine, struct error *err)
{
    struct namespace *ns;

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
    return rc;
}

void engine_close(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    while (engine->namespaces != NULL) {
        struct namespace *ns = engine->namespaces;

        engine->namespaces = ns->next;
        namespace_free(ns);
    }
    free(engine);
}
