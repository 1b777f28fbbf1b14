/* Writes config/tuskd.conf to standard output; run after a change to options.def. */
#include "config/options.h"

int main(void)
{
    options_sample(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
