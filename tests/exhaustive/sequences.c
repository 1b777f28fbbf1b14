/* Every sequence of up to four operations on tiny blocks, in every schedule; the power is cut at every I/O boundary of the last
 * operation, with every subset of what is pending there kept, and once more inside the recovery behind it. */
#include <stdlib.h>
#include <string.h>

#include "tests/exhaustive/cuts.h"
#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/promise.h"

#define LENGTH_MAX 4u
#define TURNS_BEHIND_US 3000u

static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 1, ENGINE_FSYNC_NONE};
static const char *const schedule_names[] = {"each", "timed", "none"};
#define SCHEDULES 3u

/* ---- the operations ---- */

/* Topic 0's block has room for an append and not for a batch of two large entries; topic 1's for less than a large entry. */
#define LARGE 5500u
#define NEARLY_A_BLOCK 16000u

struct run {
    struct fixture *f;
    struct promise p;
};

typedef void operation_fn(struct run *run);

static void append(struct run *run)
{
    assert_int_equal(promise_append(&run->p, run->f, 0, 1, 100, false), 0);
}

static void batch(struct run *run)
{
    assert_int_equal(promise_append(&run->p, run->f, 1, 2, 60, false), 0);
}

static void cross(struct run *run)
{
    assert_int_equal(promise_append(&run->p, run->f, 0, 2, LARGE, false), 0);
}

static void sync_all(struct run *run)
{
    assert_int_equal(promise_sync(&run->p, run->f), 0);
}

static void checkpoint(struct run *run)
{
    assert_int_equal(promise_checkpoint(&run->p, run->f, 0, promise_end(run->f, 0)), 0);
}

static void roll_over(struct run *run)
{
    assert_int_equal(promise_append(&run->p, run->f, 1, 1, NEARLY_A_BLOCK, false), 0);
}

static void trim(struct run *run)
{
    assert_int_equal(promise_trim(&run->p, run->f, 0, promise_end(run->f, 0)), 0);
}

/* Of a topic that may be gone already. */
static void delete_topic(struct run *run)
{
    const int status = promise_delete(&run->p, run->f, 1);

    assert_true(status == 0 || (status == TUSK_ENOTFOUND && promise_end(run->f, 1) == 0));
}

static void stop_and_open(struct run *run)
{
    assert_int_equal(promise_stop(&run->p, run->f), 0);
    fixture_close(run->f);
    fixture_open(run->f);
}

static const struct operation {
    char letter;
    operation_fn *run;
} operations[] = {
    {'a', append},    {'b', batch}, {'x', cross},        {'s', sync_all},      {'c', checkpoint},
    {'r', roll_over}, {'t', trim},  {'d', delete_topic}, {'o', stop_and_open},
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

/* ---- sequences and their numbers ---- */

/* Sequences in order of their length. Returns it; `letters` has room for one more. */
static unsigned sequence(uint64_t number, unsigned indexes[LENGTH_MAX], char *letters)
{
    uint64_t of_length = OPERATIONS;
    unsigned length = 1;
    unsigned i;

    while (number >= of_length) {
        number -= of_length;
        of_length *= OPERATIONS;
        length++;
    }
    for (i = length; i-- > 0; number /= OPERATIONS) {
        indexes[i] = (unsigned)(number % OPERATIONS);
        letters[i] = operations[indexes[i]].letter;
    }
    letters[length] = '\0';
    return length;
}

static uint64_t sequence_count(void)
{
    uint64_t of_length = 1;
    uint64_t count = 0;
    unsigned i;

    for (i = 0; i < LENGTH_MAX; i++) {
        of_length *= OPERATIONS;
        count += of_length;
    }
    return count;
}

/* ---- a unit ---- */

static void begin(struct run *run, uint64_t fsync_ms)
{
    memset(run, 0, sizeof *run);
    promise_init(&run->p);
    run->f = cuts_fixture(NULL);
    run->f->options.settings.fsync_ms = fsync_ms;
    fixture_open(run->f);
    assert_int_equal(promise_append(&run->p, run->f, 0, 2, LARGE, true), 0);
    assert_int_equal(promise_append(&run->p, run->f, 0, 1, LARGE, true), 0);
    assert_int_equal(promise_append(&run->p, run->f, 1, 1, LARGE, true), 0);
    fixture_settle(run->f);
}

static void run_unit(struct exhaust *x, uint64_t unit)
{
    const unsigned schedule = (unsigned)(unit % SCHEDULES);
    struct cuts cuts = {.x = x, .schedule = schedule_names[schedule]};
    unsigned indexes[LENGTH_MAX];
    struct run run;
    unsigned length;
    unsigned i;

    length = sequence(unit / SCHEDULES, indexes, cuts.sequence);
    begin(&run, schedules[schedule]);
    for (i = 0; i + 1 < length; i++) {
        operations[indexes[i]].run(&run);
        promise_told(&run.p, run.f);
    }
    cuts_watch(&cuts, run.f, &run.p);
    operations[indexes[length - 1]].run(&run);
    fixture_pass(run.f, TURNS_BEHIND_US);
    fixture_settle(run.f);
    promise_told(&run.p, run.f);
    cuts_take(&cuts, run.f->disk);
    promise_check_running(&run.p, run.f);
    sim_disk_set_watch(run.f->disk, NULL, NULL);
    cuts_try(&cuts);
    fixture_free(run.f);
}

int main(int argc, char **argv)
{
    const struct exhaust_program program = {
        .name = "exhaust_sequences",
        .unit = "sequences in a schedule",
        .cases = "cuts",
        .units = sequence_count() * SCHEDULES,
        .seconds = 30,
        .counts = {"boundaries", "of them sampled", "cuts inside recovery", "images met before"},
        .run = run_unit};

    return exhaust_main(argc, argv, &program);
}
