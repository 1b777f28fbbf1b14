#include "tests/support/engine_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 400000u /* 40 seconds of the engine's time */
#define ENTRIES_MAX 64u

/* ---- life ---- */

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

static void keep_finding(void *arg, const char *name, const char *text)
{
    struct fixture *f = arg;

    f->findings++;
    (void)snprintf(f->finding, sizeof f->finding, "%s: %s", name, text);
}

struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct engine_options *options;

    assert_non_null(f);
    f->disk = sim_disk_new(seed);
    sim_disk_set_latency(f->disk, 5, 50);
    random_init(&f->random, seed);
    f->now = (struct engine_time){.wall_us = 1700000000000000, .mono_us = 1000000};
    options = &f->options;
    engine_options_default(options);
    options->random = draw;
    options->random_arg = &f->random;
    options->finding = keep_finding;
    options->finding_arg = f;
    options->settings.fsync_ms = ENGINE_FSYNC_EACH;
    options->block_size = 32u << 10;
    options->blocks_per_segment = 4;
    options->journal_file_min = 32u << 10;
    options->journal_file_max = 64u << 10;
    options->journal_size_max = 512u << 10;
    options->manifest_journal_bytes = 96u << 10;
    options->ring_size = 128u << 10;
    options->tail_apply_bytes = 8u << 10;
    options->direct_threshold = 4u << 10;
    options->direct_threshold_each = 4u << 10;
    return f;
}

void fixture_free(struct fixture *f)
{
    fixture_close(f);
    sim_disk_free(f->disk);
    free(f);
}

int fixture_setup(void **state)
{
    *state = fixture_new(1);
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

int fixture_try_open(struct fixture *f)
{
    int rc;

    assert_null(f->engine);
    f->findings = 0;
    f->finding[0] = '\0';
    assert_int_equal(io_sim_open(&f->io, f->disk), 0);
    if (f->on_io != NULL) {
        f->on_io(f->io);
    }
    rc = engine_open(&f->engine, f->io, &f->options, &f->now, &f->err);
    if (rc != 0) {
        assert_null(f->engine);
        io_close(f->io);
        f->io = NULL;
        return rc;
    }
    f->ns = engine_namespace_find(f->engine, "default", 7);
    assert_non_null(f->ns);
    return 0;
}

void fixture_open(struct fixture *f)
{
    if (fixture_try_open(f) != 0) {
        fail_msg("open: %s", f->err.text);
    }
    if (!fixture_serves(f)) {
        fail_msg("refused: %s", fixture_reason(f));
    }
}

void fixture_close(struct fixture *f)
{
    engine_close(f->engine);
    io_close(f->io);
    f->engine = NULL;
    f->io = NULL;
    f->ns = NULL;
}

void fixture_stop(struct fixture *f)
{
    if (engine_stop(f->engine, &f->now, &f->err) != 0) {
        fail_msg("stop: %s", f->err.text);
    }
    fixture_close(f);
}

void fixture_kill(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    fixture_open(f);
}

void fixture_power_cut(struct fixture *f)
{
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    fixture_open(f);
}

bool fixture_serves(const struct fixture *f)
{
    struct engine_namespace_info info;

    engine_namespace_info(f->ns, &info);
    return info.state == ENGINE_SERVING;
}

const char *fixture_reason(const struct fixture *f)
{
    struct engine_namespace_info info;

    engine_namespace_info(f->ns, &info);
    return info.reason;
}

/* ---- turns ---- */

void fixture_turn(struct fixture *f)
{
    f->now.mono_us += FIXTURE_TURN_US;
    f->now.wall_us += FIXTURE_TURN_US;
    (void)engine_poll(f->engine, &f->now);
}

void fixture_pass(struct fixture *f, uint64_t us)
{
    const uint64_t until = f->now.mono_us + us;

    while (f->now.mono_us < until) {
        fixture_turn(f);
    }
}

void fixture_wait(struct fixture *f, const bool *flag)
{
    unsigned turns = 0;

    while (!*flag) {
        assert_true(turns++ < TURNS_MAX);
        fixture_turn(f);
    }
}

void fixture_settle(struct fixture *f)
{
    unsigned quiet = 0;
    unsigned turns = 0;

    while (quiet < 3) {
        assert_true(turns++ < TURNS_MAX);
        fixture_turn(f);
        quiet =
            f->io->in_flight == 0 && engine_deadline(f->engine) > f->now.mono_us ? quiet + 1 : 0;
    }
}

struct wanted_stat {
    const char *name;
    uint64_t value;
    bool found;
};

static void take_stat(void *arg, const char *name, uint64_t value)
{
    struct wanted_stat *wanted = arg;

    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
        wanted->found = true;
    }
}

