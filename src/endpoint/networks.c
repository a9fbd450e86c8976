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

void endpoint_note_sender(roam_endpoint *endpoint, roam_conn *conn)
{
    endpoint->senders[endpoint->sender_next] = conn;
    endpoint->sender_next = (endpoint->sender_next + 1) % SENDERS_KEPT;
}

void endpoint_forget_sender(roam_endpoint *endpoint, const roam_conn *conn)
{
    for (size_t i = 0; i < SENDERS_KEPT; i++)
        if (endpoint->senders[i] == conn)
            endpoint->senders[i] = NULL;
}

static bool stands_before(const roam_endpoint *endpoint, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (endpoint->senders[i] == endpoint->senders[at])
            return true;
    return false;
}

void roam_endpoint_send_failed(roam_endpoint *endpoint, roam_time now, const roam_address *local,
                               const roam_address *remote, enum roam_send_failure why, size_t bytes)
{
    const roam_address from = roam_address_unmap(local), to = roam_address_unmap(remote);
    endpoint->now = now;
    for (size_t i = 0; i < SENDERS_KEPT; i++)
        if (endpoint->senders[i] != NULL && !stands_before(endpoint, i))
            conn_on_send_failed(endpoint->senders[i], now, &from, &to, why, bytes);
}

void roam_endpoint_woke(roam_endpoint *endpoint, roam_time now, roam_time slept)
{
    endpoint->now = now;
    /* The day went on without our clock. */
    endpoint->config.unix_time_offset = saturating_add(endpoint->config.unix_time_offset, slept);
    LIST_FOR_EACH(node, &endpoint->conns)
    conn_on_woke(CONTAINER_OF(node, roam_conn, endpoint_node), now, slept);
}
