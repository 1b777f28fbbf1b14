#include "config/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_SIZE 32u
#define DISTANCE_SUGGEST_MAX 4u /* Farther away, a suggestion is a guess */

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(section, key, type, fallback, min, max, when, environment, flag, help)              \
    {OPTION_SECTION_##section,                                                                     \
     #key,                                                                                         \
     VALUE_##type,                                                                                 \
     fallback,                                                                                     \
     min,                                                                                          \
     max,                                                                                          \
     OPTION_WHEN_##when,                                                                           \
     environment,                                                                                  \
     flag,                                                                                         \
     help,                                                                                         \
     offsetof(struct options, key)},
#include "config/options.def"
#undef OPTION
};

static int fail(struct options_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct options_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof error->text, format, args); /* Cut is fine */
    va_end(args);
    return -1;
}

const struct option_row *options_rows(void)
{
    return rows;
}

unsigned options_distance(const char *a, const char *b)
{
    const size_t a_size = strnlen(a, DISTANCE_SIZE);
    const size_t b_size = strnlen(b, DISTANCE_SIZE);
    unsigned row[DISTANCE_SIZE + 1];
    size_t i;
    size_t j;

    for (j = 0; j <= b_size; j++) {
        row[j] = (unsigned)j;
    }
    for (i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0]; /* Of the row above, one to the left */

        row[0] = (unsigned)i;
        for (j = 1; j <= b_size; j++) {
            const unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

            best = best < above + 1 ? best : above + 1;
            best = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[b_size];
}

const char *options_nearest(const char *key)
{
    unsigned best = DISTANCE_SUGGEST_MAX;
    const char *found = NULL;
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        const unsigned distance = options_distance(key, rows[i].key);

        /* More than half of a short word changed is another word. */
        if (distance < best && 2 * distance <= strlen(key)) {
            best = distance;
            found = rows[i].key;
        }
    }
    return found;
}

