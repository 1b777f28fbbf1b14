/* tusk top: topics by rate and cursors by lag, drawn again and again on the whole terminal.
 *
 *     look --> draw --> keys, until the next look is due --> look ...
 *
 * However it ends, the terminal is as it was: every way out goes through endwin(). */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_top_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef TUSK_HAVE_NCURSES

#include <locale.h>
#include <ncurses.h>

#define WAIT_MS 200 /* The longest wait for a key */
#define DELAY_DEFAULT_S 1.0
#define COLUMNS_MIN 60
#define LINES_MIN 8
#define LINES_AROUND 6 /* Title, totals, an empty one, two heads, keys */

struct top {
    struct cli *cli;
    double delay;
    struct top_data data;
    enum top_order order;
    enum top_cursor_order cursor_order;
    bool help;
};

static const struct argp_option top_options[] = {
    {"delay", 'd', "SECONDS", 0, "Between two looks (1)", 0},
    {0},
};

static error_t top_option(int key, char *arg, struct argp_state *state)
{
    struct top *top = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = top->cli;
        return 0;
    case 'd':
        if (parse_seconds(arg, &top->delay) != 0 || top->delay < 0.05 || top->delay > 3600) {
            argp_error(state, "delay '%s'; it is a number of seconds from 0.05 to 3600", arg);
        }
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Drawing ---- */

/* "12.3 MiB" */
static const char *size_text(char text[32], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;

    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, 32, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

/* A name in exactly `width` columns: cut, or filled up; what a terminal might act on is '.'. */
static void add_name(const char *name, int width)
{
    int column;

    for (column = 0; column < width; column++) {
        const char *const begin = name;

        if (*name == '\0') {
            (void)addch(' ');
            continue;
        }
        for (name++; ((unsigned char)*name & 0xc0) == 0x80; name++) {
        }
        if ((unsigned char)*begin < 0x20 || *begin == 0x7f) {
            (void)addch('.');
        } else {
            (void)addnstr(begin, (int)(name - begin));
        }
    }
}

/* A head over the whole line. */
static void add_head(int line, const char *text)
{
    (void)attron(A_REVERSE);
    (void)mvprintw(line, 0, "%-*.*s", COLS, COLS, text);
    (void)attroff(A_REVERSE);
}

static void draw_totals(const struct top *top)
{
    const struct top_counters *now = &top->data.now.counters;
    const struct top_counters *before = &top->data.before.counters;
    const struct top_data *data = &top->data;
    char line[512];
    char text[3][32];

    (void)snprintf(line, sizeof line,
                   "tusk top - namespace %s - %zu topics, %zu cursors, %llu connections",
                   top->cli->space != NULL ? top->cli->space : "default", data->now.topic_count,
                   data->now.cursor_count, (unsigned long long)now->connections);
    (void)move(0, 0);
    add_name(line, COLS);
    (void)snprintf(
        line, sizeof line, "append %.0f/s %s/s  read %.0f/s %s/s  unsynced %s  sync %llu us",
        top_data_rate(data, now->append_entries, before->append_entries),
        size_text(text[0], top_data_rate(data, now->append_bytes, before->append_bytes)),
        top_data_rate(data, now->read_entries, before->read_entries),
        size_text(text[1], top_data_rate(data, now->read_bytes, before->read_bytes)),
        size_text(text[2], (double)now->unsynced_bytes), (unsigned long long)now->sync_us);
    (void)move(1, 0);
    add_name(line, COLS);
}

static void draw_topics(const struct top *top, int line, size_t count)
{
    const struct top_topic **topics = top_data_topics(&top->data, top->order);
    const int width = COLS - 45;
    char head[256];
    char text[32];
    size_t i;

    (void)snprintf(head, sizeof head, "%-*s %11s %13s %10s %7s", width, "TOPIC",
                   top->order == TOP_BY_RATE ? "ENTRIES/S*" : "ENTRIES/S", "ENTRIES",
                   top->order == TOP_BY_BYTES ? "BYTES*" : "BYTES", "CURSORS");
    add_head(line, head);
    for (i = 0; topics != NULL && i < count; i++) {
        (void)move(line + 1 + (int)i, 0);
        add_name(topics[i]->name, width);
        (void)printw(" %11.1f %13llu %10s %7u", topics[i]->rate,
                     (unsigned long long)topics[i]->entries,
                     size_text(text, (double)topics[i]->bytes), topics[i]->cursors);
    }
    free(topics);
}

static void draw_cursors(const struct top *top, int line, size_t count)
{
    const struct top_cursor **cursors = top_data_cursors(&top->data, top->cursor_order);
    const int width = (COLS - 41) / 2;
    char head[256];
    size_t i;

    (void)snprintf(head, sizeof head, "%-*s %-*s %13s %11s %13s", width, "TOPIC", width, "CURSOR",
                   top->cursor_order == TOP_BY_LAG ? "LAG*" : "LAG", "MOVES/S", "OFFSET");
    add_head(line, head);
    for (i = 0; cursors != NULL && i < count; i++) {
        (void)move(line + 1 + (int)i, 0);
        add_name(cursors[i]->topic, width);
        (void)addch(' ');
        add_name(*cursors[i]->name != '\0' ? cursors[i]->name : "\"\"", width);
        (void)printw(" %13llu %11.1f %13llu", (unsigned long long)cursors[i]->lag, cursors[i]->rate,
                     (unsigned long long)cursors[i]->offset);
    }
    free(cursors);
}

static void draw_help(void)
{
    static const char *const lines[] = {
        "q        end",
        "r        topics by rate",
        "b        topics by size",
        "t        topics by name",
        "l        cursors by lag",
        "c        cursors by topic and name",
        "space    look now",
        "h, ?     this help; any key goes back",
    };
    size_t i;

    add_head(0, "tusk top - keys");
    for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        (void)mvaddstr(2 + (int)i, 2, lines[i]);
    }
}

/* Topics get half of the room, or what cursors leave, and the other way round. */
static void draw_all(const struct top *top)
{
    const size_t room = (size_t)(LINES - LINES_AROUND);
    const size_t half = room / 2;
    size_t topics = top->data.now.topic_count;
    size_t cursors = top->data.now.cursor_count;

    if (topics + cursors > room) {
        if (cursors <= half) {
            topics = room - cursors;
        } else if (topics <= room - half) {
            cursors = room - topics;
        } else {
            topics = room - half;
            cursors = half;
        }
    }
    draw_totals(top);
    draw_topics(top, 2, topics);
    draw_cursors(top, 4 + (int)topics, cursors);
    add_head(LINES - 1, "q end  h help  topics: r rate, b size, t name  cursors: l lag, c name");
}

static void draw(const struct top *top)
{
    (void)erase();
    if (COLS < COLUMNS_MIN || LINES < LINES_MIN) {
        add_name("This terminal is too small for top.", COLS);
    } else if (top->help) {
        draw_help();
    } else {
        draw_all(top);
    }
    (void)refresh();
}

/* ---- Keys ---- */

/* True: that is all. *look_now: the next look is due. */
static bool take_key(struct top *top, int key, bool *look_now)
{
    if (top->help && key != KEY_RESIZE) {
        top->help = false;
        return false;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return true;
    case 'h':
    case '?':
        top->help = true;
        return false;
    case 'r':
        top->order = TOP_BY_RATE;
        return false;
    case 'b':
        top->order = TOP_BY_BYTES;
        return false;
    case 't':
        top->order = TOP_BY_NAME;
        return false;
    case 'l':
        top->cursor_order = TOP_BY_LAG;
        return false;
    case 'c':
        top->cursor_order = TOP_BY_CURSOR;
        return false;
    case ' ':
        *look_now = true;
        return false;
    default: /* KEY_RESIZE, too: it is drawn again in any case */
        return false;
    }
}

/* Keys, until the next look is due, or it is over. */
static bool wait_for_keys(struct top *top)
{
    const struct timespec begin = top->data.now.at;
    const double delay_ms = top->delay * 1000;
    bool look_now = false;
    struct timespec now;
    double left_ms;
    int key;

    while (!cli_interrupted && !look_now) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        left_ms = delay_ms - ((double)(now.tv_sec - begin.tv_sec) * 1000 +
                              (double)(now.tv_nsec - begin.tv_nsec) / 1e6);
        if (left_ms <= 0) {
            break;
        }
        /* A signal that comes between the look at it and the wait is noticed a moment later. */
        timeout(left_ms < WAIT_MS ? (int)left_ms + 1 : WAIT_MS);
        key = getch();
        if (key != ERR && take_key(top, key, &look_now)) {
            return true;
        }
        draw(top);
    }
    return false;
}

