/* Records into the ring, the ring into files. Making and recycling files is in journal_files.c. */
#include "core/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/probe.h"
#include "core/tail.h"

/* A record of items is closed at this size: large enough to make its header cheap, small enough
 * that a torn one costs little. */
#define RECORD_SIZE_MAX (256u * 1024u)
/* A turn is written early at this much, so that the ring never fills with unwritten bytes. */
#define SPAN_BYTES_MAX (4u * 1024u * 1024u)

static uint64_t record_size_max(const struct engine_options *options)
{
    const uint64_t quarter = (options->journal_file_min - FORMAT_PAGE) / 4u;

    CHECK(options->journal_file_min >= 8u * FORMAT_PAGE);
    return quarter < RECORD_SIZE_MAX ? quarter : RECORD_SIZE_MAX;
}

uint64_t journal_item_max(const struct engine_options *options)
{
    const uint64_t half = (options->journal_file_min - FORMAT_PAGE) / 2u;

    return (half - FORMAT_RECORD_HEADER_SIZE - FORMAT_RECORD_ALIGN) & ~(uint64_t)15u;
}

int journal_init(struct journal *journal, struct namespace *ns)
{
    CHECK(ns->options != NULL);
    *journal = (struct journal){.ns = ns, .next_number = 1};
    journal->file_size = ns->options->journal_file_min;
    journal->zeros = calloc(1, JOURNAL_ZERO_STEP);
    return journal->zeros == NULL ? TUSK_ENOMEM : 0;
}

static void files_free(struct journal_file *file)
{
    while (file != NULL) {
        CHECK(file->next != file);
        struct journal_file *next = file->next;

        io_close_file(file->file);
        free(file);
        file = next;
    }
}

void journal_deinit(struct journal *journal)
{
    CHECK((journal->spares == NULL) == (journal->spare_count == 0));
    files_free(journal->files);
    files_free(journal->spares);
    files_free(journal->retired);
    files_free(journal->making);
    free(journal->zeros);
    *journal = (struct journal){0};
}

void journal_path(const struct journal *journal, char path[IO_PATH_SIZE], uint64_t number)
{
    CHECK(path != NULL);
    (void)snprintf(path, IO_PATH_SIZE, "%s/journal/%016llx.jnl", journal->ns->dir,
                   (unsigned long long)number);
}

int journal_activate(struct journal *journal, struct error *err)
{
    struct journal_file *file = journal->spares;
    uint8_t page[FORMAT_PAGE];
    struct format_journal header;
    struct iovec iov = {.iov_base = page, .iov_len = sizeof page};

    CHECK((file == NULL) == (journal->spare_count == 0));
    if (file == NULL) {
        return error_set(err, TUSK_ENOSPACE, "no journal file is ready");
    }
    file->generation = engine_random(journal->ns->engine);
    file->first_lsn = journal->next_lsn;
    file->end_lsn = UINT64_MAX;
    file->seed = format_journal_seed(journal->ns->store_id, file->generation);
    header = (struct format_journal){.number = file->number,
                                     .size = file->size,
                                     .generation = file->generation,
                                     .first_lsn = file->first_lsn,
                                     .mark = journal->ns->flusher.durable,
                                     .previous_crc = journal->last_crc};
    memcpy(header.store_id, journal->ns->store_id, sizeof header.store_id);
    format_journal_encode(page, &header);
    if (io_write(file->file, &iov, 1, 0, err) != 0) {
        return error_wrap(err, "begin journal file %016llx", (unsigned long long)file->number);
    }
    file->unsynced = true;
    CHECK(file->size > FORMAT_PAGE);
    CHECK(file->file != NULL);
    journal->spares = file->next;
    journal->spare_count--;
    file->next = NULL;
    if (journal->current != NULL) {
        journal->current->end_lsn = journal->next_lsn;
    }
    journal_keep(&journal->files, file);
    journal->current = file;
    return 0;
}

/* A file that lasted less than this was too small for the load. */
#define ROLL_US 30000000u

static int roll(struct journal *journal, struct error *err)
{
    const uint64_t now = journal->ns->now.mono_us;
    const uint64_t max = journal->ns->options->journal_file_max;

    CHECK(now >= journal->rolled_us);
    CHECK(journal->file_size >= journal->ns->options->journal_file_min);
    if (now - journal->rolled_us < ROLL_US && journal->file_size < max) {
        journal->file_size = journal->file_size * 2 > max ? max : journal->file_size * 2;
    }
    journal->rolled_us = now;
    return journal_activate(journal, err);
}

static uint64_t file_used(const struct journal *journal)
{
    CHECK(journal->current != NULL);
    CHECK(journal->next_lsn >= journal->current->first_lsn);
    return FORMAT_PAGE + (journal->next_lsn - journal->current->first_lsn);
}

