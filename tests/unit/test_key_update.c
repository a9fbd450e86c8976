/* Key updates, RFC 9001 section 6: both sides, at once, too early, reordered, and the limits of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key_update.h"
#include "unit/counting_allocator.h"
#include "wire/packet_number.h"

#define PTO           ROAM_MILLISECONDS(100)
#define HEADER_BYTES  5 /* first octet and four of packet number */
#define PAYLOAD_BYTES 30
#define PACKET_BYTES  (HEADER_BYTES + PAYLOAD_BYTES + AEAD_TAG_BYTES)

static struct counting_allocator counting;
static roam_allocator allocator;

/* Two ends, and what the last packet_open had to say. */
struct ends {
    struct one_rtt_keys client, server;
    roam_drop drop;
    uint64_t error;
    bool updated;
};

static struct ends ends;

static int connect_ends(void **state)
{
    const uint8_t client_secret[SECRET_BYTES_MAX] = {1}, server_secret[SECRET_BYTES_MAX] = {2};
    (void)state;
    memset(&ends, 0, sizeof(ends));
    counting = (struct counting_allocator){0};
    allocator = counting_allocator(&counting);
    one_rtt_keys_init(&ends.client);
    one_rtt_keys_init(&ends.server);
    one_rtt_keys_set(&ends.client, &allocator, &quic_versions[0], AEAD_AES_128_GCM, client_secret, server_secret);
    one_rtt_keys_set(&ends.server, &allocator, &quic_versions[0], AEAD_AES_128_GCM, server_secret, client_secret);
    return 0;
}

static int free_ends(void **state)
{
    (void)state;
    one_rtt_keys_done(&ends.client);
    one_rtt_keys_done(&ends.server);
    return counting.bytes_out == 0 ? 0 : -1;
}

struct packet {
    uint8_t octets[PACKET_BYTES];
    uint64_t number;
};

/* A 1-RTT packet as `from` sends it now. */
static struct packet seal(struct one_rtt_keys *from, uint64_t number)
{
    struct packet packet = {.number = number};
    uint8_t payload[PAYLOAD_BYTES];
    memset(payload, (int)number, sizeof(payload));
    struct span span = {payload, sizeof(payload)};
    struct packet_seal job = {packet.octets, HEADER_BYTES, 1, number, &span, 1};
    packet.octets[0] = (uint8_t)(0x43 | (from->send_phase ? 0x04 : 0));
    for (int i = 0; i < 4; i++)
        packet.octets[1 + i] = (uint8_t)(number >> (24 - 8 * i));
    assert_true(packet_keys_expand(&from->send));
    packet_protection_seal(&from->send, &job, 1);
    key_update_on_sent(from, number);
    return packet;
}

/* The answer to a packet that came at `now`: true where it opened. */
static bool open_at(struct one_rtt_keys *to, struct packet packet, roam_time now)
{
    uint8_t mask[1][HP_MASK_BYTES];
    struct unmasked unmasked;
    ends.drop = ROAM_DROP_NONE;
    ends.error = ROAM_NO_ERROR;
    ends.updated = false;
    assert_true(packet_keys_expand(&to->receive));
    packet_protection_masks(&to->receive, packet.octets, 0, 1, 1, mask);
    packet_protection_unmask(packet.octets, 1, mask[0], &unmasked);
    ptrdiff_t opened =
        key_update_open(to, (unmasked.first_octet & 0x04) != 0, packet.number, packet.octets, 1 + unmasked.number_len,
                        PACKET_BYTES, now, PTO, &ends.drop, &ends.error, &ends.updated);
    if (opened < 0) {
        assert_int_not_equal(ends.drop, ROAM_DROP_NONE);
        return false;
    }
    assert_int_equal(opened, PAYLOAD_BYTES);
    assert_int_equal(packet.octets[HEADER_BYTES], (uint8_t)packet.number);
    return true;
}

static bool carry(struct one_rtt_keys *from, struct one_rtt_keys *to, uint64_t number, roam_time now)
{
    return open_at(to, seal(from, number), now);
}

static void no_update_before_a_packet_of_this_phase_is_acknowledged(void **state)
{
    (void)state;
    assert_false(key_update_allowed(&ends.client, 0));
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    assert_false(key_update_allowed(&ends.client, 0));
    key_update_on_acked(&ends.client, 0, 5, PTO);
    assert_true(key_update_allowed(&ends.client, 5));
}

