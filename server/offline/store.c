#include "server/offline/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io_readonly.h"
#include "core/topic.h"

#define LIVE_TRIES 20u /* A manifest may be replaced while it is read */

static int open_posix(void *arg, struct io **out, struct error *err)
{
    return io_posix_open(out, arg, 1, err);
}

static void count_unreadable(void *arg, const char *path, uint64_t offset, uint64_t size)
{
    struct store *store = arg;

    if (store->unreadable == 0) {
        offline_say(store->options, "%s cannot be read at %llu: the device reports an error", path,
                    (unsigned long long)offset);
    }
    store->unreadable += size;
}

/* ---- findings ---- */

/* Each way finds the same again. False: it has been said; or memory is short, and it is said once
 * more. */
static bool first_time(struct store *store, const char *text)
{
    char **findings;
    unsigned i;

    for (i = 0; i < store->finding_count; i++) {
        if (strcmp(store->findings[i], text) == 0) {
            return false;
        }
    }
    findings = realloc(store->findings, (store->finding_count + 1u) * sizeof(char *));
    if (findings != NULL) {
        store->findings = findings;
        findings[store->finding_count] = strdup(text);
        /* fanalyzer-suppress malloc-leak: it is in store->findings, which realloc() moved */
        store->finding_count += findings[store->finding_count] != NULL;
    }
    return true;
}

static void forget_findings(struct store *store)
{
    while (store->finding_count > 0) {
        free(store->findings[--store->finding_count]);
    }
    free(store->findings);
    store->findings = NULL;
}

/* ---- namespaces ---- */

static int by_name(const void *a, const void *b)
{
    const struct store_name *left = a;
    const struct store_name *right = b;

    return name_compare(left->name, left->size, right->name, right->size);
}

static int list_entry(void *arg, const char *entry, enum io_kind kind)
{
    struct store *store = arg;
    struct store_name name = {.size = 0};
    struct store_name *names;

    if (kind != IO_KIND_DIRECTORY || entry[0] == '.') {
        return 0;
    }
    name.size = format_name_decode(name.name, entry);
    if (name.size == 0 || (store->options->name != NULL &&
                           (strlen(store->options->name) != name.size ||
                            memcmp(store->options->name, name.name, name.size) != 0))) {
        return 0;
    }
    names = realloc(store->names, (store->name_count + 1u) * sizeof *names);
    if (names == NULL) {
        return TUSK_ENOMEM;
    }
    store->names = names;
    names[store->name_count++] = name;
    return 0;
}

static int list_names(struct store *store, struct error *err)
{
    int rc = io_list_dir(store->strict, "ns", list_entry, store, err);

    if (rc == TUSK_ENOTFOUND) {
        return error_set(err, TUSK_EINVALID,
                         "no data directory: there is no \"ns\" in it; a store has one");
    }
    if (rc == 0 && store->name_count == 0) {
        rc = store->options->name != NULL
                 ? error_set(err, TUSK_ENOTFOUND, "no namespace \"%s\"", store->options->name)
                 : error_set(err, TUSK_ENOTFOUND, "the data directory holds no namespace");
    }
    if (rc == TUSK_ENOMEM) {
        return error_set(err, rc, "list namespaces");
    }
    if (rc == 0) {
        qsort(store->names, store->name_count, sizeof *store->names, by_name);
    }
    return rc;
}

/* ---- life ---- */

int store_open_on(struct store *store, struct offline_options *options, store_disk_fn *disk_fn,
                  void *arg, struct error *err)
{
    const bool live = store->live;
    const int lock = store->lock;
    int rc;

    *store = (struct store){
        .options = options, .disk_fn = disk_fn, .disk_arg = arg, .lock = lock, .live = live};
    rc = disk_fn(arg, &store->disk, err);
    if (rc == 0) {
        rc = io_readonly_open(&store->strict, store->disk, NULL, NULL, err);
    }
    if (rc == 0) {
        rc = io_readonly_open(&store->lenient, store->disk, count_unreadable, store, err);
    }
    if (rc == 0) {
        rc = list_names(store, err);
    }
    if (rc != 0) {
        store_close(store);
    }
    return rc;
}

static int check_directory(const char *dir, struct error *err)
{
    struct stat st;

    if (stat(dir, &st) != 0) {
        return error_errno(err, errno, "%s", dir);
    }
    return S_ISDIR(st.st_mode) ? 0 : error_set(err, TUSK_EINVALID, "%s is not a directory", dir);
}

