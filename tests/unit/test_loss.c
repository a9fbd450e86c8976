/* Loss detection over several paths: thresholds, congestion, persistent congestion, and that flights stay balanced. */
#include "recovery_fixture.h"

#include "base/minmax.h"
#include "recovery/loss.h"

#define MS(n) ROAM_MILLISECONDS(n)
#define PATHS 3
#define BYTES 1200

struct fixture {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct pool pool;
    struct sent_map map;
    struct path_recovery paths[PATHS];
    struct recovery_work works[PATHS];
    bool gone[PATHS];
    struct loss_context context;
    uint64_t lost[4096];
    size_t lost_count;
};

static struct path_recovery *find(void *owner, uint64_t path_id)
{
    struct fixture *fixture = owner;
    return path_id < PATHS && !fixture->gone[path_id] ? &fixture->paths[path_id] : NULL;
}

static void on_lost(void *owner, enum packet_space space, struct sent_packet *packet)
{
    struct fixture *fixture = owner;
    assert_int_equal(space, SPACE_APPLICATION);
    /* In order, and not marked yet. */
    assert_int_equal(packet->state, SENT_OUTSTANDING);
    assert_true(fixture->lost_count < ARRAY_LENGTH(fixture->lost));
    fixture->lost[fixture->lost_count++] = packet->number;
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    fixture.allocator = counting_allocator(&fixture.counting);
    pool_init(&fixture.pool, &fixture.allocator, sizeof(struct sent_frame), 32);
    sent_map_init(&fixture.map, &fixture.allocator, &fixture.pool);
    const roam_config config = {
        .congestion = ROAM_CONGESTION_NEWRENO,
        .initial_window_packets = 10,
        .initial_rtt = MS(333),
        .datagram_bytes = BYTES,
    };
    for (int i = 0; i < PATHS; i++) {
        path_recovery_init(&fixture.paths[i], &config, NULL);
        path_recovery_begin_work(&fixture.paths[i], &fixture.works[i]);
    }
    fixture.context = (struct loss_context){.owner = &fixture, .find = find, .on_lost = on_lost};
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    sent_map_check(&fixture->map);
    sent_map_done(&fixture->map);
    size_t frames = fixture->pool.in_use;
    pool_done(&fixture->pool);
    return frames == 0 && fixture->counting.bytes_out == 0 ? 0 : -1;
}

/* The path as after its first sample, taken at `at`. */
static void sample(struct path_recovery *path, roam_time rtt, roam_time at)
{
    rtt_init(&path->rtt, 0);
    rtt_update(&path->rtt, rtt, 0, 0, true);
    path->first_sample_at = at;
}

static struct sent_packet *send(struct fixture *fixture, uint64_t number, uint64_t path_id, roam_time at)
{
    struct sent_packet *packet = sent_map_add(&fixture->map, number);
    assert_non_null(packet);
    packet->sent_at = at;
    packet->path_id = path_id;
    packet->bytes = BYTES;
    packet->ack_eliciting = packet->in_flight = true;
    assert_true(sent_map_add_frame(&fixture->map, packet, &(struct sent_frame){.type = FRAME_PING}));
    sent_map_commit(&fixture->map, packet);
    congestion_on_sent(&fixture->paths[path_id].congestion, BYTES);
    return packet;
}

static void acknowledge(struct fixture *fixture, uint64_t number, roam_time now)
{
    struct sent_packet *packet = sent_map_find(&fixture->map, number);
    assert_non_null(packet);
    struct path_recovery *path = find(fixture, packet->path_id);
    if (path != NULL) {
        uint64_t *largest = &path->largest_acked[SPACE_APPLICATION];
        if (*largest == PACKET_NUMBER_NONE || *largest < number)
            *largest = number;
        path->congestion.flight_peak = path->congestion.window; /* in use */
        if (packet->state == SENT_OUTSTANDING && packet->in_flight)
            congestion_on_acked(&path->congestion, packet->bytes, packet->sent_at, now, &path->rtt, false);
    }
    sent_map_remove(&fixture->map, packet);
}

static roam_time detect(struct fixture *fixture, uint64_t active, uint64_t largest_acked, roam_time now)
{
    return loss_detect(&fixture->map, SPACE_APPLICATION, &fixture->context, active, largest_acked, now, MS(25), now);
}

