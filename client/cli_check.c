/* tusk check: one line and an exit status for Nagios, Icinga, and all that read the same.
 *
 *     connect --> gauges (lag, quota, disk, damage, unsynced) --> the worst of them
 *
 * A daemon that does not answer is CRITICAL. UNKNOWN is what could not be looked at, for want of a
 * right, or because it was asked for wrongly. The line goes to standard output, as such programs
 * want it, in trouble, too. */
#include "client/cli.h"
#include "client/cli_parse.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#define LOOK_AGAIN_NS 20000000
#define TEXT_SIZE 400u

/* As the programs that call it want it. */
enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_CRITICAL, VERDICT_UNKNOWN };

static const char *const verdict_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

enum gauge_kind { GAUGE_LAG, GAUGE_QUOTA, GAUGE_DISK, GAUGE_DAMAGE, GAUGE_UNSYNCED, GAUGE_KINDS };

struct gauge {
    const char *name;
    const char *unit;
    int digits;  /* Behind the point */
    double max;  /* 0: none */
    double warn; /* From here on; NAN: never */
    double crit;
    bool asked; /* Thresholds were given: without a value it is UNKNOWN */
    bool known;
    double value;
    char text[TEXT_SIZE]; /* What is so high, or why it is not known */
};

struct check {
    struct cli *cli;
    struct gauge gauges[GAUGE_KINDS];
    enum verdict verdict; /* Of what is no gauge: a namespace that does not serve */
    char text[TEXT_SIZE];
    const char *topic; /* While its cursors are listed */
    uint64_t corrupt_reads;
    uint64_t journal_lsn;
    uint64_t durable_lsn;
    uint64_t unsynced_bytes;
    uint64_t unsynced_age_us; /* UINT64_MAX: the daemon does not say */
    char data_dir[4096];
};

/* ---- Options ---- */

enum { KEY_LAG = 0x1000, KEY_QUOTA, KEY_DISK, KEY_DAMAGE, KEY_UNSYNCED };

static const struct argp_option check_options[] = {
    {"lag", KEY_LAG, "WARN,CRIT", 0, "Entries between a cursor and its topic's end", 0},
    {"quota", KEY_QUOTA, "WARN,CRIT", 0, "Percent of a namespace's quota of bytes (80,95)", 0},
    {"disk", KEY_DISK, "WARN,CRIT", 0, "Percent of the data directory's file system (85,95)", 0},
    {"damage", KEY_DAMAGE, "WARN,CRIT", 0, "Reads that met damage since the start (1,1)", 0},
    {"unsynced", KEY_UNSYNCED, "WARN,CRIT", 0,
     "Seconds for which something is written and not on disk (2,10)", 0},
    {0},
};

/* "1000,10000", "1000" or ",10000" */
static int parse_thresholds(const char *text, struct gauge *gauge)
{
    const char *comma = strchr(text, ',');
    char first[32];

    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(text, ","), text);
    gauge->warn = gauge->crit = NAN;
    if ((first[0] != '\0' && parse_seconds(first, &gauge->warn) != 0) ||
        (comma != NULL && comma[1] != '\0' && parse_seconds(comma + 1, &gauge->crit) != 0)) {
        return -1;
    }
    gauge->asked = true;
    if (gauge->warn > gauge->crit) {
        return -1;
    }
    return isnan(gauge->warn) && isnan(gauge->crit) ? -1 : 0;
}

