#include "server/storage.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "config/options.h"
#include "core/check.h"
#include "core/engine.h"
#include "core/io.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/notify.h"

static struct engine_time read_clocks(void)
{
    return (struct engine_time){.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
}

static uint64_t read_random(void *arg)
{
    uint64_t value;
    ssize_t got;

    (void)arg;
    got = getrandom(&value, sizeof value, 0);
    CHECK(got == (ssize_t)sizeof value);
    return value;
}

static bool on_progress(void *arg, const char *name, uint64_t done_bytes, uint64_t total_bytes)
{
    struct storage *storage = arg;

    notify_progress(name, done_bytes, total_bytes);
    return storage->go_on();
}

static void on_finding(void *arg, const char *name, const char *text)
{
    struct storage *storage = arg;
    char line[1024];

    storage->findings++;
    (void)snprintf(line, sizeof line, "namespace \"%s\": %s", name, text); /* Cut is fine */
    log_event_each(LOG_EVENT_RECOVERY, "recovery", name, line);
}

/* Entries that were acknowledged are gone: that is never silent. */
static void on_dropped(void *arg, const struct engine_dropped *dropped)
{
    (void)arg;
    log_warning("quota",
                "namespace \"%s\": dropped the oldest %llu entries of topic \"%.*s\", offsets "
                "%llu to %llu, %llu bytes of blocks: quota-bytes is used up, and its policy is "
                "drop-oldest",
                dropped->space, (unsigned long long)dropped->entries, (int)dropped->topic_size,
                dropped->topic, (unsigned long long)dropped->from, (unsigned long long)dropped->to,
                (unsigned long long)dropped->bytes);
}

static int open_io(struct storage *storage, const struct options *options, struct error *err)
{
    const unsigned threads = (unsigned)options->io_threads;
    struct error refused;
    int rc;

    if (options->io == VALUE_IO_MMAP) {
        storage->io_name = "mmap";
        return io_mmap_open(&storage->io, options->data_dir, threads, err);
    }
    if (options->io == VALUE_IO_URING) {
        storage->io_name = "uring";
        rc = io_uring_open(&storage->io, options->data_dir, &refused);
        if (rc != TUSK_EUNSUPPORTED) {
            if (rc != 0 && err != NULL) {
                *err = refused;
            }
            return rc;
        }
        log_warning("io", "using posix instead of uring: %s", refused.text);
    }
    storage->io_name = "posix";
    return io_posix_open(&storage->io, options->data_dir, threads, err);
}

static void fill_settings(struct engine_settings *settings, const struct options *options)
{
    settings->retention.kind = options->retention;
    settings->retention.age_ms = options->retention_age;
    settings->retention.bytes = options->retention_size;
    settings->fsync_ms = options->fsync;
    settings->consistency = options->consistency;
    settings->quota_bytes = options->quota_size;
    settings->quota_topics = options->quota_topics;
    settings->quota_cursors = options->quota_cursors;
    settings->quota_policy = options->quota_policy;
}

/* The ranges in options.def are what makes these casts safe. */
static void fill_engine_options(struct engine_options *out, const struct options *options,
                                const char *accept_loss)
{
    engine_options_default(out);
    out->random = read_random;
    out->accept_loss = accept_loss;
    fill_settings(&out->settings, options);
    out->block_size = (uint32_t)options->block_size;
    out->blocks_per_segment = (uint32_t)options->blocks_per_segment;
    out->journal_file_max = (uint32_t)options->journal_file_max;
    if (out->journal_file_min > out->journal_file_max) {
        out->journal_file_min = out->journal_file_max;
    }
    out->journal_size_max = options->journal_size_max;
    out->unsynced_bytes_max = options->unsynced_window;
    out->ring_size = (uint32_t)options->ring_size;
    out->entry_size_max = (uint32_t)options->entry_size_max;
    out->batch_size_max = (uint32_t)options->batch_size_max;
    out->topics_max = (uint32_t)options->topics_max;
    out->cursors_max = (uint32_t)options->cursors_max;
    out->waiting_bytes_max = options->waiting_bytes_max;
    out->read_bytes_max = options->read_size_max;
    out->quota_wait_us = options->quota_wait * 1000u;
}

int storage_open(struct storage *storage, const struct options *options, const char *accept_loss,
                 bool (*go_on)(void), struct error *err)
{
    const struct engine_time now = read_clocks();
    struct engine_options engine_options;
    int rc;

    memset(storage, 0, sizeof *storage);
    storage->go_on = go_on;
    rc = open_io(storage, options, err);
    if (rc != 0) {
        storage->io = NULL;
        return rc;
    }
    fill_engine_options(&engine_options, options, accept_loss);
    engine_options.progress = on_progress;
    engine_options.progress_arg = storage;
    engine_options.finding = on_finding;
    engine_options.finding_arg = storage;
    engine_options.dropped = on_dropped;
    rc = engine_open(&storage->engine, storage->io, &engine_options, &now, err);
    if (rc != 0) {
        storage->engine = NULL;
        storage_close(storage);
    }
    return rc;
}

void storage_tally(const struct storage *storage, struct storage_tally *tally)
{
    struct namespace *ns = engine_namespace_next(storage->engine, NULL, 0);
    struct engine_namespace_info info;

    *tally = (struct storage_tally){0};
    while (ns != NULL) {
        engine_namespace_info(ns, &info);
        if (info.state == ENGINE_SERVING) {
            tally->serving++;
        } else {
            tally->refused++;
            tally->without_space += info.reason_code == TUSK_ENOSPACE ? 1u : 0u;
            log_event(LOG_EVENT_REFUSED, "recovery", info.name, "namespace \"%s\" is refused: %s",
                      info.name, info.reason);
        }
        ns = engine_namespace_next(storage->engine, info.name, strlen(info.name));
    }
}

void storage_close_engine(struct storage *storage)
{
    engine_close(storage->engine);
    storage->engine = NULL;
}

void storage_close(struct storage *storage)
{
    storage_close_engine(storage);
    io_close(storage->io);
    storage->io = NULL;
}
