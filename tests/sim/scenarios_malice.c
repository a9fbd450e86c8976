/* A06, A08, A29, A31 to A34: a peer that has the keys and means harm. He does not end the connection, he makes it work,
 * or hold. */
#include "endpoint/conn_table.h"
#include "sim/hand.h"
#include "sim/oracle.h"
#include "sim/scenario.h"
#include "stream/recv_half.h"

#define ONE_FRAME(type) frame_bit(FRAME_##type)

static roam_endpoint_stats stats_of_server(const struct lab *lab)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    return stats;
}

static void hand_to_server(struct lab *lab, struct hand *hand)
{
    hand_send(hand, roam_conn_local_address(hand->conn), &lab->clients[0].remote, 0);
}

static bool server_ended_it(const struct lab *lab, uint64_t code)
{
    return lab->server_app.closed == 1 && lab->server_app.error.cause == ROAM_CLOSE_LOCAL_TRANSPORT &&
           lab->server_app.error.code == code;
}

/* A connection, and a hand that writes for its client. */
static bool begin(struct lab *lab, struct hand *hand)
{
    if (!lab_open(lab) || !lab_connect(lab))
        return false;
    hand_init(hand, lab->clients[0].host, lab_client(lab)->conn);
    return true;
}

/* ---- Connection IDs */

/* Gives back all CIDs from this one on, the newest first, as soon as they are sent. Returns the next that is not. */
static uint64_t retire_from(struct lab *lab, struct hand *hand, uint64_t first)
{
    const struct local_cid_set *set = &lab->server_app.newest->local_cids;
    struct writer *frames = hand_begin(hand);
    uint64_t end = first;
    for (size_t i = set->count; i-- > 0 && set->entries[i].sequence >= first;) {
        if (set->entries[i].sequence >= set->sent_below)
            continue;
        frame_write_retire_connection_id(frames, set->entries[i].sequence);
        end = end > set->entries[i].sequence + 1 ? end : set->entries[i].sequence + 1;
    }
    if (end > first)
        hand_to_server(lab, hand);
    return end;
}

static void a06_cids_given_back_as_they_come_are_replaced_one_by_one_and_take_no_memory(struct lab *lab)
{
    struct hand hand;
    lab->config.up[0].delay = lab->config.down[0].delay = ROAM_MILLISECONDS(2);
    EXPECT(lab, begin(lab, &hand));
    /* The client has none of this done, and would take it for too many CIDs. */
    struct lab_loss loss = {ONE_FRAME(NEW_CONNECTION_ID), UINT64_MAX};
    lab_lose(lab->clients[0].interfaces[0]->node.down, &loss);
    const struct local_cid_set *set = &lab->server_app.newest->local_cids;
    uint64_t next = lab_active(hand.conn).cid_sequence + 1, memory = 0;
    for (unsigned round = 0; round < 7000; round++) {
        next = retire_from(lab, &hand, next);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(4)) && lab->server_app.newest != NULL);
        EXPECT(lab, set->count <= LOCAL_CIDS_MAX && set->next_sequence <= next + LOCAL_CIDS_MAX);
        memory = round == 6000 ? lab->server->alloc.bytes : memory;
        EXPECT(lab, round <= 6000 || lab->server->alloc.bytes <= memory + 4096);
    }
    lab_report(lab, "%llu CIDs in 28 s", (unsigned long long)next);
    EXPECT(lab, next > QUARANTINE_MAX && lab->server->alloc.bytes < 768 * 1024);
    EXPECT(lab, stats_of_server(lab).limits[ROAM_LIMIT_RETIRED_CIDS] > 0);
    lab->clients[0].interfaces[0]->node.down->filter = NULL;
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
}

/* ---- Acknowledgements */

/* Of the server's newest packets, those that are still on record and that chance picks. */
static void acknowledge_some(struct lab *lab, struct hand *hand, struct sim_rng *rng)
{
    struct pn_space *space = &lab->server_app.newest->application;
    struct range ranges[32];
    size_t count = 0;
    uint64_t from = space->next_number > 200 ? space->next_number - 200 : 0;
    for (uint64_t number = from; number < space->next_number && count < 32; number++) {
        if (sent_map_find(&space->sent, number) == NULL || sim_rng_below(rng, 3) != 0)
            continue;
        if (count > 0 && ranges[count - 1].end == number)
            ranges[count - 1].end++;
        else
            ranges[count++] = (struct range){.start = number, .end = number + 1};
    }
    if (count == 0)
        return;
    frame_write_ack(hand_begin(hand), ranges, count, count, 0, NULL);
    hand_to_server(lab, hand);
}

