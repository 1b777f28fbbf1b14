/* A client: connects, says HELLO, asks, takes replies, and goes, each in pieces of any size and at any time. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

/* Deadlines are met within a sweep of the server, and a turn. */
#define DEADLINE_SLACK_US UINT64_C(2500000)

void client_connect(struct scene *s, unsigned slot)
{
    struct client *c = calloc(1, sizeof *c);

    CHECK(c != NULL);
    CHECK(s->clients[slot] == NULL);
    s->clients[slot] = c;
    c->scene = s;
    c->number = ++s->client_count;
    if (scene_chance(s, s->taste.habit_percent)) {
        c->habit = (enum client_habit)scene_below(s, HABIT_COUNT);
    }
    c->lessee = lessee_new(s, c->number);
    c->maps = scene_chance(s, s->taste.maps_percent);
    c->link.fd = SEAM_FD_CLIENT + (int)c->number;
    c->link.uid = c->habit == HABIT_FOREIGN ? SEAM_UID_FOREIGN : scene_chance(s, 90) ? SEAM_UID : 0;
    c->link.up_room = (size_t)1 << random_between(&s->random, 6, 18);
    c->link.down_room = (size_t)1 << random_between(&s->random, 6, 18);
    c->space_index = scene_chance(s, s->taste.maps_percent > 0 ? 55 : 70)
                         ? 0
                         : (unsigned)scene_below(s, LEDGER_SPACES);
    c->doom = NEVER;
    c->partial_us = NEVER;
    c->depth = 1 + scene_below(s, s->taste.depth_max);
    c->budget = random_between(&s->random, 3, 120) + (c->lessee->hoards ? 100 : 0);
    c->began_us = scene_now_us(s);
    c->wake_us = c->began_us;
    c->leave_us = c->began_us + random_between(&s->random, 1, UINT64_C(1) << 25);
    c->sent_us = c->began_us;
    c->taken_us = c->began_us;
    s->report->connections++;
    scene_log(s, "client %llu connects, habit %d, namespace %u", (unsigned long long)c->number,
              (int)c->habit, c->space_index);
}

struct call *client_call(struct client *c, uint16_t type)
{
    struct scene *s = c->scene;
    struct call *call = calloc(1, sizeof *call);
    struct call **end = &c->calls;

    CHECK(call != NULL);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = call;
    call->id = ++c->next_id * 7u + (c->number << 32);
    call->type = type;
    call->order = ++c->order;
    call->asked = ++s->event;
    call->asked_us = scene_now_us(s);
    call->name_index = LEDGER_TOPICS;
    call->early = !c->greeted;
    c->call_count++;
    s->requests++;
    s->report->requests++;
    s->report->types[type < MESSAGE_TYPE_END ? type : 0]++;
    return call;
}

void client_queue(struct client *c, struct call *call, const void *bytes, size_t size)
{
    sim_bytes_put(&c->out, bytes, size);
    c->queued += size;
    call->stream_end = c->queued;
}

void client_free(struct client *c)
{
    struct sim_right right;

    CHECK(c->calls == NULL);
    CHECK(!c->has_right);
    while (sim_link_take_right(&c->link, NEVER, &right)) { /* Nobody has taken it */
        sim_shared_drop(c->scene->disk, right.file);
    }
    c->lessee->has_client = false;
    sim_link_deinit(&c->link);
    sim_bytes_deinit(&c->out);
    sim_bytes_deinit(&c->in);
    free(c);
}

uint32_t client_places_asked(const struct client *c)
{
    const struct call *call;
    uint32_t count = 0;

    for (call = c->calls; call != NULL; call = call->next) {
        count += c->maps && call->type == MESSAGE_READ ? 1 : 0;
    }
    return count;
}

/* Everything under way stays unanswered. */
static void give_up(struct client *c)
{
    lessee_leave(c, client_places_asked(c));
    while (c->calls != NULL) {
        struct call *call = c->calls;

        c->calls = call->next;
        c->call_count--;
        reply_none(c, call);
        free(call);
    }
    c->gone = true;
}

bool client_is_quiet(const struct client *c)
{
    return c->calls == NULL && sim_bytes_size(&c->out) == 0;
}

/* ---- the end of a connection ---- */

/* A client that gave no reason to be cut off gets a reply to everything it has sent. */
static void check_all_answered(struct client *c)
{
    const struct call *call = c->calls;

    if (call != NULL && call->stream_end <= c->sent && call->stream_end <= c->doom) {
        scene_fail(c->scene, "every request has one reply, unless the connection is cut",
                   "client %llu, request %llu of type %u%s", (unsigned long long)c->number,
                   (unsigned long long)call->id, call->type,
                   c->half_closed ? ", whose client sends no more" : "");
    }
}

