/*
 * Key phases of 1-RTT packets. Sending and receiving turn over separately: sending at key_update_begin or when it
 * follows the peer, receiving only when a packet of the next phase has proven authentic. Since no side may be ahead by
 * more than one phase, the phase bit and the packet number tell which of the three receive keys a packet calls for:
 *
 *   the current phase's bit                              the current keys
 *   the other, and a number below the current phase's    the previous keys, while they are held
 *   the other                                            the next keys
 */
#include "crypto/key_update.h"

#include <assert.h>
#include <string.h>

#include "base/minmax.h"
#include "base/rng.h"
#include "crypto/key_schedule.h"
#include "wire/packet_number.h"

#define PTOS_BETWEEN_UPDATES 3

void one_rtt_keys_init(struct one_rtt_keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    packet_keys_init(&keys->send);
    packet_keys_init(&keys->receive);
    keys->send_phase_first_number = PACKET_NUMBER_NONE;
    keys->receive_phase_first_number = PACKET_NUMBER_NONE;
    keys->previous_until = ROAM_TIME_NEVER;
}

static void forget_keys(struct packet_keys **keys)
{
    struct packet_keys *forgotten = *keys;
    if (forgotten == NULL)
        return;
    const roam_allocator *allocator = forgotten->allocator;
    packet_keys_done(forgotten);
    mem_free(allocator, forgotten, sizeof(*forgotten));
    *keys = NULL;
}

//= rfc9001#6.3 The receive keys of the next phase are made ahead, so that following an update takes no longer.
/* False without memory. */
static bool make_receive_next(struct one_rtt_keys *keys)
{
    if (keys->receive_next == NULL) {
        keys->receive_next = mem_alloc(keys->receive.allocator, sizeof(*keys->receive_next));
        if (keys->receive_next == NULL)
            return false;
        packet_keys_init(keys->receive_next);
        packet_keys_next(keys->receive_next, &keys->receive);
    }
    return packet_keys_expand(keys->receive_next);
}

void one_rtt_keys_set(struct one_rtt_keys *keys, const roam_allocator *allocator, const struct quic_version *version,
                      enum aead_suite suite, const uint8_t *send_secret, const uint8_t *receive_secret)
{
    if (send_secret != NULL)
        packet_keys_set(&keys->send, allocator, version, suite, send_secret, NULL);
    if (receive_secret != NULL) {
        packet_keys_set(&keys->receive, allocator, version, suite, receive_secret, NULL);
        forget_keys(&keys->receive_next);
    }
}

void one_rtt_keys_done(struct one_rtt_keys *keys)
{
    packet_keys_done(&keys->send);
    packet_keys_done(&keys->receive);
    forget_keys(&keys->receive_next);
    forget_keys(&keys->receive_previous);
}

void one_rtt_keys_shrink(struct one_rtt_keys *keys)
{
    packet_keys_shrink(&keys->send);
    packet_keys_shrink(&keys->receive);
    forget_keys(&keys->receive_next);
    if (keys->receive_previous != NULL)
        packet_keys_shrink(keys->receive_previous);
}

/* The struct moves: whoever holds the expanded key afterwards owns it. */
static void move_keys(struct packet_keys *ret, struct packet_keys *from)
{
    packet_keys_done(ret);
    *ret = *from;
    from->expanded = NULL;
    packet_keys_done(from);
}

/* Sends with `next`, which packet_keys_next made of keys->send, from here on. */
static void advance_sending(struct one_rtt_keys *keys, struct packet_keys *next)
{
    move_keys(&keys->send, next);
    keys->send_phase = !keys->send_phase;
    keys->send_phase_first_number = PACKET_NUMBER_NONE;
    keys->acked = false;
    keys->updates++;
}

//= rfc9001#6.5 Previous keys are held for three PTO after a packet under the new ones has come, and then discarded.
/* The memory of the next keys takes the current ones, which become the previous. */
static void advance_receiving(struct one_rtt_keys *keys, uint64_t number, roam_time now, roam_time pto)
{
    struct packet_keys current = keys->receive;
    forget_keys(&keys->receive_previous);
    keys->receive = *keys->receive_next;
    *keys->receive_next = current;
    keys->receive_previous = keys->receive_next;
    keys->receive_next = NULL;
    wipe(&current, sizeof(current));
    if (keys->receive_phase_first_number != PACKET_NUMBER_NONE)
        keys->receive_previous_end = keys->receive_phase_last_number + 1;
    keys->receive_phase = !keys->receive_phase;
    keys->receive_phase_first_number = number;
    keys->receive_phase_last_number = number;
    keys->previous_until = saturating_add(now, PTOS_BETWEEN_UPDATES * pto);
}

//= rfc9001#6.1 No update before a packet of the current phase is acknowledged.
/* Nor while the peer has not yet answered our last one with a packet of its own: we would be two phases ahead of it. */
bool key_update_allowed(const struct one_rtt_keys *keys, roam_time now)
{
    return keys->send.available && keys->receive.available && keys->acked && now >= keys->next_allowed &&
           keys->send_phase == keys->receive_phase;
}

bool key_update_begin(struct one_rtt_keys *keys, roam_time now, roam_time pto)
{
    (void)pto; /* the wait is set when the peer acknowledges */
    assert(key_update_allowed(keys, now));
    struct packet_keys next;
    packet_keys_next(&next, &keys->send);
    if (!packet_keys_expand(&next)) {
        packet_keys_done(&next);
        return false;
    }
    advance_sending(keys, &next);
    return true;
}

//= rfc9001#6.6 An update begins before the confidentiality limit.
/* At half of it, so that a peer that is slow to acknowledge leaves millions of packets. */
bool key_update_needed(const struct one_rtt_keys *keys)
{
    return keys->send.available && keys->send.packets >= aead_suite_info(keys->send.suite)->confidentiality_limit / 2;
}