static void update(struct one_rtt_keys *keys, uint64_t acked, roam_time now)
{
    key_update_on_acked(keys, acked, now, PTO);
    assert_true(key_update_allowed(keys, now));
    assert_true(key_update_begin(keys, now, PTO));
}

static void the_peer_follows_an_update_of_either_side(void **state)
{
    (void)state;
    struct one_rtt_keys *sides[2] = {&ends.client, &ends.server};
    for (int i = 0; i < 2; i++) {
        struct one_rtt_keys *one = sides[i], *other = sides[1 - i];
        roam_time now = ROAM_SECONDS(10) * (roam_time)(i + 1);
        uint64_t number = 100 * (uint64_t)(i + 1), updates = one->updates;
        assert_true(carry(one, other, number, now));
        assert_true(carry(other, one, number, now));
        key_update_on_acked(one, number, now, 0);
        assert_true(key_update_begin(one, now, PTO));
        assert_int_equal(one->updates, updates + 1);
        assert_true(carry(one, other, number + 1, now));
        assert_true(ends.updated);
        assert_int_equal(other->send_phase, one->send_phase);
        assert_true(carry(other, one, number + 1, now));
        assert_false(ends.updated); /* an answer, not an update of its own */
        assert_int_equal(one->receive_phase, one->send_phase);
        assert_int_equal(one->updates, other->updates);
    }
}

static void simultaneous_updates_are_one_update(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    assert_true(carry(&ends.server, &ends.client, 0, 0));
    update(&ends.client, 0, 1);
    update(&ends.server, 0, 1);
    struct packet from_client = seal(&ends.client, 1), from_server = seal(&ends.server, 1);
    assert_true(open_at(&ends.server, from_client, 2));
    assert_false(ends.updated);
    assert_true(open_at(&ends.client, from_server, 2));
    assert_false(ends.updated);
    assert_int_equal(ends.client.updates, 1);
    assert_int_equal(ends.server.updates, 1);
    assert_true(carry(&ends.client, &ends.server, 2, 3));
    assert_true(carry(&ends.server, &ends.client, 2, 3));
}

static void packets_of_the_old_phase_open_with_the_previous_keys(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    struct packet late[3] = {seal(&ends.client, 1), seal(&ends.client, 2), seal(&ends.client, 3)};
    update(&ends.client, 0, 1);
    assert_true(carry(&ends.client, &ends.server, 10, 2));
    assert_true(ends.updated);
    assert_true(carry(&ends.client, &ends.server, 5, 2)); /* the new phase began before 10 */
    assert_true(open_at(&ends.server, late[1], 3));
    assert_false(ends.updated);
    assert_true(open_at(&ends.server, late[0], 3));
    key_update_expire(&ends.server, 2 + 3 * PTO - 1);
    assert_non_null(ends.server.receive_previous);
    key_update_expire(&ends.server, 2 + 3 * PTO);
    assert_null(ends.server.receive_previous);
    assert_int_equal(ends.server.previous_until, ROAM_TIME_NEVER);
    assert_false(open_at(&ends.server, late[2], 3 + 3 * PTO));
    assert_int_equal(ends.drop, ROAM_DROP_AUTHENTICATION_FAILED);
    assert_int_equal(ends.error, ROAM_NO_ERROR);
}

static void the_initiator_reads_old_packets_until_the_peer_has_followed(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    update(&ends.client, 0, 1);
    struct packet crossing = seal(&ends.server, 0);
    assert_true(carry(&ends.client, &ends.server, 1, 2));
    struct packet answer = seal(&ends.server, 1);
    assert_true(open_at(&ends.client, answer, 3));
    assert_true(open_at(&ends.client, crossing, 3));
}

static void a_second_update_without_acknowledgement_is_an_error(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    update(&ends.client, 0, 1);
    assert_true(carry(&ends.client, &ends.server, 1, 1));
    assert_true(ends.updated);
    /* The server has sent nothing since. A client that updates all the same breaks the rule, which takes some doing. */
    ends.client.acked = true;
    ends.client.next_allowed = 0;
    ends.client.receive_phase = ends.client.send_phase;
    assert_true(key_update_begin(&ends.client, 2, PTO));
    assert_false(carry(&ends.client, &ends.server, 2, 2));
    assert_int_equal(ends.error, ROAM_KEY_UPDATE_ERROR);
}

