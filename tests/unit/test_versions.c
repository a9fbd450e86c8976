/* Which version of QUIC a connection gets: compatible and incompatible negotiation, RFC 9368, between versions 1 and 2,
 * RFC 9369; and what nobody on the way may choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/versions.h"
#include "endpoint/endpoint.h"
#include "pair.h"

#define V1 QUIC_VERSION_1
#define V2 QUIC_VERSION_2

static struct pair pair;
static struct pair_config config;

/* Long packets seen on the wire, by who sent them, type and version. */
static size_t seen[2][PACKET_TYPES][QUIC_VERSIONS_KNOWN];

static bool look(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    for (size_t at = 0; at < datagram->len && (datagram->data[at] & LONG_HEADER_BIT) != 0;) {
        struct packet_header header;
        if (packet_header_parse(&header, datagram->data + at, datagram->len - at, 8) != ROAM_DROP_NONE)
            break;
        const struct quic_version *version = quic_version_find(header.version);
        if (version != NULL)
            seen[to_server][header.type][version - quic_versions]++;
        at += header.packet_len;
    }
    return true;
}

static int set_up(void **state)
{
    (void)state;
    pair_prepare(&config);
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

static uint64_t negotiations(void)
{
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(pair.server.endpoint, &stats);
    return stats.version_negotiations_sent;
}

static void expect_version(uint32_t version)
{
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "works", ROAM_SECONDS(1)));
    assert_int_equal(pair_version(&pair.client), version);
    assert_int_equal(pair_version(&pair.server), version);
}

/* ---- Compatible negotiation */

static void each_pair_of_lists_has_its_version(void **state)
{
    //= rfc9368#2.3-1 The server chooses among what the client offers.
    //= rfc9368#3-1 Chosen version, and what is available, by preference.
    //= rfc9369#4-1 Both say what they speak.
    static const struct {
        uint32_t client[2], server[2], version;
    } cases[] = {
        {{0, 0}, {0, 0}, V1},     {{0, 0}, {V2, V1}, V2},   {{0, 0}, {V1, V2}, V1},   {{V2, V1}, {0, 0}, V2},
        {{V2, 0}, {0, 0}, V2},    {{V1, 0}, {V2, V1}, V1},  {{V2, V1}, {V1, V2}, V1}, {{V2, 0}, {V1, V2}, V2},
        {{V1, V2}, {V2, V1}, V2}, {{V2, V1}, {V2, V1}, V2}, {{0, 0}, {V1, 0}, V1},    {{V2, 0}, {V2, 0}, V2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        pair_allow_versions(&config.client, cases[i].client[0], cases[i].client[1]);
        pair_allow_versions(&config.server, cases[i].server[0], cases[i].server[1]);
        pair_start(&pair, &config);
        expect_version(cases[i].version);
        assert_int_equal(negotiations(), 0);
    }
}

static size_t count(bool to_server, enum packet_type type, uint32_t version)
{
    return seen[to_server][type][quic_version_find(version) - quic_versions];
}

/* The client begins in `first`, the server goes over to `second`, with or without Retry. */
static void change_version(uint32_t first, uint32_t second, bool retry)
{
    pair_allow_versions(&config.client, first, second);
    pair_allow_versions(&config.server, second, first);
    config.server_endpoint.retry = retry ? ROAM_RETRY_ALWAYS : ROAM_RETRY_NEVER;
    pair_start(&pair, &config);
    pair.hook = look;
    expect_version(second);
    assert_int_equal(count(true, PACKET_INITIAL, first), retry ? 2 : 1);
    assert_true(count(true, PACKET_INITIAL, second) > 0);
    assert_int_equal(count(false, PACKET_INITIAL, first), 0);
    assert_true(count(false, PACKET_INITIAL, second) > 0);
    assert_int_equal(count(false, PACKET_RETRY, first), retry);
    assert_int_equal(count(false, PACKET_RETRY, second), 0);
    for (int to_server = 0; to_server < 2; to_server++) {
        assert_int_equal(count(to_server, PACKET_HANDSHAKE, first), 0);
        assert_true(count(to_server, PACKET_HANDSHAKE, second) > 0);
    }
    assert_int_equal(
        pair_drops(&pair.server, ROAM_DROP_WRONG_VERSION) + pair_drops(&pair.client, ROAM_DROP_WRONG_VERSION), 0);
}

static void from_version_1_to_version_2(void **state)
{
    //= rfc9369#4.1-5 The server's Initials are of the version that it has chosen.
    //= rfc9369#4.1-6 The client's, once it has seen that.
    //= rfc9369#4.1-8 Handshake packets of the negotiated version only.
    (void)state;
    change_version(V1, V2, false);
}

static void from_version_2_to_version_1(void **state)
{
    (void)state;
    change_version(V2, V1, false);
}

static void a_retry_is_of_the_first_version(void **state)
{
    //= rfc9369#4.1-2 A Retry is of the original version.
    //= rfc9369#4.1-3 So is the Initial that brings its token back.
    //= rfc9369#4.1-4 And the server authenticates it, in the version that it has chosen since.
    (void)state;
    change_version(V1, V2, true);
    tear_down(state);
    set_up(state);
    change_version(V2, V1, true);
    tear_down(state);
    set_up(state);
    pair_allow_versions(&config.client, V2, 0);
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    pair.hook = look;
    expect_version(V2);
    assert_int_equal(count(false, PACKET_RETRY, V2), 1);
}

static int first_to_client;

static bool hold_the_first_back(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)datagram;
    if (!to_server && first_to_client++ == 0)
        of->hold_back = ROAM_MILLISECONDS(2);
    return true;
}

