#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/options.h"

static struct options options;
static struct options_command command;
static struct options_error error;
static const struct option_origin here = {ORIGIN_FILE, 7, "test"};

/* ---- an environment for tests ---- */

static const char *const *environment; /* Names and values in turn, NULL-terminated */

static const char *get(const char *name)
{
    const char *const *at;

    for (at = environment; at != NULL && *at != NULL; at += 2) {
        if (strcmp(*at, name) == 0) {
            return at[1];
        }
    }
    return NULL;
}

static int fresh(void **state)
{
    (void)state;
    environment = NULL;
    memset(&error, 0, sizeof error);
    return options_default(&options, get, &error);
}

static int arguments(const char *first, ...)
{
    char *argv[16] = {(char *)(uintptr_t) "tuskd"};
    va_list args;
    int argc = 1;

    va_start(args, first);
    for (; first != NULL && argc < 15; first = va_arg(args, const char *)) {
        argv[argc++] = (char *)(uintptr_t)first;
    }
    va_end(args);
    return options_arguments(&options, &command, argc, argv, &error);
}

/* ---- */

/* Every default passes its own checks, and all of them together make a valid configuration. */
static void defaults_are_valid(void **state)
{
    int i;

    (void)state;
    assert_int_equal(options_check(&options, &error), 0);
    for (i = 0; i < OPTION_COUNT; i++) {
        assert_int_equal(options.origin[i].kind, ORIGIN_DEFAULT);
    }
    for (i = 0; i < OPTION_COUNT; i++) {
        char value[OPTIONS_PATH_SIZE];
        char fallback[OPTIONS_PATH_SIZE];

        options_text(&options, i, value);
        options_fallback(i, fallback);
        assert_string_equal(value, fallback);
    }
    assert_int_equal(options.fsync, 200);
    assert_int_equal(options.consistency, VALUE_STRICT);
    assert_int_equal(options.unsynced_window, 64u << 20);
    assert_string_equal(options.data_dir, "./tusk-data");
}

/* Keys are unique, and so are flags and variables: nothing could be set twice by one name. */
static void names_are_unique(void **state)
{
    const struct option_row *rows = options_rows();
    int i;
    int j;

    (void)state;
    for (i = 0; i < OPTION_COUNT; i++) {
        for (j = 0; j < i; j++) {
            assert_string_not_equal(rows[i].key, rows[j].key);
            assert_false(rows[i].flag != NULL && rows[j].flag != NULL &&
                         strcmp(rows[i].flag, rows[j].flag) == 0);
            assert_false(rows[i].environment != NULL && rows[j].environment != NULL &&
                         strcmp(rows[i].environment, rows[j].environment) == 0);
        }
    }
}

/* systemd's directories replace the built-in paths; of several, the first counts. */
static void systemd_directories_are_defaults(void **state)
{
    static const char *const set[] = {"STATE_DIRECTORY", "/var/lib/tusk:/other",
                                      "RUNTIME_DIRECTORY", "/run/tusk", NULL};

    (void)state;
    environment = set;
    assert_int_equal(options_default(&options, get, &error), 0);
    assert_string_equal(options.data_dir, "/var/lib/tusk");
    assert_string_equal(options.socket, "/run/tusk/tuskd.sock");
    assert_int_equal(options.origin[OPTION_data_dir].kind, ORIGIN_DEFAULT);
}

/* The command line wins over the environment, the environment over the default. */
static void later_sources_win(void **state)
{
    static const char *const set[] = {"TUSK_DATA_DIR", "/env", "TUSK_SOCKET", "/env.sock",
                                      "TUSK_LOG",      "",     NULL};

    (void)state;
    environment = set;
    assert_int_equal(options_environment(&options, get, &error), 0);
    assert_int_equal(arguments("--data-dir", "/arg", NULL), 0);
    assert_string_equal(options.data_dir, "/arg");
    assert_string_equal(options.socket, "/env.sock");
    assert_int_equal(options.log, VALUE_LOG_INFO);
    assert_int_equal(options.origin[OPTION_socket].kind, ORIGIN_ENVIRONMENT);
    assert_int_equal(options.origin[OPTION_log].kind, ORIGIN_DEFAULT);
}

/* A flag takes its value from the next argument or behind '='; --set reaches every option. */
static void arguments_have_two_forms(void **state)
{
    (void)state;
    assert_int_equal(arguments("--fsync=each", "--io", "posix", "--set", "requests_max=7",
                               "--set=consistency=at-least-once:3", "--strict-start",
                               "--accept-loss", "eu", NULL),
                     0);
    assert_int_equal(options.fsync, VALUE_FSYNC_EACH);
    assert_int_equal(options.origin[OPTION_fsync].kind, ORIGIN_ARGUMENT);
    assert_int_equal(options.io, VALUE_IO_POSIX);
    assert_int_equal(options.requests_max, 7);
    assert_int_equal(options.consistency, 3);
    assert_int_equal(options.strict_start, 1);
    assert_string_equal(command.accept_loss, "eu");
    assert_false(command.help);
}

