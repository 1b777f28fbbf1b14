#include "config/options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_SIZE 32u
#define DISTANCE_SUGGEST_MAX 4u /* Farther away, a suggestion is a guess */

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(section, key, type, fallback, min, max, environment, flag, help)                    \
    {#section, #key,        VALUE_##type, fallback, min,                                           \
     max,      environment, flag,         help,     offsetof(struct options, key)},
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

/* The key nearest to a wrong one, or NULL when none is near. */
static const char *nearest_key(const char *key)
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

static const struct option_row *find_key(const char *key)
{
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static int set_row(struct options *options, const struct option_row *row, const char *value,
                   const char *source, struct options_error *error)
{
    char *member = (char *)options + row->offset;
    char allowed[VALUE_TEXT_SIZE];
    const size_t size = strlen(value);
    uint64_t number;
    bool good;

    if (row->type == VALUE_PATH) {
        good = size >= row->min && size <= row->max;
        if (good) {
            memcpy(member, value, size + 1);
        }
    } else {
        good = value_parse(row->type, value, row->min, row->max, &number);
        if (good) {
            memcpy(member, &number, sizeof number);
        }
    }
    if (!good) {
        value_allowed(row->type, row->min, row->max, allowed, sizeof allowed);
        return fail(error, "%s: \"%s\" is not allowed for %s; allowed: %s", source, value, row->key,
                    allowed);
    }
    options->given[row - rows] = true;
    return 0;
}

int options_set(struct options *options, const char *key, const char *value, const char *source,
                struct options_error *error)
{
    const struct option_row *row = find_key(key);
    const char *near;

    if (row != NULL) {
        return set_row(options, row, value, source, error);
    }
    near = nearest_key(key);
    if (near == NULL) {
        return fail(error, "%s: there is no option \"%s\" (value \"%s\"); --help lists them all",
                    source, key, value);
    }
    return fail(error, "%s: there is no option \"%s\" (value \"%s\"); did you mean \"%s\"?", source,
                key, value, near);
}

/* The first of systemd's colon-separated directories, with `name` in it. */
static int set_from_directory(struct options *options, const struct option_row *row,
                              options_getenv_fn *get, const char *variable, const char *name,
                              struct options_error *error)
{
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
    return set_row(options, row, path, variable, error);
}

int options_default(struct options *options, options_getenv_fn *get, struct options_error *error)
{
    int i;

    memset(options, 0, sizeof *options);
    for (i = 0; i < OPTION_COUNT; i++) {
        if (set_row(options, &rows[i], rows[i].fallback, "built-in default", error) != 0) {
            return -1;
        }
    }
    if (set_from_directory(options, &rows[OPTION_data_dir], get, "STATE_DIRECTORY", "", error) !=
            0 ||
        set_from_directory(options, &rows[OPTION_socket], get, "RUNTIME_DIRECTORY", "/tuskd.sock",
                           error) != 0) {
        return -1;
    }
    memset(options->given, 0, sizeof options->given);
    return 0;
}

int options_environment(struct options *options, options_getenv_fn *get,
                        struct options_error *error)
{
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        const char *value = rows[i].environment != NULL ? get(rows[i].environment) : NULL;

        if (value == NULL || value[0] == '\0') {
            continue;
        }
        if (set_row(options, &rows[i], value, rows[i].environment, error) != 0) {
            return -1;
        }
    }
    return 0;
}

static void number_text(enum value_type type, uint64_t value, char *text)
{
    value_format(type, value, text, VALUE_TEXT_SIZE);
}

static int check_pages(const char *key, uint64_t value, struct options_error *error)
{
    char text[VALUE_TEXT_SIZE];

    if (value % 4096 == 0) {
        return 0;
    }
    number_text(VALUE_SIZE, value, text);
    return fail(error, "%s = %s: must be a multiple of 4KiB", key, text);
}

int options_check(const struct options *options, struct options_error *error)
{
    char a[VALUE_TEXT_SIZE];
    char b[VALUE_TEXT_SIZE];

    if (check_pages("block_size", options->block_size, error) != 0 ||
        check_pages("ring_size", options->ring_size, error) != 0 ||
        check_pages("journal_file_max", options->journal_file_max, error) != 0) {
        return -1;
    }
    if (options->entry_size_max > options->batch_size_max) {
        number_text(VALUE_SIZE, options->entry_size_max, a);
        number_text(VALUE_SIZE, options->batch_size_max, b);
        return fail(error, "entry_size_max = %s is more than batch_size_max = %s", a, b);
    }
    if (options->request_bytes_max < options->batch_size_max) {
        number_text(VALUE_SIZE, options->request_bytes_max, a);
        number_text(VALUE_SIZE, options->batch_size_max, b);
        return fail(error, "request_bytes_max = %s is less than batch_size_max = %s", a, b);
    }
    if (options->total_bytes_max / 4 < options->batch_size_max ||
        options->total_bytes_max / 4 < options->read_size_max) {
        number_text(VALUE_SIZE, options->total_bytes_max, a);
        return fail(error,
                    "total_bytes_max = %s: must be at least 4 times batch_size_max and "
                    "read_size_max, so that one client cannot take it all",
                    a);
    }
    if (options->journal_file_max > options->journal_size_max) {
        number_text(VALUE_SIZE, options->journal_file_max, a);
        number_text(VALUE_SIZE, options->journal_size_max, b);
        return fail(error, "journal_file_max = %s is more than journal_size_max = %s", a, b);
    }
    return 0;
}
