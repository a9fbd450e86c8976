/* How connection IDs are laid out, as people write it. */
#ifndef CLI_CID_PLAN_TEXT_H
#define CLI_CID_PLAN_TEXT_H

#include <roam/cid_plan.h>

#define CID_PLAN_EXAMPLE                                                                                               \
    "a plan like quic-lb:config=1,server=0a0b,key=@FILE, katran1:server=a53c,worker=7 or aws:server=16-digits"

/* KIND[:NAME=VALUE,...]. Kinds: random, quic-lb, unroutable, katran1, katran2, katran3, aws. Names: config (a number),
 * server and key (hexadecimal; @FILE: the key is in the file's first line, where other users of the host do not see
 * it), nonce, extra and worker (numbers), length and process (no value). A nonce that is not said is as long as
 * makes CIDs of 8 octets, of 16 with aws, and at least 4. False where the text is none; whether the plan makes sense
 * is roam_cid_plan_check's to say. */
bool cid_plan_parse(const char *text, roam_cid_plan *ret);

/* Hexadecimal digits, two an octet. False where they are none, or more than `capacity` octets. */
bool hex_parse(const char *text, size_t len, uint8_t *ret, size_t capacity, size_t *ret_len);

#endif
