/* Random octets drawn ahead: the source's octets, in their order, each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/minmax.h"
#include "base/rng_buffer.h"

static uint32_t given; /* octets of the source */
static unsigned questions;

/* Octet n is a hash of n, so that no two stretches are the same. */
static uint8_t octet_of(uint32_t n)
{
    return (uint8_t)(n * UINT32_C(2654435761) >> 24);
}

static void count(void *context, void *buf, size_t len)
{
    (void)context;
    questions++;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = octet_of(given++);
}

static int set_up(void **state)
{
    (void)state;
    given = 0;
    questions = 0;
    return 0;
}

static void octets_come_in_order_and_each_once(void **state)
{
    (void)state;
    const roam_rng source = {.fill = count};
    const size_t lengths[] = {1, 8, 0, 16, 250, 256, 257, 1000, 3, 255};
    struct rng_buffer buffer;
    rng_buffer_init(&buffer, &source);
    const roam_rng rng = rng_buffer_source(&buffer);
    assert_int_equal(questions, 0);
    uint32_t n = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        uint8_t octets[1000];
        rng_fill(&rng, octets, lengths[i]);
        for (size_t j = 0; j < lengths[i]; j++)
            assert_int_equal(octets[j], octet_of(n++));
    }
    assert_in_range(given - n, 0, RNG_BUFFER_BYTES);
    rng_buffer_done(&buffer);
}

static void what_was_handed_out_is_not_there_any_more(void **state)
{
    (void)state;
    const roam_rng source = {.fill = count};
    static const uint8_t zeros[RNG_BUFFER_BYTES];
    struct rng_buffer buffer;
    uint8_t octets[100];
    rng_buffer_init(&buffer, &source);
    const roam_rng rng = rng_buffer_source(&buffer);
    rng_fill(&rng, octets, sizeof(octets));
    assert_memory_equal(buffer.octets, zeros, sizeof(octets));
    assert_memory_not_equal(buffer.octets + sizeof(octets), zeros, sizeof(octets));
    rng_buffer_done(&buffer);
    assert_memory_equal(buffer.octets, zeros, sizeof(zeros));
}

static void many_small_questions_are_few_to_the_source(void **state)
{
    (void)state;
    const roam_rng source = {.fill = count};
    struct rng_buffer buffer;
    rng_buffer_init(&buffer, &source);
    const roam_rng rng = rng_buffer_source(&buffer);
    for (size_t i = 0; i < 64; i++)
        rng_u64(&rng);
    assert_int_equal(questions, 64 * sizeof(uint64_t) / RNG_BUFFER_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(octets_come_in_order_and_each_once, set_up),
        cmocka_unit_test_setup(what_was_handed_out_is_not_there_any_more, set_up),
        cmocka_unit_test_setup(many_small_questions_are_few_to_the_source, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
