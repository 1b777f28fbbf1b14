/* What `tusk shell` is made of: words, and the lines that are kept. */
#include "client/cli.h"
#include "client/shell_history.h"
#include "client/shell_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Words ---- */

/* The words, each in brackets. */
static void join(char *out, const struct shell_words *words)
{
    size_t i;

    out[0] = '\0';
    for (i = 0; i < words->count; i++) {
        (void)sprintf(out + strlen(out), "[%s]", words->words[i]);
    }
    assert_null(words->words[words->count]);
}

/* Lines divide into the words that sh makes of them. */
static void lines_divide_as_in_sh(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"", ""},
        {" \t ", ""},
        {"a", "[a]"},
        {"  read  orders\t-C 1 ", "[read][orders][-C][1]"},
        {"'a b' \"c d\" e\\ f", "[a b][c d][e f]"},
        {"'' \"\" x''", "[][][x]"},
        {"a'b'\"c\"d", "[abcd]"},
        {"'\\' \"\\\\\" \\\\", "[\\][\\][\\]"},
        {"\"\\\"\\$\\`\\a\"", "[\"$`\\a]"},
        {"\"it's\" 'say \"x\"'", "[it's][say \"x\"]"},
        {"'it'\\''s'", "[it's]"},
        {"# nothing", ""},
        {"a # b 'c", "[a]"},
        {"a#b '#' \\# x '' #c", "[a#b][#][#][x][]"},
        {"$HOME * ~ `x` {a} !x (y)", "[$HOME][*][~][`x`][{a}][!x][(y)]"},
        {"'|&;<>' \"|&;<>\" \\|\\&\\;\\<\\>", "[|&;<>][|&;<>][|&;<>]"},
        {"\xc3\xbc \xff\xfe", "[\xc3\xbc][\xff\xfe]"},
    };
    char fault[SHELL_FAULT_SIZE];
    struct shell_words words;
    char joined[256];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(shell_words_split(&words, cases[i].line, strlen(cases[i].line), fault), 0);
        join(joined, &words);
        assert_string_equal(joined, cases[i].words);
        shell_words_free(&words);
    }
}

/* What is wrong with a line is said with the column in which it begins, counted in characters. */
static void what_is_wrong_is_said_with_its_column(void **state)
{
    static const struct {
        const char *line;
        size_t size;
        const char *fault;
    } cases[] = {
        {"append 'a b", 11, "column 8: the quote ' that begins here has no end"},
        {"'", 1, "column 1: the quote ' that begins here has no end"},
        {"\xc3\xbc\xc3\xbc \"x\\\"", 9, "column 4: the quote \" that begins here has no end"},
        {"\"x\\", 3, "column 1: the quote \" that begins here has no end"},
        {"a b\\", 4, "column 4: nothing follows the backslash that ends the line"},
        {"a|b", 3, "column 2: there is no | here; where it is meant, quote it: '|'"},
        {"a > b", 5, "column 3: there is no > here; where it is meant, quote it: '>'"},
        {"a;", 2, "column 2: there is no ; here; where it is meant, quote it: ';'"},
        {"a &", 3, "column 3: there is no & here; where it is meant, quote it: '&'"},
        {"<a", 2, "column 1: there is no < here; where it is meant, quote it: '<'"},
        {"ab\0c", 4, "column 3: a NUL byte, which no word can hold"},
        {"# a\0c", 5, "column 4: a NUL byte, which no word can hold"},
    };
    char fault[SHELL_FAULT_SIZE];
    struct shell_words words;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(shell_words_split(&words, cases[i].line, cases[i].size, fault), -1);
        assert_string_equal(fault, cases[i].fault);
        assert_null(words.words);
    }
}

/* The longest line is taken, with as many words as it can have; one byte more is refused. */
static void lines_have_a_bound(void **state)
{
    const size_t size = SHELL_LINE_MAX;
    char *line = malloc(size + 1);
    char fault[SHELL_FAULT_SIZE];
    struct shell_words words;
    size_t i;

    (void)state;
    assert_non_null(line);
    for (i = 0; i <= size; i++) {
        line[i] = i % 2 == 0 ? 'x' : ' ';
    }
    assert_int_equal(shell_words_split(&words, line, size, fault), 0);
    assert_int_equal(words.count, size / 2);
    assert_string_equal(words.words[words.count - 1], "x");
    assert_null(words.words[words.count]);
    shell_words_free(&words);
    assert_int_equal(shell_words_split(&words, line, size + 1, fault), -1);
    assert_string_equal(fault, "a line has at most 16777216 bytes, this one has 16777217");
    free(line);
}

