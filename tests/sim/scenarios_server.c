/* S021 and others: what a server lets its clients do, and what it says of them. */
#include "sim/attacker.h"
#include "sim/meddler.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static uint64_t drops_of(const struct host *host, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(host->endpoint, &stats);
    return stats.drops[reason];
}

static uint64_t server_drops(const struct lab *lab, roam_drop reason)
{
    return drops_of(lab->server, reason);
}

static uint64_t server_count(const struct lab *lab, roam_event_type type)
{
    return lab->server_app.history.counts[type];
}

static roam_address client_outside(struct lab *lab)
{
    roam_address local = *roam_conn_local_address(lab_client(lab)->conn);
    return nat_outside(lab_nat(lab), &local);
}

static roam_conn_info server_row(struct lab *lab)
{
    roam_conn_info row;
    roam_conn_get_info(lab->server_app.newest, &row);
    return row;
}

/* The row shows the client at `address`, and no other claim. */
static bool shows(struct lab *lab, const roam_address *address)
{
    roam_conn_info row = server_row(lab);
    return roam_address_equal(&row.remote, address) && !roam_address_is_set(&row.claimed) && row.address_validated &&
           roam_address_equal(roam_conn_remote_address(lab->server_app.newest), address);
}

/* ---- Migration that the server does not want ------------------------------------------------------------------- */

static void s021_a_client_does_not_move_away_from_a_server_that_disabled_migration(struct lab *lab)
{
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing (probes included) from another local address
    // toward the handshake address, unless acting on its preferred_address.
    lab->config.server.disable_active_migration = true;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    EXPECT(lab, lab_connect(lab));
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_ERR_DISABLED);
    EXPECT(lab, client_app_probe(lab_client(lab), &local) == ROAM_ERR_DISABLED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000));
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++)
        EXPECT(lab, !records[i].packet.sent || records[i].host == lab->server ||
                        roam_address_equal(&records[i].packet.local, &lab->clients[0].local));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && lab_goodbye(lab));
}

static void s021_a_server_that_disabled_migration_survives_and_validates_all_the_same(struct lab *lab)
{
    //= rfc9000#9-3 If a peer violates that, either drop those packets with no Stateless Reset, or validate the path and
    // let it migrate.
    lab->config.server.disable_active_migration = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    /* A NAT knows nothing of transport parameters. */
    nat_change_address(lab_nat(lab), "198.51.100.7", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_MOVED) == 1 &&
                    lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    /* A client that moves in spite of it. */
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 50000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_MOVED) == 2 &&
                    lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    EXPECT(lab, stats.stateless_resets_sent == 0 && lab_goodbye(lab));
}

static void s021_a_server_without_cids_says_that_it_cannot_follow(struct lab *lab)
{
    //= rfc9000#5.2.3-1 Set disable_active_migration where the deployment cannot keep routing a connection after the
    // client's address changes.
    lab->config.server_endpoint.cid_bytes = 0;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_ERR_DISABLED);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_goodbye(lab));
}

/* Steps until the client's first answer to the server's flight is about to leave, and the server has made a connection
 * and not finished its handshake. */
static bool run_into_handshake(struct lab *lab)
{
    client_app_start(lab_client(lab));
    while (lab->server_app.accepted == 0 && world_step(&lab->world))
        continue;
    return lab->server_app.accepted == 1 && !roam_conn_is_confirmed(lab->server_app.newest);
}

static void s022_nobody_moves_before_the_handshake_is_confirmed(struct lab *lab)
{
    //= rfc9000#9-1 Do not start migration before the handshake is confirmed.
    EXPECT(lab, lab_open(lab) && run_into_handshake(lab));
    roam_address local = lab_socket(lab, 1);
    roam_conn *conn = lab_client(lab)->conn;
    roam_time now = world_now(&lab->world);
    EXPECT(lab, roam_conn_migrate(conn, now, &local) == ROAM_ERR_STATE);
    EXPECT(lab, roam_conn_probe(conn, now, &local) == ROAM_ERR_STATE);
    EXPECT(lab, roam_conn_rebind(conn, now, &local) == ROAM_ERR_STATE);
    /* Two datagrams of the client's get another source on their way: they are as good as lost. */
    roam_address claimed = server_row(lab).claimed, elsewhere = sim_address("198.51.100.99:40000");
    struct meddler meddler = {.lab = lab, .left = 2, .from = claimed, .into = elsewhere};
    meddler_start(&meddler);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && meddler.left == 0);
    EXPECT(lab, server_drops(lab, ROAM_DROP_ADDRESS_CHANGE_IN_HANDSHAKE) >= 2);
    EXPECT(lab, roam_conn_is_confirmed(conn) && roam_conn_is_confirmed(lab->server_app.newest));
    uint64_t out, in;
    EXPECT(lab, !oracle_wire(lab->server, &elsewhere, &out, &in) && out == 0);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && shows(lab, &claimed));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_goodbye(lab));
}

