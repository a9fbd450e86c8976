/* S060 to S065: the server would rather be spoken to at another address. */
#include "sim/attacker.h"
#include "sim/meddler.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

#define FRAME_BIT(type) (UINT64_C(1) << (type))

#define PROBING_FRAMES                                                                                                 \
    (FRAME_BIT(FRAME_PADDING) | FRAME_BIT(FRAME_PATH_CHALLENGE) | FRAME_BIT(FRAME_PATH_RESPONSE) |                     \
     FRAME_BIT(FRAME_NEW_CONNECTION_ID))

static uint64_t server_drops(const struct lab *lab, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    return stats.drops[reason];
}

static uint64_t client_drops(const struct lab *lab, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->clients[0].host->endpoint, &stats);
    return stats.drops[reason];
}

static bool client_is_at(struct lab *lab, const roam_address *server)
{
    return roam_address_equal(roam_conn_remote_address(lab_client(lab)->conn), server);
}

static bool server_is_at(struct lab *lab, const roam_address *local)
{
    return roam_address_equal(roam_conn_local_address(lab->server_app.newest), local);
}

static struct interface *preferred_interface(struct lab *lab, size_t family)
{
    return host_interface_of(lab->server, &lab->preferred_address[family]);
}

/* The first packet with other than probing frames that went between the client and this address of the server's, in
 * the direction that `host` sends; ROAM_TIME_NEVER: none. */
static roam_time first_non_probing(const struct lab *lab, const struct host *host, const roam_address *server)
{
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        const roam_address *place = host == lab->server ? &packet->local : &packet->remote;
        if (packet->sent && records[i].host == host && packet->type == PACKET_ONE_RTT &&
            roam_address_equal(place, server) && (packet->frames & ~PROBING_FRAMES) != 0)
            return records[i].time;
    }
    return ROAM_TIME_NEVER;
}

static roam_time last_non_probing(const struct lab *lab, const struct host *host, const roam_address *server)
{
    const struct oracle_record *records;
    roam_time last = 0;
    size_t n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        const roam_address *place = host == lab->server ? &packet->local : &packet->remote;
        if (packet->sent && records[i].host == host && packet->type == PACKET_ONE_RTT &&
            roam_address_equal(place, server) && (packet->frames & ~PROBING_FRAMES) != 0)
            last = records[i].time;
    }
    return last;
}

static roam_time time_of(const struct app_history *history, roam_event_type type)
{
    const struct app_event *event = app_history_find(history, type, 0);
    return event != NULL ? event->time : ROAM_TIME_NEVER;
}

static bool both_are_there(struct lab *lab, size_t family)
{
    return client_is_at(lab, &lab->preferred_address[family]) && server_is_at(lab, &lab->preferred_address[family]);
}

static void s060_a_client_validates_the_preferred_address_and_then_uses_only_that(struct lab *lab)
{
    //= rfc9000#9.6.1-2 Once confirmed, the client picks one preferred address and validates it.
    //= rfc9000#9.6.1-3 On success, use only the new server address, with the new CID.
    //= rfc9000#9.6.2-1 Client validates the preferred address before migrating to it.
    //= rfc9000#9.6.2-2 Server keeps sending non-probing packets from the original address until a non-probing packet
    // arrives at the preferred one and that path is validated.
    //= rfc9000#9.6.2-3 Server probes toward the client from its preferred address.
    //= rfc9000#21.5.3-1 Client sends only probing frames to a preferred address before validating it.
    lab->config.prefers[0] = lab->config.prefers[1] = true;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    EXPECT(lab, lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 200000);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_transfer(lab, TRANSFER_UPLOAD, 50000));
    EXPECT(lab, both_are_there(lab, 0));
    const struct app_history *client = &lab_client(lab)->history, *server = &lab->server_app.history;
    const struct host *client_host = lab->clients[0].host;
    const roam_address *original = &lab->server_address[0], *preferred = &lab->preferred_address[0];
    EXPECT(lab, client->counts[ROAM_EVENT_PATH_MOVED] == 1 && server->counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, time_of(client, ROAM_EVENT_PATH_VALIDATED) <= first_non_probing(lab, client_host, preferred));
    EXPECT(lab, time_of(server, ROAM_EVENT_PATH_MOVED) <= first_non_probing(lab, lab->server, preferred));
    EXPECT(lab, time_of(server, ROAM_EVENT_PATH_VALIDATED) <= time_of(server, ROAM_EVENT_PATH_MOVED));
    EXPECT(lab, last_non_probing(lab, client_host, original) <= time_of(client, ROAM_EVENT_PATH_MOVED));
    EXPECT(lab, last_non_probing(lab, lab->server, original) <= time_of(server, ROAM_EVENT_PATH_MOVED));
    const struct app_event *asked = app_history_find(server, ROAM_EVENT_PATH_CHALLENGED, 0);
    EXPECT(lab, asked != NULL && roam_address_equal(&asked->local, preferred));
    EXPECT(lab, lab_active(lab_client(lab)->conn).cid_sequence == 1);
    /* The old path is let go by both. */
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)));
    roam_path_info paths[PATHS_MAX];
    EXPECT(lab, roam_conn_paths(lab_client(lab)->conn, paths, PATHS_MAX) == 1);
    EXPECT(lab, roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) == 1);
    EXPECT(lab, lab_goodbye(lab));
}

