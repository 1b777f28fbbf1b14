/* tusk metrics: what the daemon tells of itself. It is asked over HTTP, on the socket that is there
 * for this: the text speaks of all namespaces, and a connection has rights on one. */
#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_SIZE 4096u
#define LINE_SIZE 1024u
#define CHUNK_SIZE_MAX (1u << 20) /* What no daemon sends */

static const char question[] =
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

struct metrics {
    struct cli *cli;
    const char *from;     /* Socket; NULL: where daemons have it */
    const char *textfile; /* NULL: standard output */
};

/* ---- the socket ---- */

static int connect_to(const struct cli *cli, const char *path)
{
    const struct timeval bound = {.tv_sec = cli->timeout_ms / 1000,
                                  .tv_usec = (suseconds_t)(cli->timeout_ms % 1000) * 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* Without the bounds it only waits longer; connect() waits as long as sending may. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        const int error = errno;

        (void)close(fd); /* Nothing was written to it */
        errno = error;
        return -1;
    }
    return fd;
}

/* "metrics.sock" beside the daemon's socket. */
static void put_beside(char *path, const char *socket)
{
    const char *slash = strrchr(socket, '/');

    (void)snprintf(path, PATH_SIZE, "%.*smetrics.sock",
                   slash != NULL ? (int)(slash - socket) + 1 : 0, socket);
}

/* A connected socket, or -1 and *rc. */
static int find_daemon(const struct metrics *metrics, int *rc)
{
    const char *from = metrics->from != NULL ? metrics->from : getenv("TUSK_METRICS_SOCKET");
    const bool given = from != NULL && from[0] != '\0';
    const char *socket = metrics->cli->socket;
    char path[PATH_SIZE];
    int fd;

    if (given) {
        (void)snprintf(path, sizeof path, "%s", from);
    } else {
        put_beside(path, socket != NULL ? socket : TUSK_SOCKET_DEFAULT);
    }
    fd = connect_to(metrics->cli, path);
    if (fd < 0 && !given && socket == NULL && (errno == ENOENT || errno == ECONNREFUSED)) {
        put_beside(path, "./tusk.sock");
        fd = connect_to(metrics->cli, path);
    }
    if (fd < 0) {
        *rc = errno == EACCES || errno == EPERM ? CLI_DENIED : CLI_UNREACHABLE;
        cli_say("cannot connect to %s: %s; is metrics_socket set (tuskd.conf(5)), and may you use "
                "it? --from names another",
                path, strerror(errno));
    }
    return fd;
}

/* ---- the answer ---- */

static int fail_answer(const char *what)
{
    cli_say("metrics: %s", what);
    return CLI_FAILED;
}

/* A line without its end. False: there is none, or it is too long. */
static bool read_line(FILE *in, char *line)
{
    size_t size;

    if (fgets(line, LINE_SIZE, in) == NULL) {
        return false;
    }
    size = strlen(line);
    if (size < 2 || line[size - 1] != '\n' || line[size - 2] != '\r') {
        return false;
    }
    line[size - 2] = '\0';
    return true;
}

static int read_head(FILE *in)
{
    char line[LINE_SIZE];
    bool chunked = false;

    if (!read_line(in, line)) {
        return fail_answer("no answer, or none in time");
    }
    if (strncmp(line, "HTTP/1.1 200", 12) != 0) {
        cli_say("metrics: the daemon answers \"%s\"", line);
        return CLI_FAILED;
    }
    while (read_line(in, line)) {
        if (line[0] == '\0') {
            return chunked ? CLI_DONE : fail_answer("this is not tuskd that answers");
        }
        chunked = chunked || strcasecmp(line, "Transfer-Encoding: chunked") == 0;
    }
    return fail_answer("the answer breaks off");
}

