/* One file: what is taken, and that everything else is an error with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static struct config config;

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static int fresh(void **state)
{
    struct options_error error;

    (void)state;
    config_free(&config);
    return options_default(&config.options, no_environment, &error);
}

static int done(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void parse_bytes(const char *path, const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    config_parse(&config, path, copy, size);
    free(copy);
}

static void parse(const char *text)
{
    parse_bytes("f", text, strlen(text));
}

static void expect_good(void)
{
    if (config.errors.count > 0) {
        print_error("%s\n", config.errors.texts[0]);
    }
    assert_int_equal(config.errors.count + config.errors.left_off, 0);
}

/* The n-th error begins with its place and contains two texts. */
static void expect_error(uint32_t index, const char *place, const char *a, const char *b)
{
    assert_true(index < config.errors.count);
    if (strncmp(config.errors.texts[index], place, strlen(place)) != 0 ||
        strstr(config.errors.texts[index], a) == NULL ||
        strstr(config.errors.texts[index], b) == NULL) {
        print_error("%s\n", config.errors.texts[index]);
        fail();
    }
}

/* A text with one error. */
static void refuse(const char *text, const char *place, const char *a, const char *b)
{
    assert_int_equal(fresh(NULL), 0);
    parse(text);
    expect_error(0, place, a, b);
    assert_int_equal(config.errors.count, 1);
}

/* ---- what is taken ---- */

/* Sections, comments of both kinds, blanks, empty lines, lines ended as on other systems. */
static void options_are_read(void **state)
{
    (void)state;
    parse("# a comment\n"
          "\n"
          "  ; another\r\n"
          "[server]\r\n"
          "requests_max=7\r\n"
          "  log = debug ; why\n"
          "\tdata_dir\t=\t/srv/tusk=1;x \n"
          "[ defaults ] # here\n"
          "fsync : each\n"
          "[server]\n"
          "io = posix\n");
    expect_good();
    assert_int_equal(config.options.requests_max, 7);
    assert_int_equal(config.options.log, VALUE_LOG_DEBUG);
    assert_string_equal(config.options.data_dir, "/srv/tusk=1;x");
    assert_int_equal(config.options.fsync, VALUE_FSYNC_EACH);
    assert_int_equal(config.options.io, VALUE_IO_POSIX);
    assert_int_equal(config.options.origin[OPTION_fsync].kind, ORIGIN_FILE);
    assert_int_equal(config.options.origin[OPTION_fsync].line, 9);
    assert_string_equal(config.options.origin[OPTION_fsync].name, "f");
}

/* Every option can be written as its own default, at its smallest and at its largest value, and
 * not beyond them. */
static void every_option_has_its_range(void **state)
{
    const struct option_row *rows = options_rows();
    char text[2048];
    char value[VALUE_TEXT_SIZE];
    int i;

    (void)state;
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &rows[i];
        const char *section = options_section_name(row->section);
        const bool number = row->type == VALUE_SIZE || row->type == VALUE_COUNT;

        assert_int_equal(fresh(NULL), 0);
        (void)snprintf(text, sizeof text, "[%s]\n%s = %s\n", section, row->key, row->fallback);
        parse(text);
        expect_good();
        if (row->type == VALUE_PATH) {
            continue;
        }
        value_format(row->type, row->max, value, sizeof value);
        assert_int_equal(fresh(NULL), 0);
        (void)snprintf(text, sizeof text, "[%s]\n%s = %s\n", section, row->key, value);
        parse(text);
        expect_good();
        assert_int_equal(options_get(&config.options, i), row->max);
        if (!number) {
            continue;
        }
        (void)snprintf(text, sizeof text, "[%s]\n%s = %llu\n", section, row->key,
                       (unsigned long long)row->max + 1);
        refuse(text, "f:2: ", row->key, "allowed: ");
        if (row->min > 0) {
            (void)snprintf(text, sizeof text, "[%s]\n%s = %llu\n", section, row->key,
                           (unsigned long long)row->min - 1);
            refuse(text, "f:2: ", row->key, "allowed: ");
        }
    }
}

