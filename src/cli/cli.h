/* What the subcommands of `roam` share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

#include <roam/io.h>

#include "cli/options.h"

enum exit_status {
    EXIT_OK = 0,
    EXIT_CONNECTION = 1, /* the connection failed; the message names the cause */
    EXIT_USAGE = 2,
    EXIT_LOCAL = 3, /* a file, a pipe or a terminal of ours failed */
};

/* One subcommand each; argv begins behind its name. */
int listen_main(int argc, char **argv);
int connect_main(int argc, char **argv);
int demo_main(int argc, char **argv);
int natbox_main(int argc, char **argv);
int check_main(int argc, char **argv);
int cid_main(int argc, char **argv);
int perf_main(int argc, char **argv);
int top_main(int argc, char **argv);
int events_main(int argc, char **argv);
int get_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int table_main(int argc, char **argv);

/* ---- output.c */

/* "roam: ..." on stderr. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_BAD };
/* The escape sequence for a style, "" where the stream is no terminal or NO_COLOR is set. */
const char *style(FILE *stream, enum style which);

/* Why a connection ended, in one sentence: "CRYPTO_ERROR (unknown_ca): the certificate's authority is not trusted". */
#define CAUSE_TEXT_MAX 256
const char *describe_error(const roam_error *error, char ret[CAUSE_TEXT_MAX]);

/* "12.3 MiB", "45 MiB/s": rounded for people. */
#define AMOUNT_TEXT_MAX 32
const char *format_amount(double bytes, char ret[AMOUNT_TEXT_MAX]);

/* Two lower-case digits an octet. */
void print_hex(FILE *stream, const uint8_t *data, size_t len);

/* A line for an event: "   12.345 ms  path_validated  127.0.0.1:4433" */
void print_event(FILE *stream, const roam_event *event, roam_time since);

/* For ROAM_EVENT_PATH_SETTLED: "moved to 127.0.0.1:50000 -> 127.0.0.1:4433 (application): gap 12.345 ms, ...": what
 * the newest move has cost. */
void print_move(FILE *stream, const roam_event *event);

/* ---- setup.c: from options to configurations */

/* Credentials and everything else that both sides choose; false where something is wrong, which has been printed. alpn
 * must outlive the configuration. The caller frees ret->credentials. */
bool setup_config(const struct net_options *options, bool is_server, const char *alpn[2], roam_config *ret);
/* A certificate of our own for this host; false where there is none to be had, which has been printed. */
bool setup_certificate(roam_credentials *credentials);
bool setup_endpoint(const struct net_options *options, roam_endpoint_config *ret);
/* A server: whom it answers. */
bool setup_silence(const struct net_options *options, roam_endpoint_config *ret);

/* --qlog, QLOGDIR and SSLKEYLOGFILE; false where a file cannot be written, which has been printed. */
bool setup_logs(roam_io *io, const struct net_options *options);

/* --socket-buffer; to be called before there are sockets. */
void setup_buffers(roam_io *io, const struct net_options *options);

/* --prefer, --metered, --forbid, --force. */
void setup_networks(roam_io *io, const struct net_options *options);

/* Once in the life of the process: that the kernel gives less than was wanted, and how to have it give that. */
void report_buffers(const roam_io *io);

/* Says what went wrong with a log since. */
void report_logs(const roam_io *io);

/* SIGPIPE is ignored; SIGINT and SIGTERM wake `io` and are remembered. */
struct signals {
    uv_signal_t handles[2];
    roam_io *io;
    int caught; /* 0 for none */
};
void signals_start(struct signals *signals, roam_io *io);
void signals_stop(struct signals *signals);

/* Turns the loop until handles that were closed are gone. */
void settle_handles(roam_io *io);

/* Makes a timer on the loop, with `data`, and lets it call each `period`; 0: never. */
void start_timer(roam_io *io, uv_timer_t *timer, void *data, roam_time period, uv_timer_cb callback);

#endif
