/* Static probes: places in the program that bpftrace, perf and gdb can watch (USDT), of the
 * provider "tuskd". What each says is listed in server/OPERATIONS.md, "Probes", and kept: names,
 * the order of arguments and their units are relied on by scripts.
 *
 * A probe is a nop and a note in the file, so that nothing happens where nobody watches; what it is
 * given must be at hand already, because it is evaluated all the same. Built without sys/sdt.h
 * (TUSK_PROBES=OFF) there is nothing at all. Texts are not terminated unless that is said: their
 * size follows them; an array whose size the compiler does not know is given as its first byte's
 * address. */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#ifdef TUSK_PROBES

#include <sys/sdt.h>

#define PROBE2(name, a, b) DTRACE_PROBE2(tuskd, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(tuskd, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(tuskd, name, a, b, c, d)
#define PROBE5(name, a, b, c, d, e) DTRACE_PROBE5(tuskd, name, a, b, c, d, e)
#define PROBE6(name, a, b, c, d, e, f) DTRACE_PROBE6(tuskd, name, a, b, c, d, e, f)

#else

#define PROBE2(name, a, b) ((void)(a), (void)(b))
#define PROBE3(name, a, b, c) (PROBE2(name, a, b), (void)(c))
#define PROBE4(name, a, b, c, d) (PROBE3(name, a, b, c), (void)(d))
#define PROBE5(name, a, b, c, d, e) (PROBE4(name, a, b, c, d), (void)(e))
#define PROBE6(name, a, b, c, d, e, f) (PROBE5(name, a, b, c, d, e), (void)(f))

#endif

#endif
