/* What a connection says to a qlog: records that can be read, in the order of what happened, without secrets; and what
 * becomes of it when nobody takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/log.h"
#include "counting_allocator.h"
#include "json_check.h"
#include "pair.h"
#include "seeded.h"

#define TEXT_MAX 2000000

/* A log in memory. */
struct kept_log {
    bool is_server, closed;
    size_t len, writes;
    char text[TEXT_MAX];
};

static struct kept_log client_log, server_log;
static size_t opened, refuse_from; /* the sink takes no more from this write on; 0: it takes all */
static char secrets[16384];
static struct pair pair;
static struct pair_config config;
static roam_address outside;

static void *on_open(void *context, const roam_cid *original_dcid, bool is_server)
{
    (void)context;
    assert_true(original_dcid->len >= 8);
    opened++;
    struct kept_log *log = is_server ? &server_log : &client_log;
    log->is_server = is_server;
    return log;
}

static bool on_write(void *context, void *opened_log, const char *text, size_t len)
{
    struct kept_log *log = opened_log;
    (void)context;
    assert_false(log->closed);
    log->writes++;
    if (refuse_from > 0 && log->writes >= refuse_from)
        return false;
    assert_true(len > 0 && len <= QLOG_BUFFER_BYTES && log->len + len < TEXT_MAX);
    memcpy(log->text + log->len, text, len);
    log->len += len;
    return true;
}

static void on_close(void *context, void *log)
{
    (void)context;
    assert_false(((struct kept_log *)log)->closed);
    ((struct kept_log *)log)->closed = true;
}

static void on_secret(void *context, const char *line)
{
    (void)context;
    assert_true(strlen(line) <= ROAM_KEYLOG_LINE_MAX && strlen(secrets) + strlen(line) + 2 < sizeof(secrets));
    strcat(strcat(secrets, line), "\n");
}

static const roam_qlog sink = {.open = on_open, .write = on_write, .close = on_close};
static const roam_keylog keylog = {.write = on_secret};

static bool translate(struct pair *p, bool to_server, roam_datagram *datagram)
{
    if (to_server)
        datagram->remote = outside;
    else if (!roam_address_equal(&datagram->local, &outside))
        return false;
    else
        datagram->local = p->client_address;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    memset(&client_log, 0, sizeof(client_log));
    memset(&server_log, 0, sizeof(server_log));
    opened = refuse_from = 0;
    secrets[0] = '\0';
    pair_prepare(&config);
    config.qlog = &sink;
    config.keylog = &keylog;
    assert_true(roam_address_parse(&outside, "198.51.100.1:40000"));
    return 0;
}

static void start(void)
{
    pair_start(&pair, &config);
    pair.hook = translate;
    pair_handshake(&pair);
    pair_run(&pair, ROAM_MILLISECONDS(500));
}

static void transfer(size_t bytes)
{
    static uint8_t data[50000];
    pair.client.stream = roam_stream_open(pair.client.conn, false, NULL);
    assert_non_null(pair.client.stream);
    assert_int_equal(roam_stream_write(pair.client.stream, data, bytes), bytes);
    pair_run(&pair, ROAM_SECONDS(1));
}

static void rebind(void)
{
    outside.port++;
    roam_conn_ping(pair.client.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(2));
}