static error_t check_option(int key, char *arg, struct argp_state *state)
{
    struct check *check = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        argp_err_exit_status = VERDICT_UNKNOWN;
        state->child_inputs[0] = check->cli;
        return 0;
    case KEY_LAG:
    case KEY_QUOTA:
    case KEY_DISK:
    case KEY_DAMAGE:
    case KEY_UNSYNCED:
        if (parse_thresholds(arg, &check->gauges[key - KEY_LAG]) != 0) {
            argp_error(state, "%s '%s'; it is WARN,CRIT, or one of both, and CRIT is not smaller",
                       check->gauges[key - KEY_LAG].name, arg);
        }
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Looking ---- */

__attribute__((format(printf, 3, 4))) static void gauge_raise(struct gauge *gauge, double value,
                                                              const char *format, ...)
{
    va_list args;

    if (!gauge->known || value > gauge->value) {
        va_start(args, format);
        (void)vsnprintf(gauge->text, sizeof gauge->text, format, args);
        va_end(args);
        gauge->value = value;
    }
    gauge->known = true;
}

static int look_at_cursor(void *user, const struct tusk_cursor_info *info)
{
    struct check *check = user;

    gauge_raise(&check->gauges[GAUGE_LAG], (double)info->lag,
                "cursor '%.100s' of %.100s is %" PRIu64 " entries behind", info->name, check->topic,
                info->lag);
    return 0;
}

static int look_at_topic(void *user, const struct tusk_topic_info *info)
{
    struct check *check = user;

    check->topic = info->name;
    if (info->cursors > 0) {
        /* A topic that is deleted meanwhile has no cursor that lags. */
        (void)tusk_cursor_list(check->cli->t, info->name, look_at_cursor, check);
    }
    return 0;
}

static int look_at_namespace(void *user, const struct tusk_namespace_info *info)
{
    struct check *check = user;
    uint32_t i;

    if (info->state != TUSK_NAMESPACE_SERVING && check->verdict == VERDICT_OK) {
        check->verdict = VERDICT_CRITICAL;
        (void)snprintf(check->text, sizeof check->text, "namespace %.100s is %s: %.200s",
                       info->name, info->state == TUSK_NAMESPACE_REFUSED ? "refused" : "stopped",
                       info->reason);
    }
    for (i = 0; i < info->setting_count; i++) {
        if (info->settings[i].key == TUSK_SETTING_QUOTA_BYTES && info->settings[i].value > 0) {
            const double used = (double)info->bytes * 100 / (double)info->settings[i].value;

            gauge_raise(&check->gauges[GAUGE_QUOTA], used,
                        "namespace %.100s has used %.0f%% of its quota", info->name, used);
        }
    }
    return 0;
}

static int look_at_stat(void *user, const char *name, uint64_t value)
{
    struct check *check = user;
    const struct {
        const char *name;
        uint64_t *value;
    } wanted[] = {{"corrupt_reads", &check->corrupt_reads},
                  {"journal_lsn", &check->journal_lsn},
                  {"durable_lsn", &check->durable_lsn},
                  {"unsynced_bytes", &check->unsynced_bytes},
                  {"unsynced_age_us", &check->unsynced_age_us}};
    size_t i;

    for (i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strcmp(name, wanted[i].name) == 0) {
            *wanted[i].value = value;
        }
    }
    return 0;
}

static int look_at_config(void *user, const struct tusk_config_item *item)
{
    struct check *check = user;

    if (strcmp(item->section, "server") == 0 && strcmp(item->key, "data_dir") == 0) {
        (void)snprintf(check->data_dir, sizeof check->data_dir, "%s", item->value);
    }
    return 0;
}