uint64_t fixture_stat(struct fixture *f, const char *name)
{
    struct wanted_stat wanted = {.name = name};

    engine_stats(f->ns, take_stat, &wanted);
    assert_true(wanted.found);
    return wanted.value;
}

static void finished(struct engine_request *request)
{
    bool *flag = request->arg;

    assert_false(*flag); /* done() runs once */
    *flag = true;
}

/* ---- appends ---- */

void fixture_append_begin(struct fixture *f, struct fixture_append *append, const char *topic,
                          const struct batch_entry *entries, uint32_t count)
{
    struct engine_append *request = &append->request;
    uint64_t payload = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        payload += entries[i].size;
    }
    request->batch_size = batch_encoded_size(count, payload);
    append->batch = malloc(request->batch_size);
    assert_non_null(append->batch);
    batch_encode(append->batch, entries, count);
    request->batch = append->batch;
    request->topic = (struct engine_topic_ref){.name = topic, .name_size = strlen(topic)};
    request->base.done = finished;
    request->base.arg = &append->finished;
    append->finished = false;
    engine_now(f->engine, &f->now);
    engine_append(f->ns, request);
    assert_false(append->finished); /* Never inside the call */
    /* What a request points at is borrowed only during the call. */
    memset(append->batch, 0xee, request->batch_size == 0 ? 0 : batch_encoded_size(count, payload));
}

int fixture_append_end(struct fixture *f, struct fixture_append *append)
{
    fixture_wait(f, &append->finished);
    free(append->batch);
    append->batch = NULL;
    return append->request.base.status;
}

