/*
 * server.c - sends back what it reads: server [PORT]
 * Prints where it listens and the fingerprint by which a client knows it. Runs until it is killed.
 */
#include <roam/io.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads on only while what was read can be written: a peer that does not read its answers is not buffered for. */
static void echo(roam_stream *stream)
{
    const uint8_t *data;
    bool end = false;
    for (ptrdiff_t n; (n = roam_stream_peek(stream, &data, &end)) > 0;) {
        ptrdiff_t taken = roam_stream_write(stream, data, (size_t)n);
        if (taken <= 0)
            return;
        roam_stream_consume(stream, (size_t)taken);
    }
    if (end)
        roam_stream_finish(stream);
}

int main(int argc, char **argv)
{
    roam_credentials *credentials = roam_credentials_new();
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (roam_credentials_generate(credentials, (const char *const[]){"localhost", "127.0.0.1", NULL}) != ROAM_OK ||
        roam_credentials_fingerprint(credentials, pin) != ROAM_OK)
        return 1;

    roam_config config;
    roam_config_init(&config);
    config.credentials = credentials;
    config.alpn = (const char *const[]){"echo", NULL};
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);
    endpoint.accept = &config;

    roam_address local = {.ip = {127, 0, 0, 1}, .family = ROAM_FAMILY_IPV4};
    local.port = argc > 1 ? (uint16_t)atoi(argv[1]) : 0;
    roam_io *io = roam_io_new(&endpoint, NULL, NULL);
    if (io == NULL || roam_io_bind(io, &local, &local) != ROAM_OK)
        return 1;
    printf("127.0.0.1 %u ", (unsigned)local.port);
    for (size_t i = 0; i < sizeof(pin); i++)
        printf("%02x%s", pin[i], i + 1 < sizeof(pin) ? "" : "\n");
    fflush(stdout);

    for (roam_event event; roam_io_next(io, &event, ROAM_TIME_NEVER);) {
        if (event.type == ROAM_EVENT_STREAM_READABLE || event.type == ROAM_EVENT_STREAM_WRITABLE)
            echo(event.stream);
        else if (event.type == ROAM_EVENT_STREAM_FINISHED || event.type == ROAM_EVENT_STREAM_RESET)
            roam_stream_free(event.stream);
        else if (event.type == ROAM_EVENT_CLOSED)
            roam_conn_free(event.conn, roam_io_now(io));
    }
}
