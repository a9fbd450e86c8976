/*
 * The oracle: what must hold whatever happens, looked at after every event. It keeps books of its own, from what the
 * wires of the world carried and from what the packets were, and holds the library's state against them.
 *
 *   - A server sends at most three times the octets that came from an address, until that address is proven (RFC 9000
 *     section 8.1). Proven means: a Handshake packet or an Initial with a token came from it, or a PATH_CHALLENGE sent
 *     to it was seen by a real host and a PATH_RESPONSE came afterwards. The library may not think more than that.
 *   - A server shows no address as its peer's that is not proven, by the same measure.
 *   - No packet number is used twice (section 12.3).
 *   - A destination CID is used from one local address towards one remote address, but for rebindings (section 9.5).
 *   - Nothing that can be read on the wire links two places of a client's: see oracle_linkage.h.
 *   - No packet is processed twice, nor could the oldest one be (section 12.3).
 *   - Only the newest non-probing packet moves a server's connection (section 9.3).
 *   - A server makes no connection of what is not authentic.
 *   - A PATH_RESPONSE leaves where its PATH_CHALLENGE came in, and no challenge is answered twice (section 8.2.2).
 *   - PATH_CHALLENGE and PATH_RESPONSE travel in 1200 octets, unless the 3x limit stands in the way (section 8.2).
 *   - A path to a host that no other path leads to begins without what was learnt on others (section 9.4).
 *   - The peer is kept stocked with CIDs (section 5.1.1), and what is owed about CIDs is sent or on its way (13.3).
 *   - A server does not stay where a validation has failed (section 9.3.2).
 *   - A client sends to servers of this world only, and from elsewhere only where the server allows that (section 9),
 *     and to another address of one only probing frames before it has validated that (section 21.5.3).
 *   - A server sends only probing frames from its preferred address to a path that is not validated (section 9.6.2).
 *   - What the application is told of paths and CIDs holds together: see oracle_events.h.
 *   - Each connection's own invariants hold (conn_check): octets in flight are the sum of the sent map, CIDs stand
 *     within the peer's limit, and so on.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "conn/conn.h"
#include "sim/host.h"
#include "sim/oracle_events.h"
#include "sim/oracle_linkage.h"
#include "sim/sim_map.h"

struct oracle;

/* What was seen of a packet, for scenarios that ask. */
struct oracle_record {
    roam_time time;
    const struct host *host;
    struct observed_packet packet;
};

/* Totals, for the summary of drawn worlds. */
struct oracle_stats {
    uint64_t packets, challenges, responses, checks, spared; /* spared: datagrams to addresses not proven yet */
};

struct oracle *oracle_new(struct world *world);
void oracle_free(struct oracle *oracle);

void oracle_on_datagram_in(struct host *host, const struct sim_packet *packet);
void oracle_on_datagram_out(struct host *host, struct sim_packet *packet);
void oracle_after_transmit(struct host *host);
void oracle_after_turn(struct host *host);
void oracle_on_event(struct host *host, const roam_event *event);

/* The endpoint's packet observer; the context is its host. */
void oracle_on_packet(void *context, const struct observed_packet *packet);

/* The application has told this connection to go on from `to`, instead of `from`, without further notice. */
void oracle_on_rebind(struct host *host, const roam_conn *conn, const roam_address *from, const roam_address *to);

/* A connection begins or has been given back: what was known of one at this address in memory is forgotten. */
void oracle_forget(struct host *host, const roam_conn *conn);

/* Keeps each packet from now on. */
void oracle_record(struct oracle *oracle, bool on);
size_t oracle_records(const struct oracle *oracle, const struct oracle_record **ret);
const struct oracle_stats *oracle_stats(const struct oracle *oracle);
struct linkage *oracle_linkage(const struct oracle *oracle);

/* Octets that this server has sent to and received from an address, and whether it is proven. */
bool oracle_wire(const struct host *host, const roam_address *remote, uint64_t *ret_out, uint64_t *ret_in);

/* ---- oracle_cids.c: destination CIDs and addresses */

/* Where a destination CID was used last (sent), or first (received). */
struct cid_use {
    roam_cid cid;
    roam_address local, remote;
};

struct cid_uses {
    struct cid_use *uses; /* one for each CID */
    size_t count, capacity;
    struct sim_map index; /* by CID */
    struct sim_map seen;  /* every CID with each pair of addresses (sent) or each remote address (received) */
};

/* What one connection has done. */
struct conn_view {
    struct conn_view *next;
    const roam_conn *conn;
    const struct host *host;
    uint64_t last_sent[PACKET_SPACES]; /* plus one; 0: none */
    bool heard;                        /* an authentic packet came */
    uint64_t oldest;                   /* lowest 1-RTT packet received, plus one; 0: none */
    struct cid_uses sent, received;
    size_t *places; /* the peer's addresses, each with another of its family or itself */
    size_t place_count;
    struct sim_map place_index;
    roam_address *rebinds;
    size_t rebind_count;
    struct sim_map numbers;         /* packets received: number and space */
    struct sim_map asked, answered; /* packets with challenges received, with responses sent, by both addresses */
    uint64_t newest;                /* highest non-probing 1-RTT packet received, plus one */
    roam_address newest_from;
    struct event_book events;
    bool at_preferred;             /* server: the active path is at another address of ours than the handshake's */
    roam_address validated_server; /* client: of the server's preferred addresses the one on the path validated last */
};

void conn_view_done(struct conn_view *view);
void conn_view_rebind(struct conn_view *view, const roam_address *local);
bool conn_view_was_rebound(const struct conn_view *view, const roam_address *local);

/* ---- oracle_challenges.c */
void conn_view_challenged(struct conn_view *view, const struct observed_packet *packet);
/* NULL, or what is wrong with the responses in it. */
const char *conn_view_responds(struct conn_view *view, const struct observed_packet *packet);

/* ---- oracle_cids.c again */

/* A packet came: which CID of ours does that address know? */
void conn_view_received(struct conn_view *view, const struct observed_packet *packet);

/* A 1-RTT packet leaves. NULL, or what is wrong with its CID. */
const char *conn_view_sent(struct conn_view *view, const struct observed_packet *packet);

/* Looks at both of a living connection's sets of CIDs, when nothing is left to be sent. NULL, or what is wrong. */
const char *conn_cids_wrong(roam_conn *conn);

/* ---- oracle_preferred.c: the server's preferred address */

/* Nothing in it but probing frames, RFC 9000 section 9.1. */
bool oracle_is_probing(uint64_t frames);

/* A packet leaves. */
void oracle_check_preferred(struct host *host, const struct conn_view *view, const struct observed_packet *packet);

/* A server's connection has moved, or gone back. */
void oracle_check_move_to_preferred(struct host *host, struct conn_view *view, const roam_event *event);

#endif
