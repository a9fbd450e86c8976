/*
 * The connection and its addresses: the one place where path, cid and recovery are joined. Switching path, its DCID and
 * what becomes of the old path happen here (with paths.c) and nowhere else; whether to do so is migration's to say. What
 * comes of the challenges that follow is validation.c's.
 *
 *   a new place      conn_path_for_packet: an authentic packet from an unknown address makes a path
 *   the row moves    conn_after_payload -> conn_move_to
 */
#include "conn/ack_frequency.h"
#include "conn/cids.h"
#include "conn/mobility.h"
#include "conn/move_stats.h"
#include "conn/paths.h"
#include "conn/preferred.h"

/* ---- Facts */

static bool is_highest_non_probing(const roam_conn *conn, const struct packet_context *context)
{
    return context->space == SPACE_APPLICATION &&
           (conn->largest_non_probing == PACKET_NUMBER_NONE || context->number > conn->largest_non_probing);
}

/* What came here before this packet came on the active path as well, or nearly at the same time: that is alive. A
 * packet of a deliberate move comes to another CID of ours, and the peer knows what it does. */
static bool sways(const roam_conn *conn, const struct path *path, const struct packet_context *context)
{
    const struct path *active = path_set_active(&conn->paths);
    return conn->sway != NULL && sway_must_wait(conn->sway, conn->now, path->id) && path_is_validated(active) &&
           context->local_cid_sequence == active->local_cid_sequence &&
           path->authentic_before <= saturating_add(active->authentic_at, rtt_pto(&active->recovery.rtt, 0));
}

static struct migration_facts gather_facts(roam_conn *conn, const struct packet_context *context)
{
    const struct path *active = path_set_active(&conn->paths);
    const struct path *path = context->path_id != PATH_ID_NONE
                                  ? path_set_find(&conn->paths, context->path_id)
                                  : path_set_find_address(&conn->paths, &context->local, &context->remote);
    struct migration_facts facts = {
        .is_server = conn->is_server,
        .confirmed = conn->confirmed,
        .known_path = path != NULL,
        .known_remote = path_set_find_remote(&conn->paths, &context->remote) != NULL,
        .active_path = path != NULL && path->id == conn->paths.active_id,
        .path_validated = path != NULL && path_is_validated(path),
        .too_small = path != NULL && path->too_small,
        .validation_running = path != NULL && path->validation.state == VALIDATION_RUNNING,
        .non_probing = context->non_probing,
        .highest_numbered = is_highest_non_probing(conn, context),
        .same_remote = roam_address_equal(&context->remote, &active->remote),
        .same_ip_as_active = roam_address_same_ip(&context->remote, &active->remote) &&
                             path_local_matches(&context->local, &active->local),
        .sways = path != NULL && sways(conn, path, context),
        .cid_changed = conn_path_of_same_cid(conn, context) == NULL,
        .spare_cid = conn_has_spare_cid(conn),
        .blocked_port = migration_port_is_blocked(context->remote.port),
        .room = conn->paths.count < conn->paths.max || conn_path_to_give_up(conn) != NULL,
        .within_budget = path_budget_allows(&conn->path_budget, conn->now, conn_pto(conn)),
        .forbidden_address =
            migration_address_is_forbidden(&active->remote, &context->remote, conn->config->refuse_private_moves),
        .to_preferred = conn_is_to_preferred(conn, &context->local),
        .left_behind = conn_is_left_behind(conn, context),
    };
    return facts;
}

