/* tusk-store: what `tusk verify`, `tusk dump` and `tusk salvage` become. README.md says why it is a
 * program of its own. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/offline/crew.h"
#include "server/offline/offline.h"

#define THREADS_DEFAULT 4

enum { KEY_FORCE_LIVE = 0x100, KEY_PAYLOAD, KEY_THREADS, KEY_NO_COLOR, KEY_HELP, KEY_VERSION };

static const struct option long_options[] = {
    {"namespace", required_argument, NULL, 'n'},
    {"output", required_argument, NULL, 'o'},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"no-color", no_argument, NULL, KEY_NO_COLOR},
    {"threads", required_argument, NULL, KEY_THREADS},
    {"payload", optional_argument, NULL, KEY_PAYLOAD},
    {"force-live", no_argument, NULL, KEY_FORCE_LIVE},
    {"help", no_argument, NULL, KEY_HELP},
    {"version", no_argument, NULL, KEY_VERSION},
    {0},
};

static const char verify_help[] =
    "Usage: tusk verify [OPTION...] DIR\n"
    "Read everything of the store in DIR and tell what is damaged, by namespace, topic and "
    "offsets.\n"
    "Nothing is changed. Blocks, journal, manifests, seals and tables are held against each other; "
    "what a\n"
    "crash tore at the end of the journal is not damage, and told apart.\n\n"
    "  -n, --namespace NS    only this namespace\n"
    "  -o, --output FORMAT   text (default), json or jsonl\n"
    "  -q, --quiet           no progress bar\n"
    "      --threads N       blocks looked at at once (4, or as many as there are processors)\n"
    "      --force-live      although a daemon has DIR: sealed blocks only, which it no longer "
    "changes;\n"
    "                        its journal, manifests and open blocks are not judged\n";

static const char dump_help[] =
    "Usage: tusk dump [OPTION...] FILE|DIR\n"
    "Describe a file of a store piece by piece, with byte offsets, and whether its checksums hold: "
    "a manifest,\n"
    "a journal file, a segment, a block or a seal by itself; known by its first bytes. DIR: all "
    "files of a store.\n\n"
    "  -n, --namespace NS    of DIR, only this namespace\n"
    "  -o, --output FORMAT   text (default), json or jsonl\n"
    "      --payload[=HOW]   entries, too: text (default) or hex\n"
    "      --force-live      although a daemon has DIR: what it writes meanwhile may look torn\n";

static const char salvage_help[] = "Usage: tusk salvage [OPTION...] DIR OUT\n"
                                   "Write everything of the store in DIR that validates into a new "
                                   "store, OUT, which must not exist. DIR is not\n"
                                   "changed. Offsets, times, topics, cursors and settings are "
                                   "kept; store id and incarnation are new. Damage\n"
                                   "becomes a gap, and is told.\n\n"
                                   "  -n, --namespace NS    only this namespace\n"
                                   "  -o, --output FORMAT   text (default), json or jsonl\n"
                                   "  -q, --quiet           no progress bar\n";

static const char status_help[] = "\nExit status: 0 clean, nothing lost; 8 damage was found, or "
                                  "something was lost; 9 refused: in use by a\n"
                                  "daemon, of a newer version, or OUT exists; 4 no such file, "
                                  "directory or namespace; 5 permission denied;\n"
                                  "7 disk full; 1 could not look; 2 usage; 130 interrupted.\n";

static const struct command {
    const char *name;
    const char *help;
    int words;
} commands[] = {{"verify", verify_help, 1}, {"dump", dump_help, 1}, {"salvage", salvage_help, 2}};

static const struct command *find_command(const char *name)
{
    unsigned i;

    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int usage(const char *why, const char *what)
{
    (void)fprintf(stderr, "tusk: %s%s\n", why, what);
    return OFFLINE_USAGE;
}

static int format_from(const char *text, enum out_format *format)
{
    /* table and raw are `tusk`'s words for other commands. */
    if (strcmp(text, "text") == 0 || strcmp(text, "table") == 0 || strcmp(text, "raw") == 0) {
        *format = OUT_TEXT;
    } else if (strcmp(text, "json") == 0) {
        *format = OUT_JSON;
    } else if (strcmp(text, "jsonl") == 0) {
        *format = OUT_JSONL;
    } else {
        return usage("the output is text, json or jsonl, not ", text);
    }
    return 0;
}

