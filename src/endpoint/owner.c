/* What connections ask of their endpoint: see struct conn_owner. */
#include "endpoint/endpoint.h"

void endpoint_wake(roam_endpoint *endpoint, roam_conn *conn)
{
    if (list_is_linked(&conn->endpoint_node) && !list_is_linked(&conn->ready_node))
        list_append(&endpoint->ready, &conn->ready_node);
}

static void owner_wake(void *context, roam_conn *conn)
{
    endpoint_wake(context, conn);
}

/* An application that has missed something would wait for it forever. The connection ends instead, when it is next asked
 * for datagrams: here it is in the middle of something. One that the application has not been told of ends unheard. */
static void owner_event(void *context, const roam_event *event)
{
    roam_endpoint *endpoint = context;
    roam_conn *conn = event->conn;
    if (event_queue_push(&endpoint->events, event))
        return;
    if (event->type == ROAM_EVENT_CLOSED) {
        conn->closed_untold = true;
        endpoint->closed_untold++;
        return;
    }
    if (event->type == ROAM_EVENT_ACCEPTED)
        conn->app_holds = false;
    conn->event_lost = true;
    endpoint_wake(endpoint, conn);
}

static bool owner_cid_new(void *context, roam_conn *conn, roam_cid *ret)
{
    return endpoint_cid_new(context, conn, ret);
}

static void owner_cid_reset_token(void *context, const roam_cid *cid, uint8_t ret[RESET_TOKEN_BYTES])
{
    endpoint_reset_token(context, cid, ret);
}

static void owner_cid_retired(void *context, roam_conn *conn, const roam_cid *cid)
{
    roam_endpoint *endpoint = context;
    (void)conn;
    if (endpoint->table.quarantine_count == QUARANTINE_MAX)
        endpoint->stats.limits[ROAM_LIMIT_RETIRED_CIDS]++;
    conn_table_quarantine(&endpoint->table, cid, endpoint->now);
}

static void owner_cid_gone(void *context, roam_conn *conn, const roam_cid *cid)
{
    roam_endpoint *endpoint = context;
    (void)conn;
    conn_table_remove(&endpoint->table, cid);
}

static void owner_reset_token_add(void *context, roam_conn *conn, const uint8_t token[RESET_TOKEN_BYTES])
{
    roam_endpoint *endpoint = context;
    conn_table_add_reset_token(&endpoint->table, token, conn);
}

static void owner_reset_token_remove(void *context, roam_conn *conn, const uint8_t token[RESET_TOKEN_BYTES])
{
    roam_endpoint *endpoint = context;
    conn_table_remove_reset_token(&endpoint->table, token, conn);
}

void endpoint_handshake_over(roam_endpoint *endpoint, roam_conn *conn)
{
    if (!conn->half_open)
        return;
    endpoint->half_open--;
    endpoint->prefixes.accounts[conn->prefix].half_open[conn->proven_at_start]--;
    conn->half_open = false;
}

static void owner_handshake_over(void *context, roam_conn *conn)
{
    endpoint_handshake_over(context, conn);
}

static size_t owner_new_token(void *context, uint32_t version, const roam_address *remote, uint8_t ret[TOKEN_BYTES_MAX])
{
    roam_endpoint *endpoint = context;
    struct token token = {.kind = TOKEN_NEW, .version = version, .issued = endpoint_unix_time(endpoint)};
    return token_seal(ret, endpoint->token_key, &endpoint->rng, &token, remote);
}

//= rfc8446#8.1 Each ticket brings early data once; what may have been forgotten brings none.
static bool owner_early_once(void *context, const struct early_terms *terms)
{
    roam_endpoint *endpoint = context;
    const struct token ticket = {.kind = TOKEN_NEW, .issued = terms->issued, .mark = terms->mark};
    if (endpoint->config.tokens_remembered == 0 || !token_filter_allows(&endpoint->used_tickets, &ticket)) {
        endpoint->stats.early_data_refused++;
        return false;
    }
    endpoint_use_up(endpoint, &endpoint->used_tickets, &ticket);
    return true;
}

static void owner_observe(void *context, const struct observed_packet *packet)
{
    const roam_endpoint *endpoint = context;
    if (endpoint->observe != NULL)
        endpoint->observe(endpoint->observe_context, packet);
}

static size_t owner_invitation(void *context, const uint8_t shared_key[ROAM_STATIC_KEY_BYTES], const roam_cid *dcid,
                               uint8_t ret[TOKEN_BYTES_MAX])
{
    roam_endpoint *endpoint = context;
    uint8_t key[TOKEN_KEY_BYTES];
    invitation_key_derive(key, shared_key);
    size_t len = invitation_seal(ret, key, &endpoint->rng, dcid, endpoint_unix_time(endpoint));
    wipe(key, sizeof(key));
    return len;
}

void endpoint_owner_init(roam_endpoint *endpoint)
{
    endpoint->owner = (struct conn_owner){
        .context = endpoint,
        .rng = &endpoint->rng,
        .id_key = endpoint->id_key,
        .totals = &endpoint->stats,
        .networks = &endpoint->networks,
        .event = owner_event,
        .cid_new = owner_cid_new,
        .cid_reset_token = owner_cid_reset_token,
        .cid_retired = owner_cid_retired,
        .cid_gone = owner_cid_gone,
        .reset_token_add = owner_reset_token_add,
        .reset_token_remove = owner_reset_token_remove,
        .wake = owner_wake,
        .handshake_over = owner_handshake_over,
        .new_token = owner_new_token,
        .early_once = owner_early_once,
        .invitation = owner_invitation,
    };
}

void endpoint_set_packet_observer(roam_endpoint *endpoint,
                                  void (*observe)(void *context, const struct observed_packet *packet), void *context)
{
    endpoint->observe = observe;
    endpoint->owner.observe = observe != NULL ? owner_observe : NULL;
    endpoint->observe_context = context;
}
