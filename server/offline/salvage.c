#include "server/offline/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/rebuild.h"

#define BLOCKS_PER_SEGMENT_MAX 10000u /* Of an engine */
#define PATH_SIZE 4096
#define DEFAULT_NAME "default"

#ifndef RENAME_NOREPLACE
/* musl has the number of the call only. */
#define RENAME_NOREPLACE 1u
static int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
#endif

void salvage_tell(struct salvage *salvage, const struct topic *topic, uint64_t from, uint64_t to,
                  const char *why)
{
    struct out *out = &salvage->options->out;
    char what[96] = "";

    salvage->counts.losses++;
    if (from < to) {
        (void)snprintf(what, sizeof what, "offsets %" PRIu64 " to %" PRIu64 ": ", from, to - 1);
    }
    out_sentence(out, "lost", "  LOST%s%.*s%s%s%s", topic == NULL ? ": " : " topic \"",
                 topic == NULL ? 0 : (int)topic->name_size, topic == NULL ? "" : topic->name,
                 topic == NULL ? "" : "\", ", what, why);
    out_bytes(out, "namespace", salvage->name->name, salvage->name->size);
    if (topic != NULL) {
        out_bytes(out, "topic", topic->name, topic->name_size);
    }
    if (from < to) {
        out_number(out, "from", from);
        out_number(out, "to", to);
    }
    out_text(out, "reason", why);
    out_end(out);
}

/* ---- the new namespace ---- */

static int by_name(const void *a, const void *b)
{
    const struct topic *left = *(struct topic *const *)a;
    const struct topic *right = *(struct topic *const *)b;

    return name_compare(left->name, left->name_size, right->name, right->name_size);
}

static int carry_topics(struct salvage *salvage, struct rebuild *rebuild, struct error *err)
{
    struct inspection *inspection = salvage->store->inspection;
    struct namespace *ns = inspection->ns;
    struct topic **topics = calloc((size_t)ns->topic_count + 1, sizeof(struct topic *));
    uint32_t count = 0;
    uint32_t block = 0;
    struct topic *topic;
    struct topic *next;
    uint32_t i;
    int rc = 0;

    if (topics == NULL) {
        return error_set(err, TUSK_ENOMEM, "list the topics");
    }
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        topics[count++] = topic;
    }
    qsort(topics, count, sizeof(struct topic *), by_name);
    /* Blocks are in the order of their topics. */
    for (i = 0; i < count && rc == 0; i++) {
        rc = salvage_topic(salvage, rebuild, topics[i], block, err);
        while (block < inspection->block_count && inspection->blocks[block].topic == topics[i]) {
            block++;
        }
    }
    free(topics);
    return rc;
}

static int fill(struct salvage *salvage, struct engine *engine, struct error *err)
{
    const struct store_name *name = salvage->name;
    struct inspection *inspection = salvage->store->inspection;
    struct namespace *ns = engine_namespace_find(engine, name->name, name->size);
    struct rebuild rebuild;
    int rc = 0;

    if (ns == NULL) {
        rc = engine_namespace_create(engine, name->name, name->size, NULL, 0, err);
        ns = engine_namespace_find(engine, name->name, name->size);
    }
    if (rc != 0) {
        return rc;
    }
    rc = rebuild_begin(&rebuild, ns, err);
    if (rc == 0) {
        rc = carry_topics(salvage, &rebuild, err);
    }
    if (rc == 0) {
        rc =
            rebuild_finish(&rebuild, inspection->ns->next_topic_id, &inspection->ns->settings, err);
    }
    rebuild_deinit(&rebuild);
    return rc;
}

