/* The event loop of the server simulation: the functions of <uv.h> that the server calls, on a virtual
 * clock and on connections in memory. The server's sources are compiled against the real header and linked
 * with this instead of libuv.
 *
 *     uv_run:  time --> timers --> pending --> idle --> prepare --> poll --> check --> closing --> again
 *
 * as libuv's documentation has it (libuv 1.45 and later run timers behind closing instead: both orders are
 * simulated, by seed). In the poll phase the world outside goes on (uv_sim_host.wait); then what is ready is
 * reported in random order, signals last. Reads come in pieces, writes are taken in part, readiness is
 * sometimes false, as with a kernel.
 *
 * One loop at a time. uv_sim_stream.c has the pipes. */
#ifndef TESTS_SIM_UV_SIM_H
#define TESTS_SIM_UV_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "tests/sim/random.h"

struct sim_link;

/* The world around the loop. */
struct uv_sim_host {
    void *arg;
    uint64_t (*now_us)(void *arg);
    /* Let the world go on: until uv_sim_ready(), or the clock has reached until_us. */
    void (*wait)(void *arg, uint64_t until_us);
    /* A descriptor that is polled is readable. */
    bool (*readable)(void *arg, int fd);
    /* Polling a descriptor fails: a negative UV_E*; 0: it does not. */
    int (*refuse)(void *arg, int fd);
    /* The connection behind a descriptor. */
    struct sim_link *(*link)(void *arg, int fd);
    /* The process has died: uv_run() returns, and what it still writes goes nowhere. */
    bool (*dead)(void *arg);
    /* A socket is about to be written to: a moment to die at. */
    void (*writing)(void *arg);
};

/* Before uv_loop_init(). host is copied. */
void uv_sim_begin(const struct uv_sim_host *host, uint64_t seed);
/* Something waits to be reported by the poll phase. */
bool uv_sim_ready(void);
/* The process gets a signal; reported by the next poll phase. False: nobody watches for it. */
bool uv_sim_raise(int number);
/* The world's clock, from the loop's host. */
uint64_t uv_sim_now_us(void);

/* ---- between uv_sim.c and uv_sim_stream.c ---- */

struct sim_write;

struct sim_handle {
    uv_handle_t *uv;
    bool active;
    bool closing;
    bool raised;       /* A signal that came */
    bool write_failed; /* Nothing more can be written */
    int number;        /* Descriptor, or signal */
    uint64_t due_ms;
    uint64_t repeat_ms;
    uint64_t started; /* Timers of one millisecond run in the order they were started */
    uv_close_cb on_close;
    union {
        uv_timer_cb timer;
        uv_prepare_cb prepare;
        uv_check_cb check;
        uv_idle_cb idle;
        uv_poll_cb poll;
        uv_signal_cb signal;
        uv_read_cb read;
    } on;
    uv_alloc_cb on_alloc;
    struct sim_link *link;    /* Borrowed */
    struct sim_write *writes; /* Owned, in order */
};

struct uv_sim {
    struct uv_sim_host host;
    struct random random;
    uv_loop_t *loop;
    bool timers_last;
    bool stop;
    uint64_t now_ms;
    uint64_t started;
    struct sim_handle **handles; /* Owned, in the order they were made */
    unsigned count;
    unsigned room;
};

extern struct uv_sim uv_sim;

struct sim_handle *uv_sim_handle(const uv_handle_t *handle);
void uv_sim_add(uv_loop_t *loop, uv_handle_t *handle, uv_handle_type type);
/* A stream has something for its poll phase, */
bool uv_sim_stream_ready(const struct sim_handle *handle);
/* which is done here. */
void uv_sim_stream_poll(struct sim_handle *handle);
/* Requests that are through, but not told: in the pending phase. */
bool uv_sim_stream_pending(const struct sim_handle *handle);
void uv_sim_stream_tell(struct sim_handle *handle);
/* Cancel what is not written, and tell. */
void uv_sim_stream_close(struct sim_handle *handle);

#endif
