/* CHECK(): an assertion that is compiled into every build, because a log that writes
 * wrong bytes is worse than a log that stops. For bugs only: never for what a disk, a
 * peer or an operator can cause, which are errors (error.h). One condition each. */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__, __func__))

/* A place that cannot be reached, and why. */
#define UNREACHABLE(why) check_failed(why, __FILE__, __LINE__, __func__)

/* Print where and what to standard error, then abort(). */
_Noreturn void check_failed(const char *condition, const char *file, int line,
                            const char *function);

#endif
