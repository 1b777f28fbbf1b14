#include "client/shell_edit.h"

#include "client/cli.h"
#include "client/shell_complete.h"
#include "client/shell_history.h"
#include "client/shell_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPT_SIZE 512u

#ifdef TUSK_HAVE_LIBEDIT

#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <wchar.h>

#define LITERAL '\1' /* Around what of a prompt takes no room on the screen */
#define COLUMNS_DEFAULT 80u
#define LINES_DEFAULT 24u

struct shell_edit {
    const struct cli *cli;
    EditLine *line;   /* Owned */
    History *history; /* Owned */
    FILE *out;        /* Borrowed: standard output, or where that goes elsewhere, error */
    char prompt[PROMPT_SIZE];
    char *typed; /* Owned; the last line */
    bool dropped;
};

static struct shell_edit *edit_of(EditLine *line)
{
    void *edit = NULL;

    (void)el_get(line, EL_CLIENTDATA, &edit);
    return edit;
}

static char *edit_prompt(EditLine *line)
{
    return edit_of(line)->prompt;
}

/* ---- Keys ---- */

/* Ctrl-C, a key like others, and so taken in its turn: a signal would come at any moment, also
 * when nobody waits for it. The line ends as if it were entered, and is not what it was. */
static unsigned char key_interrupt(EditLine *line, int key)
{
    (void)key;
    edit_of(line)->dropped = true;
    (void)el_cursor(line, INT_MAX / 2);
    (void)el_insertstr(line, "^C");
    el_push(line, "\n");
    return CC_REFRESH;
}

/* Ctrl-Z: libedit gives the terminal back before the shell stops, and takes it when it goes on. */
static unsigned char key_suspend(EditLine *line, int key)
{
    (void)line;
    (void)key;
    (void)raise(SIGTSTP);
    return CC_REDISPLAY;
}

/* ---- Completion ---- */

static struct winsize window_of(FILE *out)
{
    struct winsize window = {0};

    if (ioctl(fileno(out), TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) {
        window.ws_col = COLUMNS_DEFAULT;
        window.ws_row = LINES_DEFAULT;
    }
    return window;
}

/* Columns of a text that can be printed. */
static size_t width_of(const char *text)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t width = 0;
    size_t size;

    while (*text != '\0') {
        size = mbrtowc(&wide, text, strlen(text), &state);
        if (size == (size_t)-1 || size == (size_t)-2) {
            break;
        }
        width += wcwidth(wide) > 0 ? (size_t)wcwidth(wide) : 0;
        text += size;
    }
    return width;
}

/* A line each with what it is where they are few, else as many beside each other as fit. */
static void list_candidates(const struct shell_edit *edit,
                            const struct shell_completion *completion)
{
    const struct winsize window = window_of(edit->out);
    const bool with_help = completion->count <= window.ws_row * 2u / 3;
    const size_t room = window.ws_row > 4 ? window.ws_row - 4u : 1;
    size_t width = 0;
    size_t columns;
    size_t shown;
    size_t i;

    for (i = 0; i < completion->count; i++) {
        const size_t own = width_of(completion->candidates[i].word);

        width = own > width ? own : width;
    }
    columns = with_help || width + 2 > window.ws_col ? 1 : window.ws_col / (width + 2);
    shown = completion->count < room * columns ? completion->count : room * columns;
    for (i = 0; i < shown; i++) {
        const struct shell_candidate *candidate = &completion->candidates[i];
        const bool last = (i + 1) % columns == 0 || i + 1 == shown;
        const size_t blanks = width - width_of(candidate->word) + 2;

        (void)fprintf(edit->out, "%s", candidate->word);
        if (with_help && *candidate->help != '\0' && width + 10 < window.ws_col) {
            (void)fprintf(edit->out, "%*s%.*s", (int)blanks, "", (int)(window.ws_col - width - 3),
                          candidate->help);
        } else if (!last) {
            (void)fprintf(edit->out, "%*s", (int)blanks, "");
        }
        (void)fputs(last ? "\n" : "", edit->out);
    }
    if (shown < completion->count) {
        (void)fprintf(edit->out, "and %zu more\n", completion->count - shown);
    }
}

