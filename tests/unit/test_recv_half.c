/* Tests of stream/recv_half: reassembly, final size, reset, discarding, memory. */
#include "unit/stream_testing.h"

#include "stream/recv_half.h"

struct fixture {
    struct refusing_allocator memory;
    roam_allocator allocator;
    struct recv_half half;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->allocator = refusing_allocator(&fixture->memory);
    recv_half_init(&fixture->half, &fixture->allocator);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    recv_half_check(&fixture->half);
    recv_half_done(&fixture->half);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    free(fixture);
    return 0;
}

/* Pushes the right octets; returns the error, and asserts by how much `highest` rose. */
static uint64_t push(struct recv_half *half, uint64_t offset, size_t len, bool fin)
{
    uint8_t *data = malloc(len + 1);
    fill_octets(data, len, 0, offset);
    uint64_t before = half->highest, more = 12345;
    uint64_t error = recv_half_push(half, offset, data, len, fin, &more);
    free(data);
    assert_int_equal(more, error == ROAM_NO_ERROR ? half->highest - before : 12345);
    if (error == ROAM_NO_ERROR)
        recv_half_check(half);
    return error;
}

/* Reads up to len octets, checks them, and returns how many. */
static size_t read_octets(struct recv_half *half, size_t len)
{
    size_t taken = 0, run;
    const uint8_t *data;
    while (taken < len && (run = recv_half_peek(half, &data)) > 0) {
        if (run > len - taken)
            run = len - taken;
        assert_octets(data, run, 0, half->read);
        recv_half_consume(half, run);
        recv_half_check(half);
        taken += run;
    }
    return taken;
}

static void octets_in_order_are_read_in_order(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    for (uint64_t offset = 0; offset < 120000; offset += 1200)
        assert_int_equal(push(half, offset, 1200, false), ROAM_NO_ERROR);
    assert_int_equal(recv_half_readable(half), 120000);
    assert_int_equal(half->received.count, 1);
    assert_int_equal(read_octets(half, 50000), 50000);
    assert_int_equal(read_octets(half, SIZE_MAX), 70000);
    assert_int_equal(read_octets(half, 1), 0);
}

static void a_gap_holds_back_what_lies_behind_it(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 20000, 30000, false);
    assert_int_equal(recv_half_readable(half), 0);
    push(half, 0, 10000, false);
    assert_int_equal(recv_half_readable(half), 10000);
    push(half, 10000, 10000, false);
    assert_int_equal(recv_half_readable(half), 50000);
    assert_int_equal(read_octets(half, SIZE_MAX), 50000);
}

static void what_came_first_stays(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    uint8_t wrong[3000];
    memset(wrong, 0xee, sizeof(wrong));
    push(half, 500, 500, false);
    push(half, 1500, 500, false);
    uint64_t more;
    /* Only [1000, 1500) and [2000, 3000) are new: these are of the second opinion. */
    assert_int_equal(recv_half_push(half, 500, wrong, 2500, false, &more), ROAM_NO_ERROR);
    assert_int_equal(more, 1000);
    push(half, 0, 500, false);
    const uint8_t *data;
    assert_int_equal(read_octets(half, 1000), 1000);
    assert_true(recv_half_peek(half, &data) > 0);
    assert_int_equal(data[0], 0xee);
    recv_half_consume(half, 500);
    assert_int_equal(read_octets(half, 500), 500);
    assert_true(recv_half_peek(half, &data) > 0);
    assert_int_equal(data[0], 0xee);
}

static void octets_that_were_read_may_come_again(void **state)
{
    struct fixture *fixture = *state;
    struct recv_half *half = &fixture->half;
    push(half, 0, 1000, false);
    read_octets(half, 1000);
    push(half, 0, 1000, false);
    assert_int_equal(recv_half_readable(half), 0);
    push(half, 500, 1000, false);
    assert_int_equal(recv_half_readable(half), 500);
    assert_int_equal(read_octets(half, SIZE_MAX), 500);
}

static void an_idle_half_holds_no_buffer(void **state)
{
    struct fixture *fixture = *state;
    struct recv_half *half = &fixture->half;
    push(half, 0, 12, false);
    assert_true(fixture->memory.counting.bytes_out < 2000);
    for (uint64_t offset = 20000; offset > 12; offset -= 100)
        push(half, offset, 10, false);
    push(half, 12, 20000, false);
    read_octets(half, SIZE_MAX);
    assert_true(fixture->memory.counting.bytes_out <= 256);
    push(half, half->highest, 100, false);
    assert_int_equal(read_octets(half, SIZE_MAX), 100);
}

static void the_end_is_reached_when_all_is_read(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 100, 100, true);
    assert_int_equal(half->state, RECV_SIZE_KNOWN);
    assert_int_equal(half->final_size, 200);
    push(half, 0, 100, false);
    assert_int_equal(half->state, RECV_DATA_RECVD);
    assert_false(recv_half_at_end(half));
    read_octets(half, 199);
    assert_false(recv_half_at_end(half));
    read_octets(half, 1);
    assert_true(recv_half_at_end(half));
    assert_int_equal(half->state, RECV_DATA_READ);
    assert_true(recv_half_is_terminal(half));
    assert_int_equal(push(half, 150, 50, true), ROAM_NO_ERROR);
}

