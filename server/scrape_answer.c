#include "server/scrape_answer.h"

#include <stdio.h>
#include <string.h>

#include "config/options.h"
#include "core/check.h"
#include "core/engine.h"
#include "server/data_dir.h"
#include "server/server.h"
#include "server/status_page.h"

#define CHUNK_HEAD_SIZE 8u /* Its size in six hexadecimal digits, and CR LF */
#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_PAGE "text/html; charset=utf-8"

/* Whether clients can be served as they should be; else the reason. */
static bool is_ready(const struct server *server, char *reason, size_t size)
{
    struct engine_namespace_info info;
    struct namespace *ns;

    if (server->state != SERVER_SERVING) {
        (void)snprintf(reason, size, "the daemon is stopping\n");
        return false;
    }
    ns = engine_namespace_next(server->engine, NULL, 0);
    while (ns != NULL) {
        engine_namespace_info(ns, &info);
        if (info.state != ENGINE_SERVING) {
            (void)snprintf(reason, size, "namespace \"%s\" does not serve: %s\n", info.name,
                           info.reason);
            return false;
        }
        ns = engine_namespace_next(server->engine, info.name, strlen(info.name));
    }
    (void)snprintf(reason, size, "ready\n");
    return true;
}

static size_t begin(struct scrape_answer *answer, const char *status, const char *type,
                    const char *body, size_t body_size, char *out)
{
    const int size = snprintf(
        out, SCRAPE_PIECE_SIZE,
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
        "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; connect-src 'self'; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
        "Allow: GET, HEAD\r\n\r\n",
        status, type, body_size);

    CHECK(size > 0 && (size_t)size < SCRAPE_PIECE_SIZE);
    answer->body = body;
    answer->body_size = body_size;
    return (size_t)size;
}

static size_t begin_text(struct scrape_answer *answer, const char *status, const char *text,
                         char *out)
{
    return begin(answer, status, TYPE_TEXT, text, strlen(text), out);
}

static size_t begin_metrics(struct scrape_answer *answer, struct server *server, uint64_t start_us,
                            char *out)
{
    struct exposition_facts facts = {.start_us = start_us};
    int size;

    facts.ready = is_ready(server, answer->reason, sizeof answer->reason);
    data_dir_space(server->options->data_dir, &facts.disk_size_bytes, &facts.disk_available_bytes);
    exposition_begin(&answer->exposition, server, &facts, server->options->metrics_topics_max);
    answer->exposing = true;
    size = snprintf(out, SCRAPE_PIECE_SIZE,
                    "HTTP/1.1 200 OK\r\nContent-Type: " TYPE_METRICS "\r\n%s"
                    "Connection: close\r\nCache-Control: no-store\r\n\r\n",
                    answer->chunked ? "Transfer-Encoding: chunked\r\n" : "");
    CHECK(size > 0 && (size_t)size < SCRAPE_PIECE_SIZE);
    return (size_t)size;
}

static bool is_path(const struct http_request *request, const char *path)
{
    return request->path_size == strlen(path) && memcmp(request->path, path, strlen(path)) == 0;
}

static size_t begin_request(struct scrape_answer *answer, struct server *server, uint64_t start_us,
                            const struct http_request *request, char *out)
{
    if (is_path(request, "/metrics")) {
        return begin_metrics(answer, server, start_us, out);
    }
    if (is_path(request, "/healthz")) {
        return begin_text(answer, "200 OK", "ok\n", out);
    }
    if (is_path(request, "/readyz")) {
        const bool ready = is_ready(server, answer->reason, sizeof answer->reason);

        return begin_text(answer, ready ? "200 OK" : "503 Service Unavailable", answer->reason,
                          out);
    }
    if (is_path(request, "/")) {
        return begin(answer, "200 OK", TYPE_PAGE, (const char *)status_page, status_page_size, out);
    }
    return begin_text(answer, "404 Not Found", "there are /metrics, /healthz, /readyz and /\n",
                      out);
}

size_t scrape_answer_begin(struct scrape_answer *answer, struct server *server, uint64_t start_us,
                           enum http_verdict verdict, const struct http_request *request, char *out)
{
    size_t size;

    memset(answer, 0, sizeof *answer);
    if (verdict == HTTP_NO_METHOD) {
        return begin_text(answer, "405 Method Not Allowed", "only GET and HEAD\n", out);
    }
    if (verdict == HTTP_TOO_LARGE) {
        return begin_text(answer, "431 Request Header Fields Too Large", "too large\n", out);
    }
    if (verdict != HTTP_REQUEST) {
        return begin_text(answer, "400 Bad Request", "no request of HTTP/1.1 without a body\n",
                          out);
    }
    answer->chunked = request->chunked;
    size = begin_request(answer, server, start_us, request, out);
    answer->whole = request->head;
    return size;
}

/* The size of a chunk stands in front of it, with as many zeros as there is room for. */
static size_t expose(struct scrape_answer *answer, char *out)
{
    char head[CHUNK_HEAD_SIZE + 1];
    size_t size;

    if (!answer->chunked) {
        size = exposition_piece(&answer->exposition, out, SCRAPE_PIECE_SIZE);
        answer->whole = size == 0;
        return size;
    }
    size = exposition_piece(&answer->exposition, out + CHUNK_HEAD_SIZE,
                            SCRAPE_PIECE_SIZE - CHUNK_HEAD_SIZE - 2);
    if (size == 0) {
        answer->whole = true;
        memcpy(out, "0\r\n\r\n", 5);
        return 5;
    }
    CHECK(size <= SCRAPE_PIECE_SIZE);
    (void)snprintf(head, sizeof head, "%06x\r\n", (unsigned)size & 0xffffff);
    memcpy(out, head, CHUNK_HEAD_SIZE);
    memcpy(out + CHUNK_HEAD_SIZE + size, "\r\n", 2);
    return CHUNK_HEAD_SIZE + size + 2;
}

size_t scrape_answer_piece(struct scrape_answer *answer, char *out)
{
    size_t size;

    if (answer->whole) {
        return 0;
    }
    if (answer->exposing) {
        return expose(answer, out);
    }
    size = answer->body_size < SCRAPE_PIECE_SIZE ? answer->body_size : SCRAPE_PIECE_SIZE;
    memcpy(out, answer->body, size);
    answer->body += size;
    answer->body_size -= size;
    return size;
}
