/* One connection under examination: sockets, the five verbs, the log. See check_bench.h. */
#include "cli/check_bench.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/minmax.h"
#include "cli/check.h"

#define RECEIVE_CAPACITY 65536

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void fill_config(struct bench *bench, uint64_t window)
{
    const struct exam *exam = bench->exam;
    roam_config *config = &bench->config;
    roam_config_init(config);
    config->credentials = exam->credentials;
    config->alpn = bench->alpn;
    config->server_name = exam->options.net.name;
    config->remote = &exam->remote;
    config->local = &bench->places[0].udp.local;
    config->max_paths = BENCH_PLACES_MAX;
    config->handshake_timeout = ROAM_SECONDS(10);
    /* Each probe says by itself where the connection goes and what it sends. */
    config->preferred_policy = ROAM_PREFERRED_IGNORE;
    config->pmtud = false;
    config->max_window_bytes = 0;
    if (window > 0)
        config->initial_max_stream_data = window;
}

static bool start(struct bench *bench, const roam_address *from, uint64_t window, bench_adjust *adjust)
{
    struct exam *exam = bench->exam;
    roam_endpoint_config config;
    const roam_allocator allocator = roam_allocator_default();
    roam_result result;
    roam_endpoint_config_init(&config);
    config.resets_per_second = 0;
    if (datagram_batch_init_receive(&bench->receiving, &allocator, RECEIVE_CAPACITY) != ROAM_OK ||
        datagram_batch_init_send(&bench->sending, &allocator) != ROAM_OK) {
        errno = ENOMEM;
        return false;
    }
    if (bench_open(bench, from) < 0)
        return false;
    fill_config(bench, window);
    if (adjust != NULL)
        adjust(&bench->config, bench->exam);
    bench->endpoint = roam_endpoint_new(&config, bench->started, &result);
    if (bench->endpoint != NULL)
        check_logs_attach(&exam->logs, bench->endpoint);
    if (bench->endpoint != NULL)
        bench->conn = roam_connect(bench->endpoint, exam->host, exam->port, &bench->config, bench->started, &result);
    errno = ENOMEM;
    if (bench->conn == NULL)
        return false;
    bench->conn->client->asks_nothing = true;
    return true;
}

bool bench_init(struct bench *bench, struct exam *exam, const roam_address *from, uint64_t window)
{
    return bench_init_adjusted(bench, exam, exam->alpn, from, window, NULL);
}

bool bench_init_adjusted(struct bench *bench, struct exam *exam, const char *alpn, const roam_address *from,
                         uint64_t window, bench_adjust *adjust)
{
    *bench = (struct bench){.exam = exam, .alpn = {alpn, NULL}, .started = check_now()};
    log_init(&bench->log);
    eye_init(&bench->eye);
    if (!start(bench, from, window, adjust)) {
        exam->local_error = errno;
        return false;
    }
    exam->totals.connections++;
    return true;
}

static void transmit_all(struct bench *bench);

