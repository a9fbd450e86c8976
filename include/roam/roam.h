/*
 * roam/roam.h - QUIC version 1 (RFC 9000, 9001, 9002) for programs whose network changes under them.
 *
 * The concept. A connection is its connection IDs, not its addresses. An endpoint keeps a table,
 *
 *     Connection ID     Client address        State
 *     1f8a03c47e55d902  192.168.1.10:50000    established
 *
 * and when a packet with a CID of that table comes from somewhere else and proves authentic, the row moves, the new
 * address is validated (RFC 9000 section 9), and the streams go on where they were. No setting turns that on.
 *
 * The machine. An endpoint does no I/O, reads no clock and starts no thread: five verbs turn it. Give it the datagrams
 * that came (receive), ask for those to send (transmit), ask when it wants to be called again (deadline) and call it
 * then (expire), and take what happened (poll). <roam/io.h> turns the five verbs on real sockets. An endpoint and all
 * that belongs to it is used by one thread at a time.
 */
#ifndef ROAM_ROAM_H
#define ROAM_ROAM_H

#include <roam/config.h>
#include <roam/error.h>
#include <roam/event.h>
#include <roam/network.h>
#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
ROAM_API const char *roam_version(void);

/* ---- Endpoint -------------------------------------------------------------------------------------------------- */

/* Makes an endpoint, client and server in one. The configuration is copied. `now` is the first time that it hears of.
 * On failure returns NULL and says why in *ret_result (may be NULL): ROAM_ERR_CONFIG, ROAM_ERR_MEMORY,
 * ROAM_ERR_CREDENTIALS. */
ROAM_API roam_endpoint *roam_endpoint_new(const roam_endpoint_config *config, roam_time now, roam_result *ret_result);

/* Frees the endpoint with all its connections and streams, sending nothing. NULL is allowed. */
ROAM_API void roam_endpoint_free(roam_endpoint *endpoint);

/* From now on incoming connections are told that the server would rather be spoken to at these addresses (RFC 9000
 * section 9.6), as by roam_config.preferred_ipv4 and preferred_ipv6; NULL: none of that family. Datagrams that come
 * there must come to this endpoint, with that address as their `local`. ROAM_ERR_CONFIG where an address is not one to
 * be spoken to at, CIDs have length zero, or nothing is accepted. */
ROAM_API roam_result roam_endpoint_prefer(roam_endpoint *endpoint, const roam_address *ipv4, const roam_address *ipv6);

/* Incoming connections are served with these credentials from now on, which a server's certificates are renewed by; those
 * that there are go on with their own. ROAM_ERR_CONFIG where nothing is accepted. */
ROAM_API roam_result roam_endpoint_set_credentials(roam_endpoint *endpoint, roam_credentials *credentials);

/* Takes n datagrams that came from the network. They are decrypted in place; nothing of them is kept, save of those that
 * are lent. */
ROAM_API void roam_endpoint_receive(roam_endpoint *endpoint, roam_time now, roam_datagram *in, size_t n);

/* The buffers of all datagrams that were lent are the caller's again: what was not read of streams and datagrams in
 * them is copied. */
ROAM_API void roam_endpoint_reclaim(roam_endpoint *endpoint);

/* Fills at most n datagrams to be sent now and returns how many: call again until it returns 0. Each ret[i] brings data
 * and capacity, at least 1,500 octets; where its segment_bytes is not 0 (any other value will do), several datagrams of
 * one path may stand in it, segment_bytes apart, up to 65,507 octets in all. A datagram whose `local` has IP 0 may leave
 * from any socket of that port. */
ROAM_API size_t roam_endpoint_transmit(roam_endpoint *endpoint, roam_time now, roam_datagram *ret, size_t n);

/* The time at which roam_endpoint_expire must be called, ROAM_TIME_NEVER for never. May be in the past. */
ROAM_API roam_time roam_endpoint_deadline(const roam_endpoint *endpoint);

/* Does what has come due by `now`. Early calls are harmless. */
ROAM_API void roam_endpoint_expire(roam_endpoint *endpoint, roam_time now);

/* Takes the oldest event. Returns false, *ret untouched, where none waits. */
ROAM_API bool roam_endpoint_poll(roam_endpoint *endpoint, roam_event *ret);

