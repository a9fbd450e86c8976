/*
 * The bench: one connection to the server under examination, with sockets that the probes open, leave and listen on
 * as they like. It turns the endpoint's five verbs itself, so that every datagram passes the eye on its way, what
 * comes to a place that we have left is seen and not delivered, and an answer can be held back.
 */
#ifndef CLI_CHECK_BENCH_H
#define CLI_CHECK_BENCH_H

#include "cli/check_eye.h"
#include "endpoint/endpoint.h"
#include "io/udp_socket.h"

#define BENCH_PLACES_MAX 16
#define BENCH_HELD_MAX   16
/* What one bench may send and take: far more than any probe needs, and nothing that a server would notice. */
#define BENCH_DATAGRAMS_MAX 1000

struct exam;

/* A socket of ours. */
struct bench_place {
    struct udp_socket udp;
    bool left; /* a NAT has forgotten it: what comes is looked at, the connection does not get it */
};

/* A datagram with a PATH_RESPONSE that waits. */
struct bench_held {
    roam_datagram datagram;
    uint8_t data[SEND_BYTES_MAX];
};

struct bench {
    struct exam *exam;
    roam_endpoint *endpoint;
    roam_conn *conn;
    roam_config config;
    const char *alpn[2];
    struct bench_place places[BENCH_PLACES_MAX];
    unsigned place_count;
    unsigned place; /* where the connection is */
    struct datagram_batch receiving;
    struct datagram_batch sending;
    struct check_log log;
    struct eye eye;
    bool hold_responses;
    struct bench_held *held[BENCH_HELD_MAX];
    unsigned held_count;
    bool exhausted; /* BENCH_DATAGRAMS_MAX, or no memory */
    int send_error; /* errno of a datagram that this host would not send; 0: none */

    roam_time started, connected_at, confirmed_at;
    unsigned events[ROAM_EVENT_TYPES];
    uint64_t newest_sequence; /* of the server's CIDs */
    /* What the conditions of bench_run compare with. */
    size_t mark;            /* an entry of the log */
    uint64_t sequence_mark; /* a newest_sequence */
    roam_address moved_to;  /* by the connection itself: the server's preferred address */
    bool closed;
    roam_error error;
    bool tamper; /* the Retry token goes back with one bit changed */

    roam_stream *stream; /* the request's */
    uint64_t response_bytes;
    bool response_ended;
    uint64_t response_enough; /* octets that show that it goes on */
    bool stop_reading;        /* flow control holds the rest of the response back */
};

/* Opens a bench and begins the handshake from `from`, with the exam's ALPN. `window` limits what the server may send of
 * a response before it is read; 0: the default. False where there is no memory or no socket; errno tells. Call
 * bench_done in any case. */
bool bench_init(struct bench *bench, struct exam *exam, const roam_address *from, uint64_t window);

/* The same with another ALPN, and a configuration that `adjust` (may be NULL) has its way with. */
typedef void bench_adjust(roam_config *config, const struct exam *exam);
bool bench_init_adjusted(struct bench *bench, struct exam *exam, const char *alpn, const roam_address *from,
                         uint64_t window, bench_adjust *adjust);

/* Says goodbye, and adds what was sent and received to the exam's totals. */
void bench_done(struct bench *bench);

typedef bool bench_condition(struct bench *bench);
/* Turns the bench until the condition holds, the connection ends, or `patience` or the exam's time is over. Returns
 * whether the condition holds. NULL: only time. */
bool bench_run(struct bench *bench, bench_condition *until, roam_time patience);

/* Opens another socket at this address, any port. Returns its number, or -1 with errno. */
int bench_open(struct bench *bench, const roam_address *at);

/* The connection moves to another place, and the old one is forgotten as by a NAT. */
roam_result bench_rebind(struct bench *bench, unsigned place);

/* Sends a PING, in a datagram of so many octets; 0: as small as it is. */
void bench_ping(struct bench *bench, uint32_t bytes);

/* Reads what has come of the response: from now on flow control lets more of it come. */
void bench_read(struct bench *bench);

/* Lets held answers go. */
void bench_release(struct bench *bench);

/* Round trip as measured, at least a little. */
roam_time bench_rtt(const struct bench *bench);
/* How long to wait for something that ought to come within a round trip or two. */
roam_time bench_patience(const struct bench *bench);

bool bench_is_confirmed(struct bench *bench);

/* The bench stopped before its time: interrupted, out of time, or more datagrams than it takes. What has not been seen
 * by then proves nothing. */
bool bench_was_cut(const struct bench *bench);

#endif
