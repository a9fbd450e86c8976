/* Tests of stream/send_half: order of sending, the fate of ranges, the end, reset, memory. */
#include "unit/stream_testing.h"

#include "stream/send_half.h"

#define NO_LIMIT UINT64_MAX

struct fixture {
    struct refusing_allocator memory;
    roam_allocator allocator;
    struct send_half half;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->allocator = refusing_allocator(&fixture->memory);
    send_half_init(&fixture->half, &fixture->allocator, 1 << 20);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    send_half_check(&fixture->half);
    send_half_done(&fixture->half);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    free(fixture);
    return 0;
}

static size_t write_octets(struct send_half *half, size_t len)
{
    uint8_t *data = malloc(len);
    fill_octets(data, len, 0, half->written);
    size_t taken = send_half_write(half, data, len);
    free(data);
    send_half_check(half);
    return taken;
}

/* Sends the next run, which must be [offset, offset + len). */
static void expect_sent(struct send_half *half, uint64_t limit, size_t max, uint64_t offset, size_t len, bool fin)
{
    uint64_t got_offset;
    const uint8_t *data;
    size_t got_len;
    bool got_fin;
    assert_true(send_half_wants(half, limit));
    assert_true(send_half_next(half, limit, max, &got_offset, &data, &got_len, &got_fin));
    assert_int_equal(got_offset, offset);
    assert_int_equal(got_len, len);
    assert_int_equal(got_fin, fin);
    assert_octets(data, len, 0, offset);
    send_half_on_sent(half, offset, len, fin);
    send_half_check(half);
}

static void expect_nothing(struct send_half *half, uint64_t limit)
{
    uint64_t offset;
    const uint8_t *data;
    size_t len;
    bool fin;
    assert_false(send_half_wants(half, limit));
    assert_false(send_half_next(half, limit, 1000, &offset, &data, &len, &fin));
}

static void data_goes_out_in_order_and_up_to_the_limit(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    expect_nothing(half, NO_LIMIT);
    assert_int_equal(write_octets(half, 900), 900);
    expect_sent(half, 500, 300, 0, 300, false);
    expect_sent(half, 500, 300, 300, 200, false);
    expect_nothing(half, 500);
    expect_sent(half, 900, 1000, 500, 400, false);
    expect_nothing(half, NO_LIMIT);
}

static void a_write_takes_what_the_capacity_leaves(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    half->capacity = 1000;
    assert_int_equal(write_octets(half, 1500), 1000);
    assert_int_equal(send_half_room(half), 0);
    assert_int_equal(write_octets(half, 1), 0);
    expect_sent(half, NO_LIMIT, 600, 0, 600, false);
    assert_true(send_half_on_acked(half, 0, 600, false));
    assert_int_equal(send_half_room(half), 600);
    assert_int_equal(write_octets(half, 700), 600);
}

static void lost_data_goes_before_new_data_and_needs_no_credit(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    write_octets(half, 900);
    expect_sent(half, NO_LIMIT, 300, 0, 300, false);
    expect_sent(half, NO_LIMIT, 300, 300, 300, false);
    assert_true(send_half_on_lost(half, 0, 300, false));
    expect_sent(half, 0, 200, 0, 200, false);
    expect_sent(half, 0, 200, 200, 100, false);
    expect_nothing(half, 600);
    expect_sent(half, NO_LIMIT, 1000, 600, 300, false);
}

static void acknowledged_data_is_never_sent_again(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    write_octets(half, 900);
    expect_sent(half, NO_LIMIT, 900, 0, 900, false);
    assert_true(send_half_on_acked(half, 300, 300, false));
    assert_true(send_half_on_lost(half, 0, 900, false));
    expect_sent(half, NO_LIMIT, 900, 0, 300, false);
    /* The first transmission arrived after all. */
    assert_true(send_half_on_acked(half, 600, 100, false));
    expect_sent(half, NO_LIMIT, 900, 700, 200, false);
    assert_true(send_half_on_acked(half, 0, 300, false));
    assert_int_equal(half->base, 700);
    assert_true(send_half_on_lost(half, 0, 300, false));
    expect_nothing(half, NO_LIMIT);
}

static void everything_acknowledged_leaves_no_memory(void **state)
{
    struct fixture *fixture = *state;
    struct send_half *half = &fixture->half;
    write_octets(half, 100000);
    for (uint64_t offset = 0; offset < 100000;) {
        uint64_t at;
        const uint8_t *data;
        size_t len;
        bool fin;
        assert_true(send_half_next(half, NO_LIMIT, 1200, &at, &data, &len, &fin));
        assert_octets(data, len, 0, at);
        send_half_on_sent(half, at, len, fin);
        offset = at + len;
    }
    assert_true(send_half_on_acked(half, 50000, 50000, false));
    assert_true(fixture->memory.counting.bytes_out > 0);
    assert_true(send_half_on_acked(half, 0, 50000, false));
    assert_int_equal(half->base, 100000);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
}