static void s060_the_preferred_address_is_that_of_the_family_in_use(struct lab *lab)
{
    //= rfc9000#9.6.1-1 Server may offer one preferred address per family.
    //= rfc9000#9.6.3-6 Keep the address family when migrating to a preferred address.
    lab->config.prefers[0] = lab->config.prefers[1] = true;
    lab->config.ipv6[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, both_are_there(lab, 1));
    /* The other family's is where a client goes that changes families. */
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, both_are_there(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

static void s060_a_client_that_was_told_to_ignores_the_preferred_address(struct lab *lab)
{
    lab->config.prefers[0] = true;
    lab->config.client.preferred_policy = ROAM_PREFERRED_IGNORE;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(5)));
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]) && server_is_at(lab, &lab->server_address[0]));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_NEW] == 0);
    /* Nor is it where the client goes later. */
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, lab_goodbye(lab));
}

static void s060_another_connection_to_the_same_server_begins_at_its_original_address(struct lab *lab)
{
    //= rfc9000#9.6.2-6 Client does not use a preferred address for other or resumed connections.
    lab->config.prefers[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, both_are_there(lab, 0));
    oracle_record(lab->world.oracle, true);
    roam_config config = lab_client(lab)->config;
    roam_result result;
    roam_conn *second =
        roam_connect(lab->clients[0].host->endpoint, "203.0.113.5", LAB_PORT, &config, world_now(&lab->world), &result);
    EXPECT(lab, second != NULL);
    host_turn(lab->clients[0].host);
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records), initials = 0;
    for (size_t i = 0; i < n; i++) {
        if (!records[i].packet.sent || records[i].packet.conn != second)
            continue;
        EXPECT(lab, roam_address_equal(&records[i].packet.remote, &lab->server_address[0]));
        initials++;
    }
    EXPECT(lab, initials > 0);
    roam_conn_free(second, world_now(&lab->world));
}

static void s061_a_client_that_nobody_answers_at_the_preferred_address_stays(struct lab *lab)
{
    //= rfc9000#9.6.1-4 On failure, keep sending to the original server address.
    lab->config.prefers[0] = true;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    interface_set_down(preferred_interface(lab, 0), true);
    EXPECT(lab, lab_connect(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000) && lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, lab_client(lab)->history.counts[ROAM_EVENT_PATH_FAILED] == 1);
    EXPECT(lab, lab_client(lab)->history.counts[ROAM_EVENT_PATH_MOVED] == 0);
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]) && server_is_at(lab, &lab->server_address[0]));
    /* It was asked in vain, and is not asked again. */
    interface_set_down(preferred_interface(lab, 0), false);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]));
    EXPECT(lab, first_non_probing(lab, lab->clients[0].host, &lab->preferred_address[0]) == ROAM_TIME_NEVER);
    EXPECT(lab, first_non_probing(lab, lab->server, &lab->preferred_address[0]) == ROAM_TIME_NEVER);
    EXPECT(lab, lab_goodbye(lab));
}

static void s061_a_client_is_not_led_into_a_private_network_or_to_another_service(struct lab *lab)
{
    //= rfc9000#21.5.6-3 A change from a global to a link-local or private address may be refused as possible request
    // forgery.
    lab->config.server.preferred_ipv4 = sim_address("10.0.0.1:443");
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(5)));
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]));
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++)
        EXPECT(lab, !records[i].packet.sent || records[i].host == lab->server ||
                        roam_address_equal(&records[i].packet.remote, &lab->server_address[0]));
    EXPECT(lab, lab_goodbye(lab));
}

