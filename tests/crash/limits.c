/* The daemon where the machine gives it less than it would like.
 *
 *     limits [--case NAME] [--count SCALE] [--seed N]
 *
 *     uring        io_uring is denied: it says so and uses posix
 *     sysctl       the same by kernel.io_uring_disabled; only when named, because it is the whole
 *                  machine's
 *     memory       recovery of many topics and much journal in MEMORY_MIB of memory
 *     descriptors  512 file descriptors are enough for four namespaces under load
 *     inodes       the file system has no inode left: appends are refused, and nothing else
 *
 * Two more run only when named, because they show what is not as it should be (README.md):
 *
 *     starved      too few descriptors: it works, or says why not
 *     restart      a restart while no inode is left: everything is served */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/tusk.h"
#include "tests/crash/mount.h"
#include "tests/crash/report.h"
#include "tests/crash/store.h"

#define SYSCTL "/proc/sys/kernel/io_uring_disabled"
#define MEMORY_MIB 96u
#define TOPICS 10000u /* Times SCALE */
#define ENTRY_SIZE 1024u
#define BATCH 100u
#define BATCHES 1000u /* Times SCALE: 100 MB of journal */

static struct store store;

static void begin(uint64_t seed, const char *data, const char *name)
{
    store_open(&store, seed, data, NULL, NULL);
    (void)snprintf(store.where, sizeof store.where, "limits %s seed %llu", name,
                   (unsigned long long)seed);
}

static void end(void)
{
    store_kill(&store);
    if (report_violations() > 0) {
        store_print_log(&store);
    }
    store_close(&store);
}

/* Load, kill, restart, judge: everything works as ever. */
static void expect_working(void)
{
    unsigned round;

    for (round = 0; round < 3 && store_start(&store); round++) {
        store_load(&store, 16, 0);
        report_pause_us(200000);
        store_kill(&store);
        store_unload(&store);
        if (!store_start(&store)) {
            return;
        }
        store_judge(&store, ENDING_KILL, UINT64_MAX, true);
        store_kill(&store);
    }
}

/* ---- io_uring ---- */

static void expect_posix(void)
{
    daemon_start(&store.daemon, "--io", "uring", NULL);
    if (strstr(store.daemon.ready, "io=posix") == NULL ||
        !daemon_logged(&store.daemon, "using posix instead of uring")) {
        report_violation("%s: it does not say that it uses posix: %s", store.where,
                         store.daemon.ready);
    }
    daemon_stop(&store.daemon);
    expect_working();
}

static void run_uring(uint64_t seed, uint32_t scale)
{
    (void)scale;
    begin(seed, NULL, "uring");
    store.daemon.deny_uring = true;
    expect_posix();
    end();
}

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool good = file != NULL && fputs(text, file) >= 0;

    return file != NULL && fclose(file) == 0 && good;
}

static void run_sysctl(uint64_t seed, uint32_t scale)
{
    char before[16] = "0";
    FILE *file = fopen(SYSCTL, "r");

    (void)scale;
    if (file == NULL || fgets(before, sizeof before, file) == NULL || !write_file(SYSCTL, "2")) {
        report_skip("kernel.io_uring_disabled cannot be set");
    }
    (void)fclose(file);
    begin(seed, NULL, "sysctl");
    expect_posix();
    end();
    report_need(write_file(SYSCTL, before), "set kernel.io_uring_disabled back");
}

/* ---- memory ---- */

struct group {
    char dir[400];
    bool second; /* Version 2 of the interface */
};

/* A group of our own below the one we are in. False: not here. */
static bool group_make(struct group *group)
{
    char line[300];
    char text[64];
    char path[500];
    FILE *file = fopen("/proc/self/cgroup", "r");

    group->dir[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *mine = strstr(line, ":memory:");

        line[strcspn(line, "\n")] = '\0';
        if (mine != NULL) {
            (void)snprintf(group->dir, sizeof group->dir, "/sys/fs/cgroup/memory%s/crash.%d",
                           mine + 8, (int)getpid());
            group->second = false;
            break;
        }
        if (strncmp(line, "0::", 3) == 0) {
            (void)snprintf(group->dir, sizeof group->dir, "/sys/fs/cgroup/crash.%d", (int)getpid());
            group->second = true;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)snprintf(text, sizeof text, "%u", MEMORY_MIB << 20);
    (void)snprintf(path, sizeof path, "%s/%s", group->dir,
                   group->second ? "memory.max" : "memory.limit_in_bytes");
    return group->dir[0] != '\0' && mkdir(group->dir, 0700) == 0 && write_file(path, text);
}

/* The daemon that was just spawned goes in, before it has done anything. */
static void group_enter(const struct group *group, pid_t pid)
{
    char path[500];
    char text[32];

    (void)kill(pid, SIGSTOP);
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", group->dir);
    (void)snprintf(text, sizeof text, "%d", (int)pid);
    report_need(write_file(path, text), "put the daemon into a memory group");
    (void)kill(pid, SIGCONT);
}

static uint64_t peak_kib(pid_t pid)
{
    char path[64];
    char line[200];
    unsigned long long value = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "VmHWM: %llu", &value) != 1) {
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return value;
}

