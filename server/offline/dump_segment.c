/* A segment: its blocks, each with header, seal, index and batches. Where the valid bytes of a
 * block end only the tables know, so in a block without a seal what does not validate behind the
 * last batch is not called damage. */
#include <stdlib.h>
#include <string.h>

#include "core/block_walk.h"
#include "server/offline/dump.h"

struct segment_walk {
    struct dump *dump;
    struct io_file *file;
    uint64_t size;
    uint8_t *pages; /* Owned; PAGES of them */
    struct block_walk walk;
    unsigned blocks; /* Described */
};

#define PAGES 64u

static int read_pages(struct segment_walk *walk, uint64_t offset, unsigned count, struct error *err)
{
    size_t got = 0;
    const int rc =
        io_read_direct(walk->file, walk->pages, (size_t)count * FORMAT_PAGE, offset, &got, err);

    if (rc == 0) {
        memset(walk->pages + got, 0, (size_t)count * FORMAT_PAGE - got);
    }
    return rc;
}

static bool sizes_known(const struct format_block *block)
{
    return block->block_size >= FORMAT_BLOCK_SIZE_MIN &&
           block->block_size <= FORMAT_BLOCK_SIZE_MAX && block->block_size % FORMAT_PAGE == 0;
}

/* The block size that some header or seal in the file names; 0: none does. TUSK_EVERSION where one
 * is of another version. */
static int find_block_size(struct segment_walk *walk, uint32_t *block_size, struct error *err)
{
    uint64_t offset;
    unsigned i;

    *block_size = 0;
    for (offset = 0; offset < walk->size; offset += (uint64_t)PAGES * FORMAT_PAGE) {
        const int rc = read_pages(walk, offset, PAGES, err);

        if (rc != 0) {
            return rc;
        }
        for (i = 0; i < PAGES; i++) {
            const uint8_t *page = walk->pages + (size_t)i * FORMAT_PAGE;
            struct format_block block;
            int found = format_block_decode(&block, page);

            if (found == TUSK_EVERSION) {
                return found;
            }
            found = found == 0 ? 0 : format_seal_owner_decode(&block, page);
            if (found == 0 && sizes_known(&block)) {
                *block_size = block.block_size;
                return 0;
            }
        }
    }
    return 0;
}

static void put_owner(struct dump *dump, const struct format_block *block)
{
    struct out *out = dump->out;

    dump_store_id(dump, block->store_id);
    out_number(out, "segment", block->segment);
    out_number(out, "index", block->index);
    out_hex(out, "generation", block->generation);
    out_number(out, "topic_id", block->topic_id);
    out_bytes(out, "topic", block->name, block->name_size);
    out_number(out, "first_offset", block->first_offset);
    out_number(out, "block_size", block->block_size);
}

/* NULL, or filled from the seal. own: the block it must be of; NULL: any. */
static bool decode_seal(const uint8_t *page, const struct format_block *own,
                        struct format_seal *seal)
{
    struct format_block owner;

    return format_seal_owner_decode(&owner, page) == 0 && sizes_known(&owner) &&
           format_seal_decode(seal, own == NULL ? &owner : own, page) == 0;
}

void dump_seal(struct dump *dump, const uint8_t *page, const struct format_block *own,
               uint64_t offset)
{
    struct format_block owner;
    struct format_seal seal;

    dump_begin(dump, "seal", offset);
    dump_verdict(dump, "checksum", decode_seal(page, own, &seal));
    if (decode_seal(page, own, &seal)) {
        (void)format_seal_owner_decode(&owner, page); /* It has just been decoded */
        if (own == NULL) {
            put_owner(dump, &owner);
        }
        out_number(dump->out, "end", seal.end);
        out_number(dump->out, "entries", seal.entries);
        out_number(dump->out, "next_offset", seal.next_offset);
        out_hex(dump->out, "last_crc", seal.last_crc);
        out_number(dump->out, "index_entries", seal.index_count);
        dump_time(dump, "last_time", seal.last_time_us);
    }
    out_end(dump->out);
}

static int dump_index(struct segment_walk *walk, uint64_t base, uint32_t block_size,
                      const struct format_seal *seal, struct error *err)
{
    struct format_index_entry entries[FORMAT_INDEX_MAX];
    const uint64_t at = base + format_block_limit(block_size);
    struct dump *dump = walk->dump;
    uint32_t i;
    bool good;
    int rc;

    if (seal->index_count == 0) {
        return 0;
    }
    rc = read_pages(walk, at, 1, err);
    if (rc != 0) {
        return rc;
    }
    good = format_index_decode(entries, seal->index_count, seal->index_crc, walk->pages) == 0;
    dump_begin(dump, "index", at);
    dump_verdict(dump, "checksum", good);
    out_number(dump->out, "entries", seal->index_count);
    out_end(dump->out);
    for (i = 0; good && i < seal->index_count; i++) {
        dump_begin(dump, "index_entry", at + (uint64_t)i * FORMAT_INDEX_ENTRY_SIZE);
        out_number(dump->out, "offset", entries[i].offset);
        out_number(dump->out, "position", entries[i].position);
        out_number(dump->out, "entries_before", entries[i].entries);
        out_end(dump->out);
    }
    return 0;
}

