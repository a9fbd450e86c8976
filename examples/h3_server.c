/*
 * h3_server.c - serves one file over HTTP/3, and says how many octets a request brought: h3_server FILE [PORT]
 * Prints where it listens and the fingerprint by which a client knows it. Runs until it is killed.
 */
#include <roam/h3.h>
#include <roam/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file;

/* What becomes of one request: the file that it is answered with. */
struct answer {
    FILE *from;
    unsigned long long read; /* octets of content that came */
    bool ended;
};

static roam_h3_field field(const char *name, const char *value)
{
    return (roam_h3_field){.name = name, .value = value, .name_len = strlen(name), .value_len = strlen(value)};
}

/* Writes as long as the stream takes it; ROAM_H3_EVENT_WRITABLE comes back here. */
static void go_on(roam_h3 *h3, uint64_t stream_id, struct answer *answer)
{
    char buf[65536];
    while (answer != NULL && answer->from != NULL && !answer->ended) {
        long at = ftell(answer->from);
        size_t len = fread(buf, 1, sizeof(buf), answer->from);
        ptrdiff_t taken = roam_h3_write(h3, stream_id, buf, len, len < sizeof(buf));
        if (taken < 0)
            return;
        if ((size_t)taken < len) {
            fseek(answer->from, at + (long)taken, SEEK_SET);
            return;
        }
        answer->ended = len < sizeof(buf);
    }
}

static void get(roam_h3 *h3, uint64_t stream_id, struct answer *answer)
{
    roam_h3_field type = field("content-type", "application/octet-stream");
    answer->from = fopen(file, "rb");
    roam_h3_respond(h3, stream_id, answer->from != NULL ? 200 : 404, &type, 1, answer->from == NULL);
    go_on(h3, stream_id, answer);
}

static void tell_length(roam_h3 *h3, uint64_t stream_id, const struct answer *answer)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%llu octets\n", answer->read);
    roam_h3_respond(h3, stream_id, 200, NULL, 0, false);
    roam_h3_write(h3, stream_id, text, (size_t)len, true);
}

static void on_event(roam_h3 *h3, const roam_h3_event *event)
{
    struct answer *answer = event->user;
    char buf[16384];
    ptrdiff_t n;
    switch (event->type) {
    case ROAM_H3_EVENT_REQUEST:
        answer = calloc(1, sizeof(*answer));
        roam_h3_set_user(h3, event->stream_id, answer);
        if (answer == NULL)
            roam_h3_reset(h3, event->stream_id, ROAM_H3_INTERNAL_ERROR);
        else if (strcmp(event->method, "POST") != 0)
            get(h3, event->stream_id, answer);
        break;
    case ROAM_H3_EVENT_DATA:
        while ((n = roam_h3_read(h3, event->stream_id, buf, sizeof(buf))) > 0)
            answer->read += (unsigned long long)n;
        break;
    case ROAM_H3_EVENT_END:
        if (answer->from == NULL)
            tell_length(h3, event->stream_id, answer);
        break;
    case ROAM_H3_EVENT_WRITABLE:
        go_on(h3, event->stream_id, answer);
        break;
    case ROAM_H3_EVENT_CLOSED:
        if (answer != NULL && answer->from != NULL)
            fclose(answer->from);
        free(answer);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    roam_credentials *credentials = roam_credentials_new();
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (argc < 2 ||
        roam_credentials_generate(credentials, (const char *const[]){"localhost", "127.0.0.1", NULL}) != ROAM_OK ||
        roam_credentials_fingerprint(credentials, pin) != ROAM_OK)
        return 1;
    file = argv[1];

    roam_config config;
    roam_config_init(&config);
    config.credentials = credentials;
    config.alpn = (const char *const[]){ROAM_H3_ALPN, NULL};
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    endpoint.accept = &config;

    roam_address local = {.ip = {127, 0, 0, 1}, .family = ROAM_FAMILY_IPV4};
    local.port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;
    roam_io *io = roam_io_new(&endpoint, NULL, NULL);
    if (io == NULL || roam_io_bind(io, &local, &local) != ROAM_OK)
        return 1;
    printf("127.0.0.1 %u ", (unsigned)local.port);
    for (size_t i = 0; i < sizeof(pin); i++)
        printf("%02x%s", pin[i], i + 1 < sizeof(pin) ? "" : "\n");
    fflush(stdout);

    for (roam_event event; roam_io_next(io, &event, ROAM_TIME_NEVER);) {
        if (event.type == ROAM_EVENT_CONNECTED)
            roam_conn_set_user(event.conn, roam_h3_new(event.conn, NULL, NULL));
        roam_h3 *h3 = event.conn != NULL ? roam_conn_user(event.conn) : NULL;
        if (event.type == ROAM_EVENT_CLOSED) {
            roam_h3_free(h3);
            roam_conn_free(event.conn, roam_io_now(io));
        } else if (h3 != NULL && roam_h3_on_event(h3, event.time, &event)) {
            for (roam_h3_event told; roam_h3_next_event(h3, event.time, &told);)
                on_event(h3, &told);
        }
    }
}