/* It has waited for an answer for so long. */
static bool waits_since(const struct client *c, uint64_t us)
{
    const struct call *call = c->calls;

    return call != NULL && call->stream_end <= c->sent &&
           scene_now_us(c->scene) - call->asked_us >= us;
}

static bool timed_out(const struct client *c)
{
    const struct options *options = &c->scene->config.options;
    const uint64_t now = scene_now_us(c->scene);

    /* Half the time, because a server that is busy counts from an older moment. */
    return (!c->greeted && now - c->began_us >= options->hello_timeout * 500) ||
           (c->partial_us != NEVER && now - c->partial_us >= options->frame_timeout * 500) ||
           now - c->taken_us >= options->output_timeout * 500 ||
           (options->idle_timeout != 0 && now - c->sent_us >= options->idle_timeout * 500 &&
            !waits_since(c, options->idle_timeout * 500));
}

/* The server has closed, and all it sent was taken. */
static void ended(struct client *c)
{
    struct scene *s = c->scene;
    const bool excused =
        s->stopping || scene_excused(s) || s->taste.tiny_memory || c->may_be_cut || timed_out(c);

    scene_log(s, "client %llu: closed by the server", (unsigned long long)c->number);
    if (!excused) {
        if (!c->half_closed && c->doom > c->sent && c->habit != HABIT_FOREIGN) {
            scene_fail(s, "no connection is closed without its reason", "client %llu",
                       (unsigned long long)c->number);
        }
        if (c->habit != HABIT_FOREIGN) {
            check_all_answered(c);
        }
    }
    s->report->cut++;
    give_up(c);
}

void client_lose(struct client *c, bool takes_rest)
{
    if (takes_rest && !c->gone && !c->link.client_gone) {
        sim_bytes_put(&c->in, sim_bytes_data(&c->link.down), sim_bytes_size(&c->link.down));
        while (reply_take(c)) {
        }
    }
    give_up(c);
}

/* Give everything back as the last thing. */
static void say_farewell(struct client *c)
{
    struct scene *s = c->scene;
    size_t part;

    ask_release_all(c);
    part = sim_link_send(&c->link, sim_bytes_data(&c->out), sim_bytes_size(&c->out));
    sim_bytes_take(&c->out, part);
    c->sent += part;
    lessee_bid_farewell(c, c->sent == c->queued && c->doom == NEVER && !c->may_be_cut &&
                               !timed_out(c) && !s->taste.tiny_memory && !s->stopping &&
                               !scene_excused(s));
}

static void vanish(struct client *c)
{
    if (c->maps && c->greeted && !c->link.server_gone && scene_chance(c->scene, 50)) {
        say_farewell(c);
    }
    scene_log(c->scene, "client %llu vanishes, %llu of %llu bytes sent",
              (unsigned long long)c->number, (unsigned long long)c->sent,
              (unsigned long long)c->queued);
    sim_link_vanish(&c->link);
    give_up(c);
}

/* ---- what it does ---- */

static void take(struct client *c)
{
    struct scene *s = c->scene;
    const uint64_t now = scene_now_us(s);
    struct sim_bytes *down = &c->link.down;
    size_t part = sim_bytes_size(down);

    if (part > 0 && now - c->taken_us >= s->config.options.output_timeout * 500) {
        c->may_be_cut = true;
    }
    if (c->habit == HABIT_DEAF && s->quiet_us == 0 && !s->stopping && !c->link.server_gone) {
        if (part == 0) {
            c->taken_us = now;
        }
        return;
    }
    if (c->habit == HABIT_SLOW && part > 1) {
        part = 1 + scene_below(s, part < 64 ? part : 64);
    } else if (part > 1 && scene_chance(s, 30)) {
        part = 1 + scene_below(s, part);
    }
    sim_bytes_put(&c->in, sim_bytes_data(down), part);
    sim_bytes_take(down, part);
    c->taken_us = now;
    while (reply_take(c)) {
    }
}

/* Note which frame is now half sent, and since when. */
static void note_partial(struct client *c, uint64_t before)
{
    const uint64_t now = scene_now_us(c->scene);
    const struct call *call;
    uint64_t boundary = 0;

    for (call = c->calls; call != NULL && call->stream_end <= c->sent; call = call->next) {
        boundary = call->stream_end;
    }
    if (c->partial_us != NEVER && boundary > before &&
        now - c->partial_us >= c->scene->config.options.frame_timeout * 500) {
        c->may_be_cut = true;
    }
    if (c->sent == c->queued || boundary == c->sent) {
        c->partial_us = NEVER;
    } else if (c->partial_us == NEVER || boundary > before) {
        c->partial_us = now;
    }
}

