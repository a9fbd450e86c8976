/*
 * A hand that writes packets under the keys of a connection of this world: what its peer could get from another
 * implementation, or from a malicious one, and never gets from this library. The connection itself goes on, under
 * other packet numbers, and knows nothing of it.
 */
#ifndef SIM_HAND_H
#define SIM_HAND_H

#include "sim/host.h"
#include "wire/frame.h"

struct hand {
    struct host *host;
    roam_conn *conn;
    const roam_cid *dcid; /* NULL: that of the active path */
    uint8_t payload[SIM_PACKET_MAX];
    struct writer frames; /* to be filled by frame_write_..., between hand_begin and hand_send */
    uint64_t sent;
};

/* Of this host's connection. */
void hand_init(struct hand *hand, struct host *host, roam_conn *conn);

/* A new 1-RTT packet, empty yet. */
struct writer *hand_begin(struct hand *hand);

/* It leaves from `local` to `remote`, with PADDING up to so many octets; 0: none. */
void hand_send(struct hand *hand, const roam_address *local, const roam_address *remote, size_t datagram_bytes);

#endif
