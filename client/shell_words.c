#include "client/shell_words.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scanner {
    const char *line;
    size_t size;
    size_t at;
    size_t word_begin; /* Of the last word */
    size_t word_end;   /* Behind its last byte, quotes included */
    char *out;         /* The next byte of the word */
    char *fault;       /* SHELL_FAULT_SIZE bytes */
    bool typed;        /* The last word needs no end */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Counted in characters of UTF-8 and from 1, as people count. */
static unsigned long column_of(const struct scanner *scanner, size_t at)
{
    unsigned long column = 1;
    size_t i;

    for (i = 0; i < at; i++) {
        column += ((unsigned char)scanner->line[i] & 0xc0) != 0x80;
    }
    return column;
}

static bool refuse(const struct scanner *scanner, size_t at, const char *what)
{
    (void)snprintf(scanner->fault, SHELL_FAULT_SIZE, "column %lu: %s", column_of(scanner, at),
                   what);
    return false;
}

static bool scan_single(struct scanner *scanner)
{
    const size_t begin = scanner->at++;

    for (; scanner->at < scanner->size; scanner->at++) {
        const char c = scanner->line[scanner->at];

        if (c == '\'') {
            scanner->at++;
            return true;
        }
        *scanner->out++ = c;
    }
    return scanner->typed || refuse(scanner, begin, "the quote ' that begins here has no end");
}

static bool scan_double(struct scanner *scanner)
{
    const size_t begin = scanner->at++;

    for (; scanner->at < scanner->size; scanner->at++) {
        char c = scanner->line[scanner->at];

        if (c == '"') {
            scanner->at++;
            return true;
        }
        if (c == '\\' && scanner->at + 1 < scanner->size &&
            memchr("\"\\$`", scanner->line[scanner->at + 1], 4) != NULL) {
            c = scanner->line[++scanner->at];
        }
        *scanner->out++ = c;
    }
    return scanner->typed || refuse(scanner, begin, "the quote \" that begins here has no end");
}

static bool scan_backslash(struct scanner *scanner)
{
    scanner->at++;
    if (scanner->at == scanner->size) {
        return scanner->typed ||
               refuse(scanner, scanner->at - 1, "nothing follows the backslash that ends the line");
    }
    *scanner->out++ = scanner->line[scanner->at++];
    return true;
}

static bool scan_plain(struct scanner *scanner)
{
    const char c = scanner->line[scanner->at];
    char what[64];

    if (!scanner->typed && memchr("|&;<>", c, 5) != NULL) {
        (void)snprintf(what, sizeof what, "there is no %c here; where it is meant, quote it: '%c'",
                       c, c);
        return refuse(scanner, scanner->at, what);
    }
    *scanner->out++ = c;
    scanner->at++;
    return true;
}

static bool scan_word(struct scanner *scanner)
{
    bool good = true;

    while (good && scanner->at < scanner->size && !is_blank(scanner->line[scanner->at])) {
        switch (scanner->line[scanner->at]) {
        case '\'':
            good = scan_single(scanner);
            break;
        case '"':
            good = scan_double(scanner);
            break;
        case '\\':
            good = scan_backslash(scanner);
            break;
        default:
            good = scan_plain(scanner);
            break;
        }
    }
    *scanner->out++ = '\0';
    return good;
}

/* Words, until the line ends or its comment begins. False: a word is wrong. */
static bool scan_line(struct scanner *scanner, struct shell_words *words)
{
    for (;;) {
        while (scanner->at < scanner->size && is_blank(scanner->line[scanner->at])) {
            scanner->at++;
        }
        if (scanner->at == scanner->size || scanner->line[scanner->at] == '#') {
            return true;
        }
        scanner->word_begin = scanner->at;
        words->words[words->count++] = scanner->out;
        if (!scan_word(scanner)) {
            return false;
        }
        scanner->word_end = scanner->at;
    }
}

/* Every word takes at least a byte of the line, and all but the last one have a blank behind, whose
 * place their NUL takes: all fit into as many bytes as the line has, and two more for the NUL of
 * the last one and an empty one that is being typed. */
static bool words_begin(struct shell_words *words, struct scanner *scanner)
{
    words->count = 0;
    words->bytes = malloc(scanner->size + 2);
    words->words = calloc(scanner->size / 2 + 3, sizeof *words->words);
    scanner->out = words->bytes;
    if (words->bytes == NULL || words->words == NULL) {
        shell_words_free(words);
        return false;
    }
    return true;
}

void shell_words_free(struct shell_words *words)
{
    free(words->words);
    free(words->bytes);
    *words = (struct shell_words){0};
}

int shell_words_split(struct shell_words *words, const char *line, size_t size,
                      char fault[SHELL_FAULT_SIZE])
{
    struct scanner scanner = {.line = line, .size = size, .fault = fault};
    const char *nul = memchr(line, '\0', size);

    if (size > SHELL_LINE_MAX) {
        (void)snprintf(fault, SHELL_FAULT_SIZE, "a line has at most %u bytes, this one has %zu",
                       SHELL_LINE_MAX, size);
        return -1;
    }
    if (nul != NULL) {
        (void)refuse(&scanner, (size_t)(nul - line), "a NUL byte, which no word can hold");
        return -1;
    }
    if (!words_begin(words, &scanner)) {
        (void)snprintf(fault, SHELL_FAULT_SIZE, "no memory for a line of %zu bytes", size);
        return -1;
    }
    if (!scan_line(&scanner, words)) {
        shell_words_free(words);
        return -1;
    }
    return 0;
}

bool shell_words_split_typed(struct shell_words *words, const char *line, size_t size,
                             struct shell_typed *typed)
{
    char fault[SHELL_FAULT_SIZE];
    struct scanner scanner = {.line = line, .size = size, .fault = fault, .typed = true};

    if (size > SHELL_LINE_MAX || memchr(line, '\0', size) != NULL ||
        !words_begin(words, &scanner)) {
        return false;
    }
    if (!scan_line(&scanner, words) || scanner.at < size) {
        shell_words_free(words);
        return false;
    }
    *typed = (struct shell_typed){.at = size};
    if (words->count > 0 && scanner.word_end == size) {
        typed->at = scanner.word_begin;
        typed->quote = line[typed->at] == '\'' || line[typed->at] == '"' ? line[typed->at] : '\0';
    } else {
        words->words[words->count++] = scanner.out;
        *scanner.out = '\0';
    }
    return true;
}

char *shell_words_quote(const char *text, char quote)
{
    const char *escaped = quote == '"' ? "\"\\$`" : " \t\"\\'|&;<>#";
    char *quoted = malloc(4 * strlen(text) + 2);
    char *out = quoted;

    if (quoted == NULL) {
        return NULL;
    }
    if (quote != '\0') {
        *out++ = quote;
    }
    for (; *text != '\0'; text++) {
        if (quote == '\'' && *text == '\'') {
            memcpy(out, "'\\'", 3); /* Out of the quotes, and into them again behind it */
            out += 3;
        } else if (quote != '\'' && strchr(escaped, *text) != NULL) {
            *out++ = '\\';
        }
        *out++ = *text;
    }
    *out = '\0';
    return quoted;
}
