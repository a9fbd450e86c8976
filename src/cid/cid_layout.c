/*
 * The octets of a planned CID (o0 is the first):
 *
 *   QUIC-LB     o0: 3 bits config id, 5 bits length of the rest or random; server id; nonce; the last two enciphered
 *               where there is a key
 *   AWS NLB     o0: random; 8 octets server id; nonce
 *   Katran v1   o0: 2 bits version; 16 bits host id, 8 bits worker, 1 bit process, packed behind; from o4 the nonce
 *   Katran v2   o0: 2 bits version, 6 random; o1..o3 host id; o4 worker; o5: 1 bit process, 7 random; nonce
 *   Katran v3   o0: likewise; o1..o4 host id; o5 worker; o6: likewise; nonce
 *
 * and behind the nonce as many random octets as the plan wants.
 */
#include "cid/cid_layout.h"

#include <string.h>

#include "base/minmax.h"
#include "cid/cid_plan.h"

#define CONFIG_ID_SHIFT    5
#define LENGTH_BITS        0x1f
#define KATRAN_SHIFT       6
#define KATRAN_RANDOM_BITS 0x3f
#define PROCESS_BIT        0x80
#define V1_PROCESS_BIT     0x20

/* Octets of server id and nonce together that QUIC-LB has room for. */
#define PLAINTEXT_BYTES_MAX 19

/* ---- Sizes ------------------------------------------------------------------------------------------------------- */

struct shape {
    uint8_t server_id_bytes; /* 0: as the layout says */
    uint8_t server_id_at;    /* of a server id of whole octets */
    uint8_t fixed_bytes;     /* all that stands before the nonce but for the server id */
    uint8_t version;         /* Katran's */
};

static const struct shape shapes[ROAM_CID_PLAN_KINDS] = {
    [ROAM_CID_QUIC_LB] = {.server_id_at = 1, .fixed_bytes = 1},
    [ROAM_CID_KATRAN_V1] = {.server_id_bytes = 2, .fixed_bytes = 2, .version = 1},
    [ROAM_CID_KATRAN_V2] = {.server_id_bytes = 3, .server_id_at = 1, .fixed_bytes = 3, .version = 2},
    [ROAM_CID_KATRAN_V3] = {.server_id_bytes = 4, .server_id_at = 1, .fixed_bytes = 3, .version = 3},
    [ROAM_CID_AWS_NLB] = {.server_id_bytes = 8, .server_id_at = 1, .fixed_bytes = 1},
};

static size_t nonce_at(const roam_cid_plan *layout)
{
    return (size_t)shapes[layout->kind].fixed_bytes + layout->server_id_bytes;
}

static size_t total_bytes(const roam_cid_plan *layout)
{
    return nonce_at(layout) + layout->nonce_bytes + layout->extra_bytes;
}

uint8_t roam_cid_plan_length(const roam_cid_plan *plan)
{
    return plan->kind == ROAM_CID_RANDOM ? 0 : (uint8_t)total_bytes(plan);
}

/* ---- Is it sensible? --------------------------------------------------------------------------------------------- */

static bool is_zero(const void *octets, size_t len)
{
    const uint8_t *at = octets;
    while (len > 0 && *at == 0)
        at++, len--;
    return len == 0;
}

static const char *wrong_with_random(const roam_cid_plan *plan)
{
    bool plain = plan->config_id == 0 && !plan->encode_length && plan->server_id_bytes == 0 && plan->nonce_bytes == 0 &&
                 plan->extra_bytes == 0 && !plan->has_key && plan->worker == 0 && !plan->process;
    return plain ? NULL : "random CIDs have no parts to configure";
}

static const char *wrong_with_quic_lb(const roam_cid_plan *plan)
{
    if (plan->config_id > ROAM_CID_UNROUTABLE)
        return "a config id is 0 to 6, or 7 for none";
    if (cid_layout_is_unroutable(plan))
        return plan->server_id_bytes > 0 || plan->has_key
                   ? "a server without a configuration has no server id and no key"
                   : NULL;
    if (plan->server_id_bytes < 1)
        return "a server id has at least 1 octet";
    return plan->server_id_bytes + plan->nonce_bytes > PLAINTEXT_BYTES_MAX
               ? "server id and nonce have at most 19 octets together"
               : NULL;
}

static const char *wrong_with_others(const roam_cid_plan *plan)
{
    if (plan->config_id != 0 || plan->encode_length || plan->has_key)
        return "only QUIC-LB has a config id, an encoded length and a key";
    if (plan->server_id_bytes != shapes[plan->kind].server_id_bytes)
        return plan->kind == ROAM_CID_KATRAN_V1   ? "a host id of Katran v1 has 2 octets"
               : plan->kind == ROAM_CID_KATRAN_V2 ? "a host id of Katran v2 has 3 octets"
               : plan->kind == ROAM_CID_KATRAN_V3 ? "a host id of Katran v3 has 4 octets"
                                                  : "a server id of AWS's balancer has 8 octets";
    return NULL;
}