static void packets_of_the_new_version_may_come_before_it_is_known(void **state)
{
    (void)state;
    first_to_client = 0;
    pair_allow_versions(&config.server, V2, V1);
    pair_start(&pair, &config);
    pair.hook = hold_the_first_back;
    expect_version(V2);
    assert_true(first_to_client > 1);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_WRONG_VERSION), 0);
    roam_conn_stats stats;
    roam_conn_get_stats(pair.server.conn, &stats);
    assert_int_equal(stats.packets_lost, 0);
}

/* A ClientHello in several datagrams, of which the second comes late: the first is acknowledged in the old version. */
static int to_server_so_far;

static bool hold_the_second_back(struct pair *of, bool to_server, roam_datagram *datagram)
{
    if (to_server && to_server_so_far++ == 1)
        of->hold_back = ROAM_MILLISECONDS(5);
    return look(of, to_server, datagram);
}

static void a_long_hello_is_acknowledged_in_the_old_version(void **state)
{
    //= rfc9369#4.1-7 Initials of the original version are read until a Handshake packet has come.
    (void)state;
    /* A token that leaves little room for anything else. */
    static const uint8_t long_token[900] = {0, 0, 0, 1};
    config.client.token = long_token;
    config.client.token_bytes = sizeof(long_token);
    pair_allow_versions(&config.server, V2, V1);
    to_server_so_far = 0;
    pair_start(&pair, &config);
    pair.hook = hold_the_second_back;
    expect_version(V2);
    assert_true(count(true, PACKET_INITIAL, V1) >= 2);
    assert_true(count(false, PACKET_INITIAL, V1) > 0);
    assert_true(count(false, PACKET_INITIAL, V2) > 0);
    assert_int_equal(
        pair_drops(&pair.server, ROAM_DROP_WRONG_VERSION) + pair_drops(&pair.client, ROAM_DROP_WRONG_VERSION), 0);
}

/* The client's Handshake packets claim to be of version 1. */
static int relabelled;

static bool relabel(struct pair *of, bool to_server, roam_datagram *datagram)
{
    struct packet_header header;
    (void)of;
    for (size_t at = 0; to_server && relabelled == 0 && at < datagram->len; at += header.packet_len) {
        uint8_t *packet = datagram->data + at;
        if (packet_header_parse(&header, packet, datagram->len - at, 8) != ROAM_DROP_NONE)
            break;
        if (header.type != PACKET_HANDSHAKE)
            continue;
        packet[0] = (uint8_t)((packet[0] & 0xcf) | 0x20);
        memcpy(packet + 1, "\0\0\0\1", 4);
        relabelled++;
    }
    return true;
}

