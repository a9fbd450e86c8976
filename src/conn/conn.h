/*
 * The connection: joins the floors below. It is plain data but for two things that come and go: `handshake`, which
 * lives from creation until the handshake is confirmed and everything of it is settled, and what the endpoint links
 * it with.
 *
 * States (enum roam_conn_state) and who moves them:
 *   RESOLVING -> HANDSHAKE            conn_start
 *   HANDSHAKE -> ESTABLISHED          conn_on_handshake_complete   (crypto.c)
 *   HANDSHAKE, ESTABLISHED -> CLOSING conn_close_with              (close.c)
 *   any living -> DRAINING            conn_drain                   (close.c)
 *   any -> CLOSED                     conn_end                     (close.c)
 */
#ifndef CONN_CONN_H
#define CONN_CONN_H

#include <roam/log.h>
#include <roam/roam.h>

#include "base/list.h"
#include "base/timer_heap.h"
#include "cid/local_cid.h"
#include "cid/remote_cid.h"
#include "conn/limits.h"
#include "crypto/key_update.h"
#include "crypto/tls.h"
#include "crypto/token.h"
#include "path/migration.h"
#include "path/networks.h"
#include "path/path_budget.h"
#include "path/path_memory.h"
#include "path/path_set.h"
#include "path/sway.h"
#include "recovery/arrivals.h"
#include "recovery/pn_space.h"
#include "stream/stream.h"

/* What a packet was, for whoever watches: tests and traces. */
struct observed_packet {
    roam_conn *conn;
    bool sent;
    enum packet_type type;
    uint64_t number;
    uint64_t path_id;
    roam_address local, remote;
    roam_cid dcid;
    size_t bytes;
    uint64_t frames; /* a bit for each frame type; all STREAM types are bit FRAME_STREAM */
};

/* What a connection asks of its owner, the endpoint. */
struct conn_owner {
    void *context;
    const roam_rng *rng;
    const uint8_t *id_key;               /* SIPHASH_KEY_BYTES, from which roam_conn_info.id comes */
    roam_endpoint_stats *totals;         /* its counters */
    const struct network_list *networks; /* of the host */
    void (*event)(void *context, const roam_event *event);
    /* Makes a CID that no connection has and routes it here. False without memory. */
    bool (*cid_new)(void *context, roam_conn *conn, roam_cid *ret);
    /* The reset token for a CID of ours. */
    void (*cid_reset_token)(void *context, const roam_cid *cid, uint8_t ret[RESET_TOKEN_BYTES]);
    /* The peer retired the CID: packets with it reach nobody from now on. */
    void (*cid_retired)(void *context, roam_conn *conn, const roam_cid *cid);
    /* The connection ends, and the CID with it. */
    void (*cid_gone)(void *context, roam_conn *conn, const roam_cid *cid);
    /* Reset tokens of the peer's CIDs in use. */
    void (*reset_token_add)(void *context, roam_conn *conn, const uint8_t token[RESET_TOKEN_BYTES]);
    void (*reset_token_remove)(void *context, roam_conn *conn, const uint8_t token[RESET_TOKEN_BYTES]);
    /* The connection has something to send or another deadline. */
    void (*wake)(void *context, roam_conn *conn);
    /* Handshake complete / over, however it went: it is no longer half-open. */
    void (*handshake_over)(void *context, roam_conn *conn);
    /* A NEW_TOKEN token for this address and version; returns its length. */
    size_t (*new_token)(void *context, uint32_t version, const roam_address *remote, uint8_t ret[TOKEN_BYTES_MAX]);
    /* Client: an invitation under this key for this first destination CID; returns its length. */
    size_t (*invitation)(void *context, const uint8_t shared_key[ROAM_STATIC_KEY_BYTES], const roam_cid *dcid,
                         uint8_t ret[TOKEN_BYTES_MAX]);
    /* Server: may early data be taken on a ticket with these terms? With true the ticket is used up. */
    bool (*early_once)(void *context, const struct early_terms *terms);
    /* NULL, or called for each packet sent and each authentic packet received. */
    void (*observe)(void *context, const struct observed_packet *packet);
};