int store_open(struct store *store, struct offline_options *options, const char *dir,
               struct error *err)
{
    int rc = check_directory(dir, err);

    *store = (struct store){.lock = -1};
    if (rc == 0) {
        rc = io_readonly_lock(&store->lock, dir, err);
    }
    if (rc == TUSK_ELOCKED && options->force_live) {
        store->live = true;
        rc = 0;
    } else if (rc == TUSK_ELOCKED) {
        char text[ERROR_TEXT_SIZE];

        (void)snprintf(text, sizeof text, "%s", err->text);
        (void)error_set(err, TUSK_ELOCKED,
                        "%.300s, which changes it meanwhile; stop it first, or look at sealed "
                        "blocks only (--force-live)",
                        text);
    }
    if (rc == 0) {
        rc = store_open_on(store, options, open_posix, (void *)(uintptr_t)dir, err);
        return rc == 0 ? 0 : error_wrap(err, "%s", dir);
    }
    return rc;
}

void store_close(struct store *store)
{
    store_leave(store);
    io_close(store->strict);
    io_close(store->lenient);
    io_close(store->disk);
    io_readonly_unlock(store->lock);
    free(store->names);
    forget_findings(store);
    *store = (struct store){.lock = -1};
}

/* ---- one namespace ---- */

static bool go_on(void *arg, const char *name, uint64_t done, uint64_t total)
{
    struct offline_options *options = arg;

    (void)name;
    (void)total;
    options->progress.done = done;
    progress_draw(&options->progress);
    return !offline_interrupted();
}

static void finding(void *arg, const char *name, const char *text)
{
    struct store *store = arg;
    struct out *out = &store->options->out;

    if (!first_time(store, text)) {
        return;
    }
    out_sentence(out, "note", "  note: %s", text);
    out_text(out, "namespace", name);
    out_end(out);
}

static int look(struct store *store, const struct store_name *name, struct io *io,
                enum inspect_way way, bool thorough, struct error *err)
{
    struct engine_options options;

    engine_options_default(&options);
    options.progress = go_on;
    options.progress_arg = store->options;
    options.finding = finding;
    options.finding_arg = store;
    err->code = 0;
    return inspect_open(&store->inspection, io, &options, name->name, name->size, way, thorough,
                        err);
}

static int enter_live(struct store *store, const struct store_name *name, struct error *err)
{
    unsigned i;
    int rc = TUSK_EIO;

    for (i = 0; i < LIVE_TRIES && rc != 0 && rc != TUSK_EVERSION; i++) {
        rc = look(store, name, store->strict, INSPECT_LIVE, false, err);
    }
    return rc;
}

int store_enter(struct store *store, const struct store_name *name, bool thorough,
                struct error *refusal, struct error *err)
{
    static const enum inspect_way ways[] = {INSPECT_AS_IS, INSPECT_ACCEPT_LOSS,
                                            INSPECT_FROM_MANIFEST, INSPECT_FROM_BLOCKS};
    unsigned i;
    int rc = TUSK_ECORRUPT;

    store_leave(store);
    forget_findings(store);
    refusal->code = 0;
    if (store->live) {
        return enter_live(store, name, err);
    }
    for (i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        /* As it is, an unreadable page is one; to get at the rest, it is zeros. */
        rc = look(store, name, i == 0 ? store->strict : store->lenient, ways[i], thorough || i > 0,
                  err);
        if (rc != TUSK_ECORRUPT && rc != TUSK_EIO && rc != TUSK_ENOTFOUND) {
            return rc;
        }
        if (i == 0) {
            *refusal = *err;
        }
    }
    return rc;
}

void store_leave(struct store *store)
{
    inspect_close(store->inspection);
    store->inspection = NULL;
}

const char *store_way_text(enum inspect_way way)
{
    switch (way) {
    case INSPECT_AS_IS:
        return "as recovery opens it";
    case INSPECT_ACCEPT_LOSS:
        return "as it is with the loss in its journal accepted";
    case INSPECT_FROM_MANIFEST:
        return "as of its manifest, because its journal leads nowhere";
    case INSPECT_LIVE:
        return "as of its manifest, sealed blocks only, while the daemon goes on";
    case INSPECT_FROM_BLOCKS:
    default:
        return "from what its blocks say of themselves, because no manifest is valid";
    }
}