static void handshake_packets_of_another_version_are_dropped(void **state)
{
    //= rfc9369#4.1-8 Whoever sends them.
    (void)state;
    relabelled = 0;
    pair_allow_versions(&config.server, V2, V1);
    pair_start(&pair, &config);
    pair.hook = relabel;
    expect_version(V2);
    assert_true(relabelled > 0);
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_WRONG_VERSION), 1);
}

/* ---- Incompatible negotiation */

static void version_negotiation_leads_to_another_version(void **state)
{
    //= rfc9368#2.1-1 The client begins again in a version of the list.
    //= rfc9368#3-2 With a ClientHello that says so.
    (void)state;
    pair_allow_versions(&config.client, V2, V1);
    pair_allow_versions(&config.server, V1, 0);
    pair_start(&pair, &config);
    expect_version(V1);
    assert_int_equal(negotiations(), 1);
    tear_down(state);
    set_up(state);
    pair_allow_versions(&config.server, V2, 0);
    config.server_endpoint.retry = ROAM_RETRY_ALWAYS;
    pair_start(&pair, &config);
    expect_version(V2);
    assert_int_equal(negotiations(), 1);
}

static void it_may_be_followed_by_compatible_negotiation(void **state)
{
    (void)state;
    pair_allow_versions(&config.server, V2, V1);
    config.client_endpoint.force_version = 0x1a2a3a4a;
    pair_start(&pair, &config);
    expect_version(V2);
    assert_int_equal(negotiations(), 1);
}

static void without_a_version_in_common_it_ends_the_attempt(void **state)
{
    //= rfc9368#2.1-2 Nothing of the list is spoken here.
    (void)state;
    pair_allow_versions(&config.client, V2, 0);
    pair_allow_versions(&config.server, V1, 0);
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_VERSION_NEGOTIATION);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_CLOSED);
}

/* Says to the client what no server has said. */
static void forge_negotiation(const uint32_t *versions, size_t n)
{
    uint8_t data[64];
    const roam_cid *client = &pair.client.conn->row_cid, *server = &pair.client.conn->handshake->original_dcid;
    struct writer writer = writer_init(data, sizeof(data));
    packet_write_version_negotiation(&writer, 0, client->bytes, client->len, server->bytes, server->len, versions, n);
    pair_deliver(&pair, false, NULL, data, writer_len(&writer));
}

static void a_forged_list_does_not_downgrade(void **state)
{
    //= rfc9000#21.12-1 Version negotiation is protected against downgrades.
    //= rfc9368#4-8 The client would have stayed with its first version, had it known of the server's list.
    (void)state;
    const uint32_t versions[] = {V1};
    pair_allow_versions(&config.client, V2, V1);
    pair_start(&pair, &config);
    pair.hook = look;
    forge_negotiation(versions, 1);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_true(count(true, PACKET_INITIAL, V1) > 0);
    assert_int_equal(roam_conn_error(pair.client.conn)->cause, ROAM_CLOSE_LOCAL_TRANSPORT);
    assert_int_equal(roam_conn_error(pair.client.conn)->code, ROAM_VERSION_NEGOTIATION_ERROR);
    assert_int_equal(roam_conn_error(pair.server.conn)->code, ROAM_VERSION_NEGOTIATION_ERROR);
}

static void lists_of_the_first_version_and_second_lists_are_ignored(void **state)
{
    //= rfc9368#4-1 It lists the version that the client began with.
    //= rfc9368#4-2 It is the second.
    (void)state;
    const uint32_t both[] = {V1, V2}, only_1[] = {V1}, only_2[] = {V2};
    pair_allow_versions(&config.client, V2, V1);
    pair_allow_versions(&config.server, V1, 0);
    pair_start(&pair, &config);
    forge_negotiation(both, 2);
    assert_int_equal(pair_version(&pair.client), V2);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED), 1);
    forge_negotiation(only_1, 1);
    assert_int_equal(pair_version(&pair.client), V1);
    forge_negotiation(only_2, 1);
    assert_int_equal(pair_version(&pair.client), V1);
    assert_int_equal(pair_drops(&pair.client, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED), 2);
    expect_version(V1);
}