static void balanced(struct fixture *fixture)
{
    for (uint64_t path = 0; path < PATHS; path++) {
        if (!fixture->gone[path])
            assert_true(sent_map_in_flight(&fixture->map, path) == fixture->paths[path].congestion.in_flight);
    }
}

static void a_new_path_starts_as_configured(void **state)
{
    struct fixture *fixture = *state;
    struct path_recovery *path = &fixture->paths[0];
    assert_int_equal(path->first_sample_at, ROAM_TIME_NEVER);
    assert_int_equal(path->congestion.window, 10 * BYTES);
    assert_int_equal(path->rtt.smoothed, MS(333));
    for (int space = 0; space < PACKET_SPACES; space++)
        assert_int_equal(path->largest_acked[space], PACKET_NUMBER_NONE);
}

static void a_reset_path_forgets_the_network_and_nothing_that_was_sent(void **state)
{
    //= rfc9000#9.4-2 Reset CC and RTT to initial values once the new address is confirmed, unless only the port
    // changed.
    struct fixture *fixture = *state;
    struct path_recovery *path = &fixture->paths[0];
    const roam_config config = {.initial_window_packets = 10, .initial_rtt = MS(333), .datagram_bytes = BYTES};
    sample(path, MS(20), MS(1));
    send(fixture, 0, 0, MS(1));
    send(fixture, 1, 0, MS(1));
    acknowledge(fixture, 1, MS(21));
    pacer_on_sent(path->pacer, 50000, MS(21), &path->congestion, &path->rtt);
    path_recovery_reset(path, &config, MS(70));
    assert_int_equal(path->rtt.smoothed, MS(70));
    assert_false(path->rtt.has_sample);
    assert_int_equal(path->first_sample_at, ROAM_TIME_NEVER);
    assert_int_equal(path->congestion.window, 10 * BYTES);
    assert_int_equal(path->congestion.in_flight, BYTES);
    assert_int_equal(path->pacer->tokens_bytes, 10 * BYTES);
    assert_int_equal(path->largest_acked[SPACE_APPLICATION], 1);
    path_recovery_reset(path, &config, 0);
    assert_int_equal(path->rtt.smoothed, MS(333));
}

static void without_an_acknowledgement_nothing_is_lost(void **state)
{
    struct fixture *fixture = *state;
    send(fixture, 0, 0, 0);
    assert_int_equal(detect(fixture, 0, PACKET_NUMBER_NONE, ROAM_SECONDS(100)), ROAM_TIME_NEVER);
    assert_int_equal(fixture->lost_count, 0);
}

static void three_packets_later_a_packet_is_lost(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(100), 0);
    for (uint64_t number = 0; number < 5; number++)
        send(fixture, number, 0, MS(10));
    acknowledge(fixture, 4, MS(20));
    assert_int_equal(detect(fixture, 0, 4, MS(20)), MS(10) + MS(100) + MS(100) / 8);
    assert_int_equal(fixture->lost_count, 2);
    assert_int_equal(fixture->lost[0], 0);
    assert_int_equal(fixture->lost[1], 1);
    assert_int_equal(sent_map_find(&fixture->map, 0)->state, SENT_LOST);
    assert_int_equal(fixture->paths[0].congestion.window, 11 * BYTES / 2);
    balanced(fixture);
}

static void packets_above_the_largest_acknowledged_are_never_lost(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(100), 0);
    for (uint64_t number = 0; number < 3; number++)
        send(fixture, number, 0, MS(10));
    acknowledge(fixture, 0, MS(110));
    assert_int_equal(detect(fixture, 0, 0, ROAM_SECONDS(10)), ROAM_TIME_NEVER);
    assert_int_equal(fixture->lost_count, 0);
}

static void time_makes_a_packet_lost_at_the_moment_that_was_foretold(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(80), 0);
    send(fixture, 0, 0, MS(10));
    send(fixture, 1, 0, MS(12));
    send(fixture, 2, 0, MS(14));
    acknowledge(fixture, 2, MS(94));
    assert_int_equal(detect(fixture, 0, 2, MS(94)), MS(100));
    assert_int_equal(detect(fixture, 0, 2, MS(98)), MS(100));
    /* Not sooner than a timer's granularity: what falls due until then is found together. */
    assert_int_equal(detect(fixture, 0, 2, MS(100) - 1), MS(101) - 1);
    assert_int_equal(fixture->lost_count, 0);
    assert_int_equal(detect(fixture, 0, 2, MS(100)), MS(102));
    assert_int_equal(fixture->lost_count, 1);
    assert_int_equal(detect(fixture, 0, 2, MS(102)), ROAM_TIME_NEVER);
    assert_int_equal(fixture->lost_count, 2);
    balanced(fixture);
}

