/* How a request can end, in one list for the engine, the daemon and the wire.
 *
 * On the wire a status is the positive number below (PROTOCOL.md, "Status");
 * in C a function returns 0 or the negative TUSK_E* of it. Numbers are never
 * reused. client/tusk.h repeats the list for users of the library, who see no
 * header of ours but that one; a test holds the two against each other. */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H

#define TUSK_STATUS_MAP(X)                                                                         \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(IO, 2, "disk or file system error")                                                          \
    X(NOSPACE, 3, "no space left")                                                                 \
    X(CORRUPT, 4, "stored bytes do not check out")                                                 \
    X(VERSION, 5, "written or asked for by a newer version")                                       \
    X(NOTFOUND, 6, "no such namespace, topic or cursor")                                           \
    X(TOOBIG, 7, "larger than a limit allows")                                                     \
    X(BUSY, 8, "a limit is reached; try later")                                                    \
    X(CLOSED, 9, "the daemon is stopping")                                                         \
    X(INVALID, 10, "not a valid request")                                                          \
    X(EXISTS, 11, "exists already")                                                                \
    X(DENIED, 12, "not permitted")                                                                 \
    X(UNKNOWN, 13, "the outcome is unknown: stored or not stored")                                 \
    X(TRIMMED, 14, "the offset lies before the first entry kept")                                  \
    X(END, 15, "no entry there yet")                                                               \
    X(STALE, 16, "the cursor was moved by a seek since")                                           \
    X(QUOTA, 17, "the namespace's quota is used up")                                               \
    X(LOCKED, 18, "in use by another process")                                                     \
    X(TIMEOUT, 19, "the deadline passed")                                                          \
    X(UNREACHABLE, 20, "no daemon answers there")                                                  \
    X(PROTOCOL, 21, "the peer's bytes are not the protocol")                                       \
    X(UNSUPPORTED, 22, "a feature this version does not have")

enum tusk_error {
    TUSK_OK = 0,
#define X(name, number, text) TUSK_E##name = -(number),
    TUSK_STATUS_MAP(X)
#undef X
};

/* The sentence of a code, or "unknown error". Accepts either sign. Never NULL. */
const char *status_text(int code);
/* The name of a code without prefix ("NOSPACE"), or "?". Accepts either sign. */
const char *status_name(int code);

#endif