/* What only the handshake needs. Freed when it is confirmed and its CRYPTO data is settled. */
struct handshake {
    struct tls *tls;           /* NULL once it has done its work */
    struct pn_space spaces[2]; /* SPACE_INITIAL, SPACE_HANDSHAKE */
    struct packet_keys receive[2], send[2];
    bool discarded[2]; /* keys of the space are gone for good */
    struct send_half crypto_send[PACKET_SPACES];
    struct recv_half crypto_receive[PACKET_SPACES];
    enum aead_suite suite; /* of the 1-RTT secrets that wait here for completion */
    bool has_receive_secret, has_send_secret;
    uint8_t receive_secret[SECRET_BYTES_MAX], send_secret[SECRET_BYTES_MAX];
    roam_cid original_dcid; /* first destination CID of the client */
    roam_cid initial_scid;  /* the peer's source CID, once a packet of its was processed */
    roam_cid retry_scid;
    bool has_retry, any_packet;              /* client: Retry taken; a packet of the peer's was processed */
    roam_address alternates[ALTERNATES_MAX]; /* client: where else the server's name leads */
    size_t alternate_count;
    uint8_t *token; /* client: to be sent in Initials, own memory */
    size_t token_bytes;
    const roam_keylog *keylog;
    uint32_t original_version;        /* of the client's first flight, the second one after Version Negotiation */
    uint32_t other_version;           /* see versions.c */
    struct packet_keys other_receive; /* of Initials of that version */
    bool has_reacted;                 /* client: to Version Negotiation */
    struct transport_params ours;     /* as they are sent, but for version_information */
    struct transport_params peer;     /* all that it sent; conn.peer has what counts afterwards */
    bool params_received;
    uint64_t params_error;
    const char *params_reason;
    bool out_of_memory;                /* a callback of TLS had no memory */
    struct packet_keys zero_rtt;       /* a client sends with them, a server opens */
    roam_time zero_rtt_until;          /* server: they are forgotten then */
    struct transport_params relied_on; /* client: what its early data relies on */
    bool params_applied;               /* server: already, for early data */
    struct early_packet *early;        /* packets that wait for keys */
    size_t early_count;
    bool peer_completed_address_validation; /* RFC 9002 appendix A.8 */
};

/* A packet that came before its keys. */
struct early_packet {
    struct early_packet *next;
    roam_address local, remote;
    size_t datagram_bytes, len;
    uint8_t ecn;
    uint8_t type; /* enum packet_type */
    uint8_t data[];
};

/* Counters that are not elsewhere. */
struct conn_counters {
    uint64_t packets_sent, packets_received, packets_lost;
    uint64_t bytes_sent, bytes_received;
    uint32_t ptos, challenges_sent, challenges_received, responses_received;
};

/* What counts of the peer's transport parameters for as long as the connection lasts; those of streams are theirs. */
struct peer_params {
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t active_connection_id_limit;
    uint16_t max_udp_payload;
    uint16_t max_datagram_frame_bytes; /* 0: none are taken */
    uint16_t max_ack_delay_ms;
    uint8_t ack_delay_exponent;
    bool disable_active_migration;
};

/* What only the end of a connection needs. */
struct conn_end {
    roam_error error;
    uint64_t received;          /* datagrams that came while closing */
    roam_address local, remote; /* where the newest of them came from, if not from a path: to be answered there too */
    roam_cid cid;               /* which CID of the peer's is written there */
    size_t allowance;           /* octets of the answer, at most three times those of the datagram */
};

/* What only a client has. */
struct conn_client {
    roam_config *config; /* the connection's own */
    char *host;          /* as given to roam_connect */
    uint16_t port;
    roam_address handshake_remote; /* of the server, where the handshake ran */
    bool asks_nothing;             /* it leaves a download that stops alone: who examines a server asks by itself */
    roam_address seen_local;       /* where the newest packet came in, for sockets that are bound to no address */
    struct transport_params *server_params; /* all that the server sent; NULL before the handshake is complete */
    struct arrivals arrivals;               /* how bulk data comes, and when it is missed */
    roam_time tickets_until;                /* once confirmed: TLS is kept so long for session tickets */
};

