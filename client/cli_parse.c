#include "client/cli_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The number in front, and what follows it. */
static int parse_number(const char *text, uint64_t *value, const char **rest)
{
    char *end;

    if (!isdigit((unsigned char)*text)) {
        return -1;
    }
    errno = 0;
    *value = strtoull(text, &end, 10);
    *rest = end;
    return errno == 0 ? 0 : -1;
}

int parse_u64(const char *text, uint64_t *value)
{
    const char *rest;

    return parse_number(text, value, &rest) == 0 && *rest == '\0' ? 0 : -1;
}

int parse_count(const char *text, uint32_t *value)
{
    uint64_t number;

    if (parse_u64(text, &number) != 0 || number == 0 || number > UINT32_MAX) {
        return -1;
    }
    *value = (uint32_t)number;
    return 0;
}

int parse_seconds(const char *text, double *seconds)
{
    char *end;

    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds >= 0 ? 0 : -1;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int parse_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    const char *rest;
    size_t i;

    if (parse_number(text, value, &rest) != 0) {
        return -1;
    }
    for (i = 0; i < count; i++) {
        if (strcmp(rest, units[i].name) == 0) {
            return __builtin_mul_overflow(*value, units[i].factor, value) ? -1 : 0;
        }
    }
    return -1;
}

int parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"K", 1024},
                                        {"KiB", 1024},
                                        {"M", 1024 * 1024},
                                        {"MiB", 1024 * 1024},
                                        {"G", 1024 * 1024 * 1024},
                                        {"GiB", 1024 * 1024 * 1024},
                                        {"T", 1024ull * 1024 * 1024 * 1024},
                                        {"TiB", 1024ull * 1024 * 1024 * 1024}};

    return parse_unit(text, units, sizeof units / sizeof units[0], bytes);
}

