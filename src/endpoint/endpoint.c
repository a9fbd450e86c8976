/* The five verbs, and how an endpoint and its connections come and go: see endpoint.h. */
#include "endpoint/endpoint.h"

#include <assert.h>

#include "conn/config_copy.h"
#include "conn/log.h"
#include "crypto/key_schedule.h"
#include "crypto/tls.h"

/* Datagrams of a batch whose connections are asked for ahead. */
#define ROUTED_AHEAD 8

/* ---- Connections come and go */

bool endpoint_adopt(roam_endpoint *endpoint, roam_conn *conn)
{
    if (!timer_heap_reserve(&endpoint->timers, endpoint->conn_count + 1))
        return false;
    endpoint->conn_count++;
    list_append(&endpoint->conns, &conn->endpoint_node);
    list_append(&endpoint->ready, &conn->ready_node);
    return true;
}

void endpoint_release(roam_endpoint *endpoint, roam_conn *conn)
{
    endpoint_handshake_over(endpoint, conn);
    /* Until now, so that a late repeat of the client's first Initial finds this connection instead of making
     * another. */
    if (conn->initial_routed)
        conn_table_remove_initial(&endpoint->table, conn->initial_hash);
    event_queue_forget(&endpoint->events, conn);
    endpoint->closed_untold -= conn->closed_untold;
    endpoint_forget_sender(endpoint, conn);
    timer_heap_set(&endpoint->timers, &conn->timer, ROAM_TIME_NEVER);
    endpoint_walks_pass(endpoint, conn);
    list_unlink(&conn->endpoint_node);
    list_unlink(&conn->ready_node);
    list_unlink(&conn->lent_node);
    endpoint->conn_count--;
    conn_delete(conn);
}

static roam_endpoint *endpoint_of(const roam_conn *conn)
{
    return conn->owner->context;
}

void roam_conn_free(roam_conn *conn, roam_time now)
{
    if (conn == NULL)
        return;
    roam_endpoint *endpoint = endpoint_of(conn);
    endpoint->now = now;
    if (conn_is_alive(conn))
        roam_conn_close(conn, now, 0, NULL);
    conn->app_holds = false;
    if (conn_is_over(conn))
        endpoint_release(endpoint, conn);
}

/* ---- The endpoint itself */

static bool config_is_valid(const roam_endpoint_config *config)
{
    return config->size >= offsetof(roam_endpoint_config, force_version) &&
           cid_plan_length_is_valid(config->cid_bytes) && roam_cid_plan_check(&config->cid_plan, NULL) == ROAM_OK &&
           config->max_connections > 0 && config->max_events > 0 &&
           (config->accept == NULL || config_check(config->accept) == ROAM_OK) &&
           //= rfc9000#18.2-4 A server with zero-length CIDs gives no preferred address.
           (config->accept == NULL || config->cid_bytes > 0 || !config_offers_preferred(config->accept));
}

static void derive_keys(roam_endpoint *endpoint)
{
    uint8_t *key = endpoint->config.static_key;
    if (!endpoint->config.static_key_set)
        rng_fill(&endpoint->rng, key, ROAM_STATIC_KEY_BYTES);
    reset_key_derive(endpoint->reset_key, key, ROAM_STATIC_KEY_BYTES);
    derive_key(key, ROAM_STATIC_KEY_BYTES, "roam connection ID nonces", endpoint->scatter_key, CIPHER_BLOCK_BYTES);
    token_key_derive(endpoint->token_key, key, ROAM_STATIC_KEY_BYTES);
    derive_key(key, ROAM_STATIC_KEY_BYTES, "roam session tickets", endpoint->ticket_key, TICKET_KEY_BYTES);
    early_gate_init(&endpoint->gate, &endpoint->rng, key, ROAM_STATIC_KEY_BYTES);
    derive_key(key, ROAM_STATIC_KEY_BYTES, "roam connections' names", endpoint->id_key, SIPHASH_KEY_BYTES);
    derive_key(key, ROAM_STATIC_KEY_BYTES, "roam address prefixes", endpoint->prefixes.secret, SIPHASH_KEY_BYTES);
    if (endpoint->config.invitation_key_set)
        invitation_key_derive(endpoint->invitation_key, endpoint->config.invitation_key);
    wipe(key, ROAM_STATIC_KEY_BYTES);
}