static const char *wrong_with_sizes(const roam_cid_plan *plan)
{
    if (plan->server_id_bytes > ROAM_CID_SERVER_ID_MAX)
        return "a server id has at most 15 octets";
    if (!is_zero(plan->server_id + plan->server_id_bytes, sizeof(plan->server_id) - plan->server_id_bytes))
        return "the server id is longer than its length says";
    if (plan->nonce_bytes < ROAM_CID_NONCE_MIN)
        return "a nonce has at least 4 octets";
    if (total_bytes(plan) > ROAM_CID_MAX)
        return "a connection ID has at most 20 octets";
    return total_bytes(plan) < CID_BYTES_PLANNED_MIN ? "a connection ID that names a server has at least 8 octets"
                                                     : NULL;
}

static const char *wrong_with(const roam_cid_plan *plan)
{
    if ((unsigned)plan->kind >= ROAM_CID_PLAN_KINDS)
        return "there is no such kind of plan";
    if (plan->kind == ROAM_CID_RANDOM)
        return wrong_with_random(plan);
    const char *wrong = wrong_with_sizes(plan);
    if (wrong == NULL)
        wrong = plan->kind == ROAM_CID_QUIC_LB ? wrong_with_quic_lb(plan) : wrong_with_others(plan);
    bool katran = shapes[plan->kind].version != 0;
    if (wrong == NULL && !katran && (plan->worker != 0 || plan->process))
        wrong = "only Katran's CIDs have a worker and a process bit";
    if (wrong == NULL && !plan->has_key && !is_zero(plan->key, sizeof(plan->key)))
        wrong = "there is a key that is not to be used";
    return wrong;
}

roam_result roam_cid_plan_check(const roam_cid_plan *plan, const char **ret_why)
{
    const char *wrong = wrong_with(plan);
    if (wrong != NULL && ret_why != NULL)
        *ret_why = wrong;
    return wrong == NULL ? ROAM_OK : ROAM_ERR_CONFIG;
}

/* ---- The cipher -------------------------------------------------------------------------------------------------- */

/* Both halves in full octets: where the length is odd, the middle octet is divided, the upper four bits to the left,
 * the lower four to the right. */
struct halves {
    uint8_t left[CIPHER_BLOCK_BYTES], right[CIPHER_BLOCK_BYTES];
    size_t half_len, len;
};

static struct halves split(const uint8_t *text, size_t len)
{
    struct halves halves = {.half_len = (len + 1) / 2, .len = len};
    memcpy(halves.left, text, halves.half_len);
    memcpy(halves.right, text + len / 2, halves.half_len);
    if (len % 2 != 0) {
        halves.left[halves.half_len - 1] &= 0xf0;
        halves.right[0] &= 0x0f;
    }
    return halves;
}

static void join(const struct halves *halves, uint8_t *text)
{
    size_t half_len = halves->half_len;
    uint8_t middle = halves->left[half_len - 1];
    memcpy(text, halves->left, half_len);
    memcpy(text + halves->len / 2, halves->right, half_len);
    if (halves->len % 2 != 0)
        text[half_len - 1] |= middle;
}

/* Odd passes change the right half by the left one, even ones the left half by the right one. */
static void pass(const struct block_cipher *cipher, struct halves *halves, uint8_t number)
{
    bool to_right = number % 2 != 0;
    uint8_t *to = to_right ? halves->right : halves->left;
    uint8_t block[CIPHER_BLOCK_BYTES] = {0};
    memcpy(block, to_right ? halves->left : halves->right, halves->half_len);
    block[14] = (uint8_t)halves->len;
    block[15] = number;
    block_encrypt(cipher, block, block);
    for (size_t i = 0; i < halves->half_len; i++)
        to[i] ^= block[i];
    if (halves->len % 2 != 0 && to_right)
        to[0] &= 0x0f;
    else if (halves->len % 2 != 0)
        to[halves->half_len - 1] &= 0xf0;
}

void cid_feistel_encrypt(const struct block_cipher *cipher, uint8_t *text, size_t len)
{
    struct halves halves = split(text, len);
    for (uint8_t number = 1; number <= 4; number++)
        pass(cipher, &halves, number);
    join(&halves, text);
}

void cid_feistel_decrypt(const struct block_cipher *cipher, uint8_t *text, size_t len)
{
    struct halves halves = split(text, len);
    for (uint8_t number = 4; number >= 1; number--)
        pass(cipher, &halves, number);
    join(&halves, text);
}

void cid_layout_encrypt(const roam_cid_plan *layout, const struct block_cipher *cipher, roam_cid *cid)
{
    size_t len = (size_t)layout->server_id_bytes + layout->nonce_bytes;
    if (len == CIPHER_BLOCK_BYTES)
        block_encrypt(cipher, cid->bytes + 1, cid->bytes + 1);
    else
        cid_feistel_encrypt(cipher, cid->bytes + 1, len);
}

