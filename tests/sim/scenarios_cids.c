/* S048 to S054, S057 to S059, B20, B22 to B24, B30: connection IDs are issued, used, retired and replaced, and what a
 * peer may get wrong about them. */
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

/* From the move with this number on memory does not grow. */
#define MOVES_UNTIL_FLAT 100

#define ONE_FRAME(type) frame_bit(FRAME_##type)

/* A CID, and a token, of which nobody else has heard. */
static void write_new_cid(struct writer *frames, uint64_t sequence, uint64_t retire_prior_to, uint8_t mark)
{
    const roam_cid cid = {.len = 8, .bytes = {0xc1, mark, (uint8_t)(sequence >> 8), (uint8_t)sequence, 1, 2, 3, 4}};
    const uint8_t token[RESET_TOKEN_BYTES] = {0x70, mark, (uint8_t)(sequence >> 8), (uint8_t)sequence};
    frame_write_new_connection_id(frames, sequence, retire_prior_to, &cid, token);
}

static struct remote_cid_set *held_by_client(struct lab *lab)
{
    return &lab_client(lab)->conn->remote_cids;
}

static void hand_to_client(struct lab *lab, struct hand *hand)
{
    hand_send(hand, &lab->server_address[0], roam_conn_remote_address(lab->server_app.newest), 0);
}

static void hand_to_server(struct lab *lab, struct hand *hand)
{
    hand_send(hand, roam_conn_local_address(lab_client(lab)->conn), &lab->clients[0].remote, 0);
}

static bool client_found(struct lab *lab, uint64_t code)
{
    const struct client_app *app = lab_client(lab);
    return app->closed && app->error.cause == ROAM_CLOSE_LOCAL_TRANSPORT && app->error.code == code;
}

static bool server_found(struct lab *lab, uint64_t code)
{
    return lab->server_app.closed == 1 && lab->server_app.error.cause == ROAM_CLOSE_LOCAL_TRANSPORT &&
           lab->server_app.error.code == code;
}

/* A deliberate move to a fresh socket, and time for all that follows from it. */
static void move(struct lab *lab, size_t interface)
{
    roam_address local = lab_socket(lab, interface);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info active = lab_active(lab_client(lab)->conn);
    EXPECT(lab, roam_address_equal(&active.local, &local));
}

/* ---- The supply -------------------------------------------------------------------------------------------------- */

//= rfc9000#10.3-4 All sent packets are at least 22 bytes longer than the minimum CID length asked of the peer.
static void expect_room_for_resets(struct lab *lab)
{
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records), looked_at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct observed_packet *packet = &records[i].packet;
        uint64_t silent = ONE_FRAME(ACK) | ONE_FRAME(ACK_ECN) | ONE_FRAME(PADDING) | ONE_FRAME(CONNECTION_CLOSE) |
                          ONE_FRAME(CONNECTION_CLOSE_APPLICATION);
        if (!packet->sent || packet->type != PACKET_ONE_RTT || (packet->frames & ~silent) == 0)
            continue;
        EXPECT(lab, packet->bytes >= 22 + 8);
        looked_at++;
    }
    EXPECT(lab, looked_at > 20);
}

//= rfc9000#5.1.1-3 Keep the peer stocked with enough unused CIDs.
//= rfc9000#9.5-7 Issue fresh CIDs before the peer migrates.
//= rfc9000#5.1.1-7 Replace a CID with a fresh one when the peer retires it.
//= rfc9000#5.1.2-1 Retire CIDs bound to an address pair that is no longer in use.
static void s048_what_is_issued_used_and_retired_leaves_the_pool_full(struct lab *lab)
{
    //= rfc9000#9.5-7 Issue fresh CIDs before the peer migrates.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    EXPECT(lab, held_by_client(lab)->count == LOCAL_CIDS_FIRST);
    for (size_t i = 0; i < 5 && !lab->world.failed; i++) {
        move(lab, (i + 1) % 2);
        EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && lab_run(lab, ROAM_SECONDS(12)));
        EXPECT(lab, held_by_client(lab)->count == 8 && held_by_client(lab)->retirement_count == 0);
        EXPECT(lab, lab->server_app.newest->remote_cids.count == 8);
        EXPECT(lab, lab->server_app.newest->local_cids.count == 8 && lab_client(lab)->conn->local_cids.count == 8);
        EXPECT(lab, remote_cid_spare(held_by_client(lab)) == 7);
    }
    EXPECT(lab,
           lab_server_count(lab, ROAM_EVENT_CID_RETIRED) == 5 && lab_server_count(lab, ROAM_EVENT_CID_ISSUED) == 7 + 5);
    EXPECT(lab,
           lab_client_count(lab, ROAM_EVENT_CID_RETIRED) == 5 && lab_client_count(lab, ROAM_EVENT_CID_ISSUED) == 7 + 5);
    expect_room_for_resets(lab);
    EXPECT(lab, lab->world.failed || lab_goodbye(lab));
}