int parse_duration_ms(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                        {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    return parse_unit(text, units, sizeof units / sizeof units[0], ms);
}

/* ---- Positions ---- */

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int parse_time(const char *text, uint64_t *us)
{
    struct tm parts = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    double seconds;
    time_t time;

    if (rest == NULL) {
        if (parse_seconds(text, &seconds) != 0 || seconds > 1e12) {
            return -1;
        }
        *us = (uint64_t)(seconds * 1e6);
        return 0;
    }
    if (strcmp(rest, "Z") == 0) {
        time = timegm(&parts);
    } else if (*rest == '\0') {
        time = mktime(&parts);
    } else {
        return -1;
    }
    *us = (uint64_t)time * 1000000;
    return time >= 0 ? 0 : -1;
}

static int parse_before_now(const char *text, uint64_t *us)
{
    uint64_t now = now_us();
    uint64_t ms;

    if (parse_duration_ms(text, &ms) != 0) {
        return -1;
    }
    *us = ms > now / 1000 ? 0 : now - ms * 1000;
    return 0;
}

int parse_position(const char *text, struct tusk_position *position)
{
    *position = (struct tusk_position){0};
    if (strcmp(text, "earliest") == 0) {
        position->kind = TUSK_FROM_EARLIEST;
        return 0;
    }
    if (strcmp(text, "latest") == 0) {
        position->kind = TUSK_FROM_LATEST;
        return 0;
    }
    position->kind = TUSK_FROM_TIME;
    if (text[0] == '@') {
        return parse_time(text + 1, &position->value);
    }
    if (strncmp(text, "now-", 4) == 0) {
        return parse_before_now(text + 4, &position->value);
    }
    if (text[0] == '-') {
        return parse_before_now(text + 1, &position->value);
    }
    position->kind = TUSK_FROM_OFFSET;
    return parse_u64(text, &position->value);
}

/* ---- Settings ---- */

enum setting_form {
    FORM_NUMBER,
    FORM_SIZE,
    FORM_DURATION,
    FORM_RETENTION,
    FORM_FSYNC,
    FORM_CONSISTENCY,
    FORM_QUOTA
};

static const struct setting_name {
    const char *name;
    uint16_t key;
    enum setting_form form;
} setting_names[] = {
    {"retention", TUSK_SETTING_RETENTION, FORM_RETENTION},
    {"retention-age", TUSK_SETTING_RETENTION_AGE, FORM_DURATION},
    {"retention-size", TUSK_SETTING_RETENTION_SIZE, FORM_SIZE},
    {"fsync", TUSK_SETTING_FSYNC, FORM_FSYNC},
    {"consistency", TUSK_SETTING_CONSISTENCY, FORM_CONSISTENCY},
    {"quota-bytes", TUSK_SETTING_QUOTA_BYTES, FORM_SIZE},
    {"quota-topics", TUSK_SETTING_QUOTA_TOPICS, FORM_NUMBER},
    {"quota-cursors", TUSK_SETTING_QUOTA_CURSORS, FORM_NUMBER},
    {"quota-policy", TUSK_SETTING_QUOTA_POLICY, FORM_QUOTA},
};

#define SETTING_NAME_COUNT (sizeof setting_names / sizeof setting_names[0])

static const struct unit retentions[] = {{"all", TUSK_RETENTION_ALL},
                                         {"consumed", TUSK_RETENTION_CONSUMED},
                                         {"age", TUSK_RETENTION_AGE_LIMIT},
                                         {"size", TUSK_RETENTION_SIZE_LIMIT},
                                         {"inherit", TUSK_RETENTION_INHERIT}};

#define RETENTION_COUNT (sizeof retentions / sizeof retentions[0])
static const struct unit quota_policies[] = {{"reject", TUSK_QUOTA_REJECT},
                                             {"drop-oldest", TUSK_QUOTA_DROP_OLDEST},
                                             {"wait", TUSK_QUOTA_WAIT}};

#define QUOTA_POLICY_COUNT (sizeof quota_policies / sizeof quota_policies[0])
#define AT_LEAST_ONCE "at-least-once:"

const char *parse_setting_names(void)
{
    return "retention=all|consumed|age|size|inherit, retention-age=DURATION, retention-size=SIZE, "
           "fsync=each|none|MS, consistency=strict|at-least-once:N, quota-bytes=SIZE, "
           "quota-topics=N, quota-cursors=N, quota-policy=reject|drop-oldest|wait";
}

static int parse_word(const char *text, const struct unit *words, size_t count, uint64_t *value)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(text, words[i].name) == 0) {
            *value = words[i].factor;
            return 0;
        }
    }
    return -1;
}

static void format_word(char *out, size_t size, const struct unit *words, size_t count,
                        uint64_t value)
{
    size_t i;

    (void)snprintf(out, size, "%llu", (unsigned long long)value);
    for (i = 0; i < count; i++) {
        if (words[i].factor == value) {
            (void)snprintf(out, size, "%s", words[i].name);
        }
    }
}

void format_size(char *out, size_t size, uint64_t value)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    while (value != 0 && value % 1024 == 0 && i + 1 < sizeof names / sizeof names[0]) {
        value /= 1024;
        i++;
    }
    (void)snprintf(out, size, "%llu%s", (unsigned long long)value, names[i]);
}

static int parse_setting_value(enum setting_form form, const char *text, uint64_t *value)
{
    *value = 0;
    switch (form) {
    case FORM_NUMBER:
        return parse_u64(text, value);
    case FORM_SIZE:
        return parse_size(text, value);
    case FORM_DURATION:
        return parse_duration_ms(text, value);
    case FORM_RETENTION:
        return parse_word(text, retentions, RETENTION_COUNT, value);
    case FORM_QUOTA:
        return parse_word(text, quota_policies, QUOTA_POLICY_COUNT, value);
    case FORM_FSYNC:
        if (strcmp(text, "none") == 0) {
            *value = UINT64_MAX;
            return 0;
        }
        return strcmp(text, "each") == 0 ? 0 : parse_duration_ms(text, value);
    case FORM_CONSISTENCY:
        if (strcmp(text, "strict") == 0) {
            return 0;
        }
        if (strncmp(text, AT_LEAST_ONCE, strlen(AT_LEAST_ONCE)) != 0) {
            return -1;
        }
        return parse_u64(text + strlen(AT_LEAST_ONCE), value) == 0 && *value > 0 ? 0 : -1;
    }
    return -1;
}