/* Whatever a word holds, and however it is quoted, it is read back as it was. */
static void quoted_words_read_back_as_they_were(void **state)
{
    static const char quotes[] = {'\0', '\'', '"'};
    const unsigned seed = (unsigned)time(NULL);
    unsigned round;

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (round = 0; round < 3000; round++) {
        const char quote = quotes[round % 3];
        char word[12] = "";
        char line[100];
        char fault[SHELL_FAULT_SIZE];
        struct shell_words words;
        const int size = 1 + rand() % 10;
        char *quoted;
        int i;

        for (i = 0; i < size; i++) {
            word[i] = rand() % 2 == 0 ? (char)(1 + rand() % 255) : "\"'\\$`|&;<># \t"[rand() % 13];
        }
        quoted = shell_words_quote(word, quote);
        assert_non_null(quoted);
        (void)snprintf(line, sizeof line, "a %s%.*s b", quoted, quote != '\0', &quote);
        free(quoted);
        assert_int_equal(shell_words_split(&words, line, strlen(line), fault), 0);
        assert_int_equal(words.count, 3);
        assert_string_equal(words.words[1], word);
        shell_words_free(&words);
    }
}

/* Of a line that is being typed the last word needs no end, and behind a blank it is an empty one. */
static void the_word_that_is_typed_is_the_last(void **state)
{
    static const struct {
        const char *line;
        const char *words; /* NULL: nothing can be completed */
        size_t at;
        char quote;
    } cases[] = {
        {"", "[]", 0, '\0'},
        {"  ", "[]", 2, '\0'},
        {"re", "[re]", 0, '\0'},
        {"read ", "[read][]", 5, '\0'},
        {"read 'or", "[read][or]", 5, '\''},
        {"read \"a b ", "[read][a b ]", 5, '"'},
        {"read a\\ ", "[read][a ]", 5, '\0'},
        {"read a\\", "[read][a]", 5, '\0'},
        {"read 'a' ", "[read][a][]", 9, '\0'},
        {"read a'b c", "[read][ab c]", 5, '\0'},
        {"read a;", "[read][a;]", 5, '\0'},
        {"read # or", NULL, 0, '\0'},
    };
    struct shell_words words;
    struct shell_typed typed;
    char joined[256];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const bool can =
            shell_words_split_typed(&words, cases[i].line, strlen(cases[i].line), &typed);

        assert_int_equal(can, cases[i].words != NULL);
        if (can) {
            join(joined, &words);
            assert_string_equal(joined, cases[i].words);
            assert_int_equal(typed.at, cases[i].at);
            assert_int_equal(typed.quote, cases[i].quote);
            shell_words_free(&words);
        }
    }
    assert_false(shell_words_split_typed(&words, "a\0b", 3, &typed));
}

/* ---- History ---- */

struct history_fixture {
    char directory[64];
    char path[128];
    struct shell_history history;
    char first[32]; /* Of the lines that opening it gave */
    char last[32];
    unsigned lines;
};

static unsigned note_count;
static char note[512];

/* In place of that of client/cli.c. */
void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    (void)cli;
    note_count++;
    va_start(args, format);
    (void)vsnprintf(note, sizeof note, format, args);
    va_end(args);
}

static int history_setup(void **state)
{
    struct history_fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)strcpy(f->directory, "/tmp/tusk-history-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->path, sizeof f->path, "%s/.local/state/tusk/history", f->directory);
    assert_int_equal(setenv("HOME", f->directory, 1), 0);
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
    note_count = 0;
    *state = f;
    return 0;
}

static int history_teardown(void **state)
{
    struct history_fixture *f = *state;
    char command[128];

    shell_history_close(&f->history);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void take_line(void *user, const char *line)
{
    struct history_fixture *f = user;

    (void)snprintf(f->lines == 0 ? f->first : f->last, sizeof f->last, "%s", line);
    f->lines++;
}

static void history_reopen(struct history_fixture *f)
{
    shell_history_close(&f->history);
    f->lines = 0;
    shell_history_open(&f->history, NULL, take_line, f);
}

static unsigned lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned lines = 0;
    int c;

    assert_non_null(file);
    while ((c = fgetc(file)) != EOF) {
        lines += c == '\n';
    }
    (void)fclose(file);
    return lines;
}

