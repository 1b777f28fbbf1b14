/* What the command line is made of: splitting, parsing, counting. */
#include "client/cli_parse.h"
#include "client/cli_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Feed text in pieces of `piece` bytes and join what comes out with '|'. */
static void split_text(const char *how, const char *text, size_t size, size_t piece, char *out,
                       int *error)
{
    struct split_rule rule;
    struct splitter splitter;
    const uint8_t *data;
    size_t entry_size;
    size_t at = 0;
    int fds[2];

    assert_int_equal(split_rule_parse(&rule, how), 0);
    assert_int_equal(pipe(fds), 0);
    assert_true(splitter_init(&splitter, &rule, fds[0], 10));
    out[0] = '\0';
    do {
        while (splitter_next(&splitter, &data, &entry_size)) {
            (void)strncat(out, (const char *)data, entry_size);
            (void)strcat(out, "|");
        }
        if (at < size) {
            size_t part = size - at < piece ? size - at : piece;

            assert_int_equal(write(fds[1], text + at, part), part);
            at += part;
        } else if (fds[1] >= 0) {
            (void)close(fds[1]);
            fds[1] = -1;
        }
    } while (splitter_read(&splitter));
    *error = splitter.error;
    if (fds[1] >= 0) {
        (void)close(fds[1]);
    }
    (void)close(fds[0]);
    splitter_deinit(&splitter);
}

/* However the bytes arrive, the entries are the same; the last one needs no end. */
static void entries_do_not_depend_on_how_bytes_arrive(void **state)
{
    static const struct {
        const char *how;
        const char *text;
        size_t size;
        const char *entries;
        int error;
    } cases[] = {
        {"lines", "a\nbc\n\nd", 7, "a|bc||d|", 0},
        {"lines", "", 0, "", 0},
        {"lines", "a\n", 2, "a|", 0},
        {";;", "a;b;;c;;", 8, "a;b|c|", 0},
        {"\\0", "x\0yz\0", 5, "x|yz|", 0},
        {"none", "a\nb", 3, "a\nb|", 0},
        {"none", "", 0, "", 0},
        {"len32", "\2\0\0\0ab\0\0\0\0\1\0\0\0c", 15, "ab||c|", 0},
        {"len32", "\2\0\0\0a", 5, "", EBADMSG},
        {"len32", "\2\0", 2, "", EBADMSG},
        {"len32", "\377\377\377\377", 4, "", EMSGSIZE},
        {"lines", "0123456789\n", 11, "0123456789|", 0},
        {"lines", "0123456789x\n", 12, "", EMSGSIZE},
        {"none", "0123456789x", 11, "", EMSGSIZE},
    };
    char out[256];
    int error;
    size_t piece;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (piece = 1; piece <= 16; piece++) {
            split_text(cases[i].how, cases[i].text, cases[i].size, piece, out, &error);
            assert_string_equal(out, cases[i].entries);
            assert_int_equal(error, cases[i].error);
        }
    }
}

/* Positions are read as the manual writes them, and nothing else is a position. */
static void positions_are_read(void **state)
{
    static const char *const bad[] = {
        "", "x", "-", "-1x", "@", "@x", "12a", "now-", "99999999999999999999"};
    struct tusk_position position;
    struct tusk_position before;
    size_t i;

    (void)state;
    assert_int_equal(parse_position("earliest", &position), 0);
    assert_int_equal(position.kind, TUSK_FROM_EARLIEST);
    assert_int_equal(parse_position("latest", &position), 0);
    assert_int_equal(position.kind, TUSK_FROM_LATEST);
    assert_int_equal(parse_position("12", &position), 0);
    assert_int_equal(position.kind, TUSK_FROM_OFFSET);
    assert_int_equal(position.value, 12);
    assert_int_equal(parse_position("@1.5", &position), 0);
    assert_int_equal(position.kind, TUSK_FROM_TIME);
    assert_int_equal(position.value, 1500000);
    assert_int_equal(parse_position("@1970-01-02T00:00:01Z", &position), 0);
    assert_int_equal(position.value, 86401000000);
    assert_int_equal(parse_position("-1h", &before), 0);
    assert_int_equal(parse_position("now-0", &position), 0);
    assert_in_range(position.value - before.value, 3600000000, 3700000000);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(parse_position(bad[i], &position), -1);
    }
}

/* A setting that is written out reads back as itself. */
static void settings_round_trip(void **state)
{
    static const char *const good[] = {"retention=age",       "retention=inherit",
                                       "fsync=each",          "fsync=none",
                                       "fsync=200ms",         "consistency=strict",
                                       "quota-topics=5",      "consistency=at-least-once:7",
                                       "quota-bytes=1MiB",    "retention-age=60000ms",
                                       "quota-bytes=1048577", "quota-bytes=0",
                                       "quota-bytes=3TiB",    "quota-policy=reject",
                                       "quota-policy=wait",   "quota-policy=drop-oldest"};
    static const char *const bad[] = {"retention",
                                      "retention=",
                                      "retention=x",
                                      "fsync=-1",
                                      "consistency=at-least-once:0",
                                      "quota-bytes=1X",
                                      "quota-policy=never",
                                      "x=1",
                                      "quota-bytes=99999999999T"};
    struct tusk_setting setting;
    char text[80];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse_setting(good[i], &setting), 0);
        format_setting(text, sizeof text, &setting);
        assert_string_equal(text, good[i]);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(parse_setting(bad[i], &setting), -1);
    }
    assert_int_equal(parse_setting("retention-size=2K", &setting), 0);
    assert_int_equal(setting.value, 2048);
}

/* A word with a letter or two wrong is recognized; another word is not. */
static void the_nearest_name_is_found(void **state)
{
    static const char *const names[] = {"append", "read", "topics", "topic", "ns", "stat"};
    static const char *const near[][2] = {
        {"apend", "append"}, {"tpoics", "topics"}, {"topcis", "topics"}, {"topc", "topic"},
        {"raed", "read"},    {"status", "stat"},   {"sn", NULL},         {"x", NULL},
        {"", NULL},          {"delete", NULL},     {"consume", NULL}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof near / sizeof near[0]; i++) {
        const char *found = parse_nearest(near[i][0], names, sizeof names / sizeof names[0]);

        if (near[i][1] == NULL) {
            assert_null(found);
        } else {
            assert_non_null(found);
            assert_string_equal(found, near[i][1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_do_not_depend_on_how_bytes_arrive),
        cmocka_unit_test(positions_are_read),
        cmocka_unit_test(settings_round_trip),
        cmocka_unit_test(the_nearest_name_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
