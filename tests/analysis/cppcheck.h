/* What core/check.h means, in words in which cppcheck sees that nothing comes behind a check that fails. */
#define CORE_CHECK_H
#define CHECK(cond) do { if (!(cond)) abort(); } while (0)
#define UNREACHABLE(why) abort()
_Noreturn void check_failed(const char *condition, const char *file, int line,
                            const char *function);

/* What cppcheck sees of <uthash.h>, which it does not read: the loop over a table, as the library means it. */
#define HASH_ITER(hh, head, el, tmp) \
    for ((el) = (head), (tmp) = (el) != NULL ? (el)->hh.next : NULL; (el) != NULL; \
         (el) = (tmp), (tmp) = (tmp) != NULL ? (tmp)->hh.next : NULL)
