/*
 * What an endpoint and its connections may have of memory in all, and who goes first when it runs out: those who are not
 * here yet, then the newest handshakes, and established connections last. See roam_endpoint_config.max_memory_bytes.
 *
 * The allocator that all of them use counts, and refuses beyond the limit. TLS allocates by itself: for each handshake a
 * fixed amount stands for that.
 */
#include "endpoint/endpoint.h"

/* What GnuTLS takes in a handshake, about. */
#define TLS_BYTES 32768

/* Handshakes that are ended at a time: what they have held is only free when they are told of. */
#define SHED_AT_ONCE 8

static void *count_and_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct endpoint_memory *memory = context;
    if (new_bytes > old_bytes && new_bytes - old_bytes > saturating_sub(memory->limit, memory->bytes))
        return NULL;
    void *result = memory->source.reallocate(memory->source.context, ptr, old_bytes, new_bytes);
    if (result != NULL || new_bytes == 0)
        memory->bytes = memory->bytes - old_bytes + new_bytes;
    return result;
}

void endpoint_memory_init(roam_endpoint *endpoint)
{
    endpoint->memory =
        (struct endpoint_memory){.source = endpoint->allocator, .limit = endpoint->config.max_memory_bytes};
    if (endpoint->memory.limit != 0)
        endpoint->allocator = (roam_allocator){.reallocate = count_and_reallocate, .context = &endpoint->memory};
}

/* More than so many sixteenths are taken. */
static bool is_above(const roam_endpoint *endpoint, unsigned sixteenths)
{
    const uint64_t limit = endpoint->memory.limit, bytes = endpoint->memory.bytes + endpoint->half_open * TLS_BYTES;
    return limit != 0 && bytes > limit / 16 * sixteenths;
}

bool endpoint_memory_is_short(const roam_endpoint *endpoint)
{
    return is_above(endpoint, 14);
}

void endpoint_memory_shed(roam_endpoint *endpoint)
{
    struct list_node *node = endpoint->conns.prev;
    for (unsigned ended = 0; ended < SHED_AT_ONCE && endpoint->half_open > 0 && is_above(endpoint, 15);) {
        if (node == &endpoint->conns)
            return;
        roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        node = node->prev;
        if (!conn->half_open)
            continue;
        conn->now = endpoint->now;
        endpoint->stats.limits[ROAM_LIMIT_MEMORY]++;
        conn_end(conn, ROAM_CLOSE_MEMORY);
        ended++;
    }
}
