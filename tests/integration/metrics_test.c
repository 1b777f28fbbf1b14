/* Metrics and health over HTTP: a real daemon, asked as a scraper asks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/metrics.h"
#include "server/scrape.h"
#include "tests/integration/fixture.h"
#include "tests/integration/http_get.h"

#define TOPICS_MANY 300u
#define SILENT 160u

_Static_assert(SILENT / SCRAPE_SLOTS * SCRAPE_READ_MS > DAEMON_WAIT_MS, "longer than any wait");

static void start(struct daemon *daemon, const char *setting)
{
    char socket[DAEMON_PATH_SIZE + 32];
    const char *arguments[32];
    size_t count = 0;

    (void)snprintf(socket, sizeof socket, "metrics_socket=%s", http_socket(daemon));
    while (fixture_small[count] != NULL) {
        arguments[count] = fixture_small[count];
        count++;
    }
    arguments[count++] = "--set";
    arguments[count++] = socket;
    if (setting != NULL) {
        arguments[count++] = "--set";
        arguments[count++] = setting;
    }
    arguments[count] = NULL;
    daemon_start_with(daemon, arguments);
}

/* Whether a line of the text begins so. */
static bool has_line(const char *text, const char *begin)
{
    const char *at = text;

    while ((at = strstr(at, begin)) != NULL) {
        if (at == text || at[-1] == '\n') {
            return true;
        }
        at++;
    }
    return false;
}

static uint64_t value_of(const char *text, const char *series)
{
    char begin[1024];
    const char *at;

    (void)snprintf(begin, sizeof begin, "\n%s ", series);
    at = strstr(text, begin);
    if (at == NULL) {
        fail_msg("no %s in: %s", series, text);
        return 0;
    }
    return strtoull(at + strlen(begin), NULL, 10);
}

static void append(const struct daemon *daemon, const char *topic, const char *entry)
{
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, topic, entry), 0);
    wire_close(&wire);
}

/* Every metric of the table has a value, of a daemon that has done a little of everything. */
static void every_metric_of_the_table_is_told(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;
    struct wire wire;
    char begin[128];
    uint32_t i;

    start(daemon, NULL);
    append(daemon, "t", "x");
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_checkpoint(&wire, "t", "c", 1), 0);
    wire_close(&wire);
    http_get(daemon, "/metrics", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: text/plain; version=0.0.4"));
    for (i = 0; i < metrics_count(); i++) {
        const struct metric *row = metrics_row(i);

        (void)snprintf(begin, sizeof begin, "# TYPE %s %s\n", row->name,
                       metrics_kind_name(row->kind));
        assert_true(has_line(answer.body, begin));
        (void)snprintf(begin, sizeof begin, "%s%s", row->name,
                       row->kind == METRIC_HISTOGRAM ? "_count" : "");
        if (!has_line(answer.body, begin)) {
            fail_msg("no value of %s", row->name);
        }
    }
    http_free(&answer);
}

/* What clients did is counted, by type, status and namespace, and by topic and cursor. */
static void what_clients_do_is_counted(void **state)
{
    static const char *const texts[] = {"a", "b", "c"};
    struct daemon *daemon = *state;
    struct message read = wire_read_message("nowhere", 0);
    struct wire_reply reply;
    struct http_answer answer;
    struct wire wire;

    start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", texts, 3, NULL), 0);
    assert_int_equal(wire_append_one(&wire, "t", "d"), 0);
    assert_int_equal(wire_checkpoint(&wire, "t", "c", 1), 0);
    assert_int_equal(wire_simple(&wire, MESSAGE_SYNC), 0);
    assert_int_equal(wire_call(&wire, &read, &reply), TUSK_ENOTFOUND);
    http_get(daemon, "/metrics", &answer);
    assert_int_equal(value_of(answer.body, "tusk_connections"), 1);
    assert_int_equal(value_of(answer.body, "tusk_replies_total{type=\"append\",status=\"OK\"}"), 2);
    assert_int_equal(value_of(answer.body, "tusk_replies_total{type=\"read\",status=\"NOTFOUND\"}"),
                     1);
    assert_int_equal(value_of(answer.body, "tusk_request_duration_seconds_count{class=\"append\"}"),
                     2);
    assert_int_equal(value_of(answer.body, "tusk_request_duration_seconds_count{class=\"sync\"}"),
                     1);
    assert_int_equal(value_of(answer.body, "tusk_appends_total{namespace=\"default\"}"), 2);
    assert_int_equal(value_of(answer.body, "tusk_batch_entries_sum{namespace=\"default\"}"), 4);
    assert_int_equal(
        value_of(answer.body, "tusk_batch_entries_bucket{namespace=\"default\",le=\"2\"}"), 1);
    assert_int_equal(
        value_of(answer.body, "tusk_batch_entries_bucket{namespace=\"default\",le=\"4\"}"), 2);
    assert_int_equal(value_of(answer.body, "tusk_sync_group_batches_sum{namespace=\"default\"}"),
                     2);
    assert_true(value_of(answer.body, "tusk_sync_duration_seconds_count{namespace=\"default\"}") >
                0);
    assert_int_equal(
        value_of(answer.body, "tusk_topic_end_offset{namespace=\"default\",topic=\"t\"}"), 4);
    assert_int_equal(
        value_of(answer.body,
                 "tusk_cursor_lag_entries{namespace=\"default\",topic=\"t\",cursor=\"c\"}"),
        3);
    wire_close(&wire);
    http_free(&answer);
}

