/* What every integration test begins with: a daemon's directory, removed behind the test. */
#ifndef TESTS_INTEGRATION_FIXTURE_H
#define TESTS_INTEGRATION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/daemon.h"
#include "tests/support/wire.h"

/* A directory, and no daemon yet. */
int fixture_setup(void **state);
/* A running daemon with the options most tests want: small, and with the defaults of a release. */
int fixture_setup_running(void **state);
int fixture_teardown(void **state);

/* A socket bound to path. */
int fixture_bound_socket(const char *path, int type);
/* What systemd is told, in order, until it has heard `until`. */
void fixture_hear(int fd, char *heard, size_t size, const char *until);

/* Blocks and journal files that do not take a test's disk. NULL-terminated. */
extern const char *const fixture_small[];

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define FIXTURE_RUNNING_TEST(name)                                                                 \
    cmocka_unit_test_setup_teardown(name, fixture_setup_running, fixture_teardown)

/* SIGHUP, and wait for the word that ends the reload: it must be done, or refused, as said. */
void fixture_reload(const struct daemon *daemon, bool done);

#endif
