/* The payload of a packet that is being written, between its frames (payload.c) and what stands around them (assemble.c). */
#ifndef CONN_PAYLOAD_H
#define CONN_PAYLOAD_H

#include "conn/assemble.h"

/* `open_from` is where the span that is being written began. */
struct payload {
    struct writer writer;
    uint8_t *open_from;
    struct pending_packet *packet;
    struct assembly *assembly;
    struct pn_space *space;
};

static inline size_t payload_room(const struct payload *payload)
{
    return writer_left(&payload->writer);
}

/* What was written since the last span becomes one. */
void payload_close_span(struct payload *payload);

/* All that is due in this mode. */
void payload_put_frames(roam_conn *conn, struct payload *payload, enum packet_space space, enum assemble_mode mode);

/* Nothing but what streams and datagrams have to send. */
void payload_put_data(roam_conn *conn, struct payload *payload);

#endif
