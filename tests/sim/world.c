/* Turns of a world: time, polls, and the requests that end in them. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/io.h"
#include "tests/sim/oracle.h"

#define STUCK_POLLS 300000u

void world_log(struct world *w, const char *format, ...)
{
    char *line = w->log[w->log_count % WORLD_LOG];
    va_list args;
    int used;

    if (!w->limits.scripted && !w->limits.verbose) {
        return; /* A tenth of the time goes into text that nobody reads */
    }
    used = snprintf(line, WORLD_LINE, "%8llu t%-6llu ",
                    (unsigned long long)sim_disk_now_us(w->disk), (unsigned long long)w->tick);
    va_start(args, format);
    (void)vsnprintf(line + used, WORLD_LINE - (size_t)used, format, args);
    va_end(args);
    w->log_count++;
    if (w->limits.verbose) {
        fprintf(stderr, "%s\n", line);
    }
}

void world_fail(struct world *w, const char *promise, const char *format, ...)
{
    uint64_t i = w->log_count > WORLD_LOG ? w->log_count - WORLD_LOG : 0;
    va_list args;

    fprintf(stderr, "\nBROKEN PROMISE: %s\n  ", promise);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nseed %llu, life %u of %u, after %llu requests\n",
            (unsigned long long)w->limits.seed, w->life, w->lives,
            (unsigned long long)w->operations);
    world_print_options(w);
    if (w->limits.scripted && !w->limits.verbose) {
        fprintf(stderr, "last of the script (virtual us, tick):\n");
        for (; i < w->log_count; i++) {
            fprintf(stderr, "%s\n", w->log[i % WORLD_LOG]);
        }
    }
    if (w->limits.verbose) {
        sim_disk_print_trace(w->disk, stderr);
    }
    fprintf(stderr, "replay: tusk_simulate --seed %llu --kind %s --verbose\n",
            (unsigned long long)w->limits.seed, world_kind_name(w->kind));
    (void)fflush(NULL);
    _exit(1);
}

struct engine_time world_now(const struct world *w)
{
    const uint64_t mono = 1000000u + sim_disk_now_us(w->disk);

    return (struct engine_time){.mono_us = mono,
                                .wall_us = (uint64_t)((int64_t)mono + w->wall_offset)};
}

void world_tell(struct world *w)
{
    if (!w->in_poll) {
        w->told = world_now(w);
        engine_now(w->engine, &w->told);
    }
}

struct step *world_base_step(struct world *w, enum step_kind kind, struct model_topic *topic)
{
    struct step *step = calloc(1, sizeof *step);

    CHECK(step != NULL);
    step->kind = kind;
    step->topic = topic;
    step->acked = true;
    step->written = true;
    step->durable = true;
    step->next_made = w->steps;
    w->steps = step;
    return step;
}

struct step *world_step(struct world *w, struct model_namespace *ns, enum step_kind kind,
                        struct model_topic *topic, uint64_t number)
{
    struct step *step = world_base_step(w, kind, topic);

    step->acked = false;
    step->written = false;
    step->durable = false;
    step->number = number;
    step->tick = w->scanning ? w->poll_tick : w->tick;
    step->mono_us = w->told.mono_us;
    step->turn = w->poll_tick;
    step->mark = ns->durable_tick;
    history_push(&ns->recent, step);
    return step;
}

static void free_op(struct op *op)
{
    free(op->bytes);
    free(op);
}

void world_free_ops(struct world *w)
{
    while (w->ops != NULL) {
        struct op *op = w->ops;

        w->ops = op->next;
        op->ns->in_flight--;
        free_op(op);
    }
    w->ops_end = &w->ops;
    w->in_flight = 0;
    w->completed_count = 0;
}

static void remove_finished(struct world *w)
{
    struct op **link = &w->ops;

    while (*link != NULL) {
        struct op *op = *link;

        if (op->finished) {
            *link = op->next;
            op->ns->in_flight--;
            w->in_flight--;
            free_op(op);
        } else {
            link = &op->next;
        }
    }
    w->ops_end = link;
    w->completed_count = 0;
}

void world_collect(struct world *w)
{
    unsigned i;

    oracle_scan(w);
    for (i = 0; i < w->completed_count; i++) {
        oracle_done(w, w->completed[i]);
    }
    if (w->completed_count > 0) {
        remove_finished(w);
    }
}

