/* The power fails under a file system that keeps nothing of what was not synced, bytes as little
 * as names (lazy_fs.h), while the daemon is loaded. What was acknowledged as durable must be
 * there afterwards.
 *
 *     lazy_fs [--count CUTS] [--seed N] [--schedule each|lazy|none] [--case clear|torn-op|torn-seq]
 *
 * A cut comes at a moment of its own or meets one request: the n-th write, sync or change of a
 * name. Three kinds: *clear*, all that is not synced is lost, or each change by itself;
 * *torn-op*, one write survives in parts; *torn-seq*, of the last writes of a file some survive,
 * later ones without those before them. Sometimes the power fails again while the daemon
 * recovers, or fails behind a clean stop, which leaves nothing to lose.
 *
 * Beside the clients' load namespaces are made and deleted, which is where names are at stake. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/tusk.h"
#include "tests/crash/lazy_fs.h"
#include "tests/crash/mount.h"
#include "tests/crash/report.h"
#include "tests/crash/store.h"

#define CUTS_PER_STORE 20u
#define TICK_US 1000u
#define EXTRAS 3u /* Namespaces "extra0" and on, that come and go */

static const char *const faults[LAZY_FAULTS] = {"clear", "torn-op", "torn-seq"};

/* What is known of a namespace that comes and goes. */
enum extra { EXTRA_GONE, EXTRA_THERE, EXTRA_UNKNOWN };

struct place {
    struct lazy_fs fs;
    enum extra extras[EXTRAS];
    char dir[256];
    char mount[300];
    char data[320];
    char state[300]; /* What the last cut left, for whoever looks into a violation */
};

static void mount_place(struct place *place)
{
    const char *why;

    if (!lazy_fs_mount(&place->fs, place->mount, &why)) {
        report_remove(place->dir);
        report_skip(why);
    }
}

static void make_place(struct place *place)
{
    report_make_dir(place->dir, sizeof place->dir);
    (void)snprintf(place->mount, sizeof place->mount, "%s/mount", place->dir);
    (void)snprintf(place->data, sizeof place->data, "%s/data", place->mount);
    (void)snprintf(place->state, sizeof place->state, "%s/state", place->dir);
    report_need(mkdir(place->mount, 0700) == 0, "make a mount point");
    memset(place->extras, 0, sizeof place->extras);
    lazy_fs_open(&place->fs);
    mount_place(place);
}

static void remove_place(struct place *place)
{
    lazy_fs_close(&place->fs);
    report_remove(place->dir);
}

/* The daemon is gone. What survived is there, and a copy of it elsewhere. */
static void mount_survivors(struct place *place)
{
    lazy_fs_cut(&place->fs);
    lazy_fs_unmount(&place->fs);
    report_need(report_run("rm -rf '%s' && mkdir '%s'", place->state, place->state) &&
                    lazy_state_save(&place->fs.state, place->state),
                "keep what the cut left");
    mount_place(place);
}

/* Few of a kind of request come in a run, or many: a number of any size. */
static uint32_t draw_left(struct random *random, unsigned bits)
{
    return (uint32_t)random_between(random, 1, UINT64_C(1) << random_below(random, bits));
}

static enum lazy_fault find_fault(const char *name)
{
    unsigned fault = 0;

    while (fault < LAZY_FAULTS && strcmp(faults[fault], name) != 0) {
        fault++;
    }
    return (enum lazy_fault)fault;
}

static struct lazy_plan draw_plan(struct random *random, const char *only)
{
    static const unsigned bits[LAZY_MOMENTS] = {
        [LAZY_AT_WRITE] = 10, [LAZY_AT_SYNC] = 8, [LAZY_AT_NAME] = 5, [LAZY_AT_RENAME] = 3};
    static const unsigned kept[] = {0, 10, 50, 90, 100};
    struct lazy_plan plan = {
        .fault =
            only != NULL ? find_fault(only) : (enum lazy_fault)random_below(random, LAZY_FAULTS),
        .moment = (enum lazy_moment)random_below(random, LAZY_MOMENTS),
        .before = random_chance(random, 50),
        .sequence = (uint32_t)random_between(random, 2, LAZY_TORN_MAX),
        .seed = random_u64(random),
    };

    if (plan.fault != LAZY_CLEAR) {
        plan.moment = LAZY_AT_WRITE;
    }
    plan.left = draw_left(random, bits[plan.moment]);
    if (plan.fault == LAZY_CLEAR && random_chance(random, 25)) {
        plan.left = 0; /* At a moment of its own */
    }
    if (random_chance(random, 60)) {
        plan.keep_bytes = kept[random_below(random, sizeof kept / sizeof kept[0])];
        plan.keep_names = kept[random_below(random, sizeof kept / sizeof kept[0])];
    }
    return plan;
}

/* Let others go on for so long, or until the power is off. */
static void await_cut(struct place *place, uint64_t us)
{
    uint64_t waited;

    for (waited = 0; waited < us && !lazy_fs_is_down(&place->fs); waited += TICK_US) {
        report_pause_us(us - waited < TICK_US ? us - waited : TICK_US);
    }
}

