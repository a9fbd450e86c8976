/* Tests of stream/stream.h: the rules for every frame, limits, events, what is sent in which order, and the end of
 * streams. */
#include "unit/stream_world.h"

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static void opening_a_stream_opens_the_lower_ones_in_order(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 8, 0, 5, false), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 0, 0);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 4, 0);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 8, 0);
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 8, 0);
    expect_no_event(server);
    assert_int_equal(stream_frame(server, 2, 0, 0, false), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 2, 0);
}

static void every_frame_about_a_stream_opens_it(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stop_frame(server, 0, 1), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 0, 0);
    expect_event(server, ROAM_EVENT_STREAM_STOPPED, 0, 1);
    assert_int_equal(stream_maximum_frame(server, FRAME_MAX_STREAM_DATA, 4, 1), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 4, 0);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 8, 1), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 8, 0);
    assert_int_equal(reset_frame(server, 12, 3, 0), ROAM_NO_ERROR);
    expect_event(server, ROAM_EVENT_STREAM_OPENED, 12, 0);
    expect_event(server, ROAM_EVENT_STREAM_RESET, 12, 3);
}

static void a_stream_beyond_our_limit_is_a_stream_limit_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 16, 0, 1, false), ROAM_STREAM_LIMIT_ERROR);
    assert_int_equal(stream_frame(server, 2 + 8, 0, 1, false), ROAM_STREAM_LIMIT_ERROR);
    assert_int_equal(reset_frame(server, 16, 0, 0), ROAM_STREAM_LIMIT_ERROR);
    assert_int_equal(stop_frame(server, 16, 0), ROAM_STREAM_LIMIT_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_MAX_STREAM_DATA, 16, 9), ROAM_STREAM_LIMIT_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 16, 9), ROAM_STREAM_LIMIT_ERROR);
    expect_no_event(server);
    assert_int_equal(stream_frame(server, 12, 0, 1, false), ROAM_NO_ERROR);
}

static void a_stream_of_ours_that_is_not_open_is_a_stream_state_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 1, 0, 1, false), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(reset_frame(server, 1, 0, 0), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stop_frame(server, 1, 0), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stop_frame(server, 3, 0), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_MAX_STREAM_DATA, 1, 9), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 1, 9), ROAM_STREAM_STATE_ERROR);
}

static void a_frame_about_a_half_that_is_not_there_is_a_stream_state_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    open_stream(server, true);
    assert_int_equal(stream_frame(server, 3, 0, 1, false), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(reset_frame(server, 3, 0, 0), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 3, 9), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stop_frame(server, 2, 0), ROAM_STREAM_STATE_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_MAX_STREAM_DATA, 2, 9), ROAM_STREAM_STATE_ERROR);
}

static void stream_counts_above_2_60_are_a_frame_encoding_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    struct frame frame = {.type = FRAME_MAX_STREAMS_BIDI, .maximum = MAX_STREAMS_LIMIT + 1};
    assert_int_equal(stream_on_max_streams(&server->set, &frame), ROAM_FRAME_ENCODING_ERROR);
    frame.type = FRAME_STREAMS_BLOCKED_UNI;
    assert_int_equal(stream_on_blocked(&server->set, &frame), ROAM_FRAME_ENCODING_ERROR);
}

static void opening_beyond_the_peers_limit_waits_for_max_streams(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    open_stream(client, true);
    assert_int_equal(roam_stream_id(open_stream(client, true)), 6);
    roam_result result;
    assert_null(stream_open(&client->set, true, &result));
    assert_int_equal(result, ROAM_ERR_LIMIT);
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAMS_BLOCKED_UNI, 2);
    assert_null(stream_open(&client->set, true, NULL));
    expect_no_frame(client);
    lost(client, frame);
    frame = expect_frame(client, FRAME_STREAMS_BLOCKED_UNI, 2);
    assert_int_equal(maximum_frame(client, FRAME_MAX_STREAMS_UNI, 2), ROAM_NO_ERROR);
    expect_no_event(client);
    assert_int_equal(maximum_frame(client, FRAME_MAX_STREAMS_UNI, 3), ROAM_NO_ERROR);
    expect_event(client, ROAM_EVENT_STREAMS_AVAILABLE, UINT64_MAX, 0);
    lost(client, frame);
    expect_no_frame(client);
    assert_int_equal(roam_stream_id(open_stream(client, true)), 10);
}

