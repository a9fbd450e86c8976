/*
 * From events to an exit status: 0 where both directions came to their ends, else the first cause that explains the
 * rest. Kept: what the peer sent before it closed is written out before we are over.
 */
#include "cli/session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_MS 500

/* Nobody wants to see progress of what is done in a moment. */
#define PROGRESS_AFTER ROAM_SECONDS(2)

/* How long a server that has all it wants stays, so that a client whose last acknowledgment got lost, perhaps because
 * it moved just then, finds somebody to ask. */
#define GOODBYE_MS 5000

const char *early_data_name(const roam_conn *conn)
{
    static const char *const names[] = {"no", "offered", "accepted", "rejected"};
    return names[roam_conn_early_data(conn)];
}

static void print_progress(struct session *session, const char *end)
{
    char amount[AMOUNT_TEXT_MAX], rate[AMOUNT_TEXT_MAX];
    const struct pipe *pipe = &session->pipe;
    double bytes = (double)(pipe->bytes_in + pipe->bytes_out);
    double seconds = (double)(roam_io_now(session->io) - session->connected) / 1e9;
    fprintf(stderr, "%s%s  %s/s  %" PRIu64 " move%s%s%s", isatty(STDERR_FILENO) ? "\r" : "",
            format_amount(bytes, amount), format_amount(seconds > 0 ? bytes / seconds : 0, rate), session->moves,
            session->moves == 1 ? "" : "s", isatty(STDERR_FILENO) ? "\033[K" : "", end);
    fflush(stderr);
    session->progress_shown = true;
}

static void on_progress(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session->connected == 0 || session->closed)
        return;
    if (session->options->progress || roam_io_now(session->io) - session->connected > PROGRESS_AFTER)
        print_progress(session, isatty(STDERR_FILENO) ? "" : "\n");
}

bool session_init(struct session *session, roam_io *io, const struct net_options *options, struct signals *signals,
                  int in_fd, int out_fd)
{
    *session =
        (struct session){.io = io, .options = options, .signals = signals, .started = roam_io_now(io), .early = "no"};
    if (!pipe_init(&session->pipe, io, in_fd, out_fd))
        return false;
    uv_timer_init(roam_io_loop(io), &session->patience);
    session->patience.data = session;
    uv_timer_init(roam_io_loop(io), &session->progress);
    session->progress.data = session;
    if (options->progress || (isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)))
        uv_timer_start(&session->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    return true;
}

/* A client's server is spoken to at another address from now on: the one that it prefers. */
static void say_server_moved(const roam_event *event)
{
    char from[ROAM_ADDRESS_TEXT_MAX], to[ROAM_ADDRESS_TEXT_MAX];
    if (!roam_conn_is_server(event->conn) && !roam_address_equal(&event->previous, &event->remote))
        fprintf(stderr, "the server prefers %s, and is spoken to there instead of %s\n",
                roam_address_format(&event->remote, to), roam_address_format(&event->previous, from));
}

void session_on_event(struct session *session, const roam_event *event)
{
    if (session->options->verbose)
        print_event(stderr, event, session->started);
    switch (event->type) {
    case ROAM_EVENT_CONNECTED:
        session->connected = event->time;
        session->handshakes++;
        break;
    case ROAM_EVENT_PATH_MOVED:
        say_server_moved(event);
        session->moves++;
        break;
    case ROAM_EVENT_PATH_REVERTED:
        session->moves++;
        break;
    case ROAM_EVENT_PATH_SETTLED:
        if (!roam_conn_is_server(event->conn))
            print_move(stderr, event);
        break;
    case ROAM_EVENT_CLOSED:
        session->closed = true;
        session->error = *event->error;
        pipe_on_closed(&session->pipe);
        break;
    default:
        if (event->stream != NULL && event->stream == session->pipe.stream)
            pipe_on_event(&session->pipe, event);
    }
}

static void on_patience_over(uv_timer_t *timer)
{
    struct session *session = timer->data;
    roam_io_wake(session->io);
}

