/* S049, S055, S056, B11: connection IDs change while the addresses stay, because the peer asks for it, and with every
 * deliberate move; and somebody looks on in all networks. */
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

static roam_cid written_by_client(struct lab *lab)
{
    return lab_active(lab_client(lab)->conn).cid;
}

static roam_cid written_by_server(struct lab *lab)
{
    return lab_active(lab->server_app.newest).cid;
}

static uint64_t changes(const struct lab *lab)
{
    return lab_client_count(lab, ROAM_EVENT_CID_CHANGED) + lab_server_count(lab, ROAM_EVENT_CID_CHANGED);
}

/* ---- On the peer's request --------------------------------------------------------------------------------------- */

static const roam_cid_plan enciphered = {.kind = ROAM_CID_QUIC_LB,
                                         .config_id = 1,
                                         .server_id_bytes = 2,
                                         .server_id = {0xbe, 0xef},
                                         .nonce_bytes = 5,
                                         .has_key = true,
                                         .key = "one of the keys"};

static bool all_are_of_plan(struct lab *lab, const roam_cid_plan *plan)
{
    const struct remote_cid_set *held = &lab_client(lab)->conn->remote_cids;
    for (size_t i = 0; i < held->count; i++) {
        roam_cid_parts parts;
        if (!roam_cid_plan_decode(plan, &held->entries[i].cid, &parts) ||
            memcmp(parts.server_id, plan->server_id, sizeof(parts.server_id)) != 0)
            return false;
    }
    return held->count >= LOCAL_CIDS_FIRST;
}

//= rfc9000#5.1.2-4 When Retire Prior To rises, stop using the covered CIDs and queue their RETIRE_CONNECTION_ID.
//= rfc9000#5.1.2-2 CIDs asked to be retired are accepted until RETIRE_CONNECTION_ID arrives.
//= rfc9000#5.1.1-2 Keep accepting packets on every CID you issued until the peer retires it.
static void s049_a_new_plan_in_mid_download_changes_all_cids_within_a_round_trip_and_stalls_nothing(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 20000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 3000000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(400)));
    for (uint8_t round = 0; round < 3; round++) {
        roam_cid_plan plan = enciphered;
        plan.config_id = round;
        plan.key[0] = round;
        lab->workload.transfers[0].longest_stall = 0;
        roam_cid before = written_by_client(lab);
        EXPECT(lab, roam_endpoint_set_cid_plan(lab->server->endpoint, world_now(&lab->world), &plan) == ROAM_OK);
        host_turn(lab->server);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(110)));
        roam_cid after = written_by_client(lab);
        EXPECT(lab, !roam_cid_equal(&before, &after) && all_are_of_plan(lab, &plan));
        /* The first change is the first use of another CID, and with that the client gets the rest. */
        EXPECT(lab, lab_server_count(lab, ROAM_EVENT_CID_RETIRED) == LOCAL_CIDS_FIRST + LOCAL_CIDS_MAX * (size_t)round);
        EXPECT(lab, lab->workload.transfers[0].longest_stall < ROAM_MILLISECONDS(100));
    }
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    EXPECT(lab, stats.moves == 0 && stats.drops[ROAM_DROP_UNKNOWN_CONNECTION] == 0);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(10)) && lab_goodbye(lab));
}

/* A request that comes before the last one is met waits for it. */
//= rfc9000#10.3.2-2 With a static reset key, use one CID length.
//= rfc9000#5.1.2-9 Do not raise Retire Prior To again before all CIDs covered by the previous value were retired.
static void s049_plans_that_change_faster_than_a_round_trip_leave_the_newest(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_cid_plan plan = enciphered;
    for (uint8_t round = 0; round < 5; round++) {
        plan.key[1] = round;
        EXPECT(lab, roam_endpoint_set_cid_plan(lab->server->endpoint, world_now(&lab->world), &plan) == ROAM_OK);
        host_turn(lab->server);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(7)));
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && all_are_of_plan(lab, &plan));
    const roam_cid_plan longer = {.kind = ROAM_CID_QUIC_LB, .server_id_bytes = 2, .nonce_bytes = 8};
    EXPECT(lab, roam_endpoint_set_cid_plan(lab->server->endpoint, world_now(&lab->world), &longer) == ROAM_ERR_CONFIG);
    const roam_cid_plan random = {.kind = ROAM_CID_RANDOM};
    EXPECT(lab, roam_endpoint_set_cid_plan(lab->server->endpoint, world_now(&lab->world), &random) == ROAM_OK);
    host_turn(lab->server);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && !all_are_of_plan(lab, &plan));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000) && lab_goodbye(lab));
}

