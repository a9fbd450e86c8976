/*
 * webtransport_client.c - opens a WebTransport session, sends a file on a stream of it and prints what comes back:
 *     webtransport_client HOST PORT FINGERPRINT PATH FILE
 * The server is whoever holds the key with that fingerprint (64 hexadecimal digits).
 */
#include <roam/h3.h>
#include <roam/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *upload;
static bool uploaded;
static int64_t session = -1;

/* Writes as long as the stream takes it; ROAM_H3_EVENT_WRITABLE comes back here. */
static void go_on(roam_h3 *h3, uint64_t stream_id)
{
    char buf[65536];
    while (!uploaded) {
        long at = ftell(upload);
        size_t len = fread(buf, 1, sizeof(buf), upload);
        ptrdiff_t taken = roam_h3_write(h3, stream_id, buf, len, len < sizeof(buf));
        if (taken < 0)
            return;
        if ((size_t)taken < len) {
            fseek(upload, at + (long)taken, SEEK_SET);
            return;
        }
        uploaded = len < sizeof(buf);
    }
}

/* The server has said what it takes. */
static bool ask(roam_h3 *h3, const char *host, const char *path)
{
    roam_h3_request_head head = {
        .method = "CONNECT", .scheme = "https", .authority = host, .path = path, .protocol = ROAM_H3_WEBTRANSPORT};
    session = roam_h3_request(h3, &head, NULL, 0, false, NULL);
    if (session < 0)
        fprintf(stderr, "no session: %s\n", roam_result_name((roam_result)session));
    return session >= 0;
}

/* Returns the exit status when it is known, else -1. */
static int on_event(roam_h3 *h3, const roam_h3_event *event)
{
    char buf[16384];
    ptrdiff_t n;
    int64_t stream_id;
    switch (event->type) {
    case ROAM_H3_EVENT_RESPONSE:
        fprintf(stderr, "%d\n", event->status);
        if (event->status < 200 || event->status > 299)
            return 1;
        stream_id = roam_h3_webtransport_open(h3, event->stream_id, false, NULL);
        if (stream_id >= 0)
            go_on(h3, (uint64_t)stream_id);
        return stream_id < 0 ? 1 : -1;
    case ROAM_H3_EVENT_DATA:
        while ((n = roam_h3_read(h3, event->stream_id, buf, sizeof(buf))) > 0)
            fwrite(buf, 1, (size_t)n, stdout);
        return -1;
    case ROAM_H3_EVENT_WRITABLE:
        go_on(h3, event->stream_id);
        return -1;
    case ROAM_H3_EVENT_END:
        roam_h3_webtransport_close(h3, event->session_id, 0, "all is back");
        return -1;
    case ROAM_H3_EVENT_WEBTRANSPORT_CLOSED:
        fprintf(stderr, "closed by the server: %u %.*s\n", (unsigned)event->code, (int)event->data_len,
                (const char *)event->data);
        return 1;
    case ROAM_H3_EVENT_CLOSED:
        return (int64_t)event->stream_id == session ? 0 : -1;
    case ROAM_H3_EVENT_RESET:
        return 1;
    default:
        return -1;
    }
}

static int run(roam_io *io, const char *host, const char *path)
{
    roam_h3 *h3 = NULL;
    roam_h3_config config;
    roam_h3_config_init(&config);
    config.datagrams = true;
    config.webtransport_sessions = 1;
    int status = -1;
    for (roam_event event; status < 0 && roam_io_next(io, &event, ROAM_SECONDS(15));) {
        if (event.type == ROAM_EVENT_CONNECTED)
            h3 = roam_h3_new(event.conn, &config, NULL);
        if (event.type == ROAM_EVENT_CLOSED) {
            fprintf(stderr, "closed: %s: %s\n", roam_close_cause_name(event.error->cause), event.error->reason);
            status = 1;
        } else if (h3 != NULL && roam_h3_on_event(h3, event.time, &event)) {
            for (roam_h3_event told; status < 0 && roam_h3_next_event(h3, event.time, &told);) {
                if (told.type != ROAM_H3_EVENT_SETTINGS)
                    status = on_event(h3, &told);
                else if (!ask(h3, host, path))
                    status = 1;
            }
        }
    }
    if (h3 != NULL)
        roam_conn_close(roam_h3_conn(h3), roam_io_now(io), ROAM_H3_NO_ERROR, NULL);
    roam_h3_free(h3);
    return status < 0 ? 1 : status;
}

int main(int argc, char **argv)
{
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (argc < 6 || strlen(argv[3]) != 2 * sizeof(pin))
        return 2;
    for (size_t i = 0; i < sizeof(pin); i++)
        pin[i] = (uint8_t)strtoul((char[]){argv[3][2 * i], argv[3][2 * i + 1], '\0'}, NULL, 16);
    if ((upload = fopen(argv[5], "rb")) == NULL)
        return 2;

    roam_config config;
    roam_config_init(&config);
    config.alpn = (const char *const[]){ROAM_H3_ALPN, NULL};
    config.max_datagram_frame_bytes = 65535;
    config.credentials = roam_credentials_new();
    roam_credentials_trust_pin(config.credentials, pin);
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);

    roam_io *io = roam_io_new(&endpoint, NULL, NULL);
    int status = 1;
    if (io != NULL && roam_io_connect(io, argv[1], (uint16_t)atoi(argv[2]), &config, NULL) != NULL)
        status = run(io, argv[1], argv[4]);
    roam_io_free(io);
    roam_credentials_free(config.credentials);
    fclose(upload);
    return status;
}
