/* See lull.h. */
#include "io/lull.h"

#include "base/minmax.h"

/* A megabyte in a millisecond, 8 Gbit/s: below it a processor has time for each batch. */
#define COUNT_TIME     ROAM_MILLISECONDS(1)
#define BULK_BYTES_MIN 1000000

/* After so long without any the count begins anew. */
#define COUNT_TIME_MAX (2 * COUNT_TIME)

void lull_on_received(struct lull *lull, roam_time now, size_t bytes)
{
    const roam_time span = saturating_sub(now, lull->since);
    lull->fresh = true;
    lull->bytes += bytes;
    if (span < COUNT_TIME)
        return;
    lull->bulk = span <= COUNT_TIME_MAX && lull->bytes >= BULK_BYTES_MIN * span / COUNT_TIME;
    lull->since = now;
    lull->bytes = 0;
}

bool lull_begins(struct lull *lull, roam_time now, roam_time deadline, uint64_t data_packets_sent)
{
    const bool asked = data_packets_sent != lull->said;
    const bool begins = lull_may_begin(lull) && !asked && saturating_add(now, LULL_END) <= deadline;
    lull->said = data_packets_sent;
    lull->fresh = false;
    return begins;
}
