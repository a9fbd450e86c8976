/*
 * Address validation tokens, RFC 9000 sections 8.1.2 to 8.1.4: sealed with an AEAD under a key from the endpoint's
 * static key, so that no one else can make, read or link them. A Retry token is bound to IP and port and carries the
 * original destination CID; a NEW_TOKEN token is bound to the IP. Both carry the time of issue, by a clock that is the
 * issuer's and the reader's: endpoints that share a key share the time of day.
 *
 * An invitation is a token that a client makes by itself, under a key that it shares with the server, for its first
 * destination CID: it proves no address, only that its sender has the key.
 */
#ifndef CRYPTO_TOKEN_H
#define CRYPTO_TOKEN_H

#include <roam/config.h>
#include <roam/types.h>

#include "base/rng.h"

#define TOKEN_KEY_BYTES 32
#define TOKEN_BYTES_MAX 128

/* Clocks of endpoints that share a key may differ by so much. */
#define TOKEN_CLOCK_SKEW ROAM_SECONDS(5)

/* An invitation is of now, by the clocks of two hosts. */
#define INVITATION_WINDOW ROAM_SECONDS(120)

enum token_kind { TOKEN_RETRY = 1, TOKEN_NEW = 2, TOKEN_INVITATION = 3 };

enum token_verdict {
    TOKEN_VALID,
    TOKEN_UNKNOWN, /* not ours, damaged, or of a kind that we do not know */
    TOKEN_EXPIRED,
    TOKEN_WRONG_ADDRESS,
};

struct token {
    enum token_kind kind;
    uint32_t version; /* of the connection that it was given to: QUIC's, RFC 9369 section 5 */
    roam_time issued;
    roam_cid original_dcid; /* Retry and invitation */
    roam_cid retry_scid;    /* Retry only */
    uint64_t mark;          /* set by token_open: tells this token from all others; never 0 */
};

/* The key for tokens from an endpoint's static key. */
void token_key_derive(uint8_t ret[TOKEN_KEY_BYTES], const uint8_t *static_key, size_t len);

/* Writes a token for `remote` into ret and returns its length. */
size_t token_seal(uint8_t ret[TOKEN_BYTES_MAX], const uint8_t key[TOKEN_KEY_BYTES], const roam_rng *rng,
                  const struct token *token, const roam_address *remote);

/* Opens data[0..len). *ret->kind tells a Retry token from a NEW_TOKEN token also where the verdict is EXPIRED or
 * WRONG_ADDRESS (RFC 9000 section 8.1.1). A token from further in the future than TOKEN_CLOCK_SKEW is TOKEN_EXPIRED. */
enum token_verdict token_open(struct token *ret, const uint8_t key[TOKEN_KEY_BYTES], const uint8_t *data, size_t len,
                              const roam_address *remote, roam_time now, roam_time retry_lifetime,
                              roam_time new_lifetime);

/* The key for invitations from the one that was shared. */
void invitation_key_derive(uint8_t ret[TOKEN_KEY_BYTES], const uint8_t shared_key[ROAM_STATIC_KEY_BYTES]);

/* Writes an invitation for a connection that begins with this destination CID, and returns its length. */
size_t invitation_seal(uint8_t ret[TOKEN_BYTES_MAX], const uint8_t key[TOKEN_KEY_BYTES], const roam_rng *rng,
                       const roam_cid *dcid, roam_time now);

/* True where data[0..len) is an invitation for this destination CID, not further from now than INVITATION_WINDOW. */
bool invitation_open(struct token *ret, const uint8_t key[TOKEN_KEY_BYTES], const uint8_t *data, size_t len,
                     const roam_cid *dcid, roam_time now);

#endif