/* An engine for each namespace: block sizes are the engine's for what it creates. */
static int write_namespace(struct salvage *salvage, struct error *err)
{
    const struct namespace *from = salvage->store->inspection->ns;
    const struct engine_time now = {.wall_us = salvage->wall_us};
    struct engine_options options;
    struct engine *engine = NULL;
    struct io *io = NULL;
    int rc;

    engine_options_default(&options);
    options.random = salvage->random;
    options.random_arg = salvage->random_arg;
    options.block_size = from->block_size;
    options.blocks_per_segment = from->blocks_per_segment > BLOCKS_PER_SEGMENT_MAX
                                     ? BLOCKS_PER_SEGMENT_MAX
                                     : from->blocks_per_segment;
    rc = salvage->out_fn(salvage->out_arg, &io, err);
    if (rc == 0) {
        rc = engine_open(&engine, io, &options, &now, err);
    }
    if (rc == 0) {
        rc = fill(salvage, engine, err);
    }
    if (rc == 0) {
        rc = engine_stop(engine, &now, err);
    }
    engine_close(engine);
    io_close(io);
    return rc == 0 ? 0 : error_wrap(err, "write namespace \"%s\"", salvage->name->name);
}

/* ---- the old one ---- */

static uint64_t bytes_to_read(const struct inspection *inspection)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < inspection->block_count; i++) {
        sum += inspection->blocks[i].block->end - FORMAT_BLOCK_DATA;
    }
    return sum;
}

static void tell_way(struct salvage *salvage, const struct error *refusal)
{
    const struct inspection *inspection = salvage->store->inspection;
    struct out *out = &salvage->options->out;
    char why[ERROR_TEXT_SIZE + 128];

    if (refusal->code != 0) {
        (void)snprintf(why, sizeof why, "recovery refuses this namespace (%s); it is taken %s",
                       refusal->text, store_way_text(inspection->way));
        salvage_tell(salvage, NULL, 0, 0, why);
    }
    if (inspection->way == INSPECT_FROM_BLOCKS) {
        salvage_tell(
            salvage, NULL, 0, 0,
            "settings, cursors and trims are those that the journal still tells of, if any; "
            "what was trimmed or deleted not long ago may be back");
    }
    if (inspection->way == INSPECT_FROM_MANIFEST) {
        salvage_tell(salvage, NULL, 0, 0,
                     "topics, cursors and trims are those of the manifest; later ones are gone");
    }
    if (inspection->adopted > 0) {
        (void)snprintf(why, sizeof why,
                       "%u blocks that no table knows are taken by what they say of themselves%s",
                       inspection->adopted,
                       inspection->renamed > 0 ? "; topics whose name was in use are called NAME~ID"
                                               : "");
        salvage_tell(salvage, NULL, 0, 0, why);
    }
    if (inspection->way == INSPECT_AS_IS && !inspection->clean &&
        inspection->recovery.valid_behind > 0) {
        out_sentence(
            out, "tail",
            "  torn tail, not damage: %s; %" PRIu64 " valid records behind it are dropped, as "
            "recovery would",
            recovery_row_text(inspection->recovery.last_row), inspection->recovery.valid_behind);
        out_bytes(out, "namespace", salvage->name->name, salvage->name->size);
        out_number(out, "dropped", inspection->recovery.valid_behind);
        out_end(out);
    }
}

/* Entries that were acknowledged, as the journal says, and that no block has. */
static void tell_strays(struct salvage *salvage)
{
    const struct inspection *inspection = salvage->store->inspection;
    uint64_t i;

    for (i = 0; i < inspection->stray_count; i++) {
        const struct inspect_stray *stray = &inspection->strays[i];

        salvage->counts.lost += stray->entries;
        salvage_tell(salvage, NULL, stray->from, stray->to,
                     "the journal tells of them, and what said in which block and of which topic "
                     "they are is lost");
    }
}

