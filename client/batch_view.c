#include "client/batch_view.h"

#include <stdlib.h>

struct tusk_batch *batch_view_new(uint32_t body_size)
{
    struct tusk_batch *batch = malloc(sizeof *batch + body_size);

    if (batch != NULL) {
        *batch = (struct tusk_batch){.body_size = body_size};
    }
    return batch;
}

static const uint8_t *batch_view_end(const struct tusk_batch *batch)
{
    return batch->reply.data + batch->reply.data_size;
}

static int batch_view_damage(const struct tusk_batch *batch, struct tusk_failure *failure,
                             const char *what)
{
    failure_set(failure, TUSK_ECORRUPT,
                "entries %llu to %llu, %llu bytes into the reply: %s; the stored bytes or those "
                "received are damaged",
                (unsigned long long)batch->reply.from, (unsigned long long)batch->reply.to,
                (unsigned long long)(batch->at - batch->reply.data), what);
    if (failure != NULL) {
        failure->detail_a = batch->reply.from;
        failure->detail_b = batch->reply.to;
    }
    return TUSK_ECORRUPT;
}

/* Count the entries of one verified batch that are asked for. */
static void batch_view_count(struct tusk_batch *batch, const struct batch_header *header)
{
    uint64_t offset = header->first_offset;
    struct batch_iterator it;
    struct batch_entry entry;

    if (offset >= batch->reply.from && offset + header->entry_count <= batch->reply.to) {
        batch->entry_count += header->entry_count;
        batch->payload_size += header->raw_size - 4 * (uint64_t)header->entry_count;
        return;
    }
    batch_entries(&it, batch->at);
    if (it.left != header->entry_count) {
        return; /* Mapped, and not what was checked any more: tusk_batch_next() says so */
    }
    for (; batch_next(&it, &entry); offset++) {
        if (offset >= batch->reply.from && offset < batch->reply.to) {
            batch->entry_count++;
            batch->payload_size += entry.size;
        }
    }
}

/* Check the stored batch at batch->at and go behind it. */
static int batch_view_check_one(struct tusk_batch *batch, uint32_t seed, uint64_t *position,
                                uint32_t body_size_max, struct tusk_failure *failure)
{
    size_t left = (size_t)(batch_view_end(batch) - batch->at);
    struct batch_header header;
    enum batch_problem problem = batch_verify(batch->at, left, body_size_max, &header);

    if (problem != BATCH_GOOD) {
        return batch_view_damage(batch, failure, batch_problem_text(problem));
    }
    if (*position > UINT32_MAX ||
        header.header_crc != batch_header_crc(batch->at, seed, (uint32_t)*position)) {
        return batch_view_damage(batch, failure, batch_problem_text(BATCH_BAD_HEADER_CRC));
    }
    /* The checksums match, so what is wrong from here on was sent that way. */
    if (batch_padded_size(header.stored_size) > left ||
        header.first_offset > UINT64_MAX - header.entry_count ||
        header.first_offset < batch->stored_end || header.first_offset >= batch->reply.to ||
        header.first_offset + header.entry_count <= batch->reply.from) {
        return failure_set(
            failure, TUSK_EPROTOCOL,
            "the reply to a read has a batch at offset %llu, which was not asked for",
            (unsigned long long)header.first_offset);
    }
    batch_view_count(batch, &header);
    batch->stored_end = header.first_offset + header.entry_count;
    if (header.stored_size > batch->stored_size_max) {
        batch->stored_size_max = header.stored_size;
    }
    batch->at += batch_padded_size(header.stored_size);
    *position += batch_padded_size(header.stored_size);
    return TUSK_OK;
}