static void s062_disable_active_migration_does_not_forbid_the_preferred_address(struct lab *lab)
{
    //= rfc9000#9-2 If the peer sent disable_active_migration, send nothing from another local address toward the
    // handshake address, unless acting on its preferred_address.
    //= rfc9000#18.2-3 A receiver of disable_active_migration uses no new local address toward the handshake address.
    lab->config.prefers[0] = true;
    lab->config.server.disable_active_migration = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, both_are_there(lab, 0));
    /* And at the preferred address nothing was forbidden. */
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && both_are_there(lab, 0));
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    EXPECT(lab, lab_goodbye(lab));
}

static void s062_a_preferred_address_and_zero_length_cids_exclude_each_other(struct lab *lab)
{
    //= rfc9000#18.2-4 Zero-length-CID server gives no preferred address.
    lab->config.prefers[0] = true;
    lab->config.server_endpoint.cid_bytes = 0;
    roam_endpoint_config endpoint = lab->config.server_endpoint;
    endpoint.accept = &lab->config.server;
    lab->config.server.preferred_ipv4 = sim_address("203.0.113.6:4433");
    roam_result result = ROAM_OK;
    world_init(&lab->world, lab->config.seed, lab->config.print);
    EXPECT(lab, roam_endpoint_new(&endpoint, world_now(&lab->world), &result) == NULL && result == ROAM_ERR_CONFIG);
    lab->config.server.preferred_ipv4 = (roam_address){0};
    roam_endpoint *without = roam_endpoint_new(&endpoint, world_now(&lab->world), &result);
    const roam_address preferred = sim_address("203.0.113.6:4433");
    EXPECT(lab, without != NULL && roam_endpoint_prefer(without, &preferred, NULL) == ROAM_ERR_CONFIG);
    roam_endpoint_free(without);
    world_done(&lab->world);
}

/* Half-way to the preferred address, where nothing comes through yet, the client leaves its network. */
static bool leave_half_way(struct lab *lab, roam_address *ret_local)
{
    lab->config.prefers[0] = true;
    if (!lab_open(lab))
        return false;
    oracle_record(lab->world.oracle, true);
    interface_set_down(preferred_interface(lab, 0), true);
    if (!lab_connect(lab))
        return false;
    *ret_local = lab_socket(lab, 1);
    return client_app_migrate(lab_client(lab), ret_local) == ROAM_OK;
}

static size_t client_paths_from(struct lab *lab, const roam_address *local, const roam_address *server)
{
    roam_path_info paths[PATHS_MAX];
    size_t n = roam_conn_paths(lab_client(lab)->conn, paths, PATHS_MAX), found = 0;
    for (size_t i = 0; i < n; i++)
        found += roam_address_equal(&paths[i].local, local) && roam_address_equal(&paths[i].remote, server);
    return found;
}

static void s063_a_client_that_roams_half_way_validates_both_and_goes_to_the_preferred_one(struct lab *lab)
{
    //= rfc9000#9.6.3-1 A client that itself moves meanwhile validates both original and preferred server addresses at
    // once.
    //= rfc9000#9.6.3-2 If the preferred one validates, abandon the original and use the preferred.
    //= rfc9000#9.6.3-4 Server applies 9.3.1/9.3.2 protections when packets at the preferred address come from another
    // client address than the handshake's.
    //= rfc9000#9.6.3-5 Server validates the client's new address upon its probe.
    roam_address local;
    EXPECT(lab, leave_half_way(lab, &local));
    EXPECT(lab, client_paths_from(lab, &local, &lab->server_address[0]) == 1);
    EXPECT(lab, client_paths_from(lab, &local, &lab->preferred_address[0]) == 1);
    interface_set_down(preferred_interface(lab, 0), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && lab_transfer(lab, TRANSFER_UPLOAD, 100000));
    EXPECT(lab, both_are_there(lab, 0));
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    roam_path_info server = lab_active(lab->server_app.newest);
    EXPECT(lab, server.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, roam_address_same_ip(&server.remote, &lab->clients[0].nats[1]->node.ip));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, client_paths_from(lab, &local, &lab->server_address[0]) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void s063_where_only_the_original_address_answers_the_client_moves_and_stays_with_it(struct lab *lab)
{
    //= rfc9000#9.6.3-3 If only the original validates, migrate while staying with it.
    roam_address local;
    EXPECT(lab, leave_half_way(lab, &local));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)) && lab_transfer(lab, TRANSFER_UPLOAD, 100000));
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]) && server_is_at(lab, &lab->server_address[0]));
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    EXPECT(lab, client_paths_from(lab, &local, &lab->preferred_address[0]) == 0);
    EXPECT(lab, lab_goodbye(lab));
}

