/* A namespace held still for whoever copies its files while it serves (engine_snapshot_begin()).
 *
 * What is copied is a state that a power cut could have left: two manifests, the journal from the
 * older one on up to the written watermark, and the segments as they happen to be. Whatever is
 * written meanwhile lies behind that end, and what lies behind is never parsed (FORMAT.md, Block).
 * So while it is held it is enough that nothing inside it goes: no freed block is used again (nor,
 * then, its segment removed), no journal file and neither of the manifests is recycled, and no seal
 * is written, because a seal names an end that may lie behind the copy's.
 *
 * What is held back takes space. Where a file system has none left the hold is given up, and the
 * copy is worth nothing: whoever makes it learns that at the end (engine_snapshot_end()). */
#ifndef CORE_HOLD_H
#define CORE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct namespace;

enum hold_state { HOLD_NONE, HOLD_ON, HOLD_GIVEN_UP };

struct hold {
    enum hold_state state;
    uint64_t manifest_first; /* Numbers, when it began */
    uint64_t manifest_last;
    uint64_t journal_first;
};

/* The disk is full: whatever is held back goes. Nothing happens when nothing is held. */
void hold_give_up(struct namespace *ns);

#endif