static void commands_are_recognised(void **state)
{
    (void)state;
    assert_int_equal(arguments("--help", "--version", "--check-config", NULL), 0);
    assert_true(command.help);
    assert_true(command.version);
    assert_true(command.check_config);
}

static void expect_error(int rc, const char *a, const char *b, const char *c)
{
    assert_int_equal(rc, -1);
    assert_non_null(strstr(error.text, a));
    assert_non_null(strstr(error.text, b));
    assert_non_null(strstr(error.text, c));
}

/* An error says where the value came from, which key and value, and what is allowed; an unknown
 * key, which one is near. */
static void errors_name_source_key_value_and_remedy(void **state)
{
    static const char *const set[] = {"TUSK_LOG", "loud", NULL};

    (void)state;
    expect_error(arguments("--fsync", "often", NULL), "--fsync", "often", "each, none");
    expect_error(arguments("--set", "requests_max=0", NULL), "--set", "requests_max", "from 1");
    expect_error(arguments("--set", "request_max=1", NULL), "request_max", "did you mean",
                 "requests_max");
    expect_error(arguments("--set", "xyzzy=1", NULL), "xyzzy", "no option", "--help");
    expect_error(arguments("--data-dri", "x", NULL), "--data-dri", "did you mean", "--data-dir");
    expect_error(arguments("--set", "fsync", NULL), "--set", "fsync", "KEY=VALUE");
    expect_error(arguments("--socket", NULL), "--socket", "needs", "value");
    expect_error(arguments("--help=yes", NULL), "--help=yes", "takes", "no value");
    expect_error(arguments("stray", NULL), "stray", "not an option", "--help");
    environment = set;
    expect_error(options_environment(&options, get, &error), "TUSK_LOG", "loud", "warning");
}

/* A value that was refused leaves the option as it was. */
static void refused_values_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(options_set(&options, "fsync", "often", &here, &error), -1);
    assert_int_equal(options.fsync, 200);
    assert_int_equal(options_set(&options, "data_dir", "", &here, &error), -1);
    assert_string_equal(options.data_dir, "./tusk-data");
    assert_int_equal(options.origin[OPTION_fsync].kind, ORIGIN_DEFAULT);
}

/* The longest path fits, and one byte more is refused. */
static void paths_have_a_limit(void **state)
{
    char path[128];

    (void)state;
    memset(path, 'x', sizeof path);
    path[107] = '\0';
    assert_int_equal(options_set(&options, "socket", path, &here, &error), 0);
    path[107] = 'x';
    path[108] = '\0';
    assert_int_equal(options_set(&options, "socket", path, &here, &error), -1);
}

static void expect_check_fails(const char *key, const char *value)
{
    assert_int_equal(fresh(NULL), 0);
    assert_int_equal(options_set(&options, key, value, &here, &error), 0);
    assert_int_equal(options_check(&options, &error), -1);
    assert_non_null(strstr(error.text, key));
}

/* Limits that contradict each other are found before anything is opened. */
static void limits_must_fit_each_other(void **state)
{
    (void)state;
    expect_check_fails("block_size", "100000");
    expect_check_fails("ring_size", "5000000");
    expect_check_fails("journal_file_max", "2000000");
    expect_check_fails("entry_size_max", "16MiB");
    expect_check_fails("request_bytes_max", "1MiB");
    expect_check_fails("total_bytes_max", "16MiB");
    assert_int_equal(fresh(NULL), 0);
    assert_int_equal(options_set(&options, "journal_size_max", "32MiB", &here, &error), 0);
    assert_int_equal(options_check(&options, &error), -1);
}

/* Retention by age without an age would give up everything at once, and likewise by size. */
static void retention_needs_its_number(void **state)
{
    (void)state;
    expect_check_fails("retention", "age");
    assert_non_null(strstr(error.text, "retention_age"));
    assert_int_equal(options_set(&options, "retention_age", "7d", &here, &error), 0);
    assert_int_equal(options_check(&options, &error), 0);
    expect_check_fails("retention", "size");
    assert_non_null(strstr(error.text, "retention_size"));
    expect_check_fails("retention", "size");
    assert_int_equal(options_set(&options, "retention_size", "1GiB", &here, &error), 0);
    assert_int_equal(options_check(&options, &error), 0);
}