/* Changes what CIDs are made of. From now on new ones are made to this plan, and the peers of all connections are asked
 * to change to such and to retire those that they have (Retire Prior To, RFC 9000 section 5.1.2), which takes a round
 * trip. Old ones go on working until then. The length of CIDs cannot change. A plan that was in use before goes on with
 * its nonces. ROAM_ERR_CONFIG where roam_cid_plan_check finds fault or the length is another; ROAM_ERR_MEMORY. */
ROAM_API roam_result roam_endpoint_set_cid_plan(roam_endpoint *endpoint, roam_time now, const roam_cid_plan *plan);

enum roam_conn_state {
    ROAM_CONN_RESOLVING, /* waits for roam_conn_resolved */
    ROAM_CONN_HANDSHAKE,
    ROAM_CONN_ESTABLISHED, /* handshake complete */
    ROAM_CONN_CLOSING,     /* RFC 9000 section 10.2.1 */
    ROAM_CONN_DRAINING,    /* RFC 9000 section 10.2.2 */
    ROAM_CONN_CLOSED,      /* nothing is left but its error */
    ROAM_CONN_STATES
};

/* "established", ...: never NULL, static. */
ROAM_API const char *roam_conn_state_name(enum roam_conn_state state);

/* Counters since the endpoint was made. */
typedef struct roam_endpoint_stats {
    uint64_t datagrams_received, datagrams_sent;
    uint64_t bytes_received, bytes_sent;     /* UDP payload octets */
    uint64_t packets_received, packets_sent; /* QUIC packets that were authentic / sealed */
    uint64_t connections_accepted, connections_opened, connections_closed;
    uint64_t handshakes_completed;
    uint64_t retries_sent, version_negotiations_sent, stateless_resets_sent;
    uint64_t moves; /* rows moved to another address, reverts included */
    uint64_t paths_validated, paths_failed;
    uint64_t cids_unroutable;    /* CIDs made without a server id, as the plan's nonces are used up: see cid_plan.h */
    uint64_t drops[ROAM_DROPS];  /* by roam_drop */
    uint64_t events_dropped;     /* for want of room in the queue (max_events) or memory */
    uint64_t qlog_failures;      /* logs that their sink cut short, or that there was no memory for (roam/log.h) */
    uint64_t handshakes_resumed; /* of those completed: they resumed an earlier session */
    uint64_t handshakes_failed;  /* connections that ended before their handshake was complete */
    uint64_t connections[ROAM_CONN_STATES]; /* that there are now, by roam_conn_state */
    uint64_t early_data_accepted;           /* connections whose early data a server took (roam_config.early_data) */
    uint64_t early_data_refused;            /* ... did not take, as the session was used or may have been */
    uint64_t limits[ROAM_LIMITS];           /* how often a peer has come to one, by roam_limit */
    uint64_t data_packets_sent;             /* of packets_sent, those with stream data or DATAGRAM frames */
} roam_endpoint_stats;

ROAM_API void roam_endpoint_get_stats(const roam_endpoint *endpoint, roam_endpoint_stats *ret);

/* ---- The table ------------------------------------------------------------------------------------------------- */

/* Moves of a connection that are remembered. */
#define ROAM_MOVES_KEPT 4

/* What one move has cost. A server moves when the client's packets come from somewhere else; a client when it leaves
 * from another address, by roam_conn_rebind (then both path ids are the same) or to a path that was validated first. */
typedef struct roam_path_stats {
    uint64_t path_id, previous_path_id;
    roam_address local, remote, previous_local, previous_remote;
    roam_time moved_at; /* when the row moved; 0: there was no move */
    bool reverted;      /* back to the last validated address (RFC 9000 section 9.3.2) */
    enum roam_move_why why;
    bool validated;                       /* the peer is proven to be there */
    bool settled;                         /* validated, and a packet has come from there (ROAM_EVENT_PATH_SETTLED) */
    roam_time last_before;                /* the last packet processed before the move */
    roam_time first_after;                /* the first processed on the path after it; 0: none yet */
    roam_time gap;                        /* between the two */
    roam_time validated_after;            /* from the move to its proof; 0 where that came first */
    uint64_t packets_lost;                /* sent on the old path before the move, and lost with it */
    uint64_t bytes_resent;                /* stream and CRYPTO octets in them, which are sent again */
    roam_time rtt_before, rtt_after;      /* smoothed RTT; after: of now, or at the next move */
    uint64_t window_before, window_after; /* congestion window, octets; likewise */
} roam_path_stats;