/* ---- After a silence, a time, so many octets --------------------------------------------------------------------- */

//= rfc9000#9.5-1 Change destination CID at any time to one unused on another path.
static void s055_after_a_silence_both_sides_write_new_cids(struct lab *lab)
{
    lab->config.client.max_idle_timeout = lab->config.server.max_idle_timeout = ROAM_SECONDS(120);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    for (int i = 0; i < 3; i++) {
        roam_cid ours = written_by_client(lab), theirs = written_by_server(lab);
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)) && lab_transfer(lab, TRANSFER_ECHO, 1000));
        roam_cid same = written_by_client(lab), also = written_by_server(lab);
        EXPECT(lab, roam_cid_equal(&ours, &same) && roam_cid_equal(&theirs, &also));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(25)) && lab_transfer(lab, TRANSFER_ECHO, 1000));
        same = written_by_client(lab), also = written_by_server(lab);
        EXPECT(lab, !roam_cid_equal(&ours, &same) && !roam_cid_equal(&theirs, &also));
        EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && changes(lab) == 2u * (unsigned)(i + 1));
        EXPECT(lab, lab_client(lab)->conn->remote_cids.count == 8 && lab->server_app.newest->remote_cids.count == 8);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void s055_where_it_is_turned_off_a_silence_changes_nothing(struct lab *lab)
{
    lab->config.client.max_idle_timeout = lab->config.server.max_idle_timeout = ROAM_SECONDS(120);
    lab->config.client.cid_rotate_idle = lab->config.server.cid_rotate_idle = 0;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(60)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && changes(lab) == 0 && lab_goodbye(lab));
}

/* With but two CIDs one is in use and one is for a move. */
static void s055_the_last_spare_cid_is_left_for_a_move(struct lab *lab)
{
    lab->config.client.max_idle_timeout = lab->config.server.max_idle_timeout = ROAM_SECONDS(120);
    lab->config.client.active_connection_id_limit = lab->config.server.active_connection_id_limit = 2;
    lab->config.client.cid_rotate_bytes = lab->config.server.cid_rotate_bytes = 10000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(60)));
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 5000) && changes(lab) == 0);
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(1)));
    EXPECT(lab, lab_server_follows(lab, 1) && lab_goodbye(lab));
}

/* The other side is not told to: it follows, once for each change, and there is no end of neither's making. */
static void s055_cids_change_after_so_many_octets_and_the_peer_follows(struct lab *lab)
{
    lab->config.client.cid_rotate_bytes = 50000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (int i = 0; i < 4; i++) {
        uint64_t client = lab_client_count(lab, ROAM_EVENT_CID_CHANGED);
        uint64_t server = lab_server_count(lab, ROAM_EVENT_CID_CHANGED);
        EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 55000) && lab_run(lab, ROAM_SECONDS(2)));
        EXPECT(lab, lab_client_count(lab, ROAM_EVENT_CID_CHANGED) == client + 1);
        EXPECT(lab, lab_server_count(lab, ROAM_EVENT_CID_CHANGED) == server + 1);
    }
    EXPECT(lab, lab_goodbye(lab));
}

