/*
 * roam/cid_plan.h - how the connection IDs that an endpoint issues are laid out.
 *
 * Random octets, the default, say nothing to anybody. A server behind a load balancer needs more: the balancer sees
 * only the CID when a client's address has changed, so the CID must say which server has the connection. A plan puts
 * the server's name into each CID, in a layout that the balancer knows.
 *
 * What a plan tells an observer (RFC 9000 section 5.1). Random and encrypted CIDs cannot be linked to each other
 * without the key. A plaintext plan - QUIC-LB without a key, Katran, AWS - shows the server's name in every CID: who
 * sees a client's packets in two networks learns that both go to that server, and where the server has few clients,
 * that they are one client's. Give a QUIC-LB plan a key wherever the balancer can hold one.
 *
 * Within a plan no CID is ever made twice: the octets that tell one from another come from a counter with a random
 * start, enciphered so that nobody can predict the next. When the counter has gone round, CIDs come out unroutable
 * (roam_endpoint_stats.cids_unroutable counts them), until roam_endpoint_set_cid_plan brings another plan or key.
 */
#ifndef ROAM_CID_PLAN_H
#define ROAM_CID_PLAN_H

#include <roam/error.h>
#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum roam_cid_plan_kind {
    ROAM_CID_RANDOM = 0, /* all octets random; roam_endpoint_config.cid_bytes of them */
    ROAM_CID_QUIC_LB,    /* draft-ietf-quic-load-balancers: octet 0, server id, nonce; with a key enciphered */
    ROAM_CID_KATRAN_V1,  /* Katran's and mvfst's: host id of 2 octets, worker, process bit; plaintext */
    ROAM_CID_KATRAN_V2,  /* host id of 3 octets */
    ROAM_CID_KATRAN_V3,  /* host id of 4 octets */
    ROAM_CID_AWS_NLB,    /* QUIC passthrough of AWS's network load balancer: octet 0, server id of 8 octets, nonce */
    ROAM_CID_PLAN_KINDS
};

/* QUIC-LB's config id of a server that has no configuration: its CIDs say that they cannot be routed. */
#define ROAM_CID_UNROUTABLE 7

#define ROAM_CID_SERVER_ID_MAX 15
#define ROAM_CID_NONCE_MIN     4
#define ROAM_CID_KEY_BYTES     16

/* All zero is ROAM_CID_RANDOM. What a kind has no use for must be zero. */
typedef struct roam_cid_plan {
    enum roam_cid_plan_kind kind;
    uint8_t config_id;       /* QUIC_LB: 0..6, or ROAM_CID_UNROUTABLE: no server id and no key then */
    bool encode_length;      /* QUIC_LB: octet 0 tells the length; always so where unroutable */
    uint8_t server_id_bytes; /* QUIC_LB: 1..15; Katran: 2, 3 or 4; AWS_NLB: 8 */
    uint8_t server_id[ROAM_CID_SERVER_ID_MAX];
    uint8_t nonce_bytes; /* octets that differ from CID to CID: 4 or more, server id and nonce 19 at most */
    uint8_t extra_bytes; /* random octets behind, for those who want longer CIDs */
    bool has_key;        /* QUIC_LB: enciphered with `key` */
    uint8_t key[ROAM_CID_KEY_BYTES];
    uint8_t worker; /* Katran: which worker of the host */
    bool process;   /* Katran: the process bit, old and new process taking turns */
} roam_cid_plan;

/* ROAM_OK, or ROAM_ERR_CONFIG with a sentence that says why in *ret_why (may be NULL; static). CIDs of a plan have 8 to
 * 20 octets. */
ROAM_API roam_result roam_cid_plan_check(const roam_cid_plan *plan, const char **ret_why);

/* Octets of the plan's CIDs; 0 for ROAM_CID_RANDOM, whose length the endpoint's configuration says. */
ROAM_API uint8_t roam_cid_plan_length(const roam_cid_plan *plan);

/* What stands in a CID. */
typedef struct roam_cid_parts {
    uint8_t config_id; /* QUIC_LB */
    uint8_t server_id_bytes;
    uint8_t server_id[ROAM_CID_SERVER_ID_MAX];
    uint8_t worker; /* Katran */
    bool process;   /* Katran */
    uint8_t nonce_bytes;
    uint8_t nonce[ROAM_CID_MAX];
} roam_cid_parts;

/* Takes a CID apart, for whoever routes packets. Only the plan's layout and key matter, not its server id. False, *ret
 * untouched, where the CID is not of such a plan (too short, another config id or version, unroutable) or names nobody
 * because the plan does not. A CID of 8 random octets can look like one of any plaintext plan. */
ROAM_API bool roam_cid_plan_decode(const roam_cid_plan *plan, const roam_cid *cid, roam_cid_parts *ret);

#ifdef __cplusplus
}
#endif

#endif
