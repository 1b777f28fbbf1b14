#include "client/shell_history.h"

#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is read of a file: as much as one of ours can have. Of a larger one, the end. */
#define HISTORY_BYTES_MAX ((size_t)SHELL_HISTORY_LINES * (SHELL_HISTORY_LINE_MAX + 1))

static void history_give_up(struct shell_history *history, const char *what)
{
    cli_note(history->cli, "%s %s: %s; lines are not kept", what, history->path, strerror(errno));
    shell_history_close(history);
}

/* Where XDG's base directory specification has it: a path that is not absolute is no path. */
static void history_find(struct shell_history *history)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char path[PATH_MAX];
    int size;

    if (state != NULL && *state == '/') {
        size = snprintf(path, sizeof path, "%s/tusk/history", state);
    } else if (home != NULL && *home == '/') {
        size = snprintf(path, sizeof path, "%s/.local/state/tusk/history", home);
        history->home_size = strlen(home);
    } else {
        return;
    }
    if (size > 0 && (size_t)size < sizeof path) {
        history->path = strdup(path);
    }
}

static int open_file(const char *path)
{
    /* O_NONBLOCK: what is no regular file must not keep anybody waiting. */
    return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                S_IRUSR | S_IWUSR);
}

/* The directories above the file. What fails shows when the file is opened. */
static void make_directories(const struct shell_history *history)
{
    char *slash = history->path + history->home_size;

    while ((slash = strchr(slash + 1, '/')) != NULL) {
        *slash = '\0';
        (void)mkdir(history->path, S_IRWXU);
        *slash = '/';
    }
}

/* The file, locked against other shells; -1 after giving up. */
static int history_file(struct shell_history *history)
{
    struct stat info;
    int fd = open_file(history->path);

    if (fd < 0 && errno == ENOENT) {
        make_directories(history);
        fd = open_file(history->path);
    }
    if (fd < 0) {
        history_give_up(history, "cannot open");
        return -1;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        errno = EINVAL;
        history_give_up(history, "no regular file is");
        (void)close(fd);
        return -1;
    }
    (void)flock(fd, LOCK_EX); /* A file system without locks: two shells at once are rare */
    return fd;
}

/* The last bytes of the file, from the beginning of a line on, and a NUL. NULL: it failed. */
static char *history_read(int fd, size_t *size)
{
    struct stat info;
    size_t skip = 0;
    ssize_t n;
    char *text;
    char *line;

    if (fstat(fd, &info) != 0) {
        return NULL;
    }
    *size = (size_t)info.st_size;
    if (*size > HISTORY_BYTES_MAX) {
        skip = *size - HISTORY_BYTES_MAX;
        *size = HISTORY_BYTES_MAX;
    }
    text = malloc(*size + 1);
    if (text == NULL) {
        return NULL;
    }
    n = pread(fd, text, *size, (off_t)skip);
    if (n < 0) {
        free(text);
        return NULL;
    }
    *size = (size_t)n;
    text[*size] = '\0';
    line = skip > 0 ? memchr(text, '\n', *size) : NULL;
    if (line != NULL) {
        *size -= (size_t)(line + 1 - text);
        memmove(text, line + 1, *size + 1);
    }
    return text;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t lines = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

/* Only the newest lines stay. They are written over what is there before the rest is cut off: a
 * crash between the two leaves some lines twice, and none is lost. */
static bool history_shorten(int fd, const char *text, size_t size, size_t *lines)
{
    const size_t stay = SHELL_HISTORY_LINES - SHELL_HISTORY_LINES / 4;
    const char *begin = text;
    size_t done = 0;
    ssize_t n = 1;

    for (; *lines > stay; (*lines)--) {
        begin = strchr(begin, '\n') + 1;
    }
    size -= (size_t)(begin - text);
    /* With O_APPEND, Linux lets pwrite() append, too. */
    if (fcntl(fd, F_SETFL, 0) != 0) {
        return false;
    }
    while (done < size && n > 0) {
        n = pwrite(fd, begin + done, size - done, (off_t)done);
        done += n > 0 ? (size_t)n : 0;
    }
    return done == size && ftruncate(fd, (off_t)size) == 0;
}

/* The text of the file, not longer than it may be; NULL after giving up. */
static char *history_load(struct shell_history *history, int fd)
{
    size_t size = 0;
    char *text = history_read(fd, &size);

    if (text == NULL) {
        history_give_up(history, "cannot read");
        return NULL;
    }
    /* Bytes that no line has end what is looked at. */
    size = strlen(text);
    history->lines = count_lines(text, size);
    if (history->lines >= SHELL_HISTORY_LINES &&
        !history_shorten(fd, text, size, &history->lines)) {
        history_give_up(history, "cannot write");
        free(text);
        return NULL;
    }
    return text;
}

void shell_history_open(struct shell_history *history, const struct cli *cli,
                        void (*each)(void *user, const char *line), void *user)
{
    char *text;
    char *rest;
    char *line;
    int fd;

    *history = (struct shell_history){.cli = cli};
    history_find(history);
    if (history->path == NULL) {
        cli_note(cli, "neither XDG_STATE_HOME nor HOME is an absolute path; lines are not kept");
        return;
    }
    fd = history_file(history);
    if (fd < 0) {
        return;
    }
    text = history_load(history, fd);
    for (rest = text; rest != NULL && (line = strsep(&rest, "\n")) != NULL;) {
        if (*line != '\0' && strlen(line) <= SHELL_HISTORY_LINE_MAX) {
            each(user, line);
        }
    }
    free(text);
    (void)close(fd);
}

void shell_history_add(struct shell_history *history, const char *line)
{
    const size_t size = strlen(line);
    char bytes[SHELL_HISTORY_LINE_MAX + 1];
    int fd;

    if (history->path == NULL || size > SHELL_HISTORY_LINE_MAX) {
        return;
    }
    fd = history_file(history);
    if (fd < 0) {
        return;
    }
    if (history->lines >= SHELL_HISTORY_LINES) {
        free(history_load(history, fd));
    }
    memcpy(bytes, line, size);
    bytes[size] = '\n';
    /* At its end, whoever added to it meanwhile. In one piece: the next line is one of its own. */
    if (history->path != NULL &&
        (lseek(fd, 0, SEEK_END) < 0 || write(fd, bytes, size + 1) != (ssize_t)(size + 1))) {
        history_give_up(history, "cannot write");
    }
    history->lines++;
    (void)close(fd);
}

void shell_history_close(struct shell_history *history)
{
    free(history->path);
    history->path = NULL;
}
