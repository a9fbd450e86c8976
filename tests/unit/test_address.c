/* Addresses and connection IDs: text in both directions, and what equals what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include <roam/types.h>

#include "seeded.h"

static void check_text(const char *text, const char *expected)
{
    roam_address address;
    char formatted[ROAM_ADDRESS_TEXT_MAX];
    assert_true(roam_address_parse(&address, text));
    assert_ptr_equal(roam_address_format(&address, formatted), formatted);
    assert_string_equal(formatted, expected);
    roam_address again;
    assert_true(roam_address_parse(&again, formatted));
    assert_memory_equal(&again, &address, sizeof(address));
}

static void addresses_are_written_as_rfc_5952_says(void **state)
{
    (void)state;
    check_text("192.0.2.1:443", "192.0.2.1:443");
    check_text("192.0.2.1", "192.0.2.1:0");
    check_text("0.0.0.0:65535", "0.0.0.0:65535");
    check_text("255.255.255.255:1", "255.255.255.255:1");
    check_text("[2001:db8::1]:443", "[2001:db8::1]:443");
    check_text("2001:db8::1", "[2001:db8::1]:0");
    check_text("[2001:db8::1]", "[2001:db8::1]:0");
    check_text("::", "[::]:0");
    check_text("::1", "[::1]:0");
    check_text("1::", "[1::]:0");
    check_text("2001:0DB8:0:0:0:0:0:0001", "[2001:db8::1]:0");
    check_text("2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:0");
    check_text("2001:db8::1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:0");
    check_text("2001:0:0:1:0:0:0:1", "[2001:0:0:1::1]:0");
    check_text("2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:0");
    check_text("1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:0");
    check_text("::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:0");
    check_text("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:0");
    check_text("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]:443");
    check_text("::ffff:c000:201", "[::ffff:192.0.2.1]:0");
    check_text("1:2:3:4:5:6:192.0.2.1", "[1:2:3:4:5:6:c000:201]:0");
    check_text("[fe80::1%3]:443", "[fe80::1%3]:443");
    check_text("fe80::%4294967295", "[fe80::%4294967295]:0");
    check_text("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

static void other_text_is_refused_and_nothing_is_written(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        ":443",
        "x",
        "localhost",
        "example.com:443",
        "1",
        "1.2",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.04",
        "1..2.3",
        "-1.2.3.4",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:x",
        "1.2.3.4:1x",
        "1.2.3.4:-1",
        "1.2.3.4:080",
        "1.2.3.4:99999999999999999999",
        "[1.2.3.4]:443",
        "[",
        "[]",
        "[]:443",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[::1]:65536",
        "[::1]443",
        "::1]:443",
        "1:",
        ":::",
        "1:::2",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "12345::",
        "g::",
        "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7:8",
        ":1::",
        "1.2.3.4::",
        "::1.2.3",
        "::1.2.3.4.5",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::ffff:256.1.1.1",
        "fe80::1%",
        "fe80::1%eth0",
        "fe80::1%4294967296",
        "fe80::1%1x",
        "1.2.3.4%1",
        "[::1%1",
        "2001:db8::1 ",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        roam_address address, before;
        memset(&address, 0xee, sizeof(address));
        before = address;
        if (roam_address_parse(&address, texts[i]))
            fail_msg("\"%s\" was read as an address", texts[i]);
        assert_memory_equal(&address, &before, sizeof(address));
    }
}

static void parsing_and_formatting_agree_with_the_c_library(void **state)
{
    (void)state;
    struct seeded seeded = {.state = 11};
    for (int i = 0; i < 20000; i++) {
        roam_address address = {.family = ROAM_FAMILY_IPV6, .port = (uint16_t)seeded_u64(&seeded)}, parsed;
        /* Zero groups are frequent, so that runs of them come in all places. */
        for (int group = 0; group < 8; group++) {
            uint64_t kind = seeded_below(&seeded, 4);
            address.ip[2 * group] = kind == 3 ? (uint8_t)seeded_u64(&seeded) : 0;
            address.ip[2 * group + 1] = kind >= 2 ? (uint8_t)seeded_u64(&seeded) : 0;
        }
        char text[ROAM_ADDRESS_TEXT_MAX], theirs[INET6_ADDRSTRLEN];
        uint8_t ip[16];
        roam_address_format(&address, text);
        assert_true(roam_address_parse(&parsed, text));
        assert_memory_equal(&parsed, &address, sizeof(parsed));
        *strchr(text, ']') = '\0';
        assert_int_equal(inet_pton(AF_INET6, text + 1, ip), 1);
        assert_memory_equal(ip, address.ip, 16);
        assert_non_null(inet_ntop(AF_INET6, address.ip, theirs, sizeof(theirs)));
        assert_true(roam_address_parse(&parsed, theirs));
        assert_memory_equal(parsed.ip, address.ip, 16);
        if (strchr(theirs, '.') == NULL)
            assert_string_equal(theirs, text + 1);
    }
}