static void a_small_write_takes_little_memory(void **state)
{
    struct fixture *fixture = *state;
    write_octets(&fixture->half, 12);
    assert_true(fixture->memory.counting.bytes_out <= 1024);
}

static void the_end_goes_with_the_last_octet_or_alone(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    write_octets(half, 100);
    send_half_finish(half);
    assert_int_equal(send_half_room(half), 0);
    assert_int_equal(write_octets(half, 1), 0);
    expect_sent(half, NO_LIMIT, 60, 0, 60, false);
    assert_int_equal(half->state, SEND_OPEN);
    expect_sent(half, NO_LIMIT, 60, 60, 40, true);
    assert_int_equal(half->state, SEND_DATA_SENT);
    expect_nothing(half, NO_LIMIT);
    assert_true(send_half_on_acked(half, 0, 60, false));
    assert_true(send_half_on_acked(half, 60, 40, true));
    assert_int_equal(half->state, SEND_DATA_RECVD);
    assert_true(send_half_is_terminal(half));
}

static void an_end_alone_needs_no_credit_and_is_sent_again_when_lost(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    write_octets(half, 10);
    expect_sent(half, 10, 100, 0, 10, false);
    send_half_finish(half);
    expect_sent(half, 10, 0, 10, 0, true);
    assert_true(send_half_on_lost(half, 10, 0, true));
    expect_sent(half, 10, 0, 10, 0, true);
    assert_true(send_half_on_acked(half, 10, 0, true));
    assert_false(send_half_is_terminal(half));
    assert_true(send_half_on_lost(half, 10, 0, true));
    assert_true(send_half_on_acked(half, 0, 10, false));
    assert_true(send_half_is_terminal(half));
    expect_nothing(half, NO_LIMIT);
}

static void the_end_waits_for_credit_of_the_data_before_it(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    write_octets(half, 10);
    send_half_finish(half);
    expect_sent(half, 5, 100, 0, 5, false);
    expect_nothing(half, 5);
    expect_sent(half, 10, 100, 5, 5, true);
}

static void an_empty_stream_can_end(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    send_half_finish(half);
    expect_sent(half, 0, 0, 0, 0, true);
    assert_true(send_half_on_acked(half, 0, 0, true));
    assert_int_equal(half->state, SEND_DATA_RECVD);
}

static void a_reset_drops_the_buffer_and_freezes_its_content(void **state)
{
    struct fixture *fixture = *state;
    struct send_half *half = &fixture->half;
    write_octets(half, 5000);
    expect_sent(half, NO_LIMIT, 700, 0, 700, false);
    send_half_reset(half, 7);
    assert_int_equal(fixture->memory.counting.bytes_out, 0);
    assert_true(half->reset_pending);
    assert_int_equal(half->reset_final_size, 700);
    expect_nothing(half, NO_LIMIT);
    send_half_reset(half, 8);
    assert_int_equal(half->reset_code, 7);
    half->reset_pending = false;
    send_half_on_reset_lost(half);
    assert_true(half->reset_pending);
    assert_true(send_half_on_acked(half, 0, 700, false));
    assert_true(send_half_on_lost(half, 0, 700, false));
    send_half_on_reset_acked(half);
    assert_int_equal(half->state, SEND_RESET_RECVD);
    send_half_on_reset_lost(half);
    assert_false(half->reset_pending);
    assert_true(send_half_is_terminal(half));
}

static void a_reset_after_everything_was_acknowledged_is_harmless(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    send_half_finish(half);
    expect_sent(half, 0, 0, 0, 0, true);
    send_half_on_acked(half, 0, 0, true);
    send_half_reset(half, 1);
    assert_int_equal(half->state, SEND_DATA_RECVD);
    assert_false(half->reset_pending);
}

static void a_probe_sends_the_oldest_unacknowledged_octets(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    assert_int_equal(send_half_retransmit_oldest(half, 100), 0);
    write_octets(half, 1000);
    expect_sent(half, NO_LIMIT, 1000, 0, 1000, false);
    send_half_on_acked(half, 0, 200, false);
    send_half_on_acked(half, 250, 100, false);
    assert_int_equal(send_half_retransmit_oldest(half, 100), 100);
    expect_sent(half, NO_LIMIT, 1000, 200, 50, false);
    expect_sent(half, NO_LIMIT, 1000, 350, 50, false);
    expect_nothing(half, NO_LIMIT);
    assert_int_equal(send_half_retransmit_oldest(half, 0), 0);
}

