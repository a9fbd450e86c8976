/*
 * The client moves by itself: see mobility.h. Facts come in by conn_on_networks, conn_on_send_failed and conn_on_woke,
 * which only note them and wake the connection; conn_mobility_run, at the head of each transmit, acts on them.
 */
#include "conn/mobility.h"

#include "conn/paths.h"

static void note(roam_conn *conn)
{
    conn->mobility->due = true;
    conn->owner.wake(conn->owner.context, conn);
}

bool conn_mobility_start(roam_conn *conn)
{
    if (conn->is_server || conn->config->mobility != ROAM_MOBILITY_AUTO)
        return true;
    conn->mobility = mem_zalloc(conn->allocator, sizeof(*conn->mobility));
    return conn->mobility != NULL;
}

void conn_mobility_end(roam_conn *conn)
{
    mem_free(conn->allocator, conn->mobility, sizeof(*conn->mobility));
    conn->mobility = NULL;
}

/* ---- What is heard */

void conn_on_networks(roam_conn *conn, roam_time now)
{
    conn->now = now;
    if (conn->mobility == NULL || !conn_is_alive(conn))
        return;
    conn->mobility->active_refused = false;
    note(conn);
}

void conn_on_send_failed(roam_conn *conn, roam_time now, const roam_address *local, const roam_address *remote,
                         enum roam_send_failure why, size_t bytes)
{
    const struct path *active = path_set_active(&conn->paths);
    conn->now = now;
    if (why == ROAM_SEND_TOO_LARGE) {
        conn_mtu_on_too_large(conn, local, remote, bytes);
        return;
    }
    if (conn->mobility == NULL || !conn_is_alive(conn))
        return;
    if (!roam_address_equal(&active->local, local) || !roam_address_equal(&active->remote, remote))
        return;
    conn->mobility->active_refused = true;
    note(conn);
}

void conn_on_woke(roam_conn *conn, roam_time now, roam_time slept)
{
    conn->now = now;
    if (!conn_is_alive(conn))
        return;
    /* The peer's idle timer went on (RFC 9000 section 10.1). */
    conn->idle_from = saturating_sub(conn->idle_from, slept);
    if (!conn->is_server && conn->confirmed)
        conn->ping_pending = conn->full_ping_pending = true;
    conn->owner.wake(conn->owner.context, conn);
}

/* ---- What the application wants */

static struct network_rule *find_rule(struct mobility *mobility, const char *network)
{
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (strcmp(mobility->rules[i].network, network) == 0)
            return &mobility->rules[i];
    return NULL;
}

static bool rule_applies(const struct network_rule *rule, const roam_network *network)
{
    if (roam_address_is_set(&rule->address))
        return roam_address_same_ip(&rule->address, &network->local);
    return strcmp(rule->network, network->name) == 0;
}

roam_result roam_conn_network_rule(roam_conn *conn, roam_time now, const char *network, enum roam_network_rule rule)
{
    struct mobility *mobility = conn->mobility;
    conn->now = now;
    if (!conn_is_alive(conn))
        return ROAM_ERR_CLOSED;
    if (mobility == NULL)
        return ROAM_ERR_STATE;
    if (network[0] == '\0' || strlen(network) >= sizeof(mobility->rules[0].network))
        return ROAM_ERR_ADDRESS;
    struct network_rule *entry = find_rule(mobility, network);
    if (entry == NULL) {
        if (mobility->rule_count == ROAM_NETWORK_RULES_MAX)
            return ROAM_ERR_LIMIT;
        entry = &mobility->rules[mobility->rule_count++];
        *entry = (struct network_rule){0};
        memcpy(entry->network, network, strlen(network));
        roam_address_parse(&entry->address, network);
    }
    entry->rule = rule;
    if (rule == ROAM_NETWORK_NEUTRAL)
        *entry = mobility->rules[--mobility->rule_count];
    note(conn);
    return ROAM_OK;
}

static enum roam_network_rule rule_of(const struct mobility *mobility, const roam_network *network)
{
    enum roam_network_rule found = ROAM_NETWORK_NEUTRAL;
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (rule_applies(&mobility->rules[i], network))
            found = mobility->rules[i].rule > found ? mobility->rules[i].rule : found;
    return found;
}

static bool may_use(const struct mobility *mobility, const roam_network *network)
{
    for (size_t i = 0; i < mobility->rule_count; i++)
        if (mobility->rules[i].rule == ROAM_NETWORK_FORCE)
            return rule_of(mobility, network) == ROAM_NETWORK_FORCE;
    return rule_of(mobility, network) != ROAM_NETWORK_FORBID;
}

/* ---- What is done */

static bool is_here(const roam_conn *conn)
{
    const struct network_list *networks = conn->owner.networks;
    const roam_network *network = network_list_find_ip(networks, roam_conn_local_address(conn));
    return !networks->known || (network != NULL && may_use(conn->mobility, network));
}

static bool is_better(const struct mobility *mobility, const roam_network *a, const roam_network *b)
{
    bool preferred_a = rule_of(mobility, a) == ROAM_NETWORK_PREFER,
         preferred_b = rule_of(mobility, b) == ROAM_NETWORK_PREFER;
    if (preferred_a != preferred_b)
        return preferred_a;
    return a->preference != b->preference ? a->preference > b->preference : a->is_default && !b->is_default;
}

static const roam_network *find_refuge(const roam_conn *conn)
{
    const struct network_list *networks = conn->owner.networks;
    const struct path *active = path_set_active(&conn->paths);
    const roam_network *found = NULL;
    for (size_t i = 0; i < networks->count; i++) {
        const roam_network *network = &networks->entries[i];
        if (network->local.family != active->remote.family || roam_address_equal(&network->local, &active->local) ||
            !may_use(conn->mobility, network))
            continue;
        if (found == NULL || is_better(conn->mobility, network, found))
            found = network;
    }
    return found;
}

/* At once, and unproven: where we were we cannot stay (RFC 9000 section 9.2 lets a client do so). */
static void flee_to(roam_conn *conn, const roam_network *network)
{
    const roam_address remote = path_set_active(&conn->paths)->remote;
    struct path *path = path_set_find_address(&conn->paths, &network->local, &remote);
    if (path == NULL) {
        //= rfc9000#9.5-2 Never use one destination CID from more than one local address.
        if (remote_cid_spare(&conn->remote_cids) == 0 || (path = conn_add_path(conn, &network->local, &remote)) == NULL)
            return;
        remote_cid_assign(&conn->remote_cids, path->id);
        path->address_validated = true;
    }
    conn_move_to(conn, path, ROAM_EVENT_PATH_MOVED);
    conn_validate_path(conn, path);
    conn->ping_pending = conn->full_ping_pending = true;
    conn->mobility->active_refused = false;
}

void conn_mobility_run(roam_conn *conn)
{
    struct mobility *mobility = conn->mobility;
    if (mobility == NULL || !mobility->due)
        return;
    mobility->due = false;
    //= rfc9000#9-1 Do not start migration before the handshake is confirmed.
    if (!conn->confirmed)
        return;
    const roam_network *refuge = find_refuge(conn);
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address.
    bool may_leave = !conn->peer.disable_active_migration && refuge != NULL;
    if (may_leave && (!is_here(conn) || mobility->active_refused))
        flee_to(conn, refuge);
    mobility->waiting = !is_here(conn);
}

bool conn_is_waiting(const roam_conn *conn)
{
    return conn->mobility != NULL && conn->mobility->waiting;
}
