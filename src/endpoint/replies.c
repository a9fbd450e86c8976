/* Datagrams that belong to no connection: Version Negotiation, Retry, refusals, Stateless Resets. They wait here, at
 * most REPLIES_MAX, until the next transmit. */
#include "endpoint/endpoint.h"

struct reply *reply_new(roam_endpoint *endpoint, const roam_datagram *datagram, size_t capacity)
{
    //= rfc9000#21.5.6-6 Who answers to that port is another service, and what we would say has octets of the sender's
    // choice in it (section 21.5.5).
    if (migration_port_is_blocked(datagram->remote.port)) {
        endpoint_count_drop(endpoint, ROAM_DROP_BLOCKED_PORT);
        return NULL;
    }
    if (endpoint->reply_count >= REPLIES_MAX) {
        endpoint_count_drop(endpoint, ROAM_DROP_REPLY_QUEUE_FULL);
        return NULL;
    }
    struct reply *reply = mem_alloc(&endpoint->allocator, sizeof(*reply) + capacity);
    if (reply == NULL) {
        endpoint_count_drop(endpoint, ROAM_DROP_OUT_OF_MEMORY);
        return NULL;
    }
    *reply = (struct reply){.local = datagram->local, .remote = datagram->remote, .capacity = capacity};
    *endpoint->replies_end = reply;
    endpoint->replies_end = &reply->next;
    endpoint->reply_count++;
    return reply;
}

static void unlink_first(roam_endpoint *endpoint)
{
    struct reply *reply = endpoint->replies;
    endpoint->replies = reply->next;
    if (endpoint->replies == NULL)
        endpoint->replies_end = &endpoint->replies;
    endpoint->reply_count--;
    mem_free(&endpoint->allocator, reply, sizeof(*reply) + reply->capacity);
}

bool reply_take(roam_endpoint *endpoint, roam_datagram *ret)
{
    while (endpoint->replies != NULL) {
        const struct reply *reply = endpoint->replies;
        bool fits = reply->len > 0 && reply->len <= ret->capacity;
        if (fits) {
            memcpy(ret->data, reply->data, reply->len);
            ret->len = reply->len;
            ret->local = reply->local;
            ret->remote = reply->remote;
            ret->segment_bytes = 0;
            ret->ecn = ROAM_ECN_NOT_ECT;
        }
        unlink_first(endpoint);
        if (fits)
            return true;
    }
    return false;
}

void replies_free(roam_endpoint *endpoint)
{
    while (endpoint->replies != NULL)
        unlink_first(endpoint);
}
