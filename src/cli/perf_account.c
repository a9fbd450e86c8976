/* What a side has used so far: see perf.h. */
#include <string.h>
#include <sys/resource.h>

#include "cli/counted_memory.h"
#include "cli/perf.h"

#define NUMBERS (sizeof(struct perf_account) / sizeof(uint64_t))

static uint64_t nanoseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

void perf_account_take(struct perf_account *ret, roam_io *io, const roam_conn *conn)
{
    struct rusage usage;
    roam_buffers buffers;
    roam_io_buffers(io, &buffers);
    getrusage(RUSAGE_SELF, &usage);
    *ret = (struct perf_account){
        .cpu_user_ns = nanoseconds(&usage.ru_utime),
        .cpu_system_ns = nanoseconds(&usage.ru_stime),
        .resident_bytes = resident_bytes(),
        .connections = roam_endpoint_connections(roam_io_endpoint(io), NULL, 0),
        .receive_buffer_bytes = buffers.receive,
        .send_buffer_bytes = buffers.send,
    };
    if (conn == NULL)
        return;
    roam_conn_stats stats;
    roam_path_info path = {0};
    roam_conn_get_stats(conn, &stats);
    roam_conn_paths(conn, &path, 1);
    ret->packets_sent = stats.packets_sent;
    ret->packets_received = stats.packets_received;
    ret->packets_lost = stats.packets_lost;
    ret->bytes_sent = stats.bytes_sent;
    ret->bytes_received = stats.bytes_received;
    ret->stream_bytes_resent = stats.stream_bytes_resent;
    ret->datagram_bytes = path.datagram_bytes;
    ret->window_bytes = path.window_bytes;
    ret->smoothed_rtt_ns = path.smoothed_rtt;
    ret->min_rtt_ns = path.min_rtt;
    ret->dgrams_sent = stats.datagrams_sent;
    ret->dgrams_acked = stats.datagrams_acked;
    ret->dgrams_lost = stats.datagrams_lost;
    ret->dgrams_unsent = stats.datagrams_expired + stats.datagrams_outgrown;
    ret->dgrams_received = stats.datagrams_received;
    ret->dgrams_unread = stats.datagrams_dropped;
    ret->dgram_bytes_received = stats.datagram_bytes_received;
}

void perf_account_write(const struct perf_account *account, uint8_t ret[PERF_ACCOUNT_BYTES])
{
    uint64_t numbers[NUMBERS];
    memcpy(numbers, account, sizeof(numbers));
    for (size_t i = 0; i < NUMBERS; i++)
        perf_header_write(numbers[i], ret + 8 * i);
}

void perf_account_read(struct perf_account *ret, const uint8_t data[PERF_ACCOUNT_BYTES])
{
    uint64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = perf_header_read(data + 8 * i);
    memcpy(ret, numbers, sizeof(numbers));
}
