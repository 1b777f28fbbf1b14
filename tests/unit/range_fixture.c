#include "tests/unit/range_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"

#define ENTRY_SIZE 1000u

int range_setup(void **state)
{
    struct fixture *f = fixture_new(7);

    f->options.range_min = 1;
    sim_disk_set_cold(f->disk, 0);
    *state = f;
    return 0;
}

/* ---- stores ---- */

static void append_batch(struct fixture *f, const char *topic, unsigned i)
{
    char first[ENTRY_SIZE + 1];
    char second[ENTRY_SIZE + 1];

    memset(first, 'x', ENTRY_SIZE);
    memset(second, 'y', ENTRY_SIZE);
    first[ENTRY_SIZE] = '\0';
    second[ENTRY_SIZE] = '\0';
    first[snprintf(first, 20, "first of %u!", i)] = 'x';
    second[snprintf(second, 20, "second of %u!", i)] = 'y';
    assert_int_equal(fixture_append_strings(f, topic, first, second, NULL), RANGE_PER_BATCH * i);
}

void range_fill(struct fixture *f)
{
    unsigned i;

    fixture_open(f);
    for (i = 0; i < RANGE_BATCHES; i++) {
        append_batch(f, "t", i);
    }
    assert_true(fixture_info(f, "t").blocks >= 3);
    fixture_settle(f);
}

void range_store(struct fixture *f)
{
    range_fill(f);
    fixture_stop(f);
    fixture_open(f);
}

uint64_t range_place(struct fixture *f, unsigned i, char path[IO_PATH_SIZE])
{
    char text[20];
    uint64_t offset;

    (void)snprintf(text, sizeof text, "first of %u!", i);
    assert_true(fixture_find(f, ".seg", text, strlen(text), path, &offset));
    return offset - BATCH_HEADER_SIZE - 4u * RANGE_PER_BATCH;
}

/* ---- reads ---- */

bool is_range(const struct fixture_read *read)
{
    return read->request.range.segment != NULL;
}

int range_ask(struct fixture *f, struct fixture_read *read, uint64_t offset)
{
    read->request.position =
        read->request.position == 0 ? ENGINE_AT_OFFSET : read->request.position;
    if (read->request.position == ENGINE_AT_OFFSET) {
        read->request.value = offset;
    }
    fixture_read_begin(f, read, "t");
    return fixture_read_end(f, read);
}

int range_ask_unchecked(struct fixture *f, struct fixture_read *read, uint64_t offset)
{
    *read = (struct fixture_read){.request.unchecked = true};
    return range_ask(f, read, offset);
}

void range_copy(const struct engine_range *range, uint8_t *data)
{
    uint32_t at = 0;

    while (at < range->size) {
        size_t got = 0;

        assert_int_equal(engine_range_read(range, at, data + at, range->size - at, &got), 0);
        assert_true(got > 0);
        at += (uint32_t)got;
    }
}

void range_end(struct fixture_read *read)
{
    if (is_range(read)) {
        engine_range_release(&read->request.range);
    }
    fixture_read_free(read);
}

/* As a client does: each batch belongs to its place, and has a good body. False when one does
 * not. Without damage they are whole, from the first entry asked for to the last. */
bool range_checks_out(struct fixture *f, const struct engine_read *read, const uint8_t *data)
{
    struct engine_namespace_info info;
    uint64_t next = read->from;
    uint32_t at = 0;
    uint32_t seed;

    engine_namespace_info(f->ns, &info);
    seed = batch_seed(info.store_id, read->generation);
    while (at < read->data_size) {
        struct batch_header header;

        if (batch_verify(data + at, read->data_size - at, 1u << 30, &header) != BATCH_GOOD ||
            batch_header_crc(data + at, seed, read->block_position + at) != header.header_crc) {
            return false;
        }
        if (read->range.segment != NULL) {
            assert_true(header.first_offset >= next);
            assert_true(header.first_offset == next || header.first_offset >= RANGE_GAP);
        }
        next = header.first_offset + header.entry_count;
        at += (uint32_t)batch_padded_size(header.stored_size);
        assert_true(at <= read->data_size);
    }
    if (read->range.segment != NULL) {
        assert_true(next <= read->to);
        assert_true(next == read->to || next >= RANGE_GAP);
    }
    return true;
}

