#include "core/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *condition, const char *file, int line, const char *function)
{
    (void)fprintf(stderr, "tusk: bug: %s does not hold in %s() at %s:%d\n", condition, function,
                  file, line);
    abort();
}
