#include "client/tusk.h"
#include "tests/unit/client_status_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ENTRY(name)                                                                                \
    {                                                                                              \
#name, TUSK_E##name                                                                        \
    }

static const struct status_entry library_statuses[] = {
    ENTRY(NOMEM),    ENTRY(IO),          ENTRY(NOSPACE), ENTRY(CORRUPT), ENTRY(VERSION),
    ENTRY(NOTFOUND), ENTRY(TOOBIG),      ENTRY(BUSY),    ENTRY(CLOSED),  ENTRY(INVALID),
    ENTRY(EXISTS),   ENTRY(DENIED),      ENTRY(UNKNOWN), ENTRY(TRIMMED), ENTRY(END),
    ENTRY(STALE),    ENTRY(QUOTA),       ENTRY(LOCKED),  ENTRY(TIMEOUT), ENTRY(UNREACHABLE),
    ENTRY(PROTOCOL), ENTRY(UNSUPPORTED),
};

/* A code must mean the same in the daemon's answer and in the program that gets it. */
static void library_and_wire_have_the_same_codes(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(sizeof library_statuses / sizeof library_statuses[0], wire_status_count);
    for (i = 0; i < wire_status_count; i++) {
        assert_string_equal(library_statuses[i].name, wire_statuses[i].name);
        assert_int_equal(library_statuses[i].code, wire_statuses[i].code);
        assert_string_equal(tusk_error_name(library_statuses[i].code), wire_statuses[i].name);
        assert_true(tusk_error_text(library_statuses[i].code)[0] != '\0');
    }
}

/* Only one code leaves a program in doubt about what it appended. */
static void only_unknown_is_unknown(void **state)
{
    size_t i;

    (void)state;
    assert_int_equal(tusk_outcome(TUSK_OK), TUSK_STORED);
    for (i = 0; i < wire_status_count; i++) {
        int code = wire_statuses[i].code;

        assert_int_equal(tusk_outcome(code),
                         code == TUSK_EUNKNOWN ? TUSK_STORED_UNKNOWN : TUSK_NOT_STORED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_and_wire_have_the_same_codes),
        cmocka_unit_test(only_unknown_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
