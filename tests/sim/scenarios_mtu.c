/* S046, S084, B27: how large a datagram the path carries, found out and found to have changed. */
#include "sim/oracle.h"
#include "sim/scenario.h"

/* UDP payloads of IPv4 packets in networks of 1500, 1400 and 1280 octets. */
#define ETHERNET 1472
#define OVERLAY  1372
#define LEAST    1252

static void search_for_sizes(struct lab *lab)
{
    lab->config.client.pmtud = lab->config.server.pmtud = true;
    lab->config.capacity = 2048;
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++) {
        lab->config.up[i].mtu_bytes = lab->config.down[i].mtu_bytes = ETHERNET;
        lab->config.up[i].rate_bits_per_s = lab->config.down[i].rate_bits_per_s = 20000000;
    }
}

static void set_mtu(struct lab *lab, size_t interface, size_t mtu_bytes)
{
    struct node *node = &lab->clients[0].interfaces[interface]->node;
    node->up->config.mtu_bytes = node->down->config.mtu_bytes = mtu_bytes;
}

static bool found(const roam_conn *conn, size_t bytes)
{
    roam_path_info path = lab_active(conn);
    return path.datagram_bytes == bytes && path.pmtud == ROAM_PMTUD_SEARCH_COMPLETE;
}

/* Both sides have looked for their size, and found it. */
static bool transfer_both_ways(struct lab *lab)
{
    lab_begin(lab, TRANSFER_UPLOAD, 3000000);
    return lab_transfer(lab, TRANSFER_DOWNLOAD, 3000000);
}

//= rfc9000#14.2-1 Use DPLPMTUD.
//= rfc9000#14.2-3 Only probes may exceed the current maximum datagram size.
//= rfc9000#14.4-1 A lost PMTU probe is no congestion signal.
static void each_path_finds_its_own_size(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && transfer_both_ways(lab));
    EXPECT(lab, found(lab_client(lab)->conn, ETHERNET) && found(lab->server_app.newest, ETHERNET));
    set_mtu(lab, 1, LEAST);
    roam_address local = lab_socket(lab, 1);
    uint64_t too_large = lab->world.stats.dropped[SIM_DROP_MTU];
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab_active(lab->server_app.newest).datagram_bytes == 1200);
    EXPECT(lab, transfer_both_ways(lab));
    EXPECT(lab, found(lab_client(lab)->conn, LEAST) && found(lab->server_app.newest, LEAST));
    roam_path_info ours = lab_active(lab_client(lab)->conn), theirs = lab_active(lab->server_app.newest);
    EXPECT(lab, ours.black_holes == 0 && theirs.black_holes == 0);
    /* Nothing but probes was too large, and their loss has not hurt anybody. */
    EXPECT(lab, ours.mtu_probes_lost > 0 && theirs.mtu_probes_lost > 0);
    EXPECT(lab, lab->world.stats.dropped[SIM_DROP_MTU] - too_large == ours.mtu_probes_lost + theirs.mtu_probes_lost);
    EXPECT(lab, ours.window_bytes > 100000 && theirs.window_bytes > 100000);
}

/* The path shrinks under a transfer, which the one who sends is not told. */
static void shrink_under(struct lab *lab, enum transfer_kind kind, size_t mtu_bytes, bool rebind)
{
    roam_conn *conn = kind == TRANSFER_UPLOAD ? lab_client(lab)->conn : lab->server_app.newest;
    uint32_t holes = lab_active(conn).black_holes;
    lab_begin(lab, kind, 3000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(250)));
    struct transfer *transfer = &lab->workload.transfers[lab->workload.count - 1];
    roam_path_info path = lab_active(conn);
    transfer->longest_stall = 0;
    set_mtu(lab, 0, mtu_bytes);
    if (rebind)
        nat_change_ports(lab_nat(lab), false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_active(conn).black_holes == holes + 1);
    EXPECT(lab, found(conn, mtu_bytes));
    EXPECT(lab, transfer->longest_stall <= 4 * lab_pto(&path));
}

