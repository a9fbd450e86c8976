/* How far an address reaches, and what follows for who may go there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "path/address_scope.h"
#include "path/migration.h"

static roam_address address_of(const char *text)
{
    roam_address address;
    assert_true(roam_address_parse(&address, text));
    return address;
}

static void each_range_is_judged_from_its_first_to_its_last_address(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum address_scope scope;
    } cases[] = {
        {"0.0.0.0", ADDRESS_NOWHERE},
        {"0.255.255.255", ADDRESS_NOWHERE},
        {"1.0.0.0", ADDRESS_GLOBAL},
        {"9.255.255.255", ADDRESS_GLOBAL},
        {"10.0.0.0", ADDRESS_PRIVATE},
        {"10.255.255.255", ADDRESS_PRIVATE},
        {"11.0.0.0", ADDRESS_GLOBAL},
        {"100.63.255.255", ADDRESS_GLOBAL},
        {"100.64.0.0", ADDRESS_PRIVATE},
        {"100.127.255.255", ADDRESS_PRIVATE},
        {"100.128.0.0", ADDRESS_GLOBAL},
        {"126.255.255.255", ADDRESS_GLOBAL},
        {"127.0.0.0", ADDRESS_LOOPBACK},
        {"127.255.255.255", ADDRESS_LOOPBACK},
        {"128.0.0.0", ADDRESS_GLOBAL},
        {"169.253.255.255", ADDRESS_GLOBAL},
        {"169.254.0.0", ADDRESS_LINK_LOCAL},
        {"169.254.169.254", ADDRESS_LINK_LOCAL},
        {"169.255.0.0", ADDRESS_GLOBAL},
        {"172.15.255.255", ADDRESS_GLOBAL},
        {"172.16.0.0", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_GLOBAL},
        {"192.167.255.255", ADDRESS_GLOBAL},
        {"192.168.0.0", ADDRESS_PRIVATE},
        {"192.168.255.255", ADDRESS_PRIVATE},
        {"192.169.0.0", ADDRESS_GLOBAL},
        {"223.255.255.255", ADDRESS_GLOBAL},
        {"224.0.0.0", ADDRESS_NOWHERE},
        {"239.255.255.255", ADDRESS_NOWHERE},
        {"255.255.255.255", ADDRESS_NOWHERE},
        {"::", ADDRESS_NOWHERE},
        {"::1", ADDRESS_LOOPBACK},
        {"::2", ADDRESS_GLOBAL},
        {"fe7f::1", ADDRESS_GLOBAL},
        {"fe80::1", ADDRESS_LINK_LOCAL},
        {"febf:ffff::1", ADDRESS_LINK_LOCAL},
        {"fec0::1", ADDRESS_GLOBAL},
        {"fbff::1", ADDRESS_GLOBAL},
        {"fc00::1", ADDRESS_PRIVATE},
        {"fdff:ffff::1", ADDRESS_PRIVATE},
        {"fe00::1", ADDRESS_GLOBAL},
        {"ff00::1", ADDRESS_NOWHERE},
        {"ff02::1", ADDRESS_NOWHERE},
        {"2001:db8::1", ADDRESS_GLOBAL},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"::ffff:10.1.2.3", ADDRESS_PRIVATE},
        {"64:ff9b::7f00:1", ADDRESS_LOOPBACK},
        {"64:ff9b::a9fe:a9fe", ADDRESS_LINK_LOCAL},
        {"64:ff9b::808:808", ADDRESS_GLOBAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const roam_address address = address_of(cases[i].text);
        if (address_scope_of(&address) != cases[i].scope)
            fail_msg("%s is taken for scope %d", cases[i].text, (int)address_scope_of(&address));
    }
    const roam_address unset = {0};
    assert_int_equal(address_scope_of(&unset), ADDRESS_NOWHERE);
}

static bool is_forbidden(const char *from, const char *to, bool refuse_private)
{
    const roam_address a = address_of(from), b = address_of(to);
    return migration_address_is_forbidden(&a, &b, refuse_private);
}

static void nobody_moves_to_loopback_from_elsewhere(void **state)
{
    //= rfc9000#21.5.6-2 Do not accept a move to loopback when the service was at a non-loopback address.
    (void)state;
    static const char *const elsewhere[] = {"203.0.113.9", "192.168.1.10", "169.254.1.1", "2001:db8::1", "fe80::1"};
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        assert_true(is_forbidden(elsewhere[i], "127.0.0.1", false));
        assert_true(is_forbidden(elsewhere[i], "::1", false));
        assert_true(is_forbidden(elsewhere[i], "64:ff9b::7f00:1", false));
        assert_false(is_forbidden("127.0.0.1", elsewhere[i], true));
    }
    assert_false(is_forbidden("127.0.0.10", "127.0.0.20", true));
    assert_false(is_forbidden("127.0.0.1", "::1", true));
}

static void moves_into_private_networks_are_refused_only_where_that_was_asked_for(void **state)
{
    //= rfc9000#21.5.6-3 A change from a global to a link-local or private address may be refused as possible request
    // forgery.
    //= rfc9000#21.5.6-4 Do not refuse addresses without specific knowledge of danger.
    (void)state;
    static const char *const inside[] = {"10.0.0.1", "192.168.1.1", "169.254.169.254", "fe80::1", "fd00::1"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_false(is_forbidden("203.0.113.9", inside[i], false));
        assert_true(is_forbidden("203.0.113.9", inside[i], true));
        assert_false(is_forbidden(inside[i], "203.0.113.9", true));
    }
    assert_true(is_forbidden("192.168.1.1", "169.254.1.1", true));
    assert_false(is_forbidden("192.168.1.1", "10.0.0.1", true));
    assert_false(is_forbidden("169.254.1.1", "192.168.1.1", true));
    assert_false(is_forbidden("203.0.113.9", "198.51.100.1", true));
}

static bool may_prefer(const char *server, const char *preferred, enum roam_preferred_policy policy)
{
    const roam_address a = address_of(server), b = address_of(preferred);
    return migration_may_prefer(&a, &b, policy);
}

static void a_client_does_not_follow_a_server_that_points_inside(void **state)
{
    //= rfc9000#21.5.6-2 Do not accept a move to loopback when the service was at a non-loopback address.
    //= rfc9000#21.5.6-6 Avoid ports known to be abused before validation.
    (void)state;
    assert_true(may_prefer("203.0.113.5:443", "203.0.113.6:443", ROAM_PREFERRED_FOLLOW));
    assert_true(may_prefer("203.0.113.5:443", "[2001:db8::6]:443", ROAM_PREFERRED_FOLLOW));
    assert_true(may_prefer("127.0.0.1:443", "127.0.0.2:443", ROAM_PREFERRED_FOLLOW));
    assert_true(may_prefer("192.168.1.1:443", "10.0.0.1:443", ROAM_PREFERRED_FOLLOW));
    assert_false(may_prefer("203.0.113.5:443", "10.0.0.1:443", ROAM_PREFERRED_FOLLOW));
    assert_false(may_prefer("203.0.113.5:443", "169.254.169.254:443", ROAM_PREFERRED_FOLLOW));
    assert_true(may_prefer("203.0.113.5:443", "10.0.0.1:443", ROAM_PREFERRED_ANYWHERE));
    for (int policy = ROAM_PREFERRED_FOLLOW; policy <= ROAM_PREFERRED_IGNORE; policy++) {
        assert_false(may_prefer("203.0.113.5:443", "127.0.0.1:443", (enum roam_preferred_policy)policy));
        assert_false(may_prefer("203.0.113.5:443", "203.0.113.6:53", (enum roam_preferred_policy)policy));
        assert_false(may_prefer("203.0.113.5:443", "203.0.113.6", (enum roam_preferred_policy)policy));
        assert_false(may_prefer("203.0.113.5:443", "224.0.0.1:443", (enum roam_preferred_policy)policy));
        assert_false(may_prefer("203.0.113.5:443", "255.255.255.255:443", (enum roam_preferred_policy)policy));
        assert_false(may_prefer("203.0.113.5:443", "0.0.0.0:443", (enum roam_preferred_policy)policy));
    }
    assert_false(may_prefer("203.0.113.5:443", "203.0.113.6:443", ROAM_PREFERRED_IGNORE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_range_is_judged_from_its_first_to_its_last_address),
        cmocka_unit_test(nobody_moves_to_loopback_from_elsewhere),
        cmocka_unit_test(moves_into_private_networks_are_refused_only_where_that_was_asked_for),
        cmocka_unit_test(a_client_does_not_follow_a_server_that_points_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
