/* The daemon is killed under load, again and again, and each time everything it acknowledged must be
 * there when it is back.
 *
 *     kill_storm [--count KILLS] [--seed N] [--schedule each|lazy|none]
 *
 * Mostly SIGKILL after 1 to 500 ms of load; sometimes after SIGSTOP and SIGCONT; sometimes SIGTERM,
 * and SIGKILL while it is stopping. A store lives for KILLS_PER_STORE kills. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/crash/report.h"
#include "tests/crash/store.h"

#define KILLS_PER_STORE 25u

/* End the daemon one way or another. */
static enum ending end_daemon(struct store *store)
{
    struct random *random = &store->random;
    const unsigned roll = (unsigned)random_below(random, 100);
    struct daemon *daemon = &store->daemon;
    int status;

    if (roll < 10) { /* It stands still for a while, and its clients wait */
        (void)kill(daemon->pid, SIGSTOP);
        report_pause_us(1000 * random_between(random, 1, 60));
        (void)kill(daemon->pid, SIGCONT);
        report_pause_us(1000 * random_below(random, 5));
    } else if (roll < 20) {
        (void)kill(daemon->pid, SIGTERM);
        if (roll < 15) { /* Not even the stop is finished */
            report_pause_us(1000 * random_below(random, 20));
            daemon_kill(daemon);
            return ENDING_KILL;
        }
        status = daemon_wait(daemon);
        if (status != 0) {
            report_violation("%s: a stop ended with %d", store->where, status);
        }
        return ENDING_CLEAN;
    }
    daemon_kill(daemon);
    return ENDING_KILL;
}

/* Sometimes the daemon dies while it recovers. */
static void kill_while_starting(struct store *store)
{
    while (random_chance(&store->random, 15)) {
        daemon_spawn(&store->daemon, NULL);
        report_pause_us(1000 * random_below(&store->random, 30));
        daemon_kill(&store->daemon);
    }
}

static uint64_t run_store(const struct report_options *options, uint64_t seed, uint64_t kills,
                          struct store *store)
{
    uint64_t done = 0;

    store_open(store, seed, NULL, options->schedule, NULL);
    if (!store_start(store)) {
        return 0;
    }
    while (done < kills && report_violations() == 0) {
        enum ending ending;

        (void)snprintf(store->where, sizeof store->where, "kill %llu", (unsigned long long)done);
        store_load(store, 1u << random_below(&store->random, 7),
                   (uint32_t)random_below(&store->random, 3) * 500);
        report_pause_us(
            1000 * random_between(&store->random, 1, random_chance(&store->random, 60) ? 80 : 500));
        ending = end_daemon(store);
        store_unload(store);
        done++;
        kill_while_starting(store);
        if (!store_start(store)) {
            break;
        }
        store_judge(store, ending, UINT64_MAX, true);
        if (random_chance(&store->random, 15)) {
            store_expect_same_again(store);
            store_expect_writable(store);
        }
    }
    return done;
}

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "kill_storm", 25);
    static struct store store;
    uint64_t acked = 0;
    uint64_t lost = 0;
    uint64_t entries = 0;
    uint64_t done = 0;
    uint64_t seed = options.seed;

    while (done < options.count && report_violations() == 0) {
        const uint64_t left = options.count - done;

        done +=
            run_store(&options, seed++, left < KILLS_PER_STORE ? left : KILLS_PER_STORE, &store);
        acked += store.acked;
        lost += store.lost;
        entries += store.entries;
        store_close(&store);
    }
    (void)printf("kill_storm: seeds %llu-%llu, %llu kills, %llu batches acknowledged, %llu lost, "
                 "%llu entries read back, %llu violations\n",
                 (unsigned long long)options.seed, (unsigned long long)seed - 1,
                 (unsigned long long)done, (unsigned long long)acked, (unsigned long long)lost,
                 (unsigned long long)entries, (unsigned long long)report_violations());
    return report_exit_code();
}
