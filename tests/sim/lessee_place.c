/* Places: what a process maps, reads there, and gives back. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/bytes.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

#define GENERATION_AT 56u /* In a block's first page: core/FORMAT.md, "Blocks" */
#define BLOCK_SIZE_MAX (4096u * 32u)

static _Noreturn void fail(struct client *c, const struct call *call,
                           const struct message_place *place, const char *promise)
{
    scene_fail(c->scene, promise,
               "client %llu, request %llu: segment %llu of %llu bytes, block at %llu, %u bytes, "
               "lease %u, descriptor %d",
               (unsigned long long)c->number, (unsigned long long)call->id,
               (unsigned long long)place->segment, (unsigned long long)place->segment_size,
               (unsigned long long)place->block, place->size, place->lease, place->descriptor);
}

/* ---- what a process reads ---- */

void lessee_look(struct scene *s, const struct lessee *p, struct leased *leased, bool all_bytes)
{
    static uint8_t now[BLOCK_SIZE_MAX];
    uint8_t word[8];
    bool same;

    CHECK(leased->state == LEASE_HELD);
    CHECK(leased->size <= sizeof now);
    if (leased->bytes == NULL) {
        return;
    }
    s->report->looks++;
    same = sim_shared_read(s->disk, leased->file, leased->block + GENERATION_AT, word,
                           sizeof word) == sizeof word &&
           get_u64(word) == leased->generation;
    if (!same && leased->old) {
        lessee_unmap(s, leased); /* What it read counts for nothing */
        return;
    }
    if (!same) {
        scene_fail(s, "a leased block is not used for anything else",
                   "process of client %llu, lease %td", (unsigned long long)p->number,
                   leased - p->leases);
    }
    if (all_bytes &&
        (sim_shared_read(s->disk, leased->file, leased->from, now, leased->size) != leased->size ||
         memcmp(now, leased->bytes, leased->size) != 0)) {
        scene_fail(s, "what is leased stays as it is", "process of client %llu, lease %td%s",
                   (unsigned long long)p->number, leased - p->leases,
                   leased->old ? ", of a life before" : "");
    }
}

void lessee_unmap(struct scene *s, struct leased *leased)
{
    if (leased->state == LEASE_HELD && leased->bytes != NULL) {
        sim_shared_drop(s->disk, leased->file);
        free(leased->bytes);
        leased->bytes = NULL;
    }
    leased->state = LEASE_NONE;
}

/* ---- a place comes ---- */

static const struct lessee_segment *find_segment(const struct lessee *p, uint64_t number)
{
    unsigned i;

    for (i = 0; i < p->segment_count; i++) {
        if (p->segments[i].number == number) {
            return &p->segments[i];
        }
    }
    return NULL;
}

/* Map the file that came along, in place of the one that came first. */
static const struct lessee_segment *add_segment(struct client *c, uint64_t number)
{
    struct lessee *p = c->lessee;
    struct lessee_segment *segment = &p->segments[p->segment_at];

    if (p->segment_count == MESSAGE_MAPPED_SEGMENTS) {
        if (segment->mapped) {
            sim_shared_drop(c->scene->disk, segment->file);
        }
    } else {
        p->segment_count++;
    }
    p->segment_at = (p->segment_at + 1) % MESSAGE_MAPPED_SEGMENTS;
    *segment = (struct lessee_segment){
        .number = number, .mapped = !c->right_dropped, .file = c->right_file};
    c->has_right = false; /* It is the segment's */
    c->scene->report->descriptors++;
    return segment;
}

/* The daemon has its reasons for a place, and it is one. */
static void check_place(struct client *c, const struct call *call,
                        const struct message_place *place, uint32_t position)
{
    const uint16_t wanted = READ_UNCHECKED | READ_MAPPED;
    const struct engine_options *options = &c->scene->engine_options;
    const uint64_t segment_size = (uint64_t)options->blocks_per_segment * options->block_size;

    if ((call->message.u.read.flags & wanted) != wanted || !c->maps) {
        fail(c, call, place, "a place is for who asked for one");
    }
    if (c->lessee->unwatchable) {
        fail(c, call, place, "nothing is leased to a process that cannot be watched");
    }
    if (place->segment_size != segment_size || place->block % options->block_size != 0 ||
        place->block >= segment_size || place->size == 0 ||
        (uint64_t)position + place->size > options->block_size) {
        fail(c, call, place, "a place is a part of a block");
    }
    if (place->lease >= MESSAGE_LEASES_MAX || c->lessee->leases[place->lease].state != LEASE_NONE) {
        fail(c, call, place, "a lease is given once");
    }
    if (place->descriptor != (find_segment(c->lessee, place->segment) == NULL)) {
        fail(c, call, place,
             "a descriptor comes of what the client has not kept, and of nothing else");
    }
    if (place->descriptor != c->has_right) {
        fail(c, call, place, "a descriptor comes with the first byte of its reply");
    }
}

/* How long it is kept: until it is released, or the process dies. */
static uint64_t keep_until(struct scene *s, const struct lessee *p)
{
    return p->hoards ? NEVER : scene_now_us(s) + scene_below(s, UINT64_C(1) << scene_below(s, 24));
}

