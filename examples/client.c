/*
 * client.c - sends a line and prints the answer: client HOST PORT FINGERPRINT LINE
 * The server is whoever holds the key with that fingerprint (64 hexadecimal digits).
 */
#include <roam/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    uint8_t pin[ROAM_FINGERPRINT_BYTES];
    if (argc != 5 || strlen(argv[3]) != 2 * sizeof(pin))
        return 2;
    for (size_t i = 0; i < sizeof(pin); i++)
        pin[i] = (uint8_t)strtoul((char[]){argv[3][2 * i], argv[3][2 * i + 1], '\0'}, NULL, 16);

    roam_config config;
    roam_config_init(&config);
    config.alpn = (const char *const[]){"echo", NULL};
    config.credentials = roam_credentials_new();
    roam_credentials_trust_pin(config.credentials, pin);
    roam_endpoint_config endpoint;
    roam_endpoint_config_init(&endpoint);

    roam_io *io = roam_io_new(&endpoint, NULL, NULL);
    if (io == NULL || roam_io_connect(io, argv[1], (uint16_t)atoi(argv[2]), &config, NULL) == NULL)
        return 1;
    int status = 1;
    for (roam_event event; roam_io_next(io, &event, ROAM_SECONDS(15));) {
        if (event.type == ROAM_EVENT_CONNECTED) {
            roam_stream *stream = roam_stream_open(event.conn, false, NULL);
            roam_stream_write(stream, argv[4], strlen(argv[4]));
            roam_stream_finish(stream);
        } else if (event.type == ROAM_EVENT_STREAM_READABLE) {
            char answer[1024];
            bool end = false;
            for (ptrdiff_t n; (n = roam_stream_read(event.stream, answer, sizeof(answer), &end)) > 0;)
                fwrite(answer, 1, (size_t)n, stdout);
            if (end) {
                puts("");
                status = 0;
                break;
            }
        } else if (event.type == ROAM_EVENT_CLOSED) {
            fprintf(stderr, "closed: %s: %s\n", roam_close_cause_name(event.error->cause), event.error->reason);
            break;
        }
    }
    roam_io_free(io);
    roam_credentials_free(config.credentials);
    return status;
}
