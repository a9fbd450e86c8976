/*
 * Memory that is given back holds no key. Every secret of TLS is told by the key log; it, and what is derived of it, is
 * looked for in each block that the endpoints or libcrypto free, and in what they leave behind where a block is made larger.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/minmax.h"
#include "crypto/key_schedule.h"
#include "crypto/packet_protection.h"
#include "crypto/reset_token.h"
#include "crypto/token.h"
#include "pair.h"

#define UNUSED_STATE void **state
/* So many octets of a key tell it from chance. */
#define MARK_BYTES  12
#define MARKS_MAX   1024
#define SIZE_BYTES  16 /* in front of each block of libcrypto's */
#define SECRET_HEX  2 * SECRET_BYTES_MAX
#define GENERATIONS 3

struct mark {
    uint8_t octets[MARK_BYTES];
    const char *what;
};

static struct mark marks[MARKS_MAX];
static size_t mark_count, secret_count, blocks, found;
static struct pair pair;
static struct pair_config config;

static void look_for(const uint8_t *secret, const char *what)
{
    for (size_t i = 0; i < mark_count; i++)
        if (memcmp(marks[i].octets, secret, MARK_BYTES) == 0)
            return;
    assert_true(mark_count < MARKS_MAX);
    memcpy(marks[mark_count].octets, secret, MARK_BYTES);
    marks[mark_count++].what = what;
}

static void scan(const void *block, size_t len)
{
    blocks++;
    for (size_t i = 0; i < mark_count; i++) {
        if (memmem(block, len, marks[i].octets, MARK_BYTES) == NULL)
            continue;
        print_message("%s is left in a block of %zu octets\n", marks[i].what, len);
        found++;
    }
}

/* ---- Allocators -------------------------------------------------------------------------------------------------- */

static void *scanning_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    void *block = new_bytes > 0 ? malloc(new_bytes) : NULL;
    if (ptr != NULL && block != NULL)
        memcpy(block, ptr, min_size(old_bytes, new_bytes));
    if (ptr != NULL)
        scan(ptr, old_bytes);
    free(ptr);
    return block;
}

static void *crypto_malloc(size_t len, const char *file, int line)
{
    (void)file, (void)line;
    unsigned char *block = malloc(SIZE_BYTES + len);
    if (block == NULL)
        return NULL;
    memcpy(block, &len, sizeof(len));
    return block + SIZE_BYTES;
}

static void crypto_free(void *ptr, const char *file, int line)
{
    size_t len;
    (void)file, (void)line;
    if (ptr == NULL)
        return;
    memcpy(&len, (unsigned char *)ptr - SIZE_BYTES, sizeof(len));
    scan(ptr, len);
    free((unsigned char *)ptr - SIZE_BYTES);
}

static void *crypto_realloc(void *ptr, size_t len, const char *file, int line)
{
    size_t old;
    void *block = crypto_malloc(len, file, line);
    if (ptr == NULL || block == NULL)
        return block;
    memcpy(&old, (unsigned char *)ptr - SIZE_BYTES, sizeof(old));
    memcpy(block, ptr, min_size(old, len));
    crypto_free(ptr, file, line);
    return block;
}

/* ---- Secrets ----------------------------------------------------------------------------------------------------- */

/* Of a traffic secret: itself, and for a few phases what packets are protected with. */
static void look_for_keys(enum aead_suite suite, const uint8_t *traffic)
{
    const struct quic_version *version = quic_version_like(ROAM_QUIC_V1);
    uint8_t secret[SECRET_BYTES_MAX], next[SECRET_BYTES_MAX], key[AEAD_KEY_BYTES_MAX];
    memcpy(secret, traffic, sizeof(secret));
    for (int phase = 0; phase < GENERATIONS; phase++) {
        look_for(secret, "a traffic secret");
        hkdf_expand_label(suite, secret, version->key_label, key, aead_suite_info(suite)->key_bytes);
        look_for(key, "a packet key");
        hkdf_expand_label(suite, secret, version->iv_label, key, AEAD_NONCE_BYTES);
        look_for(key, "an IV");
        hkdf_expand_label(suite, secret, version->hp_label, key, aead_suite_info(suite)->key_bytes);
        if (phase == 0)
            look_for(key, "a header protection key");
        next_secret(version, suite, secret, next);
        memcpy(secret, next, sizeof(secret));
    }
}

static void on_secret(void *context, const char *line)
{
    static const enum aead_suite suites[] = {AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305};
    const char *hex = strrchr(line, ' ') + 1;
    uint8_t secret[SECRET_BYTES_MAX] = {0};
    (void)context;
    assert_true(strlen(hex) >= 64 && strlen(hex) <= SECRET_HEX);
    for (size_t i = 0; hex[2 * i] != '\0'; i++)
        secret[i] = (uint8_t)strtoul((const char[]){hex[2 * i], hex[2 * i + 1], '\0'}, NULL, 16);
    secret_count++;
    if (strlen(hex) > 64)
        look_for_keys(AEAD_AES_256_GCM, secret);
    for (size_t i = 0; strlen(hex) == 64 && i < ARRAY_LENGTH(suites); i++)
        look_for_keys(suites[i], secret);
}

