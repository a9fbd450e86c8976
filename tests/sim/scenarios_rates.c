/* B33, B37, B38: what a change of the port costs a transfer. Nothing but the time in which nobody knew of it. */
#include "sim/oracle.h"
#include "sim/scenario.h"

/* 40 ms there and back: access, NAT and server. */
#define RTT          ROAM_MILLISECONDS(40)
#define ACCESS_DELAY ROAM_MILLISECONDS(14)

/* What the access carries in a round trip, headers included: 100 kB. */
#define RATE UINT64_C(20000000)
#define PIPE (RATE / 8 * RTT / ROAM_SECONDS(1))

static void forty_milliseconds(struct lab *lab)
{
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++) {
        lab->config.up[i].delay = lab->config.down[i].delay = ACCESS_DELAY;
        lab->config.down[i].rate_bits_per_s = RATE;
        lab->config.down[i].queue_bytes = PIPE;
    }
}

/* What the client has got in order of the newest transfer. */
static uint64_t arrived(const struct lab *lab)
{
    return lab->workload.transfers[lab->workload.count - 1].in.at;
}

/* Octets of streams a second, over `span` from now on, in whatever order they come: a controller that looks for more rate
 * loses packets of its own accord. */
static uint64_t rate_over(struct lab *lab, roam_time span)
{
    roam_conn_stats before, after;
    roam_conn_get_stats(lab_client(lab)->conn, &before);
    lab_run(lab, span);
    roam_conn_get_stats(lab_client(lab)->conn, &after);
    return (after.stream_bytes_received - before.stream_bytes_received) * ROAM_SECONDS(1) / span;
}

/* Until the first packet from the new port has reached the server. */
static bool server_hears(struct lab *lab)
{
    uint64_t moves = lab_server_count(lab, ROAM_EVENT_PATH_MOVED);
    roam_time limit = world_now(&lab->world) + ROAM_SECONDS(5);
    while (lab_server_count(lab, ROAM_EVENT_PATH_MOVED) == moves && world_now(&lab->world) < limit &&
           world_step(&lab->world))
        continue;
    return lab_server_count(lab, ROAM_EVENT_PATH_MOVED) > moves;
}

/* ---- B33 */

static void change_ports(struct lab *lab, bool ipv6)
{
    lab->config.ipv6[0] = ipv6;
    lab->config.client.pmtud = lab->config.server.pmtud = true;
    lab->config.capacity = 2048;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_UPLOAD, 2000000));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 2000000) && lab_run(lab, ROAM_SECONDS(1)));
    for (int i = 0; i < 5; i++) {
        roam_path_info server = lab_active(lab->server_app.newest), client = lab_active(lab_client(lab)->conn);
        EXPECT(lab, server.datagram_bytes > 1400 && client.datagram_bytes > 1400);
        EXPECT(lab, server.window_bytes > 100000 && client.window_bytes > 100000);
        roam_address local = lab_socket(lab, 0);
        EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
        roam_path_info now = lab_active(lab->server_app.newest);
        EXPECT(lab, now.id != server.id && now.window_bytes >= server.window_bytes);
        EXPECT(lab, now.min_rtt == server.min_rtt && now.datagram_bytes == server.datagram_bytes);
        now = lab_active(lab_client(lab)->conn);
        EXPECT(lab, now.window_bytes >= client.window_bytes && now.min_rtt == client.min_rtt);
        EXPECT(lab, now.datagram_bytes == client.datagram_bytes);
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.4-3 Keep CC and RTT on a port-only change.
static void b33_another_port_keeps_window_rtt_and_datagram_size_ipv4(struct lab *lab)
{
    change_ports(lab, false);
}

static void b33_another_port_keeps_window_rtt_and_datagram_size_ipv6(struct lab *lab)
{
    change_ports(lab, true);
}

/* ---- B37 */

/* From the change on, nobody hears of it until the client has missed the data for a PTO; then the server answers within
 * three times what came, for one round trip; then it sends as before, and that takes half a round trip to arrive. */
static void rebind_at_full_rate(struct lab *lab, enum roam_congestion congestion)
{
    forty_milliseconds(lab);
    lab->config.server.congestion = congestion;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 30);
    /* So that no change falls into the fifth of a second, in each five, in which BBR itself goes slow to see the RTT. */
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(3100)));
    for (int i = 0; i < 20; i++) {
        uint64_t before = rate_over(lab, 5 * RTT);
        EXPECT(lab, before > RATE / 8 / 2);
        roam_path_info client = lab_active(lab_client(lab)->conn);
        nat_change_ports(lab_nat(lab), false);
        roam_time promised = lab_pto(&client) + 5 * RTT / 2;
        EXPECT(lab, lab_run(lab, promised));
        uint64_t after = rate_over(lab, 5 * RTT);
        EXPECT(lab, after >= before * 8 / 10);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(500) + ROAM_MILLISECONDS(7) * (roam_time)i));
    }
}

static void b37_after_a_rebinding_cubic_is_back_at_its_rate_in_the_time_that_is_promised(struct lab *lab)
{
    rebind_at_full_rate(lab, ROAM_CONGESTION_CUBIC);
}

