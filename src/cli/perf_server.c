/*
 * roam perf server: answers each stream with as many octets as it asks for, or with none and as many in datagrams, to
 * whoever asks, until interrupted. Kept:
 * an answer is given up with its stream; what a stream needs is taken from those that were needed before.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/minmax.h"
#include "cli/perf.h"
#include "cli/places.h"
#include "cli/sandbox.h"
#include "cli/watch.h"

struct answer {
    struct list_node link; /* of its connection, or of those that are free */
    roam_stream *stream;
    uint8_t header[2 * PERF_HEADER_BYTES];
    size_t header_len;
    uint64_t received, wanted, left;
    bool asked, read, sent;
    bool lent; /* the answer lies here until all of it is acknowledged */
    bool sends_datagrams;
    struct perf_datagrams datagrams;
};

struct perf_server {
    roam_io *io;
    const struct perf_options *options;
    struct signals signals;
    struct watch *watch;
    struct list_node free;
    struct perf_histogram latency; /* of datagrams, which nobody asks a server for */
    struct perf_served served;
};

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

static struct answer *begin_answer(struct perf_server *server, roam_stream *stream)
{
    struct list_node *answers = roam_conn_user(roam_stream_conn(stream));
    struct answer *answer;
    if (!list_is_empty(&server->free)) {
        answer = CONTAINER_OF(server->free.next, struct answer, link);
        list_unlink(&answer->link);
    } else {
        answer = malloc(sizeof(*answer));
    }
    if (answer == NULL || answers == NULL) {
        free(answer);
        roam_stream_free(stream);
        return NULL;
    }
    *answer = (struct answer){.stream = stream};
    list_append(answers, &answer->link);
    roam_stream_set_user(stream, answer);
    return answer;
}

static void end_answer(struct perf_server *server, struct answer *answer)
{
    list_unlink(&answer->link);
    list_append(&server->free, &answer->link);
    roam_stream_free(answer->stream);
    server->served.bytes_received += answer->received;
    server->served.bytes_sent += answer->wanted - answer->left;
}

static void give_account(struct perf_server *server, struct answer *answer)
{
    struct perf_account account;
    uint8_t bytes[PERF_ACCOUNT_BYTES];
    perf_account_take(&account, server->io, roam_stream_conn(answer->stream));
    perf_account_write(&account, bytes);
    if (roam_stream_write(answer->stream, bytes, sizeof(bytes)) != sizeof(bytes))
        roam_stream_reset(answer->stream, PERF_NO_MEMORY);
    roam_stream_finish(answer->stream);
    answer->sent = true;
}

static void finish_if_sent(struct answer *answer)
{
    if (answer->sent || answer->datagrams.left > 0 || answer->datagrams.under_way > 0)
        return;
    roam_stream_finish(answer->stream);
    answer->sent = true;
}

static void send_datagrams(struct perf_server *server, struct answer *answer)
{
    if (!perf_datagrams_send(&answer->datagrams, roam_stream_conn(answer->stream), roam_io_now(server->io))) {
        roam_stream_reset(answer->stream, 1);
        answer->sent = true;
    }
    answer->left = answer->datagrams.left;
    finish_if_sent(answer);
}

static void start_datagrams(struct perf_server *server, struct answer *answer, uint64_t wanted)
{
    answer->sends_datagrams = true;
    answer->datagrams =
        (struct perf_datagrams){.left = wanted, .payload_bytes = perf_header_read(answer->header + PERF_HEADER_BYTES)};
    answer->wanted = wanted;
    send_datagrams(server, answer);
}

static void start_sending(struct perf_server *server, struct answer *answer)
{
    uint64_t wanted = perf_header_read(answer->header);
    answer->asked = true;
    if (wanted == PERF_WANT_ACCOUNT) {
        give_account(server, answer);
        return;
    }
    server->served.requests++;
    if ((wanted & PERF_WANT_DATAGRAMS) != 0) {
        start_datagrams(server, answer, wanted & ~PERF_WANT_DATAGRAMS);
        return;
    }
    answer->wanted = answer->left = wanted;
    answer->lent = wanted > PERF_COPIED_MAX;
    answer->sent = perf_send(answer->stream, &answer->left);
}

/* Octets that say what is wanted, as far as is known by now. */
static size_t header_bytes(const struct answer *answer)
{
    if (answer->header_len < PERF_HEADER_BYTES)
        return PERF_HEADER_BYTES;
    uint64_t wanted = perf_header_read(answer->header);
    bool datagrams = wanted != PERF_WANT_ACCOUNT && (wanted & PERF_WANT_DATAGRAMS) != 0;
    return datagrams ? 2 * PERF_HEADER_BYTES : PERF_HEADER_BYTES;
}

/* False where the stream ended before it had asked. */
static bool read_header(struct answer *answer)
{
    bool end = false;
    ptrdiff_t n = 1;
    while (n > 0 && answer->header_len < header_bytes(answer)) {
        n = roam_stream_read(answer->stream, answer->header + answer->header_len,
                             header_bytes(answer) - answer->header_len, &end);
        answer->header_len += n > 0 ? (size_t)n : 0;
    }
    return n >= 0 && (!end || answer->header_len == header_bytes(answer));
}