int batch_view_open(struct tusk_batch *batch, struct tusk *t, bool mapped)
{
    const struct message_hello_reply *hello = &t->hello;
    struct tusk_failure *failure = &t->failure;
    struct message_read_reply *reply = &batch->reply;
    uint64_t position;
    uint32_t seed;
    int rc;

    if (message_read_reply_decode(reply, batch->body, batch->body_size) != 0 ||
        reply->from > reply->to || reply->skipped_from > reply->skipped_to ||
        (reply->placed && !mapped)) {
        return failure_set(failure, TUSK_EPROTOCOL, "the reply to a read is malformed");
    }
    if (reply->placed) {
        rc = mapped_attach(t, batch);
        if (rc != TUSK_OK) {
            return rc;
        }
    }
    batch->to = reply->to;
    batch->at = reply->data;
    position = reply->position;
    seed = batch_seed(hello->store_id, reply->generation);
    while (batch->at < batch_view_end(batch)) {
        rc = batch_view_check_one(batch, seed, &position, hello->batch_size_max, failure);
        if (rc != TUSK_OK) {
            return rc;
        }
    }
    if (batch->entry_count == 0 &&
        (reply->from < reply->to || reply->skipped_from == reply->skipped_to)) {
        return failure_set(failure, TUSK_EPROTOCOL, "the reply to a read holds no entry");
    }
    tusk_batch_rewind(batch);
    return TUSK_OK;
}

void batch_view_extend(struct tusk_batch *batch)
{
    struct tusk_entry entry;

    if (batch->stored_end <= batch->to || batch->stored_end > batch->reply.end) {
        return;
    }
    batch->to = batch->stored_end;
    batch->entry_count = 0;
    batch->payload_size = 0;
    while (tusk_batch_next(batch, &entry)) {
        batch->entry_count++;
        batch->payload_size += entry.size;
    }
    tusk_batch_rewind(batch);
}

/* Whether what was just read of the batch is what was checked. What a restarted daemon has put
 * there in its place could lead anywhere: then this is the end of the batch. */
static bool batch_view_still_true(struct tusk_batch *batch)
{
    if (batch->segment == NULL || mapped_unchanged(batch)) {
        return true;
    }
    batch->at = batch_view_end(batch);
    batch->entries = (struct batch_iterator){0};
    return false;
}

int tusk_batch_next(struct tusk_batch *batch, struct tusk_entry *entry)
{
    struct batch_entry next;

    for (;;) {
        struct batch_header header;

        while (batch_next(&batch->entries, &next)) {
            uint64_t offset = batch->offset++;

            if (!batch_view_still_true(batch)) {
                return 0;
            }
            if (offset < batch->reply.from) {
                continue;
            }
            if (offset >= batch->to) {
                return 0;
            }
            *entry = (struct tusk_entry){
                .offset = offset, .time_us = batch->time_us, .data = next.data, .size = next.size};
            return 1;
        }
        if (batch->at >= batch_view_end(batch)) {
            return 0;
        }
        batch_header_decode(&header, batch->at);
        batch_entries(&batch->entries, batch->at);
        if (!batch_view_still_true(batch)) {
            return 0;
        }
        batch->offset = header.first_offset;
        batch->time_us = header.time_us;
        batch->at += batch_padded_size(header.stored_size);
    }
}

void tusk_batch_rewind(struct tusk_batch *batch)
{
    batch->at = batch->reply.data;
    batch->entries = (struct batch_iterator){0};
}

int tusk_batch_info(const struct tusk_batch *batch, struct tusk_batch_info *info)
{
    const struct tusk_batch_info all = {
        .topic_id = batch->reply.topic_id,
        .from = batch->reply.from,
        .to = batch->to,
        .end = batch->reply.end,
        .durable_end = batch->reply.durable_end,
        .epoch = batch->reply.epoch,
        .skipped_from = batch->reply.skipped_from,
        .skipped_to = batch->reply.skipped_to,
        .entry_count = batch->entry_count,
        .payload_size = batch->payload_size,
    };

    return struct_out(info, info->size, &all, sizeof all);
}

void tusk_batch_free(struct tusk_batch *batch)
{
    if (batch != NULL && batch->segment != NULL) {
        mapped_detach(batch);
    }
    free(batch);
}