static void send_some(struct client *c)
{
    struct scene *s = c->scene;
    const uint64_t before = c->sent;
    size_t part = sim_bytes_size(&c->out);

    if (c->habit == HABIT_STALLER && c->greeted && s->quiet_us == 0 && part > 1) {
        part = before + part == c->queued ? part - 1 : part; /* The last byte never comes */
    } else if (part > 1 && scene_chance(s, 40)) {
        part = 1 + scene_below(s, scene_chance(s, 50) && part > 40 ? 40 : part);
    }
    if (c->habit == HABIT_STALLER && part <= 1) {
        return;
    }
    part = sim_link_send(&c->link, sim_bytes_data(&c->out), part);
    if (part == 0) {
        return;
    }
    sim_bytes_take(&c->out, part);
    c->sent += part;
    c->sent_us = scene_now_us(s);
    note_partial(c, before);
}

static void ask(struct client *c)
{
    struct scene *s = c->scene;
    unsigned burst = 1 + (unsigned)scene_below(s, 8);

    if (!c->said_hello) {
        if (c->habit != HABIT_MUTE) {
            if (c->habit == HABIT_NONSENSE && scene_chance(s, 10)) {
                ask_something(c); /* Before HELLO: that ends it */
            }
            ask_hello(c);
        }
        return;
    }
    if (!c->greeted && scene_chance(s, 50)) {
        return;
    }
    ask_release_due(c);
    while (burst-- > 0 && c->call_count < c->depth && c->budget > 0 &&
           c->queued - c->sent < 90000) {
        c->budget--;
        if (c->habit == HABIT_NONSENSE && scene_chance(s, 1 + s->taste.nonsense_percent)) {
            ask_nonsense(c);
        } else {
            ask_something(c);
        }
    }
}

/* What the server must have cut off by now. */
static void check_deadlines(const struct client *c)
{
    const struct scene *s = c->scene;
    const struct options *options = &s->config.options;
    const uint64_t now = scene_now_us(s);
    /* While requests before it are under way it need not be read. */
    const uint64_t begun = c->replied_us > c->partial_us ? c->replied_us : c->partial_us;

    if (!c->link.accepted || c->link.server_gone || s->stopping || s->taste.tiny_memory) {
        return;
    }
    if (c->sent == 0 && now > c->taken_on_us + options->hello_timeout * 1000 + DEADLINE_SLACK_US) {
        scene_fail((struct scene *)s, "who does not say HELLO is cut off", "client %llu",
                   (unsigned long long)c->number);
    }
    if (c->greeted && c->partial_us != NEVER && c->call_count == 1 &&
        c->calls->stream_end > c->sent && sim_bytes_size(&c->link.up) == 0 &&
        now > begun + options->frame_timeout * 1000 + DEADLINE_SLACK_US) {
        scene_fail((struct scene *)s, "half a request is not waited for for ever", "client %llu",
                   (unsigned long long)c->number);
    }
}

static bool wants_to_go(const struct client *c)
{
    const struct scene *s = c->scene;

    return (client_is_quiet(c) && (c->budget == 0 || s->quiet_us != 0)) ||
           (s->quiet_us == 0 && scene_now_us(s) >= c->leave_us);
}

void client_act(struct client *c)
{
    struct scene *s = c->scene;
    const uint64_t before = c->queued + c->sent + sim_bytes_size(&c->link.down);

    take(c);
    if (c->link.server_gone && sim_bytes_size(&c->link.down) == 0) {
        ended(c);
        return;
    }
    check_deadlines(c);
    if (!c->half_closed) {
        if (s->quiet_us == 0 && (!s->stopping || scene_chance(s, 30))) {
            ask(c);
        }
        send_some(c);
        if ((scene_chance(s, s->taste.vanish_percent) && scene_chance(s, 30) && s->quiet_us == 0) ||
            (wants_to_go(c) && scene_chance(s, 50))) {
            vanish(c);
            return;
        }
        if (wants_to_go(c) || (scene_chance(s, s->taste.vanish_percent) && scene_chance(s, 20))) {
            scene_log(s, "client %llu sends no more", (unsigned long long)c->number);
            c->half_closed = true;
            c->link.up_ended = true;
        }
    }
    c->lull = before == c->queued + c->sent + sim_bytes_size(&c->link.down) ? c->lull + 1 : 0;
    c->wake_us = scene_now_us(s) + 1 + scene_below(s, UINT64_C(1) << s->taste.gap_bits);
    if (c->lull > 8) {
        c->wake_us += UINT64_C(1) << (c->lull < 24 ? c->lull - 7 : 17);
    }
    if ((c->habit == HABIT_STALLER || c->habit == HABIT_MUTE || c->habit == HABIT_DEAF) &&
        scene_chance(s, 50)) {
        c->wake_us += scene_below(s, 300000);
    }
}