/* The text from the first occurrence of `what` on; fails where there is none. */
static const char *after(const char *text, const char *what)
{
    const char *found = strstr(text, what);
    if (found == NULL)
        fail_msg("'%s' does not come", what);
    return found + 1;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static void assert_records(const struct kept_log *log, size_t least)
{
    size_t records = 0;
    assert_true(log->len > 0 && log->text[0] == 0x1e && log->text[log->len - 1] == '\n');
    for (const char *at = log->text; at < log->text + log->len; records++) {
        const char *end = strchr(at, '\n');
        assert_true(*at == 0x1e && end != NULL);
        assert_true(json_is_valid(at + 1, (size_t)(end - at - 1)));
        const char *wanted = records == 0 ? "{\"qlog_version\":\"0.3\",\"qlog_format\":\"JSON-SEQ\"" : "{\"time\":";
        assert_memory_equal(at + 1, wanted, strlen(wanted));
        at = end + 1;
    }
    assert_true(records >= least);
}

static void nothing_is_said_unless_asked_for(void **state)
{
    (void)state;
    config.qlog = NULL;
    config.keylog = NULL;
    start();
    assert_null(pair.client.conn->log);
    assert_null(pair.server.conn->log);
    pair_stop(&pair);
    assert_true(opened == 0 && secrets[0] == '\0');
}

static void every_record_is_a_json_text_of_its_own(void **state)
{
    (void)state;
    start();
    transfer(50000);
    rebind();
    roam_conn_close(pair.client.conn, pair.now, 7, "by\n\"us\"\\");
    pair_run(&pair, ROAM_SECONDS(2));
    pair_stop(&pair);
    assert_true(client_log.closed && server_log.closed);
    assert_records(&client_log, 50);
    assert_records(&server_log, 50);
    after(client_log.text,
          "connection_closed\",\"data\":{\"owner\":\"local\",\"application_error\":\"unknown\",\"error_code\":7");
    after(server_log.text, "connection_closed\",\"data\":{\"owner\":\"remote\"");
}

static void a_rebinding_is_told_step_by_step(void **state)
{
    (void)state;
    start();
    rebind();
    pair_run(&pair, ROAM_SECONDS(3));
    pair_stop(&pair);
    static const char *const steps[] = {
        "transport:packet_received\",\"path\":\"1\"",
        "roam:path_moved\",\"path\":\"1\"",
        "\"new\":\"migration_started\"",
        "roam:path_challenged\"",
        "\"frame_type\":\"path_challenge\",\"data\":\"",
        "\"frame_type\":\"path_response\",\"data\":\"",
        "roam:path_answered\",\"path\":\"1\"",
        "\"new\":\"probing_successful\"",
        "roam:path_settled\",\"path\":\"1\"",
        "\"gap\":",
        "\"old\":\"probing_successful\",\"new\":\"migration_complete\"",
        "roam:path_failed\",\"path\":\"0\"",
    };
    const char *at = strstr(server_log.text, "roam:path_new\",\"path\":\"1\"");
    assert_non_null(at);
    assert_int_equal(count(server_log.text, "connectivity:path_assigned\",\"path\":\"1\""), 1);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        at = after(at, steps[i]);
    assert_int_equal(count(server_log.text, "roam:path_moved"), 1);
    assert_int_equal(count(server_log.text, "roam:path_settled"), 1);
    after(client_log.text, "roam:path_challenge_received");
    after(client_log.text, "roam:path_responded");
}

static void frames_and_events_show_the_same_challenges(void **state)
{
    (void)state;
    start();
    pair_forget_events(&pair);
    rebind();
    size_t seen = 0;
    for (size_t i = 0; i < pair.server.event_count; i++) {
        char text[80] = "\"frame_type\":\"path_challenge\",\"data\":\"";
        const roam_event *event = &pair.server.events[i];
        if (event->type != ROAM_EVENT_PATH_CHALLENGED)
            continue;
        for (size_t k = 0; k < 8; k++)
            sprintf(text + strlen(text), "%02x", event->path_data[k]);
        assert_int_equal(count(server_log.text, text), 1);
        seen++;
    }
    assert_in_range(seen, 2, 10);
    pair_stop(&pair);
}

static void the_latest_names_are_those_of_the_newest_draft(void **state)
{
    (void)state;
    static roam_qlog latest;
    latest = sink;
    latest.names = ROAM_QLOG_NAMES_LATEST;
    config.qlog = &latest;
    start();
    rebind();
    pair_stop(&pair);
    assert_records(&server_log, 50);
    after(server_log.text, "\"quic:tuple_assigned\",\"tuple\":\"1\",\"data\":{\"tuple_id\":\"1\",\"tuple_local\":");
    after(server_log.text, "\"quic:recovery_metrics_updated\",\"tuple\":");
    after(server_log.text, "\"initiator\":\"remote\"");
    assert_int_equal(count(server_log.text, "\"transport:") + count(server_log.text, "\"owner\""), 0);
}

/* ---- Secrets */

static void put_hex(char *ret, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sprintf(ret + 2 * i, "%02x", data[i]);
}

static void assert_unsaid(const char *text)
{
    assert_null(strstr(client_log.text, text));
    assert_null(strstr(server_log.text, text));
}

static void no_secret_and_no_token_is_said(void **state)
{
    (void)state;
    char text[2 * sizeof(pair.client.token) + 1];
    start();
    rebind();
    /* Reset tokens of all CIDs that the client holds. */
    const struct remote_cid_set *cids = &pair.client.conn->remote_cids;
    assert_true(cids->count > 2);
    for (size_t i = 0; i < cids->count; i++) {
        put_hex(text, cids->entries[i].reset_token, RESET_TOKEN_BYTES);
        assert_unsaid(text);
    }
    /* The address validation token. */
    assert_true(pair.client.token_bytes > 16);
    put_hex(text, pair.client.token, 16);
    assert_unsaid(text);
    /* Whatever the keylog has: both ends tell the same, so each secret comes twice. */
    size_t lines = 0;
    for (char *line = strtok(secrets, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        const char *secret = strrchr(line, ' ');
        assert_non_null(secret);
        assert_int_equal(strlen(secret + 1) % 2, 0);
        assert_unsaid(secret + 1);
    }
    assert_true(lines >= 8 && lines % 2 == 0);
    pair_stop(&pair);
}

static void a_keylog_has_the_labels_that_decrypt_quic(void **state)
{
    (void)state;
    static const char *const labels[] = {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                                         "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    start();
    pair_stop(&pair);
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        const char *line = strstr(secrets, labels[i]);
        assert_non_null(line);
        const char *random = line + strlen(labels[i]);
        assert_int_equal(strspn(random, "0123456789abcdef"), 64);
        assert_int_equal(count(secrets, labels[i]), 2);
    }
}

/* ---- A sink that refuses */

static void a_sink_that_refuses_ends_the_log_and_not_the_connection(void **state)
{
    (void)state;
    roam_endpoint_stats stats;
    refuse_from = 3;
    start();
    transfer(50000);
    rebind();
    assert_true(client_log.closed && server_log.closed);
    assert_null(pair.client.conn->log);
    assert_true(client_log.writes == 3 && server_log.writes == 3);
    assert_records(&client_log, 2);
    roam_endpoint_get_stats(pair.client.endpoint, &stats);
    assert_int_equal(stats.qlog_failures, 1);
    roam_endpoint_get_stats(pair.server.endpoint, &stats);
    assert_int_equal(stats.qlog_failures, 1);
    assert_int_equal(roam_conn_state(pair.client.conn), ROAM_CONN_ESTABLISHED);
    assert_true(pair_carries(&pair, "still here", ROAM_SECONDS(1)));
    pair_stop(&pair);
}

static struct counting_allocator counting;

static size_t allocations_of_a_transfer(const roam_qlog *qlog)
{
    memset(&counting, 0, sizeof(counting));
    config.qlog = qlog;
    config.client_endpoint.allocator = counting_allocator(&counting);
    start();
    transfer(50000);
    rebind();
    size_t allocations = counting.allocations;
    pair_stop(&pair);
    assert_int_equal(counting.bytes_out, 0);
    return allocations;
}

static void a_log_is_one_allocation(void **state)
{
    (void)state;
    size_t without = allocations_of_a_transfer(NULL);
    assert_int_equal(allocations_of_a_transfer(&sink), without + 1);
}

/* ---- Pieces */

static void the_time_of_the_beginning_is_a_date_where_the_epoch_is_known(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } dates[] = {{951782399, "2000-02-28T23:59:59.000Z"},  {951782400, "2000-02-29T00:00:00.000Z"},
                 {951868800, "2000-03-01T00:00:00.000Z"},  {1704067199, "2023-12-31T23:59:59.000Z"},
                 {4107542400, "2100-03-01T00:00:00.000Z"}, {86400, "1970-01-02T00:00:00.000Z"}};
    static struct qlog qlog;
    roam_cid cid = {.len = 8};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        memset(&client_log, 0, sizeof(client_log));
        roam_qlog dated = sink;
        dated.unix_epoch_ns = ROAM_SECONDS(dates[i].seconds - 1000);
        assert_true(qlog_open(&qlog, ROAM_SECONDS(1000), &dated, &cid, false));
        qlog_close(&qlog);
        after(client_log.text, dates[i].text);
    }
}

