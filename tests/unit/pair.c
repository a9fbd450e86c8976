/* See pair.h. */
#include "pair.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/endpoint.h"

static const char *const alpn[] = {"pair", NULL};

static void fill_random(void *context, void *buf, size_t len)
{
    struct pair *pair = context;
    uint8_t *bytes = buf;
    for (size_t i = 0; i < len; i++) {
        pair->random = pair->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(pair->random >> 56);
    }
}

void pair_prepare(struct pair_config *ret)
{
    roam_endpoint_config_init(&ret->client_endpoint);
    roam_endpoint_config_init(&ret->server_endpoint);
    roam_config_init(&ret->client);
    roam_config_init(&ret->server);
    ret->client.alpn = ret->server.alpn = alpn;
    ret->client.pmtud = ret->server.pmtud = false;
}

void pair_start(struct pair *pair, struct pair_config *config)
{
    static const char *const names[] = {"localhost", "203.0.113.5", NULL};
    uint8_t fingerprint[ROAM_FINGERPRINT_BYTES];
    memset(pair, 0, sizeof(*pair));
    pair->now = ROAM_SECONDS(1000);
    pair->delay = ROAM_MILLISECONDS(20);
    pair->random = 42;
    bool parsed = roam_address_parse(&pair->client_address, "192.168.1.10:50000") &&
                  roam_address_parse(&pair->server_address, "203.0.113.5:443");
    assert(parsed);
    pair->server_credentials = roam_credentials_new();
    pair->client_credentials = roam_credentials_new();
    assert(pair->server_credentials != NULL && pair->client_credentials != NULL);
    roam_result made = roam_credentials_generate(pair->server_credentials, names);
    roam_credentials_fingerprint(pair->server_credentials, fingerprint);
    roam_credentials_trust_pin(pair->client_credentials, fingerprint);
    config->server.credentials = pair->server_credentials;
    config->client.credentials = pair->client_credentials;
    config->server_endpoint.accept = &config->server;
    config->server_endpoint.rng = config->client_endpoint.rng = (roam_rng){.fill = fill_random, .context = pair};
    pair->client.endpoint = roam_endpoint_new(&config->client_endpoint, pair->now, NULL);
    pair->server.endpoint = roam_endpoint_new(&config->server_endpoint, pair->now, NULL);
    assert(made == ROAM_OK && parsed && pair->client.endpoint != NULL && pair->server.endpoint != NULL);
    (void)made;
    roam_endpoint_set_qlog(pair->client.endpoint, config->qlog);
    roam_endpoint_set_qlog(pair->server.endpoint, config->qlog);
    roam_endpoint_set_keylog(pair->client.endpoint, config->keylog);
    roam_endpoint_set_keylog(pair->server.endpoint, config->keylog);
    pair_connect(pair, config);
}

void pair_connect(struct pair *pair, const struct pair_config *config)
{
    roam_config client = config->client;
    client.local = &pair->client_address;
    pair->client.conn =
        roam_connect(pair->client.endpoint, "203.0.113.5", pair->server_address.port, &client, pair->now, NULL);
    assert(pair->client.conn != NULL);
}

void pair_stop(struct pair *pair)
{
    roam_endpoint_free(pair->client.endpoint);
    roam_endpoint_free(pair->server.endpoint);
    roam_credentials_free(pair->server_credentials);
    roam_credentials_free(pair->client_credentials);
    for (size_t i = 0; i < pair->queued; i++)
        free(pair->queue[i]);
}

void pair_replace_server(struct pair *pair, const struct pair_config *config)
{
    roam_endpoint_free(pair->server.endpoint);
    pair->server.endpoint = roam_endpoint_new(&config->server_endpoint, pair->now, NULL);
    pair->server.conn = NULL;
    pair->server.stream = NULL;
    assert(pair->server.endpoint != NULL);
}

static void send_all(struct pair *pair, struct pair_side *side, bool to_server)
{
    for (;;) {
        struct pair_datagram *entry = calloc(1, sizeof(*entry));
        assert(entry != NULL);
        entry->datagram.data = entry->data;
        entry->datagram.capacity = sizeof(entry->data);
        if (roam_endpoint_transmit(side->endpoint, pair->now, &entry->datagram, 1) == 0) {
            free(entry);
            return;
        }
        *(to_server ? &pair->sent_to_server : &pair->sent_to_client) += entry->datagram.len;
        entry->at = pair->now + pair->delay;
        entry->to_server = to_server;
        /* The other side sees the addresses the other way round. */
        roam_address local = entry->datagram.local;
        entry->datagram.local = entry->datagram.remote;
        entry->datagram.remote = local;
        pair->hold_back = 0;
        if ((pair->hook != NULL && !pair->hook(pair, to_server, &entry->datagram)) || pair->queued == PAIR_QUEUE_MAX)
            free(entry);
        else {
            entry->at += pair->hold_back;
            pair->queue[pair->queued++] = entry;
        }
    }
}

static void poll_all(struct pair_side *side)
{
    roam_event event;
    while (roam_endpoint_poll(side->endpoint, &event)) {
        if (side->conn == NULL || event.type == ROAM_EVENT_ACCEPTED)
            side->conn = event.conn;
        if (event.stream != NULL)
            side->stream = event.stream;
        if (event.type == ROAM_EVENT_NEW_TOKEN && event.token_bytes <= sizeof(side->token)) {
            memcpy(side->token, event.token, event.token_bytes);
            side->token_bytes = event.token_bytes;
        }
        if (event.type == ROAM_EVENT_NEW_SESSION && event.token_bytes <= sizeof(side->session)) {
            memcpy(side->session, event.token, event.token_bytes);
            side->session_bytes = event.token_bytes;
        }
        if (side->event_count < PAIR_EVENTS_MAX)
            side->events[side->event_count++] = event;
    }
}

