/* What an engine goes through while something fails: each scenario prepares a store on a healthy machine, then acts, and
 * bears whatever the act meets. exhaust_faults fails the disk under the act, exhaust_memory the allocations. */
#ifndef TESTS_EXHAUSTIVE_SCENARIOS_H
#define TESTS_EXHAUSTIVE_SCENARIOS_H

#include "tests/exhaustive/promise.h"
#include "tests/support/engine_fixture.h"

struct scene {
    struct fixture *f;
    struct promise p;
    bool has_other; /* Namespace "other" was acknowledged, and its deletion not asked for */
    bool may_have_other;
};

struct scenario {
    const char *name;
    uint64_t fsync_ms;
    void (*options)(struct engine_options *options); /* NULL: as they are */
    void (*prepare)(struct scene *scene);            /* NULL: nothing */
    void (*act)(struct scene *scene);
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* A store prepared for the scenario; the engine may be closed. */
void scene_begin(struct scene *scene, const struct scenario *scenario);
void scene_end(struct scene *scene);
/* There is an engine, and its namespace serves. */
bool scene_usable(const struct scene *scene);

/* Behind the act, the machine healthy again. If the engine still serves, what it acknowledged is there, and (where it has
 * to be able to) it takes more. */
void scene_check_running(struct scene *scene);
/* Then the crash: the process dies, or the machine loses power and what was pending; the oracle on what is left. */
enum scene_crash { SCENE_KILL, SCENE_CUT_ALL, SCENE_CUT_NONE };
void scene_crash_and_check(struct scene *scene, enum scene_crash crash);

#endif