static roam_endpoint *new_endpoint(const roam_endpoint_config *config, roam_result *ret_result)
{
    roam_endpoint_config own;
    roam_endpoint_config_init(&own);
    memcpy(&own, config, min_size(config->size, sizeof(own)));
    own.size = sizeof(own);
    if (!config_is_valid(&own)) {
        *ret_result = ROAM_ERR_CONFIG;
        return NULL;
    }
    roam_allocator allocator = own.allocator.reallocate != NULL ? own.allocator : roam_allocator_default();
    roam_endpoint *endpoint = mem_zalloc(&allocator, sizeof(*endpoint));
    if (endpoint == NULL)
        return NULL;
    endpoint->allocator = allocator;
    /* The application's source is asked for each octet when it is wanted. */
    const roam_rng kernel = roam_rng_default();
    rng_buffer_init(&endpoint->random, &kernel);
    endpoint->rng = own.rng.fill != NULL ? own.rng : rng_buffer_source(&endpoint->random);
    endpoint->config = own;
    endpoint_memory_init(endpoint);
    endpoint->accept = own.accept != NULL ? config_copy(&endpoint->allocator, own.accept) : NULL;
    endpoint->config.accept = NULL;
    if (own.accept != NULL && endpoint->accept == NULL) {
        mem_free(&allocator, endpoint, sizeof(*endpoint));
        return NULL;
    }
    return endpoint;
}

/* Only who accepts connections has to do with strangers. */
static bool init_prefixes(roam_endpoint *endpoint)
{
    return endpoint->accept == NULL ||
           prefix_limits_init(&endpoint->prefixes, &endpoint->allocator, &endpoint->config, endpoint->now);
}

roam_endpoint *roam_endpoint_new(const roam_endpoint_config *config, roam_time now, roam_result *ret_result)
{
    roam_result ignored;
    roam_result *result = ret_result != NULL ? ret_result : &ignored;
    *result = ROAM_ERR_MEMORY;
    roam_endpoint *endpoint = new_endpoint(config, result);
    if (endpoint == NULL)
        return NULL;
    endpoint->now = now;
    conn_table_init(&endpoint->table, &endpoint->allocator, &endpoint->rng);
    endpoint_owner_init(endpoint);
    timer_heap_init(&endpoint->timers, &endpoint->allocator);
    pool_init(&endpoint->frame_pool, &endpoint->allocator, sizeof(struct sent_frame), FRAMES_PER_SLAB);
    event_queue_init(&endpoint->events, &endpoint->allocator, endpoint->config.max_events);
    list_init(&endpoint->conns);
    list_init(&endpoint->ready);
    list_init(&endpoint->walks);
    list_init(&endpoint->lent);
    endpoint->replies_end = &endpoint->replies;
    token_bucket_init(&endpoint->stateless, endpoint->config.resets_per_second, now);
    token_bucket_init(&endpoint->strangers, endpoint->config.strangers_per_second, now);
    token_bucket_init(&endpoint->retries, endpoint->config.retries_per_second, now);
    token_filter_init(&endpoint->used_tokens, &endpoint->allocator, endpoint->config.tokens_remembered);
    token_filter_init(&endpoint->used_tickets, &endpoint->allocator, endpoint->config.tokens_remembered);
    derive_keys(endpoint);
    if (!endpoint_cids_init(endpoint) || !init_prefixes(endpoint)) {
        roam_endpoint_free(endpoint);
        return NULL;
    }
    *result = ROAM_OK;
    return endpoint;
}

