/* tusk sync, ping. */
#include "client/cli.h"
#include "client/cli_table.h"

#include <time.h>

int cli_sync(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    int rc;

    cli_parse_words(cli, &words, "", "Wait until everything appended before is on disk.", 0, 0,
                    argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_sync(cli->t);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "sync");
}

int cli_ping(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {{"server", COLUMN_TEXT}, {"us", COLUMN_NUMBER}};
    struct tusk_info info = {.size = sizeof info};
    struct timespec begin;
    struct timespec end;
    struct cli_words words;
    struct table table;
    int rc;

    cli_parse_words(cli, &words, "", "Measure a round trip to the daemon, in microseconds.", 0, 0,
                    argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    rc = tusk_ping(cli->t);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "ping");
    }
    if (cli->quiet) {
        return CLI_DONE;
    }
    (void)tusk_info(cli->t, &info);
    table_begin(&table, cli, columns, 2);
    table_text(&table, info.server);
    table_number(&table, (uint64_t)((end.tv_sec - begin.tv_sec) * 1000000 +
                                    (end.tv_nsec - begin.tv_nsec) / 1000));
    return table_end(&table);
}