static void s055_cids_change_after_a_time(struct lab *lab)
{
    lab->config.server.cid_rotate_after = ROAM_SECONDS(5);
    lab->config.client.keep_alive = ROAM_SECONDS(1);
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && lab_run(lab, ROAM_SECONDS(31)));
    uint64_t server = lab_server_count(lab, ROAM_EVENT_CID_CHANGED),
             client = lab_client_count(lab, ROAM_EVENT_CID_CHANGED);
    EXPECT(lab, server >= 5 && server <= 6 && client >= 5 && client <= 7);
    EXPECT(lab, lab_goodbye(lab));
}

/* A peer that goes on and on under one CID of ours is asked to change. */
static void s055_a_peer_that_does_not_change_by_itself_is_asked_to(struct lab *lab)
{
    lab->config.client.cid_rotate_bytes = 40000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_cid before = written_by_server(lab);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 30000));
    roam_cid same = written_by_server(lab);
    EXPECT(lab, roam_cid_equal(&before, &same) && lab_client_count(lab, ROAM_EVENT_CID_RETIRED) == 0);
    EXPECT(lab, lab_transfer(lab, TRANSFER_DOWNLOAD, 60000) && lab_run(lab, ROAM_SECONDS(1)));
    same = written_by_server(lab);
    EXPECT(lab, !roam_cid_equal(&before, &same) && lab_client_count(lab, ROAM_EVENT_CID_RETIRED) >= 1);
    EXPECT(lab, lab_client(lab)->conn->local_cids.retire_prior_to >= 1 && lab_goodbye(lab));
}

/* ---- For ever ---------------------------------------------------------------------------------------------------- */

//= rfc9000#5.1-2 Never issue the same CID value twice within one connection.
//= rfc9000#5.1.1-1 Number issued CIDs consecutively.
static void s056_thousands_of_cids_are_numbered_in_a_row_and_none_comes_twice(struct lab *lab)
{
    lab->config.client.cid_rotate_bytes = lab->config.server.cid_rotate_bytes = 4000;
    lab->config.client_endpoint.max_events = lab->config.server_endpoint.max_events = 1000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    struct sim_map seen = {0};
    uint64_t server_bytes = 0, client_bytes = 0, sequence = 0;
    size_t looked_at = 0;
    for (unsigned i = 0; i < 600 && !lab->world.failed; i++) {
        lab_transfer(lab, TRANSFER_ECHO, 30000);
        lab_run(lab, ROAM_MILLISECONDS(200));
        const struct remote_cid_set *held = &lab_client(lab)->conn->remote_cids;
        for (size_t k = 0; k < held->count; k++) {
            if (looked_at > 0 && held->entries[k].sequence <= sequence)
                continue;
            bool added;
            sim_map_get(&seen, sim_hash_cid(1, &held->entries[k].cid), 0, &added);
            if (!added || (looked_at > 0 && held->entries[k].sequence > sequence + 8))
                world_fail(&lab->world, "CID %llu comes twice, or out of turn",
                           (unsigned long long)held->entries[k].sequence);
            sequence = held->entries[k].sequence;
            looked_at++;
        }
        if (i == 200) {
            server_bytes = lab->server->alloc.bytes;
            client_bytes = lab->clients[0].host->alloc.bytes;
        }
        if (i > 200 && (lab->server->alloc.bytes > server_bytes + 16384 ||
                        lab->clients[0].host->alloc.bytes > client_bytes + 16384))
            world_fail(&lab->world, "memory grows");
    }
    sim_map_done(&seen);
    EXPECT(lab, sequence > 600 && lab_client(lab)->conn->remote_cids.seen.count == 0);
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#5.1.1-1 A number that no frame can carry is not given.
static void s056_when_the_numbers_are_used_up_the_connection_goes_on_with_the_cids_that_it_has(struct lab *lab)
{
    lab->config.client.cid_rotate_bytes = 4000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    /* 2^62 CIDs ago. What the client has not seen in between counts as seen. */
    struct local_cid_set *issued = &lab->server_app.newest->local_cids;
    struct remote_cid_set *held = &lab_client(lab)->conn->remote_cids;
    issued->peer_limit = issued->count;
    issued->next_sequence = issued->sent_below = UINT64_C(1) << 62;
    held->seen.below = UINT64_C(1) << 62;
    EXPECT(lab, local_cid_wanted(issued) == 0);
    for (int i = 0; i < 20; i++)
        EXPECT(lab, lab_transfer(lab, TRANSFER_UPLOAD, 5000) && lab_run(lab, ROAM_SECONDS(1)));
    /* All but the one that is kept for a move, and that in use, have had their day. */
    EXPECT(lab, held->count == 2 && !lab_client(lab)->closed);
}

/* ---- Who looks on ------------------------------------------------------------------------------------------------ */

/* Of n coins as many fall on one side as may be by chance, six standard deviations to each. */
static bool is_fair(uint64_t ones, uint64_t n)
{
    double off = (double)ones - (double)n / 2;
    return off * off <= 36 * (double)n / 4;
}

static void look_for_links(struct lab *lab)
{
    EXPECT(lab, lab_connect(lab));
    for (size_t i = 0; i < 6; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_DOWNLOAD : TRANSFER_UPLOAD, 150000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(70)));
        roam_cid ours = written_by_client(lab), theirs = written_by_server(lab);
        roam_address local = lab_socket(lab, (i + 1) % 2);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(20)) && lab_run(lab, ROAM_SECONDS(12)));
        roam_cid now_ours = written_by_client(lab), now_theirs = written_by_server(lab);
        EXPECT(lab, !roam_cid_equal(&ours, &now_ours) && !roam_cid_equal(&theirs, &now_theirs));
    }
    const struct linkage_stats *stats = linkage_stats(oracle_linkage(lab->world.oracle));
    EXPECT(lab, stats->short_headers > 1000 && stats->places == 7 && stats->cids >= 14 && stats->spins == 0);
    /* Reserved bits, key phase, the length of the packet number and the number itself say nothing. */
    for (size_t bit = 0; bit < LINKAGE_PROTECTED_BITS; bit++)
        EXPECT(lab, is_fair(stats->ones[bit], stats->short_headers));
    EXPECT(lab, lab_goodbye(lab));
}

