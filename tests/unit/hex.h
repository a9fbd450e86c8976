/* Octets written as hexadecimal text. */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t hex_digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Returns how many octets the text stands for. */
static inline size_t hex_read(uint8_t *ret, size_t capacity, const char *text)
{
    size_t len = strlen(text) / 2;
    assert(len <= capacity);
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return len;
}

/* The macro keeps the line of the test that fails. */
#define assert_hex(data, text)                                                                                         \
    do {                                                                                                               \
        uint8_t expected_octets[2048];                                                                                 \
        size_t expected_len = hex_read(expected_octets, sizeof(expected_octets), (text));                              \
        assert_memory_equal((data), expected_octets, expected_len);                                                    \
    } while (0)

#endif
