/* Damaged data: what is refused, what goes on, and what a person can decide. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/integration/fixture.h"

#define NEEDLE "a needle to be found in the journal"

static void put_path(char *out, size_t size, const char *dir, const char *name)
{
    assert_true((size_t)snprintf(out, size, "%s/%s", dir, name) < size);
}

/* Flip a bit of the first place where the needle stands in one of the files of a directory. False:
 * nowhere. */
static bool damage_needle(const char *dir)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    bool found = false;

    assert_non_null(list);
    while (!found && (entry = readdir(list)) != NULL) {
        char path[DAEMON_PATH_SIZE * 2];
        struct stat there;
        uint8_t *bytes;
        uint8_t *at;
        int fd;

        put_path(path, sizeof path, dir, entry->d_name);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        assert_int_equal(fstat(fd, &there), 0);
        bytes = malloc((size_t)there.st_size);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, (size_t)there.st_size, 0), there.st_size);
        at = memmem(bytes, (size_t)there.st_size, NEEDLE, strlen(NEEDLE));
        if (at != NULL) {
            *at ^= 1;
            assert_int_equal(pwrite(fd, at, 1, at - bytes), 1);
            assert_int_equal(fsync(fd), 0);
            found = true;
        }
        free(bytes);
        (void)close(fd);
    }
    (void)closedir(list);
    return found;
}

/* A namespace with a needle in its journal and durable entries behind it, its daemon killed. */
static void prepare(struct daemon *daemon, const char *space)
{
    char journal[DAEMON_PATH_SIZE * 2];
    char name[64];
    struct wire admin;
    struct wire wire;

    daemon_start(daemon, "--fsync", "each", NULL);
    wire_open(&admin, daemon->socket, "default");
    if (strcmp(space, "default") != 0) {
        assert_int_equal(wire_space_create(&admin, space, 0), 0);
    }
    wire_open(&wire, daemon->socket, space);
    assert_int_equal(wire_append_one(&wire, "t", "before"), 0);
    assert_int_equal(wire_append_one(&wire, "t", NEEDLE), 0);
    assert_int_equal(wire_append_one(&wire, "t", "behind"), 0);
    assert_int_equal(wire_simple(&wire, MESSAGE_SYNC), 0);
    /* The mark that says that all this was durable stands in a later record. */
    assert_int_equal(wire_append_one(&wire, "t", "far behind"), 0);
    assert_int_equal(wire_append_one(&admin, "t", "elsewhere"), 0);
    wire_close(&wire);
    wire_close(&admin);
    daemon_kill(daemon);
    (void)snprintf(name, sizeof name, "ns/%s/journal", space);
    put_path(journal, sizeof journal, daemon->data_dir, name);
    assert_true(damage_needle(journal));
}

/* One namespace is damaged: it is refused and says so, the others serve. --strict-start exits 65
 * instead, and
 * --accept-loss opens it after all. */