//= rfc9000#9.5-2 Never use one destination CID from more than one local address.
//= rfc9000#9.5-3 Never use one destination CID toward more than one peer address.
//= rfc9000#5.1-1 Nothing lets an outside observer tie a CID to another one of the same connection.
static void b11_who_looks_on_in_both_networks_cannot_link_a_deliberate_move(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++)
        lab->config.down[i].rate_bits_per_s = lab->config.up[i].rate_bits_per_s = 20000000;
    EXPECT(lab, lab_open(lab));
    look_for_links(lab);
    if (lab->world.failed)
        return;
    lab->config.server_endpoint.cid_plan = enciphered;
    EXPECT(lab, lab_again(lab));
    look_for_links(lab);
}

const struct scenario scenarios_rotation[] = {
    SCENARIO(s049_a_new_plan_in_mid_download_changes_all_cids_within_a_round_trip_and_stalls_nothing),
    SCENARIO(s049_plans_that_change_faster_than_a_round_trip_leave_the_newest),
    SCENARIO(s055_after_a_silence_both_sides_write_new_cids),
    SCENARIO(s055_where_it_is_turned_off_a_silence_changes_nothing),
    SCENARIO(s055_the_last_spare_cid_is_left_for_a_move),
    SCENARIO(s055_cids_change_after_so_many_octets_and_the_peer_follows),
    SCENARIO(s055_cids_change_after_a_time),
    SCENARIO(s055_a_peer_that_does_not_change_by_itself_is_asked_to),
    SCENARIO(s056_thousands_of_cids_are_numbered_in_a_row_and_none_comes_twice),
    SCENARIO(s056_when_the_numbers_are_used_up_the_connection_goes_on_with_the_cids_that_it_has),
    SCENARIO(b11_who_looks_on_in_both_networks_cannot_link_a_deliberate_move),
    {NULL, NULL},
};