static void s063_a_nat_that_rebinds_half_way_does_not_keep_the_client_from_the_preferred_address(struct lab *lab)
{
    //= rfc9000#9.6.3-4 Server applies 9.3.1/9.3.2 protections when packets at the preferred address come from another
    // client address than the handshake's.
    lab->config.prefers[0] = true;
    EXPECT(lab, lab_open(lab));
    interface_set_down(preferred_interface(lab, 0), true);
    EXPECT(lab, lab_connect(lab));
    nat_change_address(lab_nat(lab), "198.51.100.9", false);
    interface_set_down(preferred_interface(lab, 0), false);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && lab_transfer(lab, TRANSFER_UPLOAD, 100000));
    EXPECT(lab, both_are_there(lab, 0) && lab_active(lab->server_app.newest).state == ROAM_PATH_VALIDATED);
    EXPECT(lab, lab_goodbye(lab));
}

/* Somebody on the way of the client's packets who carries them to the preferred address as if they were his own, and
 * the answers back. */
static bool carry(void *context, struct sim_packet *packet)
{
    struct attacker *attacker = context;
    struct lab *lab = attacker->lab;
    if (attacker->left == 0 || packet->forged || !roam_address_equal(&packet->dst, &lab->server_address[0]))
        return true;
    attacker->left--;
    attacker->client = packet->src;
    packet->src = attacker->victim;
    packet->dst = lab->preferred_address[0];
    packet->forged = true;
    return true;
}

static void carry_back(struct node *node, struct sim_packet *packet)
{
    struct attacker *attacker = (struct attacker *)node;
    packet->src = attacker->lab->server_address[0];
    packet->dst = attacker->client;
    packet->forged = true;
    node_send_down(&attacker->lab->world.internet, packet);
}

static void s063_who_carries_packets_to_the_preferred_address_does_not_keep_the_connection(struct lab *lab)
{
    //= rfc9000#9.6.3-4 Server applies 9.3.1/9.3.2 protections when packets at the preferred address come from another
    // client address than the handshake's.
    lab->config.prefers[0] = true;
    lab->config.client.preferred_policy = ROAM_PREFERRED_IGNORE;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address client = lab_active(lab->server_app.newest).remote;
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker->node.from_above = carry_back;
    attacker->left = 60;
    lab->world.intercept = carry;
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 100000));
    /* He has even answered for the address: by the client, who knows nothing of him. */
    EXPECT(lab, attacker->left == 0 && lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] >= 2);
    const struct app_event *moved = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_MOVED, 0);
    EXPECT(lab, roam_address_equal(&moved->local, &lab->preferred_address[0]) && moved->proven);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, server_is_at(lab, &lab->server_address[0]));
    EXPECT(lab, roam_address_equal(roam_conn_remote_address(lab->server_app.newest), &client));
    EXPECT(lab, server_drops(lab, ROAM_DROP_OLD_SERVER_ADDRESS) == 0 && lab_goodbye(lab));
}

static void s064_what_comes_from_the_preferred_address_before_the_client_went_there_is_discarded(struct lab *lab)
{
    //= rfc9000#9.6-1 Client discards packets from a server address it did not migrate to.
    //= rfc9000#9-7 Client drops packets from unknown server addresses.
    lab->config.prefers[0] = true;
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab));
    struct meddler meddler = {.lab = lab, .left = 2, .from = lab->server_address[0], .into = lab->preferred_address[0]};
    meddler_start(&meddler);
    EXPECT(lab, lab_connect(lab));
    EXPECT(lab, meddler.left == 0 && client_drops(lab, ROAM_DROP_UNKNOWN_SERVER_ADDRESS) >= 2);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && both_are_there(lab, 0));
    EXPECT(lab, lab_goodbye(lab));
}