/* The sample, with every option in force, says what is built in. */
static void sample_says_the_defaults(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct options before;
    char *at;
    int i;

    (void)state;
    assert_non_null(out);
    options_sample(out);
    assert_int_equal(fclose(out), 0);
    for (at = text; (at = strchr(at, '#')) != NULL; at++) {
        if (at[1] != ' ') {
            *at = ' ';
        }
    }
    before = config.options;
    parse(text);
    expect_good();
    for (i = 0; i < OPTION_COUNT; i++) {
        assert_true(options_same(&before, &config.options, i));
        assert_int_equal(config.options.origin[i].kind, ORIGIN_FILE);
    }
    assert_int_equal(config.namespace_count, 1);
    free(text);
}

/* A namespace's own section gives its settings, and only those. Its name may be anything that a
 * namespace's may: with quotation marks, brackets, spaces, and as long. */
static void namespaces_have_their_own_sections(void **state)
{
    const struct config_namespace *space;
    char text[512] = "[namespace \"";
    char name[256];

    (void)state;
    parse("[namespace \"eu\"]\nfsync = each\nretention = size\nretention_size = 64MiB\n"
          "[namespace   \"a \\\"b\\\\ ] é\" ] ; odd\nconsistency = at-least-once:9\n"
          "[namespace \"eu\"]\nquota_topics = 3\n");
    expect_good();
    assert_int_equal(config.namespace_count, 2);
    space = config_namespace_find(&config, "eu");
    assert_non_null(space);
    assert_int_equal(space->value[OPTION_fsync], VALUE_FSYNC_EACH);
    assert_int_equal(space->value[OPTION_retention_size], 64u << 20);
    assert_int_equal(space->value[OPTION_quota_topics], 3);
    assert_int_equal(space->origin[OPTION_quota_topics].line, 8);
    assert_int_equal(space->origin[OPTION_consistency].kind, ORIGIN_DEFAULT);
    assert_int_equal(config.options.fsync, 200);
    space = config_namespace_find(&config, "a \"b\\ ] é");
    assert_non_null(space);
    assert_int_equal(space->value[OPTION_consistency], 9);
    assert_null(config_namespace_find(&config, "us"));
    memset(name, 'n', 255);
    name[255] = '\0';
    strcat(text, name);
    strcat(text, "\"]\nfsync = none\n");
    parse(text);
    expect_good();
    assert_non_null(config_namespace_find(&config, name));
}

/* What a later file says wins over what an earlier one said. */
static void later_files_win(void **state)
{
    (void)state;
    parse_bytes("one", "[server]\nlog = debug\n[namespace \"eu\"]\nfsync = 1s\n", 49);
    parse_bytes("two", "[server]\nlog = error\n[namespace \"eu\"]\nfsync = each\n", 51);
    expect_good();
    assert_int_equal(config.options.log, VALUE_LOG_ERROR);
    assert_string_equal(config.options.origin[OPTION_log].name, "two");
    assert_int_equal(config.namespaces[0].value[OPTION_fsync], VALUE_FSYNC_EACH);
    assert_int_equal(config.namespace_count, 1);
}

/* ---- what is refused ---- */

/* Every error of a file is reported, with its line, in order; and the options keep what they
 * had. */
static void every_error_is_reported(void **state)
{
    (void)state;
    parse("[server]\n"
          "requests_max = 0\n"
          "request_max = 1\n"
          "log\n"
          "[sevrer]\n"
          "anything = goes\n"
          "[defaults]\n"
          "fsync = often\n"
          "xyzzy = 1\n");
    expect_error(0, "f:2: ", "\"0\" is not allowed for requests_max", "a number from 1 to 65536");
    expect_error(1, "f:3: ", "no option \"request_max\" (value \"1\")", "mean \"requests_max\"");
    expect_error(2, "f:4: ", "\"log\"", "KEY = VALUE");
    expect_error(3, "f:5: ", "no section [sevrer]", "mean [server]");
    expect_error(4, "f:8: ", "\"often\" is not allowed for fsync", "each, none");
    expect_error(5, "f:9: ", "no option \"xyzzy\"", "--help");
    assert_int_equal(config.errors.count, 6);
    assert_int_equal(config.options.requests_max, 4096);
    assert_int_equal(config.options.fsync, 200);
}

