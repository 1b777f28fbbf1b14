#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/log.h"

static int saved;
static int reader;

/* Standard error goes to a pipe for the time of a test. */
static int capture(void **state)
{
    int fds[2];

    (void)state;
    saved = dup(STDERR_FILENO);
    if (saved < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0 || dup2(fds[1], STDERR_FILENO) < 0) {
        return -1;
    }
    (void)close(fds[1]);
    reader = fds[0];
    (void)unsetenv("JOURNAL_STREAM");
    log_init(LOG_LEVEL_INFO);
    return 0;
}

static int release(void **state)
{
    (void)state;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(reader);
    return 0;
}

static void read_all(char *text, size_t size)
{
    const ssize_t got = read(reader, text, size - 1);

    text[got > 0 ? got : 0] = '\0';
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

/* What a client says cannot end a line, close the quotes, or begin another field. */
static void messages_cannot_be_forged(void **state)
{
    char text[4096];

    (void)state;
    log_warning("test", "client %s", "x\" level=error\nfake\\\x1b[31m");
    read_all(text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(
        strstr(text, "level=warning part=test msg=\"client x\\\" level=error\\x0afake"));
    assert_non_null(strstr(text, "\\\\\\x1b[31m\"\n"));
}

/* Less important messages than asked for are not written. */
static void levels_are_honoured(void **state)
{
    char text[4096];

    (void)state;
    log_debug("test", "quiet");
    read_all(text, sizeof text);
    assert_string_equal(text, "");
    log_init(LOG_LEVEL_DEBUG);
    log_debug("test", "loud");
    read_all(text, sizeof text);
    assert_non_null(strstr(text, "msg=\"loud\""));
}

/* A message that repeats without end is held back; another one is not. */
static void repetition_is_held_back(void **state)
{
    char text[65536];
    unsigned i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        log_info("test", "again %u", i);
    }
    log_info("test", "something else");
    read_all(text, sizeof text);
    assert_int_equal(count_lines(text), LOG_BURST + 1);
    assert_non_null(strstr(text, "something else"));
}

/* A message of any length fits a line. */
static void long_messages_are_cut(void **state)
{
    char long_text[5000];
    char text[16384];

    (void)state;
    memset(long_text, '\x01', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    log_info("test", "long %s", long_text);
    read_all(text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "\\x01\"\n"));
}

/* What is bounded by itself is not held back: an operator gets every error of a configuration. */
static void each_text_is_written(void **state)
{
    char text[16384];
    unsigned i;

    (void)state;
    for (i = 0; i < 3 * LOG_BURST; i++) {
        log_each(LOG_LEVEL_ERROR, "config", "line\n\"quoted\"");
        log_each(LOG_LEVEL_DEBUG, "config", "dropped");
    }
    read_all(text, sizeof text);
    assert_int_equal(count_lines(text), 3 * LOG_BURST);
    assert_non_null(strstr(text, "msg=\"line\\x0a\\\"quoted\\\"\""));
    assert_null(strstr(text, "dropped"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_cannot_be_forged, capture, release),
        cmocka_unit_test_setup_teardown(levels_are_honoured, capture, release),
        cmocka_unit_test_setup_teardown(repetition_is_held_back, capture, release),
        cmocka_unit_test_setup_teardown(long_messages_are_cut, capture, release),
        cmocka_unit_test_setup_teardown(each_text_is_written, capture, release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
