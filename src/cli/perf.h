/*
 * Inside of `roam perf`. docs/perf.md has the protocol and the report.
 *   perf.c              the command line, and both sides' configuration
 *   perf_server.c       answers whoever asks
 *   perf_client.c       one run: connects, takes both sides' accounts before and after, and says what came of it
 *   perf_bulk.c         what a run does: so many octets down and up, over so many streams at once
 *   perf_requests.c     ... so many small requests, so many at once
 *   perf_connections.c  ... so many handshakes; so many connections that do nothing
 *   perf_datagrams.c    ... so many octets down and up in datagrams
 *   perf_account.c      what a side has used so far, and its way over a stream
 *   perf_stream.c       octets that mean nothing, sent and received without looking
 *   perf_report.c       the result, as a table or as JSON
 */
#ifndef CLI_PERF_H
#define CLI_PERF_H

#include "cli/cli.h"
#include "cli/perf_histogram.h"

#define PERF_ALPN "roam-perf"

/* A request begins with the number of octets that are wanted back. */
#define PERF_HEADER_BYTES 8
/* The code of a stream that is reset because there was no memory for what is sent on it. */
#define PERF_NO_MEMORY 1

/* Wanted of a server: its account instead of so many octets. */
#define PERF_WANT_ACCOUNT UINT64_MAX

/* ... or, with the number of octets, these in datagrams: another number follows, the octets of each (0: as many as fit). */
#define PERF_WANT_DATAGRAMS (UINT64_C(1) << 63)

/* Octets of the largest datagram that is sent. */
#define PERF_PAYLOAD_MAX 65536

/* A session with its ticket. */
#define PERF_SESSION_BYTES_MAX 16384

/* Says that a number was not given. */
#define PERF_UNSET UINT64_MAX

struct perf_options {
    struct net_options net;
    bool json, resume, without_dh, datagrams, guarded;
    uint64_t cpu; /* to stay on; PERF_UNSET: any */
    uint64_t window_bytes;
    /* A client's: what to do, 0 for not. */
    uint64_t download, upload, requests, handshakes, idle;
    uint64_t streams, request_bytes, response_bytes, parallel, payload_bytes;
    roam_time hold, time;
};

/* False where the options do not go together, which has been said. alpn must outlive the configuration. */
bool perf_setup(const struct perf_options *options, bool is_server, const char *alpn[2], roam_config *ret);

int perf_serve(const struct perf_options *options, const struct command_line *line);
int perf_run(const struct perf_options *options, const char *target);

/* ---- perf_account.c: what a process, and one connection in it, has used and done so far */

struct perf_account {
    uint64_t cpu_user_ns, cpu_system_ns;
    uint64_t resident_bytes;
    uint64_t connections; /* rows in the table */
    uint64_t packets_sent, packets_received, packets_lost;
    uint64_t bytes_sent, bytes_received; /* UDP payload octets */
    uint64_t stream_bytes_resent;
    uint64_t datagram_bytes, window_bytes, smoothed_rtt_ns, min_rtt_ns; /* of the active path */
    uint64_t receive_buffer_bytes, send_buffer_bytes;                   /* that the kernel grants a socket */
    /* DATAGRAM frames: their number; unsent: for their age or their size; unread: for want of room. Octets are of what
     * they carry. */
    uint64_t dgrams_sent, dgrams_acked, dgrams_lost, dgrams_unsent, dgrams_received, dgrams_unread;
    uint64_t dgram_bytes_received;
};

#define PERF_ACCOUNT_BYTES (sizeof(struct perf_account) / sizeof(uint64_t) * 8)

/* conn NULL: of the process alone. */
void perf_account_take(struct perf_account *ret, roam_io *io, const roam_conn *conn);
/* Numbers of eight octets, in network order, in the order above. */
void perf_account_write(const struct perf_account *account, uint8_t ret[PERF_ACCOUNT_BYTES]);
void perf_account_read(struct perf_account *ret, const uint8_t data[PERF_ACCOUNT_BYTES]);

/* ---- perf_stream.c */

/* A stream has so much ahead of what is acknowledged: more than any window. It is lent, so that it costs no memory. */
#define PERF_AHEAD_BYTES (64 * 1024 * 1024)
/* Less than this is copied instead, so that the stream can be given back at once. */
#define PERF_COPIED_MAX 4096