static roam_drop create_path(roam_conn *conn, struct packet_context *context, const struct migration_verdict *verdict)
{
    const uint64_t active_id = conn->paths.active_id;
    //= rfc9000#9.6.2-3 The path begins where the packet came in, so that the preferred address answers and probes
    // itself.
    //= rfc9000#9.6.3-4 There as anywhere a new address of the client's is under the 3x limit until it is proven.
    const uint64_t id = conn->paths.next_id;
    /* First, as room may be made of the very path that it came from, which must not take the CID with it. */
    if (verdict->share_cid)
        remote_cid_share(&conn->remote_cids, id, conn_path_of_same_cid(conn, context)->id);
    struct path *path = conn_add_path(conn, &context->local, &context->remote);
    if (path == NULL) {
        remote_cid_release(&conn->remote_cids, id);
        return ROAM_DROP_OUT_OF_MEMORY;
    }
    remote_cid_assign(&conn->remote_cids, id);
    path->nat_rebinding = verdict->share_cid;
    path->local_cid_sequence = context->local_cid_sequence;
    if (verdict->keep_congestion)
        conn_inherit_path(path, path_set_find(&conn->paths, active_id));
    path_on_received(path, context->datagram_bytes, conn->now);
    path_budget_on_opened(&conn->path_budget, conn->now, conn_pto(conn));
    context->path_id = path->id;
    conn_path_event(conn, ROAM_EVENT_PATH_NEW, path, NULL);
    if (verdict->validate)
        conn_validate_path(conn, path);
    return ROAM_DROP_NONE;
}

/* The application has the last word on where its peer may be. */
static bool is_refused(const roam_conn *conn, const struct packet_context *context)
{
    const roam_address *from = roam_conn_remote_address(conn);
    return conn->config->may_move != NULL && !roam_address_equal(from, &context->remote) &&
           !conn->config->may_move(conn->config->may_move_context, conn, from, &context->remote);
}

void conn_on_duplicate(roam_conn *conn, const struct packet_context *context)
{
    struct path *path = path_set_find_address(&conn->paths, &context->local, &context->remote);
    if (path != NULL)
        path->authentic_at = conn->now;
}

roam_drop conn_path_for_packet(roam_conn *conn, struct packet_context *context)
{
    struct path *path = path_set_find(&conn->paths, context->seen_path_id);
    if (path == NULL)
        path = path_set_find_address(&conn->paths, &context->local, &context->remote);
    context->path_id = path != NULL ? path->id : PATH_ID_NONE;
    if (path != NULL) {
        path->authentic_before = path->authentic_at;
        path->authentic_at = conn->now;
    }
    /* Nearly every packet: the peer is where it was. */
    if (path != NULL && (path->id == conn->paths.active_id || conn->preferred == PREFERRED_NONE))
        return ROAM_DROP_NONE;
    /* What was sent before the handshake was complete says nothing about where the client is after it. */
    if (path == NULL && context->type == PACKET_ZERO_RTT)
        return ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE;
    struct migration_facts facts = gather_facts(conn, context);
    struct migration_verdict verdict = migration_on_packet(&facts);
    if (verdict.drop == ROAM_DROP_NONE && verdict.create_path)
        return is_refused(conn, context) ? ROAM_DROP_MOVE_REFUSED : create_path(conn, context, &verdict);
    if (verdict.drop == ROAM_DROP_NO_CID_FOR_PATH)
        conn_free_a_cid(conn);
    return verdict.drop;
}

/* ---- The move */

static void note_sway(roam_conn *conn, const struct path *old, const struct path *path)
{
    if (conn->sway == NULL) {
        conn->sway = mem_alloc(conn->allocator, sizeof(*conn->sway));
        if (conn->sway == NULL)
            return;
        sway_init(conn->sway);
    }
    sway_on_move(conn->sway, conn->now, old->id, path->id, rtt_pto(&old->recovery.rtt, 0));
}

static void count_move(roam_conn *conn)
{
    conn->moves++;
    conn->last_move = conn->now;
    conn->owner->totals->moves++;
}

//= rfc9000#9.3-8 Send new NEW_TOKEN tokens after verifying a new client address: once for each, when it is proven
// and in use, whichever comes last.
//= rfc9000#21.5.6-5 Before that the client gets none.
void conn_offer_token(roam_conn *conn, const struct path *path)
{
    bool given = false;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *other = conn->paths.paths[i];
        given |= other->token_given && roam_address_equal(&other->remote, &path->remote);
    }
    conn->new_token_pending |= conn->is_server && path->address_validated && !given;
}