static void max_streams_is_renewed_as_the_peers_streams_end(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 6, 0, 0, true), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 2, 0, 3, true), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 10, 0, 0, true), ROAM_STREAM_LIMIT_ERROR);
    roam_stream_free(expect_event(server, ROAM_EVENT_STREAM_OPENED, 2, 0));
    struct stream_frame_out frame = expect_frame(server, FRAME_MAX_STREAMS_UNI, 3);
    assert_null(stream_find(&server->set, 2));
    assert_int_equal(stream_frame(server, 10, 0, 0, true), ROAM_NO_ERROR);
    lost(server, frame);
    frame = expect_frame(server, FRAME_MAX_STREAMS_UNI, 3);
    roam_stream_free(stream_find(&server->set, 6));
    expect_frame(server, FRAME_MAX_STREAMS_UNI, 4);
    lost(server, frame);
    expect_no_frame(server);
}

static void frames_for_forgotten_streams_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    struct side *server = &fixture->server;
    stream_frame(server, 2, 0, 3, true);
    roam_stream_free(expect_event(server, ROAM_EVENT_STREAM_OPENED, 2, 0));
    uint64_t received = server->set.receive_flow.received;
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 2, 0);
    assert_int_equal(stream_frame(server, 2, 0, 3, true), ROAM_NO_ERROR);
    assert_int_equal(reset_frame(server, 2, 0, 3), ROAM_NO_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 2, 9), ROAM_NO_ERROR);
    expect_no_event(server);
    assert_int_equal(server->set.receive_flow.received, received);

    roam_stream *stream = open_stream(server, true);
    roam_stream_finish(stream);
    roam_stream_free(stream);
    while (server->set.max_streams_pending[0] || server->set.max_streams_pending[1]) {
        struct packet packet;
        fill_packet(server, &packet, PACKET_BYTES);
        packet_acked(server, &packet);
    }
    assert_null(stream_find(&server->set, 3));
    assert_int_equal(stop_frame(server, 3, 0), ROAM_NO_ERROR);
    assert_int_equal(stream_maximum_frame(server, FRAME_MAX_STREAM_DATA, 3, 9999), ROAM_NO_ERROR);
    expect_no_event(server);
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static void data_beyond_a_limit_is_a_flow_control_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 0, 3999, 1, false), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 0, 4000, 1, false), ROAM_FLOW_CONTROL_ERROR);
    assert_int_equal(stream_frame(server, 4, 3999, 1, false), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 8, 0, 2001, false), ROAM_FLOW_CONTROL_ERROR);
}

static void a_reset_is_charged_with_its_final_size(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(reset_frame(server, 0, 1, 4001), ROAM_FLOW_CONTROL_ERROR);
    assert_int_equal(stream_frame(server, 0, 0, 100, false), ROAM_NO_ERROR);
    assert_int_equal(reset_frame(server, 0, 1, 4000), ROAM_NO_ERROR);
    assert_int_equal(server->set.receive_flow.received, 4000);
    assert_int_equal(server->set.receive_flow.consumed, 4000);
    assert_int_equal(reset_frame(server, 4, 1, 4000), ROAM_NO_ERROR);
    assert_int_equal(reset_frame(server, 8, 1, 2001), ROAM_FLOW_CONTROL_ERROR);
}