//= rfc9000#5.1.1-7 Replace a CID with a fresh one when the peer retires it.
static void b30_a_retired_cid_is_replaced_within_a_round_trip(struct lab *lab)
{
    const roam_time round_trip = ROAM_MILLISECONDS(52);
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 6 && !lab->world.failed; i++) {
        move(lab, (i + 1) % 2);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(12)));
    }
    for (size_t i = 0; i < 6; i++) {
        const struct app_event *retired = app_history_find(&lab->server_app.history, ROAM_EVENT_CID_RETIRED, i);
        const struct app_event *replaced = app_history_find(&lab_client(lab)->history, ROAM_EVENT_CID_RECEIVED, 7 + i);
        EXPECT(lab, retired != NULL && replaced != NULL);
        EXPECT(lab, replaced->time >= retired->time && replaced->time - retired->time <= round_trip);
    }
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#5.1.2-7 A CID is not forgotten that was not retired on the wire, and once is enough.
static void b20_each_cid_is_retired_by_one_frame(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    for (size_t i = 0; i < 10 && !lab->world.failed; i++) {
        move(lab, (i + 1) % 2);
        EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 20000) && lab_run(lab, ROAM_SECONDS(12)));
    }
    struct lab_packets by_client = {
        .host = lab->clients[0].host, .sent = true, .frames = ONE_FRAME(RETIRE_CONNECTION_ID)};
    struct lab_packets by_server = {.host = lab->server, .sent = true, .frames = ONE_FRAME(RETIRE_CONNECTION_ID)};
    EXPECT(lab,
           lab_server_count(lab, ROAM_EVENT_CID_RETIRED) == 10 && lab_client_count(lab, ROAM_EVENT_CID_RETIRED) == 10);
    EXPECT(lab, lab_count_packets(lab, &by_client) == 10 && lab_count_packets(lab, &by_server) == 10);
    EXPECT(lab, lab_goodbye(lab));
}

/* With no time between them, and with an end to memory. */
static void moves_in_a_row(struct lab *lab, unsigned n, roam_time pause)
{
    uint64_t server = 0, client = 0;
    for (unsigned i = 0; i < n; i++) {
        roam_address local = lab_socket(lab, (i + 1) % 2);
        /* The server needs a CID of ours for each, and gives one back half a round trip later. */
        for (unsigned tries = 0; client_app_migrate(lab_client(lab), &local) == ROAM_ERR_NO_CID; tries++)
            EXPECT(lab, tries < 20 && lab_run(lab, ROAM_MILLISECONDS(60)));
        EXPECT(lab, lab_run(lab, pause));
        roam_path_info active = lab_active(lab_client(lab)->conn);
        EXPECT(lab, roam_address_equal(&active.local, &local));
        EXPECT(lab, held_by_client(lab)->count <= 8 && lab->server_app.newest->remote_cids.count <= 8);
        if (i == MOVES_UNTIL_FLAT) {
            server = lab->server->alloc.bytes;
            client = lab->clients[0].host->alloc.bytes;
        }
        EXPECT(lab, i <= MOVES_UNTIL_FLAT || (lab->server->alloc.bytes <= server + 8192 &&
                                              lab->clients[0].host->alloc.bytes <= client + 8192));
    }
    EXPECT(lab, lab_client_count(lab, ROAM_EVENT_PATH_MOVED) == n);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_run(lab, ROAM_SECONDS(12)));
    EXPECT(lab, held_by_client(lab)->count == 8 && lab->server_app.newest->remote_cids.count == 8);
}