static void decrypt(const roam_cid_plan *layout, const struct block_cipher *cipher, uint8_t *bytes)
{
    size_t len = (size_t)layout->server_id_bytes + layout->nonce_bytes;
    if (len == CIPHER_BLOCK_BYTES)
        block_decrypt(cipher, bytes + 1, bytes + 1);
    else
        cid_feistel_decrypt(cipher, bytes + 1, len);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

void cid_layout_mark_unroutable(roam_cid *cid)
{
    cid->bytes[0] = (uint8_t)(ROAM_CID_UNROUTABLE << CONFIG_ID_SHIFT | (cid->len - 1));
}

/* Host id, worker and process bit of v1 stand across octets. */
static void write_katran_v1(const roam_cid_plan *layout, uint8_t *bytes)
{
    const uint8_t *host = layout->server_id;
    bytes[0] = (uint8_t)(1 << KATRAN_SHIFT | host[0] >> 2);
    bytes[1] = (uint8_t)(host[0] << 6 | host[1] >> 2);
    bytes[2] = (uint8_t)(host[1] << 6 | layout->worker >> 2);
    bytes[3] = (uint8_t)(layout->worker << 6 | (layout->process ? V1_PROCESS_BIT : 0) | (bytes[3] & 0x1f));
}

static void write_katran(const roam_cid_plan *layout, uint8_t *bytes)
{
    size_t worker_at = 1 + (size_t)layout->server_id_bytes;
    bytes[0] = (uint8_t)(shapes[layout->kind].version << KATRAN_SHIFT | (bytes[0] & KATRAN_RANDOM_BITS));
    bytes[worker_at] = layout->worker;
    bytes[worker_at + 1] = (uint8_t)((layout->process ? PROCESS_BIT : 0) | (bytes[worker_at + 1] & ~PROCESS_BIT));
}

void cid_layout_write(const roam_cid_plan *layout, const uint8_t *nonce, roam_cid *cid)
{
    uint8_t *bytes = cid->bytes;
    memcpy(bytes + nonce_at(layout), nonce, layout->nonce_bytes);
    if (layout->kind == ROAM_CID_KATRAN_V1) {
        write_katran_v1(layout, bytes);
        return;
    }
    memcpy(bytes + shapes[layout->kind].server_id_at, layout->server_id, layout->server_id_bytes);
    if (layout->kind == ROAM_CID_KATRAN_V2 || layout->kind == ROAM_CID_KATRAN_V3) {
        write_katran(layout, bytes);
    } else if (layout->kind == ROAM_CID_QUIC_LB) {
        uint8_t low = layout->encode_length ? (uint8_t)(cid->len - 1) : bytes[0] & LENGTH_BITS;
        bytes[0] = (uint8_t)(layout->config_id << CONFIG_ID_SHIFT | low);
    }
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static bool is_of_layout(const roam_cid_plan *layout, const roam_cid *cid)
{
    const struct shape *shape = &shapes[layout->kind];
    if (layout->kind == ROAM_CID_RANDOM || cid_layout_is_unroutable(layout) ||
        cid->len < nonce_at(layout) + layout->nonce_bytes)
        return false;
    if (layout->kind == ROAM_CID_QUIC_LB)
        return cid->bytes[0] >> CONFIG_ID_SHIFT == layout->config_id &&
               (!layout->encode_length || (cid->bytes[0] & LENGTH_BITS) == cid->len - 1);
    return shape->version == 0 || cid->bytes[0] >> KATRAN_SHIFT == shape->version;
}

static void read_katran_v1(const uint8_t *bytes, roam_cid_parts *ret)
{
    ret->server_id[0] = (uint8_t)(bytes[0] << 2 | bytes[1] >> 6);
    ret->server_id[1] = (uint8_t)(bytes[1] << 2 | bytes[2] >> 6);
    ret->worker = (uint8_t)(bytes[2] << 2 | bytes[3] >> 6);
    ret->process = (bytes[3] & V1_PROCESS_BIT) != 0;
}

bool cid_layout_read(const roam_cid_plan *layout, const struct block_cipher *cipher, const roam_cid *cid,
                     roam_cid_parts *ret)
{
    uint8_t bytes[ROAM_CID_MAX];
    if (!is_of_layout(layout, cid))
        return false;
    memcpy(bytes, cid->bytes, sizeof(bytes));
    if (layout->has_key)
        decrypt(layout, cipher, bytes);
    *ret = (roam_cid_parts){
        .config_id = layout->config_id, .server_id_bytes = layout->server_id_bytes, .nonce_bytes = layout->nonce_bytes};
    memcpy(ret->nonce, bytes + nonce_at(layout), layout->nonce_bytes);
    if (layout->kind == ROAM_CID_KATRAN_V1) {
        read_katran_v1(bytes, ret);
        return true;
    }
    memcpy(ret->server_id, bytes + shapes[layout->kind].server_id_at, layout->server_id_bytes);
    if (shapes[layout->kind].version != 0) {
        ret->worker = bytes[1 + layout->server_id_bytes];
        ret->process = (bytes[2 + layout->server_id_bytes] & PROCESS_BIT) != 0;
    }
    return true;
}
