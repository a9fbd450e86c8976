/* S072 to S074: the end of a connection meets a change of address, or nobody. */
#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define CLOSE (frame_bit(FRAME_CONNECTION_CLOSE) | frame_bit(FRAME_CONNECTION_CLOSE_APPLICATION))

#define CODE 7

static size_t closes_sent(const struct lab *lab, const struct host *host, roam_time from)
{
    return lab_count_packets(lab, &(struct lab_packets){host, true, from, CLOSE, 0, NULL, NULL});
}

static void close_at_server(struct lab *lab)
{
    roam_conn_close(lab->server_app.newest, world_now(&lab->world), CODE, "over");
    host_turn(lab->server);
}

static uint64_t drops(const struct host *host, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(host->endpoint, &stats);
    return stats.drops[reason];
}

//= rfc9000#8.1-2 Before validation a server never sends more than three times the bytes received.
static void s072_the_end_reaches_a_client_that_moved_meanwhile_within_three_times_what_it_sends(struct lab *lab)
{
    for (unsigned turn = 0; turn < 6; turn++) {
        EXPECT(lab, turn == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab));
        oracle_record(lab->world.oracle, true);
        /* The first word of the end is lost with the old mapping. */
        char ip[32];
        snprintf(ip, sizeof(ip), "198.51.100.%u", 2 + turn / 2);
        nat_change_address(lab_nat(lab), ip, turn % 2 == 1);
        close_at_server(lab);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && !lab_client(lab)->closed);
        lab_begin(lab, turn < 3 ? TRANSFER_ECHO : TRANSFER_UPLOAD, turn < 3 ? turn : 20000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(150)));
        roam_address there = lab_outside(lab, 0, &lab->clients[0].local);
        uint64_t out, in;
        EXPECT(lab, !oracle_wire(lab->server, &there, &out, &in) && out > 0 && out <= 3 * in);
        EXPECT(lab, lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_PEER_APPLICATION);
        EXPECT(lab, lab_client(lab)->error.code == CODE);
        /* Nothing else came of it: no path, no move, no challenge. */
        EXPECT(lab,
               lab_server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && lab_server_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
        uint64_t sent = lab->server->datagrams_out;
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(20)) && lab->server->datagrams_out == sent);
        EXPECT(lab, roam_endpoint_connections(lab->server->endpoint, NULL, 0) == 0);
    }
}

static void s073_a_connection_that_drains_is_silent_wherever_packets_come_from(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker_start(attacker, ATTACK_HOLD, 4);
    lab_begin(lab, TRANSFER_UPLOAD, 20000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && attacker->kept_count == 4);
    attacker_stop(attacker);
    client_app_close(lab_client(lab));
    EXPECT(lab, lab_wait(lab, ROAM_EVENT_CLOSED, 1) && lab->server_app.error.cause == ROAM_CLOSE_PEER_APPLICATION);
    roam_conn_info row;
    uint64_t sent = lab->server->datagrams_out;
    roam_time drained = world_now(&lab->world);
    for (unsigned i = 0; roam_endpoint_connections(lab->server->endpoint, &row, 1) > 0; i++) {
        EXPECT(lab, row.state == ROAM_CONN_DRAINING && row.moves == 0);
        /* Late ones of the true client's, and some that seem to come from elsewhere. */
        if (i < 20)
            attacker_replay(attacker, i % 2 == 1);
        attacker->victim.port += i % 3;
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(5)));
        EXPECT(lab, lab->server->datagrams_out == sent && i < 1000);
    }
    /* For three PTOs, and that is all. */
    EXPECT(lab, drops(lab->server, ROAM_DROP_DRAINING) >= 20);
    EXPECT(lab, world_now(&lab->world) - drained < ROAM_SECONDS(2));
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && lab_server_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
}

static unsigned log2_of(uint64_t n)
{
    unsigned log = 0;
    while (n >>= 1)
        log++;
    return log;
}

static void s074_a_final_close_that_is_lost_is_repeated_only_so_often(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    struct link *up = lab->clients[0].interfaces[0]->node.up;
    lab_begin(lab, TRANSFER_DOWNLOAD, 2000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
    /* Nothing of the client's gets through any more; the server goes on for a while. */
    up->down = true;
    roam_time closed = world_now(&lab->world);
    client_app_close(lab_client(lab));
    uint64_t in = lab->clients[0].host->datagrams_in, out = lab->server->datagrams_out;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
    in = lab->clients[0].host->datagrams_in - in;
    size_t repeats = closes_sent(lab, lab->clients[0].host, closed);
    EXPECT(lab, in > 10 && repeats >= 2 && repeats <= 2 + log2_of(in));
    /* The server, who never hears of it, probes with growing gaps, and gives up in time. */
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(60)) && lab->server_app.closed == 1);
    EXPECT(lab, lab->server_app.error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
    size_t window = lab_count_packets(lab, &(struct lab_packets){lab->server, true, closed, 0, 0, NULL, NULL});
    size_t late =
        lab_count_packets(lab, &(struct lab_packets){lab->server, true, closed + ROAM_SECONDS(1), 0, 0, NULL, NULL});
    EXPECT(lab, late <= 40 && window - late < 1000 && lab->server->datagrams_out - out >= window);
    EXPECT(lab, closes_sent(lab, lab->server, 0) == 0);
    EXPECT(lab, roam_endpoint_connections(lab->server->endpoint, NULL, 0) == 0);
    EXPECT(lab, roam_endpoint_connections(lab->clients[0].host->endpoint, NULL, 0) == 0);
    /* And two ends that both closed, each word lost, come to rest without a word more. */
    EXPECT(lab, lab_again(lab) && lab_connect(lab));
    interface_set_down(lab->clients[0].interfaces[0], true);
    client_app_close(lab_client(lab));
    close_at_server(lab);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(1)));
    uint64_t sent = lab->world.stats.sent;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(60)) && lab->world.stats.sent == sent);
    EXPECT(lab, roam_endpoint_connections(lab->server->endpoint, NULL, 0) == 0);
}

const struct scenario scenarios_ends[] = {
    SCENARIO(s072_the_end_reaches_a_client_that_moved_meanwhile_within_three_times_what_it_sends),
    SCENARIO(s073_a_connection_that_drains_is_silent_wherever_packets_come_from),
    SCENARIO(s074_a_final_close_that_is_lost_is_repeated_only_so_often),
    {NULL, NULL},
};