/* A name may hold what the format uses itself; one line stays one line. */
static void names_are_escaped(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;

    start(daemon, NULL);
    append(daemon, "a\"b\\c\nd", "x");
    http_get(daemon, "/metrics", &answer);
    assert_true(has_line(answer.body, "tusk_topic_entries{namespace=\"default\",topic=\"a\\\"b\\\\c"
                                      "\\nd\"} 1\n"));
    http_free(&answer);
}

/* The lines of a metric stand together behind one HELP and one TYPE, and none comes twice, however
 * many pieces the answer was made in. */
static void lines_of_a_metric_stand_together(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;
    char name[128] = "";
    unsigned heads = 0;
    char topic[200];
    unsigned lines = 0;
    unsigned i;
    char *line;
    char *rest;

    start(daemon, NULL);
    for (i = 0; i < TOPICS_MANY; i++) {
        (void)snprintf(topic, sizeof topic, "%0150u", i);
        append(daemon, topic, "x");
    }
    http_get(daemon, "/metrics", &answer);
    assert_true(answer.chunks > 2);
    for (line = strtok_r(answer.body, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 7, " "), line + 7);
            heads++;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, name, strlen(name));
        } else {
            assert_memory_equal(line, name, strlen(name));
        }
        lines += strncmp(line, "tusk_topic_entries{", 19) == 0 ? 1 : 0;
    }
    assert_int_equal(lines, TOPICS_MANY);
    for (i = 0; i < metrics_count(); i++) {
        heads -= metrics_row(i)->help[0] != '\0' ? 1 : 0;
    }
    assert_int_equal(heads, 0);
    http_free(&answer);
}

/* Above metrics_topics_max there is nothing of single topics; of the namespace there is. */
static void too_many_topics_have_no_metrics_of_their_own(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;

    start(daemon, "metrics_topics_max=2");
    append(daemon, "a", "x");
    append(daemon, "b", "x");
    http_get(daemon, "/metrics", &answer);
    assert_true(has_line(answer.body, "tusk_topic_entries{namespace=\"default\",topic=\"b\"} 1"));
    http_free(&answer);
    append(daemon, "c", "x");
    http_get(daemon, "/metrics", &answer);
    assert_false(has_line(answer.body, "tusk_topic_entries{"));
    assert_int_equal(value_of(answer.body, "tusk_topics{namespace=\"default\"}"), 3);
    http_free(&answer);
}

