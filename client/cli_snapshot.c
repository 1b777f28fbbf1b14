/* tusk snapshot: a copy of the store, while the daemon serves it.
 *
 * (1) the daemon is asked to hold a namespace's files still, (2) they are copied, (3) it is told,
 * and says whether the copy is good, (4) so for each namespace, (5) the whole gets its name. Until
 * then it lies in DIR.partial, which goes again when something fails. Each namespace is copied as
 * of a moment of its own: they share nothing. */
#include "client/cli.h"
#include "client/cli_table.h"
#include "client/snapshot_space.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_NO_REFLINK = 0x3000 };

static const struct argp_option options[] = {
    {"no-reflink", KEY_NO_REFLINK, NULL, 0,
     "Copy every byte, where the file system could share them, too", 0},
    {0},
};

struct space {
    struct space *next;
    bool refused;
    char name[TUSK_NAME_SIZE_MAX + 1];
    struct snapshot_done done;
};

struct snapshot {
    struct cli *cli;
    bool no_reflink;
    const char *target; /* DIR */
    char partial[PATH_MAX];
    int root; /* DIR.partial/ns, open */
    struct space *spaces;
    struct space *last;
    bool incomplete; /* There are more than `spaces` */
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct snapshot *snapshot = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = snapshot->cli;
        return 0;
    case KEY_NO_REFLINK:
        snapshot->no_reflink = true;
        return 0;
    case ARGP_KEY_ARG:
        if (snapshot->target != NULL) {
            argp_error(state, "one directory, not '%s' too", arg);
        }
        snapshot->target = arg;
        return 0;
    case ARGP_KEY_END:
        if (snapshot->target == NULL) {
            argp_error(state, "a directory for the copy is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- which namespaces ---- */

static struct space *add_space(struct snapshot *snapshot, const char *name)
{
    struct space *space = calloc(1, sizeof *space);

    if (space == NULL) {
        cli_say("out of memory: the namespaces to copy cannot be listed");
        snapshot->incomplete = true;
        return NULL;
    }
    (void)snprintf(space->name, sizeof space->name, "%s", name);
    if (snapshot->last != NULL) {
        snapshot->last->next = space;
    } else {
        snapshot->spaces = space;
    }
    snapshot->last = space;
    return space;
}

static int take_space(void *user, const struct tusk_namespace_info *info)
{
    struct space *space = add_space(user, info->name);

    if (space == NULL) {
        return 1;
    }
    space->refused = info->state != TUSK_NAMESPACE_SERVING;
    return 0;
}

/* The one that -n names, else all: the environment names the namespace that one talks to, and a
 * backup is of everything. */
static int choose_spaces(struct snapshot *snapshot)
{
    struct cli *cli = snapshot->cli;
    const struct space *space;
    int rc;

    if (cli->space != NULL && cli->space != getenv("TUSK_NAMESPACE")) {
        return add_space(snapshot, cli->space) != NULL ? CLI_DONE : CLI_FAILED;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_namespace_list(cli->t, take_space, snapshot);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "list the namespaces");
    }
    if (snapshot->incomplete) {
        return CLI_FAILED;
    }
    for (space = snapshot->spaces; space != NULL; space = space->next) {
        if (space->refused) {
            cli_say(
                "namespace \"%s\" is not served, so it cannot be copied whole ('tusk ns ls' says "
                "why, 'tusk salvage' takes what validates); copy the others one by one with -n",
                space->name);
            return CLI_DAMAGED;
        }
    }
    return CLI_DONE;
}

/* ---- the target ---- */

static int prepare_target(struct snapshot *snapshot)
{
    char path[PATH_MAX + sizeof "/ns"];
    size_t size = strlen(snapshot->target);
    struct stat st;
    int length;

    while (size > 1 && snapshot->target[size - 1] == '/') {
        size--;
    }
    length = snprintf(snapshot->partial, sizeof snapshot->partial, "%.*s.partial", (int)size,
                      snapshot->target);
    if (length < 0 || (size_t)length >= sizeof snapshot->partial - sizeof "/ns") {
        cli_say("the name of the directory is too long: \"%s\"", snapshot->target);
        snapshot->partial[0] = '\0';
        return CLI_USAGE;
    }
    if (lstat(snapshot->target, &st) == 0) {
        cli_say("\"%s\" is there already: a snapshot makes its directory", snapshot->target);
        snapshot->partial[0] = '\0';
        return CLI_REFUSED;
    }
    if (mkdir(snapshot->partial, 0700) != 0) {
        cli_say("cannot make \"%s\": %s%s", snapshot->partial, strerror(errno),
                errno == EEXIST ? "; it is what another snapshot makes, or what is left of one: if "
                                  "none is being taken, remove it"
                                : "");
        snapshot->partial[0] = '\0'; /* Not this one's to remove */
        return CLI_REFUSED;
    }
    (void)snprintf(path, sizeof path, "%.*s/ns", length, snapshot->partial);
    if (mkdir(path, 0700) != 0 ||
        (snapshot->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        cli_say("cannot make \"%s\": %s", path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int sync_dir(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd < 0 ? -1 : fsync(fd);
    const int error = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != 0) {
        cli_say("cannot make directory \"%s\" durable: %s", path, strerror(error));
    }
    return rc == 0 ? CLI_DONE : CLI_FAILED;
}

/* Everything is there and durable: it gets its name, and that, too, is made to last. */
static int name_target(const struct snapshot *snapshot)
{
    char parent[PATH_MAX + sizeof "/ns"];
    char *slash;

    (void)snprintf(parent, sizeof parent, "%s/ns", snapshot->partial);
    if (sync_dir(parent) != CLI_DONE || sync_dir(snapshot->partial) != CLI_DONE) {
        return CLI_FAILED;
    }
    if (rename(snapshot->partial, snapshot->target) != 0) {
        cli_say("cannot rename \"%s\" to \"%s\": %s", snapshot->partial, snapshot->target,
                strerror(errno));
        return CLI_FAILED;
    }
    (void)snprintf(parent, sizeof parent, "%s", snapshot->partial);
    slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return sync_dir(slash != NULL ? parent : ".");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

/* What was made so far goes: half a copy must not be taken for one. */
static void remove_partial(const struct snapshot *snapshot)
{
    if (snapshot->partial[0] != '\0' &&
        nftw(snapshot->partial, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
        cli_say("cannot remove \"%s\", half a copy: %s", snapshot->partial, strerror(errno));
    }
}

/* ---- the command ---- */

static int copy_all(struct snapshot *snapshot)
{
    struct cli *cli = snapshot->cli;
    struct space *space;
    int rc = CLI_DONE;

    for (space = snapshot->spaces; rc == CLI_DONE && space != NULL; space = space->next) {
        (void)tusk_close(cli->t);
        cli->t = NULL;
        cli->space = space->name; /* A connection is of one namespace */
        rc = cli_connect(cli);
        if (rc == CLI_DONE) {
            rc = snapshot_space(cli, snapshot->root, snapshot->no_reflink, &space->done);
        }
    }
    return rc;
}

static int show(const struct snapshot *snapshot)
{
    static const struct column columns[] = {{"namespace", COLUMN_TEXT},
                                            {"files", COLUMN_NUMBER},
                                            {"bytes", COLUMN_NUMBER},
                                            {"shared", COLUMN_NUMBER}};
    const struct space *space;
    struct table table;

    if (snapshot->cli->quiet) {
        return CLI_DONE;
    }
    table_begin(&table, snapshot->cli, columns, sizeof columns / sizeof columns[0]);
    for (space = snapshot->spaces; space != NULL; space = space->next) {
        table_text(&table, space->name);
        table_number(&table, space->done.files);
        table_number(&table, space->done.bytes);
        table_number(&table, space->done.shared);
    }
    return table_end(&table);
}

static int take(struct snapshot *snapshot)
{
    int rc = choose_spaces(snapshot);

    if (rc == CLI_DONE) {
        rc = prepare_target(snapshot);
    }
    if (rc == CLI_DONE) {
        rc = copy_all(snapshot);
    }
    if (rc == CLI_DONE) {
        rc = name_target(snapshot);
    }
    if (rc == CLI_DONE) {
        return show(snapshot);
    }
    remove_partial(snapshot);
    return rc;
}

int cli_snapshot(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "DIR",
        .doc = "Copy the store into a new directory while the daemon serves it: all namespaces, or "
               "the one that -n names. What was acknowledged before is in it. Run it where the "
               "daemon runs, as its user or root. A daemon opens the copy as a store of its own.",
        .children = cli_children};
    struct snapshot snapshot = {.cli = cli, .root = -1};
    const char *space = cli->space;
    int rc;

    cli_parse(&argp, argc, argv, &snapshot);
    cli_catch_interrupt();
    rc = take(&snapshot);
    if (snapshot.root >= 0) {
        (void)close(snapshot.root);
    }
    cli->space = space;
    while (snapshot.spaces != NULL) {
        struct space *next = snapshot.spaces->next;

        free(snapshot.spaces);
        snapshot.spaces = next;
    }
    return rc;
}