bool key_update_exhausted(const struct one_rtt_keys *keys)
{
    return packet_keys_are_used_up(&keys->send);
}

void key_update_on_sent(struct one_rtt_keys *keys, uint64_t number)
{
    if (keys->send_phase_first_number == PACKET_NUMBER_NONE)
        keys->send_phase_first_number = number;
}

//= rfc9001#6.5 After an update that the peer has acknowledged, wait three PTO before the next.
/* In the first phase there is nothing to wait for. */
void key_update_on_acked(struct one_rtt_keys *keys, uint64_t number, roam_time now, roam_time pto)
{
    if (keys->acked || keys->send_phase_first_number == PACKET_NUMBER_NONE || number < keys->send_phase_first_number)
        return;
    keys->acked = true;
    keys->next_allowed = keys->updates == 0 ? now : saturating_add(now, PTOS_BETWEEN_UPDATES * pto);
}

//= rfc9001#9.5 Which keys are taken tells of the phase and the number, both protected: no branch is made of them.
/* Which receive keys a packet calls for. */
static struct packet_keys *keys_for(struct one_rtt_keys *keys, bool phase, uint64_t number)
{
    bool older = (keys->receive_phase_first_number != PACKET_NUMBER_NONE) &
                 (number < keys->receive_phase_first_number) & (keys->receive_previous != NULL);
    uint64_t current = mask_if(phase == keys->receive_phase), previous = ~current & mask_if(older);
    return (struct packet_keys *)(((uintptr_t)&keys->receive & current) |
                                  ((uintptr_t)keys->receive_previous & previous) |
                                  ((uintptr_t)keys->receive_next & ~current & ~previous));
}

/* What an authentic packet of the current phase tells. */
static uint64_t on_current(struct one_rtt_keys *keys, uint64_t number)
{
    //= rfc9001#6.4 A packet never has newer keys than one with a higher number.
    if (number < keys->receive_previous_end)
        return ROAM_KEY_UPDATE_ERROR;
    if (keys->receive_phase_first_number == PACKET_NUMBER_NONE) {
        keys->receive_phase_first_number = number;
        keys->receive_phase_last_number = number;
    } else if (number < keys->receive_phase_first_number) {
        keys->receive_phase_first_number = number;
    } else if (number > keys->receive_phase_last_number) {
        keys->receive_phase_last_number = number;
    }
    return ROAM_NO_ERROR;
}

/* What an authentic packet of the next phase tells: the peer updated, or answers our update. */
static uint64_t on_next(struct one_rtt_keys *keys, uint64_t number, roam_time now, roam_time pto, bool *ret_updated)
{
    if (keys->receive_phase_first_number != PACKET_NUMBER_NONE && number < keys->receive_phase_last_number)
        return ROAM_KEY_UPDATE_ERROR;
    bool answers_ours = keys->send_phase != keys->receive_phase;
    //= rfc9001#6.2 A second update before we have sent anything under the keys of the first: it was not acknowledged.
    if (!answers_ours && keys->updates > 0 && keys->send_phase_first_number == PACKET_NUMBER_NONE)
        return ROAM_KEY_UPDATE_ERROR;
    advance_receiving(keys, number, now, pto);
    //= rfc9001#6.2 Sending follows at once, so that this packet is acknowledged under the new keys.
    if (!answers_ours) {
        struct packet_keys next;
        packet_keys_next(&next, &keys->send);
        advance_sending(keys, &next);
        *ret_updated = true;
    }
    return ROAM_NO_ERROR;
}

//= rfc9001#6.6 Failures are counted over the connection's life, all keys together.
bool key_update_count_failure(struct one_rtt_keys *keys, enum aead_suite suite)
{
    return ++keys->failed >= aead_suite_info(suite)->integrity_limit;
}

static ptrdiff_t refuse(struct one_rtt_keys *keys, roam_drop *ret_drop, uint64_t *ret_error)
{
    *ret_drop = ROAM_DROP_AUTHENTICATION_FAILED;
    if (key_update_count_failure(keys, keys->receive.suite))
        *ret_error = ROAM_AEAD_LIMIT_REACHED;
    return -1;
}

ptrdiff_t key_update_open(struct one_rtt_keys *keys, bool phase, uint64_t number, uint8_t *packet, size_t header_len,
                          size_t len, roam_time now, roam_time pto, roam_drop *ret_drop, uint64_t *ret_error,
                          bool *ret_updated)
{
    assert(keys->receive.available);
    //= rfc9001#9.5 Next keys stand ready whether or not they are called for: a phase bit that is wrong costs the same.
    bool ready = packet_keys_expand(&keys->receive) && make_receive_next(keys);
    struct packet_keys *with = ready ? keys_for(keys, phase, number) : NULL;
    if (with == NULL || !packet_keys_expand(with)) {
        *ret_drop = ROAM_DROP_OUT_OF_MEMORY;
        return -1;
    }
    ptrdiff_t opened = packet_protection_open(with, number, packet, header_len, len);
    if (opened < 0)
        return refuse(keys, ret_drop, ret_error);

    uint64_t error = ROAM_NO_ERROR;
    if (with == &keys->receive)
        error = on_current(keys, number);
    else if (with == keys->receive_next)
        error = on_next(keys, number, now, pto, ret_updated);
    if (error != ROAM_NO_ERROR) {
        *ret_drop = ROAM_DROP_KEY_PHASE_INVALID;
        *ret_error = error;
        return -1;
    }
    return opened;
}

void key_update_expire(struct one_rtt_keys *keys, roam_time now)
{
    if (now < keys->previous_until)
        return;
    forget_keys(&keys->receive_previous);
    keys->previous_until = ROAM_TIME_NEVER;
}