static void work(struct pair *pair)
{
    struct pair_side *sides[] = {&pair->client, &pair->server};
    for (int i = 0; i < 2; i++) {
        roam_endpoint_expire(sides[i]->endpoint, pair->now);
        poll_all(sides[i]);
        send_all(pair, sides[i], i == 0);
        poll_all(sides[i]);
        endpoint_check(sides[i]->endpoint);
    }
}

static size_t first_in_queue(const struct pair *pair)
{
    size_t first = 0;
    for (size_t i = 1; i < pair->queued; i++) {
        if (pair->queue[i]->at < pair->queue[first]->at)
            first = i;
    }
    return first;
}

static void deliver(struct pair *pair, size_t at)
{
    struct pair_datagram *entry = pair->queue[at];
    memmove(&pair->queue[at], &pair->queue[at + 1], (pair->queued - at - 1) * sizeof(pair->queue[0]));
    pair->queued--;
    roam_endpoint_receive(entry->to_server ? pair->server.endpoint : pair->client.endpoint, pair->now, &entry->datagram,
                          1);
    free(entry);
}

void pair_run(struct pair *pair, roam_time span)
{
    roam_time end = pair->now + span;
    size_t idle = 0;
    for (;;) {
        work(pair);
        roam_time next = end;
        roam_time client = roam_endpoint_deadline(pair->client.endpoint),
                  server = roam_endpoint_deadline(pair->server.endpoint);
        next = client < next ? client : next;
        next = server < next ? server : next;
        if (pair->queued > 0 && pair->queue[first_in_queue(pair)]->at <= next) {
            size_t first = first_in_queue(pair);
            pair->now = pair->queue[first]->at > pair->now ? pair->queue[first]->at : pair->now;
            deliver(pair, first);
            idle = 0;
            continue;
        }
        idle = next > pair->now ? 0 : idle + 1;
        assert(idle < 1000); /* a deadline that does no work would hang a real loop */
        pair->now = next > pair->now ? next : pair->now;
        if (pair->now >= end)
            break;
    }
    work(pair);
}

void pair_handshake(struct pair *pair)
{
    for (int i = 0; i < 1000; i++) {
        if (roam_conn_is_confirmed(pair->client.conn) && pair->server.conn != NULL &&
            roam_conn_is_confirmed(pair->server.conn))
            return;
        pair_run(pair, ROAM_MILLISECONDS(10));
    }
    assert(!"the handshake was not confirmed");
}

void pair_deliver(struct pair *pair, bool to_server, const roam_address *remote, const uint8_t *data, size_t len)
{
    const roam_address *from = to_server ? &pair->client_address : &pair->server_address;
    roam_datagram datagram = {.local = to_server ? pair->server_address : pair->client_address,
                              .remote = remote != NULL ? *remote : *from,
                              .len = len,
                              .capacity = len};
    datagram.data = malloc(len > 0 ? len : 1); /* of just this size, so that a read beyond it is seen */
    assert(datagram.data != NULL);
    if (len > 0)
        memcpy(datagram.data, data, len);
    roam_endpoint_receive(to_server ? pair->server.endpoint : pair->client.endpoint, pair->now, &datagram, 1);
    free(datagram.data);
}

bool pair_carries(struct pair *pair, const char *text, roam_time span)
{
    char buf[16] = "";
    const ptrdiff_t len = (ptrdiff_t)strlen(text);
    pair->client.stream = roam_stream_open(pair->client.conn, false, NULL);
    if (pair->client.stream == NULL || roam_stream_write(pair->client.stream, text, (size_t)len) != len)
        return false;
    pair_run(pair, span);
    return pair->server.stream != NULL && roam_stream_read(pair->server.stream, buf, sizeof(buf), NULL) == len &&
           strcmp(buf, text) == 0;
}

size_t pair_count_events(const struct pair_side *side, roam_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < side->event_count; i++)
        count += side->events[i].type == type;
    return count;
}

const roam_event *pair_find_event(const struct pair_side *side, roam_event_type type)
{
    for (size_t i = 0; i < side->event_count; i++) {
        if (side->events[i].type == type)
            return &side->events[i];
    }
    return NULL;
}

void pair_forget_events(struct pair *pair)
{
    pair->client.event_count = pair->server.event_count = 0;
}

void pair_give_static_key(struct pair_config *config)
{
    config->server_endpoint.static_key_set = true;
    memset(config->server_endpoint.static_key, 7, sizeof(config->server_endpoint.static_key));
}

void pair_allow_versions(roam_config *config, uint32_t first, uint32_t second)
{
    memset(config->versions, 0, sizeof(config->versions));
    config->versions[0] = first;
    config->versions[1] = second;
}

bool pair_is_resumed(const struct pair_side *side)
{
    roam_conn_stats stats;
    roam_conn_get_stats(side->conn, &stats);
    return stats.resumed;
}

uint32_t pair_version(const struct pair_side *side)
{
    roam_conn_stats stats;
    roam_conn_get_stats(side->conn, &stats);
    return stats.version;
}

uint64_t pair_drops(const struct pair_side *side, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(side->endpoint, &stats);
    return stats.drops[reason];
}