static char frames_text[QLOG_RECORD_BYTES_MAX];

static size_t frames_of(const uint8_t *payload, size_t len)
{
    struct json json = json_init(frames_text, sizeof(frames_text) - 1);
    json_object_begin(&json, NULL);
    qlog_frames(&json, payload, len, 20);
    json_object_end(&json);
    assert_false(json.failed);
    *json.pos = '\0';
    assert_true(json_is_valid(frames_text, json_len(&json)));
    return json_len(&json);
}

static void more_frames_than_a_record_holds_are_counted(void **state)
{
    (void)state;
    static uint8_t pings[60000];
    memset(pings, FRAME_PING, sizeof(pings));
    frames_of(pings, sizeof(pings));
    size_t shown = count(frames_text, "\"ping\"");
    char wanted[40];
    snprintf(wanted, sizeof(wanted), "],\"frames_left_out\":%zu}", sizeof(pings) - shown);
    assert_true(shown > 100);
    after(frames_text, wanted);
}

static void random_payloads_make_records_that_can_be_read(void **state)
{
    (void)state;
    struct seeded seeded = {11};
    for (int round = 0; round < 20000; round++) {
        uint8_t payload[300];
        size_t len = seeded_below(&seeded, sizeof(payload)) + 1;
        for (size_t i = 0; i < len; i++)
            payload[i] = (uint8_t)(seeded_below(&seeded, 4) != 0 ? seeded_below(&seeded, 0x20) : seeded_u64(&seeded));
        frames_of(payload, len);
    }
}