static void s064_a_client_that_never_goes_to_the_preferred_address_hears_nothing_from_there(struct lab *lab)
{
    //= rfc9000#9.6-1 Client discards packets from a server address it did not migrate to.
    lab->config.prefers[0] = true;
    lab->config.no_nat[0] = true;
    lab->config.client.preferred_policy = ROAM_PREFERRED_IGNORE;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct meddler meddler = {
        .lab = lab, .left = 20, .from = lab->server_address[0], .into = lab->preferred_address[0]};
    meddler_start(&meddler);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 100000));
    EXPECT(lab, client_drops(lab, ROAM_DROP_UNKNOWN_SERVER_ADDRESS) == 20);
    EXPECT(lab, client_is_at(lab, &lab->server_address[0]));
    EXPECT(lab, lab_goodbye(lab));
}

/* Packets of the client's that the server has processed at its original address, after it had left. */
static size_t processed_at_old_address(const struct lab *lab)
{
    const struct oracle_record *records;
    roam_time moved = time_of(&lab->server_app.history, ROAM_EVENT_PATH_MOVED);
    size_t n = oracle_records(lab->world.oracle, &records), found = 0;
    for (size_t i = 0; i < n; i++)
        found += !records[i].packet.sent && records[i].host == lab->server && records[i].time > moved &&
                 roam_address_equal(&records[i].packet.local, &lab->server_address[0]);
    return found;
}

static void s065_delayed_packets_to_the_old_server_address_are_processed_and_newer_ones_dropped(struct lab *lab)
{
    //= rfc9000#9.6.2-4 Afterward the server drops newer packets arriving at the old address.
    //= rfc9000#9.6.2-5 It may still process delayed packets there.
    lab->config.prefers[0] = true;
    EXPECT(lab, lab_open(lab));
    oracle_record(lab->world.oracle, true);
    interface_set_down(preferred_interface(lab, 0), true);
    EXPECT(lab, lab_connect(lab));
    struct meddler meddler = {.lab = lab, .left = 5, .from = lab->server_address[0], .destination = true};
    meddler_start(&meddler);
    lab_begin(lab, TRANSFER_UPLOAD, 40000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)) && meddler.held_count == 5);
    interface_set_down(preferred_interface(lab, 0), false);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_run(lab, ROAM_SECONDS(3)));
    EXPECT(lab, both_are_there(lab, 0) && processed_at_old_address(lab) == 0);
    meddler_let_go(&meddler);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    EXPECT(lab, processed_at_old_address(lab) == 5 && server_drops(lab, ROAM_DROP_OLD_SERVER_ADDRESS) == 0);
    EXPECT(lab, both_are_there(lab, 0) && lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    /* Newer ones are led astray: the server stays, and they are sent again. */
    meddler = (struct meddler){
        .lab = lab, .left = 5, .from = lab->preferred_address[0], .into = lab->server_address[0], .destination = true};
    EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 40000));
    EXPECT(lab, server_drops(lab, ROAM_DROP_OLD_SERVER_ADDRESS) == 5 && processed_at_old_address(lab) == 5);
    EXPECT(lab, both_are_there(lab, 0) && lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_preferred[] = {
    SCENARIO(s060_a_client_validates_the_preferred_address_and_then_uses_only_that),
    SCENARIO(s060_the_preferred_address_is_that_of_the_family_in_use),
    SCENARIO(s060_a_client_that_was_told_to_ignores_the_preferred_address),
    SCENARIO(s060_another_connection_to_the_same_server_begins_at_its_original_address),
    SCENARIO(s061_a_client_that_nobody_answers_at_the_preferred_address_stays),
    SCENARIO(s061_a_client_is_not_led_into_a_private_network_or_to_another_service),
    SCENARIO(s062_disable_active_migration_does_not_forbid_the_preferred_address),
    SCENARIO(s062_a_preferred_address_and_zero_length_cids_exclude_each_other),
    SCENARIO(s063_a_client_that_roams_half_way_validates_both_and_goes_to_the_preferred_one),
    SCENARIO(s063_where_only_the_original_address_answers_the_client_moves_and_stays_with_it),
    SCENARIO(s063_a_nat_that_rebinds_half_way_does_not_keep_the_client_from_the_preferred_address),
    SCENARIO(s063_who_carries_packets_to_the_preferred_address_does_not_keep_the_connection),
    SCENARIO(s064_what_comes_from_the_preferred_address_before_the_client_went_there_is_discarded),
    SCENARIO(s064_a_client_that_never_goes_to_the_preferred_address_hears_nothing_from_there),
    SCENARIO(s065_delayed_packets_to_the_old_server_address_are_processed_and_newer_ones_dropped),
    {NULL, NULL},
};