struct roam_conn {
    const struct conn_owner *owner;
    const roam_allocator *allocator;
    const roam_config *config;
    void *user;
    struct conn_client *client; /* NULL at a server */

    enum roam_conn_state state;
    bool is_server, confirmed, handshake_complete;
    bool app_holds;         /* the application has the handle */
    bool closed_told : 1;   /* ROAM_EVENT_CLOSED is out */
    bool event_lost : 1;    /* there was no memory for an event that the application must not miss: this is to end */
    bool closed_untold : 1; /* ... not for the last one either: it is made when it is asked for */
    bool greases;           /* the peer takes packets without the fixed bit */
    bool trimmed;           /* buffers and expanded keys were given back since the last packet */
    uint8_t peer_min_ack_delay_ms; /* 0: the peer takes neither ACK_FREQUENCY nor IMMEDIATE_ACK frames */
    uint32_t version;
    roam_time now; /* of the verb that runs */
    roam_time created;

    struct handshake *handshake; /* NULL afterwards */
    struct one_rtt_keys keys;
    struct pn_space application;
    struct local_cid_set local_cids;
    struct remote_cid_set remote_cids;
    struct path_set paths;
    struct path_memory *memory;     /* of earlier networks; NULL before the first move */
    struct path_budget path_budget; /* server */
    struct stream_set streams;
    struct datagrams *datagrams; /* see datagrams.h; NULL before the first */
    struct peer_params peer;
    const char *alpn; /* of the configuration's, or "" */

    /* Which reset tokens the owner knows of, by sequence of the peer's CIDs. */
    struct {
        uint64_t sequence;
        uint8_t token[RESET_TOKEN_BYTES];
    } * tokens_known;
    uint8_t token_count, token_capacity;
    bool initial_routed, half_open; /* the endpoint's */
    bool proven_at_start;           /* ... by a token */
    uint8_t preferred;              /* where the server would rather be: see preferred.h */
    uint16_t prefix;                /* the endpoint's account of who came: see prefix_limits.h */
    struct preferred_home *home;    /* server: NULL where it offers none */

    /* The row. */
    uint64_t moves;
    roam_time last_move;
    struct sway *sway;             /* between two paths; NULL before the first move, or without memory */
    struct move_stats *move_stats; /* what moves have cost: see move_stats.h; NULL before the first */
    uint64_t largest_non_probing;  /* highest number among non-probing packets, PACKET_NUMBER_NONE */
    roam_cid row_cid;              /* CID of ours on the newest packet */
    bool move_open;                /* the newest move is not settled: it waits for proof, or for a packet */
    bool renewal_pending;          /* all CIDs of ours are to be replaced */
    bool rotation_pending;         /* the CID that we write is to be changed with the next packet */
    enum roam_move_why move_why;   /* of the last one */

    /* What waits to be sent, beside what the modules know. */
    uint16_t full_ping_bytes; /* asked for by conn_ping_of_size; 0: the usual 1,200 */
    bool handshake_done_pending, ping_pending, new_token_pending, full_ping_pending;
    bool close_pending; /* CONNECTION_CLOSE is due */
    bool ticket_sent;
    bool resumed;                        /* the handshake resumed an earlier session */
    bool forward_secrecy;                /* and keys were exchanged in it */
    uint8_t early_data;                  /* enum roam_early_data */
    bool eliciting_since_receive;        /* an ack-eliciting packet went out since the last packet came */
    struct ack_frequency *ack_frequency; /* see ack_frequency.h; NULL while both sides do as RFC 9000 has it */
    uint64_t next_tls_message;           /* offset in the 1-RTT CRYPTO stream, once TLS is gone; TLS_MESSAGES_UNKNOWN */