void roam_endpoint_free(roam_endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    LIST_FOR_EACH_SAFE(node, &endpoint->conns)
    endpoint_release(endpoint, CONTAINER_OF(node, roam_conn, endpoint_node));
    const roam_allocator source = endpoint->memory.source;
    roam_allocator allocator = endpoint->allocator;
    conn_table_done(&endpoint->table);
    timer_heap_done(&endpoint->timers);
    pool_done(&endpoint->frame_pool);
    event_queue_done(&endpoint->events);
    replies_free(endpoint);
    token_filter_done(&endpoint->used_tokens);
    token_filter_done(&endpoint->used_tickets);
    early_gate_done(&endpoint->gate);
    prefix_limits_done(&endpoint->prefixes, &allocator);
    config_copy_free(&allocator, endpoint->accept);
    endpoint_cids_done(endpoint);
    wipe(endpoint->reset_key, sizeof(endpoint->reset_key));
    wipe(endpoint->token_key, sizeof(endpoint->token_key));
    wipe(endpoint->ticket_key, sizeof(endpoint->ticket_key));
    wipe(endpoint->invitation_key, sizeof(endpoint->invitation_key));
    wipe(endpoint->config.invitation_key, sizeof(endpoint->config.invitation_key));
    rng_buffer_done(&endpoint->random);
    mem_free(&source, endpoint, sizeof(*endpoint));
}

roam_result roam_endpoint_prefer(roam_endpoint *endpoint, const roam_address *ipv4, const roam_address *ipv6)
{
    if (endpoint->accept == NULL || (endpoint->config.cid_bytes == 0 && (ipv4 != NULL || ipv6 != NULL)))
        return ROAM_ERR_CONFIG;
    roam_config changed = *endpoint->accept;
    changed.preferred_ipv4 = ipv4 != NULL ? *ipv4 : (roam_address){0};
    changed.preferred_ipv6 = ipv6 != NULL ? *ipv6 : (roam_address){0};
    if (config_check(&changed) != ROAM_OK)
        return ROAM_ERR_CONFIG;
    /* Connections look at it once, when they are made. */
    endpoint->accept->preferred_ipv4 = changed.preferred_ipv4;
    endpoint->accept->preferred_ipv6 = changed.preferred_ipv6;
    return ROAM_OK;
}

roam_result roam_endpoint_set_credentials(roam_endpoint *endpoint, roam_credentials *credentials)
{
    if (endpoint->accept == NULL || credentials == NULL)
        return ROAM_ERR_CONFIG;
    /* Connections hold their own reference: those that there are keep what they began with. */
    roam_credentials *before = endpoint->accept->credentials;
    endpoint->accept->credentials = credentials_ref(credentials);
    roam_credentials_free(before);
    return ROAM_OK;
}

/* ---- The verbs */

void roam_endpoint_receive(roam_endpoint *endpoint, roam_time now, roam_datagram *in, size_t n)
{
    endpoint->now = now;
    for (size_t i = 0; i < min_size(ROUTED_AHEAD, n); i++)
        route_prefetch(endpoint, &in[i]);
    for (size_t i = 0; i < n; i++) {
        if (i + ROUTED_AHEAD < n)
            route_prefetch(endpoint, &in[i + ROUTED_AHEAD]);
        route_datagram(endpoint, &in[i]);
    }
    endpoint_memory_shed(endpoint);
}

void roam_endpoint_reclaim(roam_endpoint *endpoint)
{
    LIST_FOR_EACH_SAFE(node, &endpoint->lent)
    {
        roam_conn *conn = CONTAINER_OF(node, roam_conn, lent_node);
        list_unlink(node);
        conn_end_loans(conn);
        endpoint_wake(endpoint, conn);
    }
}

/* Fills *ret from the first connection that has something; those that have nothing leave the list, with their timers
 * set. */
static bool transmit_ready(roam_endpoint *endpoint, roam_datagram *ret)
{
    while (!list_is_empty(&endpoint->ready)) {
        roam_conn *conn = CONTAINER_OF(endpoint->ready.next, roam_conn, ready_node);
        list_unlink(&conn->ready_node);
        if (conn_transmit(conn, endpoint->now, ret)) {
            endpoint_note_sender(endpoint, conn);
            /* The others' turn. */
            endpoint_wake(endpoint, conn);
            return true;
        }
        /* It may have woken itself: what it found it could not send has become the end of it, which is to be told. */
        if (list_is_linked(&conn->ready_node))
            continue;
        if (conn->log != NULL)
            conn_log_flush(conn);
        if (conn_is_over(conn))
            endpoint_release(endpoint, conn);
        else
            timer_heap_set(&endpoint->timers, &conn->timer, conn_deadline(conn));
    }
    return false;
}

