/* What cppcheck sees of <uthash.h>, which it does not read: the loop over a table, as the library means it. */
#define HASH_ITER(hh, head, el, tmp) \
    for ((el) = (head), (tmp) = (el) != NULL ? (el)->hh.next : NULL; (el) != NULL; \
         (el) = (tmp), (tmp) = (tmp) != NULL ? (tmp)->hh.next : NULL)
