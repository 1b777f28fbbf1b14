/* Requests of HTTP/1.1, as far as a scraper, a browser or curl needs them: GET and HEAD without a
 * body. Bytes in, a verdict out; what is not plainly such a request is refused, not interpreted. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REQUEST_SIZE_MAX 8192u /* Line and headers; a browser sends 1 or 2 KiB */
#define HTTP_HEADERS_MAX 64u

enum http_verdict {
    HTTP_PARTIAL,   /* More bytes are needed */
    HTTP_REQUEST,   /* It is whole */
    HTTP_BAD,       /* No request of HTTP/1.0 or 1.1, or one with a body: 400 */
    HTTP_TOO_LARGE, /* 431 */
    HTTP_NO_METHOD, /* Neither GET nor HEAD: 405 */
};

struct http_request {
    const char *path; /* Borrowed from the bytes, not terminated, without what follows a '?' */
    size_t path_size;
    bool head;    /* HEAD: the answer has no body */
    bool chunked; /* HTTP/1.1: the answer may be */
};

/* Look at what has arrived. *request is filled with HTTP_REQUEST only. */
enum http_verdict http_parse(struct http_request *request, const uint8_t *bytes, size_t size);

#endif
