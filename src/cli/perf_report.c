/* The result of a run, for people and for programs: one JSON object, whose members docs/perf.md describes. Members may
 * be added; none goes or changes its meaning while "schema" stays what it is. */
#include <inttypes.h>

#include "cli/perf.h"
#include "observe/json.h"

#define SCHEMA     "roam-perf/1"
#define REPORT_MAX 8192

/* What one side used between the two accounts. */
struct use {
    const struct perf_account *before, *after;
    double user, system; /* seconds */
    double per_gb;       /* CPU seconds for 10^9 octets of streams, both ways together */
};

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double duration(const struct perf_result *result)
{
    return seconds_of(result->ended - result->began);
}

static double bits_per_second(const struct perf_result *result, uint64_t bytes)
{
    double seconds = duration(result);
    return seconds > 0 ? (double)bytes * 8 / seconds : 0;
}

static struct use use_of(const struct perf_result *result, const struct perf_account accounts[2])
{
    struct use use = {
        .before = &accounts[0],
        .after = &accounts[1],
        .user = seconds_of(accounts[1].cpu_user_ns - accounts[0].cpu_user_ns),
        .system = seconds_of(accounts[1].cpu_system_ns - accounts[0].cpu_system_ns),
    };
    double gb = (double)(result->bytes_down + result->bytes_up) / 1e9;
    use.per_gb = gb > 0 ? (use.user + use.system) / gb : 0;
    return use;
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
    json_number(json, "bits_per_second", (uint64_t)bits_per_second(result, bytes));
    json_object_end(json);
}

static void put_side(struct json *json, const char *key, const struct perf_result *result,
                     const struct perf_account accounts[2])
{
    struct use use = use_of(result, accounts);
    json_object_begin(json, key);
    put_decimal(json, "cpu_user_seconds", use.user);
    put_decimal(json, "cpu_system_seconds", use.system);
    put_decimal(json, "cpu_seconds_per_gb", use.per_gb);
    json_number(json, "resident_bytes", use.after->resident_bytes);
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
    json_object_end(json);
}

static void report_json(const struct perf_result *result, FILE *stream)
{
    char text[REPORT_MAX];
    struct json json = json_init(text, sizeof(text));
    json_object_begin(&json, NULL);
    json_text(&json, "schema", SCHEMA);
    json_text(&json, "mode", result->mode);
    json_number(&json, "streams", result->streams);
    put_decimal(&json, "seconds", duration(result));
    put_way(&json, "download", result, result->bytes_down);
    put_way(&json, "upload", result, result->bytes_up);
    put_side(&json, "client", result, result->client);
    put_side(&json, "server", result, result->server);
    json_text(&json, "cipher", result->cipher);
    json_text(&json, "crypto_backend", result->crypto_backend);
    json_object_end(&json);
    fwrite(text, 1, json_len(&json), stream);
    fputc('\n', stream);
}

/* ---- For people -------------------------------------------------------------------------------------------------- */

static void print_way(FILE *stream, const char *name, const struct perf_result *result, uint64_t bytes)
{
    char amount[AMOUNT_TEXT_MAX];
    if (bytes > 0)
        fprintf(stream, "%-10s %s in %.3f s: %.3f Gbit/s\n", name, format_amount((double)bytes, amount),
                duration(result), bits_per_second(result, bytes) / 1e9);
}

static void print_side(FILE *stream, const char *name, const struct perf_result *result,
                       const struct perf_account accounts[2])
{
    struct use use = use_of(result, accounts);
    char window[AMOUNT_TEXT_MAX], memory[AMOUNT_TEXT_MAX];
    fprintf(stream, "%-8s %8.3f %8.3f %9.3f %10" PRIu64 " %10" PRIu64 " %7" PRIu64 " %8" PRIu64 " %9s %8.3f %9s\n",
            name, use.user, use.system, use.per_gb, use.after->packets_sent - use.before->packets_sent,
            use.after->packets_received - use.before->packets_received,
            use.after->packets_lost - use.before->packets_lost, use.after->datagram_bytes,
            format_amount((double)use.after->window_bytes, window), (double)use.after->smoothed_rtt_ns / 1e6,
            format_amount((double)use.after->resident_bytes, memory));
}

static void report_table(const struct perf_result *result, FILE *stream)
{
    print_way(stream, "download", result, result->bytes_down);
    print_way(stream, "upload", result, result->bytes_up);
    fprintf(stream, "%s by %s, %" PRIu64 " stream%s\n\n", result->cipher, result->crypto_backend, result->streams,
            result->streams == 1 ? "" : "s");
    fprintf(stream, "%-8s %8s %8s %9s %10s %10s %7s %8s %9s %8s %9s\n", "", "user s", "system s", "CPU s/GB", "sent",
            "received", "lost", "datagram", "window", "RTT ms", "memory");
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