bool world_poll(struct world *w)
{
    struct error err;
    bool again;

    w->told = world_now(w);
    w->poll_tick = ++w->tick;
    w->in_poll = true;
    again = engine_poll(w->engine, &w->told);
    w->in_poll = false;
    if (sim_disk_is_down(w->disk)) {
        w->disturbed = true;
    }
    w->faulted = w->faulted || sim_disk_fired(w->disk) > w->fired;
    if (!world_excused(w)) {
        w->good_poll_us = w->told.mono_us;
    }
    world_collect(w);
    w->tick++;
    if (engine_failed(w->engine, &err) != NULL && !w->disturbed) {
        if (!w->faulted) {
            world_fail(w, "a healthy disk stops nothing", "%s", err.text);
        }
        world_log(w, "stopped: %s", err.text);
        w->disturbed = true;
    }
    return again;
}

/* One step of waiting: time goes to where something can happen. False: nothing ever will. */
static bool wait_a_little(struct world *w, bool again, uint64_t until)
{
    const uint64_t now = world_now(w).mono_us;
    uint64_t deadline;

    if (again || w->io->in_flight > 0) {
        sim_disk_advance(w->disk, 1 + world_below(w, 20));
        return true;
    }
    deadline = engine_deadline(w->engine);
    if (deadline > until) {
        if (until == UINT64_MAX) {
            return false;
        }
        deadline = until;
    }
    if (deadline > now) {
        sim_disk_advance(w->disk, deadline - now);
    }
    return true;
}

void world_drain(struct world *w)
{
    unsigned polls = 0;
    struct op *op;
    bool again;

    for (op = w->ops; op != NULL; op = op->next) {
        if (op->kind == OP_READ && op->read.wait_ms > 1000 && !op->finished) {
            op->cancelled = true;
            engine_read_cancel(&op->read);
        }
    }
    again = world_poll(w);
    while (w->ops != NULL && !w->disturbed) {
        const bool moves = wait_a_little(w, again, UINT64_MAX);

        if (!moves || polls++ > STUCK_POLLS) {
            world_fail(
                w, "every request is answered",
                "operation %llu (kind %d, of %u) waits, and nothing will happen any more (%s)",
                (unsigned long long)w->ops->number, w->ops->kind, w->in_flight,
                moves ? "polled for ever" : "no deadline");
        }
        again = world_poll(w);
    }
    /* With the disk gone, what can be answered is answered at once. */
    for (polls = 0; polls < 4 && w->ops != NULL; polls++) {
        (void)world_poll(w);
    }
}

void world_pass(struct world *w, uint64_t us)
{
    const uint64_t until = world_now(w).mono_us + us;
    unsigned polls = 0;
    bool again = world_poll(w);

    while (world_now(w).mono_us < until && !w->disturbed && polls++ < 3000) {
        (void)wait_a_little(w, again, until);
        again = world_poll(w);
    }
}

/* ---- one world ---- */

static void begin(struct world *w, const struct drive_limits *limits, struct world_report *report)
{
    static const char *const names[WORLD_NAMESPACES] = {"default", "eu", "\xc3\x9cn\xc3\xaf %2"};
    unsigned i;

    w->limits = *limits;
    w->report = report;
    random_init(&w->random, limits->seed);
    random_init(&w->engine_random, ~limits->seed);
    w->disk = sim_disk_new(limits->seed);
    w->ops_end = &w->ops;
    w->ending = END_POWER;
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        w->namespaces[i].name = names[i];
    }
    world_choose(w);
}

static void end(struct world *w)
{
    struct world_report *report = w->report;
    uint64_t hash = sim_disk_trace_hash(w->disk) ^ (w->results * 31u) ^ w->limits.seed;
    unsigned i;

    report->hash ^= random_split(&hash);
    report->worlds++;
    report->operations += w->operations;
    report->kinds[w->kind]++;
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        model_namespace_clear(&w->namespaces[i]);
    }
    while (w->steps != NULL) {
        struct step *step = w->steps;

        w->steps = step->next_made;
        free(step->bytes);
        free(step);
    }
    sim_disk_free(w->disk);
    free(w);
}

void world_run(const struct drive_limits *limits, struct world_report *report)
{
    struct world *w = calloc(1, sizeof *w);

    CHECK(w != NULL);
    begin(w, limits, report);
    world_live(w);
    end(w);
}
