#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
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

/* ---- the journal ---- */

#define TAKEN_SIZE 4096u

static char taken[TAKEN_SIZE]; /* What the journal was sent last: a line a field */
static unsigned taken_count;
static int journal_result;

/* The name is the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __wrap_sd_journal_sendv(const struct iovec *vectors, int count);

int __wrap_sd_journal_sendv(const struct iovec *vectors, int count)
{
    size_t used = 0;
    int i;

    taken_count++;
    for (i = 0; i < count; i++) {
        assert_true(used + vectors[i].iov_len + 2 < sizeof taken);
        memcpy(taken + used, vectors[i].iov_base, vectors[i].iov_len);
        used += vectors[i].iov_len;
        taken[used++] = '\n';
    }
    taken[used] = '\0';
    return journal_result;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* As if standard error, a pipe, were the journal's stream. */
static int capture_journal(void **state)
{
    struct stat there;
    char name[64];

    if (capture(state) != 0 || fstat(STDERR_FILENO, &there) != 0) {
        return -1;
    }
    (void)snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)there.st_dev,
                   (unsigned long long)there.st_ino);
    (void)setenv("JOURNAL_STREAM", name, 1);
    log_init(LOG_LEVEL_INFO);
    taken[0] = '\0';
    taken_count = 0;
    journal_result = 0;
    return 0;
}

static void skip_without_systemd(void)
{
    if (!TUSK_TEST_SYSTEMD) {
        print_message("SKIP: built without libsystemd\n");
        skip();
    }
}

static bool took(const char *field)
{
    const size_t size = strlen(field);
    const char *at = taken;

    while (at != NULL && *at != '\0') {
        if (strncmp(at, field, size) == 0 && at[size] == '\n') {
            return true;
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return false;
}

/* Under the journal a message is fields, an event has its id, and nothing is written besides. */
static void the_journal_gets_fields(void **state)
{
    char text[4096];

    (void)state;
    skip_without_systemd();
    log_event(LOG_EVENT_QUOTA, "append", "eu", "quota of \"%s\"", "eu");
    assert_true(took("MESSAGE=quota of \"eu\""));
    assert_true(took("PRIORITY=4"));
    assert_true(took("SYSLOG_IDENTIFIER=tuskd"));
    assert_true(took("TUSK_PART=append"));
    assert_true(took("TUSK_EVENT=quota"));
    assert_true(took("TUSK_NAMESPACE=eu"));
    assert_true(took("MESSAGE_ID=f51b3a4d0d624c5dbb232577935df5f1"));
    assert_null(strstr(taken, "HELD_BACK"));
    log_error("test", "plain");
    assert_true(took("MESSAGE=plain"));
    assert_true(took("PRIORITY=3"));
    assert_null(strstr(taken, "MESSAGE_ID"));
    assert_null(strstr(taken, "TUSK_NAMESPACE"));
    assert_int_equal(taken_count, 2);
    read_all(text, sizeof text);
    assert_string_equal(text, "");
}

/* One that takes nothing leaves the line, with its level as systemd reads it. */
static void without_the_journal_there_is_the_line(void **state)
{
    char text[4096];

    (void)state;
    journal_result = -ECONNREFUSED;
    log_event(LOG_EVENT_DISK_FAILED, "engine", "eu\"x", "gone");
    read_all(text, sizeof text);
    assert_string_equal(text, "<3>level=error part=engine event=disk-failed "
                              "namespace=\"eu\\\"x\" msg=\"gone\"\n");
}

/* A variable that speaks of another file than standard error is somebody else's. */
static void anothers_journal_is_not_ours(void **state)
{
    char text[4096];

    (void)state;
    (void)setenv("JOURNAL_STREAM", "1:2", 1);
    log_init(LOG_LEVEL_INFO);
    log_event(LOG_EVENT_READY, "start", NULL, "here");
    read_all(text, sizeof text);
    assert_int_equal(strncmp(text, "time=", 5), 0);
    assert_non_null(strstr(text, "level=info part=start event=ready msg=\"here\"\n"));
    assert_int_equal(taken_count, 0);
}

/* Events repeat no more than other messages do. */
static void repeated_events_are_held_back(void **state)
{
    unsigned i;

    (void)state;
    skip_without_systemd();
    for (i = 0; i < 1000; i++) {
        log_event(LOG_EVENT_CORRUPT, "read", "eu", "damage %u", i);
    }
    assert_int_equal(taken_count, LOG_BURST);
    for (i = 0; i < 3 * LOG_BURST; i++) {
        log_event_each(LOG_EVENT_RECOVERY, "recovery", "eu", "finding");
    }
    assert_int_equal(taken_count, 4 * LOG_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_cannot_be_forged, capture, release),
        cmocka_unit_test_setup_teardown(levels_are_honoured, capture, release),
        cmocka_unit_test_setup_teardown(repetition_is_held_back, capture, release),
        cmocka_unit_test_setup_teardown(long_messages_are_cut, capture, release),
        cmocka_unit_test_setup_teardown(each_text_is_written, capture, release),
        cmocka_unit_test_setup_teardown(the_journal_gets_fields, capture_journal, release),
        cmocka_unit_test_setup_teardown(without_the_journal_there_is_the_line, capture_journal,
                                        release),
        cmocka_unit_test_setup_teardown(anothers_journal_is_not_ours, capture_journal, release),
        cmocka_unit_test_setup_teardown(repeated_events_are_held_back, capture_journal, release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
