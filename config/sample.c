/* Writes config/tuskd.conf, or with any argument config/tuskd.conf.5.scd, to standard output; run
 * after a change to options.def. */
#include "config/options.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        options_manual(stdout);
    } else {
        options_sample(stdout);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
