/* What the host tells of its networks, handed on to the connections. Nothing is decided here: see conn/mobility.c. */
#include "conn/mobility.h"
#include "endpoint/endpoint.h"

void roam_endpoint_networks(roam_endpoint *endpoint, roam_time now, const roam_network *networks, size_t n)
{
    endpoint->now = now;
    network_list_set(&endpoint->networks, networks, n);
    LIST_FOR_EACH(node, &endpoint->conns)
    conn_on_networks(CONTAINER_OF(node, roam_conn, endpoint_node), now);
}

void roam_endpoint_send_failed(roam_endpoint *endpoint, roam_time now, const roam_address *local,
                               const roam_address *remote, enum roam_send_failure why, size_t bytes)
{
    const roam_address from = roam_address_unmap(local), to = roam_address_unmap(remote);
    endpoint->now = now;
    LIST_FOR_EACH(node, &endpoint->conns)
    conn_on_send_failed(CONTAINER_OF(node, roam_conn, endpoint_node), now, &from, &to, why, bytes);
}

void roam_endpoint_woke(roam_endpoint *endpoint, roam_time now, roam_time slept)
{
    endpoint->now = now;
    /* The day went on without our clock. */
    endpoint->config.unix_time_offset = saturating_add(endpoint->config.unix_time_offset, slept);
    LIST_FOR_EACH(node, &endpoint->conns)
    conn_on_woke(CONTAINER_OF(node, roam_conn, endpoint_node), now, slept);
}
