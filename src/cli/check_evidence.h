/*
 * What `roam check` found out about a server, as plain data: the probes (check_probe*.c) fill it in, the verdicts
 * (check_verdicts.c) are a pure function of it, and the output prints both.
 */
#ifndef CLI_CHECK_EVIDENCE_H
#define CLI_CHECK_EVIDENCE_H

#include <roam/roam.h>

#include "cli/check_log.h"
#include "wire/transport_params.h"

#define CHECK_ALPNS_MAX    6
#define CHECK_VERSIONS_MAX 16
/* Rebindings of the probe "several in a row". */
#define CHECK_ROW_MOVES 5
#define CHECK_PINGS     4
#define WHY_NOT_MAX     160

/* How far a probe came. */
enum probe_state {
    PROBE_NOT_RUN, /* the time was over, or an earlier probe made it pointless; why_not tells */
    PROBE_RAN,
    PROBE_NOT_APPLICABLE, /* why_not tells */
};

struct alpn_evidence {
    char name[32];
    bool tried, completed;
    roam_time took;
    roam_error error; /* where it was not completed */
};

struct version_evidence {
    enum probe_state state;
    bool answered, refused; /* refused: the host says that nobody listens on that port */
    bool cids_echoed;
    size_t count;
    uint32_t versions[CHECK_VERSIONS_MAX];
    roam_time took;
};

struct handshake_evidence {
    bool completed, confirmed;
    bool cut; /* the time was over before it was */
    roam_time took, rtt;
    roam_error error;
    const char *cipher;
    char alpn[32];
    bool retried;
    size_t retry_token_bytes;
    unsigned tickets, new_tokens;
    size_t new_token_bytes;
    size_t cid_bytes;    /* of the server's CIDs */
    unsigned cids_given; /* beside the first */
    uint64_t cid_limit;  /* our active_connection_id_limit */
    struct transport_params params;
};

/* Another handshake, with the session that came with the newest ticket. */
struct resumption_evidence {
    enum probe_state state;
    bool connected, resumed;
    roam_time took;
    roam_error error;
};

/* A PING, and how long its acknowledgement took beyond the round trip. */
struct ack_evidence {
    enum probe_state state;
    unsigned sent, acked;
    roam_time took[CHECK_PINGS];
    roam_time reported_max; /* largest ACK Delay in an ACK frame */
    roam_time rtt_min;
};

/* One large datagram. */
struct size_evidence {
    enum probe_state state;
    uint64_t bytes;
    bool acked;
};

/* One move. */
struct move_evidence {
    enum probe_state state;
    char why_not[WHY_NOT_MAX];
    roam_address from, to;
    unsigned attempts;   /* connections that were moved so; the last one counts */
    bool survived;       /* what was sent from there was acknowledged there, also after the challenge was answered */
    bool probed;         /* active migration: the new path was validated before the move */
    bool stayed_old;     /* active migration: the server did not move on the probe alone */
    bool refused;        /* it ended the connection when we moved: error tells how */
    bool died;           /* the connection ended during the probe, whoever ended it */
    bool no_cid;         /* active migration: the server gave no connection ID for it */
    bool control_failed; /* it fails where nobody moves, too: a handshake from the new address, a response */
    roam_error error;
    roam_time waited;
    uint64_t resumed_bytes; /* mid-response: octets that came to the new place */
    uint64_t control_bytes; /* mid-response: what came of it where nobody moved */
    uint64_t lost_bytes;    /* mid-response: octets that came to the old place when it was forgotten already */
    uint64_t before_bytes;  /* mid-response: octets that came before the move */
    bool response_ended;    /* mid-response: all of it had come before the move */
    struct move_facts facts;
};

struct row_evidence {
    enum probe_state state;
    char why_not[WHY_NOT_MAX];
    unsigned attempts;
    unsigned tried, survived;
    roam_address stranded; /* where nothing came back */
    roam_time took[CHECK_ROW_MOVES];
    bool died;
    roam_error error;
};

struct refill_evidence {
    enum probe_state state;
    char why_not[WHY_NOT_MAX];
    bool refilled;
    uint64_t retired_sequence, new_sequence;
    roam_time took;
};

struct retry_evidence {
    enum probe_state state; /* a token that was tampered with */
    bool accepted;
    bool answered;
    roam_error error;
};

struct reset_evidence {
    enum probe_state state;
    char why_not[WHY_NOT_MAX];
    unsigned sent;
    size_t trigger_bytes;
    bool answered;                  /* to a CID that nobody has */
    size_t reply_bytes;             /* the largest */
    bool too_large;                 /* not smaller than what drew it */
    bool late_tried, late_answered; /* to the CID of a connection that has ended */
    bool token_matches;             /* that answer ended in the token that the server had given for it */
};

struct preferred_evidence {
    enum probe_state state;
    roam_address to; /* where the connection went; unset: it stayed */
    bool answers;    /* a PING was acknowledged there */
};

/* One more handshake, when all is done. */
struct end_evidence {
    enum probe_state state;
    bool answers;
    roam_error error;
};

struct evidence {
    struct version_evidence versions;
    struct alpn_evidence alpns[CHECK_ALPNS_MAX];
    size_t alpn_count;
    struct handshake_evidence handshake;
    struct ack_evidence acks;
    struct size_evidence size;
    struct retry_evidence retry;
    struct resumption_evidence resumption;
    struct move_evidence port, small, address, response, migration;
    struct row_evidence row;
    struct refill_evidence refill;
    struct reset_evidence reset;
    struct preferred_evidence preferred;
    struct end_evidence end;
};

#endif
