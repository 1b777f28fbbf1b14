#include "client/mapped.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/batch_view.h"
#include "proto/bytes.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define GENERATION_AT 56u /* In a block's first page: core/FORMAT.md, "Blocks" */
#define SEGMENT_SIZE_MAX (UINT64_C(1) << 40)

static void segment_unuse(struct mapped_segment *segment)
{
    if (--segment->users == 0) {
        (void)munmap(segment->base, segment->size); /* It is a map: this does not fail */
        free(segment);
    }
}

/* Map the file that came along, in place of the one that came first. */
static struct mapped_segment *segment_add(struct tusk *t, const struct message_place *place, int fd)
{
    struct mapped *mapped = &t->mapped;
    struct mapped_segment *segment = calloc(1, sizeof *segment);
    void *base = MAP_FAILED;

    if (mapped->segments[mapped->at] != NULL) {
        segment_unuse(mapped->segments[mapped->at]);
        mapped->segments[mapped->at] = NULL;
    }
    if (segment != NULL) {
        /* More than the file has so far: it grows to this. */
        base = mmap(NULL, place->segment_size, PROT_READ, MAP_SHARED, fd, 0);
    }
    if (base == MAP_FAILED) {
        free(segment);
        return NULL;
    }
    *segment = (struct mapped_segment){
        .number = place->segment, .base = base, .size = place->segment_size, .users = 1};
    mapped->segments[mapped->at] = segment;
    mapped->at = (mapped->at + 1) % MESSAGE_MAPPED_SEGMENTS;
    return segment;
}

static struct mapped_segment *segment_find(const struct mapped *mapped, uint64_t number)
{
    uint32_t i;

    for (i = 0; i < MESSAGE_MAPPED_SEGMENTS; i++) {
        if (mapped->segments[i] != NULL && mapped->segments[i]->number == number) {
            return mapped->segments[i];
        }
    }
    return NULL;
}

/* Bring [from, from + size) of the file into the map, from the disk if need be. */
static bool populate(const struct mapped_segment *segment, uint64_t from, uint64_t size)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t begin = from - from % page;
    int rc;

    do {
        rc = madvise(segment->base + begin, (size_t)(from + size - begin), MADV_POPULATE_READ);
    } while (rc != 0 && errno == EINTR);
    return rc == 0;
}

static bool place_possible(const struct message_place *place, uint32_t position)
{
    return place->segment_size > 0 && place->segment_size <= SEGMENT_SIZE_MAX &&
           place->block < place->segment_size && place->size > 0 &&
           place->lease < MESSAGE_LEASES_MAX && position >= GENERATION_AT + 8 &&
           (uint64_t)position + place->size <= place->segment_size - place->block;
}

static void release_later(struct tusk *t, uint32_t lease)
{
    struct mapped *mapped = &t->mapped;

    if (mapped->released_count < MESSAGE_LEASES_MAX) {
        mapped->released[mapped->released_count++] = lease;
    }
    mapped_release(t);
}

void mapped_release(struct tusk *t)
{
    const struct request_plan plan = {.type = MESSAGE_RELEASE};
    struct mapped *mapped = &t->mapped;
    struct message message = {.type = MESSAGE_RELEASE};
    uint16_t i;

    if (mapped->released_count == 0 || t->dead) {
        return;
    }
    message.u.release.count = mapped->released_count;
    for (i = 0; i < mapped->released_count; i++) {
        message.u.release.leases[i] = mapped->released[i];
    }
    if (pipeline_submit(t, &message, &plan, NULL) == TUSK_OK) {
        mapped->released_count = 0;
    }
}

int mapped_attach(struct tusk *t, struct tusk_batch *batch)
{
    struct message_read_reply *reply = &batch->reply;
    const struct message_place *place = &reply->place;
    const int fd = place->descriptor ? stream_take_fd(&t->stream) : -1;
    struct mapped_segment *segment = NULL;
    const bool possible = place_possible(place, reply->position);

    if (possible) { /* Where the kernel had no descriptor for us, there is no map, either */
        segment = fd >= 0 ? segment_add(t, place, fd) : segment_find(&t->mapped, place->segment);
    }
    if (fd >= 0) {
        (void)close(fd); /* Nothing was written to it, and the map does without */
    }
    if (!possible || (segment != NULL && segment->size != place->segment_size) ||
        (segment == NULL && !place->descriptor && !t->mapped.failed)) {
        return failure_set(&t->failure, TUSK_EPROTOCOL,
                           "the reply to a read names a place that cannot be");
    }
    if (segment == NULL || !populate(segment, place->block, GENERATION_AT + 8) ||
        !populate(segment, place->block + reply->position, place->size)) {
        t->mapped.failed = true;
        release_later(t, place->lease);
        return failure_set(&t->failure, TUSK_ECORRUPT, "a segment file cannot be read by its map");
    }
    segment->users++;
    batch->t = t;
    batch->segment = segment;
    reply->data = segment->base + place->block + reply->position;
    reply->data_size = place->size;
    if (!mapped_unchanged(batch)) {
        return failure_set(&t->failure, TUSK_ECORRUPT,
                           "a block's first page is not what the daemon says");
    }
    return TUSK_OK;
}

bool mapped_unchanged(const struct tusk_batch *batch)
{
    const uint8_t *block;

    if (batch->segment == NULL) {
        return true;
    }
    /* What was read before stays before. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    block = batch->segment->base + batch->reply.place.block;
    return get_u64(block + GENERATION_AT) == batch->reply.generation;
}

void mapped_detach(struct tusk_batch *batch)
{
    segment_unuse(batch->segment);
    batch->segment = NULL;
    release_later(batch->t, batch->reply.place.lease);
}

void mapped_leave(struct tusk *t)
{
    const struct request_plan plan = {.type = MESSAGE_RELEASE};
    const struct message message = {.type = MESSAGE_RELEASE, .u.release = {.count = 0}};
    bool mapped = false;
    uint32_t i;

    for (i = 0; i < MESSAGE_MAPPED_SEGMENTS; i++) {
        const struct mapped_segment *segment = t->mapped.segments[i];

        mapped = mapped || segment != NULL;
        if (segment != NULL && segment->users > 1) {
            return; /* A batch is left after all, which may be looked at yet */
        }
    }
    if (mapped && !t->dead && pipeline_submit(t, &message, &plan, NULL) == TUSK_OK) {
        stream_send(&t->stream); /* Nobody waits for it */
    }
}

void mapped_deinit(struct mapped *mapped)
{
    uint32_t i;

    for (i = 0; i < MESSAGE_MAPPED_SEGMENTS; i++) {
        if (mapped->segments[i] != NULL) {
            segment_unuse(mapped->segments[i]);
            mapped->segments[i] = NULL;
        }
    }
}