bool lessee_take(struct client *c, const struct call *call, struct message_read_reply *reply)
{
    const struct message_place *place = &reply->place;
    struct scene *s = c->scene;
    const struct lessee_segment *segment;
    struct leased *leased;

    check_place(c, call, place, reply->position);
    segment = place->descriptor ? add_segment(c, place->segment)
                                : find_segment(c->lessee, place->segment);
    leased = &c->lessee->leases[place->lease];
    s->report->places++;
    *leased = (struct leased){.state = LEASE_HELD,
                              .space = c->space,
                              .since = ++s->event,
                              .file = segment->file,
                              .block = place->block,
                              .from = place->block + reply->position,
                              .generation = reply->generation,
                              .size = place->size};
    if (!segment->mapped || scene_lost_power(s)) {
        return false; /* And it is given back at once */
    }
    leased->until_us = keep_until(s, c->lessee);
    leased->bytes = malloc(place->size);
    CHECK(leased->bytes != NULL);
    sim_shared_keep(s->disk, leased->file);
    if (sim_shared_read(s->disk, leased->file, leased->from, leased->bytes, place->size) !=
        place->size) {
        fail(c, call, place, "what is leased can be read");
    }
    lessee_look(s, c->lessee, leased, false);
    reply->data = leased->bytes;
    reply->data_size = place->size;
    return true;
}

/* ---- and is given back ---- */

uint16_t lessee_due(struct client *c, struct message_release *release)
{
    struct lessee *p = c->lessee;
    uint32_t i;

    release->count = 0;
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        struct leased *leased = &p->leases[i];

        if (leased->state != LEASE_HELD || leased->until_us > scene_now_us(c->scene)) {
            continue;
        }
        if (leased->ended) {
            lessee_look(c->scene, p, leased, true);
            lessee_unmap(c->scene, leased);
        } else {
            release->leases[release->count++] = i;
        }
    }
    return release->count;
}

bool lessee_give_back(struct client *c, const struct message_release *release)
{
    struct lessee *p = c->lessee;
    bool all = true;
    uint16_t i;

    for (i = 0; i < release->count; i++) {
        struct leased *leased =
            release->leases[i] < MESSAGE_LEASES_MAX ? &p->leases[release->leases[i]] : NULL;

        if (leased == NULL || leased->state != LEASE_HELD || leased->ended) {
            all = false;
            continue;
        }
        lessee_look(c->scene, p, leased, true);
        lessee_unmap(c->scene, leased);
        leased->state = LEASE_GIVEN_BACK;
    }
    return all;
}

void lessee_given_back(struct client *c, const struct message_release *release, bool taken)
{
    uint16_t i;

    for (i = 0; taken && i < release->count; i++) {
        struct leased *leased =
            release->leases[i] < MESSAGE_LEASES_MAX ? &c->lessee->leases[release->leases[i]] : NULL;

        if (leased != NULL && leased->state == LEASE_GIVEN_BACK) {
            leased->state = LEASE_NONE;
            c->scene->report->released++;
        }
    }
}

void lessee_space_deleted(struct client *c)
{
    unsigned i;

    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        c->lessee->leases[i].ended = true;
    }
}

/* ---- counts ---- */

/* The daemon has it, too: it was there before that event, and its namespace cannot have been
 * deleted. */
static bool is_certain(const struct scene *s, const struct leased *leased, uint64_t since)
{
    const struct ledger_name *name;

    if (leased->state != LEASE_HELD || leased->ended || leased->old || leased->since >= since) {
        return false;
    }
    name = &s->ledger.names[leased->space->index];
    return name->space == leased->space && name->presence == SPACE_PRESENT && !name->changing;
}

static uint64_t count_certain(const struct scene *s, const struct lessee *p, uint64_t since)
{
    uint64_t count = 0;
    unsigned i;

    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        count += is_certain(s, &p->leases[i], since) ? 1 : 0;
    }
    return count;
}

void lessee_check_counts(struct scene *s, const struct lessee_counts *counts, uint64_t since)
{
    const struct lessee *p;
    uint64_t live = 0;
    uint64_t all = 0;
    unsigned i;

    for (i = 0; i < SCENE_CLIENTS; i++) {
        const struct client *c = s->clients[i];

        if (c != NULL && !c->gone && !c->link.server_gone) {
            live += count_certain(s, c->lessee, since);
        }
    }
    for (p = s->lessees; p != NULL; p = p->next) {
        all += count_certain(s, p, since);
    }
    if (counts->live < live || counts->live + counts->left + counts->retired < all) {
        scene_fail(s, "what is leased is counted",
                   "%llu leases, %llu left behind, %llu retired; clients that are connected have "
                   "%llu, all processes %llu",
                   (unsigned long long)counts->live, (unsigned long long)counts->left,
                   (unsigned long long)counts->retired, (unsigned long long)live,
                   (unsigned long long)all);
    }
}

/* As many as the daemon may have of a process at most. */
static uint64_t count_possible(const struct scene *s, const struct lessee *p)
{
    uint64_t count = p->unknown;
    unsigned i;

    if (p->farewell && (s->stopping || scene_excused(s))) {
        return MESSAGE_LEASES_MAX; /* A daemon that stops may have read no further */
    }
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        count += p->leases[i].state != LEASE_NONE ? 1 : 0;
    }
    for (i = 0; i < SCENE_CLIENTS; i++) {
        if (s->clients[i] != NULL && s->clients[i]->lessee == p && !p->left) {
            count += client_places_asked(s->clients[i]);
        }
    }
    return count;
}

void lessee_check_left(struct scene *s, const struct lessee_counts *counts)
{
    const struct lessee *p;
    uint64_t most = 0;

    lessee_check_counts(s, counts, NEVER);
    for (p = s->lessees; p != NULL; p = p->next) {
        most += p->watched ? count_possible(s, p) : 0;
    }
    if (counts->live != 0 || counts->left > most) {
        scene_fail(s, "what nobody has is not leased",
                   "%llu leases without a connection, %llu left behind; processes have at most "
                   "%llu",
                   (unsigned long long)counts->live, (unsigned long long)counts->left,
                   (unsigned long long)most);
    }
}