/* ---- Too many moves -------------------------------------------------------------------------------------------- */

static void s027_moves_that_fail_in_a_row_are_slowed_down_and_end_nothing(struct lab *lab)
{
    //= rfc9000#21.9-1 Weigh processing cost against progress and treat floods of unproductive frames as attack.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->fresh_port = true;
    attacker_start(attacker, ATTACK_COPY, UINT64_MAX);
    roam_time began = world_now(&lab->world);
    for (int i = 0; i < 20; i++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 20000) && lab_run(lab, ROAM_MILLISECONDS(500)));
    roam_time span = world_now(&lab->world) - began;
    uint64_t tried = server_count(lab, ROAM_EVENT_PATH_NEW), refused = server_drops(lab, ROAM_DROP_PATH_RATE_LIMIT);
    /* After the first few one in three PTOs, which are a second each where nobody has measured a round trip. */
    EXPECT(lab, refused > 10 && tried >= 8 && tried <= 16 + span / ROAM_SECONDS(2));
    roam_path_info paths[PATHS_MAX];
    EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) <= lab->config.server.max_paths);
    /* The true client is not locked out. */
    attacker_start(attacker, ATTACK_NONE, 0);
    nat_change_address(lab_nat(lab), "198.51.100.8", false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 50000) && lab_run(lab, ROAM_SECONDS(3)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_SECONDS(1)));
    roam_address outside = client_outside(lab);
    EXPECT(lab, shows(lab, &outside) && lab_goodbye(lab));
}

static void s027_moves_that_succeed_are_not_counted(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (int i = 0; i < 60; i++) {
        nat_change_ports(lab_nat(lab), false);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_run(lab, ROAM_MILLISECONDS(300)));
        EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_MOVED) == (uint64_t)i + 1);
    }
    EXPECT(lab, server_drops(lab, ROAM_DROP_PATH_RATE_LIMIT) == 0 && lab_goodbye(lab));
}

static void s007_a_fresh_port_for_every_packet_begins_few_validations_in_a_round_trip(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_nat(lab)->port_for_every_packet = true;
    roam_time began = world_now(&lab->world);
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 1000000));
    roam_time span = world_now(&lab->world) - began;
    uint64_t tried = server_count(lab, ROAM_EVENT_PATH_NEW);
    EXPECT(lab, server_drops(lab, ROAM_DROP_PATH_RATE_LIMIT) > 300);
    EXPECT(lab, tried <= 8 * (span / ROAM_MILLISECONDS(75) + 1));
    lab_nat(lab)->port_for_every_packet = false;
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* ---- Addresses of servers that change -------------------------------------------------------------------------- */

static void s028_where_both_change_their_address_the_client_takes_nothing_from_the_new_server_address(struct lab *lab)
{
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    //= rfc9000#21.5-2 A server-migration extension must bring its own forgery defence.
    lab->config.nat[0].kind = NAT_FULL_CONE;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    const roam_address moved = sim_address("203.0.113.77:443");
    struct meddler meddler = {.lab = lab, .left = 12, .from = lab->server_address[0], .into = moved};
    lab_begin(lab, TRANSFER_DOWNLOAD, 200000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(80)));
    meddler_start(&meddler);
    nat_change_ports(lab_nat(lab), true);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_run(lab, ROAM_SECONDS(1)));
    roam_address outside = client_outside(lab);
    EXPECT(lab, drops_of(lab->clients[0].host, ROAM_DROP_UNKNOWN_SERVER_ADDRESS) == 12);
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab_client(lab)->conn), &lab->server_address[0]));
    EXPECT(lab, shows(lab, &outside) && lab_goodbye(lab));
}

static void s089_a_server_address_that_seems_to_change_in_the_handshake_is_not_followed(struct lab *lab)
{
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab));
    struct meddler meddler = {
        .lab = lab, .left = 2, .from = lab->server_address[0], .into = sim_address("203.0.113.77:443")};
    meddler_start(&meddler);
    EXPECT(lab, lab_connect(lab) && meddler.left == 0);
    EXPECT(lab, drops_of(lab->clients[0].host, ROAM_DROP_UNKNOWN_SERVER_ADDRESS) >= 2);
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab_client(lab)->conn), &lab->server_address[0]));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_goodbye(lab));
}

