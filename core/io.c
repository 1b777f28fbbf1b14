/* The thin fronts of struct io: what every implementation has in common is checked here once. */
#include "core/io.h"

#include "core/check.h"
#include "core/error.h"

void io_close(struct io *io)
{
    if (io != NULL) {
        CHECK(io->in_flight == 0);
        CHECK(io->ops != NULL);
        io->ops->close(io);
    }
}

int io_make_dir(struct io *io, const char *path, struct error *err)
{
    CHECK(io != NULL);
    CHECK(path != NULL);
    return io->ops->make_dir(io, path, err);
}

int io_remove_dir(struct io *io, const char *path, struct error *err)
{
    CHECK(path != NULL);
    return io->ops->remove_dir(io, path, err);
}

int io_list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err)
{
    CHECK(path != NULL);
    CHECK(fn != NULL);
    return io->ops->list_dir(io, path, fn, arg, err);
}

int io_sync_dir(struct io *io, const char *path, struct error *err)
{
    CHECK(io != NULL);
    CHECK(path != NULL);
    return io->ops->sync_dir(io, path, err);
}

int io_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    CHECK(from != NULL);
    CHECK(to != NULL);
    return io->ops->rename(io, from, to, err);
}

int io_unlink(struct io *io, const char *path, struct error *err)
{
    CHECK(io != NULL);
    CHECK(path != NULL);
    return io->ops->unlink(io, path, err);
}

int io_lock(struct io *io, const char *path, struct error *err)
{
    CHECK(io != NULL);
    CHECK(path != NULL);
    return io->ops->lock(io, path, err);
}

int io_open(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
            struct error *err)
{
    CHECK(io != NULL);
    CHECK(path != NULL);
    CHECK(out != NULL);
    return io->ops->open(io, path, mode, out, err);
}

void io_close_file(struct io_file *file)
{
    if (file != NULL) {
        CHECK(file->in_flight == 0);
        file->io->ops->close_file(file);
    }
}

int io_size(struct io_file *file, uint64_t *size, struct error *err)
{
    CHECK(file != NULL);
    CHECK(size != NULL);
    return file->io->ops->size(file, size, err);
}

int io_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    CHECK(file != NULL);
    CHECK(size < (uint64_t)INT64_MAX);
    return file->io->ops->truncate(file, size, err);
}

int io_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset,
             struct error *err)
{
    CHECK(iov != NULL);
    CHECK(offset < (uint64_t)INT64_MAX);
    CHECK(count > 0);
    return file->io->ops->write(file, iov, count, offset, err);
}

int io_read_direct(struct io_file *file, uint8_t *data, size_t size, uint64_t offset, size_t *got,
                   struct error *err)
{
    CHECK(data != NULL);
    CHECK(got != NULL);
    CHECK((uintptr_t)data % IO_DIRECT_ALIGN == 0);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    CHECK(offset % IO_DIRECT_ALIGN == 0);
    return file->io->ops->read_direct(file, data, size, offset, got, err);
}

int io_read_cached(struct io_file *file, uint8_t *data, size_t size, uint64_t offset, size_t *got)
{
    CHECK(got != NULL);
    CHECK(data != NULL || size == 0);
    CHECK(offset < (uint64_t)INT64_MAX);
    return file->io->ops->read_cached(file, data, size, offset, got);
}

int io_share(struct io_file *file, int *fd)
{
    CHECK(file != NULL);
    CHECK(fd != NULL);
    return file->io->ops->share == NULL ? TUSK_EUNSUPPORTED : file->io->ops->share(file, fd);
}

bool io_resident(struct io_file *file, uint64_t offset, size_t size)
{
    CHECK(size > 0);
    CHECK(offset < (uint64_t)INT64_MAX - size);
    return file->io->ops->resident != NULL && file->io->ops->resident(file, offset, size);
}

void io_read_ahead(struct io_file *file, uint64_t offset, size_t size)
{
    CHECK(size > 0);
    CHECK(file->io->ops->read_ahead != NULL);
    file->io->ops->read_ahead(file, offset, size);
}

int io_send(struct io_file *file, uint64_t offset, size_t size, int socket_fd, size_t *sent)
{
    CHECK(size > 0);
    CHECK(sent != NULL);
    CHECK(file->io->ops->send != NULL);
    *sent = 0;
    return file->io->ops->send(file, offset, size, socket_fd, sent);
}

int io_sync(struct io_file *file, uint32_t *elapsed_us, struct error *err)
{
    CHECK(file != NULL);
    return file->io->ops->sync(file, elapsed_us, err);
}

int io_allocate(struct io_file *file, uint64_t offset, uint64_t size, struct error *err)
{
    CHECK(file != NULL);
    CHECK(offset < (uint64_t)INT64_MAX - size);
    CHECK(size > 0);
    return file->io->ops->allocate(file, offset, size, err);
}

int io_punch(struct io_file *file, uint64_t offset, uint64_t size, struct error *err)
{
    CHECK(file != NULL);
    CHECK(offset < (uint64_t)INT64_MAX - size);
    CHECK(size > 0);
    return file->io->ops->punch(file, offset, size, err);
}

void io_submit(struct io *io, struct io_op *op)
{
    CHECK(io != NULL);
    CHECK(op->path != NULL || op->file != NULL);
    CHECK(op->done != NULL);
    io->ops->submit(io, op);
}

int io_poll(struct io *io)
{
    CHECK(io != NULL);
    return io->ops->poll(io);
}

int io_wait(struct io *io)
{
    CHECK(io != NULL);
    return io->ops->wait(io);
}

int io_poll_fd(struct io *io)
{
    CHECK(io != NULL);
    return io->ops->poll_fd(io);
}