/* Complete what stands before the cursor; Ctrl-C, which is a signal meanwhile, ends a child that
 * waits for its daemon. */
static void complete(const struct shell_edit *edit, const char *text, size_t size,
                     struct shell_completion *completion)
{
    struct termios keys;
    struct termios waiting;
    const bool terminal = tcgetattr(STDIN_FILENO, &keys) == 0;

    if (terminal) {
        waiting = keys;
        waiting.c_lflag |= ISIG;
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &waiting);
    }
    shell_complete(completion, edit->cli, text, size);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
    }
}

/* libedit counts in characters. */
static size_t characters_of(const char *text, size_t size)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

static unsigned char key_complete(EditLine *line, int key)
{
    const struct shell_edit *edit = edit_of(line);
    const LineInfo *info = el_line(line);
    const size_t size = (size_t)(info->cursor - info->buffer);
    char *text = strndup(info->buffer, size);
    struct shell_completion completion;
    unsigned char result = CC_REFRESH_BEEP;

    (void)key;
    if (text == NULL) {
        return CC_ERROR;
    }
    complete(edit, text, size, &completion);
    if (completion.text != NULL && strcmp(completion.text, text + completion.at) != 0) {
        el_deletestr(line, (int)characters_of(text + completion.at, size - completion.at));
        (void)el_insertstr(line, completion.text);
        result = CC_REFRESH;
    } else if (completion.count > 1) {
        (void)fputc('\n', edit->out);
        list_candidates(edit, &completion);
        result = CC_REDISPLAY;
    }
    shell_completion_free(&completion);
    free(text);
    return result;
}

/* ---- The editor ---- */

/* Behind ~/.editrc, which may choose other keys for all the rest, and change the set of keys. */
static void bind_keys(EditLine *line)
{
    static const char *const keys[][2] = {
        {"^C", "tusk-interrupt"},     {"^Z", "tusk-suspend"},        {"^I", "tusk-complete"},
        {"^R", "em-inc-search-prev"}, {"^W", "ed-delete-prev-word"}, {"\\e[1;5C", "em-next-word"},
        {"\\e[1;5D", "ed-prev-word"},
    };
    const char *editor = "";
    size_t i;

    /* Wide, and static: libedit keeps what it is given, and never frees the copy that it makes of
     * other strings. */
    (void)el_wset(line, EL_ADDFN, L"tusk-complete", L"Complete the word", key_complete);
    (void)el_wset(line, EL_ADDFN, L"tusk-interrupt", L"Give the line up", key_interrupt);
    (void)el_wset(line, EL_ADDFN, L"tusk-suspend", L"Stop the shell", key_suspend);
    (void)el_source(line, NULL);
    (void)el_get(line, EL_EDITOR, &editor);
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        /* In vi's editor Escape is a key, which must not wait for what else might follow. */
        if (keys[i][0][0] != '\\' || strcmp(editor, "emacs") == 0) {
            (void)el_set(line, EL_BIND, keys[i][0], keys[i][1], NULL);
        }
    }
    for (i = 0; i < 2; i++) { /* In vi's command mode, too */
        (void)el_set(line, EL_BIND, "-a", keys[i][0], keys[i][1], NULL);
    }
    /* While a line is edited, Ctrl-C, Ctrl-Z and Ctrl-\ are keys and send no signals. */
    (void)el_set(line, EL_SETTY, "-d", "-isig", NULL);
    /* The ^C that ends a command would stand in front of the next prompt. */
    (void)el_set(line, EL_SETTY, "-x", "-echoctl", NULL);
}

struct shell_edit *shell_edit_open(const struct cli *cli)
{
    struct shell_edit *edit = calloc(1, sizeof *edit);
    HistEvent event;

