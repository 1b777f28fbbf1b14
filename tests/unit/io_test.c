/* Files, names and immediate operations of every real disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/io_files.h"
#include "io_fixture.h"

#define KIB 1024u
#define GATHER_COUNT (3 * IOV_MAX)
/* A write of more pieces than the kernel takes at once, empty ones among them, arrives whole. */
static void gathered_write_of_any_number_of_pieces_is_read_back(void **state)
{
    static uint8_t data[64 * KIB];
    static uint8_t back[sizeof data];
    static struct iovec iov[GATHER_COUNT];
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);
    size_t used = 0;

    io_fixture_fill(data, sizeof data);
    for (size_t i = 0; i < GATHER_COUNT; i++) {
        const size_t size = io_fixture_random() % 20;

        iov[i] = (struct iovec){.iov_base = data + used, .iov_len = size};
        used += size;
    }
    assert_true(used < sizeof data);
    assert_int_equal(io_write(file, iov, GATHER_COUNT, 5, &f->err), 0);
    assert_int_equal(io_fixture_read(f, file, back, sizeof back, 5), used);
    assert_memory_equal(back, data, used);
    io_close_file(file);
}

/* Files grow beyond any map of them, and are mostly holes: what stands at their end is read all the same. */
static void a_file_of_any_size_is_read_at_its_end(void **state)
{
    static const uint64_t sizes[] = {UINT64_C(1) << 20, UINT64_C(3) << 26, UINT64_C(5) << 40};
    static uint8_t data[3 * 4096];
    static uint8_t back[sizeof data];
    struct iovec iov = {.iov_base = data, .iov_len = sizeof data};
    struct io_fixture *f = *state;
    unsigned i;

    io_fixture_fill(data, sizeof data);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);
        uint64_t size = 0;

        if (io_truncate(file, sizes[i], &f->err) == 0) { /* Some file systems have an end */
            assert_int_equal(io_write(file, &iov, 1, sizes[i] - 100, &f->err), 0);
            assert_int_equal(io_size(file, &size, &f->err), 0);
            assert_int_equal(size, sizes[i] - 100 + sizeof data);
            assert_int_equal(io_fixture_read(f, file, back, sizeof back, sizes[i] - 100),
                             sizeof data);
            assert_memory_equal(back, data, sizeof data);
        }
        io_close_file(file);
        assert_int_equal(io_unlink(f->io, "file", &f->err), 0);
    }
}

/* Names of two letters are names, also with one dot; and a read of nothing gives nothing. */
static void short_names_and_empty_reads_are_allowed(void **state)
{
    static const char *const names[] = {"ab", ".b", "a."};
    struct io_fixture *f = *state;
    uint8_t data[4] = "x";
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct io_file *file = io_fixture_create(f, names[i], data, 1);
        size_t got = 7;

        assert_int_equal(io_read_cached(file, data, 0, 0, &got), 0);
        assert_int_equal(got, 0);
        io_close_file(file);
    }
}

/* A cached read of more than is looked at in one go gives what is there, in as many reads as it takes. */
static void a_large_cached_read_comes_whole(void **state)
{
    const size_t size = 9u << 20;
    uint8_t *data = malloc(size);
    uint8_t *back = malloc(size);
    struct io_fixture *f = *state;
    struct io_file *file;

    assert_non_null(data);
    assert_non_null(back);
    io_fixture_fill(data, size);
    file = io_fixture_create(f, "file", data, size);
    assert_int_equal(io_fixture_read(f, file, back, size, 0), size);
    assert_memory_equal(back, data, size);
    io_close_file(file);
    free(data);
    free(back);
}

