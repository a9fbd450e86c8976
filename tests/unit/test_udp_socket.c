/* Tests of io/udp_socket: many datagrams in one, out and in, what becomes of them where the kernel will not cut, and the
 * kernel's buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "io/udp_socket.h"

#define SEGMENT  1000
#define SEGMENTS 5
#define BYTES    (SEGMENT * (SEGMENTS - 1) + 300)

struct fixture {
    roam_allocator allocator;
    struct udp_socket from, to;
    struct datagram_batch out, in;
    struct socket_counters counters;
};

static int setup(void **state)
{
    static struct fixture fixture;
    roam_address any;
    fixture = (struct fixture){.allocator = roam_allocator_default()};
    if (!roam_address_parse(&any, "127.0.0.1") ||
        udp_socket_open(&fixture.from, &any, SOCKET_BUFFER_BYTES) != ROAM_OK ||
        udp_socket_open(&fixture.to, &any, SOCKET_BUFFER_BYTES) != ROAM_OK ||
        datagram_batch_init_send(&fixture.out, &fixture.allocator) != ROAM_OK ||
        datagram_batch_init_receive(&fixture.in, &fixture.allocator, RECEIVE_BYTES_MAX) != ROAM_OK)
        return 1;
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    udp_socket_close(&fixture->from);
    udp_socket_close(&fixture->to);
    datagram_batch_done(&fixture->out, &fixture->allocator);
    datagram_batch_done(&fixture->in, &fixture->allocator);
    return 0;
}

static void send_segments(struct fixture *fixture)
{
    datagram_batch_clear(&fixture->out);
    assert_true(datagram_batch_offer(&fixture->out, true));
    roam_datagram *datagram = &fixture->out.datagrams[fixture->out.count++];
    assert_true(datagram->capacity >= BYTES && datagram->segment_bytes > 0);
    for (size_t i = 0; i < BYTES; i++)
        datagram->data[i] = (uint8_t)(i % 251);
    datagram->len = BYTES;
    datagram->segment_bytes = SEGMENT;
    datagram->local = fixture->from.local;
    datagram->remote = fixture->to.local;
    assert_true(udp_socket_send(&fixture->from, &fixture->out, 1, &fixture->counters, NULL, NULL));
    assert_int_equal(fixture->counters.send_errors, 0);
}

/* Reads all that was sent, and returns in how many messages it came. */
static size_t receive_segments(struct fixture *fixture)
{
    size_t messages = 0, bytes = 0;
    while (bytes < BYTES) {
        size_t n = udp_socket_receive(&fixture->to, &fixture->in, &fixture->counters);
        assert_int_not_equal(n, 0);
        for (size_t i = 0; i < n; i++) {
            const roam_datagram *datagram = &fixture->in.datagrams[i];
            assert_true(roam_address_equal(&datagram->remote, &fixture->from.local));
            assert_true(datagram->segment_bytes == 0 ? datagram->len <= SEGMENT : datagram->segment_bytes == SEGMENT);
            for (size_t k = 0; k < datagram->len; k++)
                assert_int_equal(datagram->data[k], (bytes + k) % 251);
            bytes += datagram->len;
        }
        messages += n;
    }
    assert_int_equal(bytes, BYTES);
    return messages;
}

static void segments_come_as_single_datagrams(void **state)
{
    struct fixture *fixture = *state;
    send_segments(fixture);
    assert_int_equal(receive_segments(fixture), SEGMENTS);
    assert_false(fixture->from.cannot_segment);
}

static void a_socket_that_coalesces_gets_them_together(void **state)
{
    struct fixture *fixture = *state;
    udp_socket_coalesce(&fixture->to);
    send_segments(fixture);
    assert_true(receive_segments(fixture) < SEGMENTS);
}

