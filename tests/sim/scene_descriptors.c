/* The descriptors of the simulated daemon: its connections, processes that it watches, and files that
 * it hands on. Where each leads is in its number. */
#include <errno.h>
#include <uv.h>

#include "core/check.h"
#include "core/io.h"
#include "server/limits.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

/* ---- connections ---- */

struct sim_link *scene_link(void *arg, int fd)
{
    struct scene *s = arg;
    unsigned i = 0;

    while (i < SCENE_CLIENTS && (s->clients[i] == NULL || s->clients[i]->link.fd != fd)) {
        i++;
    }
    CHECK(i < SCENE_CLIENTS);
    return &s->clients[i]->link;
}

static struct client *next_in_queue(struct scene *s)
{
    struct client *first = NULL;
    unsigned i;

    for (i = 0; i < SCENE_CLIENTS; i++) {
        struct client *c = s->clients[i];

        if (c != NULL && !c->link.accepted && (first == NULL || c->number < first->number)) {
            first = c;
        }
    }
    return first;
}

int scene_accept(struct scene *s)
{
    struct client *c = next_in_queue(s);

    if (c == NULL) {
        errno = EAGAIN;
        return -1;
    }
    if (scene_chance(s, 2)) {
        static const int errors[] = {ECONNABORTED, EINTR, EMFILE, ENOBUFS};

        errno = errors[scene_below(s, 4)];
        return -1;
    }
    c->link.accepted = true;
    c->taken_on_us = scene_now_us(s);
    return c->link.fd;
}

int scene_lowest_descriptor(struct scene *s)
{
    if (s->taste.descriptors_short && s->quiet_us == 0 && !s->stopping && scene_chance(s, 30)) {
        return SEAM_FD_LIMIT - SPARE_FDS;
    }
    return 20;
}

/* ---- processes ---- */

int scene_watch(struct scene *s, int pid, int socket_fd)
{
    const int number = pid - SEAM_PID_FIRST;
    struct lessee *p = lessee_find(s, (uint64_t)number);

    if (p == NULL || socket_fd != SEAM_FD_CLIENT + number || p->watched || p->unwatchable) {
        scene_fail(s, "who connected is watched, once", "process %d, descriptor %d", pid,
                   socket_fd);
    }
    /* Not held against the daemon: of one that is gone there may or may not be a descriptor. */
    p->unwatchable = scene_chance(s, p->dead ? 50 : 5);
    p->watched = !p->unwatchable;
    return p->watched ? SEAM_FD_PROCESS + number : -1;
}

int scene_refuse_poll(void *arg, int fd)
{
    static const int errors[] = {UV_EMFILE, UV_ENOMEM, UV_ENOSPC};
    struct scene *s = arg;

    if (fd < SEAM_FD_PROCESS || !s->serving || !scene_chance(s, 3)) {
        return 0;
    }
    return errors[scene_below(s, 3)];
}

/* ---- files ---- */

int scene_share(void *arg, uint32_t file)
{
    struct scene *s = arg;
    unsigned i = 0;

    while (i < SEAM_SHARED_MAX && s->shared[i].open) {
        i++;
    }
    if (i == SEAM_SHARED_MAX || scene_chance(s, 2)) {
        return -EMFILE;
    }
    s->shared[i] = (struct seam_shared){.open = true, .file = file};
    return SEAM_FD_SHARED + (int)i;
}

ssize_t scene_send_right(struct scene *s, int fd, const void *data, size_t size, int shared)
{
    static const int errors[] = {EINTR, EAGAIN, ENOBUFS, ETOOMANYREFS};
    const unsigned slot = (unsigned)(shared - SEAM_FD_SHARED);
    int taken;

    CHECK(size > 0);
    if (shared < SEAM_FD_SHARED || slot >= SEAM_SHARED_MAX || !s->shared[slot].open) {
        scene_fail(s, "what is sent is open", "descriptor %d", shared);
    }
    if (scene_dies_writing(s)) {
        return (ssize_t)size; /* It goes nowhere */
    }
    if (scene_chance(s, 5)) {
        errno = errors[scene_below(s, 4)];
        return -1;
    }
    size = scene_chance(s, 20) ? 1 + scene_below(s, size) : size;
    taken = sim_link_write_right(scene_link(s, fd), data, size, s->shared[slot].file);
    if (taken < 0) {
        errno = -taken;
        return -1;
    }
    sim_shared_keep(s->disk, s->shared[slot].file);
    return taken;
}

/* ---- all of them ---- */

void scene_close(struct scene *s, int fd)
{
    struct lessee *p = lessee_find(s, (uint64_t)(fd - SEAM_FD_PROCESS));
    const unsigned slot = (unsigned)(fd - SEAM_FD_SHARED);

    if (fd < SEAM_FD_PROCESS) {
        return; /* A connection's is closed by the loop */
    }
    if (fd >= SEAM_FD_SHARED ? slot >= SEAM_SHARED_MAX || !s->shared[slot].open
                             : p == NULL || !p->watched) {
        scene_fail(s, "what is closed is open", "descriptor %d", fd);
    }
    if (fd >= SEAM_FD_SHARED) {
        s->shared[slot].open = false;
        sim_shared_drop(s->disk, s->shared[slot].file);
    } else {
        p->watched = false;
    }
}

bool scene_readable(void *arg, int fd)
{
    struct scene *s = arg;

    if (fd == SEAM_FD_LISTENER) {
        return next_in_queue(s) != NULL;
    }
    if (fd >= SEAM_FD_PROCESS) {
        const struct lessee *p = lessee_find(s, (uint64_t)(fd - SEAM_FD_PROCESS));

        CHECK(p != NULL && p->watched);
        return p->dead;
    }
    return s->io->in_flight > 0 && scene_now_us(s) >= s->engine_us;
}

void scene_check_shared(struct scene *s)
{
    unsigned i;

    for (i = 0; i < SEAM_SHARED_MAX; i++) {
        if (s->shared[i].open) {
            scene_fail(s, "no descriptor is left behind", "of a file: %u", i);
        }
    }
}