static uint32_t take_strings(struct batch_entry *entries, va_list args)
{
    const char *text;
    uint32_t count = 0;

    while ((text = va_arg(args, const char *)) != NULL) {
        assert_true(count < ENTRIES_MAX);
        entries[count++] =
            (struct batch_entry){.data = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
    }
    return count;
}

uint64_t fixture_append_strings(struct fixture *f, const char *topic, ...)
{
    struct batch_entry entries[ENTRIES_MAX];
    struct fixture_append append = {0};
    uint32_t count;
    va_list args;

    va_start(args, topic);
    count = take_strings(entries, args);
    va_end(args);
    fixture_append_begin(f, &append, topic, entries, count);
    if (fixture_append_end(f, &append) != 0) {
        fail_msg("append: %s", append.request.base.error.text);
    }
    return append.request.first_offset;
}

int fixture_try_append(struct fixture *f, const char *topic, const char *text, bool durable)
{
    const struct batch_entry entry = {.data = (const uint8_t *)text,
                                      .size = (uint32_t)strlen(text)};
    struct fixture_append append = {.request.durable = durable};

    fixture_append_begin(f, &append, topic, &entry, 1);
    return fixture_append_end(f, &append);
}

int fixture_append_size(struct fixture *f, const char *topic, uint32_t size)
{
    struct batch_entry entry = {.size = size};
    struct fixture_append append = {0};
    uint8_t *data = malloc(size + 1u);
    int status;

    assert_non_null(data);
    memset(data, 'x', size);
    entry.data = data;
    fixture_append_begin(f, &append, topic, &entry, 1);
    status = fixture_append_end(f, &append);
    free(data);
    return status;
}

/* ---- reads ---- */

static uint8_t *room(struct engine_read *request, size_t used, size_t size)
{
    struct fixture_read *read = (struct fixture_read *)(void *)request;
    uint8_t *bigger =
        malloc(size == 0 ? 1 : size); /* Moves every time, so that nobody keeps a pointer */

    assert_non_null(bigger);
    if (used > 0) {
        memcpy(bigger, read->buffer, used);
    }
    free(read->buffer);
    read->buffer = bigger;
    return bigger;
}

void fixture_read_begin(struct fixture *f, struct fixture_read *read, const char *topic)
{
    struct engine_read *request = &read->request;

    request->topic = (struct engine_topic_ref){.name = topic, .name_size = strlen(topic)};
    request->position = request->position == 0 ? ENGINE_AT_EARLIEST : request->position;
    request->max_bytes = request->max_bytes == 0 ? 1u << 20 : request->max_bytes;
    request->max_entries = request->max_entries == 0 ? 1000 : request->max_entries;
    request->held = request->held == 0 ? UINT64_MAX : request->held;
    request->room = room;
    request->base.done = finished;
    request->base.arg = &read->finished;
    read->finished = false;
    engine_now(f->engine, &f->now);
    engine_read(f->ns, request);
    assert_false(read->finished);
}

int fixture_read_end(struct fixture *f, struct fixture_read *read)
{
    fixture_wait(f, &read->finished);
    return read->request.base.status;
}

void fixture_read_free(struct fixture_read *read)
{
    free(read->buffer);
    read->buffer = NULL;
}

int fixture_try_read(struct fixture *f, const char *topic, enum engine_position position,
                     uint64_t value)
{
    struct fixture_read read = {.request = {.position = position, .value = value}};
    int status;

    fixture_read_begin(f, &read, topic);
    status = fixture_read_end(f, &read);
    fixture_read_free(&read);
    return status;
}

void fixture_entries(const struct engine_read *read, fixture_entry_fn *fn, void *arg)
{
    uint32_t at = 0;

    while (at < read->data_size) {
        struct batch_iterator it;
        struct batch_entry entry;
        struct batch_header header;
        uint64_t offset;

        assert_int_equal(batch_verify(read->data + at, read->data_size - at, 1u << 30, &header),
                         BATCH_GOOD);
        offset = header.first_offset;
        batch_entries(&it, read->data + at);
        while (batch_next(&it, &entry)) {
            if (offset >= read->from && offset < read->to) {
                fn(arg, offset, entry.data, entry.size);
            }
            offset++;
        }
        at += (uint32_t)batch_padded_size(header.stored_size);
    }
}

struct counted {
    fixture_entry_fn *fn;
    void *arg;
    uint64_t count;
};

static void count_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct counted *counted = arg;

    counted->count++;
    counted->fn(counted->arg, offset, data, size);
}

uint64_t fixture_read_all(struct fixture *f, const char *topic, uint32_t max_bytes,
                          fixture_entry_fn *fn, void *arg)
{
    struct counted counted = {.fn = fn, .arg = arg};
    enum engine_position position = ENGINE_AT_EARLIEST;
    uint64_t from = 0;
    int status;

    do {
        struct fixture_read read = {
            .request = {.position = position, .value = from, .max_bytes = max_bytes}};

        fixture_read_begin(f, &read, topic);
        status = fixture_read_end(f, &read);
        if (status == 0) {
            assert_true(read.request.to > read.request.from);
            fixture_entries(&read.request, count_entry, &counted);
            position = ENGINE_AT_OFFSET;
            from = read.request.to;
        } else if (status != TUSK_EEND) {
            fail_msg("read \"%s\": %s", topic, read.request.base.error.text);
        }
        fixture_read_free(&read);
    } while (status == 0);
    return counted.count;
}
