#include "server/scrape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/options.h"
#include "core/check.h"
#include "core/error.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/scrape_answer.h"
#include "server/server.h"

#define SWEEP_MS 250u
#define PIECES_AT_ONCE 4u /* To one connection in a turn */

/*     free ---> reading ---> sending ---> lingering ---> closing ---> free
 *
 * Lingering: the answer has left, and what the client still says is thrown away until it closes, so
 * that closing does not take the answer with it (a reset does). */
enum slot_state { SLOT_FREE, SLOT_READING, SLOT_SENDING, SLOT_LINGERING, SLOT_CLOSING };

struct slot {
    struct scrape *scrape;
    uv_poll_t poll;
    enum slot_state state;
    int fd; /* Owned, unless free or closing */
    uint64_t deadline_ms;
    size_t received;
    size_t begin; /* Of output that is left: [begin, end) */
    size_t end;
    struct scrape_answer answer;
    uint8_t input[HTTP_REQUEST_SIZE_MAX];
    char output[SCRAPE_PIECE_SIZE];
};

struct scrape {
    struct server *server;    /* Borrowed; NULL until it is started */
    struct listener listener; /* Its socket; it accepts nothing by itself */
    uv_poll_t poll;
    uv_timer_t timer;
    bool resting; /* Not accepting, until a slot is free or the timer comes */
    uint64_t start_us;
    struct slot slots[SCRAPE_SLOTS];
};

static void on_connection(uv_poll_t *poll, int status, int events);
static void on_ready(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

/* ---- the socket ---- */

int scrape_open(struct scrape **out, const struct options *options, int fd, struct error *err)
{
    struct scrape *scrape;
    int rc;

    *out = NULL;
    if (fd < 0 && options->metrics_socket[0] == '\0') {
        return 0;
    }
    scrape = calloc(1, sizeof *scrape);
    if (scrape == NULL) {
        return error_set(err, TUSK_ENOMEM, "memory for the socket of metrics");
    }
    if (fd >= 0) {
        listener_adopt(&scrape->listener, fd);
    } else {
        rc = listener_open(&scrape->listener, options->metrics_socket, false, err);
        if (rc != 0) {
            free(scrape);
            return rc;
        }
        if (options->metrics_group) {
            listener_share_with_group(&scrape->listener);
        }
    }
    *out = scrape;
    return 0;
}

/* ---- connections ---- */

static void accept_again(struct scrape *scrape)
{
    if (scrape->resting && scrape->listener.fd >= 0) {
        const int rc = uv_poll_start(&scrape->poll, UV_READABLE, on_connection);

        CHECK(rc == 0);
        scrape->resting = false;
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct slot *slot = handle->data;

    slot->state = SLOT_FREE;
    accept_again(slot->scrape);
}

static void slot_close(struct slot *slot)
{
    slot->state = SLOT_CLOSING;
    uv_close((uv_handle_t *)&slot->poll, on_closed);
    (void)close(slot->fd); /* What was to be sent has been, or is not wanted */
    slot->fd = -1;
}

static void enter(struct slot *slot, enum slot_state state, int events, uint64_t timeout_ms)
{
    const int rc = uv_poll_start(&slot->poll, events, on_ready);

    CHECK(rc == 0);
    slot->state = state;
    slot->deadline_ms = uv_now(&slot->scrape->server->loop) + timeout_ms;
}

static void linger(struct slot *slot)
{
    if (shutdown(slot->fd, SHUT_WR) != 0) {
        slot_close(slot);
        return;
    }
    enter(slot, SLOT_LINGERING, UV_READABLE, SCRAPE_LINGER_MS);
}

static void send_some(struct slot *slot)
{
    unsigned pieces = 0;

    for (;;) {
        ssize_t sent;

        if (slot->begin == slot->end) {
            if (pieces++ == PIECES_AT_ONCE) {
                return; /* The socket takes more, but others wait */
            }
            slot->begin = 0;
            slot->end = scrape_answer_piece(&slot->answer, slot->output);
            if (slot->end == 0) {
                linger(slot);
                return;
            }
        }
        sent = send(slot->fd, slot->output + slot->begin, slot->end - slot->begin, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
                slot_close(slot);
            }
            return;
        }
        slot->begin += (size_t)sent;
    }
}

static void receive_some(struct slot *slot)
{
    struct scrape *scrape = slot->scrape;
    const ssize_t got =
        recv(slot->fd, slot->input + slot->received, sizeof slot->input - slot->received, 0);
    struct http_request request = {0};
    enum http_verdict verdict;

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        slot_close(slot);
        return;
    }
    slot->received += (size_t)got;
    verdict = http_parse(&request, slot->input, slot->received);
    if (verdict == HTTP_PARTIAL) {
        CHECK(slot->received < sizeof slot->input);
        return;
    }
    slot->begin = 0;
    slot->end = scrape_answer_begin(&slot->answer, scrape->server, scrape->start_us, verdict,
                                    &request, slot->output);
    enter(slot, SLOT_SENDING, UV_WRITABLE, SCRAPE_SEND_MS);
    send_some(slot);
}

