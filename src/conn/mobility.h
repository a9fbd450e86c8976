/*
 * A client that moves by itself: what it remembers of the host's networks, beside the list that all connections of the
 * endpoint share. Only clients with ROAM_MOBILITY_AUTO have one. What to do is path/mobility's to say.
 *
 *   network_rules.c   what the application wants
 *   mobility_facts.c  what is heard is noted here, and the connection woken: no more
 *   mobility.c        facts are gathered and the verdict acted on, in conn_mobility_run and nowhere else
 */
#ifndef CONN_MOBILITY_H
#define CONN_MOBILITY_H

#include "conn/conn.h"
#include "path/mobility.h"

struct network_rule {
    char network[ROAM_ADDRESS_TEXT_MAX]; /* as given */
    roam_address address;                /* unset: the name of an interface */
    enum roam_network_rule rule;
};

/* What a connection remembers of one network. Times as in struct mobility_way; 0 is "never". */
struct way_memory {
    roam_address local;
    roam_time asked_at, proven_at, proven_since, better_since;
    roam_time retry_at;
    roam_time settle;
    roam_time refused_until; /* the system did not send from there: not to be tried before */
    roam_time rtt;           /* challenge to answer, when it was not the active one */
    uint32_t failures;       /* in a row */
};

struct mobility {
    bool listed;           /* the connection is on one of the networks told of, or has been */
    bool due;              /* something changed: decide before the next datagram */
    bool waiting;          /* there is no network to send from */
    bool on_packet;        /* what comes next is a reason to decide again */
    bool quiet;            /* ROAM_EVENT_PATH_QUIET was told of the active path */
    bool refused;          /* the system did not send the newest datagram of the active path */
    bool doubted;          /* the server was silent when it should have spoken, or the host slept */
    uint32_t ptos;         /* in a row, without an acknowledgement of what left on the active path */
    roam_time pto_at;      /* the newest of them */
    roam_time doubted_at;  /* ptos > 0 or doubted: since when */
    roam_time next_at;     /* decide again then */
    uint64_t stream_bytes; /* sent and received at the last decision */
    roam_time used_at;     /* the last packet, when there were more of them than before */
    struct way_memory ways[ROAM_NETWORKS_MAX]; /* one for each network that there is, in any order */
    size_t way_count;
    struct network_rule rules[ROAM_NETWORK_RULES_MAX];
    size_t rule_count;
};

/* ---- What the rest of the connection tells. It is noted, and decided upon by conn_mobility_run; at connections that do
 * not move by themselves these do nothing. */
bool conn_mobility_start(roam_conn *conn); /* false without memory */
void conn_mobility_end(roam_conn *conn);
void conn_on_networks(roam_conn *conn, roam_time now);
void conn_on_send_failed(roam_conn *conn, roam_time now, const roam_address *local, const roam_address *remote,
                         enum roam_send_failure why, size_t bytes);
void conn_mobility_on_confirmed(roam_conn *conn);
/* The application sends from elsewhere now, whatever was thought of where it was. */
void conn_mobility_on_rebound(roam_conn *conn);
/* A PTO came with something outstanding on the active path. */
void conn_mobility_on_pto(roam_conn *conn);
/* The server does not speak though it should, or the host slept. */
void conn_mobility_on_silence(roam_conn *conn);
/* Something came on the active path; `acknowledged`: an acknowledgement of what left there. */
void conn_mobility_on_heard(roam_conn *conn, bool acknowledged);
void conn_mobility_on_packet(roam_conn *conn);
/* The server answered a challenge on this path after so long; or did not. */
void conn_mobility_on_proven(roam_conn *conn, struct path *path, roam_time delay);
void conn_mobility_on_failed(roam_conn *conn, const struct path *path);
roam_time conn_mobility_deadline(const roam_conn *conn);
void conn_mobility_expire(roam_conn *conn);
void conn_mobility_run(roam_conn *conn);
/* There is no network to send from: nothing leaves the active path, and no timer of its runs. */
bool conn_is_waiting(const roam_conn *conn);

/* ---- network_rules.c */

/* The strictest rule that names this network. */
enum roam_network_rule network_rule_of(const struct mobility *mobility, const roam_network *network);

/* Some rule forces a network, whether or not it is there. */
bool network_rules_force(const struct mobility *mobility);

/* ---- mobility_facts.c */

/* Something changed: to be decided upon before the next datagram. */
void mobility_note(roam_conn *conn);

/* What is remembered of the network at this address; NULL where there is none. */
struct way_memory *mobility_recall(struct mobility *mobility, const roam_address *local);

/* A way failed: it is left alone for a while, longer each time, and must prove itself anew. */
void mobility_on_way_failed(struct way_memory *way, roam_time now);

/* Where the active path sends from: the network that it is on, NULL where that is none of the host's. */
const roam_network *mobility_active_network(const roam_conn *conn);

/* The server's address for a local one of this family; unset where none is known, or the server wants nobody to come
 * there from elsewhere. */
roam_address mobility_remote_for(const roam_conn *conn, uint8_t family);

/* The path of a way other than the active one, NULL where there is none that could carry a packet. */
struct path *mobility_path_of(roam_conn *conn, const roam_network *network);

/* `ways` has room for ROAM_NETWORKS_MAX, in the order of the host's list. */
struct mobility_facts mobility_gather(roam_conn *conn, struct mobility_way *ways);

#endif
