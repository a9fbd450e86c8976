/*
 * A client that moves by itself, on a network with 40 ms RTT: to a standby without loss, away from a network that
 * vanishes or whose address is taken away, back to the better one, and how long each of it takes.
 */
#include "path/mobility.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

//= rfc9000#9.1-1 Probe reachability from a new local address before migrating.
//= rfc9000#9.5-6 Change addresses rarely.
//= rfc9000#5.1.1-11 Before migrating, the initiator makes sure the peer has a spare CID.

#define RTT ROAM_MILLISECONDS(40)

/* 14 ms for the access, one for the NAT, five for the server, each way; 20 Mbit/s. */
static void set_round_trip(struct lab *lab)
{
    for (size_t i = 0; i < LAB_INTERFACES_MAX; i++) {
        lab->config.up[i] = lab->config.down[i] =
            (struct link_config){.delay = ROAM_MILLISECONDS(14), .rate_bits_per_s = 20000000};
    }
}

/* Connected, and the second network is a standby. */
static bool lab_open_mobile(struct lab *lab)
{
    set_round_trip(lab);
    lab->config.watch = true;
    return lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(1));
}

static const struct app_event *client_moved(struct lab *lab, size_t n)
{
    return app_history_find(&lab_client(lab)->history, ROAM_EVENT_PATH_MOVED, n);
}

static uint64_t client_count(struct lab *lab, roam_event_type type)
{
    return lab_client(lab)->history.counts[type];
}

static bool client_is_on(struct lab *lab, size_t interface)
{
    roam_path_info path = lab_active(lab_client(lab)->conn);
    return roam_address_same_ip(&path.local, &lab->clients[0].interfaces[interface]->node.ip);
}

static bool server_sees(struct lab *lab, size_t interface)
{
    roam_path_info path = lab_active(lab->server_app.newest);
    return roam_address_same_ip(&path.remote, &lab->clients[0].nats[interface]->node.ip);
}

static struct transfer *newest_transfer(struct lab *lab)
{
    return &lab->workload.transfers[lab->workload.count - 1];
}

/* A download that runs, and has for a while. */
static bool download(struct lab *lab, uint64_t bytes)
{
    lab_begin(lab, TRANSFER_DOWNLOAD, bytes);
    return lab_run(lab, ROAM_MILLISECONDS(700));
}

static void begin_to_measure(struct lab *lab)
{
    newest_transfer(lab)->longest_stall = 0;
    newest_transfer(lab)->last_progress = world_now(&lab->world);
}

/* ---- Standbys -------------------------------------------------------------------------------------------------- */