/* A row of the table: ConnectionID | ClientIP:Port | State | paths | moves | last move. */
typedef struct roam_conn_info {
    roam_conn *conn;
    roam_cid cid;        /* the CID of ours that stood on the newest packet from the peer */
    roam_address remote; /* the peer's, the last that was proven; unset before there was one */
    /* Where a packet of the peer's has come from, and where its packets go, while nobody has proven that the peer is
     * there and not somebody who forged a source (RFC 9000 section 9.3.1). Unset: there is no such claim. Not to be
     * trusted with anything that hangs on an address: access lists, limits, logs that accuse. */
    roam_address claimed;
    roam_address local;
    enum roam_conn_state state;
    bool is_server;
    bool address_validated; /* its packets go to `remote`; false: to `claimed` */
    uint32_t paths;         /* paths known at the moment */
    uint64_t moves;         /* how often the row has moved */
    roam_time last_move;    /* when, 0 for never */
    roam_time created;
    roam_path_stats latest; /* of the last move; latest.moved_at 0: none yet */
    /* Of this connection for as long as it is there, and meanwhile of no other of the endpoint's, whatever becomes of its
     * CIDs and addresses. It tells nothing else. */
    uint64_t id;
} roam_conn_info;

/* Writes up to n rows, the oldest connection first, and returns how many connections there are. */
ROAM_API size_t roam_endpoint_connections(const roam_endpoint *endpoint, roam_conn_info *ret, size_t n);

/* A way through the table that may take its time: a few rows, then whatever else there is to do, then the next few. It
 * comes past each connection that is there all the while, once, the oldest first, and past none that was made after it
 * began. Any number of them may be under way; each must be freed before the endpoint. */
typedef struct roam_table_walk roam_table_walk;

/* NULL without memory. */
ROAM_API roam_table_walk *roam_table_walk_new(roam_endpoint *endpoint, roam_time now);

/* Writes the next rows, at most n, and returns how many; fewer than n only at the end. The connections in them are there
 * until the next call that changes anything. */
ROAM_API size_t roam_table_walk_next(roam_table_walk *walk, roam_conn_info *ret, size_t n);

/* NULL is allowed. */
ROAM_API void roam_table_walk_free(roam_table_walk *walk);

/* The connection to which packets with this CID of ours go; NULL where there is none, and for the CID of length zero. */
ROAM_API roam_conn *roam_endpoint_find(const roam_endpoint *endpoint, const roam_cid *cid);

/* ---- Connection ------------------------------------------------------------------------------------------------ */

/* Opens a connection to host:port. host is an address ("203.0.113.5", "2001:db8::1") or a name, which is resolved
 * through ROAM_EVENT_RESOLVE unless config->remote says where to go. The server must prove that it is `host` (or
 * config->server_name). The configuration is copied; NULL credentials trust the system's authorities. On failure
 * returns NULL and says why in *ret_result (may be NULL). The first packets come out of the next
 * roam_endpoint_transmit. */
ROAM_API roam_conn *roam_connect(roam_endpoint *endpoint, const char *host, uint16_t port, const roam_config *config,
                                 roam_time now, roam_result *ret_result);

/* The host's name, for ROAM_EVENT_RESOLVE, and its port. */
ROAM_API const char *roam_conn_host(const roam_conn *conn, uint16_t *ret_port);

/* Answers ROAM_EVENT_RESOLVE: n addresses in order of preference (the port is filled in from roam_connect); n 0 says
 * that there are none and ends the connection with ROAM_CLOSE_RESOLUTION. While nobody answers, the first eight are
 * asked in turn, each for twice as long as the one before; the first that answers is the server for as long as the
 * connection lasts. */
ROAM_API void roam_conn_resolved(roam_conn *conn, roam_time now, const roam_address *addresses, size_t n);

/* Closes with the application's error code and a reason (NULL: none; cut at ROAM_REASON_MAX octets), RFC 9000
 * section 10.2. Data that was not acknowledged is lost. ROAM_EVENT_CLOSED comes at once; the row stays in the table
 * as closing or draining for three PTOs more, so that the peer hears of the end, and then goes. */
