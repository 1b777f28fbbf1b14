/* Sending a file's bytes from memory to a socket, and knowing what is in memory, on every real
 * disk. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io_fixture.h"

#define KIB 1024u
#define PAGE 4096u
#define FILE_SIZE (3u * 1024 * KIB + 123) /* More than is asked about at once */

/* A file of FILE_SIZE bytes, and a stream of sockets of which the first does not block. */
struct sending {
    struct io_fixture *f;
    struct io_file *file;
    uint8_t *data;
    int fds[2];
};

static int setup(void **state)
{
    struct sending *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(io_fixture_setup((void **)&s->f), 0);
    s->data = malloc(FILE_SIZE);
    assert_non_null(s->data);
    io_fixture_fill(s->data, FILE_SIZE);
    s->file = io_fixture_create(s->f, "file", s->data, FILE_SIZE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fds), 0);
    assert_int_equal(fcntl(s->fds[0], F_SETFL, O_NONBLOCK), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct sending *s = *state;
    void *f = s->f;

    (void)close(s->fds[0]);
    (void)close(s->fds[1]);
    io_close_file(s->file);
    free(s->data);
    free(s);
    return io_fixture_teardown(&f);
}

#define SEND_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* What has arrived must be these bytes. */
static void expect_bytes(const struct sending *s, const uint8_t *expected, size_t size)
{
    static uint8_t got[64 * KIB];

    while (size > 0) {
        const size_t want = size < sizeof got ? size : sizeof got;
        const ssize_t n = recv(s->fds[1], got, want, MSG_DONTWAIT);

        assert_true(n > 0);
        assert_memory_equal(got, expected, (size_t)n);
        expected += n;
        size -= (size_t)n;
    }
}

