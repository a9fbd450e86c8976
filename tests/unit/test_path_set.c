/* The paths of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "path/path_set.h"

static const roam_config config = {
    .initial_window_packets = 10, .initial_rtt = ROAM_MILLISECONDS(333), .datagram_bytes = 1200, .ecn = true};

/* Counts what is out, and says no after `left` allocations. */
struct memory {
    size_t out_bytes, left;
};

static void *reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    struct memory *memory = context;
    if (new_bytes > 0 && memory->left-- == 0) {
        memory->left = 0;
        return NULL;
    }
    memory->out_bytes += new_bytes - old_bytes;
    if (new_bytes > 0)
        return realloc(ptr, new_bytes);
    free(ptr);
    return NULL;
}

static struct memory memory;
static const roam_allocator allocator = {.reallocate = reallocate, .context = &memory};

static roam_address address(const char *text)
{
    roam_address ret;
    assert_true(roam_address_parse(&ret, text));
    return ret;
}

static void set_up(struct path_set *set, size_t max)
{
    memory = (struct memory){.left = SIZE_MAX};
    path_set_init(set, &allocator, max);
    path_set_check(set);
}

static void tear_down(struct path_set *set)
{
    path_set_check(set);
    path_set_done(set);
    assert_int_equal(memory.out_bytes, 0);
    assert_int_equal(set->count, 0);
}

/* From our 192.0.2.1:443 to the peer's 198.51.100.7:<port>. */
static struct path *add(struct path_set *set, uint16_t port, roam_time now)
{
    roam_address local = address("192.0.2.1:443"), remote = address("198.51.100.7");
    remote.port = port;
    struct path *path = path_set_add(set, &local, &remote, &config, now);
    if (path != NULL)
        path_set_check(set);
    return path;
}

static void the_first_path_becomes_the_active_one(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 4);
    assert_null(path_set_active(&set));
    struct path *first = add(&set, 1000, 0);
    assert_ptr_equal(path_set_active(&set), first);
    assert_true(first->was_active);
    assert_false(add(&set, 1001, 0)->was_active);
    assert_ptr_equal(path_set_active(&set), first);
    tear_down(&set);
}

static void ids_are_never_used_twice(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 3);
    uint64_t kept = add(&set, 1, 0)->id;
    uint64_t last = kept;
    for (uint16_t i = 2; i < 1000; i++) {
        uint64_t id = add(&set, i, 0)->id;
        assert_true(id > last);
        last = id;
        path_set_remove(&set, id);
        assert_null(path_set_find(&set, id));
        assert_int_equal(path_set_find(&set, kept)->id, kept);
        path_set_check(&set);
    }
    assert_null(path_set_find(&set, PATH_ID_NONE));
    path_set_remove(&set, last); /* gone already: harmless */
    assert_int_equal(set.count, 1);
    tear_down(&set);
}

static void there_are_no_more_paths_than_its_maximum(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, PATHS_MAX);
    for (uint16_t i = 0; i < PATHS_MAX; i++)
        assert_non_null(add(&set, (uint16_t)(i + 1), 0));
    assert_null(add(&set, 99, 0));
    tear_down(&set);
}

static void without_memory_no_path_is_added_and_none_is_lost(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 4);
    assert_non_null(add(&set, 1, 0));
    for (size_t left = 0; left < 2; left++) {
        memory.left = left;
        assert_null(add(&set, 2, 0));
        assert_int_equal(set.count, 1);
        path_set_check(&set);
    }
    tear_down(&set);
}

static void paths_at_rest_give_memory_back_and_are_roused_if_there_is_some(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 4);
    struct path *rests = add(&set, 1, 0), *asks = add(&set, 2, 0);
    path_validation_start(&asks->validation, 0, ROAM_SECONDS(1), ROAM_SECONDS(1));
    const size_t before = memory.out_bytes;
    path_set_rest(&set, ROAM_SECONDS(10));
    path_set_check(&set);
    assert_null(rests->work);
    assert_non_null(asks->work);
    assert_int_equal(memory.out_bytes, before - sizeof(struct path_work));
    memory.left = 0;
    assert_false(path_set_rouse(&set, rests));
    path_set_check(&set);
    memory.left = SIZE_MAX;
    assert_true(path_set_rouse(&set, rests));
    path_set_check(&set);
    assert_int_equal(memory.out_bytes, before);
    tear_down(&set);
}

static void a_path_is_found_by_both_addresses(void **state)
{
    (void)state;
    struct path_set set;
    roam_address here = address("192.0.2.1:443"), there = address("198.51.100.7:1"),
                 mapped = address("[::ffff:198.51.100.7]:1");
    roam_address other_port = address("192.0.2.1:444"), other_here = address("192.0.2.2:443"),
                 other_there = address("198.51.100.7:9");
    set_up(&set, 4);
    struct path *one = add(&set, 1, 0);
    struct path *two = path_set_add(&set, &other_here, &there, &config, 0);
    assert_ptr_equal(path_set_find_address(&set, &here, &there), one);
    assert_ptr_equal(path_set_find_address(&set, &here, &mapped), one);
    assert_ptr_equal(path_set_find_address(&set, &other_here, &there), two);
    assert_null(path_set_find_address(&set, &other_port, &there));
    assert_null(path_set_find_address(&set, &here, &other_there));
    tear_down(&set);
}

