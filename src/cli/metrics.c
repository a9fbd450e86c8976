/* See metrics.h. Kept: each name has its HELP and its TYPE once, before its first value, and is never of two types. */
#include "cli/metrics.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/counted_memory.h"

/* Seconds: from a round trip on a LAN to a client that was away for long. */
static const double bounds[METRICS_BUCKETS - 1] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,    0.25,  0.5,    1,     2.5,  10};

static const char *const move_names[METRICS_MOVES] = {"port", "address", "local"};
static const char *const outcome_names[METRICS_OUTCOMES] = {"begun", "settled", "reverted"};

/* ---- Counting */

static void count_time(struct metrics_histogram *histogram, roam_time time)
{
    const double seconds = (double)time / 1e9;
    size_t bucket = 0;
    while (bucket < METRICS_BUCKETS - 1 && seconds > bounds[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum += seconds;
}

static enum metrics_move move_of(const roam_address *from, const roam_address *to)
{
    if (roam_address_equal(from, to))
        return METRICS_MOVE_LOCAL;
    return roam_address_same_ip(from, to) ? METRICS_MOVE_PORT : METRICS_MOVE_ADDRESS;
}

/* The move that the event tells of may not be the newest any more. */
static void count_settled(struct metrics *metrics, const roam_event *event)
{
    roam_path_stats moves[ROAM_MOVES_KEPT];
    size_t n = roam_conn_path_stats(event->conn, moves, ROAM_MOVES_KEPT);
    for (size_t i = 0; i < n; i++) {
        if (moves[i].path_id != event->path_id || !moves[i].settled)
            continue;
        count_time(&metrics->gap, moves[i].gap);
        count_time(&metrics->validation, moves[i].validated_after);
        return;
    }
}

void metrics_on_event(struct metrics *metrics, const roam_event *event)
{
    switch (event->type) {
    case ROAM_EVENT_PATH_MOVED:
        metrics->moves[move_of(&event->previous, &event->remote)][METRICS_BEGUN]++;
        break;
    case ROAM_EVENT_PATH_REVERTED:
        metrics->moves[move_of(&event->previous, &event->remote)][METRICS_REVERTED]++;
        break;
    case ROAM_EVENT_PATH_SETTLED:
        metrics->moves[move_of(&event->previous, &event->remote)][METRICS_SETTLED]++;
        count_settled(metrics, event);
        break;
    case ROAM_EVENT_CLOSED:
        metrics->closed[event->error->cause]++;
        break;
    default:
        break;
    }
}

/* ---- The text */

static void put_head(FILE *file, const char *name, const char *type, const char *help)
{
    fprintf(file, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_counter(FILE *file, const char *name, const char *help, uint64_t value)
{
    put_head(file, name, "counter", help);
    fprintf(file, "%s %" PRIu64 "\n", name, value);
}

static void put_gauge(FILE *file, const char *name, const char *help, uint64_t value)
{
    put_head(file, name, "gauge", help);
    fprintf(file, "%s %" PRIu64 "\n", name, value);
}

static void put_labelled(FILE *file, const char *name, const char *label, const char *value, uint64_t n)
{
    fprintf(file, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void put_histogram(FILE *file, const char *name, const char *help, const struct metrics_histogram *histogram)
{
    uint64_t below = 0;
    put_head(file, name, "histogram", help);
    for (size_t i = 0; i < METRICS_BUCKETS - 1; i++) {
        below += histogram->buckets[i];
        fprintf(file, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds[i], below);
    }
    fprintf(file, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->count);
    fprintf(file, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name, histogram->sum, name, histogram->count);
}

static void put_connections(FILE *file, const struct metrics *metrics, const roam_endpoint_stats *stats)
{
    put_head(file, "roam_connections", "gauge", "Connections that there are, by state.");
    for (unsigned state = ROAM_CONN_HANDSHAKE; state < ROAM_CONN_CLOSED; state++)
        put_labelled(file, "roam_connections", "state", roam_conn_state_name(state), stats->connections[state]);
    put_counter(file, "roam_connections_accepted_total", "Connections that clients began.",
                stats->connections_accepted);
    put_head(file, "roam_connections_closed_total", "counter", "Connections that ended, by cause.");
    for (unsigned cause = ROAM_CLOSE_NONE + 1; cause < ROAM_CLOSE_CAUSES; cause++)
        put_labelled(file, "roam_connections_closed_total", "cause", roam_close_cause_name(cause),
                     metrics->closed[cause]);
    put_head(file, "roam_handshakes_total", "counter", "Handshakes that are over, by outcome.");
    put_labelled(file, "roam_handshakes_total", "outcome", "full",
                 stats->handshakes_completed - stats->handshakes_resumed);
    put_labelled(file, "roam_handshakes_total", "outcome", "resumed", stats->handshakes_resumed);
    put_labelled(file, "roam_handshakes_total", "outcome", "failed", stats->handshakes_failed);
}

static void put_moves(FILE *file, const struct metrics *metrics, const roam_endpoint_stats *stats)
{
    put_head(file, "roam_moves_total", "counter", "Moves of connections, by what changed and what became of them.");
    for (size_t move = 0; move < METRICS_MOVES; move++)
        for (size_t outcome = 0; outcome < METRICS_OUTCOMES; outcome++)
            fprintf(file, "roam_moves_total{kind=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", move_names[move],
                    outcome_names[outcome], metrics->moves[move][outcome]);
    put_head(file, "roam_path_validations_total", "counter", "Path validations (RFC 9000 section 8.2), by outcome.");
    put_labelled(file, "roam_path_validations_total", "outcome", "validated", stats->paths_validated);
    put_labelled(file, "roam_path_validations_total", "outcome", "failed", stats->paths_failed);
    put_histogram(file, "roam_move_gap_seconds",
                  "From the last packet before a move to the first after it, of moves that settled.", &metrics->gap);
    put_histogram(file, "roam_move_validation_seconds",
                  "From a move to the proof of its address, of moves that settled.", &metrics->validation);
}

static void put_traffic(FILE *file, const roam_endpoint_stats *stats)
{
    put_counter(file, "roam_packets_received_total", "QUIC packets that were authentic.", stats->packets_received);
    put_counter(file, "roam_packets_sent_total", "QUIC packets that were sealed.", stats->packets_sent);
    put_counter(file, "roam_datagrams_received_total", "UDP datagrams that came.", stats->datagrams_received);
    put_counter(file, "roam_datagrams_sent_total", "UDP datagrams that left.", stats->datagrams_sent);
    put_counter(file, "roam_received_bytes_total", "Octets of UDP payload that came.", stats->bytes_received);
    put_counter(file, "roam_sent_bytes_total", "Octets of UDP payload that left.", stats->bytes_sent);
    put_counter(file, "roam_retries_sent_total", "Retry packets.", stats->retries_sent);
    put_counter(file, "roam_version_negotiations_sent_total", "Version Negotiation packets.",
                stats->version_negotiations_sent);
    put_counter(file, "roam_stateless_resets_sent_total", "Stateless Resets.", stats->stateless_resets_sent);
    put_head(file, "roam_drops_total", "counter", "Packets and datagrams that were dropped, by reason.");
    for (unsigned drop = ROAM_DROP_NONE + 1; drop < ROAM_DROPS; drop++)
        put_labelled(file, "roam_drops_total", "reason", roam_drop_name(drop), stats->drops[drop]);
    put_head(file, "roam_limits_reached_total", "counter", "Limits that peers have come to, by which.");
    for (unsigned limit = ROAM_LIMIT_NONE + 1; limit < ROAM_LIMITS; limit++)
        put_labelled(file, "roam_limits_reached_total", "limit", roam_limit_name(limit), stats->limits[limit]);
    put_counter(file, "roam_events_dropped_total", "Events that nobody was told, for want of room or memory.",
                stats->events_dropped);
}

char *metrics_text(struct metrics *metrics, size_t *ret_len)
{
    roam_endpoint_stats stats;
    char *text = NULL;
    FILE *file = open_memstream(&text, ret_len);
    if (file == NULL)
        return NULL;
    roam_endpoint_get_stats(roam_io_endpoint(metrics->io), &stats);
    put_connections(file, metrics, &stats);
    put_moves(file, metrics, &stats);
    put_traffic(file, &stats);
    put_gauge(file, "roam_allocated_bytes", "Octets that the endpoint has asked its allocator for.", counted_bytes());
    put_gauge(file, "process_resident_memory_bytes", "Resident memory size in bytes.", resident_bytes());
    bool whole = ferror(file) == 0;
    if (fclose(file) == 0 && whole)
        return text;
    free(text);
    return NULL;
}
