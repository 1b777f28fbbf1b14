/* Blocks that say themselves whose they are: what is left to go by where the manifest is gone, or
 * where a loss took the records that gave a block to its topic.
 *
 * Page 0 of a block names store, topic, generation and first offset; its seal repeats them. So
 * topics come back with their names and offsets. What the tables knew and blocks do not say is lost
 * but for what the journal still has: cursors, settings, what was trimmed or deleted. A block that
 * was given up and not used again looks like one in use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/inspect.h"
#include "core/namespace.h"

#define PROBE_PAGES 256u /* Read at once when headers are looked for */

/* ---- headers ---- */

/* Read two pages, zeros behind the end of the file: page 0 and the seal. */
static int read_head(struct inspection *inspection, struct io_file *file, uint64_t offset)
{
    struct recovery *recovery = &inspection->recovery;
    size_t got = 0;
    int rc = recovery_buffer(recovery, (uint64_t)PROBE_PAGES * FORMAT_PAGE);

    CHECK(offset % FORMAT_PAGE == 0);
    if (rc != 0) {
        return error_set(&inspection->err, rc, "read the header of a block");
    }
    rc = io_read_direct(file, recovery->block_buffer, 2u * FORMAT_PAGE, offset, &got,
                        &inspection->err);
    if (rc == 0) {
        CHECK(got <= 2u * FORMAT_PAGE);
        memset(recovery->block_buffer + got, 0, 2u * FORMAT_PAGE - got);
    }
    return rc;
}

/* What page 0 says, or its copy in the seal. TUSK_ECORRUPT, TUSK_EVERSION. */
static int decode_head(struct format_block *block, const uint8_t *pages)
{
    const int rc = format_block_decode(block, pages);

    return rc == TUSK_ECORRUPT ? format_seal_owner_decode(block, pages + FORMAT_PAGE) : rc;
}

/* ---- sizes and store id, where no manifest gives them ---- */

struct probe {
    struct inspection *inspection;
    bool thorough; /* Every page, not just the first two of each file */
    bool found;
    uint32_t block_size;
    uint64_t file_size_max;
    int rc;
};

static void probe_pages(struct probe *probe, const uint8_t *pages, uint32_t count)
{
    struct format_block block;
    uint32_t i;

    CHECK(count <= PROBE_PAGES);
    CHECK(pages == probe->inspection->recovery.block_buffer);
    for (i = 0; i < count && !probe->found; i++) {
        const uint8_t *page = pages + (size_t)i * FORMAT_PAGE;

        if ((format_block_decode(&block, page) == 0 ||
             format_seal_owner_decode(&block, page) == 0) &&
            block.block_size >= FORMAT_BLOCK_SIZE_MIN &&
            block.block_size <= FORMAT_BLOCK_SIZE_MAX && block.block_size % FORMAT_PAGE == 0) {
            probe->found = true;
            probe->block_size = block.block_size;
            memcpy(probe->inspection->ns->store_id, block.store_id, ENGINE_STORE_ID_SIZE);
        }
    }
}

static int probe_file(struct probe *probe, struct io_file *file)
{
    struct recovery *recovery = &probe->inspection->recovery;
    struct error *err = &probe->inspection->err;
    uint64_t size;
    uint64_t offset;
    int rc = io_size(file, &size, err);

    CHECK(probe->rc == 0);
    if (rc == 0) {
        rc = read_head(probe->inspection, file, 0);
    }
    if (rc != 0) {
        return rc;
    }
    CHECK(recovery->block_buffer_size >= (uint64_t)PROBE_PAGES * FORMAT_PAGE);
    probe->file_size_max = size > probe->file_size_max ? size : probe->file_size_max;
    probe_pages(probe, recovery->block_buffer, 2);
    for (offset = 0; probe->thorough && !probe->found && offset < size;) {
        size_t got = 0;

        rc = io_read_direct(file, recovery->block_buffer, (size_t)PROBE_PAGES * FORMAT_PAGE, offset,
                            &got, err);
        if (rc != 0 || got < FORMAT_PAGE) {
            return rc;
        }
        CHECK(got <= (size_t)PROBE_PAGES * FORMAT_PAGE);
        probe_pages(probe, recovery->block_buffer, (uint32_t)(got / FORMAT_PAGE));
        offset += (uint64_t)PROBE_PAGES * FORMAT_PAGE;
    }
    return 0;
}

