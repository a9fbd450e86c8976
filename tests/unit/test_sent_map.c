/* The sent map: against a naive model in random histories, its memory, and what it remembers of lost packets. */
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/sent_map.h"
#include "wire/packet_number.h"

struct fixture {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct pool pool;
    struct sent_map map;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    fixture.allocator = counting_allocator(&fixture.counting);
    pool_init(&fixture.pool, &fixture.allocator, sizeof(struct sent_frame), 32);
    sent_map_init(&fixture.map, &fixture.allocator, &fixture.pool);
    *state = &fixture;
    return 0;
}

/* Every frame and every octet goes back, whatever the test left in the map. */
static int teardown(void **state)
{
    struct fixture *fixture = *state;
    sent_map_check(&fixture->map);
    sent_map_done(&fixture->map);
    size_t frames = fixture->pool.in_use;
    pool_done(&fixture->pool);
    return frames == 0 && fixture->counting.bytes_out == 0 ? 0 : -1;
}

static struct sent_packet *send(struct sent_map *map, uint64_t number)
{
    struct sent_packet *packet = sent_map_add(map, number);
    assert_non_null(packet);
    packet->bytes = 1200;
    packet->ack_eliciting = packet->in_flight = true;
    sent_map_commit(map, packet);
    return packet;
}

static void a_new_slot_knows_its_number_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct sent_packet *packet = sent_map_add(&fixture->map, 7);
    assert_int_equal(packet->number, 7);
    assert_int_equal(packet->state, SENT_OUTSTANDING);
    assert_int_equal(packet->bytes, 0);
    assert_null(packet->frames);
    assert_int_equal(fixture->map.outstanding, 0);
    assert_null(sent_map_outstanding_from(&fixture->map, 0));
    packet->ack_eliciting = packet->in_flight = true;
    sent_map_commit(&fixture->map, packet);
    assert_int_equal(fixture->map.outstanding, 1);
    assert_int_equal(fixture->map.ack_eliciting, 1);
    assert_ptr_equal(sent_map_outstanding_from(&fixture->map, 0), packet);
}

static void skipped_numbers_are_not_found(void **state)
{
    struct fixture *fixture = *state;
    send(&fixture->map, 3);
    send(&fixture->map, 5);
    assert_null(sent_map_find(&fixture->map, 2));
    assert_null(sent_map_find(&fixture->map, 4));
    assert_null(sent_map_recall(&fixture->map, 4));
    assert_null(sent_map_find(&fixture->map, 6));
    assert_int_equal(sent_map_find(&fixture->map, 5)->number, 5);
    assert_int_equal(sent_map_outstanding_from(&fixture->map, 4)->number, 5);
}

static void frames_come_back_in_the_order_in_which_they_were_added(void **state)
{
    struct fixture *fixture = *state;
    struct sent_packet *packet = sent_map_add(&fixture->map, 0);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(sent_map_add_frame(&fixture->map, packet, &(struct sent_frame){.id = i, .type = FRAME_STREAM}));
    sent_map_commit(&fixture->map, packet);
    uint64_t expected = 0;
    for (const struct sent_frame *frame = packet->frames; frame != NULL; frame = frame->next)
        assert_int_equal(frame->id, expected++);
    assert_int_equal(expected, 5);
    assert_int_equal(fixture->pool.in_use, 5);
    sent_map_remove(&fixture->map, packet);
    assert_int_equal(fixture->pool.in_use, 0);
    assert_null(sent_map_find(&fixture->map, 0));
}

static void a_cancelled_packet_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    send(&fixture->map, 0);
    struct sent_packet *packet = sent_map_add(&fixture->map, 1);
    assert_true(sent_map_add_frame(&fixture->map, packet, &(struct sent_frame){.type = FRAME_PING}));
    sent_map_cancel(&fixture->map, packet);
    sent_map_check(&fixture->map);
    assert_int_equal(fixture->pool.in_use, 0);
    assert_null(sent_map_find(&fixture->map, 1));
    assert_int_equal(fixture->map.outstanding, 1);
    assert_non_null(send(&fixture->map, 1));
}