    /* Timers. */
    uint32_t silence_pings;    /* sent since something ack-eliciting came, to a server that fell silent */
    uint32_t ack_only_packets; /* sent in a row: now and then one carries a PING (RFC 9000 section 13.2.7) */
    uint32_t pto_count;
    uint32_t events_queued;   /* of the endpoint's */
    roam_time pto_again_from; /* while pto_count > 0: what the PTO counts from, which mere PINGs do not put off */
    roam_time last_received_at, idle_from; /* idle timeout counts from idle_from */
    roam_time received_before;             /* last_received_at as it was before the newest packet */
    roam_time pacing_until;                /* nothing in flight goes out before */

    /* The end. */
    const roam_error *error; /* of `end`, once there is one */
    struct conn_end *end;    /* NULL before it, or where there was no memory for it */
    roam_time close_at;      /* end of closing or draining */

    struct conn_counters counters;
    struct conn_log *log; /* NULL: nobody wants to know; see log.h */

    struct mobility *mobility; /* a client that moves by itself; NULL at all others */

    /* The endpoint's. */
    struct timer_node timer;
    struct list_node endpoint_node, ready_node;
    struct list_node lent_node; /* on the endpoint's list of those that hold data in lent buffers */
    uint64_t initial_hash;      /* server: by which the client's first DCID is routed, for as long as it lasts */
};

/* What is known of the packet that is being processed. */
struct packet_context {
    roam_address local, remote;
    size_t datagram_bytes;
    uint8_t ecn;
    enum packet_type type;
    enum packet_space space;
    const uint8_t *mask; /* of the datagram's first packet, where it was made ahead */
    uint64_t number;
    uint64_t seen_path_id; /* the path of these addresses when the datagram came, or PATH_ID_NONE: a hint */
    uint64_t path_id;      /* PATH_ID_NONE: a packet that has no path (client, known server, other local address) */
    uint64_t local_cid_sequence; /* of the CID that it came to */
    bool ack_eliciting, non_probing;
    bool hurry; /* it asks for an ACK at once */
    uint64_t frames;
};

/* The one way from a state to the next: the endpoint counts how many are in each. */
static inline void conn_set_state(roam_conn *conn, enum roam_conn_state state)
{
    conn->owner->totals->connections[conn->state]--;
    conn->owner->totals->connections[state]++;
    conn->state = state;
}

/* ---- create.c */

struct conn_create {
    const struct conn_owner *owner; /* kept */
    const roam_allocator *allocator;
    const roam_config *config; /* client: copied; server: kept */
    struct pool *frame_pool;   /* of struct sent_frame */
    bool is_server;
    uint32_t version; /* client: 0 is the first of its configuration */
    roam_time now;
    const char *host; /* client */
    uint16_t port;
    roam_address local, remote; /* client: may be unset until conn_start */
    roam_cid client_dcid;       /* server: destination CID of the Initial that is being answered */
    roam_cid client_scid;       /* server */
    bool retried;               /* server: the token was a valid Retry token */
    roam_cid original_dcid;     /* server: from the token if retried, else client_dcid */
    bool address_validated;     /* server: a valid token of any kind */
    const uint8_t *ticket_key;  /* server */
    struct early_gate *gate;    /* server: NULL: no early data */
    const roam_qlog *qlog;      /* NULL: nothing is logged */
    const roam_keylog *keylog;  /* NULL: no secret is told */
};

roam_conn *conn_new(const struct conn_create *create, roam_result *ret_result);

/* Client: the address is known; makes the first flight. */
void conn_start(roam_conn *conn, const roam_address *remote);
void conn_delete(roam_conn *conn);

/* Frees what the handshake had, when nothing needs it any more. */
void conn_handshake_free(roam_conn *conn);

struct pn_space *conn_space(roam_conn *conn, enum packet_space space);

/* ---- receive.c */

/* One UDP datagram, or a run of them that came together, each of `segment` octets but for the last; decrypted in place. */
void conn_receive(roam_conn *conn, roam_time now, const roam_datagram *datagram, uint8_t *data, size_t len,
                  size_t segment);
/* The packets of one datagram. */
void conn_receive_packets(roam_conn *conn, struct packet_context *context, uint8_t *data, size_t len);
/* The buffers of datagrams that were lent are called back: what of them is still to be read is copied. */
bool conn_has_loans(const roam_conn *conn);
void conn_end_loans(roam_conn *conn);
void conn_count_drop(roam_conn *conn, roam_drop reason);
void conn_count_limit(roam_conn *conn, roam_limit limit);

