/* Disks that do worse than losing power, and keep to the contract: operations that fail and say so, no space. */
#include <errno.h>
#include <string.h>

#include "core/io.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

struct pick {
    struct world *world;
    const char *part; /* Of the path */
    char path[256];
    uint64_t size;
    unsigned count;
};

static void pick_file(void *arg, const char *path, uint64_t size)
{
    struct pick *pick = arg;

    if (strstr(path, pick->part) == NULL || strlen(path) >= sizeof pick->path || size < 4096 ||
        !sim_disk_exists(pick->world->disk, path)) {
        return;
    }
    pick->count++;
    if (world_below(pick->world, pick->count) == 0) {
        memcpy(pick->path, path, strlen(path) + 1);
        pick->size = size;
    }
}

/* Some places cannot be read until they are healed. */
static void spoil_some(struct world *w, const char *part, unsigned ranges)
{
    struct pick pick = {.world = w, .part = part};

    sim_disk_list(w->disk, pick_file, &pick);
    while (pick.count > 0 && ranges-- > 0) {
        const uint64_t from = world_below(w, pick.size / 512) * 512;

        const uint64_t size = UINT64_C(512) << world_below(w, 6);

        sim_disk_set_unreadable(w->disk, pick.path, from, size);
        world_log(w, "unreadable: %s at %llu", pick.path, (unsigned long long)from);
    }
}

/* Drawn one after the other: the order in which C evaluates arguments is the compiler's. */
static void arm(struct world *w, unsigned kinds, uint64_t nth_max, unsigned again_percent,
                int os_error, enum sim_effect harmless, enum sim_effect harmful)
{
    const uint64_t nth = 1 + world_below(w, nth_max);
    const bool again = world_chance(w, again_percent);
    const enum sim_effect effect = world_chance(w, 50) ? harmless : harmful;

    sim_disk_fail(w->disk, kinds, nth, again, os_error, effect);
}

static void arm_sync_fault(struct world *w)
{
    const bool enospc = world_chance(w, 20);

    arm(w, SIM_BIT(SIM_SYNC), 60, 30, enospc ? ENOSPC : EIO, SIM_LOSE, SIM_FAIL_PARTLY);
    w->fatal = !enospc;
}

static void arm_write_fault(struct world *w)
{
    static const int errors[] = {EIO, EIO, ENOSPC, EDQUOT, EROFS, ENOMEM, EMFILE, EIO};
    static const unsigned kinds[] = {SIM_BIT(SIM_WRITE),    SIM_BIT(SIM_CREATE),
                                     SIM_BIT(SIM_ALLOCATE), SIM_BIT(SIM_SYNC_DIR),
                                     SIM_BIT(SIM_RENAME),   SIM_BIT(SIM_UNLINK),
                                     SIM_BIT(SIM_PUNCH),    SIM_CHANGES & ~SIM_BIT(SIM_SYNC)};
    unsigned count = 1 + (unsigned)world_below(w, 3);

    while (count-- > 0) {
        const unsigned kind = kinds[world_below(w, 8)];
        const int os_error = errors[world_below(w, 8)];

        arm(w, kind, UINT64_C(1) << world_below(w, 9), 40, os_error, SIM_FAIL, SIM_FAIL_PARTLY);
    }
}

void faults_begin_life(struct world *w)
{
    if (w->life >= w->lives) {
        return;
    }
    switch (w->kind) {
    case KIND_SYNC_FAULT:
        arm_sync_fault(w);
        break;
    case KIND_WRITE_FAULT:
        arm_write_fault(w);
        break;
    case KIND_READ_FAULT:
        spoil_some(w, ".seg", 1 + (unsigned)world_below(w, 4));
        break;
    case KIND_NO_SPACE:
        w->full = true;
        sim_disk_set_capacity(w->disk, sim_disk_used(w->disk) + world_below(w, 600u << 10));
        break;
    case KIND_LIE:
        if (w->life + 1 == w->lives) {
            arm(w, SIM_BIT(SIM_SYNC) | (world_chance(w, 30) ? SIM_BIT(SIM_WRITE) : 0u), 100, 60,
                EIO, SIM_LIE, SIM_LIE);
        }
        break;
    case KIND_PLAIN:
    case KIND_ROT_BLOCKS:
    case KIND_ROT_JOURNAL:
    case KIND_COUNT:
        break;
    }
}

