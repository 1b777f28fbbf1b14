/* tusk whoami, tusk acl: who may do what. */
#include "client/cli.h"
#include "client/cli_table.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* "read,append", or "none". */
static void table_rights(struct table *table, uint32_t rights)
{
    static const char *const names[] = {"read", "append", "admin"};
    char text[32] = "";
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((rights & (1u << i)) != 0) {
            (void)strcat(text, text[0] != '\0' ? "," : "");
            (void)strcat(text, names[i]);
        }
    }
    table_text(table, text[0] != '\0' ? text : "none");
}

/* The daemon does not look up who asks about himself. */
static const char *name_of(const struct tusk_access *access)
{
    const struct passwd *user = access->user[0] == '\0' ? getpwuid(access->uid) : NULL;

    return user != NULL ? user->pw_name : access->user;
}

/* What whoami tells beside the rights: how much of his limits the user has used. */
static const char *const limits[] = {"connections", "bytes", "waits", "topics"};

#define LIMIT_COUNT (sizeof limits / sizeof limits[0])

struct usage {
    uint64_t used[LIMIT_COUNT];
    uint64_t most[LIMIT_COUNT];
    bool limited; /* The daemon names none to administrators */
};

static int note_stat(void *user, const char *name, uint64_t value)
{
    struct usage *usage = user;
    char known[32];
    size_t i;

    for (i = 0; i < LIMIT_COUNT; i++) {
        (void)snprintf(known, sizeof known, "user_%s", limits[i]);
        if (strcmp(name, known) == 0) {
            usage->used[i] = value;
            usage->limited = true;
        }
        (void)snprintf(known, sizeof known, "user_%s_max", limits[i]);
        if (strcmp(name, known) == 0) {
            usage->most[i] = value;
        }
    }
    return 0;
}

/* "3/1024", or "-". */
static void table_usage(struct table *table, const struct usage *usage)
{
    char text[48];
    size_t i;

    for (i = 0; i < LIMIT_COUNT; i++) {
        (void)snprintf(text, sizeof text, "%llu/%llu", (unsigned long long)usage->used[i],
                       (unsigned long long)usage->most[i]);
        table_text(table, usage->limited ? text : "-");
    }
}

static int show(struct cli *cli, const char *user, const char *space)
{
    static const struct column columns[] = {
        {"uid", COLUMN_NUMBER},  {"user", COLUMN_TEXT},  {"namespace", COLUMN_TEXT},
        {"rights", COLUMN_TEXT}, {"why", COLUMN_TEXT},   {"connections", COLUMN_TEXT},
        {"bytes", COLUMN_TEXT},  {"waits", COLUMN_TEXT}, {"topics", COLUMN_TEXT}};
    const size_t all = sizeof columns / sizeof columns[0];
    struct usage usage = {.limited = false};
    struct tusk_access access = {.size = sizeof access};
    struct table table;
    int rc = cli_connect(cli);

    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_access(cli->t, user, space, &access);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "ask what \"%s\" may do", user != NULL ? user : "this user");
    }
    if (user == NULL) {
        rc = tusk_stats(cli->t, note_stat, &usage);
        if (rc != TUSK_OK) {
            return cli_fail(cli, rc, "ask what is used");
        }
    }
    table_begin(&table, cli, columns, user == NULL ? all : all - LIMIT_COUNT);
    table_number(&table, access.uid);
    table_text(&table, name_of(&access));
    table_text(&table, space != NULL ? space : "default");
    table_rights(&table, access.rights);
    table_text(&table, access.why);
    if (user == NULL) {
        table_usage(&table, &usage);
    }
    return table_end(&table);
}

int cli_whoami(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;

    cli_parse_words(
        cli, &words, "",
        "Who the daemon takes you for, what you may do with the namespace, and how much "
        "of your limits you have used.",
        0, 0, argc, argv);
    return show(cli, NULL, cli->space);
}

static int acl_check(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;

    cli_parse_words(cli, &words, "USER [NAMESPACE]",
                    "What a user, a name or a number, may do with a namespace, and by which rule."
                    "\vThe rules are the allow lines of tuskd.conf(5). It takes the right admin.",
                    1, 2, argc, argv);
    return show(cli, words.words[0], words.count > 1 ? words.words[1] : cli->space);
}

int cli_acl(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"check", acl_check, "What a user may do with a namespace"},
    };

    return cli_dispatch(cli, commands, sizeof commands / sizeof commands[0], "tusk acl", argc,
                        argv);
}
