/* Recovery, first part: what is there, and the tables as the manifest has them. Nothing is
 * written. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/recovery.h"
#include "proto/crc32c.h"

#define MANIFESTS_MAX 64u
/* One read of the journal: whoever watches a start hears of it as often as a slow device gives
 * anything. */
#define PROGRESS_BYTES (4u << 20)

struct listing {
    struct recovery *recovery;
    uint64_t manifests[MANIFESTS_MAX];
    uint32_t manifest_count;
    int rc;
};

void recovery_finding(struct recovery *recovery, const char *format, ...)
{
    const struct engine_options *options = recovery->ns->options;
    char text[ERROR_TEXT_SIZE];
    va_list args;

    if (options->finding == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    options->finding(options->finding_arg, recovery->ns->name, text);
}

bool recovery_progress(struct recovery *recovery)
{
    const struct engine_options *options = recovery->ns->options;
    const uint64_t done = recovery->scan.bytes_read + recovery->block_bytes_read;

    if (options->progress == NULL || done < recovery->next_progress) {
        return true;
    }
    recovery->next_progress = done + PROGRESS_BYTES;
    if (!options->progress(options->progress_arg, recovery->ns->name, done, 0)) {
        (void)error_set(recovery->err, TUSK_ECLOSED, "recovery was told to give up");
        return false;
    }
    return true;
}

/* ---- manifests ---- */

/* Keep the newest, in descending order, however many there are. */
static void note_manifest(struct listing *listing, uint64_t number)
{
    uint32_t at = listing->manifest_count;

    CHECK(listing->manifest_count <= MANIFESTS_MAX);
    while (at > 0 && listing->manifests[at - 1] < number) {
        at--;
    }
    if (at == MANIFESTS_MAX) {
        return;
    }
    if (listing->manifest_count < MANIFESTS_MAX) {
        listing->manifest_count++;
    }
    CHECK(at < listing->manifest_count);
    memmove(&listing->manifests[at + 1], &listing->manifests[at],
            (listing->manifest_count - at - 1) * sizeof listing->manifests[0]);
    listing->manifests[at] = number;
}

static int list_manifest(void *arg, const char *name, enum io_kind kind)
{
    struct listing *listing = arg;
    uint64_t number;

    CHECK(name[0] != '\0');
    if (kind == IO_KIND_FILE && format_file_number(name, "manifest-", "", &number)) {
        note_manifest(listing, number);
    } else if (strcmp(name, "manifest-spare") != 0 &&
               !(strcmp(name, "journal") == 0 && kind == IO_KIND_DIRECTORY) &&
               !(kind == IO_KIND_FILE && format_file_number(name, "", ".seg", &number))) {
        recovery_finding(listing->recovery, "unknown file \"%s\" is left alone", name);
    }
    return 0;
}

/* Segments no table speaks of are free: a crash cut off what would have used them. */
static int list_segment(void *arg, const char *name, enum io_kind kind)
{
    struct listing *listing = arg;
    struct namespace *ns = listing->recovery->ns;
    struct io_file *file;
    char path[IO_PATH_SIZE];
    uint64_t number;

    CHECK(listing->rc == 0);
    CHECK(ns->blocks_per_segment > 0);
    if (kind != IO_KIND_FILE || !format_file_number(name, "", ".seg", &number)) {
        return 0;
    }
    space_path(&ns->space, path, number);
    listing->rc = io_open(ns->io, path, IO_OPEN_WRITE, &file, listing->recovery->err);
    if (listing->rc == 0) {
        listing->rc = space_add(&ns->space, number, file, NULL);
        if (listing->rc != 0) {
            io_close_file(file);
        }
    }
    return listing->rc != 0;
}

/* Read a whole manifest from the device. 0: *bytes (owned by the caller); TUSK_ECORRUPT: not
 * valid. */
static int manifest_read(struct recovery *recovery, uint64_t number, uint8_t **bytes, size_t *size,
                         struct format_manifest *head)
{
    struct namespace *ns = recovery->ns;
    struct io_file *file = NULL;
    uint64_t file_size;
    size_t got = 0;
    size_t padded;
    int rc;

    CHECK(head != NULL);
    manifest_path(ns, ns->manifest.path, number);
    *bytes = NULL;
    if (io_open(ns->io, ns->manifest.path, IO_OPEN_READ, &file, recovery->err) != 0) {
        return recovery->err->code;
    }
    rc = io_size(file, &file_size, recovery->err);
    if (rc == 0 && file_size < FORMAT_PAGE) {
        rc = TUSK_ECORRUPT;
    }
    padded = (size_t)((file_size + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1));
    if (rc == 0) {
        *bytes = aligned_alloc(IO_DIRECT_ALIGN, padded);
        rc = *bytes == NULL ? error_set(recovery->err, TUSK_ENOMEM, "read a manifest")
                            : io_read_direct(file, *bytes, padded, 0, &got, recovery->err);
    }
    io_close_file(file);
    if (rc == 0 && got < FORMAT_PAGE) {
        rc = TUSK_ECORRUPT;
    }
    if (rc == 0) {
        rc = format_manifest_decode(head, *bytes);
    }
    if (rc == TUSK_EVERSION) {
        (void)error_set(recovery->err, rc, "manifest %016llx is of a newer format version",
                        (unsigned long long)number);
    }
    if (rc == 0 && (head->number != number || head->body_size > got - FORMAT_PAGE ||
                    crc32c(0, *bytes + FORMAT_PAGE, head->body_size) != head->body_crc)) {
        rc = TUSK_ECORRUPT;
    }
    *size = FORMAT_PAGE + (rc == 0 ? (size_t)head->body_size : 0);
    if (rc != 0) {
        free(*bytes);
        *bytes = NULL;
    }
    CHECK((rc == 0) == (*bytes != NULL));
    return rc;
}

static int take_cursors(struct topic *topic, const struct format_topic *saved, const uint8_t **at,
                        const uint8_t *end)
{
    struct format_cursor cursor;
    uint32_t i;

    CHECK(topic->cursor_count == 0);
    for (i = 0; i < saved->cursor_count; i++) {
        if (format_cursor_decode(&cursor, at, end) != 0 || cursor.id >= FORMAT_COUNTER_MAX ||
            (topic->cursor_count > 0 &&
             topic->cursors_by_id[topic->cursor_count - 1]->id >= cursor.id)) {
            return TUSK_ECORRUPT;
        }
        if (topic_cursor_find(topic, cursor.name, cursor.name_size) != NULL) {
            return TUSK_ECORRUPT;
        }
        if (topic_cursor_add(topic, cursor.id, cursor.name, cursor.name_size, cursor.offset,
                             cursor.epoch) == NULL) {
            return TUSK_ENOMEM;
        }
    }
    return 0;
}

static int take_blocks(struct recovery *recovery, struct topic *topic,
                       const struct format_topic *saved, const uint8_t **at, const uint8_t *end)
{
    struct namespace *ns = recovery->ns;
    struct format_topic_block in;
    uint64_t reached = 0;
    uint32_t i;

    CHECK(topic->block_count == 0);
    for (i = 0; i < saved->block_count; i++) {
        struct block block;
        int rc;

        if (format_topic_block_decode(&in, at, end) != 0 || in.index >= ns->blocks_per_segment ||
            in.segment >= recovery->manifest.next_segment ||
            in.end > format_block_limit(ns->block_size) || in.end < FORMAT_BLOCK_DATA ||
            in.end % BATCH_ALIGN != 0 || in.first_offset < reached ||
            in.end_offset < in.first_offset || in.end_offset > topic->next_offset) {
            return TUSK_ECORRUPT;
        }
        reached = in.end_offset;
        block = (struct block){.segment = space_find(&ns->space, in.segment),
                               .segment_number = in.segment,
                               .generation = in.generation,
                               .first_offset = in.first_offset,
                               .end_offset = in.end_offset,
                               .last_time_us = in.last_time_us,
                               .end = in.end,
                               .entries = in.entries,
                               .index = (uint16_t)in.index,
                               .sealed = in.sealed != 0,
                               /* Its page 0 is written with its first bytes */
                               .headed = in.end > FORMAT_BLOCK_DATA};
        rc = recovery_own(recovery, topic, &block);
        if (rc == 0) {
            rc = topic_add_block(topic, &block);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int take_topic(struct recovery *recovery, const uint8_t **at, const uint8_t *end)
{
    struct namespace *ns = recovery->ns;
    struct format_topic saved;
    struct topic *topic;
    int rc;

    if (format_topic_decode(&saved, at, end) != 0 || saved.name_size == 0 || saved.id == 0 ||
        saved.id >= ns->next_topic_id ||
        saved.first > saved.next_offset || saved.next_offset > saved.run_end ||
        namespace_topic_by_id(ns, saved.id) != NULL ||
        namespace_topic(ns, &(struct engine_topic_ref){.name = saved.name,
                                                       .name_size = saved.name_size}) != NULL) {
        return TUSK_ECORRUPT;
    }
    topic = topic_new(ns, saved.id, saved.name, saved.name_size);
    if (topic == NULL) {
        return TUSK_ENOMEM;
    }
    topic->created_us = saved.created_us;
    topic->retention = saved.retention;
    topic->first = saved.first;
    topic->next_offset = saved.next_offset;
    topic->run_end = saved.run_end;
    topic->last_time_us = saved.last_time_us;
    topic->last_crc = saved.last_crc;
    if (namespace_add_topic(ns, topic) != 0) {
        topic_free(topic);
        return TUSK_ENOMEM;
    }
    rc = take_cursors(topic, &saved, at, end);
    if (rc == 0 && saved.next_cursor_id < topic->next_cursor_id) {
        rc = TUSK_ECORRUPT;
    }
    topic->next_cursor_id = saved.next_cursor_id;
    CHECK(topic->ns == ns);
    ns->cursor_count += topic->cursor_count;
    return rc != 0 ? rc : take_blocks(recovery, topic, &saved, at, end);
}

static int take_manifest(struct recovery *recovery, const uint8_t *bytes, size_t size)
{
    struct namespace *ns = recovery->ns;
    const struct format_manifest *head = &recovery->manifest;
    const uint8_t *at = bytes + FORMAT_PAGE;
    const uint8_t *end = bytes + size;
    struct format_incarnation incarnation;
    uint64_t i;
    int rc = 0;

    CHECK(size >= FORMAT_PAGE);
    CHECK(ns->topic_count == 0);
    memcpy(ns->store_id, head->store_id, sizeof ns->store_id);
    ns->settings = head->settings;
    ns->next_topic_id = head->next_topic_id;
    if (head->next_segment > ns->space.next_segment) {
        ns->space.next_segment = head->next_segment;
    }
    for (i = 0; i < head->incarnation_count && rc == 0; i++) {
        rc = format_incarnation_decode(&incarnation, &at, end);
        if (rc == 0 && ns->incarnation_count < NAMESPACE_INCARNATIONS_MAX) {
            ns->incarnations[ns->incarnation_count++] = incarnation;
        }
    }
    for (i = 0; i < head->topic_count && rc == 0; i++) {
        rc = take_topic(recovery, &at, end);
    }
    if (rc == 0 && at != end) {
        rc = TUSK_ECORRUPT;
    }
    return rc;
}

/* Note the manifest before the one used: the journal behind it is kept. */
static int note_older(struct recovery *recovery, uint64_t number)
{
    struct format_manifest head = {0};
    uint8_t *bytes;
    size_t size;
    const int rc = manifest_read(recovery, number, &bytes, &size, &head);

    CHECK(!recovery->has_older);
    CHECK(number < recovery->newest_number);
    free(bytes);
    if (rc == TUSK_EVERSION || rc == TUSK_ENOMEM) {
        return rc;
    }
    if (rc == 0) {
        recovery->older_known = true;
        recovery->older_lsn = head.lsn;
    } else {
        recovery_finding(recovery, "manifest %016llx, the older one, %s",
                         (unsigned long long)number,
                         rc == TUSK_EIO ? "cannot be read" : "is damaged");
    }
    recovery->has_older = true;
    recovery->older_number = number;
    return 0;
}

/* Find the newest valid manifest; keep its bytes. */
static int choose_manifest(struct recovery *recovery, const struct listing *listing,
                           uint8_t **bytes, size_t *size)
{
    struct namespace *ns = recovery->ns;
    uint32_t i;
    int rc = TUSK_ECORRUPT;

    CHECK(listing->manifest_count <= MANIFESTS_MAX);
    CHECK(listing->rc == 0);
    for (i = 0; i < listing->manifest_count; i++) {
        rc = manifest_read(recovery, listing->manifests[i], bytes, size, &recovery->manifest);
        if (rc != TUSK_ECORRUPT && rc != TUSK_EIO) {
            break;
        }
        recovery_finding(recovery, "manifest %016llx %s; an older one is tried",
                         (unsigned long long)listing->manifests[i],
                         rc == TUSK_EIO ? "cannot be read" : "is damaged");
    }
    if (rc == TUSK_ECORRUPT || rc == TUSK_EIO) {
        ns->recovery_rows[ROW_R15]++;
        return error_set(recovery->err, TUSK_ECORRUPT,
                         "no valid manifest: a namespace without one is damaged, never empty; "
                         "restore a backup, or rebuild from its blocks offline");
    }
    if (rc != 0) {
        return rc;
    }
    if (i > 0) {
        ns->recovery_rows[ROW_R16]++;
    }
    return i + 1 < listing->manifest_count ? note_older(recovery, listing->manifests[i + 1]) : 0;
}

/* ---- journal files ---- */

static int list_journal(void *arg, const char *name, enum io_kind kind)
{
    struct listing *listing = arg;
    struct recovery *recovery = listing->recovery;
    char path[IO_PATH_SIZE];
    uint64_t number;

    CHECK(listing->rc == 0);
    CHECK(recovery->scan.io != NULL);
    if (kind != IO_KIND_FILE || !format_file_number(name, "", ".jnl", &number)) {
        recovery_finding(recovery, "unknown file \"journal/%s\" is left alone", name);
        return 0;
    }
    if (recovery->scan.count >= JOURNAL_FILES_MAX) {
        listing->rc =
            error_set(recovery->err, TUSK_ETOOBIG, "more than %u journal files", JOURNAL_FILES_MAX);
        return 1;
    }
    journal_path(&recovery->ns->journal, path, number);
    listing->rc = scan_add(&recovery->scan, path, number, recovery->ns->store_id, recovery->err);
    if (listing->rc == TUSK_EIO) {
        recovery->ns->recovery_rows[ROW_R10]++;
    }
    return listing->rc != 0;
}

static int finish_listing(struct recovery *recovery, const struct listing *listing, int rc)
{
    CHECK(listing->rc <= 0);
    if (listing->rc != 0) {
        if (recovery->err->code != listing->rc) {
            (void)error_set(recovery->err, listing->rc, "%s", status_text(listing->rc));
        }
        return listing->rc;
    }
    return rc;
}

int recovery_load_segments(struct recovery *recovery)
{
    struct listing listing = {.recovery = recovery};
    struct namespace *ns = recovery->ns;

    return finish_listing(recovery, &listing,
                          io_list_dir(ns->io, ns->dir, list_segment, &listing, recovery->err));
}

int recovery_load_journal(struct recovery *recovery)
{
    struct listing listing = {.recovery = recovery};
    char path[IO_PATH_SIZE];
    int rc;

    recovery->scan.io = recovery->ns->io;
    recovery->scan.lenient = recovery->lenient;
    (void)snprintf(path, sizeof path, "%s/journal", recovery->ns->dir);
    rc = finish_listing(recovery, &listing,
                        io_list_dir(recovery->ns->io, path, list_journal, &listing, recovery->err));
    scan_ready(&recovery->scan);
    return rc;
}

int recovery_load(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct listing listing = {.recovery = recovery};
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc;

    CHECK(recovery->err != NULL);
    CHECK(ns->space.count == 0);
    rc = finish_listing(recovery, &listing,
                        io_list_dir(ns->io, ns->dir, list_manifest, &listing, recovery->err));
    if (rc != 0) {
        return rc;
    }
    recovery->newest_number = listing.manifest_count == 0 ? 0 : listing.manifests[0];
    rc = choose_manifest(recovery, &listing, &bytes, &size);
    if (rc != 0) {
        free(bytes);
        return rc;
    }
    ns->block_size = recovery->manifest.block_size;
    ns->blocks_per_segment = recovery->manifest.blocks_per_segment;
    if (ns->block_size < FORMAT_BLOCK_SIZE_MIN || ns->block_size > FORMAT_BLOCK_SIZE_MAX ||
        ns->block_size % FORMAT_PAGE != 0 || ns->blocks_per_segment == 0 ||
        ns->blocks_per_segment > UINT16_MAX) {
        free(bytes);
        return error_set(recovery->err, TUSK_ECORRUPT, "the manifest's block sizes make no sense");
    }
    rc = recovery_load_segments(recovery);
    if (rc != 0) {
        free(bytes);
        return rc;
    }
    rc = take_manifest(recovery, bytes, size);
    free(bytes);
    if (rc != 0) {
        return error_set(recovery->err, rc,
                         rc == TUSK_ENOMEM ? "hold the tables of the manifest"
                                           : "the manifest contradicts itself");
    }
    return recovery_load_journal(recovery);
}
