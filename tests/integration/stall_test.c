/* A disk that stands still, as log and systemd are told of it: what the engine says is replaced, and what systemd would be
 * shown is caught. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/engine.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/stall.h"

#define SECOND UINT64_C(1000000)

static uint64_t age;        /* Of the oldest sync; 0: none */
static unsigned events;     /* LOG_EVENT_DISK_SLOW */
static unsigned recoveries; /* The disk answers again */
static unsigned shown;      /* Times that STATUS was set */
static char status[512];

/* The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
struct namespace *__wrap_engine_oldest_sync(const struct engine *engine, uint64_t mono_us,
                                            uint64_t *age_us);
void __wrap_engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info);
void __wrap_notify_trouble(const char *trouble);
void __wrap_log_event(enum log_event event, const char *part, const char *space, const char *format,
                      ...);
void __wrap_log_write(enum log_level level, const char *part, const char *format, ...);

struct namespace *__wrap_engine_oldest_sync(const struct engine *engine, uint64_t mono_us,
                                            uint64_t *age_us)
{
    static int some_namespace;

    (void)engine;
    (void)mono_us;
    *age_us = age;
    return age > 0 ? (struct namespace *)&some_namespace : NULL;
}

void __wrap_engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info)
{
    (void)ns;
    *info = (struct engine_namespace_info){.name = "eu"};
}

void __wrap_notify_trouble(const char *trouble)
{
    shown++;
    (void)snprintf(status, sizeof status, "%s", trouble != NULL ? trouble : "(as usual)");
}

void __wrap_log_event(enum log_event event, const char *part, const char *space, const char *format,
                      ...)
{
    (void)part;
    (void)format;
    assert_int_equal(event, LOG_EVENT_DISK_SLOW);
    assert_string_equal(space, "eu");
    events++;
}

void __wrap_log_write(enum log_level level, const char *part, const char *format, ...)
{
    (void)part;
    (void)format;
    assert_int_equal(level, LOG_LEVEL_INFO);
    recoveries++;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void look(struct stall *stall, uint64_t age_us)
{
    age = age_us;
    stall_look(stall, NULL, 100 * SECOND);
}

/* Syncs that take less than the bound are nobody's business. */
static void a_disk_that_is_well_is_not_told_of(void **state)
{
    struct stall stall = {.slow = false};

    (void)state;
    look(&stall, 0);
    look(&stall, 1);
    look(&stall, STALL_US - 1);
    look(&stall, 0);
    assert_int_equal(events + recoveries + shown, 0);
}

/* One that stands still is told to the log once, to systemd again and again with how long it is; when it answers both hear
 * of it, and the next time is told again. */
static void a_stall_is_told_once_and_shown_while_it_lasts(void **state)
{
    struct stall stall = {.slow = false};

    (void)state;
    look(&stall, STALL_US);
    assert_int_equal(events, 1);
    assert_non_null(strstr(status, "namespace eu has been under way for 1 s"));
    look(&stall, 17 * SECOND);
    assert_int_equal(events, 1);
    assert_non_null(strstr(status, "for 17 s"));
    look(&stall, 17 * SECOND + 1);
    assert_int_equal(recoveries, 0);
    assert_int_equal(stall.worst_us, 17 * SECOND + 1);
    look(&stall, STALL_US - 1); /* Another one, that is quick so far */
    assert_int_equal(recoveries, 1);
    assert_string_equal(status, "(as usual)");
    look(&stall, 0);
    assert_int_equal(shown, 4);
    look(&stall, 2 * SECOND);
    assert_int_equal(events, 2);
    assert_non_null(strstr(status, "for 2 s"));
}

static int forget(void **state)
{
    (void)state;
    events = recoveries = shown = 0;
    status[0] = '\0';
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_disk_that_is_well_is_not_told_of, forget),
        cmocka_unit_test_setup(a_stall_is_told_once_and_shown_while_it_lasts, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
