/*
 * Where else a server's name leads: a client whose first address gives no sign of life asks at the next one, in turn,
 * as long as nothing has come from any (RFC 8305 in its simplest form). To each address goes an attempt of its own,
 * with a destination CID that no other has seen; the first that answers is the server, for good (RFC 9000 section 9).
 */
#include "conn/alternates.h"

void conn_remember_alternates(roam_conn *conn, const roam_address *addresses, size_t n)
{
    struct handshake *handshake = conn->handshake;
    for (size_t i = 0; i < n && handshake->alternate_count < ALTERNATES_MAX; i++) {
        roam_address address = roam_address_unmap(&addresses[i]);
        address.port = conn->client->port;
        handshake->alternates[handshake->alternate_count++] = address;
    }
}

static bool has_ip(const roam_address *address)
{
    static const uint8_t zero[sizeof(address->ip)];
    return memcmp(address->ip, zero, sizeof(zero)) != 0;
}

/* Whence to go there. A socket that is bound to an address is left for another of the host's networks only by a client
 * that moves by itself. */
static bool choose_local(const roam_conn *conn, uint8_t family, roam_address *ret_local)
{
    const struct network_list *networks = conn->owner->networks;
    const roam_network *found = NULL;
    if (ret_local->family == family)
        return true;
    if (!has_ip(ret_local)) {
        ret_local->family = family;
        return true;
    }
    for (size_t i = 0; conn->mobility != NULL && i < networks->count; i++) {
        const roam_network *network = &networks->entries[i];
        if (network->local.family == family && (found == NULL || (network->is_default && !found->is_default)))
            found = network;
    }
    if (found != NULL)
        *ret_local = found->local;
    return found != NULL;
}

/* The next address that can be gone to; the one in use goes to the end of the list. */
static bool take_next(roam_conn *conn, struct path *path)
{
    struct handshake *handshake = conn->handshake;
    for (size_t tries = handshake->alternate_count; tries > 0; tries--) {
        const roam_address next = handshake->alternates[0];
        roam_address local = path->local;
        memmove(&handshake->alternates[0], &handshake->alternates[1],
                (handshake->alternate_count - 1) * sizeof(handshake->alternates[0]));
        bool usable = choose_local(conn, next.family, &local);
        handshake->alternates[handshake->alternate_count - 1] = usable ? path->remote : next;
        if (!usable)
            continue;
        path->local = local;
        path->remote = conn->client->handshake_remote = next;
        return true;
    }
    return false;
}

void conn_try_alternate(roam_conn *conn)
{
    struct handshake *handshake = conn->handshake;
    if (conn->is_server || handshake == NULL || handshake->any_packet || handshake->has_retry ||
        handshake->alternate_count == 0 || !take_next(conn, path_set_active(&conn->paths)))
        return;
    //= rfc9000#9.5-3 Never use one destination CID toward more than one peer address.
    roam_cid dcid = {.len = handshake->original_dcid.len};
    rng_fill(conn->owner->rng, dcid.bytes, dcid.len);
    handshake->original_dcid = dcid;
    remote_cid_replace_initial(&conn->remote_cids, &dcid);
    conn_set_initial_keys(conn, &dcid);
    /* Each gets twice the time of the one before, so that a slow one has its turn. */
    const uint32_t ptos = conn->pto_count;
    conn_send_first_flight_again(conn);
    conn->pto_count = ptos;
}
