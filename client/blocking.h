/* One request and its answer, as a function call. */
#ifndef CLIENT_BLOCKING_H
#define CLIENT_BLOCKING_H

#include "client/connection.h"

/* What was waited for. Lives on the caller's stack; a body that does not fit is on the heap. */
struct call {
    bool done;
    struct reply reply; /* body.data points at small or large */
    struct tusk_failure failure;
    uint8_t *large; /* Owned; or NULL */
    uint8_t small[256];
};

/* The plan of a call's request. */
struct request_plan call_plan(struct call *call, uint16_t type, bool changes);

/* Submit and wait, at most the connection's timeout and extra_ms. The code; on success the
 * reply is in *call. call_end() afterwards, always. */
int call_run(struct tusk *t, struct call *call, const struct message *message, bool changes,
             uint32_t extra_ms);
/* The same when the request is in flight already, as id. */
int call_wait(struct tusk *t, struct call *call, uint64_t id, uint64_t deadline_us);
/* Frees the body. Returns code. */
int call_end(struct call *call, int code);
/* A reply whose bytes decode as nothing: the connection breaks, because what comes behind it cannot
 * be trusted either. Returns TUSK_EPROTOCOL. (admin.c) */
int admin_malformed(struct tusk *t);

#endif
