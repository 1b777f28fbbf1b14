/* Without a manifest, or behind a lost piece of journal, blocks say themselves whose they are: what
 * they say is taken where it can be true, and nowhere else. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/offline_fixture.h"

#define BLOCK_SIZE (32u << 10)
#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

static void without_tables(struct fixture *f)
{
    assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") >= 2);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
}

static void salvage(struct fixture *f, struct fixture *to, int status, const char *text)
{
    struct said said;

    offline_salvage_disk(f, to, &said);
    if (said.status != status || !said_has(&said, text)) {
        fail_msg("exit %d, wanted %d with \"%s\":\n%s", said.status, status, text, said.text);
    }
    said_free(&said);
}

/* Two topics had one name, one after the other, and a third has the name that the second would get
 * for that. All three come back, each under a name of its own. */
static void a_name_that_is_taken_twice_becomes_another(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(50);

    fixture_open(f);
    (void)fixture_append_strings(f, "a~3", "first", NULL);
    (void)fixture_append_strings(f, "a", "second", NULL);
    fixture_settle(f);
    assert_int_equal(fixture_info(f, "a").id, 2);
    fixture_stop(f); /* So that all of it is in the blocks */
    fixture_open(f);
    assert_int_equal(fixture_delete(f, "a"), 0);
    (void)fixture_append_strings(f, "a", "third", NULL);
    assert_int_equal(fixture_info(f, "a").id, 3);
    fixture_stop(f);
    without_tables(f);
    salvage(f, to, OFFLINE_DAMAGED, "topics whose name was in use are called NAME~ID");
    fixture_open(to);
    fixture_expect(to, "a~3", "first", NULL);
    fixture_expect(to, "a", "second", NULL);
    fixture_expect(to, "a~3~1", "third", NULL);
    fixture_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_name_that_is_taken_twice_becomes_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