/* Makes `path` the active one: from here on packets go there. The old path stays for a while, as the place to fall
 * back to if it was validated, and keeps its own CID, RTT and window. */
void conn_move_to(roam_conn *conn, struct path *path, roam_event_type type, enum roam_move_why why)
{
    struct path *old = path_set_active(&conn->paths);
    const struct move_before before = move_stats_before(old);
    const bool proven = path_is_validated(path);
    conn_remember_path(conn, old);
    /* Also while a challenge to it runs or went unanswered: it is the last address that was proven. */
    if (old->address_validated)
        conn->paths.fallback_id = old->id;
    conn->paths.active_id = path->id;
    path->standby = false;
    path->probed_at = 0;
    conn_assign_cid(conn, path->id);
    //= rfc9000#9.3.2-4 A packet from the true peer moves the path back and cancels the spurious validation.
    if (proven && !old->address_validated)
        //= rfc9000#9.3-7 After moving, validation of other addresses may be abandoned.
        path_validation_abandon(&old->validation);
    /* Where streams are under way and the RTT is known, a burst would be followed by a round trip without an octet. */
    if (proven && !path->was_active && old->recovery.congestion.in_flight > 0 && path_set_rouse(&conn->paths, path))
        pacer_forgo_burst(path->recovery.pacer, path_datagram_bytes(path), conn->now);
    path->was_active = true;
    path->migrate_when_valid = false;
    conn_preferred_on_move(conn, path);
    conn_offer_token(conn, path);
    if (conn->paths.fallback_id == path->id)
        conn->paths.fallback_id = PATH_ID_NONE;
    if (proven)
        conn_recall_path(conn, path);
    conn->pto_count = 0;
    conn->pacing_until = 0;
    conn->move_why = why;
    count_move(conn);
    note_sway(conn, old, path);
    conn_path_event(conn, type, path, &before.remote);
    /* The address to fall back to was proven once, whatever became of a later challenge. */
    bool reverted = type == ROAM_EVENT_PATH_REVERTED;
    move_stats_on_move(conn, &before, why, reverted, proven || reverted);
    conn_review_ack_frequency(conn);
}

/* The peer is not where it was: also asks at the old address, where a spoofed move would find it (RFC 9000 section
 * 9.3.3). */
static void challenge_previous(roam_conn *conn, uint64_t previous_id)
{
    struct path *previous = path_set_find(&conn->paths, previous_id);
    if (previous != NULL && previous->id != conn->paths.active_id &&
        remote_cid_of_path(&conn->remote_cids, previous_id) != NULL)
        conn_validate_path(conn, previous);
}

/* The path may have lost its CID to Retire Prior To while it was not in use. Under a CID of ours that came on another
 * path it goes on with what that has, as on any rebinding (section 9.5); else conn_move_to finds it another, or we fell
 * back to it when there was none, and it waits for one. */
static void share_cid_if_lost(roam_conn *conn, const struct path *path, const struct packet_context *context)
{
    if (remote_cid_of_path(&conn->remote_cids, path->id) != NULL)
        return;
    const struct path *from = conn_path_of_same_cid(conn, context);
    if (from != NULL)
        remote_cid_share(&conn->remote_cids, path->id, from->id);
}

/* The newest non-probing packet says where the peer is, and takes back what an earlier one has said. */
static void note_newest(roam_conn *conn, const struct packet_context *context)
{
    if (!context->non_probing || !is_highest_non_probing(conn, context))
        return;
    conn->largest_non_probing = context->number;
    for (size_t i = 0; conn->is_server && conn->preferred != PREFERRED_NONE && i < conn->paths.count; i++)
        conn->paths.paths[i]->migrate_when_valid = false;
}

