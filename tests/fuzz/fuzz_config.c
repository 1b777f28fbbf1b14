/* Configuration files, half written, damaged or malicious. Whatever is in them: each line is taken,
 * or refused with a sentence that names it; every option is within its bounds, and belongs to the
 * line it says; and what was taken, written out anew, is taken again as the same.
 *
 * The input is files, divided by a line "%%", read one behind the other. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "tests/fuzz/fuzz.h"

#define FILES_MAX 4u
#define DIVIDER "\n%%\n"

static const char *const names[FILES_MAX] = {"a", "b", "c", "d"};

struct files {
    const uint8_t *data[FILES_MAX];
    size_t size[FILES_MAX];
    unsigned count;
};

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void divide(struct files *files, const uint8_t *data, size_t size)
{
    files->count = 0;
    while (files->count < FILES_MAX) {
        const uint8_t *end = NULL;
        size_t here = size;

        if (files->count + 1 < FILES_MAX && size > 0) {
            end = memmem(data, size, DIVIDER, strlen(DIVIDER));
        }
        if (end != NULL) {
            here = (size_t)(end + 1 - data); /* The line before the divider ends */
        }
        files->data[files->count] = data;
        files->size[files->count++] = here;
        if (end == NULL) {
            return;
        }
        data = end + strlen(DIVIDER);
        size -= here + strlen(DIVIDER) - 1;
    }
}

static uint32_t count_lines(const struct files *files, unsigned index)
{
    uint32_t lines = 1;
    size_t i;

    for (i = 0; i < files->size[index]; i++) {
        lines += files->data[index][i] == '\n' ? 1 : 0;
    }
    return lines;
}

static unsigned file_of(const char *name)
{
    unsigned i;

    for (i = 0; i < FILES_MAX; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    REQUIRE(false);
    return 0;
}

static void parse(struct config *config, const char *name, const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    REQUIRE(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    copy[size] = '\0';
    config_parse(config, name, copy, size);
    free(copy);
}

/* ---- what holds afterwards ---- */

static void check_origin(const struct files *files, const struct option_origin *origin)
{
    if (origin->kind == ORIGIN_DEFAULT) {
        return;
    }
    REQUIRE(origin->kind == ORIGIN_FILE);
    REQUIRE(origin->line >= 1 && origin->line <= count_lines(files, file_of(origin->name)));
}

static void check_number(const struct option_row *row, uint64_t number)
{
    REQUIRE((number >= row->min && number <= row->max) ||
            (row->type == VALUE_FSYNC && number == VALUE_FSYNC_NONE));
}

static void check_values(const struct config *config, const struct files *files)
{
    const struct option_row *rows = options_rows();
    uint32_t space;
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        check_origin(files, &config->options.origin[i]);
        if (rows[i].type != VALUE_PATH) {
            check_number(&rows[i], options_get(&config->options, i));
        }
        for (space = 0; space < config->namespace_count; space++) {
            const struct config_namespace *at = &config->namespaces[space];

            check_origin(files, &at->origin[i]);
            if (at->origin[i].kind == ORIGIN_FILE) {
                REQUIRE(rows[i].section == OPTION_SECTION_setting);
                check_number(&rows[i], at->value[i]);
            }
        }
    }
    for (space = 0; space < config->namespace_count; space++) {
        REQUIRE(config->namespaces[space].name[0] != '\0');
        REQUIRE(config_namespace_find(config, config->namespaces[space].name) ==
                &config->namespaces[space]);
    }
}

/* A sentence begins with a place that is there, and no line has two. */
static void check_errors(const struct config *config, const struct files *files)
{
    unsigned file_before = 0;
    unsigned long line_before = 0;
    uint32_t i;

    REQUIRE(config->errors.left_off == 0 || config->errors.count == CONFIG_REPORT_MAX);
    for (i = 0; i < config->errors.count; i++) {
        const char *text = config->errors.texts[i];
        const char name[2] = {text[0], '\0'};
        const unsigned file = file_of(name);
        char *end;
        unsigned long line;

        REQUIRE(text[1] == ':');
        line = strtoul(text + 2, &end, 10);
        REQUIRE(end[0] == ':' && end[1] == ' ' && end[2] != '\0');
        REQUIRE(line >= 1 && line <= count_lines(files, file));
        REQUIRE(i == 0 || file > file_before || line > line_before);
        file_before = file;
        line_before = line;
    }
}

/* ---- written out and read again ---- */

static void write_name(FILE *out, const char *name)
{
    (void)fprintf(out, "[namespace \"");
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(*name, out);
    }
    (void)fprintf(out, "\"]\n");
}