/* Paths, methods and versions are answered as HTTP says. */
static void http_is_answered(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;

    start(daemon, NULL);
    http_get(daemon, "/healthz", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "ok\n");
    http_free(&answer);
    http_get(daemon, "/readyz", &answer);
    assert_int_equal(answer.status, 200);
    http_free(&answer);
    http_get(daemon, "/", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.head, "Content-Type: text/html"));
    http_free(&answer);
    http_get(daemon, "/nowhere", &answer);
    assert_int_equal(answer.status, 404);
    http_free(&answer);
    http_ask(daemon, "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 405);
    http_free(&answer);
    http_ask(daemon, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.raw_size, 0);
    http_free(&answer);
    http_ask(daemon, "GET /metrics HTTP/1.0\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.head, "Transfer-Encoding"));
    assert_true(has_line(answer.body, "tusk_ready 1\n"));
    http_free(&answer);
}

/* What is no request is told so, as far as it can be, and the connection closed; the daemon goes on.
 */
static void hostile_bytes_are_refused_and_the_connection_closed(void **state)
{
    static const char *const hostile[] = {
        "\026\003\001\002\001\374\003\003",
        "GET /metrics HTTP/1.1\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    };
    static char large[32768];
    struct daemon *daemon = *state;
    struct http_answer answer;
    size_t i;

    start(daemon, NULL);
    for (i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        http_ask(daemon, hostile[i], &answer);
        assert_int_equal(answer.status, 400);
        http_free(&answer);
    }
    memset(large, 'A', sizeof large - 1);
    http_ask(daemon, large, &answer);
    assert_int_equal(answer.status, 431);
    http_free(&answer);
    append(daemon, "t", "x");
    http_get(daemon, "/healthz", &answer);
    assert_int_equal(answer.status, 200);
    http_free(&answer);
}

/* Connections that say nothing do not keep a scraper out: the oldest gives way. If each had its time, the scraper behind
 * them would wait longer than it does. */
static void silent_connections_give_way(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;
    int silent[SILENT];
    size_t i;

    start(daemon, NULL);
    for (i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        silent[i] = http_connect(daemon);
        assert_int_equal(write(silent[i], "GET /", 5), 5);
    }
    http_get(daemon, "/healthz", &answer);
    assert_int_equal(answer.status, 200);
    http_free(&answer);
    for (i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        (void)close(silent[i]);
    }
}

/* Who stops in the middle of a request is cut off: the daemon closes by itself. */
static void half_a_request_is_not_waited_for_forever(void **state)
{
    struct daemon *daemon = *state;
    char byte;
    int fd;

    start(daemon, NULL);
    fd = http_connect(daemon);
    assert_int_equal(write(fd, "GET /metrics HTT", 16), 16);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
}

/* A damaged namespace is refused, the other serves: alive, but not ready, and it says why. */
static void damage_is_not_ready(void **state)
{
    struct daemon *daemon = *state;
    struct http_answer answer;
    char command[2 * DAEMON_PATH_SIZE + 128];
    struct wire wire;

    start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "other", 200), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    (void)snprintf(command, sizeof command,
                   "for f in %s/ns/other/manifest*; do printf damaged >\"$f\"; done",
                   daemon->data_dir);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): paths of this test */
    start(daemon, NULL);
    http_get(daemon, "/healthz", &answer);
    assert_int_equal(answer.status, 200);
    http_free(&answer);
    http_get(daemon, "/readyz", &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "namespace \"other\" does not serve: "));
    http_free(&answer);
    http_get(daemon, "/metrics", &answer);
    assert_true(has_line(answer.body, "tusk_ready 0\n"));
    assert_true(has_line(answer.body, "tusk_namespace_serving{namespace=\"other\"} 0\n"));
    assert_true(has_line(answer.body, "tusk_namespace_serving{namespace=\"default\"} 1\n"));
    assert_false(has_line(answer.body, "tusk_topics{namespace=\"other\"}"));
    http_free(&answer);
}

/* While clients still take what they were owed, the daemon says that it is stopping. */
static void stopping_is_not_ready(void **state)
{
    static char text[65536];
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 0);
    uint8_t requests[4096];
    struct http_answer answer;
    struct wire wire;
    size_t used = 0;
    unsigned i;

    start(daemon, "stop_timeout=60s");
    wire_open(&wire, daemon->socket, "default");
    memset(text, 'x', sizeof text - 1);
    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_one(&wire, "t", text), 0);
    }
    read.u.read.max_bytes = 512u << 10;
    read.u.read.max_entries = 1000;
    for (i = 0; i < 15; i++) {
        size_t size;
        uint8_t *request = wire_encode(&read, i, &size);

        assert_true(used + size <= sizeof requests);
        memcpy(requests + used, request, size);
        used += size;
        free(request);
    }
    /* All at once, and more than a socket's queue takes: some of it is owed until it is taken. */
    assert_true(wire_send_bytes(&wire, requests, used));
    assert_true(wire_readable(&wire, DAEMON_WAIT_MS));
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    do {
        http_get(daemon, "/readyz", &answer);
        i = (unsigned)answer.status;
        if (i == 503) {
            assert_string_equal(answer.body, "the daemon is stopping\n");
        }
        http_free(&answer);
    } while (i == 200);
    assert_int_equal(i, 503);
    http_get(daemon, "/metrics", &answer);
    assert_true(has_line(answer.body, "tusk_ready 0\n"));
    http_free(&answer);
    wire_close(&wire);
    assert_int_equal(daemon_wait(daemon), 0);
    assert_int_equal(access(http_socket(daemon), F_OK), -1);
}

/* The socket is the owner's; with metrics_group its group's, too; without the option it is not. */
static void the_sockets_mode_says_who_may_ask(void **state)
{
    struct daemon *daemon = *state;
    struct stat made;

    start(daemon, NULL);
    assert_int_equal(stat(http_socket(daemon), &made), 0);
    assert_int_equal(made.st_mode & 07777, 0600);
    daemon_stop(daemon);
    assert_int_equal(stat(http_socket(daemon), &made), -1);
    start(daemon, "metrics_group=yes");
    assert_int_equal(stat(http_socket(daemon), &made), 0);
    assert_int_equal(made.st_mode & 07777, 0660);
    daemon_stop(daemon);
    daemon_start_with(daemon, fixture_small);
    assert_int_equal(stat(http_socket(daemon), &made), -1);
}

