/* What a file says.
 *
 *     # a comment, or ; one
 *     [server]                  or [defaults], or [namespace "NAME"], \" and \\ inside NAME
 *     KEY = VALUE               up to the end of the line, or to " ;"
 *     allow = RULES             access.h; the only key that may come again
 *
 * The lines are counted, judged and cut here; libinih is given one KEY = VALUE at a time, so that
 * every error is found and has its line. It would cut sections at 50 bytes, and has no word for
 * one that is empty: they are read here. The last line must end, or the file is taken for one
 * that is half written. */
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "proto/message.h"

#define BOM "\xef\xbb\xbf"
#define BOM_SIZE 3u
#define BLANKS " \t\r"
#define SECTION_SIZE_MAX 1024u /* Of the line: a name may be twice as long with its backslashes */

enum section_kind { SECTION_NONE, SECTION_SERVER, SECTION_DEFAULTS, SECTION_SPACE, SECTION_BAD };

struct parser {
    struct config *config;
    struct option_origin origin; /* The line being read */
    enum section_kind section;
    uint32_t space; /* With SECTION_SPACE: its index */
};

static void complain(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct parser *parser, const char *format, ...)
{
    char text[OPTIONS_ERROR_SIZE];
    char where[OPTIONS_ORIGIN_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* Cut is fine */
    va_end(args);
    option_origin_text(&parser->origin, where);
    config_report(&parser->config->errors, "%s: %s", where, text);
}

/* ---- sections ---- */

static bool stands_for_itself(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Whether a namespace can have this name; it is also the name of a directory, percent-encoded. */
static bool name_valid(const char *name)
{
    const size_t size = strlen(name);
    size_t encoded = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        encoded += stands_for_itself(name[i]) ? 1 : 3;
    }
    return size > 0 && encoded <= CONFIG_NAME_SIZE_MAX && message_utf8_valid(name, size);
}

/* The text between quotation marks. *end is behind the second. False: there is no second. */
static bool take_quoted(const char *at, char *out, const char **end)
{
    while (*at != '"' && *at != '\0') {
        if (at[0] == '\\' && (at[1] == '"' || at[1] == '\\')) {
            at++;
        }
        *out++ = *at++;
    }
    *out = '\0';
    *end = at + 1;
    return *at == '"';
}

static void enter_space(struct parser *parser, const char *name)
{
    struct config *config = parser->config;
    struct config_namespace *more;
    uint32_t i;

    for (i = 0; i < config->namespace_count; i++) {
        if (strcmp(config->namespaces[i].name, name) == 0) {
            parser->section = SECTION_SPACE;
            parser->space = i;
            return;
        }
    }
    if (!name_valid(name)) {
        complain(parser,
                 "\"%s\" is not a namespace's name: 1 to %u bytes of UTF-8, percent-encoded too",
                 name, CONFIG_NAME_SIZE_MAX);
        return;
    }
    if (config->namespace_count == CONFIG_NAMESPACES_MAX) {
        complain(parser, "sections for more than %u namespaces", CONFIG_NAMESPACES_MAX);
        return;
    }
    more = realloc(config->namespaces, (config->namespace_count + 1) * sizeof *more);
    if (more == NULL) {
        complain(parser, "out of memory");
        return;
    }
    config->namespaces = more;
    more += config->namespace_count;
    memset(more, 0, sizeof *more);
    memcpy(more->name, name, strlen(name) + 1); /* name_valid() knows that it fits */
    more->section = parser->origin;
    parser->section = SECTION_SPACE;
    /* fanalyzer-suppress malloc-leak: config->namespaces has it */
    parser->space = config->namespace_count++;
}

static void unknown_section(struct parser *parser, const char *name)
{
    static const char *const known[] = {"server", "defaults", "namespace"};
    const char *near = "";
    unsigned best = 4; /* Edits; farther away, a suggestion is a guess */
    size_t i;

    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        const unsigned distance = options_distance(name, known[i]);

        if (distance < best) {
            best = distance;
            near = known[i];
        }
    }
    complain(parser,
             "there is no section [%s]%s%s%s; allowed: [server], [defaults], [namespace \"NAME\"]",
             name, near[0] != '\0' ? ", did you mean [" : "", near, near[0] != '\0' ? "]" : "");
}

