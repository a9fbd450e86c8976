/* S066 to S071, S095, S096, B19, B25, B26: Stateless Resets, and packets that come to the wrong server. */
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/balancer.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static const uint8_t static_key[ROAM_STATIC_KEY_BYTES] = "the same for all who share it";

static void share_static_key(struct lab *lab)
{
    lab->config.server_endpoint.static_key_set = true;
    memcpy(lab->config.server_endpoint.static_key, static_key, sizeof(static_key));
}

static uint64_t resets_sent(const struct host *host)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(host->endpoint, &stats);
    return stats.stateless_resets_sent;
}

static uint64_t drops(const struct host *host, roam_drop reason)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(host->endpoint, &stats);
    return stats.drops[reason];
}

static bool client_was_reset(struct lab *lab)
{
    return lab_client(lab)->closed && lab_client(lab)->error.cause == ROAM_CLOSE_STATELESS_RESET;
}

static void ping(struct lab *lab)
{
    roam_conn_ping(lab_client(lab)->conn, world_now(&lab->world));
    host_turn(lab->clients[0].host);
}

/* What looks like a short packet and ends in this token comes to the first client from there. */
static void give_reset(struct lab *lab, const uint8_t token[RESET_TOKEN_BYTES], const roam_address *from)
{
    uint8_t datagram[40];
    for (size_t i = 0; i < sizeof(datagram); i++)
        datagram[i] = (uint8_t)(0x40 + i * 37 % 64);
    memcpy(datagram + sizeof(datagram) - RESET_TOKEN_BYTES, token, RESET_TOKEN_BYTES);
    const roam_address local = lab->clients[0].local;
    struct sim_packet *packet = world_packet_new(&lab->world, from, &local, 0, datagram, sizeof(datagram));
    packet->forged = true;
    host_receive(lab->clients[0].host, packet);
}

static const struct remote_cid *held(struct lab *lab, size_t index)
{
    return &lab_client(lab)->conn->remote_cids.entries[index];
}

/* ---- A server that has forgotten --------------------------------------------------------------------------------- */

//= rfc9000#10.3-9 Treat any packet that ends in a known token as a reset.
//= rfc9000#10.3.1-5 On match, go to draining and send nothing more.
static void s066_a_client_believes_the_reset_of_a_server_that_was_restarted(struct lab *lab)
{
    share_static_key(lab);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, lab_restart_server(lab));
    ping(lab);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    EXPECT(lab, client_was_reset(lab) && resets_sent(lab->server) == 1);
    EXPECT(lab, lab_client_count(lab, ROAM_EVENT_RESET_RECEIVED) == 1);
    uint64_t out = lab->clients[0].host->datagrams_out;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(30)) && lab->clients[0].host->datagrams_out == out);
}

/* Without a static key the new process knows no token of the old one's. */
static void s066_a_reset_under_another_static_key_is_not_believed(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    EXPECT(lab, lab_restart_server(lab));
    ping(lab);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && resets_sent(lab->server) >= 1);
    EXPECT(lab, !lab_client(lab)->closed);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(60)) && lab_client(lab)->error.cause == ROAM_CLOSE_IDLE_TIMEOUT);
}

/* Half way to a new address: whichever path the packets take, the new process knows the token, and each is told once. */
static void s096_a_worker_that_restarts_in_the_middle_of_a_move_ends_the_connection_by_a_reset(struct lab *lab)
{
    for (unsigned at = 0; at < 6; at++) {
        share_static_key(lab);
        EXPECT(lab, at == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab));
        roam_address local = lab_socket(lab, 1);
        lab_begin(lab, TRANSFER_UPLOAD, 100000);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(17) * at) && lab_restart_server(lab));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(4)));
        EXPECT(lab, client_was_reset(lab));
        EXPECT(lab, resets_sent(lab->server) >= 1 && lab->server_app.accepted == 0);
    }
}