static struct tusk *connect_default(void)
{
    const struct tusk_options options = {
        .size = sizeof options, .path = store.daemon.socket, .timeout_ms = 60000};
    struct tusk *t;

    report_need(tusk_connect(&options, &t, NULL) == TUSK_OK, "connect to the daemon");
    return t;
}

/* Many topics with an entry each, and few with much. */
static void fill(uint32_t scale)
{
    static uint8_t bytes[ENTRY_SIZE];
    struct tusk_bytes entries[BATCH];
    struct tusk *t = connect_default();
    char name[32];
    uint32_t i;

    memset(bytes, 'x', sizeof bytes);
    for (i = 0; i < BATCH; i++) {
        entries[i] = (struct tusk_bytes){bytes, sizeof bytes};
    }
    for (i = 0; i < TOPICS * scale; i++) {
        (void)snprintf(name, sizeof name, "topic %u", i);
        while (tusk_submit_append(t, name, "one", 3, 0, NULL, NULL) == TUSK_EBUSY) {
            report_need(tusk_process(t, 1000) == TUSK_OK, "append");
        }
    }
    for (i = 0; i < BATCHES * scale; i++) {
        (void)snprintf(name, sizeof name, "large %u", i % 7);
        while (tusk_submit_append_batch(t, name, entries, BATCH, 0, NULL, NULL) == TUSK_EBUSY) {
            report_need(tusk_process(t, 1000) == TUSK_OK, "append");
        }
    }
    report_need(tusk_flush(t, 60000) == TUSK_OK, "append");
    (void)tusk_close(t);
}

static int add_entries(void *user, const struct tusk_topic_info *info)
{
    *(uint64_t *)user += info->entries;
    return 0;
}

static void expect_filled(uint32_t scale)
{
    const uint64_t expected = (uint64_t)scale * (TOPICS + BATCHES * BATCH);
    struct tusk *t = connect_default();
    uint64_t found = 0;

    if (tusk_topic_list(t, add_entries, &found) != TUSK_OK || found != expected) {
        report_violation("%s: %llu of %llu entries are there", store.where,
                         (unsigned long long)found, (unsigned long long)expected);
    }
    (void)tusk_close(t);
}

static void run_memory(uint64_t seed, uint32_t scale)
{
    const char *const arguments[] = {"--fsync", "none",
                                     "--set",   "ring_size=8MiB",
                                     "--set",   "block_size=1MiB",
                                     "--set",   "blocks_per_segment=16",
                                     NULL};
    struct group group;
    uint64_t begin_ms;

    begin(seed, NULL, "memory");
    if (!group_make(&group)) {
        (void)printf("SKIP: memory: no memory group of its own can be made here\n");
        (void)rmdir(group.dir);
        end();
        return;
    }
    daemon_start_with(&store.daemon, arguments);
    fill(scale);
    store_kill(&store);
    begin_ms = daemon_now_ms();
    daemon_spawn(&store.daemon, arguments);
    group_enter(&group, store.daemon.pid);
    if (!daemon_await_ready(&store.daemon)) {
        report_violation("%s: recovery in %u MiB ends with %d", store.where, MEMORY_MIB,
                         daemon_wait(&store.daemon));
    } else {
        (void)printf("memory: recovered %u topics and %u MB in %llu ms, peak %llu KiB of %u\n",
                     TOPICS * scale, BATCHES * BATCH * scale / 1000,
                     (unsigned long long)(daemon_now_ms() - begin_ms),
                     (unsigned long long)peak_kib(store.daemon.pid), MEMORY_MIB << 10);
        expect_filled(scale);
        store_kill(&store);
    }
    report_need(rmdir(group.dir) == 0, "remove the memory group");
    end();
}

/* ---- descriptors ---- */

/* With each number of descriptors from most down to least it starts and stops, or says why not. */
static void expect_reasons(unsigned most, unsigned least)
{
    unsigned few;

    for (few = most; few >= least; few -= 2) {
        int status;

        store.daemon.descriptors = few;
        daemon_spawn(&store.daemon, NULL);
        if (daemon_await_ready(&store.daemon)) {
            (void)kill(store.daemon.pid, SIGTERM);
            status = daemon_wait(&store.daemon);
            if (status < 0) {
                report_violation("%s: with %u descriptors a stop ends with %d", store.where, few,
                                 status);
            }
            continue;
        }
        status = daemon_wait(&store.daemon);
        /* Below what the dynamic loader needs nobody can say anything. */
        if (status <= 0 || (status != 127 && !daemon_logged(&store.daemon, "level=error"))) {
            report_violation("%s: with %u descriptors it ends with %d and no reason", store.where,
                             few, status);
        }
    }
    store.daemon.descriptors = 0;
}

