/* What may be typed next, from the tables that --help is made of.
 *
 * `tusk completion next -- WORD...` goes the way of a command line that is not finished: the words
 * choose a command as they would, and where that command would parse its arguments (cli_parse), it
 * comes here instead, with its argp. So there is no second table that could lag behind.
 *
 * Each candidate is a line: the word, a tab, and what it is. ":files" asks the shell for names of
 * files. What does not begin like the last word is left to the shell to drop. */
#include "client/cli_complete.h"

#include "client/cli_parse.h"
#include "proto/status_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETE_TIMEOUT_MS 1000 /* Of the daemon: somebody waits with a finger on the key */

/* A name that would break the line is left out. */
static void candidate(const char *word, size_t size, const char *help)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if ((unsigned char)word[i] < 0x20) {
            return;
        }
    }
    (void)printf("%.*s\t%s\n", (int)size, word, help);
}

/* ---- What stands for what ---- */

struct completing {
    struct cli *cli;
    const char *first; /* The first word that is no option: the topic, most often; or NULL */
};

static int list_topic_name(void *user, const struct tusk_topic_info *info)
{
    (void)user;
    candidate(info->name, strlen(info->name), "topic");
    return 0;
}

static int list_cursor_name(void *user, const struct tusk_cursor_info *info)
{
    (void)user;
    candidate(info->name, strlen(info->name), "cursor");
    return 0;
}

static int list_namespace_name(void *user, const struct tusk_namespace_info *info)
{
    (void)user;
    candidate(info->name, strlen(info->name), "namespace");
    return 0;
}

/* A daemon that does not answer has no names; nothing is said of it in the middle of a line. */
static bool connected(const struct completing *completing)
{
    struct cli *cli = completing->cli;

    if (!cli->timeout_given) {
        cli->timeout_ms = COMPLETE_TIMEOUT_MS;
    }
    return cli->t != NULL || cli_connect(cli) == CLI_DONE;
}

static void give_topics(const struct completing *completing)
{
    if (connected(completing)) {
        (void)tusk_topic_list(completing->cli->t, list_topic_name, NULL);
    }
}

static void give_cursors(const struct completing *completing)
{
    if (completing->first != NULL && connected(completing)) {
        (void)tusk_cursor_list(completing->cli->t, completing->first, list_cursor_name, NULL);
    }
}

static void give_namespaces(const struct completing *completing)
{
    if (connected(completing)) {
        (void)tusk_namespace_list(completing->cli->t, list_namespace_name, NULL);
    }
}

static void give_files(const struct completing *completing)
{
    (void)completing;
    (void)puts(":files");
}

static void give_settings(const struct completing *completing)
{
    const char *at = parse_setting_names();

    (void)completing;
    for (; *at != '\0'; at += strspn(at, ", ")) {
        const char *value = strchr(at, '=');
        const size_t size = strcspn(at, ",");

        candidate(at, value != NULL ? (size_t)(value - at) + 1 : size, "setting");
        at += size;
    }
}

static void give_errors(const struct completing *completing)
{
    int number;

    (void)completing;
    for (number = 1; status_help(number) != NULL; number++) {
        const char *name = tusk_error_name(number);

        candidate(name, strlen(name), tusk_error_text(number));
    }
}

/* What usage lines call it, and what can stand there. */
static const struct {
    const char *name;
    const char *words; /* Separated by '|'; or NULL */
    void (*give)(const struct completing *completing);
} kinds[] = {
    {"TOPIC", NULL, give_topics},
    {"NS", NULL, give_namespaces},
    {"NAMESPACE", NULL, give_namespaces},
    {"NAME", NULL, give_cursors},
    {"CURSOR", NULL, give_cursors},
    {"FILE", NULL, give_files},
    {"PATH", NULL, give_files},
    {"KEY=VALUE", NULL, give_settings},
    {"ERROR", NULL, give_errors},
    {"FORMAT", "table|json|jsonl|raw", NULL},
    {"POSITION", "earliest|latest", NULL},
    {"WHERE", "earliest|latest", NULL},
    {"WHEN", "written|durable", NULL},
    {"HOW", "lines|none|len32", NULL},
};

static void give_words(const char *words)
{
    for (; *words != '\0'; words += strspn(words, "|")) {
        const size_t size = strcspn(words, "|");

        candidate(words, size, "");
        words += size;
    }
}

static void give(const struct completing *completing, const char *name, size_t size)
{
    char copy[64];
    size_t i;

    (void)snprintf(copy, sizeof copy, "%.*s", (int)size, name);
    if (strchr(copy, '|') != NULL) {
        give_words(copy);
        return;
    }
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(copy, kinds[i].name) == 0) {
            if (kinds[i].give != NULL) {
                kinds[i].give(completing);
            } else {
                give_words(kinds[i].words);
            }
        }
    }
}

/* ---- Words ---- */

/* The option that a word names, of those of a command and the global ones. */
static const struct argp_option *find_option(const struct argp_option *options, const char *word)
{
    const struct argp_option *option;
    const size_t size = strcspn(word, "=");

    for (option = options; option != NULL && (option->name != NULL || option->key != 0); option++) {
        const bool is_long = option->name != NULL && strncmp(word, "--", 2) == 0 &&
                             strlen(option->name) == size - 2 &&
                             strncmp(word + 2, option->name, size - 2) == 0;

        if (is_long || (word[0] == '-' && word[1] == option->key && word[2] == '\0')) {
            return option;
        }
    }
    return NULL;
}