/* The file and its directories are made when they are needed, for nobody else to read. */
static void history_is_kept_for_its_user_alone(void **state)
{
    struct history_fixture *f = *state;
    char parent[sizeof f->path];
    struct stat info;

    history_reopen(f);
    assert_int_equal(f->lines, 0);
    shell_history_add(&f->history, "read orders");
    shell_history_add(&f->history, "topics");
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    (void)strcpy(parent, f->path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(stat(parent, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    history_reopen(f);
    assert_int_equal(f->lines, 2);
    assert_string_equal(f->first, "read orders");
    assert_string_equal(f->last, "topics");
    assert_int_equal(note_count, 0);
}

/* However much is typed, by how many shells, the file stays within its bound, and the newest lines
 * are those that stay. */
static void history_keeps_the_newest_lines(void **state)
{
    struct history_fixture *f = *state;
    char long_line[SHELL_HISTORY_LINE_MAX + 2];
    char line[32];
    unsigned i;

    history_reopen(f);
    for (i = 0; i < 3 * SHELL_HISTORY_LINES; i++) {
        (void)snprintf(line, sizeof line, "line %u", i);
        shell_history_add(&f->history, line);
        if (i % 100 == 0) {
            assert_in_range(lines_of(f->path), 1, SHELL_HISTORY_LINES);
        }
        if (i % 700 == 0) {
            history_reopen(f);
            assert_string_equal(i == 0 ? f->first : f->last, line);
        }
    }
    memset(long_line, 'x', sizeof long_line);
    long_line[SHELL_HISTORY_LINE_MAX + 1] = '\0';
    shell_history_add(&f->history, long_line);
    history_reopen(f);
    assert_in_range(f->lines, SHELL_HISTORY_LINES / 2, SHELL_HISTORY_LINES);
    assert_string_equal(f->last, "line 2999");
    assert_int_equal(note_count, 0);
}

/* A file that somebody else filled, with more than is read, or with bytes that no line has, gives
 * what can be taken of it. */
static void history_takes_any_file(void **state)
{
    struct history_fixture *f = *state;
    FILE *file;
    unsigned i;

    history_reopen(f);
    file = fopen(f->path, "w");
    assert_non_null(file);
    for (i = 0; i < 2000; i++) {
        (void)fprintf(file, "%04u %05000u\nshort %u\n", i, 0, i);
    }
    (void)fclose(file);
    history_reopen(f);
    assert_in_range(f->lines, 1, SHELL_HISTORY_LINES);
    assert_string_equal(f->last, "short 1999");
    file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("one\n\xff\xfe\n\0two\n", 1, 12, file), 12);
    (void)fclose(file);
    history_reopen(f);
    assert_string_equal(f->first, "one");
    assert_int_equal(note_count, 0);
}

/* Where nothing can be kept that is said once, and nothing else comes of it. */
static void history_that_cannot_be_kept_is_said_once(void **state)
{
    struct history_fixture *f = *state;

    history_reopen(f);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    history_reopen(f);
    shell_history_add(&f->history, "one");
    shell_history_add(&f->history, "two");
    assert_int_equal(note_count, 1);
    assert_non_null(strstr(note, "cannot open"));
    assert_non_null(strstr(note, f->path));
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    history_reopen(f);
    shell_history_add(&f->history, "one");
    assert_int_equal(note_count, 2);
    assert_non_null(strstr(note, "no regular file"));
}

/* XDG_STATE_HOME says where; what is no absolute path does not, and a home that does not exist is
 * not made. */
static void history_is_where_the_environment_says(void **state)
{
    struct history_fixture *f = *state;
    char state_home[96];
    char path[128];

    (void)snprintf(state_home, sizeof state_home, "%s/a/state", f->directory);
    (void)snprintf(path, sizeof path, "%s/tusk/history", state_home);
    assert_int_equal(setenv("XDG_STATE_HOME", state_home, 1), 0);
    history_reopen(f);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    history_reopen(f);
    assert_int_equal(access(f->path, R_OK), 0);
    assert_int_equal(access("relative", F_OK), -1);
    assert_int_equal(note_count, 0);
    (void)snprintf(path, sizeof path, "%s/nobody", f->directory);
    assert_int_equal(setenv("HOME", path, 1), 0);
    history_reopen(f);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(note_count, 1);
    assert_int_equal(unsetenv("HOME"), 0);
    history_reopen(f);
    assert_int_equal(note_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_divide_as_in_sh),
        cmocka_unit_test(what_is_wrong_is_said_with_its_column),
        cmocka_unit_test(lines_have_a_bound),
        cmocka_unit_test(quoted_words_read_back_as_they_were),
        cmocka_unit_test(the_word_that_is_typed_is_the_last),
        cmocka_unit_test_setup_teardown(history_is_kept_for_its_user_alone, history_setup,
                                        history_teardown),
        cmocka_unit_test_setup_teardown(history_keeps_the_newest_lines, history_setup,
                                        history_teardown),
        cmocka_unit_test_setup_teardown(history_takes_any_file, history_setup, history_teardown),
        cmocka_unit_test_setup_teardown(history_that_cannot_be_kept_is_said_once, history_setup,
                                        history_teardown),
        cmocka_unit_test_setup_teardown(history_is_where_the_environment_says, history_setup,
                                        history_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