static void updates_one_after_another_work_when_each_is_acknowledged(void **state)
{
    (void)state;
    roam_time now = 0;
    uint64_t number = 0;
    for (int i = 0; i < 9; i++) {
        assert_true(carry(&ends.client, &ends.server, number, now));
        assert_true(carry(&ends.server, &ends.client, number, now));
        key_update_on_acked(&ends.client, number, now, PTO);
        now += 3 * PTO;
        assert_true(key_update_begin(&ends.client, now, PTO));
        number++;
    }
    assert_int_equal(ends.client.updates, 9);
    assert_int_equal(ends.server.updates, 8);
    assert_true(carry(&ends.client, &ends.server, number, now));
    assert_true(carry(&ends.server, &ends.client, number, now));
}

static void after_an_update_three_pto_pass_before_the_next(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    update(&ends.client, 0, 0);
    key_update_on_acked(&ends.client, 0, 0, PTO); /* of the old phase: says nothing */
    assert_false(ends.client.acked);
    assert_true(carry(&ends.client, &ends.server, 1, 0));
    assert_true(carry(&ends.server, &ends.client, 0, 0));
    key_update_on_acked(&ends.client, 1, 7, PTO);
    assert_false(key_update_allowed(&ends.client, 7 + 3 * PTO - 1));
    assert_true(key_update_allowed(&ends.client, 7 + 3 * PTO));
}

static void new_keys_below_a_packet_with_old_keys_are_an_error(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    assert_true(carry(&ends.client, &ends.server, 20, 0));
    update(&ends.client, 0, 1);
    assert_false(carry(&ends.client, &ends.server, 10, 2));
    assert_int_equal(ends.error, ROAM_KEY_UPDATE_ERROR);
}

static void a_later_packet_below_one_with_old_keys_is_an_error_too(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    assert_true(carry(&ends.client, &ends.server, 20, 0));
    update(&ends.client, 0, 1);
    assert_true(carry(&ends.client, &ends.server, 21, 2));
    assert_false(carry(&ends.client, &ends.server, 10, 2));
    assert_int_equal(ends.error, ROAM_KEY_UPDATE_ERROR);
}

static void a_forged_phase_bit_changes_nothing(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    struct packet packet = seal(&ends.client, 1);
    packet.octets[0] ^= 0x04;
    assert_false(open_at(&ends.server, packet, 1));
    assert_int_equal(ends.drop, ROAM_DROP_AUTHENTICATION_FAILED);
    assert_int_equal(ends.error, ROAM_NO_ERROR);
    assert_false(ends.updated);
    assert_int_equal(ends.server.failed, 1);
    assert_int_equal(ends.server.updates, 0);
    packet.octets[0] ^= 0x04;
    assert_true(open_at(&ends.server, packet, 1));
}

static void the_integrity_limit_ends_the_connection(void **state)
{
    (void)state;
    struct packet packet = seal(&ends.client, 0);
    packet.octets[PACKET_BYTES - 1] ^= 1;
    ends.server.failed = INTEGRITY_LIMIT_AES_GCM - 2;
    assert_false(open_at(&ends.server, packet, 0));
    assert_int_equal(ends.error, ROAM_NO_ERROR);
    assert_false(open_at(&ends.server, packet, 0));
    assert_int_equal(ends.error, ROAM_AEAD_LIMIT_REACHED);
}

static void failures_count_across_updates(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    struct packet broken = seal(&ends.client, 1);
    broken.octets[PACKET_BYTES - 1] ^= 1;
    assert_false(open_at(&ends.server, broken, 0));
    update(&ends.client, 0, 1);
    assert_true(carry(&ends.client, &ends.server, 2, 1));
    assert_false(open_at(&ends.server, broken, 1));
    assert_int_equal(ends.server.failed, 2);
}

static void an_update_is_needed_long_before_the_confidentiality_limit(void **state)
{
    (void)state;
    assert_false(key_update_needed(&ends.client));
    ends.client.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM / 2;
    assert_true(key_update_needed(&ends.client));
    assert_false(key_update_exhausted(&ends.client));
    ends.client.send.packets = CONFIDENTIALITY_LIMIT_AES_GCM;
    assert_true(key_update_exhausted(&ends.client));
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    update(&ends.client, 0, 0);
    assert_false(key_update_needed(&ends.client)); /* the limit is one of each key */
}