/* ---- Tokens and addresses -------------------------------------------------------------------------------------- */

static void s088_a_rebinding_between_retry_and_the_second_initial_makes_the_token_invalid(struct lab *lab)
{
    //= rfc9000#8.1.2-2 Server closes at once with INVALID_TOKEN on an invalid Retry token.
    //= rfc9000#8.1.4-3 Retry tokens bind source IP and port.
    lab->config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    EXPECT(lab, lab_open(lab));
    client_app_start(lab_client(lab));
    roam_endpoint_stats stats = {0};
    while (stats.retries_sent == 0 && world_step(&lab->world))
        roam_endpoint_get_stats(lab->server->endpoint, &stats);
    nat_change_ports(lab_nat(lab), true);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab_client(lab)->closed);
    EXPECT(lab, lab_client(lab)->error.cause == ROAM_CLOSE_PEER_TRANSPORT);
    EXPECT(lab, lab_client(lab)->error.code == ROAM_INVALID_TOKEN);
    EXPECT(lab, server_drops(lab, ROAM_DROP_TOKEN_INVALID) == 1 && lab->server_app.accepted == 0);
}

/* ---- What the application is shown ----------------------------------------------------------------------------- */

static void s097_an_address_is_shown_as_the_peer_s_only_after_it_was_validated(struct lab *lab)
{
    //= rfc9000#9.3-4 While doing so, defend against on-path and off-path address spoofing (9.3.1, 9.3.2).
    //= rfc9000#9.3.1-1 A forged move must not turn the server into an amplifier.
    EXPECT(lab, lab_open(lab) && run_into_handshake(lab));
    roam_conn_info row = server_row(lab);
    EXPECT(lab, !roam_address_is_set(&row.remote) && roam_address_is_set(&row.claimed) && !row.address_validated);
    EXPECT(lab, !roam_address_is_set(roam_conn_remote_address(lab->server_app.newest)));
    roam_address first = row.claimed;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && shows(lab, &first));
    /* Somebody sends the client's packets from an address that an access list would let in. */
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->victim = sim_address("203.0.113.200:30000");
    attacker_start(attacker, ATTACK_MOVE, 3);
    lab_begin(lab, TRANSFER_UPLOAD, 100000);
    while (server_count(lab, ROAM_EVENT_PATH_MOVED) == 0 && world_step(&lab->world))
        continue;
    row = server_row(lab);
    EXPECT(lab, roam_address_equal(&row.remote, &first) && roam_address_equal(&row.claimed, &attacker->victim));
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &first));
    const struct app_event *new = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_NEW, 0),
                           *moved = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_MOVED, 0);
    EXPECT(lab, new != NULL && !new->proven &&moved != NULL && !moved->proven);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_run(lab, ROAM_SECONDS(1)) && shows(lab, &first));
    /* The client moves, and is there. */
    nat_change_address(lab_nat(lab), "198.51.100.12", false);
    uint64_t answered = server_count(lab, ROAM_EVENT_PATH_ANSWERED), moves = server_count(lab, ROAM_EVENT_PATH_MOVED);
    lab_begin(lab, TRANSFER_UPLOAD, 100000);
    while (server_count(lab, ROAM_EVENT_PATH_MOVED) == moves && world_step(&lab->world))
        continue;
    roam_address second = client_outside(lab);
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &first));
    while (server_count(lab, ROAM_EVENT_PATH_ANSWERED) == answered && world_step(&lab->world))
        continue;
    EXPECT(lab, shows(lab, &second));
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_goodbye(lab));
}

/* ---- What the application forbids ------------------------------------------------------------------------------ */

struct access_list {
    struct lab *lab;
    roam_address allowed; /* and no other IP */
    unsigned asked;
    roam_address from, to; /* of the last question */
};

static bool is_on_list(void *context, const roam_conn *conn, const roam_address *from, const roam_address *to)
{
    struct access_list *list = context;
    list->asked++;
    list->from = *from;
    list->to = *to;
    if (conn != list->lab->server_app.newest)
        world_fail(&list->lab->world, "asked for another connection");
    return roam_address_same_ip(&list->allowed, to);
}

