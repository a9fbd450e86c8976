/* S106 to S111: datagrams of the application (RFC 9221) while the connection moves, and beside streams. */
#include "sim/oracle.h"
#include "sim/scenario.h"

#define DATAGRAM frame_bit(FRAME_DATAGRAM)

/* UDP payloads of IPv4 packets in networks of 1500 and of 1280 octets. */
#define ETHERNET 1472
#define LEAST    1252

static bool open_for_datagrams(struct lab *lab)
{
    lab->config.client.max_datagram_frame_bytes = lab->config.server.max_datagram_frame_bytes = 65535;
    lab->config.client.datagram_fates = lab->config.server.datagram_fates = true;
    return lab_open(lab) && lab_connect(lab);
}

/* What became of those of this host's, from the n-th of the book on; ROAM_EVENT_NONE: what is not known yet. */
static size_t count_fates(const struct lab *lab, const struct host *from, size_t first, roam_event_type fate)
{
    const struct said_book *book = &lab->workload.said;
    size_t count = 0;
    for (size_t i = first; i < book->count; i++)
        count += book->entries[i].from == from && book->entries[i].fate == fate;
    return count;
}

static size_t count_heard(const struct lab *lab, const struct host *from, size_t first)
{
    const struct said_book *book = &lab->workload.said;
    size_t count = 0;
    for (size_t i = first; i < book->count; i++)
        count += book->entries[i].from == from && book->entries[i].heard;
    return count;
}

/* So many, one after the other, each after a while. False where one was not taken. */
static bool server_says(struct lab *lab, size_t n, size_t len, roam_time gap)
{
    for (size_t i = 0; i < n; i++) {
        if (said_book_send(&lab->workload.said, lab->server, lab->server_app.newest, len) != ROAM_OK)
            return false;
        host_turn(lab->server);
        if (!lab_run(lab, gap))
            return false;
    }
    return true;
}

static size_t client_says(struct lab *lab, size_t n, size_t len)
{
    size_t taken = 0;
    while (taken < n &&
           said_book_send(&lab->workload.said, lab->clients[0].host, lab_client(lab)->conn, len) == ROAM_OK)
        taken++;
    host_turn(lab->clients[0].host);
    return taken;
}

/* ---- S106: under way to a mapping that is dead */

static void lose_what_went_to_a_dead_mapping(struct lab *lab, bool other_address)
{
    EXPECT(lab, open_for_datagrams(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 100000));
    EXPECT(lab, server_says(lab, 20, 500, ROAM_MILLISECONDS(10)) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, count_fates(lab, lab->server, 0, ROAM_EVENT_DATAGRAM_ACKED) == 20);
    size_t first = lab->workload.said.count;
    if (other_address)
        nat_change_address(lab_nat(lab), "198.51.100.7", false);
    else
        nat_change_ports(lab_nat(lab), false);
    /* Nobody knows yet. */
    EXPECT(lab, server_says(lab, 10, 500, ROAM_MILLISECONDS(5)));
    roam_conn_ping(lab_client(lab)->conn, host_now(lab->clients[0].host));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab_server_moves(lab) == 1);
    EXPECT(lab, count_heard(lab, lab->server, first) == 0);
    EXPECT(lab, count_fates(lab, lab->server, first, ROAM_EVENT_DATAGRAM_LOST) == 10);
    /* Told once, none sent again, and those from now on arrive. */
    size_t later = lab->workload.said.count;
    EXPECT(lab, server_says(lab, 20, 500, ROAM_MILLISECONDS(10)) && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, count_heard(lab, lab->server, first) == 20);
    EXPECT(lab, count_fates(lab, lab->server, later, ROAM_EVENT_DATAGRAM_ACKED) == 20);
    roam_conn_stats stats;
    roam_conn_get_stats(lab->server_app.newest, &stats);
    EXPECT(lab, stats.datagrams_sent == 50 && stats.datagrams_lost == 10 && stats.datagrams_acked == 40);
    EXPECT(lab, lab_goodbye(lab));
}