/* Writes what is left to be written, and the end behind it. True where that is done, and where nobody reads the stream
 * any more; false where it takes no more until it is writable. */
bool perf_send(roam_stream *stream, uint64_t *left);
/* Takes what has come, and adds it to *received; false where nothing more will come, *ret_whole whether for having
 * come to its end. */
bool perf_receive(roam_stream *stream, uint64_t *received, bool *ret_whole);
void perf_header_write(uint64_t wanted, uint8_t ret[PERF_HEADER_BYTES]);
uint64_t perf_header_read(const uint8_t data[PERF_HEADER_BYTES]);

/* ---- perf_datagrams.c */

/* What a side sends. */
struct perf_datagrams {
    uint64_t left; /* octets that are not handed over yet */
    uint64_t payload_bytes;
    uint64_t under_way; /* datagrams of which nobody has said what has become of them */
    roam_result refused;
};

/* Hands over as many as are taken. False where none will be, which `refused` explains. */
bool perf_datagrams_send(struct perf_datagrams *datagrams, roam_conn *conn, roam_time now);
/* The event tells the fate of one; `latency` is that of those that were acknowledged. */
void perf_datagrams_settle(struct perf_datagrams *datagrams, const roam_event *event, struct perf_histogram *latency);
/* Takes all that came, and says how many octets. */
uint64_t perf_datagrams_take(roam_conn *conn);

/* ---- perf_client.c */

/* When accounts are taken. MIDWAY only where a mode asks for it: then what comes after is another matter than what came
 * before. */
enum { PERF_AT_BEGIN, PERF_AT_MIDWAY, PERF_AT_END, PERF_ACCOUNTS };

struct perf_result {
    const char *mode;
    roam_time began, midway, ended; /* midway 0: there is none */
    uint64_t streams;               /* at once, of bulk and requests */
    uint64_t bytes_down, bytes_up;  /* stream octets, without headers */
    uint64_t operations, failed;    /* requests, handshakes, connections */
    struct perf_histogram latency;  /* of each operation, or each datagram up, in nanoseconds */
    struct perf_account client[PERF_ACCOUNTS], server[PERF_ACCOUNTS];
    char cipher[32];
    const char *crypto_backend;
};

struct perf_client;

/* What a run does between its accounts. */
struct perf_mode {
    const char *name;
    /* False where it cannot be done, which has been said. */
    bool (*start)(struct perf_client *client);
    void (*on_event)(struct perf_client *client, const roam_event *event);
    /* The accounts that perf_client_midway asked for are taken. */
    void (*on_midway)(struct perf_client *client);
    /* NULL, or: the last accounts are here. */
    void (*count)(struct perf_client *client);
    /* Time is over (--time): perf_client_finish as soon as it can be. */
    void (*on_time)(struct perf_client *client);
    void (*done)(struct perf_client *client);
};

extern const struct perf_mode perf_bulk, perf_requests, perf_handshakes, perf_idle, perf_datagrams_mode;

struct perf_client {
    roam_io *io;
    const struct perf_options *options;
    const roam_config *config;
    struct signals signals;
    uv_timer_t timer; /* of --time, or --hold */
    char host[256];
    uint16_t port;
    roam_conn *conn; /* the one whose accounts are taken */
    enum { PERF_CONNECTING, PERF_ACCOUNTING, PERF_RUNNING, PERF_OVER } phase;
    bool confirmed;
    uint8_t session[PERF_SESSION_BYTES_MAX]; /* of that connection, for others to resume (--resume) */
    size_t session_bytes;
    int accounting; /* which of the accounts is being taken */
    int status;
    roam_stream *account; /* on which the server's account is awaited */
    uint8_t account_bytes[PERF_ACCOUNT_BYTES];
    size_t account_len;
    const struct perf_mode *mode;
    void *state; /* of the mode */
    struct perf_result result;
};

/* The mode has done the first half of its work: on_midway follows. */
void perf_client_midway(struct perf_client *client);
/* The mode has done its work. */
void perf_client_finish(struct perf_client *client);
/* The run cannot go on. */
void perf_client_fail(struct perf_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- perf_report.c */

void perf_report(const struct perf_result *result, bool json, FILE *stream);

/* What a server has done in its life. */
struct perf_served {
    uint64_t connections, requests, bytes_sent, bytes_received;
    struct perf_account account;
};

void perf_report_served(const struct perf_served *served, bool json, FILE *stream);

#endif