/* Space is back: appends go on by themselves, within seconds, without a restart. */
static void space_returns(struct world *w)
{
    struct model_topic *topic;
    unsigned i;

    sim_disk_set_capacity(w->disk, UINT64_MAX);
    world_log(w, "space is back");
    world_pass(w, 3000000);
    world_drain(w);
    for (i = 0; i < WORLD_NAMESPACES && !world_excused(w); i++) {
        struct model_namespace *ns = &w->namespaces[i];

        for (topic = ns->handle == NULL ? NULL : ns->topics; topic != NULL; topic = topic->next) {
            if (topic->delete == NULL && !ns->quota) {
                workload_append(w, ns, topic, true);
            }
        }
    }
    w->full = false;
    world_drain(w);
}

void faults_turn(struct world *w)
{
    w->faulted = w->faulted || sim_disk_fired(w->disk) > w->fired;
    if (w->kind != KIND_NO_SPACE || w->disturbed || w->life >= w->lives || !world_chance(w, 3)) {
        return;
    }
    if (w->full) {
        space_returns(w);
    } else {
        w->full = true;
        sim_disk_set_capacity(w->disk, sim_disk_used(w->disk) + world_below(w, 200u << 10));
        world_log(w, "the disk is nearly full");
    }
}

void faults_check(struct world *w)
{
    struct error err;

    if (w->kind == KIND_SYNC_FAULT && w->fatal && w->faulted && !w->disturbed) {
        unsigned polls;

        world_drain(w);
        for (polls = 0; polls < 1000 && w->io->in_flight > 0 && !w->disturbed; polls++) {
            (void)world_poll(w); /* The operation that failed may not have been told yet */
        }
        if (!w->disturbed && engine_failed(w->engine, &err) == NULL) {
            world_fail(w, "a failed sync stops the namespace", "%llu operations have failed",
                       (unsigned long long)(sim_disk_fired(w->disk) - w->fired));
        }
    }
}

void faults_heal(struct world *w)
{
    sim_disk_clear_faults(w->disk);
    sim_disk_clear_unreadable(w->disk);
    w->fired = sim_disk_fired(w->disk);
    w->faulted = false;
}

void faults_end_life(struct world *w)
{
    const bool harmed = w->faulted || sim_disk_fired(w->disk) > w->fired;

    faults_heal(w);
    if (harmed && w->ending == END_PROCESS) {
        w->ending = END_POWER; /* What a failed operation took with it is gone in the same way */
    }
    if (harmed && world_chance(w, 50)) {
        sim_disk_power_cut(w->disk);
    }
    if (harmed && world_chance(w, 50)) {
        sim_disk_drop_cache(w->disk);
    }
    if (w->kind == KIND_NO_SPACE && (world_chance(w, 50) || w->life >= w->lives)) {
        sim_disk_set_capacity(w->disk, UINT64_MAX); /* Else the next start finds a full disk */
        w->full = false;
    }
}

bool faults_before_start(struct world *w)
{
    if (!world_chance(w, 40)) {
        return false;
    }
    if (w->kind == KIND_READ_FAULT) {
        const char *part = world_chance(w, 50) ? ".jnl" : "manifest-";

        spoil_some(w, part, 1 + (unsigned)world_below(w, 3));
        return true;
    }
    if (w->kind == KIND_SYNC_FAULT || w->kind == KIND_WRITE_FAULT) {
        const int os_error = world_chance(w, 50) ? EIO : ENOSPC;

        arm(w, SIM_CHANGES, 40, 50, os_error, SIM_LOSE, SIM_FAIL_PARTLY);
        if (w->ending == END_PROCESS) {
            w->ending = END_POWER;
        }
        return true;
    }
    return false;
}
