/* Tests of stream/stream_fill and stream_api: what is sent in which order, blocking, the application's calls, the end
 * of streams. */
#include <stdio.h>

#include "base/minmax.h"
#include "stream/stream_internal.h"
#include "unit/stream_world.h"

static void what_fits_is_sent_and_no_more(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    write_octets(stream, 4000);
    assert_true(client->wakes > 0);
    struct packet packet;
    /* Every size of packet, over every length of the header's fields. */
    uint64_t offset = 0;
    for (size_t room = 0; room < 75; room++) {
        bool sent = fill_packet(client, &packet, room);
        assert_int_equal(sent, room >= (offset > 0 ? 5 : 4));
        if (sent) {
            /* Where one octet more would lengthen the length field, that octet stays free. */
            assert_true(packet.len <= room && packet.len + 1 >= room);
            assert_octets(packet.frames[0].data.data, packet.frames[0].len, 0, offset);
            offset += packet.frames[0].len;
        }
    }
    assert_true(fill_packet(client, &packet, 1200));
    /* The first buffer of a stream ends somewhere: another frame fills up what is left. */
    assert_true(packet.len >= 1196 && packet.len <= 1200);
}

/* Octets that the stream whose turn it is sends before another one does. */
static uint64_t send_one_turn(struct side *client, uint64_t expected_id)
{
    uint64_t bytes = 0;
    while (stream_set_wants(&client->set)) {
        const struct list_node *head =
            list_is_empty(&client->set.tables->sendable) ? &client->set.tables->fresh : &client->set.tables->sendable;
        if (CONTAINER_OF(head->next, roam_stream, send_node)->id != expected_id)
            break;
        struct packet packet;
        assert_true(fill_packet(client, &packet, 500));
        assert_int_equal(packet.frames[0].id, expected_id);
        bytes += packet.frames[0].len;
    }
    return bytes;
}

static void streams_take_turns_of_some_packets(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    assert_int_equal(maximum_frame(client, FRAME_MAX_DATA, 1000000), ROAM_NO_ERROR);
    for (uint64_t id = 0; id <= 8; id += 4) {
        roam_stream *stream = open_stream(client, false);
        assert_int_equal(stream_maximum_frame(client, FRAME_MAX_STREAM_DATA, id, 100000), ROAM_NO_ERROR);
        write_octets(stream, 20000);
    }
    for (uint64_t id = 0; id <= 8; id += 4) {
        uint64_t bytes = send_one_turn(client, id);
        /* But for what shared a packet with the turn before. */
        assert_true(bytes > STREAM_TURN_BYTES - 500 && bytes < STREAM_TURN_BYTES + 500);
    }
    for (uint64_t id = 0; id <= 8; id += 4)
        assert_true(send_one_turn(client, id) <= 20000 - STREAM_TURN_BYTES);
    assert_false(stream_set_wants(&client->set));
}

/* A stream with `len` octets to send. */
static roam_stream *ready_stream(struct side *client, uint8_t urgency, bool incremental, size_t len)
{
    roam_stream *stream = open_stream(client, false);
    stream_maximum_frame(client, FRAME_MAX_STREAM_DATA, stream->id, 1000000);
    write_octets(stream, len);
    roam_stream_set_priority(stream, urgency, incremental);
    return stream;
}

/* Writes "0 8 4 ": the streams in the order of their turns. */
static void tell_turns(struct side *client, char *ret, size_t size)
{
    uint64_t last = UINT64_MAX;
    size_t at = 0;
    ret[0] = '\0';
    for (struct packet packet; stream_set_wants(&client->set) && at + 8 < size;) {
        assert_true(fill_packet(client, &packet, 1200));
        if (packet.frames[0].id != last)
            at += (size_t)snprintf(ret + at, size - at, "%u ", (unsigned)packet.frames[0].id);
        last = packet.frames[0].id;
    }
}