/* ---- receive_packet.c */

/* One packet of a datagram; true where it was authentic. */
bool conn_receive_packet(roam_conn *conn, const struct packet_header *header, struct packet_context *context,
                         uint8_t *data);

/* ---- early.c */
void conn_keep_early(roam_conn *conn, const struct packet_context *context, const uint8_t *data, size_t len);
void conn_replay_early(roam_conn *conn);

/* ---- frames.c */

/* Returns ROAM_NO_ERROR or the transport error; *ret_frame_type names the culprit. */
uint64_t conn_process_payload(roam_conn *conn, struct packet_context *context, const uint8_t *data, size_t len,
                              uint64_t *ret_frame_type);

/* ---- ack.c */
uint64_t conn_on_ack(roam_conn *conn, const struct packet_context *context, const struct frame_ack *ack);
struct loss_context conn_loss_context(roam_conn *conn);
void conn_detect_loss(roam_conn *conn, enum packet_space space);
/* Forgets what nobody acknowledges. */
void conn_sweep_sent(roam_conn *conn, enum packet_space space);
void conn_discard_space(roam_conn *conn, enum packet_space space);
/* What went out on a path whose mapping is dead is sent again at once. */
void conn_give_up_path(roam_conn *conn, uint64_t path_id);
/* Client: early data that went nowhere, or to be thrown away, is lost, which says nothing about the path. */
void conn_give_up_early_data(roam_conn *conn);

/* ---- crypto.c */

/* Makes TLS and the Initial keys. `create` is NULL for a client that begins again. */
bool conn_crypto_start(roam_conn *conn, const struct conn_create *create, roam_result *ret_result);
/* Client: sends the ClientHello. */
void conn_start_tls(roam_conn *conn);
void conn_set_initial_keys(roam_conn *conn, const roam_cid *dcid);
/* Client: under the keys and the CID that are new, what was sent counts as lost. */
void conn_send_first_flight_again(roam_conn *conn);
uint64_t conn_on_crypto(roam_conn *conn, enum packet_space space, uint64_t offset, const uint8_t *data, size_t len);
void conn_on_confirmed(roam_conn *conn);
/* Whatever the last packet has made possible: completion, confirmation, memory back. Not while a packet is being
 * processed. */
void conn_settle_handshake(roam_conn *conn);
void conn_on_retry(roam_conn *conn, const struct packet_header *header, const uint8_t *packet);
struct packet_keys *conn_send_keys(roam_conn *conn, enum packet_space space);

/* ---- versions.c: see versions.h */
void conn_on_version_negotiation(roam_conn *conn, const struct packet_header *header);

/* ---- post_handshake.c */

/* TLS is gone: looks only at which messages come. UINT64_MAX: the thread is lost. */
#define TLS_MESSAGES_UNKNOWN UINT64_MAX
uint64_t conn_on_late_crypto(roam_conn *conn, uint64_t offset, const uint8_t *data, size_t len);

/* ---- params.c */
/* Ours, from the configuration; and, whenever the version has changed, as octets. */
void conn_params_make(roam_conn *conn, const struct conn_create *create);
size_t conn_params_write(roam_conn *conn, uint8_t *ret, size_t capacity);
void conn_on_params(roam_conn *conn, const uint8_t *data, size_t len);
/* What we would promise a client today keeps what its early data relies on. */
bool conn_params_keep(const roam_conn *conn, const struct early_terms *terms);
/* The protocol agreed on, from our own list. */
void conn_learn_alpn(roam_conn *conn);
/* Checks RFC 9000 section 7.3 and puts the peer's parameters to work: handshake complete, or early data taken. */
uint64_t conn_params_apply(roam_conn *conn);

/* ---- migrate.c */
/* Finds or makes the path of an authentic packet, or says why to drop it. */
roam_drop conn_path_for_packet(roam_conn *conn, struct packet_context *context);
void conn_after_payload(roam_conn *conn, struct packet_context *context);
/* An authentic packet came once more: it says nothing, but that its path is alive. */
void conn_on_duplicate(roam_conn *conn, const struct packet_context *context);

