#include "server/http.h"

#include <string.h>
#include <strings.h>

#define VERSION_SIZE 8u /* "HTTP/1.1" */

struct line {
    const char *bytes;
    size_t size; /* Without CR LF */
};

/* Characters of a token, RFC 9110 5.6.2: methods and names of headers. */
static bool is_token(const char *bytes, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    size_t i;

    for (i = 0; i < size; i++) {
        const char c = bytes[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c != '\0' && strchr(others, c) != NULL))) {
            return false;
        }
    }
    return size > 0;
}

/* Nothing below a blank; what is beyond ASCII, and the tab, only in values of headers. */
static bool is_plain(const char *bytes, size_t size, bool value)
{
    size_t i;

    for (i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];

        if ((c < ' ' && !(value && c == '\t')) || c == 0x7f || (c > 0x7f && !value)) {
            return false;
        }
    }
    return true;
}

/* The next line from *at on. PARTIAL: its end is not there; BAD: it does not end in CR LF. */
static enum http_verdict next_line(const uint8_t *bytes, size_t size, size_t *at, struct line *line)
{
    const uint8_t *begin = bytes + *at;
    const uint8_t *end = memchr(begin, '\n', size - *at);

    if (end == NULL) {
        return HTTP_PARTIAL;
    }
    if (end == begin || end[-1] != '\r') {
        return HTTP_BAD;
    }
    line->bytes = (const char *)begin;
    line->size = (size_t)(end - begin) - 1;
    *at += (size_t)(end - begin) + 1;
    return HTTP_REQUEST;
}

/* "GET /path HTTP/1.1". */
static enum http_verdict parse_first(struct http_request *request, const struct line *line)
{
    const char *method_end = memchr(line->bytes, ' ', line->size);
    const char *line_end = line->bytes + line->size;
    const char *target;
    const char *target_end;
    const char *query;

    if (method_end == NULL || !is_token(line->bytes, (size_t)(method_end - line->bytes))) {
        return HTTP_BAD;
    }
    target = method_end + 1;
    target_end = memchr(target, ' ', (size_t)(line_end - target));
    if (target_end == NULL || target_end == target || target[0] != '/' ||
        !is_plain(target, (size_t)(target_end - target), false)) {
        return HTTP_BAD;
    }
    if ((size_t)(line_end - target_end) - 1 != VERSION_SIZE ||
        memcmp(target_end + 1, "HTTP/1.", VERSION_SIZE - 1) != 0 ||
        (line_end[-1] != '0' && line_end[-1] != '1')) {
        return HTTP_BAD;
    }
    query = memchr(target, '?', (size_t)(target_end - target));
    request->path = target;
    request->path_size = (size_t)((query != NULL ? query : target_end) - target);
    request->chunked = line_end[-1] == '1';
    request->head = method_end - line->bytes == 4 && memcmp(line->bytes, "HEAD", 4) == 0;
    if (!request->head && (method_end - line->bytes != 3 || memcmp(line->bytes, "GET", 3) != 0)) {
        return HTTP_NO_METHOD;
    }
    return HTTP_REQUEST;
}

static bool is_named(const struct line *line, size_t name_size, const char *name)
{
    return name_size == strlen(name) && strncasecmp(line->bytes, name, name_size) == 0;
}

/* "Content-Length: 0" is a body, too, but nothing that would have to be skipped. */
static bool is_zero(const char *bytes, size_t size)
{
    while (size > 0 && (*bytes == ' ' || *bytes == '\t')) {
        bytes++;
        size--;
    }
    return size == 1 && *bytes == '0';
}

/* "Name: value". False: it is no header, or announces a body. */
static bool check_header(const struct line *line, unsigned *hosts)
{
    const char *colon = memchr(line->bytes, ':', line->size);
    size_t name_size;
    size_t value_size;

    if (colon == NULL) {
        return false;
    }
    name_size = (size_t)(colon - line->bytes);
    value_size = line->size - name_size - 1;
    /* A blank before the colon, or a line that goes on the one before, is no token. */
    if (!is_token(line->bytes, name_size) || !is_plain(colon + 1, value_size, true)) {
        return false;
    }
    *hosts += is_named(line, name_size, "host") ? 1 : 0;
    if (is_named(line, name_size, "content-length")) {
        return is_zero(colon + 1, value_size);
    }
    return !is_named(line, name_size, "transfer-encoding");
}

enum http_verdict http_parse(struct http_request *request, const uint8_t *bytes, size_t size)
{
    const enum http_verdict not_whole =
        size >= HTTP_REQUEST_SIZE_MAX ? HTTP_TOO_LARGE : HTTP_PARTIAL;
    enum http_verdict first;
    enum http_verdict verdict;
    unsigned headers = 0;
    unsigned hosts = 0;
    struct line line;
    size_t at = 0;

    verdict = next_line(bytes, size, &at, &line);
    if (verdict != HTTP_REQUEST) {
        /* What cannot become a line need not be waited for. */
        const size_t seen = size > 0 && bytes[size - 1] == '\r' ? size - 1 : size;

        return verdict == HTTP_PARTIAL && is_plain((const char *)bytes, seen, false) ? not_whole
                                                                                     : HTTP_BAD;
    }
    first = parse_first(request, &line);
    if (first == HTTP_BAD) {
        return HTTP_BAD;
    }
    while ((verdict = next_line(bytes, size, &at, &line)) == HTTP_REQUEST && line.size > 0) {
        if (!check_header(&line, &hosts)) {
            return HTTP_BAD;
        }
        if (++headers > HTTP_HEADERS_MAX) {
            return HTTP_TOO_LARGE;
        }
    }
    if (verdict != HTTP_REQUEST) {
        return verdict == HTTP_PARTIAL ? not_whole : HTTP_BAD;
    }
    if (hosts > 1 || (hosts == 0 && request->chunked)) {
        return HTTP_BAD;
    }
    return first;
}