static void the_urgent_go_before_the_others(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    char turns[64];
    maximum_frame(client, FRAME_MAX_DATA, 1000000);
    ready_stream(client, 5, true, 10000);
    ready_stream(client, 3, true, 10000);
    ready_stream(client, 0, true, 10000);
    ready_stream(client, 200, true, 10000); // as 7
    tell_turns(client, turns, sizeof(turns));
    assert_string_equal(turns, "8 4 0 12 ");
    // One that becomes urgent goes on at once.
    write_octets(stream_find(&client->set, 0), 9000);
    write_octets(stream_find(&client->set, 4), 9000);
    struct packet packet;
    assert_true(fill_packet(client, &packet, 1200));
    assert_int_equal(packet.frames[0].id, 4);
    roam_stream_set_priority(stream_find(&client->set, 0), 1, false);
    tell_turns(client, turns, sizeof(turns));
    assert_string_equal(turns, "0 4 ");
}

static void those_of_no_use_in_parts_go_one_after_the_other(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    char turns[64];
    maximum_frame(client, FRAME_MAX_DATA, 1000000);
    roam_stream *first = ready_stream(client, 3, false, 10000);
    ready_stream(client, 3, false, 20000);
    // The first has nothing for a while, and then goes on before the second.
    struct packet packet;
    while (send_half_wants(&first->send, first->send_flow.limit))
        assert_true(fill_packet(client, &packet, 1200));
    write_octets(first, 9000);
    tell_turns(client, turns, sizeof(turns));
    assert_string_equal(turns, "0 4 ");
}

static void those_that_take_turns_are_not_starved(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    char turns[64];
    maximum_frame(client, FRAME_MAX_DATA, 1000000);
    ready_stream(client, 3, false, 20000);
    ready_stream(client, 3, false, 10000);
    ready_stream(client, 3, true, 20000);
    ready_stream(client, 3, true, 10000);
    tell_turns(client, turns, sizeof(turns));
    assert_string_equal(turns, "0 8 0 4 12 8 ");
}

static void lost_data_of_any_stream_goes_before_new_data(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *first = open_stream(client, false), *second = open_stream(client, false);
    write_octets(first, 100);
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAM, 0);
    write_octets(second, 100);
    write_octets(first, 100);
    lost(client, frame);
    frame = expect_frame(client, FRAME_STREAM, 0);
    assert_int_equal(frame.offset, 0);
    assert_int_equal(frame.len, 100);
    assert_int_equal(expect_frame(client, FRAME_STREAM, 4).offset, 0);
    assert_int_equal(expect_frame(client, FRAME_STREAM, 0).offset, 100);
    assert_int_equal(client->set.bytes_sent, 300);
    assert_int_equal(client->set.bytes_resent, 100);
}

static void send_all(struct side *side)
{
    struct packet packet;
    while (fill_packet(side, &packet, PACKET_BYTES))
        packet_acked(side, &packet);
    assert_false(stream_set_wants(&side->set));
}

static void a_blocked_stream_says_so_once_and_goes_on_with_credit(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    assert_int_equal(write_octets(stream, 5000), 5000);
    roam_stream_finish(stream);
    uint8_t data[6000];
    struct writer writer = writer_init(data, sizeof(data));
    struct stream_frame_out frame;
    uint64_t sent = 0;
    while (sent < 4000 && stream_set_fill(&client->set, &moment, &writer, &frame)) {
        assert_int_equal(frame.type, FRAME_STREAM);
        assert_false(frame.fin);
        sent = frame.offset + frame.len;
        writer.pos += frame.len;
    }
    assert_int_equal(sent, 4000);
    frame = expect_frame(client, FRAME_STREAM_DATA_BLOCKED, 0);
    assert_int_equal(frame.offset, 4000);
    expect_no_frame(client);
    lost(client, frame);
    expect_frame(client, FRAME_STREAM_DATA_BLOCKED, 0);
    assert_int_equal(stream_maximum_frame(client, FRAME_MAX_STREAM_DATA, 0, 4000), ROAM_NO_ERROR);
    expect_no_frame(client);
    assert_int_equal(stream_maximum_frame(client, FRAME_MAX_STREAM_DATA, 0, 9000), ROAM_NO_ERROR);
    lost(client, frame);
    frame = expect_frame(client, FRAME_STREAM, 0);
    assert_int_equal(frame.offset, 4000);
    send_all(client);
}