/* ---- namespaces that come and go ---- */

static struct tusk *connect_extra(const struct store *store)
{
    const struct tusk_options options = {
        .size = sizeof options, .path = store->daemon.socket, .timeout_ms = 60000};
    struct tusk *t = NULL;

    return tusk_connect(&options, &t, NULL) == TUSK_OK ? t : NULL;
}

/* One is made, or deleted. False: the daemon did not say that it is done, so nobody knows. */
static bool change_extra(struct tusk *t, enum extra *extra, unsigned number)
{
    const bool makes = *extra == EXTRA_GONE;
    char name[16];
    int code;

    (void)snprintf(name, sizeof name, "extra%u", number);
    code = makes ? tusk_namespace_create(t, name, NULL, 0) : tusk_namespace_delete(t, name);
    if (code != TUSK_OK) {
        *extra = EXTRA_UNKNOWN;
        return false;
    }
    *extra = makes ? EXTRA_THERE : EXTRA_GONE;
    return true;
}

/* The same as await_cut(), but not idly. */
static void await_cut_busily(struct place *place, struct store *store, uint64_t us)
{
    const uint64_t end_ns = model_now_ns() + 1000 * us;
    struct tusk *t = connect_extra(store);
    bool known = t != NULL;
    struct random random; /* Of its own: how often it is asked depends on the clock */

    random_init(&random, random_u64(&store->random));
    while (known && model_now_ns() < end_ns && !lazy_fs_is_down(&place->fs)) {
        const unsigned number = (unsigned)random_below(&random, EXTRAS);

        known = change_extra(t, &place->extras[number], number);
        report_pause_us(random_below(&random, 5 * TICK_US));
    }
    if (t != NULL) {
        (void)tusk_close(t);
    }
}

static int note_extra(void *user, const struct tusk_namespace_info *info)
{
    enum extra *found = user;
    unsigned number;

    if (sscanf(info->name, "extra%u", &number) == 1 && number < EXTRAS) {
        found[number] = info->state == TUSK_NAMESPACE_SERVING ? EXTRA_THERE : EXTRA_UNKNOWN;
    }
    return 0;
}

/* What was made and is not deleted is there, and serves; what was deleted is not. */
static void judge_extras(struct place *place, const struct store *store)
{
    static const char *const words[] = {"gone", "there", "refused, or in doubt"};
    enum extra found[EXTRAS] = {EXTRA_GONE};
    struct tusk *t = connect_extra(store);
    unsigned i;

    if (t == NULL || tusk_namespace_list(t, note_extra, found) != TUSK_OK) {
        report_violation("%s: namespaces are not listed", store->where);
    }
    for (i = 0; i < EXTRAS; i++) {
        if (found[i] == EXTRA_UNKNOWN ||
            (place->extras[i] != EXTRA_UNKNOWN && place->extras[i] != found[i])) {
            report_violation("%s: seed %llu: namespace extra%u was %s, and is %s", store->where,
                             (unsigned long long)store->model.seed, i, words[place->extras[i]],
                             words[found[i]]);
        }
        place->extras[i] = found[i];
    }
    if (t != NULL) {
        (void)tusk_close(t);
    }
}

/* ---- a run ---- */

static enum ending stop(struct store *store)
{
    int status;

    store_unload(store);
    (void)kill(store->daemon.pid, SIGTERM);
    status = daemon_wait(&store->daemon);
    if (status != 0) {
        report_violation("%s: a stop ended with %d", store->where, status);
    }
    return ENDING_CLEAN;
}

/* Mostly short, so that there are many; some see the journal go round. */
static uint64_t draw_us(struct random *random)
{
    const unsigned roll = (unsigned)random_below(random, 100);

    return random_between(random, 1000, roll < 60 ? 100000 : roll < 95 ? 500000 : 2000000);
}

/* The daemon is loaded, and meanwhile the power fails. */
static void cut(struct place *place, struct store *store, const struct lazy_plan *plan)
{
    struct random *random = &store->random;
    const uint64_t us = draw_us(random);

    /* Requests are counted from the start, or from later on. */
    report_pause_us(random_chance(random, 40) ? random_below(random, us) : 0);
    lazy_fs_plan(&place->fs, plan);
    if (random_chance(random, 30)) {
        await_cut_busily(place, store, us);
    } else {
        await_cut(place, us);
    }
    lazy_fs_cut(&place->fs);
    if (random_chance(random, 30)) { /* It may notice, and must say nothing false */
        report_pause_us(random_below(random, 50000));
    }
}

/* The daemon dies, in the middle of a request or anywhere. What it serves when it is back must
 * survive the cut that follows, although nobody asks for a sync. */