static void b23_ten_moves_in_a_row_use_up_no_cids(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    moves_in_a_row(lab, 10, ROAM_MILLISECONDS(160));
    EXPECT(lab, lab->world.failed || lab_goodbye(lab));
}

static void b23_ten_thousand_moves_in_a_row_use_up_no_cids(struct lab *lab)
{
    lab->config.client_endpoint.max_events = lab->config.server_endpoint.max_events = 1000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    moves_in_a_row(lab, 10000, ROAM_MILLISECONDS(400));
    EXPECT(lab, lab->world.failed || lab_goodbye(lab));
}

//= rfc9000#5.1.1-11 Before migrating, the initiator makes sure that there is a CID for it.
//= rfc9000#9.5-2 Never use one destination CID from more than one local address.
static void s053_without_a_spare_cid_a_move_is_refused_until_there_is_one(struct lab *lab)
{
    lab->config.client.active_connection_id_limit = 2;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address first = lab_socket(lab, 1), second = lab_socket(lab, 1);
    EXPECT(lab, client_app_probe(lab_client(lab), &first) == ROAM_OK);
    uint64_t out = lab->clients[0].host->datagrams_out;
    EXPECT(lab, client_app_migrate(lab_client(lab), &second) == ROAM_ERR_NO_CID);
    EXPECT(lab, lab->clients[0].host->datagrams_out == out);
    /* The probe has its day, and gives its CID back. */
    for (int i = 0; i < 200 && client_app_migrate(lab_client(lab), &second) == ROAM_ERR_NO_CID; i++)
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    roam_path_info active = lab_active(lab_client(lab)->conn);
    EXPECT(lab, roam_address_equal(&active.local, &second));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* ---- Collisions -------------------------------------------------------------------------------------------------- */

/* A source of randomness that says what it has said before, so many times. */
struct stuck {
    roam_rng rng;
    roam_cid said;
    unsigned left;
};

static void fill_stuck(void *context, void *buf, size_t len)
{
    struct stuck *stuck = context;
    if (len == stuck->said.len && stuck->left > 0) {
        stuck->left--;
        memcpy(buf, stuck->said.bytes, len);
    } else {
        stuck->rng.fill(stuck->rng.context, buf, len);
    }
}

//= rfc9000#5.1-2 Never issue the same CID value twice within one connection.
//= rfc9000#10.3.2-3 Nor one that another connection has.
//= rfc9000#10.3.2-4 Nor one that was retired a moment ago.
static void s057_a_cid_that_another_connection_has_or_had_is_made_again(struct lab *lab)
{
    lab->config.clients = 2;
    lab->config.server_endpoint.cid_bytes = 9; /* nothing else is so long */
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_endpoint *endpoint = lab->server->endpoint;
    struct stuck stuck = {.rng = endpoint->rng};
    endpoint->rng = (roam_rng){.fill = fill_stuck, .context = &stuck};
    roam_cid gone = lab_active(lab_client(lab)->conn).cid;
    for (size_t i = 0; i < 2 && !lab->world.failed; i++) {
        stuck.said = i == 0 ? lab_active(lab->clients[1].app.conn).cid : gone;
        stuck.left = 20;
        move(lab, (i + 1) % 2);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(11)) && stuck.left == 0);
        const struct remote_cid_set *one = held_by_client(lab), *two = &lab->clients[1].app.conn->remote_cids;
        for (size_t a = 0; a < one->count; a++) {
            EXPECT(lab, !roam_cid_equal(&one->entries[a].cid, &gone));
            for (size_t b = 0; b < two->count; b++)
                EXPECT(lab, !roam_cid_equal(&one->entries[a].cid, &two->entries[b].cid));
        }
    }
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    endpoint->rng = stuck.rng;
    EXPECT(lab, lab_goodbye(lab));
}

