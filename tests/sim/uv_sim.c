#include "tests/sim/uv_sim.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/sim/sim_net.h"

#define ROUNDS_MAX 3000000u

struct uv_sim uv_sim;

void uv_sim_begin(const struct uv_sim_host *host, uint64_t seed)
{
    CHECK(uv_sim.count == 0);
    free(uv_sim.handles);
    uv_sim = (struct uv_sim){.host = *host};
    random_init(&uv_sim.random, seed);
    uv_sim.timers_last = random_chance(&uv_sim.random, 50);
}

uint64_t uv_sim_now_us(void)
{
    return uv_sim.host.now_us(uv_sim.host.arg);
}

struct sim_handle *uv_sim_handle(const uv_handle_t *handle)
{
    return handle->u.reserved[0];
}

void uv_sim_add(uv_loop_t *loop, uv_handle_t *handle, uv_handle_type type)
{
    struct sim_handle *made = calloc(1, sizeof *made);

    CHECK(made != NULL);
    made->uv = handle;
    handle->loop = loop;
    handle->type = type;
    handle->u.reserved[0] = made;
    if (uv_sim.count == uv_sim.room) {
        uv_sim.room = 2 * uv_sim.room + 16;
        uv_sim.handles = realloc(uv_sim.handles, uv_sim.room * sizeof(struct sim_handle *));
        CHECK(uv_sim.handles != NULL);
    }
    uv_sim.handles[uv_sim.count++] = made;
}

static void update_time(void)
{
    uv_sim.now_ms = uv_sim_now_us() / 1000;
}

/* ---- the loop ---- */

int uv_loop_init(uv_loop_t *loop)
{
    uv_sim.loop = loop;
    update_time();
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    (void)loop;
    return uv_sim.count == 0 ? 0 : UV_EBUSY;
}

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return uv_sim.now_ms;
}

void uv_update_time(uv_loop_t *loop)
{
    (void)loop;
    update_time();
}

void uv_stop(uv_loop_t *loop)
{
    (void)loop;
    uv_sim.stop = true;
}

const char *uv_strerror(int err)
{
    return err == UV_EPIPE ? "broken pipe" : "an error of the socket";
}

uv_buf_t uv_buf_init(char *base, unsigned int len)
{
    return (uv_buf_t){.base = base, .len = len};
}

/* ---- handles ---- */

void uv_walk(uv_loop_t *loop, uv_walk_cb walk, void *arg)
{
    unsigned i;

    (void)loop;
    for (i = 0; i < uv_sim.count; i++) {
        walk(uv_sim.handles[i]->uv, arg);
    }
}

int uv_is_closing(const uv_handle_t *handle)
{
    return uv_sim_handle(handle)->closing;
}

void uv_close(uv_handle_t *handle, uv_close_cb on_close)
{
    struct sim_handle *h = uv_sim_handle(handle);

    CHECK(!h->closing);
    h->closing = true;
    h->active = false;
    h->on_close = on_close;
    if (h->link != NULL) {
        h->link->server_gone = true; /* The descriptor is closed at once */
    }
}

