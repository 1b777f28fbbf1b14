/* What AddressSanitizer keeps and fills for its reports, cut to what a target needs: an execution allocates some hundred
 * KiB, so a few MiB of freed memory hold all of several executions and stay in the processor's caches; and a report that
 * wants longer stacks is had by repeating its input with ASAN_OPTIONS=malloc_context_size=30. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4:thread_local_quarantine_size_kb=256:"
           "malloc_context_size=4:max_malloc_fill_size=256";
}