/* No CID at all is better than one that somebody has; the next deadline tries again. */
static void s057_a_source_of_randomness_that_repeats_itself_for_ever_stops_nothing_else(struct lab *lab)
{
    lab->config.server_endpoint.cid_bytes = 9;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_endpoint *endpoint = lab->server->endpoint;
    struct stuck stuck = {.rng = endpoint->rng, .said = lab_active(lab_client(lab)->conn).cid, .left = 64};
    endpoint->rng = (roam_rng){.fill = fill_stuck, .context = &stuck};
    roam_cid taken;
    EXPECT(lab, !endpoint_cid_new(endpoint, lab->server_app.newest, &taken) && stuck.left == 0);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    endpoint->rng = stuck.rng;
    EXPECT(lab, lab_goodbye(lab));
}

/* ---- What a peer says -------------------------------------------------------------------------------------------- */

//= rfc9000#19.15-4 An exact repeat of the frame is not an error.
static void s050_new_cids_out_of_order_with_gaps_and_twice_are_taken(struct lab *lab)
{
    static const uint64_t sequences[] = {12, 9, 9, 14, 12, 8, 14};
    lab->config.client.active_connection_id_limit = 16;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && held_by_client(lab)->count == LOCAL_CIDS_FIRST);
    struct hand hand;
    hand_init(&hand, lab->server, lab->server_app.newest);
    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        write_new_cid(hand_begin(&hand), sequences[i], 0, 1);
        hand_to_client(lab, &hand);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(30)));
    }
    EXPECT(lab, !lab_client(lab)->closed && held_by_client(lab)->count == LOCAL_CIDS_FIRST + 4);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

//= rfc9000#19.15-5 Same CID with another token or sequence, or same sequence with another CID.
static void s050_contradictory_new_cids_are_an_error(struct lab *lab)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        lab->config.client.active_connection_id_limit = 16;
        EXPECT(lab, kind == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab));
        struct hand hand;
        hand_init(&hand, lab->server, lab->server_app.newest);
        const struct remote_cid *known = &held_by_client(lab)->entries[3];
        roam_cid cid = known->cid;
        uint8_t token[RESET_TOKEN_BYTES];
        memcpy(token, known->reset_token, sizeof(token));
        cid.bytes[0] ^= kind == 0;
        token[0] ^= kind == 1;
        frame_write_new_connection_id(hand_begin(&hand), known->sequence + (kind == 2 ? 20 : 0), 0, &cid, token);
        hand_to_client(lab, &hand);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_found(lab, ROAM_PROTOCOL_VIOLATION));
    }
}

//= rfc9000#5.1.1-6 Close with CONNECTION_ID_LIMIT_ERROR if the peer's live CIDs exceed the limit we advertised.
static void s051_one_cid_too_many_is_an_error(struct lab *lab)
{
    lab->config.client.active_connection_id_limit = 3;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && held_by_client(lab)->count == 3);
    struct hand hand;
    hand_init(&hand, lab->server, lab->server_app.newest);
    write_new_cid(hand_begin(&hand), 3, 0, 1);
    hand_to_client(lab, &hand);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_found(lab, ROAM_CONNECTION_ID_LIMIT_ERROR));
}

/* A peer that raises Retire Prior To with each frame and acknowledges nothing, or now and then something. */
static void flood_with_retirements(struct lab *lab, unsigned acknowledged)
{
    EXPECT(lab, lab_connect(lab));
    struct lab_loss loss = {.frames = ONE_FRAME(ACK) | ONE_FRAME(ACK_ECN), .left = UINT64_MAX};
    lab_lose(lab->server->interfaces[0]->node.up, &loss);
    struct hand hand;
    hand_init(&hand, lab->server, lab->server_app.newest);
    uint64_t bytes = lab->clients[0].host->alloc.bytes;
    unsigned n = 0;
    size_t most = 0;
    while (n < 5000 && !lab_client(lab)->closed) {
        write_new_cid(hand_begin(&hand), 8 + n, 8 + n, 2);
        hand_to_client(lab, &hand);
        n++;
        most = held_by_client(lab)->retirement_count > most ? held_by_client(lab)->retirement_count : most;
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(2)));
        EXPECT(lab, lab->clients[0].host->alloc.bytes <= bytes + 64 * 1024);
        loss.frames = acknowledged > 0 && n % acknowledged == acknowledged - 1 ? 0 : frame_bit(FRAME_ACK);
    }
    EXPECT(lab, n < 5000 && client_found(lab, ROAM_CONNECTION_ID_LIMIT_ERROR));
    EXPECT(lab, most >= 2 * 8 && most <= REMOTE_ENTRIES_MAX);
}

