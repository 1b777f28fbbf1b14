/* What may be typed next: the candidates that `tusk completion next` prints. */
#ifndef CLIENT_CLI_COMPLETE_H
#define CLIENT_CLI_COMPLETE_H

#include "client/cli.h"

/* In place of cli_parse(), when cli->completing: argv[argc - 1] is the word that is being typed,
 * those behind argv[0] stand before it. Prints candidates, and exits. */
__attribute__((noreturn)) void cli_complete_arguments(struct cli *cli, const struct argp *argp,
                                                      int argc, char **argv);
/* In place of cli_dispatch(): the commands, or what the one that argv[1] names completes. */
int cli_complete_command(struct cli *cli, const struct cli_command *commands, size_t count,
                         const char *prefix, int argc, char **argv);

#endif