ROAM_API void roam_conn_close(roam_conn *conn, roam_time now, uint64_t code, const char *reason);

/* Gives the handle back. A connection that still lives is closed first, and forgotten when it has drained. All its
 * streams are freed. NULL is allowed. */
ROAM_API void roam_conn_free(roam_conn *conn, roam_time now);

/* What roam_config.user was, or what was set since. */
ROAM_API void *roam_conn_user(const roam_conn *conn);
ROAM_API void roam_conn_set_user(roam_conn *conn, void *user);

ROAM_API bool roam_conn_is_server(const roam_conn *conn);
ROAM_API enum roam_conn_state roam_conn_state(const roam_conn *conn);

/* True from handshake confirmation on (RFC 9001 section 4.1.2): only then may it migrate. */
ROAM_API bool roam_conn_is_confirmed(const roam_conn *conn);

/* What became of early data (roam_config.early_data). */
enum roam_early_data {
    ROAM_EARLY_NONE = 0,    /* none was offered, or the server has refused it */
    ROAM_EARLY_OFFERED = 1, /* a client's: sent, or to be sent, and not answered yet */
    ROAM_EARLY_ACCEPTED = 2,
    ROAM_EARLY_REJECTED = 3, /* a client's: the server has thrown it away */
};
ROAM_API enum roam_early_data roam_conn_early_data(const roam_conn *conn);

/* Why it ended; cause ROAM_CLOSE_NONE while it lives. Valid until roam_conn_free. */
ROAM_API const roam_error *roam_conn_error(const roam_conn *conn);

/* The negotiated application protocol, NUL-terminated; "" before the handshake is complete. */
ROAM_API const char *roam_conn_alpn(const roam_conn *conn);

/* Our address on the active path, and where the peer is: a server's client at the last address that was proven (unset
 * before there is one), whatever packets claim meanwhile (see roam_conn_info). Where the client's socket is bound to
 * no address, the local one is the address that the kernel chose, as soon as a packet has come in there; rows and
 * paths show the address of the socket. */
ROAM_API const roam_address *roam_conn_local_address(const roam_conn *conn);
ROAM_API const roam_address *roam_conn_remote_address(const roam_conn *conn);

/* The row of this connection. */
ROAM_API void roam_conn_get_info(const roam_conn *conn, roam_conn_info *ret);

/* ---- Moving ---------------------------------------------------------------------------------------------------- */

/* The client's packets leave from new_local from now on, and nobody is told: what a NAT does when it reboots, what a
 * laptop does when it wakes up elsewhere. Same CIDs. The server finds out by itself. ROAM_ERR_STATE before the
 * handshake is confirmed or on a server's connection (RFC 9000 section 9). A roam_conn_migrate that still waits for its
 * proof is called off. While ROAM_EVENT_RESOLVE waits for its
 * answer, nothing was sent yet: then it says where the connection begins. */
ROAM_API roam_result roam_conn_rebind(roam_conn *conn, roam_time now, const roam_address *new_local);

/* Moves with care, RFC 9000 section 9: validates the path from new_local first, with a fresh CID, and moves to it when
 * the server has answered: ROAM_EVENT_PATH_VALIDATED, ROAM_EVENT_PATH_MOVED; or ROAM_EVENT_PATH_FAILED and stays. A
 * move that still waits for its answer is called off by the next one (ROAM_EVENT_PATH_CLOSED). ROAM_ERR_STATE as
 * above, ROAM_ERR_NO_CID, ROAM_ERR_DISABLED, ROAM_ERR_LIMIT (max_paths). */
ROAM_API roam_result roam_conn_migrate(roam_conn *conn, roam_time now, const roam_address *new_local);

/* Validates the path from new_local and stays where it is, RFC 9000 section 9.1. Errors as of roam_conn_migrate. */
ROAM_API roam_result roam_conn_probe(roam_conn *conn, roam_time now, const roam_address *new_local);

/* Gives up a path that is not in use, for instance because its network is gone for good: nothing is sent there any
 * more, and the connection ID that it had is retired (RFC 9000 section 5.1.2), so that the peer may give another.
 * ROAM_ERR_ADDRESS where no path has this id, ROAM_ERR_STATE for the active one, ROAM_ERR_CLOSED. */