//= rfc9000#5.1.2-5 Bound the number of locally retired CIDs whose RETIRE_CONNECTION_ID is not yet acknowledged.
//= rfc9000#5.1.2-8 Treat overflow of pending retirements as CONNECTION_ID_LIMIT_ERROR.
static void s052_too_many_unacknowledged_retirements_are_an_error(struct lab *lab)
{
    EXPECT(lab, lab_open(lab));
    flood_with_retirements(lab, 0);
}

//= rfc9000#5.1.2-6 At least twice the limit of outstanding RETIRE_CONNECTION_ID frames can be tracked.
static void b22_a_flood_of_retire_prior_to_ends_the_connection_and_not_the_memory(struct lab *lab)
{
    EXPECT(lab, lab_open(lab));
    flood_with_retirements(lab, 0);
    for (unsigned acknowledged = 7; acknowledged < 60 && !lab->world.failed; acknowledged *= 3) {
        EXPECT(lab, lab_again(lab));
        flood_with_retirements(lab, acknowledged);
    }
}

//= rfc9000#19.16-1 RETIRE_CONNECTION_ID for a sequence never issued is PROTOCOL_VIOLATION.
//= rfc9000#19.16-3 So is one for the CID that the packet was sent to.
//= rfc9000#10.3-2 The error is told by CONNECTION_CLOSE, not by a reset.
static void s054_retiring_the_packets_own_cid_or_one_never_issued_is_an_error(struct lab *lab)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        EXPECT(lab, kind == 0 ? lab_open(lab) : lab_again(lab));
        EXPECT(lab, lab_connect(lab));
        struct hand hand;
        hand_init(&hand, lab->clients[0].host, lab_client(lab)->conn);
        uint64_t own = lab_active(lab_client(lab)->conn).cid_sequence;
        frame_write_retire_connection_id(hand_begin(&hand), kind == 0 ? own : 8);
        hand_to_server(lab, &hand);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && server_found(lab, ROAM_PROTOCOL_VIOLATION));
        roam_endpoint_stats stats;
        roam_endpoint_get_stats(lab->server->endpoint, &stats);
        EXPECT(lab, stats.stateless_resets_sent == 0);
        EXPECT(lab, lab_client(lab)->error.cause == ROAM_CLOSE_PEER_TRANSPORT &&
                        lab_client(lab)->error.code == ROAM_PROTOCOL_VIOLATION);
    }
}

//= rfc9000#19.15-3 NEW_CONNECTION_ID while sending zero-length destination CIDs is PROTOCOL_VIOLATION.
//= rfc9000#19.15-2 And none is sent to a peer that does.
//= rfc9000#19.16-4 With a zero-length CID provided, RETIRE_CONNECTION_ID is PROTOCOL_VIOLATION.
static void s058_a_peer_with_zero_length_cids_has_no_others(struct lab *lab)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        lab->config.client_endpoint.cid_bytes = 0;
        EXPECT(lab, kind == 0 ? lab_open(lab) : lab_again(lab));
        oracle_record(lab->world.oracle, true);
        EXPECT(lab, lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
        struct lab_packets issued = {
            .host = lab->clients[0].host, .sent = true, .frames = ONE_FRAME(NEW_CONNECTION_ID)};
        EXPECT(lab, lab_count_packets(lab, &issued) == 0);
        struct hand hand;
        if (kind == 0) {
            hand_init(&hand, lab->clients[0].host, lab_client(lab)->conn);
            write_new_cid(hand_begin(&hand), 1, 0, 3);
            hand_to_server(lab, &hand);
            EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && server_found(lab, ROAM_PROTOCOL_VIOLATION));
        } else {
            hand_init(&hand, lab->server, lab->server_app.newest);
            frame_write_retire_connection_id(hand_begin(&hand), 0);
            hand_to_client(lab, &hand);
            EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && client_found(lab, ROAM_PROTOCOL_VIOLATION));
        }
    }
}

