/* What an operator, a unit file or a script may write: values of every type, the environment, the
 * command line. Whatever the text is: it is taken, and then every option is within its bounds and
 * written out reads back as the same, or refused with a sentence, and then nothing has changed.
 *
 * The input is texts, each ended by a zero byte, whose first byte says what they are: 'E' a variable of
 * the environment (NAME=VALUE), 'S' KEY=VALUE for options_set(), else an argument. Every text is also
 * read as a value of every type. */
#include <string.h>

#include "config/options.h"
#include "tests/fuzz/fuzz.h"

#define TEXTS_MAX 16u
#define TEXT_SIZE_MAX 2048u

struct texts {
    char *all[TEXTS_MAX + 1]; /* Owned */
    unsigned count;
};

static struct texts environment;

static const char *get(const char *name)
{
    const size_t size = strlen(name);
    unsigned i;

    for (i = 0; i < environment.count; i++) {
        if (strncmp(environment.all[i], name, size) == 0 && environment.all[i][size] == '=') {
            return environment.all[i] + size + 1;
        }
    }
    return NULL;
}

/* ---- values ---- */

/* A number, and perhaps a unit, means a multiple of that number: so one that did not fit shows. */
static void check_multiple(const char *text, uint64_t value)
{
    unsigned __int128 number = 0;

    for (; *text >= '0' && *text <= '9' && number <= UINT64_MAX; text++) {
        number = number * 10 + (unsigned)(*text - '0');
    }
    REQUIRE(number <= value);
    REQUIRE(number == 0 ? value == 0 : value % number == 0);
}

static void check_value(enum value_type type, const char *text, uint64_t min, uint64_t max)
{
    const uint64_t untouched = 0x5ca1ab1e5ca1ab1e;
    uint64_t value = untouched;
    uint64_t again;
    char out[VALUE_TEXT_SIZE];
    char cut[8];

    if (!value_parse(type, text, min, max, &value)) {
        REQUIRE(value == untouched);
        return;
    }
    REQUIRE((value >= min && value <= max) || (type == VALUE_FSYNC && value == VALUE_FSYNC_NONE));
    if (type == VALUE_SIZE || type == VALUE_COUNT || type == VALUE_TIME) {
        check_multiple(text, value);
    }
    value_format(type, value, out, sizeof out);
    REQUIRE(strlen(out) < sizeof out - 1);
    REQUIRE(value_parse(type, out, min, max, &again));
    REQUIRE(again == value);
    value_format(type, value, cut, sizeof cut);
    REQUIRE(strncmp(cut, out, sizeof cut - 1) == 0);
}

/* Against some rows' bounds and names: which, is a matter of the text, since all of them take long. */
static void check_values(const char *text)
{
    const struct option_row *rows = options_rows();
    const size_t size = strlen(text);
    size_t i;

    for (i = 0; i < 4; i++) {
        const struct option_row *row =
            &rows[(size * 5 + i * 7 + (unsigned char)text[0]) % OPTION_COUNT];

        if (row->type != VALUE_PATH) {
            check_value(row->type, text, row->min, row->max);
        }
        if (i == 0) {
            REQUIRE(options_distance(text, row->key) == options_distance(row->key, text));
        }
    }
    for (i = VALUE_SIZE; i <= VALUE_COUNT; i++) {
        check_value((enum value_type)i, text, 0, UINT64_MAX);
    }
    check_value(VALUE_TIME, text, 0, UINT64_MAX);
    check_value(VALUE_FSYNC, text, 0, UINT64_MAX);
    check_value(VALUE_CONSISTENCY, text, 0, UINT64_MAX);
}

/* ---- options ---- */

static const struct option_origin origin = {.kind = ORIGIN_ARGUMENT, .name = "set"};

/* Every option is one that could have been written. */
static void check_options(const struct options *options)
{
    const struct option_row *rows = options_rows();
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        const char *member = (const char *)options + rows[i].offset;
        static struct options again;
        struct options_error error;
        char out[VALUE_TEXT_SIZE];
        uint64_t number;

        if (rows[i].type == VALUE_PATH) {
            REQUIRE(memchr(member, '\0', OPTIONS_PATH_SIZE) != NULL);
            REQUIRE(strlen(member) >= rows[i].min && strlen(member) <= rows[i].max);
            continue;
        }
        memcpy(&number, member, sizeof number);
        value_format(rows[i].type, number, out, sizeof out);
        REQUIRE(options_set(&again, rows[i].key, out, &origin, &error) == 0);
        REQUIRE(memcmp((const char *)&again + rows[i].offset, member, sizeof number) == 0);
    }
}