static void a08_acknowledgements_of_probes_on_paths_that_come_and_go_confuse_nobody(struct lab *lab)
{
    lab->config.server.max_paths = 3;
    struct hand hand;
    struct sim_rng rng;
    EXPECT(lab, begin(lab, &hand));
    sim_rng_init(&rng, lab->config.seed, "acknowledgements");
    for (unsigned n = 0; n < 400; n++) {
        const roam_address local = lab_socket(lab, n % 2);
        const uint8_t data[PATH_DATA_BYTES] = {(uint8_t)n, (uint8_t)(n >> 8)};
        struct writer *frames = hand_begin(&hand);
        frame_write_path(frames, FRAME_PATH_CHALLENGE, data);
        if (n % 7 == 0)
            frame_write_ping(frames); /* the row moves there */
        hand_send(&hand, &local, &lab->clients[0].remote, 1200);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(n % 5 * 15)) && lab->server_app.newest != NULL);
        acknowledge_some(lab, &hand, &rng);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(n % 3 * 40)) && lab->server_app.newest != NULL);
    }
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_PATH_NEW) > 50);
    EXPECT(lab, lab->server->alloc.bytes < 512 * 1024 && lab_server_paths(lab) <= 3);
}

static void a33_a_peer_that_acknowledges_what_has_not_reached_it_is_found_out(struct lab *lab)
{
    lab->config.down[0].rate_bits_per_s = 8000000;
    struct hand hand;
    EXPECT(lab, begin(lab, &hand));
    lab_begin(lab, TRANSFER_DOWNLOAD, UINT64_C(1) << 30);
    const struct pn_space *space = &lab->server_app.newest->application;
    uint64_t first = 0, last = 0;
    /* All that was sent, as soon as it was sent: the window would grow without a round trip. */
    for (unsigned n = 0; n < 4000 && lab->server_app.closed == 0; n++) {
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(2)));
        if (lab->server_app.newest == NULL)
            break;
        last = space->next_number;
        first = first == 0 ? last : first;
        const struct range all = {.start = 0, .end = last};
        frame_write_ack(hand_begin(&hand), &all, 1, 1, 0, NULL);
        hand_to_server(lab, &hand);
    }
    lab_report(lab, "found out after %llu packets", (unsigned long long)(last - first));
    EXPECT(lab, server_ended_it(lab, ROAM_PROTOCOL_VIOLATION) && last - first <= 1024);
}

static void a34_acknowledgements_of_many_ranges_are_answered_by_nothing(struct lab *lab)
{
    struct hand hand;
    EXPECT(lab, begin(lab, &hand) && lab_transfer(lab, TRANSFER_DOWNLOAD, 300000) && lab_run(lab, ROAM_SECONDS(2)));
    struct pn_space *space = &lab->server_app.newest->application;
    struct range ranges[200];
    size_t count = 0;
    /* Every second one that was sent, so far back that none is on record any more. */
    for (uint64_t number = 1; number < space->next_number && count < 200; number += 2)
        if (number != space->skipped)
            ranges[count++] = (struct range){.start = number, .end = number + 1};
    EXPECT(lab, count > 90 && lab_run(lab, ROAM_SECONDS(1)));
    const uint64_t sent = lab->server->datagrams_out, memory = lab->server->alloc.bytes;
    for (unsigned n = 0; n < 2000; n++) {
        frame_write_ack(hand_begin(&hand), ranges, count, count, 0, NULL);
        hand_to_server(lab, &hand);
        EXPECT(lab, n % 20 != 19 || lab_run(lab, ROAM_MILLISECONDS(1)));
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab->server->datagrams_out == sent);
    EXPECT(lab, lab->server->alloc.bytes <= memory + 16 * 1024);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000) && lab_goodbye(lab));
}

/* ---- Streams */

#define WINDOW (1024 * 1024)

