/* The server's preferred address, RFC 9000 section 9.6, at either side. */
#ifndef CONN_PREFERRED_H
#define CONN_PREFERRED_H

#include "conn/conn.h"

enum preferred_state {
    PREFERRED_NONE,    /* there is none, or the client does not want it */
    PREFERRED_OFFERED, /* known to both */
    PREFERRED_PROBING, /* client: it is being validated */
    PREFERRED_REACHED, /* the active path leads there */
    PREFERRED_FAILED,  /* client: nobody answered there */
};

/* What a server that offers a preferred address leaves for it. */
struct preferred_home {
    roam_address local; /* where the handshake ran */
    uint64_t left_at;   /* largest_non_probing when it moved from there, PACKET_NUMBER_NONE before */
};

/* Server: the preferred address with its CID, where one is configured; the handshake runs at `local`. */
void conn_offer_preferred(roam_conn *conn, const roam_address *local, struct transport_params *params);
/* The CID of the offer, which no NEW_CONNECTION_ID frame brings, is the application's to know too. */
void conn_tell_preferred_cid(roam_conn *conn);
/* Client: the server's parameters are known. */
void conn_learn_preferred(roam_conn *conn);
/* Client: begins to validate the preferred address, as soon as that can be done. */
void conn_try_preferred(roam_conn *conn);
/* Client: it is leaving for new_local, and validates the preferred address from there too. */
void conn_try_preferred_from(roam_conn *conn, const roam_address *new_local, bool migrate);
/* Client: all that is known of where the server can be reached, in one place: the address that a path of this family
 * leads to. False where it has none in the family. */
bool conn_server_address(const roam_conn *conn, uint8_t family, roam_address *ret);
/* Client: the server has asked for no migration at this address. */
bool conn_is_closed_to_moves(const roam_conn *conn, const roam_address *remote);
/* The connection moves to `path`. */
void conn_preferred_on_move(roam_conn *conn, const struct path *path);
/* `path` is validated, or it failed. */
void conn_preferred_on_validated(roam_conn *conn, const struct path *path);
void conn_preferred_on_failed(roam_conn *conn, const struct path *path);
/* Server: the packet came to our preferred address; to the address that we left for it, after we had left. */
bool conn_is_to_preferred(const roam_conn *conn, const roam_address *local);
bool conn_is_left_behind(const roam_conn *conn, const struct packet_context *context);

#endif
