/* S083: what is learnt of a path is that path's: congestion window, RTT, ECN. */
#include "sim/oracle.h"
#include "sim/scenario.h"

static bool migrate_to(struct lab *lab, size_t interface)
{
    roam_address local = lab_socket(lab, interface);
    return client_app_migrate(lab_client(lab), &local) == ROAM_OK && lab_run(lab, ROAM_SECONDS(1));
}

static bool both_ways(struct lab *lab, uint64_t bytes)
{
    lab_begin(lab, TRANSFER_UPLOAD, bytes);
    return lab_transfer(lab, TRANSFER_DOWNLOAD, bytes);
}

static bool ecn_is(struct lab *lab, enum roam_ecn_state state)
{
    return lab_active(lab_client(lab)->conn).ecn == state && lab_active(lab->server_app.newest).ecn == state;
}

static void set_ecn(struct lab *lab, size_t interface, bool bleach, uint32_t ce_ppm)
{
    struct node *node = &lab->clients[0].interfaces[interface]->node;
    node->up->config.ecn_bleach = node->down->config.ecn_bleach = bleach;
    node->up->config.ce_ppm = node->down->config.ce_ppm = ce_ppm;
}

//= rfc9000#13.4.2-1 ECN is validated anew on every new path.
//= rfc9000#13.4.2.2-1 Turn ECN off on failed validation.
static void s083_ecn_is_validated_path_by_path(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    set_ecn(lab, 1, true, 0);
    EXPECT(lab, migrate_to(lab, 1) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, migrate_to(lab, 0) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    /* CE on every packet: the window suffers only until that is seen through. */
    set_ecn(lab, 1, false, 1000000);
    EXPECT(lab, migrate_to(lab, 1) && both_ways(lab, 1000000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, lab_active(lab->server_app.newest).window_bytes > 50000);
    /* And a network that stops to carry marks is noticed as well. */
    EXPECT(lab, migrate_to(lab, 0) && both_ways(lab, 300000));
    EXPECT(lab, ecn_is(lab, ROAM_ECN_STATE_CAPABLE));
    set_ecn(lab, 0, true, 0);
    EXPECT(lab, both_ways(lab, 300000) && lab_run(lab, ROAM_SECONDS(1)) && ecn_is(lab, ROAM_ECN_STATE_FAILED));
    EXPECT(lab, lab_goodbye(lab));
}

/* Acknowledgements that cover packets of both paths say nothing about either. */
static void s083_ecn_is_validated_in_the_middle_of_a_transfer(struct lab *lab)
{
    lab->config.down[1].delay = ROAM_MILLISECONDS(60);
    lab->config.down[0].rate_bits_per_s = lab->config.down[1].rate_bits_per_s = 10000000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 6; i++) {
        lab_begin(lab, TRANSFER_DOWNLOAD, 1000000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(300)));
        roam_address local = lab_socket(lab, (i + 1) % 2);
        set_ecn(lab, (i + 1) % 2, i % 4 == 0, 0);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)));
        EXPECT(lab,
               lab_active(lab->server_app.newest).ecn == (i % 4 == 0 ? ROAM_ECN_STATE_FAILED : ROAM_ECN_STATE_CAPABLE));
    }
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_paths[] = {
    SCENARIO(s083_ecn_is_validated_path_by_path),
    SCENARIO(s083_ecn_is_validated_in_the_middle_of_a_transfer),
    {NULL, NULL},
};