/* An option stands in its own section. */
static void options_have_a_place(void **state)
{
    (void)state;
    refuse("log = debug\n", "f:1: ", "log belongs into [server]", "before any section");
    refuse("[defaults]\nlog = debug\n", "f:2: ", "belongs into [server]", "not into [defaults]");
    refuse("[server]\nfsync = each\n", "f:2: ", "[defaults] or [namespace", "not into [server]");
    refuse("[namespace \"eu\"]\nblock_size = 1MiB\n", "f:2: ", "into [defaults]", "namespace's");
    refuse("[namespace \"eu\"]\nlog = debug\n", "f:2: ", "into [server]", "namespace's");
}

/* A key that is given twice in one file is an error, as nobody knows which is meant. */
static void keys_are_given_once(void **state)
{
    (void)state;
    refuse("[server]\nlog = debug\n[server]\nlog = info\n", "f:4: ", "log is given twice",
           "line 2");
    refuse(
        "[namespace \"a\"]\nfsync=1s\n[namespace \"b\"]\nfsync=1s\n[namespace \"a\"]\nfsync=1s\n",
        "f:6: ", "fsync is given twice", "line 2");
}

/* Sections that are not well formed, and names that no namespace can have. */
static void sections_are_judged(void **state)
{
    char text[2048];

    (void)state;
    refuse("[server\n", "f:1: ", "between [ and ]", "namespace");
    refuse("[server] log = debug\n", "f:1: ", "behind the section's ]", "");
    refuse("[server \"x\"]\n", "f:1: ", "only [namespace", "[server]");
    refuse("[]\n", "f:1: ", "no section []", "allowed");
    refuse("[namespace]\n", "f:1: ", "names it", "[namespace \"NAME\"]");
    refuse("[namespace eu]\n", "f:1: ", "between", "quotation");
    refuse("[namespace \"eu]\n", "f:1: ", "second quotation mark", "");
    refuse("[namespace \"\"]\nfsync = each\n", "f:1: ", "not a namespace's name", "1 to 255");
    refuse("[namespace \"\xff\"]\nfsync = bad\n", "f:1: ", "not a namespace's name", "UTF-8");
    refuse("[xyzzy]\nfsync = bad\n", "f:1: ", "no section [xyzzy]", "allowed: [server]");
    memset(text, 'n', sizeof text);
    memcpy(text, "[namespace \"", 12);
    strcpy(text + 12 + 256, "\"]\n");
    refuse(text, "f:1: ", "not a namespace's name", "255");
    memset(text, 'n', sizeof text);
    memcpy(text, "[namespace \"", 12);
    strcpy(text + 1500, "\"]\nlog = debug\n");
    refuse(text, "f:1: ", "bytes", "at most 1024");
    memset(text, '.', sizeof text); /* Percent-encoded, a dot takes three */
    memcpy(text, "[namespace \"", 12);
    strcpy(text + 12 + 86, "\"]\n");
    refuse(text, "f:1: ", "not a namespace's name", "encoded");
}

/* The longest line is taken whole, one byte more is refused: libinih would cut it. A comment may
 * be as long as it likes. */
static void lines_have_a_limit(void **state)
{
    char text[2048] = "[server]\ndata_dir=";
    const size_t begin = strlen("[server]\n");

    (void)state;
    memset(text + strlen(text), 'x', 1000);
    strcpy(text + begin + CONFIG_LINE_SIZE_MAX, "\n");
    parse(text);
    expect_good();
    assert_int_equal(strlen(config.options.data_dir), CONFIG_LINE_SIZE_MAX - strlen("data_dir="));
    strcpy(text + begin + CONFIG_LINE_SIZE_MAX, "x\n");
    refuse(text, "f:2: ", "199 bytes", "at most 198");
    memset(text, '#', 1500);
    strcpy(text + 1500, "\n");
    assert_int_equal(fresh(NULL), 0);
    parse(text);
    expect_good();
}

