/* The one table of rules for frames: RFC 9000 section 12.4 table 3, sections 1.2 and 9.1; RFC 9221 section 4;
 * draft-ietf-quic-ack-frequency sections 3 to 5, which has its frames neither in 0-RTT nor for probing. */
#include "wire/frame.h"

/* The column "Pkts" of table 3. */
#define PKTS_1    IN_PACKET(PACKET_ONE_RTT)
#define PKTS_01   (IN_PACKET(PACKET_ZERO_RTT) | PKTS_1)
#define PKTS_IH_1 (IN_PACKET(PACKET_INITIAL) | IN_PACKET(PACKET_HANDSHAKE) | PKTS_1)
#define PKTS_IH01 (PKTS_IH_1 | PKTS_01)

#define RULE(text, where, ...)                                                                                         \
    {                                                                                                                  \
        .name = text, .packets = where, __VA_ARGS__                                                                    \
    }
#define ELICITING .ack_eliciting = true
#define QUIET     .ack_eliciting = false
#define PROBING   .probing = true
#define SERVER    .server_only = true

//= rfc9000#12.4 A frame may only stand in the packet types that table 3 names.
static const struct frame_rule rules[FRAME_TYPES] = {
    [FRAME_PADDING] = RULE("PADDING", PKTS_IH01, QUIET, PROBING),
    [FRAME_PING] = RULE("PING", PKTS_IH01, ELICITING),
    [FRAME_ACK] = RULE("ACK", PKTS_IH_1, QUIET),
    [FRAME_ACK_ECN] = RULE("ACK_ECN", PKTS_IH_1, QUIET),
    [FRAME_RESET_STREAM] = RULE("RESET_STREAM", PKTS_01, ELICITING),
    [FRAME_STOP_SENDING] = RULE("STOP_SENDING", PKTS_01, ELICITING),
    [FRAME_CRYPTO] = RULE("CRYPTO", PKTS_IH_1, ELICITING),
    //= rfc9000#19.7 Clients do not send NEW_TOKEN.
    [FRAME_NEW_TOKEN] = RULE("NEW_TOKEN", PKTS_1, ELICITING, SERVER),
    [FRAME_STREAM] = RULE("STREAM", PKTS_01, ELICITING),
    [FRAME_MAX_DATA] = RULE("MAX_DATA", PKTS_01, ELICITING),
    [FRAME_MAX_STREAM_DATA] = RULE("MAX_STREAM_DATA", PKTS_01, ELICITING),
    [FRAME_MAX_STREAMS_BIDI] = RULE("MAX_STREAMS_BIDI", PKTS_01, ELICITING),
    [FRAME_MAX_STREAMS_UNI] = RULE("MAX_STREAMS_UNI", PKTS_01, ELICITING),
    [FRAME_DATA_BLOCKED] = RULE("DATA_BLOCKED", PKTS_01, ELICITING),
    [FRAME_STREAM_DATA_BLOCKED] = RULE("STREAM_DATA_BLOCKED", PKTS_01, ELICITING),
    [FRAME_STREAMS_BLOCKED_BIDI] = RULE("STREAMS_BLOCKED_BIDI", PKTS_01, ELICITING),
    [FRAME_STREAMS_BLOCKED_UNI] = RULE("STREAMS_BLOCKED_UNI", PKTS_01, ELICITING),
    [FRAME_NEW_CONNECTION_ID] = RULE("NEW_CONNECTION_ID", PKTS_01, ELICITING, PROBING),
    [FRAME_RETIRE_CONNECTION_ID] = RULE("RETIRE_CONNECTION_ID", PKTS_01, ELICITING),
    [FRAME_PATH_CHALLENGE] = RULE("PATH_CHALLENGE", PKTS_01, ELICITING, PROBING),
    [FRAME_PATH_RESPONSE] = RULE("PATH_RESPONSE", PKTS_1, ELICITING, PROBING),
    [FRAME_CONNECTION_CLOSE] = RULE("CONNECTION_CLOSE", PKTS_IH01, QUIET),
    //= rfc9000#12.5 CONNECTION_CLOSE of type 0x1d only stands in the application data space.
    [FRAME_CONNECTION_CLOSE_APPLICATION] = RULE("CONNECTION_CLOSE_APPLICATION", PKTS_01, QUIET),
    //= rfc9000#19.20 Only a server sends HANDSHAKE_DONE.
    [FRAME_HANDSHAKE_DONE] = RULE("HANDSHAKE_DONE", PKTS_1, ELICITING, SERVER),
    //= rfc9221#5-4 DATAGRAM frames are protected with 0-RTT or 1-RTT keys.
    //= rfc9221#5.2-4 They are ack-eliciting.
    [FRAME_DATAGRAM] = RULE("DATAGRAM", PKTS_01, ELICITING),
    [FRAME_IMMEDIATE_ACK] = RULE("IMMEDIATE_ACK", PKTS_1, ELICITING),
    [FRAME_INDEX_ACK_FREQUENCY] = RULE("ACK_FREQUENCY", PKTS_1, ELICITING),
};

const struct frame_rule *frame_rule_of(uint64_t type)
{
    uint64_t index = frame_index(type);
    if (index >= FRAME_TYPES)
        return NULL;
    if (type >= FRAME_STREAM && type <= FRAME_STREAM_LAST)
        index = FRAME_STREAM;
    if (type == FRAME_DATAGRAM_LEN)
        index = FRAME_DATAGRAM;
    return rules[index].name != NULL ? &rules[index] : NULL;
}