static int probe_entry(void *arg, const char *name, enum io_kind kind)
{
    struct probe *probe = arg;
    struct namespace *ns = probe->inspection->ns;
    struct io_file *file;
    char path[IO_PATH_SIZE];
    uint64_t number;

    CHECK(probe->rc == 0);
    if (kind != IO_KIND_FILE || !format_file_number(name, "", ".seg", &number)) {
        return 0;
    }
    space_path(&ns->space, path, number);
    probe->rc = io_open(ns->io, path, IO_OPEN_READ, &file, &probe->inspection->err);
    if (probe->rc == 0) {
        probe->rc = probe_file(probe, file);
        io_close_file(file);
    }
    return probe->rc != 0;
}

/* Without a block there may still be a journal. */
static int probe_journal(void *arg, const char *name, enum io_kind kind)
{
    struct probe *probe = arg;
    struct namespace *ns = probe->inspection->ns;
    struct format_journal header;
    struct io_file *file;
    char path[IO_PATH_SIZE];
    uint64_t number;

    CHECK(probe->rc == 0);
    if (probe->found || kind != IO_KIND_FILE || !format_file_number(name, "", ".jnl", &number)) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/journal/%s", ns->dir, name);
    probe->rc = io_open(ns->io, path, IO_OPEN_READ, &file, &probe->inspection->err);
    if (probe->rc != 0) {
        return 1;
    }
    probe->rc = read_head(probe->inspection, file, 0);
    io_close_file(file);
    if (probe->rc == 0 &&
        format_journal_decode(&header, probe->inspection->recovery.block_buffer) == 0 &&
        header.number == number) {
        probe->found = true;
        memcpy(ns->store_id, header.store_id, ENGINE_STORE_ID_SIZE);
    }
    return probe->rc != 0;
}

static int list(struct probe *probe, const char *dir, io_list_fn *fn)
{
    const int rc = io_list_dir(probe->inspection->ns->io, dir, fn, probe, &probe->inspection->err);

    CHECK(probe->rc <= 0);
    CHECK(probe->rc == 0 || rc != 0);
    return probe->rc != 0 ? probe->rc : rc;
}

static int find_sizes(struct inspection *inspection)
{
    struct namespace *ns = inspection->ns;
    struct probe probe = {.inspection = inspection, .block_size = ns->options->block_size};
    char path[IO_PATH_SIZE];
    uint64_t blocks;
    int rc = list(&probe, ns->dir, probe_entry);

    CHECK(ns->block_size == 0);
    CHECK(ns->options->block_size % FORMAT_PAGE == 0);
    CHECK(ns->options->block_size >= FORMAT_BLOCK_SIZE_MIN);
    if (rc == 0 && !probe.found) {
        (void)snprintf(path, sizeof path, "%s/journal", ns->dir);
        rc = list(&probe, path, probe_journal);
        rc = rc == TUSK_ENOTFOUND ? 0 : rc;
    }
    if (rc == 0 && probe.file_size_max > 0) {
        /* The journal names the store, and only a block its size. */
        const bool found = probe.found;

        probe.found = probe.block_size != ns->options->block_size;
        probe.thorough = true;
        rc = probe.found ? 0 : list(&probe, ns->dir, probe_entry);
        probe.found |= found;
    }
    if (rc != 0) {
        return rc;
    }
    if (!probe.found) {
        return error_set(&inspection->err, TUSK_ECORRUPT,
                         "no manifest, and neither a block nor a journal file says whose it is: "
                         "nothing is left of this namespace");
    }
    CHECK(probe.block_size >= FORMAT_BLOCK_SIZE_MIN);
    blocks = (probe.file_size_max + probe.block_size - 1) / probe.block_size;
    blocks = blocks < ns->options->blocks_per_segment ? ns->options->blocks_per_segment : blocks;
    CHECK(blocks > 0);
    ns->block_size = probe.block_size;
    ns->blocks_per_segment = blocks > UINT16_MAX ? UINT16_MAX : (uint32_t)blocks;
    return 0;
}

/* ---- blocks that no table knows ---- */

