/*
 * The connection IDs that the peer gave us, RFC 9000 section 5.1: what we write on packets to it. Each is assigned to a
 * path id; a path that was never deliberately moved (a NAT rebinding) shares the one of the path it came from (section
 * 9.5).
 *
 * An entry goes: (remote_cid_on_new) UNUSED -> (assign) IN_USE -> (release by its last path, or Retire Prior To)
 * retired: its sequence stays in the same array, behind the live ones, until RETIRE_CONNECTION_ID is acknowledged.
 * A sequence is unseen, or live, or being retired, or, where it is seen and neither, retired on the wire for good: so a
 * late repeat of its NEW_CONNECTION_ID can never bring it back, however many came and went since.
 * Invariants: at most `limit` live entries; no sequence is there twice, none is forgotten before it was retired on the
 * wire (section 5.1.2); nothing below Retire Prior To is unseen or live; every assignment names a live entry; retiring
 * needs no memory, and cannot fail.
 */
#ifndef CID_REMOTE_CID_H
#define CID_REMOTE_CID_H

#include <roam/error.h>

#include "base/alloc.h"
#include "cid/seen_sequences.h"
#include "wire/frame.h"

/* Largest active_connection_id_limit that we offer. */
#define REMOTE_CIDS_MAX 16
//= rfc9000#5.1.2-6 At least 2 x active_connection_id_limit outstanding RETIRE_CONNECTION_ID frames can be tracked.
/* Those live and those whose RETIRE_CONNECTION_ID is not acknowledged, at once. RFC 9000 section 5.1.2 wants room for
 * at least twice the limit of these while all the live ones are still there. */
#define REMOTE_ENTRIES_MAX (3 * REMOTE_CIDS_MAX)
/* Paths that hold a CID at once: all that there may be, and one that is about to take the place of another. */
#define REMOTE_ASSIGNMENTS_MAX 17

enum retirement_state { RETIREMENT_PENDING, RETIREMENT_SENT };

/* Of one that is being retired only the sequence and that state are left. */
struct remote_cid {
    uint64_t sequence;
    roam_cid cid;
    uint8_t retirement; /* enum retirement_state */
    bool has_reset_token;
    bool used; /* stood on a packet of ours: only then its reset token counts (section 10.3.1) */
    uint8_t reset_token[RESET_TOKEN_BYTES];
};

/* The CID of a path, and what was written there under it; a path that shares it goes on from what the other had. */
struct remote_assignment {
    uint64_t path_id, sequence;
    roam_time used_since, written_at; /* first and last packet of ours with it */
    uint64_t bytes;                   /* of those packets */
};

/* The arrays have the capacity that was ever needed. */
struct remote_cid_set {
    const roam_allocator *allocator;
    struct remote_cid *entries; /* the live ones, ascending by sequence, then those that are being retired */
    struct remote_assignment *assignments;
    struct seen_sequences seen;
    uint64_t retire_prior_to; /* the highest that the peer asked for */
    uint8_t limit;            /* our active_connection_id_limit */
    uint8_t count, retirement_count, entry_capacity;
    uint8_t assignment_count, assignment_capacity;
};

/* The first of those that are being retired. */
static inline struct remote_cid *remote_cid_retirements(const struct remote_cid_set *set)
{
    return set->entries + set->count;
}

/* `initial`: the CID with sequence 0 (the peer's source CID in the handshake). limit 2..REMOTE_CIDS_MAX. False without
 * memory; the first path gets its CID without. */
bool remote_cid_set_init(struct remote_cid_set *set, const roam_allocator *allocator, const roam_cid *initial,
                         size_t limit);
void remote_cid_set_done(struct remote_cid_set *set);

/* The handshake changed the initial CID (Retry, first server Initial): only while nothing else is known. */
void remote_cid_replace_initial(struct remote_cid_set *set, const roam_cid *cid);

/* From the server's transport parameters. */
void remote_cid_set_initial_token(struct remote_cid_set *set, const uint8_t token[RESET_TOKEN_BYTES]);

/* NEW_CONNECTION_ID came (frame_parse made sure that Retire Prior To <= sequence). Returns ROAM_NO_ERROR, INTERNAL_ERROR
 * (no memory), PROTOCOL_VIOLATION (peer uses zero-length CIDs; same sequence with another CID or token, same CID with another
 * sequence, a token twice), CONNECTION_ID_LIMIT_ERROR (too many live, too many retirements unacknowledged, or too many
 * gaps in the numbering). Exact repeats are ignored, also of retired ones. Paths whose CID fell under Retire Prior To
 * have no assignment afterwards: remote_cid_of_path gives NULL for them. *ret_added says whether it is new and live. */
uint64_t remote_cid_on_new(struct remote_cid_set *set, const struct frame *frame, bool *ret_added);

/* Unused CIDs; 0 with a zero-length peer, which needs none. */
size_t remote_cid_spare(const struct remote_cid_set *set);

/* Gives the path an unused CID (the lowest sequence); true at once where it has one already. With a zero-length peer
 * all paths use that. False where none is left, or no memory. */
bool remote_cid_assign(struct remote_cid_set *set, uint64_t path_id);

/* The path uses the same CID as another path (which must have one): RFC 9000 section 9.5, the peer's address changed
 * under an unchanged CID. Without memory the path has none. */
void remote_cid_share(struct remote_cid_set *set, uint64_t path_id, uint64_t from_path_id);

/* Gives the path a fresh CID instead of the one it has, which is retired where no other path uses it. False, nothing
 * changed, where none is left, or no memory, or while very many retirements are not acknowledged: always so with a
 * zero-length peer. */
bool remote_cid_rotate(struct remote_cid_set *set, uint64_t path_id);

/* The path is gone: its CID is retired where no other path uses it. Harmless where it has none. */
void remote_cid_release(struct remote_cid_set *set, uint64_t path_id);

/* The CID to write on packets to this path, or NULL: then nothing can be sent there. */
struct remote_cid *remote_cid_of_path(const struct remote_cid_set *set, uint64_t path_id);

/* NULL where the path has none, and with a zero-length peer. */
struct remote_assignment *remote_cid_assignment(const struct remote_cid_set *set, uint64_t path_id);

/* RETIRE_CONNECTION_ID to be sent: false where none is due. */
bool remote_cid_next_retirement(const struct remote_cid_set *set, uint64_t *ret_sequence);
void remote_cid_on_retirement_sent(struct remote_cid_set *set, uint64_t sequence);
void remote_cid_on_retirement_acked(struct remote_cid_set *set, uint64_t sequence);
void remote_cid_on_retirement_lost(struct remote_cid_set *set, uint64_t sequence);

/* The CID that we use and whose reset token that is, or NULL; every candidate is compared in constant time. */
const struct remote_cid *remote_cid_of_token(const struct remote_cid_set *set, const uint8_t token[RESET_TOKEN_BYTES]);

void remote_cid_set_check(const struct remote_cid_set *set);

#endif