static void a_server_takes_no_version_negotiation(void **state)
{
    //= rfc9368#2.1-3 Not even where its CIDs are right.
    (void)state;
    uint8_t data[64];
    const uint32_t versions[] = {V2};
    pair_start(&pair, &config);
    pair_run(&pair, ROAM_MILLISECONDS(25));
    const roam_cid *server = &pair.server.conn->row_cid, *client = &pair.client.conn->row_cid;
    struct writer writer = writer_init(data, sizeof(data));
    packet_write_version_negotiation(&writer, 0, pair.server.conn->local_cids.entries[0].cid.bytes, server->len,
                                     client->bytes, client->len, versions, 1);
    pair_deliver(&pair, true, NULL, data, writer_len(&writer));
    assert_int_equal(pair_drops(&pair.server, ROAM_DROP_VERSION_NEGOTIATION_UNEXPECTED), 1);
    expect_version(V1);
}

/* ---- What both sides have said */

static void what_the_peer_says_must_fit_what_has_happened(void **state)
{
    //= rfc9368#4-5 The client has chosen the version of its Initial.
    //= rfc9368#4-6 The server one that was offered,
    //= rfc9368#4-10 which is the one of its packets.
    //= rfc9368#4-7 It says so, where Version Negotiation led here,
    //= rfc9368#4-9 and names some version that it has.
    //= rfc9368#4-8 Had its list been known, the outcome were the same.
    //= rfc9368#8-1 A server of version 1 says nothing.
    //= rfc9369#4-1 Who speaks version 2 does.
    (void)state;
    static const struct {
        bool is_server, has_reacted;
        uint32_t original, version;
        struct version_information peer;
        bool fits;
    } cases[] = {
        {true, false, V1, V1, {0}, true},
        {true, false, V2, V2, {0}, false},
        {true, false, V1, V1, {V1, {V1}, 1, true, 0}, true},
        {true, false, V1, V1, {V2, {V1, V2}, 2, true, 0}, false},
        {true, false, V1, V2, {V1, {V1, V2}, 2, true, 0}, true},
        {true, false, V1, V2, {V2, {V1, V2}, 2, true, 0}, false},
        {false, false, V1, V1, {0}, true},
        {false, false, V2, V2, {0}, false},
        {false, false, V1, V2, {0}, false},
        {false, false, V2, V1, {0}, false},
        {false, false, V2, V2, {V2, {0}, 0, false, 0}, true},
        {false, false, V2, V2, {V1, {V1, V2}, 2, true, 0}, false},
        {false, false, V1, V2, {V2, {V2, V1}, 2, true, 0}, true},
        {false, false, V1, V1, {0x1a2a3a4a, {V1}, 1, true, 0}, false},
        {false, true, V1, V1, {0}, true},
        {false, true, V2, V2, {0}, false},
        {false, true, V1, V1, {V1, {V1}, 1, true, 0}, true},
        {false, true, V1, V1, {V1, {0}, 0, true, 0}, true},
        {false, true, V1, V1, {V1, {0}, 0, false, 0}, false},
        {false, true, V1, V1, {V1, {V1, V2}, 2, true, 0}, false}, /* version 2 is preferred */
        {false, true, V2, V2, {V2, {V1, V2}, 2, true, 0}, true},
        {false, true, V2, V1, {V1, {V1, V2}, 2, true, 0}, true},
        {false, true, V1, V2, {V2, {V2}, 1, true, 0}, false},
    };
    pair_allow_versions(&config.client, V2, V1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handshake handshake = {.original_version = cases[i].original, .has_reacted = cases[i].has_reacted};
        roam_conn conn = {.config = &config.client,
                          .is_server = cases[i].is_server,
                          .version = cases[i].version,
                          .handshake = &handshake};
        handshake.peer.version_information = cases[i].peer;
        assert_int_equal(conn_version_mismatch(&conn) == NULL, cases[i].fits);
    }
    pair_start(&pair, &config);
}

