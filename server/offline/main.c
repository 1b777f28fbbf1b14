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

enum { OF_VERIFY = 1, OF_DUMP = 2, OF_SALVAGE = 4, OF_ALL = 7 };

/* Each option once: for getopt, for --help, and for what completes a command line. */
static const struct choice {
    const char *name;
    int key;
    int has_arg;
    const char *arg; /* As --help shows it, with what stands in front */
    unsigned commands;
    const char *help; /* NULL: tusk's, and there is nothing to it here */
} choices[] = {
    {"namespace", 'n', required_argument, " NS", OF_VERIFY | OF_SALVAGE, "only this namespace"},
    {"namespace", 'n', required_argument, " NS", OF_DUMP, "of DIR, only this namespace"},
    {"output", 'o', required_argument, " FORMAT", OF_ALL, "text (default), json or jsonl"},
    {"quiet", 'q', no_argument, "", OF_VERIFY | OF_SALVAGE, "no progress bar"},
    {"quiet", 'q', no_argument, "", OF_DUMP, NULL},
    {"verbose", 'v', no_argument, "", OF_ALL, NULL},
    {"no-color", KEY_NO_COLOR, no_argument, "", OF_ALL, NULL},
    {"threads", KEY_THREADS, required_argument, " N", OF_VERIFY,
     "blocks looked at at once (4, or as many as there are processors)"},
    {"payload", KEY_PAYLOAD, optional_argument, "[=HOW]", OF_DUMP,
     "entries, too: text (default) or hex"},
    {"force-live", KEY_FORCE_LIVE, no_argument, "", OF_VERIFY,
     "although a daemon has DIR: sealed blocks only, which it no longer changes;\n"
     "its journal, manifests and open blocks are not judged"},
    {"force-live", KEY_FORCE_LIVE, no_argument, "", OF_DUMP,
     "although a daemon has DIR: what it writes meanwhile may look torn"},
    {"help", KEY_HELP, no_argument, "", OF_ALL, NULL},
    {"version", KEY_VERSION, no_argument, "", OF_ALL, NULL},
};

#define CHOICE_COUNT (sizeof choices / sizeof choices[0])
#define HELP_COLUMN 18 /* Behind the short option */

static const char verify_help[] =
    "Usage: tusk verify [OPTION...] DIR\n"
    "Read everything of the store in DIR and tell what is damaged, by namespace, topic and "
    "offsets.\n"
    "Nothing is changed. Blocks, journal, manifests, seals and tables are held against each other; "
    "what a\n"
    "crash tore at the end of the journal is not damage, and told apart.\n\n";

static const char dump_help[] =
    "Usage: tusk dump [OPTION...] FILE|DIR\n"
    "Describe a file of a store piece by piece, with byte offsets, and whether its checksums hold: "
    "a manifest,\n"
    "a journal file, a segment, a block or a seal by itself; known by its first bytes. DIR: all "
    "files of a store.\n\n";

static const char salvage_help[] = "Usage: tusk salvage [OPTION...] DIR OUT\n"
                                   "Write everything of the store in DIR that validates into a new "
                                   "store, OUT, which must not exist. DIR is not\n"
                                   "changed. Offsets, times, topics, cursors and settings are "
                                   "kept; store id and incarnation are new. Damage\n"
                                   "becomes a gap, and is told.\n\n";

static const char status_help[] = "\nExit status: 0 clean, nothing lost; 8 damage was found, or "
                                  "something was lost; 9 refused: in use by a\n"
                                  "daemon, of a newer version, or OUT exists; 4 no such file, "
                                  "directory or namespace; 5 permission denied;\n"
                                  "7 disk full; 1 could not look; 2 usage; 130 interrupted.\n";

static const struct command {
    const char *name;
    const char *help;
    int words;
    unsigned bit;
} commands[] = {{"verify", verify_help, 1, OF_VERIFY},
                {"dump", dump_help, 1, OF_DUMP},
                {"salvage", salvage_help, 2, OF_SALVAGE}};

static void print_help(FILE *file, const struct command *command)
{
    char name[64];
    unsigned i;

    (void)fputs(command->help, file);
    for (i = 0; i < CHOICE_COUNT; i++) {
        const struct choice *choice = &choices[i];
        const char *text = choice->help;

        if (text == NULL || (choice->commands & command->bit) == 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "--%s%s", choice->name, choice->arg);
        (void)fprintf(file, choice->key < 0x100 ? "  -%c, " : "      ", choice->key);
        for (;;) {
            const int size = (int)strcspn(text, "\n");

            (void)fprintf(file, "%-*s%.*s\n", HELP_COLUMN, name, size, text);
            if (text[size] == '\0') {
                break;
            }
            text += size + 1;
            (void)fprintf(file, "      ");
            name[0] = '\0';
        }
    }
}

/* Of `tusk completion next`: what may stand in place of the last word, a line each. */
static void print_next(const struct command *command, int count, char **words)
{
    const char *last = count > 0 ? words[count - 1] : "";
    const char *before = count > 1 ? words[count - 2] : "";
    unsigned i;

    for (i = 0; i < CHOICE_COUNT; i++) {
        const struct choice *choice = &choices[i];
        const bool given = (before[0] == '-' && before[1] == choice->key && before[2] == '\0') ||
                           (strncmp(before, "--", 2) == 0 && strcmp(before + 2, choice->name) == 0);

        if ((choice->commands & command->bit) != 0 && choice->has_arg == required_argument &&
            given) {
            (void)fputs(choice->key == 'o' ? "text\t\njson\t\njsonl\t\n" : "", stdout);
            return;
        }
    }
    if (last[0] != '-') {
        (void)puts(":files");
        return;
    }
    for (i = 0; i < CHOICE_COUNT; i++) {
        if ((choices[i].commands & command->bit) != 0) {
            const char *help = choices[i].help != NULL ? choices[i].help : "";

            (void)printf("--%s\t%.*s\n", choices[i].name, (int)strcspn(help, "\n"), help);
        }
    }
}

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
    case KEY_NO_COLOR:
        options->no_color = true;
        return -1;
    case 'v':
        return -1; /* tusk's; there is nothing to it here */
    case KEY_THREADS:
        return threads_from(arg, &options->threads) == 0 ? -1 : OFFLINE_USAGE;
    case KEY_PAYLOAD:
        return payload_from(arg, &options->payload) == 0 ? -1 : OFFLINE_USAGE;
    case KEY_FORCE_LIVE:
        options->force_live = true;
        return -1;
    case KEY_HELP:
        print_help(stdout, command);
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

/* An option that commands word differently is there twice, as the same. */
static void fill_options(struct option options[CHOICE_COUNT + 1])
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < CHOICE_COUNT; i++) {
        if (count == 0 || strcmp(options[count - 1].name, choices[i].name) != 0) {
            options[count++] = (struct option){
                .name = choices[i].name, .has_arg = choices[i].has_arg, .val = choices[i].key};
        }
    }
}

int main(int argc, char **argv)
{
    struct offline_options options = {.threads = THREADS_DEFAULT};
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct option long_options[CHOICE_COUNT + 1] = {0};
    enum out_format format = OUT_TEXT;
    int status = -1;
    int key;

    if (command == NULL) {
        return usage("tusk-store is run by tusk: tusk verify, tusk dump, tusk salvage", "");
    }
    if (argc > 2 && strcmp(argv[2], "--next") == 0) {
        print_next(command, argc - 3, argv + 3);
        return fflush(stdout) == 0 ? OFFLINE_DONE : OFFLINE_FAILED;
    }
    fill_options(long_options);
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
        print_help(stderr, command);
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
