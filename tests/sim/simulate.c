/* tusk_simulate: many worlds, from seeds; a failing one is shrunk and printed.
 *
 *     tusk_simulate --seeds 1-20000 [--jobs 2] [--kind plain] [--twice] [--failures 1]
 *     tusk_simulate --seed 17 --verbose
 *
 * Prints how often each row of the recovery table was reached, and a hash of all results: it is the
 * same on every machine and with every compiler. */
#include <stdio.h>

#include "proto/status.h"
#include "tests/sim/drive.h"
#include "tests/sim/world.h"

static void run(const struct drive_limits *limits, void *report)
{
    world_run(limits, report);
}

static const char *kind_name(int kind)
{
    return world_kind_name((enum world_kind)kind);
}

static void add(void *to, const void *from)
{
    const struct world_report *part = from;
    struct world_report *sum = to;
    unsigned i;

    sum->worlds += part->worlds;
    sum->operations += part->operations;
    sum->lives += part->lives;
    sum->crashes += part->crashes;
    sum->open_cuts += part->open_cuts;
    sum->appends += part->appends;
    sum->reads += part->reads;
    sum->ranges += part->ranges;
    sum->kept += part->kept;
    sum->lost += part->lost;
    sum->refused += part->refused;
    sum->corrupt += part->corrupt;
    sum->dropped += part->dropped;
    for (i = 0; i < 24; i++) {
        sum->statuses[i] += part->statuses[i];
    }
    for (i = 0; i < KIND_COUNT; i++) {
        sum->kinds[i] += part->kinds[i];
    }
    for (i = 0; i < ROW_COUNT; i++) {
        sum->rows[i] += part->rows[i];
    }
}

static void print(const void *sum)
{
    const struct world_report *r = sum;
    unsigned i;

    printf("worlds %llu, requests %llu (appends %llu, reads delivered %llu, %llu by range), lives "
           "%llu, "
           "crashes %llu, power cuts during start %llu\n",
           (unsigned long long)r->worlds, (unsigned long long)r->operations,
           (unsigned long long)r->appends, (unsigned long long)r->reads,
           (unsigned long long)r->ranges, (unsigned long long)r->lives,
           (unsigned long long)r->crashes, (unsigned long long)r->open_cuts);
    printf("steps kept %llu, rightly lost %llu; refused %llu, damage reported %llu; "
           "entries dropped for a quota %llu\nkinds:",
           (unsigned long long)r->kept, (unsigned long long)r->lost, (unsigned long long)r->refused,
           (unsigned long long)r->corrupt, (unsigned long long)r->dropped);
    for (i = 0; i < KIND_COUNT; i++) {
        printf(" %s %llu", world_kind_name((enum world_kind)i), (unsigned long long)r->kinds[i]);
    }
    printf("\nreplies:");
    for (i = 0; i < 24; i++) {
        if (r->statuses[i] > 0) {
            printf(" %s %llu", i == 0 ? "OK" : status_name((int)i),
                   (unsigned long long)r->statuses[i]);
        }
    }
    printf("\nrecovery rows:");
    for (i = 0; i < ROW_COUNT; i++) {
        printf(" R%u %llu", i + 1, (unsigned long long)r->rows[i]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    const struct drive drive = {
        .name = "tusk_simulate",
        .count_option = "--operations",
        .shrunk_to = "requests",
        .shrink_from = 1000,
        .report_size = sizeof(struct world_report),
        .kind_count = KIND_COUNT,
        .kind_name = kind_name,
        .run = run,
        .add = add,
        .print = print,
    };

    return drive_main(&drive, argc, argv);
}
