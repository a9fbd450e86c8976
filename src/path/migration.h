/*
 * What to do about an authentic packet from a given place: a PURE function of named facts, RFC 9000 section 9. It looks
 * at nothing else and changes nothing; conn/migrate.c acts on the verdict.
 */
#ifndef PATH_MIGRATION_H
#define PATH_MIGRATION_H

#include <roam/config.h>
#include <roam/error.h>

struct migration_facts {
    bool is_server;
    bool confirmed;      /* the handshake is */
    bool known_path;     /* both addresses are those of a path we have */
    bool known_remote;   /* client: the server's address is known (whatever the local one) */
    bool active_path;    /* it is the active one */
    bool path_validated; /* section 8.2 has succeeded on it */
    bool validation_running;
    bool non_probing;       /* the packet has a frame that is not probing (section 9.1); false before it is read */
    bool highest_numbered;  /* no packet with a higher number has come (of the non-probing ones) */
    bool same_remote;       /* the peer is where the active path leads; only our address is another */
    bool same_ip_as_active; /* only the port differs from the active path */
    bool cid_changed;       /* it came to a CID of ours that no path's newest packet had, or at another local address
                                * of ours, from which that path's CID must not be used (section 9.5) */
    bool spare_cid;         /* an unused CID of the peer's is there, or it uses zero-length ones */
    bool blocked_port;      /* the peer's port is one that no client has: request forgery (section 21.5.6) */
    bool room;              /* a path can be added, by eviction if need be */
    bool within_budget;     /* there were not too many new places lately */
    bool forbidden_address; /* the peer's address is one where it must not go from where it was (section 21.5.6) */
    bool to_preferred;      /* server: it came to the preferred address, and the active path does not lead there */
    bool left_behind;       /* server: it came to the address that was left for the preferred one, and is newer */
    bool too_small;         /* 1200 octets do not pass there (section 14) */
    bool sways;             /* the peer seems to go to and fro between this path and the active one, without a change of
                             * CID, and the active one is proven and still heard */
};

struct migration_verdict {
    roam_drop drop; /* other than NONE: the packet is dropped before its payload is read */
    bool create_path;
    bool share_cid;         /* the new path goes on with the CID of the path that it came from; else a fresh one */
    bool move;              /* it becomes the active path */
    bool move_when_valid;   /* it becomes the active path as soon as it is validated */
    bool validate;          /* PATH_CHALLENGE on it */
    bool validate_previous; /* PATH_CHALLENGE on the path that was active (section 9.3.3) */
    bool keep_congestion;   /* only the port changed (section 9.4) */
};

/* Before the payload is read: may it be processed, and is a path to be made for it? */
struct migration_verdict migration_on_packet(const struct migration_facts *facts);

/* After the payload was processed: does the connection move? */
struct migration_verdict migration_after_payload(const struct migration_facts *facts);

/* Ports that are other UDP services', from which no client speaks and to which nobody should be pointed. */
bool migration_port_is_blocked(uint16_t port);

/* May a peer that was at `from` be at `to`? */
bool migration_address_is_forbidden(const roam_address *from, const roam_address *to, bool refuse_private);

/* Client: may it go to the address that the server at `server` prefers? */
bool migration_may_prefer(const roam_address *server, const roam_address *preferred, enum roam_preferred_policy policy);

#endif