//= rfc9000#14.2-5 Keep a maximum datagram size per local/remote address pair.
static void s084_a_smaller_mtu_on_the_new_path_is_found_and_a_black_hole_repaired(struct lab *lab)
{
    search_for_sizes(lab);
    each_path_finds_its_own_size(lab);
    if (lab->world.failed)
        return;
    roam_address local = lab_socket(lab, 0);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, transfer_both_ways(lab));
    EXPECT(lab, found(lab_client(lab)->conn, ETHERNET) && found(lab->server_app.newest, ETHERNET));
    shrink_under(lab, TRANSFER_DOWNLOAD, OVERLAY, true);
    if (!lab->world.failed)
        shrink_under(lab, TRANSFER_UPLOAD, LEAST, true);
    if (!lab->world.failed)
        shrink_under(lab, TRANSFER_DOWNLOAD, LEAST, false);
    EXPECT(lab, lab_goodbye(lab));
}

/* Probes of the server's active path, and of the client's, so far. */
static uint32_t probes_sent(struct lab *lab)
{
    return lab_active(lab->server_app.newest).mtu_probes_sent + lab_active(lab_client(lab)->conn).mtu_probes_sent;
}

static void b27_neither_a_change_of_port_nor_loss_starts_the_search_for_a_size_again(struct lab *lab)
{
    search_for_sizes(lab);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && transfer_both_ways(lab));
    EXPECT(lab, found(lab_client(lab)->conn, ETHERNET) && found(lab->server_app.newest, ETHERNET));
    uint32_t probes = probes_sent(lab);
    for (int i = 0; i < 10; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_DOWNLOAD : TRANSFER_UPLOAD, 500000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
        uint64_t challenged = lab->server_app.history.counts[ROAM_EVENT_PATH_CHALLENGED];
        nat_change_ports(lab_nat(lab), false);
        struct node *node = &lab->clients[0].interfaces[0]->node;
        node->up->config.loss_ppm = node->down->config.loss_ppm = 30000;
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)));
        node->up->config.loss_ppm = node->down->config.loss_ppm = 0;
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
        /* A change of port is challenged all the same. */
        EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_CHALLENGED] >= challenged + 2);
        EXPECT(lab, found(lab_client(lab)->conn, ETHERNET) && found(lab->server_app.newest, ETHERNET));
        EXPECT(lab, probes_sent(lab) == probes);
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* Drops what is larger than this and was sent to the client's newest outside address. */
struct strait {
    roam_address outside;
    size_t bytes;
};

static bool passes_strait(void *context, const struct sim_packet *packet)
{
    const struct strait *strait = context;
    return packet->len <= strait->bytes || !roam_address_equal(&packet->sent_to, &strait->outside);
}

static uint64_t server_count(const struct lab *lab, roam_event_type type)
{
    return lab->server_app.history.counts[type];
}

static void ping(struct lab *lab)
{
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
}

/* The client comes from another address, or from another port while the old one goes on hearing; by a small packet. */
static void appear_elsewhere(struct lab *lab, struct strait *strait, size_t bytes, bool keep_old)
{
    struct link *down = lab->clients[0].interfaces[0]->node.down;
    down->filter = passes_strait;
    down->filter_context = strait;
    strait->bytes = bytes;
    if (keep_old)
        nat_change_ports(lab_nat(lab), true);
    else
        nat_change_address(lab_nat(lab), "198.51.100.2", false);
    ping(lab);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(10)));
    strait->outside = nat_outside(lab_nat(lab), roam_conn_local_address(lab_client(lab)->conn));
}

//= rfc9000#8.2.1-6 If validation ran in small datagrams, run a second full-size validation for the MTU.
//= rfc9000#8.2.3-2 When the challenge was not full-size, start another expanded validation after success.
static void s046_a_path_that_is_too_small_for_a_while_is_validated_by_a_second_round(struct lab *lab)
{
    struct strait strait = {0};
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    appear_elsewhere(lab, &strait, 1199, false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 1);
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATING);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_CHALLENGED) >= 3);
    strait.bytes = 1200;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 2);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1);
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 50000));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.4-3 Signal NO_VIABLE_PATH when no path supports the MTU.
//= rfc9000#14.2-4 Stop sending on a path whose PMTU falls under 1200, close if it is the only one.
//= rfc9000#14-1 Do not run QUIC on a path below 1200-byte datagrams.
static void s046_a_path_that_stays_too_small_and_is_the_only_one_ends_the_connection(struct lab *lab)
{
    struct strait strait = {0};
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    appear_elsewhere(lab, &strait, 1199, false);
    for (int i = 0; i < 15 && !lab_client(lab)->closed; i++) {
        ping(lab);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    }
    EXPECT(lab, lab->server_app.causes[ROAM_CLOSE_NO_VIABLE_PATH] == 1);
    EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_PEER_TRANSPORT);
    EXPECT(lab, lab_client(lab)->error.code == ROAM_NO_VIABLE_PATH);
}

