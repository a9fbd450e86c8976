/* What the oracle holds against connections whose server would rather be elsewhere: see oracle.h. */
#include "conn/preferred.h"
#include "sim/oracle.h"

#define FRAME_BIT(type) (UINT64_C(1) << (type))

bool oracle_is_probing(uint64_t frames)
{
    const uint64_t probing = FRAME_BIT(FRAME_PADDING) | FRAME_BIT(FRAME_PATH_CHALLENGE) |
                             FRAME_BIT(FRAME_PATH_RESPONSE) | FRAME_BIT(FRAME_NEW_CONNECTION_ID);
    return (frames & ~probing) == 0;
}

/* Between the client and another address of the server's than that of the handshake. */
void oracle_check_preferred(struct host *host, const struct conn_view *view, const struct observed_packet *packet)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    const roam_conn *conn = packet->conn;
    const struct path *path = path_set_find(&conn->paths, packet->path_id);
    if (packet->type != PACKET_ONE_RTT || oracle_is_probing(packet->frames) || path == NULL ||
        conn->preferred == PREFERRED_NONE || conn->state != ROAM_CONN_ESTABLISHED)
        return;
    bool known = host->is_server ? roam_address_equal(&packet->local, &conn->home->local) ||
                                       path_validation_has_succeeded(&path->validation)
                                 : roam_address_equal(&packet->remote, &conn->client->handshake_remote) ||
                                       roam_address_equal(&packet->remote, &view->validated_server);
    /* A client that has moved on, under the server's eyes, is followed as on any move (section 9.3). */
    if (!known && !(host->is_server && conn->preferred == PREFERRED_REACHED))
        world_fail(host->world, "%s: sends more than probes between %s and a client that is not validated there",
                   host->name, roam_address_format(host->is_server ? &packet->local : &packet->remote, text));
}

/* A server goes to its preferred address when the path there is validated (RFC 9000 section 9.6.2). */
void oracle_check_move_to_preferred(struct host *host, struct conn_view *view, const roam_event *event)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    const roam_conn *conn = event->conn;
    const struct path *path = path_set_find(&conn->paths, event->path_id);
    bool there = conn->preferred != PREFERRED_NONE && !roam_address_equal(&event->local, &conn->home->local);
    if (there && !view->at_preferred && path != NULL && !path_validation_has_succeeded(&path->validation))
        world_fail(host->world, "%s: goes to its preferred address, and nobody has proven to be at %s", host->name,
                   roam_address_format(&event->remote, text));
    view->at_preferred = there;
}