static void data_past_the_final_size_is_a_final_size_error(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    assert_int_equal(stream_frame(server, 0, 0, 100, true), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 0, 100, 1, false), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(stream_frame(server, 4, 0, 100, false), ROAM_NO_ERROR);
    assert_int_equal(reset_frame(server, 4, 0, 99), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(reset_frame(server, 8, 0, 50), ROAM_NO_ERROR);
    assert_int_equal(stream_frame(server, 8, 50, 1, false), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(reset_frame(server, 8, 0, 51), ROAM_FINAL_SIZE_ERROR);
}

static void no_memory_for_a_stream_or_its_data_is_an_internal_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->memory.refuse_one_in = 1;
    assert_int_equal(stream_frame(&fixture->server, 0, 0, 1, false), ROAM_INTERNAL_ERROR);
    roam_result result;
    assert_null(stream_open(&fixture->client.set, false, &result));
    assert_int_equal(result, ROAM_ERR_MEMORY);
    fixture->memory.refuse_one_in = 0;
    roam_stream *stream = open_stream(&fixture->client, false);
    fixture->memory.refuse_one_in = 1;
    assert_int_equal(write_octets(stream, 10), ROAM_ERR_MEMORY);
    assert_int_equal(stream_frame(&fixture->client, 0, 0, 1, false), ROAM_INTERNAL_ERROR);
    fixture->memory.refuse_one_in = 0;
}

static void readable_comes_once_until_a_read_found_nothing(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[100];
    const uint8_t *where;
    bool end = true;
    stream_frame(server, 0, 10, 10, false);
    roam_stream *stream = expect_event(server, ROAM_EVENT_STREAM_OPENED, 0, 0);
    expect_no_event(server);
    stream_frame(server, 0, 0, 10, false);
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 0, 0);
    stream_frame(server, 0, 20, 10, false);
    expect_no_event(server);
    assert_int_equal(roam_stream_read(stream, data, 100, &end), 30);
    assert_octets(data, 30, 0, 0);
    assert_false(end);
    stream_frame(server, 0, 30, 10, false);
    expect_no_event(server);
    assert_int_equal(roam_stream_peek(stream, &where, &end), 10);
    assert_octets(where, 10, 0, 30);
    roam_stream_consume(stream, 10);
    assert_int_equal(roam_stream_peek(stream, &where, &end), 0);
    assert_false(end);
    stream_frame(server, 0, 40, 0, true);
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 0, 0);
    assert_int_equal(roam_stream_read(stream, data, 100, &end), 0);
    assert_true(end);
    stream_frame(server, 0, 30, 10, true);
    expect_no_event(server);
}

static void reading_gives_credit_to_the_stream_and_the_connection(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[8000];
    stream_frame(server, 0, 0, 4000, false);
    stream_frame(server, 4, 0, 4000, false);
    assert_int_equal(roam_stream_read(stream_find(&server->set, 0), data, 1999, NULL), 1999);
    expect_no_frame(server);
    assert_int_equal(roam_stream_read(stream_find(&server->set, 0), data, 1, NULL), 1);
    assert_true(server->wakes > 0);
    struct stream_frame_out frame = expect_frame(server, FRAME_MAX_STREAM_DATA, 0);
    assert_int_equal(frame.offset, 6000);
    roam_stream_read(stream_find(&server->set, 4), data, 4000, NULL);
    struct stream_frame_out max_data = expect_frame(server, FRAME_MAX_DATA, 16000);
    assert_int_equal(expect_frame(server, FRAME_MAX_STREAM_DATA, 4).offset, 8000);
    lost(server, frame);
    assert_int_equal(expect_frame(server, FRAME_MAX_STREAM_DATA, 0).offset, 6000);
    lost(server, max_data);
    lost(server, max_data);
    expect_frame(server, FRAME_MAX_DATA, 16000);
    expect_no_frame(server);
}