static void check_error(const struct options_error *error)
{
    REQUIRE(memchr(error->text, '\0', sizeof error->text) != NULL);
    REQUIRE(error->text[0] != '\0');
}

static void run_set(struct options *options, char *text)
{
    char *equal = strchr(text, '=');
    const struct options before = *options;
    struct options_error error = {.text = ""};

    if (equal == NULL) {
        return;
    }
    *equal = '\0';
    if (options_set(options, text, equal + 1, &origin, &error) != 0) {
        check_error(&error);
        REQUIRE(memcmp(options, &before, sizeof before) == 0);
    }
    *equal = '=';
}

static void run_all(const struct texts *arguments, const struct texts *sets)
{
    struct options_error error = {.text = ""};
    struct options_command command;
    struct options options;
    unsigned i;

    if (options_default(&options, get, &error) != 0) {
        check_error(&error);
        return;
    }
    if (options_environment(&options, get, &error) != 0) {
        check_error(&error);
    }
    if (options_arguments(&options, &command, (int)arguments->count, arguments->all, &error) != 0) {
        check_error(&error);
    }
    for (i = 0; i < sets->count; i++) {
        run_set(&options, sets->all[i]);
    }
    check_options(&options);
    if (options_check(&options, &error) != 0) {
        check_error(&error);
    }
}

/* ---- the target ---- */

static void add(struct texts *texts, const uint8_t *data, size_t size)
{
    char *text;

    if (texts->count == TEXTS_MAX) {
        return;
    }
    text = malloc(size + 1);
    REQUIRE(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    texts->all[texts->count++] = text;
}

static void drop(struct texts *texts)
{
    while (texts->count > 0) {
        free(texts->all[--texts->count]);
        texts->all[texts->count] = NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct texts arguments = {.count = 0};
    struct texts sets = {.count = 0};

    add(&arguments, (const uint8_t *)"tuskd", 5);
    while (size > 0) {
        const uint8_t *zero = memchr(data, '\0', size);
        const size_t there = zero == NULL ? size : (size_t)(zero - data);
        const size_t used = zero == NULL ? size : there + 1;

        if (there > 0 && there < TEXT_SIZE_MAX) {
            const bool marked = data[0] == 'E' || data[0] == 'S';
            struct texts *to = data[0] == 'E' ? &environment : data[0] == 'S' ? &sets : &arguments;
            const unsigned before = to->count;

            add(to, data + marked, there - marked);
            if (to->count > before) {
                const char *equal = strchr(to->all[before], '=');

                check_values(equal == NULL ? to->all[before] : equal + 1);
            }
        }
        data += used;
        size -= used;
    }
    run_all(&arguments, &sets);
    drop(&arguments);
    drop(&sets);
    drop(&environment);
    return 0;
}

/* ---- the mutator: words that mean something ---- */

static const char *draw_word(unsigned int seed)
{
    static const char *const words[] = {"B",
                                        "KiB",
                                        "MiB",
                                        "GiB",
                                        "TiB",
                                        "ms",
                                        "s",
                                        "m",
                                        "h",
                                        "d",
                                        "each",
                                        "none",
                                        "yes",
                                        "off",
                                        "uring",
                                        "strict",
                                        "at-least-once:",
                                        "=",
                                        "--set",
                                        "--help",
                                        "0",
                                        "1",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "STATE_DIRECTORY=",
                                        "RUNTIME_DIRECTORY=",
                                        "--accept-loss",
                                        "4294967296"};
    const struct option_row *row = &options_rows()[seed / 8 % OPTION_COUNT];

    switch (seed % 8) {
    case 0:
    case 1:
        return row->key;
    case 2:
        return row->flag != NULL ? row->flag : "--";
    case 3:
        return row->environment != NULL ? row->environment : "E";
    case 4:
        return row->fallback;
    default:
        return words[seed / 8 % (sizeof words / sizeof *words)];
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    const char *word = draw_word(seed / 8);
    const size_t word_size = strlen(word);
    const size_t at = size == 0 ? 0 : seed / 1024 % (size + 1);

    if (seed % 3 != 0 || word_size > size_max - size) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    memmove(data + at + word_size, data + at, size - at);
    memcpy(data + at, word, word_size);
    return size + word_size;
}
