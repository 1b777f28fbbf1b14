/* One block against what is said of it. */
#include <stdio.h>
#include <string.h>

#include "core/namespace.h"
#include "server/offline/verify.h"

struct check {
    struct verify *verify;
    struct verify_worker *worker;
    const struct inspect_block *block;
    struct format_block own; /* What page 0 must say */
    bool sealed;             /* The seal is to be checked, and is valid */
    struct format_seal seal;
    struct format_index_entry index[FORMAT_INDEX_MAX];
    bool indexed;
    uint32_t index_next;
    bool index_wrong;
    uint64_t entries;
    uint64_t end_offset;
    uint32_t last_crc;
    bool lost; /* Something was: counts cannot match */
    _Alignas(IO_DIRECT_ALIGN) uint8_t page[FORMAT_PAGE];
};

static void tell(const struct check *check, enum verify_damage kind, uint32_t position,
                 uint32_t size, uint64_t from, uint64_t to, const char *why)
{
    const struct verify_finding finding = {.kind = kind,
                                           .topic = check->block->topic,
                                           .block = check->block->block,
                                           .position = position,
                                           .size = size,
                                           .from = from,
                                           .to = to,
                                           .why = why};

    verify_tell(check->verify, &finding);
}

/* A page of the block, zeros where the file does not reach. */
static int read_page(struct check *check, uint32_t position, struct error *err)
{
    const uint64_t base = (uint64_t)check->block->block->index * check->own.block_size + position;
    size_t got = 0;
    const int rc = io_read_direct(check->worker->file, check->page, FORMAT_PAGE, base, &got, err);

    if (rc == 0) {
        memset(check->page + got, 0, FORMAT_PAGE - got);
        check->worker->counts.bytes += got;
    }
    return rc;
}

static void describe(struct check *check)
{
    const struct inspection *inspection = check->verify->store->inspection;
    const struct block *block = check->block->block;

    memcpy(check->own.store_id, inspection->ns->store_id, sizeof check->own.store_id);
    check->own.block_size = inspection->ns->block_size;
    check->own.segment = block->segment_number;
    check->own.index = block->index;
    check->own.generation = block->generation;
    check->own.topic_id = check->block->topic->id;
    check->own.first_offset = block->first_offset;
}

static bool same_owner(const struct check *check, const struct format_block *found)
{
    const struct format_block *own = &check->own;
    const struct topic *topic = check->block->topic;

    return memcmp(found->store_id, own->store_id, sizeof own->store_id) == 0 &&
           found->block_size == own->block_size && found->segment == own->segment &&
           found->index == own->index && found->generation == own->generation &&
           found->topic_id == own->topic_id && found->first_offset == own->first_offset &&
           found->name_size == topic->name_size &&
           memcmp(found->name, topic->name, topic->name_size) == 0;
}

/* Page 0 is written with the first bytes of the block; before that it may be anything. */
static int check_header(struct check *check, struct error *err)
{
    struct format_block found;
    int rc;

    if (check->block->applied <= FORMAT_BLOCK_DATA) {
        return 0;
    }
    rc = read_page(check, 0, err);
    if (rc != 0) {
        return rc;
    }
    rc = format_block_decode(&found, check->page);
    if (rc != 0) {
        tell(check, DAMAGE_HEADER, 0, FORMAT_PAGE, 0, 0,
             rc == TUSK_EVERSION ? "page 0 is of another format version"
                                 : "page 0 does not check out");
    } else if (!same_owner(check, &found)) {
        tell(check, DAMAGE_HEADER, 0, FORMAT_PAGE, 0, 0,
             "page 0 says that the block is another one's");
    }
    return 0;
}

static int read_seal(struct check *check, struct error *err)
{
    const struct block *block = check->block->block;
    int rc;

    if (!block->sealed || check->block->applied == 0) {
        return 0;
    }
    rc = read_page(check, FORMAT_PAGE, err);
    if (rc != 0) {
        return rc;
    }
    if (format_seal_decode(&check->seal, &check->own, check->page) != 0) {
        tell(check, DAMAGE_SEAL, FORMAT_PAGE, FORMAT_PAGE, 0, 0, "the seal does not check out");
        return 0;
    }
    check->sealed = true;
    if (check->seal.index_count == 0) {
        return 0;
    }
    rc = read_page(check, format_block_limit(check->own.block_size), err);
    if (rc != 0) {
        return rc;
    }
    check->indexed = format_index_decode(check->index, check->seal.index_count,
                                         check->seal.index_crc, check->page) == 0;
    if (!check->indexed) {
        tell(check, DAMAGE_INDEX, format_block_limit(check->own.block_size), FORMAT_PAGE, 0, 0,
             "the sparse index does not check out");
    }
    return 0;
}

/* Every entry of the index is a batch, with its offset and the entries before it. */
static void check_index(struct check *check, const struct inspect_step *step)
{
    const struct format_index_entry *entry = &check->index[check->index_next];

    if (!check->indexed || check->index_next == check->seal.index_count ||
        entry->position > step->position) {
        return;
    }
    if (entry->position < step->position || entry->offset != step->from ||
        (!check->lost && entry->entries != check->entries)) {
        check->index_wrong = true;
    }
    while (check->index_next < check->seal.index_count &&
           check->index[check->index_next].position <= step->position) {
        check->index_next++;
    }
}

/* What the index says of a damaged place nobody can tell. */
static void pass_index(struct check *check, uint32_t end)
{
    while (check->indexed && check->index_next < check->seal.index_count &&
           check->index[check->index_next].position < end) {
        check->index_next++;
    }
}

static const char *why_lost(const struct inspect_step *step)
{
    return step->problem == BATCH_GOOD ? "no batch is there" : batch_problem_text(step->problem);
}

