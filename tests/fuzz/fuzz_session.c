/*
 * Sessions as they may come from a damaged file, or from one that somebody else wrote. What a client does with them is to
 * offer them or to leave them out; either way it says hello. Octet 0 chooses what the rest is:
 *   0  a session
 *   1  a session without its hash, which is put behind it, so that what the hash protects is reached too
 *   2  GnuTLS's part of a session of our making
 *   3  instructions for damaging a session that a server gave us: position (2), value to exclusive-or (1), ...
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/key_schedule.h"
#include "crypto/session.h"
#include "unit/tls_pair.h"

#define HASH_BYTES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const alpn[] = {"fuzz", NULL}, *const names[] = {"server.example", NULL};
static const uint8_t ticket_key[64] = {1};

static roam_allocator allocator;
static roam_config client_config, server_config;
static struct tls_end client, server;
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
    new_client(NULL, 0);
    server.tls = tls_new(&allocator, &config, NULL);
    require(server.tls != NULL);
    tls_handshake(&client, &server);
    require(tls_send_ticket(server.tls) == ROAM_NO_ERROR);
    tls_carry(&server, &client, SIZE_MAX);
    genuine_len = client.session_len;
    require(genuine_len > HASH_BYTES);
    memcpy(genuine, client.session, genuine_len);
    tls_end_done(&client);
    tls_end_done(&server);
}

static void offer(const uint8_t *session, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1); /* of just this size, so that a read beyond it is seen */
    require(copy != NULL);
    if (len > 0)
        memcpy(copy, session, len);
    new_client(copy, len);
    tls_end_start(&client);
    require(client.error != ROAM_NO_ERROR || client.sent_bytes[TLS_INITIAL] > 0);
    tls_end_done(&client);
    free(copy);
}

/* The octets at session[0..len), with their hash. */
static void offer_hashed(uint8_t *session, size_t len)
{
    sha256(session, len, session + len);
    offer(session, len + HASH_BYTES);
}

static void offer_made(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = {1,   14,  's', 'e', 'r', 'v', 'e', 'r', '.', 'e',
                                   'x', 'a', 'm', 'p', 'l', 'e', 1,   0,   1,   0x30};
    static uint8_t session[sizeof(head) + SESSION_BYTES_MAX];
    memcpy(session, head, sizeof(head));
    memcpy(session + sizeof(head), data, size);
    offer_hashed(session, sizeof(head) + size);
}

static void offer_damaged(const uint8_t *data, size_t size)
{
    static uint8_t session[SESSION_BYTES_MAX];
    const size_t len = genuine_len - HASH_BYTES;
    memcpy(session, genuine, len);
    for (; size >= 3; data += 3, size -= 3)
        session[((size_t)data[0] << 8 | data[1]) % len] ^= data[2];
    offer_hashed(session, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t session[SESSION_BYTES_MAX];
    if (genuine_len == 0)
        get_genuine();
    if (size == 0 || size > SESSION_BYTES_MAX - HASH_BYTES)
        return 0;
    switch (data[0] & 3) {
    case 0:
        offer(data + 1, size - 1);
        break;
    case 1:
        memcpy(session, data + 1, size - 1);
        offer_hashed(session, size - 1);
        break;
    case 2:
        offer_made(data + 1, size - 1);
        break;
    default:
        offer_damaged(data + 1, size - 1);
    }
    return 0;
}