ROAM_API roam_result roam_conn_forget_path(roam_conn *conn, roam_time now, uint64_t path_id);

enum roam_path_state {
    ROAM_PATH_UNVALIDATED, /* nobody has asked yet */
    ROAM_PATH_VALIDATING,  /* PATH_CHALLENGE is out */
    ROAM_PATH_VALIDATED,   /* the peer answered from there */
    ROAM_PATH_FAILED,      /* nobody answered */
};

/* "validated", ...: never NULL, static. */
ROAM_API const char *roam_path_state_name(enum roam_path_state state);

/* The search for the largest datagram that a path carries, DPLPMTUD: the states of RFC 8899 section 5.2. */
enum roam_pmtud_state {
    ROAM_PMTUD_OFF,             /* not asked for: roam_config.pmtud */
    ROAM_PMTUD_BASE,            /* that 1200 octets pass is to be confirmed */
    ROAM_PMTUD_SEARCHING,       /* probes go out beside the data */
    ROAM_PMTUD_SEARCH_COMPLETE, /* the size is known; looked for again after ten minutes */
    ROAM_PMTUD_ERROR,           /* not even 1200 octets pass: the path cannot be used */
};

/* "searching", ...: never NULL, static. */
ROAM_API const char *roam_pmtud_state_name(enum roam_pmtud_state state);

/* ECN on a path, RFC 9000 section 13.4 and appendix A.4. Packets leave marked while it is tested, and once it works. */
enum roam_ecn_state {
    ROAM_ECN_STATE_OFF,     /* not asked for: roam_config.ecn */
    ROAM_ECN_STATE_TESTING, /* the first packets are marked */
    ROAM_ECN_STATE_UNKNOWN, /* what became of the marks is awaited */
    ROAM_ECN_STATE_CAPABLE,
    ROAM_ECN_STATE_FAILED, /* they are taken away on the way, or set at random */
};

/* "capable", ...: never NULL, static. */
ROAM_API const char *roam_ecn_state_name(enum roam_ecn_state state);

/* One path of a connection. */
typedef struct roam_path_info {
    uint64_t id;
    roam_address local, remote;
    enum roam_path_state state;
    bool active;
    roam_cid cid; /* destination CID on it */
    uint64_t cid_sequence;
    uint64_t bytes_sent, bytes_received; /* UDP payload octets */
    uint64_t window_bytes;               /* congestion window */
    uint64_t in_flight_bytes;
    roam_time smoothed_rtt, min_rtt, rtt_variation; /* smoothed_rtt is the initial RTT before a first sample */
    uint64_t datagram_bytes;                        /* largest datagram sent there */
    enum roam_pmtud_state pmtud;
    uint32_t mtu_probes_sent, mtu_probes_lost;
    uint32_t black_holes; /* times that full datagrams vanished there, and it went on with 1200 octets */
    enum roam_ecn_state ecn;
} roam_path_info;

/* Writes up to n paths, the active one first, and returns how many there are. */
ROAM_API size_t roam_conn_paths(const roam_conn *conn, roam_path_info *ret, size_t n);

/* One connection ID of a connection, RFC 9000 section 5.1. */
typedef struct roam_cid_info {
    roam_cid cid;
    uint64_t sequence;
    bool peers;     /* false: of ours, on packets to us; true: the peer gave it to us */
    bool used;      /* it stood on a packet that came (ours), or that left (the peer's) */
    bool in_use;    /* ours: on the newest packet; the peer's: it belongs to a path */
    bool retiring;  /* ours: the peer was asked to retire it */
    uint64_t bytes; /* UDP payload octets that came or went with it, as far as they were counted */
} roam_cid_info;

/* Writes up to n CIDs, ours first, by their sequence, and returns how many there are. Those that are retired, or that we
 * are retiring, are gone. */
ROAM_API size_t roam_conn_cids(const roam_conn *conn, roam_cid_info *ret, size_t n);

/* Writes what the newest moves have cost, up to n, the newest first; returns how many are kept, at most
 * ROAM_MOVES_KEPT. 0 after moves says that there was no memory to count in. */
ROAM_API size_t roam_conn_path_stats(const roam_conn *conn, roam_path_stats *ret, size_t n);