static void reordering_between_paths_is_no_loss(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(600), 0);
    sample(&fixture->paths[1], MS(20), 0);
    for (uint64_t number = 0; number < 5; number++)
        send(fixture, number, 0, MS(10));
    acknowledge(fixture, 0, MS(15));
    for (uint64_t number = 5; number < 50; number++)
        send(fixture, number, 1, MS(20));
    for (uint64_t number = 5; number < 50; number++)
        acknowledge(fixture, number, MS(40));
    /* The slow old path has the time that it needs. */
    assert_int_equal(detect(fixture, 1, 49, MS(40)), MS(10) + MS(675));
    assert_int_equal(detect(fixture, 1, 49, MS(684)), MS(685));
    assert_int_equal(fixture->lost_count, 0);
    assert_int_equal(detect(fixture, 1, 49, MS(685)), ROAM_TIME_NEVER);
    assert_int_equal(fixture->lost_count, 4);
    assert_int_equal(fixture->paths[1].congestion.in_flight, 0);
    assert_true(fixture->paths[1].congestion.window > 10 * BYTES);
    assert_int_equal(fixture->paths[0].congestion.window, 11 * BYTES / 2);
    balanced(fixture);
}

static void a_fast_old_path_waits_for_the_slow_active_one(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(20), 0);
    sample(&fixture->paths[1], MS(400), 0);
    send(fixture, 0, 0, MS(10));
    send(fixture, 1, 1, MS(10));
    acknowledge(fixture, 1, MS(410));
    assert_int_equal(detect(fixture, 1, 1, MS(410)), MS(460));
    assert_int_equal(fixture->lost_count, 0);
}

static void packets_of_a_path_that_is_gone_are_lost_by_time_alone(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[1], MS(80), 0);
    for (uint64_t number = 0; number < 3; number++)
        send(fixture, number, 0, MS(10));
    for (uint64_t number = 3; number < 20; number++)
        send(fixture, number, 1, MS(10));
    fixture->gone[0] = true;
    for (uint64_t number = 3; number < 20; number++)
        acknowledge(fixture, number, MS(90));
    uint64_t window = fixture->paths[1].congestion.window;
    assert_int_equal(detect(fixture, 1, 19, MS(90)), MS(100));
    assert_int_equal(fixture->lost_count, 0);
    assert_int_equal(detect(fixture, 1, 19, MS(100)), ROAM_TIME_NEVER);
    assert_int_equal(fixture->lost_count, 3);
    assert_int_equal(fixture->paths[1].congestion.window, window);
}

static void with_no_path_at_all_the_default_rtt_counts(void **state)
{
    struct fixture *fixture = *state;
    send(fixture, 0, 0, 0);
    send(fixture, 1, 0, 0);
    fixture->gone[0] = true;
    acknowledge(fixture, 1, MS(1));
    assert_int_equal(detect(fixture, 0, 1, MS(1)), MS(333) + MS(333) / 8);
}

static void a_lost_probe_of_a_path_or_its_mtu_says_nothing_about_congestion(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(100), 0);
    send(fixture, 0, 0, MS(10))->probe = true;
    send(fixture, 1, 0, MS(10));
    send(fixture, 2, 0, MS(10));
    send(fixture, 3, 0, MS(10));
    acknowledge(fixture, 3, MS(20));
    detect(fixture, 0, 3, MS(20));
    assert_int_equal(fixture->lost_count, 1);
    assert_int_equal(fixture->paths[0].congestion.window, 11 * BYTES);
    balanced(fixture);
}

static void lost_acknowledgements_are_settled_without_congestion(void **state)
{
    struct fixture *fixture = *state;
    sample(&fixture->paths[0], MS(100), 0);
    struct sent_packet *packet = sent_map_add(&fixture->map, 0);
    packet->sent_at = MS(5);
    packet->bytes = 40;
    sent_map_commit(&fixture->map, packet);
    send(fixture, 3, 0, MS(10));
    acknowledge(fixture, 3, MS(20));
    detect(fixture, 0, 3, MS(20));
    assert_int_equal(fixture->lost_count, 1);
    assert_int_equal(fixture->paths[0].congestion.window, 11 * BYTES);
    balanced(fixture);
}

