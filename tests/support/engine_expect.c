#include "tests/support/engine_expect.h"

#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"

/* A refused namespace is still there to be asked about. */
static void expect_unchanged(struct fixture *f, uint64_t before)
{
    struct engine_namespace_info info;

    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.state, ENGINE_REFUSED);
    assert_true(info.batch_size_max <= f->options.batch_size_max);
    assert_true(info.batch_size_max < f->ns->block_size || info.batch_size_max == 0);
    fixture_close(f);
    sim_disk_settle(f->disk);
    assert_int_equal(fixture_hash(f), before);
}

void fixture_expect_refusal(struct fixture *f, const char *reason)
{
    uint64_t before;

    sim_disk_settle(f->disk);
    before = fixture_hash(f);
    assert_int_equal(fixture_try_open(f), 0);
    if (fixture_serves(f) || strstr(fixture_reason(f), reason) == NULL) {
        fail_msg("not \"%s\": %s", reason, fixture_serves(f) ? "serves" : fixture_reason(f));
    }
    expect_unchanged(f, before);
}

void fixture_expect_row_refusal(struct fixture *f, enum recovery_row row)
{
    uint64_t before;

    sim_disk_settle(f->disk);
    before = fixture_hash(f);
    assert_int_equal(fixture_try_open(f), 0);
    assert_false(fixture_serves(f));
    assert_int_equal(f->ns->recovery_rows[row], 1);
    assert_true(strlen(fixture_reason(f)) > 20);
    assert_int_equal(fixture_try_append(f, "t", "x", false), TUSK_EIO);
    expect_unchanged(f, before);
}

uint64_t fixture_append_many(struct fixture *f, const char *topic, uint32_t count)
{
    struct batch_entry *entries = calloc(count, sizeof *entries);
    struct fixture_append append = {0};
    uint32_t i;

    assert_non_null(entries);
    for (i = 0; i < count; i++) {
        entries[i] = (struct batch_entry){.data = (const uint8_t *)"x", .size = 1};
    }
    fixture_append_begin(f, &append, topic, entries, count);
    assert_int_equal(fixture_append_end(f, &append), 0);
    free(entries);
    return append.request.first_offset + count;
}