/* Chunk by chunk: one that breaks off is not taken for the end. */
static int copy_body(FILE *in, FILE *out)
{
    static char bytes[CHUNK_SIZE_MAX];
    char line[LINE_SIZE];
    char *end;

    while (read_line(in, line)) {
        const unsigned long size = strtoul(line, &end, 16);

        if (end == line || *end != '\0' || size > sizeof bytes) {
            return fail_answer("this is not tuskd that answers");
        }
        if (fread(bytes, 1, size, in) != size || !read_line(in, line) || line[0] != '\0') {
            break;
        }
        if (size == 0) {
            return CLI_DONE;
        }
        if (fwrite(bytes, 1, size, out) != size) {
            return fail_answer(strerror(errno));
        }
    }
    return fail_answer("the answer breaks off");
}

static int fetch(int fd, FILE *out)
{
    FILE *in = fdopen(fd, "r");
    int rc;

    if (in == NULL) {
        (void)close(fd); /* Nothing was written to it */
        return fail_answer(strerror(errno));
    }
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)sizeof question - 1) {
        rc = fail_answer("the daemon takes no question");
    } else {
        rc = read_head(in);
    }
    if (rc == CLI_DONE) {
        rc = copy_body(in, out);
    }
    (void)fclose(in); /* Only read from */
    return rc;
}

/* ---- the file ---- */

/* All of it is on disk before it has the name: who reads the file finds a whole one, the old or the
 * new. Everybody may read it, as node_exporter is another user. */
static int finish_file(FILE *out, const char *made, const char *name)
{
    const bool good = fflush(out) == 0 && fchmod(fileno(out), 0644) == 0 &&
                      fsync(fileno(out)) == 0 && rename(made, name) == 0;

    if (!good) {
        cli_say("cannot write %s: %s", name, strerror(errno));
    }
    return good ? CLI_DONE : CLI_FAILED;
}

static int write_file(int fd, const char *name)
{
    char made[PATH_SIZE];
    FILE *out;
    int made_fd;
    int rc;

    if ((size_t)snprintf(made, sizeof made, "%s.XXXXXX", name) >= sizeof made ||
        (made_fd = mkostemp(made, O_CLOEXEC)) < 0) {
        cli_say("cannot write %s: %s", name, strerror(errno));
        (void)close(fd); /* Nothing was written to it */
        return CLI_FAILED;
    }
    out = fdopen(made_fd, "w");
    if (out == NULL) {
        (void)close(made_fd); /* Nothing was written to it */
        (void)close(fd);
        rc = fail_answer(strerror(errno));
    } else {
        rc = fetch(fd, out);
        rc = rc == CLI_DONE ? finish_file(out, made, name) : rc;
        (void)fclose(out); /* What counts was flushed */
    }
    if (rc != CLI_DONE) {
        (void)unlink(made); /* It is nothing yet */
    }
    return rc;
}

/* ---- the command ---- */

enum { KEY_TEXTFILE = 0x3000, KEY_FROM };

static const struct argp_option metrics_options[] = {
    {"textfile", KEY_TEXTFILE, "FILE", 0, "Write a file, all at once, for node_exporter", 0},
    {"from", KEY_FROM, "PATH", 0, "The daemon's metrics_socket", 0},
    {0},
};

static error_t metrics_option(int key, char *arg, struct argp_state *state)
{
    struct metrics *metrics = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = metrics->cli;
        return 0;
    case KEY_TEXTFILE:
        metrics->textfile = arg;
        return 0;
    case KEY_FROM:
        metrics->from = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_metrics(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {.options = metrics_options,
                                     .parser = metrics_option,
                                     .doc = "Print the daemon's metrics, as Prometheus reads them.",
                                     .children = cli_children};
    struct metrics metrics = {.cli = cli};
    int rc;
    int fd;

    cli_parse(&argp, argc, argv, &metrics);
    fd = find_daemon(&metrics, &rc);
    if (fd < 0) {
        return rc;
    }
    return metrics.textfile != NULL ? write_file(fd, metrics.textfile) : fetch(fd, stdout);
}
