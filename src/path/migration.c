/*
 * The policy of migration, RFC 9000 section 9, as named rules tried in order. Pure: what is not among the facts has no
 * say.
 *
 * Two questions are asked of each authentic packet. Before its payload is read: may it be processed, and does it open a
 * path? After: does the connection move? Between them stands section 9.1: only the payload tells a probe from a
 * migration.
 */
#include "path/migration.h"

#include "base/minmax.h"
#include "path/address_scope.h"

typedef bool migration_rule(const struct migration_facts *facts);

/* ---- Before the payload ------------------------------------------------------------------------------------------ */

//= rfc9000#9-7 A client drops packets from unknown server addresses.
//= rfc9000#21.5-2 Servers do not migrate here but to their preferred address, so that there is nothing to forge.
//= rfc9000#9.6-1 Nor does it listen to the preferred address before it went there.
static bool server_moved(const struct migration_facts *facts)
{
    return !facts->is_server && !facts->known_remote;
}

//= rfc9000#9-1 Nobody migrates before the handshake is confirmed.
static bool moved_in_handshake(const struct migration_facts *facts)
{
    return facts->is_server && !facts->confirmed;
}

//= rfc9000#21.5.6-6 Where another service speaks from that port, a client does not: somebody wants our packets to go
// there.
static bool port_is_forged(const struct migration_facts *facts)
{
    return facts->is_server && facts->blocked_port;
}

//= rfc9000#21.5.6-2 The service is known at a wider address: nobody who uses it is at a narrower one.
static bool address_is_forged(const struct migration_facts *facts)
{
    return facts->is_server && facts->forbidden_address;
}

//= rfc9000#9.5-3 Under a changed CID the packet may be of a deliberate move: it is not answered with a CID seen
// elsewhere.
static bool lacks_cid(const struct migration_facts *facts)
{
    return facts->is_server && facts->cid_changed && !facts->spare_cid;
}

static bool lacks_room(const struct migration_facts *facts)
{
    return facts->is_server && !facts->room;
}

static bool exceeds_budget(const struct migration_facts *facts)
{
    return facts->is_server && !facts->within_budget;
}

/* Reasons to drop a packet that came on none of our paths, the first that holds. */
static const struct {
    migration_rule *holds;
    roam_drop drop;
} drop_rules[] = {
    {server_moved, ROAM_DROP_UNKNOWN_SERVER_ADDRESS}, {moved_in_handshake, ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE},
    {port_is_forged, ROAM_DROP_BLOCKED_PORT},         {address_is_forged, ROAM_DROP_FORBIDDEN_ADDRESS},
    {lacks_cid, ROAM_DROP_NO_CID_FOR_PATH},           {lacks_room, ROAM_DROP_PATH_LIMIT},
    {exceeds_budget, ROAM_DROP_PATH_RATE_LIMIT},
};

struct migration_verdict migration_on_packet(const struct migration_facts *facts)
{
    struct migration_verdict verdict = {.drop = ROAM_DROP_NONE};
    //= rfc9000#9.6.2-4 What is newer than the move to the preferred address is dropped at the old one.
    //= rfc9000#9.6.2-5 What was delayed on its way there is still processed.
    if (facts->is_server && facts->left_behind)
        verdict.drop = ROAM_DROP_OLD_SERVER_ADDRESS;
    if (facts->known_path || verdict.drop != ROAM_DROP_NONE)
        return verdict;
    for (size_t i = 0; i < ARRAY_LENGTH(drop_rules); i++) {
        if (drop_rules[i].holds(facts)) {
            verdict.drop = drop_rules[i].drop;
            return verdict;
        }
    }
    /* The server's answer found one of our other addresses. It is authentic, and says nothing about where to send: a
     * client's paths are its own choice. */
    if (!facts->is_server)
        return verdict;

    verdict.create_path = true;
    //= rfc9000#8.2.2-3 A probe is answered on the path that it came on, so that probes make paths too.
    //= rfc9000#9.2-1 Validation could wait for the first non-probing packet. It does not: then the first packet that
    // goes out on any new path carries PATH_CHALLENGE, and a client that probes finds the path validated when it moves.
    //= rfc9000#9.6.3-5 The same at the preferred address: the client's probe is answered, and its address asked.
    verdict.validate = true;
    //= rfc9000#9.5-4 The peer's address changed and its CID did not (a NAT rebinding): ours may stay.
    verdict.share_cid = !facts->cid_changed;
    verdict.keep_congestion = facts->same_ip_as_active;
    return verdict;
}

/* ---- After the payload ------------------------------------------------------------------------------------------- */

//= rfc9000#9-1 Only clients migrate, and only after the handshake is confirmed.
static bool peer_may_move(const struct migration_facts *facts)
{
    return facts->is_server && facts->confirmed;
}

static bool came_from_elsewhere(const struct migration_facts *facts)
{
    return facts->known_path && !facts->active_path;
}

