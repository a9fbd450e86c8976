/* What stands behind a session ticket: it comes back as it was written, from this endpoint, on this ticket, and on no
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/early_gate.h"
#include "unit/seeded.h"

#define TICKET_BYTES 200

static struct seeded seeded;

static void fill(void *context, void *buf, size_t len)
{
    seeded_fill((struct seeded *)context, buf, len);
}

static const roam_rng rng = {fill, &seeded};
static const uint8_t static_key[32] = {42};
static struct early_gate gate;
static uint8_t identity[TICKET_BYTES + TICKET_ANNEX_MAX];
static size_t identity_len;

static const struct early_terms terms = {.issued = ROAM_SECONDS(7),
                                         .suite = AEAD_AES_256_GCM,
                                         .alpn_len = 2,
                                         .alpn = {'h', '3'},
                                         .params_len = 3,
                                         .params = {1, 2, 3}};

static void issue(const struct early_terms *issued)
{
    seeded_fill(&seeded, identity, TICKET_BYTES);
    identity_len = TICKET_BYTES + ticket_annex_seal(identity + TICKET_BYTES, &gate, identity, TICKET_BYTES, issued);
}

static int set_up(void **state)
{
    (void)state;
    seeded.state = 1;
    early_gate_init(&gate, &rng, static_key, sizeof(static_key));
    issue(&terms);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    early_gate_done(&gate);
    return 0;
}

static void an_annex_says_what_was_written(void **state)
{
    (void)state;
    struct early_terms opened;
    assert_true(ticket_annex_open(&opened, &gate, identity, identity_len));
    assert_int_equal(opened.issued, terms.issued);
    assert_int_equal(opened.suite, terms.suite);
    assert_int_equal(opened.alpn_len, terms.alpn_len);
    assert_memory_equal(opened.alpn, terms.alpn, terms.alpn_len);
    assert_int_equal(opened.params_len, terms.params_len);
    assert_memory_equal(opened.params, terms.params, terms.params_len);
    assert_int_not_equal(opened.mark, 0);
}

static void the_largest_annex_fits(void **state)
{
    (void)state;
    struct early_terms largest = {.alpn_len = EARLY_ALPN_MAX, .params_len = EARLY_PARAMS_MAX}, opened;
    memset(largest.alpn, 'a', sizeof(largest.alpn));
    issue(&largest);
    assert_true(identity_len <= sizeof(identity));
    assert_true(ticket_annex_open(&opened, &gate, identity, identity_len));
    assert_memory_equal(opened.alpn, largest.alpn, sizeof(largest.alpn));
}

static void each_ticket_has_a_mark_of_its_own(void **state)
{
    (void)state;
    struct early_terms first, again, second;
    assert_true(ticket_annex_open(&first, &gate, identity, identity_len));
    assert_true(ticket_annex_open(&again, &gate, identity, identity_len));
    issue(&terms);
    assert_true(ticket_annex_open(&second, &gate, identity, identity_len));
    assert_int_equal(first.mark, again.mark);
    assert_int_not_equal(first.mark, second.mark);
}

static void no_octet_can_be_changed_nor_left_out(void **state)
{
    (void)state;
    struct early_terms opened;
    for (size_t i = 0; i < identity_len; i++) {
        identity[i] ^= 1;
        assert_false(ticket_annex_open(&opened, &gate, identity, identity_len));
        identity[i] ^= 1;
        assert_false(ticket_annex_open(&opened, &gate, identity, i));
    }
}

static void an_annex_is_no_good_on_another_ticket(void **state)
{
    (void)state;
    struct early_terms opened;
    uint8_t annex[TICKET_ANNEX_MAX];
    size_t len = identity_len - TICKET_BYTES;
    memcpy(annex, identity + TICKET_BYTES, len);
    issue(&terms);
    memcpy(identity + TICKET_BYTES, annex, len);
    assert_false(ticket_annex_open(&opened, &gate, identity, TICKET_BYTES + len));
}

/* A restart with the same static key forgets which tickets were used. */
static void another_endpoint_with_the_same_key_knows_no_annex(void **state)
{
    (void)state;
    struct early_gate other;
    struct early_terms opened;
    early_gate_init(&other, &rng, static_key, sizeof(static_key));
    assert_false(ticket_annex_open(&opened, &other, identity, identity_len));
    assert_true(ticket_annex_open(&opened, &gate, identity, identity_len));
    early_gate_done(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_annex_says_what_was_written),        TEST(the_largest_annex_fits),
        TEST(each_ticket_has_a_mark_of_its_own),     TEST(no_octet_can_be_changed_nor_left_out),
        TEST(an_annex_is_no_good_on_another_ticket), TEST(another_endpoint_with_the_same_key_knows_no_annex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
