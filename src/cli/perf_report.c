/* The result of a run, for people and for programs: one JSON object, whose members docs/perf.md describes. Members may
 * be added; none goes or changes its meaning while "schema" stays what it is. */
#include <inttypes.h>

#include "base/minmax.h"
#include "cli/perf.h"
#include "observe/json.h"

#define SCHEMA        "roam-perf/1"
#define SCHEMA_SERVED "roam-perf-server/1"
#define REPORT_MAX    8192

static const struct {
    const char *name;
    uint32_t parts; /* of a million */
} percentiles[] = {{"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"p99.99", 999900}};

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

static bool is_bulk(const struct perf_result *result)
{
    return result->operations == 0 && result->failed == 0;
}

/* Of the work; what comes after midway is the holding of idle connections. */
static double work_seconds(const struct perf_result *result)
{
    return seconds_of((result->midway != 0 ? result->midway : result->ended) - result->began);
}

static double hold_seconds(const struct perf_result *result)
{
    return result->midway != 0 ? seconds_of(result->ended - result->midway) : 0;
}

static double rate(const struct perf_result *result, uint64_t count)
{
    double seconds = work_seconds(result);
    return seconds > 0 ? (double)count / seconds : 0;
}

/* What one side used for the work. */
struct use {
    const struct perf_account *before, *after, *end;
    double user, system; /* seconds */
    double per_gb;       /* CPU seconds for 10^9 octets of streams, both ways together */
    double per_operation_us;
    double hold_cpu; /* seconds, while idle connections were held */
    double bytes_per_connection;
};

static struct use use_of(const struct perf_result *result, const struct perf_account accounts[PERF_ACCOUNTS])
{
    struct use use = {.before = &accounts[PERF_AT_BEGIN], .end = &accounts[PERF_AT_END]};
    use.after = &accounts[result->midway != 0 ? PERF_AT_MIDWAY : PERF_AT_END];
    use.user = seconds_of(use.after->cpu_user_ns - use.before->cpu_user_ns);
    use.system = seconds_of(use.after->cpu_system_ns - use.before->cpu_system_ns);
    use.hold_cpu =
        seconds_of(use.end->cpu_user_ns + use.end->cpu_system_ns - use.after->cpu_user_ns - use.after->cpu_system_ns);
    double gb = (double)(result->bytes_down + result->bytes_up) / 1e9, operations = (double)result->operations;
    use.per_gb = gb > 0 ? (use.user + use.system) / gb : 0;
    if (result->operations > 0) {
        use.per_operation_us = (use.user + use.system) * 1e6 / operations;
        use.bytes_per_connection =
            (double)saturating_sub(use.end->resident_bytes, use.before->resident_bytes) / operations;
    }
    return use;
}

/* Datagrams from one side to the other. */
struct datagram_way {
    uint64_t sent, acked, lost, unsent, received, unread;
};

static struct datagram_way way_of(const struct perf_account *from, const struct perf_account *to)
{
    const struct perf_account *a = &from[PERF_AT_BEGIN], *z = &from[PERF_AT_END];
    return (struct datagram_way){
        .sent = z->dgrams_sent - a->dgrams_sent,
        .acked = z->dgrams_acked - a->dgrams_acked,
        .lost = z->dgrams_lost - a->dgrams_lost,
        .unsent = z->dgrams_unsent - a->dgrams_unsent,
        .received = to[PERF_AT_END].dgrams_received - to[PERF_AT_BEGIN].dgrams_received,
        .unread = to[PERF_AT_END].dgrams_unread - to[PERF_AT_BEGIN].dgrams_unread,
    };
}

static bool is_of_datagrams(const struct perf_result *result)
{
    return result->client[PERF_AT_END].dgrams_sent + result->client[PERF_AT_END].dgrams_received > 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* With at most six decimals. */
static void put_decimal(struct json *json, const char *key, double value)
{
    json_ms(json, key, (uint64_t)(value * 1e6 + 0.5));
}

static void put_way(struct json *json, const char *key, const struct perf_result *result, uint64_t bytes)
{
    json_object_begin(json, key);
    json_number(json, "bytes", bytes);
    json_number(json, "bits_per_second", (uint64_t)(rate(result, bytes) * 8));
    json_object_end(json);
}

static void put_latency(struct json *json, const struct perf_histogram *latency)
{
    json_object_begin(json, "latency_ms");
    json_ms(json, "min", latency->least);
    json_ms(json, "mean", perf_histogram_mean(latency));
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        json_ms(json, percentiles[i].name, perf_histogram_at(latency, percentiles[i].parts));
    json_ms(json, "max", latency->most);
    json_object_end(json);
}

static void put_operations(struct json *json, const struct perf_result *result)
{
    json_object_begin(json, "operations");
    json_number(json, "done", result->operations);
    json_number(json, "failed", result->failed);
    put_decimal(json, "per_second", rate(result, result->operations));
    put_latency(json, &result->latency);
    json_object_end(json);
}

/* What one side has sent to the other. */
static void put_datagrams(struct json *json, const char *key, const struct perf_result *result,
                          const struct datagram_way *way)
{
    json_object_begin(json, key);
    json_number(json, "sent", way->sent);
    json_number(json, "acknowledged", way->acked);
    json_number(json, "lost", way->lost);
    json_number(json, "unsent", way->unsent);
    json_number(json, "delivered", way->received - way->unread);
    json_number(json, "unread", way->unread);
    put_decimal(json, "per_second", rate(result, way->received - way->unread));
    json_object_end(json);
}

static void put_all_datagrams(struct json *json, const struct perf_result *result)
{
    struct datagram_way up = way_of(result->client, result->server), down = way_of(result->server, result->client);
    json_object_begin(json, "datagrams");
    put_datagrams(json, "download", result, &down);
    put_datagrams(json, "upload", result, &up);
    put_latency(json, &result->latency);
    json_object_end(json);
}

static void put_side(struct json *json, const char *key, const struct perf_result *result,
                     const struct perf_account accounts[PERF_ACCOUNTS])
{
    struct use use = use_of(result, accounts);
    json_object_begin(json, key);
    put_decimal(json, "cpu_user_seconds", use.user);
    put_decimal(json, "cpu_system_seconds", use.system);
    if (is_bulk(result))
        put_decimal(json, "cpu_seconds_per_gb", use.per_gb);
    else
        put_decimal(json, "cpu_us_per_operation", use.per_operation_us);
    json_number(json, "resident_bytes", use.end->resident_bytes);
    if (result->midway != 0) {
        put_decimal(json, "hold_cpu_seconds", use.hold_cpu);
        put_decimal(json, "resident_bytes_per_connection", use.bytes_per_connection);
    }
    json_number(json, "packets_sent", use.after->packets_sent - use.before->packets_sent);
    json_number(json, "packets_received", use.after->packets_received - use.before->packets_received);
    json_number(json, "packets_lost", use.after->packets_lost - use.before->packets_lost);
    json_number(json, "udp_bytes_sent", use.after->bytes_sent - use.before->bytes_sent);
    json_number(json, "udp_bytes_received", use.after->bytes_received - use.before->bytes_received);
    json_number(json, "stream_bytes_resent", use.after->stream_bytes_resent - use.before->stream_bytes_resent);
    json_number(json, "datagram_bytes", use.after->datagram_bytes);
    json_number(json, "window_bytes", use.after->window_bytes);
    json_ms(json, "smoothed_rtt_ms", use.after->smoothed_rtt_ns);
    json_ms(json, "min_rtt_ms", use.after->min_rtt_ns);
    json_number(json, "receive_buffer_bytes", use.after->receive_buffer_bytes);
    json_number(json, "send_buffer_bytes", use.after->send_buffer_bytes);
    json_object_end(json);
}

static void print_json(const struct json *json, FILE *stream)
{
    fwrite(json->start, 1, json_len(json), stream);
    fputc('\n', stream);
}

static void report_json(const struct perf_result *result, FILE *stream)
{
    char text[REPORT_MAX];
    struct json json = json_init(text, sizeof(text));
    json_object_begin(&json, NULL);
    json_text(&json, "schema", SCHEMA);
    json_text(&json, "mode", result->mode);
    json_number(&json, "streams", result->streams);
    put_decimal(&json, "seconds", work_seconds(result));
    if (result->midway != 0)
        put_decimal(&json, "hold_seconds", hold_seconds(result));
    put_way(&json, "download", result, result->bytes_down);
    put_way(&json, "upload", result, result->bytes_up);
    if (!is_bulk(result))
        put_operations(&json, result);
    if (is_of_datagrams(result))
        put_all_datagrams(&json, result);
    put_side(&json, "client", result, result->client);
    put_side(&json, "server", result, result->server);
    json_text(&json, "cipher", result->cipher);
    json_text(&json, "crypto_backend", result->crypto_backend);
    json_object_end(&json);
    print_json(&json, stream);
}

/* ---- For people -------------------------------------------------------------------------------------------------- */

static void print_way(FILE *stream, const char *name, const struct perf_result *result, uint64_t bytes)
{
    char amount[AMOUNT_TEXT_MAX];
    if (bytes > 0)
        fprintf(stream, "%-12s%s in %.3f s: %.3f Gbit/s\n", name, format_amount((double)bytes, amount),
                work_seconds(result), rate(result, bytes) * 8 / 1e9);
}

static void print_latency(FILE *stream, const struct perf_histogram *latency)
{
    fprintf(stream, "%-12smin %.3f  mean %.3f", "latency ms", (double)latency->least / 1e6,
            (double)perf_histogram_mean(latency) / 1e6);
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        fprintf(stream, "  %s %.3f", percentiles[i].name,
                (double)perf_histogram_at(latency, percentiles[i].parts) / 1e6);
    fprintf(stream, "  max %.3f\n", (double)latency->most / 1e6);
}

static void print_operations(FILE *stream, const struct perf_result *result)
{
    fprintf(stream, "%-12s%" PRIu64 " in %.3f s: %.0f a second, %" PRIu64 " failed\n", result->mode, result->operations,
            work_seconds(result), rate(result, result->operations), result->failed);
    print_latency(stream, &result->latency);
}

static void print_datagrams(FILE *stream, const char *name, const struct perf_result *result,
                            const struct datagram_way *way)
{
    uint64_t delivered = way->received - way->unread;
    if (way->sent + way->unsent > 0)
        fprintf(stream,
                "%-12s%" PRIu64 " datagrams sent, %" PRIu64 " delivered: %.0f a second; %" PRIu64 " lost, %" PRIu64
                " unsent, %" PRIu64 " unread\n",
                name, way->sent, delivered, rate(result, delivered), way->lost, way->unsent, way->unread);
}

static void print_all_datagrams(FILE *stream, const struct perf_result *result)
{
    struct datagram_way up = way_of(result->client, result->server), down = way_of(result->server, result->client);
    print_datagrams(stream, "down", result, &down);
    print_datagrams(stream, "up", result, &up);
    if (result->latency.count > 0)
        print_latency(stream, &result->latency);
}

static void print_side(FILE *stream, const char *name, const struct perf_result *result,
                       const struct perf_account accounts[PERF_ACCOUNTS])
{
    struct use use = use_of(result, accounts);
    char window[AMOUNT_TEXT_MAX], memory[AMOUNT_TEXT_MAX];
    fprintf(stream, "%-8s %8.3f %8.3f %9.3f %10" PRIu64 " %10" PRIu64 " %7" PRIu64 " %8" PRIu64 " %9s %8.3f %9s\n",
            name, use.user, use.system, is_bulk(result) ? use.per_gb : use.per_operation_us,
            use.after->packets_sent - use.before->packets_sent,
            use.after->packets_received - use.before->packets_received,
            use.after->packets_lost - use.before->packets_lost, use.after->datagram_bytes,
            format_amount((double)use.after->window_bytes, window), (double)use.after->smoothed_rtt_ns / 1e6,
            format_amount((double)use.end->resident_bytes, memory));
}

static void print_hold(FILE *stream, const char *name, const struct perf_result *result,
                       const struct perf_account accounts[PERF_ACCOUNTS])
{
    struct use use = use_of(result, accounts);
    fprintf(stream, "%-12s%.0f octets of memory a connection; %.3f s of CPU in %.1f s without a word\n", name,
            use.bytes_per_connection, use.hold_cpu, hold_seconds(result));
}

static void report_table(const struct perf_result *result, FILE *stream)
{
    if (is_bulk(result)) {
        print_way(stream, "download", result, result->bytes_down);
        print_way(stream, "upload", result, result->bytes_up);
    } else {
        print_operations(stream, result);
    }
    if (is_of_datagrams(result))
        print_all_datagrams(stream, result);
    if (result->midway != 0) {
        print_hold(stream, "client", result, result->client);
        print_hold(stream, "server", result, result->server);
    }
    fprintf(stream, "%-12s%s by %s\n\n", "cipher", result->cipher, result->crypto_backend);
    fprintf(stream, "%-8s %8s %8s %9s %10s %10s %7s %8s %9s %8s %9s\n", "", "user s", "system s",
            is_bulk(result) ? "CPU s/GB" : "CPU us/op", "sent", "received", "lost", "datagram", "window", "RTT ms",
            "memory");
    print_side(stream, "client", result, result->client);
    print_side(stream, "server", result, result->server);
}

void perf_report(const struct perf_result *result, bool json, FILE *stream)
{
    if (json)
        report_json(result, stream);
    else
        report_table(result, stream);
    fflush(stream);
}

/* ---- A server's life --------------------------------------------------------------------------------------------- */

static void served_json(const struct perf_served *served, FILE *stream)
{
    char text[REPORT_MAX];
    struct json json = json_init(text, sizeof(text));
    json_object_begin(&json, NULL);
    json_text(&json, "schema", SCHEMA_SERVED);
    json_number(&json, "connections", served->connections);
    json_number(&json, "requests", served->requests);
    json_number(&json, "bytes_received", served->bytes_received);
    json_number(&json, "bytes_sent", served->bytes_sent);
    put_decimal(&json, "cpu_user_seconds", seconds_of(served->account.cpu_user_ns));
    put_decimal(&json, "cpu_system_seconds", seconds_of(served->account.cpu_system_ns));
    json_number(&json, "resident_bytes", served->account.resident_bytes);
    json_object_end(&json);
    print_json(&json, stream);
}

void perf_report_served(const struct perf_served *served, bool json, FILE *stream)
{
    char received[AMOUNT_TEXT_MAX], sent[AMOUNT_TEXT_MAX], memory[AMOUNT_TEXT_MAX];
    if (json)
        served_json(served, stream);
    else
        fprintf(stream,
                "connections %" PRIu64 ", requests %" PRIu64 ": %s received, %s sent, CPU %.3f s user and %.3f s "
                "system, %s of memory\n",
                served->connections, served->requests, format_amount((double)served->bytes_received, received),
                format_amount((double)served->bytes_sent, sent), seconds_of(served->account.cpu_user_ns),
                seconds_of(served->account.cpu_system_ns),
                format_amount((double)served->account.resident_bytes, memory));
    fflush(stream);
}
