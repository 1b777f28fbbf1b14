/* Which operation of the simulated disk fails, and how; the settings; the virtual clock; the record
 * of what was done. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const char *const sim_kind_names[SIM_KIND_COUNT] = {
    [SIM_MAKE_DIR] = "make_dir",
    [SIM_REMOVE_DIR] = "remove_dir",
    [SIM_LIST_DIR] = "list_dir",
    [SIM_SYNC_DIR] = "sync_dir",
    [SIM_RENAME] = "rename",
    [SIM_UNLINK] = "unlink",
    [SIM_LOCK] = "lock",
    [SIM_OPEN] = "open",
    [SIM_CREATE] = "create",
    [SIM_TRUNCATE] = "truncate",
    [SIM_WRITE] = "write",
    [SIM_READ_DIRECT] = "read_direct",
    [SIM_READ] = "read",
    [SIM_SYNC] = "sync",
    [SIM_ALLOCATE] = "allocate",
    [SIM_PUNCH] = "punch",
    [SIM_READ_CACHED] = "read_cached",
    [SIM_SIZE] = "size",
    [SIM_WRITEBACK] = "writeback",
};

const char *sim_kind_name(enum sim_kind kind)
{
    return sim_kind_names[kind];
}

uint64_t sim_mix(uint64_t hash, uint64_t value)
{
    uint64_t seed = hash ^ value;

    return random_split(&seed);
}

/* Count this operation against every armed fault; the first that fires decides. */
static const struct sim_fault *sim_fault_met(struct sim_disk *disk, enum sim_kind kind,
                                             struct sim_fault *copy)
{
    const struct sim_fault *met = NULL;

    for (unsigned i = 0; i < SIM_FAULTS; i++) {
        struct sim_fault *fault = &disk->faults[i];

        if ((fault->kinds & SIM_BIT(kind)) == 0) {
            continue;
        }
        fault->left -= fault->left > 0 ? 1 : 0;
        if (fault->left == 0) {
            if (met == NULL) {
                *copy = *fault;
                met = copy;
            }
            fault->kinds = fault->from_then_on ? fault->kinds : 0;
        }
    }
    return met;
}

static enum sim_fate sim_fault_fate(const struct sim_fault *fault, enum sim_kind kind)
{
    const unsigned must_happen = SIM_READS | SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_LOCK) |
                                 SIM_BIT(SIM_READ_CACHED) | SIM_BIT(SIM_SIZE);

    if (fault->effect == SIM_FAIL_PARTLY) {
        return SIM_PARTLY;
    }
    if (fault->effect == SIM_FAIL_FIRST || fault->effect == SIM_FAIL_HALF) {
        return fault->effect == SIM_FAIL_FIRST ? SIM_FIRST : SIM_HALF;
    }
    if (fault->effect == SIM_LOSE) {
        return SIM_LOST;
    }
    if (fault->effect == SIM_LIE) {
        return (must_happen & SIM_BIT(kind)) != 0 ? SIM_GO : SIM_IGNORED;
    }
    return SIM_REFUSED;
}

struct sim_verdict sim_begin(struct sim_disk *disk, enum sim_kind kind)
{
    const unsigned syncs = SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_SYNC_DIR) | SIM_BIT(SIM_ALLOCATE);
    const uint32_t us_max = (syncs & SIM_BIT(kind)) != 0 ? disk->sync_us_max : disk->op_us_max;
    const struct sim_fault *fault;
    struct sim_fault copy;

    if (disk->watch != NULL) {
        disk->watch(disk->watch_arg, disk, kind);
    }
    disk->operations[kind]++;
    disk->now_us += random_between(&disk->random, 1, us_max > 0 ? us_max : 1);
    if (disk->cut_left > 0 && (disk->cut_kinds & SIM_BIT(kind)) != 0) {
        disk->cut_left--;
        if (disk->cut_left == 0 && disk->cut_moment == SIM_BEFORE) {
            sim_disk_power_cut(disk);
            return (struct sim_verdict){SIM_REFUSED, EIO, false};
        }
        if (disk->cut_left == 0) {
            return (struct sim_verdict){SIM_PARTLY, EIO, true};
        }
    }
    fault = sim_fault_met(disk, kind, &copy);
    if (fault == NULL) {
        return (struct sim_verdict){SIM_GO, 0, false};
    }
    disk->fired++;
    return (struct sim_verdict){sim_fault_fate(fault, kind), fault->os_error, false};
}

void sim_disk_fail(struct sim_disk *disk, unsigned kinds, uint64_t nth, bool from_then_on,
                   int os_error, enum sim_effect effect)
{
    unsigned slot = 0;

    CHECK(nth > 0);
    CHECK(kinds != 0);
    CHECK((kinds & SIM_BIT(SIM_WRITEBACK)) == 0);
    CHECK(os_error > 0 || effect == SIM_LIE);
    while (slot < SIM_FAULTS && disk->faults[slot].kinds != 0) {
        slot++;
    }
    CHECK(slot < SIM_FAULTS);
    disk->faults[slot] = (struct sim_fault){kinds, nth, from_then_on, os_error, effect};
}

uint64_t sim_disk_fired(const struct sim_disk *disk)
{
    return disk->fired;
}

void sim_disk_clear_faults(struct sim_disk *disk)
{
    memset(disk->faults, 0, sizeof disk->faults);
}

void sim_disk_cut_at(struct sim_disk *disk, unsigned kinds, uint64_t nth, enum sim_moment moment)
{
    disk->cut_kinds = kinds;
    disk->cut_left = nth;
    disk->cut_moment = moment;
}

