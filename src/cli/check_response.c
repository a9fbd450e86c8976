/*
 * The probe that moves in the middle of a response. Flow control makes the middle: the server may send no more than a
 * small window until we read, and we read only after the move. So nothing depends on how fast it is, and little is
 * fetched.
 */
#include <string.h>

#include "cli/check.h"
#include "cli/check_request.h"

/* Windows that are tried, the larger one first: it leaves more on its way when we move. */
static const uint64_t windows[] = {16384, 1024};

/* So many windows more, and the response goes on. */
#define WINDOWS_AFTER 4

#define RESPONSE_PATIENCE ROAM_SECONDS(3)
#define HOLD_TIME         ROAM_MILLISECONDS(300)
#define DEAF_TIME         ROAM_MILLISECONDS(10)

static void write_authority(const struct exam *exam, char *ret, size_t capacity)
{
    const bool bracketed = strchr(exam->host, ':') != NULL;
    const char *host = exam->options.net.name != NULL ? exam->options.net.name : exam->host;
    snprintf(ret, capacity, "%s%s%s:%u", bracketed ? "[" : "", host, bracketed ? "]" : "", exam->port);
}

static bool send_request(struct bench *bench)
{
    const struct exam *exam = bench->exam;
    enum check_request_kind kind = check_request_kind(exam->alpn);
    uint8_t request[CHECK_REQUEST_MAX];
    char authority[CHECK_HOST_MAX + 16];
    if (kind == CHECK_REQUEST_H3) {
        roam_stream *control = roam_stream_open(bench->conn, true, NULL);
        size_t len = check_request_control(request, sizeof(request));
        if (control == NULL || roam_stream_write(control, request, len) != (ptrdiff_t)len)
            return false;
    }
    write_authority(exam, authority, sizeof(authority));
    size_t len = check_request_write(kind, authority, exam->path, request, sizeof(request));
    bench->stream = roam_stream_open(bench->conn, false, NULL);
    return bench->stream != NULL && len > 0 && roam_stream_write(bench->stream, request, len) == (ptrdiff_t)len &&
           roam_stream_finish(bench->stream) == ROAM_OK;
}

static bool response_began(struct bench *bench)
{
    const uint8_t *data;
    bool end;
    return bench->response_ended || roam_stream_peek(bench->stream, &data, &end) > 0;
}

static bool response_goes_on(struct bench *bench)
{
    return bench->response_ended || bench->response_bytes >= bench->response_enough;
}

static uint64_t stream_bytes_since(const struct bench *bench, size_t begin, size_t end)
{
    uint64_t bytes = 0;
    for (size_t i = begin; i < end; i++)
        bytes += bench->log.entries[i].sent ? 0 : bench->log.entries[i].stream_bytes;
    return bytes;
}

/* From here on the rest of the response may come. */
static bool read_on(struct bench *bench, uint64_t before, uint64_t window)
{
    bench->stop_reading = false;
    bench->response_enough = before + WINDOWS_AFTER * window;
    bench_read(bench);
    return bench_run(bench, response_goes_on, RESPONSE_PATIENCE + bench_patience(bench));
}

/* The NAT forgets us a moment before we speak from elsewhere, as it always does: what the server sends meanwhile is
 * lost. That there is something is the acknowledgement's doing that left with the last turn. */
static void go_deaf(struct bench *bench, struct move_evidence *move)
{
    const size_t begin = bench->log.count;
    move->before_bytes = stream_bytes_since(bench, bench->mark, begin);
    bench->places[bench->place].left = true;
    bench_run(bench, NULL, DEAF_TIME + 2 * bench_rtt(bench));
    move->lost_bytes = stream_bytes_since(bench, begin, bench->log.count);
}

static void move_now(struct bench *bench, struct move_evidence *move, uint64_t window)
{
    go_deaf(bench, move);
    const size_t begin = bench->log.count;
    const unsigned old_place = bench->place;
    int place = bench_open(bench, &bench->exam->local);
    if (place < 0 || bench_rebind(bench, (unsigned)place) != ROAM_OK) {
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "no second socket here");
        return;
    }
    bench->hold_responses = true;
    bench_ping(bench, 0);
    bench_run(bench, NULL, HOLD_TIME + 3 * bench_rtt(bench));
    bench_release(bench);
    bool went_on = read_on(bench, move->before_bytes, window);
    struct move_facts facts;
    log_move_facts(&bench->log, begin, old_place, bench->place, &facts);
    move->resumed_bytes = facts.stream_bytes_new;
    move->survived = went_on && move->resumed_bytes > 0;
    move->response_ended = bench->response_ended && move->resumed_bytes == 0;
    conclude_move(bench, move, begin, old_place);
}

/* Whether the response comes where nobody moves: else the move is not to blame. */
static void stay_here(struct bench *bench, struct move_evidence *move, uint64_t window)
{
    move->control_failed = !read_on(bench, stream_bytes_since(bench, bench->mark, bench->log.count), window);
    move->control_bytes = bench->response_bytes;
    if (move->control_failed && bench_was_cut(bench))
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "cut short");
}

typedef void response_act(struct bench *bench, struct move_evidence *move, uint64_t window);

static void ask_and(struct exam *exam, struct move_evidence *move, uint64_t window, response_act *act)
{
    struct bench bench;
    if (!bench_init(&bench, exam, &exam->local, window) || !settle(&bench)) {
        why_not(&move->state, move->why_not, PROBE_NOT_RUN, "the handshake was not confirmed this time");
    } else {
        bench.stop_reading = true;
        bench.mark = bench.log.count;
        if (!send_request(&bench))
            why_not(&move->state, move->why_not, PROBE_NOT_RUN, "the server lets nobody open a stream");
        else if (!bench_run(&bench, response_began, RESPONSE_PATIENCE))
            why_not(&move->state, move->why_not, PROBE_NOT_RUN, "no response to GET %.100s", exam->path);
        else if (bench.response_ended)
            why_not(&move->state, move->why_not, PROBE_NOT_RUN, "GET %.100s was refused: name a file in the URL",
                    exam->path);
        else
            act(&bench, move, window);
    }
    bench_done(&bench);
}

void probe_response(struct exam *exam)
{
    struct move_evidence *move = &exam->evidence.response;
    if (check_request_kind(exam->alpn) == CHECK_REQUEST_NONE) {
        why_not(&move->state, move->why_not, PROBE_NOT_APPLICABLE, "nothing is known to ask for with ALPN %s",
                exam->alpn);
        return;
    }
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        *move = (struct move_evidence){0};
        ask_and(exam, move, windows[i], move_now);
        if (move->state == PROBE_RAN && !move->survived && !move->response_ended)
            ask_and(exam, move, windows[i], stay_here);
        if (move->state != PROBE_RAN || !move->response_ended)
            return;
    }
    why_not(&move->state, move->why_not, PROBE_NOT_RUN,
            "all %llu octets had come before the move; name a larger file in the URL",
            (unsigned long long)move->before_bytes);
}
