/* Plain system calls: immediate operations inline, submitted ones on a few threads. Used where
 * the kernel or a sandbox forbids rings. */
#include "core/check.h"
#include "core/io_threads.h"

static const struct io_ops posix_ops = {
    .name = "posix",
    .close = io_threads_close,
    DISK_IMMEDIATE_OPS,
    .close_file = disk_close_file,
    .read_cached = disk_read_cached,
    .submit = io_threads_submit,
    .poll = io_threads_poll,
    .wait = io_threads_wait,
    .poll_fd = io_threads_poll_fd,
};

int io_posix_open(struct io **out, const char *data_dir, unsigned threads, struct error *err)
{
    CHECK(out != NULL);
    CHECK(data_dir != NULL);
    CHECK(threads > 0);
    return io_threads_open(out, &posix_ops, data_dir, sizeof(struct disk_file), disk_op_run,
                           threads, err);
}
