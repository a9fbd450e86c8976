/*
 * A client and a server endpoint joined by memory, under a clock that the test turns: every datagram of either
 * arrives after `delay`, unless the test's hook says otherwise. What one side sends is addressed, so that a test may
 * move either.
 */
#ifndef TESTS_UNIT_PAIR_H
#define TESTS_UNIT_PAIR_H

#include <roam/log.h>
#include <roam/roam.h>

#define PAIR_QUEUE_MAX  4096
#define PAIR_EVENTS_MAX 4096

struct pair;

struct pair_datagram {
    roam_time at;
    bool to_server;
    roam_datagram datagram;
    uint8_t data[2048];
};

struct pair_side {
    roam_endpoint *endpoint;
    roam_conn *conn;     /* the newest connection */
    roam_stream *stream; /* the newest stream that it was told of or opened */
    roam_event events[PAIR_EVENTS_MAX];
    size_t event_count;
    uint8_t token[1024]; /* of the newest ROAM_EVENT_NEW_TOKEN */
    size_t token_bytes;
    uint8_t session[4096]; /* of the newest ROAM_EVENT_NEW_SESSION */
    size_t session_bytes;
};

struct pair {
    roam_time now, delay;
    uint64_t random;
    struct pair_side client, server;
    roam_address client_address, server_address;
    roam_credentials *server_credentials, *client_credentials;
    struct pair_datagram *queue[PAIR_QUEUE_MAX];
    size_t queued;
    /* NULL, or: may change the datagram; false drops it. */
    bool (*hook)(struct pair *pair, bool to_server, roam_datagram *datagram);
    void *hook_context;
    roam_time hold_back; /* the hook may set it: how much later than others this datagram arrives */
    uint64_t sent_to_client, sent_to_server;
};

/* Both configurations may be changed between prepare and start. */
struct pair_config {
    roam_endpoint_config client_endpoint, server_endpoint;
    roam_config client, server;
    const roam_qlog *qlog;     /* of both endpoints; NULL: none */
    const roam_keylog *keylog; /* likewise */
};

void pair_prepare(struct pair_config *ret);
/* A static key for the server, so that another one in its place knows its tokens and tickets. */
void pair_give_static_key(struct pair_config *config);

/* The versions that a side speaks, in this order; 0: no other. */
void pair_allow_versions(roam_config *config, uint32_t first, uint32_t second);

void pair_start(struct pair *pair, struct pair_config *config);
void pair_connect(struct pair *pair, const struct pair_config *config);
void pair_stop(struct pair *pair);

/* Another server takes the old one's place, which forgets all its connections without a word. */
void pair_replace_server(struct pair *pair, const struct pair_config *config);

/* Lets `span` pass. */
void pair_run(struct pair *pair, roam_time span);

/* Runs until the handshake is confirmed at both sides, at most ten seconds; asserts that it is. */
void pair_handshake(struct pair *pair);

/* Opens a stream of the client's, sends `text` (at most 15 octets) on it, and says whether the server reads just
 * that within `span`. The stream of each side is the new one. */
bool pair_carries(struct pair *pair, const char *text, roam_time span);

/* Gives a datagram to one side at once, as if the other had sent it from `remote` (NULL: from its usual address). */
void pair_deliver(struct pair *pair, bool to_server, const roam_address *remote, const uint8_t *data, size_t len);

/* Of the side's connection. */
bool pair_is_resumed(const struct pair_side *side);
uint32_t pair_version(const struct pair_side *side);

/* Datagrams and packets that the side's endpoint has dropped for this reason. */
uint64_t pair_drops(const struct pair_side *side, roam_drop reason);

/* How many events of this type the side has had since pair_forget_events. */
size_t pair_count_events(const struct pair_side *side, roam_event_type type);
const roam_event *pair_find_event(const struct pair_side *side, roam_event_type type);
void pair_forget_events(struct pair *pair);

#endif