const struct option_row *options_find(const char *key)
{
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *options_section_name(enum option_section section)
{
    return section == OPTION_SECTION_server ? "server" : "defaults";
}

/* ---- where a value came from ---- */

void option_origin_text(const struct option_origin *origin, char *text)
{
    switch (origin->kind) {
    case ORIGIN_DEFAULT:
        if (origin->name == NULL) {
            (void)snprintf(text, OPTIONS_ORIGIN_SIZE, "default");
            return;
        }
        break;
    case ORIGIN_FILE:
        (void)snprintf(text, OPTIONS_ORIGIN_SIZE, "%s:%" PRIu32, origin->name, origin->line);
        return;
    case ORIGIN_ENVIRONMENT:
        break;
    case ORIGIN_ARGUMENT:
        (void)snprintf(text, OPTIONS_ORIGIN_SIZE, "--%s", origin->name);
        return;
    }
    (void)snprintf(text, OPTIONS_ORIGIN_SIZE, "%s", origin->name);
}

/* ---- values ---- */

static int refuse(const struct option_row *row, const char *value,
                  const struct option_origin *origin, struct options_error *error)
{
    char allowed[VALUE_TEXT_SIZE];
    char where[OPTIONS_ORIGIN_SIZE];

    option_origin_text(origin, where);
    value_allowed(row->type, row->min, row->max, allowed, sizeof allowed);
    return fail(error, "%s: \"%s\" is not allowed for %s; allowed: %s", where, value, row->key,
                allowed);
}

int options_number(const struct option_row *row, const char *value,
                   const struct option_origin *origin, uint64_t *number,
                   struct options_error *error)
{
    if (row->type == VALUE_PATH || !value_parse(row->type, value, row->min, row->max, number)) {
        return refuse(row, value, origin, error);
    }
    return 0;
}

static int set_row(struct options *options, const struct option_row *row, const char *value,
                   const struct option_origin *origin, struct options_error *error)
{
    char *member = (char *)options + row->offset;
    const size_t size = strlen(value);
    uint64_t number;

    if (row->type == VALUE_PATH) {
        if (size < row->min || size > row->max) {
            return refuse(row, value, origin, error);
        }
        memcpy(member, value, size + 1);
    } else {
        if (options_number(row, value, origin, &number, error) != 0) {
            return -1;
        }
        memcpy(member, &number, sizeof number);
    }
    options->origin[row - rows] = *origin;
    return 0;
}

int options_set(struct options *options, const char *key, const char *value,
                const struct option_origin *origin, struct options_error *error)
{
    const struct option_row *row = options_find(key);
    char where[OPTIONS_ORIGIN_SIZE];
    const char *near;

    if (row != NULL) {
        return set_row(options, row, value, origin, error);
    }
    near = options_nearest(key);
    option_origin_text(origin, where);
    if (near == NULL) {
        return fail(error, "%s: there is no option \"%s\" (value \"%s\"); --help lists them all",
                    where, key, value);
    }
    return fail(error, "%s: there is no option \"%s\" (value \"%s\"); did you mean \"%s\"?", where,
                key, value, near);
}

uint64_t options_get(const struct options *options, int index)
{
    uint64_t number;

    memcpy(&number, (const char *)options + rows[index].offset, sizeof number);
    return number;
}

void options_text(const struct options *options, int index, char *text)
{
    if (rows[index].type == VALUE_PATH) {
        (void)snprintf(text, OPTIONS_PATH_SIZE, "%s", (const char *)options + rows[index].offset);
        return;
    }
    value_format(rows[index].type, options_get(options, index), text, OPTIONS_PATH_SIZE);
}

void options_fallback(int index, char *text)
{
    const struct option_row *row = &rows[index];
    uint64_t number;

    if (row->type == VALUE_PATH ||
        !value_parse(row->type, row->fallback, row->min, row->max, &number)) {
        (void)snprintf(text, OPTIONS_PATH_SIZE, "%s", row->fallback);
        return;
    }
    value_format(row->type, number, text, OPTIONS_PATH_SIZE);
}

bool options_same(const struct options *a, const struct options *b, int index)
{
    if (rows[index].type == VALUE_PATH) {
        return strcmp((const char *)a + rows[index].offset, (const char *)b + rows[index].offset) ==
               0;
    }
    return options_get(a, index) == options_get(b, index);
}

void options_copy(struct options *to, const struct options *from, int index)
{
    const size_t size = rows[index].type == VALUE_PATH ? OPTIONS_PATH_SIZE : sizeof(uint64_t);

    memcpy((char *)to + rows[index].offset, (const char *)from + rows[index].offset, size);
    to->origin[index] = from->origin[index];
}

/* ---- defaults, environment ---- */

/* The first of systemd's colon-separated directories, with `name` in it. */
static int set_from_directory(struct options *options, const struct option_row *row,
                              options_getenv_fn *get, const char *variable, const char *name,
                              struct options_error *error)
{
    const struct option_origin origin = {.kind = ORIGIN_DEFAULT, .name = variable};
    const char *value = get(variable);
    char path[OPTIONS_PATH_SIZE];
    int size;

    if (value == NULL || value[0] == '\0') {
        return 0;
    }
    size = snprintf(path, sizeof path, "%.*s%s", (int)strcspn(value, ":"), value, name);
    if (size < 0 || (size_t)size >= sizeof path) {
        return fail(error, "%s: longer than %zu bytes", variable, sizeof path - 1);
    }
    return set_row(options, row, path, &origin, error);
}

int options_default(struct options *options, options_getenv_fn *get, struct options_error *error)
{
    const struct option_origin origin = {.kind = ORIGIN_DEFAULT};
    int i;

    memset(options, 0, sizeof *options);
    for (i = 0; i < OPTION_COUNT; i++) {
        if (set_row(options, &rows[i], rows[i].fallback, &origin, error) != 0) {
            return -1;
        }
    }
    if (set_from_directory(options, &rows[OPTION_data_dir], get, "STATE_DIRECTORY", "", error) !=
            0 ||
        set_from_directory(options, &rows[OPTION_socket], get, "RUNTIME_DIRECTORY", "/tuskd.sock",
                           error) != 0 ||
        set_from_directory(options, &rows[OPTION_metrics_socket], get, "RUNTIME_DIRECTORY",
                           "/metrics.sock", error) != 0) {
        return -1;
    }
    return 0;
}

int options_environment(struct options *options, options_getenv_fn *get,
                        struct options_error *error)
{
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_origin origin = {ORIGIN_ENVIRONMENT, 0, rows[i].environment};
        const char *value = rows[i].environment != NULL ? get(rows[i].environment) : NULL;

        if (value == NULL || value[0] == '\0') {
            continue;
        }
        if (set_row(options, &rows[i], value, &origin, error) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- what no single value shows ---- */

/* "batch_size_max = 8MiB (default)" */
#define SAID_SIZE (2 * VALUE_TEXT_SIZE + OPTIONS_ORIGIN_SIZE)

static const char *say(const struct options *options, int index, char *text)
{
    char value[OPTIONS_PATH_SIZE];
    char where[OPTIONS_ORIGIN_SIZE];

    options_text(options, index, value);
    option_origin_text(&options->origin[index], where);
    (void)snprintf(text, SAID_SIZE, "%s = %.*s (%s)", rows[index].key, (int)VALUE_TEXT_SIZE, value,
                   where);
    return text;
}

static int check_pages(const struct options *options, int index, struct options_error *error)
{
    char text[SAID_SIZE];

    if (options_get(options, index) % 4096 == 0) {
        return 0;
    }
    return fail(error, "%s: must be a multiple of 4KiB", say(options, index, text));
}

/* That an option is not more than another. */
static int check_at_most(const struct options *options, int less, int more,
                         struct options_error *error)
{
    char a[SAID_SIZE];
    char b[SAID_SIZE];

    if (options_get(options, less) <= options_get(options, more)) {
        return 0;
    }
    return fail(error, "%s is more than %s", say(options, less, a), say(options, more, b));
}

static int check_total(const struct options *options, int index, struct options_error *error)
{
    char a[SAID_SIZE];
    char b[SAID_SIZE];

    if (options->total_bytes_max / 4 >= options_get(options, index)) {
        return 0;
    }
    return fail(error, "%s: must be at least 4 times %s, so that one client cannot take it all",
                say(options, OPTION_total_bytes_max, a), say(options, index, b));
}

/* A rule without its number would give up everything at once. */
static int check_retention(const struct options *options, uint64_t kind, int index,
                           struct options_error *error)
{
    char a[SAID_SIZE];
    char b[SAID_SIZE];

    if (options->retention != kind || options_get(options, index) != 0) {
        return 0;
    }
    return fail(error, "%s with %s would keep nothing", say(options, OPTION_retention, a),
                say(options, index, b));
}

int options_check(const struct options *options, struct options_error *error)
{
    int rc = check_pages(options, OPTION_block_size, error);

    rc = rc != 0 ? rc : check_pages(options, OPTION_ring_size, error);
    rc = rc != 0 ? rc : check_pages(options, OPTION_journal_file_max, error);
    rc = rc != 0 ? rc : check_at_most(options, OPTION_entry_size_max, OPTION_batch_size_max, error);
    rc = rc != 0 ? rc
                 : check_at_most(options, OPTION_batch_size_max, OPTION_request_bytes_max, error);
    rc = rc != 0 ? rc
                 : check_at_most(options, OPTION_journal_file_max, OPTION_journal_size_max, error);
    rc = rc != 0 ? rc : check_total(options, OPTION_batch_size_max, error);
    rc = rc != 0 ? rc : check_total(options, OPTION_read_size_max, error);
    rc = rc != 0 ? rc : check_retention(options, VALUE_RETAIN_AGE, OPTION_retention_age, error);
    return rc != 0 ? rc : check_retention(options, VALUE_RETAIN_SIZE, OPTION_retention_size, error);
}