/* Where the daemon is, and the like, as the words before say. */
static void take_global(struct cli *cli, const struct argp_option *option, const char *value)
{
    double seconds;

    if (option->key == 's') {
        cli->socket = value;
    } else if (option->key == 'n') {
        cli->space = value;
    } else if (strcmp(option->name, "timeout") == 0 && parse_seconds(value, &seconds) == 0) {
        cli->timeout_ms = (int)(seconds * 1000);
        cli->timeout_given = true;
    }
}

/* Go over the words before the last. The option whose argument the last word is, or NULL; *words
 * counts those that are no options, and first is the first of them. */
static const struct argp_option *walk(struct completing *completing,
                                      const struct argp_option *options, int argc, char **argv,
                                      bool stop_at_word, int *at, unsigned *words)
{
    const struct argp_option *option = NULL;
    int i;

    for (i = 0; i < argc - 1; i++) {
        const struct argp_option *const global = find_option(cli_argp.options, argv[i]);

        option = global != NULL ? global : find_option(options, argv[i]);
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            option = NULL;
            if (stop_at_word) {
                break;
            }
            completing->first = *words == 0 ? argv[i] : completing->first;
            (*words)++;
            continue;
        }
        if (option == NULL || option->arg == NULL || strchr(argv[i], '=') != NULL) {
            option = NULL;
            continue;
        }
        /* Shells that divide words at '=' have one of its own there. */
        i += i + 2 < argc && strcmp(argv[i + 1], "=") == 0;
        if (i + 2 < argc) {
            i++;
            if (global != NULL) {
                take_global(completing->cli, global, argv[i]);
            }
            option = NULL;
        }
    }
    *at = i;
    return option;
}

static void give_options(const struct argp_option *option)
{
    for (; option != NULL && (option->name != NULL || option->key != 0); option++) {
        if (option->name != NULL && (option->flags & OPTION_HIDDEN) == 0) {
            (void)printf("--%s\t%s\n", option->name, option->doc != NULL ? option->doc : "");
        }
    }
}

/* What the word of this number stands for, in a usage such as "TOPIC [ENTRY...]". */
static void give_argument(const struct completing *completing, const char *usage, unsigned number)
{
    while (usage != NULL && *usage != '\0') {
        const size_t size = strcspn(usage, " ");
        const char *name = usage + strspn(usage, "[");
        const size_t name_size = strcspn(name, " ].");

        if (number == 0 || memmem(usage, size, "...", 3) != NULL) {
            give(completing, name, name_size);
            return;
        }
        number--;
        usage += size;
        usage += strspn(usage, " ");
    }
}

void cli_complete_arguments(struct cli *cli, const struct argp *argp, int argc, char **argv)
{
    struct completing completing = {.cli = cli};
    const char *last = argc > 1 ? argv[argc - 1] : "";
    const struct argp_option *option;
    unsigned words = 0;
    int at;

    option = walk(&completing, argp->options, argc - 1, argv + 1, false, &at, &words);
    if (option != NULL) {
        give(&completing, option->arg, strlen(option->arg));
    } else if (last[0] == '-') {
        give_options(argp->options);
        give_options(cli_argp.options);
        (void)puts("--help\tSay what there is");
    } else {
        give_argument(&completing, argp->args_doc, words);
    }
    exit(cli_flush_output());
}

static void give_commands(const struct cli *cli, const struct cli_command *commands, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (cli_has_place(cli, &commands[i], false)) {
            candidate(commands[i].name, strlen(commands[i].name), commands[i].help);
        }
    }
}

/* The words of a shell stand at the beginning of a line. */
static void give_shell_words(const struct cli *cli)
{
    size_t count;
    const struct cli_command *words = cli_shell_words(&count);

    give_commands(cli, words, count);
}

int cli_complete_command(struct cli *cli, const struct cli_command *commands, size_t count,
                         const char *prefix, int argc, char **argv)
{
    struct completing completing = {.cli = cli};
    const struct argp_option *option;
    unsigned words = 0;
    int at = 0;
    size_t i;

    option = walk(&completing, NULL, argc - 1, argv + 1, true, &at, &words);
    if (option != NULL) {
        give(&completing, option->arg, strlen(option->arg));
        return CLI_DONE;
    }
    argc -= at;
    argv += at;
    if (argc <= 2) {
        if (argc == 2 && argv[1][0] == '-') {
            give_options(cli_argp.options);
            (void)puts("--help\tSay what there is\n--version\tPrint the version");
        } else {
            give_commands(cli, commands, count);
            if (cli->shell != NULL && at == 0 && strchr(prefix, ' ') == NULL) {
                give_shell_words(cli);
            }
        }
        return CLI_DONE;
    }
    for (i = 0; i < count; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            char name[64];

            (void)snprintf(name, sizeof name, "%s %s", prefix, argv[1]);
            argv[1] = name;
            return commands[i].run(cli, argc - 1, argv + 1);
        }
    }
    return CLI_DONE;
}