static void write_spans(struct journal *journal)
{
    unsigned i;

    CHECK(journal->span_count <= JOURNAL_SPANS_MAX);
    PROBE2(journal_write_begin, journal->ns->name, journal->span_bytes);
    for (i = 0; i < journal->span_count && journal->failure.code == 0; i++) {
        const struct journal_span *span = &journal->spans[i];
        struct iovec iov = {.iov_base = ring_at(&journal->ns->ring, span->position),
                            .iov_len = span->size};

        CHECK(span->size > 0);
        CHECK(span->offset >= FORMAT_PAGE);
        CHECK(span->position % journal->ns->ring.size + span->size <= journal->ns->ring.size);
        span->file->unsynced = true;
        if (io_write(span->file->file, &iov, 1, span->offset, &journal->failure) != 0) {
            (void)error_wrap(&journal->failure, "write the journal");
        }
    }
    PROBE3(journal_write_done, journal->ns->name, journal->span_bytes, journal->failure.code);
    if (journal->failure.code != 0) {
        return;
    }
    flusher_wrote(&journal->ns->flusher, journal->span_bytes, journal->ns->now.mono_us);
    journal->ns->counters.flushes++;
    journal->ns->counters.flush_bytes += journal->span_bytes;
    journal->span_count = 0;
    journal->span_bytes = 0;
}

/* Find a place in the files for a record of padded bytes at a ring position. */
static void place_record(struct journal *journal, uint64_t position, uint64_t padded)
{
    struct journal_span *last;
    uint64_t offset;

    CHECK(padded > 0);
    CHECK(padded % FORMAT_RECORD_ALIGN == 0);
    CHECK(position % FORMAT_RECORD_ALIGN == 0);
    if (file_used(journal) + padded > journal->current->size && journal->failure.code == 0) {
        (void)roll(journal, &journal->failure);
    }
    if (journal->span_count == JOURNAL_SPANS_MAX || journal->span_bytes > SPAN_BYTES_MAX) {
        write_spans(journal);
    }
    if (journal->failure.code != 0) {
        return;
    }
    offset = file_used(journal);
    CHECK(offset + padded <= journal->current->size);
    last = journal->span_count == 0 ? NULL : &journal->spans[journal->span_count - 1];
    if (last != NULL && last->file == journal->current && last->position + last->size == position &&
        position % journal->ns->ring.size != 0) {
        last->size += padded;
    } else {
        journal->spans[journal->span_count++] = (struct journal_span){
            .position = position, .size = padded, .file = journal->current, .offset = offset};
    }
    journal->span_bytes += padded;
    CHECK(journal->span_count <= JOURNAL_SPANS_MAX);
}

/* Give the record at a ring position its header and its place in the order. */
static void finish_record(struct journal *journal, uint64_t position, uint64_t size, uint16_t type,
                          uint16_t flags, uint32_t body_crc)
{
    const uint64_t padded = format_record_padded(size);
    uint8_t *bytes = ring_at(&journal->ns->ring, position);
    struct format_record_header header;

    CHECK(type < RECORD_TYPE_END);
    CHECK(size >= FORMAT_RECORD_HEADER_SIZE);
    CHECK(padded - size < FORMAT_RECORD_ALIGN);
    CHECK(!journal->open);
    place_record(journal, position, padded);
    memset(bytes + size, 0, padded - size);
    CHECK((flags & FORMAT_FLAGS_INCOMPATIBLE) == 0);
    header = (struct format_record_header){.type = type,
                                           .flags = flags,
                                           .lsn = journal->next_lsn,
                                           .size = (uint32_t)size,
                                           .body_crc = body_crc,
                                           .previous_crc = journal->last_crc,
                                           .mark = journal->ns->flusher.durable};
    CHECK(header.mark <= header.lsn);
    format_record_header_encode(bytes, &header, journal->current->seed);
    journal->last_crc = header.crc;
    CHECK(header.mark >= journal->last_mark);
    journal->last_mark = header.mark;
    journal->last_type = type;
    journal->next_lsn += padded;
}

static void close_record(struct journal *journal)
{
    struct format_record record;
    uint64_t size = journal->open_size;
    uint16_t type = journal->open_type;
    uint8_t *bytes;
    uint32_t crc;

    if (!journal->open) {
        return;
    }
    CHECK(journal->open_size > FORMAT_RECORD_HEADER_SIZE);
    CHECK(format_record_has_items(journal->open_type));
    journal->open = false;
    bytes = ring_at(&journal->ns->ring, journal->open_position);
    if (stretch_end(&journal->stretch, journal->ns, &record)) {
        /* Its items are in their block: the place in the ring is the new record's. */
        CHECK(type == RECORD_BATCH);
        CHECK(format_record_size(&record) <= size);
        size = format_record_size(&record);
        type = record.type;
        journal->ns->ring.head = journal->open_position + format_record_padded(size);
        crc = format_record_body_encode(bytes, &record);
    } else {
        crc = format_items_crc(type, bytes + FORMAT_RECORD_HEADER_SIZE,
                               size - FORMAT_RECORD_HEADER_SIZE);
    }
    finish_record(journal, journal->open_position, size, type, 0, crc);
}