/* A line that begins with '['. What follows a bad one is not judged: its section is not known. */
static void take_section(struct parser *parser, const char *line)
{
    char name[SECTION_SIZE_MAX + 1] = "";
    const char *at = line + 1 + strspn(line + 1, BLANKS);
    const size_t size = strcspn(at, BLANKS "\"]");
    bool quoted = false;
    char word[64];

    parser->section = SECTION_BAD;
    (void)snprintf(word, sizeof word, "%.*s", (int)(size < sizeof word ? size : sizeof word), at);
    at += size;
    at += strspn(at, BLANKS);
    if (*at == '"') {
        quoted = take_quoted(at + 1, name, &at);
        if (!quoted) {
            complain(parser, "the name of the section has no second quotation mark");
            return;
        }
        at += strspn(at, BLANKS);
    }
    if (*at != ']') {
        complain(parser, "a section stands between [ and ], a namespace's name between quotation "
                         "marks: [namespace \"NAME\"]");
        return;
    }
    at += 1 + strspn(at + 1, BLANKS);
    if (*at != '\0' && *at != '#' && *at != ';') {
        complain(parser, "there is something behind the section's ]");
        return;
    }
    if (strcmp(word, "namespace") == 0 && !quoted) {
        complain(parser, "a namespace's section names it: [namespace \"NAME\"]");
    } else if (strcmp(word, "namespace") == 0) {
        enter_space(parser, name);
    } else if (quoted) {
        complain(parser, "only [namespace \"NAME\"] has a name, not [%s]", word);
    } else if (strcmp(word, "server") == 0) {
        parser->section = SECTION_SERVER;
    } else if (strcmp(word, "defaults") == 0) {
        parser->section = SECTION_DEFAULTS;
    } else {
        unknown_section(parser, word);
    }
}

/* ---- options ---- */

static void unknown_key(struct parser *parser, const char *key, const char *value)
{
    /* Looking for it is slow, and what is not kept need not be good: a file of nothing but errors
     * must not hold the daemon up. */
    const bool kept = parser->config->errors.count < CONFIG_REPORT_MAX;
    const char *near = kept ? options_nearest(key) : NULL;

    if (near != NULL) {
        complain(parser, "there is no option \"%s\" (value \"%s\"); did you mean \"%s\"?", key,
                 value, near);
    } else {
        complain(parser, "there is no option \"%s\" (value \"%s\"); tuskd --help lists them all",
                 key, value);
    }
}

/* Whether an option may stand where it does. */
static bool check_place(struct parser *parser, const struct option_row *row)
{
    static const char *const homes[] = {
        [OPTION_SECTION_server] = "[server]",
        [OPTION_SECTION_defaults] = "[defaults]",
        [OPTION_SECTION_setting] = "[defaults] or [namespace \"NAME\"]",
    };
    const char *found = "the beginning, before any section";
    bool good = false;

    switch (parser->section) {
    case SECTION_SERVER:
        found = "[server]";
        good = row->section == OPTION_SECTION_server;
        break;
    case SECTION_DEFAULTS:
        found = "[defaults]";
        good = row->section != OPTION_SECTION_server;
        break;
    case SECTION_SPACE:
        found = "a namespace's section";
        good = row->section == OPTION_SECTION_setting;
        break;
    case SECTION_NONE:
    case SECTION_BAD:
        break;
    }
    if (!good) {
        complain(parser, "%s belongs into %s, not into %s", row->key, homes[row->section], found);
    }
    return good;
}

/* One file says a thing once; what another file said before is overruled. */
static bool check_once(struct parser *parser, const struct option_row *row,
                       const struct option_origin *before)
{
    if (before->kind != ORIGIN_FILE || before->name != parser->origin.name) {
        return true;
    }
    complain(parser, "%s is given twice: in line %" PRIu32 ", too", row->key, before->line);
    return false;
}