int parse_setting(const char *text, struct tusk_setting *setting)
{
    size_t i;

    for (i = 0; i < SETTING_NAME_COUNT; i++) {
        const struct setting_name *name = &setting_names[i];
        size_t size = strlen(name->name);

        if (strncmp(text, name->name, size) == 0 && text[size] == '=') {
            setting->key = name->key;
            return parse_setting_value(name->form, text + size + 1, &setting->value);
        }
    }
    return -1;
}

static void format_setting_value(char *out, size_t size, enum setting_form form, uint64_t value)
{
    if (form == FORM_FSYNC && (value == 0 || value == UINT64_MAX)) {
        (void)snprintf(out, size, value == 0 ? "each" : "none");
        return;
    }
    if (form == FORM_CONSISTENCY) {
        (void)snprintf(out, size, value == 0 ? "strict" : AT_LEAST_ONCE "%llu",
                       (unsigned long long)value);
        return;
    }
    if (form == FORM_RETENTION) {
        format_word(out, size, retentions, RETENTION_COUNT, value);
        return;
    }
    if (form == FORM_QUOTA) {
        format_word(out, size, quota_policies, QUOTA_POLICY_COUNT, value);
        return;
    }
    if (form == FORM_SIZE) {
        format_size(out, size, value);
        return;
    }
    (void)snprintf(out, size, "%llu%s", (unsigned long long)value,
                   form == FORM_DURATION || form == FORM_FSYNC ? "ms" : "");
}

void format_setting(char *out, size_t size, const struct tusk_setting *setting)
{
    char value[40];
    size_t i;

    for (i = 0; i < SETTING_NAME_COUNT; i++) {
        if (setting_names[i].key == setting->key) {
            format_setting_value(value, sizeof value, setting_names[i].form, setting->value);
            (void)snprintf(out, size, "%s=%s", setting_names[i].name, value);
            return;
        }
    }
    (void)snprintf(out, size, "%u=%llu", setting->key, (unsigned long long)setting->value);
}

void format_time(char *out, size_t size, uint64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    size_t used;

    if (time_us == 0 || gmtime_r(&seconds, &parts) == NULL) {
        (void)snprintf(out, size, "-");
        return;
    }
    used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + used, size - used, ".%06uZ", (unsigned)(time_us % 1000000));
}

/* ---- Words that are almost known ---- */

#define NEAREST_SIZE 32u /* Letters that are looked at */
#define NEAREST_MAX 4u   /* From here on nothing is near */

/* How many letters to put in, take out or change (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
    const size_t a_size = strnlen(a, NEAREST_SIZE);
    const size_t b_size = strnlen(b, NEAREST_SIZE);
    unsigned row[NEAREST_SIZE + 1];
    size_t i;
    size_t j;

    for (j = 0; j <= b_size; j++) {
        row[j] = (unsigned)j;
    }
    for (i = 1; i <= a_size; i++) {
        unsigned corner = row[0]; /* Above, and one to the left */

        row[0] = (unsigned)i;
        for (j = 1; j <= b_size; j++) {
            const unsigned change = corner + (a[i - 1] != b[j - 1]);
            const unsigned put_in = row[j - 1] + 1;
            const unsigned take_out = row[j] + 1;

            corner = row[j];
            row[j] = change < put_in ? change : put_in;
            row[j] = row[j] < take_out ? row[j] : take_out;
        }
    }
    return row[b_size];
}

const char *parse_nearest(const char *word, const char *const names[], size_t count)
{
    const char *near = NULL;
    unsigned best = NEAREST_MAX;
    size_t i;

    for (i = 0; i < count; i++) {
        const unsigned found = distance(word, names[i]);

        /* More than half of a short word changed is another word. */
        if (found < best && 2 * (size_t)found <= strlen(word)) {
            best = found;
            near = names[i];
        }
    }
    return near;
}
