/*
 * The policy of a client that moves by itself. Five standings of the path in use, from the best to the worst, each with
 * what is done about it:
 *
 *   GOOD      the standbys are kept proven; a better way is taken when it has been better for a while
 *   DOUBTED   a PTO without acknowledgement, a server that fell silent, a host that slept: all others are asked
 *   QUIET     and that PTO's probes brought nothing either: to the best that is proven
 *   REFUSED   the system does not send from there: to the best that there is, proven or not
 *   LOST      the address is gone, or forbidden: likewise, and where there is none, wait
 *
 * Pure: what is not among the facts has no say.
 */
#include "path/mobility.h"

#include "base/minmax.h"

enum standing { GOOD, DOUBTED, QUIET, REFUSED, LOST };

#define NO_WAY SIZE_MAX

/* ---- Which is better --------------------------------------------------------------------------------------------- */

roam_time mobility_cost(const struct mobility_way *way)
{
    roam_time rtt = way->rtt != 0 ? way->rtt : MOBILITY_RTT_UNKNOWN;
    roam_time loss = saturating_mul(rtt + MOBILITY_LOSS_REPAIR, way->loss_ppm) / 2 / 10000;
    roam_time cost = saturating_add(rtt, loss);
    if (way->metered)
        cost = saturating_add(cost, MOBILITY_METERED_COST);
    return way->is_default ? cost : saturating_add(cost, MOBILITY_NOT_DEFAULT_COST);
}

/* The will of the application, then the user's. Positive: of `a` more. */
static int compare_will(const struct mobility_way *a, const struct mobility_way *b)
{
    bool prefers_a = a->rule == ROAM_NETWORK_PREFER, prefers_b = b->rule == ROAM_NETWORK_PREFER;
    if (prefers_a != prefers_b)
        return prefers_a ? 1 : -1;
    return a->preference == b->preference ? 0 : a->preference > b->preference ? 1 : -1;
}

/* True where `a` comes before `b`: the application's rule, then the user's preference, then the cost. */
static bool comes_before(const struct mobility_way *a, const struct mobility_way *b)
{
    int will = compare_will(a, b);
    return will != 0 ? will > 0 : mobility_cost(a) < mobility_cost(b);
}

static bool is_worth_a_move(const struct mobility_way *way, const struct mobility_way *active)
{
    int will = compare_will(way, active);
    if (will != 0)
        return will > 0;
    roam_time now = mobility_cost(active);
    //= rfc9000#9.5-6 Change addresses rarely, since congestion state is lost.
    return saturating_add(mobility_cost(way), max_u64(MOBILITY_MARGIN, now / 4)) < now;
}

/* ---- What there is ----------------------------------------------------------------------------------------------- */

static bool is_allowed(const struct mobility_facts *facts, const struct mobility_way *way)
{
    return facts->forced ? way->rule == ROAM_NETWORK_FORCE : way->rule != ROAM_NETWORK_FORBID;
}

static size_t find_active(const struct mobility_facts *facts)
{
    for (size_t i = 0; i < facts->count; i++)
        if (facts->ways[i].active)
            return i;
    return NO_WAY;
}

static enum standing standing_of(const struct mobility_facts *facts)
{
    size_t active = find_active(facts);
    if (facts->gone || (active == NO_WAY ? facts->forced : !is_allowed(facts, &facts->ways[active])))
        return LOST;
    if (facts->refused)
        return REFUSED;
    if (facts->ptos > 0 && facts->quiet_at <= facts->now)
        return QUIET;
    return facts->ptos > 0 || facts->doubted ? DOUBTED : GOOD;
}

/* A way other than the one in use to which packets could go. */
static bool is_alternative(const struct mobility_facts *facts, size_t i)
{
    const struct mobility_way *way = &facts->ways[i];
    return !way->active && way->reachable && !way->refused && is_allowed(facts, way);
}

//= rfc9000#9.5-2 Never use one destination CID from more than one local address: no path without a CID of its own.
static bool can_have_path(const struct mobility_facts *facts, const struct mobility_way *way)
{
    return way->has_path || facts->spare_cids > 0 || facts->peer_has_no_cids;
}

/* ---- Refuge: where to go when one cannot stay -------------------------------------------------------------------- */

/* The more the surer. */
static int surety(const struct mobility_facts *facts, const struct mobility_way *way)
{
    if (way->proven)
        return way->asking && way->answer_by <= facts->now ? 1 : 2;
    return way->retry_at <= facts->now ? 1 : 0;
}

