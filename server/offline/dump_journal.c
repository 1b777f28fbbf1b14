/* A journal file, record by record. What lies behind its last record may be of an earlier use of
 * the file, or a tear: neither validates, and neither is damage by itself. A place that does not
 * validate with valid records behind it is. */
#include <string.h>

#include "core/journal_scan.h"
#include "server/offline/dump.h"

/* Names of the fields of records, in the order of FORMAT.md, "Record types". */
static const char *const field_names[RECORD_TYPE_END][FORMAT_FIELDS_MAX + 1] = {
    [RECORD_OPEN] = {"ordinal", "incarnation", "time", "clean"},
    [RECORD_TOPIC_CREATE] = {"id", "created", "retention", "age_ms", "bytes"},
    [RECORD_TOPIC_SET] = {"id", "zero", "retention", "age_ms", "bytes"},
    [RECORD_TOPIC_DELETE] = {"id"},
    [RECORD_NAMESPACE_SET] = {"retention", "age_ms", "bytes", "fsync_ms", "consistency",
                              "quota_bytes", "quota_topics", "quota_cursors"},
    [RECORD_RUN] = {"topic", "end"},
    [RECORD_CURSOR_CREATE] = {"topic", "id", "offset", "epoch"},
    [RECORD_CURSOR_CHECKPOINT] = {"topic", "id", "offset", "epoch"},
    [RECORD_CURSOR_SEEK] = {"topic", "id", "offset", "epoch"},
    [RECORD_CURSOR_DELETE] = {"topic", "id"},
    [RECORD_TRIM] = {"topic", "first"},
    [RECORD_BLOCK_ALLOCATE] = {"segment", "index", "generation", "topic", "first_offset",
                               "previous_segment", "previous_index"},
    [RECORD_BLOCK_FREE] = {"segment", "index", "generation"},
    [RECORD_ACCEPTED_LOSS] = {"from_lsn", "to_lsn", "time"},
};

struct walk {
    struct dump *dump;
    const struct scan *scan;
    const struct format_journal *header;
    uint32_t previous; /* Header checksum of the record before */
    bool chained;      /* It is known */
};

static uint64_t offset_of(const struct walk *walk, uint64_t lsn)
{
    return FORMAT_PAGE + (lsn - walk->header->first_lsn);
}

static void put_fields(struct dump *dump, const struct format_record *record)
{
    unsigned i;

    for (i = 0; i < FORMAT_FIELDS_MAX && field_names[record->type][i] != NULL; i++) {
        const char *name = field_names[record->type][i];

        if (strcmp(name, "time") == 0 || strcmp(name, "created") == 0) {
            dump_time(dump, name, record->field[i]);
        } else if (strcmp(name, "generation") == 0 || strcmp(name, "incarnation") == 0) {
            out_hex(dump->out, name, record->field[i]);
        } else {
            out_number(dump->out, name, record->field[i]);
        }
    }
    if (record->type == RECORD_NAMESPACE_SET) {
        out_number(dump->out, "quota_policy", record->flags);
    }
    if (record->name_size > 0) {
        out_bytes(dump->out, "name", record->name, record->name_size);
    }
}

static void dump_items(struct walk *walk, const struct scan_record *record)
{
    struct dump *dump = walk->dump;
    struct format_items items;
    struct format_item item;

    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        const uint64_t at =
            offset_of(walk, record->header.lsn) + (uint64_t)(item.bytes - record->bytes);
        struct batch_header header;
        enum batch_problem problem;

        dump_begin(dump, "item", at);
        out_number(dump->out, "segment", item.place.segment);
        out_number(dump->out, "block", item.place.index);
        out_number(dump->out, "position", item.place.position);
        dump_batch_fields(dump, &item.header);
        if (items.direct) {
            out_text(dump->out, "body", "in the block");
            out_end(dump->out);
            continue;
        }
        problem = batch_verify(item.bytes, item.padded_size, item.header.stored_size, &header);
        dump_verdict(dump, "body", problem == BATCH_GOOD);
        if (problem != BATCH_GOOD) {
            out_text(dump->out, "problem", batch_problem_text(problem));
        }
        out_end(dump->out);
        if (problem == BATCH_GOOD) {
            dump_entries(dump, item.bytes, at);
        }
    }
}