static void close_reasons_are_escaped_and_errors_named(void **state)
{
    (void)state;
    uint8_t payload[64];
    struct writer writer = writer_init(payload, sizeof(payload));
    frame_write_close(&writer, false, ROAM_CRYPTO_ERROR + 0x2a, FRAME_CRYPTO, "\"\x1e\xff\\", 4);
    frame_write_close(&writer, true, 300, 0, "bye", 3);
    frame_write_close(&writer, false, ROAM_FLOW_CONTROL_ERROR, 0, "", 0);
    frames_of(payload, writer_len(&writer));
    after(frames_text, "\"error\":\"crypto_error_0x12a\",\"error_code\":298,\"reason\":\"\\\"\\u001e\\ufffd\\\\\","
                       "\"trigger_frame_type\":6");
    after(frames_text, "\"error_space\":\"application\",\"error\":\"unknown\",\"error_code\":300,\"reason\":\"bye\"");
    after(frames_text, "\"error\":\"flow_control_error\"");
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_said_unless_asked_for),
        TEST(every_record_is_a_json_text_of_its_own),
        TEST(a_rebinding_is_told_step_by_step),
        TEST(frames_and_events_show_the_same_challenges),
        TEST(the_latest_names_are_those_of_the_newest_draft),
        TEST(no_secret_and_no_token_is_said),
        TEST(a_keylog_has_the_labels_that_decrypt_quic),
        TEST(a_sink_that_refuses_ends_the_log_and_not_the_connection),
        TEST(a_log_is_one_allocation),
        TEST(the_time_of_the_beginning_is_a_date_where_the_epoch_is_known),
        TEST(more_frames_than_a_record_holds_are_counted),
        TEST(random_payloads_make_records_that_can_be_read),
        TEST(close_reasons_are_escaped_and_errors_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