#define DEFINE_HANDLE(name, NAME)                                                                  \
    int uv_##name##_init(uv_loop_t *loop, uv_##name##_t *handle)                                   \
    {                                                                                              \
        uv_sim_add(loop, (uv_handle_t *)handle, UV_##NAME);                                        \
        return 0;                                                                                  \
    }

#define DEFINE_START(name)                                                                         \
    int uv_##name##_start(uv_##name##_t *handle, uv_##name##_cb on)                                \
    {                                                                                              \
        struct sim_handle *h = uv_sim_handle((uv_handle_t *)handle);                               \
                                                                                                   \
        CHECK(!h->closing);                                                                        \
        h->active = true;                                                                          \
        h->on.name = on;                                                                           \
        return 0;                                                                                  \
    }

#define DEFINE_STOP(name)                                                                          \
    int uv_##name##_stop(uv_##name##_t *handle)                                                    \
    {                                                                                              \
        uv_sim_handle((uv_handle_t *)handle)->active = false;                                      \
        return 0;                                                                                  \
    }

DEFINE_HANDLE(timer, TIMER)
DEFINE_HANDLE(prepare, PREPARE)
DEFINE_HANDLE(check, CHECK)
DEFINE_HANDLE(idle, IDLE)
DEFINE_HANDLE(signal, SIGNAL)
DEFINE_START(prepare)
DEFINE_START(check)
DEFINE_START(idle)
DEFINE_STOP(idle)
DEFINE_STOP(timer)
DEFINE_STOP(poll)

int uv_timer_start(uv_timer_t *handle, uv_timer_cb on, uint64_t timeout, uint64_t repeat)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)handle);

    if (h->closing) {
        return UV_EINVAL;
    }
    h->active = true;
    h->on.timer = on;
    h->due_ms = uv_sim.now_ms + timeout;
    h->repeat_ms = repeat;
    h->started = uv_sim.started++;
    return 0;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd)
{
    const int rc = uv_sim.host.refuse(uv_sim.host.arg, fd);

    if (rc != 0) {
        return rc;
    }
    uv_sim_add(loop, (uv_handle_t *)handle, UV_POLL);
    uv_sim_handle((uv_handle_t *)handle)->number = fd;
    return 0;
}

int uv_poll_start(uv_poll_t *handle, int events, uv_poll_cb on)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)handle);
    const int rc = uv_sim.host.refuse(uv_sim.host.arg, h->number);

    CHECK(events == UV_READABLE);
    CHECK(!h->closing);
    if (rc != 0) {
        return rc;
    }
    h->active = true;
    h->on.poll = on;
    return 0;
}

int uv_signal_start(uv_signal_t *handle, uv_signal_cb on, int number)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)handle);

    CHECK(!h->closing);
    h->active = true;
    h->number = number;
    h->on.signal = on;
    return 0;
}

int uv_signal_stop(uv_signal_t *handle)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)handle);

    h->active = false;
    h->raised = false;
    return 0;
}

bool uv_sim_raise(int number)
{
    bool watched = false;
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        struct sim_handle *h = uv_sim.handles[i];

        if (h->uv->type == UV_SIGNAL && h->active && h->number == number) {
            h->raised = true;
            watched = true;
        }
    }
    return watched;
}

/* ---- phases ---- */

static struct sim_handle *next_timer(void)
{
    struct sim_handle *first = NULL;
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        struct sim_handle *h = uv_sim.handles[i];

        if (h->uv->type == UV_TIMER && h->active &&
            (first == NULL || h->due_ms < first->due_ms ||
             (h->due_ms == first->due_ms && h->started < first->started))) {
            first = h;
        }
    }
    return first;
}

static void run_timers(void)
{
    const uint64_t started = uv_sim.started;
    struct sim_handle *timer;

    while ((timer = next_timer()) != NULL && timer->due_ms <= uv_sim.now_ms &&
           timer->started < started) {
        timer->active = false;
        if (timer->repeat_ms > 0) {
            (void)uv_timer_start((uv_timer_t *)timer->uv, timer->on.timer, timer->repeat_ms,
                                 timer->repeat_ms);
        }
        timer->on.timer((uv_timer_t *)timer->uv);
    }
}

static void run_pending(void)
{
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        if (uv_sim_stream_pending(uv_sim.handles[i])) {
            uv_sim_stream_tell(uv_sim.handles[i]);
        }
    }
}

static void run_each(uv_handle_type type)
{
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        struct sim_handle *h = uv_sim.handles[i];

        if (h->uv->type != type || !h->active) {
            continue;
        }
        if (type == UV_IDLE) {
            h->on.idle((uv_idle_t *)h->uv);
        } else if (type == UV_PREPARE) {
            h->on.prepare((uv_prepare_t *)h->uv);
        } else {
            h->on.check((uv_check_t *)h->uv);
        }
    }
}

static bool is_ready(const struct sim_handle *h)
{
    if (h->uv->type == UV_POLL) {
        return h->active && uv_sim.host.readable(uv_sim.host.arg, h->number);
    }
    return h->raised || uv_sim_stream_ready(h);
}