static bool name_taken(const struct inspection *inspection, const char *name, size_t size)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = size};

    return namespace_topic(inspection->ns, &ref) != NULL;
}

/* NAME~ID, or NAME~ID~N where a topic has that name, too; cut between characters where it would be
 * too long. Returns its size. */
static size_t other_name(const struct inspection *inspection, const struct format_block *head,
                         char name[FORMAT_NAME_SIZE_MAX + 1])
{
    const unsigned long long id = head->topic_id;
    uint32_t n;

    for (n = 0;; n++) {
        char tail[40];
        const int length = n == 0 ? snprintf(tail, sizeof tail, "~%llu", id)
                                  : snprintf(tail, sizeof tail, "~%llu~%u", id, n);
        size_t size = head->name_size;

        CHECK(n <= inspection->ns->topic_count); /* One of so many is free */
        CHECK(length > 0);
        CHECK((size_t)length < sizeof tail);
        if (size + (size_t)length > FORMAT_NAME_SIZE_MAX) {
            size = FORMAT_NAME_SIZE_MAX - (size_t)length;
            while (size > 0 && ((uint8_t)head->name[size] & 0xc0u) == 0x80u) {
                size--;
            }
        }
        memcpy(name, head->name, size);
        memcpy(name + size, tail, (size_t)length);
        size += (size_t)length;
        if (!name_taken(inspection, name, size)) {
            return size;
        }
    }
}

/* A topic that only its blocks speak of. NULL: err. */
static struct topic *make_topic(struct inspection *inspection, const struct format_block *head)
{
    struct namespace *ns = inspection->ns;
    char name[FORMAT_NAME_SIZE_MAX + 1];
    size_t size = head->name_size;
    struct topic *topic;

    CHECK(head->topic_id != 0);
    CHECK(size <= FORMAT_NAME_SIZE_MAX);
    CHECK(namespace_topic_by_id(ns, head->topic_id) == NULL);
    memcpy(name, head->name, size);
    if (size == 0 || name_taken(inspection, name, size)) {
        /* One of them was deleted; which entries are wanted is for a person to say. */
        size = other_name(inspection, head, name);
        inspection->renamed++;
    }
    topic = topic_new(ns, head->topic_id, name, size);
    if (topic == NULL || namespace_add_topic(ns, topic) != 0) {
        if (topic != NULL) {
            topic_free(topic);
        }
        (void)error_set(&inspection->err, TUSK_ENOMEM, "make a topic of its blocks");
        return NULL;
    }
    topic->first = head->first_offset;
    topic->next_offset = head->first_offset;
    topic->run_end = topic->next_offset;
    ns->next_topic_id =
        head->topic_id >= ns->next_topic_id ? head->topic_id + 1 : ns->next_topic_id;
    return topic;
}

static int adopt(struct inspection *inspection, struct segment *segment, uint32_t index,
                 const struct format_block *head, const uint8_t *pages)
{
    struct recovery *recovery = &inspection->recovery;
    struct namespace *ns = inspection->ns;
    struct topic *topic = namespace_topic_by_id(ns, head->topic_id);
    struct block block = {.segment = segment,
                          .segment_number = segment->number,
                          .generation = head->generation,
                          .first_offset = head->first_offset,
                          .end_offset = head->first_offset,
                          .end = FORMAT_BLOCK_DATA,
                          .index = (uint16_t)index};
    struct format_seal seal;
    int rc;

    CHECK(segment->number == head->segment);
    CHECK(index == head->index);
    CHECK(index <= UINT16_MAX);
    CHECK(pages == recovery->block_buffer);
    if (topic == NULL && inspection->way != INSPECT_FROM_BLOCKS &&
        head->topic_id < recovery->manifest.next_topic_id) {
        return 0; /* The tables would know it: it was deleted */
    }
    topic = topic == NULL ? make_topic(inspection, head) : topic;
    if (topic == NULL) {
        return inspection->err.code;
    }
    /* A seal that ends before it begins says nothing: the block is walked as if it had none. */
    if (format_seal_decode(&seal, head, pages + FORMAT_PAGE) == 0 &&
        seal.next_offset >= head->first_offset) {
        block.end = seal.end;
        block.end_offset = seal.next_offset;
        block.entries = (uint32_t)seal.entries;
        block.sealed = true;
    }
    CHECK(block.end >= FORMAT_BLOCK_DATA);
    rc = recovery_own(recovery, topic, &block);
    if (rc == 0) {
        recovery_owner(recovery, block.segment_number, index)->applied =
            block.sealed ? block.end : 0;
        rc = topic_add_block(topic, &block);
    }
    if (rc != 0) {
        return error_set(&inspection->err, rc, "note a block");
    }
    /* A topic that was made of blocks begins where the first of them does; of others the journal
     * says what was trimmed. */
    topic->first = topic->created_us == 0 && head->first_offset < topic->first ? head->first_offset
                                                                               : topic->first;
    topic->next_offset =
        block.end_offset > topic->next_offset ? block.end_offset : topic->next_offset;
    inspection->adopted++;
    return 0;
}

