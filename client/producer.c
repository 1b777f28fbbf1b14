/* A producer: entries gather here and go out as one APPEND.
 *
 *     append --> lengths[], payload[] --full, due or flushed--> send buffer --> delivery
 *
 * What is gathered is kept as lengths and payload, the order of a batch's body, so sending
 * is two copies into the send buffer and one checksum over bytes that are in the cache.
 *
 * Memory is bounded: one batch gathers here, and in_flight_max batches and the connection's
 * send buffer bound the rest. When they are full, append() waits or says EBUSY. */
#include "client/connection.h"
#include "proto/bytes.h"

#include <stdlib.h>
#include <string.h>

#define PRODUCER_COUNT 1000u
#define PRODUCER_BYTES (64u * 1024)
#define PRODUCER_LINGER_US 1000u
#define PRODUCER_IN_FLIGHT 64u

struct tusk_producer {
    struct tusk *t; /* Borrowed; outlives the producer */
    struct tusk_producer_options options;
    struct message_topic topic; /* By name until the first reply, then by id */
    char topic_name[TUSK_NAME_SIZE_MAX + 1];

    uint8_t *lengths; /* Owned; 4 bytes for each of options.batch_count_max entries */
    uint8_t *payload; /* Owned */
    size_t payload_capacity;
    size_t payload_size;
    uint32_t count;  /* Entries gathered */
    uint64_t due_us; /* When the gathered batch is old enough */

    uint32_t in_flight; /* Batches */
    struct tusk_producer_info info;
};

int tusk_producer_open(struct tusk *t, const struct tusk_producer_options *options,
                       struct tusk_producer **out)
{
    struct tusk_producer *p;
    int rc;

    *out = NULL;
    if (options == NULL || options->size < sizeof options->size) {
        return failure_set(&t->failure, TUSK_EINVALID, "tusk_producer_options.size is not set");
    }
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        return failure_set(&t->failure, TUSK_ENOMEM, "out of memory for a producer");
    }
    memcpy(&p->options, options,
           options->size < sizeof p->options ? options->size : sizeof p->options);
    rc = topic_by_name(t, p->options.topic, &p->topic);
    if (rc != TUSK_OK) {
        free(p);
        return rc;
    }
    memcpy(p->topic_name, p->topic.name.data, p->topic.name.size);
    p->topic.name.data = p->topic_name;
    p->options.topic = p->topic_name;
    p->options.batch_count_max =
        p->options.batch_count_max > 0 ? p->options.batch_count_max : PRODUCER_COUNT;
    p->options.batch_bytes_max =
        p->options.batch_bytes_max > 0 ? p->options.batch_bytes_max : PRODUCER_BYTES;
    p->options.linger_us = p->options.linger_us > 0 ? p->options.linger_us : PRODUCER_LINGER_US;
    p->options.in_flight_max =
        p->options.in_flight_max > 0 ? p->options.in_flight_max : PRODUCER_IN_FLIGHT;
    p->t = t;
    p->info.first_offset = UINT64_MAX;
    p->payload_capacity = p->options.batch_bytes_max;
    p->payload = malloc(p->payload_capacity);
    p->lengths = malloc(4 * (size_t)p->options.batch_count_max);
    if (p->payload == NULL || p->lengths == NULL) {
        free(p->payload);
        free(p->lengths);
        free(p);
        return failure_set(&t->failure, TUSK_ENOMEM, "out of memory for a producer's batch");
    }
    *out = p;
    return TUSK_OK;
}

/* A batch has its answer, or will never have one. */
static void producer_deliver(struct tusk_producer *p, const struct tusk_delivery *delivery)
{
    struct tusk_producer_info *info = &p->info;
    bool outer = p->t->in_callback;

    switch (tusk_outcome(delivery->code)) {
    case TUSK_STORED:
        info->stored += delivery->count;
        if (info->first_offset == UINT64_MAX) {
            info->first_offset = delivery->first_offset;
        }
        info->last_offset = delivery->first_offset + delivery->count - 1;
        info->durable_end = delivery->durable_end;
        break;
    case TUSK_NOT_STORED:
        info->not_stored += delivery->count;
        break;
    case TUSK_STORED_UNKNOWN:
        info->unknown += delivery->count;
        break;
    }
    if (delivery->code != TUSK_OK && info->code == TUSK_OK) {
        info->code = delivery->code;
    }
    if (p->options.fn != NULL) {
        p->t->in_callback = true;
        p->options.fn(p->options.user, delivery);
        p->t->in_callback = outer;
    }
}

