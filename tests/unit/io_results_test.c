/* What a result of the kernel means, where no disk at hand gives it: a sync that fails once and then succeeds, a call that is
 * interrupted, a write that comes short. The system calls are this file's own; the ring's results are handed to its slots. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/io_call.h"
#include "core/io_uring_slot.h"

#define PIECE 100u

/* ---- system calls ---- */

/* The next call fails with this; then they work. */
static int fail_next;
static unsigned calls;
static size_t take_max; /* Bytes that a read or write takes at once */
static uint8_t disk[3 * PIECE];

static int next_failure(void)
{
    const int os_error = fail_next;

    calls++;
    fail_next = 0;
    errno = os_error;
    return os_error;
}

int __wrap_fdatasync(int fd);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset);

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return next_failure() == 0 ? 0 : -1;
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    size_t taken = 0;
    int i;

    (void)fd;
    if (next_failure() != 0) {
        return -1;
    }
    for (i = 0; i < count && taken < take_max; i++) {
        const size_t left = take_max - taken;
        const size_t size = iov[i].iov_len < left ? iov[i].iov_len : left;

        memcpy(disk + offset + taken, iov[i].iov_base, size);
        taken += size;
    }
    return (ssize_t)taken;
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
    const size_t there = (size_t)offset < sizeof disk ? sizeof disk - (size_t)offset : 0;
    size_t got = size < there ? size : there;

    (void)fd;
    if (next_failure() != 0) {
        return -1;
    }
    got = got < take_max ? got : take_max;
    memcpy(data, disk + offset, got);
    return (ssize_t)got;
}

static int start(void **state)
{
    (void)state;
    fail_next = 0;
    calls = 0;
    take_max = sizeof disk;
    memset(disk, 0, sizeof disk);
    return 0;
}

/* The kernel reports lost pages once and takes them for clean: a second try would succeed and lie. */
static void a_failed_sync_is_not_tried_again(void **state)
{
    static const int reasons[] = {EIO, ENOSPC, EINTR, EAGAIN, EDQUOT};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        calls = 0;
        fail_next = reasons[i];
        assert_int_equal(io_call_sync(3), reasons[i]);
        assert_int_equal(calls, 1);
    }
}

/* Short writes, of any size and across pieces, are continued where they stopped; so are interrupted ones. */
static void a_short_or_interrupted_write_goes_on(void **state)
{
    uint8_t data[sizeof disk];
    const struct iovec iov[] = {{data, PIECE}, {data + PIECE, PIECE}, {data + 2 * PIECE, PIECE}};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7 + 1);
    }
    for (take_max = 1; take_max <= sizeof data; take_max++) {
        memset(disk, 0, sizeof disk);
        fail_next = EINTR;
        assert_int_equal(io_call_write(3, iov, 3, 0), 0);
        assert_memory_equal(disk, data, sizeof data);
    }
    take_max = 0;
    assert_int_equal(io_call_write(3, iov, 3, 0), EIO);
    take_max = sizeof data;
    fail_next = EIO;
    assert_int_equal(io_call_write(3, iov, 3, 0), EIO);
}

/* The same for reads, which end where the file does. */
static void a_short_or_interrupted_read_goes_on(void **state)
{
    uint8_t data[sizeof disk + 10];
    size_t got;
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof disk; i++) {
        disk[i] = (uint8_t)(i * 11 + 5);
    }
    for (take_max = 1; take_max <= sizeof disk; take_max += 13) {
        fail_next = EINTR;
        assert_int_equal(io_call_read(3, data, sizeof data, 0, &got), 0);
        assert_int_equal(got, sizeof disk);
        assert_memory_equal(data, disk, sizeof disk);
    }
    assert_int_equal(io_call_read_all(3, data, sizeof disk, 0), 0);
    assert_int_equal(io_call_read_all(3, data, sizeof data, 0), ENODATA);
    fail_next = EIO;
    assert_int_equal(io_call_read(3, data, sizeof disk, 0, &got), EIO);
}

/* ---- results of the ring ---- */

static struct uring uring;
static struct disk_file file;

static struct uring_slot slot_of(struct io_op *op, enum io_op_kind kind)
{
    *op = (struct io_op){.kind = kind, .file = &file.base, .size = 1000};
    return (struct uring_slot){.op = op, .step = SLOT_RUN, .dir_fd = -1};
}

/* Whatever a sync says is final, an interruption too; and behind an allocation every failure is EIO, because what others wrote to
 * the file may be lost with it. */