/* All is done; true where nobody is left to wait for. */
static bool is_let_go(struct session *session)
{
    roam_time now = roam_io_now(session->io);
    if (!session->peer_closes)
        return true;
    if (session->done_at == 0) {
        session->done_at = now;
        uv_timer_start(&session->patience, on_patience_over, GOODBYE_MS, 100);
    }
    return now - session->done_at >= ROAM_MILLISECONDS(GOODBYE_MS);
}

bool session_is_over(struct session *session)
{
    const struct pipe *pipe = &session->pipe;
    if (pipe->local_error != 0 || session->signals->caught != 0 || pipe->was_reset || pipe->was_stopped)
        return true;
    if (session->closed)
        return pipe->read_end || pipe->read_failed;
    return pipe_is_done(pipe) && is_let_go(session);
}

/* ---- The end */

/* A peer that has all it wants closes; the acknowledgment of our end may be lost in that. */
static bool ended_well(const struct session *session)
{
    const struct pipe *pipe = &session->pipe;
    bool said_so = session->error.cause == ROAM_CLOSE_PEER_APPLICATION && session->error.code == SESSION_CODE_OK;
    return pipe_is_done(pipe) || (session->closed && said_so && pipe->read_end && pipe->finished);
}

static void explain_closed(const struct session *session)
{
    char cause[CAUSE_TEXT_MAX];
    if (session->connected == 0)
        say_error("connection to %s failed: %s", session->peer, describe_error(&session->error, cause));
    else
        say_error("connection with %s ended early: %s", session->peer, describe_error(&session->error, cause));
}

static int verdict(const struct session *session, uint64_t *ret_code, const char **ret_reason)
{
    const struct pipe *pipe = &session->pipe;
    *ret_code = SESSION_CODE_OK;
    *ret_reason = NULL;
    if (pipe->local_error != 0) {
        say_error("%s: %s", pipe->local_end, strerror(pipe->local_error));
        *ret_code = SESSION_CODE_LOCAL;
        *ret_reason = "local error";
        return EXIT_LOCAL;
    }
    if (session->signals->caught != 0) {
        *ret_code = SESSION_CODE_INTERRUPTED;
        *ret_reason = "interrupted";
        return 128 + session->signals->caught;
    }
    if (ended_well(session))
        return EXIT_OK;
    if (pipe->was_reset)
        say_error("%s broke off what it was sending (code %" PRIu64 ")", session->peer, pipe->code);
    else if (pipe->was_stopped)
        say_error("%s stopped reading (code %" PRIu64 ")", session->peer, pipe->code);
    else if (session->closed)
        explain_closed(session);
    return EXIT_CONNECTION;
}

static void print_summary(const struct session *session)
{
    const struct pipe *pipe = &session->pipe;
    double seconds = session->connected == 0 ? 0 : (double)(roam_io_now(session->io) - session->connected) / 1e9;
    fprintf(stderr,
            "summary sent=%" PRIu64 " received=%" PRIu64 " seconds=%.3f moves=%" PRIu64
            " handshakes=%u retransmitted=%" PRIu64 " packets_lost=%" PRIu64 " key_updates=%" PRIu64
            " cipher=%s crypto=%s resumed=%s early=%s\n",
            pipe->bytes_in, pipe->bytes_out, seconds, session->moves, session->handshakes,
            session->stats.stream_bytes_resent, session->stats.packets_lost, session->stats.key_updates,
            session->stats.cipher, session->stats.crypto_backend, session->stats.resumed ? "yes" : "no",
            session->early);
}

int session_end(struct session *session)
{
    uint64_t code;
    const char *reason;
    if (session->progress_shown && !session->closed)
        print_progress(session, "\n");
    else if (session->progress_shown && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    int status = verdict(session, &code, &reason);
    if (session->conn != NULL) {
        roam_conn_get_stats(session->conn, &session->stats);
        session->early = early_data_name(session->conn);
        if (!session->closed)
            roam_conn_close(session->conn, roam_io_now(session->io), code, reason);
    }
    if (session->options->verbose)
        print_summary(session);
    pipe_done(&session->pipe);
    uv_close((uv_handle_t *)&session->progress, NULL);
    uv_close((uv_handle_t *)&session->patience, NULL);
    return status;
}
