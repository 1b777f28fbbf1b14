/* The daemon dies at the entry and at the end of each of its functions, the first, second, up to the
 * 20th time it comes there; then everything it acknowledged must be there when it is back.
 *
 *     kill_points [--case PART/PARTS] [--seed N] [--schedule each|lazy|none]
 *
 * The daemon under test is compiled so that each function of core, proto and server says when it is
 * entered and left (kill_hook.c); a first run that nobody kills tells which are reached: in a start
 * that recovers, under load, by requests of every kind, and in a stop. Points are dealt to the parts by
 * their name, so that all parts together are all points. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/tusk.h"
#include "tests/crash/kill_table.h"
#include "tests/crash/report.h"
#include "tests/crash/store.h"

#define HITS_MAX 20u
#define POINTS_PER_STORE 25u
#define LOAD_US 30000u
#define ERRAND_TIMEOUT_MS 30000

static struct kill_table *table;
static char table_path[256];
static char table_variable[300];
static const char *const environment[] = {table_variable, NULL};
static uint32_t reached[KILL_PLACES]; /* How often, in the first run */

struct outcome {
    uint64_t points;
    uint64_t died;
};

static void open_table(void)
{
    char dir[200];
    int fd;
    void *map;

    report_make_dir(dir, sizeof dir);
    (void)snprintf(table_path, sizeof table_path, "%s/table", dir);
    (void)snprintf(table_variable, sizeof table_variable, KILL_TABLE_VARIABLE "=%s", table_path);
    fd = open(table_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    report_need(fd >= 0 && ftruncate(fd, sizeof *table) == 0, "make the table");
    map = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    report_need(map != MAP_FAILED, "map the table");
    (void)close(fd);
    table = map;
}

static void close_table(void)
{
    (void)munmap(table, sizeof *table);
    *strrchr(table_path, '/') = '\0';
    report_remove(table_path);
}

/* hit 0: nowhere. */
static void die_at(uint32_t place, uint32_t hit)
{
    memset(table, 0, sizeof *table);
    table->place = place;
    table->hit = hit;
}

/* ---- what the daemon is made to do ---- */

static int note_topic(void *user, const struct tusk_topic_info *info)
{
    (void)user;
    (void)info;
    return 0;
}

static int note_cursor(void *user, const struct tusk_cursor_info *info)
{
    (void)user;
    (void)info;
    return 0;
}

static struct tusk *connect_errand(const struct store *store, const char *space)
{
    const struct tusk_options options = {.size = sizeof options,
                                         .path = store->daemon.socket,
                                         .space = space,
                                         .timeout_ms = ERRAND_TIMEOUT_MS};
    struct tusk *t;

    return tusk_connect(&options, &t, NULL) == TUSK_OK ? t : NULL;
}

/* What errands left, which the judge knows nothing of. */
static void tidy(const struct store *store)
{
    uint32_t i;

    for (i = 0; i < MODEL_SPACES; i++) {
        struct tusk *t = connect_errand(store, store->model.spaces[i].name);
        int code = t != NULL ? tusk_topic_delete(t, "errand") : TUSK_ECLOSED;

        if (code == TUSK_OK || code == TUSK_ENOTFOUND) {
            code = tusk_namespace_delete(t, "errand");
        }
        if (code != TUSK_OK && code != TUSK_ENOTFOUND) {
            report_violation("%s: cannot delete what an errand made: %d", store->where, code);
        }
        if (t != NULL) {
            (void)tusk_close(t);
        }
    }
}

/* Requests that the clients of a store do not make, on a topic that is nobody's. The daemon may be
 * gone before any of them: what they answer is of no interest. */
static void run_errands(const struct store *store, const char *space)
{
    const struct tusk_setting retention = {.key = TUSK_SETTING_RETENTION_SIZE, .value = 1 << 20};
    struct tusk_append_result result;
    struct tusk_batch *batch = NULL;
    struct tusk *t = connect_errand(store, space);

    if (t == NULL) {
        return;
    }
    (void)tusk_topic_create(t, "errand", &retention, 1, NULL);
    (void)tusk_append(t, "errand", "one", 3, 0, &result);
    (void)tusk_append(t, "errand", "two", 3, TUSK_APPEND_DURABLE, &result);
    (void)tusk_read(t, "errand", NULL, &batch);
    tusk_batch_free(batch);
    (void)tusk_topic_trim(t, "errand", 1, NULL);
    (void)tusk_seek(t, "errand", "c", (struct tusk_position){.kind = TUSK_FROM_LATEST}, NULL);
    (void)tusk_topic_list(t, note_topic, NULL);
    (void)tusk_cursor_list(t, "errand", note_cursor, NULL);
    (void)tusk_cursor_delete(t, "errand", "c");
    (void)tusk_topic_delete(t, "errand");
    (void)tusk_namespace_create(t, "errand", NULL, 0);
    (void)tusk_namespace_delete(t, "errand");
    (void)tusk_close(t);
}

/* One life: it starts, is loaded, runs errands, and stops; or dies on the way. */
static enum ending live(struct store *store)
{
    uint32_t i;
    int status;

    store_spawn(store);
    if (daemon_await_ready(&store->daemon)) {
        store_load(store, 8, 0);
        report_pause_us(LOAD_US);
        for (i = 0; i < MODEL_SPACES; i++) {
            run_errands(store, store->model.spaces[i].name);
        }
        (void)kill(store->daemon.pid, SIGTERM);
    }
    status = daemon_wait(&store->daemon);
    store_unload(store);
    if (status != 0 && status != -SIGKILL) {
        report_violation("%s: the daemon ended with %d", store->where, status);
        store_print_log(store);
    }
    return status == 0 ? ENDING_CLEAN : ENDING_KILL;
}

static bool open_store(struct store *store, const struct report_options *options, uint64_t seed)
{
    store_open(store, seed, NULL, options->schedule, NULL);
    store->daemon.environment = environment;
    die_at(0, 0);
    return store_start(store);
}

/* Which places there are to die at. */
static void look_around(const struct report_options *options, struct store *store)
{
    uint32_t i;

    if (!open_store(store, options, options->seed)) {
        return;
    }
    daemon_stop(&store->daemon);
    (void)live(store); /* So that there is something to recover */
    if (!store_start(store)) {
        return;
    }
    daemon_kill(&store->daemon);
    die_at(0, 0);
    (void)live(store);
    for (i = 0; i < KILL_PLACES; i++) {
        reached[i] = atomic_load(&table->hits[i]);
    }
    store_close(store);
}

/* ---- the points of a part ---- */

/* The same for a point in each run of the same program. */
static bool is_of_part(uint32_t place, uint32_t hit, uint64_t part, uint64_t parts)
{
    uint64_t mixed = (uint64_t)place * HITS_MAX + hit;

    return random_split(&mixed) % parts == part - 1;
}

static void die_once(struct store *store, uint32_t place, uint32_t hit, struct outcome *outcome)
{
    enum ending ending;

    (void)snprintf(store->where, sizeof store->where, "%s 0x%x, time %u",
                   place % 2 == 0 ? "entering" : "leaving", place / 2 * KILL_ALIGN, hit);
    if (random_chance(&store->random, 50)) { /* There is something to recover, or there is not */
        daemon_stop(&store->daemon);
    } else {
        daemon_kill(&store->daemon);
    }
    die_at(place, hit);
    ending = live(store);
    outcome->points++;
    outcome->died += ending == ENDING_KILL ? 1u : 0u;
    die_at(0, 0);
    if (store_start(store)) {
        tidy(store);
        store_judge(store, ending, UINT64_MAX, true);
    }
}

static void die_everywhere(const struct report_options *options, uint64_t part, uint64_t parts,
                           struct store *store, struct outcome *outcome)
{
    uint64_t seed = options->seed;
    bool open = false;
    uint32_t place;
    uint32_t hit;

    for (place = 0; place < KILL_PLACES; place++) {
        for (hit = 1; hit <= reached[place] && hit <= HITS_MAX; hit++) {
            if (!is_of_part(place, hit, part, parts)) {
                continue;
            }
            if (!open && !open_store(store, options, ++seed)) {
                return;
            }
            open = true;
            die_once(store, place, hit, outcome);
            if (report_violations() > 0) {
                store_close(store);
                return;
            }
            if (outcome->points % POINTS_PER_STORE == 0) {
                store_close(store);
                open = false;
            }
        }
    }
    if (open) {
        store_close(store);
    }
}

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "kill_points", 0);
    static struct store store;
    struct outcome outcome = {0};
    uint64_t functions = 0;
    uint64_t part = 1;
    uint64_t parts = 1;
    uint32_t i;

    if (options.only != NULL &&
        (sscanf(options.only, "%lu/%lu", &part, &parts) != 2 || part == 0 || part > parts)) {
        (void)fprintf(stderr, "--case is PART/PARTS, such as 1/500\n");
        return 2;
    }
    (void)setenv("TUSKD", TUSKD_KILL_POINTS_PATH, 0);
    open_table();
    look_around(&options, &store);
    for (i = 0; i < KILL_SLOTS; i++) {
        functions += reached[2 * i] > 0 ? 1u : 0u;
    }
    die_everywhere(&options, part, parts, &store, &outcome);
    close_table();
    (void)printf(
        "kill_points: part %llu of %llu, %llu functions reached, %llu points, died at %llu "
        "of them, %llu violations\n",
        (unsigned long long)part, (unsigned long long)parts, (unsigned long long)functions,
        (unsigned long long)outcome.points, (unsigned long long)outcome.died,
        (unsigned long long)report_violations());
    return report_exit_code();
}