static void a_sync_on_the_ring_has_one_result(void **state)
{
    static const enum io_op_kind kinds[] = {IO_OP_SYNC, IO_OP_SYNC_DIR};
    static const int reasons[] = {0, EIO, EINTR, EAGAIN, ENOSPC};
    struct uring_slot slot;
    struct io_op op;
    int os_error;
    size_t i;

    (void)state;
    for (i = 0; i < 10; i++) {
        slot = slot_of(&op, kinds[i / 5]);
        assert_true(uring_slot_advance(&uring, &slot, -reasons[i % 5], &os_error));
        assert_int_equal(os_error, reasons[i % 5]);
    }
    for (i = 0; i < 5; i++) {
        slot = slot_of(&op, IO_OP_ALLOCATE);
        assert_false(uring_slot_advance(&uring, &slot, 0, &os_error));
        assert_int_equal(slot.step, SLOT_SYNC);
        assert_true(uring_slot_advance(&uring, &slot, -reasons[i], &os_error));
        assert_int_equal(os_error, reasons[i] == 0 ? 0 : EIO);
    }
    slot = slot_of(&op, IO_OP_ALLOCATE);
    assert_true(uring_slot_advance(&uring, &slot, -ENOSPC, &os_error));
    assert_int_equal(os_error, ENOSPC);
}

/* What the kernel did not do for now is asked for again, whatever it is but a sync; a kernel that never does it is an error
 * in the end. */
static void what_the_ring_put_off_is_asked_for_again(void **state)
{
    static const enum io_op_kind kinds[] = {IO_OP_READ,   IO_OP_WRITE,  IO_OP_ALLOCATE, IO_OP_PUNCH,
                                            IO_OP_CREATE, IO_OP_RENAME, IO_OP_UNLINK};
    struct uring_slot slot;
    struct io_op op;
    unsigned tries = 0;
    int os_error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        slot = slot_of(&op, kinds[i]);
        assert_false(uring_slot_advance(&uring, &slot, -EAGAIN, &os_error));
        assert_false(uring_slot_advance(&uring, &slot, -EINTR, &os_error));
        assert_int_equal(slot.step, SLOT_RUN);
    }
    slot = slot_of(&op, IO_OP_WRITE);
    while (!uring_slot_advance(&uring, &slot, -EAGAIN, &os_error)) {
        assert_true(++tries < 100000);
    }
    assert_true(tries > 100);
    assert_int_equal(os_error, EAGAIN);
}

/* A transfer is finished by its last byte, not by its first result; none at all is the end of the file, or a disk that takes
 * nothing. Progress begins the count of tries anew. */
static void a_transfer_on_the_ring_ends_with_its_last_byte(void **state)
{
    static const enum io_op_kind kinds[] = {IO_OP_READ, IO_OP_WRITE};
    struct uring_slot slot;
    struct io_op op;
    int os_error;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        slot = slot_of(&op, kinds[i]);
        slot.repeats = 999;
        assert_false(uring_slot_advance(&uring, &slot, 1, &os_error));
        assert_int_equal(slot.repeats, 0);
        assert_false(uring_slot_advance(&uring, &slot, 998, &os_error));
        assert_int_equal(slot.progress, 999);
        assert_true(uring_slot_advance(&uring, &slot, 1, &os_error));
        assert_int_equal(os_error, 0);
        slot = slot_of(&op, kinds[i]);
        assert_true(uring_slot_advance(&uring, &slot, 0, &os_error));
        assert_int_equal(os_error, kinds[i] == IO_OP_READ ? ENODATA : EIO);
        slot = slot_of(&op, kinds[i]);
        assert_true(uring_slot_advance(&uring, &slot, -EIO, &os_error));
        assert_int_equal(os_error, EIO);
    }
}

/* Advice and space given back may fail where a file system cannot do them; nothing relies on them. */
static void what_is_only_advice_does_not_fail(void **state)
{
    struct uring_slot slot;
    struct io_op op;
    int os_error;

    (void)state;
    slot = slot_of(&op, IO_OP_WRITEBACK);
    assert_true(uring_slot_advance(&uring, &slot, -EIO, &os_error));
    assert_int_equal(os_error, 0);
    slot = slot_of(&op, IO_OP_PUNCH);
    assert_true(uring_slot_advance(&uring, &slot, -EOPNOTSUPP, &os_error));
    assert_int_equal(os_error, 0);
    slot = slot_of(&op, IO_OP_PUNCH);
    assert_true(uring_slot_advance(&uring, &slot, -EIO, &os_error));
    assert_int_equal(os_error, EIO);
    slot = slot_of(&op, IO_OP_RENAME);
    slot.step = SLOT_FAILED;
    slot.failure = ENOENT;
    assert_true(uring_slot_advance(&uring, &slot, 0, &os_error));
    assert_int_equal(os_error, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_failed_sync_is_not_tried_again, start),
        cmocka_unit_test_setup(a_short_or_interrupted_write_goes_on, start),
        cmocka_unit_test_setup(a_short_or_interrupted_read_goes_on, start),
        cmocka_unit_test(a_sync_on_the_ring_has_one_result),
        cmocka_unit_test(what_the_ring_put_off_is_asked_for_again),
        cmocka_unit_test(a_transfer_on_the_ring_ends_with_its_last_byte),
        cmocka_unit_test(what_is_only_advice_does_not_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