static size_t find_refuge(const struct mobility_facts *facts, int surety_min)
{
    size_t found = NO_WAY;
    for (size_t i = 0; i < facts->count; i++) {
        const struct mobility_way *way = &facts->ways[i];
        if (!is_alternative(facts, i) || !can_have_path(facts, way) || surety(facts, way) < surety_min)
            continue;
        //= rfc9000#9.6.2-1 The client validates the preferred address before it goes there.
        if (way->must_be_proven && !way->proven)
            continue;
        int more = found == NO_WAY ? 1 : surety(facts, way) - surety(facts, &facts->ways[found]);
        if (more > 0 || (more == 0 && comes_before(way, &facts->ways[found])))
            found = i;
    }
    return found;
}

/* Of those that have answered since the active path is in doubt, the best; else the best of those that had before and
 * are not overdue. */
static size_t find_proven(const struct mobility_facts *facts)
{
    size_t found = NO_WAY;
    bool found_alive = false;
    for (size_t i = 0; i < facts->count; i++) {
        const struct mobility_way *way = &facts->ways[i];
        if (!is_alternative(facts, i) || !way->has_path || surety(facts, way) < 2)
            continue;
        bool alive = way->proven_at >= facts->doubted_at;
        if (found == NO_WAY || alive > found_alive ||
            (alive == found_alive && comes_before(way, &facts->ways[found]))) {
            found = i;
            found_alive = alive;
        }
    }
    return found;
}

static void move_to(struct mobility_verdict *verdict, size_t target, enum roam_move_why why)
{
    verdict->action = MOBILITY_MOVE;
    verdict->target = target;
    verdict->why = why;
    verdict->keep |= UINT32_C(1) << target;
}

/* The address in use cannot send. */
static void flee(const struct mobility_facts *facts, enum standing standing, struct mobility_verdict *verdict)
{
    size_t refuge = find_refuge(facts, standing == LOST ? 0 : 1);
    if (refuge != NO_WAY)
        move_to(verdict, refuge,
                facts->gone        ? ROAM_MOVE_ADDRESS_GONE
                : standing == LOST ? ROAM_MOVE_RULE
                                   : ROAM_MOVE_SEND_FAILED);
    else if (standing == LOST)
        verdict->action = MOBILITY_WAIT; //= rfc9000#9-6 Wait for a new path before the connection is discarded.
}

/* ---- Standbys ---------------------------------------------------------------------------------------------------- */

static void ask_again_at(struct mobility_verdict *verdict, roam_time at)
{
    verdict->next_at = min_u64(verdict->next_at, at);
}

/* The best alternatives, MOBILITY_STANDBYS_MAX at most. */
static uint32_t choose_standbys(const struct mobility_facts *facts)
{
    uint32_t chosen = 0;
    for (int n = 0; n < MOBILITY_STANDBYS_MAX; n++) {
        size_t best = NO_WAY;
        for (size_t i = 0; i < facts->count; i++) {
            if (!is_alternative(facts, i) || (chosen >> i & 1) != 0)
                continue;
            if (best == NO_WAY || comes_before(&facts->ways[i], &facts->ways[best]))
                best = i;
        }
        if (best != NO_WAY)
            chosen |= UINT32_C(1) << best;
    }
    return chosen;
}

/* Asks there, unless that was done just now or needs a CID that is not to be had. */
static void ask(const struct mobility_facts *facts, size_t i, size_t *spare, size_t reserved,
                struct mobility_verdict *verdict)
{
    const struct mobility_way *way = &facts->ways[i];
    if (way->asking)
        return;
    if (!way->has_path) {
        //= rfc9000#5.1.1-11 Before migrating, make sure that the peer has a spare CID to answer with.
        if (*spare <= reserved || !facts->peer_can_answer) {
            verdict->on_packet = true;
            return;
        }
        --*spare;
    }
    verdict->ask |= UINT32_C(1) << i;
}

/* When a standby is to be asked next, as long as all is well. */
static roam_time upkeep_at(const struct mobility_way *way)
{
    if (!way->proven)
        return way->retry_at;
    /* Not where every octet is paid for: it was proven once, and is asked as soon as it may be needed. */
    return way->metered ? ROAM_TIME_NEVER : saturating_add(way->proven_at, MOBILITY_REFRESH);
}

