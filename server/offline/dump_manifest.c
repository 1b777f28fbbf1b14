/* A manifest: its head, then incarnations, and topics with their cursors and blocks. */
#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"
#include "server/offline/dump.h"

struct walk {
    struct dump *dump;
    const uint8_t *bytes;
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t offset_of(const struct walk *walk)
{
    return (uint64_t)(walk->at - walk->bytes);
}

static bool dump_incarnation(struct walk *walk)
{
    const uint64_t at = offset_of(walk);
    struct format_incarnation incarnation;
    struct dump *dump = walk->dump;

    if (format_incarnation_decode(&incarnation, &walk->at, walk->end) != 0) {
        return false;
    }
    dump_begin(dump, "incarnation", at);
    out_number(dump->out, "ordinal", incarnation.ordinal);
    out_hex(dump->out, "id", incarnation.id);
    out_number(dump->out, "lsn", incarnation.lsn);
    dump_time(dump, "time", incarnation.time_us);
    out_end(dump->out);
    return true;
}

static bool dump_cursor(struct walk *walk)
{
    const uint64_t at = offset_of(walk);
    struct format_cursor cursor;
    struct dump *dump = walk->dump;

    if (format_cursor_decode(&cursor, &walk->at, walk->end) != 0) {
        return false;
    }
    dump_begin(dump, "cursor", at);
    out_bytes(dump->out, "name", cursor.name, cursor.name_size);
    out_number(dump->out, "id", cursor.id);
    out_number(dump->out, "offset", cursor.offset);
    out_number(dump->out, "epoch", cursor.epoch);
    out_end(dump->out);
    return true;
}

static bool dump_block(struct walk *walk)
{
    const uint64_t at = offset_of(walk);
    struct format_topic_block block;
    struct dump *dump = walk->dump;

    if (format_topic_block_decode(&block, &walk->at, walk->end) != 0) {
        return false;
    }
    dump_begin(dump, "block", at);
    out_number(dump->out, "segment", block.segment);
    out_number(dump->out, "index", block.index);
    out_hex(dump->out, "generation", block.generation);
    out_number(dump->out, "first_offset", block.first_offset);
    out_number(dump->out, "end_offset", block.end_offset);
    out_number(dump->out, "entries", block.entries);
    out_number(dump->out, "end", block.end);
    out_flag(dump->out, "sealed", block.sealed != 0);
    dump_time(dump, "last_time", block.last_time_us);
    out_end(dump->out);
    return true;
}

static bool dump_topic(struct walk *walk)
{
    const uint64_t at = offset_of(walk);
    struct format_topic topic;
    struct dump *dump = walk->dump;
    uint32_t i;

    if (format_topic_decode(&topic, &walk->at, walk->end) != 0) {
        return false;
    }
    dump_begin(dump, "topic", at);
    out_bytes(dump->out, "name", topic.name, topic.name_size);
    out_number(dump->out, "id", topic.id);
    out_number(dump->out, "first", topic.first);
    out_number(dump->out, "next_offset", topic.next_offset);
    out_number(dump->out, "run_end", topic.run_end);
    out_number(dump->out, "run_size", topic.run_size);
    out_number(dump->out, "retention", topic.retention.kind);
    out_number(dump->out, "age_ms", topic.retention.age_ms);
    out_number(dump->out, "bytes", topic.retention.bytes);
    out_number(dump->out, "next_cursor_id", topic.next_cursor_id);
    out_hex(dump->out, "last_crc", topic.last_crc);
    out_number(dump->out, "cursors", topic.cursor_count);
    out_number(dump->out, "blocks", topic.block_count);
    dump_time(dump, "created", topic.created_us);
    dump_time(dump, "last_time", topic.last_time_us);
    out_end(dump->out);
    for (i = 0; i < topic.cursor_count; i++) {
        if (!dump_cursor(walk)) {
            return false;
        }
    }
    for (i = 0; i < topic.block_count; i++) {
        if (!dump_block(walk)) {
            return false;
        }
    }
    return true;
}

static void dump_head(struct dump *dump, const struct format_manifest *head, bool body_good)
{
    struct out *out = dump->out;

    dump_begin(dump, "manifest", 0);
    dump_verdict(dump, "checksum", true);
    dump_verdict(dump, "body", body_good);
    dump_store_id(dump, head->store_id);
    out_number(out, "number", head->number);
    out_number(out, "lsn", head->lsn);
    out_number(out, "mark", head->mark);
    dump_time(dump, "time", head->time_us);
    out_number(out, "body_size", head->body_size);
    out_hex(out, "chain", head->chain_crc);
    out_number(out, "block_size", head->block_size);
    out_number(out, "blocks_per_segment", head->blocks_per_segment);
    out_number(out, "next_topic_id", head->next_topic_id);
    out_number(out, "next_segment", head->next_segment);
    out_number(out, "last_ordinal", head->incarnation_ordinal);
    out_number(out, "incarnations", head->incarnation_count);
    out_number(out, "topics", head->topic_count);
    out_number(out, "retention", head->settings.retention.kind);
    out_number(out, "age_ms", head->settings.retention.age_ms);
    out_number(out, "bytes", head->settings.retention.bytes);
    out_number(out, "fsync_ms", head->settings.fsync_ms);
    out_number(out, "consistency", head->settings.consistency);
    out_number(out, "quota_bytes", head->settings.quota_bytes);
    out_number(out, "quota_topics", head->settings.quota_topics);
    out_number(out, "quota_cursors", head->settings.quota_cursors);
    out_number(out, "quota_policy", head->settings.quota_policy);
    out_end(out);
}

static void dump_body(struct walk *walk, const struct format_manifest *head)
{
    bool whole = true;
    uint64_t i;

    for (i = 0; i < head->incarnation_count && whole && !offline_interrupted(); i++) {
        whole = dump_incarnation(walk);
    }
    for (i = 0; i < head->topic_count && whole && !offline_interrupted(); i++) {
        whole = dump_topic(walk);
    }
    if (!offline_interrupted() && (!whole || walk->at != walk->end)) {
        dump_begin(walk->dump, "rest", offset_of(walk));
        out_number(walk->dump->out, "bytes", (uint64_t)(walk->end - walk->at));
        dump_verdict(walk->dump, "tables", false);
        out_end(walk->dump->out);
    }
}

int dump_manifest(struct dump *dump, struct io_file *file, const uint8_t *page, uint64_t size,
                  struct error *err)
{
    const size_t padded = (size_t)((size + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1));
    struct walk walk = {.dump = dump};
    struct format_manifest head;
    uint8_t *bytes;
    size_t got = 0;
    uint64_t body;
    bool good;
    int rc = format_manifest_decode(&head, page);

