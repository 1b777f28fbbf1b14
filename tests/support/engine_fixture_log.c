/* The fixture's other half: commands, expectations, and logs of numbered entries. */
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/engine_fixture.h"

/* ---- expectations ---- */

struct expected {
    const char *texts[64];
    unsigned count;
    unsigned seen;
};

static void compare(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct expected *expected = arg;
    const char *text;

    (void)offset;
    assert_true(expected->seen < expected->count);
    text = expected->texts[expected->seen++];
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);
}

void fixture_expect(struct fixture *f, const char *topic, ...)
{
    struct expected expected = {.count = 0};
    const char *text;
    va_list args;

    va_start(args, topic);
    while ((text = va_arg(args, const char *)) != NULL) {
        expected.texts[expected.count++] = text;
    }
    va_end(args);
    (void)fixture_read_all(f, topic, 0, compare, &expected);
    assert_int_equal(expected.seen, expected.count);
}

/* ---- commands ---- */

static void finished(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

int fixture_command(struct fixture *f, struct engine_command *command)
{
    bool flag = false;

    command->base.done = finished;
    command->base.arg = &flag;
    engine_now(f->engine, &f->now);
    engine_command(f->ns, command);
    assert_false(flag);
    fixture_wait(f, &flag);
    return command->base.status;
}

static struct engine_topic_ref named(const char *topic)
{
    return (struct engine_topic_ref){.name = topic, .name_size = strlen(topic)};
}

int fixture_checkpoint(struct fixture *f, const char *topic, const char *cursor, uint64_t offset)
{
    struct engine_command command = {.kind = ENGINE_CHECKPOINT,
                                     .topic = named(topic),
                                     .cursor = cursor,
                                     .cursor_size = strlen(cursor),
                                     .offset = offset};

    return fixture_command(f, &command);
}

int fixture_trim(struct fixture *f, const char *topic, uint64_t offset)
{
    struct engine_command command = {
        .kind = ENGINE_TOPIC_TRIM, .topic = named(topic), .offset = offset};

    return fixture_command(f, &command);
}

int fixture_delete(struct fixture *f, const char *topic)
{
    struct engine_command command = {.kind = ENGINE_TOPIC_DELETE, .topic = named(topic)};

    return fixture_command(f, &command);
}

void fixture_sync(struct fixture *f)
{
    struct engine_command command = {.kind = ENGINE_SYNC};

    assert_int_equal(fixture_command(f, &command), 0);
}

void fixture_set(struct fixture *f, uint16_t key, uint64_t value)
{
    const struct engine_setting setting = {.key = key, .value = value};
    struct engine_command command = {
        .kind = ENGINE_NAMESPACE_SET, .settings = &setting, .settings_count = 1};

    assert_int_equal(fixture_command(f, &command), 0);
}

struct engine_topic_info fixture_info(struct fixture *f, const char *topic)
{
    const struct engine_topic_ref ref = named(topic);
    struct engine_topic_info info;

    assert_int_equal(engine_topic_info(f->ns, &ref, &info, &f->err), 0);
    return info;
}

uint64_t fixture_cursor(struct fixture *f, const char *topic, const char *cursor)
{
    const struct engine_topic_ref ref = named(topic);
    struct engine_cursor_info info = {0};
    char after[256];
    int rc = engine_cursor_next(f->ns, &ref, NULL, 0, &info, &f->err);

    while (rc == 1 &&
           (info.name_size != strlen(cursor) || memcmp(info.name, cursor, info.name_size) != 0)) {
        memcpy(after, info.name, info.name_size);
        rc = engine_cursor_next(f->ns, &ref, after, info.name_size, &info, &f->err);
    }
    return rc == 1 ? info.offset : UINT64_MAX;
}

/* ---- files ---- */

struct search {
    const struct sim_disk *disk;
    const char *prefix;
    const char *suffix;
    const void *bytes;
    size_t size;
    char *path; /* Of the best so far; "": none */
    uint64_t offset;
    bool greatest;
    unsigned count;
};

static bool matches(const struct search *search, const char *path)
{
    const size_t size = strlen(path);
    const size_t suffix = strlen(search->suffix);

    return size >= suffix && strcmp(path + size - suffix, search->suffix) == 0 &&
           strncmp(path, search->prefix, strlen(search->prefix)) == 0;
}

static void look(void *arg, const char *path, uint64_t size)
{
    struct search *search = arg;
    const int order = strcmp(path, search->path);
    uint64_t at = 0;

    if (!matches(search, path)) {
        return;
    }
    if (search->size > 0) {
        uint8_t *data = sim_disk_file(search->disk, path, &size);
        const uint8_t *found = memmem(data, size, search->bytes, search->size);

        at = found == NULL ? UINT64_MAX : (uint64_t)(found - data);
        free(data);
    }
    if (at == UINT64_MAX) {
        return;
    }
    search->count++;
    if (search->path[0] == '\0' || (search->greatest ? order > 0 : order < 0)) {
        assert_true(strlen(path) < IO_PATH_SIZE);
        memcpy(search->path, path, strlen(path) + 1);
        search->offset = at;
    }
}

bool fixture_find(struct fixture *f, const char *suffix, const void *bytes, size_t size,
                  char path[IO_PATH_SIZE], uint64_t *offset)
{
    struct search search = {.disk = f->disk,
                            .prefix = "",
                            .suffix = suffix,
                            .bytes = bytes,
                            .size = size,
                            .path = path};

    path[0] = '\0';
    sim_disk_list(f->disk, look, &search);
    *offset = search.offset;
    return search.count > 0;
}

unsigned fixture_last_file(struct fixture *f, const char *prefix, const char *suffix,
                           char path[IO_PATH_SIZE])
{
    struct search search = {
        .disk = f->disk, .prefix = prefix, .suffix = suffix, .path = path, .greatest = true};

    path[0] = '\0';
    sim_disk_list(f->disk, look, &search);
    return search.count;
}

struct hashing {
    const struct sim_disk *disk;
    uint64_t hash;
};

static void hash_file(void *arg, const char *path, uint64_t size)
{
    struct hashing *hashing = arg;
    uint8_t *data;

    if (strcmp(path, "LOCK") == 0) {
        return;
    }
    data = sim_disk_file(hashing->disk, path, &size);
    /* Summed, because the order of files is that of their making. */
    hashing->hash += (uint64_t)crc32c(0, path, strlen(path)) * 0x9e3779b97f4a7c15u *
                     (crc32c(0, data, size) + size + 1);
    free(data);
}

uint64_t fixture_hash(struct fixture *f)
{
    struct hashing hashing = {.disk = f->disk};

    sim_disk_list(f->disk, hash_file, &hashing);
    return hashing.hash;
}

/* ---- logs ---- */

static void number_entry(uint8_t *data, uint32_t size, const char *topic, uint64_t number)
{
    struct random random;

    random_init(&random, number * 31 + (uint64_t)topic[0]);
    random_fill(&random, data, size);
    put_u64(data, number);
}

int fixture_log_append(struct fixture *f, struct fixture_log *log, uint32_t count, uint32_t size,
                       bool durable)
{
    struct fixture_append append = {.request.durable = durable};
    struct batch_entry *entries = calloc(count, sizeof *entries);
    uint8_t *data = malloc((size_t)count * size);
    uint32_t i;
    int status;

    assert_non_null(entries);
    assert_non_null(data);
    assert_true(size >= 8);
    for (i = 0; i < count; i++) {
        number_entry(data + (size_t)i * size, size, log->topic, log->acked + i);
        entries[i] = (struct batch_entry){.data = data + (size_t)i * size, .size = size};
    }
    fixture_append_begin(f, &append, log->topic, entries, count);
    status = fixture_append_end(f, &append);
    free(entries);
    free(data);
    if (status == 0) {
        assert_true(append.request.first_offset >= log->offset);
        log->offset = append.request.first_offset + count;
        log->acked += count;
        log->maybe = log->acked;
        if (durable || f->options.settings.fsync_ms == ENGINE_FSYNC_EACH) {
            log->durable = log->acked;
            assert_true(append.request.durable_end >= log->offset);
        }
    } else if (status == TUSK_EUNKNOWN) {
        log->maybe = log->acked + count;
    }
    return status;
}

int fixture_log_sync(struct fixture *f, struct fixture_log *log)
{
    struct engine_command command = {.kind = ENGINE_SYNC};
    const int status = fixture_command(f, &command);

    if (status == 0) {
        log->durable = log->acked;
    }
    return status;
}

struct log_reader {
    struct fixture_log *log;
    uint64_t number;
    uint64_t offset;
};

bool fixture_log_owns(const struct fixture_log *log, const uint8_t *data, uint32_t size,
                      uint64_t *number)
{
    uint8_t *whole = malloc(size + 1u);
    bool equal = size >= 8;

    assert_non_null(whole);
    if (equal) {
        *number = get_u64(data);
        number_entry(whole, size, log->topic, *number);
        equal = memcmp(whole, data, size) == 0;
    }
    free(whole);
    return equal;
}

static void check_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct log_reader *reader = arg;
    uint64_t number;

    assert_true(fixture_log_owns(reader->log, data, size, &number));
    assert_int_equal(number, reader->number);
    assert_true(offset >= reader->offset);
    reader->offset = offset + 1;
    reader->number++;
}

void fixture_log_check(struct fixture *f, struct fixture_log *log, uint64_t least)
{
    struct log_reader reader = {.log = log, .number = log->trimmed};
    const struct engine_topic_ref ref = named(log->topic);
    struct engine_topic_info info;

    if (engine_topic_info(f->ns, &ref, &info, &f->err) != 0) {
        assert_int_equal(least, 0);
    } else {
        (void)fixture_read_all(f, log->topic, 3000, check_entry, &reader);
    }
    assert_true(reader.number >= least);
    assert_true(reader.number <= log->maybe);
    log->durable = reader.number;
    log->acked = reader.number;
    log->maybe = reader.number;
    log->offset = reader.offset > log->offset ? reader.offset : log->offset;
}
