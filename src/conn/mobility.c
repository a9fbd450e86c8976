/*
 * The client moves by itself: see mobility.h. conn_mobility_run stands at the head of each transmit; it gathers the
 * facts, asks the policy (path/mobility.h) and does what it says. Nothing else here changes a connection.
 *
 *   a standby is asked        ask: a path with a CID of its own, RFC 9000 section 9.1
 *   the connection moves      take: to a proven path, or where it cannot stay to one that is proven meanwhile
 *   there is no network       start_waiting: nothing leaves the active path, and no timer of its runs
 *   ... and it is back        stop_waiting
 */
#include "conn/mobility.h"

#include "conn/paths.h"
#include "conn/preferred.h"

/* After a want of means (memory, paths) the policy is asked again. */
#define MEANS_RETRY ROAM_SECONDS(1)

/* A timer that has come due does not ask for itself sooner than this. */
#define DECISION_INTERVAL_MIN ROAM_MILLISECONDS(1)

bool conn_mobility_start(roam_conn *conn)
{
    if (conn->is_server || conn->config->mobility != ROAM_MOBILITY_AUTO)
        return true;
    conn->mobility = mem_zalloc(conn->allocator, sizeof(*conn->mobility));
    if (conn->mobility == NULL)
        return false;
    conn->mobility->next_at = ROAM_TIME_NEVER;
    conn_on_networks(conn, conn->now);
    return true;
}

void conn_mobility_end(roam_conn *conn)
{
    mem_free(conn->allocator, conn->mobility, sizeof(*conn->mobility));
    conn->mobility = NULL;
}

bool conn_is_waiting(const roam_conn *conn)
{
    return conn->mobility != NULL && conn->mobility->waiting;
}