static void what_the_kernel_does_not_cut_is_cut_here(void **state)
{
    struct fixture *fixture = *state;
    /* Linux segments no datagrams that are to have no checksum. */
    int on = 1;
    assert_int_equal(setsockopt(fixture->from.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
    send_segments(fixture);
    assert_true(fixture->from.cannot_segment);
    assert_int_equal(receive_segments(fixture), SEGMENTS);
}

static void without_segments_each_datagram_has_room_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    datagram_batch_clear(&fixture->out);
    size_t n = 0;
    const uint8_t *end = NULL;
    while (datagram_batch_offer(&fixture->out, false)) {
        roam_datagram *datagram = &fixture->out.datagrams[fixture->out.count++];
        assert_true(datagram->segment_bytes == 0 && datagram->capacity == SEND_BYTES_MAX);
        assert_true(end == NULL || datagram->data == end);
        datagram->len = 1000;
        end = datagram->data + datagram->len;
        n++;
    }
    assert_int_equal(n, BATCH_DATAGRAMS);
}

/* Adds a datagram of so many octets to the batch, as a connection of its own would. */
static void add(struct fixture *fixture, size_t bytes, const roam_address *remote, uint8_t ecn, bool segmented)
{
    assert_true(datagram_batch_offer(&fixture->out, segmented));
    roam_datagram *datagram = &fixture->out.datagrams[fixture->out.count];
    memset(datagram->data, 'x', bytes);
    datagram->len = bytes;
    datagram->segment_bytes = 0;
    datagram->local = fixture->from.local;
    datagram->remote = *remote;
    datagram->ecn = ecn;
    datagram_batch_add(&fixture->out, segmented);
}

static void datagrams_of_one_size_to_one_address_leave_together(void **state)
{
    struct fixture *fixture = *state;
    const roam_address *to = &fixture->to.local;
    datagram_batch_clear(&fixture->out);
    for (int i = 0; i < 3; i++)
        add(fixture, SEGMENT, to, ROAM_ECN_ECT0, true);
    assert_int_equal(fixture->out.count, 1);
    assert_int_equal(fixture->out.datagrams[0].len, 3 * SEGMENT);
    assert_int_equal(fixture->out.datagrams[0].segment_bytes, SEGMENT);
    assert_true(udp_socket_send(&fixture->from, &fixture->out, 1, &fixture->counters, NULL, NULL));
    assert_int_equal(udp_socket_receive(&fixture->to, &fixture->in, &fixture->counters), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fixture->in.datagrams[i].len, SEGMENT);
}

/* What is larger or smaller may be a probe of the path's MTU, which the kernel refuses with all that leaves with it. */
static void datagrams_that_differ_leave_by_themselves(void **state)
{
    struct fixture *fixture = *state;
    const roam_address *to = &fixture->to.local, *other = &fixture->from.local;
    datagram_batch_clear(&fixture->out);
    add(fixture, SEGMENT, to, ROAM_ECN_ECT0, true);
    add(fixture, SEGMENT + 1, to, ROAM_ECN_ECT0, true);
    add(fixture, SEGMENT, to, ROAM_ECN_ECT0, true);
    add(fixture, SEGMENT, to, ROAM_ECN_NOT_ECT, true);
    add(fixture, SEGMENT, other, ROAM_ECN_NOT_ECT, true);
    add(fixture, SEGMENT, other, ROAM_ECN_NOT_ECT, false);
    assert_int_equal(fixture->out.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(fixture->out.datagrams[i].segment_bytes, 0);
}

static void few_leave_together_lest_the_first_wait_for_the_last(void **state)
{
    struct fixture *fixture = *state;
    datagram_batch_clear(&fixture->out);
    for (int i = 0; i < JOINED_MAX + 1; i++)
        add(fixture, SEND_BYTES_MAX, &fixture->to.local, ROAM_ECN_NOT_ECT, true);
    assert_int_equal(fixture->out.count, 2);
    assert_int_equal(fixture->out.datagrams[0].len, JOINED_MAX * SEND_BYTES_MAX);
    assert_int_equal(fixture->out.datagrams[1].len, SEND_BYTES_MAX);
    assert_true(udp_socket_send(&fixture->from, &fixture->out, 2, &fixture->counters, NULL, NULL));
    assert_int_equal(fixture->counters.send_errors, 0);
    assert_false(fixture->from.cannot_segment);
}

static size_t buffer_of(const struct udp_socket *socket, int name)
{
    int bytes = 0;
    socklen_t len = sizeof(bytes);
    assert_int_equal(getsockopt(socket->fd, SOL_SOCKET, name, &bytes, &len), 0);
    return (size_t)bytes / 2;
}

static void buffers_are_of_the_size_that_was_asked_for_where_everybody_may_have_that(void **state)
{
    struct fixture *fixture = *state;
    udp_socket_ask_buffers(&fixture->to, 65536);
    assert_int_equal(fixture->to.receive_buffer_bytes, 65536);
    assert_int_equal(fixture->to.send_buffer_bytes, 65536);
    assert_int_equal(buffer_of(&fixture->to, SO_RCVBUF), 65536);
    assert_int_equal(buffer_of(&fixture->to, SO_SNDBUF), 65536);
}

static void a_socket_asks_for_its_buffers_when_it_is_opened(void **state)
{
    struct fixture *fixture = *state;
    assert_in_range(fixture->to.receive_buffer_bytes, 1, SOCKET_BUFFER_BYTES);
    assert_int_equal(fixture->to.receive_buffer_bytes, buffer_of(&fixture->to, SO_RCVBUF));
    assert_int_equal(fixture->to.send_buffer_bytes, buffer_of(&fixture->to, SO_SNDBUF));
}

/* Nobody gets as much as this. */
static void what_is_told_of_buffers_is_what_was_granted_and_not_what_was_wanted(void **state)
{
    struct fixture *fixture = *state;
    udp_socket_ask_buffers(&fixture->to, SIZE_MAX);
    assert_in_range(fixture->to.receive_buffer_bytes, 1, SOCKET_BUFFER_BYTES_MAX);
    assert_in_range(fixture->to.send_buffer_bytes, 1, SOCKET_BUFFER_BYTES_MAX);
    assert_int_equal(fixture->to.receive_buffer_bytes, buffer_of(&fixture->to, SO_RCVBUF));
    assert_int_equal(fixture->to.send_buffer_bytes, buffer_of(&fixture->to, SO_SNDBUF));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(segments_come_as_single_datagrams),
        TEST(a_socket_that_coalesces_gets_them_together),
        TEST(what_the_kernel_does_not_cut_is_cut_here),
        TEST(without_segments_each_datagram_has_room_of_its_own),
        TEST(datagrams_of_one_size_to_one_address_leave_together),
        TEST(datagrams_that_differ_leave_by_themselves),
        TEST(few_leave_together_lest_the_first_wait_for_the_last),
        TEST(a_socket_asks_for_its_buffers_when_it_is_opened),
        TEST(buffers_are_of_the_size_that_was_asked_for_where_everybody_may_have_that),
        TEST(what_is_told_of_buffers_is_what_was_granted_and_not_what_was_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