/* A file whose last line does not end was half written, even if what is there would be valid:
 * "requests_max = 40" may have been meant to be 4096. */
static void half_written_file_is_refused(void **state)
{
    (void)state;
    refuse("[server]\nrequests_max = 40", "f:2: ", "half written", "");
    assert_int_equal(config.options.requests_max, 4096);
    refuse("[serv", "f:1: ", "half written", "");
    assert_int_equal(fresh(NULL), 0);
    parse("");
    expect_good();
}

/* Bytes that an editor would not show: NUL, controls, a mark in the middle. They do not end the
 * file, or hide what is behind them. */
static void bytes_that_are_no_text_are_refused(void **state)
{
    static const char nul[] = "[server]\nlog = de\0bug\nio = wrong\n";

    (void)state;
    assert_int_equal(fresh(NULL), 0);
    parse_bytes("f", nul, sizeof nul - 1);
    expect_error(0, "f:2: ", "NUL byte in column 9", "text file");
    expect_error(1, "f:3: ", "\"wrong\"", "uring");
    assert_int_equal(config.errors.count, 2);
    refuse("[server]\nlog = \x1b[31minfo\n", "f:2: ", "control character", "0x1b");
    refuse("[server]\n\xef\xbb\xbflog = info\n", "f:2: ", "byte order mark", "");
    assert_int_equal(fresh(NULL), 0);
    parse("\xef\xbb\xbf[server]\nlog = debug\n");
    expect_good();
    assert_int_equal(config.options.log, VALUE_LOG_DEBUG);
}

static void values_stand_without_quotation_marks(void **state)
{
    (void)state;
    refuse("[server]\ndata_dir = \"/srv\"\n", "f:2: ", "without quotation marks", "data_dir");
    refuse("[server]\ndata_dir =\n", "f:2: ", "data_dir", "allowed: a path of 1 to");
    refuse("[server]\n= 1\n", "f:2: ", "no option \"\"", "");
}

/* A file of nothing but errors does not fill the memory: they are counted. */
static void reports_are_bounded(void **state)
{
    const uint32_t lines = CONFIG_REPORT_MAX + 50;
    char *text = malloc(lines * 2 + 1);
    uint32_t i;

    (void)state;
    assert_non_null(text);
    for (i = 0; i < lines; i++) {
        memcpy(text + (size_t)2 * i, "x\n", 3);
    }
    parse(text);
    assert_int_equal(config.errors.count, CONFIG_REPORT_MAX);
    assert_int_equal(config.errors.left_off, 50);
    free(text);
}

/* So are sections for namespaces. */
static void namespaces_are_bounded(void **state)
{
    char text[64];
    unsigned i;

    (void)state;
    for (i = 0; i <= CONFIG_NAMESPACES_MAX; i++) {
        (void)snprintf(text, sizeof text, "[namespace \"n%u\"]\n", i);
        parse(text);
    }
    assert_int_equal(config.namespace_count, CONFIG_NAMESPACES_MAX);
    expect_error(0, "f:1: ", "more than 1000 namespaces", "");
    assert_int_equal(config.errors.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(options_are_read, fresh),
        cmocka_unit_test_setup(every_option_has_its_range, fresh),
        cmocka_unit_test_setup(sample_says_the_defaults, fresh),
        cmocka_unit_test_setup(namespaces_have_their_own_sections, fresh),
        cmocka_unit_test_setup(later_files_win, fresh),
        cmocka_unit_test_setup(every_error_is_reported, fresh),
        cmocka_unit_test_setup(options_have_a_place, fresh),
        cmocka_unit_test_setup(keys_are_given_once, fresh),
        cmocka_unit_test_setup(sections_are_judged, fresh),
        cmocka_unit_test_setup(lines_have_a_limit, fresh),
        cmocka_unit_test_setup(half_written_file_is_refused, fresh),
        cmocka_unit_test_setup(bytes_that_are_no_text_are_refused, fresh),
        cmocka_unit_test_setup(values_stand_without_quotation_marks, fresh),
        cmocka_unit_test_setup(reports_are_bounded, fresh),
        cmocka_unit_test_setup(namespaces_are_bounded, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
