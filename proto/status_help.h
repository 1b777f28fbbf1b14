/* What a person who meets a status wants to know, one text for each of proto/status.h.
 *
 * `tusk explain` prints them; nothing else does, so that the daemon and the library do not carry
 * them. A status without a text is an error of the compiler, and a test reads each of them. */
#ifndef PROTO_STATUS_HELP_H
#define PROTO_STATUS_HELP_H

struct status_help {
    const char *meaning; /* What is so now: stored, not stored, still there */
    const char *why;     /* What brings it about */
    const char *remedy;  /* What to do */
};

/* The texts of a code, of either sign; NULL when there is no such status. 0 has some, too. */
const struct status_help *status_help(int code);

#endif