static void a_lost_packet_is_still_found_and_has_no_frames(void **state)
{
    struct fixture *fixture = *state;
    struct sent_packet *packet = sent_map_add(&fixture->map, 0);
    packet->path_id = 3;
    packet->ack_eliciting = packet->in_flight = true;
    assert_true(sent_map_add_frame(&fixture->map, packet, &(struct sent_frame){.type = FRAME_PING}));
    sent_map_commit(&fixture->map, packet);
    sent_map_mark_lost(&fixture->map, packet);
    assert_int_equal(fixture->map.outstanding, 0);
    assert_int_equal(fixture->map.ack_eliciting, 0);
    assert_int_equal(fixture->pool.in_use, 0);
    packet = sent_map_find(&fixture->map, 0);
    assert_int_equal(packet->state, SENT_LOST);
    assert_int_equal(packet->path_id, 3);
    assert_null(sent_map_outstanding_from(&fixture->map, 0));
    sent_map_remove(&fixture->map, packet);
    assert_null(sent_map_find(&fixture->map, 0));
}

static void settled_packets_behind_an_older_one_are_recalled(void **state)
{
    struct fixture *fixture = *state;
    send(&fixture->map, 0);
    send(&fixture->map, 1)->path_id = 9;
    sent_map_remove(&fixture->map, sent_map_find(&fixture->map, 1));
    assert_null(sent_map_find(&fixture->map, 1));
    assert_int_equal(sent_map_recall(&fixture->map, 1)->state, SENT_NONE);
    assert_int_equal(sent_map_recall(&fixture->map, 1)->path_id, 9);
    sent_map_remove(&fixture->map, sent_map_find(&fixture->map, 0));
    assert_null(sent_map_recall(&fixture->map, 1));
}

static void bytes_in_flight_are_told_by_path(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 30; number++)
        send(&fixture->map, number)->path_id = number % 3;
    assert_int_equal(sent_map_in_flight(&fixture->map, 0), 12000);
    sent_map_remove(&fixture->map, sent_map_find(&fixture->map, 3));
    sent_map_mark_lost(&fixture->map, sent_map_find(&fixture->map, 6));
    assert_int_equal(sent_map_in_flight(&fixture->map, 0), 12000 - 2400);
    assert_int_equal(sent_map_in_flight(&fixture->map, 1), 12000);
    assert_int_equal(sent_map_in_flight(&fixture->map, 4), 0);
}

static void packets_that_are_only_acknowledgements_are_in_nobodys_flight(void **state)
{
    struct fixture *fixture = *state;
    struct sent_packet *packet = sent_map_add(&fixture->map, 0);
    packet->bytes = 40;
    sent_map_commit(&fixture->map, packet);
    assert_int_equal(fixture->map.outstanding, 1);
    assert_int_equal(fixture->map.ack_eliciting, 0);
    assert_int_equal(sent_map_in_flight(&fixture->map, 0), 0);
}

static void the_ring_stays_small_while_packets_are_settled_in_order(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 100000; number++) {
        send(&fixture->map, number);
        if (number >= 10)
            sent_map_remove(&fixture->map, sent_map_find(&fixture->map, number - 10));
    }
    assert_int_equal(fixture->map.capacity, 16);
    assert_int_equal(fixture->map.outstanding, 10);
}

static void lost_packets_do_not_make_the_ring_grow(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 10000; number++) {
        send(&fixture->map, number);
        if (number >= 4)
            sent_map_mark_lost(&fixture->map, sent_map_find(&fixture->map, number - 4));
    }
    assert_int_equal(fixture->map.capacity, 16);
    assert_int_equal(fixture->map.outstanding, 4);
    /* The newest lost ones are remembered, the oldest are not. */
    assert_int_equal(sent_map_find(&fixture->map, 9990)->state, SENT_LOST);
    assert_null(sent_map_find(&fixture->map, 9000));
}