static bool die(struct place *place, struct store *store)
{
    struct random *random = &store->random;
    struct lazy_plan plan = draw_plan(random, faults[LAZY_CLEAR]);

    plan.kills = true;
    lazy_fs_plan(&place->fs, &plan);
    if (random_chance(random, 70)) {
        await_cut_busily(place, store, draw_us(random));
    } else {
        report_pause_us(draw_us(random));
    }
    plan.left = 0;
    lazy_fs_plan(&place->fs, &plan);
    if (!store_die(store)) {
        return false;
    }
    judge_extras(place, store);
    return true;
}

/* From a start to the end of the power, and of the daemon. False: it did not start again. */
static bool live(struct place *place, struct store *store, const char *only, enum ending *ending)
{
    struct random *random = &store->random;
    const unsigned roll = (unsigned)random_below(random, 100);
    struct lazy_plan plan = draw_plan(random, only);

    *ending = ENDING_POWER;
    store_load(store, 1u << random_below(random, 7), (uint32_t)random_below(random, 3) * 500);
    if (roll < 20 && !die(place, store)) {
        return false;
    }
    if (roll >= 30) {
        cut(place, store, &plan);
    } else {
        plan.left = 0; /* When the daemon is gone */
        lazy_fs_plan(&place->fs, &plan);
    }
    if (roll >= 20 && roll < 30) {
        report_pause_us(draw_us(random));
        *ending = stop(store);
    }
    store_kill(store);
    store_unload(store);
    return true;
}

/* Sometimes the power fails again while the daemon recovers. */
static void cut_while_starting(struct place *place, struct store *store)
{
    while (random_chance(&store->random, 15)) {
        const struct lazy_plan plan = draw_plan(&store->random, NULL);

        lazy_fs_plan(&place->fs, &plan);
        daemon_spawn(&store->daemon, NULL);
        await_cut(place, 1000 * random_below(&store->random, 60));
        lazy_fs_cut(&place->fs);
        store_kill(store);
        mount_survivors(place);
    }
}

static uint64_t run_store(const struct report_options *options, uint64_t seed, uint64_t count,
                          struct store *store, struct place *place)
{
    enum ending ending;
    uint64_t done = 0;

    make_place(place);
    store_open(store, seed, place->data, options->schedule, NULL);
    if (!store_start(store)) {
        count = 0;
    }
    while (done < count && report_violations() == 0) {
        (void)snprintf(store->where, sizeof store->where, "lazy_fs cut %llu",
                       (unsigned long long)done);
        done++;
        if (!live(place, store, options->only, &ending)) {
            break;
        }
        mount_survivors(place);
        cut_while_starting(place, store);
        if (!store_start(store)) {
            break;
        }
        store_judge(store, ending, UINT64_MAX, true);
        judge_extras(place, store);
        if (random_chance(&store->random, 20)) {
            store_expect_same_again(store);
            store_expect_writable(store);
        }
    }
    if (options->verbose) {
        (void)printf(
            "seed %llu: %llu writes, %llu syncs, %llu names made or removed, %llu renamed\n",
            (unsigned long long)seed, (unsigned long long)place->fs.requests[LAZY_AT_WRITE],
            (unsigned long long)place->fs.requests[LAZY_AT_SYNC],
            (unsigned long long)place->fs.requests[LAZY_AT_NAME],
            (unsigned long long)place->fs.requests[LAZY_AT_RENAME]);
    }
    if (report_violations() > 0) {
        store_print_log(store);
    }
    store_close(store);
    remove_place(place);
    return done;
}

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "lazy_fs", 10);
    static struct store store;
    static struct place place;
    uint64_t cuts[LAZY_FAULTS] = {0};
    uint64_t acked = 0;
    uint64_t lost = 0;
    uint64_t done = 0;
    uint64_t seed = options.seed;
    unsigned i;

    if (options.only != NULL && find_fault(options.only) == LAZY_FAULTS) {
        report_skip("no such kind of cut: clear, torn-op or torn-seq");
    }
    if (!mount_private()) {
        report_skip("a private mount namespace takes root");
    }
    while (done < options.count && report_violations() == 0) {
        const uint64_t left = options.count - done;

        done += run_store(&options, seed++, left < CUTS_PER_STORE ? left : CUTS_PER_STORE, &store,
                          &place);
        acked += store.acked;
        lost += store.lost;
        for (i = 0; i < LAZY_FAULTS; i++) {
            cuts[i] += place.fs.cuts[i];
        }
    }
    (void)printf("lazy_fs: seeds %llu-%llu, %llu runs (%llu clear, %llu torn writes, %llu torn "
                 "sequences), %llu batches acknowledged, %llu lost as the schedule allows, %llu "
                 "violations\n",
                 (unsigned long long)options.seed, (unsigned long long)seed - 1,
                 (unsigned long long)done, (unsigned long long)cuts[LAZY_CLEAR],
                 (unsigned long long)cuts[LAZY_TORN_OP], (unsigned long long)cuts[LAZY_TORN_SEQ],
                 (unsigned long long)acked, (unsigned long long)lost,
                 (unsigned long long)report_violations());
    return report_exit_code();
}
