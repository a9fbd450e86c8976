/*
 * The 1-RTT keys of a connection and their phases, RFC 9001 section 6.
 *
 * Invariants: sending uses one phase; receiving holds current and next, and for a while after an update the
 * previous. Transitions: key_update_begin (ours), key_update_received (the peer's), key_update_acked (an
 * acknowledgement of a packet of the current phase permits the next), key_update_expire (previous keys forgotten 3
 * PTO after the update).
 */
#ifndef CRYPTO_KEY_UPDATE_H
#define CRYPTO_KEY_UPDATE_H

#include <roam/error.h>

#include "crypto/packet_protection.h"

struct one_rtt_keys {
    struct packet_keys send, receive;
    struct packet_keys *receive_next; /* a cache: given back by one_rtt_keys_shrink, and made when it is called for */
    struct packet_keys *receive_previous; /* NULL: none, or forgotten */
    bool send_phase, receive_phase;       /* key phase bits */
    bool acked;                           /* a packet of the current sending phase was acknowledged */
    uint32_t updates;                     /* phases begun after the first */
    /* PACKET_NUMBER_NONE before there was one: */
    uint64_t send_phase_first_number;    /* the first sent in this phase */
    uint64_t receive_phase_first_number; /* the lowest received in this phase */
    uint64_t receive_phase_last_number;  /* the highest; meaningless before one was */
    uint64_t receive_previous_end;       /* from here on packet numbers are above all received in earlier phases */
    roam_time previous_until;            /* receive_previous is forgotten then; ROAM_TIME_NEVER: nothing to forget */
    roam_time next_allowed;              /* no update of ours before */
    uint64_t failed;                     /* packets that did not authenticate, all keys together (section 6.6) */
};

void one_rtt_keys_init(struct one_rtt_keys *keys);
/* Either secret may be NULL where TLS does not know it yet; another call brings it. */
void one_rtt_keys_set(struct one_rtt_keys *keys, const roam_allocator *allocator, const struct quic_version *version,
                      enum aead_suite suite, const uint8_t *send_secret, const uint8_t *receive_secret);
void one_rtt_keys_done(struct one_rtt_keys *keys);
void one_rtt_keys_shrink(struct one_rtt_keys *keys);

/* True where we may start an update: an acknowledgement for this phase has come, and 3 PTO have passed since it
 * (section 6.5; in the first phase there is no wait). The caller knows whether the handshake is confirmed. */
bool key_update_allowed(const struct one_rtt_keys *keys, roam_time now);

/* Starts an update: from here on packets are sent in the next phase. Must be allowed. False without memory. */
bool key_update_begin(struct one_rtt_keys *keys, roam_time now, roam_time pto);

/* True where this sending key must be updated before the confidentiality limit (it begins to say so well before). */
bool key_update_needed(const struct one_rtt_keys *keys);

/* True where this sending key is used up (section 6.6): nothing more may be sent with it, and if no update is
 * allowed the connection ends with AEAD_LIMIT_REACHED. */
bool key_update_exhausted(const struct one_rtt_keys *keys);

/* Counts a packet of the connection that did not authenticate, under whatever keys of this suite; true where the
 * integrity limit is reached, and the connection ends with AEAD_LIMIT_REACHED. */
bool key_update_count_failure(struct one_rtt_keys *keys, enum aead_suite suite);

/* The sender put this packet number on the wire. */
void key_update_on_sent(struct one_rtt_keys *keys, uint64_t number);

/* An acknowledgement of `number` came. */
void key_update_on_acked(struct one_rtt_keys *keys, uint64_t number, roam_time now, roam_time pto);

/* Opens a 1-RTT packet whose header protection is removed, with the keys that its phase bit and number call for, and
 * follows an update of the peer's when it proves authentic. Returns the plaintext's length, or -1 with *ret_drop
 * set; on *ret_error other than ROAM_NO_ERROR the connection must be closed with it (KEY_UPDATE_ERROR,
 * AEAD_LIMIT_REACHED). *ret_updated is set where the peer's update was followed. */
ptrdiff_t key_update_open(struct one_rtt_keys *keys, bool phase, uint64_t number, uint8_t *packet, size_t header_len,
                          size_t len, roam_time now, roam_time pto, roam_drop *ret_drop, uint64_t *ret_error,
                          bool *ret_updated);

/* Forgets previous keys when their time is over; deadline is previous_until. */
void key_update_expire(struct one_rtt_keys *keys, roam_time now);

#endif