static void producer_batch_done(struct tusk *t, const struct request *request,
                                const struct reply *reply)
{
    struct tusk_producer *p = request->plan.user;
    struct tusk_delivery delivery = {
        .code = reply->code, .index = request->plan.tag, .count = request->plan.count};

    (void)t;
    p->in_flight--;
    if (reply->code == TUSK_OK) {
        delivery.first_offset = reply->u.append.first_offset;
        delivery.durable_end = reply->u.append.durable_end;
        p->topic.id = reply->u.append.topic_id;
        p->topic.name.size = p->topic.id == 0 ? (uint16_t)strlen(p->topic_name) : 0;
    }
    producer_deliver(p, &delivery);
}

/* Send what has gathered, if anything. EBUSY: there is no room in flight; it stays gathered. A
 * batch that can never go out is delivered as not stored. */
static int producer_send(struct tusk_producer *p)
{
    const struct request_plan plan = {
        .done = producer_batch_done, .user = p, .tag = p->info.taken - p->count};
    struct tusk_delivery failed = {.index = plan.tag, .count = p->count};
    struct append_room room;
    int rc;

    if (p->count == 0) {
        return TUSK_OK;
    }
    if (p->in_flight >= p->options.in_flight_max) {
        return failure_set(&p->t->failure, TUSK_EBUSY, "%u batches are in flight", p->in_flight);
    }
    rc = append_reserve(p->t, &p->topic, p->options.flags, p->count, p->payload_size, &room);
    if (rc == TUSK_EBUSY) {
        return rc;
    }
    if (rc == TUSK_OK) {
        memcpy(room.lengths, p->lengths, 4 * (size_t)p->count);
        memcpy(room.payload, p->payload, p->payload_size);
        (void)append_commit(p->t, &room, plan);
        p->in_flight++;
    }
    p->count = 0;
    p->payload_size = 0;
    if (rc != TUSK_OK) {
        failed.code = rc;
        producer_deliver(p, &failed);
    }
    return rc;
}

static bool producer_has_room(const struct tusk_producer *p, size_t size)
{
    size_t payload_size = p->payload_size + size;

    return p->count == 0 ||
           (p->count < p->options.batch_count_max && payload_size <= p->options.batch_bytes_max &&
            4 * (p->count + (size_t)1) + payload_size <= p->t->hello.batch_size_max);
}

static int producer_check(struct tusk_producer *p)
{
    struct tusk *t = p->t;

    if (p->info.code != TUSK_OK) {
        return failure_set(&t->failure, p->info.code,
                           "a batch was not stored, so the producer takes no more: %s",
                           tusk_error_text(p->info.code));
    }
    if (t->dead) {
        return failure_set(&t->failure, TUSK_ECLOSED, "the connection ended before: %s",
                           t->broken.text);
    }
    return pipeline_check_outside_callback(t);
}

/* Make room for an entry of size bytes, sending and waiting as needed. */
static int producer_make_room(struct tusk_producer *p, size_t size, int timeout_ms)
{
    uint64_t deadline_us = 0;
    int rc = TUSK_OK;

    while (!producer_has_room(p, size)) {
        rc = producer_send(p);
        if (rc == TUSK_OK) {
            (void)pipeline_turn(p->t);
            break;
        }
        if (rc != TUSK_EBUSY) {
            return rc;
        }
        if (deadline_us == 0) {
            deadline_us = pipeline_deadline_us(p->t, timeout_ms);
            (void)pipeline_turn(p->t);
        } else if (clock_now_us() >= deadline_us) {
            return rc;
        } else {
            (void)pipeline_turn_until(p->t, deadline_us);
        }
        rc = producer_check(p);
        if (rc != TUSK_OK) {
            return rc;
        }
    }
    return rc;
}

static int producer_grow(struct tusk_producer *p, size_t size)
{
    uint8_t *payload;

    if (size <= p->payload_capacity) {
        return TUSK_OK;
    }
    payload = realloc(p->payload, size);
    if (payload == NULL) {
        return failure_set(&p->t->failure, TUSK_ENOMEM, "out of memory for an entry of %zu bytes",
                           size);
    }
    p->payload = payload;
    p->payload_capacity = size;
    return TUSK_OK;
}

