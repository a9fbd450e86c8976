/* The hash map against an array, and SipHash-2-4 against its authors' vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash_map.h"
#include "counting_allocator.h"
#include "seeded.h"

#define KEYS          700
#define KEY_BYTES_MAX 55 /* octets of the keys here */

static const uint8_t counting_secret[SIPHASH_KEY_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void siphash_gives_the_reference_vectors(void **state)
{
    (void)state;
    /* Of the messages 00, 00 01, 00 01 02, ... under the key 00..0f, first octet first. */
    static const uint8_t vectors[16][8] = {
        {0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72}, {0xfd, 0x67, 0xdc, 0x93, 0xc5, 0x39, 0xf8, 0x74},
        {0x5a, 0x4f, 0xa9, 0xd9, 0x09, 0x80, 0x6c, 0x0d}, {0x2d, 0x7e, 0xfb, 0xd7, 0x96, 0x66, 0x67, 0x85},
        {0xb7, 0x87, 0x71, 0x27, 0xe0, 0x94, 0x27, 0xcf}, {0x8d, 0xa6, 0x99, 0xcd, 0x64, 0x55, 0x76, 0x18},
        {0xce, 0xe3, 0xfe, 0x58, 0x6e, 0x46, 0xc9, 0xcb}, {0x37, 0xd1, 0x01, 0x8b, 0xf5, 0x00, 0x02, 0xab},
        {0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93}, {0xb0, 0xe4, 0xa9, 0x0b, 0xdf, 0x82, 0x00, 0x9e},
        {0xf3, 0xb9, 0xdd, 0x94, 0xc5, 0xbb, 0x5d, 0x7a}, {0xa7, 0xad, 0x6b, 0x22, 0x46, 0x2f, 0xb3, 0xf4},
        {0xfb, 0xe5, 0x0e, 0x86, 0xbc, 0x8f, 0x1e, 0x75}, {0x90, 0x3d, 0x84, 0xc0, 0x27, 0x56, 0xea, 0x14},
        {0xee, 0xf2, 0x7a, 0x8e, 0x90, 0xca, 0x23, 0xf7}, {0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1},
    };
    uint8_t message[16];
    for (size_t len = 0; len < 16; len++) {
        uint64_t hash = siphash(counting_secret, message, len);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal((uint8_t)(hash >> (8 * i)), vectors[len][i]);
        message[len] = (uint8_t)len;
    }
}

/* Keys of every length, some of them prefixes of others. */
static size_t key_of(size_t index, uint8_t ret[KEY_BYTES_MAX])
{
    struct seeded seeded = {.state = index / 4};
    seeded_fill(&seeded, ret, KEY_BYTES_MAX);
    size_t len = 3 + index % 4 + seeded_below(&seeded, KEY_BYTES_MAX - 6);
    return len;
}

static void check_all(const struct hash_map *map, const bool in[KEYS], uintptr_t *values)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        size_t len = key_of(i, key);
        assert_ptr_equal(hash_map_find(map, key, len), in[i] ? &values[i] : NULL);
        count += in[i];
    }
    assert_int_equal(map->count, count);
    hash_map_check(map);
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    static uintptr_t values[KEYS];
    static bool in[KEYS];
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct seeded seeded = {.state = 3};
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    /* Phases that mostly insert, so that the table grows, and phases that mostly remove, so that runs are shifted
     * back. */
    for (int step = 0; step < 20000; step++) {
        uint8_t key[KEY_BYTES_MAX];
        size_t i = seeded_below(&seeded, KEYS);
        size_t len = key_of(i, key);
        bool inserts = seeded_below(&seeded, 10) < (step / 2500 % 2 == 0 ? 8u : 2u);
        if (inserts && !in[i]) {
            assert_true(hash_map_insert(&map, key, len, &values[i]));
            in[i] = true;
        } else if (!inserts) {
            assert_ptr_equal(hash_map_remove(&map, key, len), in[i] ? &values[i] : NULL);
            in[i] = false;
        }
        if (step % 250 == 0)
            check_all(&map, in, values);
    }
    check_all(&map, in, values);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