/* The daemon is on this machine: its file system is ours. A relative path is not. */
static void look_at_disk(struct check *check)
{
    struct gauge *gauge = &check->gauges[GAUGE_DISK];
    const int rc = tusk_config(check->cli->t, 0, look_at_config, check);
    struct statvfs disk;
    double used;

    if (rc != TUSK_OK) {
        (void)snprintf(gauge->text, sizeof gauge->text, "where the data directory is: %.300s",
                       tusk_last_error(check->cli->t)->text);
    } else if (check->data_dir[0] != '/' || statvfs(check->data_dir, &disk) != 0 ||
               disk.f_blocks == 0) {
        (void)snprintf(gauge->text, sizeof gauge->text,
                       "the data directory %.200s cannot be looked at from here", check->data_dir);
    } else {
        /* As df counts it: what is kept for root is neither used nor free. */
        used = (double)(disk.f_blocks - disk.f_bfree);
        used = 100 * used / (used + (double)disk.f_bavail);
        gauge_raise(gauge, used, "the file system of %.200s is %.0f%% full", check->data_dir, used);
    }
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

/* A daemon that does not tell the age is watched until what is written now is on disk, or for
 * longer than any threshold. */
static int look_at_unsynced(struct check *check)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};
    struct gauge *gauge = &check->gauges[GAUGE_UNSYNCED];
    const double enough = isnan(gauge->crit) ? gauge->warn : gauge->crit;
    const uint64_t end = check->journal_lsn;
    struct tusk_info info = {.size = sizeof info};
    struct timespec begin;
    double age = 0;
    int rc = TUSK_OK;

    (void)tusk_info(check->cli->t, &info);
    if (info.fsync_ms == UINT64_MAX && !gauge->asked) {
        return TUSK_OK; /* Nobody wants it synced */
    }
    if (check->unsynced_age_us != UINT64_MAX) {
        age = (double)check->unsynced_age_us / 1e6;
    } else {
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        while (rc == TUSK_OK && check->unsynced_bytes > 0 && check->durable_lsn < end &&
               age < enough) {
            (void)nanosleep(&pause, NULL);
            rc = tusk_stats(check->cli->t, look_at_stat, check);
            age = seconds_since(&begin);
        }
    }
    gauge_raise(gauge, age, "something is written and not on disk for %.3f s", age);
    return rc;
}

static int look(struct check *check)
{
    struct tusk *t = check->cli->t;
    int rc = tusk_stats(t, look_at_stat, check);

    if (rc == TUSK_OK) {
        gauge_raise(&check->gauges[GAUGE_DAMAGE], (double)check->corrupt_reads,
                    "%" PRIu64 " reads met damage since the daemon started", check->corrupt_reads);
        gauge_raise(&check->gauges[GAUGE_LAG], 0, "no cursor is behind");
        rc = tusk_topic_list(t, look_at_topic, check);
    }
    if (rc == TUSK_OK) {
        gauge_raise(&check->gauges[GAUGE_QUOTA], 0, "no namespace has a quota");
        rc = tusk_namespace_list(t, look_at_namespace, check);
    }
    if (rc == TUSK_OK) {
        look_at_disk(check);
        rc = look_at_unsynced(check);
    }
    return rc;
}

/* ---- Telling ---- */

static enum verdict judge(const struct gauge *gauge)
{
    if (!gauge->known) {
        return gauge->asked ? VERDICT_UNKNOWN : VERDICT_OK;
    }
    if (gauge->value >= gauge->crit) {
        return VERDICT_CRITICAL;
    }
    return gauge->value >= gauge->warn ? VERDICT_WARNING : VERDICT_OK;
}

/* CRITICAL before WARNING before UNKNOWN before OK: what is known to be bad is told first. */
static unsigned rank(enum verdict verdict)
{
    static const unsigned ranks[] = {0, 2, 3, 1};

    return ranks[verdict];
}

/* One line, and one '|' in it, whatever a name holds. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;

        (void)putchar(c < 0x20 || c == 0x7f || c == '|' ? '.' : c);
    }
}

static void print_threshold(const struct gauge *gauge, double value)
{
    (void)putchar(';');
    if (!isnan(value)) {
        (void)printf("%.*f", gauge->digits, value);
    }
}

static void print_gauges(const struct check *check)
{
    const char *before = " |";
    unsigned i;

    for (i = 0; i < GAUGE_KINDS; i++) {
        const struct gauge *gauge = &check->gauges[i];

        if (gauge->known) {
            (void)printf("%s %s=%.*f%s", before, gauge->name, gauge->digits, gauge->value,
                         gauge->unit);
            print_threshold(gauge, gauge->warn);
            print_threshold(gauge, gauge->crit);
            (void)fputs(";0", stdout);
            if (gauge->max > 0) {
                (void)printf(";%.0f", gauge->max);
            }
            before = "";
        }
    }
    (void)putchar('\n');
}

/* What is of this verdict; false when nothing is. */
static bool print_trouble(const struct check *check, enum verdict verdict, const char *before)
{
    bool any = false;
    unsigned i;

    for (i = 0; i <= GAUGE_KINDS; i++) {
        const struct gauge *gauge = &check->gauges[i < GAUGE_KINDS ? i : 0];

        if ((i < GAUGE_KINDS ? judge(gauge) : check->verdict) == verdict) {
            (void)fputs(any ? "; " : before, stdout);
            print_text(i < GAUGE_KINDS ? gauge->text : check->text);
            any = true;
        }
    }
    return any;
}

