/*
 * Where a client should send from: a PURE policy, in the manner of migration.h. Facts of the host's networks and of the
 * connection go in, one verdict comes out: stay, move now, or wait for a network; and which others to ask meanwhile. It
 * looks at nothing else and changes nothing; conn/mobility.c gathers the facts and acts on the verdict.
 */
#ifndef PATH_MOBILITY_H
#define PATH_MOBILITY_H

#include <roam/event.h>
#include <roam/network.h>

/* One way out: a network of the host's as a connection sees it. */
struct mobility_way {
    /* The host's word, and the application's. */
    bool is_default, metered;
    int32_t preference;
    enum roam_network_rule rule;

    /* The connection's. */
    bool active;            /* the connection sends from there */
    bool reachable;         /* there is an address of the server's to send to from there, and the server allows it */
    bool must_be_proven;    /* it leads to another address of the server's, where nobody may go unproven */
    bool has_path;          /* a path that holds a CID is there */
    bool asking;            /* a challenge is out */
    bool proven;            /* the server has answered there, and nothing failed there since */
    bool refused;           /* the system does not send from there */
    roam_time asked_at;     /* the newest challenge that was the first of its run */
    roam_time answer_by;    /* asking: a path that is alive has answered by then */
    roam_time proven_at;    /* the newest answer */
    roam_time proven_since; /* the first of an unbroken row of answers */
    roam_time retry_at;     /* it failed: not to be asked before */
    roam_time settle;       /* how long it must be good again after it has failed; 0: it never has */
    roam_time better_since; /* it has been found better than the active one since; 0: it was not */
    roam_time rtt;          /* 0: nobody has measured */
    uint32_t loss_ppm;      /* of the packets sent there lately */
};

struct mobility_facts {
    roam_time now;
    bool confirmed;        /* the handshake is */
    bool peer_has_no_cids; /* the server uses zero-length ones */
    size_t spare_cids;     /* of the server's, that no path holds */
    bool peer_can_answer;  /* the server holds a CID of ours that it has not used yet */
    bool forced;           /* some rule says ROAM_NETWORK_FORCE, whether or not that network is there */
    bool gone;             /* the address in use is no longer the host's */
    bool refused;          /* the system does not send from there */
    bool doubted;          /* the server did not speak when it should have, or the host was asleep */
    uint32_t ptos;         /* in a row, without an acknowledgement of what left on the active path */
    roam_time quiet_at;    /* ptos > 0: without one until then, the path is quiet */
    roam_time doubted_at;  /* ptos > 0 or doubted: since when */
    bool in_use;           /* stream data went to and fro of late, or the application keeps the connection alive */
    roam_time moved_at;    /* the last move, 0: never */
    const struct mobility_way *ways;
    size_t count; /* at most ROAM_NETWORKS_MAX */
};

enum mobility_action {
    MOBILITY_STAY,
    MOBILITY_MOVE, /* to `target`, at once */
    MOBILITY_WAIT, /* there is nothing to send from */
};

struct mobility_verdict {
    enum mobility_action action;
    enum roam_move_why why; /* MOVE */
    size_t target;          /* MOVE: which way */
    bool quiet;             /* nobody answers on the active path: for whoever wants to know */
    uint32_t ask;           /* a bit for each way: PATH_CHALLENGE there now */
    uint32_t keep;          /* a bit for each way: its path is a standby, not to be forgotten */
    uint32_t better;        /* a bit for each way: better than the active one, by enough to move */
    bool on_packet;         /* ask again when the next packet comes: a standby rests, or a CID is missing */
    roam_time next_at;      /* ask again then, ROAM_TIME_NEVER */
};

/* ---- The numbers of the policy, each with its reason */

/* Standbys kept: with the active path and one that a failed network needs, as many as the default max_paths. */
#define MOBILITY_STANDBYS_MAX 2

/* A standby is asked again after so long: below the 30 s after which many NATs forget a UDP mapping (RFC 4787 wants two
 * minutes). */
#define MOBILITY_REFRESH ROAM_SECONDS(25)

/* ... and only where stream data went to and fro since, or within this time before, or a keep-alive is configured:
 * an idle connection is left to its idle timeout. */
#define MOBILITY_IN_USE ROAM_SECONDS(10)

/* An answer so old is proof enough for a move that nobody has asked for, and no reason to ask again in doubt. */
#define MOBILITY_FRESH ROAM_SECONDS(1)

/* Hysteresis. A better way must have been so, and good, for this long, as must the one in use have been used; doubled
 * for each time that it was left because it failed, up to the second (RFC 9000 section 9.5: change addresses rarely). */
#define MOBILITY_SETTLE     ROAM_SECONDS(5)
#define MOBILITY_SETTLE_MAX ROAM_SECONDS(300)

/* A way that failed is asked again after this long, doubled up to the second. */
#define MOBILITY_RETRY     ROAM_SECONDS(1)
#define MOBILITY_RETRY_MAX ROAM_SECONDS(60)

/* Spare CIDs that standbys leave for a network that may appear. */
#define MOBILITY_CIDS_RESERVED 1

/* The cost of a way, in time: its RTT; for each percent of loss half of RTT and LOSS_REPAIR, about what repairing
 * costs a stream; and what the user would wait rather than pay, or than leave the network that the system has
 * chosen. */
#define MOBILITY_LOSS_REPAIR      ROAM_MILLISECONDS(40)
#define MOBILITY_METERED_COST     ROAM_MILLISECONDS(500)
#define MOBILITY_NOT_DEFAULT_COST ROAM_MILLISECONDS(200)

/* RTT of a way that nobody has measured, RFC 9002 section 6.2.2. */
#define MOBILITY_RTT_UNKNOWN ROAM_MILLISECONDS(333)

/* By so much, and by a quarter, must the cost be lower for a move. */
#define MOBILITY_MARGIN ROAM_MILLISECONDS(100)

roam_time mobility_cost(const struct mobility_way *way);

struct mobility_verdict mobility_decide(const struct mobility_facts *facts);

#endif