static void look_for_keys_of_endpoint(const uint8_t *key)
{
    uint8_t derived[64];
    look_for(key, "the static key");
    reset_key_derive(derived, key, ROAM_STATIC_KEY_BYTES);
    look_for(derived, "the key of reset tokens");
    token_key_derive(derived, key, ROAM_STATIC_KEY_BYTES);
    look_for(derived, "the key of tokens");
    derive_key(key, ROAM_STATIC_KEY_BYTES, "roam session tickets", derived, sizeof(derived));
    look_for(derived, "the key of tickets");
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static const roam_keylog keylog = {.write = on_secret};

static int prepare(UNUSED_STATE)
{
    (void)state;
    mark_count = secret_count = blocks = found = 0;
    pair_prepare(&config);
    pair_give_static_key(&config);
    look_for_keys_of_endpoint(config.server_endpoint.static_key);
    config.client_endpoint.allocator = config.server_endpoint.allocator =
        (roam_allocator){.reallocate = scanning_reallocate};
    config.client.early_data = config.server.early_data = true;
    config.keylog = &keylog;
    return 0;
}

static void update_keys_of(struct pair_side *side)
{
    assert_int_equal(roam_conn_update_keys(side->conn, pair.now), ROAM_OK);
    roam_conn_ping(pair.client.conn, pair.now);
    roam_conn_ping(pair.server.conn, pair.now);
    pair_run(&pair, ROAM_SECONDS(3));
}

/* A whole life: a handshake, updates, silence long enough for expanded keys to be given back, another handshake with early
 * data, and the end of everything. */
static void live(void)
{
    static uint8_t session[sizeof(pair.client.session)];
    pair_start(&pair, &config);
    pair_handshake(&pair);
    assert_true(pair_carries(&pair, "first", ROAM_SECONDS(1)));
    update_keys_of(&pair.client);
    update_keys_of(&pair.server);
    pair_run(&pair, ROAM_SECONDS(10));
    assert_true(pair_carries(&pair, "second", ROAM_SECONDS(1)));
    memcpy(session, pair.client.session, sizeof(session));
    config.client.session = session;
    config.client.session_bytes = pair.client.session_bytes;
    pair.server.conn = NULL;
    pair_forget_events(&pair);
    pair_connect(&pair, &config);
    pair_handshake(&pair);
    assert_true(pair_is_resumed(&pair.client));
    assert_int_equal(roam_conn_early_data(pair.client.conn), ROAM_EARLY_ACCEPTED);
    roam_conn_close(pair.client.conn, pair.now, 0, "over");
    pair_run(&pair, ROAM_SECONDS(5));
    pair_stop(&pair);
}

static void live_with(unsigned cipher)
{
    config.client.ciphers = config.server.ciphers = cipher;
    live();
    /* Four of the first handshake, five of the second, told by both sides, and many a block. */
    assert_true(secret_count >= 18 && blocks > 1000);
    assert_int_equal(found, 0);
}

static void no_block_holds_a_key_of_aes_128(UNUSED_STATE)
{
    (void)state;
    live_with(ROAM_AES_128_GCM);
}

static void no_block_holds_a_key_of_aes_256(UNUSED_STATE)
{
    (void)state;
    live_with(ROAM_AES_256_GCM);
}

static void no_block_holds_a_key_of_chacha20(UNUSED_STATE)
{
    (void)state;
    live_with(ROAM_CHACHA20_POLY1305);
}

/* The backend that is not the fastest here, too. */
static void no_block_of_libcrypto_holds_a_key(UNUSED_STATE)
{
    (void)state;
    const uint8_t secret[SECRET_BYTES_MAX] = {7, 7, 7};
    for (unsigned suite = 0; suite < AEAD_SUITES; suite++) {
        struct packet_keys keys;
        look_for_keys((enum aead_suite)suite, secret);
        packet_keys_init(&keys);
        packet_keys_set(&keys, &config.server_endpoint.allocator, quic_version_like(ROAM_QUIC_V1),
                        (enum aead_suite)suite, secret, &crypto_backend_libcrypto);
        assert_true(packet_keys_expand(&keys));
        packet_keys_done(&keys);
        /* Neither does the struct, wherever it lies. */
        scan(&keys, sizeof(keys));
    }
    assert_int_equal(found, 0);
}

static void a_key_that_is_not_wiped_is_found(UNUSED_STATE)
{
    (void)state;
    const uint8_t secret[SECRET_BYTES_MAX] = {9, 9, 9, 9};
    const roam_allocator allocator = config.server_endpoint.allocator;
    look_for(secret, "what has to be found");
    uint8_t *block = mem_alloc(&allocator, 100);
    memcpy(block + 17, secret, sizeof(secret));
    block = mem_resize(&allocator, block, 100, 200);
    mem_free(&allocator, block, 200);
    assert_int_equal(found, 2);
    block = OPENSSL_malloc(100);
    memcpy(block + 40, secret, sizeof(secret));
    OPENSSL_free(block);
    assert_int_equal(found, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_block_holds_a_key_of_aes_128, prepare),
        cmocka_unit_test_setup(no_block_holds_a_key_of_aes_256, prepare),
        cmocka_unit_test_setup(no_block_holds_a_key_of_chacha20, prepare),
        cmocka_unit_test_setup(no_block_of_libcrypto_holds_a_key, prepare),
        cmocka_unit_test_setup(a_key_that_is_not_wiped_is_found, prepare),
    };
    /* Before anything of libcrypto's is out. */
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
