/* tusk_simulate_server: many scenes, from seeds; a failing one is shrunk and printed.
 *
 *     tusk_simulate_server --seeds 1-2000 [--jobs 2] [--kind plain] [--twice] [--failures 1]
 *     tusk_simulate_server --seed 17 --verbose
 *
 * Prints what was asked and answered, and a hash of all results: it is the same on every
 * machine and with every compiler. */
#include <stdio.h>

#include "tests/sim/drive.h"
#include "tests/sim/scene.h"

static void run(const struct drive_limits *limits, void *report)
{
    scene_run(limits, report);
}

static const char *kind_name(int kind)
{
    return scene_kind_name((enum scene_kind)kind);
}

static void add(void *to, const void *from)
{
    const struct scene_report *part = from;
    struct scene_report *sum = to;
    unsigned i;

    sum->scenes += part->scenes;
    sum->counted += part->counted;
    sum->requests += part->requests;
    sum->replies += part->replies;
    sum->connections += part->connections;
    sum->cut += part->cut;
    sum->from_cache += part->from_cache;
    sum->lives += part->lives;
    sum->crashes += part->crashes;
    sum->stops += part->stops;
    sum->failed_disks += part->failed_disks;
    sum->places += part->places;
    sum->descriptors += part->descriptors;
    sum->looks += part->looks;
    sum->released += part->released;
    sum->leases_left += part->leases_left;
    sum->leases_of_dead += part->leases_of_dead;
    sum->farewells += part->farewells;
    sum->retired += part->retired;
    sum->kept += part->kept;
    sum->lost += part->lost;
    for (i = 0; i < SCENE_KIND_COUNT; i++) {
        sum->kinds[i] += part->kinds[i];
    }
    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        sum->types[i] += part->types[i];
    }
    for (i = 0; i < SCENE_STATUSES; i++) {
        sum->statuses[i] += part->statuses[i];
    }
}

static void print(const void *sum)
{
    const struct scene_report *r = sum;
    unsigned i;

    printf(
        "scenes %llu (%llu with 200 requests and a crash), requests %llu, replies %llu (%llu "
        "bytes of "
        "them from the cache), connections %llu (closed by the server %llu)\nlives %llu, "
        "crashes %llu (%llu of them a "
        "failed disk), stops %llu; appends kept %llu, rightly lost %llu\nplaces given %llu "
        "(descriptors %llu), looked at again %llu; leases released %llu, left when the connection "
        "ended %llu, when the process died %llu, all given back at last by %llu, retired %llu\n"
        "kinds:",
        (unsigned long long)r->scenes, (unsigned long long)r->counted,
        (unsigned long long)r->requests, (unsigned long long)r->replies,
        (unsigned long long)r->from_cache, (unsigned long long)r->connections,
        (unsigned long long)r->cut, (unsigned long long)r->lives, (unsigned long long)r->crashes,
        (unsigned long long)r->failed_disks, (unsigned long long)r->stops,
        (unsigned long long)r->kept, (unsigned long long)r->lost, (unsigned long long)r->places,
        (unsigned long long)r->descriptors, (unsigned long long)r->looks,
        (unsigned long long)r->released, (unsigned long long)r->leases_left,
        (unsigned long long)r->leases_of_dead, (unsigned long long)r->farewells,
        (unsigned long long)r->retired);
    for (i = 0; i < SCENE_KIND_COUNT; i++) {
        printf(" %s %llu", scene_kind_name((enum scene_kind)i), (unsigned long long)r->kinds[i]);
    }
    printf("\nrequests by type:");
    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        printf(" %u: %llu", i, (unsigned long long)r->types[i]);
    }
    printf("\nreplies:");
    for (i = 0; i < SCENE_STATUSES; i++) {
        if (r->statuses[i] > 0) {
            printf(" %s %llu", i == 0 ? "OK" : status_name((int)i),
                   (unsigned long long)r->statuses[i]);
        }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    const struct drive drive = {
        .name = "tusk_simulate_server",
        .count_option = "--requests",
        .shrunk_to = "requests in a life, at most",
        .shrink_from = 2000,
        .report_size = sizeof(struct scene_report),
        .kind_count = SCENE_KIND_COUNT,
        .kind_name = kind_name,
        .run = run,
        .add = add,
        .print = print,
    };

    return drive_main(&drive, argc, argv);
}
