#include "server/offline/crew.h"

#include <pthread.h>
#include <stdatomic.h>

struct crew {
    crew_fn *fn;
    void *arg;
    uint32_t count;
    atomic_uint_fast64_t next;
    atomic_int result;
};

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct member *member = arg;
    struct crew *crew = member->crew;

    while (atomic_load(&crew->result) == 0) {
        const uint64_t index = atomic_fetch_add(&crew->next, 1);
        int none = 0;
        int rc;

        if (index >= crew->count) {
            break;
        }
        rc = crew->fn(crew->arg, member->number, (uint32_t)index);
        if (rc != 0) {
            (void)atomic_compare_exchange_strong(&crew->result, &none, rc);
        }
    }
    return NULL;
}

int crew_run(crew_fn *fn, void *arg, unsigned threads, uint32_t count)
{
    struct crew crew = {.fn = fn, .arg = arg, .count = count};
    struct member members[CREW_MAX];
    unsigned made = 1;
    unsigned i;

    threads = threads > CREW_MAX ? CREW_MAX : threads;
    members[0] = (struct member){.crew = &crew};
    for (i = 1; i < threads && i < count; i++) {
        members[made] = (struct member){.crew = &crew, .number = made};
        if (pthread_create(&members[made].thread, NULL, work, &members[made]) != 0) {
            break;
        }
        made++;
    }
    (void)work(&members[0]);
    for (i = 1; i < made; i++) {
        (void)pthread_join(members[i].thread, NULL); /* Ours, and joined once */
    }
    return atomic_load(&crew.result);
}