static void discard_some(struct slot *slot)
{
    const ssize_t got = recv(slot->fd, slot->input, sizeof slot->input, 0);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        slot_close(slot);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct slot *slot = poll->data;

    (void)events;
    if (status < 0) {
        slot_close(slot);
    } else if (slot->state == SLOT_READING) {
        receive_some(slot);
    } else if (slot->state == SLOT_SENDING) {
        send_some(slot);
    } else if (slot->state == SLOT_LINGERING) {
        discard_some(slot);
    }
}

/* ---- accepting ---- */

/* Somebody is there, or waits: the timer runs as long as that is so. */
static void watch(struct scrape *scrape)
{
    if (!uv_is_active((const uv_handle_t *)&scrape->timer)) {
        (void)uv_timer_start(&scrape->timer, on_timer, SWEEP_MS, SWEEP_MS); /* Succeeds */
    }
}

static void rest(struct scrape *scrape)
{
    watch(scrape);
    (void)uv_poll_stop(&scrape->poll); /* Always succeeds */
    scrape->resting = true;
}

static struct slot *free_slot(struct scrape *scrape)
{
    unsigned i;

    for (i = 0; i < SCRAPE_SLOTS; i++) {
        if (scrape->slots[i].state == SLOT_FREE) {
            return &scrape->slots[i];
        }
    }
    return NULL;
}

/* Who owes us something, and has for the longest time, gives way; its slot is free when libuv has
 * let the handle go. */
static void evict(struct scrape *scrape)
{
    struct slot *oldest = NULL;
    unsigned i;

    for (i = 0; i < SCRAPE_SLOTS; i++) {
        struct slot *slot = &scrape->slots[i];

        if (slot->state == SLOT_CLOSING) {
            return;
        }
        if ((slot->state == SLOT_READING || slot->state == SLOT_LINGERING) &&
            (oldest == NULL || slot->deadline_ms < oldest->deadline_ms)) {
            oldest = slot;
        }
    }
    if (oldest != NULL) {
        slot_close(oldest);
    }
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct scrape *scrape = poll->data;
    struct slot *slot = free_slot(scrape);
    int fd;

    (void)status; /* accept4() says what is wrong */
    (void)events;
    if (slot == NULL) {
        evict(scrape);
        rest(scrape);
        return;
    }
    if (listener_descriptors_short(&scrape->listener)) {
        rest(scrape); /* They are for files */
        return;
    }
    fd = accept4(scrape->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED) {
            rest(scrape);
        }
        return;
    }
    if (uv_poll_init(&scrape->server->loop, &slot->poll, fd) != 0) {
        (void)close(fd); /* Nothing was written to it */
        return;
    }
    slot->poll.data = slot;
    slot->scrape = scrape;
    slot->fd = fd;
    slot->received = 0;
    enter(slot, SLOT_READING, UV_READABLE, SCRAPE_READ_MS);
    watch(scrape);
}

static void on_timer(uv_timer_t *timer)
{
    struct scrape *scrape = timer->data;
    const uint64_t now_ms = uv_now(&scrape->server->loop);
    bool busy = scrape->resting;
    unsigned i;

    for (i = 0; i < SCRAPE_SLOTS; i++) {
        struct slot *slot = &scrape->slots[i];

        busy = busy || slot->state != SLOT_FREE;
        if (slot->state != SLOT_FREE && slot->state != SLOT_CLOSING &&
            now_ms >= slot->deadline_ms) {
            slot_close(slot);
        }
    }
    accept_again(scrape);
    if (!busy) {
        (void)uv_timer_stop(timer); /* Always succeeds */
    }
}

/* ---- life ---- */

int scrape_start(struct scrape *scrape, struct server *server, struct error *err)
{
    int rc = listener_look_up_limit(&scrape->listener, err);

    if (rc != 0) {
        return rc;
    }
    scrape->server = server;
    scrape->start_us = clock_wall_us();
    rc = uv_poll_init(&server->loop, &scrape->poll, scrape->listener.fd);
    if (rc != 0) {
        return error_errno(err, -rc, "poll the socket of metrics");
    }
    (void)uv_timer_init(&server->loop, &scrape->timer); /* Always succeeds */
    scrape->poll.data = scrape;
    scrape->timer.data = scrape;
    scrape->resting = true;
    accept_again(scrape);
    return 0;
}

void scrape_stop(struct scrape *scrape)
{
    if (scrape == NULL) {
        return;
    }
    if (scrape->server != NULL) {
        uv_close((uv_handle_t *)&scrape->poll, NULL);
        uv_close((uv_handle_t *)&scrape->timer, NULL);
    }
    listener_abandon(&scrape->listener); /* Nothing is accepted again without it */
}

void scrape_free(struct scrape *scrape)
{
    unsigned i;

    if (scrape == NULL) {
        return;
    }
    listener_abandon(&scrape->listener);
    for (i = 0; i < SCRAPE_SLOTS; i++) {
        if (scrape->slots[i].state != SLOT_FREE && scrape->slots[i].fd >= 0) {
            (void)close(scrape->slots[i].fd); /* The process is ending */
        }
    }
    free(scrape);
}