static int salvage_namespace(struct salvage *salvage, struct error *err)
{
    struct out *out = &salvage->options->out;
    const uint64_t unreadable = salvage->store->unreadable;
    struct error refusal;
    int rc;

    out_sentence(out, "look", "namespace \"%s\"", salvage->name->name);
    out_bytes(out, "namespace", salvage->name->name, salvage->name->size);
    out_end(out);
    progress_subject(&salvage->options->progress, salvage->name->name, 0);
    rc = store_enter(salvage->store, salvage->name, true, &refusal, err);
    if (rc == TUSK_ECORRUPT) {
        salvage_tell(salvage, NULL, 0, 0, err->text);
        return 0;
    }
    if (rc != 0) {
        return error_wrap(err, "namespace \"%s\"", salvage->name->name);
    }
    tell_way(salvage, &refusal);
    tell_strays(salvage);
    inspect_settle(salvage->store->inspection);
    progress_subject(&salvage->options->progress, salvage->name->name,
                     bytes_to_read(salvage->store->inspection));
    rc = write_namespace(salvage, err);
    progress_clear(&salvage->options->progress);
    store_leave(salvage->store);
    if (rc == 0 && salvage->store->unreadable > unreadable) {
        char why[96];

        (void)snprintf(why, sizeof why, "%" PRIu64 " bytes could not be read from the device",
                       salvage->store->unreadable - unreadable);
        salvage_tell(salvage, NULL, 0, 0, why);
    }
    return rc;
}

int salvage_store(struct salvage *salvage)
{
    const struct salvage_counts *counts = &salvage->counts;
    struct store *store = salvage->store;
    struct out *out = &salvage->options->out;
    struct error err = {.code = 0};
    char size[32];
    unsigned pass;
    unsigned i;
    int rc = 0;

    /* "default" first: an engine makes one where there is none, with the sizes of that moment. */
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < store->name_count && rc == 0; i++) {
            salvage->name = &store->names[i];
            if ((strcmp(salvage->name->name, DEFAULT_NAME) == 0) == (pass == 0)) {
                rc = salvage_namespace(salvage, &err);
            }
        }
    }
    inspect_walk_deinit(&salvage->walk);
    if (rc != 0) {
        return offline_fail(salvage->options, &err);
    }
    out_sentence(out, "summary",
                 "%s: %" PRIu64 " entries (%s) of %" PRIu64 " topics, %" PRIu64 " cursors; %" PRIu64
                 " batches came from the journal; %" PRIu64 " losses, %" PRIu64
                 " entries known to be lost",
                 counts->losses == 0 ? "nothing lost" : "DAMAGED", counts->entries,
                 progress_size(size, counts->bytes), counts->topics, counts->cursors,
                 counts->healed, counts->losses, counts->lost);
    out_number(out, "topics", counts->topics);
    out_number(out, "cursors", counts->cursors);
    out_number(out, "entries", counts->entries);
    out_number(out, "bytes", counts->bytes);
    out_number(out, "healed", counts->healed);
    out_number(out, "losses", counts->losses);
    out_number(out, "lost_entries", counts->lost);
    out_end(out);
    return counts->losses == 0 ? OFFLINE_DONE : OFFLINE_DAMAGED;
}

/* ---- the new directory ---- */

static int open_out(void *arg, struct io **out, struct error *err)
{
    return io_posix_open(out, arg, 1, err);
}

