/* Greasing: the fixed bit, RFC 9287, and reserved parameters and versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/endpoint.h"
#include "pair.h"

static struct pair pair;
static struct pair_config config;

/* First octets on the wire, by who sent them, long or short header, and the fixed bit; one for each packet. */
static size_t seen[2][2][2];

/* Whether the first packet to the server since this was NULL had the fixed bit. */
static const char *first;

static bool look(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    for (size_t at = 0; at < datagram->len;) {
        struct packet_header header;
        if (packet_header_parse(&header, datagram->data + at, datagram->len - at, 8) != ROAM_DROP_NONE)
            break;
        if (to_server && first == NULL)
            first = packet_lacks_fixed_bit(&header) ? "without" : "with";
        seen[to_server][header.type != PACKET_ONE_RTT][!packet_lacks_fixed_bit(&header)]++;
        at += header.packet_len;
    }
    return true;
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
    config.server.initial_max_streams_bidi = 1000;
    pair_give_static_key(&config);
    memset(seen, 0, sizeof(seen));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

/* Many packets either way. */
static void talk(void)
{
    pair.hook = look;
    pair_handshake(&pair);
    for (int i = 0; i < 200; i++)
        assert_true(pair_carries(&pair, "to and fro", ROAM_SECONDS(1)));
}

static void the_fixed_bit_is_any_where_both_sides_grease(void **state)
{
    (void)state;
    //= rfc9287#3.1 Set to an unpredictable value.
    pair_start(&pair, &config);
    talk();
    for (int to_server = 0; to_server < 2; to_server++) {
        size_t all = seen[to_server][false][false] + seen[to_server][false][true];
        assert_true(all >= 200);
        assert_in_range(seen[to_server][false][false], all / 3, all - all / 3);
    }
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_FIXED_BIT_ZERO), 0);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_FIXED_BIT_ZERO), 0);
}

static void the_fixed_bit_is_1_where_one_side_does_not_grease(void **state)
{
    //= rfc9287#3.1 Never to a peer that has not sent grease_quic_bit.
    for (int off = 0; off < 2; off++) {
        if (off > 0) {
            tear_down(state);
            set_up(state);
        }
        *(off == 0 ? &config.client.grease : &config.server.grease) = false;
        pair_start(&pair, &config);
        talk();
        for (int to_server = 0; to_server < 2; to_server++) {
            assert_int_equal(seen[to_server][false][false] + seen[to_server][true][false], 0);
            assert_true(seen[to_server][false][true] >= 200);
        }
    }
}

static void a_server_greases_its_handshake_and_a_client_not_its_first_flight(void **state)
{
    //= rfc9287#3.1 A server has the client's parameters when it answers; a client has none when it begins.
    size_t of_server = 0;
    for (int i = 0; i < 20; i++) {
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        pair_start(&pair, &config);
        pair.random += (uint64_t)i;
        pair.hook = look;
        pair_run(&pair, ROAM_MILLISECONDS(1)); /* less than the way there */
        assert_int_equal(seen[true][true][true], 1);
        assert_int_equal(seen[true][true][false], 0);
        pair_handshake(&pair);
        of_server += seen[false][true][false];
    }
    assert_true(of_server > 0);
}

/* The client clears the bit in its first Initial already. It is drawn for each packet, so that it takes some tries. */
static void begin_without_fixed_bit(const uint8_t *token, size_t token_bytes)
{
    config.client.token = token;
    config.client.token_bytes = token_bytes;
    do {
        first = NULL;
        pair_connect(&pair, &config);
        pair.client.conn->greases = true;
        pair_run(&pair, ROAM_MILLISECONDS(200)); /* no PTO */
    } while (strcmp(first, "without") != 0);
}

static void a_first_initial_without_fixed_bit_needs_a_token_of_ours(void **state)
{
    (void)state;
    //= rfc9287#3.1 Only with a token from NEW_TOKEN may a client do so before it has the server's parameters.
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    uint8_t token[1024], forged[64] = {0, 0, 0, 1, 42};
    size_t token_bytes = pair.client.token_bytes;
    assert_true(token_bytes > 0);
    memcpy(token, pair.client.token, token_bytes);
    pair.hook = look;
    begin_without_fixed_bit(token, token_bytes);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_FIXED_BIT_ZERO), 0);
    begin_without_fixed_bit(forged, sizeof(forged));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_HANDSHAKE);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_FIXED_BIT_ZERO), 1);
    begin_without_fixed_bit(NULL, 0);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_HANDSHAKE);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_FIXED_BIT_ZERO), 2);
}

static void without_greasing_no_packet_may_lack_the_fixed_bit(void **state)
{
    (void)state;
    config.server.grease = false;
    pair_start(&pair, &config);
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    pair.client.conn->greases = true;
    pair.hook = look;
    for (int i = 0; i < 20; i++)
        pair_carries(&pair, "half of it", ROAM_SECONDS(5));
    assert_true(seen[true][false][false] > 0);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_FIXED_BIT_ZERO), seen[true][false][false]);
}

static void what_is_reserved_goes_with_each_handshake(void **state)
{
    (void)state;
    uint32_t before = 0;
    for (int i = 0; i < 2; i++) {
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        pair_start(&pair, &config);
        pair.random += (uint64_t)i;
        pair_connect(&pair, &config);
        const struct transport_params *ours = &pair.client.conn->handshake->ours;
        //= rfc9000#18.1 A reserved parameter with any value.
        assert_true(ours->reserved.present);
        assert_true(ours->reserved.n != before);
        before = ours->reserved.n;
        //= rfc9000#6.3 And a reserved version.
        assert_true(quic_version_is_reserved(ours->version_information.reserved));
        pair_handshake(&pair);
    }
    tear_down(state);
    set_up(state);
    config.client.grease = false;
    pair_start(&pair, &config);
    pair_connect(&pair, &config);
    assert_false(pair.client.conn->handshake->ours.reserved.present);
    assert_int_equal(pair.client.conn->handshake->ours.version_information.reserved, 0);
    assert_false(pair.client.conn->handshake->ours.grease_quic_bit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_fixed_bit_is_any_where_both_sides_grease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_fixed_bit_is_1_where_one_side_does_not_grease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_greases_its_handshake_and_a_client_not_its_first_flight, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_first_initial_without_fixed_bit_needs_a_token_of_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_greasing_no_packet_may_lack_the_fixed_bit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_reserved_goes_with_each_handshake, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
