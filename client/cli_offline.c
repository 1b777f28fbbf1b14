/* verify, dump, salvage: they look at files, without a daemon, and so need the log engine, which
 * this program does not link. It becomes another one that does: tusk-store, installed beside it in
 * libexec. */
#include "client/cli.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELPER "tusk-store"

/* The helper's path: where this program lies, it lies in TUSK_HELPER_DIR from there. */
static int helper_path(char path[PATH_MAX])
{
    char own[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    int length;

    if (size < 0) {
        cli_say("cannot tell where this program lies: %s", strerror(errno));
        return CLI_FAILED;
    }
    own[size] = '\0';
    length = snprintf(path, PATH_MAX, "%s/%s/%s", dirname(own), TUSK_HELPER_DIR, HELPER);
    if (length < 0 || length >= PATH_MAX) {
        cli_say("the path of %s is too long", HELPER);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static const char *output_name(enum cli_output output)
{
    switch (output) {
    case OUTPUT_JSON:
        return "json";
    case OUTPUT_JSONL:
        return "jsonl";
    case OUTPUT_AUTO:
    case OUTPUT_TABLE:
    case OUTPUT_RAW:
    default:
        return "text";
    }
}

int cli_offline(struct cli *cli, int argc, char **argv)
{
    char path[PATH_MAX];
    /* argv[0] is "tusk verify": the command is its last word. */
    char *const space = strrchr(argv[0], ' ');
    char **words = calloc((size_t)argc + 9, sizeof *words);
    const char *namespace_given = getenv("TUSK_NAMESPACE");
    int count = 0;
    int i;

    if (words == NULL || helper_path(path) != CLI_DONE) {
        free(words);
        return CLI_FAILED;
    }
    words[count++] = (char *)(uintptr_t) "tusk";
    words[count++] = space == NULL ? argv[0] : space + 1;
    if (cli->completing) {
        words[count++] = (char *)(uintptr_t) "--next";
    } else {
        words[count++] = (char *)(uintptr_t) "-o";
        words[count++] = (char *)(uintptr_t)output_name(cli->output);
    }
    if (cli->no_color && !cli->completing) {
        words[count++] = (char *)(uintptr_t) "--no-color";
    }
    if (cli->quiet && !cli->completing) {
        words[count++] = (char *)(uintptr_t) "-q";
    }
    /* The environment names the namespace that one talks to; files are looked at whole unless told
     * otherwise. */
    if (cli->space != NULL && cli->space != namespace_given && !cli->completing) {
        words[count++] = (char *)(uintptr_t) "-n";
        words[count++] = (char *)(uintptr_t)cli->space;
    }
    for (i = 1; i < argc; i++) {
        words[count++] = argv[i];
    }
    (void)fflush(stdout);
    (void)execv(path, words);
    cli_say("cannot run %s: %s; it is installed with tuskd", path, strerror(errno));
    free(words);
    return CLI_FAILED;
}