static void read_request(struct perf_server *server, struct answer *answer)
{
    bool whole;
    if (!answer->asked && !read_header(answer)) {
        answer->read = answer->sent = true;
        return;
    }
    if (answer->header_len < header_bytes(answer))
        return;
    if (!answer->asked)
        start_sending(server, answer);
    if (!answer->read)
        answer->read = !perf_receive(answer->stream, &answer->received, &whole);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void end_if_done(struct perf_server *server, struct answer *answer)
{
    if (answer->read && answer->sent && !answer->lent)
        end_answer(server, answer);
}

static void on_stream_event(struct perf_server *server, const roam_event *event)
{
    struct answer *answer = roam_stream_user(event->stream);
    if (answer == NULL && event->type == ROAM_EVENT_STREAM_OPENED)
        answer = begin_answer(server, event->stream);
    if (answer == NULL)
        return;
    switch (event->type) {
    case ROAM_EVENT_STREAM_READABLE:
        read_request(server, answer);
        break;
    case ROAM_EVENT_STREAM_WRITABLE:
        if (!answer->sent && !answer->sends_datagrams)
            answer->sent = perf_send(answer->stream, &answer->left);
        break;
    case ROAM_EVENT_STREAM_FINISHED:
        answer->lent = false;
        break;
    case ROAM_EVENT_STREAM_RESET:
    case ROAM_EVENT_STREAM_STOPPED:
        answer->read = answer->sent = true;
        answer->lent = false;
        break;
    default:
        break;
    }
    end_if_done(server, answer);
}

/* They are of the connection, and the answers that send them share what becomes of them. */
static void on_datagram_event(struct perf_server *server, const roam_event *event)
{
    struct list_node *answers = roam_conn_user(event->conn);
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE)
        server->served.bytes_received += perf_datagrams_take(event->conn);
    if (event->type == ROAM_EVENT_DATAGRAM_READABLE || answers == NULL)
        return;
    LIST_FOR_EACH_SAFE(node, answers)
    {
        struct answer *answer = CONTAINER_OF(node, struct answer, link);
        if (!answer->sends_datagrams)
            continue;
        perf_datagrams_settle(&answer->datagrams, event, &server->latency);
        if (!answer->sent)
            send_datagrams(server, answer);
        end_if_done(server, answer);
    }
}

static void forget_connection(struct perf_server *server, roam_conn *conn, roam_time now)
{
    struct list_node *answers = roam_conn_user(conn);
    while (answers != NULL && !list_is_empty(answers))
        end_answer(server, CONTAINER_OF(answers->next, struct answer, link));
    roam_conn_set_user(conn, NULL);
    free(answers);
    roam_conn_free(conn, now);
}

static void on_event(struct perf_server *server, const roam_event *event)
{
    if (server->options->net.verbose)
        print_event(stderr, event, 0);
    if (event->stream != NULL) {
        on_stream_event(server, event);
    } else if (roam_event_class_of(event->type) == ROAM_EVENT_CLASS_DATAGRAM) {
        on_datagram_event(server, event);
    } else if (event->type == ROAM_EVENT_CONNECTED) {
        struct list_node *answers = malloc(sizeof(*answers));
        if (answers != NULL)
            list_init(answers);
        roam_conn_set_user(event->conn, answers);
        server->served.connections++;
    } else if (event->type == ROAM_EVENT_CLOSED) {
        forget_connection(server, event->conn, event->time);
    }
}

static void serve(struct perf_server *server)
{
    roam_event event;
    while (server->signals.caught == 0)
        if (watch_next(server->watch, &event, ROAM_TIME_NEVER))
            on_event(server, &event);
}

static void free_answers(struct perf_server *server)
{
    LIST_FOR_EACH_SAFE(node, &server->free)
    free(CONTAINER_OF(node, struct answer, link));
}

int perf_serve(const struct perf_options *options, const struct command_line *line)
{
    struct perf_server server = {.options = options};
    struct sandbox_plan plan = {0};
    roam_endpoint_config endpoint_config;
    roam_config config;
    const char *alpn[2];
    char name[256];
    uint16_t port;
    roam_result result;
    if (!setup_endpoint(&options->net, &endpoint_config) || !perf_setup(options, true, alpn, &config))
        return EXIT_USAGE;
    endpoint_config.accept = &config;
    endpoint_config.max_connections = UINT32_MAX;
    if (!options->guarded) {
        endpoint_config.strangers_per_second = endpoint_config.strangers_per_prefix = 0;
        endpoint_config.half_open_per_prefix = 0;
        endpoint_config.max_half_open = 0;
    }
    server.io = roam_io_new(&endpoint_config, NULL, &result);
    if (server.io == NULL) {
        say_error("cannot start: %s", roam_result_name(result));
        roam_credentials_free(config.credentials);
        return EXIT_LOCAL;
    }
    list_init(&server.free);
    signals_start(&server.signals, server.io);
    bool started = setup_logs(server.io, &options->net) && places_open(server.io, &options->net, line, name, &port) &&
                   (server.watch = watch_start(server.io, &options->net.watch, line->command, NULL)) != NULL &&
                   sandbox_enter_server(&plan, &options->net, watch_control_path(server.watch));
    if (started) {
        serve(&server);
        perf_account_take(&server.served.account, server.io, NULL);
        perf_report_served(&server.served, options->json, stdout);
    }
    watch_stop(server.watch);
    signals_stop(&server.signals);
    settle_handles(server.io);
    report_logs(server.io);
    roam_io_free(server.io);
    free_answers(&server);
    roam_credentials_free(config.credentials);
    return started ? EXIT_OK : EXIT_LOCAL;
}