static void damaged_namespace_is_refused_and_others_serve(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    prepare(daemon, "eu");
    assert_int_equal(daemon_fails(daemon, "--strict-start", NULL), 65);
    daemon_start(daemon, NULL);
    assert_true(daemon_logged(
        daemon, "event=refused namespace=\"eu\" msg=\"namespace \\\"eu\\\" is refused"));
    wire_open(&wire, daemon->socket, "default");
    wire_expect_entries(&wire, "t", 0, (const char *const[]){"elsewhere"}, 1);
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
    assert_false(wire_try_open(&wire, daemon->socket, "eu"));
    daemon_stop(daemon);
    daemon_start(daemon, "--accept-loss", "eu", NULL);
    assert_true(daemon_logged(daemon, "level=warning part=recovery event=recovery namespace=\"eu\" "
                                      "msg=\"namespace \\\"eu\\\": loss accepted"));
    wire_open(&wire, daemon->socket, "eu");
    assert_int_equal(wire_append_one(&wire, "t", "after"), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    daemon_start(daemon, "--strict-start", NULL);
}

/* A read that meets damage is refused, and the log has the namespace and what is damaged: an operator need not wait for
 * the client to complain. Others are served. */
static void damage_that_a_read_meets_is_an_event(void **state)
{
    struct daemon *daemon = *state;
    char dir[DAEMON_PATH_SIZE * 2];
    static char text[300001];
    struct message message = wire_read_message("t", 0);
    struct wire_reply reply;
    struct wire wire;

    memset(text, 'x', sizeof text - 1);
    memcpy(text, NEEDLE, strlen(NEEDLE));
    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", text), 0); /* Straight to its block */
    assert_int_equal(wire_append_one(&wire, "other", "whole"), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    put_path(dir, sizeof dir, daemon->data_dir, "ns/default");
    assert_true(damage_needle(dir));
    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_ECORRUPT);
    assert_true(daemon_logged(daemon, "level=error part=read event=corrupt namespace=\"default\""));
    wire_expect_entries(&wire, "other", 0, (const char *const[]){"whole"}, 1);
    wire_close(&wire);
}

/* When nothing can be served the daemon exits 65 and changes nothing: a second try says the same.
 */
static void nothing_to_serve_exits_65(void **state)
{
    struct daemon *daemon = *state;

    prepare(daemon, "default");
    assert_int_equal(daemon_fails(daemon, NULL), 65);
    assert_int_equal(daemon_fails(daemon, NULL), 65);
    assert_true(daemon_logged(daemon, "no namespace can be served"));
}

/* ---- a newer format ---- */

struct seen {
    unsigned files;
    uint32_t crc; /* Of all names and bytes, in the order of the directory */
};

/* Of every file of a directory; manifests get the next version, under a right checksum, when asked for. */
static struct seen look(const char *dir, bool make_newer)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    struct seen seen = {0};

    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        static uint8_t bytes[1u << 20];
        char path[DAEMON_PATH_SIZE * 2];
        ssize_t size;
        int fd;

        put_path(path, sizeof path, dir, entry->d_name);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            continue; /* A directory */
        }
        size = pread(fd, bytes, sizeof bytes, 0);
        assert_true(size >= 0);
        if (make_newer && size >= 4096 && strncmp(entry->d_name, "manifest-0", 10) == 0) {
            put_u16(bytes + 8, (uint16_t)(get_u16(bytes + 8) + 1));
            put_u32(bytes + 4092, crc32c(0, bytes, 4092));
            assert_int_equal(pwrite(fd, bytes, 4096, 0), 4096);
            assert_int_equal(fsync(fd), 0);
        }
        seen.files++;
        seen.crc = crc32c(seen.crc, (const uint8_t *)entry->d_name, strlen(entry->d_name));
        seen.crc = crc32c(seen.crc, bytes, (size_t)size);
        (void)close(fd);
    }
    (void)closedir(list);
    return seen;
}

/* What a newer version wrote is refused, named as such, and left as it is. */
static void newer_format_is_refused_and_left_alone(void **state)
{
    struct daemon *daemon = *state;
    char dir[DAEMON_PATH_SIZE * 2];
    char journal[DAEMON_PATH_SIZE * 2];
    struct seen before[2];
    struct seen after[2];
    struct wire wire;

    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "entry"), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    put_path(dir, sizeof dir, daemon->data_dir, "ns/default");
    put_path(journal, sizeof journal, dir, "journal");
    (void)look(dir, true);
    before[0] = look(dir, false);
    before[1] = look(journal, false);
    assert_int_equal(daemon_fails(daemon, NULL), 65);
    assert_true(daemon_logged(daemon, "newer format version"));
    after[0] = look(dir, false);
    after[1] = look(journal, false);
    assert_memory_equal(before, after, sizeof before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(damaged_namespace_is_refused_and_others_serve),
        FIXTURE_TEST(damage_that_a_read_meets_is_an_event),
        FIXTURE_TEST(nothing_to_serve_exits_65),
        FIXTURE_TEST(newer_format_is_refused_and_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