static void a_known_size_gets_no_more_stream_credit(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[4000];
    stream_frame(server, 0, 0, 4000, true);
    roam_stream_read(stream_find(&server->set, 0), data, 3000, NULL);
    expect_no_frame(server);
    stream_frame(server, 4, 0, 3000, false);
    roam_stream_read(stream_find(&server->set, 4), data, 3000, NULL);
    assert_int_equal(reset_frame(server, 4, 0, 3000), ROAM_NO_ERROR);
    expect_frame(server, FRAME_MAX_DATA, 16000);
    expect_no_frame(server);
}

static void a_blocked_peer_gets_what_credit_there_is(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[100];
    stream_frame(server, 0, 0, 100, false);
    roam_stream_read(stream_find(&server->set, 0), data, 100, NULL);
    expect_no_frame(server);
    assert_int_equal(stream_maximum_frame(server, FRAME_STREAM_DATA_BLOCKED, 0, 4000), ROAM_NO_ERROR);
    assert_int_equal(expect_frame(server, FRAME_MAX_STREAM_DATA, 0).offset, 4100);
    assert_int_equal(maximum_frame(server, FRAME_DATA_BLOCKED, 10000), ROAM_NO_ERROR);
    expect_frame(server, FRAME_MAX_DATA, 10100);
    assert_int_equal(maximum_frame(server, FRAME_DATA_BLOCKED, 10000), ROAM_NO_ERROR);
    assert_int_equal(maximum_frame(server, FRAME_STREAMS_BLOCKED_BIDI, 4), ROAM_NO_ERROR);
    expect_no_frame(server);
}

static void a_reset_ends_reading(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[10];
    stream_frame(server, 2, 0, 10, false);
    roam_stream *stream = expect_event(server, ROAM_EVENT_STREAM_OPENED, 2, 0);
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 2, 0);
    reset_frame(server, 2, 77, 10);
    expect_event(server, ROAM_EVENT_STREAM_RESET, 2, 77);
    reset_frame(server, 2, 78, 10);
    expect_no_event(server);
    assert_int_equal(roam_stream_read(stream, data, 10, NULL), ROAM_ERR_CLOSED);
    roam_stream_stop(stream, 1);
    roam_stream_free(stream);
    assert_null(stream_find(&server->set, 2));
    expect_frame(server, FRAME_MAX_STREAMS_UNI, 3);
    expect_no_frame(server);
}

static void stop_throws_away_what_comes_and_gives_its_credit_back(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    uint8_t data[10];
    stream_frame(server, 0, 0, 3000, false);
    roam_stream *stream = expect_event(server, ROAM_EVENT_STREAM_OPENED, 0, 0);
    expect_event(server, ROAM_EVENT_STREAM_READABLE, 0, 0);
    roam_stream_stop(stream, 5);
    roam_stream_stop(stream, 6);
    assert_int_equal(roam_stream_read(stream, data, 10, NULL), ROAM_ERR_CLOSED);
    struct stream_frame_out frame = expect_frame(server, FRAME_STOP_SENDING, 0);
    assert_int_equal(stream->stop_code, 5);
    expect_no_frame(server);
    lost(server, frame);
    expect_frame(server, FRAME_STOP_SENDING, 0);
    stream_frame(server, 0, 3000, 1000, false);
    assert_int_equal(server->set.receive_flow.consumed, 4000);
    reset_frame(server, 0, 5, 4000);
    expect_event(server, ROAM_EVENT_STREAM_RESET, 0, 5);
    lost(server, frame);
    expect_no_frame(server);
}