static void a_probe_sends_an_end_or_a_reset_too(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    send_half_finish(half);
    expect_sent(half, 0, 0, 0, 0, true);
    assert_int_equal(send_half_retransmit_oldest(half, 100), 1);
    expect_sent(half, 0, 0, 0, 0, true);
    send_half_reset(half, 0);
    half->reset_pending = false;
    assert_int_equal(send_half_retransmit_oldest(half, 100), 1);
    assert_true(half->reset_pending);
}

static void acknowledgements_beyond_the_cap_are_forgotten_and_the_data_goes_out_again(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    size_t pieces = SEND_ACKED_RANGES_MAX + 10;
    write_octets(half, pieces * 2);
    expect_sent(half, NO_LIMIT, pieces * 2, 0, pieces * 2, false);
    for (size_t i = 0; i < pieces; i++)
        assert_int_equal(send_half_on_acked(half, i * 2 + 1, 1, false), i < SEND_ACKED_RANGES_MAX);
    send_half_check(half);
    expect_sent(half, 0, 10, SEND_ACKED_RANGES_MAX * 2 + 1, 1, false);
}

static void losses_beyond_the_cap_are_remembered_all_the_same(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    size_t pieces = SEND_LOST_RANGES_MAX + 100;
    write_octets(half, pieces * 2);
    expect_sent(half, NO_LIMIT, pieces * 2, 0, pieces * 2, false);
    for (size_t i = 0; i < pieces; i++)
        assert_true(send_half_on_lost(half, i * 2, 1, false));
    for (size_t i = 0; i < pieces; i++)
        send_half_on_acked(half, i * 2 + 1, 1, false);
    uint8_t *sent = calloc(1, pieces * 2);
    while (send_half_wants(half, 0)) {
        uint64_t offset;
        const uint8_t *data;
        size_t len;
        bool fin;
        assert_true(send_half_next(half, 0, 100, &offset, &data, &len, &fin));
        assert_octets(data, len, 0, offset);
        memset(sent + offset, 1, len);
        send_half_on_sent(half, offset, len, fin);
        send_half_check(half);
    }
    for (size_t i = 0; i < pieces; i++)
        assert_int_equal(sent[i * 2], 1);
    free(sent);
    send_half_on_acked(half, 0, pieces * 2, false);
    assert_int_equal(half->base, pieces * 2);
}

struct flight {
    uint64_t offset;
    size_t len;
    bool fin;
};

/* Draws writes, sends, acknowledgements and losses, with an allocator that refuses now and then, until all is
 * acknowledged. */
static void drawn_histories_deliver_every_octet(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t run = 1; run <= 60; run++) {
        struct seeded seeded = {run};
        struct send_half half;
        fixture->memory.refuse_one_in = run % 2 == 0 ? 0 : 4;
        send_half_init(&half, &fixture->allocator, 30000);
        uint64_t total = seeded_below(&seeded, 60000);
        uint8_t *arrived = calloc(1, total + 1);
        struct flight flights[64];
        size_t n = 0;
        for (unsigned step = 0; !send_half_is_terminal(&half); step++) {
            assert_true(step < 1000000);
            uint64_t draw = seeded_below(&seeded, 8);
            if (draw < 2 && half.written < total) {
                write_octets(&half, (size_t)(1 + seeded_below(&seeded, total - half.written)));
            } else if (half.written == total) {
                send_half_finish(&half);
            }
            struct flight *flight = &flights[n];
            const uint8_t *data;
            if (draw < 6 && n < 64 &&
                send_half_next(&half, UINT64_MAX, (size_t)seeded_below(&seeded, 1500), &flight->offset, &data,
                               &flight->len, &flight->fin)) {
                assert_octets(data, flight->len, 0, flight->offset);
                send_half_on_sent(&half, flight->offset, flight->len, flight->fin);
                n++;
            }
            if (n > 0 && (draw >= 5 || n == 64)) {
                size_t i = (size_t)seeded_below(&seeded, n);
                if (seeded_below(&seeded, 3) == 0) {
                    assert_true(send_half_on_lost(&half, flights[i].offset, flights[i].len, flights[i].fin));
                } else {
                    memset(arrived + flights[i].offset, 1, flights[i].len);
                    send_half_on_acked(&half, flights[i].offset, flights[i].len, flights[i].fin);
                }
                flights[i] = flights[--n];
            }
            if (seeded_below(&seeded, 50) == 0)
                send_half_retransmit_oldest(&half, 1000);
            send_half_check(&half);
        }
        for (uint64_t i = 0; i < total; i++)
            assert_int_equal(arrived[i], 1);
        free(arrived);
        assert_int_equal(fixture->memory.counting.bytes_out, 0);
        send_half_done(&half);
    }
    fixture->memory.refuse_one_in = 0;
}

