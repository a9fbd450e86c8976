/*
 * webtransport_server.c - echoes what comes over WebTransport: webtransport_server CHAIN KEY [PORT]
 * Octets of a bidirectional stream go back on it, those of a unidirectional one on another, and datagrams as datagrams.
 * Prints where it listens and the fingerprint by which webtransport_client knows it. Runs until it is killed. docs/h3.md
 * shows the certificate that browsers want, and the page.
 */
#include <roam/h3.h>
#include <roam/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was read on one stream and has not been written back on the other yet; both may be the same. */
struct echo {
    uint64_t from, to;
    char buf[16384];
    size_t len, sent;
    bool ended;
    int holders; /* the streams that know of it */
};

/* Writes what is there, then reads on: what the peer does not take, it cannot send. ROAM_H3_EVENT_WRITABLE comes back
 * here. */
static void go_on(roam_h3 *h3, struct echo *echo)
{
    for (;;) {
        ptrdiff_t taken = roam_h3_write(h3, echo->to, echo->buf + echo->sent, echo->len - echo->sent, echo->ended);
        if (taken < 0)
            return;
        echo->sent += (size_t)taken;
        if (echo->sent < echo->len || echo->ended)
            return;
        ptrdiff_t n = roam_h3_read(h3, echo->from, echo->buf, sizeof(echo->buf));
        if (n <= 0)
            return;
        echo->len = (size_t)n;
        echo->sent = 0;
    }
}

static void on_stream(roam_h3 *h3, const roam_h3_event *event)
{
    struct echo *echo = calloc(1, sizeof(*echo));
    bool unidirectional = (event->stream_id & 2) != 0;
    int64_t back = (int64_t)event->stream_id;
    if (unidirectional && echo != NULL)
        back = roam_h3_webtransport_open(h3, event->session_id, true, NULL);
    if (echo == NULL || back < 0) {
        free(echo);
        roam_h3_reset(h3, event->stream_id, 1);
        return;
    }
    echo->from = event->stream_id;
    echo->to = (uint64_t)back;
    echo->holders = unidirectional ? 2 : 1;
    roam_h3_set_user(h3, event->stream_id, echo);
    if (unidirectional)
        roam_h3_set_user(h3, echo->to, echo);
}

/* A session for /closed is at its end at once, and one for /greeting begins with a stream of ours; all others last as long
 * as the peer wants. */
static void accept_session(roam_h3 *h3, const roam_h3_event *event)
{
    roam_h3_respond(h3, event->stream_id, 200, NULL, 0, false);
    if (strcmp(event->path, "/greeting") == 0) {
        int64_t stream_id = roam_h3_webtransport_open(h3, event->stream_id, false, NULL);
        if (stream_id >= 0)
            roam_h3_write(h3, (uint64_t)stream_id, "hello", 5, true);
    }
    if (strcmp(event->path, "/closed") == 0)
        roam_h3_webtransport_close(h3, event->stream_id, 42, "as you asked");
}

static void on_event(roam_h3 *h3, roam_time now, const roam_h3_event *event)
{
    struct echo *echo = event->user;
    switch (event->type) {
    case ROAM_H3_EVENT_REQUEST:
        if (event->protocol != NULL && strcmp(event->protocol, ROAM_H3_WEBTRANSPORT) == 0)
            accept_session(h3, event);
        else
            roam_h3_respond(h3, event->stream_id, 404, NULL, 0, true);
        break;
    case ROAM_H3_EVENT_WEBTRANSPORT_STREAM:
        on_stream(h3, event);
        break;
    case ROAM_H3_EVENT_END:
        if (echo != NULL) {
            echo->ended = true;
            go_on(h3, echo);
        }
        break;
    case ROAM_H3_EVENT_DATA:
    case ROAM_H3_EVENT_WRITABLE:
        if (echo != NULL)
            go_on(h3, echo);
        break;
    case ROAM_H3_EVENT_DATAGRAM:
        roam_h3_send_datagram(h3, now, event->stream_id, event->data, event->data_len);
        break;
    case ROAM_H3_EVENT_WEBTRANSPORT_CLOSED:
        printf("closed %u %.*s\n", (unsigned)event->code, (int)event->data_len, (const char *)event->data);
        fflush(stdout);
        break;
    case ROAM_H3_EVENT_RESET:
        /* Whoever resets what he sends gets what we send reset, too. */
        if (echo != NULL)
            roam_h3_webtransport_reset(h3, echo->to, (uint32_t)event->code);
        break;
    case ROAM_H3_EVENT_CLOSED:
        if (echo != NULL && --echo->holders == 0)
            free(echo);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    roam_credentials *credentials = roam_credentials_new();
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (argc < 3 || roam_credentials_load(credentials, argv[1], argv[2]) != ROAM_OK ||
        roam_credentials_fingerprint(credentials, pin) != ROAM_OK) {
        fprintf(stderr, "usage: webtransport_server CHAIN KEY [PORT]\n");
        return 1;
    }
    roam_config config;
    roam_config_init(&config);
    config.credentials = credentials;
    config.alpn = (const char *const[]){ROAM_H3_ALPN, NULL};
    config.max_datagram_frame_bytes = 65535;
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    endpoint.accept = &config;
    roam_h3_config h3_config;
    roam_h3_config_init(&h3_config);
    h3_config.datagrams = true;
    h3_config.webtransport_sessions = 16;

    roam_address local = {.ip = {127, 0, 0, 1}, .family = ROAM_FAMILY_IPV4};
    local.port = argc > 3 ? (uint16_t)atoi(argv[3]) : 0;
    roam_io *io = roam_io_new(&endpoint, NULL, NULL);
    if (io == NULL || roam_io_bind(io, &local, &local) != ROAM_OK)
        return 1;
    printf("127.0.0.1 %u ", (unsigned)local.port);
    for (size_t i = 0; i < sizeof(pin); i++)
        printf("%02x%s", pin[i], i + 1 < sizeof(pin) ? "" : "\n");
    fflush(stdout);

    for (roam_event event; roam_io_next(io, &event, ROAM_TIME_NEVER);) {
        if (event.type == ROAM_EVENT_CONNECTED)
            roam_conn_set_user(event.conn, roam_h3_new(event.conn, &h3_config, NULL));
        roam_h3 *h3 = event.conn != NULL ? roam_conn_user(event.conn) : NULL;
        if (event.type == ROAM_EVENT_CLOSED) {
            roam_h3_free(h3);
            roam_conn_free(event.conn, roam_io_now(io));
        } else if (h3 != NULL && roam_h3_on_event(h3, event.time, &event)) {
            for (roam_h3_event told; roam_h3_next_event(h3, event.time, &told);)
                on_event(h3, event.time, &told);
        }
    }
}