static void a_configuration_lists_known_versions_once(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, second;
        roam_result result;
    } cases[] = {{0, 0, ROAM_OK},           {V1, 0, ROAM_OK},        {V2, V1, ROAM_OK},
                 {V1, V1, ROAM_ERR_CONFIG}, {3, 0, ROAM_ERR_CONFIG}, {V2, 0x1a2a3a4a, ROAM_ERR_CONFIG}};
    pair_start(&pair, &config);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        roam_result result;
        pair_allow_versions(&config.client, cases[i].first, cases[i].second);
        roam_connect(pair.client.endpoint, "203.0.113.5", 443, &config.client, pair.now, &result);
        assert_int_equal(result, cases[i].result);
    }
}

/* ---- Early data */

static int answers;

/* The client hears that the version is another one, and nothing more. */
static bool look_and_lose_all_but_one_answer(struct pair *of, bool to_server, roam_datagram *datagram)
{
    look(of, to_server, datagram);
    if (to_server)
        return true;
    struct packet_header header;
    packet_header_parse(&header, datagram->data, datagram->len, 8);
    bool negotiation = header.type == PACKET_VERSION_NEGOTIATION;
    if (!negotiation && answers++ == 0)
        datagram->len = header.packet_len; /* its Initial packet */
    return negotiation || answers == 1;
}

/* A client that had a session of version 1 comes back with early data, to a server that now wants `first`, or else
 * `second`: the data arrives, but not early. */
static void come_back(uint32_t first, uint32_t second)
{
    static uint8_t session[sizeof(pair.client.session)];
    char buf[16] = "";
    config.client.early_data = config.server.early_data = true;
    pair_start(&pair, &config);
    expect_version(V1);
    memcpy(session, pair.client.session, sizeof(session));
    config.client.session = session;
    config.client.session_bytes = pair.client.session_bytes;
    pair_allow_versions(pair.server.endpoint->accept, first, second);
    pair_forget_events(&pair);
    pair.server.conn = NULL;
    pair.server.stream = NULL;
    memset(seen, 0, sizeof(seen));
    pair_connect(&pair, &config);
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_OFFERED);
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_int_equal(roam_stream_write(pair.client.stream, "early", 5), 5);
    answers = 0;
    pair.hook = look_and_lose_all_but_one_answer;
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(pair_version(&pair.client), V2);
    assert_int_equal(roam_stream_write(pair.client.stream, " more", 5), 5);
    pair_run(&pair, ROAM_MILLISECONDS(100));
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_HANDSHAKE);
    pair.hook = look;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_SECONDS(1));
    assert_int_equal(pair_version(&pair.client), V2);
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_REJECTED);
    assert_int_equal(roam_conn_early_data(pair.server.conn), ROAM_EARLY_NONE);
    assert_int_equal(roam_stream_read(pair.server.stream, buf, sizeof(buf), NULL), 10);
    assert_int_equal(count(true, PACKET_ZERO_RTT, V1), 1);
    assert_int_equal(count(true, PACKET_ZERO_RTT, V2), 0);
}

static void early_data_is_of_the_first_version_only(void **state)
{
    //= rfc9369#4.1-9 None goes out in the negotiated version.
    //= rfc9369#5-2 A ticket of version 1 is none of version 2.
    (void)state;
    come_back(V2, V1);
}

static void early_data_is_sent_again_after_version_negotiation(void **state)
{
    (void)state;
    come_back(V2, 0);
    assert_int_equal(negotiations(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_pair_of_lists_has_its_version),
        TEST(from_version_1_to_version_2),
        TEST(from_version_2_to_version_1),
        TEST(a_retry_is_of_the_first_version),
        TEST(packets_of_the_new_version_may_come_before_it_is_known),
        TEST(a_long_hello_is_acknowledged_in_the_old_version),
        TEST(handshake_packets_of_another_version_are_dropped),
        TEST(version_negotiation_leads_to_another_version),
        TEST(it_may_be_followed_by_compatible_negotiation),
        TEST(without_a_version_in_common_it_ends_the_attempt),
        TEST(a_forged_list_does_not_downgrade),
        TEST(lists_of_the_first_version_and_second_lists_are_ignored),
        TEST(a_server_takes_no_version_negotiation),
        TEST(what_the_peer_says_must_fit_what_has_happened),
        TEST(a_configuration_lists_known_versions_once),
        TEST(early_data_is_of_the_first_version_only),
        TEST(early_data_is_sent_again_after_version_negotiation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