static void mangled_text_is_judged_as_by_the_c_library(void **state)
{
    (void)state;
    static const char alphabet[] = "0123aF::::....";
    struct seeded seeded = {.state = 12};
    for (int i = 0; i < 200000; i++) {
        char text[24];
        size_t len = seeded_below(&seeded, sizeof(text));
        for (size_t k = 0; k < len; k++)
            text[k] = alphabet[seeded_below(&seeded, sizeof(alphabet) - 1)];
        text[len] = '\0';
        uint8_t ip[16] = {0};
        roam_address address;
        bool is_ipv4 = inet_pton(AF_INET, text, ip) == 1;
        bool is_ipv6 = !is_ipv4 && inet_pton(AF_INET6, text, ip) == 1;
        bool has_port = roam_address_parse(&address, text) && address.family == ROAM_FAMILY_IPV4 && strchr(text, ':');
        if (has_port)
            continue;
        assert_int_equal(roam_address_parse(&address, text), is_ipv4 || is_ipv6);
        if (is_ipv4 || is_ipv6)
            assert_memory_equal(address.ip, ip, 16);
    }
}

static roam_address address_of(const char *text)
{
    roam_address address;
    assert_true(roam_address_parse(&address, text));
    return address;
}

static void a_mapped_address_equals_its_ipv4_address(void **state)
{
    (void)state;
    roam_address plain = address_of("192.0.2.1:443"), mapped = address_of("[::ffff:192.0.2.1]:443");
    roam_address other = address_of("[::ffff:192.0.2.2]:443"), compatible = address_of("[::192.0.2.1]:443");
    assert_true(roam_address_equal(&plain, &mapped));
    assert_true(roam_address_equal(&mapped, &plain));
    assert_true(roam_address_same_ip(&mapped, &mapped));
    assert_false(roam_address_equal(&plain, &other));
    assert_false(roam_address_equal(&mapped, &other));
    assert_false(roam_address_equal(&plain, &compatible));
    roam_address unmapped = roam_address_unmap(&mapped);
    assert_memory_equal(&unmapped, &plain, sizeof(plain));
    unmapped = roam_address_unmap(&compatible);
    assert_memory_equal(&unmapped, &compatible, sizeof(compatible));
}

static void the_port_is_part_of_an_address_and_not_of_a_host(void **state)
{
    (void)state;
    roam_address a = address_of("192.0.2.1:443"), b = address_of("192.0.2.1:444"), unset = {0};
    assert_false(roam_address_equal(&a, &b));
    assert_true(roam_address_same_ip(&a, &b));
    assert_false(roam_address_same_ip(&a, &unset));
    assert_false(roam_address_same_ip(&unset, &a));
    assert_true(roam_address_equal(&unset, &unset));
    assert_false(roam_address_is_set(&unset));
    a = address_of("fe80::1%1");
    b = address_of("fe80::1%2");
    assert_false(roam_address_same_ip(&a, &b));
}

static void no_address_has_a_text_of_its_own(void **state)
{
    (void)state;
    roam_address unset = {0};
    char text[ROAM_ADDRESS_TEXT_MAX];
    assert_string_equal(roam_address_format(&unset, text), "-");
}

static void connection_ids_are_shown_in_hexadecimal(void **state)
{
    (void)state;
    roam_cid cid = {.len = 8, .bytes = {0x1f, 0x8a, 0x03, 0xc4, 0x7e, 0x55, 0xd9, 0x02}};
    char text[ROAM_CID_TEXT_MAX];
    assert_string_equal(roam_cid_format(&cid, text), "1f8a03c47e55d902");
    cid.len = 0;
    assert_string_equal(roam_cid_format(&cid, text), "");
    cid.len = ROAM_CID_MAX;
    assert_int_equal(strlen(roam_cid_format(&cid, text)), 2 * ROAM_CID_MAX);
}

static void connection_ids_are_equal_by_length_and_octets(void **state)
{
    (void)state;
    roam_cid a = {.len = 4, .bytes = {1, 2, 3, 4, 5}}, b = {.len = 4, .bytes = {1, 2, 3, 4, 6}};
    assert_true(roam_cid_equal(&a, &b));
    b.len = 5;
    assert_false(roam_cid_equal(&a, &b));
    a.len = 5;
    assert_false(roam_cid_equal(&a, &b));
    a.len = b.len = 0;
    assert_true(roam_cid_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_as_rfc_5952_says),
        cmocka_unit_test(other_text_is_refused_and_nothing_is_written),
        cmocka_unit_test(parsing_and_formatting_agree_with_the_c_library),
        cmocka_unit_test(mangled_text_is_judged_as_by_the_c_library),
        cmocka_unit_test(a_mapped_address_equals_its_ipv4_address),
        cmocka_unit_test(the_port_is_part_of_an_address_and_not_of_a_host),
        cmocka_unit_test(no_address_has_a_text_of_its_own),
        cmocka_unit_test(connection_ids_are_shown_in_hexadecimal),
        cmocka_unit_test(connection_ids_are_equal_by_length_and_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
