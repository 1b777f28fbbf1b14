#include "server/spin.h"

#include <string.h>

#define GAP_MAX_US 1000u /* One long pause is no reason to forget a quick succession for ever */
#define AVERAGE_OF 8u

void spin_init(struct spin *spin, unsigned processors)
{
    memset(spin, 0, sizeof *spin);
    spin->processors = processors;
    spin->gap_us = GAP_MAX_US;
}

static unsigned clients(const struct spin *spin)
{
    unsigned count = 0;
    unsigned i;
    unsigned k;

    for (i = 0; i < SPIN_RECENT; i++) {
        for (k = 0; k < i && spin->recent[k] != spin->recent[i]; k++) {
        }
        count += k == i ? 1u : 0u;
    }
    return count;
}

static void note_arrival(struct spin *spin, uint64_t requests, uint64_t now_us)
{
    uint64_t gap = spin->last_us == 0 ? GAP_MAX_US : now_us - spin->last_us;

    gap = gap < GAP_MAX_US ? gap : GAP_MAX_US;
    spin->gap_us = (uint32_t)((spin->gap_us * (AVERAGE_OF - 1) + gap) / AVERAGE_OF);
    spin->requests = requests;
    spin->last_us = now_us;
    spin->looks = 0;
    spin->until_us =
        spin->gap_us <= SPIN_GAP_US && clients(spin) < spin->processors ? now_us + SPIN_US : 0;
}

bool spin_stay(struct spin *spin, uint64_t requests, uint64_t now_us)
{
    if (requests != spin->requests) {
        note_arrival(spin, requests, now_us);
    } else if (spin->until_us != 0 &&
               (now_us >= spin->until_us || ++spin->looks >= SPIN_LOOKS_MAX)) {
        spin->until_us = 0;
        spin->gap_us = GAP_MAX_US;
    }
    return spin->until_us != 0;
}
