/* Files on a disk, environment and arguments together: which count, and what cannot be read. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

static struct config config;
static char dir[64];
static char main_path[128];
static const char *environment[16]; /* Names and values in turn */

/* ---- memory ---- */

static unsigned allocations;    /* Since they were counted last */
static unsigned fail_nth;       /* 0: none fails */
static bool allocation_refused; /* The n-th was asked for */

static bool refuse_now(void)
{
    allocations++;
    allocation_refused = allocation_refused || (fail_nth != 0 && allocations == fail_nth);
    return fail_nth != 0 && allocations == fail_nth;
}

/* The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return refuse_now() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return refuse_now() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return refuse_now() ? NULL : __real_strdup(text);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- */

static const char *get(const char *name)
{
    size_t i;

    for (i = 0; environment[i] != NULL; i += 2) {
        if (strcmp(environment[i], name) == 0) {
            return environment[i + 1];
        }
    }
    return NULL;
}

static int load(const char *first, ...)
{
    static char *argv[16];
    static struct config_source source;
    va_list args;
    int argc = 0;

    argv[argc++] = (char *)(uintptr_t) "tuskd";
    va_start(args, first);
    for (; first != NULL; first = va_arg(args, const char *)) {
        argv[argc++] = (char *)(uintptr_t)first;
    }
    va_end(args);
    source = (struct config_source){.argc = argc, .argv = argv, .get = get};
    config_free(&config);
    return config_load(&config, &source);
}

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(environment, 0, sizeof environment);
    strcpy(dir, "/tmp/tusk-config-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(main_path, sizeof main_path, "%s/tuskd.conf", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    config_free(&config);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static void expect_error(const char *a, const char *b)
{
    uint32_t i;

    for (i = 0; i < config.errors.count; i++) {
        if (strstr(config.errors.texts[i], a) != NULL &&
            strstr(config.errors.texts[i], b) != NULL) {
            return;
        }
    }
    print_error("no error has \"%s\" and \"%s\"; the first is %s\n", a, b,
                config.errors.count > 0 ? config.errors.texts[0] : "none");
    fail();
}

/* Built in < file < conf.d, in order of names < environment < arguments. */
static void later_sources_win(void **state)
{
    (void)state;
    write_file("tuskd.conf", "[server]\nlog = error\nsocket = /file\nrequests_max = 1\n"
                             "data_dir = /file\nconnections_max = 1\n");
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    write_file("conf.d/20-b.conf", "[server]\nrequests_max = 3\n");
    write_file("conf.d/10-a.conf", "[server]\nrequests_max = 2\nconnections_max = 2\n"
                                   "socket = /dropin\nlog = warning\n");
    write_file("conf.d/ignored.txt", "nonsense");
    write_file("conf.d/.hidden.conf", "nonsense");
    write_file("conf.d/.conf", "nonsense");
    environment[0] = "TUSK_LOG";
    environment[1] = "debug";
    environment[2] = "TUSK_SOCKET";
    environment[3] = "/environment";
    assert_int_equal(load("--config", main_path, "--socket", "/argument", NULL), 0);
    assert_int_equal(config.options.requests_max, 3);
    assert_int_equal(config.options.connections_max, 2);
    assert_int_equal(config.options.log, VALUE_LOG_DEBUG);
    assert_string_equal(config.options.socket, "/argument");
    assert_string_equal(config.options.data_dir, "/file");
    assert_int_equal(config.options.frame_timeout, 30000);
    assert_string_equal(config.file, main_path);
    assert_int_equal(config.options.origin[OPTION_requests_max].line, 2);
    assert_non_null(strstr(config.options.origin[OPTION_requests_max].name, "conf.d/20-b.conf"));
}

/* The file is that of --config, else of TUSK_CONFIG, else systemd's; systemd's need not be there,
 * but its drop-ins count all the same. Without any of them nothing is read. */
static void files_are_found(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), 0);
    assert_string_equal(config.file, "");
    environment[0] = "CONFIGURATION_DIRECTORY";
    environment[1] = dir;
    assert_int_equal(load(NULL), 0);
    assert_string_equal(config.file, main_path);
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    write_file("conf.d/a.conf", "[server]\nlog = debug\n");
    assert_int_equal(load(NULL), 0);
    assert_int_equal(config.options.log, VALUE_LOG_DEBUG);
    write_file("tuskd.conf", "[server]\nrequests_max = 9\n");
    assert_int_equal(load(NULL), 0);
    assert_int_equal(config.options.requests_max, 9);
    environment[2] = "TUSK_CONFIG";
    environment[3] = "/nonexistent/tusk";
    assert_int_equal(load(NULL), -1);
    expect_error("/nonexistent/tusk", "No such file");
    assert_int_equal(load("--config", main_path, NULL), 0);
    assert_int_equal(config.options.requests_max, 9);
}

/* Everything that cannot be read is an error, with its path: nothing is left out silently. */
static void unreadable_files_are_errors(void **state)
{
    (void)state;
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error(main_path, "No such file");
    assert_int_equal(mkdir(main_path, 0700), 0);
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error(main_path, "a directory");
    assert_int_equal(rmdir(main_path), 0);
    assert_int_equal(mkfifo(main_path, 0600), 0);
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error(main_path, "something else");
    assert_int_equal(unlink(main_path), 0);
    write_file("tuskd.conf", "");
    assert_int_equal(truncate(main_path, (off_t)CONFIG_FILE_SIZE_MAX + 1), 0);
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error(main_path, "at most 1048576");
    assert_int_equal(truncate(main_path, 0), 0);
    assert_int_equal(symlink("nowhere", path_of("conf.d")), 0);
    assert_int_equal(load("--config", main_path, NULL), 0);
    assert_int_equal(unlink(path_of("conf.d")), 0);
    write_file("conf.d", "");
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error("conf.d", "Not a directory");
    assert_int_equal(unlink(path_of("conf.d")), 0);
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    assert_int_equal(mkdir(path_of("conf.d/x.conf"), 0700), 0);
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error("conf.d/x.conf", "a directory");
}