/* Counters of a connection. */
typedef struct roam_conn_stats {
    uint64_t packets_sent, packets_received, packets_lost;
    uint64_t bytes_sent, bytes_received; /* UDP payload octets */
    uint64_t stream_bytes_sent, stream_bytes_resent, stream_bytes_received;
    uint64_t moves, key_updates, ptos;
    uint64_t ect0_received, ect1_received, ce_received;
    uint64_t challenges_sent, challenges_received, responses_received;
    const char *cipher;         /* "AES-128-GCM", ...; "" before the handshake is complete */
    const char *crypto_backend; /* "ipsec-mb", "libcrypto" */
    bool resumed;               /* the handshake resumed an earlier session */
    bool forward_secrecy;       /* and fresh keys were exchanged: false after resume_without_dh alone */

    /* Datagrams: sent, and of these acknowledged or lost; not sent after all, for having waited too long or for being too
     * large for the path by then; received, and of these dropped as nobody took them in time. Octets are the
     * application's. */
    uint64_t datagrams_sent, datagrams_acked, datagrams_lost, datagrams_expired, datagrams_outgrown;
    uint64_t datagrams_received, datagrams_dropped;
    uint64_t datagram_bytes_sent, datagram_bytes_received;

    uint32_t version; /* of QUIC: 0x00000001, 0x6b3343cf for version 2; may change until the handshake is complete */
} roam_conn_stats;

ROAM_API void roam_conn_get_stats(const roam_conn *conn, roam_conn_stats *ret);

/* Starts a key update, RFC 9001 section 6. ROAM_ERR_STATE where the last one is not finished yet. */
ROAM_API roam_result roam_conn_update_keys(roam_conn *conn, roam_time now);

/* Sends a PING, RFC 9000 section 19.2, for instance to keep a NAT's mapping. */
ROAM_API void roam_conn_ping(roam_conn *conn, roam_time now);

/* ---- Streams --------------------------------------------------------------------------------------------------- */

/* Opens a stream. NULL, with why in *ret_result (may be NULL): ROAM_ERR_LIMIT where the peer allows no more yet
 * (ROAM_EVENT_STREAMS_AVAILABLE tells when it does), ROAM_ERR_STATE before the handshake is complete, ROAM_ERR_CLOSED,
 * ROAM_ERR_MEMORY. */
ROAM_API roam_stream *roam_stream_open(roam_conn *conn, bool unidirectional, roam_result *ret_result);

/* Takes up to len octets to be sent and returns how many: fewer than len where the buffer is full
 * (ROAM_EVENT_STREAM_WRITABLE tells when to go on). The octets are copied. Returns ROAM_ERR_CLOSED after finish,
 * reset or stop, ROAM_ERR_STATE on a stream that only the peer sends on, ROAM_ERR_MEMORY where nothing could be taken: no
 * event tells when to try again. */
ROAM_API ptrdiff_t roam_stream_write(roam_stream *stream, const void *data, size_t len);

/* Like roam_stream_write, but takes all len octets, and does not copy them: they stay where they are, unchanged, until they
 * are acknowledged. Those below offset roam_stream_acknowledged are the application's again, and with
 * ROAM_EVENT_STREAM_RETURNED all are; so are all of them after roam_stream_reset, ROAM_EVENT_STREAM_STOPPED,
 * ROAM_EVENT_CLOSED and roam_stream_free, which copies what has still to be delivered. Where the stream holds
 * roam_config.stream_buffer_bytes or more then, ROAM_EVENT_STREAM_WRITABLE tells when it is time to lend more.
 * ROAM_ERR_MEMORY: nothing was taken; errors else as of write. */
ROAM_API ptrdiff_t roam_stream_lend(roam_stream *stream, const void *data, size_t len);

/* Ends the sending half after what was written: the peer reads the end. */
ROAM_API roam_result roam_stream_finish(roam_stream *stream);

/* Copies up to len octets in order into ret and returns how many. 0 says that nothing is there yet, or the end:
 * *ret_end (may be NULL) tells. ROAM_ERR_CLOSED after a reset by the peer (ROAM_EVENT_STREAM_RESET has its code),
 * ROAM_ERR_STATE on a stream that only we send on. */
ROAM_API ptrdiff_t roam_stream_read(roam_stream *stream, void *ret, size_t len, bool *ret_end);

/* Shows the octets that can be read next where they lie, without copying: *ret points to `return` octets, valid
 * until the next call on this connection. roam_stream_consume then takes the first len of them away. Results as of
 * read. */
