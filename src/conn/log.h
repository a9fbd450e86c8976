/*
 * What a connection says to its qlog (roam/log.h): packets and events as they come, and everything else by comparing
 * what is with what was said last, after each packet and each timer (conn_log_changes). So no module beside those that
 * handle packets knows of it.
 *
 * Callers look at conn->log first: NULL, nearly always, and nothing happens.
 */
#ifndef CONN_LOG_H
#define CONN_LOG_H

#include "conn/assemble.h"
#include "observe/qlog.h"

/* Of a path, as it was said last. */
struct log_metrics {
    uint64_t path_id, window, in_flight, threshold, pacing_rate, packets_in_flight;
    roam_time min_rtt, smoothed_rtt, latest_rtt, rtt_variation;
    uint64_t pto_count;
};

struct log_view {
    const char *stage; /* of the connection */
    uint64_t next_path_id;
    uint64_t path_id; /* the active path, */
    roam_address local, remote;
    roam_cid remote_cid, local_cid; /* on packets to the peer, and from it */
    uint64_t datagram_bytes;
    bool searched; /* the largest datagram is known */
    enum roam_ecn_state ecn;
    const char *congestion, *migration;
    uint64_t migration_path_id;
    struct log_metrics metrics;
    enum loss_timer timer;
    enum packet_space timer_space;
    bool params_received;
    bool keys[PACKET_SPACES], discarded[PACKET_SPACES];
    uint64_t key_updates;
};

struct conn_log {
    struct qlog qlog;
    struct log_view said;
    /* The packet that is being looked at, for those that are dropped. */
    struct {
        bool known;
        enum packet_type type;
        roam_cid dcid;
        size_t bytes;
    } incoming;
};

/* Opens a log for the connection where the sink wants one. */
void conn_log_open(roam_conn *conn, const roam_qlog *sink, const roam_cid *original_dcid);
void conn_log_close(roam_conn *conn);
/* Hands out what was said; gives the log up where the sink has refused. */
void conn_log_flush(roam_conn *conn);

/* ---- log.c: what happens */
void conn_log_started(roam_conn *conn);
void conn_log_params(roam_conn *conn, const struct transport_params *params, bool ours);
void conn_log_event(roam_conn *conn, const roam_event *event);

/* ---- log_packets.c */

/* The next packet of a datagram; header NULL: not even that could be read. */
void conn_log_incoming(roam_conn *conn, const struct packet_header *header, size_t bytes);
void conn_log_dropped(roam_conn *conn, roam_drop reason);
void conn_log_buffered(roam_conn *conn);
void conn_log_received(roam_conn *conn, const struct packet_header *header, const struct packet_context *context,
                       const uint8_t *payload, size_t len, bool key_phase);
/* A Retry or Version Negotiation packet: nothing in it is protected. */
void conn_log_unprotected(roam_conn *conn, const struct packet_header *header);
/* Before it is sealed. */
void conn_log_sent(roam_conn *conn, const struct assembly *assembly, const struct pending_packet *packet, uint8_t ecn);
void conn_log_lost(roam_conn *conn, enum packet_space space, const struct sent_packet *packet);

/* ---- log_changes.c */
void conn_log_changes(roam_conn *conn);
/* Of them, only where paths that are new go. */
void conn_log_new_paths(roam_conn *conn);
void conn_log_timer_expired(roam_conn *conn, enum loss_timer timer, enum packet_space space);

#endif
