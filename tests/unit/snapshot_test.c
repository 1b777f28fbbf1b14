/* Snapshots: what is copied of a namespace while it is written opens as it was at one moment, and what was held back
 * for that comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define CHUNK 16384u
#define FILES_MAX 512u
#define LOGS 3u
#define SEEDS 200u

/* ---- a copier, as another process would be ---- */

struct copier {
    struct io *from;
    struct io *to;
    struct engine_snapshot what;
    char paths[FILES_MAX][IO_PATH_SIZE];
    uint64_t used[FILES_MAX]; /* Bytes of it that count; UINT64_MAX: all */
    unsigned count;
    unsigned next; /* File under way */
    uint64_t at;   /* In it */
    struct io_file *source;
    struct io_file *target;
};

static void add_file(struct copier *copier, const char *path, uint64_t used)
{
    assert_true(copier->count < FILES_MAX);
    (void)snprintf(copier->paths[copier->count], IO_PATH_SIZE, "%s", path);
    copier->used[copier->count++] = used;
}

static int list_segment(void *arg, const char *name, enum io_kind kind)
{
    struct copier *copier = arg;
    char path[IO_PATH_SIZE];
    uint64_t number;

    if (kind == IO_KIND_FILE && format_file_number(name, "", ".seg", &number) &&
        number < copier->what.segments_end) {
        (void)snprintf(path, sizeof path, FIXTURE_DIR "/%s", name);
        add_file(copier, path, UINT64_MAX);
    }
    return 0;
}

static int list_journal(void *arg, const char *name, enum io_kind kind)
{
    struct copier *copier = arg;
    char path[IO_PATH_SIZE];
    uint64_t number;

    if (kind == IO_KIND_FILE && format_file_number(name, "", ".jnl", &number) &&
        number >= copier->what.journal_first && number <= copier->what.journal_last) {
        (void)snprintf(path, sizeof path, FIXTURE_DIR "/journal/%s", name);
        add_file(copier, path,
                 number == copier->what.journal_last ? copier->what.journal_used : UINT64_MAX);
    }
    return 0;
}

/* Ask the engine, and note what it names. Segments go first: they change most while they are copied. */
static struct copier *copy_begin(struct fixture *f, struct fixture *copy)
{
    struct copier *copier = calloc(1, sizeof *copier);
    struct error err;
    uint64_t number;

    assert_non_null(copier);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    fixture_sync(f);
    engine_snapshot_place(f->ns, &copier->what);
    assert_string_equal(copier->what.dir, FIXTURE_DIR);
    assert_int_equal(io_sim_open(&copier->from, f->disk), 0);
    assert_int_equal(io_sim_open(&copier->to, copy->disk), 0);
    assert_int_equal(io_make_dir(copier->to, "ns", &err), 0);
    assert_int_equal(io_make_dir(copier->to, FIXTURE_DIR, &err), 0);
    assert_int_equal(io_make_dir(copier->to, FIXTURE_DIR "/journal", &err), 0);
    assert_int_equal(io_list_dir(copier->from, FIXTURE_DIR, list_segment, copier, &err), 0);
    assert_int_equal(io_list_dir(copier->from, FIXTURE_DIR "/journal", list_journal, copier, &err),
                     0);
    for (number = copier->what.manifest_first; number <= copier->what.manifest_last; number++) {
        char path[IO_PATH_SIZE];

        (void)snprintf(path, sizeof path, FIXTURE_DIR "/manifest-%016llx",
                       (unsigned long long)number);
        add_file(copier, path, UINT64_MAX);
    }
    return copier;
}

/* A segment may have been on its way out when it was listed; nothing else goes. */
static void open_next(struct copier *copier)
{
    const char *path = copier->paths[copier->next];
    struct error err = {.text = ""};
    const int rc = io_open(copier->from, path, IO_OPEN_READ, &copier->source, &err);

    if (rc == TUSK_ENOTFOUND && strstr(path, ".seg") != NULL) {
        copier->source = NULL;
        copier->next++;
        return;
    }
    if (rc != 0) {
        fail_msg("what the copy needs has gone: %s: %s", path, err.text);
    }
    assert_int_equal(io_open(copier->to, path, IO_OPEN_CREATE, &copier->target, &err), 0);
    copier->at = 0;
}