static void outstanding_packets_are_never_dropped_for_room(void **state)
{
    struct fixture *fixture = *state;
    send(&fixture->map, 0);
    for (uint64_t number = 1; number < 3000; number++)
        sent_map_mark_lost(&fixture->map, send(&fixture->map, number));
    assert_int_equal(fixture->map.outstanding, 1);
    assert_int_equal(sent_map_outstanding_from(&fixture->map, 0)->number, 0);
    assert_null(sent_map_outstanding_from(&fixture->map, 1));
    assert_int_equal(sent_map_find(&fixture->map, 1)->state, SENT_LOST);
    send(&fixture->map, 3000);
    assert_int_equal(sent_map_outstanding_from(&fixture->map, 1)->number, 3000);
}

static void an_idle_map_gives_its_memory_back(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 100; number++)
        send(&fixture->map, number);
    sent_map_trim(&fixture->map);
    assert_int_equal(fixture->map.outstanding, 100);
    for (uint64_t number = 0; number < 100; number++)
        sent_map_remove(&fixture->map, sent_map_find(&fixture->map, number));
    sent_map_trim(&fixture->map);
    assert_int_equal(fixture->counting.bytes_out, 0);
    assert_null(sent_map_find(&fixture->map, 99));
    assert_int_equal(send(&fixture->map, 100)->number, 100);
}

static void without_memory_nothing_changes(void **state)
{
    struct fixture *fixture = *state;
    fixture->counting.refuses = true;
    assert_null(sent_map_add(&fixture->map, 0));
    fixture->counting.refuses = false;
    for (uint64_t number = 0; number < 16; number++)
        send(&fixture->map, number);
    fixture->counting.refuses = true;
    assert_null(sent_map_add(&fixture->map, 16));
    assert_false(sent_map_add_frame(&fixture->map, sent_map_find(&fixture->map, 15), &(struct sent_frame){0}));
    sent_map_check(&fixture->map);
    assert_int_equal(fixture->map.outstanding, 16);
    fixture->counting.refuses = false;
    assert_non_null(send(&fixture->map, 16));
}

static struct sent_map *broken;

static void reuse_a_number(void)
{
    sent_map_add(broken, 5);
}

static void settle_a_packet_twice(void)
{
    struct sent_packet *packet = sent_map_find(broken, 5);
    sent_map_mark_lost(broken, packet);
    sent_map_mark_lost(broken, packet);
}

static void count_wrongly(void)
{
    broken->outstanding++;
    sent_map_check(broken);
}

static void misuse_is_caught(void **state)
{
    struct fixture *fixture = *state;
#ifdef NDEBUG
    skip();
#endif
    broken = &fixture->map;
    send(broken, 5);
    assert_true(aborts(reuse_a_number));
    assert_true(aborts(settle_a_packet_twice));
    assert_true(aborts(count_wrongly));
}

#define MODEL_MAX   6000
#define MODEL_PATHS 4

/* What each number is, in an array without end. */
struct model {
    uint8_t state[MODEL_MAX];
    bool eliciting[MODEL_MAX], in_flight[MODEL_MAX];
    uint64_t path[MODEL_MAX];
    uint32_t bytes[MODEL_MAX];
    uint64_t next;
};

static void compare(struct sent_map *map, const struct model *model)
{
    uint64_t outstanding = 0, eliciting = 0, in_flight[MODEL_PATHS] = {0};
    const struct sent_packet *packet = sent_map_outstanding_from(map, 0);
    for (uint64_t number = 0; number < model->next; number++) {
        struct sent_packet *found = sent_map_find(map, number);
        if (model->state[number] == SENT_OUTSTANDING) {
            assert_true(packet != NULL && packet == found && packet->number == number);
            assert_true(packet->bytes == model->bytes[number] && packet->path_id == model->path[number]);
            packet = sent_map_outstanding_from(map, number + 1);
            outstanding++;
            eliciting += model->eliciting[number] && model->in_flight[number];
            in_flight[model->path[number]] += model->in_flight[number] ? model->bytes[number] : 0;
        } else if (found != NULL) {
            assert_true(model->state[number] == SENT_LOST && found->state == SENT_LOST);
        }
    }
    assert_null(packet);
    assert_true(map->outstanding == outstanding && map->ack_eliciting == eliciting);
    for (uint64_t path = 0; path < MODEL_PATHS; path++)
        assert_true(sent_map_in_flight(map, path) == in_flight[path]);
}