static void without_memory_an_update_does_not_begin(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    key_update_on_acked(&ends.client, 0, 0, PTO);
    counting.refuses = true;
    assert_false(key_update_begin(&ends.client, 0, PTO));
    assert_int_equal(ends.client.updates, 0);
    counting.refuses = false;
    assert_true(carry(&ends.client, &ends.server, 1, 0));
    assert_false(ends.updated);
}

static void without_memory_a_packet_is_dropped_and_said_so(void **state)
{
    (void)state;
    struct packet packet = seal(&ends.client, 0);
    counting.refuses = true;
    assert_true(packet_keys_expand(&ends.client.send));
    assert_int_equal(key_update_open(&ends.server, false, 0, packet.octets, HEADER_BYTES, PACKET_BYTES, 0, PTO,
                                     &ends.drop, &ends.error, &ends.updated),
                     -1);
    assert_int_equal(ends.drop, ROAM_DROP_OUT_OF_MEMORY);
    assert_int_equal(ends.server.failed, 0);
}

static void idle_keys_hold_no_memory(void **state)
{
    (void)state;
    assert_true(carry(&ends.client, &ends.server, 0, 0));
    update(&ends.client, 0, 0);
    assert_true(carry(&ends.client, &ends.server, 1, 0));
    one_rtt_keys_shrink(&ends.client);
    one_rtt_keys_shrink(&ends.server);
    assert_int_equal(counting.bytes_out, sizeof(struct packet_keys)); /* the server's previous keys are octets yet */
    key_update_expire(&ends.server, ends.server.previous_until);
    assert_int_equal(counting.bytes_out, 0);
    assert_true(carry(&ends.client, &ends.server, 2, 0));
    assert_true(carry(&ends.server, &ends.client, 2, 0));
    /* And the next ones are made again where they are called for. */
    key_update_on_acked(&ends.client, 2, 0, PTO);
    assert_true(key_update_begin(&ends.client, PTO * 10, PTO));
    assert_true(carry(&ends.client, &ends.server, 3, PTO * 10));
    assert_true(ends.updated);
}

static void secrets_may_come_one_at_a_time(void **state)
{
    (void)state;
    const uint8_t client_secret[SECRET_BYTES_MAX] = {1}, server_secret[SECRET_BYTES_MAX] = {2};
    struct one_rtt_keys keys;
    one_rtt_keys_init(&keys);
    one_rtt_keys_set(&keys, &allocator, &quic_versions[0], AEAD_AES_128_GCM, server_secret, NULL);
    assert_true(keys.send.available);
    assert_false(keys.receive.available);
    one_rtt_keys_set(&keys, &allocator, &quic_versions[0], AEAD_AES_128_GCM, NULL, client_secret);
    assert_true(open_at(&keys, seal(&ends.client, 0), 0));
    one_rtt_keys_done(&keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, connect_ends, free_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_update_before_a_packet_of_this_phase_is_acknowledged),
        TEST(the_peer_follows_an_update_of_either_side),
        TEST(simultaneous_updates_are_one_update),
        TEST(packets_of_the_old_phase_open_with_the_previous_keys),
        TEST(the_initiator_reads_old_packets_until_the_peer_has_followed),
        TEST(a_second_update_without_acknowledgement_is_an_error),
        TEST(updates_one_after_another_work_when_each_is_acknowledged),
        TEST(after_an_update_three_pto_pass_before_the_next),
        TEST(new_keys_below_a_packet_with_old_keys_are_an_error),
        TEST(a_later_packet_below_one_with_old_keys_is_an_error_too),
        TEST(a_forged_phase_bit_changes_nothing),
        TEST(the_integrity_limit_ends_the_connection),
        TEST(failures_count_across_updates),
        TEST(an_update_is_needed_long_before_the_confidentiality_limit),
        TEST(without_memory_an_update_does_not_begin),
        TEST(without_memory_a_packet_is_dropped_and_said_so),
        TEST(idle_keys_hold_no_memory),
        TEST(secrets_may_come_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