static void write_all(FILE *out, const struct config *config)
{
    const struct option_row *rows = options_rows();
    char value[OPTIONS_PATH_SIZE];
    uint32_t space;
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (config->options.origin[i].kind == ORIGIN_FILE) {
            options_text(&config->options, i, value);
            (void)fprintf(out, "[%s]\n%s=%s\n", options_section_name(rows[i].section), rows[i].key,
                          value);
        }
    }
    for (space = 0; space < config->namespace_count; space++) {
        const struct config_namespace *at = &config->namespaces[space];

        write_name(out, at->name);
        for (i = 0; i < OPTION_COUNT; i++) {
            if (at->origin[i].kind == ORIGIN_FILE) {
                value_format(rows[i].type, at->value[i], value, sizeof value);
                (void)fprintf(out, "%s = %s\n", rows[i].key, value);
            }
        }
    }
}

static void check_again(const struct config *config)
{
    struct options_error error;
    struct config again = {.file = ""};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    uint32_t space;
    int i;

    REQUIRE(out != NULL);
    write_all(out, config);
    REQUIRE(fclose(out) == 0);
    REQUIRE(options_default(&again.options, no_environment, &error) == 0);
    parse(&again, "a", (const uint8_t *)text, size);
    REQUIRE(again.errors.count == 0);
    REQUIRE(again.namespace_count == config->namespace_count);
    for (i = 0; i < OPTION_COUNT; i++) {
        REQUIRE(options_same(&again.options, &config->options, i));
        for (space = 0; space < config->namespace_count; space++) {
            REQUIRE(again.namespaces[space].origin[i].kind ==
                    config->namespaces[space].origin[i].kind);
            REQUIRE(again.namespaces[space].value[i] == config->namespaces[space].value[i] ||
                    again.namespaces[space].origin[i].kind == ORIGIN_DEFAULT);
        }
    }
    free(text);
    config_free(&again);
}

/* ---- the target ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config = {.file = ""};
    struct options_error error;
    struct files files;
    unsigned i;

    divide(&files, data, size);
    REQUIRE(options_default(&config.options, no_environment, &error) == 0);
    for (i = 0; i < files.count; i++) {
        parse(&config, names[i], files.data[i], files.size[i]);
    }
    check_values(&config, &files);
    check_errors(&config, &files);
    check_again(&config);
    if (options_check(&config.options, &error) != 0) {
        REQUIRE(error.text[0] != '\0');
    }
    config_free(&config);
    return 0;
}

/* ---- the mutator: lines that mean something ---- */

static size_t draw_line(char *line, size_t size, unsigned draw)
{
    static const char *const lines[] = {
        "[server]\n",
        "[defaults]\n",
        "[namespace \"eu\"]\n",
        "[namespace \"\\\"",
        "\\\\\"]\n",
        "\n%%\n",
        "# ",
        " ; ",
        "\"",
        "\\",
        "[namespace \"\xc3\xa9",
        "= ",
    };
    const struct option_row *row = &options_rows()[draw / 4 % OPTION_COUNT];

    if (draw % 4 == 0) {
        return (size_t)snprintf(line, size, "%s", lines[draw / 4 % (sizeof lines / sizeof *lines)]);
    }
    if (draw % 4 == 1) {
        return (size_t)snprintf(line, size, "[%s]\n%s = %s\n", options_section_name(row->section),
                                row->key, row->fallback);
    }
    return (size_t)snprintf(line, size, "%s = %s\n", row->key, row->fallback);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    char line[256];
    const size_t line_size = draw_line(line, sizeof line, seed / 8);
    size_t at = size == 0 ? 0 : seed / 2048 % (size + 1);

    if (seed % 3 != 0 || line_size > size_max - size) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    while (seed % 2 == 0 && at > 0 && data[at - 1] != '\n') {
        at--; /* Between two lines, often */
    }
    memmove(data + at + line_size, data + at, size - at);
    memcpy(data + at, line, line_size);
    return size + line_size;
}