static void removal_leaves_nothing_behind_that_makes_the_table_grow(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    for (uint32_t i = 0; i < 10000; i++) {
        assert_true(hash_map_insert(&map, &i, sizeof(i), &map));
        assert_ptr_equal(hash_map_remove(&map, &i, sizeof(i)), &map);
    }
    assert_int_equal(counting.allocations, 2); /* the list of segments, and one */
    assert_int_equal(map.count, 0);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

static void keys_of_different_length_are_different(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    int values[KEY_BYTES_MAX + 1];
    const uint8_t zeros[KEY_BYTES_MAX + 1] = {0};
    hash_map_init(&map, &allocator, counting_secret);
    for (size_t len = 0; len <= KEY_BYTES_MAX; len++)
        assert_true(hash_map_insert(&map, zeros, len, &values[len]));
    for (size_t len = 0; len <= KEY_BYTES_MAX; len++)
        assert_ptr_equal(hash_map_find(&map, zeros, len), &values[len]);
    assert_ptr_equal(hash_map_find(&map, NULL, 0), &values[0]);
    assert_null(hash_map_find(&map, zeros, KEY_BYTES_MAX + 1));
    assert_null(hash_map_remove(&map, zeros, KEY_BYTES_MAX + 1));
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct counting_allocator counting = {.refuses = true};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    assert_false(hash_map_insert(&map, "a", 1, &map));
    assert_null(hash_map_find(&map, "a", 1));
    assert_null(hash_map_remove(&map, "a", 1));
    counting.refuses = false;
    assert_true(hash_map_insert(&map, "a", 1, &map));
    counting.refuses = true;
    uint32_t i = 0;
    while (hash_map_insert(&map, &i, sizeof(i), &counting))
        i++;
    assert_int_equal(map.count, i + 1);
    assert_ptr_equal(hash_map_find(&map, "a", 1), &map);
    assert_null(hash_map_find(&map, &i, sizeof(i)));
    hash_map_check(&map);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

/* Keys are numbers here, and the value of each stands in `values`. */
static void check_numbers(const struct hash_map *map, uintptr_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(hash_map_find(map, &i, sizeof(i)), &values[i]);
    assert_null(hash_map_find(map, &count, sizeof(count)));
}

/* Two arrays of up to 16 segments: nothing is lost on the way from one to the other. */
static void growth_is_done_in_small_steps_and_loses_nothing(void **state)
{
    (void)state;
    enum { COUNT = 30000 };
    static uintptr_t values[COUNT];
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    size_t growing = 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t before = counting.allocations, bytes_before = counting.bytes_out;
        assert_true(hash_map_insert(&map, &i, sizeof(i), &values[i]));
        /* The list of segments and two of these, which have 64 KiB each. */
        assert_true(counting.allocations - before <= 3);
        assert_true(counting.bytes_out < bytes_before || counting.bytes_out - bytes_before < 3 * 65536);
        growing += map.old.buckets > 0;
        if (i % 997 == 0) {
            check_numbers(&map, values, i + 1);
            hash_map_check(&map);
        }
    }
    assert_true(growing > COUNT / 16 && growing < COUNT);
    for (size_t i = COUNT; i-- > 0;) {
        assert_ptr_equal(hash_map_remove(&map, &i, sizeof(i)), &values[i]);
        if (i % 997 == 0)
            check_numbers(&map, values, i);
    }
    hash_map_check(&map);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

/* And while memory comes and goes too. */
static void entries_come_and_go_at_every_stage_of_growth(void **state)
{
    (void)state;
    enum { COUNT = 6000 };
    static uintptr_t values[COUNT];
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct seeded seeded = {.state = 11};
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    static bool in[COUNT];
    size_t count = 0, stages = 0;
    for (int step = 0; step < 40000; step++) {
        size_t i = seeded_below(&seeded, COUNT);
        counting.refuses = seeded_below(&seeded, 3) == 0;
        if (in[i] && seeded_below(&seeded, 3) == 0) {
            assert_ptr_equal(hash_map_remove(&map, &i, sizeof(i)), &values[i]);
            in[i] = false;
            count--;
        } else if (!in[i] && hash_map_insert(&map, &i, sizeof(i), &values[i])) {
            in[i] = true;
            count++;
        }
        assert_int_equal(map.count, count);
        i = seeded_below(&seeded, COUNT);
        assert_ptr_equal(hash_map_find(&map, &i, sizeof(i)), in[i] ? &values[i] : NULL);
        stages += map.old.buckets > 0;
        if (step % 501 == 0)
            hash_map_check(&map);
    }
    assert_true(stages > 300);
    hash_map_check(&map);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

/* Whoever knows the secret can choose keys that crowd: slow, and right all the same. Who does not cannot. */
static void keys_that_collide_are_kept_apart_and_collide_under_no_other_secret(void **state)
{
    (void)state;
    enum { COUNT = 60, MASK = 0xfff };
    static const uint8_t other_secret[SIPHASH_KEY_BYTES] = {1};
    static uintptr_t values[COUNT];
    uint64_t keys[COUNT], key = 0;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    hash_map_init(&map, &allocator, counting_secret);
    size_t same = 0;
    for (size_t i = 0; i < COUNT; key++) {
        if ((siphash(counting_secret, &key, sizeof(key)) & MASK) != MASK)
            continue;
        same += (siphash(other_secret, &key, sizeof(key)) & MASK) == MASK;
        keys[i] = key;
        assert_true(hash_map_insert(&map, &keys[i], sizeof(key), &values[i]));
        hash_map_check(&map);
        i++;
    }
    assert_true(same < 2);
    for (size_t i = 0; i < COUNT; i += 2) {
        assert_ptr_equal(hash_map_remove(&map, &keys[i], sizeof(key)), &values[i]);
        hash_map_check(&map);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(hash_map_find(&map, &keys[i], sizeof(key)), i % 2 == 0 ? NULL : &values[i]);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

static void equal_keys_are_refused_and_searches_may_be_prepared(void **state)
{
    (void)state;
    struct counting_allocator counting = {0};
    roam_allocator allocator = counting_allocator(&counting);
    struct hash_map map;
    int one, other;
    hash_map_init(&map, &allocator, counting_secret);
    uint64_t hash = hash_map_hash(&map, "key", 3);
    hash_map_prefetch(&map, hash);
    assert_null(hash_map_find_hash(&map, hash));
    assert_true(hash_map_insert(&map, "key", 3, &one));
    assert_false(hash_map_insert(&map, "key", 3, &other));
    hash_map_prefetch(&map, hash);
    assert_ptr_equal(hash_map_find_hash(&map, hash), &one);
    assert_int_equal(map.count, 1);
    hash_map_done(&map);
    assert_int_equal(counting.bytes_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_gives_the_reference_vectors),
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(removal_leaves_nothing_behind_that_makes_the_table_grow),
        cmocka_unit_test(keys_of_different_length_are_different),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(growth_is_done_in_small_steps_and_loses_nothing),
        cmocka_unit_test(entries_come_and_go_at_every_stage_of_growth),
        cmocka_unit_test(keys_that_collide_are_kept_apart_and_collide_under_no_other_secret),
        cmocka_unit_test(equal_keys_are_refused_and_searches_may_be_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
