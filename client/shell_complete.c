#include "client/shell_complete.h"

#include "client/cli.h"
#include "client/shell_run.h"
#include "client/shell_words.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define CANDIDATES_MAX 100000u /* As many topics as anybody looks at */

/* ---- Candidates ---- */

/* What a terminal might act on, or the line cannot hold, is not offered. */
static bool is_printable(const char *text)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t size;

    while (*text != '\0') {
        size = mbrtowc(&wide, text, strlen(text), &state);
        if (size == (size_t)-1 || size == (size_t)-2 || !iswprint((wint_t)wide)) {
            return false;
        }
        text += size;
    }
    return true;
}

static bool make_room(struct shell_completion *completion)
{
    const size_t capacity = completion->capacity == 0 ? 64 : 2 * completion->capacity;
    struct shell_candidate *candidates;

    if (completion->count < completion->capacity) {
        return true;
    }
    if (completion->count >= CANDIDATES_MAX) {
        return false;
    }
    candidates = reallocarray(completion->candidates, capacity, sizeof *candidates);
    if (candidates == NULL) {
        return false;
    }
    completion->candidates = candidates;
    completion->capacity = capacity;
    return true;
}

/* Add a word, if it begins as the one that is typed. */
static void offer(struct shell_completion *completion, const char *typed, const char *word,
                  const char *help)
{
    struct shell_candidate candidate;

    if (strncmp(word, typed, strlen(typed)) != 0 || !is_printable(word) || !make_room(completion)) {
        return;
    }
    candidate.word = strdup(word);
    candidate.help = strdup(is_printable(help) ? help : "");
    if (candidate.word == NULL || candidate.help == NULL) {
        free(candidate.word);
        free(candidate.help);
        return;
    }
    /* fanalyzer-suppress malloc-leak: it is in the array, which grew by reallocarray() */
    completion->candidates[completion->count++] = candidate;
}

void shell_completion_free(struct shell_completion *completion)
{
    size_t i;

    for (i = 0; i < completion->count; i++) {
        free(completion->candidates[i].word);
        free(completion->candidates[i].help);
    }
    free(completion->candidates);
    free(completion->text);
    *completion = (struct shell_completion){0};
}

/* ---- Names of files ---- */

/* typed is a path that is not finished: offer what lies in its directory, directories with '/'. */
static void offer_files(struct shell_completion *completion, const char *typed)
{
    const char *slash = strrchr(typed, '/');
    const int above = slash == NULL ? 0 : (int)(slash - typed) + 1;
    char path[PATH_MAX];
    const struct dirent *entry;
    struct stat info;
    DIR *directory;
    int size;

    (void)snprintf(path, sizeof path, "%.*s", above, typed);
    directory = opendir(above == 0 ? "." : path);
    if (directory == NULL) {
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.' && typed[above] != '.') {
            continue;
        }
        size = snprintf(path, sizeof path - 1, "%.*s%s", above, typed, entry->d_name);
        if (size < 0 || (size_t)size >= sizeof path - 1) {
            continue;
        }
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            (void)strcpy(path + size, "/");
        }
        offer(completion, typed, path, "");
    }
    (void)closedir(directory);
}

/* ---- Asking ---- */

static int answer(struct cli *cli, int argc, char **argv)
{
    cli->completing = true;
    return cli_run(cli, argc, argv);
}

/* Each line is a candidate, a tab, and what it is. */
static void take_answer(struct shell_completion *completion, const char *typed, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    char *help;

    while (getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        help = strchr(line, '\t');
        if (strcmp(line, ":files") == 0) {
            offer_files(completion, typed);
        } else if (help != NULL) {
            *help = '\0';
            offer(completion, typed, line, help + 1);
        }
    }
    free(line);
}

/* What the command line argv, whose last word is being typed, may go on with. A file takes what the
 * child prints, since nobody reads a pipe while the child is waited for. */
static void ask(struct shell_completion *completion, const struct cli *cli, int argc, char **argv)
{
    const int fd = memfd_create("tusk-completion", MFD_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r+");
    const struct shell_run run = {.cli = cli,
                                  .work = answer,
                                  .argc = argc,
                                  .argv = argv,
                                  .no_input = true,
                                  .silent = true,
                                  .output_fd = fd};
    bool terminated;

    if (file == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    (void)shell_run(&run, &terminated);
    rewind(file);
    take_answer(completion, argv[argc - 1], file);
    (void)fclose(file);
}

/* The line goes the way of a command line, but for the shell's own words. argv has a place in front
 * of the words, which no command line lacks. */
static void ask_for_words(struct shell_completion *completion, const struct cli *cli,
                          const struct shell_words *words, char **argv)
{
    static char program[] = "tusk";
    static char option[] = "-n";
    size_t skip = 0;

    while (skip + 1 < words->count &&
           (strcmp(words->words[skip], "tusk") == 0 || strcmp(words->words[skip], "help") == 0)) {
        skip++;
    }
    memcpy(argv + 1, words->words, words->count * sizeof *argv);
    if (words->count - skip == 2 && strcmp(words->words[skip], "use") == 0) {
        argv[skip + 1] = option; /* What it takes is what -n takes */
    }
    argv[skip] = program;
    ask(completion, cli, (int)(words->count - skip) + 1, argv + skip);
}

/* ---- What is put into the line ---- */

/* How many bytes all candidates begin with alike; whole characters. */
static size_t alike(const struct shell_completion *completion)
{
    const char *first = completion->candidates[0].word;
    size_t size = strlen(first);
    size_t i;

    for (i = 1; i < completion->count; i++) {
        const char *word = completion->candidates[i].word;
        size_t same = 0;

        while (same < size && word[same] == first[same]) {
            same++;
        }
        size = same;
    }
    while (size > 0 && ((unsigned char)first[size] & 0xc0) == 0x80) {
        size--;
    }
    return size;
}

/* With the quote closed and a blank behind it, where nothing of the word is missing. */
static void make_text(struct shell_completion *completion, const struct shell_typed *typed)
{
    const size_t size = alike(completion);
    char *word = strndup(completion->candidates[0].word, size);
    const bool whole = completion->count == 1 && size > 0 &&
                       strchr("=/", completion->candidates[0].word[size - 1]) == NULL;
    const char quote[] = {typed->quote, '\0'};
    char *quoted;

    if (word == NULL) {
        return;
    }
    quoted = shell_words_quote(word, typed->quote);
    free(word);
    if (quoted == NULL) {
        return;
    }
    if (asprintf(&completion->text, "%s%s%s", quoted, whole ? quote : "", whole ? " " : "") < 0) {
        completion->text = NULL;
    }
    free(quoted);
}

void shell_complete(struct shell_completion *completion, const struct cli *cli, const char *line,
                    size_t size)
{
    struct shell_words words;
    struct shell_typed typed;
    char **argv;

    *completion = (struct shell_completion){0};
    if (!shell_words_split_typed(&words, line, size, &typed)) {
        return;
    }
    argv = calloc(words.count + 2, sizeof *argv);
    if (argv != NULL) {
        ask_for_words(completion, cli, &words, argv);
        free(argv);
    }
    completion->at = typed.at;
    if (completion->count > 0) {
        make_text(completion, &typed);
    }
    shell_words_free(&words);
}