/* Every value knows where it came from, and an error about two of them says so of both. */
static void origins_are_told(void **state)
{
    char text[OPTIONS_ORIGIN_SIZE];

    (void)state;
    option_origin_text(&options.origin[OPTION_fsync], text);
    assert_string_equal(text, "default");
    assert_int_equal(arguments("--fsync", "each", "--set", "log=debug", NULL), 0);
    option_origin_text(&options.origin[OPTION_fsync], text);
    assert_string_equal(text, "--fsync");
    option_origin_text(&options.origin[OPTION_log], text);
    assert_string_equal(text, "--set");
    assert_int_equal(options_set(&options, "entry_size_max", "16MiB", &here, &error), 0);
    assert_int_equal(options_check(&options, &error), -1);
    assert_non_null(strstr(error.text, "entry_size_max = 16MiB (test:7) is more than "
                                       "batch_size_max = 8MiB (default)"));
}

/* Edits between words, as they are commonly counted. */
static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(options_distance("", ""), 0);
    assert_int_equal(options_distance("abc", ""), 3);
    assert_int_equal(options_distance("kitten", "sitting"), 3);
    assert_int_equal(options_distance("fsync", "fsnyc"), 2);
}

typedef void write_fn(FILE *out);

/* A text that the table writes, in memory. */
static char *written(write_fn *write, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    assert_non_null(out);
    write(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect_file(const char *path, write_fn *write)
{
    FILE *file = fopen(path, "r");
    static char there[65536];
    size_t made_size = 0;
    char *made = written(write, &made_size);
    size_t size;

    assert_non_null(file);
    size = fread(there, 1, sizeof there, file);
    (void)fclose(file);
    assert_int_equal(size, made_size);
    assert_memory_equal(there, made, size);
    free(made);
}

/* The sample file and the manual page in the repository are what the table makes.
 * (tusk_config_sample writes them.) */
static void files_made_of_the_table_are_up_to_date(void **state)
{
    (void)state;
    expect_file(CONFIG_SAMPLE_PATH, options_sample);
    expect_file(CONFIG_MANUAL_PATH, options_manual);
}

/* scdoc's backslashes taken out. */
static void make_plain(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0') {
            text++;
        }
        *to++ = *text;
    }
    *to = '\0';
}

/* The manual page has key, default, range and names of every option, and says which need a
 * restart. */
static void manual_describes_every_option(void **state)
{
    size_t size = 0;
    char *text = written(options_manual, &size);
    char wanted[512];
    char allowed[VALUE_TEXT_SIZE];
    int i;

    (void)state;
    make_plain(text);
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &options_rows()[i];
        const char *at;
        const char *end;

        (void)snprintf(wanted, sizeof wanted, "\n*%s* =%s%s\n\t%s ", row->key,
                       row->fallback[0] != '\0' ? " " : "", row->fallback, row->help);
        at = strstr(text, wanted);
        assert_non_null(at);
        at += strlen(wanted);
        end = strchr(at, '\n');
        assert_non_null(end);
        value_allowed(row->type, row->min, row->max, allowed, sizeof allowed);
        assert_ptr_equal(strstr(at, allowed), at + strlen("Allowed: "));
        if (row->environment != NULL) {
            assert_true(strstr(at, row->environment) < end);
        }
        assert_int_equal(strstr(at, "needs a restart") != NULL && strstr(at, "restart") < end,
                         row->when == OPTION_WHEN_START);
    }
    free(text);
}

/* --help shows every option. */
static void help_shows_every_option(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int i;

    (void)state;
    assert_non_null(out);
    options_help(out);
    (void)fclose(out);
    for (i = 0; i < OPTION_COUNT; i++) {
        assert_non_null(strstr(text, options_rows()[i].key));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_valid, fresh),
        cmocka_unit_test_setup(names_are_unique, fresh),
        cmocka_unit_test_setup(systemd_directories_are_defaults, fresh),
        cmocka_unit_test_setup(later_sources_win, fresh),
        cmocka_unit_test_setup(arguments_have_two_forms, fresh),
        cmocka_unit_test_setup(commands_are_recognised, fresh),
        cmocka_unit_test_setup(errors_name_source_key_value_and_remedy, fresh),
        cmocka_unit_test_setup(refused_values_change_nothing, fresh),
        cmocka_unit_test_setup(paths_have_a_limit, fresh),
        cmocka_unit_test_setup(limits_must_fit_each_other, fresh),
        cmocka_unit_test_setup(distance_counts_edits, fresh),
        cmocka_unit_test_setup(files_made_of_the_table_are_up_to_date, fresh),
        cmocka_unit_test_setup(manual_describes_every_option, fresh),
        cmocka_unit_test_setup(retention_needs_its_number, fresh),
        cmocka_unit_test_setup(origins_are_told, fresh),
        cmocka_unit_test_setup(help_shows_every_option, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