static int threads_from(const char *text, unsigned *threads)
{
    char *end;
    const long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < 1 || value > (long)CREW_MAX) {
        return usage("the number of threads is from 1 to 16, not ", text);
    }
    *threads = (unsigned)value;
    return 0;
}

static int payload_from(const char *text, enum offline_payload *payload)
{
    if (text == NULL || strcmp(text, "text") == 0) {
        *payload = PAYLOAD_TEXT;
    } else if (strcmp(text, "hex") == 0) {
        *payload = PAYLOAD_HEX;
    } else {
        return usage("the payload is shown as text or hex, not ", text);
    }
    return 0;
}

/* -1: go on; else the exit status. */
static int take_option(struct offline_options *options, const struct command *command,
                       enum out_format *format, int key, const char *arg)
{
    switch (key) {
    case 'n':
        options->name = arg;
        return -1;
    case 'o':
        return format_from(arg, format) == 0 ? -1 : OFFLINE_USAGE;
    case 'q':
        options->quiet = true;
        return -1;
    case 'v':
    case KEY_NO_COLOR:
        return -1; /* tusk's; there is nothing to them here */
    case KEY_THREADS:
        return threads_from(arg, &options->threads) == 0 ? -1 : OFFLINE_USAGE;
    case KEY_PAYLOAD:
        return payload_from(arg, &options->payload) == 0 ? -1 : OFFLINE_USAGE;
    case KEY_FORCE_LIVE:
        options->force_live = true;
        return -1;
    case KEY_HELP:
        (void)fputs(command->help, stdout);
        (void)fputs(status_help, stdout);
        return OFFLINE_DONE;
    case KEY_VERSION:
        (void)printf("tusk %s\n", TUSK_VERSION);
        return OFFLINE_DONE;
    default:
        (void)fprintf(stderr, "Try 'tusk %s --help'.\n", command->name);
        return OFFLINE_USAGE;
    }
}

/* A store of many segments needs a descriptor for each. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* What is too few shows when opening fails */
    }
}

static int run(struct offline_options *options, const struct command *command, char **words)
{
    if (strcmp(command->name, "verify") == 0) {
        return offline_verify(options, words[0]);
    }
    if (strcmp(command->name, "dump") == 0) {
        return offline_dump(options, words[0]);
    }
    return offline_salvage(options, words[0], words[1]);
}

int main(int argc, char **argv)
{
    struct offline_options options = {.threads = THREADS_DEFAULT};
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    enum out_format format = OUT_TEXT;
    int status = -1;
    int key;

    if (command == NULL) {
        return usage("tusk-store is run by tusk: tusk verify, tusk dump, tusk salvage", "");
    }
    if (processors > 0 && processors < THREADS_DEFAULT) {
        options.threads = (unsigned)processors;
    }
    argv[1] = argv[0];
    while (status < 0 &&
           (key = getopt_long(argc - 1, argv + 1, "n:o:qv", long_options, NULL)) != -1) {
        status = take_option(&options, command, &format, key, optarg);
    }
    if (status >= 0) {
        return fflush(stdout) == 0 ? status : OFFLINE_FAILED;
    }
    if (argc - 1 - optind != command->words) {
        (void)fputs(command->help, stderr);
        return OFFLINE_USAGE;
    }
    out_init(&options.out, stdout, format);
    options.out.bar = &options.progress;
    offline_catch_interrupt();
    raise_descriptors();
    status = run(&options, command, argv + 1 + optind);
    if (out_finish(&options.out) != 0) {
        (void)usage("cannot write to standard output", "");
        return status == OFFLINE_DONE ? OFFLINE_FAILED : status;
    }
    return status;
}