static void finish_file(struct copier *copier)
{
    struct error err;
    uint64_t size;

    assert_int_equal(io_size(copier->source, &size, &err), 0);
    if (copier->used[copier->next] < size) {
        assert_int_equal(io_truncate(copier->target, copier->used[copier->next], &err), 0);
    }
    assert_int_equal(io_truncate(copier->target, size, &err), 0);
    io_close_file(copier->source);
    io_close_file(copier->target);
    copier->source = NULL;
    copier->next++;
}

/* One more piece. False: all is copied. */
static bool copy_step(struct copier *copier)
{
    static _Alignas(4096) uint8_t data[CHUNK];
    struct iovec iov = {.iov_base = data};
    struct error err;

    if (copier->source == NULL) {
        if (copier->next == copier->count) {
            return false;
        }
        open_next(copier);
    }
    if (copier->source == NULL) {
        return true;
    }
    assert_int_equal(
        io_read_direct(copier->source, data, sizeof data, copier->at, &iov.iov_len, &err), 0);
    if (iov.iov_len > 0) {
        assert_int_equal(io_write(copier->target, &iov, 1, copier->at, &err), 0);
    }
    copier->at += iov.iov_len;
    if (iov.iov_len < sizeof data) {
        finish_file(copier);
    }
    return true;
}

static void copy_free(struct copier *copier)
{
    io_close(copier->from);
    io_close(copier->to);
    free(copier);
}

/* ---- what is written meanwhile ---- */

struct work {
    struct fixture *f;
    struct fixture_log logs[LOGS];
    struct fixture_log other; /* Of a topic that comes and goes */
    bool there;
};

static uint64_t below(struct work *work, uint64_t n)
{
    return random_below(&work->f->random, n);
}

static void something(struct work *work)
{
    struct fixture *f = work->f;
    struct fixture_log *log = &work->logs[below(work, LOGS)];

    switch (below(work, 8)) {
    case 0:
        fixture_pass(f, 1 + below(work, 40000));
        break;
    case 1:
        if (log->acked > log->trimmed) {
            const struct engine_topic_info info = fixture_info(f, log->topic);
            const uint64_t count = below(work, info.end - info.first + 1);

            assert_int_equal(fixture_trim(f, log->topic, info.first + count), 0);
            log->trimmed += count;
        }
        break;
    case 2:
        if (work->there) {
            assert_int_equal(fixture_delete(f, work->other.topic), 0);
            work->there = false;
            work->other = (struct fixture_log){.topic = work->other.topic};
            break;
        }
        /* Fall through */
    case 3:
        assert_int_equal(fixture_log_append(f, &work->other, 4, 4000, false), 0);
        work->there = true;
        break;
    case 4:
        assert_int_equal(fixture_log_append(f, log, 1, 6000, below(work, 3) == 0), 0);
        break;
    default:
        assert_int_equal(fixture_log_append(f, log, 1 + (uint32_t)below(work, 20),
                                            8 + (uint32_t)below(work, 300), below(work, 9) == 0),
                         0);
        break;
    }
}

static void expect_work(struct work *work)
{
    struct fixture *f = work->f;
    unsigned i;

    for (i = 0; i < LOGS; i++) {
        if (work->logs[i].acked > 0) {
            fixture_log_check(f, &work->logs[i], work->logs[i].acked);
        }
    }
    if (work->there) {
        fixture_log_check(f, &work->other, work->other.acked);
    } else {
        assert_int_equal(fixture_try_read(f, work->other.topic, ENGINE_AT_EARLIEST, 0),
                         TUSK_ENOTFOUND);
    }
}

/* ---- tests ---- */

