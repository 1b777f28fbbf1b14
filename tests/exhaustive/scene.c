/* The frame around a scenario: its store, and the judging behind it. */
#include <string.h>

#include "tests/exhaustive/scenarios.h"

void scene_begin(struct scene *scene, const struct scenario *scenario)
{
    struct engine_options *options;

    memset(scene, 0, sizeof *scene);
    promise_init(&scene->p);
    scene->f = fixture_new(1);
    sim_disk_set_policy(scene->f->disk, SIM_CUT_DROP);
    options = &scene->f->options;
    options->settings.fsync_ms = scenario->fsync_ms;
    options->manifest_journal_bytes = 12u << 10;
    if (scenario->options != NULL) {
        scenario->options(options);
    }
    if (scenario->prepare != NULL) {
        scenario->prepare(scene);
    }
}

void scene_end(struct scene *scene)
{
    fixture_free(scene->f);
}

bool scene_usable(const struct scene *scene)
{
    return scene->f->engine != NULL && fixture_serves(scene->f);
}

void scene_check_running(struct scene *scene)
{
    struct fixture *f = scene->f;

    if (f->engine == NULL) {
        return;
    }
    if (!fixture_serves(f)) {
        assert_true(strlen(fixture_reason(f)) > 0);
        return;
    }
    sim_disk_set_cold(f->disk, 10);
    fixture_settle(f);
    if (!fixture_serves(f)) {
        return; /* It found out just now */
    }
    promise_told(&scene->p, f);
    promise_check_running(&scene->p, f);
    /* Whoever goes on, goes on whole. */
    assert_int_equal(promise_append(&scene->p, f, 0, 1, 50, true), 0);
}

static void check_other(const struct scene *scene)
{
    struct namespace *other = engine_namespace_find(scene->f->engine, "other", 5);
    struct engine_namespace_info info;

    assert_true(other != NULL || !scene->has_other);
    assert_true(other == NULL || scene->may_have_other);
    if (other != NULL) {
        engine_namespace_info(other, &info);
        assert_int_equal(info.state, ENGINE_SERVING);
    }
}

void scene_crash_and_check(struct scene *scene, enum scene_crash crash)
{
    struct fixture *f = scene->f;
    uint64_t seen;

    if (crash == SCENE_KILL) {
        sim_disk_process_crash(f->disk);
    } else {
        sim_disk_set_policy(f->disk, crash == SCENE_CUT_ALL ? SIM_CUT_DROP : SIM_CUT_KEEP);
        sim_disk_power_cut(f->disk);
    }
    fixture_close(f);
    fixture_open(f);
    promise_check(&scene->p, f);
    check_other(scene);
    seen = promise_seen(f);
    /* What was served was durable, and another recovery serves the same. */
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    promise_check(&scene->p, f);
    assert_true(promise_seen(f) == seen);
    promise_check_writes(&scene->p, f);
    fixture_power_cut(f);
    promise_check(&scene->p, f);
    fixture_stop(f);
}