//= rfc9000#14.2-4 Stop sending on a path whose PMTU falls under 1200, close if it is the only one.
static void s046_a_path_that_stays_too_small_is_left_for_one_that_is_not(struct lab *lab)
{
    struct strait strait = {0};
    uint64_t out, in, out_before;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address old = *roam_conn_remote_address(lab->server_app.newest);
    appear_elsewhere(lab, &strait, 1199, true);
    for (int i = 0; i < 12; i++)
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && (i % 2 || lab_transfer(lab, TRANSFER_UNI_UPLOAD, 500)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_REVERTED) == 1);
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &old));
    /* The client writes from the small path, and is answered by the other. */
    roam_address new = strait.outside;
    EXPECT(lab, oracle_wire(lab->server, &new, &out_before, &in));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000));
    EXPECT(lab, oracle_wire(lab->server, &new, &out, &in) && out - out_before <= 5 * 1200);
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &old));
    /* And there again, once it carries enough. */
    strait.bytes = 1500;
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &new));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
static void s046_an_outage_in_the_second_round_condemns_no_path(struct lab *lab)
{
    struct strait strait = {0};
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    appear_elsewhere(lab, &strait, 1199, false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 1);
    interface_set_down(lab->clients[0].interfaces[0], true);
    strait.bytes = 1500;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(18)));
    interface_set_down(lab->clients[0].interfaces[0], false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

static bool passes_unless_it_answers(void *context, const struct sim_packet *packet)
{
    (void)context;
    return (packet->frames & frame_bit(FRAME_PATH_RESPONSE)) == 0;
}

/* Someone on the path withholds the answers to challenges that the client has acknowledged. */
//= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
static void s046_a_path_whose_answers_are_withheld_is_not_taken_for_too_small(struct lab *lab)
{
    struct strait strait = {0};
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    appear_elsewhere(lab, &strait, 1199, false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 1);
    struct link *up = lab->clients[0].interfaces[0]->node.up;
    strait.bytes = 1500;
    up->filter = passes_unless_it_answers;
    for (int i = 0; i < 20 && !lab_client(lab)->closed; i++) {
        ping(lab);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    }
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_FAILED) >= 3 && !lab_client(lab)->closed);
    EXPECT(lab, lab_active(lab->server_app.newest).state != ROAM_PATH_VALIDATED);
    up->filter = NULL;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(8)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
static void s046_a_path_that_is_heard_and_does_not_hear_is_not_taken_for_too_small(struct lab *lab)
{
    struct strait strait = {0};
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    appear_elsewhere(lab, &strait, 1199, false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_ANSWERED) == 1);
    struct link *down = lab->clients[0].interfaces[0]->node.down;
    strait.bytes = 1500;
    down->down = true;
    for (int i = 0; i < 24 && !lab_client(lab)->closed; i++) {
        ping(lab);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(500)));
    }
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_FAILED) >= 3 && lab->server_app.newest != NULL);
    down->down = false;
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(4)));
    EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_mtu[] = {
    SCENARIO(s046_a_path_that_is_too_small_for_a_while_is_validated_by_a_second_round),
    SCENARIO(s046_a_path_that_stays_too_small_and_is_the_only_one_ends_the_connection),
    SCENARIO(s046_a_path_that_stays_too_small_is_left_for_one_that_is_not),
    SCENARIO(s046_an_outage_in_the_second_round_condemns_no_path),
    SCENARIO(s046_a_path_whose_answers_are_withheld_is_not_taken_for_too_small),
    SCENARIO(s046_a_path_that_is_heard_and_does_not_hear_is_not_taken_for_too_small),
    SCENARIO(s084_a_smaller_mtu_on_the_new_path_is_found_and_a_black_hole_repaired),
    SCENARIO(b27_neither_a_change_of_port_nor_loss_starts_the_search_for_a_size_again),
    {NULL, NULL},
};
