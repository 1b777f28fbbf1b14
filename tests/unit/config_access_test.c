/* The allow lines: what they give to whom, and that everything else is an error with its place. */
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

static int fresh(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void parse_as(const char *path, const char *text)
{
    char *copy = strdup(text); /* Exactly as large as it says, for the sanitizers */

    assert_non_null(copy);
    config_parse(&config, path, copy, strlen(copy));
    free(copy);
}

static void parse(const char *text)
{
    parse_as("f", text);
    access_resolve(&config);
}

static void expect_good(void)
{
    if (config.errors.count > 0) {
        print_error("%s\n", config.errors.texts[0]);
    }
    assert_int_equal(config.errors.count + config.errors.left_off, 0);
}

/* Exactly one error, with this in it. */
static void expect_error(const char *text, const char *error)
{
    config_free(&config);
    parse(text);
    assert_int_equal(config.errors.count, 1);
    if (strstr(config.errors.texts[0], error) == NULL) {
        print_error("\"%s\" is not in: %s\n", error, config.errors.texts[0]);
        fail();
    }
}

static uint32_t rights(const char *space, uint32_t uid, uint32_t group)
{
    const struct access_who who = {.uid = uid, .groups = &group, .group_count = 1};

    return access_rights(access_of(&config, space), &who, NULL);
}

/* ---- what is given ---- */

static void rules_of_all_lines_and_matches_add_up(void **state)
{
    (void)state;
    parse("[defaults]\n"
          "allow = user:7 read\n"
          "allow = user:7 append ;the comment of a line\n"
          "allow=group:9  admin , read;anyone append\n");
    expect_good();
    assert_int_equal(rights("x", 7, 1), ACCESS_READ | ACCESS_APPEND);
    assert_int_equal(rights("x", 8, 9), ACCESS_ALL);
    assert_int_equal(rights("x", 8, 7), ACCESS_APPEND); /* A group is no user */
    assert_int_equal(rights("x", 9, 1), ACCESS_APPEND);
}

static void without_a_line_nobody_has_any(void **state)
{
    (void)state;
    parse("[defaults]\nretention = all\n[namespace \"a\"]\n");
    expect_good();
    assert_int_equal(rights("a", 7, 7), 0);
    assert_false(access_any(&config));
}

static void a_section_with_a_line_takes_no_others(void **state)
{
    (void)state;
    parse("[defaults]\nallow = anyone read\n"
          "[namespace \"a\"]\nallow = user:7 append\n"
          "[namespace \"b\"]\nallow = none\n"
          "[namespace \"c\"]\nfsync = each\n");
    expect_good();
    assert_true(access_any(&config));
    assert_int_equal(rights("a", 7, 1), ACCESS_APPEND);
    assert_int_equal(rights("a", 8, 1), 0);
    assert_int_equal(rights("b", 7, 1), 0);
    assert_int_equal(rights("c", 7, 1), ACCESS_READ);
    assert_int_equal(rights("not named", 7, 1), ACCESS_READ);
}

static void another_file_is_overruled(void **state)
{
    (void)state;
    parse_as("a", "[defaults]\nallow = user:7 read\nallow = user:8 read\n");
    parse_as("b", "[defaults]\nallow = user:9 read\n");
    access_resolve(&config);
    expect_good();
    assert_int_equal(rights("x", 7, 1), 0);
    assert_int_equal(rights("x", 9, 1), ACCESS_READ);
}

static void names_are_looked_up(void **state)
{
    (void)state;
    parse("[defaults]\nallow = user:root read; group:root append\n");
    expect_good();
    assert_int_equal(rights("x", 0, 5), ACCESS_READ);
    assert_int_equal(rights("x", 5, 0), ACCESS_APPEND);
}

/* The ids that the kernel shows for those it has no number for. */
static void the_overflow_ids_match_nothing(void **state)
{
    (void)state;
    parse("[defaults]\nallow = anyone read; group:7 append\n");
    expect_good();
    assert_int_equal(rights("x", access_overflow_uid(), 7), 0);
    assert_int_equal(rights("x", UINT32_MAX, 7), 0);
    assert_int_equal(rights("x", 1, access_overflow_gid()), ACCESS_READ);
}

static void the_first_rule_that_matches_is_told(void **state)
{
    const uint32_t group = 9;
    const struct access_who who = {.uid = 7, .groups = &group, .group_count = 1};
    const struct access_rule *rule;

    (void)state;
    parse("[defaults]\nallow = user:8 read\nallow = group:9 read\nallow = anyone read\n");
    expect_good();
    assert_int_equal(access_rights(access_of(&config, "x"), &who, &rule), ACCESS_READ);
    assert_non_null(rule);
    assert_int_equal(rule->origin.line, 3);
}

/* ---- what is wrong ---- */

static void what_is_no_rule_is_an_error(void **state)
{
    (void)state;
    expect_error("[defaults]\nallow =\n", "f:2: allow: there is no rule");
    expect_error("[defaults]\nallow = alice read\n", "f:2: allow: who is \"alice\"");
    expect_error("[defaults]\nallow = users:7 read\n", "who is \"users:7\"");
    expect_error("[defaults]\nallow = user: read\n", "there is no name in \"user:\"");
    expect_error("[defaults]\nallow = user:7\n", "there is no right behind \"user:7\"");
    expect_error("[defaults]\nallow = user:7 raed\n", "there is no right \"raed\"");
    expect_error("[defaults]\nallow = user:7 read,\n", "there is no right behind \"read\"");
    expect_error("[defaults]\nallow = user:7 read append\n", "there is no right \"read append\"");
    expect_error("[defaults]\nallow = user:7 read;;anyone read\n", "there is no rule at");
    expect_error("[defaults]\nallow = none, user:7 read\n", "who is \"none,\"");
    expect_error("[defaults]\nallow = user:7 read\nallow = none\n", "f:3: allow: who is \"none\"");
    expect_error("[defaults]\nallow = none\nallow = user:7 read\n",
                 "f:3: allow: there is \"none\" before it");
    config_free(&config);
    parse("[defaults]\nallow = none\nallow = none\n[namespace \"a\"]\nallow = user:7 read\n");
    expect_good(); /* Said twice; and of another section */
    expect_error("[server]\nallow = anyone read\n", "f:2: allow belongs into");
    expect_error("allow = anyone read\n", "allow belongs into");
}

static void who_is_not_there_is_an_error(void **state)
{
    (void)state;
    expect_error("[defaults]\nallow = user:no-such-user read\n",
                 "f:2: allow: there is no user \"no-such-user\"");
    expect_error("[namespace \"a\"]\n\nallow = group:no-such-group read\n",
                 "f:3: allow: there is no group \"no-such-group\"");
    expect_error("[defaults]\nallow = user:65534 read\n", "stands for everybody whom the kernel");
    expect_error("[defaults]\nallow = user:4294967295 read\n", "there is no user");
    expect_error("[defaults]\nallow = user:7x read\n", "there is no user \"7x\"");
}

static void too_many_rules_are_an_error(void **state)
{
    char *text = malloc(ACCESS_RULES_MAX * 32 + 64);
    size_t used;
    unsigned i;

    (void)state;
    assert_non_null(text);
    used = (size_t)sprintf(text, "[defaults]\n");
    for (i = 0; i <= ACCESS_RULES_MAX; i++) {
        used += (size_t)sprintf(text + used, "allow = user:%u read\n", i);
    }
    parse(text);
    assert_int_equal(config.errors.count, 1);
    assert_int_equal(config.access.count, ACCESS_RULES_MAX);
    free(text);
}

/* ---- as text ---- */

static void rules_are_written_as_they_could_be_read(void **state)
{
    char text[200];
    char again[300];

    (void)state;
    parse("[defaults]\nallow = user:7 append,read\nallow = group:root admin; anyone read\n");
    expect_good();
    access_rules_text(&config.access, text, sizeof text);
    assert_string_equal(text, "user:7 read,append; group:root admin; anyone read");
    config_free(&config);
    (void)snprintf(again, sizeof again, "[defaults]\nallow = %s\n", text);
    parse(again);
    expect_good();
    assert_int_equal(config.access.count, 3);
    access_rules_text(&config.access, text, 10);
    assert_string_equal(text, "user:7 re");
    config_free(&config);
    access_rules_text(&config.access, text, sizeof text);
    assert_string_equal(text, "none");
}

static void the_same_rules_are_the_same(void **state)
{
    const struct access_rules *a;
    const struct access_rules *b;

    (void)state;
    parse("[namespace \"a\"]\nallow = user:root read\n[namespace \"b\"]\nallow = user:0 read\n"
          "[namespace \"c\"]\nallow = user:0 append\n[namespace \"d\"]\nallow = none\n");
    expect_good();
    a = access_of(&config, "a");
    b = access_of(&config, "b");
    assert_true(access_same(a, b));
    assert_false(access_same(a, access_of(&config, "c")));
    assert_false(access_same(a, access_of(&config, "d")));
    assert_false(access_same(access_of(&config, "d"), access_of(&config, "not named")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_of_all_lines_and_matches_add_up, fresh, fresh),
        cmocka_unit_test_setup_teardown(without_a_line_nobody_has_any, fresh, fresh),
        cmocka_unit_test_setup_teardown(a_section_with_a_line_takes_no_others, fresh, fresh),
        cmocka_unit_test_setup_teardown(another_file_is_overruled, fresh, fresh),
        cmocka_unit_test_setup_teardown(names_are_looked_up, fresh, fresh),
        cmocka_unit_test_setup_teardown(the_overflow_ids_match_nothing, fresh, fresh),
        cmocka_unit_test_setup_teardown(the_first_rule_that_matches_is_told, fresh, fresh),
        cmocka_unit_test_setup_teardown(what_is_no_rule_is_an_error, fresh, fresh),
        cmocka_unit_test_setup_teardown(who_is_not_there_is_an_error, fresh, fresh),
        cmocka_unit_test_setup_teardown(too_many_rules_are_an_error, fresh, fresh),
        cmocka_unit_test_setup_teardown(rules_are_written_as_they_could_be_read, fresh, fresh),
        cmocka_unit_test_setup_teardown(the_same_rules_are_the_same, fresh, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
