#include "server/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/options.h"
#include "server/limits.h"
#include "server/log.h"

#define DESCRIPTORS_FOR_LOOP 12u    /* The loop's own, signals, the listener */
#define DESCRIPTORS_FOR_FILES 4096u /* Wanted beyond those of connections: a segment holds 1 GB */

void descriptors_raise(const struct options *options)
{
    const rlim_t wanted = (rlim_t)options->connections_max + DESCRIPTORS_FOR_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_warning("start", "cannot raise the limit of descriptors: %s", strerror(errno));
    }
}

bool descriptors_enough(void)
{
    const int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct rlimit limit;

    if (lowest >= 0) {
        (void)close(lowest); /* Nothing was written to it */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && lowest >= 0 &&
        limit.rlim_cur >= (rlim_t)lowest + DESCRIPTORS_FOR_LOOP + SPARE_FDS + 1) {
        return true;
    }
    log_error(
        "start",
        "too few descriptors: %d are in use for files, and %u more are needed; the limit is %llu: "
        "raise it (ulimit -n, LimitNOFILE=)",
        lowest, DESCRIPTORS_FOR_LOOP + SPARE_FDS + 1, (unsigned long long)limit.rlim_cur);
    return false;
}