ROAM_API ptrdiff_t roam_stream_peek(roam_stream *stream, const uint8_t **ret, bool *ret_end);
ROAM_API void roam_stream_consume(roam_stream *stream, size_t len);

/* Gives up sending: RESET_STREAM with the application's code. Harmless when everything was acknowledged. */
ROAM_API void roam_stream_reset(roam_stream *stream, uint64_t code);

/* Asks the peer to stop sending: STOP_SENDING with the application's code. What comes is thrown away. */
ROAM_API void roam_stream_stop(roam_stream *stream, uint64_t code);

ROAM_API uint64_t roam_stream_id(const roam_stream *stream);

/* Octets of it came in early data; at a client: it was opened for that. Before ROAM_EVENT_CONNECTED a server should do
 * nothing for them that must not be asked for by somebody else (RFC 8470). */
ROAM_API bool roam_stream_is_early(const roam_stream *stream);
ROAM_API roam_conn *roam_stream_conn(const roam_stream *stream);
ROAM_API void *roam_stream_user(const roam_stream *stream);
ROAM_API void roam_stream_set_user(roam_stream *stream, void *user);

/* How urgent its octets are to us, in the terms of RFC 9218 section 4: of those that were never sent, the ones of the
 * lowest urgency (0 to 7) go first. Among streams as urgent, those with `incremental` set take turns, and those without go
 * one after the other in the order of their ids, with a turn of the others in between. Nothing is told to the peer. By
 * default 3 and incremental. */
ROAM_API void roam_stream_set_priority(roam_stream *stream, uint8_t urgency, bool incremental);

/* Octets written that the peer has not acknowledged yet. */
ROAM_API uint64_t roam_stream_unacknowledged(const roam_stream *stream);

/* The offset in the stream up to which all that was written is acknowledged. */
ROAM_API uint64_t roam_stream_acknowledged(const roam_stream *stream);

/* Gives the handle back. A half that is not at its end is reset or stopped with code 0; what was written and
 * finished is still delivered. NULL is allowed. */
ROAM_API void roam_stream_free(roam_stream *stream);

/* ---- Datagrams ------------------------------------------------------------------------------------------------- */

/* Octets that arrive whole, in any order, once, or not at all: DATAGRAM frames, RFC 9221. They are subject to congestion
 * control and to nothing else: no limit of the peer's holds them up, and none is sent again. Where streams have something
 * to send too, packets are begun with datagrams and with stream data in turn, and what room is left is the other's.
 * They leave on the active path: those that wait when the connection moves leave on the new one. */

/* Takes a datagram of len octets, which are copied, to be sent as soon as congestion control lets it. `tag` means nothing
 * to the library and comes back in the events that tell its fate (roam_config.datagram_fates). ROAM_ERR_UNSUPPORTED
 * where the peer takes none, ROAM_ERR_TOO_LARGE where it has more octets than roam_conn_datagram_bytes, ROAM_ERR_LIMIT
 * where roam_config.datagram_queue_bytes wait already (ROAM_EVENT_DATAGRAM_WRITABLE tells when to go on),
 * ROAM_ERR_STATE before the handshake is complete, ROAM_ERR_CLOSED, ROAM_ERR_MEMORY. */
ROAM_API roam_result roam_conn_send_datagram(roam_conn *conn, roam_time now, const void *data, size_t len,
                                             uint64_t tag);

/* The octets of the largest datagram that can be sent now: what the peer takes and the active path carries (RFC 9221
 * section 5). It changes with the path, ROAM_EVENT_PATH_MOVED and ROAM_EVENT_PATH_MTU; what waits and has become too
 * large is not sent. 0: the peer takes none, or has not said yet. */
ROAM_API size_t roam_conn_datagram_bytes(const roam_conn *conn);

/* Takes the oldest datagram that came: *ret points to its *ret_len octets (which may be none), valid until the next call
 * on this connection or its endpoint. False, both untouched, where none is there. Those that nobody takes are kept up to
 * roam_config.datagram_queue_bytes; what comes beyond that is dropped and counted. They can still be taken after
 * ROAM_EVENT_CLOSED. */
ROAM_API bool roam_conn_next_datagram(roam_conn *conn, const uint8_t **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
