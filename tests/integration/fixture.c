#include "tests/integration/fixture.h"

#include <signal.h>
#include <stdlib.h>

const char *const fixture_small[] = {
    "--set", "block_size=1MiB",       "--set", "blocks_per_segment=8",
    "--set", "batch_size_max=512KiB", "--set", "entry_size_max=512KiB",
    "--set", "journal_file_max=4MiB", "--set", "journal_size_max=32MiB",
    NULL,
};

int fixture_setup(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);

    if (daemon == NULL) {
        return -1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    daemon_init(daemon);
    *state = daemon;
    return 0;
}

int fixture_setup_running(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    daemon_start_with(*state, fixture_small);
    return 0;
}

int fixture_teardown(void **state)
{
    struct daemon *daemon = *state;

    /* A clean end, so that what a sanitizer has to say at it is heard. */
    if (daemon->pid > 0) {
        daemon_stop(daemon);
    }
    daemon_deinit(daemon);
    free(daemon);
    return 0;
}