static void assign(struct parser *parser, const struct option_row *row, const char *value)
{
    const ptrdiff_t index = row - options_rows();
    struct config *config = parser->config;
    struct config_namespace *space;
    struct options_error error;
    int rc;

    if (parser->section != SECTION_SPACE) {
        if (check_once(parser, row, &config->options.origin[index]) &&
            options_set(&config->options, row->key, value, &parser->origin, &error) != 0) {
            config_report(&config->errors, "%s", error.text);
        }
        return;
    }
    space = &config->namespaces[parser->space];
    if (!check_once(parser, row, &space->origin[index])) {
        return;
    }
    rc = options_number(row, value, &parser->origin, &space->value[index], &error);
    if (rc != 0) {
        config_report(&config->errors, "%s", error.text);
        return;
    }
    space->origin[index] = parser->origin;
}

/* A line of rules; several add up. */
static void take_rules(struct parser *parser, const char *value)
{
    struct config *config = parser->config;

    if (parser->section == SECTION_SPACE) {
        access_parse(config, &config->namespaces[parser->space].access, value, &parser->origin);
    } else if (parser->section == SECTION_DEFAULTS) {
        access_parse(config, &config->access, value, &parser->origin);
    } else {
        complain(parser, "allow belongs into [defaults] or [namespace \"NAME\"]");
    }
}

/* libinih's handler; it is told that all is well, because what is not has been said. */
static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct parser *parser = user;
    const struct option_row *row = options_find(key);
    const size_t size = strlen(value);

    (void)section;
    if (parser->section == SECTION_BAD) {
        return 1;
    }
    if (row == NULL && strcmp(key, "allow") == 0) {
        take_rules(parser, value);
    } else if (row == NULL) {
        unknown_key(parser, key, value);
    } else if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
        complain(parser, "%s = %s: values stand without quotation marks", key, value);
    } else if (check_place(parser, row)) {
        assign(parser, row, value);
    }
    return 1;
}

/* ---- lines ---- */

/* Whether a line can be judged at all: what an editor would not show is no part of it. */
static bool check_bytes(struct parser *parser, const char *line, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)line[i];

        if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
            complain(parser, "there is a %s in column %zu (0x%02x): is this a text file?",
                     c == '\0' ? "NUL byte" : "control character", i + 1, c);
            return false;
        }
    }
    if (strncmp(line, BOM, BOM_SIZE) == 0) {
        complain(parser, "there is a byte order mark, which only the first line may have");
        return false;
    }
    return true;
}

/* One line, without its end, a zero byte behind it. */
static void take_line(struct parser *parser, const char *line, size_t size)
{
    const size_t blank = strspn(line, BLANKS);
    unsigned max;

    if (!check_bytes(parser, line, size)) {
        parser->section = line[blank] == '[' ? SECTION_BAD : parser->section;
        return;
    }
    line += blank;
    size -= blank;
    if (*line == '\0' || *line == '#' || *line == ';') {
        return;
    }
    max = *line == '[' ? SECTION_SIZE_MAX : CONFIG_LINE_SIZE_MAX;
    if (size > max) {
        complain(parser, "the line has %zu bytes, at most %u are allowed", size, max);
        parser->section = *line == '[' ? SECTION_BAD : parser->section;
        return;
    }
    if (*line == '[') {
        take_section(parser, line);
        return;
    }
    if (ini_parse_string(line, take_pair, parser) != 0) {
        complain(parser, "\"%s\" is neither KEY = VALUE nor a [section] nor a # comment", line);
    }
}

void config_parse(struct config *config, const char *path, const char *bytes, size_t size)
{
    struct parser parser = {.config = config, .origin = {.kind = ORIGIN_FILE, .line = 1}};
    const char *end = bytes + size;
    const char *at = bytes;
    char *line;

    parser.origin.name = config_name(config, path);
    line = malloc(size + 1);
    if (parser.origin.name == NULL || line == NULL) {
        config_report(&config->errors, "%s: out of memory", path);
        free(line);
        return;
    }
    if (size >= BOM_SIZE && memcmp(bytes, BOM, BOM_SIZE) == 0) {
        at += BOM_SIZE;
    }
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((next != NULL ? next : end) - at);

        memcpy(line, at, length);
        line[length] = '\0';
        if (next == NULL) {
            complain(&parser, "the file ends in the middle of this line: half written?");
            break;
        }
        take_line(&parser, line, length);
        at = next + 1;
        parser.origin.line++;
    }
    free(line);
}
