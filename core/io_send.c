/* From the page cache to a socket, without a copy of ours. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_files.h"

#define RESIDENT_PAGES 256u /* Asked about at once */

/* Whether mincore(2) says of all pages that they are in memory. It wants a map; one that nothing is
 * read through costs two short system calls, and nothing has to be kept. (The kernel tells it only
 * to a file's owner or writer; the data directory is ours.) */
bool disk_resident(struct io_file *base, uint64_t offset, size_t size)
{
    const uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t start = offset - offset % page_size;
    const size_t length = (size_t)(offset + size - start);
    unsigned char pages[RESIDENT_PAGES];
    bool resident = true;
    size_t at;
    uint8_t *map;

    CHECK(disk_file_of(base)->fd >= 0);
    CHECK(size > 0);
    map = mmap(NULL, length, PROT_READ, MAP_SHARED, disk_file_of(base)->fd, (off_t)start);
    if (map == MAP_FAILED) {
        return false;
    }
    for (at = 0; resident && at < length; at += sizeof pages * page_size) {
        const size_t part =
            length - at < sizeof pages * page_size ? length - at : sizeof pages * page_size;
        const size_t count = (part + page_size - 1) / page_size;
        size_t i;

        resident = mincore(map + at, part, pages) == 0;
        for (i = 0; resident && i < count; i++) {
            resident = (pages[i] & 1) != 0;
        }
    }
    CHECK(munmap(map, length) == 0);
    return resident;
}

void disk_read_ahead(struct io_file *base, uint64_t offset, size_t size)
{
    CHECK(disk_file_of(base)->fd >= 0);
    CHECK(size > 0);
    (void)posix_fadvise(disk_file_of(base)->fd, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

int disk_send(struct io_file *base, uint64_t offset, size_t size, int socket_fd, size_t *sent)
{
    off_t at = (off_t)offset;
    ssize_t rc;

    CHECK(disk_file_of(base)->fd >= 0);
    CHECK(size > 0);
    do {
        rc = sendfile(socket_fd, disk_file_of(base)->fd, &at, size);
    } while (rc < 0 && errno == EINTR);
    if (rc > 0) {
        *sent = (size_t)rc;
        return 0;
    }
    if (rc < 0 && (errno == EAGAIN || errno == ENOMEM)) {
        return TUSK_EBUSY;
    }
    if (rc < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)) {
        return TUSK_EUNREACHABLE;
    }
    return TUSK_EUNSUPPORTED; /* What the file or the socket cannot do; or the file ends here */
}
