/*
 * Many packets of one connection in one go, for UDP segmentation offload: behind a full datagram of the active path stand
 * others of its size, each one 1-RTT packet with stream data, DATAGRAM frames and nothing else. What they have in common
 * is looked at once for all of them, and they are sealed together. Whatever else is due ends the run, and is
 * conn_transmit's.
 *
 * Kept: what conn_transmit keeps for each datagram alone, that is window, pacing and the 3x limit; all packets of a run
 * are ack-eliciting, and marked as the datagram is that they stand behind.
 */
#include "conn/assemble.h"
#include "conn/cids.h"
#include "conn/datagrams.h"
#include "conn/log.h"
#include "conn/mtu.h"

/* Packets sealed together. */
#define RUN_PACKETS 16

struct run {
    struct assembly assembly;
    roam_datagram *datagram;
    struct pending_packet packets[RUN_PACKETS];
    size_t count;
};

/* Packets that may be added, as far as the path has to say. */
static size_t packets_allowed(roam_conn *conn, const struct path *path, const roam_datagram *datagram, size_t segment)
{
    const struct path_recovery *recovery = &path->recovery;
    uint64_t bytes = min_size(datagram->capacity, SEGMENTED_BYTES_MAX) - datagram->len;
    bytes = min_u64(bytes, path_allowance(path));
    bytes = min_u64(bytes, congestion_allowance(&recovery->congestion));
    bytes = min_u64(bytes, pacer_allowance(recovery->pacer, conn->now, &recovery->congestion, &recovery->rtt));
    return (size_t)(bytes / segment);
}

/* No packet of another space may have to go with the next one. A client's handshake is kept for a while after its end. */
static bool has_one_space(const roam_conn *conn)
{
    const struct handshake *handshake = conn->handshake;
    return handshake == NULL || (handshake->discarded[SPACE_INITIAL] && handshake->discarded[SPACE_HANDSHAKE]);
}

/* The datagram is as large as what waits can make it: 1,200 octets, which stream data fills, or so large that the next
 * DATAGRAM frame has no room behind. */
static bool is_full(roam_conn *conn, const struct path *path, size_t bytes)
{
    return bytes >= DATAGRAM_BYTES_MIN || (bytes < path_datagram_bytes(path) && conn_datagrams_wait(conn) &&
                                           !conn_datagram_fits(conn, path_datagram_bytes(path) - bytes));
}

/* Nothing but stream data and datagrams is due, and the next datagram can only be one more like the last. */
static bool may_run(roam_conn *conn, const struct path *path, const roam_datagram *datagram, size_t segment)
{
    return conn->state == ROAM_CONN_ESTABLISHED && has_one_space(conn) && conn->application.probes == 0 &&
           !conn->ping_pending && path->ecn.state != ROAM_ECN_STATE_TESTING && datagram->ecn == ecn_mark(&path->ecn) &&
           is_full(conn, path, segment) && datagram->len < min_size(datagram->capacity, SEGMENTED_BYTES_MAX) &&
           !key_update_needed(&conn->keys) && conn_data_waits(conn);
}

/* Packets that leave together share what a controller that measures wants to know; others want nothing. */
static void note_stamp(struct run *run, uint16_t stamp)
{
    for (size_t i = 0; stamp != 0 && i < run->count; i++)
        run->packets[i].sent->rate_stamp = stamp;
}

/* Enters what was gathered in the books, and seals it. */
static void flush(roam_conn *conn, struct run *run)
{
    struct path *path = run->assembly.path;
    struct pn_space *space = &conn->application;
    struct packet_seal jobs[RUN_PACKETS];
    const bool ect = run->datagram->ecn == ROAM_ECN_ECT0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < run->count; i++) {
        struct pending_packet *packet = &run->packets[i];
        size_t packet_bytes = pending_packet_bytes(packet);
        packet->sent = sent_map_find(&space->sent, packet->number); /* the map may have grown since */
        conn_describe_sent(conn, &run->assembly, packet, packet_bytes, ect);
        sent_map_commit(&space->sent, packet->sent);
        ecn_on_sent(&path->ecn, ect);
        pmtud_on_sent(&path->pmtud, packet_bytes);
        if (conn->log != NULL)
            conn_log_sent(conn, &run->assembly, packet, run->datagram->ecn);
        jobs[i] = pending_packet_seal(packet);
        bytes += packet_bytes;
    }
    note_stamp(run, congestion_stamp(&path->recovery.congestion, bytes, false, conn->now));
    congestion_on_sent(&path->recovery.congestion, bytes);
    pacer_on_sent(path->recovery.pacer, bytes, conn->now, &path->recovery.congestion, &path->recovery.rtt);
    path_on_sent(path, bytes, conn->now);
    conn_on_cid_written(conn, path->id, bytes);
    conn->counters.bytes_sent += bytes;
    packet_protection_seal(&conn->keys.send, jobs, run->count);
    for (size_t i = 0; i < run->count; i++)
        conn_observe_sent(conn, &run->assembly, &run->packets[i]);
    run->datagram->len += bytes;
    run->count = 0;
}

/* Where nothing more waits and the window has room, the last packet says so: it shows no lack of capacity. */
static void note_app_limit(roam_conn *conn, struct path *path)
{
    struct sent_map *sent = &conn->application.sent;
    struct sent_packet *last = sent_map_find(sent, sent->next - 1);
    if (last == NULL || !conn_is_app_limited(conn, path))
        return;
    last->app_limited = true;
    congestion_on_ran_out(&path->recovery.congestion);
}

void conn_add_segments(roam_conn *conn, roam_datagram *datagram)
{
    struct path *path = path_set_active(&conn->paths);
    const size_t segment = datagram->len;
    if (!may_run(conn, path, datagram, segment) || conn_mtu_probe_due(conn, path, datagram->capacity) != 0)
        return;
    /* Six kilobytes, each of which is set before it is looked at; to zero them all (docs/hardening.md) would be felt. */
    struct run run __attribute__((uninitialized));
    run.assembly = (struct assembly){.path = path, .dcid = &remote_cid_of_path(&conn->remote_cids, path->id)->cid};
    run.assembly.carries = path_datagram_bytes(path);
    run.datagram = datagram;
    run.count = 0;
    uint8_t *at = datagram->data + datagram->len;
    size_t left = packets_allowed(conn, path, datagram, segment);
    bool full = true;
    for (; full && left > 0 && assemble_data_packet(conn, &run.assembly, at, segment, &run.packets[run.count]);
         left--) {
        size_t bytes = pending_packet_bytes(&run.packets[run.count++]);
        full = bytes == segment && !run.assembly.out_of_memory;
        at += bytes;
        if (run.count == RUN_PACKETS)
            flush(conn, &run);
    }
    if (run.count > 0)
        flush(conn, &run);
    if (datagram->len == segment)
        return;
    datagram->segment_bytes = segment;
    note_app_limit(conn, path);
    if (conn->log != NULL)
        conn_log_changes(conn);
    //= rfc9000#13.3 Frames that are on no record could never be repaired.
    if (run.assembly.out_of_memory)
        conn_fail(conn, ROAM_INTERNAL_ERROR, 0, "no memory");
}