/* Creating never takes over a file that is there, and what is created is private to its owner. */
static void create_is_exclusive_and_private(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = NULL;
    struct stat st;

    assert_int_equal(io_make_dir(f->io, "dir", &f->err), 0);
    assert_int_equal(io_make_dir(f->io, "dir", &f->err), TUSK_EEXISTS);
    io_close_file(io_fixture_create(f, "dir/file", (const uint8_t *)"kept", 4));
    assert_int_equal(io_open(f->io, "dir/file", IO_OPEN_CREATE, &file, &f->err), TUSK_EEXISTS);
    assert_non_null(strstr(f->err.text, "dir/file"));
    assert_int_equal(stat(io_fixture_path(f, "dir/file"), &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(io_fixture_path(f, "dir"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(io_open(f->io, "none", IO_OPEN_WRITE, &file, &f->err), TUSK_ENOTFOUND);
    assert_int_equal(io_open(f->io, "none", IO_OPEN_READ, &file, &f->err), TUSK_ENOTFOUND);
}

static void expect_refused(struct io_fixture *f, const char *path, int code)
{
    struct io_file *file = NULL;

    assert_int_equal(io_open(f->io, path, IO_OPEN_READ, &file, &f->err), code);
    assert_int_equal(io_open(f->io, path, IO_OPEN_WRITE, &file, &f->err), code);
    assert_int_equal(f->err.code, code);
    assert_non_null(strstr(f->err.text, path));
    assert_null(file);
}

/* No path leads out of the data directory, whatever its parts are called. */
static void paths_that_lead_out_are_refused(void **state)
{
    const char *paths[] = {"",  "..",  "../x",  "a/../b", "a/..", "/etc/passwd",
                           ".", "./a", "a/./b", "a//b",   "a/",   "/"};
    struct io_fixture *f = *state;
    char longest[IO_PATH_SIZE + 1];

    assert_int_equal(io_make_dir(f->io, "a", &f->err), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        expect_refused(f, paths[i], TUSK_EINVALID);
        assert_int_equal(io_make_dir(f->io, paths[i], &f->err), TUSK_EINVALID);
        assert_int_equal(io_remove_dir(f->io, paths[i], &f->err), TUSK_EINVALID);
        assert_int_equal(io_unlink(f->io, paths[i], &f->err), TUSK_EINVALID);
        assert_int_equal(io_rename(f->io, paths[i], "b", &f->err), TUSK_EINVALID);
        assert_int_equal(io_rename(f->io, "a", paths[i], &f->err), TUSK_EINVALID);
        assert_int_equal(io_lock(f->io, paths[i], &f->err), TUSK_EINVALID);
    }
    memset(longest, 'x', IO_PATH_SIZE);
    longest[IO_PATH_SIZE] = '\0';
    assert_int_equal(io_make_dir(f->io, longest, &f->err), TUSK_EINVALID);
}

static void expect_links_refused(struct io_fixture *f)
{
    struct io_file *file = NULL;

    expect_refused(f, "link", TUSK_EDENIED);
    expect_refused(f, "dirlink/file", TUSK_EDENIED);
    assert_int_equal(io_open(f->io, "link", IO_OPEN_CREATE, &file, &f->err), TUSK_EEXISTS);
    assert_int_equal(io_open(f->io, "dirlink/new", IO_OPEN_CREATE, &file, &f->err), TUSK_EDENIED);
    assert_int_equal(io_make_dir(f->io, "dirlink/new", &f->err), TUSK_EDENIED);
    assert_int_equal(io_remove_dir(f->io, "dirlink/sub", &f->err), TUSK_EDENIED);
    assert_int_equal(io_unlink(f->io, "dirlink/file", &f->err), TUSK_EDENIED);
    assert_int_equal(io_rename(f->io, "dirlink/file", "x", &f->err), TUSK_EDENIED);
    assert_int_equal(io_rename(f->io, "dir/file", "dirlink/x", &f->err), TUSK_EDENIED);
    assert_int_equal(io_lock(f->io, "dirlink/file", &f->err), TUSK_EDENIED);
    assert_int_equal(io_lock(f->io, "link", &f->err), TUSK_EDENIED);
    assert_int_equal(io_sync_dir(f->io, "dirlink/sub", &f->err), TUSK_EDENIED);
    io_close_file(io_fixture_open(f, "dir/file", IO_OPEN_WRITE));
}

static void make_links(struct io_fixture *f)
{
    assert_int_equal(io_make_dir(f->io, "dir", &f->err), 0);
    assert_int_equal(io_make_dir(f->io, "dir/sub", &f->err), 0);
    io_close_file(io_fixture_create(f, "dir/file", (const uint8_t *)"kept", 4));
    assert_int_equal(symlink("dir/file", io_fixture_path(f, "link")), 0);
    assert_int_equal(symlink("dir", io_fixture_path(f, "dirlink")), 0);
}

/* A symbolic link is refused at the end of a path and on the way, even one that stays inside. */
static void links_are_never_followed(void **state)
{
    make_links(*state);
    expect_links_refused(*state);
}

static void expect_links_refused_without_openat2(struct io_fixture *f)
{
    struct io *io = f->io;

    io_fixture_forbid(SYS_openat2, EPERM);
    assert_int_equal(io_posix_open(&f->io, f->dir, 1, &f->err), 0);
    expect_links_refused(f);
    io_close(f->io);
    f->io = io;
}

/* The same where a sandbox knows no openat2(2). */
static void links_are_never_followed_without_openat2(void **state)
{
    make_links(*state);
    assert_int_equal(io_fixture_in_child(expect_links_refused_without_openat2, *state), 0);
}

/* A FIFO would block its opener for ever; it is refused at once, and so is a directory. */
static void only_regular_files_are_opened(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = NULL;

    assert_int_equal(mkfifo(io_fixture_path(f, "fifo"), 0600), 0);
    expect_refused(f, "fifo", TUSK_EINVALID);
    assert_int_equal(io_lock(f->io, "fifo", &f->err), TUSK_EINVALID);
    assert_int_equal(io_make_dir(f->io, "dir", &f->err), 0);
    assert_int_equal(io_open(f->io, "dir", IO_OPEN_READ, &file, &f->err), TUSK_EINVALID);
    assert_int_not_equal(io_open(f->io, "dir", IO_OPEN_WRITE, &file, &f->err), 0);
    assert_null(file);
}

static void expect_locked_out(struct io_fixture *f)
{
    struct io *io = NULL;
    char holder[32];

    (void)snprintf(holder, sizeof holder, "process %ld", (long)getppid());
    assert_int_equal(io_posix_open(&io, f->dir, 1, &f->err), 0);
    assert_int_equal(io_lock(io, "LOCK", &f->err), TUSK_ELOCKED);
    assert_non_null(strstr(f->err.text, holder));
    assert_int_equal(io_lock(io, "OTHER", &f->err), 0);
    io_close(io);
}

/* A second process is told who holds the lock, which goes with its holder's io. */
static void lock_is_refused_to_a_second_opener_naming_the_first(void **state)
{
    struct io_fixture *f = *state;
    struct io *io = NULL;

    assert_int_equal(io_posix_open(&io, f->dir, 1, &f->err), 0);
    assert_int_equal(io_lock(f->io, "LOCK", &f->err), 0);
    assert_int_equal(io_fixture_in_child(expect_locked_out, f), 0);
    assert_int_equal(io_lock(io, "LOCK", &f->err), TUSK_ELOCKED);
    assert_int_equal(io_lock(f->io, "OTHER", &f->err), 0);
    io_close(f->io);
    f->io = io;
    assert_int_equal(io_lock(io, "LOCK", &f->err), 0);
    assert_int_equal(io_lock(io, "OTHER", &f->err), 0);
}

/* Recovery reads the device: what was written through the cache a moment ago is there, also of a
 * file that was renamed since it was opened. */
static void direct_read_sees_what_was_written_through_the_cache(void **state)
{
    static uint8_t data[40 * KIB + 123];
    struct io_fixture *f = *state;
    struct io_file *file;
    uint8_t *back = aligned_alloc(IO_DIRECT_ALIGN, 64 * KIB);
    size_t got = 0;

    assert_non_null(back);
    io_fixture_fill(data, sizeof data);
    file = io_fixture_create(f, "file.tmp", data, sizeof data);
    assert_int_equal(io_rename(f->io, "file.tmp", "file", &f->err), 0);
    io_close_file(io_fixture_create(f, "file.tmp", data + 1, 100));
    assert_int_equal(io_read_direct(file, back, 64 * KIB, 0, &got, &f->err), 0);
    assert_int_equal(got, sizeof data);
    assert_memory_equal(back, data, sizeof data);
    assert_int_equal(io_read_direct(file, back, 8 * KIB, 8 * KIB, &got, &f->err), 0);
    assert_int_equal(got, 8 * KIB);
    assert_memory_equal(back, data + 8 * KIB, 8 * KIB);
    assert_int_equal(io_read_direct(file, back, 4 * KIB, 64 * KIB, &got, &f->err), 0);
    assert_int_equal(got, 0);
    io_close_file(file);
    free(back);
}

/* Where the file system has no O_DIRECT the same holds, through a cache that was dropped. */
static void direct_read_without_o_direct_reads_the_same(void **state)
{
    static uint8_t data[40 * KIB + 123];
    struct io_fixture *f = *state;
    uint8_t *back = aligned_alloc(IO_DIRECT_ALIGN, 64 * KIB);
    struct io_file *file;
    size_t got = 0;

    assert_non_null(back);
    io_fixture_fill(data, sizeof data);
    file = io_fixture_create(f, "file", data, sizeof data);
    disk_file_of(file)->direct = DISK_DIRECT_NONE;
    assert_int_equal(io_read_direct(file, back, 64 * KIB, 0, &got, &f->err), 0);
    assert_int_equal(got, sizeof data);
    assert_memory_equal(back, data, sizeof data);
    io_close_file(file);
    free(back);
}

/* Drop the page at offset from memory. Recently used pages may stay, so it takes several tries; on
 * a file system that is memory none succeeds, which returns false. */
static bool make_cold(struct io_fixture *f, const char *path, off_t offset)
{
    const int fd = open(io_fixture_path(f, path), O_RDONLY);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, offset);
    unsigned char resident = 1;

    assert_true(map != MAP_FAILED);
    for (unsigned tries = 0; tries < 5000 && (resident & 1) != 0; tries++) {
        assert_int_equal(io_call_drop_cache(fd, 0, 0), 0);
        assert_int_equal(mincore(map, 4096, &resident), 0);
    }
    assert_int_equal(munmap(map, 4096), 0);
    assert_int_equal(close(fd), 0);
    return (resident & 1) == 0;
}

/* Read cold bytes until the answer is that they are not there. Asking makes the kernel fetch them, so a fast
 * device may have them there at once, every time: then, or when they cannot be made cold, false. */
static bool read_until_busy(struct io_fixture *f, struct io_file *file, const uint8_t *expected)
{
    uint8_t back[100];
    size_t got;
    int rc = 0;

    for (unsigned tries = 0; rc == 0 && tries < 1000; tries++) {
        if (!make_cold(f, "file", 4096)) {
            return false;
        }
        rc = io_read_cached(file, back, sizeof back, 5000, &got);
        assert_int_equal(got, rc == 0 ? sizeof back : 0);
        assert_memory_equal(back, expected + 5000, got);
    }
    if (rc == 0) {
        return false;
    }
    assert_int_equal(rc, TUSK_EBUSY);
    return true;
}

/* What is not in memory is not waited for: the caller is told, and an operation fetches it. */
static void cold_bytes_are_busy_until_an_operation_read_them(void **state)
{
    static uint8_t data[64 * KIB];
    struct io_fixture *f = *state;
    uint8_t back[100];
    struct io_op op = {.kind = IO_OP_READ, .data = back, .size = sizeof back, .offset = 5000};
    struct iovec page = {.iov_base = data, .iov_len = 4096};
    size_t got;

    io_fixture_fill(data, sizeof data);
    op.file = io_fixture_create(f, "file", data, sizeof data);
    if (!read_until_busy(f, op.file, data)) {
        print_message("skipped: this file system has every byte at once\n");
        io_close_file(op.file);
        skip();
    }
    assert_int_equal(io_write(op.file, &page, 1, 0, &f->err), 0);
    assert_int_equal(io_read_cached(op.file, back, sizeof back, 4050, &got), 0);
    assert_true(got >= 46); /* To the end of the page in memory, at least */
    assert_memory_equal(back, data + 4050, got);
    assert_int_equal(io_fixture_run_op(f, &op), 0);
    assert_memory_equal(back, data + 5000, sizeof back);
    io_close_file(op.file);
}

/* Random writes and reads of a file agree with the same done to memory. */
static void random_reads_agree_with_a_model(void **state)
{
    static uint8_t model[256 * KIB];
    static uint8_t back[32 * KIB];
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);
    uint64_t end = 0;

    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < 3000; i++) {
        const size_t size = io_fixture_random() % sizeof back;
        const uint64_t offset = io_fixture_random() % (sizeof model - sizeof back);

        if (i % 3 == 0 && size > 0) {
            struct iovec iov = {.iov_base = model + offset, .iov_len = size};

            io_fixture_fill(model + offset, size);
            end = end > offset + size ? end : offset + size;
            assert_int_equal(io_write(file, &iov, 1, offset, &f->err), 0);
        } else {
            const uint64_t left = end > offset ? end - offset : 0;

            assert_int_equal(io_fixture_read(f, file, back, size, offset),
                             size < left ? size : left);
            assert_memory_equal(back, model + offset, size < left ? size : left);
        }
    }
    io_close_file(file);
}

/* A file shortened and grown again by its owner is read as it is: nothing behind the end, zeros
 * where it was cut or punched. */
static void truncated_and_punched_bytes_are_gone(void **state)
{
    static uint8_t data[64 * KIB];
    static uint8_t back[64 * KIB];
    static const uint8_t zeros[64 * KIB];
    struct io_fixture *f = *state;
    struct io_file *file;
    uint64_t size = 0;

    io_fixture_fill(data, sizeof data);
    file = io_fixture_create(f, "file", data, sizeof data);
    assert_int_equal(io_fixture_read(f, file, back, sizeof back, 0), sizeof back);
    assert_int_equal(io_truncate(file, 10000, &f->err), 0);
    assert_int_equal(io_fixture_read(f, file, back, sizeof back, 0), 10000);
    assert_int_equal(io_truncate(file, 50000, &f->err), 0);
    assert_int_equal(io_size(file, &size, &f->err), 0);
    assert_int_equal(size, 50000);
    assert_int_equal(io_punch(file, 4096, 4096, &f->err), 0);
    assert_int_equal(io_fixture_read(f, file, back, sizeof back, 0), 50000);
    assert_memory_equal(back, data, 4096);
    assert_memory_equal(back + 4096, zeros, 4096);
    assert_memory_equal(back + 8192, data + 8192, 10000 - 8192);
    assert_memory_equal(back + 10000, zeros, 40000);
    io_close_file(file);
}

/* Allocating takes the space, gives the file its size, and leaves its bytes alone. */
static void allocated_space_is_taken_at_once(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_create(f, "file", (const uint8_t *)"kept", 4);
    uint32_t elapsed_us = UINT32_MAX;
    uint8_t back[4];
    struct stat st;

    assert_int_equal(io_allocate(file, 0, 1024 * KIB, &f->err), 0);
    assert_int_equal(stat(io_fixture_path(f, "file"), &st), 0);
    assert_int_equal(st.st_size, 1024 * KIB);
    assert_true(st.st_blocks * 512 >= 1024 * (int64_t)KIB);
    assert_int_equal(io_fixture_read(f, file, back, 4, 0), 4);
    assert_memory_equal(back, "kept", 4);
    assert_int_equal(io_sync(file, &elapsed_us, &f->err), 0);
    assert_true(elapsed_us < 600u * 1000 * 1000);
    assert_int_equal(io_sync(file, NULL, &f->err), 0);
    io_close_file(file);
}

struct listing {
    unsigned files;
    unsigned directories;
    unsigned others;
    int stop;
};

static int count_entry(void *arg, const char *name, enum io_kind kind)
{
    struct listing *listing = arg;

    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    listing->files += kind == IO_KIND_FILE;
    listing->directories += kind == IO_KIND_DIRECTORY;
    listing->others += kind == IO_KIND_OTHER;
    return listing->stop;
}

/* A listing tells files from directories from what it has no business with, and stops when told. */
static void listing_names_everything_once_with_its_kind(void **state)
{
    struct io_fixture *f = *state;
    struct listing all = {0};
    struct listing one = {.stop = 7};

    make_links(f);
    io_close_file(io_fixture_open(f, "file", IO_OPEN_CREATE));
    assert_int_equal(io_list_dir(f->io, "", count_entry, &all, &f->err), 0);
    assert_int_equal(all.files, 1);
    assert_int_equal(all.directories, 1);
    assert_int_equal(all.others, 2);
    assert_int_equal(io_list_dir(f->io, "", count_entry, &one, &f->err), 7);
    assert_int_equal(one.files + one.directories + one.others, 1);
    assert_int_equal(io_list_dir(f->io, "none", count_entry, &one, &f->err), TUSK_ENOTFOUND);
    assert_int_equal(io_list_dir(f->io, "dirlink", count_entry, &one, &f->err), TUSK_EDENIED);
}

/* Names move and go as asked, and a directory goes only when empty. */
static void names_are_renamed_and_removed(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = NULL;

    assert_int_equal(io_make_dir(f->io, "a", &f->err), 0);
    assert_int_equal(io_make_dir(f->io, "a/b", &f->err), 0);
    io_close_file(io_fixture_create(f, "a/b/old", (const uint8_t *)"new", 3));
    io_close_file(io_fixture_create(f, "target", (const uint8_t *)"replaced", 8));
    assert_int_equal(io_remove_dir(f->io, "a/b", &f->err), TUSK_EIO);
    assert_int_equal(io_rename(f->io, "a/b/old", "target", &f->err), 0);
    assert_int_equal(io_rename(f->io, "a/b/old", "target", &f->err), TUSK_ENOTFOUND);
    assert_non_null(strstr(f->err.text, "rename a/b/old: to target"));
    assert_int_equal(io_open(f->io, "a/b/old", IO_OPEN_READ, &file, &f->err), TUSK_ENOTFOUND);
    assert_int_equal(io_sync_dir(f->io, "a/b", &f->err), 0);
    assert_int_equal(io_sync_dir(f->io, "", &f->err), 0);
    assert_int_equal(io_remove_dir(f->io, "a/b", &f->err), 0);
    assert_int_equal(io_unlink(f->io, "target", &f->err), 0);
    assert_int_equal(io_unlink(f->io, "target", &f->err), TUSK_ENOTFOUND);
}

/* A data directory that is missing, or a file, is an error with its path. */
static void data_directory_must_be_a_directory(void **state)
{
    struct io_fixture *f = *state;
    struct io *io = NULL;

    io_close_file(io_fixture_open(f, "file", IO_OPEN_CREATE));
    assert_int_equal(io_posix_open(&io, io_fixture_path(f, "none"), 1, &f->err), TUSK_ENOTFOUND);
    assert_non_null(strstr(f->err.text, io_fixture_path(f, "none")));
    assert_int_equal(io_mmap_open(&io, io_fixture_path(f, "file"), 1, &f->err), TUSK_EIO);
    assert_int_not_equal(io_uring_open(&io, io_fixture_path(f, "file"), &f->err), 0);
    assert_null(io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(gathered_write_of_any_number_of_pieces_is_read_back),
        IO_TEST(a_file_of_any_size_is_read_at_its_end),
        IO_TEST(short_names_and_empty_reads_are_allowed),
        IO_TEST(a_large_cached_read_comes_whole),
        IO_TEST(create_is_exclusive_and_private),
        IO_TEST(paths_that_lead_out_are_refused),
        IO_TEST(links_are_never_followed),
        IO_TEST(links_are_never_followed_without_openat2),
        IO_TEST(only_regular_files_are_opened),
        IO_TEST(lock_is_refused_to_a_second_opener_naming_the_first),
        IO_TEST(direct_read_sees_what_was_written_through_the_cache),
        IO_TEST(direct_read_without_o_direct_reads_the_same),
        IO_TEST(cold_bytes_are_busy_until_an_operation_read_them),
        IO_TEST(random_reads_agree_with_a_model),
        IO_TEST(truncated_and_punched_bytes_are_gone),
        IO_TEST(allocated_space_is_taken_at_once),
        IO_TEST(listing_names_everything_once_with_its_kind),
        IO_TEST(names_are_renamed_and_removed),
        IO_TEST(data_directory_must_be_a_directory),
    };

    return io_fixture_run(tests, sizeof tests / sizeof tests[0]);
}
