/* Whatever is put in, what comes out of the JSON writer is JSON, and never longer than its buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json_check.h"
#include "observe/json.h"
#include "seeded.h"

static char buffer[4096];
static struct json json;

static void begin(size_t capacity)
{
    memset(buffer, '~', sizeof(buffer));
    json = json_init(buffer, capacity);
}

static const char *written(void)
{
    assert_false(json.failed);
    assert_true(json_len(&json) < sizeof(buffer));
    *json.pos = '\0';
    return buffer;
}

static void objects_arrays_and_values_are_separated_by_commas(void **state)
{
    (void)state;
    begin(sizeof(buffer));
    json_object_begin(&json, NULL);
    json_number(&json, "a", 1);
    json_array_begin(&json, "b");
    json_number(&json, NULL, 2);
    json_object_begin(&json, NULL);
    json_object_end(&json);
    json_array_begin(&json, NULL);
    json_array_end(&json);
    json_bool(&json, NULL, true);
    json_array_end(&json);
    json_bool(&json, "c", false);
    json_hex(&json, "d", "\x00\xff\x1e", 3);
    json_object_end(&json);
    assert_string_equal(written(), "{\"a\":1,\"b\":[2,{},[],true],\"c\":false,\"d\":\"00ff1e\"}");
}

static void times_are_milliseconds_with_the_decimals_that_it_takes(void **state)
{
    (void)state;
    static const struct {
        roam_time ns;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "0.000001"},
                 {ROAM_MILLISECONDS(1), "1"},
                 {ROAM_MICROSECONDS(12345678), "12345.678"},
                 {ROAM_MILLISECONDS(7) + 100, "7.0001"},
                 {UINT64_MAX, "18446744073709.551615"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(sizeof(buffer));
        json_ms(&json, NULL, cases[i].ns);
        assert_string_equal(written(), cases[i].text);
    }
}

static void numbers_beyond_those_of_doubles_are_texts(void **state)
{
    (void)state;
    begin(sizeof(buffer));
    json_array_begin(&json, NULL);
    json_number(&json, NULL, (UINT64_C(1) << 53) - 1);
    json_number(&json, NULL, UINT64_C(1) << 53);
    json_number(&json, NULL, UINT64_MAX);
    json_array_end(&json);
    assert_string_equal(written(), "[9007199254740991,\"9007199254740992\",\"18446744073709551615\"]");
}

static void texts_are_escaped(void **state)
{
    (void)state;
    static const char text[] = "a\"b\\c\n\x1e\x7f/\xc3\xa9\xf0\x9f\x98\x80";
    begin(sizeof(buffer));
    json_text_n(&json, NULL, text, sizeof(text)); /* with its NUL */
    assert_string_equal(written(), "\"a\\\"b\\\\c\\u000a\\u001e\\u007f/\xc3\xa9\xf0\x9f\x98\x80\\u0000\"");
}

static void what_is_no_utf_8_is_replaced_octet_by_octet(void **state)
{
    (void)state;
    /* Stray and missing continuations, overlong forms, a surrogate, beyond U+10FFFF. */
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80",
                                      "\xf0\x82\x82\xac",
                                      "\xe2\x82",
                                      "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin(sizeof(buffer));
        json_text(&json, NULL, bad[i]);
        const char *text = written();
        assert_true(json_is_valid(text, strlen(text)));
        assert_memory_equal(text, "\"\\ufffd", 7);
        for (const char *c = text; *c != '\0'; c++)
            assert_true((unsigned char)*c < 0x80);
    }
}

static void addresses_are_written_without_their_ports(void **state)
{
    (void)state;
    roam_address address;
    assert_true(roam_address_parse(&address, "192.0.2.1:443"));
    begin(sizeof(buffer));
    json_ip(&json, NULL, &address);
    assert_string_equal(written(), "\"192.0.2.1\"");
    assert_true(roam_address_parse(&address, "[2001:db8::1]:443"));
    begin(sizeof(buffer));
    json_ip(&json, NULL, &address);
    assert_string_equal(written(), "\"2001:db8::1\"");
}

/* One record of everything. */
static void write_record(const uint8_t *octets, size_t len)
{
    json_object_begin(&json, NULL);
    json_text_n(&json, "text", octets, len);
    json_ms(&json, "time", UINT64_MAX - len);
    json_array_begin(&json, "list");
    json_hex(&json, NULL, octets, len);
    json_number(&json, NULL, len);
    json_array_end(&json);
    json_object_end(&json);
}

static void random_octets_make_valid_json(void **state)
{
    (void)state;
    struct seeded random = {7};
    for (int round = 0; round < 20000; round++) {
        uint8_t octets[64];
        size_t len = seeded_u64(&random) % (sizeof(octets) + 1);
        for (size_t i = 0; i < len; i++) {
            uint64_t draw = seeded_u64(&random);
            /* Half of them near where the rules change. */
            static const uint8_t edges[] = {0x00, 0x1e, 0x1f, 0x20, 0x22, 0x5c, 0x7f, 0x80, 0xbf, 0xc1,
                                            0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
            octets[i] = draw & 1 ? (uint8_t)(draw >> 8) : edges[(draw >> 8) % sizeof(edges)];
        }
        begin(sizeof(buffer) - 1);
        write_record(octets, len);
        const char *text = written();
        assert_true(json_is_valid(text, strlen(text)));
    }
}

static void nothing_is_written_past_the_end_and_failure_sticks(void **state)
{
    (void)state;
    static const uint8_t octets[] = "some text with \" and \\ and \xff";
    begin(sizeof(buffer));
    write_record(octets, sizeof(octets));
    size_t whole = strlen(written());
    for (size_t capacity = 0; capacity < whole; capacity++) {
        begin(capacity);
        write_record(octets, sizeof(octets));
        assert_true(json.failed);
        assert_true(json_len(&json) <= capacity);
        for (size_t i = capacity; i < sizeof(buffer); i++)
            assert_int_equal(buffer[i], '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_arrays_and_values_are_separated_by_commas),
        cmocka_unit_test(times_are_milliseconds_with_the_decimals_that_it_takes),
        cmocka_unit_test(numbers_beyond_those_of_doubles_are_texts),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(what_is_no_utf_8_is_replaced_octet_by_octet),
        cmocka_unit_test(addresses_are_written_without_their_ports),
        cmocka_unit_test(random_octets_make_valid_json),
        cmocka_unit_test(nothing_is_written_past_the_end_and_failure_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
