/*
 * Sessions as they come from where an application has kept them. What was damaged there must be left out, and the client
 * says hello all the same. Octet 0 chooses what the rest is:
 *   0  a session: no input of anybody's making has its own hash in it
 *   1  what the hash of a session is over: the hash is put behind it, so that reading it and its certificates is reached
 *   2  instructions for damaging a session that a server gave us: position (2), value to exclusive-or (1), ..., and, if two
 *      octets are left, the length to cut it to
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/session.h"
#include "unit/tls_pair.h"

#define HASH_BYTES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const alpn[] = {"fuzz", NULL}, *const names[] = {"server.example", NULL};
static const uint8_t ticket_key[64] = {1};

static roam_allocator allocator;
static roam_config client_config, server_config;
static struct tls_end client, server;
static roam_credentials *pinned; /* which trust a key that nobody has */
static uint8_t genuine[SESSION_BYTES_MAX];
static size_t genuine_len;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void new_client(const uint8_t *session, size_t len)
{
    struct tls_config config = {.config = &client_config,
                                .server_name = names[0],
                                .params = (const uint8_t *)"client",
                                .params_len = 6,
                                .session = session,
                                .session_len = len,
                                .sink = tls_end_sink(&client)};
    memset(&client, 0, sizeof(client));
    client.tls = tls_new(&allocator, &config, NULL);
    require(client.tls != NULL);
}

static void get_genuine(void)
{
    struct tls_config config = {.is_server = true,
                                .config = &server_config,
                                .params = (const uint8_t *)"server",
                                .params_len = 6,
                                .ticket_key = ticket_key,
                                .sink = tls_end_sink(&server)};
    allocator = roam_allocator_default();
    roam_config_init(&client_config);
    roam_config_init(&server_config);
    client_config.alpn = server_config.alpn = alpn;
    client_config.credentials = roam_credentials_new();
    server_config.credentials = roam_credentials_new();
    roam_credentials_trust_anyone(client_config.credentials);
    require(roam_credentials_generate(server_config.credentials, names) == ROAM_OK);
    const uint8_t fingerprint[ROAM_FINGERPRINT_BYTES] = {0};
    pinned = roam_credentials_new();
    require(pinned != NULL && roam_credentials_trust_pin(pinned, fingerprint) == ROAM_OK);
    new_client(NULL, 0);
    server.tls = tls_new(&allocator, &config, NULL);
    require(server.tls != NULL);
    tls_handshake(&client, &server);
    require(tls_send_ticket(server.tls, 0) == ROAM_NO_ERROR);
    tls_carry(&server, &client, SIZE_MAX);
    genuine_len = client.session_len;
    require(genuine_len > HASH_BYTES);
    memcpy(genuine, client.session, genuine_len);
    tls_end_done(&client);
    tls_end_done(&server);
}

static void offer(const uint8_t *session, size_t len)
{
    struct session_parts parts;
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of just this size, so that a read beyond it is seen */
    require(copy != NULL);
    if (len > 0)
        memcpy(copy, session, len);
    bool is_genuine = len == genuine_len && memcmp(session, genuine, len) == 0;
    require(session_read(&parts, copy, len) == is_genuine);
    new_client(copy, len);
    tls_end_start(&client);
    require(client.error == ROAM_NO_ERROR && client.sent_bytes[TLS_INITIAL] > 0);
    tls_end_done(&client);
    free(copy);
}

static void require_inside(const uint8_t *outer, size_t outer_len, const uint8_t *inner, size_t inner_len)
{
    require(inner >= outer && inner_len <= outer_len && (size_t)(inner - outer) <= outer_len - inner_len);
}

static void read_hashed(const uint8_t *data, size_t size)
{
    struct session_parts parts;
    struct verdict verdict;
    uint8_t *session = malloc(size + HASH_BYTES);
    require(session != NULL);
    if (size > 0)
        memcpy(session, data, size);
    sha256(session, size, session + size);
    if (session_read(&parts, session, size + HASH_BYTES)) {
        require_inside(session, size, parts.name, parts.name_len);
        require_inside(session, size, parts.data, parts.data_len);
        for (unsigned i = 0; i < parts.count; i++)
            require_inside(session, size, parts.certificates[i].data, parts.certificates[i].size);
        require(!credentials_accept_again(pinned, parts.certificates, parts.count, names[0], &verdict));
    }
    free(session);
}

static void offer_damaged(const uint8_t *data, size_t size)
{
    static uint8_t session[SESSION_BYTES_MAX];
    size_t len = genuine_len;
    memcpy(session, genuine, len);
    for (; size >= 3; data += 3, size -= 3)
        session[((size_t)data[0] << 8 | data[1]) % len] ^= data[2];
    if (size == 2)
        len = ((size_t)data[0] << 8 | data[1]) % len;
    offer(session, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (genuine_len == 0)
        get_genuine();
    if (size == 0 || size > SESSION_BYTES_MAX - HASH_BYTES)
        return 0;
    switch (data[0] % 3) {
    case 0:
        offer(data + 1, size - 1);
        break;
    case 1:
        read_hashed(data + 1, size - 1);
        break;
    default:
        offer_damaged(data + 1, size - 1);
    }
    return 0;
}