static void expect_silence(const struct sending *s)
{
    uint8_t byte;

    assert_int_equal(recv(s->fds[1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* The bytes that arrive are those of the file, wherever they begin and end, and no more than were
 * said to be sent. */
static void bytes_sent_are_those_of_the_file(void **state)
{
    struct sending *s = *state;
    unsigned i;

    for (i = 0; i < 300; i++) {
        const uint64_t offset = i == 0 ? 0 : io_fixture_random() % (FILE_SIZE - 1);
        const size_t left = FILE_SIZE - (size_t)offset;
        const size_t size = 1 + (size_t)(io_fixture_random() % (i % 2 == 0 ? 300 * KIB : 5000));
        size_t sent = 0;

        if (!io_resident(s->file, offset, size < left ? size : left)) {
            print_message("skipped: this kernel does not say what is in memory\n");
            skip();
        }
        assert_int_equal(io_send(s->file, offset, size < left ? size : left, s->fds[0], &sent), 0);
        assert_in_range(sent, 1, size < left ? size : left);
        expect_bytes(s, s->data + offset, sent);
        expect_silence(s);
    }
}

/* A socket takes what it has room for; then it takes nothing and the caller is told, until the
 * other side has read. Nothing is lost or doubled in between. */
static void a_full_socket_is_busy_until_it_is_read(void **state)
{
    struct sending *s = *state;
    size_t at = 0;
    size_t sent = 0;
    unsigned busy = 0;
    unsigned calls;

    for (calls = 0; at < FILE_SIZE && calls < 100000; calls++) {
        const int rc = io_send(s->file, at, FILE_SIZE - at, s->fds[0], &sent);

        if (rc == 0) {
            assert_true(sent > 0);
            at += sent;
            continue;
        }
        assert_int_equal(rc, TUSK_EBUSY);
        assert_int_equal(sent, 0);
        assert_true(at > 0);
        busy++;
        expect_bytes(s, s->data, at); /* All of it is there, and only that */
        expect_silence(s);
        break;
    }
    assert_int_equal(busy, 1);
    assert_int_equal(io_send(s->file, at, FILE_SIZE - at, s->fds[0], &sent), 0);
    expect_bytes(s, s->data + at, sent);
}

/* When nobody is at the other end, that is what the caller is told. */
static void a_closed_socket_is_unreachable(void **state)
{
    struct sending *s = *state;
    size_t sent = 7;

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(shutdown(s->fds[1], SHUT_RD), 0);
    assert_int_equal(io_send(s->file, 0, 1000, s->fds[0], &sent), TUSK_EUNREACHABLE);
    assert_int_equal(sent, 0);
    assert_int_equal(close(s->fds[1]), 0);
    s->fds[1] = -1;
    assert_int_equal(io_send(s->file, 0, 1000, s->fds[0], &sent), TUSK_EUNREACHABLE);
}

/* What takes no bytes at all, and a file that has none there, is not supported: the caller reads
 * and sends them itself. */
static void what_cannot_be_sent_is_unsupported(void **state)
{
    struct sending *s = *state;
    const int read_only = open(io_fixture_path(s->f, "file"), O_RDONLY | O_CLOEXEC);
    const int directory = open(s->f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t sent = 7;

    assert_true(read_only >= 0);
    assert_true(directory >= 0);
    assert_int_equal(io_send(s->file, 0, 1000, read_only, &sent), TUSK_EUNSUPPORTED);
    assert_int_equal(sent, 0);
    assert_int_equal(io_send(s->file, 0, 1000, directory, &sent), TUSK_EUNSUPPORTED);
    assert_int_equal(io_send(s->file, FILE_SIZE, 1000, s->fds[0], &sent), TUSK_EUNSUPPORTED);
    assert_int_equal(io_send(s->file, 10 * FILE_SIZE, 1000, s->fds[0], &sent), TUSK_EUNSUPPORTED);
    expect_silence(s);
    (void)close(read_only);
    (void)close(directory);
}

/* A file that is sent and then written to further on, as a block that grows is: what was sent does
 * not change on its way. */
static void bytes_on_their_way_do_not_change_when_others_are_written(void **state)
{
    static uint8_t more[8 * KIB];
    struct sending *s = *state;
    const struct iovec iov = {.iov_base = more, .iov_len = sizeof more};
    size_t sent = 0;

    assert_int_equal(io_send(s->file, 10 * KIB, 5 * KIB, s->fds[0], &sent), 0);
    assert_int_equal(io_write(s->file, &iov, 1, 10 * KIB + sent, &s->f->err), 0);
    expect_bytes(s, s->data + 10 * KIB, sent);
}

/* ---- what is in memory ---- */

/* What the kernel says of each page of the file. */
static void look(const struct sending *s, unsigned char pages[FILE_SIZE / PAGE + 1])
{
    const int fd = open(io_fixture_path(s->f, "file"), O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, FILE_SIZE, pages), 0);
    assert_int_equal(munmap(map, FILE_SIZE), 0);
    assert_int_equal(close(fd), 0);
}

static bool all_there(const unsigned char *pages, uint64_t offset, size_t size)
{
    uint64_t page;

    for (page = offset / PAGE; page * PAGE < offset + size; page++) {
        if ((pages[page] & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* Drop pages [offset, offset + size) from memory. Recently used ones may stay, so it takes several
 * tries; on a file system that is memory none succeeds, which returns false. */
static bool make_cold(const struct sending *s, uint64_t offset, size_t size)
{
    static unsigned char pages[FILE_SIZE / PAGE + 1];
    const int fd = open(io_fixture_path(s->f, "file"), O_RDONLY | O_CLOEXEC);
    unsigned tries = 0;

    do {
        assert_int_equal(fdatasync(fd), 0);
        assert_int_equal(posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED), 0);
        look(s, pages);
    } while (all_there(pages, offset, PAGE) && ++tries < 5000);
    assert_int_equal(close(fd), 0);
    return !all_there(pages, offset, PAGE);
}

static void skip_without_cold(struct sending *s, uint64_t offset, size_t size)
{
    if (!make_cold(s, offset, size)) {
        print_message("skipped: this file system has every byte at once\n");
        skip();
    }
}

/* What was just written is in memory, to the last byte; what lies behind the end of the file is
 * not, nor what reaches there. */
static void what_was_written_is_resident_up_to_the_end(void **state)
{
    struct sending *s = *state;
    const uint64_t behind = FILE_SIZE + PAGE - FILE_SIZE % PAGE;

    assert_true(io_resident(s->file, 0, FILE_SIZE));
    assert_true(io_resident(s->file, 5, 1));
    assert_true(io_resident(s->file, PAGE - 1, 2));
    assert_true(io_resident(s->file, FILE_SIZE - 1, 1));
    assert_false(io_resident(s->file, behind, 1));
    assert_false(io_resident(s->file, FILE_SIZE - 1, 2 * PAGE));
    assert_false(io_resident(s->file, 0, behind + 1));
    assert_false(io_resident(s->file, 100 * (uint64_t)FILE_SIZE, PAGE));
}

/* What was dropped from memory is not resident, until an operation has read it. */
static void what_was_dropped_is_not_resident_until_it_is_read(void **state)
{
    static uint8_t back[FILE_SIZE];
    struct sending *s = *state;
    struct io_op op = {.kind = IO_OP_READ, .file = s->file, .data = back, .size = FILE_SIZE};
    size_t sent = 0;

    skip_without_cold(s, 0, FILE_SIZE);
    assert_false(io_resident(s->file, 0, 1));
    assert_false(io_resident(s->file, 0, FILE_SIZE));
    io_read_ahead(s->file, 0, FILE_SIZE); /* Advice: it comes in its own time */
    assert_int_equal(io_fixture_run_op(s->f, &op), 0);
    assert_memory_equal(back, s->data, FILE_SIZE);
    assert_true(io_resident(s->file, 0, FILE_SIZE));
    assert_int_equal(io_send(s->file, 77, 60 * KIB, s->fds[0], &sent), 0);
    expect_bytes(s, s->data + 77, sent);
}

/* Read all pages but some into memory, one by one. */
static void warm_all_but_some(struct sending *s)
{
    const int fd = open(io_fixture_path(s->f, "file"), O_RDONLY | O_CLOEXEC);
    uint8_t byte;
    uint64_t page;

    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0); /* Nothing ahead */
    for (page = 0; page * PAGE < FILE_SIZE; page++) {
        if (io_fixture_random() % 100 != 0) {
            assert_int_equal(pread(fd, &byte, 1, (off_t)(page * PAGE)), 1);
        }
    }
    assert_int_equal(close(fd), 0);
}

/* One cold page makes everything that touches it not resident, wherever in a large piece it is, and
 * nothing else. */
static void one_cold_page_is_noticed_wherever_it_is(void **state)
{
    static unsigned char before[FILE_SIZE / PAGE + 1];
    static unsigned char after[sizeof before];
    struct sending *s = *state;
    unsigned warm = 0;
    unsigned cold = 0;
    unsigned i;

    skip_without_cold(s, 0, FILE_SIZE);
    warm_all_but_some(s);
    for (i = 0; i < 2000; i++) {
        const uint64_t offset = io_fixture_random() % (FILE_SIZE - 1);
        const size_t left = FILE_SIZE - (size_t)offset;
        const size_t most = i % 2 == 0 || left < 300 * KIB ? left : 300 * KIB;
        const size_t size = 1 + (size_t)(io_fixture_random() % most);
        bool resident;

        look(s, before);
        resident = io_resident(s->file, offset, size);
        look(s, after);
        if (all_there(before, offset, size) == all_there(after, offset, size)) {
            assert_int_equal(resident, all_there(before, offset, size));
            warm += resident;
            cold += !resident;
        }
    }
    assert_true(warm > 0);
    assert_true(cold > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEND_TEST(bytes_sent_are_those_of_the_file),
        SEND_TEST(a_full_socket_is_busy_until_it_is_read),
        SEND_TEST(a_closed_socket_is_unreachable),
        SEND_TEST(what_cannot_be_sent_is_unsupported),
        SEND_TEST(bytes_on_their_way_do_not_change_when_others_are_written),
        SEND_TEST(what_was_written_is_resident_up_to_the_end),
        SEND_TEST(what_was_dropped_is_not_resident_until_it_is_read),
        SEND_TEST(one_cold_page_is_noticed_wherever_it_is),
    };

    return io_fixture_run(tests, sizeof tests / sizeof tests[0]);
}
