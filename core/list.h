/* Intrusive doubly linked lists: a link sits in the thing that is listed, a list is a link of its
 * own, and a link that is in no list points at itself. Removing needs no list, so what is deleted
 * leaves every list it is in. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/check.h"

struct link {
    struct link *previous;
    struct link *next;
};

/* The struct of which `link` is the member named `member`. */
#define link_owner(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void link_init(struct link *link)
{
    link->previous = link;
    link->next = link;
}

static inline bool link_linked(const struct link *link)
{
    return link->next != link;
}

/* Also the test for an empty list. */
static inline bool list_empty(const struct link *list)
{
    return list->next == list;
}

static inline void link_remove(struct link *link)
{
    CHECK(link->previous->next == link);
    CHECK(link->next->previous == link);
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

/* Put a link that is in no list at the end. */
static inline void list_append(struct link *list, struct link *link)
{
    CHECK(!link_linked(link));
    CHECK(list->previous->next == list);
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

/* The first link, or NULL. */
static inline struct link *list_first(struct link *list)
{
    return list->next == list ? NULL : list->next;
}

/* Take the first link out, or NULL. */
static inline struct link *list_take(struct link *list)
{
    struct link *first = list_first(list);

    CHECK(list->next->previous == list);
    if (first != NULL) {
        link_remove(first);
    }
    return first;
}

/* Move everything of `from` behind what `to` has. */
static inline void list_splice(struct link *to, struct link *from)
{
    CHECK(to != from);
    CHECK(to->previous->next == to);
    if (!list_empty(from)) {
        from->next->previous = to->previous;
        to->previous->next = from->next;
        from->previous->next = to;
        to->previous = from->previous;
        link_init(from);
    }
}

#endif