static void copy_while_written(uint64_t seed)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 5, ENGINE_FSYNC_NONE};
    struct work work = {.f = fixture_new(seed),
                        .logs = {{.topic = "a"}, {.topic = "b"}, {.topic = "c"}},
                        .other = {.topic = "other"}};
    struct work copied;
    struct fixture *copy = fixture_new(seed + 1000);
    struct copier *copier;
    uint64_t i;

    work.f->options.settings.fsync_ms = schedules[seed % 3];
    fixture_open(work.f);
    for (i = 0; i < 50 + below(&work, 150); i++) {
        something(&work);
    }
    copier = copy_begin(work.f, copy);
    copied = work;
    while (copy_step(copier)) {
        for (i = below(&work, 6); i > 0; i--) {
            something(&work);
        }
    }
    assert_int_equal(engine_snapshot_end(work.f->ns, seed % 2 == 0, &work.f->err), 0);
    copy_free(copier);
    copied.f = copy;
    fixture_open(copy);
    expect_work(&copied);
    fixture_kill(copy); /* And again: recovery wrote into it */
    expect_work(&copied);
    expect_work(&work);
    fixture_power_cut(work.f);
    fixture_free(work.f);
    fixture_free(copy);
}

/* A copy made piece by piece, while entries are appended, trimmed and deleted and manifests written, opens as it was
 * when it was begun: what was acknowledged is there, and nothing of what came later. */
static void a_copy_is_of_one_moment(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        copy_while_written(seed);
    }
}

static void fill(struct fixture *f, const char *topic, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        assert_int_equal(fixture_append_size(f, topic, 4900), 0);
    }
}

/* A block that is freed while it is held is not used again before the end. */
static void freed_blocks_wait_for_the_end(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fill(f, "t", 8);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_pass(f, 5000000);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 2);
    assert_int_equal(fixture_stat(f, "held"), 1);
    assert_int_equal(engine_snapshot_end(f->ns, false, &f->err), 0);
    fixture_pass(f, 5000000);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
    assert_int_equal(fixture_stat(f, "held"), 0);
}

/* Appends until there is one manifest more. */
static void next_manifest(struct fixture *f)
{
    const uint64_t number = f->ns->manifest.number;

    f->ns->manifest.requested = true;
    while (f->ns->manifest.number == number) {
        assert_int_equal(fixture_append_size(f, "u", 2000), 0);
    }
    fixture_settle(f);
}

/* Journal files as large as they may become are used again, smaller ones removed. */
static void expect_files_to_wait(struct fixture *f, uint32_t journal_file_max)
{
    struct engine_snapshot what;
    char path[IO_PATH_SIZE];
    char first[IO_PATH_SIZE];
    unsigned i;

    f->options.journal_file_max = journal_file_max;
    fixture_open(f);
    next_manifest(f);
    next_manifest(f);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    engine_snapshot_place(f->ns, &what);
    assert_int_equal(what.manifest_last, what.manifest_first + 1);
    for (i = 0; i < 100; i++) {
        assert_int_equal(fixture_append_size(f, "u", 2000), 0);
    }
    for (i = 0; i < 4; i++) {
        next_manifest(f);
    }
    sim_disk_settle(f->disk);
    assert_int_equal(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path), 4);
    (void)snprintf(first, sizeof first, FIXTURE_DIR "/journal/%016llx.jnl",
                   (unsigned long long)what.journal_first);
    assert_true(sim_disk_exists(f->disk, first));
    assert_int_equal(engine_snapshot_end(f->ns, false, &f->err), 0);
    fixture_pass(f, 1000000);
    for (i = 0; i < 100; i++) {
        assert_int_equal(fixture_append_size(f, "u", 2000), 0);
    }
    sim_disk_settle(f->disk);
    assert_false(sim_disk_exists(f->disk, first));
    (void)snprintf(path, sizeof path, FIXTURE_DIR "/manifest-%016llx",
                   (unsigned long long)what.manifest_first);
    assert_false(sim_disk_exists(f->disk, path));
}

