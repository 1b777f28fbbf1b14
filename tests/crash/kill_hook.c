/* Linked with a daemon whose functions are compiled with -finstrument-functions: each of them calls
 * these two. They count, and kill the process where kill_points.c said. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/crash/kill_table.h"

#define UNWATCHED __attribute__((no_instrument_function))

extern const char __executable_start[]; /* The linker's: where the program begins */

static struct kill_table *table;

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

UNWATCHED __attribute__((constructor)) static void open_table(void)
{
    const char *path = getenv(KILL_TABLE_VARIABLE);
    const int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map;

    if (fd < 0) {
        return;
    }
    map = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    table = map != MAP_FAILED ? map : NULL;
}

UNWATCHED static void come_to(const void *function, unsigned leaving)
{
    const uintptr_t distance = (uintptr_t)function - (uintptr_t)__executable_start;
    const uint32_t place = (uint32_t)(2 * (distance / KILL_ALIGN)) + leaving;

    if (table == NULL || place >= KILL_PLACES) {
        return;
    }
    if (atomic_fetch_add_explicit(&table->hits[place], 1, memory_order_relaxed) + 1 == table->hit &&
        place == table->place) {
        (void)kill(getpid(), SIGKILL); /* All threads, at once, as from outside */
    }
}

UNWATCHED void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)caller;
    come_to(function, 0);
}

UNWATCHED void __cyg_profile_func_exit(void *function, void *caller)
{
    (void)caller;
    come_to(function, 1);
}
