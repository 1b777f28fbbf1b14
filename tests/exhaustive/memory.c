/* Every allocation of the engine fails once, and from then on, in every scenario: the engine goes on or stops, frees what
 * it had, and behind a crash of either kind what was promised is there.
 *
 * The engine's library is linked with its allocations renamed, so that only they are counted and fail (failing_memory.h). */

#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/scenarios.h"
#include "tests/support/failing_memory.h"

/* ---- the cases ---- */

/* One run of the act. Returns how many allocations it made. */
static uint64_t run(const struct scenario *scenario, uint64_t nth, bool from_then_on,
                    enum scene_crash crash)
{
    struct scene scene;
    uint64_t count;

    assert_int_equal(failing_memory.live, 0);
    scene_begin(&scene, scenario);
    failing_memory_begin(nth, from_then_on);
    scenario->act(&scene);
    count = failing_memory_end();
    assert_true(nth == 0 || failing_memory.failed > 0);
    scene_check_running(&scene);
    scene_crash_and_check(&scene, crash);
    scene_end(&scene);
    assert_int_equal(failing_memory.live, 0);
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
