/*
 * Where what stands in a CID of each plan, and QUIC-LB's cipher: pure functions of a layout, shared by those who make
 * CIDs and those who route by them. A layout that is given to any of these but roam_cid_plan_check has been checked.
 */
#ifndef CID_CID_LAYOUT_H
#define CID_CID_LAYOUT_H

#include <roam/cid_plan.h>

#include "crypto/block_cipher.h"

/* QUIC-LB's 0b111: the CIDs name nobody. */
static inline bool cid_layout_is_unroutable(const roam_cid_plan *layout)
{
    return layout->kind == ROAM_CID_QUIC_LB && layout->config_id == ROAM_CID_UNROUTABLE;
}

/* Octet 0 of a CID that is random otherwise: it cannot be routed, and so many octets follow. */
void cid_layout_mark_unroutable(roam_cid *cid);

/* Writes names and nonce over a CID of random octets and the layout's length, in plaintext. */
void cid_layout_write(const roam_cid_plan *layout, const uint8_t *nonce, roam_cid *cid);

/* Enciphers server id and nonce of a CID, as QUIC-LB has it: one block where they are one, else four passes. */
void cid_layout_encrypt(const roam_cid_plan *layout, const struct block_cipher *cipher, roam_cid *cid);

/* False, *ret untouched, where the CID is not of this layout or names nobody. The cipher is that of the layout's key;
 * of no account without one. */
bool cid_layout_read(const roam_cid_plan *layout, const struct block_cipher *cipher, const roam_cid *cid,
                     roam_cid_parts *ret);

/* QUIC-LB's four-pass Feistel network over 4 to 19 octets, in place. */
void cid_feistel_encrypt(const struct block_cipher *cipher, uint8_t *text, size_t len);
void cid_feistel_decrypt(const struct block_cipher *cipher, uint8_t *text, size_t len);

#endif