static void b37_after_a_rebinding_newreno_is_back_at_its_rate_in_the_time_that_is_promised(struct lab *lab)
{
    rebind_at_full_rate(lab, ROAM_CONGESTION_NEWRENO);
}

static void b37_after_a_rebinding_bbr_is_back_at_its_rate_in_the_time_that_is_promised(struct lab *lab)
{
    rebind_at_full_rate(lab, ROAM_CONGESTION_BBR);
}

/* ---- B38 */

static uint64_t in_flight_elsewhere(const struct lab *lab)
{
    roam_path_info paths[PATHS_MAX];
    uint64_t bytes = 0;
    size_t n = roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX);
    for (size_t i = 1; i < n; i++)
        bytes += paths[i].in_flight_bytes;
    return bytes;
}

/* Until the peer has answered from the new port. */
static bool is_answered(struct lab *lab)
{
    return lab_wait(lab, ROAM_EVENT_PATH_ANSWERED, lab_server_count(lab, ROAM_EVENT_PATH_ANSWERED) + 1);
}

static uint64_t sent_by_server(const struct lab *lab)
{
    roam_conn_stats stats;
    roam_conn_get_stats(lab->server_app.newest, &stats);
    return stats.bytes_sent;
}

/* The acceptance of port-only changes: with 40 ms of round-trip time the server is back at its former window within one
 * of its first packet from the new port. What the dead mapping had in flight weighs on it no more, and goes first. */
static void download_over_a_dead_mapping(struct lab *lab, enum roam_congestion congestion)
{
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++)
        lab->config.up[i].delay = lab->config.down[i].delay = ACCESS_DELAY;
    lab->config.server.congestion = congestion;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 30);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    for (int i = 0; i < 20; i++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300) + ROAM_MILLISECONDS(3) * (roam_time)i));
        roam_path_info before = lab_active(lab->server_app.newest);
        EXPECT(lab, before.window_bytes >= 500000 && before.in_flight_bytes >= 500000);
        nat_change_ports(lab_nat(lab), false);
        EXPECT(lab, server_hears(lab));
        const roam_time first = world_now(&lab->world);
        const uint64_t got = arrived(lab);
        EXPECT(lab, in_flight_elsewhere(lab) > 0 && is_answered(lab));
        /* One round trip. */
        EXPECT(lab, world_now(&lab->world) <= first + RTT + ROAM_MILLISECONDS(1));
        roam_path_info path = lab_active(lab->server_app.newest);
        EXPECT(lab, path.id != before.id && path.window_bytes >= before.window_bytes);
        EXPECT(lab, in_flight_elsewhere(lab) == 0 && path.in_flight_bytes < before.window_bytes / 4);
        /* The hole is filled first. */
        EXPECT(lab, lab_run(lab, RTT / 2 + ROAM_MILLISECONDS(1)) && arrived(lab) > got);
        /* And a window is out within another. */
        uint64_t sent = sent_by_server(lab);
        EXPECT(lab,
               lab_run(lab, RTT / 2) && lab_active(lab->server_app.newest).in_flight_bytes <= path.window_bytes * 2);
        EXPECT(lab, lab_run(lab, RTT) && sent_by_server(lab) - sent >= before.in_flight_bytes * 8 / 10);
    }
}

static void b38_a_round_trip_after_the_first_packet_from_the_new_port_cubic_has_its_window_back(struct lab *lab)
{
    download_over_a_dead_mapping(lab, ROAM_CONGESTION_CUBIC);
}

static void b38_a_round_trip_after_the_first_packet_from_the_new_port_newreno_has_its_window_back(struct lab *lab)
{
    download_over_a_dead_mapping(lab, ROAM_CONGESTION_NEWRENO);
}

static void b38_a_round_trip_after_the_first_packet_from_the_new_port_bbr_has_its_window_back(struct lab *lab)
{
    download_over_a_dead_mapping(lab, ROAM_CONGESTION_BBR);
}

const struct scenario scenarios_rates[] = {
    SCENARIO(b33_another_port_keeps_window_rtt_and_datagram_size_ipv4),
    SCENARIO(b33_another_port_keeps_window_rtt_and_datagram_size_ipv6),
    SCENARIO(b37_after_a_rebinding_cubic_is_back_at_its_rate_in_the_time_that_is_promised),
    SCENARIO(b37_after_a_rebinding_newreno_is_back_at_its_rate_in_the_time_that_is_promised),
    SCENARIO(b37_after_a_rebinding_bbr_is_back_at_its_rate_in_the_time_that_is_promised),
    SCENARIO(b38_a_round_trip_after_the_first_packet_from_the_new_port_cubic_has_its_window_back),
    SCENARIO(b38_a_round_trip_after_the_first_packet_from_the_new_port_newreno_has_its_window_back),
    SCENARIO(b38_a_round_trip_after_the_first_packet_from_the_new_port_bbr_has_its_window_back),
    {NULL, NULL},
};
