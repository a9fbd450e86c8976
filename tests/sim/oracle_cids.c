/* Which CID was seen where: an observer on the wire must not be able to tell that two addresses are one host's. And
 * whether the sets of CIDs go on: what is retired is replaced, and what was lost is sent again. */
#include <stdlib.h>
#include <string.h>

#include "base/varint.h"
#include "sim/oracle.h"

static struct cid_use *use_of(struct cid_uses *uses, const struct observed_packet *packet, bool *ret_new)
{
    uint64_t *index = sim_map_get(&uses->index, sim_hash_cid(1, &packet->dcid), uses->count, ret_new);
    if (!*ret_new)
        return &uses->uses[*index];
    if (uses->count == uses->capacity) {
        uses->capacity = uses->capacity == 0 ? 8 : 2 * uses->capacity;
        uses->uses = realloc(uses->uses, uses->capacity * sizeof(*uses->uses));
        if (uses->uses == NULL)
            abort();
    }
    struct cid_use *use = &uses->uses[uses->count++];
    *use = (struct cid_use){.cid = packet->dcid, .local = packet->local, .remote = packet->remote};
    return use;
}

static void uses_done(struct cid_uses *uses)
{
    free(uses->uses);
    sim_map_done(&uses->index);
    sim_map_done(&uses->seen);
}

void conn_view_done(struct conn_view *view)
{
    uses_done(&view->sent);
    uses_done(&view->received);
    sim_map_done(&view->numbers);
    sim_map_done(&view->asked);
    sim_map_done(&view->answered);
    event_book_done(&view->events);
    sim_map_done(&view->place_index);
    free(view->places);
    free(view->rebinds);
}

void conn_view_rebind(struct conn_view *view, const roam_address *local)
{
    view->rebinds = realloc(view->rebinds, (view->rebind_count + 1) * sizeof(*view->rebinds));
    if (view->rebinds == NULL)
        abort();
    view->rebinds[view->rebind_count++] = *local;
    event_book_on_rebind(&view->events);
}

static uint64_t key_of(const roam_cid *cid, const roam_address *remote)
{
    return sim_hash_address(sim_hash_cid(1, cid), remote);
}

/* One number for all addresses of the peer's between which its packets went on under an unchanged CID of ours. */
static size_t family_of(struct conn_view *view, const roam_address *remote)
{
    bool added;
    size_t place = *sim_map_get(&view->place_index, sim_hash_address(1, remote), view->place_count, &added);
    if (added) {
        view->places = realloc(view->places, (view->place_count + 1) * sizeof(*view->places));
        if (view->places == NULL)
            abort();
        view->places[view->place_count++] = place;
    }
    while (view->places[place] != place)
        place = view->places[place] = view->places[view->places[place]];
    return place;
}

void conn_view_received(struct conn_view *view, const struct observed_packet *packet)
{
    bool added;
    const struct cid_use *first = use_of(&view->received, packet, &added);
    sim_map_get(&view->received.seen, key_of(&packet->dcid, &packet->remote), 0, &added);
    if (!added)
        return;
    size_t from = family_of(view, &first->remote), to = family_of(view, &packet->remote);
    view->places[to] = from;
}

bool conn_view_was_rebound(const struct conn_view *view, const roam_address *local)
{
    for (size_t i = 0; i < view->rebind_count; i++) {
        if (roam_address_equal(&view->rebinds[i], local))
            return true;
    }
    return false;
}

/* The peer's address changed, and its packets went on under a CID of ours that both addresses have used. One such change
 * may follow on another, also through an address to which this CID of the peer's was never written: a server's active
 * path may be another one, while the path there holds the CID, and hands it on. */
static bool peer_was_rebound(struct conn_view *view, const roam_address *a, const roam_address *b)
{
    return family_of(view, a) == family_of(view, b);
}

const char *conn_view_sent(struct conn_view *view, const struct observed_packet *packet)
{
    bool new_pair, new_cid;
    if (packet->dcid.len == 0)
        return NULL;
    uint64_t key = sim_hash_address(key_of(&packet->dcid, &packet->remote), &packet->local);
    sim_map_get(&view->sent.seen, key, 0, &new_pair);
    if (!new_pair)
        return NULL;
    struct cid_use *use = use_of(&view->sent, packet, &new_cid);
    const char *wrong = NULL;
    if (!roam_address_equal(&use->local, &packet->local) && !conn_view_was_rebound(view, &packet->local) &&
        !conn_view_was_rebound(view, &use->local))
        wrong = "a destination CID is used from two local addresses";
    if (!roam_address_equal(&use->remote, &packet->remote) && !peer_was_rebound(view, &use->remote, &packet->remote))
        wrong = "a destination CID is used towards two remote addresses";
    use->local = packet->local;
    use->remote = packet->remote;
    return wrong;
}

static bool is_on_its_way(struct sent_map *map, enum frame_type type, uint64_t sequence)
{
    struct sent_packet *packet = sent_map_outstanding_from(map, 0);
    for (; packet != NULL; packet = sent_map_outstanding_from(map, packet->number + 1)) {
        for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next) {
            if (frame->type == type && frame->id == sequence)
                return true;
        }
    }
    return false;
}

static size_t cids_owed(const roam_conn *conn)
{
    const size_t most = conn->local_cids.spare_used ? LOCAL_CIDS_MAX : LOCAL_CIDS_FIRST;
    return (size_t)min_u64(conn->peer.active_connection_id_limit, most);
}

const char *conn_cids_wrong(roam_conn *conn)
{
    const struct local_cid_set *ours = &conn->local_cids;
    const struct remote_cid_set *theirs = &conn->remote_cids;
    size_t live = 0;
    for (size_t i = 0; i < ours->count; i++) {
        const struct local_cid *entry = &ours->entries[i];
        live += entry->sequence >= ours->retire_prior_to;
        if (entry->state == LOCAL_CID_SENT &&
            !is_on_its_way(&conn->application.sent, FRAME_NEW_CONNECTION_ID, entry->sequence))
            return "a NEW_CONNECTION_ID was lost and is not sent again";
    }
    if (conn->handshake_complete && ours->cid_bytes > 0 && live < cids_owed(conn) && ours->next_sequence <= VARINT_MAX)
        return "the peer is short of CIDs";
    for (size_t i = 0; i < theirs->retirement_count; i++) {
        const struct remote_cid *retired = &remote_cid_retirements(theirs)[i];
        if (retired->retirement == RETIREMENT_SENT &&
            !is_on_its_way(&conn->application.sent, FRAME_RETIRE_CONNECTION_ID, retired->sequence))
            return "a RETIRE_CONNECTION_ID was lost and is not sent again";
    }
    if (!path_set_active(&conn->paths)->address_validated && conn->paths.fallback_id != PATH_ID_NONE &&
        remote_cid_of_path(theirs, conn->paths.fallback_id) == NULL && remote_cid_spare(theirs) > 0)
        return "the peer could not be answered at its last proven address, and there is a CID to spare";
    return NULL;
}