static void s016_moving_to_a_standby_loses_nothing_and_stalls_less_than_a_round_trip(struct lab *lab)
{
    /* Flow control keeps the queue short, so that nothing is lost for another reason than the move. */
    lab->config.client.initial_max_stream_data = 64 * 1024;
    lab->config.client.max_window_bytes = 0;
    EXPECT(lab, lab_open_mobile(lab) && download(lab, 4000000));
    roam_conn_stats before, after;
    roam_conn_get_stats(lab->server_app.newest, &before);
    begin_to_measure(lab);
    roam_time asked = world_now(&lab->world);
    EXPECT(lab, roam_conn_network_rule(lab_client(lab)->conn, asked, "if1", ROAM_NETWORK_PREFER) == ROAM_OK);
    host_turn(lab->clients[0].host);
    EXPECT(lab, client_moved(lab, 0) != NULL && client_moved(lab, 0)->time == asked);
    EXPECT(lab, client_moved(lab, 0)->why == ROAM_MOVE_RULE && client_is_on(lab, 1));
    EXPECT(lab, lab_run(lab, RTT) && server_sees(lab, 1));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    /* Nor does the new window leave in one burst, with a round trip of silence after it. */
    EXPECT(lab, newest_transfer(lab)->longest_stall < 3 * RTT / 4);
    /* The standby was proven on both sides, so that nobody need be asked, and nothing was lost on the way. */
    roam_conn_get_stats(lab->server_app.newest, &after);
    EXPECT(lab, after.packets_lost == before.packets_lost && after.stream_bytes_resent == before.stream_bytes_resent);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s016_a_standby_is_kept_alive_while_the_connection_is_used_and_rests_with_it(struct lab *lab)
{
    lab->config.nat[1].timeout = ROAM_SECONDS(30);
    lab->config.client.max_idle_timeout = ROAM_SECONDS(300);
    lab->config.server.max_idle_timeout = ROAM_SECONDS(300);
    EXPECT(lab, lab_open_mobile(lab));
    roam_conn_stats start, used, idle;
    roam_conn_get_stats(lab_client(lab)->conn, &start);
    EXPECT(lab, start.challenges_sent == 1);
    for (unsigned n = 0; n < 60; n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(4)));
    /* Four minutes: a challenge every 25 s, the NAT has one mapping still, and the server the same path. */
    roam_conn_get_stats(lab_client(lab)->conn, &used);
    EXPECT(lab,
           used.challenges_sent - start.challenges_sent >= 8 && used.challenges_sent - start.challenges_sent <= 10);
    EXPECT(lab, lab->clients[0].nats[1]->mapped == 1);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_NEW] == 1);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_CLOSED] == 0);
    /* Idle: at most one more, and the server forgets the path in its time; then not a datagram, and no timer but
     * that of the idle timeout. */
    uint64_t sent = lab->clients[0].host->datagrams_out;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(90)));
    uint64_t wakes = lab->clients[0].host->wakes;
    EXPECT(lab, lab->clients[0].host->datagrams_out - sent <= 8);
    sent = lab->clients[0].host->datagrams_out;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(150)));
    roam_conn_get_stats(lab_client(lab)->conn, &idle);
    EXPECT(lab, lab->clients[0].host->datagrams_out == sent && lab->clients[0].host->wakes == wakes);
    EXPECT(lab, idle.challenges_sent <= used.challenges_sent + 1);
    /* And it is asked again as soon as there is something to do. */
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    roam_conn_get_stats(lab_client(lab)->conn, &used);
    EXPECT(lab, used.challenges_sent == idle.challenges_sent + 1);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- A network that goes quiet --------------------------------------------------------------------------------- */

/* The interface is pulled: packets vanish, and nobody says so. */
static void pull_while(struct lab *lab, enum transfer_kind kind, uint64_t bytes)
{
    EXPECT(lab, lab_open_mobile(lab));
    lab_begin(lab, kind, bytes);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(700)));
    roam_path_info path = lab_active(lab_client(lab)->conn);
    roam_time pto = lab_pto(&path), pulled = world_now(&lab->world);
    interface_set_down(lab->clients[0].interfaces[0], true);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    const struct app_event *moved = client_moved(lab, 0);
    EXPECT(lab, moved != NULL && moved->why == ROAM_MOVE_QUIET && client_is_on(lab, 1) && server_sees(lab, 1));
    EXPECT(lab, moved->time - pulled <= 3 * pto);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_QUIET) == 1 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    trace_line(&lab->world.trace, world_now(&lab->world), "moved after %.1f ms, which are %.2f PTOs",
               (double)(moved->time - pulled) / 1e6, (double)(moved->time - pulled) / (double)pto);
    EXPECT(lab, lab_goodbye(lab));
}

static void s025_pulling_the_interface_in_a_download_moves_within_three_ptos(struct lab *lab)
{
    pull_while(lab, TRANSFER_DOWNLOAD, 4000000);
}

static void s025_pulling_the_interface_in_an_upload_moves_within_three_ptos(struct lab *lab)
{
    pull_while(lab, TRANSFER_UPLOAD, 4000000);
}

