/* The life of a client's process, with its connection and after it. */
#include "tests/sim/lessee.h"

#include <stdlib.h>

#include "core/check.h"
#include "tests/sim/scene.h"

struct lessee *lessee_new(struct scene *s, uint64_t number)
{
    struct lessee **end = &s->lessees;
    struct lessee *p = calloc(1, sizeof *p);

    CHECK(p != NULL);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = p;
    p->number = number;
    p->has_client = true;
    p->hoards = scene_chance(s, 10);
    return p;
}

struct lessee *lessee_find(const struct scene *s, uint64_t number)
{
    struct lessee *p = s->lessees;

    while (p != NULL && p->number != number) {
        p = p->next;
    }
    return p;
}

static uint32_t held_count(const struct lessee *p)
{
    uint32_t count = 0;
    unsigned i;

    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        count += p->leases[i].state == LEASE_HELD ? 1 : 0;
    }
    return count;
}

static void look_at(struct scene *s, struct lessee *p, bool all_bytes)
{
    unsigned i;

    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        if (p->leases[i].state == LEASE_HELD) {
            lessee_look(s, p, &p->leases[i], all_bytes);
        }
    }
}

/* The process is no more, and reads nothing. */
static void end(struct scene *s, struct lessee *p)
{
    unsigned i;

    p->dead = true;
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        p->unknown += p->leases[i].state != LEASE_NONE ? 1 : 0;
        lessee_unmap(s, &p->leases[i]);
    }
    for (i = 0; i < p->segment_count; i++) {
        if (p->segments[i].mapped) {
            sim_shared_drop(s->disk, p->segments[i].file);
        }
    }
    p->segment_count = 0;
}

static void die(struct scene *s, struct lessee *p)
{
    const uint32_t held = held_count(p);

    scene_log(s, "process of client %llu dies, with %u leases", (unsigned long long)p->number,
              held);
    if (!scene_lost_power(s)) {
        look_at(s, p, true);
    }
    s->report->leases_of_dead += held;
    end(s, p);
}

/* The connection has ended. */
static void leave(struct scene *s, struct lessee *p)
{
    const uint32_t held = held_count(p);

    p->left = true;
    s->report->leases_left += held;
    if (scene_lost_power(s) || scene_chance(s, 40)) {
        die(s, p);
        return;
    }
    p->dies_us =
        scene_chance(s, 30) ? NEVER : scene_now_us(s) + random_between(&s->random, 1, 1u << 24);
    p->look_us = held > 0 ? scene_now_us(s) : NEVER;
    scene_log(s, "process of client %llu lives on, with %u leases", (unsigned long long)p->number,
              held);
}

void lessee_leave(struct client *c, uint32_t unknown)
{
    struct lessee *p = c->lessee;
    struct scene *s = c->scene;

    if (p->left) {
        return;
    }
    p->unknown += unknown;
    if (held_count(p) + p->unknown == 0) {
        p->left = true;
        die(s, p);
        return;
    }
    leave(s, p);
}

void lessee_bid_farewell(struct client *c, bool certain)
{
    struct lessee *p = c->lessee;
    unsigned i;

    CHECK(!p->left);
    p->farewell = certain;
    p->unknown = certain ? 0 : p->unknown + client_places_asked(c);
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        struct leased *leased = &p->leases[i];

        if (leased->state == LEASE_HELD) {
            lessee_look(c->scene, p, leased, true);
            lessee_unmap(c->scene, leased);
            leased->state = LEASE_GIVEN_BACK;
        }
        leased->state = certain ? LEASE_NONE : leased->state;
    }
    c->scene->report->farewells++;
    leave(c->scene, p);
}

void lessee_act(struct scene *s)
{
    const uint64_t now = scene_now_us(s);
    struct lessee **at = &s->lessees;

    while (*at != NULL) {
        struct lessee *p = *at;

        if (p->left && !p->dead && p->dies_us <= now) {
            die(s, p);
        } else if (p->left && !p->dead && p->look_us <= now) {
            look_at(s, p, scene_chance(s, 20));
            p->look_us = now + 1 + scene_below(s, scene_chance(s, 50) ? 1u << 15 : 1u << 20);
        }
        if (p->dead && !p->watched && !p->has_client) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
}

uint64_t lessee_next(const struct scene *s, uint64_t until_us)
{
    const struct lessee *p;

    for (p = s->lessees; p != NULL; p = p->next) {
        if (p->left && !p->dead) {
            until_us = p->dies_us < until_us ? p->dies_us : until_us;
            until_us = p->look_us < until_us ? p->look_us : until_us;
        }
    }
    return until_us;
}

void lessee_end_left(struct scene *s)
{
    struct lessee *p;

    for (p = s->lessees; p != NULL; p = p->next) {
        if (p->left && !p->dead) {
            die(s, p);
        }
    }
}

void lessee_look_at_all(struct scene *s)
{
    struct lessee *p;

    for (p = s->lessees; p != NULL; p = p->next) {
        if (!p->dead) {
            look_at(s, p, true);
        }
    }
}

/* What it has mapped stays mapped, but nobody knows of its leases any more. */
static void outlive(struct scene *s, struct lessee *p)
{
    unsigned i;

    p->dies_us = scene_now_us(s) + random_between(&s->random, 1, 1u << 24);
    p->unknown = 0;
    for (i = 0; i < MESSAGE_LEASES_MAX; i++) {
        if (p->leases[i].state == LEASE_GIVEN_BACK) {
            p->leases[i].state = LEASE_NONE;
        }
        p->leases[i].old = true;
    }
}

void lessee_end_life(struct scene *s, bool cut)
{
    struct lessee *p;

    for (p = s->lessees; p != NULL; p = p->next) {
        CHECK(p->left);
        if (p->watched) {
            scene_fail(s, "no descriptor is left behind", "of the process of client %llu",
                       (unsigned long long)p->number);
        }
        if (p->dead) {
            continue;
        }
        if (cut) {
            end(s, p);
        } else {
            outlive(s, p);
        }
    }
}

void lessee_deinit(struct scene *s)
{
    while (s->lessees != NULL) {
        struct lessee *p = s->lessees;

        s->lessees = p->next;
        if (!p->dead) {
            end(s, p);
        }
        free(p);
    }
}
