/*
 * How a CID of ours is laid out: include/roam/cid_plan.h says for whom. A plan at work holds its ciphers and the
 * sequence from which nonces come.
 *
 * Invariant: no two calls of cid_plan_generate give the same nonce, until all 2^(8 * nonce_bytes) have been given; from
 * then on the CIDs are unroutable ones. Two runs under one key begin at random places of the sequence.
 */
#ifndef CID_CID_PLAN_H
#define CID_CID_PLAN_H

#include <roam/cid_plan.h>

#include "base/rng.h"
#include "crypto/block_cipher.h"

/* Lengths that a server may choose: 0, or enough octets to be unpredictable. */
#define CID_BYTES_MIN     4
#define CID_BYTES_DEFAULT 8

/* CIDs that name a server: besides the name there must be enough to tell them apart, and a client's first destination
 * CID may be one that a Retry gave it (RFC 9000 section 7.2). */
#define CID_BYTES_PLANNED_MIN 8

/* What sets a plan apart from every other one: see cid_plan_scope. */
#define CID_SCOPE_BYTES_MAX (5 + ROAM_CID_SERVER_ID_MAX)

struct cid_plan {
    roam_cid_plan layout;
    uint8_t len;                 /* of each CID */
    struct block_cipher cipher;  /* of the layout's key */
    struct block_cipher scatter; /* plaintext plans: makes nonces unpredictable */
    uint8_t start[ROAM_CID_MAX]; /* the nonce that counts as zero */
    uint64_t issued;             /* nonces given; never more than there are */
};

bool cid_plan_length_is_valid(uint8_t len);

/* The layout must have been checked; len is what CIDs of ROAM_CID_RANDOM have. `scatter_key` is the same in all runs
 * under one static key. False without memory. */
bool cid_plan_init(struct cid_plan *plan, const roam_cid_plan *layout, uint8_t len, const roam_rng *rng,
                   const uint8_t scatter_key[CIPHER_BLOCK_BYTES]);
void cid_plan_done(struct cid_plan *plan);

/* Returns false where the plan has no nonce left and the CID is therefore an unroutable one. */
bool cid_plan_generate(struct cid_plan *plan, roam_cid *ret, const roam_rng *rng);

/* A CID that goes into no table and gets no reset token, for a Retry: of at least `min_len` octets. It uses up no
 * nonce: under a plan with a key it is unroutable, under others it names us. */
void cid_plan_stray(const struct cid_plan *plan, roam_cid *ret, uint8_t min_len, const roam_rng *rng);

enum cid_owner {
    CID_OWNER_UNKNOWN, /* the plan says nothing about it */
    CID_OWNER_SELF,    /* it names us */
    CID_OWNER_OTHER,   /* it names another server, or another worker of ours */
};

/* Whom the CID names. Under ROAM_CID_RANDOM, nobody. */
enum cid_owner cid_plan_owner(const struct cid_plan *plan, const roam_cid *cid);

/* What only CIDs of this configuration at this server have in common; for keys that must not be shared with others.
 * Empty for ROAM_CID_RANDOM. Returns its length. */
size_t cid_plan_scope(const struct cid_plan *plan, uint8_t ret[CID_SCOPE_BYTES_MAX]);

/* Random octets of a length that must be valid. */
void cid_random(roam_cid *ret, uint8_t len, const roam_rng *rng);

#endif