/* What is in the way of the socket is not removed, and the daemon says so. */
static void a_taken_path_is_refused(void **state)
{
    struct daemon *daemon = *state;
    char option[DAEMON_PATH_SIZE + 32];

    (void)snprintf(option, sizeof option, "metrics_socket=%s", daemon->dir);
    assert_int_equal(daemon_fails(daemon, "--set", option, NULL), 78);
    assert_true(daemon_logged(daemon, "something else than a socket is there"));
    (void)snprintf(option, sizeof option, "metrics_socket=%s", daemon->socket);
    assert_int_equal(daemon_fails(daemon, "--set", option, NULL), 73);
    assert_true(daemon_logged(daemon, "metrics_socket: socket "));
}

static int listen_tcp(struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

/* The appends that a daemon counts, as a scraper hears over TCP. */
static uint64_t appends_over_tcp(const struct sockaddr_in *address)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct http_answer answer;
    uint64_t appends;

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    http_ask_on(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    appends = value_of(answer.body, "tusk_appends_total{namespace=\"default\"}");
    http_free(&answer);
    return appends;
}

static void skip_without_systemd(void)
{
    if (!TUSK_TEST_SYSTEMD) {
        print_message("SKIPPED: built without libsystemd\n");
        skip();
    }
}

/* A socket that systemd passes for metrics may be TCP; that of clients is then made as ever. */
static void a_passed_socket_may_be_tcp(void **state)
{
    static const char *const environment[] = {"LISTEN_FDNAMES=metrics", NULL};
    struct daemon *daemon = *state;
    struct sockaddr_in address;

    skip_without_systemd();
    daemon->pass_fd = listen_tcp(&address);
    daemon->environment = environment;
    daemon_start_with(daemon, fixture_small);
    append(daemon, "t", "x");
    assert_int_equal(appends_over_tcp(&address), 1);
    (void)close(daemon->pass_fd);
}

/* Of two sockets their names say which is which, not their order. */
static void passed_sockets_are_told_apart_by_name(void **state)
{
    static const char *const orders[][2] = {{"LISTEN_FDNAMES=tuskd.socket:metrics", NULL},
                                            {"LISTEN_FDNAMES=metrics:tuskd.socket", NULL}};
    struct daemon *daemon = *state;
    struct sockaddr_in address;
    const int tcp = listen_tcp(&address);
    int clients;
    size_t i;

    skip_without_systemd();
    clients = fixture_bound_socket(daemon->socket, SOCK_STREAM);
    assert_int_equal(listen(clients, 16), 0);
    for (i = 0; i < 2; i++) {
        daemon->pass_fd = i == 0 ? clients : tcp;
        daemon->pass_fd_2 = i == 0 ? tcp : clients;
        daemon->environment = orders[i];
        daemon_start_with(daemon, fixture_small);
        append(daemon, "t", "x");
        assert_int_equal(appends_over_tcp(&address), 1);
        daemon_stop(daemon);
    }
    (void)close(clients);
    (void)close(tcp);
}

/* Two sockets of one name, or TCP for clients, are refused with the reason. */
static void wrong_sockets_are_refused(void **state)
{
    static const char *const twice[] = {"LISTEN_FDNAMES=metrics:metrics", NULL};
    static const char *const unnamed[] = {"LISTEN_FDNAMES=", NULL};
    struct daemon *daemon = *state;
    struct sockaddr_in address;

    skip_without_systemd();
    daemon->pass_fd = listen_tcp(&address);
    daemon->pass_fd_2 = listen_tcp(&address);
    daemon->environment = twice;
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_true(daemon_logged(daemon, "two sockets for metrics were passed, wanted one"));
    (void)close(daemon->pass_fd_2);
    daemon->pass_fd_2 = -1;
    daemon->environment = unnamed;
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_true(daemon_logged(daemon, "not a listening Unix stream socket"));
    (void)close(daemon->pass_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_metric_of_the_table_is_told),
        FIXTURE_TEST(what_clients_do_is_counted),
        FIXTURE_TEST(names_are_escaped),
        FIXTURE_TEST(lines_of_a_metric_stand_together),
        FIXTURE_TEST(too_many_topics_have_no_metrics_of_their_own),
        FIXTURE_TEST(http_is_answered),
        FIXTURE_TEST(hostile_bytes_are_refused_and_the_connection_closed),
        FIXTURE_TEST(silent_connections_give_way),
        FIXTURE_TEST(half_a_request_is_not_waited_for_forever),
        FIXTURE_TEST(damage_is_not_ready),
        FIXTURE_TEST(stopping_is_not_ready),
        FIXTURE_TEST(the_sockets_mode_says_who_may_ask),
        FIXTURE_TEST(a_taken_path_is_refused),
        FIXTURE_TEST(a_passed_socket_may_be_tcp),
        FIXTURE_TEST(passed_sockets_are_told_apart_by_name),
        FIXTURE_TEST(wrong_sockets_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
