/* server/http.c: what is taken for a request, and that nothing else is. Bytes lie at the very end of
 * memory of their own, so that a sanitizer sees one that is looked at beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http.h"

static const char scraper[] = "GET /metrics?debug=1 HTTP/1.1\r\n"
                              "Host: localhost\r\n"
                              "User-Agent: Prometheus/2.42.0\r\n"
                              "Accept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
                              "X-Name:\tJos\303\251\r\n"
                              "X-Empty:\r\n"
                              "\r\n";

static enum http_verdict judge(struct http_request *request, const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct http_request found = {0};
    enum http_verdict verdict;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    verdict = http_parse(&found, copy, size);
    if (verdict == HTTP_REQUEST) {
        assert_true(found.path >= (char *)copy);
        assert_true(found.path + found.path_size <= (char *)copy + size);
        found.path = (const char *)bytes + (found.path - (char *)copy);
        *request = found;
    }
    free(copy);
    return verdict;
}

static enum http_verdict judge_text(const char *text)
{
    struct http_request request;

    return judge(&request, text, strlen(text));
}

/* What scrapers, browsers and curl send is understood; what follows a '?' is not part of the path. */
static void ordinary_requests_are_understood(void **state)
{
    struct http_request request = {0};

    (void)state;
    assert_int_equal(judge(&request, scraper, sizeof scraper - 1), HTTP_REQUEST);
    assert_int_equal(request.path_size, strlen("/metrics"));
    assert_memory_equal(request.path, "/metrics", request.path_size);
    assert_true(request.chunked);
    assert_false(request.head);
    assert_int_equal(judge(&request, "HEAD / HTTP/1.0\r\n\r\n", 19), HTTP_REQUEST);
    assert_true(request.head);
    assert_false(request.chunked);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
                     HTTP_REQUEST);
}

/* However the bytes of a request arrive, nothing is said before the last one. */
static void every_beginning_of_a_request_is_waited_for(void **state)
{
    struct http_request request;
    size_t size;

    (void)state;
    for (size = 0; size < sizeof scraper - 1; size++) {
        assert_int_equal(judge(&request, scraper, size), HTTP_PARTIAL);
    }
}

static void other_methods_are_told_apart(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get", "GETS", "G"};
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        (void)strcpy(text, methods[i]);
        (void)strcat(text, " /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(judge_text(text), HTTP_NO_METHOD);
    }
}

/* What another reader of the same bytes might understand otherwise is refused. */
static void what_is_not_plainly_a_request_is_refused(void **state)
{
    static const char *const bad[] = {
        "\r\n",
        "\n",
        "GET\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET / http/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\001 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\303\251 HTTP/1.1\r\nHost: x\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\"T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: x\r\nhOST: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\026\003\001\002",     /* TLS says hello: nothing to wait for */
        "\024\000\000\000\001", /* So does tusk */
    };
    struct http_request request;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (judge_text(bad[i]) != HTTP_BAD) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_int_equal(judge(&request, "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 29), HTTP_BAD);
    assert_int_equal(judge(&request, "GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 28), HTTP_BAD);
    assert_int_equal(judge(&request, "GET / HTTP/1.1\r\nHo\0st: x\r\n\r\n", 29), HTTP_BAD);
}

/* At the limit a request is taken; what is larger, or has one header more, is not waited for. */
static void limits_are_where_they_are_said_to_be(void **state)
{
    static const char begin[] = "GET / HTTP/1.1\r\nHost: ";
    static char text[HTTP_REQUEST_SIZE_MAX + 2];
    struct http_request request;
    size_t used = sizeof begin - 1;
    unsigned i;

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, begin, used);
    memcpy(text + HTTP_REQUEST_SIZE_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(judge(&request, text, HTTP_REQUEST_SIZE_MAX - 1), HTTP_PARTIAL);
    assert_int_equal(judge(&request, text, HTTP_REQUEST_SIZE_MAX), HTTP_REQUEST);
    memcpy(text + HTTP_REQUEST_SIZE_MAX - 4, "xxxx", 4);
    assert_int_equal(judge(&request, text, HTTP_REQUEST_SIZE_MAX), HTTP_TOO_LARGE);
    memset(text, 'x', sizeof text);
    assert_int_equal(judge(&request, text, HTTP_REQUEST_SIZE_MAX), HTTP_TOO_LARGE);
    (void)strcpy(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (i = 1; i < HTTP_HEADERS_MAX; i++) {
        (void)strcat(text, "A: b\r\n");
    }
    used = strlen(text);
    (void)strcat(text, "\r\n");
    assert_int_equal(judge_text(text), HTTP_REQUEST);
    (void)strcpy(text + used, "A: b\r\n\r\n");
    assert_int_equal(judge_text(text), HTTP_TOO_LARGE);
}

/* Any byte of a request made any other: never looked at beyond its end, and never taken where it
 * became a control character. */
static void no_changed_byte_is_a_danger(void **state)
{
    struct http_request request;
    char text[sizeof scraper - 1];
    size_t at;
    unsigned value;

    (void)state;
    for (at = 0; at < sizeof text; at++) {
        for (value = 0; value < 256; value++) {
            enum http_verdict verdict;

            memcpy(text, scraper, sizeof text);
            text[at] = (char)value;
            verdict = judge(&request, text, sizeof text);
            if (value < ' ' && value != '\t' && text[at] != scraper[at]) {
                assert_int_not_equal(verdict, HTTP_REQUEST);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_requests_are_understood),
        cmocka_unit_test(every_beginning_of_a_request_is_waited_for),
        cmocka_unit_test(other_methods_are_told_apart),
        cmocka_unit_test(what_is_not_plainly_a_request_is_refused),
        cmocka_unit_test(limits_are_where_they_are_said_to_be),
        cmocka_unit_test(no_changed_byte_is_a_danger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