static void dump_batch(struct dump *dump, uint64_t base, const struct block_walk_step *step)
{
    dump_begin(dump, "batch", base + step->position);
    out_number(dump->out, "position", step->position);
    dump_batch_fields(dump, &step->header);
    dump_verdict(dump, "header", true);
    dump_verdict(dump, "body", step->kind == BLOCK_WALK_BATCH);
    if (step->problem != BATCH_GOOD) {
        out_text(dump->out, "problem", batch_problem_text(step->problem));
    }
    out_end(dump->out);
    if (step->kind == BLOCK_WALK_BATCH) {
        dump_entries(dump, step->bytes, base + step->position);
    }
}

/* Bytes that are no batch. expected: the tables, or a batch behind them, say that there was one. */
static void dump_none(struct dump *dump, uint64_t base, const struct block_walk_step *step,
                      bool expected)
{
    dump_begin(dump, "none", base + step->position);
    out_number(dump->out, "position", step->position);
    out_number(dump->out, "bytes", step->size);
    if (expected) {
        dump_verdict(dump, "header", false);
        out_text(dump->out, "problem", batch_problem_text(step->problem));
    } else {
        out_text(dump->out, "meaning", "free, or torn: no batch of this use of the block follows");
    }
    out_end(dump->out);
}

static int dump_batches(struct segment_walk *walk, uint64_t base, const struct format_block *block,
                        uint32_t end, bool end_known, struct error *err)
{
    struct block_walk_step step;
    struct block_walk_step none = {.kind = BLOCK_WALK_END};
    int rc;

    block_walk_begin(&walk->walk, walk->file, base, batch_seed(block->store_id, block->generation),
                     FORMAT_BLOCK_DATA, end);
    do {
        rc = block_walk_next(&walk->walk, &step, err);
        if (rc != 0) {
            break;
        }
        if (none.kind == BLOCK_WALK_BAD) {
            dump_none(walk->dump, base, &none, end_known || step.kind != BLOCK_WALK_END);
            none.kind = BLOCK_WALK_END;
        }
        if (step.kind == BLOCK_WALK_BAD) {
            none = step;
        } else if (step.kind != BLOCK_WALK_END) {
            dump_batch(walk->dump, base, &step);
        }
    } while (step.kind != BLOCK_WALK_END && !offline_interrupted());
    return rc;
}

static int dump_block(struct segment_walk *walk, uint64_t base, uint32_t block_size,
                      struct error *err)
{
    uint8_t pages[2][FORMAT_PAGE];
    struct dump *dump = walk->dump;
    struct format_block block;
    struct format_seal seal = {.end = format_block_limit(block_size)};
    bool header_good;
    bool sealed;
    int rc = read_pages(walk, base, 2, err);

    if (rc != 0) {
        return rc;
    }
    memcpy(pages, walk->pages, sizeof pages);
    rc = format_block_decode(&block, pages[0]);
    if (rc == TUSK_EVERSION) {
        return rc;
    }
    header_good = rc == 0;
    if (!header_good && format_seal_owner_decode(&block, pages[1]) != 0) {
        if (format_page_kind(pages[0]) == FORMAT_PAGE_OTHER) {
            return 0; /* Never used, or punched */
        }
        dump_begin(dump, "block", base);
        dump_verdict(dump, "checksum", false);
        out_end(dump->out);
        walk->blocks++;
        return 0;
    }
    if (block.block_size != block_size) {
        return 0; /* Of another file: nothing here is where this one says */
    }
    walk->blocks++;
    dump_begin(dump, "block", base);
    dump_verdict(dump, "checksum", header_good);
    put_owner(dump, &block);
    if (header_good && block.previous_segment != FORMAT_NONE) {
        out_number(dump->out, "previous_segment", block.previous_segment);
        out_number(dump->out, "previous_index", block.previous_index);
    }
    out_end(dump->out);
    sealed = decode_seal(pages[1], &block, &seal);
    /* A seal of an earlier use of the block is not this one's. */
    if (sealed) {
        dump_seal(dump, pages[1], &block, base + FORMAT_PAGE);
        rc = dump_index(walk, base, block_size, &seal, err);
    } else if (format_page_kind(pages[1]) == FORMAT_PAGE_SEAL) {
        struct format_block owner;

        if (format_seal_owner_decode(&owner, pages[1]) != 0) {
            dump_seal(dump, pages[1], &block, base + FORMAT_PAGE);
        }
    }
    return rc == 0 || rc == TUSK_ECORRUPT
               ? dump_batches(walk, base, &block,
                              sealed ? seal.end : format_block_limit(block_size), sealed, err)
               : rc;
}

int dump_segment(struct dump *dump, struct io_file *file, uint64_t size, struct error *err)
{
    struct segment_walk walk = {.dump = dump, .file = file, .size = size};
    uint32_t block_size;
    uint64_t base;
    int rc;

    walk.pages = aligned_alloc(IO_DIRECT_ALIGN, (size_t)PAGES * FORMAT_PAGE);
    if (walk.pages == NULL) {
        return error_set(err, TUSK_ENOMEM, "read a segment");
    }
    rc = find_block_size(&walk, &block_size, err);
    if (rc == 0 && block_size == 0) {
        rc = error_set(err, TUSK_EINVALID,
                       "%s: no block in it says whose it is: it is free, or not a segment",
                       dump->path);
    }
    for (base = 0; rc == 0 && base < size && !offline_interrupted(); base += block_size) {
        rc = dump_block(&walk, base, block_size, err);
    }
    block_walk_deinit(&walk.walk);
    free(walk.pages);
    return rc;
}
