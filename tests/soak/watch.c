#include "tests/soak/watch.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool count_descriptors(pid_t pid, struct watch *watch)
{
    const struct dirent *entry;
    char path[64];
    char first;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    while ((entry = readdir(dir)) != NULL) {
        /* Files say their path, others what they are ("socket:[1234]"). */
        if (readlinkat(dirfd(dir), entry->d_name, &first, 1) == 1) {
            *(first == '/' ? &watch->files : &watch->descriptors) += 1;
        }
    }
    (void)closedir(dir);
    return true;
}

bool watch_process(pid_t pid, struct watch *watch)
{
    unsigned long long value;
    char path[64];
    char line[256];
    FILE *file;

    *watch = (struct watch){0};
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %llu kB", &value) == 1) {
            watch->resident_kib = value;
        } else if (sscanf(line, "VmHWM: %llu kB", &value) == 1) {
            watch->peak_kib = value;
        }
    }
    (void)fclose(file);
    return watch->resident_kib > 0 && count_descriptors(pid, watch);
}

static uint64_t disk_kib; /* nftw() takes no argument along */

static int add_file(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)path;
    (void)walk;
    if (type == FTW_F) {
        disk_kib += (uint64_t)info->st_blocks / 2;
    }
    return 0;
}

bool watch_directory(const char *path, uint64_t *kib)
{
    disk_kib = 0;
    if (nftw(path, add_file, 16, FTW_PHYS | FTW_MOUNT) != 0) {
        return false;
    }
    *kib = disk_kib;
    return true;
}
