/* tusk explain: what a status or an exit status means, why it comes, and what to do. The texts of
 * statuses are those of proto/status_help.c, the ones of exit statuses are here; a test holds their
 * numbers against client/cli.h and server/exit_status.h. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"
#include "proto/status_help.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WRAP_COLUMNS 80u
#define LABEL_COLUMNS 12u

struct exit_help {
    const char *program;
    int number;
    const char *text;
    struct status_help help;
};

static const struct exit_help exits[] = {
    {"tusk", CLI_DONE, "done", {"What was asked for was done.", "Nothing went wrong.", "Nothing."}},
    {"tusk",
     CLI_FAILED,
     "failed",
     {"It was not done; or whether it was is unknown, and then the message says so.",
      "Any reason without an exit status of its own.",
      "Read the message on standard error; its status has a text here, too."}},
    {"tusk",
     CLI_USAGE,
     "usage",
     {"The command line was not understood. Nothing was done.",
      "An option or an argument is missing, unknown, or one too many.",
      "`tusk COMMAND --help`, or the command's manual page."}},
    {"tusk",
     CLI_NOTHING,
     "nothing to read",
     {"There was no entry to read, and --exit-empty or a timeout said not to wait for one.",
      "The end of the topic, or of the cursor, is reached.",
      "Nothing, or wait: `tusk read --follow`."}},
    {"tusk",
     CLI_NOTFOUND,
     "no such namespace, topic or cursor",
     {"What was named does not exist. Nothing was changed.",
      "Its name is spelled otherwise, or it lies in another namespace or behind another socket.",
      "`tusk ns ls`, `tusk topics` and `tusk cursors` list what there is."}},
    {"tusk",
     CLI_DENIED,
     "permission denied",
     {"This user may not do that, or not reach the socket or the files.",
      "No rule gives the right that it takes.",
      "`tusk whoami`; then an `allow` line (tuskd.conf(5), ACCESS), or sudo -u tusk tusk ..."}},
    {"tusk",
     CLI_UNREACHABLE,
     "the daemon cannot be reached",
     {"No daemon answered, the connection ended, or the answer took too long.",
      "It is not running, stopping, busy, or listens elsewhere.",
      "`systemctl status tuskd`, its log, and --socket or TUSK_SOCKET."}},
    {"tusk",
     CLI_FULL,
     "a quota or the disk is full",
     {"There was no room for what was to be stored; the message counts what is stored.",
      "The namespace has used its quota, or the file system is full.",
      "Trim, delete, set a retention, raise the quota (`tusk ns set`), or make room on the disk."}},
    {"tusk",
     CLI_DAMAGED,
     "damage was found",
     {"Some entries cannot be read, and their offsets were told; all others can.",
      "Stored bytes do not match their checksums.",
      "`tusk verify DIR` tells all of it (the daemon stopped); `tusk salvage` takes what "
      "validates; what is gone comes back from a backup only."}},
    {"tusk",
     CLI_REFUSED,
     "refused",
     {"verify, dump or salvage did not begin. Nothing was changed.",
      "A daemon has the directory, a newer version wrote it, or the target exists.",
      "Stop the daemon first, or take a newer tusk, or another target."}},
    {"tusk",
     CLI_INTERRUPTED,
     "interrupted",
     {"SIGINT or SIGTERM ended it; it said how far it was.", "Somebody pressed Ctrl-C.",
      "Nothing. `tusk append` tells how many entries are stored."}},
    {"tuskd",
     64,
     "usage",
     {"The command line was not understood. Nothing was touched.",
      "An option that does not exist, or a value that is not allowed.", "`tuskd --help`."}},
    {"tuskd",
     65,
     "damaged data that needs a decision",
     {"No namespace could be opened, or one could not and --strict-start was given.",
      "The journal is damaged before what was known durable, and no block holds the rest.",
      "The log names the place and what it held. `tusk verify DIR` tells more; then restore, "
      "`tusk salvage`, or accept the loss (`tuskd --accept-loss NAMESPACE`)."}},
    {"tuskd",
     73,
     "cannot create",
     {"A directory, a file or the socket could not be made.",
      "Rights, a path that is too long or taken, or no space.",
      "The message names it. Check owner and mode of the directory."}},
    {"tuskd",
     74,
     "a disk failed",
     {"A write or an fsync failed, and the daemon stopped at once (fail-stop). What was "
      "acknowledged as durable is safe; of what was under way it is unknown.",
      "The device or the file system refused it. It is never tried again, because the second fsync "
      "would succeed and lie.",
      "Look at the kernel's log (`journalctl -k`), mend the disk, and start the daemon: recovery "
      "reads what the device holds."}},
    {"tuskd",
     75,
     "the data directory is in use",
     {"Another daemon, or an offline command, has the directory. Nothing was touched.",
      "Two daemons with one data directory, or `tusk verify` at work.",
      "The message names the process. Stop it, or give this daemon a directory of its own."}},
    {"tuskd",
     78,
     "configuration",
     {"A configuration file has errors; all of them were told. Nothing was touched.",
      "An unknown key, a value that is not allowed, or a file that cannot be read.",
      "`tuskd --check-config` tells file, line, key and what is allowed."}},
};

#define EXIT_COUNT (sizeof exits / sizeof exits[0])

/* ---- What was asked ---- */