static void s025_a_degrading_network_is_left_and_returned_to_when_it_is_good_again(struct lab *lab)
{
    EXPECT(lab, lab_open_mobile(lab) && download(lab, 4000000));
    interface_set_down(lab->clients[0].interfaces[0], true);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1 && client_is_on(lab, 1));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)));
    interface_set_down(lab->clients[0].interfaces[0], false);
    roam_time good = world_now(&lab->world);
    for (unsigned n = 0; n < 100 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 1; n++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 2000) && lab_run(lab, ROAM_MILLISECONDS(400)));
    const struct app_event *back = client_moved(lab, 1);
    EXPECT(lab, back != NULL && back->why == ROAM_MOVE_BETTER && client_is_on(lab, 0));
    /* Not before it has been good for a while, and not much later. */
    EXPECT(lab, back->time - good >= MOBILITY_SETTLE && back->time - good <= ROAM_SECONDS(25));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(20)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 2 && server_sees(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

static void s025_a_network_that_comes_and_goes_is_left_alone_longer_each_time(struct lab *lab)
{
    EXPECT(lab, lab_open_mobile(lab));
    for (unsigned n = 0; n < 100; n++) {
        interface_set_down(lab->clients[0].interfaces[0], n % 2 == 0);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_SECONDS(6)));
    }
    /* In ten minutes with fifty outages: without hysteresis a hundred moves. */
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) >= 3 && client_count(lab, ROAM_EVENT_PATH_MOVED) <= 12);
    EXPECT(lab, lab_goodbye(lab));
}

static void s025_one_lost_packet_moves_nobody(struct lab *lab)
{
    EXPECT(lab, lab_open_mobile(lab));
    for (unsigned n = 0; n < 50; n++) {
        lab->clients[0].interfaces[0]->node.up->drop_mask = 1;
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 500) && lab_run(lab, ROAM_MILLISECONDS(200)));
        lab->clients[0].interfaces[0]->node.down->drop_mask = 1;
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 500) && lab_run(lab, ROAM_MILLISECONDS(200)));
    }
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- An address that goes -------------------------------------------------------------------------------------- */

static void b35_taking_the_address_away_moves_within_a_round_trip(struct lab *lab)
{
    EXPECT(lab, lab_open_mobile(lab) && download(lab, 4000000));
    begin_to_measure(lab);
    roam_time gone = world_now(&lab->world);
    interface_lose_address(lab->clients[0].interfaces[0]);
    EXPECT(lab, client_moved(lab, 0) != NULL && client_moved(lab, 0)->time == gone);
    EXPECT(lab, client_moved(lab, 0)->why == ROAM_MOVE_ADDRESS_GONE && client_is_on(lab, 1));
    EXPECT(lab, lab_run(lab, RTT) && server_sees(lab, 1));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, lab->clients[0].host->failed == 0 && lab->clients[0].host->refused == 0);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void b35_without_a_standby_it_moves_within_a_round_trip_too(struct lab *lab)
{
    set_round_trip(lab);
    lab->config.watch = true;
    EXPECT(lab, lab_open(lab));
    interface_lose_address(lab->clients[0].interfaces[1]);
    EXPECT(lab, lab_connect(lab) && download(lab, 4000000));
    /* The other network appears in the same moment. */
    roam_time gone = world_now(&lab->world);
    lab->clients[0].interfaces[1]->gone = false;
    interface_lose_address(lab->clients[0].interfaces[0]);
    EXPECT(lab, client_moved(lab, 0) != NULL && client_moved(lab, 0)->time == gone && client_is_on(lab, 1));
    EXPECT(lab, lab_run(lab, RTT) && server_sees(lab, 1));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
    EXPECT(lab, lab_active(lab_client(lab)->conn).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_mobility[] = {
    SCENARIO(s016_moving_to_a_standby_loses_nothing_and_stalls_less_than_a_round_trip),
    SCENARIO(s016_a_standby_is_kept_alive_while_the_connection_is_used_and_rests_with_it),
    SCENARIO(s025_pulling_the_interface_in_a_download_moves_within_three_ptos),
    SCENARIO(s025_pulling_the_interface_in_an_upload_moves_within_three_ptos),
    SCENARIO(s025_a_degrading_network_is_left_and_returned_to_when_it_is_good_again),
    SCENARIO(s025_a_network_that_comes_and_goes_is_left_alone_longer_each_time),
    SCENARIO(s025_one_lost_packet_moves_nobody),
    SCENARIO(b35_taking_the_address_away_moves_within_a_round_trip),
    SCENARIO(b35_without_a_standby_it_moves_within_a_round_trip_too),
    {NULL, NULL},
};