static void a_local_address_without_an_ip_matches_any_of_that_port(void **state)
{
    (void)state;
    struct path_set set;
    roam_address there = address("198.51.100.7:1"), other_here = address("192.0.2.2:443"),
                 here = address("192.0.2.1:443");
    roam_address any = {.port = 443}, any_v4 = address("0.0.0.0:443"), any_other_port = {.port = 444};
    set_up(&set, 4);
    path_set_add(&set, &other_here, &there, &config, 0);
    struct path *two = path_set_add(&set, &here, &there, &config, 0);
    two->was_active = true;
    set.active_id = two->id;
    assert_ptr_equal(path_set_find_address(&set, &any, &there), two); /* the active one of those that fit */
    assert_ptr_equal(path_set_find_address(&set, &any_v4, &there), two);
    assert_null(path_set_find_address(&set, &any_other_port, &there));

    /* The other way round: the path does not know its own. */
    roam_address elsewhere = address("203.0.113.1:5");
    struct path *vague = path_set_add(&set, &any, &elsewhere, &config, 0);
    assert_ptr_equal(path_set_find_address(&set, &here, &elsewhere), vague);
    tear_down(&set);
}

static void a_path_is_found_by_the_peer_s_address_alone_the_active_one_first(void **state)
{
    (void)state;
    struct path_set set;
    roam_address there = address("198.51.100.7:1"), other_here = address("192.0.2.2:443"),
                 unknown = address("198.51.100.8:1");
    set_up(&set, 4);
    struct path *one = add(&set, 1, 0);
    struct path *two = path_set_add(&set, &other_here, &there, &config, 0);
    assert_ptr_equal(path_set_find_remote(&set, &there), one);
    two->was_active = true;
    set.active_id = two->id;
    assert_ptr_equal(path_set_find_remote(&set, &there), two);
    assert_null(path_set_find_remote(&set, &unknown));
    tear_down(&set);
}

static void failed_paths_are_given_up_first_then_never_active_then_superseded_ones(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 9);
    uint64_t active = add(&set, 1, 0)->id;
    struct path *fallback = add(&set, 2, 1);
    fallback->was_active = fallback->address_validated = true;
    set.fallback_id = fallback->id;
    struct path *superseded_old = add(&set, 3, 2), *superseded = add(&set, 4, 9);
    superseded_old->was_active = superseded->was_active = true;
    struct path *unused = add(&set, 5, 8), *unused_old = add(&set, 6, 7);
    struct path *failed = add(&set, 7, 20), *failed_old = add(&set, 8, 19);
    failed->validation.state = failed_old->validation.state = VALIDATION_FAILED;
    failed->was_active = true; /* failed is what counts */

    struct path *order[] = {failed_old, failed, unused_old, unused, superseded_old, superseded};
    for (size_t i = 0; i < 6; i++) {
        assert_ptr_equal(path_set_evictable(&set), order[i]);
        path_set_remove(&set, order[i]->id);
        path_set_check(&set);
    }
    assert_null(path_set_evictable(&set));
    assert_int_equal(set.active_id, active);
    tear_down(&set);
}

static void neither_the_active_path_nor_the_fallback_is_ever_given_up(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 2);
    add(&set, 1, 0)->validation.state = VALIDATION_FAILED;
    struct path *other = add(&set, 2, 0);
    other->address_validated = true;
    other->validation.state = VALIDATION_FAILED;
    set.fallback_id = other->id;
    assert_null(path_set_evictable(&set));
    set.fallback_id = PATH_ID_NONE;
    assert_ptr_equal(path_set_evictable(&set), other);
    tear_down(&set);
}

/* B04, B18, B32: moves are not capped, paths are, and memory is flat. */
static void ten_thousand_moves_need_no_more_than_the_maximum_of_paths(void **state)
{
    (void)state;
    struct path_set set;
    set_up(&set, 4);
    add(&set, 1, 0)->address_validated = true;
    size_t most = 0;
    for (unsigned i = 1; i <= 10000; i++) {
        if (set.count == set.max) {
            struct path *victim = path_set_evictable(&set);
            assert_non_null(victim);
            path_set_remove(&set, victim->id);
        }
        struct path *path = add(&set, (uint16_t)(i + 1), i);
        assert_non_null(path);
        path->was_active = path->address_validated = true;
        set.fallback_id = set.active_id;
        set.active_id = path->id;
        path_set_check(&set);
        most = memory.out_bytes > most ? memory.out_bytes : most;
    }
    assert_int_equal(most, 4 * (sizeof(struct path) + sizeof(struct path_work) + sizeof(struct path *)));
    assert_non_null(path_set_find(&set, set.fallback_id));
    tear_down(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_path_becomes_the_active_one),
        cmocka_unit_test(ids_are_never_used_twice),
        cmocka_unit_test(there_are_no_more_paths_than_its_maximum),
        cmocka_unit_test(without_memory_no_path_is_added_and_none_is_lost),
        cmocka_unit_test(paths_at_rest_give_memory_back_and_are_roused_if_there_is_some),
        cmocka_unit_test(a_path_is_found_by_both_addresses),
        cmocka_unit_test(a_local_address_without_an_ip_matches_any_of_that_port),
        cmocka_unit_test(a_path_is_found_by_the_peer_s_address_alone_the_active_one_first),
        cmocka_unit_test(failed_paths_are_given_up_first_then_never_active_then_superseded_ones),
        cmocka_unit_test(neither_the_active_path_nor_the_fallback_is_ever_given_up),
        cmocka_unit_test(ten_thousand_moves_need_no_more_than_the_maximum_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
