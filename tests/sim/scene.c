/* The lives of a scene: start, judge, serve, end, and start again. */
#include "tests/sim/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/io.h"
#include "server/configured.h"
#include "server/storage.h"
#include "tests/sim/lessee.h"
#include "tests/sim/observe.h"
#include "tests/sim/uv_sim.h"

void scene_log(struct scene *s, const char *format, ...)
{
    char *line = s->log[s->log_count % SCENE_LOG];
    va_list args;
    int used;

    if (!s->limits.scripted && !s->limits.verbose) {
        return; /* A tenth of the time goes into text that nobody reads */
    }
    used = snprintf(line, SCENE_LINE, "%10llu ", (unsigned long long)sim_disk_now_us(s->disk));
    va_start(args, format);
    (void)vsnprintf(line + used, SCENE_LINE - (size_t)used, format, args);
    va_end(args);
    s->log_count++;
    if (s->limits.verbose) {
        fprintf(stderr, "%s\n", line);
    }
}

void scene_fail(struct scene *s, const char *promise, const char *format, ...)
{
    uint64_t i = s->log_count > SCENE_LOG ? s->log_count - SCENE_LOG : 0;
    va_list args;

    fprintf(stderr, "\nBROKEN PROMISE: %s\n  ", promise);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nseed %llu, life %u of %u, after %llu requests, the life before ended %d\n",
            (unsigned long long)s->limits.seed, s->life, s->lives, (unsigned long long)s->requests,
            (int)s->ending);
    scene_print_options(s);
    if (s->limits.scripted && !s->limits.verbose) {
        fprintf(stderr, "last of the script (virtual us):\n");
        for (; i < s->log_count; i++) {
            fprintf(stderr, "%s\n", s->log[i % SCENE_LOG]);
        }
    }
    fprintf(stderr, "replay: tusk_simulate_server --seed %llu --kind %s --verbose\n",
            (unsigned long long)s->limits.seed, scene_kind_name(s->kind));
    (void)fflush(NULL);
    _exit(1);
}

uint64_t scene_now_us(const struct scene *s)
{
    return 1000000u + sim_disk_now_us(s->disk);
}

uint64_t scene_wall_us(const struct scene *s)
{
    return (uint64_t)((int64_t)scene_now_us(s) + s->wall_offset);
}

bool scene_excused(const struct scene *s)
{
    return s->dead || sim_disk_is_down(s->disk) || sim_disk_fired(s->disk) > s->fired;
}

bool scene_lost_power(const struct scene *s)
{
    return s->dead && s->ending == ENDING_POWER;
}

/* ---- starting ---- */

static void log_finding(void *arg, const char *name, const char *text)
{
    scene_log(arg, "finding: %s: %s", name, text);
}

/* What sendfile(2) does to a socket. */
static int send_bytes(void *arg, int socket_fd, const void *data, size_t size)
{
    return sim_link_write(scene_link(arg, socket_fd), data, size);
}

static int open_engine(struct scene *s, struct error *err)
{
    const struct engine_time now = {.mono_us = scene_now_us(s), .wall_us = scene_wall_us(s)};

    CHECK(io_sim_open(&s->io, s->disk) == 0);
    sim_disk_set_send(s->disk, send_bytes, s);
    sim_disk_set_share(s->disk, scene_share, s);
    s->engine_options.finding = log_finding;
    s->engine_options.finding_arg = s;
    return engine_open(&s->engine, s->io, &s->engine_options, &now, err);
}

static void close_engine(struct scene *s)
{
    engine_close(s->engine);
    s->engine = NULL;
    io_close(s->io);
    s->io = NULL;
}

static void arm_cut(struct scene *s, unsigned bits_max)
{
    const uint64_t nth = 1 + scene_below(s, UINT64_C(1) << random_between(&s->random, 0, bits_max));
    const enum sim_moment moment = scene_chance(s, 50) ? SIM_BEFORE : SIM_AMID;

    sim_disk_cut_at(s->disk, scene_chance(s, 70) ? SIM_ALL : SIM_CHANGES, nth, moment);
}