//= rfc9000#21.11-2 Never emit a reset when another endpoint with the same key could have the connection alive.
static void s096_a_worker_that_restarts_gives_no_token_for_a_cid_of_its_neighbours(struct lab *lab)
{
    share_static_key(lab);
    lab->config.server_endpoint.cid_plan = (roam_cid_plan){.kind = ROAM_CID_QUIC_LB,
                                                           .config_id = 1,
                                                           .server_id_bytes = 1,
                                                           .server_id = {1},
                                                           .nonce_bytes = 6,
                                                           .has_key = true,
                                                           .key = {1, 2, 3}};
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    /* It comes back as another one. */
    lab->config.server_endpoint.cid_plan.server_id[0] = 2;
    EXPECT(lab, lab_restart_server(lab));
    ping(lab);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(3)) && !lab_client(lab)->closed);
    EXPECT(lab, resets_sent(lab->server) == 0 && drops(lab->server, ROAM_DROP_OTHER_SERVERS_CID) >= 1);
    /* And then as itself. */
    lab->config.server_endpoint.cid_plan.server_id[0] = 1;
    EXPECT(lab, lab_restart_server(lab));
    ping(lab);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_was_reset(lab));
}

/* ---- Tokens that are no use -------------------------------------------------------------------------------------- */

//= rfc9000#10.3.2-1 Tokens are hard to guess.
//= rfc9000#10.3.1-4 All of a token counts, wherever the difference is.
static void s067_forged_tokens_and_right_ones_from_elsewhere_are_ignored(struct lab *lab)
{
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint8_t token[RESET_TOKEN_BYTES];
    for (unsigned bit = 0; bit < 8 * sizeof(token); bit++) {
        memcpy(token, held(lab, 0)->reset_token, sizeof(token));
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        give_reset(lab, token, &lab->server_address[0]);
        EXPECT(lab, !lab_client(lab)->closed);
    }
    roam_address elsewhere = lab->server_address[0];
    elsewhere.port++;
    memcpy(token, held(lab, 0)->reset_token, sizeof(token));
    give_reset(lab, token, &elsewhere);
    EXPECT(lab, !lab_client(lab)->closed);
    EXPECT(lab, drops(lab->clients[0].host, ROAM_DROP_RESET_FROM_ELSEWHERE) == 1);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    /* It was the right one. */
    give_reset(lab, token, &lab->server_address[0]);
    EXPECT(lab, client_was_reset(lab));
}

//= rfc9000#10.3.1-3 Do not match tokens of CIDs never used.
static void s067_the_token_of_a_cid_that_was_never_written_is_ignored(struct lab *lab)
{
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 1; i < LOCAL_CIDS_FIRST; i++) {
        uint8_t token[RESET_TOKEN_BYTES];
        memcpy(token, held(lab, i)->reset_token, sizeof(token));
        give_reset(lab, token, &lab->server_address[0]);
        EXPECT(lab, !lab_client(lab)->closed);
    }
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* Until the server's word about it is authentic, a client knows no token. */
static void s068_a_reset_during_the_handshake_is_ignored(struct lab *lab)
{
    share_static_key(lab);
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab));
    client_app_start(lab_client(lab));
    for (unsigned ms = 0; ms < 120 && !lab_client(lab)->connected; ms++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(1)));
        uint8_t token[RESET_TOKEN_BYTES];
        if (lab->server_app.newest == NULL)
            continue;
        endpoint_reset_token(lab->server->endpoint, &lab->server_app.newest->local_cids.entries[0].cid, token);
        if (!lab_client(lab)->connected)
            give_reset(lab, token, &lab->server_address[0]);
        EXPECT(lab, !lab_client(lab)->closed);
    }
    EXPECT(lab, lab_client(lab)->connected && lab_run(lab, ROAM_MILLISECONDS(200)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* Moves, and waits until the CID of before is retired; its token goes to `ret`. */
static void move_and_remember(struct lab *lab, uint8_t ret[RESET_TOKEN_BYTES])
{
    memcpy(ret, held(lab, 0)->reset_token, RESET_TOKEN_BYTES);
    roam_address local = lab_socket(lab, 0);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)) && lab_server_count(lab, ROAM_EVENT_CID_RETIRED) == 1);
}

