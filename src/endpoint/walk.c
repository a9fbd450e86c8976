/*
 * Ways through the table that take their time, and the way from a CID to its connection: see roam/roam.h. Kept: a walk
 * stands before a connection that is on the list, or at its end; the one that goes takes no walk with it.
 */
#include "endpoint/endpoint.h"

struct roam_table_walk {
    struct list_node link; /* of the endpoint's */
    roam_endpoint *endpoint;
    struct list_node *next; /* on its list of connections */
    roam_time began;
};

roam_table_walk *roam_table_walk_new(roam_endpoint *endpoint, roam_time now)
{
    roam_table_walk *walk = mem_zalloc(&endpoint->allocator, sizeof(*walk));
    if (walk == NULL)
        return NULL;
    walk->endpoint = endpoint;
    walk->next = endpoint->conns.next;
    walk->began = now;
    list_append(&endpoint->walks, &walk->link);
    return walk;
}

size_t roam_table_walk_next(roam_table_walk *walk, roam_conn_info *ret, size_t n)
{
    size_t written = 0;
    while (written < n && walk->next != &walk->endpoint->conns) {
        const roam_conn *conn = CONTAINER_OF(walk->next, roam_conn, endpoint_node);
        /* They stand in the order in which they were made: a server that is in demand would have no end. */
        if (conn->created > walk->began) {
            walk->next = &walk->endpoint->conns;
            break;
        }
        walk->next = walk->next->next;
        if (conn->state != ROAM_CONN_CLOSED)
            roam_conn_get_info(conn, &ret[written++]);
    }
    return written;
}

void roam_table_walk_free(roam_table_walk *walk)
{
    if (walk == NULL)
        return;
    list_unlink(&walk->link);
    mem_free(&walk->endpoint->allocator, walk, sizeof(*walk));
}

void endpoint_walks_pass(roam_endpoint *endpoint, const roam_conn *conn)
{
    LIST_FOR_EACH(node, &endpoint->walks)
    {
        roam_table_walk *walk = CONTAINER_OF(node, roam_table_walk, link);
        if (walk->next == &conn->endpoint_node)
            walk->next = walk->next->next;
    }
}

roam_conn *roam_endpoint_find(const roam_endpoint *endpoint, const roam_cid *cid)
{
    bool retired;
    return cid->len == 0 ? NULL : conn_table_find(&endpoint->table, cid, &retired);
}