//= rfc9000#9.3-4 Where it moves: the 3x limit until the proof, a challenge at either end, the fallback, and what is
// shown are the defence against addresses that somebody forged.
static void act_on_payload(roam_conn *conn, struct path *path, const struct packet_context *context,
                           const struct migration_verdict *verdict)
{
    const uint64_t previous_id = conn->paths.active_id;
    path->migrate_when_valid |= verdict->move_when_valid;
    if (verdict->move) {
        share_cid_if_lost(conn, path, context);
        if (verdict->keep_congestion && !path->was_active)
            conn_inherit_path(path, path_set_active(&conn->paths));
        /* What was known of it counts again when it is proven again: conn_recall_path. */
        if (path->was_active && path->validation.state == VALIDATION_FAILED)
            conn_renew_path(conn, path);
        conn_move_to(conn, path, ROAM_EVENT_PATH_MOVED, ROAM_MOVE_PEER);
        move_stats_on_moving_packet(conn);
    }
    if (verdict->validate)
        conn_validate_path(conn, path);
    if (verdict->validate_previous)
        challenge_previous(conn, previous_id);
}

//= rfc9000#9.6.2-2 A non-probing packet has come to the preferred address, and now the path is validated.
static void move_to_preferred_if_valid(roam_conn *conn)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        if (path->migrate_when_valid && path_validation_has_succeeded(&path->validation)) {
            conn_move_to(conn, path, ROAM_EVENT_PATH_MOVED, ROAM_MOVE_PREFERRED);
            return;
        }
    }
}

/* What the old mapping swallowed is the first thing that the peer misses: a datagram of it goes out beside the challenge,
 * and is acknowledged with the answer. Nothing counts as lost yet: it may have arrived. Once more with the first
 * full-sized datagram: so speaks a client that hears nothing any more, and what had passed the NAT is acknowledged. */
static void say_again(roam_conn *conn, struct path *path, const struct packet_context *context, bool has_moved)
{
    bool full_size = context->datagram_bytes >= DATAGRAM_BYTES_MIN;
    if (!conn->confirmed || path->full_size_heard || !(has_moved || full_size))
        return;
    path->full_size_heard = full_size;
    stream_set_retransmit_oldest(&conn->streams, (size_t)min_u64(path_allowance(path), path_datagram_bytes(path)));
}

void conn_after_payload(roam_conn *conn, struct packet_context *context)
{
    const uint64_t active_id = conn->paths.active_id;
    if (!conn_is_alive(conn) || context->type == PACKET_ZERO_RTT)
        return;
    /* What no path could be made for may have brought the CID that was missing. */
    if (context->path_id == PATH_ID_NONE && conn->is_server)
        conn_path_for_packet(conn, context);
    struct path *path = path_set_find(&conn->paths, context->path_id);
    /* A late packet says nothing about which CID the peer writes now. */
    if (path != NULL && context->number == conn->application.received.largest) {
        if (path->id == conn->paths.active_id && context->local_cid_sequence > path->local_cid_sequence)
            conn_on_peer_rotated(conn);
        path->local_cid_sequence = context->local_cid_sequence;
    }
    /* Nearly every packet: the peer is where it was. Or it cannot be followed; but what is older says nothing any more
     * about where the peer is. */
    if (path == NULL || path->id == conn->paths.active_id) {
        note_newest(conn, context);
        if (path != NULL && conn->is_server)
            share_cid_if_lost(conn, path, context);
        if (path != NULL && conn->move_open)
            move_stats_on_packet(conn);
    } else {
        struct migration_facts facts = gather_facts(conn, context);
        struct migration_verdict verdict = migration_after_payload(&facts);
        note_newest(conn, context);
        act_on_payload(conn, path, context, &verdict);
    }
    if (path != NULL && path->id == conn->paths.active_id && !path->address_validated)
        say_again(conn, path, context, path->id != active_id);
    if (conn->is_server && conn->preferred == PREFERRED_OFFERED)
        move_to_preferred_if_valid(conn);
}
