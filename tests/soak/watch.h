/* What a process and a directory take, as the kernel tells. */
#ifndef TESTS_SOAK_WATCH_H
#define TESTS_SOAK_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct watch {
    uint64_t resident_kib; /* VmRSS */
    uint64_t peak_kib;     /* VmHWM */
    uint64_t files;        /* Descriptors of files and directories */
    uint64_t descriptors;  /* Others: sockets, pipes, events, processes */
};

/* False: it cannot be looked at. */
bool watch_process(pid_t pid, struct watch *watch);
/* KiB that the files below a directory have on the disk. */
bool watch_directory(const char *path, uint64_t *kib);

#endif