static void take(struct check *check, const struct inspect_step *step)
{
    const uint64_t first = check->block->topic->first;
    struct verify_counts *counts = &check->worker->counts;

    if (step->kind == INSPECT_LOST) {
        const uint64_t from = step->from > first ? step->from : first;

        check->lost = true;
        pass_index(check, step->position + step->size);
        counts->lost += step->to > from ? step->to - from : 0;
        tell(check, DAMAGE_ENTRIES, step->position, step->size, from, step->to,
             step->to > step->from && step->to <= first ? "of entries that are trimmed already"
                                                        : why_lost(step));
        return;
    }
    check_index(check, step);
    if (step->from < check->end_offset) {
        tell(check, DAMAGE_TABLE, step->position, step->size, step->from, step->to,
             "a batch repeats offsets of the one before");
    } else if (step->chain_broken) {
        tell(check, DAMAGE_TABLE, step->position, step->size, step->from, step->to,
             "a batch names another predecessor than the one before it");
    }
    check->entries += step->to - step->from;
    check->end_offset = step->to;
    check->last_crc = step->kind == INSPECT_BATCH ? step->header.header_crc : 0;
    counts->batches++;
    counts->entries += step->to - step->from;
}

/* What tables and seal say of the whole, when all of it was there. */
static void compare(const struct check *check)
{
    const struct block *block = check->block->block;

    if (check->index_wrong || (check->indexed && check->index_next < check->seal.index_count)) {
        tell(check, DAMAGE_INDEX, format_block_limit(check->own.block_size), FORMAT_PAGE, 0, 0,
             "the sparse index points at what is not there");
    }
    if (check->lost || check->block->applied == 0 ||
        check->verify->store->inspection->recovery.lost) {
        return;
    }
    /* More is possible: behind an accepted loss a block may hold what its table does not count. */
    if (check->entries < block->entries || check->end_offset != block->end_offset) {
        char why[160];

        (void)snprintf(
            why, sizeof why,
            "the block holds %llu entries up to offset %llu, and its table says %u up to "
            "%llu",
            (unsigned long long)check->entries, (unsigned long long)check->end_offset,
            block->entries, (unsigned long long)block->end_offset);
        tell(check, DAMAGE_TABLE, 0, 0, 0, 0, why);
    }
    if (check->sealed &&
        (check->seal.end != block->end || check->seal.next_offset != block->end_offset ||
         check->seal.entries != block->entries || check->seal.last_time_us != block->last_time_us ||
         (check->last_crc != 0 && check->seal.last_crc != check->last_crc))) {
        tell(check, DAMAGE_SEAL, FORMAT_PAGE, FORMAT_PAGE, 0, 0,
             "the seal contradicts the block or its table");
    }
}

static int open_segment(struct check *check, struct error *err)
{
    struct verify_worker *worker = check->worker;
    const struct block *block = check->block->block;
    char path[IO_PATH_SIZE];
    int rc;

    if (worker->file != NULL && worker->file_number == block->segment_number) {
        return 0;
    }
    io_close_file(worker->file);
    worker->file = NULL;
    space_path(&check->verify->store->inspection->ns->space, path, block->segment_number);
    rc = io_open(worker->lenient, path, IO_OPEN_READ, &worker->file, err);
    worker->file_number = block->segment_number;
    return rc;
}

static int walk(struct check *check, struct error *err)
{
    struct inspect_walk *walk = &check->worker->walk;
    const uint64_t read_before = walk->walk.bytes_read;
    uint64_t told = read_before;
    struct inspect_step step;
    int rc;

    inspect_walk_begin(walk, check->verify->store->inspection, check->block, check->worker->file);
    do {
        rc = inspect_walk_next(walk, &step, err);
        if (rc == 0 && step.kind != INSPECT_END) {
            take(check, &step);
        }
        progress_add(&check->verify->options->progress, walk->walk.bytes_read - told);
        told = walk->walk.bytes_read;
    } while (rc == 0 && step.kind != INSPECT_END && !offline_interrupted());
    check->worker->counts.bytes += walk->walk.bytes_read - read_before;
    if (rc == 0 && offline_interrupted()) {
        return error_set(err, TUSK_ECLOSED, "interrupted");
    }
    return rc;
}

int verify_block(struct verify *verify, struct verify_worker *worker,
                 const struct inspect_block *inspected)
{
    struct check check = {.verify = verify,
                          .worker = worker,
                          .block = inspected,
                          .end_offset = inspected->block->first_offset};
    const struct block *block = inspected->block;
    struct error err = {.code = 0};
    int rc;

    describe(&check);
    worker->counts.blocks++;
    if (block->segment == NULL) {
        const uint64_t first = inspected->topic->first;
        const uint64_t from = block->first_offset > first ? block->first_offset : first;

        worker->counts.lost += block->end_offset > from ? block->end_offset - from : 0;
        tell(&check, DAMAGE_SEGMENT, 0, 0, from, block->end_offset,
             "the segment file of this block is missing");
        return 0;
    }
    rc = open_segment(&check, &err);
    if (rc == 0) {
        rc = check_header(&check, &err);
    }
    if (rc == 0) {
        rc = read_seal(&check, &err);
    }
    if (rc == 0) {
        rc = walk(&check, &err);
    }
    if (rc == 0) {
        compare(&check);
    } else if (rc != TUSK_ECLOSED) {
        (void)pthread_mutex_lock(&verify->lock); /* Ours, never destroyed while threads run */
        offline_say(verify->options, "%s", err.text);
        (void)pthread_mutex_unlock(&verify->lock);
    }
    return rc;
}
