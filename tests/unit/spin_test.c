/* Staying awake: while requests come quickly, not for longer than they do, and not where clients need the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/spin.h"

#define MANY 100u

/* `count` requests of one client, `gap_us` apart. The time of the last one. */
static uint64_t arrive(struct spin *spin, uint64_t now_us, unsigned count, uint64_t gap_us,
                       unsigned clients)
{
    static const char names[SPIN_RECENT];
    unsigned i;

    for (i = 0; i < count; i++) {
        now_us += gap_us;
        spin_came(spin, &names[i % clients]);
        (void)spin_stay(spin, spin->requests + 1, now_us);
    }
    return now_us;
}

/* Sleeping and waking would take longer than the next request does. */
static void a_quick_succession_keeps_it_awake(void **state)
{
    struct spin spin;
    uint64_t now;

    (void)state;
    spin_init(&spin, 2);
    now = arrive(&spin, 1000, MANY, SPIN_GAP_US, 1);
    assert_true(spin_stay(&spin, spin.requests, now + 1));
    assert_true(spin_stay(&spin, spin.requests, now + SPIN_US - 1));
}

/* The first look behind the time ends it, and one quick request more does not begin it again. */
static void it_sleeps_when_nothing_comes(void **state)
{
    struct spin spin;
    uint64_t now;

    (void)state;
    spin_init(&spin, 2);
    now = arrive(&spin, 1000, MANY, 5, 1);
    assert_false(spin_stay(&spin, spin.requests, now + SPIN_US));
    now = arrive(&spin, now + SPIN_US, 1, 5, 1);
    assert_false(spin_stay(&spin, spin.requests, now + 1));
}

/* Even where the clock stands still. */
static void looks_are_counted(void **state)
{
    struct spin spin;
    uint64_t now;
    unsigned looks = 0;

    (void)state;
    spin_init(&spin, 2);
    now = arrive(&spin, 1000, MANY, 5, 1);
    while (spin_stay(&spin, spin.requests, now)) {
        assert_true(++looks < SPIN_LOOKS_MAX);
    }
}

/* Ten thousand a second, evenly: the processor has better things to do. */
static void requests_far_apart_let_it_sleep(void **state)
{
    struct spin spin;
    uint64_t now;

    (void)state;
    spin_init(&spin, 2);
    now = arrive(&spin, 1000, MANY, 100, 1);
    assert_false(spin_stay(&spin, spin.requests, now));
}

/* With as many busy clients as processors, one of them waits for this one. */
static void as_many_clients_as_processors_let_it_sleep(void **state)
{
    struct spin spin;
    uint64_t now;

    (void)state;
    spin_init(&spin, 4);
    now = arrive(&spin, 1000, MANY, 5, 3);
    assert_true(spin_stay(&spin, spin.requests, now));
    now = arrive(&spin, now, MANY, 5, 4);
    assert_false(spin_stay(&spin, spin.requests, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quick_succession_keeps_it_awake),
        cmocka_unit_test(it_sleeps_when_nothing_comes),
        cmocka_unit_test(looks_are_counted),
        cmocka_unit_test(requests_far_apart_let_it_sleep),
        cmocka_unit_test(as_many_clients_as_processors_let_it_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
