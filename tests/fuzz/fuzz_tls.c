/*
 * Handshake messages from a peer that has the keys and writes what it likes: a real client and a real server shake hands,
 * and each flight is damaged on its way as the input says. Octet 0: bit 1 has the client offer a
 * longer list of protocols, bit 2 has the server send a ticket after the handshake; the next octet counts those that the
 * client sends as its transport parameters.
 *
 * Then each flight takes an octet, how it comes (see `carry`), and what that wants. Either end may fail at any time,
 * with an alert or an error of QUIC's, and then it is only given back; where both are complete, they agree.
 */
#include "fuzz/program.h"
#include "unit/tls_pair.h"

#define PARAMS_MAX  200
#define FLIGHTS_MAX 24
#define DAMAGES_MAX 8

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"server.example", NULL};
static const uint8_t ticket_key[64] = {1};
static roam_allocator allocator;
static roam_config client_config, server_config, second_config;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const alpn[] = {"fuzz", NULL}, *const other[] = {"one", "two", "fuzz", NULL};
    (void)argc, (void)argv;
    allocator = roam_allocator_default();
    roam_config_init(&client_config);
    roam_config_init(&server_config);
    client_config.alpn = server_config.alpn = alpn;
    client_config.credentials = roam_credentials_new();
    server_config.credentials = roam_credentials_new();
    roam_credentials_trust_anyone(client_config.credentials);
    require(roam_credentials_generate(server_config.credentials, names) == ROAM_OK);
    second_config = client_config;
    second_config.alpn = other;
    return 0;
}

static void begin(struct tls_end *client, struct tls_end *server, struct program *program)
{
    uint8_t params[PARAMS_MAX];
    const uint8_t choice = program_take(program);
    size_t params_len = program_take(program) % (PARAMS_MAX + 1u);
    for (size_t i = 0; i < params_len; i++)
        params[i] = program_take(program);
    const struct tls_config of_client = {.config = (choice & 2) != 0 ? &second_config : &client_config,
                                         .server_name = names[0],
                                         .params = params,
                                         .params_len = params_len,
                                         .sink = tls_end_sink(client)};
    const struct tls_config of_server = {.is_server = true,
                                         .config = &server_config,
                                         .params = (const uint8_t *)"server",
                                         .params_len = 6,
                                         .ticket_key = (choice & 4) != 0 ? ticket_key : NULL,
                                         .sink = tls_end_sink(server)};
    memset(client, 0, sizeof(*client));
    memset(server, 0, sizeof(*server));
    client->tls = tls_new(&allocator, &of_client, NULL);
    server->tls = tls_new(&allocator, &of_server, NULL);
    require(client->tls != NULL && server->tls != NULL);
}

/* Gives the octets to TLS, in memory of their exact size, at most `chunk` at a time. */
static void give(struct tls_end *to, enum tls_level level, const uint8_t *data, size_t len, size_t chunk)
{
    for (size_t at = 0; at < len && to->error == ROAM_NO_ERROR; at += chunk) {
        const size_t part = len - at < chunk ? len - at : chunk;
        uint8_t *copy = malloc(part);
        require(copy != NULL);
        memcpy(copy, data + at, part);
        to->error = tls_receive(to->tls, level, copy, part);
        free(copy);
    }
}

/* Octets of the flight are changed; the first ones, of message headers, more often than others. */
static void damage(uint8_t *octets, size_t len, struct program *program)
{
    for (int left = program_take(program) % DAMAGES_MAX; left > 0 && len > 0; left--) {
        size_t at = program_take(program);
        if ((at & 0x80) != 0)
            at = (at & 0x7f) << 8 | program_take(program);
        octets[at % len] ^= program_take(program);
    }
}

/* A message of its own making: a type, a length that may be a lie, and what it has of it. */
static size_t compose(uint8_t *ret, struct program *program)
{
    const uint8_t claimed = program_take(program), there = program_take(program);
    ret[0] = program_take(program);
    ret[1] = 0;
    ret[2] = claimed & 0x0f;
    ret[3] = claimed;
    for (size_t i = 0; i < there; i++)
        ret[4 + i] = program_take(program);
    return 4u + there;
}

static void carry(const struct tls_end *from, const struct tls_flight *flight, struct tls_end *to,
                  struct program *program)
{
    static uint8_t octets[TLS_PAIR_OCTETS];
    uint8_t own[4 + UINT8_MAX];
    const uint8_t how = program_take(program);
    const size_t chunk = (how & 0x80) != 0 ? 1u + program_take(program) : SIZE_MAX / 2;
    size_t len = flight->len;
    memcpy(octets, from->octets + flight->at, len);
    switch (how & 7) {
    case 1:
        damage(octets, len, program);
        break;
    case 2:
        len = len * program_take(program) / 256;
        break;
    case 3: /* what is at the wrong level */
        give(to, (how >> 4) % TLS_LEVELS, octets, len, chunk);
        return;
    case 4: /* one more message before it */
        give(to, flight->level, own, compose(own, program), chunk);
        break;
    case 5: /* twice */
        give(to, flight->level, octets, len, chunk);
        break;
    case 6: /* never */
        return;
    default:
        break;
    }
    give(to, flight->level, octets, len, chunk);
    if ((how & 7) == 7)
        give(to, flight->level, own, compose(own, program), chunk);
}

static bool carry_next(struct tls_end *from, struct tls_end *to, struct program *program)
{
    if (from->carried == from->flight_count || to->error != ROAM_NO_ERROR)
        return false;
    const struct tls_flight *flight = &from->flights[from->carried++];
    carry(from, flight, to, program);
    return true;
}

/* An end that has failed has a text for it; one that is complete has secrets. */
static void check(const struct tls_end *end)
{
    if (end->error != ROAM_NO_ERROR) {
        require(tls_failure(end->tls) != NULL);
        return;
    }
    if (tls_is_complete(end->tls))
        require(end->has_receive[TLS_APPLICATION] && end->has_send[TLS_APPLICATION]);
    require(strlen(tls_alpn(end->tls)) < 256);
}

static void require_agreement(const struct tls_end *client, const struct tls_end *server)
{
    const size_t bytes = aead_suite_info(client->suite)->secret_bytes;
    require(client->suite == server->suite);
    require(memcmp(client->send[TLS_APPLICATION], server->receive[TLS_APPLICATION], bytes) == 0);
    require(memcmp(client->receive[TLS_APPLICATION], server->send[TLS_APPLICATION], bytes) == 0);
    require(strcmp(tls_alpn(client->tls), "fuzz") == 0 && strcmp(tls_alpn(server->tls), "fuzz") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_end client, server;
    struct program program = {data, size};
    const bool ticket = size > 0 && (data[0] & 4) != 0;
    begin(&client, &server, &program);
    client.error = tls_start(client.tls);
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        const bool moved = carry_next(&client, &server, &program) || carry_next(&server, &client, &program);
        check(&client);
        check(&server);
        if (!moved)
            break;
    }
    const bool complete = client.error == ROAM_NO_ERROR && server.error == ROAM_NO_ERROR &&
                          tls_is_complete(client.tls) && tls_is_complete(server.tls);
    if (complete)
        require_agreement(&client, &server);
    if (complete && ticket && tls_send_ticket(server.tls, ROAM_SECONDS(1)) == ROAM_NO_ERROR)
        while (carry_next(&server, &client, &program))
            check(&client);
    tls_end_done(&client);
    tls_end_done(&server);
    return 0;
}