void sim_disk_set_policy(struct sim_disk *disk, enum sim_policy policy)
{
    CHECK(policy < SIM_POLICY_COUNT);
    disk->policy = policy;
}

void sim_disk_set_watch(struct sim_disk *disk, sim_watch_fn *fn, void *arg)
{
    disk->watch = fn;
    disk->watch_arg = arg;
}

void sim_disk_set_delay(struct sim_disk *disk, sim_delay_fn *fn, void *arg)
{
    disk->delay = fn;
    disk->delay_arg = arg;
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes)
{
    disk->capacity = bytes / SIM_CHUNK;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return disk->used * SIM_CHUNK;
}

void sim_disk_set_unreadable(struct sim_disk *disk, const char *path, uint64_t offset,
                             uint64_t size)
{
    uint32_t node;

    CHECK(sim_names_lookup(disk, path, &node) == 0);
    CHECK(disk->unreadable_count < SIM_UNREADABLE);
    disk->unreadable[disk->unreadable_count++] = (struct sim_range){node, offset, size};
}

void sim_disk_clear_unreadable(struct sim_disk *disk)
{
    disk->unreadable_count = 0;
}

bool sim_is_unreadable(const struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size)
{
    for (unsigned i = 0; i < disk->unreadable_count; i++) {
        const struct sim_range *range = &disk->unreadable[i];

        if (range->node == node && offset < range->offset + range->size &&
            range->offset < offset + size) {
            return true;
        }
    }
    return false;
}

/* The first unreadable byte at or behind offset; UINT64_MAX if there is none. */
uint64_t sim_unreadable_from(const struct sim_disk *disk, uint32_t node, uint64_t offset)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < disk->unreadable_count; i++) {
        const struct sim_range *range = &disk->unreadable[i];
        const uint64_t from = range->offset > offset ? range->offset : offset;

        if (range->node == node && from < range->offset + range->size && from < first) {
            first = from;
        }
    }
    return first;
}

bool sim_is_cold(struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size)
{
    for (unsigned i = 0; i < SIM_WARM; i++) {
        const struct sim_range *range = &disk->warm[i];

        if (range->size > 0 && range->node == node && offset >= range->offset &&
            offset + size <= range->offset + range->size) {
            return false;
        }
    }
    return random_chance(&disk->random, disk->cold_percent);
}

void sim_warm(struct sim_disk *disk, uint32_t node, uint64_t offset, uint64_t size)
{
    disk->warm[disk->warm_at] = (struct sim_range){node, offset, size};
    disk->warm_at = (disk->warm_at + 1) % SIM_WARM;
}

void sim_disk_set_cold(struct sim_disk *disk, unsigned percent)
{
    disk->cold_percent = percent;
}

void sim_disk_set_pace(struct sim_disk *disk, unsigned percent)
{
    disk->pace_percent = percent;
}

void sim_disk_set_latency(struct sim_disk *disk, uint32_t op_us_max, uint32_t sync_us_max)
{
    disk->op_us_max = op_us_max;
    disk->sync_us_max = sync_us_max;
}

uint64_t sim_disk_now_us(const struct sim_disk *disk)
{
    return disk->now_us;
}

void sim_disk_advance(struct sim_disk *disk, uint64_t us)
{
    disk->now_us += us;
}

uint64_t sim_disk_operations(const struct sim_disk *disk, unsigned kinds)
{
    uint64_t count = 0;

    for (unsigned kind = 0; kind < SIM_KIND_COUNT; kind++) {
        count += (kinds & SIM_BIT(kind)) != 0 ? disk->operations[kind] : 0;
    }
    return count;
}

uint64_t sim_disk_trace_hash(const struct sim_disk *disk)
{
    return disk->trace_hash;
}

void sim_disk_set_trace(struct sim_disk *disk, unsigned count)
{
    free(disk->trace);
    disk->trace = count > 0 ? sim_alloc(count * sizeof *disk->trace) : NULL;
    disk->trace_room = count;
    disk->trace_count = 0;
}

void sim_record(struct sim_disk *disk, const struct sim_call *call, int os_error)
{
    const char *path = call->file != NULL ? call->file->path : call->path;
    uint64_t hash = sim_mix(disk->trace_hash, (uint64_t)call->kind << 32 | (uint64_t)os_error);
    size_t size = 0;

    for (; path[size] != '\0'; size++) {
        hash = (hash ^ (uint8_t)path[size]) * UINT64_C(0x100000001b3);
    }
    disk->trace_hash = sim_mix(sim_mix(hash, call->offset), call->size);
    if (disk->trace_room > 0) {
        struct sim_trace *line = &disk->trace[disk->trace_count++ % disk->trace_room];

        *line = (struct sim_trace){.now_us = disk->now_us,
                                   .kind = call->kind,
                                   .os_error = os_error,
                                   .offset = call->offset,
                                   .size = call->size};
        path += size < SIM_TRACE_PATH ? 0 : size - (SIM_TRACE_PATH - 1);
        memcpy(line->path, path, strlen(path) + 1);
    }
}

void sim_disk_print_trace(const struct sim_disk *disk, FILE *out)
{
    uint64_t i = disk->trace_count > disk->trace_room ? disk->trace_count - disk->trace_room : 0;

    for (; i < disk->trace_count; i++) {
        const struct sim_trace *line = &disk->trace[i % disk->trace_room];

        (void)fprintf(
            out, "%6" PRIu64 " %10" PRIu64 "us %-11s %s [%" PRIu64 ", +%" PRIu64 ")%s%s\n", i,
            line->now_us, sim_kind_name(line->kind), line->path, line->offset, line->size,
            line->os_error != 0 ? " " : "", line->os_error != 0 ? strerror(line->os_error) : "");
    }
}