/* A file that the daemon may not read. */
static void file_without_rights_is_an_error(void **state)
{
    const uid_t uid = geteuid();
    int rc;

    (void)state;
    write_file("tuskd.conf", "");
    assert_int_equal(chmod(main_path, 0), 0);
    if (uid == 0) {
        assert_int_equal(seteuid(65534), 0); /* Root may read everything */
    }
    rc = load("--config", main_path, NULL);
    assert_int_equal(seteuid(uid), 0);
    assert_int_equal(rc, -1);
    expect_error(main_path, "Permission denied");
}

/* Errors of several files, of the environment and of the options together are told at once. */
static void errors_of_all_sources_are_told(void **state)
{
    (void)state;
    write_file("tuskd.conf", "[server]\nlog = loud\n");
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    write_file("conf.d/a.conf", "[defaults]\nfsync = often\n");
    write_file("conf.d/b.conf", "[defaults]\nfsync = each");
    environment[0] = "TUSK_LOG";
    environment[1] = "louder";
    assert_int_equal(load("--config", main_path, NULL), -1);
    assert_false(config.usage);
    expect_error("tuskd.conf:2: ", "loud");
    expect_error("conf.d/a.conf:2: ", "often");
    expect_error("conf.d/b.conf:2: ", "half written");
    expect_error("TUSK_LOG: ", "louder");
    assert_int_equal(config.errors.count, 4);
    assert_int_equal(load("--confg", main_path, NULL), -1);
    assert_true(config.usage);
    expect_error("--confg", "--config");
}

/* What contradicts itself, with every value being valid, says where both come from. */
static void contradictions_name_both_places(void **state)
{
    (void)state;
    write_file("tuskd.conf", "[server]\nentry_size_max = 9MiB\n[namespace \"eu\"]\n"
                             "retention = age\n[namespace \"us\"]\nretention = size\n"
                             "retention_size = 1GiB\n");
    assert_int_equal(load("--config", main_path, NULL), -1);
    expect_error("entry_size_max = 9MiB", "tuskd.conf:2");
    expect_error("tuskd.conf:4: ", "retention_age");
    assert_int_equal(config.errors.count, 2);
}

/* A file that anybody may write is read, and the operator is warned. */
static void writable_file_is_warned_of(void **state)
{
    (void)state;
    write_file("tuskd.conf", "[server]\nlog = debug\n");
    assert_int_equal(load("--config", main_path, NULL), 0);
    assert_int_equal(config.warnings.count, 0);
    assert_int_equal(chmod(main_path, 0666), 0);
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    assert_int_equal(chmod(path_of("conf.d"), 0777), 0);
    assert_int_equal(load("--config", main_path, NULL), 0);
    assert_int_equal(config.warnings.count, 2);
    assert_non_null(strstr(config.warnings.texts[0], "everybody may write it"));
    assert_non_null(strstr(config.warnings.texts[1], "conf.d"));
    assert_int_equal(config.options.log, VALUE_LOG_DEBUG);
}

/* An option that is kept over a reload keeps where it came from, although the configuration that
 * read it is gone. */
static void origins_outlive_their_configuration(void **state)
{
    struct config kept = {.file = ""};
    char text[OPTIONS_ORIGIN_SIZE];

    (void)state;
    write_file("tuskd.conf", "[server]\nlog = debug\n");
    assert_int_equal(load("--config", main_path, NULL), 0);
    assert_true(config_take(&kept, &config, OPTION_log));
    assert_true(config_take(&kept, &config, OPTION_socket));
    config_free(&config);
    option_origin_text(&kept.options.origin[OPTION_log], text);
    assert_non_null(strstr(text, "tuskd.conf:2"));
    assert_int_equal(kept.options.log, VALUE_LOG_DEBUG);
    option_origin_text(&kept.options.origin[OPTION_socket], text);
    assert_string_equal(text, "default");
    config_free(&kept);
}

/* Whichever allocation fails, a configuration of which something is missing is not taken for a
 * whole one. */
static void nothing_is_lost_for_want_of_memory(void **state)
{
    int rc;

    (void)state;
    write_file("tuskd.conf", "[server]\nlog = debug\n[namespace \"eu\"]\nfsync = each\n");
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    write_file("conf.d/a.conf", "[namespace \"us\"]\nfsync = each\n");
    write_file("conf.d/b.conf", "[server]\nrequests_max = 3\n");
    do {
        fail_nth++;
        allocations = 0;
        allocation_refused = false;
        rc = load("--config", main_path, NULL);
        if (allocation_refused) {
            assert_int_equal(rc, -1);
            assert_true(config.errors.count + config.errors.left_off > 0);
        }
    } while (allocation_refused);
    assert_true(fail_nth > 10);
    fail_nth = 0;
    assert_int_equal(rc, 0);
    assert_int_equal(config.namespace_count, 2);
    assert_int_equal(config.options.requests_max, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(later_sources_win, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable_files_are_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(file_without_rights_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_all_sources_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(contradictions_name_both_places, setup, teardown),
        cmocka_unit_test_setup_teardown(writable_file_is_warned_of, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lost_for_want_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(origins_outlive_their_configuration, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
