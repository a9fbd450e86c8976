/* The search for a path's datagram size: see the header for states and transitions. Here: which sizes are tried, and in
 * which order. */
#include "path/pmtud.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "wire/packet.h"

#define IPV4_HEADERS 28 /* without options, with UDP's */
#define IPV6_HEADERS 48

#define CEILING_UNKNOWN UINT16_MAX

/* MTUs that are met, ascending. Between two of them nothing is looked for: the last few octets are not worth the probes
 * that find them. */
static const uint16_t mtus[] = {
    1280,  /* the least that IPv6 allows; mobile networks, tunnels of all kinds */
    1340,  /* IPsec within a tunnel */
    1400,  /* what administrators set by hand */
    1420,  /* WireGuard */
    1440,  /* IPsec; a cloud's overlay */
    1460,  /* another cloud's */
    1480,  /* IPv6 in IPv4 */
    1492,  /* PPPoE */
    1500,  /* Ethernet */
    9000,  /* its jumbo frames */
    65535, /* loopback */
};

#define ETHERNET_MTU 1500

void pmtud_init(struct pmtud *pmtud, bool enabled, uint8_t family, uint64_t start_bytes)
{
    memset(pmtud, 0, sizeof(*pmtud));
    pmtud->state = enabled ? ROAM_PMTUD_BASE : ROAM_PMTUD_OFF;
    pmtud->family = family;
    //= rfc9000#14.3-1 BASE_PLPMTU is consistent with 1200.
    pmtud->size = (uint16_t)min_u64(max_u64(start_bytes, DATAGRAM_BYTES_MIN), CEILING_UNKNOWN - 1);
    pmtud->ceiling = CEILING_UNKNOWN;
}

void pmtud_inherit(struct pmtud *pmtud, const struct pmtud *from)
{
    *pmtud = *from;
    pmtud->probing = false;
    memset(&pmtud->suspicion, 0, sizeof(pmtud->suspicion));
}

/* ---- Which size next */

static uint64_t payload_of(const struct pmtud *pmtud, uint16_t mtu)
{
    return (uint64_t)(mtu - (pmtud->family == ROAM_FAMILY_IPV6 ? IPV6_HEADERS : IPV4_HEADERS));
}

/* Sizes worth a probe, ascending: those of the table between what passes and what does not, and the limit itself. */
static size_t candidates(const struct pmtud *pmtud, uint64_t limit, uint16_t ret[ARRAY_LENGTH(mtus) + 1])
{
    size_t count = 0;
    uint64_t top = min_u64(limit, pmtud->ceiling - 1);
    for (size_t i = 0; i < ARRAY_LENGTH(mtus); i++) {
        uint64_t bytes = payload_of(pmtud, mtus[i]);
        if (bytes > pmtud->size && bytes <= top)
            ret[count++] = (uint16_t)bytes;
    }
    /* Where the limit is nobody's MTU it is our own or the peer's, and as good as any. */
    if (limit < pmtud->ceiling && limit > pmtud->size && (count == 0 || ret[count - 1] < limit))
        ret[count++] = (uint16_t)limit;
    return count;
}

/* As long as nothing has failed, Ethernet's size before all others, then the largest; after a failure by halves. */
static uint16_t choose(const struct pmtud *pmtud, const uint16_t *sizes, size_t count)
{
    if (pmtud->ceiling != CEILING_UNKNOWN)
        return sizes[count / 2];
    for (size_t i = 0; i < count; i++)
        if (sizes[i] == payload_of(pmtud, ETHERNET_MTU))
            return sizes[i];
    return sizes[count - 1];
}

static void raise_if_due(struct pmtud *pmtud, roam_time now)
{
    if (pmtud->state != ROAM_PMTUD_SEARCH_COMPLETE || now < pmtud->raise_at)
        return;
    pmtud->state = ROAM_PMTUD_SEARCHING;
    pmtud->ceiling = CEILING_UNKNOWN;
}

static bool still_fits(const struct pmtud *pmtud, uint64_t limit)
{
    return pmtud->next_bytes > pmtud->size && pmtud->next_bytes < pmtud->ceiling && pmtud->next_bytes <= limit;
}

size_t pmtud_next_probe(struct pmtud *pmtud, uint64_t limit, roam_time now)
{
    raise_if_due(pmtud, now);
    if (pmtud->state != ROAM_PMTUD_SEARCHING || pmtud->probing)
        return 0;
    if (!still_fits(pmtud, limit)) {
        uint16_t sizes[ARRAY_LENGTH(mtus) + 1];
        size_t count = candidates(pmtud, min_u64(limit, CEILING_UNKNOWN - 1), sizes);
        pmtud->tries = 0;
        pmtud->next_bytes = count > 0 ? choose(pmtud, sizes, count) : 0;
        if (count == 0) {
            pmtud->state = ROAM_PMTUD_SEARCH_COMPLETE;
            pmtud->raise_at = saturating_add(now, PMTUD_RAISE_TIME);
            return 0;
        }
    }
    return pmtud->earned >= (uint64_t)PMTUD_COST_FACTOR * pmtud->next_bytes ? pmtud->next_bytes : 0;
}

void pmtud_on_probe_sent(struct pmtud *pmtud)
{
    assert(!pmtud->probing && pmtud->next_bytes > pmtud->size);
    pmtud->probing = true;
    pmtud->earned = 0;
    pmtud->probes_sent++;
}

