/*
 * Where the search for a path's datagram size (path/pmtud.h) meets packets: what was acknowledged, what was lost, what
 * the host refused; the congestion controller learns the new size, the application hears of it, and what a black hole
 * has swallowed is sent again.
 */
#include "conn/mtu.h"

#include "conn/datagrams.h"
#include "conn/paths.h"

static void on_size_changed(roam_conn *conn, struct path *path)
{
    congestion_set_datagram_bytes(&path->recovery.congestion, path_datagram_bytes(path));
    conn_path_event(conn, ROAM_EVENT_PATH_MTU, path, NULL);
}

void conn_mtu_on_acked(roam_conn *conn, struct path *path, const struct sent_packet *packet)
{
    if (packet->datagram_bytes >= DATAGRAM_BYTES_MIN)
        path->full_size_passed = max_u64(path->full_size_passed, packet->sent_at);
    uint32_t holes = path->pmtud.black_holes;
    if (!pmtud_on_acked(&path->pmtud, packet->datagram_bytes, packet->mtu_probe, packet->sent_at, conn->now))
        return;
    path->mtu_repair_due |= path->pmtud.black_holes > holes;
    on_size_changed(conn, path);
}

void conn_mtu_on_lost(roam_conn *conn, struct path *path, const struct sent_packet *packet)
{
    if (!pmtud_on_lost(&path->pmtud, packet->datagram_bytes, packet->mtu_probe, packet->sent_at, conn->now))
        return;
    path->mtu_repair_due = true;
    on_size_changed(conn, path);
}

/* Larger datagrams than this do not pass: what was in them is sent again in smaller ones. */
static void give_up_larger(roam_conn *conn, const struct path *path, size_t bytes)
{
    struct loss_context context = conn_loss_context(conn);
    loss_declare_larger(&conn->application.sent, SPACE_APPLICATION, &context, path->id, bytes);
}

void conn_mtu_repair(roam_conn *conn)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        if (!path->mtu_repair_due)
            continue;
        path->mtu_repair_due = false;
        give_up_larger(conn, path, path_datagram_bytes(path));
    }
}

void conn_mtu_on_too_large(roam_conn *conn, const roam_address *local, const roam_address *remote, size_t bytes)
{
    struct path *path = path_set_find_address(&conn->paths, local, remote);
    if (path == NULL || !conn_is_alive(conn) || bytes <= DATAGRAM_BYTES_MIN)
        return;
    bool changed = pmtud_on_too_large(&path->pmtud, bytes, conn->now);
    if (changed)
        on_size_changed(conn, path);
    /* None of that size has left, or will. */
    give_up_larger(conn, path, bytes - 1);
    conn->owner->wake(conn->owner->context, conn);
}

bool conn_mtu_is_too_small(roam_conn *conn, struct path *path)
{
    const roam_time timeout = path->validation.timeout;
    const roam_time asked_at = path_validation_asked_at(&path->validation);
    const bool heard = saturating_add(path->heard_at, timeout / 2) >= conn->now &&
                       saturating_add(path->heard_when_asked, timeout / 2) >= asked_at;
    const bool passed = saturating_add(conn->application.largest_acked_sent_at, timeout) >= conn->now;
    /* An acknowledgement proves no address, but it proves a size: only the answers were lost, or are withheld. */
    if (saturating_add(path->full_size_passed, timeout) >= conn->now)
        path->size_failures = 0;
    /* Where the peer is not heard to the end, it is an outage, or sleep, and says nothing about sizes; nor does it where
     * the peer was silent when the newest challenge left, and has only come back since. Nor, where it is heard and does
     * not hear us: that takes something small that was acknowledged, and a PTO brings it. */
    else if (heard && passed)
        path->size_failures++;
    if (path->size_failures < SIZE_FAILURES_MAX) {
        conn_validate_path(conn, path);
        return false;
    }
    path->too_small = true;
    pmtud_on_base_failed(&path->pmtud);
    return true;
}

void conn_mtu_on_proven(roam_conn *conn, struct path *path)
{
    path->too_small = false;
    path->size_failures = 0;
    pmtud_on_base_proven(&path->pmtud, conn->now);
}

size_t conn_mtu_probe_due(roam_conn *conn, struct path *path, size_t capacity)
{
    //= rfc9000#14.3 Nobody probes before the handshake is confirmed, nor a path that is not proven.
    bool proven = path->address_validated && path->validation.state != VALIDATION_RUNNING &&
                  path->validation.state != VALIDATION_FAILED;
    if (!conn->confirmed || !proven || conn->application.probes > 0 || !conn_data_waits(conn))
        return 0;
    //= rfc9000#18.2 Nothing larger than the peer takes.
    uint64_t limit = min_u64(min_u64(conn->peer.max_udp_payload, conn->config->max_datagram_bytes), capacity);
    return pmtud_next_probe(&path->pmtud, limit, conn->now);
}