static size_t segments_of(const roam_datagram *datagram)
{
    size_t segment = datagram->segment_bytes > 0 ? datagram->segment_bytes : datagram->len;
    return (datagram->len + segment - 1) / segment;
}

size_t roam_endpoint_transmit(roam_endpoint *endpoint, roam_time now, roam_datagram *ret, size_t n)
{
    size_t filled = 0;
    endpoint->now = now;
    while (filled < n && (reply_take(endpoint, &ret[filled]) || transmit_ready(endpoint, &ret[filled]))) {
        endpoint->stats.datagrams_sent += segments_of(&ret[filled]);
        endpoint->stats.bytes_sent += ret[filled].len;
        filled++;
    }
    return filled;
}

roam_time roam_endpoint_deadline(const roam_endpoint *endpoint)
{
    const struct timer_node *first = timer_heap_first(&endpoint->timers);
    if (!list_is_empty(&endpoint->ready) || endpoint->replies != NULL)
        return endpoint->now;
    return first != NULL ? first->deadline : ROAM_TIME_NEVER;
}

void roam_endpoint_expire(roam_endpoint *endpoint, roam_time now)
{
    struct timer_node *first;
    endpoint->now = now;
    conn_table_expire(&endpoint->table, now);
    while ((first = timer_heap_first(&endpoint->timers)) != NULL && first->deadline <= now) {
        roam_conn *conn = CONTAINER_OF(first, roam_conn, timer);
        timer_heap_set(&endpoint->timers, first, ROAM_TIME_NEVER);
        conn_expire(conn, now);
        endpoint_wake(endpoint, conn);
    }
}

/* The end of a connection that there was no memory to queue, behind all its events that were. */
static bool tell_closed(roam_endpoint *endpoint, roam_event *ret)
{
    for (struct list_node *node = endpoint->conns.next; node != &endpoint->conns; node = node->next) {
        roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        if (!conn->closed_untold)
            continue;
        conn->closed_untold = false;
        endpoint->closed_untold--;
        if (!conn->app_holds)
            continue;
        *ret = (roam_event){.type = ROAM_EVENT_CLOSED, .time = conn->now, .conn = conn, .error = conn->error};
        return true;
    }
    return false;
}

bool roam_endpoint_poll(roam_endpoint *endpoint, roam_event *ret)
{
    return event_queue_pop(&endpoint->events, ret) || (endpoint->closed_untold > 0 && tell_closed(endpoint, ret));
}

/* ---- Questions */

void roam_endpoint_get_stats(const roam_endpoint *endpoint, roam_endpoint_stats *ret)
{
    *ret = endpoint->stats;
    ret->events_dropped = endpoint->events.dropped;
}

size_t roam_endpoint_connections(const roam_endpoint *endpoint, roam_conn_info *ret, size_t n)
{
    size_t count = 0;
    LIST_FOR_EACH(node, &endpoint->conns)
    {
        const roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        if (conn->state == ROAM_CONN_CLOSED)
            continue;
        if (count < n)
            roam_conn_get_info(conn, &ret[count]);
        count++;
    }
    return count;
}

void roam_endpoint_set_qlog(roam_endpoint *endpoint, const roam_qlog *qlog)
{
    endpoint->qlog = qlog != NULL ? *qlog : (roam_qlog){0};
}

void roam_endpoint_set_keylog(roam_endpoint *endpoint, const roam_keylog *keylog)
{
    endpoint->keylog = keylog != NULL ? *keylog : (roam_keylog){0};
}

void endpoint_check(const roam_endpoint *endpoint)
{
    size_t count = 0;
    timer_heap_check(&endpoint->timers);
    LIST_FOR_EACH(node, &endpoint->conns)
    {
        const roam_conn *conn = CONTAINER_OF(node, roam_conn, endpoint_node);
        conn_check(conn);
        count++;
    }
    assert(count == endpoint->conn_count);
}
