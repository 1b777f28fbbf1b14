/* The offline tools, short of memory: they say so and end. Never do they call damaged, or leave out, what they had no memory to
 * look at; and what they had is given back. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "tests/support/damaged_store.h"
#include "tests/support/failing_memory.h"
#include "tests/support/offline_fixture.h"

#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

/* What was done to the store. */
enum harm {
    HARM_NONE,
    HARM_MANIFESTS,
    HARM_JOURNAL,
    HARM_SEGMENT,
    HARM_ALL_TABLES,
    HARM_HEADERS,
    HARM_COUNT
};

static struct fixture *harmed(const struct damaged_store *store, enum harm harm)
{
    struct fixture *f = damaged_store_copy(store);
    unsigned i;

    if (harm == HARM_MANIFESTS || harm == HARM_ALL_TABLES) {
        assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") > 0);
    }
    if (harm == HARM_JOURNAL || harm == HARM_ALL_TABLES) {
        assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    }
    for (i = 0; i < store->files && harm == HARM_HEADERS; i++) {
        if (strstr(store->paths[i], ".jnl") != NULL) {
            sim_disk_flip_bit(f->disk, store->paths[i], 8 * 100);
        }
    }
    if (harm == HARM_SEGMENT) {
        offline_remove(f, SEGMENT);
    }
    return f;
}

/* One run, of which the nth allocation fails. */
static uint64_t run(struct fixture *f, bool verify, uint64_t nth, bool on, struct said *said)
{
    struct fixture *to = fixture_new(60);
    uint64_t count;

    assert_int_equal(failing_memory.live, 0);
    failing_memory_begin(nth, on);
    if (verify) {
        offline_verify_disk(f, OUT_TEXT, said);
    } else {
        offline_salvage_disk(f, to, said);
    }
    count = failing_memory_end();
    assert_int_equal(failing_memory.live, 0);
    fixture_free(to);
    return count;
}

/* Each allocation fails, once and from then on: the tool says what it says with memory, or that it
 * failed for want of it. */
static void want_of_memory_is_never_damage(bool verify)
{
    struct damaged_store store;
    unsigned failed = 0;
    unsigned harm;

    damaged_store_make(&store);
    for (harm = 0; harm < HARM_COUNT; harm++) {
        struct fixture *f = harmed(&store, (enum harm)harm);
        struct said whole;
        const uint64_t count = run(f, verify, 0, false, &whole);
        uint64_t nth;
        unsigned on;

        assert_in_range(count, 10, 1000);
        for (nth = 1; nth <= count; nth++) {
            for (on = 0; on < 2; on++) {
                struct said said;

                (void)run(f, verify, nth, on == 1, &said);
                if (said.status != OFFLINE_FAILED && strcmp(said.text, whole.text) != 0) {
                    fail_msg("harm %u, allocation %llu, %u: exit %d\n%s", harm,
                             (unsigned long long)nth, on, said.status, said.text);
                }
                failed += said.status == OFFLINE_FAILED;
                said_free(&said);
            }
        }
        said_free(&whole);
        fixture_free(f);
    }
    assert_true(failed > 50);
    damaged_store_free(&store);
}

/* A store that was salvaged on a small machine would be one with less in it, and nobody would know. */
static void salvage_without_memory_is_no_salvage(void **state)
{
    (void)state;
    want_of_memory_is_never_damage(false);
}

/* A store would be thrown away for damage that is none. */
static void verify_without_memory_finds_no_damage(void **state)
{
    (void)state;
    want_of_memory_is_never_damage(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(salvage_without_memory_is_no_salvage),
        cmocka_unit_test(verify_without_memory_finds_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
