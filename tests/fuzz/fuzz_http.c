/* Bytes as a scraper sends them: the verdict must be the same whatever comes behind a whole request,
 * and for every beginning of it "more is needed". */
#include "server/http.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* What was taken is plain: a path that begins with a slash, without blanks or control characters. */
static void check_request(const struct http_request *request)
{
    size_t i;

    REQUIRE(request->path_size > 0);
    REQUIRE(request->path[0] == '/');
    for (i = 0; i < request->path_size; i++) {
        REQUIRE(request->path[i] > ' ' && request->path[i] < 0x7f && request->path[i] != '?');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request = {0};
    const enum http_verdict whole = http_parse(&request, data, size);
    enum http_verdict before = HTTP_PARTIAL;
    size_t part;

    if (whole == HTTP_REQUEST) {
        check_request(&request);
        REQUIRE(request.path + request.path_size <= (const char *)data + size);
    }
    for (part = 0; part < size && before == HTTP_PARTIAL; part++) {
        before = http_parse(&request, data, part);
    }
    if (before != HTTP_PARTIAL) {
        REQUIRE(before == whole);
    }
    return 0;
}
