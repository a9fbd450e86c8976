/*
 * A path: where packets go, a pair of addresses, and what is known of the way between them: octets in and out, RTT,
 * congestion, ECN, and whether the peer has been proven to be there. Not which CID is written on its packets: that is
 * remote_cid's.
 *
 * Two different facts: address_validated (RFC 9000 section 8.1) lifts the 3x limit; validation.state SUCCEEDED (section
 * 8.2) is the 1200-octet round trip.
 * Invariant: while the address is not validated, bytes_sent <= 3 * bytes_received.
 */
#ifndef PATH_PATH_H
#define PATH_PATH_H

#include <roam/roam.h>

#include "path/ecn.h"
#include "path/path_validation.h"
#include "path/pmtud.h"
#include "recovery/path_recovery.h"

/* RFC 9000 section 8.1. */
#define AMPLIFICATION_FACTOR 3

/* Packets over which the loss on a path is averaged: a burst of a few says little. */
#define LOSS_MEMORY 256

/* PATH_RESPONSEs owed at once on one path; a newer challenge takes the place of the oldest. */
#define PATH_RESPONSES_MAX 3

struct path {
    uint64_t id;
    size_t bytes; /* of its memory, with what its congestion controller has behind it */
    roam_address local, remote;
    uint64_t bytes_received, bytes_sent; /* UDP payload */
    bool address_validated;
    bool was_active;             /* it has been the active path */
    bool token_given;            /* server: the client was sent a NEW_TOKEN token for its address there */
    bool nat_rebinding;          /* it came from another path by a change of the peer's address under the same CID */
    bool full_size_heard;        /* a datagram of 1200 octets came while it was active and not proven */
    bool migrate_when_valid;     /* move here as soon as validation has succeeded */
    bool mtu_repair_due;         /* a black hole was found: what it swallowed is to be sent again */
    bool too_small;              /* 1200 octets do not pass: nothing but probes goes there, until they do */
    uint8_t size_failures;       /* validations in a row that the peer, though heard from there, did not answer */
    bool standby;                /* client: kept, and kept proven, to move to when the active path fails */
    uint32_t loss_ppm;           /* of the newest packets that were sent here, about LOSS_MEMORY of them */
    roam_time probed_at;         /* the peer's newest challenge while it was not active; 0: none */
    roam_time last_used;         /* last packet in or out */
    roam_time heard_at;          /* last packet in */
    roam_time heard_when_asked;  /* the same, as it was when the newest challenge left */
    roam_time full_size_passed;  /* when the newest datagram of 1200 octets that was acknowledged left; 0: none */
    roam_time authentic_at;      /* last authentic packet in, duplicate or not; 0: none yet */
    roam_time authentic_before;  /* the same, as it was before the newest packet that was no duplicate */
    uint64_t local_cid_sequence; /* of the CID on the newest packet that came here */
    struct path_validation validation;
    struct path_recovery recovery;
    struct ecn ecn;
    struct pmtud pmtud;
    struct path_work *work; /* NULL while the path rests: nothing leaves there */
};

/* PATH_RESPONSEs that are owed there. */
struct path_responses {
    uint8_t owed[PATH_RESPONSES_MAX][PATH_DATA_BYTES]; /* oldest first */
    uint8_t count;
    uint8_t beyond;         /* sent beyond the congestion window since something was acknowledged, or for a PTO */
    roam_time beyond_since; /* when the first of these left */
};

/* What a path needs while packets leave there, beside what it is. */
struct path_work {
    struct path_responses responses;
    struct path_challenge challenges[CHALLENGES_KEPT];
    struct recovery_work recovery;
};

/* The largest datagram that is sent there, but for probes of a larger one. */
static inline uint64_t path_datagram_bytes(const struct path *path)
{
    return path->pmtud.size;
}

/* Octets of memory that a path wants. */
size_t path_bytes_wanted(const roam_config *config);

/* `path` lies at the head of so many octets. It begins at rest. */
void path_init(struct path *path, uint64_t id, const roam_address *local, const roam_address *remote,
               const roam_config *config, roam_time now);

/* Packets are to leave there. `work`: memory, until path_rest gives it back. */
void path_begin_work(struct path *path, struct path_work *work);

/* Nothing is under way, and the work holds nothing that would be missed. */
bool path_may_rest(const struct path *path, roam_time now);
struct path_work *path_rest(struct path *path);

/* RTT, window, datagram size and ECN as at the start, and nothing in flight: see path_set_renew. */
void path_begin_afresh(struct path *path, const roam_config *config);

/* Section 8.2 has succeeded there, or it is the handshake's own path, which section 8.1 proves. */
bool path_is_validated(const struct path *path);

/* Octets that may be sent there before anything else comes from there; UINT64_MAX once the address is validated. */
uint64_t path_allowance(const struct path *path);

void path_on_received(struct path *path, size_t bytes, roam_time now);
void path_on_sent(struct path *path, size_t bytes, roam_time now);

/* A packet that was sent here has been acknowledged, or lost. */
void path_on_fate(struct path *path, bool lost);

/* A PATH_CHALLENGE came in on this path, which does not rest: one response is owed. The newest PATH_RESPONSES_MAX
 * are kept; false where an older one was given up for it. */
bool path_owe_response(struct path *path, const uint8_t data[PATH_DATA_BYTES], roam_time now);

/* No datagram fits into the congestion window. */
bool path_window_is_full(const struct path *path);

/* A response is owed and may leave: within the window, or as one of a few beyond it. */
bool path_may_respond(const struct path *path);

/* Something that this path had sent was acknowledged. */
void path_on_acked(struct path *path);

/* Takes the oldest response owed; false where there is none. */
bool path_take_response(struct path *path, uint8_t ret[PATH_DATA_BYTES], roam_time now);

enum roam_path_state path_state(const struct path *path);

void path_check(const struct path *path);

#endif
