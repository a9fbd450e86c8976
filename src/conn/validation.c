/*
 * Path validation, RFC 9000 section 8.2, as the connection sees it: challenges in and out of which something comes, and
 * what becomes of a path, and of the connection, where nobody answers.
 *
 *   proof      conn_on_path_response: path_on_proven
 *   no proof   conn_expire_paths: fall back to the last validated address, or the end (section 9.3.2)
 */
#include "conn/cids.h"
#include "conn/mobility.h"
#include "conn/move_stats.h"
#include "conn/mtu.h"
#include "conn/paths.h"
#include "conn/preferred.h"

/* ---- Challenges and responses */

uint64_t conn_on_path_challenge(roam_conn *conn, const struct packet_context *context, const uint8_t *data)
{
    //= rfc9000#8.2.2-3 Send PATH_RESPONSE on the path the challenge came in on.
    struct path *path = path_set_find(&conn->paths, context->path_id);
    conn->counters.challenges_received++;
    if (path != NULL) {
        if (conn->is_server && path->id != conn->paths.active_id)
            path->probed_at = conn->now;
        /* Without memory for it, the challenge counts as lost: the peer asks again. */
        if (path_set_rouse(&conn->paths, path) && !path_owe_response(path, data, conn->now))
            conn_count_limit(conn, ROAM_LIMIT_PATH_RESPONSES);
        conn_path_data_event(conn, ROAM_EVENT_PATH_CHALLENGE_RECEIVED, path, data);
    }
    return ROAM_NO_ERROR;
}

/* A path that came from another one by a rebinding is proven: nothing that went to the dead mapping will be
 * acknowledged. */
static void give_up_dead_mapping(roam_conn *conn, const struct path *proven)
{
    if (!proven->nat_rebinding || proven->id != conn->paths.active_id)
        return;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *other = conn->paths.paths[i];
        if (other->id != proven->id && roam_address_same_ip(&other->remote, &proven->remote))
            conn_give_up_path(conn, other->id);
    }
}

static void path_on_proven(roam_conn *conn, struct path *path, roam_time delay, bool complete)
{
    if (!path->address_validated) {
        path->address_validated = true;
        path_budget_on_proven(&conn->path_budget);
        if (path->id == conn->paths.active_id)
            conn_offer_token(conn, path);
        give_up_dead_mapping(conn, path);
    }
    if (!path->recovery.rtt.has_sample && delay > 0)
        rtt_init(&path->recovery.rtt, delay); //= rfc9002#6.2.2 The delay may seed the initial RTT.
    if (!complete)
        return;
    conn_mtu_on_proven(conn, path);
    if (path->id == conn->paths.active_id)
        conn_recall_path(conn, path);
    conn->owner->totals->paths_validated++;
    conn_mobility_on_proven(conn, path, delay);
    conn_path_event(conn, ROAM_EVENT_PATH_VALIDATED, path, NULL);
    move_stats_on_proven(conn, path);
    conn_preferred_on_validated(conn, path);
    /* A server looks when it has read the packet, which may say that the peer is elsewhere by now. */
    if (!conn->is_server)
        conn_move_waiting(conn);
}

uint64_t conn_on_path_response(roam_conn *conn, const struct packet_context *context, const uint8_t *data)
{
    (void)context; //= rfc9000#8.2.2-4 A PATH_RESPONSE is not rejected merely because it came in on another path.
    conn->counters.responses_received++;
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        roam_time delay = 0;
        enum validation_answer answer = path_validation_on_response(&path->validation, data, conn->now, &delay);
        if (answer == VALIDATION_NO_MATCH)
            continue;
        if (answer == VALIDATION_REPEAT)
            return ROAM_NO_ERROR;
        conn_path_data_event(conn, ROAM_EVENT_PATH_ANSWERED, path, data);
        path_on_proven(conn, path, delay, answer == VALIDATION_COMPLETE);
        return ROAM_NO_ERROR;
    }
    return ROAM_NO_ERROR;
}

/* ---- Time */