static void model_send(struct sent_map *map, struct model *model, struct seeded *seed)
{
    uint64_t number = model->next + (seeded_below(seed, 20) == 0 ? seeded_below(seed, 3) : 0);
    if (number >= MODEL_MAX)
        return;
    struct sent_packet *packet = sent_map_add(map, number);
    assert_non_null(packet);
    for (uint64_t frames = seeded_below(seed, 4); frames > 0; frames--)
        assert_true(sent_map_add_frame(map, packet, &(struct sent_frame){.id = number}));
    if (seeded_below(seed, 20) == 0) {
        sent_map_cancel(map, packet);
        model->next = number;
        return;
    }
    model->next = number + 1;
    model->state[number] = SENT_OUTSTANDING;
    model->bytes[number] = packet->bytes = (uint32_t)seeded_below(seed, 1500);
    model->path[number] = packet->path_id = seeded_below(seed, MODEL_PATHS);
    model->in_flight[number] = packet->in_flight = seeded_below(seed, 5) > 0;
    model->eliciting[number] = packet->ack_eliciting = packet->in_flight && seeded_below(seed, 5) > 0;
    sent_map_commit(map, packet);
}

static void model_settle(struct sent_map *map, struct model *model, struct seeded *seed)
{
    uint64_t back = seeded_below(seed, 4) == 0 ? 1000 : 40;
    uint64_t number = saturating_sub(model->next, 1 + seeded_below(seed, back));
    for (uint64_t run = 1 + seeded_below(seed, 200); run > 0 && number < model->next; run--, number++) {
        struct sent_packet *packet = sent_map_find(map, number);
        if (packet == NULL)
            continue;
        if (packet->state == SENT_OUTSTANDING && seeded_below(seed, 4) == 0) {
            sent_map_mark_lost(map, packet);
            model->state[number] = SENT_LOST;
        } else {
            sent_map_remove(map, packet);
            model->state[number] = SENT_NONE;
        }
    }
}

static void it_agrees_with_a_plain_list_in_any_history(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t start = 1; start <= 12; start++) {
        struct seeded seed = {start};
        static struct model model;
        model = (struct model){0};
        /* Some histories settle seldom, so that the ring grows to many words. */
        uint64_t one_in = 10 + 20 * (start % 4);
        for (unsigned i = 0; i < 6000; i++) {
            if (seeded_below(&seed, one_in) == 0)
                model_settle(&fixture->map, &model, &seed);
            else
                model_send(&fixture->map, &model, &seed);
            if (seeded_below(&seed, 100) == 0)
                sent_map_trim(&fixture->map);
            if (i % 61 == 0) {
                sent_map_check(&fixture->map);
                compare(&fixture->map, &model);
            }
        }
        compare(&fixture->map, &model);
        sent_map_done(&fixture->map);
        assert_int_equal(fixture->pool.in_use, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_slot_knows_its_number_and_nothing_else),
        TEST(skipped_numbers_are_not_found),
        TEST(frames_come_back_in_the_order_in_which_they_were_added),
        TEST(a_cancelled_packet_leaves_nothing),
        TEST(a_lost_packet_is_still_found_and_has_no_frames),
        TEST(settled_packets_behind_an_older_one_are_recalled),
        TEST(bytes_in_flight_are_told_by_path),
        TEST(packets_that_are_only_acknowledgements_are_in_nobodys_flight),
        TEST(the_ring_stays_small_while_packets_are_settled_in_order),
        TEST(lost_packets_do_not_make_the_ring_grow),
        TEST(outstanding_packets_are_never_dropped_for_room),
        TEST(an_idle_map_gives_its_memory_back),
        TEST(without_memory_nothing_changes),
        TEST(misuse_is_caught),
        TEST(it_agrees_with_a_plain_list_in_any_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