/* NOSPACE, ENOSPACE or TUSK_ENOSPACE, in letters of any size, or the sentence. */
static bool names_status(const char *word, int number)
{
    static const char *const prefixes[] = {"", "e", "tusk_e"};
    const char *name = tusk_error_name(number);
    size_t i;

    for (i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t size = strlen(prefixes[i]);

        if (strncasecmp(word, prefixes[i], size) == 0 && strcasecmp(word + size, name) == 0) {
            return true;
        }
    }
    return strcasecmp(word, tusk_error_text(number)) == 0;
}

/* -1: not a number. A code of the library is negative. */
static int number_of(const char *word)
{
    uint64_t number;

    if (parse_u64(word[0] == '-' ? word + 1 : word, &number) != 0 || number > INT_MAX) {
        return -1;
    }
    return (int)number;
}

/* ---- What is told ---- */

static const struct column columns[] = {{"kind", COLUMN_TEXT},     {"name", COLUMN_TEXT},
                                        {"number", COLUMN_NUMBER}, {"text", COLUMN_TEXT},
                                        {"meaning", COLUMN_TEXT},  {"why", COLUMN_TEXT},
                                        {"remedy", COLUMN_TEXT}};

struct explanation {
    struct table table;
    bool prose;
    unsigned told;
};

/* A label, and the text beside it in lines that fit a terminal. */
static void print_wrapped(const char *label, const char *text)
{
    size_t column = LABEL_COLUMNS;

    (void)printf("  %-*s", (int)LABEL_COLUMNS - 2, label);
    while (*text != '\0') {
        const size_t word = strcspn(text, " ");

        if (column > LABEL_COLUMNS && column + 1 + word > WRAP_COLUMNS) {
            (void)printf("\n%*s", (int)LABEL_COLUMNS, "");
            column = LABEL_COLUMNS;
        } else if (column > LABEL_COLUMNS) {
            (void)putchar(' ');
            column++;
        }
        (void)printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

static void tell(struct explanation *explanation, const char *kind, const char *name, int number,
                 const char *text, const struct status_help *help)
{
    if (explanation->prose) {
        (void)fputs(explanation->told > 0 ? "\n" : "", stdout);
        cli_head(true);
        (void)printf("%s %d%s%s: %s\n", kind, number, *name != '\0' ? ", " : "", name, text);
        cli_head(false);
        print_wrapped("Meaning", help->meaning);
        print_wrapped("Why", help->why);
        print_wrapped("What now", help->remedy);
    } else {
        table_text(&explanation->table, kind);
        table_text(&explanation->table, name);
        table_number(&explanation->table, (uint64_t)number);
        table_text(&explanation->table, text);
        table_text(&explanation->table, help->meaning);
        table_text(&explanation->table, help->why);
        table_text(&explanation->table, help->remedy);
    }
    explanation->told++;
}

static void tell_matching(struct explanation *explanation, const char *word)
{
    const int wanted = number_of(word);
    const struct status_help *help;
    char kind[32];
    size_t i;
    int number;

    for (number = 0; (help = status_help(number)) != NULL; number++) {
        if (number == wanted || names_status(word, number)) {
            tell(explanation, "status", tusk_error_name(number), number, tusk_error_text(number),
                 help);
        }
    }
    for (i = 0; i < EXIT_COUNT && word[0] != '-'; i++) {
        if (exits[i].number == wanted) {
            (void)snprintf(kind, sizeof kind, "exit status of %s", exits[i].program);
            tell(explanation, kind, "", wanted, exits[i].text, &exits[i].help);
        }
    }
}

static int list_all(const struct cli *cli)
{
    static const struct column list_columns[] = {{"kind", COLUMN_TEXT},
                                                 {"number", COLUMN_NUMBER},
                                                 {"name", COLUMN_TEXT},
                                                 {"text", COLUMN_TEXT}};
    struct table table;
    size_t i;
    int number;

    table_begin(&table, cli, list_columns, 4);
    for (number = 0; status_help(number) != NULL; number++) {
        table_text(&table, "status");
        table_number(&table, (uint64_t)number);
        table_text(&table, tusk_error_name(number));
        table_text(&table, tusk_error_text(number));
    }
    for (i = 0; i < EXIT_COUNT; i++) {
        table_text(&table, "exit status");
        table_number(&table, (uint64_t)exits[i].number);
        table_text(&table, exits[i].program);
        table_text(&table, exits[i].text);
    }
    return table_end(&table);
}

int cli_explain(struct cli *cli, int argc, char **argv)
{
    struct explanation explanation = {0};
    struct cli_words words;

    cli_parse_words(cli, &words, "[ERROR]",
                    "Tell what ERROR means, why it comes, and what to do: the name or number of a "
                    "status (NOSPACE, TUSK_ENOSPACE, 3), or an exit status of tusk or tuskd. "
                    "Without it, list all.",
                    0, 1, argc, argv);
    if (words.count == 0) {
        return list_all(cli);
    }
    /* Sentences are for people, at a terminal or not; columns are for whoever asks for them. */
    explanation.prose = cli->output == OUTPUT_AUTO || cli->output == OUTPUT_TABLE;
    if (!explanation.prose) {
        table_begin(&explanation.table, cli, columns, sizeof columns / sizeof columns[0]);
    }
    tell_matching(&explanation, words.words[0]);
    if (!explanation.prose && table_end(&explanation.table) != CLI_DONE) {
        return CLI_FAILED;
    }
    if (explanation.told == 0) {
        cli_say("'%s' is no status and no exit status; 'tusk explain' lists them", words.words[0]);
        return CLI_NOTFOUND;
    }
    return CLI_DONE;
}