//= rfc9000#10.3.1-3 Do not match tokens of CIDs already retired.
static void s071_the_token_of_a_retired_cid_is_not_honoured(struct lab *lab)
{
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    uint8_t token[RESET_TOKEN_BYTES];
    move_and_remember(lab, token);
    if (lab->world.failed)
        return;
    give_reset(lab, token, &lab->server_address[0]);
    EXPECT(lab, !lab_client(lab)->closed && lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* Late packets under a retired CID provoke no reset, as they would if it were simply unknown. */
static void b19_nothing_that_carries_a_retired_cid_resets_the_connection(struct lab *lab)
{
    share_static_key(lab);
    lab->config.no_nat[0] = true;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_cid old = held(lab, 0)->cid;
    uint8_t token[RESET_TOKEN_BYTES], datagram[60] = {0x41};
    move_and_remember(lab, token);
    if (lab->world.failed)
        return;
    memcpy(datagram + 1, old.bytes, old.len);
    for (size_t len = 21; len <= sizeof(datagram); len++) {
        host_inject(lab->clients[0].host, &lab->clients[0].local, &lab->server_address[0], datagram, len);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
    }
    EXPECT(lab, resets_sent(lab->server) == 0 && drops(lab->server, ROAM_DROP_RETIRED_CID) >= 1);
    give_reset(lab, token, &lab->server_address[0]);
    EXPECT(lab, !lab_client(lab)->closed && lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* ---- No loop ----------------------------------------------------------------------------------------------------- */

/* First octet, CID, packet number with its sample, tag: less is no packet. */
#define ANSWERED_MIN (1 + 8 + 4 + 16)

/* Sizes of what goes to and fro between the server and the worker. */
struct exchange {
    struct lab *lab;
    size_t sizes[64];
    size_t count;
};

static bool watch_exchange(void *context, struct sim_packet *packet)
{
    struct exchange *exchange = context;
    const struct lab *lab = exchange->lab;
    bool between = (roam_address_equal(&packet->src, &lab->worker_address) ||
                    roam_address_equal(&packet->dst, &lab->worker_address));
    if (between && exchange->count < 64)
        exchange->sizes[exchange->count++] = packet->len;
    return true;
}

static void resets_end(struct lab *lab, size_t len)
{
    struct exchange exchange = {.lab = lab, .sizes = {len}, .count = 1};
    lab->world.intercept = watch_exchange;
    lab->world.intercept_context = &exchange;
    uint8_t datagram[1200] = {0x55};
    for (size_t i = 1; i < len; i++)
        datagram[i] = (uint8_t)(i * 151);
    struct sim_packet *packet =
        world_packet_new(&lab->world, &lab->server_address[0], &lab->worker_address, 0, datagram, len);
    packet->forged = true;
    node_send_down(&lab->world.internet, packet);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(20)));
    EXPECT(lab, exchange.count >= (len >= ANSWERED_MIN ? 2u : 1u) && exchange.count < 64);
    for (size_t i = 1; i < exchange.count; i++)
        EXPECT(lab, exchange.sizes[i] < exchange.sizes[i - 1] && exchange.sizes[i] >= 21);
    lab->world.intercept = NULL;
}

//= rfc9000#10.3.3-1 Each reset is smaller than its trigger.
//= rfc9000#10.3-6 A reset is never three times or more the triggering packet.
static void s070_two_endpoints_that_reset_each_other_come_to_an_end(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_add_worker(lab, "203.0.113.7"));
    for (size_t len = 21; len < 60 && !lab->world.failed; len++)
        resets_end(lab, len);
}

//= rfc9000#10.3-5 Answer packets of 43 bytes or less with a reset one byte shorter.
static void b26_every_reset_is_shorter_than_its_cause(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_add_worker(lab, "203.0.113.7"));
    for (size_t len = 60; len <= 1200 && !lab->world.failed; len += 57)
        resets_end(lab, len);
    EXPECT(lab, resets_sent(lab->server) > 0 && resets_sent(lab->worker) > 0);
}

