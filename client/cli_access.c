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

static int show(struct cli *cli, const char *user, const char *space)
{
    const struct column columns[] = {{"uid", COLUMN_NUMBER},
                                     {"user", COLUMN_TEXT},
                                     {"namespace", COLUMN_TEXT},
                                     {"rights", COLUMN_TEXT},
                                     {"why", COLUMN_TEXT}};
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
    table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
    table_number(&table, access.uid);
    table_text(&table, name_of(&access));
    table_text(&table, space != NULL ? space : "default");
    table_rights(&table, access.rights);
    table_text(&table, access.why);
    return table_end(&table);
}

int cli_whoami(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;

    cli_parse_words(cli, &words, "",
                    "Who the daemon takes you for, and what you may do with the namespace.", 0, 0,
                    argc, argv);
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
