#include "tests/integration/http_get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define ANSWER_MAX (8u << 20)

const char *http_socket(const struct daemon *daemon)
{
    static char path[DAEMON_PATH_SIZE + 8];

    (void)snprintf(path, sizeof path, "%s/m", daemon->dir);
    return path;
}

static void set_bounds(int fd)
{
    const struct timeval bound = {.tv_sec = DAEMON_WAIT_MS / 1000};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound), 0);
}

int http_connect(const struct daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = http_socket(daemon);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    set_bounds(fd);
    return fd;
}

/* Take the chunks of a body apart, in place. */
static void join_chunks(struct http_answer *answer)
{
    char *to = answer->body;
    char *at = answer->body;

    for (;;) {
        char *end;
        const unsigned long size = strtoul(at, &end, 16);

        assert_memory_equal(end, "\r\n", 2);
        at = end + 2;
        if (size == 0) {
            break;
        }
        assert_true(at + size + 2 <= answer->body + answer->raw_size);
        memmove(to, at, size);
        to += size;
        at += size;
        assert_memory_equal(at, "\r\n", 2);
        at += 2;
        answer->chunks++;
    }
    assert_string_equal(at, "\r\n");
    *to = '\0';
}

static void take_apart(char *bytes, size_t size, struct http_answer *answer)
{
    char *end = strstr(bytes, "\r\n\r\n");
    const char *length;

    assert_non_null(end);
    assert_memory_equal(bytes, "HTTP/1.1 ", 9);
    answer->status = (int)strtol(bytes + 9, NULL, 10);
    answer->raw_size = size - (size_t)(end + 4 - bytes);
    answer->body = malloc(answer->raw_size + 1);
    assert_non_null(answer->body);
    memcpy(answer->body, end + 4, answer->raw_size + 1);
    *end = '\0';
    answer->head = bytes;
    assert_non_null(strstr(bytes, "\r\nConnection: close"));
    length = strstr(bytes, "\r\nContent-Length: ");
    if (length != NULL && answer->raw_size > 0) {
        assert_int_equal(strtoul(length + 18, NULL, 10), answer->raw_size);
    }
    if (strstr(bytes, "\r\nTransfer-Encoding: chunked") != NULL && answer->raw_size > 0) {
        join_chunks(answer);
    }
}

void http_ask_on(int fd, const char *text, struct http_answer *answer)
{
    char *bytes = malloc(ANSWER_MAX);
    const size_t size = strlen(text);
    size_t used = 0;
    ssize_t got;

    assert_non_null(bytes);
    *answer = (struct http_answer){0};
    set_bounds(fd);
    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
    while ((got = recv(fd, bytes + used, ANSWER_MAX - 1 - used, 0)) > 0) {
        used += (size_t)got;
        assert_true(used < ANSWER_MAX - 1);
    }
    assert_int_equal(got, 0); /* Closed, not reset, and not given up */
    (void)close(fd);
    bytes[used] = '\0';
    take_apart(bytes, used, answer);
}

void http_ask(const struct daemon *daemon, const char *text, struct http_answer *answer)
{
    http_ask_on(http_connect(daemon), text, answer);
}

void http_get(const struct daemon *daemon, const char *path, struct http_answer *answer)
{
    char text[256];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    http_ask(daemon, text, answer);
}

void http_free(struct http_answer *answer)
{
    free(answer->head);
    free(answer->body);
}