/* A server that hears no acknowledgement repeats its frames; when it does it must not speak of what is gone. */
static void s059_when_acknowledgements_are_lost_a_repeated_cid_is_the_one_that_it_was(struct lab *lab)
{
    static struct lab_loss nothing;
    for (int i = 0; i < 2; i++)
        lab->config.up[i].loss_ppm = 200000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 12 && !lab->world.failed; i++) {
        struct lab_loss loss = {.frames = ONE_FRAME(ACK) | ONE_FRAME(ACK_ECN), .left = 6};
        lab_lose(lab->clients[0].interfaces[(i + 1) % 2]->node.up, &loss);
        roam_address local = lab_socket(lab, (i + 1) % 2);
        client_app_migrate(lab_client(lab), &local);
        EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 30000) && lab_run(lab, ROAM_SECONDS(13)));
        loss.left = 0;
        lab_lose(lab->clients[0].interfaces[(i + 1) % 2]->node.up, &nothing);
        EXPECT(lab, held_by_client(lab)->count <= 8);
    }
    for (struct link *link = lab->world.links; link != NULL; link = link->next)
        link->config.loss_ppm = 0;
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(5)) && held_by_client(lab)->count == 8);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#5.1.2-4 When Retire Prior To rises, stop using the covered CIDs, and go on with a new one.
static void b24_a_challenge_behind_a_frame_that_retires_the_paths_cid_is_answered(struct lab *lab)
{
    lab->config.client.active_connection_id_limit = 16;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    oracle_record(lab->world.oracle, true);
    struct hand hand;
    hand_init(&hand, lab->server, lab->server_app.newest);
    roam_cid before = lab_active(lab_client(lab)->conn).cid;
    struct writer *frames = hand_begin(&hand);
    /* All that the client has but the last: its own path's CID is among them. */
    write_new_cid(frames, 100, LOCAL_CIDS_FIRST - 1, 4);
    frame_write_path(frames, FRAME_PATH_CHALLENGE, (const uint8_t *)"in there");
    hand_send(&hand, &lab->server_address[0], roam_conn_remote_address(lab->server_app.newest), DATAGRAM_BYTES_MIN);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(200)));
    roam_path_info active = lab_active(lab_client(lab)->conn);
    EXPECT(lab, !roam_cid_equal(&active.cid, &before) && active.cid_sequence == LOCAL_CIDS_FIRST - 1);
    struct lab_packets answers = {.host = lab->clients[0].host, .sent = true, .frames = ONE_FRAME(PATH_RESPONSE)};
    EXPECT(lab, lab_count_packets(lab, &answers) == 1);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_goodbye(lab));
}

const struct scenario scenarios_cids[] = {
    SCENARIO(s048_what_is_issued_used_and_retired_leaves_the_pool_full),
    SCENARIO(s050_new_cids_out_of_order_with_gaps_and_twice_are_taken),
    SCENARIO(s050_contradictory_new_cids_are_an_error),
    SCENARIO(s051_one_cid_too_many_is_an_error),
    SCENARIO(s052_too_many_unacknowledged_retirements_are_an_error),
    SCENARIO(s053_without_a_spare_cid_a_move_is_refused_until_there_is_one),
    SCENARIO(s054_retiring_the_packets_own_cid_or_one_never_issued_is_an_error),
    SCENARIO(s057_a_cid_that_another_connection_has_or_had_is_made_again),
    SCENARIO(s057_a_source_of_randomness_that_repeats_itself_for_ever_stops_nothing_else),
    SCENARIO(s058_a_peer_with_zero_length_cids_has_no_others),
    SCENARIO(s059_when_acknowledgements_are_lost_a_repeated_cid_is_the_one_that_it_was),
    SCENARIO(b20_each_cid_is_retired_by_one_frame),
    SCENARIO(b22_a_flood_of_retire_prior_to_ends_the_connection_and_not_the_memory),
    SCENARIO(b23_ten_moves_in_a_row_use_up_no_cids),
    SCENARIO(b23_ten_thousand_moves_in_a_row_use_up_no_cids),
    SCENARIO(b24_a_challenge_behind_a_frame_that_retires_the_paths_cid_is_answered),
    SCENARIO(b30_a_retired_cid_is_replaced_within_a_round_trip),
    {NULL, NULL},
};