static void s106_datagrams_to_a_dead_port_are_told_lost_once_and_later_ones_arrive(struct lab *lab)
{
    lose_what_went_to_a_dead_mapping(lab, false);
}

static void s106_so_are_those_to_a_dead_address(struct lab *lab)
{
    lose_what_went_to_a_dead_mapping(lab, true);
}

/* ---- S107 */

static void s107_what_waits_while_the_connection_moves_leaves_on_the_new_path(struct lab *lab)
{
    lab->config.client.datagram_queue_bytes = 1 << 20;
    lab->config.up[0].rate_bits_per_s = 4000000;
    EXPECT(lab, open_for_datagrams(lab));
    oracle_record(lab->world.oracle, true);
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_says(lab, 400, 1000) == 400);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && lab_server_moves(lab) == 1);
    const struct host *client = lab->clients[0].host;
    const struct lab_packets old = {client, true, 0, DATAGRAM, 0, &lab->clients[0].local, NULL};
    const struct lab_packets new = {client, true, 0, DATAGRAM, 0, &local, NULL};
    EXPECT(lab, lab_count_packets(lab, &old) > 0 && lab_count_packets(lab, &new) > 100);
    /* The old path lives, so that all arrive; those that it is slow with may be given up before. */
    EXPECT(lab, count_heard(lab, client, 0) == 400);
    size_t acked = count_fates(lab, client, 0, ROAM_EVENT_DATAGRAM_ACKED);
    EXPECT(lab, acked + count_fates(lab, client, 0, ROAM_EVENT_DATAGRAM_LOST) == 400 && acked > 300);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- S108 */

static void set_mtu(struct lab *lab, size_t mtu_bytes)
{
    struct node *node = &lab->clients[0].interfaces[0]->node;
    node->up->config.mtu_bytes = node->down->config.mtu_bytes = mtu_bytes;
}

static void s108_a_datagram_that_the_path_does_not_carry_any_more_is_let_go(struct lab *lab)
{
    lab->config.client.pmtud = lab->config.server.pmtud = true;
    lab->config.client.datagram_queue_bytes = 1 << 20;
    lab->config.capacity = 2048;
    lab->config.up[0].mtu_bytes = lab->config.down[0].mtu_bytes = ETHERNET;
    lab->config.up[0].rate_bits_per_s = 4000000;
    EXPECT(lab, open_for_datagrams(lab) && lab_transfer(lab, TRANSFER_UPLOAD, 500000));
    const struct host *client = lab->clients[0].host;
    const size_t large = roam_conn_datagram_bytes(lab_client(lab)->conn);
    EXPECT(lab, large > ETHERNET - 50 && large < ETHERNET);
    size_t first = lab->workload.said.count;
    EXPECT(lab, client_says(lab, 300, large) == 300 && client_says(lab, 100, 1000) == 100);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    set_mtu(lab, LEAST);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_active(lab_client(lab)->conn).black_holes == 1);
    EXPECT(lab, roam_conn_datagram_bytes(lab_client(lab)->conn) < LEAST);
    EXPECT(lab, count_fates(lab, client, first, ROAM_EVENT_NONE) == 0);
    EXPECT(lab, count_fates(lab, client, first, ROAM_EVENT_DATAGRAM_OUTGROWN) > 50);
    EXPECT(lab, count_fates(lab, client, first, ROAM_EVENT_DATAGRAM_LOST) > 0);
    /* The small ones behind them have all come. */
    EXPECT(lab, count_heard(lab, client, first + 300) == 100);
    EXPECT(lab, client_says(lab, 1, large) == 0);
    EXPECT(lab, client_says(lab, 20, roam_conn_datagram_bytes(lab_client(lab)->conn)) == 20);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && count_heard(lab, client, first + 400) == 20);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- S109 */

