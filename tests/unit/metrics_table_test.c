/* server/metrics.def and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"

static bool ends_in(const char *text, const char *end)
{
    return strlen(text) > strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Names are Prometheus' own way of naming: what its tools and its users go by. */
static void names_are_as_prometheus_wants_them(void **state)
{
    uint32_t i;

    (void)state;
    for (i = 0; i < metrics_count(); i++) {
        const struct metric *row = metrics_row(i);

        assert_memory_equal(row->name, "tusk_", 5);
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->name));
        assert_int_equal(ends_in(row->name, "_total"), row->kind == METRIC_COUNTER);
        if (row->unit != METRIC_ONE) {
            assert_non_null(strstr(row->name, "_seconds"));
        }
        assert_null(strchr(row->help, '\n'));
    }
}

/* Rows of one name follow each other, the first has the help, and kind and scope are the same. */
static void rows_of_a_name_stand_together(void **state)
{
    uint32_t i;
    uint32_t j;

    (void)state;
    for (i = 0; i < metrics_count(); i++) {
        const struct metric *row = metrics_row(i);
        const bool again = i > 0 && strcmp(row->name, metrics_row(i - 1)->name) == 0;

        assert_int_equal(row->help[0] == '\0', again);
        for (j = 0; j + 1 < i; j++) {
            if (strcmp(row->name, metrics_row(j)->name) == 0) {
                assert_true(again);
            }
        }
        if (again) {
            assert_int_equal(row->kind, metrics_row(i - 1)->kind);
            assert_int_equal(row->scope, metrics_row(i - 1)->scope);
            assert_string_not_equal(row->label, metrics_row(i - 1)->label);
        }
    }
}

/* The manual page in the repository is what the table makes (tusk_metrics_sample writes it). */
static void the_manual_is_up_to_date(void **state)
{
    FILE *file = fopen(METRICS_MANUAL_PATH, "r");
    static char there[65536];
    char *made = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&made, &size);

    (void)state;
    assert_non_null(file);
    assert_non_null(out);
    assert_true(fread(there, 1, sizeof there - 1, file) > 0);
    metrics_manual(out);
    assert_int_equal(fclose(out), 0);
    (void)fclose(file);
    assert_string_equal(there, made);
    free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_as_prometheus_wants_them),
        cmocka_unit_test(rows_of_a_name_stand_together),
        cmocka_unit_test(the_manual_is_up_to_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
