/*
 * The connection IDs that we issued to the peer, RFC 9000 section 5.1.1: what it may write on packets to us.
 *
 * Each entry goes: (local_cid_issue) PENDING -> (on_sent) SENT -> (on_acked) KNOWN, or (on_lost) PENDING again; from
 * either of these, (on_used) KNOWN; from any of them, (on_retire) gone. Sequence 0 is KNOWN from the start.
 * Invariants: sequences are consecutive and never used twice; live entries (those that we did not ask the peer to
 * retire) never exceed the peer's active_connection_id_limit nor LOCAL_CIDS_MAX; no two entries are equal. An entry
 * that the peer was asked to retire stays, and packets on it are accepted, until its RETIRE_CONNECTION_ID comes.
 */
#ifndef CID_LOCAL_CID_H
#define CID_LOCAL_CID_H

#include <roam/error.h>

#include "base/alloc.h"
#include "base/minmax.h"
#include "wire/frame.h"

/* CIDs that the peer may hold at once, whatever it allows; and how many while it has used none but the first. That is
 * enough to move and to have standbys, and with the first of these it gets the rest; most peers stay where they are. */
#define LOCAL_CIDS_MAX   8
#define LOCAL_CIDS_FIRST 4

enum local_cid_state { LOCAL_CID_PENDING, LOCAL_CID_SENT, LOCAL_CID_KNOWN };

struct local_cid {
    uint64_t sequence;
    roam_cid cid;
    uint8_t state; /* enum local_cid_state; KNOWN where it is used: then the peer has it */
    bool used;     /* a packet came on it */
    union {
        uint8_t reset_token[RESET_TOKEN_BYTES]; /* until it is used: the same in every copy of its frame, whatever
                                                 * becomes of our keys */
        struct {
            roam_time used_since; /* when the first packet came */
            uint64_t bytes;       /* of all that did */
        };
    };
};

/* Those to be retired, as many as the peer must be able to keep track of, and the live ones. */
#define LOCAL_CIDS_KEPT_MAX (3 * LOCAL_CIDS_MAX)

struct local_cid_set {
    const roam_allocator *allocator;
    struct local_cid *entries; /* ascending by sequence: those to be retired, then the live ones */
    uint8_t count, capacity;
    uint8_t cid_bytes; /* 0: one CID of length zero, none is ever issued */
    bool spare_used;   /* the peer has used another than the first */
    uint64_t next_sequence;
    uint64_t sent_below;      /* one above the largest sequence that was ever on the wire */
    uint64_t retire_prior_to; /* see local_cid_frame_retire_prior_to */
    uint64_t peer_limit;      /* its active_connection_id_limit; 1 until it is known */
};

/* False without memory. */
bool local_cid_set_init(struct local_cid_set *set, const roam_allocator *allocator, const roam_cid *initial);
void local_cid_set_done(struct local_cid_set *set);

/* Makes room for so many entries more. False without memory. */
bool local_cid_reserve(struct local_cid_set *set, size_t more);

/* The CID of a server's preferred address, with sequence number 1: the peer gets it in the handshake, and may hold two
 * whatever its limit (RFC 9000 section 18.2). There must be room for it. */
void local_cid_add_preferred(struct local_cid_set *set, const roam_cid *cid);

/* The peer's active_connection_id_limit is known. */
void local_cid_set_peer_limit(struct local_cid_set *set, uint64_t limit);

/* How many more should be issued now. None when all sequence numbers that a frame can carry are used up: then the peer
 * goes on with those that it has. */
size_t local_cid_wanted(const struct local_cid_set *set);

/* Adds one with the next sequence number; local_cid_wanted must be > 0, there must be room, and the CID be new. The
 * caller fills in its reset token. */
struct local_cid *local_cid_issue(struct local_cid_set *set, const roam_cid *cid);

/* The next whose NEW_CONNECTION_ID is to go out, or NULL. Those that are good for something first: what the peer is to
 * retire again at once can wait. */
const struct local_cid *local_cid_next_pending(const struct local_cid_set *set);

/* The Retire Prior To field of its frame, which must not be greater than its sequence (RFC 9000 section 19.15). */
static inline uint64_t local_cid_frame_retire_prior_to(const struct local_cid_set *set, const struct local_cid *entry)
{
    return min_u64(set->retire_prior_to, entry->sequence);
}

void local_cid_on_sent(struct local_cid_set *set, uint64_t sequence);
void local_cid_on_acked(struct local_cid_set *set, uint64_t sequence);
void local_cid_on_lost(struct local_cid_set *set, uint64_t sequence); /* nothing where it was retired meanwhile */

/* A packet of so many octets came on it. True where that is the first: more may be wanted then. */
bool local_cid_on_used(struct local_cid_set *set, struct local_cid *cid, roam_time now, size_t bytes);

/* Nothing is acknowledged: all frames that may never have arrived are to go out once more, but for CIDs that the peer is to
 * retire: they are of no use to it, and quiche closes a connection over one that it has already been told to retire. Those wait
 * until their packets are known to be lost. */
void local_cid_repeat(struct local_cid_set *set);

/* Asks the peer to retire everything below `sequence` (Retire Prior To in the next frames). Refused (false) while an
 * earlier request is not met yet, RFC 9000 section 5.1.2. */
bool local_cid_request_retirement(struct local_cid_set *set, uint64_t sequence);

/* Asks for all of them, though an earlier request may not be met yet: a peer that has no CID left to reach us with
 * cannot meet any. False where that would leave it with more than twice its limit to retire, which is what it must be
 * able to keep track of (RFC 9000 section 5.1.2). */
bool local_cid_insist_on_retirement(struct local_cid_set *set);

/* RETIRE_CONNECTION_ID came, in a packet sent to the CID with `packet_sequence` (UINT64_MAX: to none of the entries).
 * Returns ROAM_NO_ERROR or PROTOCOL_VIOLATION. *ret_retired is the CID that is gone now; its len is 255 where the frame
 * was a repeat. */
uint64_t local_cid_on_retire(struct local_cid_set *set, uint64_t sequence, uint64_t packet_sequence,
                             roam_cid *ret_retired);

/* True where the peer is known to hold a CID that it has not used yet, or writes none: it can answer on a new path. */
bool local_cid_has_spare(const struct local_cid_set *set);

/* NULL where it is none of ours (any more). */
struct local_cid *local_cid_find(struct local_cid_set *set, const roam_cid *cid);

void local_cid_set_check(const struct local_cid_set *set);

#endif
