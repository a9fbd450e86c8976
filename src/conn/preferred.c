/*
 * The server's preferred address, RFC 9000 section 9.6: offered in the handshake with a CID of its own, moved to by the
 * client when it has proven it, and by the server when the client has.
 *
 *   server  NONE -> OFFERED     conn_offer_preferred
 *           OFFERED <-> REACHED conn_preferred_on_move: the client came, the path is validated; or it had to go back
 *   client  NONE -> OFFERED     conn_learn_preferred, unless its policy says no
 *           OFFERED -> PROBING  conn_try_preferred, once confirmed and in possession of a spare CID
 *           PROBING -> REACHED  conn_preferred_on_move
 *           PROBING -> FAILED   conn_preferred_on_failed: it stays where it is, for good
 *
 * What was learnt here belongs to this connection. //= rfc9000#9.6.2-6 No other one, resumed or not, goes there by it.
 */
#include "conn/preferred.h"

#include "conn/config_copy.h"
#include "conn/paths.h"

/* ---- The server's side */

void conn_offer_preferred(roam_conn *conn, const roam_address *local, struct transport_params *params)
{
    struct preferred_address *preferred = &params->preferred_address;
    roam_cid cid;
    //= rfc9000#18.2-4 A server with zero-length CIDs offers none.
    if (!config_offers_preferred(conn->config) || conn->local_cids.cid_bytes == 0)
        return;
    conn->home = mem_alloc(conn->allocator, sizeof(*conn->home));
    if (conn->home == NULL || !local_cid_reserve(&conn->local_cids, 1) ||
        !conn->owner->cid_new(conn->owner->context, conn, &cid))
        return;
    *conn->home = (struct preferred_home){.local = *local, .left_at = PACKET_NUMBER_NONE};
    local_cid_add_preferred(&conn->local_cids, &cid);
    //= rfc9000#9.6.1-1 One address for each family.
    preferred->ipv4 = conn->config->preferred_ipv4;
    preferred->ipv6 = conn->config->preferred_ipv6;
    preferred->cid = cid;
    conn->owner->cid_reset_token(conn->owner->context, &cid, preferred->reset_token);
    params->has_preferred_address = true;
    conn->preferred = PREFERRED_OFFERED;
}

void conn_tell_preferred_cid(roam_conn *conn)
{
    for (size_t i = 0; conn->is_server && conn->preferred != PREFERRED_NONE && i < conn->local_cids.count; i++) {
        const struct local_cid *entry = &conn->local_cids.entries[i];
        if (entry->sequence == 1)
            conn_cid_event(conn, ROAM_EVENT_CID_ISSUED, &entry->cid, entry->sequence);
    }
}

bool conn_is_to_preferred(const roam_conn *conn, const roam_address *local)
{
    return conn->is_server && conn->preferred != PREFERRED_NONE && !path_local_matches(local, &conn->home->local) &&
           !path_local_matches(local, &path_set_active(&conn->paths)->local);
}

/* Only from where the client is: what comes to the old address from elsewhere may be the client whose packets somebody
 * else has carried to the new one (section 9.3.3). */
bool conn_is_left_behind(const roam_conn *conn, const struct packet_context *context)
{
    return conn->is_server && conn->preferred == PREFERRED_REACHED && context->space == SPACE_APPLICATION &&
           context->number > conn->home->left_at && path_local_matches(&context->local, &conn->home->local) &&
           roam_address_equal(&context->remote, &path_set_active(&conn->paths)->remote);
}

/* ---- What the client knows */

/* The preferred address of a family, if the client wants it. */
static const roam_address *find_preferred(const roam_conn *conn, uint8_t family)
{
    const struct transport_params *params = conn->client->server_params;
    if (params == NULL || !params->has_preferred_address)
        return NULL;
    const struct preferred_address *preferred = &params->preferred_address;
    const roam_address *address = family == ROAM_FAMILY_IPV4   ? &preferred->ipv4
                                  : family == ROAM_FAMILY_IPV6 ? &preferred->ipv6
                                                               : NULL;
    if (address == NULL || !roam_address_is_set(address))
        return NULL;
    return migration_may_prefer(&conn->client->handshake_remote, address, conn->config->preferred_policy) ? address
                                                                                                          : NULL;
}

static bool is_preferred(const roam_conn *conn, const roam_address *remote)
{
    const roam_address *preferred = find_preferred(conn, remote->family);
    return preferred != NULL && roam_address_equal(preferred, remote);
}

//= rfc9000#9-2 Nothing goes from another local address to the address of the handshake where the server sent
// disable_active_migration. Its preferred address is another matter.
bool conn_is_closed_to_moves(const roam_conn *conn, const roam_address *remote)
{
    return conn->peer.disable_active_migration && roam_address_equal(remote, &conn->client->handshake_remote);
}

