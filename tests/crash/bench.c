#include "tests/crash/bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/report.h"

#define REQUEST_KIB 64u /* Less than the FUSE server takes at once */

static void attach(struct bench *bench)
{
    report_need(mount_attach(&bench->device, bench->disk.path), "attach a loop device");
    mount_limit_requests(&bench->device, REQUEST_KIB);
}

static void detach(struct bench *bench)
{
    mount_limit_requests(&bench->device, 0);
    mount_detach(&bench->device);
}

bool bench_mount(struct bench *bench)
{
    /* btrfs remembers devices by what was on them, and takes an older state for an impostor. */
    if (strcmp(bench->kind->type, "btrfs") == 0) {
        (void)report_run("btrfs device scan --forget");
    }
    attach(bench);
    return mount_on(bench->kind, &bench->device, bench->mount);
}

void bench_unmount(struct bench *bench)
{
    report_need(mount_off(bench->mount), "unmount");
    detach(bench);
}

void bench_open(struct bench *bench, const struct mount_kind *kind)
{
    const char *why;

    *bench = (struct bench){.kind = kind, .device = {.fd = -1}};
    report_make_dir(bench->dir, sizeof bench->dir);
    (void)snprintf(bench->fuse, sizeof bench->fuse, "%s/fuse", bench->dir);
    (void)snprintf(bench->mount, sizeof bench->mount, "%s/mount", bench->dir);
    (void)snprintf(bench->data, sizeof bench->data, "%s/data", bench->mount);
    report_need(mkdir(bench->fuse, 0700) == 0 && mkdir(bench->mount, 0700) == 0,
                "make mount points");
    if (!disk_open(&bench->disk, bench->fuse, (uint64_t)kind->size_mib << 20, &why)) {
        report_remove(bench->dir);
        report_skip(why);
    }
    attach(bench);
    report_need(mount_make(kind, &bench->device), "make a file system");
    detach(bench);
    disk_begin_log(&bench->disk);
    report_need(bench_mount(bench), "mount it");
}

void bench_detach(struct bench *bench)
{
    detach(bench);
}

void bench_close(struct bench *bench)
{
    disk_close(&bench->disk);
    report_remove(bench->dir);
}

void bench_check(struct bench *bench, const char *where)
{
    char command[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(command, sizeof command, bench->kind->check, bench->device.name);
#pragma GCC diagnostic pop
    if (!report_run("%s", command)) {
        report_violation("%s: the file system itself is damaged (%s): the fault is the test's, or "
                         "the kernel's",
                         where, command);
    }
}