static void without_memory_a_write_takes_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->memory.refuse_one_in = 1;
    assert_int_equal(write_octets(&fixture->half, 100), 0);
    fixture->memory.refuse_one_in = 0;
    assert_int_equal(write_octets(&fixture->half, 100), 100);
}

static void lent_octets_are_sent_from_where_they_lie(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    uint8_t lent[5000];
    uint64_t offset;
    const uint8_t *data;
    size_t len;
    bool fin;
    assert_int_equal(write_octets(half, 100), 100);
    fill_octets(lent, sizeof(lent), 0, 100);
    assert_true(send_half_lend(half, lent, sizeof(lent)));
    assert_int_equal(write_octets(half, 100), 100);
    expect_sent(half, NO_LIMIT, 1000, 0, 100, false);
    assert_true(send_half_next(half, NO_LIMIT, 1000, &offset, &data, &len, &fin));
    assert_ptr_equal(data, lent);
    expect_sent(half, NO_LIMIT, 10000, 100, 5000, false);
    expect_sent(half, NO_LIMIT, 10000, 5100, 100, false);
}

static void loans_last_until_all_of_them_is_acknowledged(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    uint8_t lent[3000];
    fill_octets(lent, sizeof(lent), 0, 0);
    assert_false(send_half_has_loans(half));
    assert_true(send_half_lend(half, lent, 0));
    assert_false(send_half_has_loans(half));
    assert_true(send_half_lend(half, lent, 2000));
    assert_true(send_half_lend(half, lent + 2000, 1000));
    expect_sent(half, NO_LIMIT, 10000, 0, 2000, false);
    expect_sent(half, NO_LIMIT, 10000, 2000, 1000, false);
    send_half_on_acked(half, 2000, 1000, false);
    assert_true(send_half_has_loans(half));
    send_half_on_acked(half, 0, 1999, false);
    assert_true(send_half_has_loans(half));
    send_half_on_acked(half, 1999, 1, false);
    assert_false(send_half_has_loans(half));
}

static void loans_that_end_early_are_copied(void **state)
{
    struct fixture *fixture = *state;
    struct send_half *half = &fixture->half;
    uint8_t lent[3000];
    fill_octets(lent, sizeof(lent), 0, 0);
    assert_true(send_half_lend(half, lent, sizeof(lent)));
    expect_sent(half, NO_LIMIT, 1000, 0, 1000, false);
    send_half_on_acked(half, 0, 500, false);
    fixture->memory.refuse_one_in = 1;
    assert_false(send_half_end_loans(half));
    assert_true(send_half_has_loans(half));
    send_half_check(half);
    fixture->memory.refuse_one_in = 0;
    assert_true(send_half_end_loans(half));
    assert_false(send_half_has_loans(half));
    send_half_check(half);
    memset(lent, 0xdd, sizeof(lent));
    assert_true(send_half_on_lost(half, 500, 500, false));
    expect_sent(half, NO_LIMIT, 10000, 500, 500, false);
    expect_sent(half, NO_LIMIT, 10000, 1000, 2000, false);
}

static void a_reset_gives_loans_back(void **state)
{
    struct send_half *half = &((struct fixture *)*state)->half;
    uint8_t lent[100] = {0};
    assert_true(send_half_lend(half, lent, sizeof(lent)));
    send_half_reset(half, 1);
    assert_false(send_half_has_loans(half));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_goes_out_in_order_and_up_to_the_limit),
        TEST(a_write_takes_what_the_capacity_leaves),
        TEST(lost_data_goes_before_new_data_and_needs_no_credit),
        TEST(acknowledged_data_is_never_sent_again),
        TEST(everything_acknowledged_leaves_no_memory),
        TEST(a_small_write_takes_little_memory),
        TEST(the_end_goes_with_the_last_octet_or_alone),
        TEST(an_end_alone_needs_no_credit_and_is_sent_again_when_lost),
        TEST(the_end_waits_for_credit_of_the_data_before_it),
        TEST(an_empty_stream_can_end),
        TEST(a_reset_drops_the_buffer_and_freezes_its_content),
        TEST(a_reset_after_everything_was_acknowledged_is_harmless),
        TEST(a_probe_sends_the_oldest_unacknowledged_octets),
        TEST(a_probe_sends_an_end_or_a_reset_too),
        TEST(acknowledgements_beyond_the_cap_are_forgotten_and_the_data_goes_out_again),
        TEST(losses_beyond_the_cap_are_remembered_all_the_same),
        TEST(drawn_histories_deliver_every_octet),
        TEST(without_memory_a_write_takes_nothing),
        TEST(lent_octets_are_sent_from_where_they_lie),
        TEST(loans_last_until_all_of_them_is_acknowledged),
        TEST(loans_that_end_early_are_copied),
        TEST(a_reset_gives_loans_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
