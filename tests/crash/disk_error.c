/* The disk fails under the daemon, or the directory is taken away: it must stop at once with status
 * 74 and say why, and after a restart on the healed disk everything it had acknowledged as durable
 * must be there, read from the device.
 *
 *     disk_error [--fs ext4|xfs|btrfs] [--case NAME] [--count RUNS] [--seed N]
 *
 *     after      every write and flush fails from the n-th write on
 *     range      writes to a part of the device fail
 *     thin       the device runs out of space below the file system
 *     abort      the file system turns read-only
 *     removed    somebody removes the data directory
 *     exposed    somebody opens the data directory to others: the next start refuses
 *
 * Each run takes the next case, unless one is named. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/crash/report.h"
#include "tests/crash/rig.h"
#include "tests/crash/store.h"

#define NOTICE_MS 120000u /* Under load the daemon meets its disk's failure within this */
#define EXIT_IO 74
#define THIN_PAGES 12000 /* At most, that can yet be written: 47 MiB */

/* Whether it ended by itself in time. */
static bool ends(struct store *store)
{
    const uint64_t end = daemon_now_ms() + NOTICE_MS;
    siginfo_t info = {0};

    while (daemon_now_ms() < end) {
        if (waitid(P_PID, (id_t)store->daemon.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == store->daemon.pid) {
            return true;
        }
        report_pause_us(2000);
    }
    return false;
}

/* It must stop by itself, with the status for it, and say so. */
static void expect_stop(struct store *store)
{
    int status;

    if (!ends(store)) {
        report_violation("%s: it still runs %u s after its disk failed", store->where,
                         NOTICE_MS / 1000);
        store_unload(store);
        store_kill(store);
        return;
    }
    status = daemon_wait(&store->daemon);
    store_unload(store);
    if (status != EXIT_IO) {
        report_violation("%s: it exits with %d, not %d", store->where, status, EXIT_IO);
    }
    if (!daemon_logged(&store->daemon, "stopped:") ||
        !daemon_logged(&store->daemon, "level=error")) {
        report_violation("%s: it does not say why it stopped", store->where);
    }
}

/* On the healed disk. What was acknowledged at most at `cut` (mount_cut_power) counts. */
static void expect_all_durable(struct store *store, uint64_t cut)
{
    if (!store_start(store)) {
        return;
    }
    store_judge(store, ENDING_POWER, cut, true);
    store_expect_same_again(store);
    store_expect_writable(store);
}

static void load_a_while(struct store *store)
{
    store_load(store, 1u << random_below(&store->random, 6), 0);
    report_pause_us(1000 * random_between(&store->random, 5, 300));
}

/* ---- the device fails ---- */

enum failure { FAIL_AFTER, FAIL_RANGE, FAIL_THIN };

static void begin_failing(struct rig *rig, struct random *random, enum failure failure)
{
    const uint64_t size = rig->disk.shared->size;
    const uint64_t begin = random_below(random, size / 4);

    switch (failure) {
    case FAIL_AFTER:
        disk_fail_after(&rig->disk, (int64_t)random_below(random, 200));
        break;
    case FAIL_RANGE:
        disk_fail_range(&rig->disk, begin, begin + size / 2);
        break;
    case FAIL_THIN:
        disk_thin(&rig->disk, (int64_t)random_below(random, THIN_PAGES));
        break;
    }
}

static void device_fails(const struct mount_kind *kind, uint64_t seed, enum failure failure)
{
    static const char *const names[] = {"after", "range", "thin"};
    static struct rig rig;
    static struct store store;

    rig_open(&rig, kind);
    store_open(&store, seed, rig.data, NULL, NULL);
    (void)snprintf(store.where, sizeof store.where, "%s %s seed %llu", kind->name, names[failure],
                   (unsigned long long)seed);
    if (store_start(&store)) {
        load_a_while(&store);
        begin_failing(&rig, &store.random, failure);
        expect_stop(&store);
        if (disk_failed(&rig.disk) == 0) {
            report_violation("%s: nothing failed: the test is wrong", store.where);
        }
    }
    store_kill(&store);
    report_need(mount_off(rig.mount), "unmount the failed file system");
    rig_detach(&rig);
    disk_fail_after(&rig.disk, -1);
    disk_fail_range(&rig.disk, 0, 0);
    disk_thin(&rig.disk, -1);
    if (!rig_mount(&rig)) {
        report_violation("%s: cannot be mounted after it healed", store.where);
        rig_detach(&rig);
    } else {
        expect_all_durable(&store, UINT64_MAX);
        store_kill(&store);
        rig_unmount(&rig);
    }
    if (report_violations() > 0) {
        store_print_log(&store);
    }
    store_close(&store);
    rig_close(&rig);
}

static void run_after(const struct mount_kind *kind, uint64_t seed)
{
    device_fails(kind, seed, FAIL_AFTER);
}

static void run_range(const struct mount_kind *kind, uint64_t seed)
{
    device_fails(kind, seed, FAIL_RANGE);
}

static void run_thin(const struct mount_kind *kind, uint64_t seed)
{
    device_fails(kind, seed, FAIL_THIN);
}

/* ---- file systems on an ordinary image ---- */

struct plain {
    const struct mount_kind *kind;
    struct mount_device device;
    char dir[256];
    char image[300];
    char mount[300];
    char data[320];
    struct store store;
};

static struct plain ordinary;
static atomic_ulong cuts; /* As mount_cut_power() wants it */

static void plain_mount(struct plain *plain)
{
    if (strcmp(plain->kind->type, "btrfs") == 0) {
        (void)report_run("btrfs device scan --forget");
    }
    report_need(mount_attach(&plain->device, plain->image), "attach a loop device");
    report_need(mount_on(plain->kind, &plain->device, plain->mount), "mount");
}

static void plain_unmount(struct plain *plain)
{
    report_need(mount_off(plain->mount), "unmount");
    mount_detach(&plain->device);
}

static void plain_open(struct plain *plain, const struct mount_kind *kind, uint64_t seed,
                       const char *what)
{
    memset(plain, 0, sizeof *plain);
    plain->kind = kind;
    plain->device.fd = -1;
    report_make_dir(plain->dir, sizeof plain->dir);
    (void)snprintf(plain->image, sizeof plain->image, "%s/image", plain->dir);
    (void)snprintf(plain->mount, sizeof plain->mount, "%s/mount", plain->dir);
    (void)snprintf(plain->data, sizeof plain->data, "%s/data", plain->mount);
    report_need(mkdir(plain->mount, 0700) == 0, "make a mount point");
    report_need(mount_make_image(plain->image, 2 * kind->size_mib), "make an image");
    report_need(mount_attach(&plain->device, plain->image), "attach a loop device");
    report_need(mount_make(kind, &plain->device), "make a file system");
    mount_detach(&plain->device);
    plain_mount(plain);
    store_open(&plain->store, seed, plain->data, NULL, &cuts);
    (void)snprintf(plain->store.where, sizeof plain->store.where, "%s %s seed %llu", kind->name,
                   what, (unsigned long long)seed);
}

static void plain_close(struct plain *plain)
{
    store_kill(&plain->store);
    if (report_violations() > 0) {
        store_print_log(&plain->store);
    }
    plain_unmount(plain);
    store_close(&plain->store);
    report_remove(plain->dir);
}

static void run_abort(const struct mount_kind *kind, uint64_t seed)
{
    const uint64_t cut = atomic_load(&cuts);

    plain_open(&ordinary, kind, seed, "abort");
    if (store_start(&ordinary.store)) {
        load_a_while(&ordinary.store);
        /* ext4 has a way to be made read-only as if it had found an error; others are shut down. */
        if (strcmp(kind->type, "ext4") == 0) {
            (void)atomic_fetch_add(&cuts, 1);
        }
        if (strcmp(kind->type, "ext4") != 0 ||
            mount(NULL, ordinary.mount, NULL, MS_REMOUNT, "abort") != 0) {
            report_need(mount_cut_power(ordinary.mount, &cuts), "shut the file system down");
        }
        expect_stop(&ordinary.store);
    }
    store_kill(&ordinary.store);
    plain_unmount(&ordinary);
    plain_mount(&ordinary);
    expect_all_durable(&ordinary.store, cut);
    plain_close(&ordinary);
}

/* Nothing can be promised for what was removed but that it does not go on as if nothing had been. */
static void run_removed(const struct mount_kind *kind, uint64_t seed)
{
    plain_open(&ordinary, kind, seed, "removed");
    if (store_start(&ordinary.store)) {
        load_a_while(&ordinary.store);
        report_need(report_run("rm -rf '%s'", ordinary.data), "remove the data directory");
        expect_stop(&ordinary.store);
    }
    plain_close(&ordinary);
}

static void run_exposed(const struct mount_kind *kind, uint64_t seed)
{
    plain_open(&ordinary, kind, seed, "exposed");
    if (store_start(&ordinary.store)) {
        load_a_while(&ordinary.store);
        report_need(chmod(ordinary.data, 0777) == 0, "open the data directory");
        report_pause_us(50000);
        store_kill(&ordinary.store);
        store_unload(&ordinary.store);
        if (daemon_fails(&ordinary.store.daemon, NULL) == 0 ||
            !daemon_logged(&ordinary.store.daemon, ordinary.data)) {
            report_violation("%s: it serves a directory that others can change",
                             ordinary.store.where);
        }
        report_need(chmod(ordinary.data, 0700) == 0, "close the data directory");
        expect_all_durable(&ordinary.store, UINT64_MAX);
    }
    plain_close(&ordinary);
}

/* ---- all cases ---- */

static const struct {
    const char *name;
    void (*run)(const struct mount_kind *kind, uint64_t seed);
} cases[] = {
    {"after", run_after}, {"range", run_range},     {"thin", run_thin},
    {"abort", run_abort}, {"removed", run_removed}, {"exposed", run_exposed},
};

#define CASES (sizeof cases / sizeof cases[0])

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "disk_error", CASES);
    const char *name = options.fs != NULL ? options.fs : "ext4";
    const struct mount_kind *kind = mount_kind_find(name);
    uint64_t done;
    uint64_t runs = 0;
    const char *why;

    if (kind == NULL) {
        report_skip("no such file system");
    }
    if (!mount_kind_works(kind, &why)) {
        report_skip(why);
    }
    for (done = 0; done < options.count && report_violations() == 0; done++) {
        const size_t which = done % CASES;

        if (strcmp(kind->type, "btrfs") == 0 && strcmp(cases[which].name, "abort") == 0) {
            continue; /* It cannot be shut down */
        }
        if (options.only == NULL || strcmp(options.only, cases[which].name) == 0) {
            if (options.verbose) {
                (void)printf("%s, seed %llu\n", cases[which].name,
                             (unsigned long long)(options.seed + done));
            }
            cases[which].run(kind, options.seed + done);
            runs++;
        }
    }
    (void)printf("disk_error %s: seeds %llu-%llu, %llu runs, %llu violations\n", name,
                 (unsigned long long)options.seed, (unsigned long long)(options.seed + done - 1),
                 (unsigned long long)runs, (unsigned long long)report_violations());
    return report_exit_code();
}
