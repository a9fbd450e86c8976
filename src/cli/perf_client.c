/*
 * One run of `roam perf client`. States (client.phase) and who changes them:
 *   CONNECTING -> ACCOUNTING   the handshake is confirmed                     prepare
 *   RUNNING -> ACCOUNTING      the mode has done half of its work, or all     perf_client_midway, perf_client_finish
 *   ACCOUNTING -> RUNNING      the server's account is here                   take_account
 *   ACCOUNTING -> OVER         ... and it was the last one                    take_account
 *   any -> OVER                something failed, or somebody interrupts       perf_client_fail, talk
 * Kept: the accounts enclose what the mode does and nothing else, so that differences are the cost of the work.
 */
#include <errno.h>
#include <string.h>

#include "cli/perf.h"

/* Application error codes of ours. */
enum { CODE_OK = 0, CODE_FAILED = 1 };

static void give_up(struct perf_client *client, int status)
{
    client->phase = PERF_OVER;
    client->status = status;
    roam_io_wake(client->io);
}

void perf_client_fail(struct perf_client *client, const char *format, ...)
{
    char text[CAUSE_TEXT_MAX + 320];
    va_list arguments;
    if (client->phase == PERF_OVER)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say_error("%s", text);
    give_up(client, EXIT_CONNECTION);
}

/* ---- Accounts ---------------------------------------------------------------------------------------------------- */

static void ask_for_account(struct perf_client *client, int which)
{
    uint8_t header[PERF_HEADER_BYTES];
    roam_result result;
    client->phase = PERF_ACCOUNTING;
    client->accounting = which;
    client->account_len = 0;
    client->account = roam_stream_open(client->conn, false, &result);
    if (client->account == NULL) {
        perf_client_fail(client, "no stream: %s", roam_result_name(result));
        return;
    }
    perf_header_write(PERF_WANT_ACCOUNT, header);
    if (roam_stream_write(client->account, header, sizeof(header)) != sizeof(header))
        perf_client_fail(client, "no memory");
    roam_stream_finish(client->account);
}

void perf_client_midway(struct perf_client *client)
{
    if (client->phase != PERF_RUNNING || client->result.midway != 0)
        return;
    client->result.midway = roam_io_now(client->io);
    perf_account_take(&client->result.client[PERF_AT_MIDWAY], client->io, client->conn);
    ask_for_account(client, PERF_AT_MIDWAY);
}

void perf_client_finish(struct perf_client *client)
{
    if (client->phase != PERF_RUNNING)
        return;
    uv_timer_stop(&client->timer);
    client->result.ended = roam_io_now(client->io);
    perf_account_take(&client->result.client[PERF_AT_END], client->io, client->conn);
    ask_for_account(client, PERF_AT_END);
}

static void on_time(uv_timer_t *timer)
{
    struct perf_client *client = timer->data;
    client->mode->on_time(client);
}

static void run_mode(struct perf_client *client)
{
    uint64_t ms = client->options->time / ROAM_MILLISECONDS(1);
    perf_account_take(&client->result.client[PERF_AT_BEGIN], client->io, client->conn);
    client->result.began = roam_io_now(client->io);
    if (client->options->time != 0)
        uv_timer_start(&client->timer, on_time, ms, 0);
    if (!client->mode->start(client))
        give_up(client, EXIT_LOCAL);
}

/* The account is here. */
static void go_on(struct perf_client *client)
{
    perf_account_read(&client->result.server[client->accounting], client->account_bytes);
    client->phase = client->accounting == PERF_AT_END ? PERF_OVER : PERF_RUNNING;
    if (client->accounting == PERF_AT_END && client->mode->count != NULL)
        client->mode->count(client);
    if (client->accounting == PERF_AT_BEGIN)
        run_mode(client);
    else if (client->accounting == PERF_AT_MIDWAY)
        client->mode->on_midway(client);
}

static void take_account(struct perf_client *client)
{
    bool end = false;
    ptrdiff_t n;
    do {
        n = roam_stream_read(client->account, client->account_bytes + client->account_len,
                             sizeof(client->account_bytes) - client->account_len, &end);
        client->account_len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && !end);
    if (n >= 0 && !end)
        return;
    roam_stream_free(client->account);
    client->account = NULL;
    if (client->account_len < sizeof(client->account_bytes))
        perf_client_fail(client, "the server gives no account of itself");
    else
        go_on(client);
}

/* Where others are to resume its session, the work waits for that. */
static void prepare(struct perf_client *client, const roam_event *event)
{
    bool resume = client->options->resume;
    if (event->type == ROAM_EVENT_CONFIRMED)
        client->confirmed = true;
    if (event->type == ROAM_EVENT_NEW_SESSION && event->token_bytes <= sizeof(client->session)) {
        memcpy(client->session, event->token, event->token_bytes);
        client->session_bytes = event->token_bytes;
    }
    if (client->confirmed && (!resume || client->session_bytes > 0))
        ask_for_account(client, PERF_AT_BEGIN);
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
    } else if (client->phase == PERF_CONNECTING) {
        prepare(client, event);
    } else if (event->stream != NULL && event->stream == client->account) {
        if (event->type == ROAM_EVENT_STREAM_READABLE || event->type == ROAM_EVENT_STREAM_RESET)
            take_account(client);
    } else if (client->state != NULL) {
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
    setup_buffers(client->io, &client->options->net);
    client->conn = roam_io_connect(client->io, client->host, client->port, client->config, &result);
    report_buffers(client->io);
    if (client->conn == NULL) {
        perf_client_fail(client, "connection to %s failed: %s%s%s", client->host, roam_result_name(result),
                         result == ROAM_ERR_SYSTEM ? ": " : "", result == ROAM_ERR_SYSTEM ? strerror(errno) : "");
        return;
    }
    while (client->phase != PERF_OVER) {
        if (roam_io_next(client->io, &event, ROAM_TIME_NEVER))
            on_event(client, &event);
        if (client->signals.caught != 0)
            give_up(client, 128 + client->signals.caught);
    }
    note_crypto(client);
    client->mode->done(client);
    roam_conn_close(client->conn, roam_io_now(client->io), client->status == EXIT_OK ? CODE_OK : CODE_FAILED, NULL);
    roam_conn_free(client->conn, roam_io_now(client->io));
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static const struct perf_mode *mode_of(const struct perf_options *options)
{
    if (options->datagrams)
        return &perf_datagrams_mode;
    if (options->requests != 0)
        return &perf_requests;
    if (options->handshakes != 0)
        return &perf_handshakes;
    return options->idle != 0 ? &perf_idle : &perf_bulk;
}

static void run(struct perf_client *client)
{
    signals_start(&client->signals, client->io);
    uv_timer_init(roam_io_loop(client->io), &client->timer);
    client->timer.data = client;
    if (setup_logs(client->io, &client->options->net))
        talk(client);
    else
        client->status = EXIT_LOCAL;
    if (client->status == EXIT_OK)
        perf_report(&client->result, client->options->json, stdout);
    uv_close((uv_handle_t *)&client->timer, NULL);
    signals_stop(&client->signals);
    settle_handles(client->io);
    report_logs(client->io);
    roam_io_free(client->io);
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
    client.mode = mode_of(options);
    client.result.mode = client.mode->name;
    client.result.streams = options->streams;
    client.io = roam_io_new(&endpoint_config, NULL, &result);
    if (client.io != NULL)
        run(&client);
    else
        say_error("cannot start: %s", roam_result_name(result));
    roam_credentials_free(config.credentials);
    return client.io != NULL ? client.status : EXIT_LOCAL;
}
