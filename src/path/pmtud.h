/*
 * How large a datagram one path carries: DPLPMTUD, RFC 8899 as RFC 9000 sections 14.2 to 14.4 have it. Pure: no clock,
 * no packet, no timer of its own; a probe goes out only behind full datagrams, so that who sends little searches
 * little.
 *
 *   BASE -> SEARCHING               on_acked     a datagram of at least 1200 octets came through
 *   SEARCHING -> SEARCH_COMPLETE    next_probe   nothing is left between what passes and what does not
 *   SEARCH_COMPLETE -> SEARCHING    next_probe   PMTUD_RAISE_TIME later: the path may carry more by now
 *   any but ERROR -> BASE           on_lost, on_too_large   a black hole: full datagrams vanish, small ones do not
 *   any -> ERROR                    on_base_failed          the path does not carry 1200 octets
 *   ERROR -> BASE                   on_base_proven          it does, after all
 *   OFF                             the size is what was configured, for good
 *
 * "Size" is always the UDP payload, which RFC 8899 calls PLPMTU. Invariants: 1200 <= size < ceiling; a probe is larger
 * than `size` and smaller than `ceiling`, and one is on its way at a time.
 */
#ifndef PATH_PMTUD_H
#define PATH_PMTUD_H

#include <roam/roam.h>

/* The largest UDP payload within an IPv4 packet. */
#define PMTUD_BYTES_MAX 65507

/* RFC 8899 section 5.1.2: a size is given up after MAX_PROBES; PMTU_RAISE_TIMER. */
#define PMTUD_PROBES_MAX 3
#define PMTUD_RAISE_TIME ROAM_SECONDS(600)

/* Octets of full datagrams before a probe, for each octet of it: what a search may cost. */
#define PMTUD_COST_FACTOR 8

/* Lost datagrams above the base in a row, none of that kind acknowledged since, after which a smaller one that arrives
 * proves a black hole (RFC 8899 section 4.3). */
#define PMTUD_BLACK_HOLE_LOSSES 3

struct pmtud {
    enum roam_pmtud_state state;
    uint8_t family;      /* whose IP header goes before the datagram */
    bool probing;        /* a probe of probe_bytes is on its way */
    uint8_t tries;       /* probes of next_bytes that were lost */
    uint16_t size;       /* what full datagrams have now */
    uint16_t ceiling;    /* the smallest size that is known not to pass; UINT16_MAX: none */
    uint16_t next_bytes; /* the size that is being tried; 0: to be chosen */
    uint64_t earned;     /* octets of full datagrams since the last probe */
    roam_time raise_at;  /* in SEARCH_COMPLETE */
    roam_time base_since;
    uint32_t probes_sent, probes_lost, black_holes;
    struct {
        uint8_t lost;            /* datagrams above the base, in a row */
        roam_time first_sent_at; /* of them */
        roam_time large_passed;  /* when the newest datagram above the base left that was acknowledged */
        roam_time small_passed;  /* ... and the newest of the others */
    } suspicion;
};

/* `start_bytes`: the size to begin with; at least 1200. */
void pmtud_init(struct pmtud *pmtud, bool enabled, uint8_t family, uint64_t start_bytes);

/* The network is the same, another mapping of it: what was found stays found, and what is on its way is not ours. */
void pmtud_inherit(struct pmtud *pmtud, const struct pmtud *from);

/* The size of the probe that is due, at most `limit`; 0: none. Asked for when there are full datagrams to send. */
size_t pmtud_next_probe(struct pmtud *pmtud, uint64_t limit, roam_time now);
void pmtud_on_probe_sent(struct pmtud *pmtud);

/* A datagram that is no probe leaves. */
void pmtud_on_sent(struct pmtud *pmtud, size_t bytes);

/* A datagram of `bytes` that left at `sent_at` was acknowledged. True where `size` has changed. */
bool pmtud_on_acked(struct pmtud *pmtud, size_t bytes, bool probe, roam_time sent_at, roam_time now);

/* ... was lost. True where that shows a black hole, and the size is back at the base. */
bool pmtud_on_lost(struct pmtud *pmtud, size_t bytes, bool probe, roam_time sent_at, roam_time now);

/* The host itself refused a datagram of `bytes`. True where `size` has changed. */
bool pmtud_on_too_large(struct pmtud *pmtud, size_t bytes, roam_time now);

/* Path validation found that 1200 octets do not pass, though smaller datagrams do; or that they do. */
void pmtud_on_base_failed(struct pmtud *pmtud);
void pmtud_on_base_proven(struct pmtud *pmtud, roam_time now);

void pmtud_check(const struct pmtud *pmtud);

#endif