uint8_t *journal_item(struct journal *journal, uint16_t type, uint32_t size, uint64_t *position)
{
    struct ring *ring = &journal->ns->ring;

    CHECK(type == RECORD_BATCH || type == RECORD_DIRECT);
    CHECK(size >= FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE);
    CHECK(size % BATCH_ALIGN == 0);
    CHECK(size <= journal_item_max(journal->ns->options));
    if (journal->open &&
        (journal->open_type != type ||
         journal->open_size + size > record_size_max(journal->ns->options) ||
         journal->open_position % ring->size + format_record_padded(journal->open_size + size) >
             ring->size)) {
        close_record(journal);
    }
    if (!journal->open) {
        journal->open = true;
        journal->open_type = type;
        journal->open_position =
            ring_place(ring, format_record_padded(FORMAT_RECORD_HEADER_SIZE + (uint64_t)size));
        journal->open_size = FORMAT_RECORD_HEADER_SIZE;
        stretch_begin(&journal->stretch);
    }
    CHECK(journal->open_position % FORMAT_RECORD_ALIGN == 0);
    *position = journal->open_position + journal->open_size;
    journal->open_size += size;
    ring->head = journal->open_position + format_record_padded(journal->open_size);
    CHECK(ring->head >= *position + size);
    return ring_at(ring, *position);
}

uint64_t journal_item_done(struct journal *journal)
{
    CHECK(journal->open_size > FORMAT_RECORD_HEADER_SIZE);
    CHECK(journal->open);
    return journal->next_lsn + 1;
}

uint64_t journal_record(struct journal *journal, const struct format_record *record)
{
    struct ring *ring = &journal->ns->ring;
    const uint32_t size = format_record_size(record);
    uint64_t position;
    uint32_t crc;

    CHECK(record != NULL);
    CHECK(!format_record_has_items(record->type));
    /* A failure here is kept in journal->failure, like any other. */
    (void)tail_make_room(journal->ns, size);
    close_record(journal);
    CHECK(!journal->open);
    position = ring_place(ring, format_record_padded(size));
    ring->head = position + format_record_padded(size);
    crc = format_record_body_encode(ring_at(ring, position), record);
    finish_record(journal, position, size, record->type, record->flags, crc);
    return journal->next_lsn - 1;
}

int journal_flush(struct journal *journal, struct error *err)
{
    CHECK(journal->written <= journal->next_lsn);
    if (journal->failure.code == 0) {
        close_record(journal);
        if (journal->span_count > 0) {
            write_spans(journal);
        }
    }
    if (journal->failure.code != 0) {
        if (err != NULL) {
            *err = journal->failure;
        }
        return journal->failure.code;
    }
    CHECK(!journal->open);
    CHECK(journal->span_count == 0);
    journal->written = journal->next_lsn;
    return 0;
}

uint64_t journal_unwritten_position(const struct journal *journal)
{
    CHECK(journal->span_count <= JOURNAL_SPANS_MAX);
    if (journal->span_count > 0) {
        return journal->spans[0].position;
    }
    return journal->open ? journal->open_position : journal->ns->ring.head;
}

int journal_admits(const struct journal *journal, uint64_t size, unsigned reserve)
{
    const struct manifest *manifest = &journal->ns->manifest;
    const uint64_t used =
        file_used(journal) + format_record_padded(journal->open ? journal->open_size : 0);
    const uint64_t need =
        format_record_padded(FORMAT_RECORD_HEADER_SIZE + size) + FORMAT_RECORD_ALIGN;

    CHECK(reserve <= JOURNAL_RESERVE);
    if (reserve >= JOURNAL_RESERVE &&
        journal_behind(journal, manifest->older_lsn) > journal->ns->options->journal_size_max) {
        /* The next manifest makes room; if that has no space for itself, say so. */
        return manifest->retry_us != 0 ? TUSK_ENOSPACE : 0;
    }
    if (used + need <= journal->current->size || journal->spare_count > reserve) {
        return 1;
    }
    return journal->no_space ? TUSK_ENOSPACE : 0;
}

void journal_retire(struct journal *journal, uint64_t lsn)
{
    /* Something behind the next file's first record is durable, so its header is: recovery from
     * `lsn` never needs this file to know where the history goes on. */
    while (journal->files != journal->current && journal->files->end_lsn <= lsn &&
           journal->files->end_lsn < journal->ns->flusher.durable) {
        CHECK(journal->files->next != NULL || journal->current == NULL);
        struct journal_file *file = journal->files;

        /* All of it is durable, but a sync under way may still use the file; journal_work() waits
         * for that. */
        CHECK(!file->unsynced);
        journal->files = file->next;
        journal_keep(&journal->retired, file);
    }
}

void journal_keep(struct journal_file **list, struct journal_file *file)
{
    CHECK(list != NULL);
    CHECK(file->file != NULL);
    while (*list != NULL) {
        list = &(*list)->next;
    }
    file->next = NULL;
    *list = file;
}