static void run_descriptors(uint64_t seed, uint32_t scale)
{
    (void)scale;
    begin(seed, NULL, "descriptors");
    store.daemon.descriptors = 512;
    expect_working();
    end();
}

static void run_starved(uint64_t seed, uint32_t scale)
{
    (void)scale;
    begin(seed, NULL, "starved");
    store.daemon.descriptors = 512;
    expect_working();
    expect_reasons(72, 6);
    if (store_start(&store)) { /* Whatever happened to it, nothing is lost */
        store_judge(&store, ENDING_KILL, UINT64_MAX, true);
    }
    end();
}

/* ---- inodes ---- */

static const struct mount_kind few_inodes = {.name = "ext4",
                                             .type = "ext4",
                                             .make = "mkfs.ext4 -q -F -m 0 -N 128 %s",
                                             .options = "",
                                             .size_mib = 256};

/* Empty files until there is no inode left; then so many fewer. */
static void use_up_inodes(const char *dir, unsigned leave)
{
    char path[400];
    unsigned count = 0;
    int fd;

    do {
        (void)snprintf(path, sizeof path, "%s/ballast%u", dir, count);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)close(fd);
            count++;
        }
    } while (fd >= 0);
    while (leave-- > 0 && count-- > 0) {
        (void)snprintf(path, sizeof path, "%s/ballast%u", dir, count);
        (void)unlink(path);
    }
}

static uint64_t refusals(void)
{
    uint64_t count = 0;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < store.model.client_count; i++) {
        const struct client *client = &store.model.clients[i];

        for (k = 0; k < client->sent_count; k++) {
            count += client->sent[k].fate == FATE_REFUSED && client->sent[k].acked_ns > 0;
        }
    }
    return count;
}

static void load_without_inodes(const char *mounted, bool restart)
{
    if (!store_start(&store)) {
        return;
    }
    use_up_inodes(mounted, 0);
    store_load(&store, 16, 1000);
    report_pause_us(1500000);
    if (kill(store.daemon.pid, 0) != 0 || daemon_logged(&store.daemon, "stopped:")) {
        report_violation("%s: it stopped for want of an inode", store.where);
    }
    store_kill(&store);
    store_unload(&store);
    (void)printf("inodes: %llu batches refused\n", (unsigned long long)refusals());
    if (restart && store_start(&store)) {
        store_judge(&store, ENDING_KILL, UINT64_MAX, true);
        store_kill(&store);
    }
    report_need(report_run("rm -f '%s'/ballast*", mounted), "remove the ballast");
    if (store_start(&store)) {
        store_judge(&store, ENDING_KILL, UINT64_MAX, true);
        store_expect_writable(&store);
    }
}

static void without_inodes(uint64_t seed, bool restart)
{
    struct mount_device device;
    char dir[256];
    char image[300];
    char mounted[300];
    char data[320];
    const char *why;

    if (!mount_kind_works(&few_inodes, &why)) {
        (void)printf("SKIP: inodes: %s\n", why);
        return;
    }
    report_make_dir(dir, sizeof dir);
    (void)snprintf(image, sizeof image, "%s/image", dir);
    (void)snprintf(mounted, sizeof mounted, "%s/mount", dir);
    (void)snprintf(data, sizeof data, "%s/data", mounted);
    report_need(mkdir(mounted, 0700) == 0 && mount_make_image(image, few_inodes.size_mib) &&
                    mount_attach(&device, image) && mount_make(&few_inodes, &device) &&
                    mount_on(&few_inodes, &device, mounted),
                "make a file system with few inodes");
    begin(seed, data, "inodes");
    load_without_inodes(mounted, restart);
    store_kill(&store);
    report_need(mount_off(mounted), "unmount");
    mount_detach(&device);
    end();
    report_remove(dir);
}

static void run_inodes(uint64_t seed, uint32_t scale)
{
    (void)scale;
    without_inodes(seed, false);
}

static void run_restart(uint64_t seed, uint32_t scale)
{
    (void)scale;
    without_inodes(seed, true);
}

/* ---- all cases ---- */

static const struct {
    const char *name;
    void (*run)(uint64_t seed, uint32_t scale);
    bool only_when_named;
} cases[] = {
    {"uring", run_uring, false},     {"sysctl", run_sysctl, true},
    {"memory", run_memory, false},   {"descriptors", run_descriptors, false},
    {"inodes", run_inodes, false},   {"starved", run_starved, false},
    {"restart", run_restart, false},
};

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "limits", 1);
    uint64_t runs = 0;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0] && report_violations() == 0; i++) {
        if (options.only == NULL ? !cases[i].only_when_named
                                 : strcmp(options.only, cases[i].name) == 0) {
            cases[i].run(options.seed + i, (uint32_t)options.count);
            runs++;
        }
    }
    (void)printf("limits: seed %llu, %llu cases, %llu violations\n",
                 (unsigned long long)options.seed, (unsigned long long)runs,
                 (unsigned long long)report_violations());
    return report_exit_code();
}