static void s097_an_application_refuses_addresses_that_are_not_on_its_list(struct lab *lab)
{
    struct access_list list = {.lab = lab, .allowed = sim_address("198.51.100.1")};
    lab->config.server.may_move = is_on_list;
    lab->config.server.may_move_context = &list;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000) && list.asked == 0);
    roam_address before = client_outside(lab);
    uint64_t read = server_count(lab, ROAM_EVENT_STREAM_READABLE);
    nat_change_address(lab_nat(lab), "198.51.100.13", false);
    lab_begin(lab, TRANSFER_UPLOAD, 20000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    roam_address outside = client_outside(lab);
    uint64_t out, in;
    EXPECT(lab, list.asked > 0 && server_drops(lab, ROAM_DROP_MOVE_REFUSED) == list.asked);
    EXPECT(lab, roam_address_equal(&list.from, &before) && roam_address_equal(&list.to, &outside));
    /* Nothing was done: no path, no octet to there, nothing of the packets was read. */
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_NEW) == 0 && server_count(lab, ROAM_EVENT_STREAM_READABLE) == read);
    EXPECT(lab, !oracle_wire(lab->server, &outside, &out, &in) && out == 0 && in > 0 && shows(lab, &before));
    /* Back where it may be, on another port, the client goes on. */
    nat_change_address(lab_nat(lab), "198.51.100.1", false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_run(lab, ROAM_SECONDS(1)));
    outside = client_outside(lab);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_MOVED) == 1 && shows(lab, &outside) && lab_goodbye(lab));
}

/* Packets of the client's come from `victim`; returns what was dropped for `reason`. */
static uint64_t forge(struct lab *lab, const char *victim, roam_drop reason)
{
    uint64_t before = server_drops(lab, reason), out, in;
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->victim = sim_address(victim);
    attacker_start(attacker, ATTACK_COPY, 5);
    lab_transfer(lab, TRANSFER_UPLOAD, 20000);
    oracle_wire(lab->server, &attacker->victim, &out, &in);
    if (out > 0 && server_drops(lab, reason) > before)
        world_fail(&lab->world, "%llu octets went to %s", (unsigned long long)out, victim);
    return server_drops(lab, reason) - before;
}

static void s097_no_connection_is_led_into_loopback_and_into_private_networks_where_that_is_forbidden(struct lab *lab)
{
    //= rfc9000#21.5.6-2 Do not accept a move to loopback when the service was at a non-loopback address.
    //= rfc9000#21.5.6-3 A change from a global to a link-local or private address may be refused as possible request
    // forgery.
    //= rfc9000#21.5.6-6 Avoid ports known to be abused before validation.
    lab->config.server.refuse_private_moves = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    EXPECT(lab, forge(lab, "127.0.0.1:9000", ROAM_DROP_FORBIDDEN_ADDRESS) == 5);
    EXPECT(lab, forge(lab, "169.254.169.254:8000", ROAM_DROP_FORBIDDEN_ADDRESS) == 5);
    EXPECT(lab, forge(lab, "10.0.0.1:8000", ROAM_DROP_FORBIDDEN_ADDRESS) == 5);
    EXPECT(lab, forge(lab, "203.0.113.200:11211", ROAM_DROP_BLOCKED_PORT) == 5);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_NEW) == 0);
    EXPECT(lab, forge(lab, "203.0.113.200:30000", ROAM_DROP_FORBIDDEN_ADDRESS) == 0);
    EXPECT(lab, server_count(lab, ROAM_EVENT_PATH_NEW) == 1);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && lab_goodbye(lab));
}

const struct scenario scenarios_server[] = {
    SCENARIO(s007_a_fresh_port_for_every_packet_begins_few_validations_in_a_round_trip),
    SCENARIO(s021_a_client_does_not_move_away_from_a_server_that_disabled_migration),
    SCENARIO(s021_a_server_that_disabled_migration_survives_and_validates_all_the_same),
    SCENARIO(s021_a_server_without_cids_says_that_it_cannot_follow),
    SCENARIO(s022_nobody_moves_before_the_handshake_is_confirmed),
    SCENARIO(s027_moves_that_fail_in_a_row_are_slowed_down_and_end_nothing),
    SCENARIO(s027_moves_that_succeed_are_not_counted),
    SCENARIO(s028_where_both_change_their_address_the_client_takes_nothing_from_the_new_server_address),
    SCENARIO(s088_a_rebinding_between_retry_and_the_second_initial_makes_the_token_invalid),
    SCENARIO(s089_a_server_address_that_seems_to_change_in_the_handshake_is_not_followed),
    SCENARIO(s097_an_address_is_shown_as_the_peer_s_only_after_it_was_validated),
    SCENARIO(s097_an_application_refuses_addresses_that_are_not_on_its_list),
    SCENARIO(s097_no_connection_is_led_into_loopback_and_into_private_networks_where_that_is_forbidden),
    {NULL, NULL},
};