static uint64_t draw(void *arg)
{
    uint64_t value;

    (void)arg;
    CHECK(getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value);
    return value;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* Whether a path lies beneath a directory. Neither need be written plainly. */
static bool lies_in(const char *path, const char *dir)
{
    char parent[PATH_SIZE];
    char *slash;
    char *real_dir = realpath(dir, NULL);
    char *real_parent;
    bool within = false;

    (void)snprintf(parent, sizeof parent, "%s", path);
    slash = strrchr(parent, '/');
    if (slash == NULL) {
        (void)snprintf(parent, sizeof parent, ".");
    } else {
        slash[slash == parent] = '\0';
    }
    real_parent = realpath(parent, NULL);
    if (real_dir != NULL && real_parent != NULL) {
        const size_t size = strlen(real_dir);

        within = strncmp(real_parent, real_dir, size) == 0 &&
                 (real_parent[size] == '\0' || real_parent[size] == '/');
    }
    free(real_dir);
    free(real_parent);
    return within;
}

static int make_out(const char *dir, const char *out, const char *making, struct error *err)
{
    struct stat st;

    if (lies_in(out, dir)) {
        return error_set(err, TUSK_EINVALID, "%s lies in %s, in which nothing is changed", out,
                         dir);
    }

    if (lstat(out, &st) == 0) {
        return error_set(err, TUSK_EEXISTS, "%s exists already; salvage writes a new directory",
                         out);
    }
    if (mkdir(making, S_IRWXU) == 0) {
        return 0;
    }
    return errno == EEXIST
               ? error_set(err, TUSK_EEXISTS,
                           "%s exists already: an earlier salvage was interrupted; remove it",
                           making)
               : error_errno(err, errno, "create directory %s", making);
}

/* Give it its name, durably. */
static int publish(const char *making, const char *out, struct error *err)
{
    char parent[PATH_SIZE];
    char *slash;
    int fd;

    /* Not onto something that appeared meanwhile. */
    if (renameat2(AT_FDCWD, making, AT_FDCWD, out, RENAME_NOREPLACE) != 0) {
        return error_errno(err, errno, "rename %s to %s", making, out);
    }
    (void)snprintf(parent, sizeof parent, "%s", out);
    slash = strrchr(parent, '/');
    if (slash == NULL) {
        (void)snprintf(parent, sizeof parent, ".");
    } else {
        slash[slash == parent] = '\0';
    }
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        (void)error_errno(err, errno, "sync directory %s", parent);
        if (fd >= 0) {
            (void)close(fd); /* Read-only */
        }
        return err->code;
    }
    (void)close(fd); /* Read-only */
    return 0;
}

static void say_owner(struct offline_options *options, const char *dir, const char *out)
{
    struct stat st;

    if (stat(dir, &st) == 0 && st.st_uid != geteuid()) {
        offline_say(
            options,
            "%s belongs to user %lu, as who salvaged, and %s to user %lu: the daemon serves only a "
            "directory of its own user (chown -R)",
            out, (unsigned long)geteuid(), dir, (unsigned long)st.st_uid);
    }
}

static int run(struct salvage *salvage, const char *dir, const char *out, const char *making)
{
    struct offline_options *options = salvage->options;
    struct error err;
    int rc = salvage_store(salvage);

    if (rc == OFFLINE_DONE || rc == OFFLINE_DAMAGED) {
        if (salvage->counts.topics == 0 && rc == OFFLINE_DAMAGED && salvage->counts.entries == 0) {
            offline_say(options, "nothing could be salvaged; %s is an empty store", out);
        }
        if (publish(making, out, &err) == 0) {
            say_owner(options, dir, out);
            return rc;
        }
        rc = offline_fail(options, &err);
    }
    if (nftw(making, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        offline_say(options, "%s is half made: remove it", making);
    }
    return rc;
}

int offline_salvage(struct offline_options *options, const char *dir, const char *out)
{
    struct salvage salvage = {.options = options, .out_fn = open_out, .random = draw};
    char making[PATH_SIZE];
    char trimmed[PATH_SIZE];
    struct timespec now;
    struct store store;
    struct error err;
    size_t size = strlen(out);
    int rc;

    while (size > 1 && out[size - 1] == '/') {
        size--;
    }
    if (size + sizeof ".salvage" > sizeof making) {
        offline_say(options, "the name of the new directory is too long");
        return OFFLINE_USAGE;
    }
    (void)snprintf(trimmed, sizeof trimmed, "%.*s", (int)size, out);
    (void)snprintf(making, sizeof making, "%.*s.salvage", (int)size, out);
    progress_init(&options->progress, "salvage", options->quiet);
    if (options->force_live) {
        offline_say(options, "a directory in use cannot be salvaged; stop the daemon first");
        return OFFLINE_USAGE;
    }
    if (store_open(&store, options, dir, &err) != 0) {
        return offline_fail(options, &err);
    }
    if (make_out(dir, trimmed, making, &err) != 0) {
        rc = offline_fail(options, &err);
    } else {
        (void)clock_gettime(CLOCK_REALTIME, &now); /* Cannot fail with this clock */
        salvage.store = &store;
        salvage.out_arg = making;
        salvage.wall_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
        rc = run(&salvage, dir, trimmed, making);
    }
    store_close(&store);
    return rc;
}
