/* Every allocation of the engine fails once, and from then on, in every scenario: the engine goes on or stops, frees what
 * it had, and behind a crash of either kind what was promised is there.
 *
 * The engine's library is linked with its allocations renamed to those below, so that only they are counted and fail: not
 * the simulated disk's, nor the tests'. */
#include <stdlib.h>
#include <string.h>

#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/scenarios.h"

static struct {
    uint64_t count; /* Of allocations so far */
    uint64_t nth;   /* This one fails; 0: none does */
    bool from_then_on;
    uint64_t failed;
    int64_t live;
} memory;

void *engine_malloc(size_t size);
void *engine_calloc(size_t count, size_t size);
void *engine_realloc(void *old, size_t size);
void *engine_aligned_alloc(size_t align, size_t size);
char *engine_strdup(const char *text);
void engine_free(void *old);

static bool fails(void)
{
    memory.count++;
    if (memory.nth == 0 ||
        (memory.from_then_on ? memory.count < memory.nth : memory.count != memory.nth)) {
        return false;
    }
    memory.failed++;
    return true;
}

static void *counted(void *block)
{
    memory.live += block != NULL ? 1 : 0;
    return block;
}

void *engine_malloc(size_t size)
{
    return fails() ? NULL : counted(malloc(size));
}

void *engine_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(calloc(count, size));
}

void *engine_realloc(void *old, size_t size)
{
    void *block = fails() ? NULL : realloc(old, size);

    return old == NULL ? counted(block) : block;
}

void *engine_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : counted(aligned_alloc(align, size));
}

char *engine_strdup(const char *text)
{
    return fails() ? NULL : counted(strdup(text));
}

void engine_free(void *old)
{
    memory.live -= old != NULL ? 1 : 0;
    free(old);
}

/* ---- the cases ---- */

/* One run of the act. Returns how many allocations it made. */
static uint64_t run(const struct scenario *scenario, uint64_t nth, bool from_then_on,
                    enum scene_crash crash)
{
    struct scene scene;
    uint64_t count;

    assert_int_equal(memory.live, 0);
    scene_begin(&scene, scenario);
    memory.count = 0;
    memory.nth = nth;
    memory.from_then_on = from_then_on;
    memory.failed = 0;
    scenario->act(&scene);
    memory.nth = 0;
    count = memory.count;
    assert_true(nth == 0 || memory.failed > 0);
    scene_check_running(&scene);
    scene_crash_and_check(&scene, crash);
    scene_end(&scene);
    assert_int_equal(memory.live, 0);
    return count;
}

static void run_scenario(struct exhaust *x, uint64_t unit)
{
    static const char *const crashes[] = {"a kill", "a cut that keeps nothing", "a cut"};
    const struct scenario *scenario = &scenarios[unit];
    const uint64_t allocations = run(scenario, 0, false, SCENE_KILL);
    uint64_t nth;
    unsigned on;
    unsigned crash;

    exhaust_count(x, 0, allocations);
    for (nth = 1; nth <= allocations; nth++) {
        for (on = 0; on < 2; on++) {
            for (crash = 0; crash < 3; crash++) {
                if (exhaust_case(x, "%s: allocation %llu fails%s; then %s", scenario->name,
                                 (unsigned long long)nth, on == 0 ? "" : " and all from then on",
                                 crashes[crash])) {
                    (void)run(scenario, nth, on == 1, (enum scene_crash)crash);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct exhaust_program program = {.name = "exhaust_memory",
                                            .unit = "scenarios",
                                            .cases = "failures",
                                            .units = scenario_count,
                                            .seconds = 30,
                                            .counts = {"allocations"},
                                            .run = run_scenario};

    return exhaust_main(argc, argv, &program);
}
