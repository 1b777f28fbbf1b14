/* Writes the golden stores of this format version: golden_generate DIRECTORY. Run by hand when the format changes, with a
 * new name for the new version; the stores of older versions stay. The same build writes the same bytes every time. */
#include <stdlib.h>
#include <string.h>

#include "tests/golden/golden_store.h"
#include "tests/support/engine_fixture.h"

static void command(struct fixture *f, enum engine_command_kind kind, const char *topic,
                    const char *cursor, uint64_t value)
{
    const struct engine_setting age[] = {{1, ENGINE_RETAIN_AGE}, {2, 86400000}};
    struct engine_command request = {.kind = kind,
                                     .topic = {.name = topic, .name_size = strlen(topic)},
                                     .cursor = cursor,
                                     .cursor_size = strlen(cursor),
                                     .position = ENGINE_AT_OFFSET,
                                     .value = value,
                                     .offset = value,
                                     .settings = age,
                                     .settings_count = kind == ENGINE_TOPIC_CREATE ? 2 : 0};

    assert_int_equal(fixture_command(f, &request), 0);
}

/* Something of everything the format knows. */
static void write_store(struct fixture *f)
{
    fixture_open(f);
    fixture_append_strings(f, "orders", "one", "two", "three", NULL);
    fixture_append_strings(f, "orders", "", "four", NULL);
    fixture_append_strings(f, "caf\xc3\xa9", "un", NULL);
    command(f, ENGINE_TOPIC_CREATE, "aged", "", 0);
    command(f, ENGINE_CHECKPOINT, "orders", "billing", 3);
    command(f, ENGINE_CHECKPOINT, "orders", "audit", 4);
    command(f, ENGINE_SEEK, "orders", "audit", 1);
    fixture_append_strings(f, "gone", "never seen again", NULL);
    command(f, ENGINE_TOPIC_DELETE, "gone", "", 0);
    assert_int_equal(fixture_append_size(f, "blobs", 4500), 0);
    assert_int_equal(fixture_append_size(f, "blobs", 9000), 0);
    assert_int_equal(fixture_append_size(f, "blobs", 8000), 0); /* The next block */
    assert_int_equal(fixture_append_size(f, "blobs", 10), 0);
    fixture_append_strings(f, "trimmed", "a", "b", "c", NULL);
    command(f, ENGINE_TOPIC_TRIM, "trimmed", "", 2);
    fixture_settle(f);
    fixture_stop(f);
    fixture_open(f);
    fixture_append_strings(f, "orders", "five", NULL);
    command(f, ENGINE_CHECKPOINT, "orders", "billing", 6);
}

static void write_files(struct fixture *f, const char *directory, const char *name)
{
    char path[1024];
    FILE *out;

    sim_disk_settle(f->disk);
    (void)snprintf(path, sizeof path, "%s/%s.store", directory, name);
    out = fopen(path, "w");
    assert_non_null(out);
    golden_dump(out, f->disk);
    assert_int_equal(fclose(out), 0);
    (void)snprintf(path, sizeof path, "%s/%s.values", directory, name);
    out = fopen(path, "w");
    assert_non_null(out);
    golden_describe(out, f->disk);
    assert_int_equal(fclose(out), 0);
}

static const char *directory;

static void generate(void **state)
{
    struct fixture *f = fixture_new(20);

    (void)state;
    f->options.blocks_per_segment = 2;
    sim_disk_set_pace(f->disk, 100);
    write_store(f);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    write_files(f, directory, "v1-killed");
    fixture_free(f);
    f = fixture_new(21);
    f->options.blocks_per_segment = 2;
    sim_disk_set_pace(f->disk, 100);
    write_store(f);
    fixture_stop(f);
    write_files(f, directory, "v1-stopped");
    fixture_free(f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(generate)};

    if (argc != 2) {
        (void)fprintf(stderr, "usage: golden_generate DIRECTORY\n");
        return 64;
    }
    directory = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