static void an_end_without_data_ends_the_stream(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 0, 10, false);
    read_octets(half, 10);
    push(half, 10, 0, true);
    assert_int_equal(half->state, RECV_DATA_RECVD);
    assert_true(recv_half_at_end(half));
    assert_false(recv_half_is_terminal(half));
    recv_half_consume(half, 0);
    assert_true(recv_half_is_terminal(half));
}

static void a_changed_final_size_is_an_error(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 0, 100, false);
    assert_int_equal(push(half, 0, 99, true), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(push(half, 50, 100, true), ROAM_NO_ERROR);
    assert_int_equal(push(half, 50, 99, true), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(push(half, 50, 101, true), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(push(half, 150, 1, false), ROAM_FINAL_SIZE_ERROR);
    uint64_t more;
    assert_int_equal(recv_half_on_reset(half, 1, 149, &more), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(recv_half_on_reset(half, 1, 151, &more), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(half->final_size, 150);
}

static void a_reset_below_what_came_is_an_error(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 0, 100, false);
    uint64_t more;
    assert_int_equal(recv_half_on_reset(half, 1, 99, &more), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(half->state, RECV_OPEN);
}

static void a_reset_drops_what_was_not_read(void **state)
{
    struct fixture *fixture = *state;
    struct recv_half *half = &fixture->half;
    push(half, 0, 100, false);
    read_octets(half, 10);
    uint64_t more = 0;
    assert_int_equal(recv_half_on_reset(half, 9, 300, &more), ROAM_NO_ERROR);
    assert_int_equal(more, 200);
    assert_int_equal(half->state, RECV_RESET_RECVD);
    assert_int_equal(half->reset_code, 9);
    assert_int_equal(recv_half_readable(half), 0);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    assert_int_equal(recv_half_discard(half), 290);
    recv_half_on_reset_told(half);
    assert_true(recv_half_is_terminal(half));
    assert_int_equal(push(half, 200, 101, false), ROAM_FINAL_SIZE_ERROR);
    assert_int_equal(push(half, 200, 100, false), ROAM_NO_ERROR);
    assert_int_equal(recv_half_readable(half), 0);
}

static void a_reset_after_all_came_is_ignored(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    push(half, 0, 100, true);
    uint64_t more = 1;
    assert_int_equal(recv_half_on_reset(half, 9, 100, &more), ROAM_NO_ERROR);
    assert_int_equal(more, 0);
    assert_int_equal(half->state, RECV_DATA_RECVD);
    assert_int_equal(read_octets(half, SIZE_MAX), 100);
}

static void what_is_discarded_is_counted_and_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct recv_half *half = &fixture->half;
    push(half, 0, 100, false);
    push(half, 200, 100, false);
    read_octets(half, 50);
    assert_int_equal(recv_half_discard(half), 250);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    assert_false(recv_half_is_terminal(half));
    push(half, 300, 100, false);
    assert_int_equal(half->highest, 400);
    assert_int_equal(half->read, 400);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    push(half, 450, 50, true);
    assert_true(recv_half_is_terminal(half));
    assert_int_equal(half->read, 500);
    assert_int_equal(push(half, 500, 1, false), ROAM_FINAL_SIZE_ERROR);
}

static void gaps_beyond_the_cap_are_refused(void **state)
{
    //= rfc9000#21.7-1 Mitigate stream fragmentation and reassembly-gap attacks.
    struct recv_half *half = &((struct fixture *)*state)->half;
    for (uint64_t i = 0; i <= RECV_GAPS_MAX; i++)
        assert_int_equal(push(half, i * 2 + 1, 1, false), ROAM_NO_ERROR);
    assert_int_equal(push(half, RECV_GAPS_MAX * 2 + 3, 1, false), ROAM_INTERNAL_ERROR);
}

static void without_memory_it_is_an_internal_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->memory.refuse_one_in = 1;
    assert_int_equal(push(&fixture->half, 0, 10, false), ROAM_INTERNAL_ERROR);
    fixture->memory.refuse_one_in = 0;
    assert_int_equal(push(&fixture->half, 0, 10, false), ROAM_NO_ERROR);
    assert_int_equal(read_octets(&fixture->half, 10), 10);
}

/* Pieces of a stream in drawn order and lengths, overlapping, more than once, read in between. */
static void drawn_orders_give_the_same_stream(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t run = 1; run <= 60; run++) {
        struct seeded seeded = {run};
        uint64_t total = 1 + seeded_below(&seeded, 70000), got = 0;
        struct recv_half half;
        recv_half_init(&half, &fixture->allocator);
        for (unsigned step = 0; !recv_half_at_end(&half); step++) {
            assert_true(step < 100000);
            uint64_t low = half.read > 2000 ? half.read - 2000 : 0;
            uint64_t offset = low + seeded_below(&seeded, 20000);
            if (step % 4 == 0)
                offset = half.read + recv_half_readable(&half);
            if (offset > total)
                offset = total;
            uint64_t len = seeded_below(&seeded, 3000);
            if (len > total - offset)
                len = total - offset;
            assert_int_equal(push(&half, offset, (size_t)len, offset + len == total), ROAM_NO_ERROR);
            if (seeded_below(&seeded, 3) == 0)
                got += read_octets(&half, (size_t)seeded_below(&seeded, 9000));
            if (half.state == RECV_DATA_RECVD)
                got += read_octets(&half, SIZE_MAX);
        }
        assert_int_equal(got, total);
        recv_half_done(&half);
        assert_int_equal(fixture->memory.counting.bytes_out, 0);
    }
}

/* Octets that lie in a buffer of the caller's. */
static uint8_t *lend(struct recv_half *half, uint8_t *buffer, uint64_t offset, size_t len)
{
    uint64_t more;
    fill_octets(buffer, len, 0, offset);
    assert_int_equal(recv_half_push_lent(half, offset, buffer, len, false, &more), ROAM_NO_ERROR);
    recv_half_check(half);
    return buffer;
}

static void octets_that_are_lent_are_read_where_they_lie(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    uint8_t buffers[3][1000];
    const uint8_t *data;
    assert_int_equal(push(half, 0, 100, false), ROAM_NO_ERROR);
    lend(half, buffers[0], 100, 1000);
    lend(half, buffers[1], 1100, 1000);
    assert_int_equal(read_octets(half, 100), 100);
    assert_int_equal(recv_half_peek(half, &data), 1000);
    assert_ptr_equal(data, buffers[0]);
    recv_half_consume(half, 300);
    assert_int_equal(recv_half_peek(half, &data), 700);
    assert_ptr_equal(data, buffers[0] + 300);
    assert_int_equal(read_octets(half, 2000), 1700);
    assert_int_equal(recv_half_readable(half), 0);
}

static void loans_that_are_not_read_are_copied_when_they_end(void **state)
{
    struct fixture *fixture = *state;
    struct recv_half *half = &fixture->half;
    uint8_t buffers[2][3000];
    lend(half, buffers[0], 0, 3000);
    assert_int_equal(push(half, 9000, 1000, false), ROAM_NO_ERROR);
    assert_int_equal(read_octets(half, 500), 500);
    assert_true(recv_half_end_loans(half));
    recv_half_check(half);
    memset(buffers, 0xee, sizeof(buffers));
    assert_int_equal(read_octets(half, 1000), 1000);
    /* In order again, behind what lies in chunks. */
    assert_int_equal(push(half, 3000, 6000, false), ROAM_NO_ERROR);
    lend(half, buffers[1], 10000, 3000);
    assert_int_equal(read_octets(half, SIZE_MAX), 11500);
}

static void octets_out_of_order_are_not_kept_where_they_lie(void **state)
{
    struct recv_half *half = &((struct fixture *)*state)->half;
    uint8_t buffer[1000];
    lend(half, buffer, 1000, 1000);
    memset(buffer, 0xee, sizeof(buffer));
    assert_int_equal(push(half, 0, 1000, false), ROAM_NO_ERROR);
    assert_int_equal(read_octets(half, SIZE_MAX), 2000);
}

static void without_memory_loans_cannot_be_copied(void **state)
{
    struct fixture *fixture = *state;
    uint8_t buffer[1000];
    lend(&fixture->half, buffer, 0, 1000);
    fixture->memory.refuse_one_in = 1;
    assert_false(recv_half_end_loans(&fixture->half));
    fixture->memory.refuse_one_in = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(octets_in_order_are_read_in_order),
        TEST(a_gap_holds_back_what_lies_behind_it),
        TEST(what_came_first_stays),
        TEST(octets_that_were_read_may_come_again),
        TEST(an_idle_half_holds_no_buffer),
        TEST(the_end_is_reached_when_all_is_read),
        TEST(an_end_without_data_ends_the_stream),
        TEST(a_changed_final_size_is_an_error),
        TEST(a_reset_below_what_came_is_an_error),
        TEST(a_reset_drops_what_was_not_read),
        TEST(a_reset_after_all_came_is_ignored),
        TEST(what_is_discarded_is_counted_and_not_kept),
        TEST(gaps_beyond_the_cap_are_refused),
        TEST(without_memory_it_is_an_internal_error),
        TEST(drawn_orders_give_the_same_stream),
        TEST(octets_that_are_lent_are_read_where_they_lie),
        TEST(loans_that_are_not_read_are_copied_when_they_end),
        TEST(octets_out_of_order_are_not_kept_where_they_lie),
        TEST(without_memory_loans_cannot_be_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
