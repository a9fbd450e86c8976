/* S086, S087, S090, S098: several things at once, and the boxes that they happen behind. */
#include "sim/attacker.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static uint64_t key_updates(const roam_conn *conn)
{
    roam_conn_stats stats;
    roam_conn_get_stats(conn, &stats);
    return stats.key_updates;
}

static void update_keys(struct lab *lab, bool at_server)
{
    struct host *host = at_server ? lab->server : lab->clients[0].host;
    roam_conn *conn = at_server ? lab->server_app.newest : lab_client(lab)->conn;
    EXPECT(lab, roam_conn_update_keys(conn, world_now(&lab->world)) == ROAM_OK);
    host_turn(host);
}

enum { MOVE_PORT, MOVE_ADDRESS, MOVE_SOCKET, MOVE_DELIBERATE, MOVES };

static void move(struct lab *lab, unsigned kind, unsigned n)
{
    char ip[32];
    snprintf(ip, sizeof(ip), "198.51.100.%u", 100 + n % 100);
    roam_address local = kind >= MOVE_SOCKET ? lab_socket(lab, 0) : (roam_address){0};
    if (kind == MOVE_PORT)
        nat_change_ports(lab_nat(lab), false);
    else if (kind == MOVE_ADDRESS)
        nat_change_address(lab_nat(lab), ip, false);
    else
        EXPECT(lab, (kind == MOVE_SOCKET ? client_app_rebind : client_app_migrate)(lab_client(lab), &local) == ROAM_OK);
}

static void s086_a_key_update_and_a_change_of_path_both_come_to_their_end(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned n = 0; n < 2 * MOVES * 7; n++) {
        bool at_server = n & 1;
        roam_time lag = ROAM_MILLISECONDS(n / (2 * MOVES) * 15);
        uint64_t moves = lab_server_moves(lab), updates = key_updates(lab->server_app.newest);
        lab_begin(lab, n & 2 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 100000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(40)));
        if (n % 3 == 0)
            update_keys(lab, at_server);
        else
            move(lab, n / 2 % MOVES, n);
        EXPECT(lab, lab_run(lab, lag));
        if (n % 3 == 0)
            move(lab, n / 2 % MOVES, n);
        else
            update_keys(lab, at_server);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)));
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 100) && lab_run(lab, ROAM_SECONDS(4)));
        EXPECT(lab, lab_server_follows(lab, 0) && lab_server_moves(lab) == moves + 1);
        EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
        EXPECT(lab, key_updates(lab->server_app.newest) == updates + 1);
        EXPECT(lab, key_updates(lab_client(lab)->conn) == updates + 1);
        /* The old keys go after three PTOs, on both sides. */
        EXPECT(lab, lab->server_app.newest->keys.receive_previous == NULL);
        EXPECT(lab, lab_client(lab)->conn->keys.receive_previous == NULL);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

static uint64_t dropped(const struct lab *lab, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    return stats.drops[reason];
}

/* The mapping changes so long after the first Initial; the old port is dead, or comes back to life later. */
static void rebind_in_handshake(struct lab *lab, roam_time after, bool *ret_refused)
{
    client_app_start(lab_client(lab));
    EXPECT(lab, lab_run(lab, after));
    nat_change_ports(lab_nat(lab), false);
    lab_begin(lab, TRANSFER_ECHO, 3000);
    for (unsigned i = 0;
         i < 60 && !lab_client(lab)->closed && !(lab_client(lab)->confirmed && workload_is_done(&lab->workload)); i++)
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    *ret_refused = lab_client(lab)->closed;
    if (!*ret_refused) {
        EXPECT(lab, lab_client(lab)->confirmed && workload_is_done(&lab->workload) && lab_server_follows(lab, 0));
        return;
    }
    EXPECT(lab, dropped(lab, ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE) > 0);
    /* The client's handshake may be complete, though it is not confirmed: then it is idle. */
    EXPECT(lab, lab_client(lab)->error.cause == ROAM_CLOSE_HANDSHAKE_TIMEOUT ||
                    lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
    EXPECT(lab, lab->server_app.causes[ROAM_CLOSE_HANDSHAKE_TIMEOUT] == 1);
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && lab_server_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
}

//= rfc9000#9-1 Do not start migration before the handshake is confirmed.
static void s087_a_client_that_is_rebound_in_the_handshake_is_not_followed_and_may_try_again(struct lab *lab)
{
    unsigned refused = 0, connected = 0;
    /* A server's flight of several datagrams, so that there is a time when the client has to answer. */
    lab->config.server.credentials = lab->config.certs->large_server;
    for (unsigned i = 0; i < 40; i++) {
        EXPECT(lab, i == 0 ? lab_open(lab) : lab_again(lab));
        bool was_refused = false;
        rebind_in_handshake(lab, ROAM_MILLISECONDS(4) * i, &was_refused);
        if (lab->world.failed)
            return;
        refused += was_refused;
        connected += !was_refused;
        if (!was_refused)
            continue;
        /* Another connection from where it is now. */
        struct client_app *app = lab_client(lab);
        app->closed = app->connected = app->confirmed = false;
        EXPECT(lab, lab_connect(lab) && lab_server_follows(lab, 0));
        client_app_close(app);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && lab->server_app.causes[ROAM_CLOSE_PEER_APPLICATION] == 1);
    }
    EXPECT(lab, refused >= 5 && connected >= 5);
}

