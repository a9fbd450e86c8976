/*
 * Transport parameters that a connection lives by. The client of a real handshake sends those that it would, but for up to
 * eight that the input puts in their place or adds, in values that are allowed or not; the server's configuration is
 * the input's. If the handshake comes about, both send what they may, and move.
 *
 * Octet 0: limits of the server's; octet 1: how many parameters, of which each takes an octet for its id and one for how
 * its value is made. Both endpoints write qlogs, of which each record must be JSON.
 */
#include "endpoint/endpoint.h"
#include "fuzz/checked_log.h"
#include "fuzz/program.h"
#include "unit/pair.h"

#define PARAMS_BYTES  2048
#define OVERRIDES_MAX 8
#define IDS           0x24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pair pair;
static struct pair_config config;

/* ---- Parameters */

/* As an integer of any size, or as octets of any length. */
static void write_value(struct writer *writer, uint8_t how, struct program *program)
{
    static const uint64_t edges[] = {0,     1,     2,     3,     20,    21,  1199,       1200,       16383,
                                     16384, 65535, 65536, 65527, 65528, 255, UINT32_MAX, VARINT_MAX, UINT64_C(1) << 60};
    const uint64_t value = (how & 0x40) != 0 ? program_take(program) : edges[how % ARRAY_LENGTH(edges)];
    const size_t len = how & 0x3f;
    if ((how & 0x80) == 0) {
        write_varint(writer, varint_len(value));
        write_varint(writer, value);
        return;
    }
    write_varint(writer, len);
    for (size_t i = 0; i < len; i++)
        write_u8(writer, program_take(program));
}

static void write_overrides(struct writer *writer, struct program *program, bool *overridden)
{
    for (int left = program_take(program) % (OVERRIDES_MAX + 1); left > 0; left--) {
        const uint8_t id = program_take(program) % IDS;
        overridden[id] = true;
        write_varint(writer, id);
        write_value(writer, program_take(program), program);
    }
}

/* Those of `own` that were not overridden. */
static void write_rest(struct writer *writer, const uint8_t *own, size_t own_len, const bool *overridden)
{
    struct reader reader = reader_init(own, own_len);
    while (reader_left(&reader) > 0) {
        const uint64_t id = read_varint(&reader);
        const size_t len = read_varint(&reader);
        const uint8_t *value = read_bytes(&reader, len);
        require(!reader.failed);
        if (id < IDS && overridden[id])
            continue;
        write_varint(writer, id);
        write_varint(writer, len);
        write_bytes(writer, value, len);
    }
}

static void replace_params(roam_conn *conn, struct program *program)
{
    uint8_t own[PARAMS_BYTES], made[PARAMS_BYTES];
    bool overridden[IDS] = {false};
    struct writer of_own = writer_init(own, sizeof(own)), writer = writer_init(made, sizeof(made));
    transport_params_write(&of_own, &conn->handshake->ours);
    write_overrides(&writer, program, overridden);
    write_rest(&writer, own, writer_len(&of_own), overridden);
    require(!writer.failed && !of_own.failed);
    require(tls_set_params(conn->handshake->tls, made, writer_len(&writer)));
}

/* ---- A connection */

/* A name is to be resolved first: until it is, the client has said nothing. */
static void begin(struct program *program, const roam_qlog *qlog)
{
    const uint8_t choice = program_take(program);
    pair_prepare(&config);
    config.qlog = qlog;
    config.server.initial_max_data = (choice & 1) != 0 ? 0 : 5000;
    config.server.initial_max_stream_data = (choice & 2) != 0 ? 1 : 3000;
    config.server.initial_max_streams_bidi = (choice & 4) != 0 ? 1 : 5;
    config.server.active_connection_id_limit = (choice & 8) != 0 ? 2 : 16;
    config.server.disable_active_migration = (choice & 0x10) != 0;
    config.server.max_udp_payload = (choice & 0x20) != 0 ? 1200 : 65527;
    config.server.max_datagram_frame_bytes = config.client.max_datagram_frame_bytes = (choice & 0x40) != 0 ? 1200 : 0;
    config.server_endpoint.retry = (choice & 0x80) != 0 ? ROAM_RETRY_ALWAYS : ROAM_RETRY_NEVER;
    pair_start(&pair, &config);
    pair.delay = ROAM_MILLISECONDS(5);
    roam_conn_free(pair.client.conn, pair.now);
    pair_run(&pair, 0);
    roam_config named = config.client;
    named.local = &pair.client_address;
    named.server_name = "localhost";
    pair.client.conn = roam_connect(pair.client.endpoint, "localhost", 443, &named, pair.now, NULL);
    require(pair.client.conn != NULL);
    replace_params(pair.client.conn, program);
    roam_conn_resolved(pair.client.conn, pair.now, &pair.server_address, 1);
}

static void send_something(roam_conn *conn)
{
    static const uint8_t octets[4000];
    if (conn == NULL || roam_conn_state(conn) != ROAM_CONN_ESTABLISHED)
        return;
    for (int i = 0; i < 3; i++) {
        roam_stream *stream = roam_stream_open(conn, i == 2, NULL);
        if (stream == NULL)
            continue;
        roam_stream_write(stream, octets, sizeof(octets));
        roam_stream_finish(stream);
    }
    roam_conn_send_datagram(conn, pair.now, octets, 1000, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct checked_log log;
    struct program program = {data, size};
    log = (struct checked_log){0};
    const roam_qlog qlog = checked_log_sink(&log, ROAM_QLOG_NAMES_LATEST);
    begin(&program, &qlog);
    pair_run(&pair, ROAM_MILLISECONDS(60));
    send_something(pair.client.conn);
    send_something(pair.server.conn);
    pair_run(&pair, ROAM_MILLISECONDS(60));
    if (roam_conn_state(pair.client.conn) == ROAM_CONN_ESTABLISHED) {
        pair.client_address.port++;
        roam_conn_migrate(pair.client.conn, pair.now, &pair.client_address);
    }
    pair_run(&pair, ROAM_MILLISECONDS(100));
    pair_stop(&pair);
    return 0;
}