bool conn_server_address(const roam_conn *conn, uint8_t family, roam_address *ret)
{
    const roam_address *active = &path_set_active(&conn->paths)->remote;
    const roam_address *preferred = find_preferred(conn, family);
    const roam_address *choice = active->family == family                          ? active
                                 : preferred != NULL                               ? preferred
                                 : conn->client->handshake_remote.family == family ? &conn->client->handshake_remote
                                                                                   : NULL;
    //= rfc9000#9-2 Acting on the preferred address is the one move that is left.
    if (choice != NULL && preferred != NULL && conn_is_closed_to_moves(conn, choice))
        choice = preferred;
    if (choice != NULL)
        *ret = *choice;
    return choice != NULL;
}

void conn_learn_preferred(roam_conn *conn)
{
    if (find_preferred(conn, ROAM_FAMILY_IPV4) != NULL || find_preferred(conn, ROAM_FAMILY_IPV6) != NULL)
        conn->preferred = PREFERRED_OFFERED;
}

/* ---- The client goes there */

static bool is_leaving(const roam_conn *conn)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        if (conn->paths.paths[i]->migrate_when_valid)
            return true;
    }
    return false;
}

void conn_try_preferred(roam_conn *conn)
{
    if (conn->is_server || conn->preferred != PREFERRED_OFFERED || !conn->confirmed || !conn_is_alive(conn))
        return;
    const struct path *active = path_set_active(&conn->paths);
    //= rfc9000#9.6.3-6 Keep the address family. An address of the other one is for when the client changes families.
    const roam_address *preferred = find_preferred(conn, active->remote.family);
    if (preferred == NULL || is_leaving(conn))
        return;
    if (roam_address_equal(preferred, &active->remote)) {
        conn->preferred = PREFERRED_REACHED;
        return;
    }
    /* The server needs a CID to answer with, and so do we: as soon as they have been exchanged. */
    if (remote_cid_spare(&conn->remote_cids) == 0 || !local_cid_has_spare(&conn->local_cids))
        return;
    const roam_address local = active->local, remote = *preferred;
    //= rfc9000#9.6.1-2 Once confirmed, one preferred address is chosen and validated.
    //= rfc9000#9.6.2-1 The client moves when it has validated it.
    //= rfc9000#21.5.3-1 Until then the path is not the active one, and carries probing frames only.
    if (conn_start_probe(conn, &local, &remote, true) == ROAM_OK)
        conn->preferred = PREFERRED_PROBING;
}

void conn_try_preferred_from(roam_conn *conn, const roam_address *new_local, bool migrate)
{
    const roam_address *preferred = find_preferred(conn, new_local->family);
    if (preferred == NULL || (conn->preferred != PREFERRED_OFFERED && conn->preferred != PREFERRED_PROBING))
        return;
    const roam_address remote = *preferred;
    //= rfc9000#9.6.3-1 From its new address the client validates both the original and the preferred address.
    bool started =
        remote_cid_spare(&conn->remote_cids) > 0 && conn_start_probe(conn, new_local, &remote, migrate) == ROAM_OK;
    if (migrate)
        conn->preferred = started ? PREFERRED_PROBING : PREFERRED_OFFERED;
}

/* ---- What came of it */

//= rfc9000#9.6.3-2 The preferred address is validated: abandon the original one.
static void abandon_original(roam_conn *conn, const struct path *preferred)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *other = conn->paths.paths[i];
        if (other->id == preferred->id || is_preferred(conn, &other->remote))
            continue;
        other->migrate_when_valid = false;
        path_validation_abandon(&other->validation);
    }
}

void conn_preferred_on_move(roam_conn *conn, const struct path *path)
{
    if (conn->preferred == PREFERRED_NONE)
        return;
    if (!conn->is_server) {
        //= rfc9000#9.6.1-3 From now on the active path leads there, under the CID that it was given when it was made.
        if (is_preferred(conn, &path->remote)) {
            conn->preferred = PREFERRED_REACHED;
            abandon_original(conn, path);
        }
        return;
    }
    bool there = !path_local_matches(&path->local, &conn->home->local);
    if (there && conn->preferred == PREFERRED_OFFERED)
        conn->home->left_at = conn->largest_non_probing;
    conn->preferred = there ? PREFERRED_REACHED : PREFERRED_OFFERED;
}

void conn_preferred_on_validated(roam_conn *conn, const struct path *path)
{
    if (!conn->is_server && path->migrate_when_valid && is_preferred(conn, &path->remote))
        abandon_original(conn, path);
}

void conn_preferred_on_failed(roam_conn *conn, const struct path *path)
{
    if (conn->is_server || conn->preferred != PREFERRED_PROBING || !is_preferred(conn, &path->remote))
        return;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *other = conn->paths.paths[i];
        if (other->id != path->id && other->validation.state == VALIDATION_RUNNING &&
            is_preferred(conn, &other->remote))
            return;
    }
    //= rfc9000#9.6.1-4 Nobody is there: keep sending to the original address.
    //= rfc9000#9.6.3-3 A move of ours goes on to the original one where that is validated.
    conn->preferred = PREFERRED_FAILED;
}
