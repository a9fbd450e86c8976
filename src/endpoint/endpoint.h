/*
 * The endpoint: the table of connections, their timers, and those that have something to send; what is answered to
 * packets that belong to none of them.
 *
 * Invariants: a living connection is on `conns` and in the timer heap; one that was woken is on `ready` until a
 * transmit finds it has nothing more to send, which also sets its timer.
 */
#ifndef ENDPOINT_ENDPOINT_H
#define ENDPOINT_ENDPOINT_H

#include "base/rng_buffer.h"
#include "base/token_bucket.h"
#include "cid/cid_plan.h"
#include "crypto/reset_token.h"
#include "endpoint/conn_table.h"
#include "endpoint/event_queue.h"
#include "endpoint/prefix_limits.h"
#include "endpoint/token_filter.h"

/* Answers without a connection that wait to be sent. */
#define REPLIES_MAX 256

/* Of so many datagrams that were given out last it is known whose they were: two batches of roam/io.h. */
#define SENDERS_KEPT 128

/* The plan that CIDs are made to now, and those of before: one for each config id of QUIC-LB, and one more. */
#define CID_PLANS_KEPT 8

/* Records of sent frames that the pool takes from the allocator at once. */
#define FRAMES_PER_SLAB 256

/* Session ticket keys, as TLS wants them. */
#define TICKET_KEY_BYTES 64

/* A datagram in answer to a packet without a connection. */
struct reply {
    struct reply *next;
    roam_address local, remote;
    size_t len, capacity;
    uint8_t data[];
};

/* See cids.c. */
struct endpoint_plan {
    struct cid_plan plan;
    uint8_t reset_key[RESET_KEY_BYTES];
};

/* See memory.c. */
struct endpoint_memory {
    roam_allocator source; /* the application's */
    uint64_t bytes, limit; /* 0: none, and nothing is counted */
};

struct roam_endpoint {
    roam_allocator allocator; /* counts, where there is a limit */
    struct endpoint_memory memory;
    struct rng_buffer random; /* of the kernel's */
    roam_rng rng;             /* draws from it, or is the application's */
    roam_endpoint_config config;
    roam_config *accept; /* our copy, NULL: no incoming connections */
    roam_time now;

    struct conn_owner owner; /* what connections ask of it */
    struct conn_table table;
    struct timer_heap timers;
    struct list_node conns, ready;
    struct list_node walks; /* through the table, that are under way */
    struct list_node lent;  /* connections with stream data in buffers that are to be reclaimed */
    size_t conn_count, half_open;
    struct pool frame_pool; /* struct sent_frame, of all connections */
    struct event_queue events;
    size_t closed_untold;         /* connections whose end found no room among them */
    struct network_list networks; /* of the host */
    /* Whose the newest datagrams were, in a ring; NULL: nobody's, or given back since. What the system would not
     * send is asked for here, so that a flood of answers to forged addresses costs no walk over all connections. */
    roam_conn *senders[SENDERS_KEPT];
    size_t sender_next;

    struct reply *replies, **replies_end;
    size_t reply_count;
    struct token_bucket stateless; /* resets and version negotiations */
    struct token_bucket strangers, retries;
    struct prefix_limits prefixes; /* of those who want to come in */

    struct endpoint_plan plans[CID_PLANS_KEPT]; /* the current one first */
    size_t plan_count;

    uint8_t reset_key[RESET_KEY_BYTES]; /* from which those of the plans come */
    uint8_t scatter_key[CIPHER_BLOCK_BYTES];
    uint8_t token_key[TOKEN_KEY_BYTES];
    struct token_filter used_tokens;
    uint8_t invitation_key[TOKEN_KEY_BYTES]; /* where the configuration has one */
    uint8_t ticket_key[TICKET_KEY_BYTES];
    struct early_gate gate;
    struct token_filter used_tickets; /* that early data came with */
    uint8_t id_key[SIPHASH_KEY_BYTES];

    roam_endpoint_stats stats;
    roam_qlog qlog;                                                       /* open NULL: none */
    roam_keylog keylog;                                                   /* write NULL: none */
    void (*observe)(void *context, const struct observed_packet *packet); /* tests */
    void *observe_context;
};

/* It answers only those who were invited. */
static inline bool endpoint_is_silent(const roam_endpoint *endpoint)
{
    return endpoint->config.invitation_key_set;
}

static inline void endpoint_count_drop(roam_endpoint *endpoint, roam_drop reason)
{
    endpoint->stats.drops[reason]++;
}

/* The token, or the ticket, is not to be believed again; that others are forgotten for it is counted. */
static inline void endpoint_use_up(roam_endpoint *endpoint, struct token_filter *filter, const struct token *token)
{
    if (token_filter_is_full(filter))
        endpoint->stats.limits[ROAM_LIMIT_USED_TOKENS]++;
    token_filter_on_used(filter, token);
}