static void a_blocked_connection_says_so_once_and_resends_without_credit(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *streams[4];
    for (int i = 0; i < 4; i++) {
        streams[i] = open_stream(client, false);
        write_octets(streams[i], 3000);
    }
    uint8_t data[20000];
    struct writer writer = writer_init(data, sizeof(data));
    struct stream_frame_out frame, first = {0};
    while (client->set.send_flow.used < 10000 && stream_set_fill(&client->set, &moment, &writer, &frame)) {
        assert_int_equal(frame.type, FRAME_STREAM);
        if (first.len == 0)
            first = frame;
        writer.pos += frame.len;
    }
    assert_int_equal(client->set.send_flow.used, 10000);
    struct stream_frame_out blocked = expect_frame(client, FRAME_DATA_BLOCKED, 10000);
    expect_no_frame(client);
    lost(client, blocked);
    expect_frame(client, FRAME_DATA_BLOCKED, 10000);
    expect_no_frame(client);
    lost(client, first);
    frame = expect_frame(client, FRAME_STREAM, first.id);
    assert_int_equal(frame.offset, first.offset);
    assert_int_equal(client->set.send_flow.used, 10000);
    while (stream_set_wants(&client->set)) {
        writer = writer_init(data, sizeof(data));
        assert_true(stream_set_fill(&client->set, &moment, &writer, &frame));
        stream_set_check(&client->set);
    }
    assert_int_equal(maximum_frame(client, FRAME_MAX_DATA, 9999), ROAM_NO_ERROR);
    expect_no_frame(client);
    assert_int_equal(maximum_frame(client, FRAME_MAX_DATA, 12000), ROAM_NO_ERROR);
    lost(client, blocked);
    send_all(client);
    assert_int_equal(client->set.send_flow.used, 12000);
}

static void a_short_write_is_followed_by_writable_when_there_is_room(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    assert_int_equal(stream_maximum_frame(client, FRAME_MAX_STREAM_DATA, 0, 100000), ROAM_NO_ERROR);
    assert_int_equal(maximum_frame(client, FRAME_MAX_DATA, 100000), ROAM_NO_ERROR);
    uint8_t data[30000] = {0};
    assert_int_equal(roam_stream_write(stream, data, sizeof(data)), 20000);
    assert_int_equal(roam_stream_unacknowledged(stream), 20000);
    struct packet packet;
    while (roam_stream_unacknowledged(stream) > 10000) {
        expect_no_event(client);
        assert_true(fill_packet(client, &packet, 1000));
        packet_acked(client, &packet);
    }
    expect_event(client, ROAM_EVENT_STREAM_WRITABLE, 0, 0);
    send_all(client);
    expect_no_event(client);
}

static void lent_octets_are_returned_once_they_are_acknowledged(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, true);
    uint8_t data[30] = {0};
    assert_int_equal(roam_stream_lend(stream, data, sizeof(data)), sizeof(data));
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAM, 2);
    assert_ptr_equal(frame.data.data, data);
    assert_int_equal(roam_stream_acknowledged(stream), 0);
    expect_no_event(client);
    acked(client, frame);
    expect_event(client, ROAM_EVENT_STREAM_RETURNED, 2, 0);
    assert_int_equal(roam_stream_acknowledged(stream), sizeof(data));
    /* What is given back before that is copied. */
    assert_int_equal(roam_stream_lend(stream, data, sizeof(data)), sizeof(data));
    assert_int_equal(roam_stream_finish(stream), ROAM_OK);
    assert_int_equal(roam_stream_lend(stream, data, 1), ROAM_ERR_CLOSED);
    roam_stream_free(stream);
    assert_ptr_not_equal(expect_frame(client, FRAME_STREAM, 2).data.data, data);
}