static int tell(const struct check *check)
{
    static const enum verdict order[] = {VERDICT_CRITICAL, VERDICT_WARNING, VERDICT_UNKNOWN};
    enum verdict worst = check->verdict;
    const char *before = " - ";
    unsigned i;

    for (i = 0; i < GAUGE_KINDS; i++) {
        const enum verdict verdict = judge(&check->gauges[i]);

        worst = rank(verdict) > rank(worst) ? verdict : worst;
    }
    (void)printf("TUSK %s", verdict_names[worst]);
    for (i = 0; i < sizeof order / sizeof order[0]; i++) {
        before = print_trouble(check, order[i], before) ? "; " : before;
    }
    if (worst == VERDICT_OK) {
        (void)fputs(" - the daemon answers, and all is well", stdout);
    }
    print_gauges(check);
    return cli_flush_output() == CLI_DONE ? (int)worst : (int)VERDICT_UNKNOWN;
}

/* It could not be looked at, or that is the trouble. */
static int tell_failure(int code, const char *text)
{
    const bool refused = code == TUSK_EDENIED || code == TUSK_ENOTFOUND || code == TUSK_EINVALID ||
                         code == TUSK_EVERSION || code == TUSK_EUNSUPPORTED;
    const enum verdict verdict = refused ? VERDICT_UNKNOWN : VERDICT_CRITICAL;

    (void)printf("TUSK %s - ", verdict_names[verdict]);
    print_text(text);
    (void)putchar('\n');
    return cli_flush_output() == CLI_DONE ? (int)verdict : (int)VERDICT_UNKNOWN;
}

int cli_check(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = check_options,
        .parser = check_option,
        .doc = "Tell in a line whether all is well, for Nagios and the like: exit status 0 OK, 1 "
               "WARNING, 2 CRITICAL, 3 UNKNOWN.\v"
               "Each threshold is reached by a value that is not smaller. A daemon that does not "
               "answer, and a namespace that is refused or stopped, are critical.",
        .children = cli_children};
    struct check check = {
        .cli = cli,
        .gauges =
            {[GAUGE_LAG] = {.name = "lag", .unit = "", .warn = NAN, .crit = NAN},
             [GAUGE_QUOTA] = {.name = "quota", .unit = "%", .max = 100, .warn = 80, .crit = 95},
             [GAUGE_DISK] = {.name = "disk", .unit = "%", .max = 100, .warn = 85, .crit = 95},
             [GAUGE_DAMAGE] = {.name = "damage", .unit = "", .warn = 1, .crit = 1},
             [GAUGE_UNSYNCED] =
                 {.name = "unsynced", .unit = "s", .digits = 3, .warn = 2, .crit = 10}},
        .unsynced_age_us = UINT64_MAX};
    struct tusk_failure failure;
    int rc;

    cli_parse(&argp, argc, argv, &check);
    rc = cli_try_connect(cli, &failure);
    if (rc != TUSK_OK) {
        return tell_failure(rc, failure.text);
    }
    rc = look(&check);
    return rc == TUSK_OK ? tell(&check) : tell_failure(rc, tusk_last_error(cli->t)->text);
}