void pmtud_on_sent(struct pmtud *pmtud, size_t bytes)
{
    /* A stream's end or an ACK of some length may leave a little room. */
    if (bytes + bytes / 8 >= pmtud->size)
        pmtud->earned = saturating_add(pmtud->earned, bytes);
}

/* ---- What became of it */

static void give_up_size(struct pmtud *pmtud, size_t bytes)
{
    pmtud->ceiling = (uint16_t)max_u64(min_u64(pmtud->ceiling, bytes), (uint64_t)pmtud->size + 1);
    pmtud->next_bytes = 0;
}

static void on_probe_lost(struct pmtud *pmtud, size_t bytes)
{
    pmtud->probing = false;
    pmtud->probes_lost++;
    /* Its size may have been settled while it was on its way. */
    if (bytes == pmtud->next_bytes && ++pmtud->tries >= PMTUD_PROBES_MAX)
        give_up_size(pmtud, bytes);
}

static bool on_probe_acked(struct pmtud *pmtud, size_t bytes)
{
    pmtud->probing = false;
    pmtud->next_bytes = 0;
    if (bytes <= pmtud->size || bytes >= pmtud->ceiling)
        return false;
    pmtud->size = (uint16_t)bytes;
    return true;
}

/* RFC 8899 section 4.3: back to the base, and what was in use until now counts as too large until the raise timer. */
static bool fall_to_base(struct pmtud *pmtud, roam_time now)
{
    memset(&pmtud->suspicion, 0, sizeof(pmtud->suspicion));
    if (pmtud->size <= DATAGRAM_BYTES_MIN)
        return false;
    pmtud->ceiling = pmtud->size;
    pmtud->size = DATAGRAM_BYTES_MIN;
    pmtud->next_bytes = 0;
    pmtud->state = ROAM_PMTUD_BASE;
    pmtud->base_since = now;
    pmtud->black_holes++;
    return true;
}

/* Nothing large gets through any more, and something small that left after it does. */
static bool is_black_hole(const struct pmtud *pmtud)
{
    return pmtud->suspicion.lost >= PMTUD_BLACK_HOLE_LOSSES &&
           pmtud->suspicion.small_passed >= pmtud->suspicion.first_sent_at;
}

bool pmtud_on_acked(struct pmtud *pmtud, size_t bytes, bool probe, roam_time sent_at, roam_time now)
{
    if (pmtud->state == ROAM_PMTUD_OFF)
        return false;
    if (pmtud->state == ROAM_PMTUD_BASE && bytes >= DATAGRAM_BYTES_MIN && sent_at >= pmtud->base_since)
        pmtud->state = ROAM_PMTUD_SEARCHING;
    if (bytes > DATAGRAM_BYTES_MIN) {
        pmtud->suspicion.large_passed = max_u64(pmtud->suspicion.large_passed, sent_at);
        pmtud->suspicion.lost = 0;
        return probe && on_probe_acked(pmtud, bytes);
    }
    pmtud->suspicion.small_passed = max_u64(pmtud->suspicion.small_passed, sent_at);
    return is_black_hole(pmtud) && fall_to_base(pmtud, now);
}

bool pmtud_on_lost(struct pmtud *pmtud, size_t bytes, bool probe, roam_time sent_at, roam_time now)
{
    if (pmtud->state == ROAM_PMTUD_OFF)
        return false;
    if (probe) {
        on_probe_lost(pmtud, bytes);
        return false;
    }
    if (bytes <= DATAGRAM_BYTES_MIN || bytes > pmtud->size || sent_at <= pmtud->suspicion.large_passed)
        return false;
    if (pmtud->suspicion.lost == 0)
        pmtud->suspicion.first_sent_at = sent_at;
    if (pmtud->suspicion.lost < PMTUD_BLACK_HOLE_LOSSES)
        pmtud->suspicion.lost++;
    return is_black_hole(pmtud) && fall_to_base(pmtud, now);
}

bool pmtud_on_too_large(struct pmtud *pmtud, size_t bytes, roam_time now)
{
    //= rfc9000#14.2.1-1 Ignore who claims a PMTU below 1200.
    //= rfc9000#14.2.1-6 Never raise the PMTU from such a claim.
    if (pmtud->state == ROAM_PMTUD_OFF || bytes <= DATAGRAM_BYTES_MIN)
        return false;
    if (bytes > pmtud->size) {
        give_up_size(pmtud, bytes);
        return false;
    }
    return fall_to_base(pmtud, now);
}

/* ---- The base itself */

void pmtud_on_base_failed(struct pmtud *pmtud)
{
    if (pmtud->state == ROAM_PMTUD_OFF)
        return;
    pmtud->state = ROAM_PMTUD_ERROR;
    pmtud->size = DATAGRAM_BYTES_MIN;
    pmtud->next_bytes = 0;
}

void pmtud_on_base_proven(struct pmtud *pmtud, roam_time now)
{
    if (pmtud->state != ROAM_PMTUD_ERROR)
        return;
    pmtud->state = ROAM_PMTUD_BASE;
    pmtud->base_since = now;
}

void pmtud_check(const struct pmtud *pmtud)
{
    assert(pmtud->size >= DATAGRAM_BYTES_MIN && pmtud->size < pmtud->ceiling);
    assert(pmtud->state != ROAM_PMTUD_OFF || (pmtud->probes_sent == 0 && pmtud->black_holes == 0));
    assert(pmtud->next_bytes == 0 || pmtud->state == ROAM_PMTUD_SEARCHING ||
           pmtud->state == ROAM_PMTUD_SEARCH_COMPLETE);
    assert(pmtud->probes_lost <= pmtud->probes_sent);
}