void bench_done(struct bench *bench)
{
    const roam_allocator allocator = roam_allocator_default();
    bench_release(bench);
    if (bench->conn != NULL && !bench->closed) {
        roam_conn_close(bench->conn, check_now(), ROAM_NO_ERROR, NULL);
        transmit_all(bench);
    }
    struct check_totals *totals = &bench->exam->totals;
    for (size_t i = 0; i < bench->log.count; i++) {
        const struct seen_datagram *entry = &bench->log.entries[i];
        *(entry->sent ? &totals->datagrams_sent : &totals->datagrams_received) += 1;
        *(entry->sent ? &totals->bytes_sent : &totals->bytes_received) += entry->bytes;
    }
    roam_endpoint_free(bench->endpoint);
    for (unsigned i = 0; i < bench->place_count; i++)
        udp_socket_close(&bench->places[i].udp);
    datagram_batch_done(&bench->receiving, &allocator);
    datagram_batch_done(&bench->sending, &allocator);
    eye_done(&bench->eye);
    log_done(&bench->log);
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static int find_place(const struct bench *bench, const roam_address *local)
{
    for (unsigned i = 0; i < bench->place_count; i++)
        if (roam_address_equal(&bench->places[i].udp.local, local))
            return (int)i;
    return -1;
}

static struct seen_datagram *add_entry(struct bench *bench, bool sent, unsigned place, size_t bytes)
{
    struct seen_datagram *entry = bench->log.count < BENCH_DATAGRAMS_MAX ? log_add(&bench->log) : NULL;
    if (entry == NULL) {
        bench->exhausted = true;
        return NULL;
    }
    entry->sent = sent;
    entry->place = place;
    entry->bytes = bytes;
    entry->time = check_now();
    return entry;
}

/* What this host does not let out is no evidence against the server. */
static void on_send_failed(void *context, const roam_datagram *datagram, int error)
{
    struct bench *bench = context;
    (void)datagram;
    bench->send_error = error;
}

/* Sends what stands in the batch's first datagram, and writes it down. */
static void send_one(struct bench *bench)
{
    roam_datagram *datagram = &bench->sending.datagrams[0];
    struct socket_counters counters = {0};
    uint8_t copy[SEND_BYTES_MAX];
    int place = find_place(bench, &datagram->local);
    struct seen_datagram *entry = place >= 0 ? add_entry(bench, true, (unsigned)place, datagram->len) : NULL;
    if (entry == NULL)
        return;
    memcpy(copy, datagram->data, datagram->len);
    eye_look(&bench->eye, bench->conn, copy, datagram->len, entry);
    bench->sending.count = 1;
    bench->sending.next = 0;
    udp_socket_send(&bench->places[place].udp, &bench->sending, 1, &counters, on_send_failed, bench);
}

static bool is_answer(struct bench *bench, const roam_datagram *datagram)
{
    struct seen_datagram entry = {.sent = true};
    uint8_t copy[SEND_BYTES_MAX];
    memcpy(copy, datagram->data, datagram->len);
    eye_look(&bench->eye, bench->conn, copy, datagram->len, &entry);
    return (entry.frames & frame_bit(FRAME_PATH_RESPONSE)) != 0;
}

static bool hold(struct bench *bench, const roam_datagram *datagram)
{
    if (!bench->hold_responses || bench->held_count == BENCH_HELD_MAX || !is_answer(bench, datagram))
        return false;
    struct bench_held *held = malloc(sizeof(*held));
    if (held == NULL)
        return false;
    held->datagram = *datagram;
    memcpy(held->data, datagram->data, datagram->len);
    bench->held[bench->held_count++] = held;
    return true;
}

/* One datagram at a time, so that each can be held and written down. */
static roam_datagram *room_to_send(struct bench *bench)
{
    datagram_batch_clear(&bench->sending);
    datagram_batch_offer(&bench->sending, false);
    return &bench->sending.datagrams[0];
}

void bench_release(struct bench *bench)
{
    bench->hold_responses = false;
    for (unsigned i = 0; i < bench->held_count; i++) {
        roam_datagram *out = room_to_send(bench);
        const roam_datagram *held = &bench->held[i]->datagram;
        uint8_t *data = out->data;
        memcpy(data, bench->held[i]->data, held->len);
        *out = *held;
        out->data = data;
        send_one(bench);
        free(bench->held[i]);
    }
    bench->held_count = 0;
}

static void transmit_all(struct bench *bench)
{
    while (!bench->exhausted) {
        roam_datagram *datagram = room_to_send(bench);
        if (roam_endpoint_transmit(bench->endpoint, check_now(), datagram, 1) == 0)
            return;
        if (!hold(bench, datagram))
            send_one(bench);
    }
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* What comes from elsewhere is no evidence against this server. */
static bool is_from_server(const struct bench *bench, const roam_address *remote)
{
    const struct transport_params *params = bench->conn->client->server_params;
    return roam_address_equal(remote, &bench->exam->remote) ||
           (params != NULL && params->has_preferred_address &&
            (roam_address_equal(remote, &params->preferred_address.ipv4) ||
             roam_address_equal(remote, &params->preferred_address.ipv6)));
}

static void flip_a_bit_of_the_token(struct bench *bench)
{
    struct handshake *handshake = bench->conn->handshake;
    if (handshake == NULL || !handshake->has_retry || handshake->token_bytes == 0)
        return;
    handshake->token[handshake->token_bytes / 2] ^= 1;
    bench->tamper = false;
}

static void receive_one(struct bench *bench, unsigned place, roam_datagram *datagram)
{
    static uint8_t copy[RECEIVE_CAPACITY];
    struct seen_datagram *entry;
    size_t len = datagram->len;
    if (!is_from_server(bench, &datagram->remote) || (entry = add_entry(bench, false, place, len)) == NULL)
        return;
    memcpy(copy, datagram->data, len);
    if (!bench->places[place].left)
        roam_endpoint_receive(bench->endpoint, entry->time, datagram, 1);
    if (bench->tamper)
        flip_a_bit_of_the_token(bench);
    eye_look(&bench->eye, bench->conn, copy, len, entry);
}

static void receive_all(struct bench *bench)
{
    struct socket_counters counters = {0};
    for (unsigned i = 0; i < bench->place_count; i++) {
        roam_endpoint_reclaim(bench->endpoint);
        size_t n = udp_socket_receive(&bench->places[i].udp, &bench->receiving, &counters);
        for (size_t j = 0; j < n && !bench->exhausted; j++)
            receive_one(bench, i, &bench->receiving.datagrams[j]);
    }
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static void read_stream(struct bench *bench, roam_stream *stream)
{
    uint8_t data[4096];
    ptrdiff_t n;
    bool end = false;
    bool is_ours = stream == bench->stream;
    if (is_ours && bench->stop_reading)
        return;
    while ((n = roam_stream_read(stream, data, sizeof(data), &end)) > 0)
        bench->response_bytes += is_ours ? (uint64_t)n : 0;
    bench->response_ended |= is_ours && end;
}

void bench_read(struct bench *bench)
{
    if (bench->stream != NULL)
        read_stream(bench, bench->stream);
}

static void remember_session(struct exam *exam, const roam_event *event)
{
    if (event->token_bytes > sizeof(exam->session))
        return;
    memcpy(exam->session, event->token, event->token_bytes);
    exam->session_bytes = event->token_bytes;
}

static void on_event(struct bench *bench, const roam_event *event)
{
    bench->events[event->type]++;
    switch (event->type) {
    case ROAM_EVENT_CONNECTED:
        bench->connected_at = event->time;
        break;
    case ROAM_EVENT_CONFIRMED:
        bench->confirmed_at = event->time;
        break;
    case ROAM_EVENT_NEW_SESSION:
        remember_session(bench->exam, event);
        break;
    case ROAM_EVENT_PATH_MOVED:
        bench->moved_to = event->remote;
        break;
    case ROAM_EVENT_CID_RECEIVED:
        bench->newest_sequence = max_u64(bench->newest_sequence, event->sequence);
        break;
    case ROAM_EVENT_STREAM_READABLE:
        read_stream(bench, event->stream);
        break;
    case ROAM_EVENT_STREAM_RESET:
        bench->response_ended |= event->stream == bench->stream;
        break;
    case ROAM_EVENT_CLOSED:
        bench->closed = true;
        bench->error = *event->error;
        break;
    default:
        break;
    }
}

/* ---- Turning ----------------------------------------------------------------------------------------------------- */

static void turn(struct bench *bench)
{
    roam_event event;
    receive_all(bench);
    if (roam_endpoint_deadline(bench->endpoint) <= check_now())
        roam_endpoint_expire(bench->endpoint, check_now());
    while (roam_endpoint_poll(bench->endpoint, &event))
        on_event(bench, &event);
    transmit_all(bench);
    /* Sending has events too. */
    while (roam_endpoint_poll(bench->endpoint, &event))
        on_event(bench, &event);
}

static void wait_until(const struct bench *bench, roam_time end)
{
    struct pollfd fds[BENCH_PLACES_MAX];
    roam_time wait = saturating_sub(min_u64(roam_endpoint_deadline(bench->endpoint), end), check_now());
    struct timespec timeout = {.tv_sec = (time_t)(wait / ROAM_SECONDS(1)), .tv_nsec = (long)(wait % ROAM_SECONDS(1))};
    for (unsigned i = 0; i < bench->place_count; i++)
        fds[i] = (struct pollfd){.fd = bench->places[i].udp.fd, .events = POLLIN};
    ppoll(fds, bench->place_count, &timeout, NULL);
}

bool bench_run(struct bench *bench, bench_condition *until, roam_time patience)
{
    roam_time end = min_u64(saturating_add(check_now(), patience), bench->exam->deadline);
    for (;;) {
        turn(bench);
        if (until != NULL && until(bench))
            return true;
        if (bench->closed || bench->exhausted || exam_is_over(bench->exam) || check_now() >= end)
            return false;
        wait_until(bench, end);
    }
}

int bench_open(struct bench *bench, const roam_address *at)
{
    if (bench->place_count == BENCH_PLACES_MAX) {
        errno = EMFILE;
        return -1;
    }
    struct bench_place *place = &bench->places[bench->place_count];
    roam_address local = *at;
    local.port = 0;
    *place = (struct bench_place){0};
    if (udp_socket_open(&place->udp, &local, SOCKET_BUFFER_BYTES) != ROAM_OK)
        return -1;
    return (int)bench->place_count++;
}

roam_result bench_rebind(struct bench *bench, unsigned place)
{
    roam_result result = roam_conn_rebind(bench->conn, check_now(), &bench->places[place].udp.local);
    if (result != ROAM_OK)
        return result;
    bench->places[bench->place].left = true;
    bench->place = place;
    return ROAM_OK;
}

void bench_ping(struct bench *bench, uint32_t bytes)
{
    if (bytes > 0)
        conn_ping_of_size(bench->conn, check_now(), bytes);
    else
        roam_conn_ping(bench->conn, check_now());
}

roam_time bench_rtt(const struct bench *bench)
{
    roam_path_info path;
    roam_conn_paths(bench->conn, &path, 1);
    return max_u64(path.smoothed_rtt, ROAM_MILLISECONDS(1));
}

roam_time bench_patience(const struct bench *bench)
{
    return min_u64(ROAM_MILLISECONDS(1500) + 6 * bench_rtt(bench), ROAM_SECONDS(5));
}

bool bench_is_confirmed(struct bench *bench)
{
    return bench->confirmed_at != 0;
}

bool bench_was_cut(const struct bench *bench)
{
    return bench->exhausted || exam_is_over(bench->exam);
}