//= rfc9000#9.1-1 Probe from other local addresses before migrating.
static void keep_standbys(const struct mobility_facts *facts, enum standing standing, struct mobility_verdict *verdict)
{
    bool urgent = standing != GOOD;
    size_t spare = facts->spare_cids;
    verdict->keep |= choose_standbys(facts);
    for (size_t i = 0; i < facts->count; i++) {
        const struct mobility_way *way = &facts->ways[i];
        if (way->refused && !way->active)
            ask_again_at(verdict, way->retry_at);
        if ((verdict->keep >> i & 1) == 0 || way->active)
            continue;
        roam_time at = urgent && way->proven ? saturating_add(way->proven_at, MOBILITY_FRESH) : upkeep_at(way);
        if (at > facts->now) {
            ask_again_at(verdict, at);
            continue;
        }
        if (urgent && way->asked_at >= facts->doubted_at && way->proven)
            continue;
        if (!urgent && way->proven && !facts->in_use)
            verdict->on_packet = true;
        else
            ask(facts, i, &spare, urgent ? 0 : MOBILITY_CIDS_RESERVED, verdict);
    }
}

/* ---- A choice ---------------------------------------------------------------------------------------------------- */

/* When to move to a way that is better; ROAM_TIME_NEVER while it is not proven. */
static roam_time ready_at(const struct mobility_facts *facts, const struct mobility_way *way)
{
    if (!way->proven)
        return ROAM_TIME_NEVER;
    /* Where the application has said so, no need to be sure that it is worth it. */
    if (way->rule == ROAM_NETWORK_PREFER)
        return saturating_add(way->proven_since, way->settle);
    roam_time at = saturating_add(way->proven_since, max_u64(way->settle, MOBILITY_SETTLE));
    at = max_u64(at, saturating_add(way->better_since != 0 ? way->better_since : facts->now, MOBILITY_SETTLE));
    return max_u64(at, facts->moved_at != 0 ? saturating_add(facts->moved_at, MOBILITY_SETTLE) : 0);
}

static void seek_better(const struct mobility_facts *facts, struct mobility_verdict *verdict)
{
    size_t active = find_active(facts), best = NO_WAY, spare = facts->spare_cids;
    for (size_t i = 0; active != NO_WAY && i < facts->count; i++) {
        const struct mobility_way *way = &facts->ways[i];
        if (!is_alternative(facts, i) || !is_worth_a_move(way, &facts->ways[active]))
            continue;
        verdict->better |= UINT32_C(1) << i;
        roam_time at = ready_at(facts, way);
        if (at > facts->now)
            ask_again_at(verdict, at);
        else if (best == NO_WAY || comes_before(way, &facts->ways[best]))
            best = i;
    }
    if (best == NO_WAY)
        return;
    const struct mobility_way *way = &facts->ways[best];
    if (way->rule == ROAM_NETWORK_PREFER)
        move_to(verdict, best, ROAM_MOVE_RULE);
    else if (saturating_add(way->proven_at, MOBILITY_FRESH) >= facts->now)
        move_to(verdict, best, ROAM_MOVE_BETTER);
    else
        ask(facts, best, &spare, 0, verdict);
}

/* ---- The verdict ------------------------------------------------------------------------------------------------- */

struct mobility_verdict mobility_decide(const struct mobility_facts *facts)
{
    struct mobility_verdict verdict = {.action = MOBILITY_STAY, .next_at = ROAM_TIME_NEVER};
    //= rfc9000#9-1 Do not start migration before the handshake is confirmed.
    if (!facts->confirmed)
        return verdict;
    enum standing standing = standing_of(facts);
    verdict.quiet = standing == QUIET;
    if (standing == LOST || standing == REFUSED)
        flee(facts, standing, &verdict);
    //= rfc9000#9.5-5 Do not start migration toward a peer that uses zero-length CIDs: only where it cannot stay.
    if (facts->peer_has_no_cids)
        return verdict;
    size_t proven = standing == QUIET ? find_proven(facts) : NO_WAY;
    if (proven != NO_WAY)
        move_to(&verdict, proven, ROAM_MOVE_QUIET);
    if (standing == DOUBTED && facts->ptos > 0)
        ask_again_at(&verdict, facts->quiet_at);
    if (standing == GOOD)
        seek_better(facts, &verdict);
    /* Also while it waits: a way that must be proven first is asked. */
    if (verdict.action != MOBILITY_MOVE)
        keep_standbys(facts, standing, &verdict);
    return verdict;
}