/* Gaps of one octet in all the streams that there may be, until the one gap more. */
static void a29_gaps_in_every_stream_take_no_more_than_was_granted_and_a_little(struct lab *lab)
{
    lab->config.server.initial_max_data = lab->config.server.initial_max_stream_data = WINDOW;
    const uint64_t streams = lab->config.server.initial_max_streams_bidi + lab->config.server.initial_max_streams_uni;
    struct hand hand;
    EXPECT(lab, begin(lab, &hand));
    const uint64_t memory = lab->server->alloc.bytes, most = WINDOW + streams * (RECV_OVERHEAD_BYTES_MAX + 2048);
    for (uint64_t stream = 0; stream < streams; stream++) {
        const uint64_t id = stream / 2 * 4 + (stream % 2 == 0 ? 0 : STREAM_UNIDIRECTIONAL);
        struct writer *frames = hand_begin(&hand);
        for (uint64_t i = 0; i <= RECV_GAPS_MAX; i++) {
            frame_write_stream_header(frames, id, 1 + 2 * i, 1, false);
            write_u8(frames, 0);
            if (i % 150 != 149 && i < RECV_GAPS_MAX)
                continue;
            hand_to_server(lab, &hand);
            frames = hand_begin(&hand);
        }
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(10)) && lab->server->alloc.bytes - memory <= most);
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab->server_app.closed == 0);
    const uint64_t taken = lab->server->alloc.bytes - memory;
    lab_report(lab, "%llu streams take %llu KiB", (unsigned long long)streams, (unsigned long long)(taken / 1024));
    EXPECT(lab, taken > streams * RECV_GAPS_MAX * sizeof(struct range));
    frame_write_stream_header(hand_begin(&hand), 0, 1 + 2 * (RECV_GAPS_MAX + 1), 1, false);
    write_u8(&hand.frames, 0);
    hand_to_server(lab, &hand);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)) && server_ended_it(lab, ROAM_INTERNAL_ERROR));
    EXPECT(lab, stats_of_server(lab).limits[ROAM_LIMIT_STREAM_GAPS] == 1);
    EXPECT(lab, lab->server->alloc.bytes <= memory);
}

/* The largest holes that flow control allows: a chunk is made for a single octet, and charged with all before it. */
static void a32_an_octet_at_the_end_of_each_window_takes_no_more_than_was_granted(struct lab *lab)
{
    lab->config.server.initial_max_data = lab->config.server.initial_max_stream_data = WINDOW;
    struct hand hand;
    EXPECT(lab, begin(lab, &hand));
    const uint64_t memory = lab->server->alloc.bytes, chunk = RECV_CHUNK_BYTES;
    for (uint64_t at = chunk; at + 1 < WINDOW; at += chunk) {
        frame_write_stream_header(hand_begin(&hand), 0, at, 1, false);
        write_u8(&hand.frames, 0);
        hand_to_server(lab, &hand);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(2)));
        EXPECT(lab, lab->server->alloc.bytes - memory <= at + RECV_OVERHEAD_BYTES_MAX + 8192);
    }
    EXPECT(lab, lab->server_app.closed == 0);
    /* And one octet more than was granted to all streams together. */
    frame_write_stream_header(hand_begin(&hand), 4, chunk, 1, false);
    write_u8(&hand.frames, 0);
    hand_to_server(lab, &hand);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && server_ended_it(lab, ROAM_FLOW_CONTROL_ERROR));
    EXPECT(lab, stats_of_server(lab).limits[ROAM_LIMIT_FLOW_CONTROL] == 1);
}

static void a31_streams_that_are_reset_at_once_give_no_room_for_others_before_they_are_given_back(struct lab *lab)
{
    struct hand hand;
    EXPECT(lab, begin(lab, &hand));
    const uint64_t allowed = lab->config.server.initial_max_streams_bidi, memory = lab->server->alloc.bytes;
    oracle_record(lab->world.oracle, true);
    for (uint64_t n = 0; n < allowed; n++) {
        frame_write_reset_stream(hand_begin(&hand), 4 * n, 0, 0);
        hand_to_server(lab, &hand);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(5)));
    }
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && lab->server_app.closed == 0);
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_STREAM_RESET) == allowed);
    const struct lab_packets credit = {lab->server, true, 0, ONE_FRAME(MAX_STREAMS_BIDI), 0, NULL, NULL};
    EXPECT(lab, lab_count_packets(lab, &credit) == 0 && lab->server->alloc.bytes < memory + allowed * 2048);
    frame_write_reset_stream(hand_begin(&hand), 4 * allowed, 0, 0);
    hand_to_server(lab, &hand);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(1)) && server_ended_it(lab, ROAM_STREAM_LIMIT_ERROR));
}

const struct scenario scenarios_malice[] = {
    SCENARIO(a06_cids_given_back_as_they_come_are_replaced_one_by_one_and_take_no_memory),
    SCENARIO(a08_acknowledgements_of_probes_on_paths_that_come_and_go_confuse_nobody),
    SCENARIO(a29_gaps_in_every_stream_take_no_more_than_was_granted_and_a_little),
    SCENARIO(a31_streams_that_are_reset_at_once_give_no_room_for_others_before_they_are_given_back),
    SCENARIO(a32_an_octet_at_the_end_of_each_window_takes_no_more_than_was_granted),
    SCENARIO(a33_a_peer_that_acknowledges_what_has_not_reached_it_is_found_out),
    SCENARIO(a34_acknowledgements_of_many_ranges_are_answered_by_nothing),
    {NULL, NULL},
};
