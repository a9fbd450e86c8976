/* ECN on one path: see the header for states and transitions. A path that failed stays without marks. */
#include "path/ecn.h"

#include <string.h>

#include "base/minmax.h"

void ecn_init(struct ecn *ecn, bool enabled)
{
    memset(ecn, 0, sizeof(*ecn));
    //= rfc9000#13.4.2-1 Each new path is validated anew.
    ecn->state = enabled ? ROAM_ECN_STATE_TESTING : ROAM_ECN_STATE_OFF;
}

uint8_t ecn_mark(const struct ecn *ecn)
{
    return ecn->state == ROAM_ECN_STATE_TESTING || ecn->state == ROAM_ECN_STATE_CAPABLE ? ROAM_ECN_ECT0
                                                                                        : ROAM_ECN_NOT_ECT;
}

void ecn_on_sent(struct ecn *ecn, bool marked)
{
    if (ecn->state != ROAM_ECN_STATE_TESTING || !marked)
        return;
    if (++ecn->marked == ECN_TEST_PACKETS)
        ecn->state = ROAM_ECN_STATE_UNKNOWN;
}

/* The fate of all test packets is known. */
static void conclude(struct ecn *ecn)
{
    if (ecn->state != ROAM_ECN_STATE_UNKNOWN || ecn->ect0_seen || ecn->marked_lost + ecn->acked < ecn->marked)
        return;
    /* All lost, or all CE. */
    if (ecn->acked_ce >= ecn->acked)
        ecn->state = ROAM_ECN_STATE_FAILED;
}

void ecn_on_lost(struct ecn *ecn, bool marked)
{
    if (!marked || (ecn->state != ROAM_ECN_STATE_TESTING && ecn->state != ROAM_ECN_STATE_UNKNOWN))
        return;
    ecn->marked_lost++;
    conclude(ecn);
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
    if (ecn->state == ROAM_ECN_STATE_OFF || ecn->state == ROAM_ECN_STATE_FAILED)
        return false;
    if (!counts_are_valid(marked, has_counts, ect0_delta, ect1_delta, ce_delta)) {
        //= rfc9000#13.4.2.2-1 Off when validation fails, 13.4.2.2-2 now or later.
        ecn->state = ROAM_ECN_STATE_FAILED;
        return false;
    }
    if (ecn->state != ROAM_ECN_STATE_CAPABLE) {
        ecn->acked += (uint32_t)min_u64(marked, ECN_TEST_PACKETS);
        ecn->acked_ce += (uint32_t)min_u64(ce_delta, ECN_TEST_PACKETS);
        ecn->ect0_seen |= marked > 0 && ect0_delta > 0;
        if (ecn->state == ROAM_ECN_STATE_UNKNOWN && ecn->ect0_seen)
            ecn->state = ROAM_ECN_STATE_CAPABLE;
        conclude(ecn);
    }
    //= rfc9002#7.1 CE is a signal of congestion on a path that was validated to support ECN.
    return has_counts && ce_delta > 0 && ecn->ect0_seen;
}

void ecn_on_unclear(struct ecn *ecn, uint64_t marked)
{
    if ((ecn->state != ROAM_ECN_STATE_TESTING && ecn->state != ROAM_ECN_STATE_UNKNOWN) || marked == 0)
        return;
    ecn->marked -= (uint32_t)min_u64(ecn->marked, marked);
    ecn->state = ROAM_ECN_STATE_TESTING;
}