/* ---- validation.c */
uint64_t conn_on_path_challenge(roam_conn *conn, const struct packet_context *context, const uint8_t *data);
uint64_t conn_on_path_response(roam_conn *conn, const struct packet_context *context, const uint8_t *data);
void conn_expire_paths(roam_conn *conn);
roam_time conn_paths_deadline(const roam_conn *conn);

/* ---- send.c */

/* Fills one datagram, or several of one size where ret->segment_bytes was not 0; false where there is nothing to send
 * now. */
bool conn_transmit(roam_conn *conn, roam_time now, roam_datagram *ret);

/* ---- api.c */

/* A PING in a datagram of so many octets, 1,200 at least and what the path is believed to carry at most: it feeds the
 * peer's 3x allowance, and shows what path and peer take. */
void conn_ping_of_size(roam_conn *conn, roam_time now, uint32_t bytes);

/* ---- timers.c */

enum loss_timer { LOSS_TIMER_NONE, LOSS_TIMER_TIME, LOSS_TIMER_PTO };

/* What RFC 9002 appendix A.8 would have its one timer set for, and until when. */
enum loss_timer conn_loss_timer(roam_conn *conn, enum packet_space *ret_space, roam_time *ret_at);
roam_time conn_deadline(roam_conn *conn);
void conn_expire(roam_conn *conn, roam_time now);
roam_time conn_pto(const roam_conn *conn);
/* The host slept for so long while `now` stood still: see roam_endpoint_woke. */
void conn_on_woke(roam_conn *conn, roam_time now, roam_time slept);
void conn_on_packet_sent_timers(roam_conn *conn, bool eliciting);
void conn_on_packet_received_timers(roam_conn *conn, const struct packet_context *context);

/* ---- close.c */
void conn_close_with(roam_conn *conn, enum roam_close_cause cause, uint64_t code, uint64_t frame_type,
                     const char *reason);
static inline void conn_fail(roam_conn *conn, uint64_t code, uint64_t frame_type, const char *reason)
{
    conn_close_with(conn, ROAM_CLOSE_LOCAL_TRANSPORT, code, frame_type, reason);
}
void conn_fail_for_frame(roam_conn *conn, uint64_t code, uint64_t frame_type);
void conn_on_close_frame(roam_conn *conn, const struct frame *frame);
void conn_drain(roam_conn *conn, enum roam_close_cause cause, uint64_t code, uint64_t frame_type, const uint8_t *reason,
                size_t len);
void conn_end(roam_conn *conn, enum roam_close_cause cause);
/* A datagram came while closing: answers now and then. */
void conn_on_datagram_while_closing(roam_conn *conn, const struct packet_context *context);
/* The error of a connection that has not ended. */
extern const roam_error conn_no_error;
/* True where the owner may delete it: closed and given back. */
bool conn_is_over(const roam_conn *conn);

static inline bool conn_is_alive(const roam_conn *conn)
{
    return conn->state == ROAM_CONN_RESOLVING || conn->state == ROAM_CONN_HANDSHAKE ||
           conn->state == ROAM_CONN_ESTABLISHED;
}

static inline roam_time conn_peer_max_ack_delay(const roam_conn *conn)
{
    return ROAM_MILLISECONDS(conn->peer.max_ack_delay_ms);
}

/* The last thing that came, or went out and wants an answer. */
static inline roam_time conn_last_activity(const roam_conn *conn)
{
    return max_u64(conn->last_received_at, conn->application.last_eliciting_sent_at);
}

/* ---- events: all of a connection's go through conn_tell */
void conn_tell(roam_conn *conn, const roam_event *event);
void conn_event(roam_conn *conn, roam_event_type type);
void conn_cid_event(roam_conn *conn, roam_event_type type, const roam_cid *cid, uint64_t sequence);

/* ---- check.c: asserts every invariant of the connection and what it is made of. */
void conn_check(const roam_conn *conn);

#endif