static void take_batches(struct range_stream *stream, const struct engine_read *read,
                         const uint8_t *data)
{
    uint32_t at = 0;

    while (at < read->data_size) {
        struct batch_header header;
        size_t size;

        batch_header_decode(&header, data + at);
        size = (size_t)batch_padded_size(header.stored_size);
        if (header.first_offset >= stream->next) { /* One that was cut is sent again */
            assert_true(stream->size + size <= RANGE_STREAM_SIZE);
            memcpy(stream->bytes + stream->size, data + at, size);
            stream->size += size;
            stream->next = header.first_offset + header.entry_count;
        }
        at += (uint32_t)size;
    }
}

/* One read from *from on, as a client does it: what does not check out is asked for again. False
 * at the end. */
static bool drain_step(struct fixture *f, struct range_stream *stream, struct fixture_read how,
                       uint64_t *from)
{
    struct fixture_read read = how;
    uint8_t *copy = NULL;
    int status = range_ask(f, &read, *from);

    if (status == 0 && is_range(&read)) {
        stream->ranges++;
        copy = malloc(read.request.range.size);
        assert_non_null(copy);
        assert_null(read.request.data);
        assert_int_equal(read.request.range.size, read.request.data_size);
        range_copy(&read.request.range, copy);
        if (!range_checks_out(f, &read.request, copy)) {
            range_end(&read);
            read = how;
            read.request.unchecked = false;
            status = range_ask(f, &read, *from);
        }
    }
    if (status == TUSK_ECORRUPT) {
        assert_true(stream->gone < RANGE_BATCHES);
        stream->gone_from[stream->gone] = read.request.base.detail_a;
        stream->gone_to[stream->gone++] = read.request.base.detail_b;
        *from = read.request.base.detail_b;
    } else if (status == 0) {
        const uint8_t *data = is_range(&read) ? copy : read.request.data;

        assert_true(read.request.to > *from);
        assert_true(range_checks_out(f, &read.request, data));
        take_batches(stream, &read.request, data);
        *from = read.request.to;
    }
    range_end(&read);
    free(copy);
    return status == 0 || status == TUSK_ECORRUPT;
}

/* Everything. `how` is a request as fixture_read_begin() takes it. */
struct range_stream range_drain(struct fixture *f, struct fixture_read how)
{
    struct range_stream stream = {.bytes = malloc(RANGE_STREAM_SIZE)};
    uint64_t from = 0;

    assert_non_null(stream.bytes);
    while (drain_step(f, &stream, how, &from)) {
    }
    assert_int_equal(from, fixture_info(f, "t").end);
    return stream;
}

static void expect_equal(const struct range_stream *ranges, const struct range_stream *checked)
{
    unsigned i;

    assert_int_equal(checked->ranges, 0);
    assert_int_equal(ranges->size, checked->size);
    assert_memory_equal(ranges->bytes, checked->bytes, checked->size);
    assert_int_equal(ranges->gone, checked->gone);
    for (i = 0; i < checked->gone; i++) {
        assert_int_equal(ranges->gone_from[i], checked->gone_from[i]);
        assert_int_equal(ranges->gone_to[i], checked->gone_to[i]);
    }
}

/* Both drains, which must say the same; returns how many ranges there were. */
unsigned range_compare_drains(struct fixture *f, uint32_t max_bytes, uint32_t max_entries)
{
    struct range_stream checked = range_drain(
        f, (struct fixture_read){.request = {.max_bytes = max_bytes, .max_entries = max_entries}});
    struct range_stream ranges = range_drain(
        f, (struct fixture_read){
               .request = {.max_bytes = max_bytes, .max_entries = max_entries, .unchecked = true}});

    expect_equal(&ranges, &checked);
    free(checked.bytes);
    free(ranges.bytes);
    return ranges.ranges;
}

/* Nothing that has ended holds a block. */
void range_expect_nothing_pinned(const struct fixture *f)
{
    const struct space *space = &f->ns->space;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < space->count; i++) {
        for (k = 0; k < f->options.blocks_per_segment; k++) {
            assert_int_equal(space->segments[i]->slots[k].pins, 0);
        }
    }
}
