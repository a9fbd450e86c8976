/*
 * Two silences, and full-sized PINGs about them, which also feed the server's 3x allowance at an address that is new to
 * it:
 *
 *   a busy download stops      recovery/arrivals.h says after which fraction of a round trip that is news
 *   nothing comes for a PTO    while streams are open, or a limit of flow control stops us
 *
 * Whatever was lost of that, the PTO repeats.
 */
#include "conn/silence.h"

#include "conn/mobility.h"

/* ---- In mid-download */

static roam_time stopped_deadline(const roam_conn *conn)
{
    if (conn->client == NULL || conn->client->asks_nothing || !conn->confirmed || conn->ping_pending ||
        conn_is_waiting(conn))
        return ROAM_TIME_NEVER;
    return arrivals_ask_at(&conn->client->arrivals, &path_set_active(&conn->paths)->recovery.rtt);
}

static void ask_why_it_stopped(roam_conn *conn)
{
    if (stopped_deadline(conn) > conn->now)
        return;
    if (!stream_set_is_receiving(&conn->streams)) {
        arrivals_expect_none(&conn->client->arrivals);
        return;
    }
    arrivals_on_asked(&conn->client->arrivals, conn->now);
    conn->ping_pending = conn->full_ping_pending = true;
}

/* ---- For a PTO */

/* A client may be waiting for the server while it has streams, and surely is while a limit of flow control stops it,
 * which only a frame of the server's can raise; and nothing of its own is on the way that a PTO would repeat. */
static bool waits_for_server(const roam_conn *conn)
{
    if (!conn->confirmed || conn->is_server || conn->application.sent.ack_eliciting > 0 || conn->ping_pending ||
        conn_is_waiting(conn))
        return false;
    return conn->streams.awaiting_credit ||
           (!stream_set_is_empty(&conn->streams) && conn->silence_pings < SILENCE_PINGS_MAX);
}

static roam_time quiet_deadline(const roam_conn *conn)
{
    if (!waits_for_server(conn))
        return ROAM_TIME_NEVER;
    roam_time wait = saturating_mul(conn_pto(conn), UINT64_C(1) << min_u64(conn->silence_pings, PTO_BACKOFF_MAX));
    return saturating_add(conn_last_activity(conn), wait);
}

//= rfc9000#21.1.3.3-2 A client that resumes speaks first, and whoever moved its traffic meanwhile has lost the race.
static void break_silence(roam_conn *conn)
{
    if (quiet_deadline(conn) > conn->now)
        return;
    conn->silence_pings++;
    conn->ping_pending = conn->full_ping_pending = true;
    conn_mobility_on_silence(conn);
}

/* ---- Both */

roam_time conn_silence_deadline(const roam_conn *conn)
{
    return min_u64(stopped_deadline(conn), quiet_deadline(conn));
}

void conn_silence_expire(roam_conn *conn)
{
    ask_why_it_stopped(conn);
    break_silence(conn);
}

void conn_silence_on_packet(roam_conn *conn, const struct packet_context *context)
{
    const struct rtt *rtt = &path_set_active(&conn->paths)->recovery.rtt;
    if (!context->ack_eliciting)
        return;
    conn->silence_pings = 0;
    if (conn->client == NULL || context->space != SPACE_APPLICATION)
        return;
    if ((context->frames & frame_bit(FRAME_PATH_CHALLENGE)) != 0)
        arrivals_excuse(&conn->client->arrivals, conn->now, rtt);
    arrivals_on_received(&conn->client->arrivals, conn->now, context->datagram_bytes, rtt);
}
