/* Packets by hand: frames, padding, one seal, and out through the host's socket. */
#include "sim/hand.h"

#include <assert.h>
#include <string.h>

#include "sim/oracle.h"
#include "unit/sealed.h"

void hand_init(struct hand *hand, struct host *host, roam_conn *conn)
{
    memset(hand, 0, sizeof(*hand));
    hand->host = host;
    hand->conn = conn;
}

struct writer *hand_begin(struct hand *hand)
{
    hand->frames = writer_init(hand->payload, sizeof(hand->payload) - SEALED_OVERHEAD_MAX);
    return &hand->frames;
}

void hand_send(struct hand *hand, const roam_address *local, const roam_address *remote, size_t datagram_bytes)
{
    uint8_t datagram[SIM_PACKET_MAX];
    const struct path *active = path_set_active(&hand->conn->paths);
    const roam_cid *dcid = hand->dcid;
    assert(!hand->frames.failed && can_seal(hand->conn, PACKET_ONE_RTT));
    if (dcid == NULL)
        dcid = &remote_cid_of_path(&hand->conn->remote_cids, active->id)->cid;
    /* Four octets are the least that gives a sample for header protection. */
    size_t around = 1 + dcid->len + PACKET_NUMBER_BYTES_MAX + AEAD_TAG_BYTES, len = writer_len(&hand->frames);
    size_t wanted = datagram_bytes > around + 4 ? datagram_bytes - around : 4;
    if (len < wanted)
        frame_write_padding(&hand->frames, wanted - len);
    const struct sealing sealing = {.from = hand->conn,
                                    .type = PACKET_ONE_RTT,
                                    .dcid = dcid,
                                    .payload = hand->payload,
                                    .payload_len = writer_len(&hand->frames)};
    len = seal_by_hand(&sealing, datagram);
    assert(len > 0);
    /* What another peer would not do: whoever sees it knows. */
    linkage_on_rebind(oracle_linkage(hand->host->world->oracle), hand->host, &active->local, local);
    hand->sent++;
    host_inject(hand->host, local, remote, datagram, len);
}
