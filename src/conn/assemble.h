/*
 * Packets on their way out, between the frames that are due (assemble.c) and the datagram (send.c, send_run.c).
 */
#ifndef CONN_ASSEMBLE_H
#define CONN_ASSEMBLE_H

#include "conn/conn.h"

enum assemble_mode {
    ASSEMBLE_NORMAL,   /* everything */
    ASSEMBLE_ACK_ONLY, /* congestion or pacing: ACK, and path frames */
    ASSEMBLE_PROBING,  /* PATH_CHALLENGE, PATH_RESPONSE, PADDING only (RFC 9000 section 9.1) */
    ASSEMBLE_MTU,      /* PING and PADDING (section 14.4) */
    ASSEMBLE_CLOSE,    /* CONNECTION_CLOSE */
};

/* A packet that has its frames and is not sealed yet. */
struct pending_packet {
    enum packet_space space;
    enum packet_type type;
    uint64_t number;
    struct sent_packet *sent;
    uint8_t *start;     /* in the datagram */
    uint8_t *length_at; /* length field of a long header, or NULL */
    size_t number_offset, header_len;
    size_t span_count, payload_len;
    uint64_t frames; /* a bit for each type */
    bool eliciting, padded;
    struct span spans[PACKET_SPANS_MAX]; /* the first span_count of them */
};

/* A datagram that is being filled: packets are gathered first and padded, sealed and entered in the sent maps
 * together. */
struct assembly {
    struct path *path;
    const roam_cid *dcid;
    uint8_t *data;
    size_t limit;   /* octets of this datagram at most */
    size_t carries; /* ... and of any that goes there, whatever limits this one */
    size_t len;
    struct pending_packet packets[PACKET_SPACES];
    size_t count;
    bool expand;         /* to be padded to DATAGRAM_BYTES_MIN, where the limit allows that */
    size_t expand_bytes; /* or to more than that, as far as the limit allows */
    bool out_of_memory;
    bool probe;          /* it asks what a path carries: its loss says nothing about congestion */
    bool mtu_probe;      /* it asks for its size, and is padded to the limit */
    bool elsewhere;      /* it goes to an address that is no path: not counted on this one */
    uint64_t fixed_bits; /* drawn ahead, one for each packet; the highest bit that is set ends them */
};

/* Appends one packet of the space, if there is anything for it in this mode. */
void assemble_packet(roam_conn *conn, struct assembly *assembly, enum packet_space space, enum assemble_mode mode);

/* True where the space has frames that are ack-eliciting to send. */
bool conn_space_wants(roam_conn *conn, enum packet_space space);

/* One more 1-RTT packet at `at`, of at most `limit` octets, that holds what streams and datagrams have to send and nothing
 * else. False, with nothing changed, where they have nothing that fits. */
bool assemble_data_packet(roam_conn *conn, struct assembly *assembly, uint8_t *at, size_t limit,
                          struct pending_packet *ret);

static inline size_t pending_packet_bytes(const struct pending_packet *packet)
{
    return packet->header_len + packet->payload_len + AEAD_TAG_BYTES;
}

static inline struct packet_seal pending_packet_seal(const struct pending_packet *packet)
{
    return (struct packet_seal){
        .packet = packet->start,
        .header_len = packet->header_len,
        .number_offset = packet->number_offset,
        .number = packet->number,
        .spans = packet->spans,
        .span_count = packet->span_count,
    };
}

/* ---- send.c */

/* What the sent map remembers of a packet that leaves in a datagram of so many octets. */
void conn_describe_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet,
                        size_t datagram_bytes, bool ect);
void conn_observe_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet);
/* RFC 9002 section 7.8: less to send than the window allows. */
bool conn_is_app_limited(roam_conn *conn, const struct path *path);

/* ---- send_run.c */

/* Fills what room is left behind a full datagram of the active path that holds stream data with more like it. */
void conn_add_segments(roam_conn *conn, roam_datagram *datagram);

#endif
