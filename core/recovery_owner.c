/* Recovery: whose each block is, by its address. A hash that lasts as long as the recovery does. */
#include <stdlib.h>

#include "core/check.h"
#include "core/recovery.h"

struct recovery_owner *recovery_owner(struct recovery *recovery, uint64_t segment, uint64_t index)
{
    struct recovery_owner *owner;
    struct recovery_owner probe;

    memset(&probe, 0, sizeof probe);
    probe.key.segment = segment;
    probe.key.index = index;
    HASH_FIND(hh, recovery->owners, &probe.key, sizeof probe.key, owner);
    CHECK(owner == NULL || owner->topic != NULL);
    CHECK(owner == NULL || owner->topic->ns == recovery->ns);
    return owner;
}

int recovery_own(struct recovery *recovery, struct topic *topic, const struct block *block)
{
    struct recovery_owner *owner;

    CHECK(topic->ns == recovery->ns);
    CHECK(block->index < recovery->ns->blocks_per_segment);
    CHECK(block->end >= FORMAT_BLOCK_DATA);
    CHECK(block->end <= format_block_limit(recovery->ns->block_size));
    if (recovery_owner(recovery, block->segment_number, block->index) != NULL) {
        return TUSK_ECORRUPT;
    }
    owner = calloc(1, sizeof *owner);
    if (owner == NULL) {
        return TUSK_ENOMEM;
    }
    owner->key.segment = block->segment_number;
    owner->key.index = block->index;
    owner->topic = topic;
    owner->generation = block->generation;
    owner->applied = block->end;
    owner->seed = batch_seed(recovery->ns->store_id, block->generation);
    HASH_ADD(hh, recovery->owners, key, sizeof owner->key, owner);
    if (owner->hh.tbl == NULL) {
        free(owner);
        return TUSK_ENOMEM;
    }
    CHECK(recovery_owner(recovery, block->segment_number, block->index) == owner);
    return 0;
}

void recovery_disown(struct recovery *recovery, uint64_t segment, uint64_t index)
{
    struct recovery_owner *owner = recovery_owner(recovery, segment, index);

    CHECK(owner != NULL);
    CHECK(owner->topic != NULL);
    HASH_DEL(recovery->owners, owner);
    free(owner);
}