static void stop_sending_is_answered_with_a_reset_of_the_same_code(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    write_octets(stream, 500);
    struct stream_frame_out data = expect_frame(client, FRAME_STREAM, 0);
    assert_int_equal(stop_frame(client, 0, 42), ROAM_NO_ERROR);
    expect_event(client, ROAM_EVENT_STREAM_STOPPED, 0, 42);
    assert_int_equal(stop_frame(client, 0, 43), ROAM_NO_ERROR);
    expect_no_event(client);
    assert_int_equal(write_octets(stream, 1), ROAM_ERR_CLOSED);
    assert_int_equal(roam_stream_finish(stream), ROAM_ERR_CLOSED);
    roam_stream_reset(stream, 44);
    uint8_t packet[100];
    struct writer writer = writer_init(packet, sizeof(packet));
    struct stream_frame_out out;
    assert_true(stream_set_fill(&client->set, &moment, &writer, &out));
    struct reader reader = reader_init(packet, writer_len(&writer));
    struct frame frame;
    assert_int_equal(frame_parse(&frame, &reader), ROAM_NO_ERROR);
    assert_int_equal(frame.type, FRAME_RESET_STREAM);
    assert_int_equal(frame.reset_stream.code, 42);
    assert_int_equal(frame.reset_stream.final_size, 500);
    lost(client, data);
    expect_no_frame(client);
    lost(client, out);
    acked(client, expect_frame(client, FRAME_RESET_STREAM, 0));
    assert_int_equal(stream->send.state, SEND_RESET_RECVD);
    lost(client, out);
    expect_no_frame(client);
}

static void a_stream_is_being_received_from_its_first_octet_to_its_last(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    assert_false(stream_set_is_receiving(&client->set));
    stream_frame(client, 0, 0, 100, false);
    assert_true(stream_set_is_receiving(&client->set));
    stream_frame(client, 0, 150, 50, true);
    assert_true(stream_set_is_receiving(&client->set));
    stream_frame(client, 0, 100, 50, false);
    assert_false(stream_set_is_receiving(&client->set));
    roam_stream_free(stream);
}

static void a_stream_that_our_limits_hold_up_is_not_being_received_unless_octets_are_missing(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    const uint64_t limit = stream->receive_flow.limit;
    stream_frame(client, 0, 0, limit - 10, false);
    assert_true(stream_set_is_receiving(&client->set));
    stream_frame(client, 0, limit - 5, 5, false);
    assert_true(stream_set_is_receiving(&client->set));
    stream_frame(client, 0, limit - 10, 5, false);
    assert_false(stream_set_is_receiving(&client->set));
    roam_stream_stop(stream, 1);
    assert_false(stream_set_is_receiving(&client->set));
    roam_stream_free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_a_stream_opens_the_lower_ones_in_order),
        TEST(every_frame_about_a_stream_opens_it),
        TEST(a_stream_beyond_our_limit_is_a_stream_limit_error),
        TEST(a_stream_of_ours_that_is_not_open_is_a_stream_state_error),
        TEST(a_frame_about_a_half_that_is_not_there_is_a_stream_state_error),
        TEST(stream_counts_above_2_60_are_a_frame_encoding_error),
        TEST(opening_beyond_the_peers_limit_waits_for_max_streams),
        TEST(max_streams_is_renewed_as_the_peers_streams_end),
        TEST(frames_for_forgotten_streams_are_ignored),
        TEST(data_beyond_a_limit_is_a_flow_control_error),
        TEST(a_reset_is_charged_with_its_final_size),
        TEST(data_past_the_final_size_is_a_final_size_error),
        TEST(no_memory_for_a_stream_or_its_data_is_an_internal_error),
        TEST(readable_comes_once_until_a_read_found_nothing),
        TEST(reading_gives_credit_to_the_stream_and_the_connection),
        TEST(a_known_size_gets_no_more_stream_credit),
        TEST(a_blocked_peer_gets_what_credit_there_is),
        TEST(a_reset_ends_reading),
        TEST(stop_throws_away_what_comes_and_gives_its_credit_back),
        TEST(stop_sending_is_answered_with_a_reset_of_the_same_code),
        TEST(a_stream_is_being_received_from_its_first_octet_to_its_last),
        TEST(a_stream_that_our_limits_hold_up_is_not_being_received_unless_octets_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
