/* ECN on one path: see the header for states and transitions. A path that failed stays without marks. */
#include "path/ecn.h"

#include <string.h>

void ecn_init(struct ecn *ecn, bool enabled)
{
    memset(ecn, 0, sizeof(*ecn));
    //= rfc9000#13.4.2 Each new path is validated anew.
    ecn->state = enabled ? ECN_TESTING : ECN_OFF;
}

uint8_t ecn_mark(const struct ecn *ecn)
{
    return ecn->state == ECN_TESTING || ecn->state == ECN_CAPABLE ? ROAM_ECN_ECT0 : ROAM_ECN_NOT_ECT;
}

void ecn_on_sent(struct ecn *ecn, bool marked)
{
    if (ecn->state != ECN_TESTING || !marked)
        return;
    if (++ecn->marked == ECN_TEST_PACKETS)
        ecn->state = ECN_UNKNOWN;
}

void ecn_on_lost(struct ecn *ecn, bool marked)
{
    if (!marked || (ecn->state != ECN_TESTING && ecn->state != ECN_UNKNOWN))
        return;
    ecn->marked_lost++;
    if (ecn->state == ECN_UNKNOWN && ecn->marked_lost >= ecn->marked)
        ecn->state = ECN_FAILED;
}

/* RFC 9000 section 13.4.2.1. We never send ECT(1), so that none may be counted. */
static bool counts_are_valid(uint64_t marked, bool has_counts, uint64_t ect0_delta, uint64_t ect1_delta,
                             uint64_t ce_delta)
{
    if (!has_counts)
        return marked == 0;
    if (ect1_delta > 0)
        return false;
    return ect0_delta >= marked || ce_delta >= marked - ect0_delta;
}

bool ecn_on_acked(struct ecn *ecn, uint64_t marked, bool has_counts, uint64_t ect0_delta, uint64_t ect1_delta,
                  uint64_t ce_delta)
{
    if (ecn->state == ECN_OFF || ecn->state == ECN_FAILED)
        return false;
    if (!counts_are_valid(marked, has_counts, ect0_delta, ect1_delta, ce_delta)) {
        //= rfc9000#13.4.2.2 Off when validation fails, now or later.
        ecn->state = ECN_FAILED;
        return false;
    }
    ecn->any_acked |= marked > 0;
    if (ecn->state == ECN_UNKNOWN && has_counts && ecn->any_acked)
        ecn->state = ECN_CAPABLE;
    return has_counts && ce_delta > 0;
}
