/* A reload whose namespaces fail one by one, in one process with the engine on a simulated disk:
 * all of it is applied, or none. The n-th command that the engine is given is refused instead,
 * as it is when a journal has no space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/engine.h"
#include "core/io.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/reload.h"
#include "server/server.h"
#include "tests/sim/io_sim.h"

static struct sim_disk *disk;
static struct io *io;
static struct engine *engine;
static struct server server;
static struct reload reload;
static struct config config;
static struct config_source source;
static char dir[64];
static char file[128];
static char *arguments[] = {(char *)(uintptr_t) "tuskd", (char *)(uintptr_t) "--config", file,
                            NULL};
static unsigned asked;      /* Commands given to the engine */
static unsigned refuse_nth; /* 0: none is refused */
static bool refuse_later;   /* And those behind it */

/* The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void __real_engine_command(struct namespace *ns, struct engine_command *command);
void __wrap_engine_command(struct namespace *ns, struct engine_command *command);

void __wrap_engine_command(struct namespace *ns, struct engine_command *command)
{
    asked++;
    if (refuse_nth != 0 && (asked == refuse_nth || (refuse_later && asked > refuse_nth))) {
        command->base.status = TUSK_EBUSY;
        (void)error_set(&command->base.error, TUSK_EBUSY, "no journal space for this now");
        command->base.done(&command->base);
        return;
    }
    __real_engine_command(ns, command);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static uint64_t draw(void *arg)
{
    uint64_t *state = arg;

    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state;
}

/* The server reads the clocks itself. */
static struct engine_time read_clocks(void)
{
    return (struct engine_time){.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
}

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void open_engine(void)
{
    static uint64_t state = 1;
    const struct engine_time now = read_clocks();
    struct engine_options options;
    struct error err;

    disk = sim_disk_new(1);
    sim_disk_set_pace(disk, 100);
    engine_options_default(&options);
    options.random = draw;
    options.random_arg = &state;
    options.block_size = 32u << 10;
    options.journal_file_min = 128u << 10;
    options.journal_file_max = 128u << 10;
    options.ring_size = 1u << 20;
    options.tail_apply_bytes = 8u << 10;
    assert_int_equal(io_sim_open(&io, disk), 0);
    assert_int_equal(engine_open(&engine, io, &options, &now, &err), 0);
    assert_int_equal(engine_namespace_create(engine, "eu", 2, NULL, 0, &err), 0);
    assert_int_equal(engine_namespace_create(engine, "us", 2, NULL, 0, &err), 0);
}

static int setup(void **state)
{
    struct error err;

    (void)state;
    strcpy(dir, "/tmp/tusk-reload-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(file, sizeof file, "%s/tuskd.conf", dir);
    write_file("");
    source = (struct config_source){.argc = 3, .argv = arguments, .get = no_environment};
    assert_int_equal(config_load(&config, &source), 0);
    open_engine();
    asked = 0;
    refuse_nth = 0;
    refuse_later = false;
    assert_int_equal(server_init(&server, &config, engine, -1, &err), 0);
    reload_init(&reload, &server, &config, &source);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_close(engine);
    io_close(io);
    reload_deinit(&reload);
    server_deinit(&server);
    config_free(&config);
    sim_disk_free(disk);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

static uint64_t fsync_of(const char *name)
{
    struct engine_namespace_info info;
    struct namespace *ns = engine_namespace_find(engine, name, strlen(name));

    assert_non_null(ns);
    engine_namespace_info(ns, &info);
    return info.settings.fsync_ms;
}

/* Until the reload is over. */
static void turn(void)
{
    while (reload.busy) {
        const struct engine_time now = read_clocks();

        (void)engine_poll(engine, &now);
    }
}

static void expect_all(uint64_t fsync, uint64_t requests_max)
{
    assert_int_equal(fsync_of("default"), fsync);
    assert_int_equal(fsync_of("eu"), fsync);
    assert_int_equal(fsync_of("us"), fsync);
    assert_int_equal(config.options.requests_max, requests_max);
    assert_ptr_equal(server.options, &config.options);
}

static const char everything[] = "[server]\nrequests_max = 7\n"
                                 "[namespace \"default\"]\nfsync = 1s\n"
                                 "[namespace \"eu\"]\nfsync = 1s\n"
                                 "[namespace \"us\"]\nfsync = 1s\n";

/* Three namespaces and an option: applied together, when the last namespace is durable. */
static void everything_is_applied(void **state)
{
    (void)state;
    write_file(everything);
    reload_begin(&reload);
    assert_true(reload.busy);
    assert_int_equal(config.options.requests_max, 4096);
    turn();
    assert_int_equal(asked, 3);
    expect_all(1000, 7);
    reload_begin(&reload);
    turn();
    assert_int_equal(asked, 3); /* Nothing differs: nothing is asked */
    expect_all(1000, 7);
}

/* Whichever namespace fails, those that were set are set back, and no option changes; when it no
 * longer fails, the same file is applied. */
static void one_failure_reverts_everything(void **state)
{
    unsigned nth;

    (void)state;
    write_file(everything);
    for (nth = 1; nth <= 3; nth++) {
        asked = 0;
        refuse_nth = nth;
        reload_begin(&reload);
        turn();
        assert_int_equal(asked, 3 + 2); /* And the two that were set, back */
        expect_all(200, 4096);
        assert_null(reload.spaces);
    }
    asked = 0;
    refuse_nth = 0;
    reload_begin(&reload);
    turn();
    expect_all(1000, 7);
}

/* If setting back fails, too, the reload ends all the same, as refused. */
static void failed_revert_ends(void **state)
{
    (void)state;
    write_file(everything);
    refuse_nth = 2;
    refuse_later = true;
    reload_begin(&reload);
    turn();
    assert_int_equal(fsync_of("default"), 1000);
    assert_int_equal(fsync_of("eu"), 200);
    assert_int_equal(config.options.requests_max, 4096);
    refuse_nth = 0;
    reload_begin(&reload);
    turn();
    expect_all(1000, 7);
}

/* A reload that is asked for during a reload comes behind it, once, with the files as they are
 * then. */
static void reload_during_a_reload_comes_behind(void **state)
{
    (void)state;
    write_file(everything);
    reload_begin(&reload);
    reload_begin(&reload);
    write_file("[server]\nrequests_max = 8\n");
    reload_begin(&reload);
    turn();
    assert_false(reload.again);
    expect_all(1000, 8);
}

/* A stop in the middle of a reload: the engine answers it, or not, and everything can be freed. */
static void stop_during_a_reload_is_clean(void **state)
{
    struct engine_time now;
    struct error err;

    (void)state;
    write_file(everything);
    reload_begin(&reload);
    now = read_clocks();
    assert_int_equal(engine_stop(engine, &now, &err), 0);
    assert_false(reload.busy);
    expect_all(1000, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_is_applied, setup, teardown),
        cmocka_unit_test_setup_teardown(one_failure_reverts_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_revert_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(reload_during_a_reload_comes_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_during_a_reload_is_clean, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