static void s109_a_peer_that_takes_no_datagrams_is_sent_none(struct lab *lab)
{
    //= rfc9221#3-2 None is sent before max_datagram_frame_size has come, with a value that is not zero.
    lab->config.client.max_datagram_frame_bytes = 65535;
    lab->config.client.datagram_fates = lab->config.server.datagram_fates = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    struct host *client = lab->clients[0].host;
    EXPECT(lab, said_book_send(&lab->workload.said, client, lab_client(lab)->conn, 100) == ROAM_ERR_UNSUPPORTED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000));
    const struct lab_packets sent = {client, true, 0, DATAGRAM, 0, NULL, NULL};
    EXPECT(lab, lab_count_packets(lab, &sent) == 0);
    EXPECT(lab, server_says(lab, 5, 100, ROAM_MILLISECONDS(10)) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, count_heard(lab, lab->server, 0) == 5);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- S110 */

static void s110_datagrams_and_a_download_share_a_bottleneck(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 10000000;
    lab->config.down[0].queue_bytes = 64 * 1024;
    EXPECT(lab, open_for_datagrams(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 20000000);
    roam_conn *conn = lab->server_app.newest;
    for (int i = 0; i < 1000; i++) {
        while (said_book_send(&lab->workload.said, lab->server, conn, 1100) == ROAM_OK)
            continue;
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(10)));
    }
    roam_conn_stats stats;
    roam_conn_get_stats(conn, &stats);
    const uint64_t all = stats.stream_bytes_sent + stats.stream_bytes_resent + stats.datagram_bytes_sent;
    lab_report(lab, "%llu %% in datagrams", (unsigned long long)(100 * stats.datagram_bytes_sent / all));
    EXPECT(lab, all > 9000000);
    EXPECT(lab, stats.datagram_bytes_sent * 100 > all * 40 && stats.datagram_bytes_sent * 100 < all * 60);
}

/* ---- S111 */

//= rfc9000#9.3.1-1 Bytes sent to a new address stay within 3x the bytes received from it until validated.
static void s111_datagrams_do_not_pass_the_limit_of_an_unproven_address(struct lab *lab)
{
    EXPECT(lab, open_for_datagrams(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 200000));
    struct node *node = &lab->clients[0].interfaces[0]->node;
    nat_change_address(lab_nat(lab), "198.51.100.7", false);
    size_t first = lab->workload.said.count;
    roam_conn_ping(lab_client(lab)->conn, host_now(lab->clients[0].host));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_wait(lab, ROAM_EVENT_PATH_MOVED, 1));
    /* It knows of the address, and nothing that proves it gets through. */
    node->up->down = true;
    EXPECT(lab, server_says(lab, 50, 1000, ROAM_MILLISECONDS(5)));
    uint64_t out = 0, in = 0;
    roam_address outside = lab_outside(lab, 0, &lab->clients[0].local);
    EXPECT(lab, !oracle_wire(lab->server, &outside, &out, &in));
    EXPECT(lab, in > 0 && out <= 3 * in);
    EXPECT(lab, count_fates(lab, lab->server, first, ROAM_EVENT_NONE) > 40);
    node->up->down = false;
    roam_conn_ping(lab_client(lab)->conn, host_now(lab->clients[0].host));
    host_turn(lab->clients[0].host);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
    EXPECT(lab, count_heard(lab, lab->server, first) > 40);
    EXPECT(lab, count_fates(lab, lab->server, first, ROAM_EVENT_NONE) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_datagrams[] = {
    SCENARIO(s106_datagrams_to_a_dead_port_are_told_lost_once_and_later_ones_arrive),
    SCENARIO(s106_so_are_those_to_a_dead_address),
    SCENARIO(s107_what_waits_while_the_connection_moves_leaves_on_the_new_path),
    SCENARIO(s108_a_datagram_that_the_path_does_not_carry_any_more_is_let_go),
    SCENARIO(s109_a_peer_that_takes_no_datagrams_is_sent_none),
    SCENARIO(s110_datagrams_and_a_download_share_a_bottleneck),
    SCENARIO(s111_datagrams_do_not_pass_the_limit_of_an_unproven_address),
    {NULL, NULL},
};