bool uv_sim_ready(void)
{
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        if (is_ready(uv_sim.handles[i])) {
            return true;
        }
    }
    return false;
}

static bool anything(bool (*is)(const struct sim_handle *))
{
    unsigned i;

    for (i = 0; i < uv_sim.count; i++) {
        if (is(uv_sim.handles[i])) {
            return true;
        }
    }
    return false;
}

static bool keeps_awake(const struct sim_handle *h)
{
    return h->closing || (h->uv->type == UV_IDLE && h->active) || uv_sim_stream_pending(h);
}

static bool keeps_alive(const struct sim_handle *h)
{
    return h->active || h->closing || h->writes != NULL;
}

/* When the poll phase has to end, in microseconds. */
static uint64_t poll_until(void)
{
    const struct sim_handle *timer = next_timer();
    const uint64_t now_us = uv_sim_now_us();

    if (uv_sim.stop || anything(keeps_awake)) {
        return now_us;
    }
    if (timer == NULL) {
        return UINT64_MAX;
    }
    return timer->due_ms <= uv_sim.now_ms ? now_us
                                          : now_us + (timer->due_ms - uv_sim.now_ms) * 1000;
}

static void report(struct sim_handle *h)
{
    if (!is_ready(h)) {
        return; /* What was reported before has changed it */
    }
    if (h->uv->type == UV_POLL) {
        h->on.poll((uv_poll_t *)h->uv, 0, UV_READABLE);
    } else if (h->uv->type == UV_SIGNAL) {
        h->raised = false;
        h->on.signal((uv_signal_t *)h->uv, h->number);
    } else {
        uv_sim_stream_poll(h);
    }
}

static void poll_phase(void)
{
    struct sim_handle *ready[512];
    unsigned count = 0;
    unsigned signals = 0;
    unsigned i;

    uv_sim.host.wait(uv_sim.host.arg, poll_until());
    update_time();
    if (uv_sim.host.dead(uv_sim.host.arg)) {
        return;
    }
    for (i = 0; i < uv_sim.count && count < 512; i++) {
        if (is_ready(uv_sim.handles[i])) {
            ready[count++] = uv_sim.handles[i];
        }
    }
    for (i = count; i > 1; i--) {
        const uint64_t other = random_below(&uv_sim.random, i);
        struct sim_handle *swap = ready[i - 1];

        ready[i - 1] = ready[other];
        ready[other] = swap;
    }
    for (i = 0; i < count; i++) {
        if (ready[i]->uv->type == UV_SIGNAL) {
            ready[signals++] = ready[i];
        } else {
            report(ready[i]);
        }
    }
    for (i = 0; i < signals; i++) {
        report(ready[i]);
    }
}

static void run_closing(void)
{
    const unsigned before = uv_sim.count;
    unsigned i;

    for (i = before; i > 0; i--) { /* The last one closed first, as libuv does */
        struct sim_handle *h = uv_sim.handles[i - 1];

        if (h->closing) {
            uv_sim_stream_close(h);
            memmove(&uv_sim.handles[i - 1], &uv_sim.handles[i],
                    (uv_sim.count - i) * sizeof(struct sim_handle *));
            uv_sim.count--;
            if (h->on_close != NULL) {
                h->on_close(h->uv);
            }
            free(h);
        }
    }
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    unsigned rounds = 0;

    (void)loop;
    CHECK(mode == UV_RUN_DEFAULT);
    while (anything(keeps_alive) && !uv_sim.stop && !uv_sim.host.dead(uv_sim.host.arg)) {
        CHECK(rounds++ < ROUNDS_MAX);
        update_time();
        if (!uv_sim.timers_last) {
            run_timers();
        }
        run_pending();
        run_each(UV_IDLE);
        run_each(UV_PREPARE);
        poll_phase();
        if (uv_sim.host.dead(uv_sim.host.arg)) {
            break;
        }
        run_each(UV_CHECK);
        run_closing();
        if (uv_sim.timers_last) {
            update_time();
            run_timers();
        }
    }
    uv_sim.stop = false;
    return 0;
}

unsigned uv_available_parallelism(void)
{
    return 4;
}
