/* What a server looks for in a ClientHello: found where it is, and never past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <roam/config.h>

#include "base/writer.h"
#include "crypto/client_hello.h"

#define CAPACITY 1024

/* A ClientHello that offers ChaCha20, AES-256 and AES-128 in this order, and `tickets` tickets of 40 octets. */
static size_t make_hello(uint8_t *ret, size_t tickets, bool early_data)
{
    struct writer writer = writer_init(ret, CAPACITY);
    const size_t identities = tickets * (2 + 40 + 4), binders = tickets * 33;
    const size_t psk = tickets > 0 ? 4 + 2 + identities + 2 + binders : 0;
    write_u32(&writer, 0x01000000); /* the length does not matter here */
    write_u16(&writer, 0x0303);
    write_zeros(&writer, 32);
    write_u8(&writer, 0);
    write_u16(&writer, 8);
    write_u16(&writer, 0x0a0a); /* GREASE, RFC 8701 */
    write_u16(&writer, 0x1303);
    write_u16(&writer, 0x1302);
    write_u16(&writer, 0x1301);
    write_u16(&writer, 0x0100); /* compression: one method, null */
    write_u16(&writer, (uint16_t)(5 + (early_data ? 4 : 0) + psk));
    write_u16(&writer, 0x0a0a);
    write_u16(&writer, 1);
    write_u8(&writer, 0);
    if (early_data)
        write_u32(&writer, 0x002a0000);
    if (tickets > 0) {
        write_u16(&writer, 41);
        write_u16(&writer, (uint16_t)(psk - 4));
        write_u16(&writer, (uint16_t)identities);
        for (size_t i = 0; i < tickets; i++) {
            write_u16(&writer, 40);
            for (size_t j = 0; j < 40; j++)
                write_u8(&writer, (uint8_t)('a' + i));
            write_u32(&writer, 1234);
        }
        write_u16(&writer, (uint16_t)binders);
        write_zeros(&writer, binders);
    }
    assert_false(writer.failed);
    return writer_len(&writer);
}

static void a_ticket_and_early_data_are_found(void **state)
{
    (void)state;
    uint8_t message[CAPACITY];
    struct client_hello hello;
    assert_true(client_hello_read(&hello, message, make_hello(message, 1, true)));
    assert_true(hello.early_data);
    assert_int_equal(hello.ticket_count, 1);
    assert_int_equal(hello.ticket_len, 40);
    assert_int_equal(hello.ticket[0], 'a');
    assert_int_equal(hello.ticket_age, 1234);
}

static void of_several_tickets_the_first_is_shown_and_all_are_counted(void **state)
{
    (void)state;
    uint8_t message[CAPACITY];
    struct client_hello hello;
    assert_true(client_hello_read(&hello, message, make_hello(message, 3, true)));
    assert_int_equal(hello.ticket_count, 3);
    assert_int_equal(hello.ticket[39], 'a');
}

static void without_them_nothing_is_found(void **state)
{
    (void)state;
    uint8_t message[CAPACITY];
    struct client_hello hello;
    assert_true(client_hello_read(&hello, message, make_hello(message, 0, false)));
    assert_false(hello.early_data);
    assert_int_equal(hello.ticket_count, 0);
    assert_null(hello.ticket);
}

static void the_suite_is_the_first_of_the_clients_that_we_allow(void **state)
{
    (void)state;
    uint8_t message[CAPACITY];
    struct client_hello hello;
    enum aead_suite suite;
    assert_true(client_hello_read(&hello, message, make_hello(message, 0, false)));
    assert_true(client_hello_suite(&hello, 0, &suite));
    assert_int_equal(suite, AEAD_CHACHA20_POLY1305);
    assert_true(client_hello_suite(&hello, ROAM_AES_128_GCM | ROAM_AES_256_GCM, &suite));
    assert_int_equal(suite, AEAD_AES_256_GCM);
    hello.suites_len = 2;
    assert_false(client_hello_suite(&hello, 0, &suite));
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    uint8_t message[CAPACITY];
    size_t len = make_hello(message, 2, true);
    for (size_t i = 0; i < len; i++) {
        struct client_hello hello;
        uint8_t *cut = malloc(i > 0 ? i : 1); /* of just this size, so that a read beyond it is seen */
        assert_non_null(cut);
        memcpy(cut, message, i);
        assert_false(client_hello_read(&hello, cut, i));
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_and_early_data_are_found),
        cmocka_unit_test(of_several_tickets_the_first_is_shown_and_all_are_counted),
        cmocka_unit_test(without_them_nothing_is_found),
        cmocka_unit_test(the_suite_is_the_first_of_the_clients_that_we_allow),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