    if (edit == NULL) {
        return NULL;
    }
    /* Names are UTF-8, whatever the locale; without one that says so, letters would be lost. */
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
    edit->cli = cli;
    edit->out = isatty(STDOUT_FILENO) ? stdout : stderr;
    edit->line = el_init("tusk", stdin, edit->out, stderr);
    edit->history = history_init();
    if (edit->line == NULL || edit->history == NULL) {
        shell_edit_close(edit);
        return NULL;
    }
    (void)history(edit->history, &event, H_SETSIZE, (int)SHELL_HISTORY_LINES);
    (void)history(edit->history, &event, H_SETUNIQUE, 1);
    (void)el_set(edit->line, EL_CLIENTDATA, edit);
    (void)el_set(edit->line, EL_PROMPT_ESC, edit_prompt, LITERAL);
    (void)el_set(edit->line, EL_EDITOR, "emacs");
    (void)el_set(edit->line, EL_HIST, history, edit->history);
    (void)el_set(edit->line, EL_SIGNAL, 1);
    bind_keys(edit->line);
    return edit;
}

void shell_edit_close(struct shell_edit *edit)
{
    if (edit == NULL) {
        return;
    }
    if (edit->line != NULL) {
        el_end(edit->line);
    }
    if (edit->history != NULL) {
        history_end(edit->history);
    }
    free(edit->typed);
    free(edit);
}

void shell_edit_remember(void *user, const char *line)
{
    struct shell_edit *edit = user;
    HistEvent event;

    /* What is no text of this locale cannot be edited. */
    if (mbstowcs(NULL, line, 0) != (size_t)-1) {
        (void)history(edit->history, &event, H_ENTER, line);
    }
}

enum shell_edit_end shell_edit_line(struct shell_edit *edit, const char *name, const char *failure,
                                    const char **line)
{
    const bool colored = *failure != '\0' && cli_colored(edit->out);
    const char *typed;
    int size = 0;

    (void)snprintf(edit->prompt, sizeof edit->prompt, "%s%s%s%s> ", name,
                   colored ? "\1\033[1;31m\1" : "", failure, colored ? "\1\033[0m\1" : "");
    edit->dropped = false;
    free(edit->typed);
    edit->typed = NULL;
    /* Before the prompt is seen: by itself libedit takes the keys over behind it, and what is typed
     * in between would be taken as before. */
    (void)el_set(edit->line, EL_PREP_TERM, 1);
    typed = el_gets(edit->line, &size);
    if (edit->dropped || (typed == NULL && size < 0 && errno == EINTR)) {
        return SHELL_EDIT_DROPPED;
    }
    if (typed == NULL || size <= 0) {
        (void)fputc('\n', edit->out);
        (void)fflush(edit->out);
        return SHELL_EDIT_OVER;
    }
    edit->typed = strdup(typed);
    if (edit->typed == NULL) {
        cli_say("out of memory");
        return SHELL_EDIT_OVER;
    }
    edit->typed[strcspn(edit->typed, "\n")] = '\0';
    *line = edit->typed;
    return SHELL_EDIT_LINE;
}

#else

struct shell_edit {
    char *typed; /* Owned */
    size_t capacity;
};

struct shell_edit *shell_edit_open(const struct cli *cli)
{
    (void)cli;
    return calloc(1, sizeof(struct shell_edit));
}

void shell_edit_close(struct shell_edit *edit)
{
    if (edit != NULL) {
        free(edit->typed);
        free(edit);
    }
}

void shell_edit_remember(void *user, const char *line)
{
    (void)user;
    (void)line;
}

/* Ctrl-C does not interrupt here: the shell ignores it, and the terminal drops the line. */
enum shell_edit_end shell_edit_line(struct shell_edit *edit, const char *name, const char *failure,
                                    const char **line)
{
    ssize_t size;

    (void)fprintf(stderr, "%s%s> ", name, failure);
    size = getline(&edit->typed, &edit->capacity, stdin);
    if (size <= 0) {
        (void)fputc('\n', stderr);
        return SHELL_EDIT_OVER;
    }
    edit->typed[strcspn(edit->typed, "\n")] = '\0';
    *line = edit->typed;
    return SHELL_EDIT_LINE;
}

#endif