/* One start, perhaps with power cuts on the way. */
static void open_through_cuts(struct scene *s)
{
    unsigned cuts = s->life > 0 && scene_chance(s, 20) ? 1 + (unsigned)scene_below(s, 3) : 0;
    struct error err;
    int rc;

    for (;;) {
        if (cuts > 0 && !s->limits.no_cuts) {
            arm_cut(s, 8);
            cuts--;
        } else {
            sim_disk_cut_at(s->disk, SIM_ALL, 0, SIM_BEFORE);
        }
        rc = open_engine(s, &err);
        if (!sim_disk_is_down(s->disk)) {
            break;
        }
        scene_log(s, "power cut during start");
        s->ending = s->ending == ENDING_PROCESS ? ENDING_POWER : s->ending;
        close_engine(s);
        lessee_end_life(s, true);
    }
    sim_disk_cut_at(s->disk, SIM_ALL, 0, SIM_BEFORE);
    if (rc != 0) {
        scene_fail(s, "a store opens after every crash", "%s", err.text);
    }
}

/* What the operator gave explicitly is set on "default". */
static void apply_defaults(struct scene *s)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE, 5, 100};
    const struct storage storage = {.io = s->io, .engine = s->engine};
    struct ledger_space *space = s->ledger.names[0].space;
    struct options *options = &s->config.options;
    struct error err;

    options->origin[OPTION_fsync].kind = ORIGIN_DEFAULT;
    options->origin[OPTION_consistency].kind = ORIGIN_DEFAULT;
    if (!scene_chance(s, 25) || s->kind != SCENE_PLAIN) {
        return;
    }
    options->origin[OPTION_fsync] = (struct option_origin){ORIGIN_ARGUMENT, 0, "fsync"};
    options->origin[OPTION_consistency] = (struct option_origin){ORIGIN_ARGUMENT, 0, "set"};
    options->fsync = schedules[scene_below(s, 4)];
    options->consistency = scene_below(s, 3) * 5;
    if (configured_apply(&storage, &s->config, &err) != 0) {
        scene_fail(s, "the daemon's own settings are taken", "%s", err.text);
    }
    CHECK(space != NULL);
    space->fsync = (struct ledger_setting){.value = options->fsync, .since = s->event};
    space->consistency = (struct ledger_setting){.value = options->consistency, .since = s->event};
}

static void start(struct scene *s)
{
    struct observed seen;

    if (s->life == 0 || s->kind != SCENE_NO_SPACE) { /* Reserves are of the size configured then */
        scene_choose_life(s);
    }
    s->dead = false;
    s->stopping = false;
    s->fired = sim_disk_fired(s->disk);
    s->report->lives++;
    open_through_cuts(s);
    observe(&seen, s->engine, s->disk, s->wall_offset, s->limits.seed + s->life);
    if (s->full && observed_any_refused(&seen)) {
        /* Several starts in a row on a full disk use up what is held in reserve. Space heals it. */
        observed_deinit(&seen);
        close_engine(s);
        sim_disk_set_capacity(s->disk, UINT64_MAX);
        s->full = false;
        open_through_cuts(s);
        observe(&seen, s->engine, s->disk, s->wall_offset, s->limits.seed + s->life);
    }
    scene_log(s, "---- life %u: %u namespaces, ending before %d", s->life, seen.count,
              (int)s->ending);
    ledger_judge(s, &seen);
    s->results ^= observed_hash(&seen);
    observed_deinit(&seen);
}

/* ---- ending ---- */

/* Whom the server's end finds connected: half of them take what it still wrote to them. */
static void lose_clients(struct scene *s)
{
    unsigned i;

    for (i = 0; i < SCENE_CLIENTS; i++) {
        if (s->clients[i] != NULL) {
            client_lose(s->clients[i], s->ending == ENDING_CLEAN || scene_chance(s, 50));
            client_free(s->clients[i]);
            s->clients[i] = NULL;
        }
    }
}