/* One sample of 100 ms leaves a PTO of 100 + 4 * 50 ms + 25 ms: the period is 975 ms. */
static void prepare_blackout(struct fixture *fixture)
{
    sample(&fixture->paths[0], MS(100), MS(50));
    fixture->paths[0].congestion.window = 100 * BYTES;
}

static void a_long_stretch_of_losses_is_persistent_congestion(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    for (uint64_t number = 0; number < 5; number++)
        send(fixture, number, 0, MS(100) + number * MS(244));
    /* Reported with the packet after them; a skipped number in between changes nothing. */
    send(fixture, 8, 0, MS(1300));
    fixture->paths[0].rtt.min = MS(10);
    acknowledge(fixture, 8, MS(1400));
    detect(fixture, 0, 8, MS(1400));
    assert_int_equal(fixture->lost_count, 5);
    assert_int_equal(fixture->paths[0].congestion.window, 2 * BYTES);
    assert_false(fixture->paths[0].congestion.in_recovery);
    assert_int_equal(fixture->paths[0].rtt.min, MS(100));
    balanced(fixture);
}

static void a_stretch_just_as_long_as_the_period_is_not(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    send(fixture, 0, 0, MS(100));
    send(fixture, 1, 0, MS(100) + MS(975));
    send(fixture, 5, 0, MS(1300));
    acknowledge(fixture, 5, MS(1400));
    detect(fixture, 0, 5, MS(1400));
    assert_int_equal(fixture->lost_count, 2);
    assert_true(fixture->paths[0].congestion.window > 2 * BYTES);
}

static void a_packet_acknowledged_in_between_breaks_the_stretch(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    for (uint64_t number = 0; number < 6; number++)
        send(fixture, number, 0, MS(100) + number * MS(240));
    acknowledge(fixture, 2, MS(700));
    send(fixture, 9, 0, MS(1400));
    acknowledge(fixture, 9, MS(1500));
    detect(fixture, 0, 9, MS(1500));
    assert_int_equal(fixture->lost_count, 5);
    assert_true(fixture->paths[0].congestion.window > 2 * BYTES);
}

static void acknowledgements_on_another_path_do_not_break_the_stretch(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    sample(&fixture->paths[1], MS(100), MS(50));
    send(fixture, 0, 0, MS(100));
    send(fixture, 1, 1, MS(600));
    send(fixture, 2, 0, MS(1100));
    acknowledge(fixture, 1, MS(700));
    send(fixture, 6, 0, MS(1300));
    acknowledge(fixture, 6, MS(1400));
    uint64_t window = fixture->paths[1].congestion.window;
    detect(fixture, 1, 6, MS(1400));
    assert_int_equal(fixture->lost_count, 2);
    assert_int_equal(fixture->paths[0].congestion.window, 2 * BYTES);
    assert_int_equal(fixture->paths[1].congestion.window, window);
}

static void losses_of_two_paths_make_no_stretch(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    sample(&fixture->paths[1], MS(100), MS(50));
    send(fixture, 0, 0, MS(100));
    send(fixture, 1, 1, MS(1200));
    send(fixture, 2, 0, MS(1300));
    acknowledge(fixture, 2, MS(1400));
    detect(fixture, 0, 2, MS(1400));
    assert_int_equal(fixture->lost_count, 2);
    assert_true(fixture->paths[0].congestion.window > 2 * BYTES);
    assert_true(fixture->paths[1].congestion.window > 2 * BYTES);
}

static void packets_sent_before_the_first_sample_do_not_count(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    fixture->paths[0].first_sample_at = MS(100);
    send(fixture, 0, 0, MS(100));
    send(fixture, 1, 0, MS(1100));
    send(fixture, 5, 0, MS(1300));
    acknowledge(fixture, 5, MS(1400));
    detect(fixture, 0, 5, MS(1400));
    assert_int_equal(fixture->lost_count, 2);
    assert_true(fixture->paths[0].congestion.window > 2 * BYTES);
}