/* ---- Several servers behind one address -------------------------------------------------------------------------- */

static const roam_cid_plan balanced = {.kind = ROAM_CID_QUIC_LB,
                                       .config_id = 3,
                                       .encode_length = true,
                                       .server_id_bytes = 2,
                                       .server_id = {0x12, 0x34},
                                       .nonce_bytes = 5,
                                       .has_key = true,
                                       .key = "sixteen octets"};

/* Server and worker, each with its name; the balancer knows both. */
static bool open_balanced(struct lab *lab, struct balancer *balancer, enum balancing how)
{
    lab->config.server_endpoint.cid_plan = balanced;
    share_static_key(lab);
    if (!lab_open(lab))
        return false;
    lab->config.server_endpoint.cid_plan.server_id[1]++;
    *balancer = (struct balancer){.lab = lab, .how = how, .plan = balanced};
    memcpy(balancer->worker_id, lab->config.server_endpoint.cid_plan.server_id, sizeof(balancer->worker_id));
    bool added = lab_add_worker(lab, "203.0.113.7");
    balancer_start(balancer);
    return added;
}

//= rfc9000#5.2.3-2 A balancer that goes by the CID brings every packet to the server that has the connection.
static void s095_a_balancer_finds_the_owner_by_the_cid_whatever_the_address(struct lab *lab)
{
    static struct balancer balancer;
    EXPECT(lab, open_balanced(lab, &balancer, BALANCE_BY_CID) && lab_connect(lab));
    bool at_worker = lab->worker_app.accepted == 1;
    EXPECT(lab, lab->server_app.accepted + lab->worker_app.accepted == 1);
    for (unsigned i = 0; i < 24; i++) {
        uint64_t strayed = at_worker ? balancer.to_server : balancer.to_worker;
        lab_begin(lab, i % 2 == 0 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 20000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
        if (i % 3 == 2) {
            roam_address local = lab_socket(lab, (i + 1) % 2);
            EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        } else {
            nat_change_ports(lab->clients[0].nats[0], false);
            nat_change_ports(lab->clients[0].nats[1], false);
        }
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_run(lab, ROAM_SECONDS(4)));
        EXPECT(lab, (at_worker ? balancer.to_server : balancer.to_worker) == strayed);
    }
    const struct app_history *history = at_worker ? &lab->worker_app.history : &lab->server_app.history;
    EXPECT(lab, history->counts[ROAM_EVENT_PATH_MOVED] >= 24 && !lab_client(lab)->closed);
    client_app_close(lab_client(lab));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab->server_app.closed + lab->worker_app.closed == 1);
}

