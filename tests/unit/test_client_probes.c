/*
 * What a client sends while a server cannot: a server that has not heard enough is silent (RFC 9000 section 8.1), so
 * that the client speaks even where it has nothing to say.
 */
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

static struct {
    size_t datagrams, small, initials, handshakes;
    size_t server_datagrams;
} seen;

static int set_up(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    pair_prepare(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pair_stop(&pair);
    return 0;
}

/* Notes the packets of a client's datagram. */
static void look(const roam_datagram *datagram)
{
    struct packet_header header;
    bool has_initial = false;
    for (size_t at = 0; at < datagram->len; at += header.packet_len) {
        if (packet_header_parse(&header, datagram->data + at, datagram->len - at, 8) != ROAM_DROP_NONE)
            break;
        has_initial |= header.type == PACKET_INITIAL;
        seen.handshakes += header.type == PACKET_HANDSHAKE;
    }
    seen.datagrams++;
    seen.initials += has_initial;
    seen.small += has_initial && datagram->len < DATAGRAM_BYTES_MIN;
}

static bool server_is_mute(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    if (to_server)
        look(datagram);
    return to_server;
}

/* Of the server's first datagram only the Initial comes through, and nothing afterwards. */
static bool only_its_initial_comes(struct pair *p, bool to_server, roam_datagram *datagram)
{
    struct packet_header header;
    (void)p;
    if (to_server) {
        look(datagram);
        return true;
    }
    if (seen.server_datagrams++ > 0 ||
        packet_header_parse(&header, datagram->data, datagram->len, 8) != ROAM_DROP_NONE ||
        header.type != PACKET_INITIAL)
        return false;
    datagram->len = header.packet_len;
    seen.datagrams = seen.initials = seen.handshakes = 0;
    return true;
}

static void a_client_that_hears_nothing_repeats_its_initial_in_full_datagrams(void **state)
{
    //= rfc9000#8.1-4 Client pads datagrams that hold Initial packets to at least 1200 bytes of UDP payload.
    //= rfc9000#8.1-6 That client probe is a 1200-byte Initial when no Handshake keys exist.
    (void)state;
    pair_start(&pair, &config);
    pair.hook = server_is_mute;
    pair_run(&pair, ROAM_SECONDS(8));
    assert_in_range(seen.initials, 4, 20);
    assert_int_equal(seen.initials, seen.datagrams);
    assert_int_equal(seen.small + seen.handshakes, 0);
}

static void a_client_with_nothing_to_repeat_frees_a_blocked_server_by_handshake_packets(void **state)
{
    //= rfc9000#8.1-5 Client sends on PTO even with nothing to retransmit, so that a server blocked by the budget is
    // freed.
    //= rfc9000#8.1-6 That client probe is a 1200-byte Initial when no Handshake keys exist, otherwise a Handshake
    // packet.
    //= rfc9000#8.1-4 Client pads datagrams that hold Initial packets to at least 1200 bytes of UDP payload.
    (void)state;
    pair_start(&pair, &config);
    pair.hook = only_its_initial_comes;
    pair_run(&pair, ROAM_MILLISECONDS(50));
    assert_true(seen.server_datagrams >= 1);
    size_t before = seen.handshakes;
    pair_run(&pair, ROAM_SECONDS(5));
    assert_in_range(seen.handshakes - before, 2, 20);
    assert_int_equal(seen.small, 0);
    /* That is what the server waited for. */
    pair.hook = NULL;
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "freed", ROAM_SECONDS(1)));
}

/* The server's long headers get another version on their way. */
static bool another_version(struct pair *p, bool to_server, roam_datagram *datagram)
{
    (void)p;
    if (!to_server && (datagram->data[0] & 0x80) != 0 && seen.server_datagrams++ < 3) {
        static const uint8_t version_2[4] = {0x6b, 0x33, 0x43, 0xcf};
        memcpy(datagram->data + 1, version_2, sizeof(version_2));
    }
    return true;
}

static void a_client_discards_packets_of_a_version_that_it_did_not_choose(void **state)
{
    //= rfc9000#5.2.1-2 Client discards packets of a version other than the one it chose.
    (void)state;
    roam_endpoint_stats stats;
    pair_start(&pair, &config);
    pair.hook = another_version;
    pair_handshake(&pair);
    roam_endpoint_get_stats(pair.client.endpoint, &stats);
    assert_true(stats.drops[ROAM_DROP_WRONG_VERSION] >= 3);
    assert_true(pair_carries(&pair, "one", ROAM_SECONDS(1)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_that_hears_nothing_repeats_its_initial_in_full_datagrams),
        TEST(a_client_with_nothing_to_repeat_frees_a_blocked_server_by_handshake_packets),
        TEST(a_client_discards_packets_of_a_version_that_it_did_not_choose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
