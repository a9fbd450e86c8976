/*
 * What is said to packets of connections that are not here (any more): a Stateless Reset, RFC 9000 section 10.3.
 * Always shorter than its cause, so that two endpoints cannot go on resetting each other; never for a CID that is or
 * was somebody's here.
 */
#include "endpoint/endpoint.h"

/* Packets up to this are answered one octet shorter; longer ones with a reset of a length like other packets'. */
#define RESET_BYTES_SHORT_TRIGGER 43

void answer_unknown(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                    size_t len)
{
    uint8_t token[RESET_TOKEN_BYTES];
    const bool silent = endpoint_is_silent(endpoint);
    bool may_reset = !silent && header->dcid.len > 0 && endpoint_may_reset(endpoint, &header->dcid, token);
    endpoint_count_drop(endpoint, packet_lacks_fixed_bit(header)                 ? ROAM_DROP_FIXED_BIT_ZERO
                                  : may_reset || silent || header->dcid.len == 0 ? ROAM_DROP_UNKNOWN_CONNECTION
                                                                                 : ROAM_DROP_OTHER_SERVERS_CID);
    if (!may_reset)
        return;
    //= rfc9000#10.3.3-1 Each reset is smaller than its trigger.
    //= rfc9000#10.3-5 Answer packets of 43 bytes or less with a reset one byte shorter.
    //= rfc9000#10.3-6 A reset is never three times or more the triggering packet.
    size_t reset_len =
        len <= RESET_BYTES_SHORT_TRIGGER ? len - 1 : RESET_BYTES_SHORT_TRIGGER - 1 - rng_u64(&endpoint->rng) % 8;
    if (reset_len < RESET_BYTES_MIN) {
        endpoint_count_drop(endpoint, ROAM_DROP_RESET_TOO_SMALL);
        return;
    }
    if (!token_bucket_take(&endpoint->stateless, endpoint->now)) {
        endpoint_count_drop(endpoint, ROAM_DROP_RESET_RATE_LIMIT);
        return;
    }
    struct reply *reply = reply_new(endpoint, datagram, reset_len);
    if (reply == NULL)
        return;
    //= rfc9000#10.3-8 Format resets as short-header packets; the octets before the token look random.
    //= rfc9000#10.3-3 Bytes before the token look random.
    rng_fill(&endpoint->rng, reply->data, reset_len - RESET_TOKEN_BYTES);
    reply->data[0] = (uint8_t)((reply->data[0] & 0x3f) | 0x40);
    memcpy(reply->data + reset_len - RESET_TOKEN_BYTES, token, RESET_TOKEN_BYTES);
    reply->len = reset_len;
    endpoint->stats.stateless_resets_sent++;
    roam_event event = {.type = ROAM_EVENT_RESET_SENT,
                        .time = endpoint->now,
                        .local = roam_address_unmap(&datagram->local),
                        .remote = roam_address_unmap(&datagram->remote),
                        .cid = header->dcid};
    (void)event_queue_push(&endpoint->events, &event); /* it only informs */
}
