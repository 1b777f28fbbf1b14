/* The list of statuses: one number, name and sentence each. */
#include "proto/status.h"
#include "proto/status_help.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int code;
    int number;
    const char *name;
    const char *text;
} statuses[] = {
#define X(name, number, text) {TUSK_E##name, number, #name, text},
    TUSK_STATUS_MAP(X)
#undef X
};

#define STATUS_COUNT (sizeof statuses / sizeof *statuses)

/* Numbers are on the wire and in other people's programs: they are 1 to 22 without a gap,
 * in the order of the list, and PROTOCOL.md's table says the same. */
static void numbers_are_those_of_the_protocol(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(TUSK_OK, 0);
    assert_int_equal(STATUS_COUNT, 22);
    for (i = 0; i < STATUS_COUNT; i++) {
        assert_int_equal(statuses[i].number, (int)i + 1);
        assert_int_equal(statuses[i].code, -statuses[i].number);
    }
    assert_int_equal(TUSK_ENOSPACE, -3);
    assert_int_equal(TUSK_EINVALID, -10);
    assert_int_equal(TUSK_EUNKNOWN, -13);
    assert_int_equal(TUSK_EUNSUPPORTED, -22);
}

/* Nobody can take one status for another by its name or its sentence. */
static void names_and_sentences_are_unique(void **state)
{
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < STATUS_COUNT; i++) {
        for (j = i + 1; j < STATUS_COUNT; j++) {
            assert_string_not_equal(status_name(statuses[i].code), status_name(statuses[j].code));
            assert_string_not_equal(status_text(statuses[i].code), status_text(statuses[j].code));
        }
    }
}

/* A caller has the negative code, a reader of the wire the positive number. */
static void either_sign_finds_the_name_and_the_sentence(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < STATUS_COUNT; i++) {
        assert_string_equal(status_name(statuses[i].code), statuses[i].name);
        assert_string_equal(status_name(statuses[i].number), statuses[i].name);
        assert_string_equal(status_text(statuses[i].code), statuses[i].text);
        assert_string_equal(status_text(statuses[i].number), statuses[i].text);
    }
    assert_string_equal(status_name(0), "OK");
    assert_string_equal(status_text(0), "ok");
}

/* A newer daemon may send a number that this build does not know. */
static void unknown_numbers_have_a_text_too(void **state)
{
    static const int unknown[] = {23, -23, 65535, INT_MAX, INT_MIN, INT_MIN + 1};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_string_equal(status_name(unknown[i]), "?");
        assert_string_equal(status_text(unknown[i]), "unknown error");
    }
}

/* Whoever meets a status can ask what it means: each has a text of its own for that, for why it comes,
 * and for what to do. */
static void every_status_is_explained(void **state)
{
    const struct status_help *help;
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < STATUS_COUNT; i++) {
        help = status_help(statuses[i].code);
        assert_non_null(help);
        assert_ptr_equal(help, status_help(statuses[i].number));
        assert_true(strlen(help->meaning) > 20);
        assert_true(strlen(help->why) > 20);
        assert_true(strlen(help->remedy) > 10);
        for (j = 0; j < i; j++) {
            assert_string_not_equal(help->meaning, status_help(statuses[j].code)->meaning);
            assert_string_not_equal(help->why, status_help(statuses[j].code)->why);
        }
    }
    assert_non_null(status_help(TUSK_OK));
    assert_string_equal(status_help(TUSK_OK)->remedy, "Nothing.");
}

/* What is no status is not explained as another one. */
static void what_is_no_status_is_not_explained(void **state)
{
    static const int unknown[] = {23, -23, 65535, INT_MAX, INT_MIN, INT_MIN + 1};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_null(status_help(unknown[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_protocol),
        cmocka_unit_test(names_and_sentences_are_unique),
        cmocka_unit_test(either_sign_finds_the_name_and_the_sentence),
        cmocka_unit_test(unknown_numbers_have_a_text_too),
        cmocka_unit_test(every_status_is_explained),
        cmocka_unit_test(what_is_no_status_is_not_explained),
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