static void only_ack_eliciting_packets_bound_the_stretch(void **state)
{
    struct fixture *fixture = *state;
    prepare_blackout(fixture);
    struct sent_packet *packet = sent_map_add(&fixture->map, 0);
    packet->sent_at = MS(100);
    packet->bytes = BYTES;
    packet->in_flight = true;
    sent_map_commit(&fixture->map, packet);
    congestion_on_sent(&fixture->paths[0].congestion, BYTES);
    send(fixture, 1, 0, MS(1100));
    send(fixture, 5, 0, MS(1300));
    acknowledge(fixture, 5, MS(1400));
    detect(fixture, 0, 5, MS(1400));
    assert_int_equal(fixture->lost_count, 2);
    assert_true(fixture->paths[0].congestion.window > 2 * BYTES);
}

static void a_dead_mapping_loses_its_packets_without_punishment(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 10; number++)
        send(fixture, number, number % 2, MS(10));
    assert_int_equal(loss_declare_path(&fixture->map, SPACE_APPLICATION, &fixture->context, 0), 5);
    assert_int_equal(fixture->lost_count, 5);
    assert_int_equal(fixture->lost[4], 8);
    assert_int_equal(fixture->paths[0].congestion.in_flight, 0);
    assert_int_equal(fixture->paths[0].congestion.window, 10 * BYTES);
    assert_int_equal(fixture->paths[1].congestion.in_flight, 5 * BYTES);
    assert_int_equal(sent_map_find(&fixture->map, 4)->state, SENT_LOST);
    assert_int_equal(loss_declare_path(&fixture->map, SPACE_APPLICATION, &fixture->context, 0), 0);
    balanced(fixture);
}

static void a_discarded_space_leaves_nothing_in_flight_and_no_memory(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 100; number++)
        send(fixture, number, number % 3, MS(10));
    sent_map_mark_lost(&fixture->map, sent_map_find(&fixture->map, 0));
    congestion_forget(&fixture->paths[0].congestion, BYTES);
    fixture->gone[2] = true;
    loss_discard_space(&fixture->map, &fixture->context);
    assert_int_equal(fixture->lost_count, 0);
    assert_int_equal(fixture->map.outstanding, 0);
    assert_int_equal(fixture->map.capacity, 0);
    assert_int_equal(fixture->pool.in_use, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture->paths[i].congestion.in_flight, 0);
        assert_int_equal(fixture->paths[i].congestion.window, 10 * BYTES);
    }
}

static void random_acknowledgements(struct fixture *fixture, struct seeded *seed, uint64_t next, uint64_t *largest,
                                    roam_time now)
{
    uint64_t number = saturating_sub(next, 1 + seeded_below(seed, 60));
    for (uint64_t run = seeded_below(seed, 40); run > 0 && number < next; run--, number++) {
        if (seeded_below(seed, 10) == 0 || sent_map_find(&fixture->map, number) == NULL)
            continue;
        acknowledge(fixture, number, now);
        if (*largest == PACKET_NUMBER_NONE || *largest < number)
            *largest = number;
    }
}

static void flights_stay_balanced_and_losses_come_in_time_in_any_history(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t start = 1; start <= 20; start++) {
        struct seeded seed = {start};
        uint64_t next = 0, largest = PACKET_NUMBER_NONE, active = 0;
        roam_time now = 0;
        for (int i = 0; i < PATHS; i++)
            sample(&fixture->paths[i], MS(1) + seeded_below(&seed, MS(100)), now);
        for (unsigned i = 0; i < 3000; i++) {
            now += seeded_below(&seed, MS(4));
            uint64_t choice = seeded_below(&seed, 100);
            if (choice < 80)
                send(fixture, next++, active, now)->probe = choice < 4;
            else if (choice < 90)
                random_acknowledgements(fixture, &seed, next, &largest, now);
            else if (choice == 90)
                active = seeded_below(&seed, PATHS);
            else if (choice == 91 && seeded_below(&seed, 4) == 0)
                loss_declare_path(&fixture->map, SPACE_APPLICATION, &fixture->context, seeded_below(&seed, PATHS));
            fixture->lost_count = 0;
            roam_time at = detect(fixture, active, largest, now);
            assert_true(at > now);
            for (size_t n = 1; n < fixture->lost_count; n++)
                assert_true(fixture->lost[n - 1] < fixture->lost[n]);
            /* Something below the largest acknowledged is outstanding exactly where a time was named. */
            struct sent_packet *first = sent_map_outstanding_from(&fixture->map, 0);
            bool waits = largest != PACKET_NUMBER_NONE && first != NULL && first->number < largest;
            assert_true(waits == (at != ROAM_TIME_NEVER));
            sent_map_check(&fixture->map);
            balanced(fixture);
        }
        loss_discard_space(&fixture->map, &fixture->context);
        balanced(fixture);
        assert_int_equal(fixture->pool.in_use, 0);
        sent_map_done(&fixture->map);
        for (int i = 0; i < PATHS; i++)
            fixture->paths[i].largest_acked[SPACE_APPLICATION] = PACKET_NUMBER_NONE;
    }
}