static void dump_record(struct walk *walk, const struct scan_record *record)
{
    const struct format_record_header *header = &record->header;
    const char *type = format_record_name(header->type);
    const bool items = format_record_has_items(header->type);
    struct dump *dump = walk->dump;
    struct format_record body = {.type = 0};
    int rc;

    rc = items ? format_items_check(header, record->bytes)
               : format_record_body_decode(&body, header, record->bytes);
    dump_begin(dump, "record", offset_of(walk, header->lsn));
    out_number(dump->out, "lsn", header->lsn);
    out_text(dump->out, "type", type == NULL ? "unknown" : type);
    if (type == NULL || header->flags != 0) {
        out_number(dump->out, "number", header->type);
        out_hex(dump->out, "flags", header->flags);
    }
    out_number(dump->out, "size", header->size);
    out_number(dump->out, "mark", header->mark);
    out_hex(dump->out, "crc", header->crc);
    dump_verdict(dump, "chain", !walk->chained || header->previous_crc == walk->previous);
    if (rc == TUSK_EVERSION) {
        out_text(dump->out, "body", "of a newer version");
    } else {
        dump_verdict(dump, "body", rc == 0);
    }
    if (rc == 0 && !items) {
        put_fields(dump, &body);
    }
    out_end(dump->out);
    if (rc == 0 && items) {
        dump_items(walk, record);
    }
    walk->previous = header->crc;
    walk->chained = true;
}

/* [from, to) is no record; last: nothing valid is behind it. */
static void dump_hole(struct walk *walk, uint64_t from, uint64_t to, bool zero, bool last)
{
    dump_begin(walk->dump, zero ? "zeros" : "none", offset_of(walk, from));
    out_number(walk->dump->out, "lsn", from);
    out_number(walk->dump->out, "bytes", to - from);
    if (last) {
        out_text(walk->dump->out, "meaning",
                 zero ? "written ahead" : "of an earlier use of the file, or torn");
    } else {
        dump_verdict(walk->dump, "record", false);
        walk->chained = false;
    }
    out_end(walk->dump->out);
}

static int dump_records(struct walk *walk, struct scan *scan, struct error *err)
{
    const struct scan_file *file = &scan->files[0];
    uint64_t lsn = file->header.first_lsn;
    uint64_t hole = UINT64_MAX;
    uint64_t hole_end = 0;
    bool zero = true;
    struct scan_record record;

    while (lsn != UINT64_MAX && !offline_interrupted()) {
        const enum scan_kind kind = scan_at(scan, lsn, &record, err);

        if (kind == SCAN_UNREADABLE) {
            return err->code;
        }
        if (kind == SCAN_NONE) {
            break;
        }
        if (kind != SCAN_RECORD) {
            zero = hole == UINT64_MAX ? kind == SCAN_ZERO : zero && kind == SCAN_ZERO;
            hole = hole == UINT64_MAX ? lsn : hole;
            hole_end = lsn + FORMAT_RECORD_ALIGN;
            lsn = scan_step(scan, lsn);
            continue;
        }
        if (hole != UINT64_MAX) {
            dump_hole(walk, hole, lsn, zero, false);
            hole = UINT64_MAX;
        }
        dump_record(walk, &record);
        lsn = scan_behind(scan, &record.header);
    }
    if (hole != UINT64_MAX) {
        dump_hole(walk, hole, hole_end, zero, true);
    }
    return 0;
}

int dump_journal(struct dump *dump, struct io_file *file, const uint8_t *page, struct error *err)
{
    struct scan scan = {.io = dump->io};
    struct format_journal header;
    struct walk walk = {.dump = dump, .scan = &scan, .header = &header};
    int rc = format_journal_decode(&header, page);

    (void)file; /* The scan opens it for itself */
    if (rc == TUSK_EVERSION) {
        return rc;
    }
    dump_begin(dump, "journal", 0);
    dump_verdict(dump, "checksum", rc == 0);
    if (rc != 0) {
        out_text(dump->out, "meaning", "a file whose header does not check out holds no record");
        out_end(dump->out);
        return 0;
    }
    dump_store_id(dump, header.store_id);
    out_number(dump->out, "number", header.number);
    out_number(dump->out, "size", header.size);
    out_hex(dump->out, "generation", header.generation);
    out_number(dump->out, "first_lsn", header.first_lsn);
    out_number(dump->out, "mark", header.mark);
    out_hex(dump->out, "chain", header.previous_crc);
    out_end(dump->out);
    walk.previous = header.previous_crc;
    walk.chained = header.previous_crc != 0;
    rc = scan_add(&scan, dump->path, header.number, header.store_id, err);
    if (rc == 0) {
        scan_ready(&scan);
        rc = dump_records(&walk, &scan, err);
    }
    scan_deinit(&scan);
    return rc;
}
