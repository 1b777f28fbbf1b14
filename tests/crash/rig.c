#include "tests/crash/rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/report.h"

#define REQUEST_KIB 64u /* Less than the FUSE server takes at once */

static void attach(struct rig *rig)
{
    report_need(mount_attach(&rig->device, rig->disk.path), "attach a loop device");
    mount_limit_requests(&rig->device, REQUEST_KIB);
}

static void detach(struct rig *rig)
{
    mount_limit_requests(&rig->device, 0);
    mount_detach(&rig->device);
}

bool rig_mount(struct rig *rig)
{
    /* btrfs remembers devices by what was on them, and takes an older state for an impostor. */
    if (strcmp(rig->kind->type, "btrfs") == 0) {
        (void)report_run("btrfs device scan --forget");
    }
    attach(rig);
    return mount_on(rig->kind, &rig->device, rig->mount);
}

void rig_unmount(struct rig *rig)
{
    report_need(mount_off(rig->mount), "unmount");
    detach(rig);
}

void rig_open(struct rig *rig, const struct mount_kind *kind)
{
    const char *why;

    *rig = (struct rig){.kind = kind, .device = {.fd = -1}};
    report_make_dir(rig->dir, sizeof rig->dir);
    (void)snprintf(rig->fuse, sizeof rig->fuse, "%s/fuse", rig->dir);
    (void)snprintf(rig->mount, sizeof rig->mount, "%s/mount", rig->dir);
    (void)snprintf(rig->data, sizeof rig->data, "%s/data", rig->mount);
    report_need(mkdir(rig->fuse, 0700) == 0 && mkdir(rig->mount, 0700) == 0, "make mount points");
    if (!disk_open(&rig->disk, rig->fuse, (uint64_t)kind->size_mib << 20, &why)) {
        report_remove(rig->dir);
        report_skip(why);
    }
    attach(rig);
    report_need(mount_make(kind, &rig->device), "make a file system");
    detach(rig);
    disk_begin_log(&rig->disk);
    report_need(rig_mount(rig), "mount it");
}

void rig_detach(struct rig *rig)
{
    detach(rig);
}

void rig_close(struct rig *rig)
{
    disk_close(&rig->disk);
    report_remove(rig->dir);
}

void rig_check(struct rig *rig, const char *where)
{
    char command[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(command, sizeof command, rig->kind->check, rig->device.name);
#pragma GCC diagnostic pop
    if (!report_run("%s", command)) {
        report_violation("%s: the file system itself is damaged (%s): the fault is the test's, or "
                         "the kernel's",
                         where, command);
    }
}
