/*
 * One run of `roam perf client`. States (client.phase) and who changes them:
 *   CONNECTING -> BEFORE   the handshake is confirmed            on_event
 *   BEFORE -> RUNNING      the server's first account is here    take_account
 *   RUNNING -> AFTER       the mode has done its work            perf_client_finish
 *   AFTER -> OVER          the server's second account is here   take_account
 *   any -> OVER            something failed                      perf_client_fail
 * Kept: the accounts enclose what the mode does and nothing else, so that differences are the cost of the work.
 */
#include <errno.h>
#include <string.h>

#include "cli/perf.h"

/* Application error codes of ours. */
enum { CODE_OK = 0, CODE_FAILED = 1 };

void perf_client_fail(struct perf_client *client, const char *format, ...)
{
    char text[CAUSE_TEXT_MAX + 64];
    va_list arguments;
    if (client->phase == PERF_OVER)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say_error("%s", text);
    client->phase = PERF_OVER;
    client->status = EXIT_CONNECTION;
}

/* ---- Accounts ---------------------------------------------------------------------------------------------------- */

static void ask_for_account(struct perf_client *client)
{
    uint8_t header[PERF_HEADER_BYTES];
    roam_result result;
    client->account_len = 0;
    client->account = roam_stream_open(client->conn, false, &result);
    if (client->account == NULL) {
        perf_client_fail(client, "no stream: %s", roam_result_name(result));
        return;
    }
    perf_header_write(PERF_WANT_ACCOUNT, header);
    roam_stream_write(client->account, header, sizeof(header));
    roam_stream_finish(client->account);
}

static void run_mode(struct perf_client *client)
{
    client->phase = PERF_RUNNING;
    perf_account_take(&client->result.client[0], client->io, client->conn);
    client->result.began = roam_io_now(client->io);
    if (!client->mode->start(client)) {
        client->phase = PERF_OVER;
        client->status = EXIT_LOCAL;
    }
}

void perf_client_finish(struct perf_client *client)
{
    if (client->phase != PERF_RUNNING)
        return;
    client->result.ended = roam_io_now(client->io);
    perf_account_take(&client->result.client[1], client->io, client->conn);
    client->phase = PERF_AFTER;
    ask_for_account(client);
}

static void take_account(struct perf_client *client)
{
    bool end = false;
    ptrdiff_t n;
    do {
        n = roam_stream_read(client->account, client->account_bytes + client->account_len,
                             sizeof(client->account_bytes) - client->account_len, &end);
        client->account_len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && !end && client->account_len < sizeof(client->account_bytes));
    if (n >= 0 && client->account_len < sizeof(client->account_bytes) && !end)
        return;
    roam_stream_free(client->account);
    client->account = NULL;
    if (client->account_len < sizeof(client->account_bytes)) {
        perf_client_fail(client, "the server gives no account of itself");
        return;
    }
    perf_account_read(&client->result.server[client->phase == PERF_AFTER], client->account_bytes);
    if (client->phase == PERF_BEFORE)
        run_mode(client);
    else
        client->phase = PERF_OVER;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void on_event(struct perf_client *client, const roam_event *event)
{
    char cause[CAUSE_TEXT_MAX];
    if (client->options->net.verbose)
        print_event(stderr, event, 0);
    if (event->conn == client->conn && event->type == ROAM_EVENT_CLOSED) {
        perf_client_fail(client, "connection with %s ended early: %s", client->host,
                         describe_error(event->error, cause));
    } else if (event->conn == client->conn && event->type == ROAM_EVENT_CONFIRMED) {
        client->phase = PERF_BEFORE;
        ask_for_account(client);
    } else if (event->stream != NULL && event->stream == client->account) {
        if (event->type == ROAM_EVENT_STREAM_READABLE || event->type == ROAM_EVENT_STREAM_RESET)
            take_account(client);
    } else if (client->phase == PERF_RUNNING) {
        client->mode->on_event(client, event);
    }
}

static void note_crypto(struct perf_client *client)
{
    roam_conn_stats stats;
    roam_conn_get_stats(client->conn, &stats);
    snprintf(client->result.cipher, sizeof(client->result.cipher), "%s", stats.cipher);
    client->result.crypto_backend = stats.crypto_backend;
}

static void talk(struct perf_client *client)
{
    roam_event event;
    roam_result result;
    client->conn = roam_io_connect(client->io, client->host, client->port, client->config, &result);
    if (client->conn == NULL) {
        perf_client_fail(client, "connection to %s failed: %s%s%s", client->host, roam_result_name(result),
                         result == ROAM_ERR_SYSTEM ? ": " : "", result == ROAM_ERR_SYSTEM ? strerror(errno) : "");
        return;
    }
    while (client->phase != PERF_OVER) {
        if (roam_io_next(client->io, &event, ROAM_TIME_NEVER))
            on_event(client, &event);
        if (client->signals.caught != 0) {
            client->phase = PERF_OVER;
            client->status = 128 + client->signals.caught;
        }
    }
    note_crypto(client);
    if (client->mode->done != NULL)
        client->mode->done(client);
    roam_conn_close(client->conn, roam_io_now(client->io), client->status == EXIT_OK ? CODE_OK : CODE_FAILED, NULL);
    roam_conn_free(client->conn, roam_io_now(client->io));
}

int perf_run(const struct perf_options *options, const char *target)
{
    static struct perf_client client;
    roam_endpoint_config endpoint_config;
    roam_config config;
    const char *alpn[2];
    roam_result result;
    if (!split_host_port(target, NULL, client.host, &client.port) || client.port == 0) {
        say_error("not a HOST:PORT: '%s'", target);
        return EXIT_USAGE;
    }
    if (!setup_endpoint(&options->net, &endpoint_config) || !perf_setup(options, false, alpn, &config))
        return EXIT_USAGE;
    client.options = options;
    client.config = &config;
    client.mode = &perf_bulk;
    client.result.mode = client.mode->name;
    client.result.streams = options->streams;
    client.io = roam_io_new(&endpoint_config, NULL, &result);
    if (client.io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        roam_credentials_free(config.credentials);
        return EXIT_LOCAL;
    }
    signals_start(&client.signals, client.io);
    if (!setup_logs(client.io, &options->net))
        client.status = EXIT_LOCAL;
    else
        talk(&client);
    signals_stop(&client.signals);
    settle_handles(client.io);
    report_logs(client.io);
    roam_io_free(client.io);
    roam_credentials_free(config.credentials);
    if (client.status == EXIT_OK)
        perf_report(&client.result, options->json, stdout);
    return client.status;
}
