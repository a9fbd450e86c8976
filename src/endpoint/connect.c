/* roam_connect: a client's connection is made, and started as soon as its address is known. */
#include "conn/config_copy.h"
#include "endpoint/endpoint.h"

static bool choose_addresses(const char *host, const roam_config *config, struct conn_create *create)
{
    roam_address remote;
    if (config->local != NULL)
        create->local = *config->local;
    if (config->remote != NULL)
        remote = *config->remote;
    else if (!roam_address_parse(&remote, host))
        return false;
    create->remote = roam_address_unmap(&remote);
    if (config->remote == NULL || remote.port == 0)
        create->remote.port = create->port;
    return true;
}

/* True where both may be one socket. What is not known yet may be any. */
static bool may_share_socket(const roam_address *a, const roam_address *b)
{
    static const uint8_t any[sizeof(a->ip)];
    if (!roam_address_is_set(a) || !roam_address_is_set(b))
        return true;
    if (a->family != b->family || (a->port != b->port && a->port != 0 && b->port != 0))
        return false;
    return roam_address_same_ip(a, b) || memcmp(a->ip, any, sizeof(any)) == 0 || memcmp(b->ip, any, sizeof(any)) == 0;
}

static bool is_taken(const roam_endpoint *endpoint, const roam_address *local)
{
    LIST_FOR_EACH(node, &endpoint->conns)
    {
        const roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        for (size_t i = 0; conn->state != ROAM_CONN_CLOSED && i < conn->paths.count; i++) {
            if (may_share_socket(&conn->paths.paths[i]->local, local))
                return true;
        }
    }
    return false;
}

static roam_conn *connect_to(roam_endpoint *endpoint, const char *host, uint16_t port, const roam_config *config,
                             roam_result *ret_result)
{
    struct conn_create create = {
        .owner = &endpoint->owner,
        .allocator = &endpoint->allocator,
        .config = config,
        .frame_pool = &endpoint->frame_pool,
        .qlog = endpoint->qlog.open != NULL ? &endpoint->qlog : NULL,
        .keylog = endpoint->keylog.write != NULL ? &endpoint->keylog : NULL,
        .version = endpoint->config.force_version,
        .now = endpoint->now,
        .host = host,
        .port = port,
    };
    bool known = choose_addresses(host, config, &create);
    //= rfc9000#5.1-3 Zero-length CIDs are not shared between connections of one local address and port.
    if (endpoint->config.cid_bytes == 0 && endpoint->conn_count > 0 && is_taken(endpoint, &create.local)) {
        *ret_result = ROAM_ERR_ADDRESS;
        return NULL;
    }
    roam_conn *conn = conn_new(&create, ret_result);
    if (conn != NULL && !endpoint_adopt(endpoint, conn)) {
        *ret_result = ROAM_ERR_MEMORY;
        conn_delete(conn);
        return NULL;
    }
    if (conn == NULL)
        return NULL;
    endpoint->stats.connections_opened++;
    if (known) {
        const roam_address remote = create.remote;
        conn_start(conn, &remote);
    } else {
        conn_event(conn, ROAM_EVENT_RESOLVE);
    }
    return conn;
}

roam_conn *roam_connect(roam_endpoint *endpoint, const char *host, uint16_t port, const roam_config *config,
                        roam_time now, roam_result *ret_result)
{
    roam_result ignored;
    roam_result *result = ret_result != NULL ? ret_result : &ignored;
    endpoint->now = now;
    *result = config_check(config);
    if (*result != ROAM_OK)
        return NULL;
    *result = ROAM_ERR_MEMORY;
    return connect_to(endpoint, host, port, config, result);
}