/* The time that tokens bear. */
static inline roam_time endpoint_unix_time(const roam_endpoint *endpoint)
{
    return saturating_add(endpoint->now, endpoint->config.unix_time_offset);
}

/* ---- endpoint.c */

/* Puts a new connection in the heap and on the lists; false without memory (nothing is done then). */
bool endpoint_adopt(roam_endpoint *endpoint, roam_conn *conn);

/* Forgets a connection with everything that leads to it. */
void endpoint_release(roam_endpoint *endpoint, roam_conn *conn);

/* ---- memory.c */

/* Has endpoint->allocator count and refuse, where the configuration has a limit. */
void endpoint_memory_init(roam_endpoint *endpoint);
/* True where nobody is to be let in who is not here yet. */
bool endpoint_memory_is_short(const roam_endpoint *endpoint);
/* Ends the newest handshakes where memory runs out. */
void endpoint_memory_shed(roam_endpoint *endpoint);

/* Asserts the invariants of the endpoint and of its connections. */
void endpoint_check(const roam_endpoint *endpoint);

/* ---- owner.c */

void endpoint_owner_init(roam_endpoint *endpoint);

/* The connection has something to send or another deadline. */
void endpoint_wake(roam_endpoint *endpoint, roam_conn *conn);

/* It is no longer half-open, however that went. */
void endpoint_handshake_over(roam_endpoint *endpoint, roam_conn *conn);

/* Tests: calls `observe` for each packet sent and each authentic packet received. */
void endpoint_set_packet_observer(roam_endpoint *endpoint,
                                  void (*observe)(void *context, const struct observed_packet *packet), void *context);

/* ---- walk.c */

/* The connection leaves the table: ways through it that would come to it next go on behind it. */
void endpoint_walks_pass(roam_endpoint *endpoint, const roam_conn *conn);

/* ---- networks.c */

/* A connection gave out a datagram; it is gone. */
void endpoint_note_sender(roam_endpoint *endpoint, roam_conn *conn);
void endpoint_forget_sender(roam_endpoint *endpoint, const roam_conn *conn);

/* ---- cids.c */

/* The plan of the configuration, which must be valid; endpoint->config.cid_bytes becomes its length. False without
 * memory. */
bool endpoint_cids_init(roam_endpoint *endpoint);
void endpoint_cids_done(roam_endpoint *endpoint);

/* A CID that no connection has or had of late, entered in the table. False without memory. */
bool endpoint_cid_new(roam_endpoint *endpoint, roam_conn *conn, roam_cid *ret);

/* The source CID of a Retry. It is entered nowhere. */
void endpoint_retry_cid(roam_endpoint *endpoint, roam_cid *ret);

/* The token of a CID that was just made. */
void endpoint_reset_token(const roam_endpoint *endpoint, const roam_cid *cid, uint8_t ret[RESET_TOKEN_BYTES]);

/* True, with the token, where packets to this CID of no connection may be answered by a Stateless Reset. */
bool endpoint_may_reset(const roam_endpoint *endpoint, const roam_cid *cid, uint8_t ret_token[RESET_TOKEN_BYTES]);

/* ---- route.c */

/* The datagram will be routed soon: where the table is large, asks for the memory that this will look at. */
void route_prefetch(const roam_endpoint *endpoint, const roam_datagram *datagram);

/* One UDP datagram, or several in one: each to its connection, to admission, or dropped. */
void route_datagram(roam_endpoint *endpoint, const roam_datagram *datagram);

/* ---- admission.c */

/* An Initial that belongs to no connection: Version Negotiation, Retry, refusal, or a new connection (then
 * returned, with the token on which it stands in *ret_token where there is one). */
roam_conn *admit_initial(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                         size_t len, struct token *ret_token);
/* True for versions in which connections are accepted; for all that are known where none are. */
bool endpoint_accepts_version(const roam_endpoint *endpoint, uint32_t version);
void answer_other_version(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                          size_t len);

/* ---- stateless_reset.c */

/* A short header packet with a CID that nobody has. */
void answer_unknown(roam_endpoint *endpoint, const roam_datagram *datagram, const struct packet_header *header,
                    size_t len);

/* ---- replies.c */

/* Room for a reply of at most `capacity` octets to the sender of `datagram`, or NULL; the caller fills data and len. */
struct reply *reply_new(roam_endpoint *endpoint, const roam_datagram *datagram, size_t capacity);
bool reply_take(roam_endpoint *endpoint, roam_datagram *ret);
void replies_free(roam_endpoint *endpoint);

#endif
