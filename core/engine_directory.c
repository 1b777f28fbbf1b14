/* The data directory: namespaces as directories of "ns", made, found again, and removed.
 *
 *     ns/.making ---> ns/<name> ---> ns/.removing ---> gone
 *
 * A namespace exists while its directory has its name. What a crash leaves under the other two
 * names is swept at the next start, or when the name is next needed: nobody was told of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/engine_state.h"

#define DEFAULT_NAME "default"
/* A directory being made or removed has a name no namespace can have. */
#define MAKING_NAME ".making"
#define REMOVING_NAME ".removing"
#define MAKING "ns/" MAKING_NAME
#define REMOVING "ns/" REMOVING_NAME

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

    CHECK(sweep->io != NULL);
    CHECK(name[0] != '\0');
    CHECK(strchr(name, '/') == NULL);
    (void)snprintf(path, sizeof path, "%s/%s", sweep->dir, name);
    return kind == IO_KIND_DIRECTORY ? sweep_dir(sweep->io, path, sweep->err)
                                     : io_unlink(sweep->io, path, sweep->err);
}

static int sweep_dir(struct io *io, const char *dir, struct error *err)
{
    struct sweep sweep = {.io = io, .dir = dir, .err = err};
    const int rc = io_list_dir(io, dir, sweep_entry, &sweep, err);

    CHECK(strncmp(dir, "ns/.", 4) == 0);
    CHECK(strlen(dir) < IO_PATH_SIZE);
    return rc != 0 ? rc : io_remove_dir(io, dir, err);
}

/* ---- creating ---- */

/* Everything is made under a name that is swept at start; the rename makes it a namespace. */
static int create(struct engine *engine, struct namespace *ns,
                  const struct engine_settings *settings, struct error *err)
{
    char dir[sizeof ns->dir];
    int rc;

    CHECK(ns->next == NULL);
    CHECK(ns->requests == 0);
    CHECK(strcmp(ns->dir, MAKING) != 0);
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
    CHECK(strcmp(ns->dir, MAKING) != 0);
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

    CHECK(name != NULL || size == 0);
    CHECK(settings != NULL || count == 0);
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
    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->topic_count == 0);
    engine_table_insert(engine, ns);
    return 0;
}

int engine_namespace_delete(struct engine *engine, const char *name, size_t size, struct error *err)
{
    struct namespace *ns = engine_namespace_find(engine, name, size);
    struct error swept;
    int rc;

    CHECK(name != NULL || size == 0);
    if (ns == NULL) {
        return error_set(err, TUSK_ENOTFOUND, "no namespace \"%.*s\"", (int)size, name);
    }
    if (strcmp(ns->name, DEFAULT_NAME) == 0) {
        return error_set(err, TUSK_EINVALID, "namespace \"default\" cannot be deleted");
    }
    if (ns->users > 0 || ns->requests > 0) {
        return error_set(err, TUSK_EBUSY,
                         "namespace \"%s\" is in use: %d connections, %llu requests under way",
                         ns->name, ns->users, (unsigned long long)ns->requests);
    }
    if (ns->hold.state != HOLD_NONE) {
        return error_set(err, TUSK_EBUSY, "a snapshot of namespace \"%s\" is being taken",
                         ns->name);
    }
    /* What an earlier delete could not sweep would be in the way. */
    rc = sweep_dir(engine->io, REMOVING, err);
    if (rc != 0 && rc != TUSK_ENOTFOUND) {
        return error_wrap(err, "delete namespace \"%s\"", ns->name);
    }
    /* The name goes first, durably; what it held is swept now, or at the next start. Until it has
     * gone the namespace serves: a full disk may refuse even that. */
    rc = io_rename(engine->io, ns->dir, REMOVING, err);
    /* If it is still there: an error does not say that nothing happened. */
    if ((rc == TUSK_ENOSPACE || rc == TUSK_ENOMEM) &&
        io_sync_dir(engine->io, ns->dir, &swept) == 0) {
        return error_wrap(err, "delete namespace \"%s\"", ns->name);
    }
    namespace_close_files(ns);
    if (rc != 0 || io_sync_dir(engine->io, "ns", err) != 0) {
        ns->state = ENGINE_STOPPED;
        (void)snprintf(ns->reason, sizeof ns->reason, "half deleted; restart the daemon");
        return error_wrap(err, "delete namespace \"%s\"", ns->name);
    }
    (void)sweep_dir(engine->io, REMOVING, &swept);
    CHECK(ns->requests == 0);
    CHECK(ns->users == 0);
    engine_table_remove(engine, ns);
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

    CHECK(opening->rc == 0);
    CHECK(name[0] != '\0');
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
    engine_table_insert(engine, ns);
    return 0;
}

static int recover_one(struct engine *engine, struct namespace *ns, struct error *err)
{
    const char *accept = engine->options.accept_loss;
    int rc;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->topic_count == 0);
    CHECK(ns->journal.files == NULL);
    ns->now = engine->now;
    rc = recovery_run(ns, accept != NULL && strcmp(accept, ns->name) == 0, err);
    if (rc == TUSK_ECLOSED || rc == TUSK_EBUSY || rc == TUSK_ENOMEM) {
        return rc; /* Nothing is wrong with the namespace: descriptors or memory are short */
    }
    if (rc != 0) {
        ns->reason_code = rc;
        memcpy(ns->reason, err->text, sizeof ns->reason);
        namespace_close_files(ns);
        ns->state = ENGINE_REFUSED;
        if (engine->options.finding != NULL) {
            engine->options.finding(engine->options.finding_arg, ns->name, ns->reason);
        }
    }
    return 0;
}

/* The names found are made durable before anything relies on them: the last process may have died
 * between giving a name and syncing it, and the machine with it later. */
static int prepare_dir(struct engine *engine, struct error *err)
{
    struct error ignored;
    const int made = io_make_dir(engine->io, "ns", err);

    CHECK(engine->namespaces == NULL);
    CHECK(err != NULL);
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

int engine_open_namespaces(struct engine *engine, struct error *err)
{
    struct opening opening = {.engine = engine, .err = err};
    struct namespace *ns;
    int rc = prepare_dir(engine, err);

    CHECK(err != NULL);
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
    CHECK(rc <= 0);
    return rc;
}
