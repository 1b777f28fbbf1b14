/* Stores of every released format are read by this build: the engine opens a copy of each and finds what was put in, and
 * their bytes mean what the values beside them say. */
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/golden/golden_store.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/offline_fixture.h"

static const char *const names[] = {"v1-stopped", "v1-killed"};
#define STORES 2u

static FILE *open_file(const char *name, const char *suffix)
{
    char path[1024];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s.%s", GOLDEN_DIR, name, suffix);
    file = fopen(path, "r");
    assert_non_null(file);
    return file;
}

static struct fixture *load(const char *name)
{
    struct fixture *f = fixture_new(1);
    FILE *in = open_file(name, "store");

    golden_load(in, f->disk);
    (void)fclose(in);
    return f;
}

struct sizes {
    uint32_t sizes[8];
    unsigned count;
};

static void take_size(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct sizes *sizes = arg;
    uint32_t i;

    assert_true(sizes->count < 8);
    assert_int_equal(offset, sizes->count);
    for (i = 0; i < size; i++) {
        assert_int_equal(data[i], 'x');
    }
    sizes->sizes[sizes->count++] = size;
}

static void expect_contents(struct fixture *f)
{
    struct sizes blobs = {.count = 0};
    struct engine_topic_info info;

    fixture_expect(f, "orders", "one", "two", "three", "", "four", "five", NULL);
    fixture_expect(f, "caf\xc3\xa9", "un", NULL);
    fixture_expect(f, "trimmed", "c", NULL);
    assert_int_equal(fixture_info(f, "trimmed").first, 2);
    assert_int_equal(fixture_read_all(f, "blobs", 0, take_size, &blobs), 4);
    assert_int_equal(blobs.sizes[0], 4500);
    assert_int_equal(blobs.sizes[1], 9000);
    assert_int_equal(blobs.sizes[2], 8000);
    assert_int_equal(blobs.sizes[3], 10);
    assert_int_equal(fixture_cursor(f, "orders", "billing"), 6);
    assert_int_equal(fixture_cursor(f, "orders", "audit"), 1);
    info = fixture_info(f, "aged");
    assert_int_equal(info.retention.kind, ENGINE_RETAIN_AGE);
    assert_int_equal(info.retention.age_ms, 86400000);
    assert_int_equal(fixture_stat(f, "topics"), 5);
}

/* The engine reads what an earlier one wrote, cleanly stopped or killed, and goes on with it. */
static void the_engine_reads_every_golden_store(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < STORES; i++) {
        struct fixture *f = load(names[i]);

        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R18], i == 0 ? 1 : 0);
        expect_contents(f);
        assert_true(fixture_append_strings(f, "orders", "six", NULL) >= 6);
        fixture_kill(f);
        fixture_expect(f, "orders", "one", "two", "three", "", "four", "five", "six", NULL);
        fixture_stop(f);
        fixture_open(f);
        assert_int_equal(f->findings, 0);
        fixture_free(f);
    }
}

/* Looked at offline, a golden store is clean, and salvaged it holds the same. */
static void the_offline_tools_read_every_golden_store(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < STORES; i++) {
        struct fixture *f = load(names[i]);
        struct fixture *to = fixture_new(2);
        struct said said;

        offline_verify_disk(f, OUT_TEXT, &said);
        assert_int_equal(said.status, OFFLINE_DONE);
        said_free(&said);
        offline_salvage_disk(f, to, &said);
        assert_int_equal(said.status, OFFLINE_DONE);
        said_free(&said);
        fixture_open(to);
        expect_contents(to);
        fixture_free(to);
        fixture_free(f);
    }
}

/* Decoded by format.h, its bytes have the values written down when they were made. */
static void the_bytes_mean_what_is_written_down(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < STORES; i++) {
        struct fixture *f = load(names[i]);
        FILE *expected = open_file(names[i], "values");
        char *text = NULL;
        size_t size = 0;
        FILE *found = open_memstream(&text, &size);
        char line[4096];
        const char *at;

        assert_non_null(found);
        golden_describe(found, f->disk);
        assert_int_equal(fclose(found), 0);
        at = text;
        while (fgets(line, sizeof line, expected) != NULL) {
            if (strncmp(at, line, strlen(line)) != 0) {
                fail_msg("%s: expected %sfound %.300s", names[i], line, at);
            }
            at += strlen(line);
        }
        assert_int_equal(*at, '\0');
        (void)fclose(expected);
        free(text);
        fixture_free(f);
    }
}

/* Loading a dump gives the bytes that were dumped. */
static void a_dump_is_exact(void **state)
{
    struct fixture *f = load(names[1]);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    FILE *in = open_file(names[1], "store");
    char line[4096];
    const char *at;

    (void)state;
    assert_non_null(out);
    golden_dump(out, f->disk);
    assert_int_equal(fclose(out), 0);
    at = text;
    while (fgets(line, sizeof line, in) != NULL) {
        assert_int_equal(strncmp(at, line, strlen(line)), 0);
        at += strlen(line);
    }
    assert_int_equal(*at, '\0');
    (void)fclose(in);
    free(text);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_reads_every_golden_store),
        cmocka_unit_test(the_offline_tools_read_every_golden_store),
        cmocka_unit_test(the_bytes_mean_what_is_written_down),
        cmocka_unit_test(a_dump_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