void conn_mobility_on_confirmed(roam_conn *conn)
{
    if (conn->mobility != NULL)
        conn->mobility->due = true;
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

/* The way's path, made where there is none. NULL without memory, CID or room. */
static struct path *path_to(roam_conn *conn, const roam_network *network)
{
    const roam_address remote = mobility_remote_for(conn, network->local.family);
    struct path *path = path_set_find_address(&conn->paths, &network->local, &remote);
    if (path != NULL && path->id == conn->paths.active_id)
        return NULL;
    //= rfc9000#9.5-2 Never use one destination CID from more than one local address.
    if (path == NULL && conn_has_spare_cid(conn))
        path = conn_add_path(conn, &network->local, &remote);
    if (path == NULL || !remote_cid_assign(&conn->remote_cids, path->id))
        return NULL;
    path->address_validated = true; /* the 3x limit is a server's: we chose to go there */
    return path;
}

/* Paths that leave from an address which the host no longer has, but for the one in use. */
static void forget_gone(roam_conn *conn)
{
    for (size_t i = conn->paths.count; i-- > 0;) {
        struct path *path = conn->paths.paths[i];
        if (path->id != conn->paths.active_id && network_list_find_ip(conn->owner->networks, &path->local) == NULL)
            conn_forget_path(conn, path);
    }
}

/* For one standby no other is given up: they would take turns for ever, and use up the CIDs. */
static bool has_room_to_ask(const roam_conn *conn)
{
    const struct path *victim = conn_path_to_give_up(conn);
    return conn->paths.count < conn->paths.max || (victim != NULL && !victim->standby);
}

static void ask(roam_conn *conn, const roam_network *network)
{
    struct way_memory *way = mobility_recall(conn->mobility, &network->local);
    const bool has_path = mobility_path_of(conn, network) != NULL;
    struct path *path = has_path || has_room_to_ask(conn) ? path_to(conn, network) : NULL;
    if (path == NULL) {
        way->retry_at = saturating_add(conn->now, MEANS_RETRY);
        return;
    }
    way->asked_at = conn->now;
    path->standby = true;
    conn_validate_path(conn, path);
}

/* ---- Moving ------------------------------------------------------------------------------------------------------ */

/* A full-sized PING, so that it also feeds the server's 3x allowance. */
static void speak_up(roam_conn *conn)
{
    conn->ping_pending = conn->full_ping_pending = true;
}

static void begin_anew(struct mobility *mobility)
{
    mobility->waiting = mobility->quiet = mobility->refused = mobility->doubted = false;
    mobility->ptos = 0;
    mobility->doubted_at = 0;
}

/* False where it could not be done. */
static bool take(roam_conn *conn, const roam_network *network, bool proven, enum roam_move_why why)
{
    struct mobility *mobility = conn->mobility;
    struct path *path = path_to(conn, network);
    if (path == NULL) {
        mobility->next_at = saturating_add(conn->now, MEANS_RETRY);
        return false;
    }
    const uint64_t old_id = conn->paths.active_id;
    struct way_memory *old = mobility_recall(mobility, &path_set_active(&conn->paths)->local);
    if (old != NULL && why == ROAM_MOVE_QUIET)
        mobility_on_way_failed(old, conn->now);
    begin_anew(mobility);
    conn_move_to(conn, path, ROAM_EVENT_PATH_MOVED, why);
    /* What vanished there is sent again at once. It says nothing about the loss on a network that is there again. */
    if (why == ROAM_MOVE_QUIET) {
        conn_give_up_path(conn, old_id);
        path_set_find(&conn->paths, old_id)->loss_ppm = 0;
    }
    if (!proven)
        conn_validate_path(conn, path);
    forget_gone(conn);
    speak_up(conn);
    //= rfc9000#9.6.3-1 A client that moves before it has reached the preferred address asks there from its new one.
    if (!conn_is_closed_to_moves(conn, &conn->client->handshake_remote))
        conn_try_preferred_from(conn, &network->local, true);
    return true;
}

void conn_mobility_on_rebound(roam_conn *conn)
{
    if (conn->mobility == NULL)
        return;
    begin_anew(conn->mobility);
    conn->mobility->due = true;
}

//= rfc9000#9-5 Without a validated path the state could be discarded: that is left to the idle timeout.
//= rfc9000#9-6 Wait for a new path before the connection is discarded.
static void start_waiting(roam_conn *conn)
{
    if (conn->mobility->waiting)
        return;
    conn->mobility->waiting = true;
    conn_path_event(conn, ROAM_EVENT_PATH_LOST, path_set_active(&conn->paths), NULL);
}

/* The address is here again: the path goes on, through whatever the network makes of it now. */
static void stop_waiting(roam_conn *conn)
{
    struct path *path = path_set_active(&conn->paths);
    if (!conn->mobility->waiting)
        return;
    begin_anew(conn->mobility);
    conn->pto_count = 0;
    conn_path_event(conn, ROAM_EVENT_PATH_RESUMED, path, NULL);
    conn_validate_path(conn, path);
    speak_up(conn);
}

/* ---- The verdict ------------------------------------------------------------------------------------------------- */

static void tell_quiet(roam_conn *conn, bool quiet)
{
    if (quiet && !conn->mobility->quiet)
        conn_path_event(conn, ROAM_EVENT_PATH_QUIET, path_set_active(&conn->paths), NULL);
    conn->mobility->quiet = quiet;
}

static void keep_standbys(roam_conn *conn, const struct mobility_verdict *verdict)
{
    const struct network_list *networks = conn->owner->networks;
    for (size_t i = 0; i < conn->paths.count; i++)
        conn->paths.paths[i]->standby = false;
    for (size_t i = 0; i < networks->count; i++) {
        struct way_memory *way = mobility_recall(conn->mobility, &networks->entries[i].local);
        struct path *path = mobility_path_of(conn, &networks->entries[i]);
        if (path != NULL && (verdict->keep >> i & 1) != 0)
            path->standby = true;
        if ((verdict->better >> i & 1) == 0)
            way->better_since = 0;
        else if (way->better_since == 0)
            way->better_since = conn->now;
    }
}

static void act(roam_conn *conn, const struct mobility_verdict *verdict, const struct mobility_way *ways)
{
    const struct network_list *networks = conn->owner->networks;
    struct mobility *mobility = conn->mobility;
    mobility->on_packet = verdict->on_packet;
    mobility->next_at = verdict->next_at == ROAM_TIME_NEVER
                            ? ROAM_TIME_NEVER
                            : max_u64(verdict->next_at, saturating_add(conn->now, DECISION_INTERVAL_MIN));
    tell_quiet(conn, verdict->quiet);
    keep_standbys(conn, verdict);
    for (size_t i = 0; i < networks->count; i++)
        if ((verdict->ask >> i & 1) != 0)
            ask(conn, &networks->entries[i]);
    switch (verdict->action) {
    case MOBILITY_STAY:
        stop_waiting(conn);
        break;
    case MOBILITY_MOVE:
        /* Where it has just arrived, other standbys are wanted. */
        mobility->due = take(conn, &networks->entries[verdict->target], ways[verdict->target].proven, verdict->why);
        break;
    case MOBILITY_WAIT:
        start_waiting(conn);
        break;
    }
}

/* A connection that never was on any of the networks told of is none of their affair: it goes to this very host, or
 * over a socket of the application's. */
static bool is_on_the_list(roam_conn *conn)
{
    struct mobility *mobility = conn->mobility;
    mobility->listed |= conn->owner->networks->known && mobility_active_network(conn) != NULL;
    return mobility->listed;
}

void conn_mobility_run(roam_conn *conn)
{
    struct mobility_way ways[ROAM_NETWORKS_MAX];
    if (conn->mobility == NULL || !conn->mobility->due)
        return;
    conn->mobility->due = false;
    if (!is_on_the_list(conn))
        return;
    if (conn->confirmed)
        forget_gone(conn);
    struct mobility_facts facts = mobility_gather(conn, ways);
    struct mobility_verdict verdict = mobility_decide(&facts);
    act(conn, &verdict, ways);
}

roam_time conn_mobility_deadline(const roam_conn *conn)
{
    return conn->mobility != NULL ? conn->mobility->next_at : ROAM_TIME_NEVER;
}

void conn_mobility_expire(roam_conn *conn)
{
    if (conn_mobility_deadline(conn) <= conn->now)
        conn->mobility->due = true;
}
