/* S112: early data, recorded and sent again by somebody else. */
#include "sim/attacker.h"
#include "sim/scenario.h"

/* The client has met the server, and its second connection is about to begin. */
static bool meet(struct lab *lab)
{
    struct client_app *app = lab_client(lab);
    client_app_start(app);
    while (app->meeting && world_step(&lab->world))
        continue;
    return !lab->world.failed && app->conn == NULL && app->config.session != NULL;
}

//= rfc8446#8 Early data that is recorded and sent again is not delivered again, from wherever it comes.
static void replay(struct lab *lab, struct attacker *attacker, bool from_victim)
{
    const uint64_t opened = lab_server_count(lab, ROAM_EVENT_STREAM_OPENED);
    const uint64_t taken = lab_server_count(lab, ROAM_EVENT_EARLY_DATA_ACCEPTED);
    attacker_replay(attacker, from_victim);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(15)));
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_STREAM_OPENED) == opened);
    EXPECT(lab, lab_server_count(lab, ROAM_EVENT_EARLY_DATA_ACCEPTED) == taken);
}

static void s112_a_recorded_first_flight_delivers_nothing_when_it_is_sent_again(struct lab *lab)
{
    lab->config.client.early_data = lab->config.server.early_data = true;
    EXPECT(lab, lab_open(lab));
    for (int i = 0; i < 3; i++)
        workload_add(&lab->workload, lab_client(lab), 0, TRANSFER_UPLOAD, 1000);
    EXPECT(lab, meet(lab));
    struct attacker *attacker = attacker_new(lab, "203.0.113.99");
    attacker_start(attacker, ATTACK_KEEP, 4);
    while (!lab_client(lab)->finished && world_step(&lab->world))
        continue;
    attacker_stop(attacker);
    EXPECT(lab, workload_is_done(&lab->workload) && lab_client(lab)->early_data == ROAM_EARLY_ACCEPTED);
    EXPECT(lab, attacker->kept_count == 4 && lab_server_count(lab, ROAM_EVENT_STREAM_OPENED) == 3);
    replay(lab, attacker, false);
    replay(lab, attacker, true);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 1000));
    /* Also when the connection is long over. */
    client_app_close(lab_client(lab));
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(60)) && lab_client(lab)->closed);
    replay(lab, attacker, false);
    replay(lab, attacker, true);
    roam_endpoint_stats stats;
    roam_endpoint_get_stats(lab->server->endpoint, &stats);
    EXPECT(lab, stats.early_data_accepted == 1 && stats.early_data_refused >= 2);
}

const struct scenario scenarios_early[] = {
    SCENARIO(s112_a_recorded_first_flight_delivers_nothing_when_it_is_sent_again),
    {NULL, NULL},
};