/* What is in memory is lost, or what is there may be a lie: true. */
static bool heal(struct scene *s)
{
    const bool harmed = sim_disk_fired(s->disk) > s->fired;
    bool cut = harmed || s->ending == ENDING_POWER;

    sim_disk_cut_at(s->disk, SIM_ALL, 0, SIM_BEFORE);
    sim_disk_clear_faults(s->disk);
    if (harmed && s->ending == ENDING_PROCESS) {
        s->ending = ENDING_POWER; /* What a failed operation took with it is gone in the same way */
    }
    if ((harmed || s->ending == ENDING_CLEAN) && scene_chance(s, 50)) {
        sim_disk_power_cut(s->disk);
        cut = true;
    }
    if (s->full && scene_chance(s, 50)) {
        sim_disk_set_capacity(s->disk, UINT64_MAX);
        s->full = false;
    }
    return cut;
}

static void live(struct scene *s, uint64_t goal, bool last)
{
    s->requests_goal = goal < s->limits.requests_max ? goal : s->limits.requests_max;
    if (last) { /* A start that finds the disk full refuses for a while what would fit by then */
        sim_disk_set_capacity(s->disk, UINT64_MAX);
        s->full = false;
    }
    start(s);
    apply_defaults(s);
    s->plan = last           ? PLAN_STOP
              : s->life == 0 ? (enum scene_plan)scene_below(s, 2)
                             : (enum scene_plan)scene_below(s, 3);
    s->quiet_first = last || scene_chance(s, 30);
    s->empty_first = last || scene_chance(s, 50);
    s->die_write = 0;
    if (!last && !s->limits.no_cuts && scene_chance(s, 45)) {
        sim_disk_set_policy(s->disk, (enum sim_policy)scene_below(s, SIM_POLICY_COUNT));
        arm_cut(s, 11);
    } else if (!last && !s->limits.no_cuts && scene_chance(s, 25)) {
        s->die_write = 1 + scene_below(s, 200);
    }
    if (!last) {
        scene_arm_faults(s);
    }
    scene_serve(s);
    lose_clients(s);
    close_engine(s);
    if (s->server != NULL) {
        s->report->from_cache += s->server->counters.bytes_sent_from_cache;
        s->report->retired += s->server->counters.blocks_retired;
        server_deinit(s->server);
        free(s->server);
        s->server = NULL;
    }
    scene_check_shared(s);
    lessee_end_life(s, heal(s));
}

/* ---- one scene ---- */

void scene_run(const struct drive_limits *limits, struct scene_report *report)
{
    struct scene *s = calloc(1, sizeof *s);
    uint64_t goal;
    uint64_t hash;

    CHECK(s != NULL);
    seam_scene = s;
    s->limits = *limits;
    s->report = report;
    random_init(&s->random, limits->seed);
    random_init(&s->engine_random, ~limits->seed);
    s->disk = sim_disk_new(limits->seed);
    s->ending = ENDING_POWER;
    scene_choose(s);
    goal = random_between(&s->random, 210, 420);
    for (s->life = 0; s->life < s->lives; s->life++) {
        live(s, goal * (s->life + 1) / s->lives, false);
    }
    /* The last life ends well, and one more start proves it. */
    live(s, (s->requests > goal ? s->requests : goal) + 20, true);
    s->life++;
    start(s);
    close_engine(s);

    hash = sim_disk_trace_hash(s->disk) ^ (s->results * 31u) ^ limits->seed;
    report->hash ^= random_split(&hash);
    report->scenes++;
    report->counted += s->requests >= 200 && s->crashes > 0 ? 1 : 0;
    report->kinds[s->kind]++;
    ledger_deinit(&s->ledger);
    lessee_deinit(s);
    sim_disk_free(s->disk);
    free(s);
}