//= rfc9000#5.2.3-2 Simple load-balanced deployments must not turn into a stateless reset oracle.
//= rfc9000#21.11-1 Endpoints that share a static reset key do not share the keys of their tokens.
//= rfc9000#21.11-2 Never emit a reset when another endpoint with the same key could have the connection alive.
static void b25_a_packet_led_to_the_wrong_worker_brings_out_no_token(struct lab *lab)
{
    static struct balancer balancer;
    EXPECT(lab, open_balanced(lab, &balancer, BALANCE_TO_SERVER) && lab_connect(lab));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    balancer.how = BALANCE_TO_WORKER;
    lab_begin(lab, TRANSFER_UPLOAD, 20000);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, balancer.to_worker > 5 && lab->worker->datagrams_out == 0);
    /* What has no fixed bit is not QUIC's where nobody has said that it may be. */
    EXPECT(lab, drops(lab->worker, ROAM_DROP_OTHER_SERVERS_CID) + drops(lab->worker, ROAM_DROP_FIXED_BIT_ZERO) ==
                    balancer.to_worker);
    balancer.how = BALANCE_TO_SERVER;
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_goodbye(lab));
    /* And what it would have said is nothing that the client would have believed. */
    uint8_t of_server[RESET_TOKEN_BYTES], of_worker[RESET_TOKEN_BYTES];
    const roam_cid cid = {.len = 8, .bytes = {0x67, 1, 2, 3, 4, 5, 6, 7}};
    endpoint_reset_token(lab->server->endpoint, &cid, of_server);
    endpoint_reset_token(lab->worker->endpoint, &cid, of_worker);
    EXPECT(lab, memcmp(of_server, of_worker, sizeof(of_server)) != 0);
}

/* The new address leads to a server that knows nothing of it, and whose resets can be believed; the old one is well. */
static void s069_a_reset_on_a_path_that_is_only_probed_ends_that_path_alone(struct lab *lab)
{
    static struct balancer balancer;
    share_static_key(lab);
    EXPECT(lab, lab_open(lab) && lab_add_worker(lab, "203.0.113.7"));
    balancer = (struct balancer){.lab = lab, .how = BALANCE_TO_WORKER, .only_from = &lab->clients[0].nats[1]->node.ip};
    balancer_start(&balancer);
    EXPECT(lab, lab_connect(lab));
    for (unsigned i = 0; i < 3; i++) {
        roam_address home = *roam_conn_local_address(lab_client(lab)->conn), local = lab_socket(lab, 1);
        EXPECT(lab, (i % 2 == 0 ? client_app_probe : client_app_migrate)(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(60)));
        EXPECT(lab, resets_sent(lab->worker) == i + 1 && lab_client_count(lab, ROAM_EVENT_PATH_FAILED) == i + 1);
        EXPECT(lab, lab_client_count(lab, ROAM_EVENT_PATH_CLOSED) == i + 1 && !lab_client(lab)->closed);
        EXPECT(lab, lab_client_count(lab, ROAM_EVENT_RESET_RECEIVED) == 0);
        EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &home));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_transfer(lab, TRANSFER_ECHO, 5000));
        EXPECT(lab, lab_client(lab)->conn->remote_cids.count == LOCAL_CIDS_FIRST);
    }
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_resets[] = {
    SCENARIO(s066_a_client_believes_the_reset_of_a_server_that_was_restarted),
    SCENARIO(s066_a_reset_under_another_static_key_is_not_believed),
    SCENARIO(s067_forged_tokens_and_right_ones_from_elsewhere_are_ignored),
    SCENARIO(s067_the_token_of_a_cid_that_was_never_written_is_ignored),
    SCENARIO(s068_a_reset_during_the_handshake_is_ignored),
    SCENARIO(s069_a_reset_on_a_path_that_is_only_probed_ends_that_path_alone),
    SCENARIO(s070_two_endpoints_that_reset_each_other_come_to_an_end),
    SCENARIO(s071_the_token_of_a_retired_cid_is_not_honoured),
    SCENARIO(s095_a_balancer_finds_the_owner_by_the_cid_whatever_the_address),
    SCENARIO(s096_a_worker_that_restarts_in_the_middle_of_a_move_ends_the_connection_by_a_reset),
    SCENARIO(s096_a_worker_that_restarts_gives_no_token_for_a_cid_of_its_neighbours),
    SCENARIO(b19_nothing_that_carries_a_retired_cid_resets_the_connection),
    SCENARIO(b25_a_packet_led_to_the_wrong_worker_brings_out_no_token),
    SCENARIO(b26_every_reset_is_shorter_than_its_cause),
    {NULL, NULL},
};
