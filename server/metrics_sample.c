/* Writes server/tusk-metrics.7.scd to standard output; run after a change to metrics.def. */
#include "server/metrics.h"

int main(void)
{
    metrics_manual(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