int tusk_producer_append(struct tusk_producer *p, const void *data, size_t size, int timeout_ms)
{
    int rc = producer_check(p);

    if (rc != TUSK_OK) {
        return rc;
    }
    if (size > p->t->hello.entry_size_max || size + 4 > p->t->hello.batch_size_max) {
        return failure_set(&p->t->failure, TUSK_ETOOBIG,
                           "an entry of %zu bytes; the daemon takes entries of at most %u", size,
                           p->t->hello.entry_size_max);
    }
    rc = producer_make_room(p, size, timeout_ms);
    if (rc == TUSK_OK) {
        rc = producer_grow(p, p->payload_size + size);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    if (p->count == 0) {
        p->due_us = clock_now_us() + p->options.linger_us;
    }
    put_u32(p->lengths + 4 * (size_t)p->count, (uint32_t)size);
    if (size > 0) {
        memcpy(p->payload + p->payload_size, data, size);
    }
    p->count++;
    p->payload_size += size;
    p->info.taken++;
    /* A full batch goes out now if it can. If it cannot, the next call finds it. */
    if (p->count >= p->options.batch_count_max || p->payload_size >= p->options.batch_bytes_max ||
        clock_now_us() >= p->due_us) {
        (void)producer_send(p);
        (void)pipeline_turn(p->t);
    }
    return TUSK_OK;
}

int tusk_producer_process(struct tusk_producer *p)
{
    int rc = pipeline_check_outside_callback(p->t);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = pipeline_turn(p->t);
    if (p->count > 0 && clock_now_us() >= p->due_us) {
        rc = producer_send(p);
        (void)pipeline_turn(p->t);
    }
    return rc == TUSK_EBUSY ? TUSK_OK : rc;
}

int tusk_producer_due_ms(const struct tusk_producer *p)
{
    uint64_t now = clock_now_us();

    if (p->count == 0) {
        return -1;
    }
    return now >= p->due_us ? 0 : (int)((p->due_us - now + 999) / 1000);
}

int tusk_producer_flush(struct tusk_producer *p, int timeout_ms)
{
    uint64_t deadline_us = pipeline_deadline_us(p->t, timeout_ms);
    int rc = pipeline_check_outside_callback(p->t);

    if (rc != TUSK_OK) {
        return rc;
    }
    (void)producer_send(p);
    (void)pipeline_turn(p->t);
    while (p->count > 0 || p->in_flight > 0) {
        if (clock_now_us() >= deadline_us) {
            return failure_set(&p->t->failure, TUSK_ETIMEOUT, "%u batches are still in flight",
                               p->in_flight);
        }
        (void)pipeline_turn_until(p->t, deadline_us); /* If it breaks, all are delivered */
        (void)producer_send(p);
    }
    return p->info.code;
}

void tusk_producer_resume(struct tusk_producer *p)
{
    p->info.code = TUSK_OK;
}

int tusk_producer_info(const struct tusk_producer *p, struct tusk_producer_info *info)
{
    struct tusk_producer_info all = p->info;

    all.pending = all.taken - all.stored - all.not_stored - all.unknown;
    return struct_out(info, info->size, &all, sizeof all);
}

/* Deliver what is still open, oldest first, as what can be known of it now. */
static void producer_give_up(struct tusk_producer *p)
{
    const struct request *request;

    while ((request = pipeline_oldest_of(p->t, p)) != NULL) {
        struct tusk_delivery delivery = {.index = request->plan.tag, .count = request->plan.count};

        delivery.code = pipeline_abandon(p->t, request->id);
        producer_deliver(p, &delivery);
    }
    if (p->count > 0) {
        const struct tusk_delivery delivery = {
            .code = TUSK_ETIMEOUT, .index = p->info.taken - p->count, .count = p->count};

        producer_deliver(p, &delivery);
    }
}

int tusk_producer_close(struct tusk_producer *p, int timeout_ms)
{
    int rc;

    if (p == NULL) {
        return TUSK_OK;
    }
    rc = pipeline_check_outside_callback(p->t);
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = tusk_producer_flush(p, timeout_ms);
    producer_give_up(p);
    free(p->payload);
    free(p->lengths);
    free(p);
    return rc;
}