static void finished_comes_once_when_everything_was_acknowledged(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, true);
    write_octets(stream, 10);
    assert_int_equal(roam_stream_finish(stream), ROAM_OK);
    assert_int_equal(roam_stream_finish(stream), ROAM_OK);
    assert_int_equal(write_octets(stream, 1), ROAM_ERR_CLOSED);
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAM, 2);
    assert_true(frame.fin);
    lost(client, frame);
    struct stream_frame_out again = expect_frame(client, FRAME_STREAM, 2);
    assert_true(again.fin);
    expect_no_event(client);
    acked(client, again);
    acked(client, frame);
    expect_event(client, ROAM_EVENT_STREAM_FINISHED, 2, 0);
    expect_no_event(client);
    roam_stream_reset(stream, 3);
    expect_no_frame(client);
    roam_stream_free(stream);
    assert_null(stream_find(&client->set, 2));
}

static void the_wrong_half_answers_with_a_state_error(void **state)
{
    struct fixture *fixture = *state;
    uint8_t data[10];
    const uint8_t *where;
    roam_stream *sender = open_stream(&fixture->client, true);
    assert_int_equal(roam_stream_read(sender, data, 10, NULL), ROAM_ERR_STATE);
    assert_int_equal(roam_stream_peek(sender, &where, NULL), ROAM_ERR_STATE);
    roam_stream_consume(sender, 1);
    roam_stream_stop(sender, 1);
    expect_no_frame(&fixture->client);
    stream_frame(&fixture->server, 2, 0, 1, false);
    roam_stream *receiver = stream_find(&fixture->server.set, 2);
    assert_int_equal(roam_stream_write(receiver, data, 10), ROAM_ERR_STATE);
    assert_int_equal(roam_stream_finish(receiver), ROAM_ERR_STATE);
    roam_stream_reset(receiver, 1);
    expect_no_frame(&fixture->server);
}

static void a_handle_knows_its_place(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, true);
    int mine;
    assert_int_equal(roam_stream_id(stream), 2);
    assert_ptr_equal(roam_stream_conn(stream), client->set.conn);
    assert_null(roam_stream_user(stream));
    roam_stream_set_user(stream, &mine);
    assert_ptr_equal(roam_stream_user(stream), &mine);
    roam_stream_free(NULL);
}

static void a_freed_stream_still_delivers_what_was_finished(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, true);
    write_octets(stream, 10);
    roam_stream_finish(stream);
    roam_stream_free(stream);
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAM, 2);
    assert_true(frame.fin);
    lost(client, frame);
    acked(client, expect_frame(client, FRAME_STREAM, 2));
    assert_null(stream_find(&client->set, 2));
    expect_no_event(client);
    lost(client, frame);
    acked(client, frame);
}

static void a_freed_stream_is_reset_and_stopped_where_it_was_not_at_its_end(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    roam_stream *stream = open_stream(client, false);
    write_octets(stream, 10);
    roam_stream_free(stream);
    assert_non_null(stream_find(&client->set, 0));
    struct stream_frame_out reset = expect_frame(client, FRAME_RESET_STREAM, 0);
    expect_frame(client, FRAME_STOP_SENDING, 0);
    expect_no_frame(client);
    acked(client, reset);
    assert_int_equal(stream_frame(client, 0, 0, 3000, false), ROAM_NO_ERROR);
    assert_int_equal(client->set.receive_flow.consumed, 3000);
    assert_int_equal(stream_frame(client, 0, 3000, 1, true), ROAM_NO_ERROR);
    assert_null(stream_find(&client->set, 0));
    expect_no_event(client);
}

