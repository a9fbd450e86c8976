/* The defaults of roam/config.h, each as its header says. */
#include <roam/config.h>

#include <string.h>

#define KIBIBYTE UINT64_C(1024)
#define MEBIBYTE (1024 * KIBIBYTE)

void roam_config_init(roam_config *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->max_idle_timeout = ROAM_SECONDS(30);
    ret->initial_max_data = 16 * MEBIBYTE;
    ret->initial_max_stream_data = 6 * MEBIBYTE;
    ret->initial_max_streams_bidi = 100;
    ret->initial_max_streams_uni = 100;
    ret->active_connection_id_limit = 8;
    ret->max_ack_delay = ROAM_MILLISECONDS(25);
    ret->max_udp_payload = 65527;
    ret->congestion = ROAM_CONGESTION_CUBIC;
    ret->initial_window_packets = 10;
    ret->initial_rtt = ROAM_MILLISECONDS(333);
    ret->datagram_bytes = 1200;
    ret->ecn = true;
    ret->stream_buffer_bytes = MEBIBYTE;
    ret->handshake_timeout = ROAM_SECONDS(10);
    ret->max_paths = 4;
    ret->cid_rotate_idle = ROAM_SECONDS(20);
    ret->mobility = ROAM_MOBILITY_MANUAL;
    ret->pmtud = true;
    ret->max_datagram_bytes = 8972;
    ret->max_window_bytes = 64 * MEBIBYTE;
    ret->datagram_queue_bytes = MEBIBYTE;
    ret->grease = true;
    ret->ack_frequency = true;
}

void roam_endpoint_config_init(roam_endpoint_config *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->size = sizeof(*ret);
    ret->cid_bytes = 8;
    ret->retry = ROAM_RETRY_WHEN_BUSY;
    ret->retry_half_open = 1000;
    ret->max_connections = 1000000;
    ret->resets_per_second = 1000;
    ret->retry_token_lifetime = ROAM_SECONDS(10);
    ret->new_token_lifetime = ROAM_SECONDS(24 * 3600);
    ret->tokens_remembered = 65536;
    ret->max_events = 65536;
    ret->retries_per_second = 5000;
    ret->strangers_per_second = 1000;
    ret->strangers_per_prefix = 250;
    ret->half_open_per_prefix = 256;
    ret->max_half_open = 20000;
    ret->max_memory_bytes = 0;
}