static void send_ack(struct fixture *fixture, uint64_t number, roam_time at)
{
    struct sent_packet *packet = sent_map_add(&fixture->map, number);
    assert_non_null(packet);
    packet->sent_at = at;
    packet->bytes = 40;
    sent_map_commit(&fixture->map, packet);
}

static void what_nobody_acknowledges_is_swept_and_takes_no_more_memory(void **state)
{
    struct fixture *fixture = *state;
    size_t capacity = 0;
    for (uint64_t number = 0; number < 20000; number++) {
        roam_time now = MS(1 + number);
        if (number % 100 == 0)
            send(fixture, number, 0, now);
        else
            send_ack(fixture, number, now);
        if (number % 64 == 0 && number > 1000)
            loss_sweep(&fixture->map, SPACE_APPLICATION, &fixture->context, number - 1000, now - MS(500), now);
        if (number == 4000)
            capacity = fixture->map.capacity;
        assert_true(number <= 4000 || fixture->map.capacity == capacity);
    }
    /* All that was in flight longer ago than that is lost, and punished; acknowledgements are just forgotten. */
    assert_in_range(fixture->lost_count, 188, 191);
    assert_in_range(fixture->map.ack_eliciting, 9, 12);
    assert_int_equal(fixture->paths[0].congestion.in_flight, fixture->map.ack_eliciting * BYTES);
    assert_true(fixture->paths[0].congestion.window < 10 * BYTES);
}

static void a_sweep_spares_what_is_newer_and_what_was_sent_lately(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t number = 0; number < 10; number++)
        send(fixture, number, 0, MS(10 * number));
    assert_int_equal(loss_sweep(&fixture->map, SPACE_APPLICATION, &fixture->context, 3, MS(1000), MS(1000)), 3);
    assert_int_equal(loss_sweep(&fixture->map, SPACE_APPLICATION, &fixture->context, 10, MS(50), MS(1000)), 2);
    assert_int_equal(fixture->map.outstanding, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_path_starts_as_configured),
        TEST(a_reset_path_forgets_the_network_and_nothing_that_was_sent),
        TEST(without_an_acknowledgement_nothing_is_lost),
        TEST(three_packets_later_a_packet_is_lost),
        TEST(packets_above_the_largest_acknowledged_are_never_lost),
        TEST(time_makes_a_packet_lost_at_the_moment_that_was_foretold),
        TEST(reordering_between_paths_is_no_loss),
        TEST(a_fast_old_path_waits_for_the_slow_active_one),
        TEST(packets_of_a_path_that_is_gone_are_lost_by_time_alone),
        TEST(with_no_path_at_all_the_default_rtt_counts),
        TEST(a_lost_probe_of_a_path_or_its_mtu_says_nothing_about_congestion),
        TEST(lost_acknowledgements_are_settled_without_congestion),
        TEST(a_long_stretch_of_losses_is_persistent_congestion),
        TEST(a_stretch_just_as_long_as_the_period_is_not),
        TEST(a_packet_acknowledged_in_between_breaks_the_stretch),
        TEST(acknowledgements_on_another_path_do_not_break_the_stretch),
        TEST(losses_of_two_paths_make_no_stretch),
        TEST(packets_sent_before_the_first_sample_do_not_count),
        TEST(only_ack_eliciting_packets_bound_the_stretch),
        TEST(a_dead_mapping_loses_its_packets_without_punishment),
        TEST(what_nobody_acknowledges_is_swept_and_takes_no_more_memory),
        TEST(a_sweep_spares_what_is_newer_and_what_was_sent_lately),
        TEST(a_discarded_space_leaves_nothing_in_flight_and_no_memory),
        TEST(flights_stay_balanced_and_losses_come_in_time_in_any_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