static int adopt_segment(struct inspection *inspection, struct segment *segment)
{
    struct namespace *ns = inspection->ns;
    uint64_t size;
    uint32_t index;
    int rc = io_size(segment->file, &size, &inspection->err);

    CHECK(segment->ns == ns);
    CHECK(ns->block_size >= FORMAT_BLOCK_SIZE_MIN);
    CHECK(ns->blocks_per_segment <= UINT16_MAX);
    for (index = 0; index < ns->blocks_per_segment && rc == 0; index++) {
        const uint64_t base = (uint64_t)index * ns->block_size;
        const uint8_t *pages;
        struct format_block head;

        if (base >= size) {
            break;
        }
        if (recovery_owner(&inspection->recovery, segment->number, index) != NULL) {
            continue;
        }
        rc = read_head(inspection, segment->file, base);
        if (rc != 0) {
            break;
        }
        pages = inspection->recovery.block_buffer;
        rc = decode_head(&head, pages);
        if (rc == TUSK_EVERSION) {
            return error_set(&inspection->err, rc, "a block is of a newer format version");
        }
        if (rc == 0 && head.segment == segment->number && head.index == index &&
            head.block_size == ns->block_size && head.topic_id != 0 &&
            head.topic_id < FORMAT_COUNTER_MAX &&
            memcmp(head.store_id, ns->store_id, sizeof ns->store_id) == 0) {
            rc = adopt(inspection, segment, index, &head, pages);
        } else {
            rc = 0;
        }
    }
    return rc;
}

int inspect_adopt_blocks(struct inspection *inspection)
{
    const struct space *space = &inspection->ns->space;
    uint32_t i;

    CHECK(inspection->recovery.lost);
    CHECK(space->count <= space->capacity);
    CHECK(inspection->block_count == 0);
    for (i = 0; i < space->count; i++) {
        const int rc = adopt_segment(inspection, space->segments[i]);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- without a manifest ---- */

int inspect_from_blocks(struct inspection *inspection)
{
    struct recovery *recovery = &inspection->recovery;
    struct namespace *ns = inspection->ns;
    uint64_t least = UINT64_MAX;
    uint32_t i;
    int rc;

    CHECK(inspection->way == INSPECT_FROM_BLOCKS);
    CHECK(ns->topic_count == 0);
    CHECK(ns->space.count == 0);
    CHECK(recovery->records == 0);
    rc = find_sizes(inspection);
    if (rc == 0) {
        rc = recovery_load_segments(recovery);
    }
    if (rc == 0) {
        rc = recovery_load_journal(recovery);
        rc = rc == TUSK_ENOTFOUND ? 0 : rc;
    }
    if (rc != 0) {
        return rc;
    }
    CHECK(recovery->scan.count <= recovery->scan.capacity);
    for (i = 0; i < recovery->scan.count; i++) {
        const struct scan_file *file = &recovery->scan.files[i];

        if (file->valid && file->header.first_lsn < least) {
            least = file->header.first_lsn;
        }
    }
    ns->settings = ns->options->settings;
    ns->next_topic_id = ns->next_topic_id == 0 ? 1 : ns->next_topic_id;
    /* What the records before this one did is not known, as behind an accepted loss. */
    recovery->lost = true;
    recovery->lost_now = true;
    recovery->manifest.lsn = least;
    if (least == UINT64_MAX) {
        return 0;
    }
    return recovery_history(recovery);
}
