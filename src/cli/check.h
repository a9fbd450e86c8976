/*
 * roam check: does a QUIC server survive an address change? The exam runs the probes one after the other, each on a
 * connection of its own, and collects evidence; the verdicts are a pure function of that.
 *
 *   check.c           the command: options, exit status
 *   check_addresses.c where the server is, and where we are
 *   check_bench.c     a connection on sockets that are left and held back at will
 *   check_eye.c       reads copies of its packets
 *   check_log.c       what was seen, and what that says about a move
 *   check_exam.c      the order of the probes
 *   check_hello.c     probes: versions, ALPNs, handshake, acknowledgements, Retry,
 *                     resumption
 *   check_moves.c     probes: rebindings, migration, connection IDs
 *   check_response.c  probe: a rebinding in the middle of a response
 *   check_stateless.c probes: packets that belong to no connection
 *   check_logs.c      qlogs and secrets
 *   check_request.c   what is asked for there
 *   check_verdicts.c, check_verdicts_moves.c  from evidence to verdicts
 *   check_params.c    what is odd about transport parameters
 *   check_print.c, check_json.c  the report
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <signal.h>

#include "cli/check_bench.h"
#include "cli/check_verdicts.h"
#include "cli/cli.h"
#include "cli/keep_file.h"
#include "io/log_files.h"

/* What `roam check` ends with. */
enum check_status {
    CHECK_SURVIVES = 0,
    CHECK_FAILS = 1,        /* it does not survive a move, or breaks a MUST */
    CHECK_USAGE = 2,        /* = EXIT_USAGE */
    CHECK_NO_HANDSHAKE = 3, /* no such name, nobody answers, TLS fails, no ALPN in common */
    CHECK_LOCAL = 4,        /* a socket or a file of ours failed */
    CHECK_UNDECIDED = 5,    /* interrupted, out of time, or nothing could be tried that would have told */
};

struct check_options {
    struct net_options net;
    bool json;
    roam_address second;
    roam_time timeout;
};

/* check_logs.c. Where qlogs and secrets of all connections go; sinks without `write`: nowhere. */
struct check_logs {
    struct qlog_files files;
    roam_qlog qlog;
    struct keylog_file secrets;
    roam_keylog keylog;
};
/* --qlog, QLOGDIR and SSLKEYLOGFILE; false where nothing can be written there, which has been printed. */
bool check_logs_open(struct check_logs *logs, const struct net_options *options);
void check_logs_attach(const struct check_logs *logs, roam_endpoint *endpoint);
/* False where something was not written, which has been printed. */
bool check_logs_close(struct check_logs *logs);

/* All connections together. */
struct check_totals {
    unsigned connections;
    uint64_t datagrams_sent, bytes_sent, datagrams_received, bytes_received;
};

#define CHECK_HOST_MAX  256
#define CHECK_PATH_MAX  1024
#define CHECK_ADDRESSES 2

struct exam {
    struct check_options options;
    char host[CHECK_HOST_MAX];
    uint16_t port;
    char path[CHECK_PATH_MAX]; /* of the request */
    roam_credentials *credentials;
    struct check_logs logs;
    roam_address addresses[CHECK_ADDRESSES]; /* of the server, the preferred family first */
    size_t address_count;
    roam_address remote; /* the one that is examined */
    roam_address local;  /* where we ask from; port 0 */
    roam_address second; /* where we move to; unset: there is none */
    const char *alpn;    /* chosen for the probes */
    roam_time started, deadline;
    struct check_totals totals;
    struct evidence evidence;
    /* A CID of a connection that has ended, and its reset token. */
    roam_cid late_cid;
    uint8_t late_token[RESET_TOKEN_BYTES];
    bool has_late;
    uint8_t session[KEEP_SESSION_BYTES_MAX]; /* the newest */
    size_t session_bytes;
    const volatile sig_atomic_t *interrupted;
    int local_error; /* errno of what failed on our side */
};

roam_time check_now(void);

/* True where there is no time left, more was sent than is polite, or the user does not want any more. */
bool exam_is_over(const struct exam *exam);

/* check_exam.c. Everything, in its order. */
void exam_run(struct exam *exam);

/* check_hello.c */
void probe_handshakes(struct exam *exam);
void probe_retry(struct exam *exam);
void probe_resumption(struct exam *exam);
void probe_preferred(struct exam *exam);
void probe_end(struct exam *exam);

/* check_moves.c */
void probe_port_rebinding(struct exam *exam);
void probe_small_rebinding(struct exam *exam);
void probe_address_rebinding(struct exam *exam);
void probe_row(struct exam *exam);
void probe_migration(struct exam *exam);
/* Waits until what follows a handshake has come: tickets, tokens, connection IDs. False where it never did. */
bool settle(struct bench *bench);

/* Writes down what came of the move from old_place to where the bench is, from entry `begin` on; all but `survived`. */
void conclude_move(struct bench *bench, struct move_evidence *move, size_t begin, unsigned old_place);

/* check_response.c */
void probe_response(struct exam *exam);

/* check_stateless.c */
void probe_versions(struct exam *exam);
void probe_reset(struct exam *exam);

/* check_addresses.c. Where the server is: false where the name does not resolve, which has been printed. */
bool find_server(struct exam *exam);
/* Where we ask from and where we move to, for exam->remote. False where there is no way there, printed too. */
bool find_own_addresses(struct exam *exam);

/* The report. */
struct report {
    const struct exam *exam;
    const struct verdict *verdicts;
    size_t count;
    enum check_status status;
    roam_time took;
};
/* check_print.c, check_json.c */
void report_print(const struct report *report, FILE *stream);
void report_print_json(const struct report *report, FILE *stream);
/* "survives", "fails", "no-handshake", ... */
const char *check_status_name(enum check_status status);

/* check_exam.c. "why not" of a probe that does not run. */
void why_not(enum probe_state *state, char ret[WHY_NOT_MAX], enum probe_state value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
