/* The power fails under a file system while the daemon is loaded: whatever was not synced at that
 * instant is gone. What was acknowledged as durable must be there afterwards.
 *
 *     power_cut [--fs ext4|ext4-writeback|ext4-nojournal|xfs] [--count CUTS] [--seed N]
 *               [--schedule each|lazy|none]
 *
 * The file system is on a loop device; the cut is its own FS_IOC_SHUTDOWN without a flush, and a
 * remount, which replays its journal. The clients write down what they were told elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/mount.h"
#include "tests/crash/report.h"
#include "tests/crash/store.h"

#define CUTS_PER_STORE 20u

/* How often the power was cut: what was acknowledged before the last time counts. */
static atomic_ulong cuts;

struct place {
    const struct mount_kind *kind;
    struct mount_device device;
    char image[300];
    char dir[256]; /* Of the image */
    char mount[300];
    char data[320];
};

/* Images are best where nothing else has to be written for them. */
static void make_place(struct place *place, const struct mount_kind *kind)
{
    *place = (struct place){.kind = kind, .device = {.fd = -1}};
    if (access("/dev/shm", W_OK) == 0) {
        (void)snprintf(place->dir, sizeof place->dir, "/dev/shm/crash.XXXXXX");
        report_need(mkdtemp(place->dir) != NULL, "make a directory for the image");
    } else {
        report_make_dir(place->dir, sizeof place->dir);
    }
    (void)snprintf(place->image, sizeof place->image, "%s/image", place->dir);
    (void)snprintf(place->mount, sizeof place->mount, "%s/mount", place->dir);
    (void)snprintf(place->data, sizeof place->data, "%s/data", place->mount);
    report_need(mkdir(place->mount, 0700) == 0, "make a mount point");
    report_need(mount_make_image(place->image, 2 * kind->size_mib), "make an image");
    report_need(mount_attach(&place->device, place->image), "attach a loop device");
    report_need(mount_make(kind, &place->device), "make a file system");
    report_need(mount_on(kind, &place->device, place->mount), "mount it");
}

static void remove_place(struct place *place)
{
    (void)mount_off(place->mount);
    mount_detach(&place->device);
    report_remove(place->dir);
}

/* Cut under load; then the daemon, whose disk is gone, dies too, and all is mounted again. */
static bool cut(struct place *place, struct store *store)
{
    struct random *random = &store->random;
    const struct mount_kind *kind = place->kind;

    store_load(store, 1u << random_below(random, 7), (uint32_t)random_below(random, 3) * 500);
    report_pause_us(random_between(random, 1000, random_chance(random, 60) ? 100000 : 500000));
    /* What it serves when it is back must survive, although nobody asked for a sync. */
    if (random_chance(random, 20) && !store_die(store)) {
        return false;
    }
    report_need(mount_cut_power(place->mount, &cuts), "cut the power");
    if (random_chance(random, 30)) {
        report_pause_us(
            random_below(random, 50000)); /* It may notice, and must say nothing false */
    }
    store_kill(store);
    store_unload(store);
    report_need(mount_off(place->mount), "unmount after the cut");
    if (strcmp(kind->name, "ext4-nojournal") == 0) {
        (void)report_run("e2fsck -fy %s", place->device.name);
    }
    if (!mount_on(kind, &place->device, place->mount)) {
        report_violation("%s: %s cannot be mounted after the cut", store->where, kind->name);
        return false;
    }
    return true;
}

static uint64_t run_store(const struct report_options *options, const struct mount_kind *kind,
                          uint64_t seed, uint64_t count, struct store *store)
{
    struct place place;
    uint64_t done = 0;

    make_place(&place, kind);
    store_open(store, seed, place.data, options->schedule, &cuts);
    if (!store_start(store)) {
        count = 0;
    }
    while (done < count && report_violations() == 0) {
        (void)snprintf(store->where, sizeof store->where, "%s cut %llu", kind->name,
                       (unsigned long long)done);
        done++;
        if (!cut(&place, store) || !store_start(store)) {
            break;
        }
        store_judge(store, ENDING_POWER, atomic_load(&cuts) - 1, true);
        if (random_chance(&store->random, 20)) {
            store_expect_same_again(store);
            store_expect_writable(store);
        }
    }
    if (report_violations() > 0) {
        store_print_log(store);
    }
    store_close(store);
    remove_place(&place);
    return done;
}

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "power_cut", 10);
    const char *name = options.fs != NULL ? options.fs : "ext4";
    const struct mount_kind *kind = mount_kind_find(name);
    static struct store store;
    uint64_t acked = 0;
    uint64_t lost = 0;
    uint64_t done = 0;
    uint64_t seed = options.seed;
    const char *why;

    if (kind == NULL || strcmp(name, "btrfs") == 0) {
        report_skip("no such file system, or one whose power cannot be cut");
    }
    if (!mount_kind_works(kind, &why)) {
        report_skip(why);
    }
    while (done < options.count && report_violations() == 0) {
        const uint64_t left = options.count - done;

        done += run_store(&options, kind, seed++, left < CUTS_PER_STORE ? left : CUTS_PER_STORE,
                          &store);
        acked += store.acked;
        lost += store.lost;
    }
    (void)printf(
        "power_cut %s: seeds %llu-%llu, %llu cuts, %llu batches acknowledged, %llu lost as "
        "the schedule allows, %llu violations\n",
        name, (unsigned long long)options.seed, (unsigned long long)seed - 1,
        (unsigned long long)done, (unsigned long long)acked, (unsigned long long)lost,
        (unsigned long long)report_violations());
    return report_exit_code();
}