static int top_run(struct top *top)
{
    int rc;

    while (!cli_interrupted) {
        rc = top_data_look(&top->data, top->cli->t);
        if (rc != TUSK_OK) {
            return cli_interrupted ? TUSK_OK : rc;
        }
        draw(top);
        if (wait_for_keys(top)) {
            return TUSK_OK;
        }
    }
    return TUSK_OK;
}

int cli_top(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = top_options,
        .parser = top_option,
        .doc = "Show topics by rate and cursors by lag, on the whole terminal, until q is pressed.",
        .children = cli_children};
    struct top top = {.cli = cli, .delay = DELAY_DEFAULT_S};
    SCREEN *screen;
    int rc;

    cli_parse(&argp, argc, argv, &top);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        cli_say("top needs a terminal; 'tusk stat --watch' and 'tusk cursors' do without");
        return CLI_USAGE;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)setlocale(LC_CTYPE, "");
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        cli_say("top cannot use a terminal of the type '%s' (TERM)",
                getenv("TERM") != NULL ? getenv("TERM") : "");
        return CLI_USAGE;
    }
    cli_catch_interrupt(); /* Behind newterm(), which has handlers of its own that end it at once */
    (void)cbreak();
    (void)noecho();
    (void)curs_set(0);
    (void)keypad(stdscr, TRUE);
    rc = top_run(&top);
    (void)endwin();
    delscreen(screen);
    top_data_free(&top.data);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "top");
    }
    return cli_interrupted ? CLI_INTERRUPTED : CLI_DONE;
}

#else

int cli_top(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;

    cli_parse_words(cli, &words, "", "Not in this build: it was made without ncurses.", 0, 0, argc,
                    argv);
    cli_say(
        "this tusk was built without ncurses, and has no top; 'tusk stat --watch' does without");
    return CLI_USAGE;
}

#endif