/* Manifests and journal files that others have followed stay until the end, and then go. */
static void manifests_and_journal_wait_for_the_end(void **state)
{
    struct fixture *f = fixture_new(2);

    expect_files_to_wait(*state, 64u << 10);
    expect_files_to_wait(f, 32u << 10);
    fixture_free(f);
}

static bool first_block_is_sealed(struct fixture *f, const char *topic)
{
    const struct engine_topic_ref ref = {.name = topic, .name_size = strlen(topic)};

    return namespace_topic(f->ns, &ref)->blocks[0].sealed;
}

/* A seal names an end, which may lie behind the copy's: none is written before the end. */
static void seals_wait_for_the_end(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    fill(f, "t", 8);
    next_manifest(f);
    next_manifest(f);
    assert_false(first_block_is_sealed(f, "t"));
    assert_int_equal(engine_snapshot_end(f->ns, false, &f->err), 0);
    next_manifest(f);
    next_manifest(f);
    assert_true(first_block_is_sealed(f, "t"));
}

/* One at a time, and as long as it goes on the namespace cannot be deleted. */
static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct namespace *ns;

    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "n", 1, NULL, 0, &f->err), 0);
    ns = engine_namespace_find(f->engine, "n", 1);
    assert_int_equal(engine_snapshot_begin(ns, &f->err), 0);
    assert_int_equal(engine_snapshot_begin(ns, &f->err), TUSK_EBUSY);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0); /* Each for itself */
    assert_int_equal(engine_namespace_delete(f->engine, "n", 1, &f->err), TUSK_EBUSY);
    assert_int_equal(engine_snapshot_end(ns, false, &f->err), 0);
    assert_int_equal(engine_namespace_delete(f->engine, "n", 1, &f->err), 0);
    assert_int_equal(engine_snapshot_end(f->ns, false, &f->err), 0);
}

/* On a disk that becomes full, what is held back is needed more than the copy: it goes, appends go on by what was
 * freed, and the end says that the copy is worth nothing. */
static void a_full_disk_ends_it(void **state)
{
    struct fixture *f = *state;
    unsigned appended = 0;

    fixture_open(f);
    fill(f, "t", 8);
    fixture_settle(f);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk) + (256u << 10));
    while (fixture_append_size(f, "t", 4900) == 0) {
        appended++;
    }
    assert_true(appended > 0);
    assert_int_equal(fixture_stat(f, "held"), 0);
    assert_int_equal(fixture_trim(f, "t", 8), 0);
    fixture_pass(f, 5000000);
    assert_int_equal(fixture_append_size(f, "t", 4900), 0);
    assert_int_equal(engine_snapshot_end(f->ns, false, &f->err), TUSK_ENOSPACE);
    assert_non_null(strstr(f->err.text, "became full"));
}

/* Blocks whose bytes a copy shares are written again only in space of their own: they give up what they have first,
 * the few that are kept ready with it included. */
static void shared_blocks_are_punched_first(void **state)
{
    struct fixture *f = *state;
    uint64_t before;
    uint64_t after;

    fixture_open(f);
    fill(f, "t", 8);
    fixture_settle(f);
    assert_int_equal(engine_snapshot_begin(f->ns, &f->err), 0);
    assert_int_equal(engine_snapshot_end(f->ns, true, &f->err), 0);
    before = sim_disk_operations(f->disk, SIM_BIT(SIM_PUNCH));
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_pass(f, 5000000);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
    after = sim_disk_operations(f->disk, SIM_BIT(SIM_PUNCH));
    assert_true(after >= before + 2);
    fill(f, "u", 8);
    assert_int_equal(fixture_delete(f, "u"), 0);
    fixture_pass(f, 5000000);
    assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_PUNCH)), after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_copy_is_of_one_moment),
        FIXTURE_TEST(freed_blocks_wait_for_the_end),
        FIXTURE_TEST(manifests_and_journal_wait_for_the_end),
        FIXTURE_TEST(seals_wait_for_the_end),
        FIXTURE_TEST(shared_blocks_are_punched_first),
        FIXTURE_TEST(one_at_a_time),
        FIXTURE_TEST(a_full_disk_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