/* Nobody answered on the active path. */
//= rfc9000#21.1.3.1-1 Who holds up one path cannot keep the connection from another one.
//= rfc9000#21.1.3.2-2 An attacker who sees none of the challenges cannot make this happen.
//= rfc9000#21.1.3.3-1 Limited on-path attacker cannot close an established connection: what he makes us move to is left
// again.
//= rfc9000#21.1.3.3-2 Nor an idle one, when the client resumes first: its next packet moves it back.
static void fall_back(roam_conn *conn)
{
    struct path *failed = path_set_active(&conn->paths);
    struct path *fallback = path_set_find(&conn->paths, conn->paths.fallback_id);
    if (fallback == NULL) {
        //= rfc9000#9.3.2-2 With no last validated address known, drop the connection silently with all state.
        conn_end(conn, ROAM_CLOSE_NO_VIABLE_PATH);
        return;
    }
    //= rfc9000#9.3.2-1 Fall back to the last validated address when validation of the new one fails.
    conn_move_to(conn, fallback, ROAM_EVENT_PATH_REVERTED, ROAM_MOVE_PEER);
    /* The failed path is the first to go when room is needed; until then a peer that is there after all finds it,
     * and its CID. */
    conn_give_up_path(conn, failed->id);
}

/* The last validated address is kept, whatever became of a new challenge there, until the active one is proven. */
static bool is_last_resort(const roam_conn *conn, const struct path *path)
{
    return path->id == conn->paths.fallback_id && !path_set_active(&conn->paths)->address_validated;
}

/* The peer is there, and 1200 octets do not get there. */
static void leave_small_path(roam_conn *conn)
{
    const struct path *fallback = path_set_find(&conn->paths, conn->paths.fallback_id);
    //= rfc9000#14.2-4 Stop sending on a path whose PMTU falls under 1200, close if it is the only one.
    if (fallback != NULL && fallback->validation.state != VALIDATION_FAILED)
        fall_back(conn);
    else
        //= rfc9000#8.2.4-3 Signal NO_VIABLE_PATH when no path supports the MTU.
        conn_close_with(conn, ROAM_CLOSE_NO_VIABLE_PATH, ROAM_NO_VIABLE_PATH, 0, "the path does not carry 1200 octets");
}

//= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
void conn_on_validation_failed(roam_conn *conn, struct path *path)
{
    conn->owner->totals->paths_failed++;
    conn_mobility_on_failed(conn, path);
    conn_path_event(conn, ROAM_EVENT_PATH_FAILED, path, NULL);
    conn_preferred_on_failed(conn, path);
    /* At the address that was left nobody need be any more. */
    if (!path->address_validated)
        path_budget_on_failed(&conn->path_budget);
    if (path->id == conn->paths.active_id) {
        if (!conn->is_server)
            return;
        if (!path->address_validated)
            fall_back(conn);
        else if (conn_mtu_is_too_small(conn, path))
            leave_small_path(conn);
        return;
    }
    if (!is_last_resort(conn, path) && !path->too_small && !path->standby)
        conn_forget_path(conn, path);
}

void conn_fail_path(roam_conn *conn, struct path *path)
{
    conn->owner->totals->paths_failed++;
    conn_path_event(conn, ROAM_EVENT_PATH_FAILED, path, NULL);
    conn_preferred_on_failed(conn, path);
    conn_forget_path(conn, path);
}

/* When a path that nobody uses is forgotten. */
static roam_time linger_deadline(const roam_conn *conn, const struct path *path)
{
    if (path->id == conn->paths.active_id || path->validation.state == VALIDATION_RUNNING || path->standby ||
        is_last_resort(conn, path))
        return ROAM_TIME_NEVER;
    roam_time until = saturating_add(path->last_used, PATH_LINGER);
    /* Where the peer has asked without moving there, it means to come, and need not be asked then. */
    if (path->probed_at != 0 && path_validation_has_succeeded(&path->validation))
        until = max_u64(until, saturating_add(path->probed_at, STANDBY_LINGER));
    return until;
}

static struct path *next_expired(roam_conn *conn, bool *ret_failed)
{
    for (size_t i = 0; i < conn->paths.count; i++) {
        struct path *path = conn->paths.paths[i];
        *ret_failed = path_validation_deadline(&path->validation) <= conn->now &&
                      path_validation_expire(&path->validation, conn->now);
        if (*ret_failed || linger_deadline(conn, path) <= conn->now)
            return path;
    }
    return NULL;
}

void conn_expire_paths(roam_conn *conn)
{
    struct path *path;
    bool failed;
    while (conn_is_alive(conn) && (path = next_expired(conn, &failed)) != NULL) {
        if (failed)
            conn_on_validation_failed(conn, path);
        else
            conn_forget_path(conn, path);
    }
}

roam_time conn_paths_deadline(const roam_conn *conn)
{
    roam_time ret = ROAM_TIME_NEVER;
    for (size_t i = 0; i < conn->paths.count; i++) {
        const struct path *path = conn->paths.paths[i];
        ret = min_u64(ret, path_validation_deadline(&path->validation));
        ret = min_u64(ret, linger_deadline(conn, path));
    }
    return ret;
}