    if (rc == TUSK_EVERSION) {
        return rc;
    }
    if (rc != 0) {
        dump_begin(dump, "manifest", 0);
        dump_verdict(dump, "checksum", false);
        out_text(dump->out, "meaning", "a manifest whose header does not check out says nothing");
        out_end(dump->out);
        return 0;
    }
    bytes = aligned_alloc(IO_DIRECT_ALIGN, padded);
    if (bytes == NULL) {
        return error_set(err, TUSK_ENOMEM, "read a manifest of %llu bytes",
                         (unsigned long long)size);
    }
    rc = io_read_direct(file, bytes, padded, 0, &got, err);
    if (rc == 0 && got < FORMAT_PAGE) {
        rc = error_set(err, TUSK_EIO, "%s became shorter while it was read", dump->path);
    }
    if (rc == 0) {
        body = head.body_size < got - FORMAT_PAGE ? head.body_size : got - FORMAT_PAGE;
        good =
            body == head.body_size && crc32c(0, bytes + FORMAT_PAGE, (size_t)body) == head.body_crc;
        dump_head(dump, &head, good);
        walk.bytes = bytes;
        walk.at = bytes + FORMAT_PAGE;
        walk.end = walk.at + body;
        dump_body(&walk, &head);
    }
    free(bytes);
    return rc;
}