static void s090_streams_of_every_kind_in_flight_across_a_move_are_completed(struct lab *lab)
{
    lab->config.up[0].rate_bits_per_s = lab->config.down[0].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (unsigned n = 0; n < 2 * MOVES; n++) {
        size_t begun = lab->workload.count;
        for (unsigned i = 0; i < 16; i++)
            lab_begin(lab, (enum transfer_kind)(i % TRANSFER_KINDS), 20000 + 3000 * i);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(130 + 20 * n)));
        size_t open = 0;
        for (size_t i = begun; i < lab->workload.count; i++)
            open += !(lab->workload.transfers[i].client_done && lab->workload.transfers[i].server_done);
        EXPECT(lab, open >= 8);
        roam_conn_stats before, after;
        roam_conn_get_stats(lab->server_app.newest, &before);
        move(lab, n % MOVES, n);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)) && lab_run(lab, ROAM_SECONDS(2)));
        EXPECT(lab, lab_server_follows(lab, 0));
        roam_conn_get_stats(lab->server_app.newest, &after);
        /* What was under way towards the dead mapping, and not much more, is sent again. */
        EXPECT(lab, after.stream_bytes_resent - before.stream_bytes_resent < 400000);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)));
    }
    EXPECT(lab, lab_goodbye(lab));
}

/* A life behind these boxes: all that depends on what they let in. */
static void live_behind(struct lab *lab)
{
    EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_DOWNLOAD, 50000));
    /* The box, and the one behind it, give another port; the outer one another address; both are switched off and on. */
    for (unsigned i = 0; i < 4; i++) {
        struct nat *inner = lab->clients[0].inner[0];
        if (i == 1)
            nat_change_address(lab_nat(lab), "198.51.100.9", false);
        else if (i == 3)
            nat_reboot(lab_nat(lab));
        else if (inner != NULL && i == 2)
            nat_change_ports(inner, false);
        else
            nat_change_ports(lab_nat(lab), false);
        if (inner != NULL && i == 3)
            nat_reboot(inner);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_SECONDS(1)));
        EXPECT(lab, lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    }
    EXPECT(lab, lab_server_moves(lab) >= 3);
    /* To the box at the other interface, with care and without. */
    uint64_t moves = lab_server_moves(lab);
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_transfer(lab, TRANSFER_DOWNLOAD, 50000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_server_moves(lab) == moves + 1);
    local = lab_socket(lab, 0);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK && lab_transfer(lab, TRANSFER_UPLOAD, 50000));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_server_moves(lab) == moves + 2);
    EXPECT(lab, roam_address_same_ip(roam_conn_remote_address(lab->server_app.newest), &lab_nat(lab)->node.ip));
    /* So long in silence that a mapping is forgotten, but for keep-alive. */
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(100)) && lab_server_moves(lab) == moves + 2);
    roam_conn_ping(lab->server_app.newest, world_now(&lab->world));
    uint64_t refused = lab->world.stats.dropped[SIM_DROP_NAT];
    host_turn(lab->server);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab->world.stats.dropped[SIM_DROP_NAT] == refused);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

static void s098_behind_every_kind_of_nat_one_or_two_of_them_it_is_all_the_same(struct lab *lab)
{
    bool opened = false;
    lab->config.client.keep_alive = ROAM_SECONDS(15);
    for (unsigned i = 0; i < NAT_PREFIX * 8; i++) {
        lab->config.double_nat = i & 1;
        for (unsigned n = 0; n < 2; n++)
            lab->config.nat[n] = (struct nat_config){.kind = (enum nat_kind)(i / 8),
                                                     .port_preserving = i & 2,
                                                     .inbound_refreshes = i & 4,
                                                     .timeout = ROAM_SECONDS(30)};
        EXPECT(lab, opened ? lab_again(lab) : lab_open(lab));
        opened = true;
        live_behind(lab);
        if (lab->world.failed)
            return;
    }
    /* IPv6 prefixes, translated without state. */
    lab->config.double_nat = false;
    for (unsigned n = 0; n < 2; n++)
        lab->config.ipv6[n] = true;
    EXPECT(lab, lab_again(lab) && lab_connect(lab));
    nat_change_address(lab_nat(lab), "2001:db8:77::", true);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab_server_moves(lab) == 1 && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_together[] = {
    SCENARIO(s086_a_key_update_and_a_change_of_path_both_come_to_their_end),
    SCENARIO(s087_a_client_that_is_rebound_in_the_handshake_is_not_followed_and_may_try_again),
    SCENARIO(s090_streams_of_every_kind_in_flight_across_a_move_are_completed),
    SCENARIO(s098_behind_every_kind_of_nat_one_or_two_of_them_it_is_all_the_same),
    {NULL, NULL},
};