static void a_probe_resends_the_oldest_data_and_then_has_none(void **state)
{
    struct side *client = &((struct fixture *)*state)->client;
    assert_false(stream_set_retransmit_oldest(&client->set, 1000));
    roam_stream *stream = open_stream(client, false);
    write_octets(stream, 500);
    struct stream_frame_out frame = expect_frame(client, FRAME_STREAM, 0);
    expect_no_frame(client);
    assert_true(stream_set_retransmit_oldest(&client->set, 200));
    struct stream_frame_out probe = expect_frame(client, FRAME_STREAM, 0);
    assert_int_equal(probe.offset, 0);
    assert_int_equal(probe.len, 200);
    acked(client, frame);
    assert_false(stream_set_retransmit_oldest(&client->set, 200));
    expect_no_frame(client);
}

static void an_idle_stream_holds_no_buffers(void **state)
{
    struct fixture *fixture = *state;
    struct side *client = &fixture->client;
    roam_stream *stream = open_stream(client, false);
    size_t before = fixture->memory.counting.bytes_out;
    uint8_t data[4000];
    write_octets(stream, 3000);
    send_all(client);
    assert_int_equal(fixture->memory.counting.bytes_out, before);
    stream_frame(client, 0, 0, 3000, false);
    roam_stream_read(stream, data, sizeof(data), NULL);
    assert_true(fixture->memory.counting.bytes_out <= before + 128);
}

static void a_closed_connection_still_hands_out_what_had_come(void **state)
{
    struct side *server = &((struct fixture *)*state)->server;
    stream_frame(server, 0, 0, 10, false);
    stream_frame(server, 4, 0, 10, true);
    roam_stream *open = stream_find(&server->set, 0), *ended = stream_find(&server->set, 4);
    roam_stream *given_back = open_stream(server, false);
    write_octets(given_back, 10);
    roam_stream_finish(given_back);
    roam_stream_free(given_back);
    stream_set_close(&server->set);
    assert_null(stream_find(&server->set, 1));
    stream_set_check(&server->set);
    uint8_t data[20];
    bool end;
    assert_int_equal(roam_stream_read(open, data, 20, &end), 10);
    assert_false(end);
    assert_int_equal(roam_stream_read(open, data, 20, &end), ROAM_ERR_CLOSED);
    assert_int_equal(roam_stream_read(ended, data, 20, &end), 10);
    assert_true(end);
    assert_int_equal(write_octets(open, 1), ROAM_ERR_CLOSED);
    assert_int_equal(roam_stream_finish(open), ROAM_ERR_CLOSED);
    roam_result result;
    assert_null(stream_open(&server->set, false, &result));
    assert_int_equal(result, ROAM_ERR_CLOSED);
    assert_int_equal(stream_frame(server, 0, 0, 9000, false), ROAM_NO_ERROR);
    roam_stream_stop(open, 1);
    roam_stream_reset(open, 1);
    expect_no_frame(server);
    roam_stream_free(open);
    assert_null(stream_find(&server->set, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_fits_is_sent_and_no_more),
        TEST(streams_take_turns_of_some_packets),
        TEST(the_urgent_go_before_the_others),
        TEST(those_of_no_use_in_parts_go_one_after_the_other),
        TEST(those_that_take_turns_are_not_starved),
        TEST(lost_data_of_any_stream_goes_before_new_data),
        TEST(a_blocked_stream_says_so_once_and_goes_on_with_credit),
        TEST(a_blocked_connection_says_so_once_and_resends_without_credit),
        TEST(a_short_write_is_followed_by_writable_when_there_is_room),
        TEST(lent_octets_are_returned_once_they_are_acknowledged),
        TEST(finished_comes_once_when_everything_was_acknowledged),
        TEST(the_wrong_half_answers_with_a_state_error),
        TEST(a_handle_knows_its_place),
        TEST(a_freed_stream_still_delivers_what_was_finished),
        TEST(a_freed_stream_is_reset_and_stopped_where_it_was_not_at_its_end),
        TEST(a_probe_resends_the_oldest_data_and_then_has_none),
        TEST(an_idle_stream_holds_no_buffers),
        TEST(a_closed_connection_still_hands_out_what_had_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
