/* Syncs of segments under way: a success is believed only when no other one could have taken its
 * error.
 *
 * The kernel reports that a page could not be written once (per descriptor) and then takes the page
 * for clean. Several owners sync the same segment file at the same time: the flusher for direct
 * writes, a manifest for applied tails, reservations for their space. So one of them can return
 * success although pages it had to cover are gone, and another one, still under way, has the error.
 * Therefore whoever relies on the data of a segment waits, after its own sync, until every sync
 * that was under way at that moment has ended, too, and none has failed. */
#ifndef CORE_SYNCS_H
#define CORE_SYNCS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/check.h"
#include "core/list.h"

/* Of one namespace. */
struct syncs {
    struct link under_way; /* struct sync_watch, oldest first */
    uint64_t ticket;       /* Of the last one begun */
};

/* One sync, or some that begin together; in the memory of who waits for them. */
struct sync_watch {
    struct link link;
    uint64_t ticket;
};

static inline void syncs_init(struct syncs *syncs)
{
    CHECK(syncs != NULL);
    link_init(&syncs->under_way);
    syncs->ticket = 0;
}

static inline void syncs_begin(struct syncs *syncs, struct sync_watch *watch)
{
    CHECK(watch != NULL);
    watch->ticket = ++syncs->ticket;
    link_init(&watch->link);
    list_append(&syncs->under_way, &watch->link);
}

static inline void syncs_end(struct sync_watch *watch)
{
    CHECK(link_linked(&watch->link));
    link_remove(&watch->link);
}

/* Whether all that had begun when `ticket` was the last one have ended. */
static inline bool syncs_ended(struct syncs *syncs, uint64_t ticket)
{
    const struct link *first = list_first(&syncs->under_way);

    CHECK(ticket <= syncs->ticket);
    return first == NULL || link_owner(first, struct sync_watch, link)->ticket > ticket;
}

#endif