//= rfc9000#9.1-2 A packet of probing frames alone moves nothing.
static bool is_migration(const struct migration_facts *facts)
{
    return facts->non_probing;
}

//= rfc9000#9.3-6 Only the highest-numbered non-probing packet moves the peer: reordered old ones must not take it back.
static bool is_newest(const struct migration_facts *facts)
{
    return facts->highest_numbered;
}

/* RFC 9000 section 9.3 leaves it to us to permit a move. Where packets come on two proven paths at once, each as
 * good as the other, the connection stays on one of them. */
static bool is_steady(const struct migration_facts *facts)
{
    return !facts->sways;
}

/* The connection moves where all of them hold. */
static migration_rule *const move_rules[] = {peer_may_move, came_from_elsewhere, is_migration, is_newest, is_steady};

//= rfc9000#9-4 An address that was validated before need not be again; 9.3: nor while its validation is under way.
static bool needs_validation(const struct migration_facts *facts)
{
    return !facts->path_validated && !facts->validation_running;
}

struct migration_verdict migration_after_payload(const struct migration_facts *facts)
{
    struct migration_verdict verdict = {.drop = ROAM_DROP_NONE};
    if (!peer_may_move(facts) || !came_from_elsewhere(facts))
        return verdict;
    if (!is_migration(facts)) {
        /* A probe on a path whose validation failed or was abandoned: the peer tries again, and so do we. */
        verdict.validate = needs_validation(facts);
        return verdict;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(move_rules); i++)
        if (!move_rules[i](facts))
            return verdict;

    verdict.validate = needs_validation(facts);
    //= rfc9000#14.2-4 Nothing is sent on a path that does not carry 1200 octets, though the peer is there.
    if (facts->too_small)
        return verdict;
    //= rfc9000#9.6.2-2 To the preferred address the connection moves when the path is validated, not before.
    if (facts->to_preferred && !facts->path_validated) {
        verdict.move_when_valid = true;
        return verdict;
    }
    //= rfc9000#9.3-1 Subsequent packets go to the new address.
    verdict.move = true;
    //= rfc9000#9.3.3-1 Any apparent migration challenges the path that was active, also a move to a validated one. An
    // off-path forwarder can get a path of its own validated by relaying the challenge too, and then needs only to win
    // one race to be moved to again; what brings the connection back is that the true peer answers on the path that it
    // never left.
    // Where only our own address is another, the peer has not moved.
    verdict.validate_previous = !facts->same_remote;
    //= rfc9000#9.4-3 Only the port changed: congestion control and RTT may be kept.
    verdict.keep_congestion = facts->same_ip_as_active;
    return verdict;
}

/* ---- Ports ------------------------------------------------------------------------------------------------------- */

//= rfc9000#21.5.6-6 Ports of services that answer a datagram of chance content, amplify it, or act on it. Each has been
// used in reflection attacks, or is known to loop; all others are taken as they come.
static const uint16_t blocked_ports[] = {
    0,     /* none */
    7,     /* echo */
    13,    /* daytime */
    17,    /* quote of the day */
    19,    /* character generator */
    53,    /* DNS */
    69,    /* TFTP */
    111,   /* portmap */
    123,   /* NTP */
    137,   /* NetBIOS names */
    138,   /* NetBIOS datagrams */
    161,   /* SNMP */
    389,   /* CLDAP */
    427,   /* SLP */
    500,   /* IKE */
    520,   /* RIP */
    1900,  /* SSDP */
    3702,  /* WS-Discovery */
    5353,  /* mDNS */
    5355,  /* LLMNR */
    11211, /* memcached */
};

bool migration_port_is_blocked(uint16_t port)
{
    for (size_t i = 0; i < ARRAY_LENGTH(blocked_ports); i++)
        if (blocked_ports[i] == port)
            return true;
    return false;
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

bool migration_address_is_forbidden(const roam_address *from, const roam_address *to, bool refuse_private)
{
    //= rfc9000#21.5.6-2 No move to loopback where the service was at another address.
    //= rfc9000#21.5.6-3 A change from a global to a link-local or private address may be refused.
    //= rfc9000#21.5.6-4 Nothing else is refused: that much is known to be dangerous, or asked for.
    return address_enters_loopback(from, to) || (refuse_private && address_enters_private(from, to));
}

bool migration_may_prefer(const roam_address *server, const roam_address *preferred, enum roam_preferred_policy policy)
{
    if (policy == ROAM_PREFERRED_IGNORE || address_scope_of(preferred) == ADDRESS_NOWHERE)
        return false;
    //= rfc9000#21.5.6-6 A server that points its clients at another service's port is not followed.
    if (migration_port_is_blocked(preferred->port))
        return false;
    return !migration_address_is_forbidden(server, preferred, policy != ROAM_PREFERRED_ANYWHERE);
}
