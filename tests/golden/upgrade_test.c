/* An upgrade: stores that an earlier build wrote, cleanly stopped or killed, are opened, served and appended to by this
 * daemon, over the socket and on a real disk; and it goes on with what both have written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/io.h"
#include "tests/golden/golden_store.h"
#include "tests/integration/fixture.h"

static const char *const orders[] = {"one", "two", "three", "", "four", "five", "six", "seven"};
#define ORDERS_THEN 6u /* As the store has them */

static void put_store(const struct daemon *daemon, const char *name)
{
    struct error err;
    struct io *io;
    char path[1024];
    FILE *in;

    (void)snprintf(path, sizeof path, "%s/%s.store", GOLDEN_DIR, name);
    in = fopen(path, "r");
    assert_non_null(in);
    assert_int_equal(mkdir(daemon->data_dir, 0700), 0);
    assert_int_equal(io_posix_open(&io, daemon->data_dir, 1, &err), 0);
    golden_copy(in, io);
    io_close(io);
    (void)fclose(in);
}

/* By place, and not by offset: behind a crash offsets have a gap. */
struct expected {
    const char *const *texts;
    unsigned count;
};

static void expect_next(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct expected *expected = arg;

    (void)offset;
    assert_true(expected->count > 0);
    assert_int_equal(size, strlen(*expected->texts));
    assert_memory_equal(data, *expected->texts, size);
    expected->texts++;
    expected->count--;
}

static void expect_orders(struct wire *wire, unsigned count)
{
    struct expected expected = {.texts = orders, .count = count};

    (void)wire_drain(wire, "orders", 0, expect_next, &expected);
    assert_int_equal(expected.count, 0);
}

static void expect_rest(struct wire *wire)
{
    struct expected name = {.texts = (const char *const[]){"un"}, .count = 1};
    struct expected trimmed = {.texts = (const char *const[]){"c"}, .count = 1};

    (void)wire_drain(wire, "caf\xc3\xa9", 0, expect_next, &name);
    assert_int_equal(name.count, 0);
    (void)wire_drain(wire, "trimmed", 2, expect_next, &trimmed);
    assert_int_equal(trimmed.count, 0);
    assert_int_equal(wire_cursor(wire, "orders", "billing"), 6);
    assert_int_equal(wire_cursor(wire, "orders", "audit"), 1);
    assert_int_equal(wire_stat(wire, "topics"), 5);
}

/* Serve the store, go on with it, stop, and once more with a kill between. */
static void serve_and_go_on(struct daemon *daemon, const char *name, bool clean)
{
    struct wire wire;
    uint64_t first;

    put_store(daemon, name);
    daemon_start(daemon, NULL);
    assert_int_equal(strstr(daemon->ready, "recovery=clean") != NULL, clean);
    wire_open(&wire, daemon->socket, "default");
    expect_orders(&wire, ORDERS_THEN);
    expect_rest(&wire);
    assert_int_equal(wire_append(&wire, "orders", orders + 6, 1, &first), 0);
    assert_true(first >= 6); /* None is given twice */
    wire_close(&wire);
    daemon_stop(daemon);
    daemon_start(daemon, "--io", "posix", NULL);
    assert_non_null(strstr(daemon->ready, "recovery=clean"));
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "orders", "seven"), 0);
    assert_int_equal(wire_checkpoint(&wire, "orders", "audit", 2), 0);
    wire_close(&wire);
    daemon_kill(daemon);
    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    expect_orders(&wire, ORDERS_THEN + 2);
    assert_int_equal(wire_cursor(&wire, "orders", "audit"), 2);
    wire_close(&wire);
    daemon_stop(daemon);
}

static void store_of_a_stopped_daemon_is_served(void **state)
{
    serve_and_go_on(*state, "v1-stopped", true);
}

static void store_of_a_killed_daemon_is_served(void **state)
{
    serve_and_go_on(*state, "v1-killed", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(store_of_a_stopped_daemon_is_served),
        FIXTURE_TEST(store_of_a_killed_daemon_is_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
