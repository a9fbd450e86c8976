/* S016 to S020: the client moves because its application says so. */
#include "sim/oracle.h"
#include "sim/scenario.h"

static uint64_t client_count(struct lab *lab, roam_event_type type)
{
    return lab_client(lab)->history.counts[type];
}

static void s016_a_client_probes_a_new_address_and_then_moves_without_loss_under_new_cids(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_DOWNLOAD, 300000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(150)));
    roam_path_info client = lab_active(lab_client(lab)->conn), server = lab_active(lab->server_app.newest);
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info client_after = lab_active(lab_client(lab)->conn), server_after = lab_active(lab->server_app.newest);
    EXPECT(lab, roam_address_equal(&client_after.local, &local));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_VALIDATED) >= 1 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, client_after.state == ROAM_PATH_VALIDATED && server_after.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, !roam_cid_equal(&client.cid, &client_after.cid));
    EXPECT(lab, !roam_cid_equal(&server.cid, &server_after.cid));
    EXPECT(lab, roam_address_same_ip(&server_after.remote, &lab->clients[0].nats[1]->node.ip));
    EXPECT(lab, lab_goodbye(lab));
}

static void s017_a_move_without_probing_is_validated_by_the_server(struct lab *lab)
{
    //= rfc9000#9.3-1 On a permitted migration, send subsequent packets to the new peer address.
    //= rfc9000#9.3-2 Start validating the new address unless validation is already running.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    lab_begin(lab, TRANSFER_UPLOAD, 200000);
    EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(120)));
    roam_address local = lab_socket(lab, 1);
    EXPECT(lab, client_app_rebind(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(30)) && lab_run(lab, ROAM_SECONDS(1)));
    roam_path_info server = lab_active(lab->server_app.newest);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_VALIDATED] >= 1);
    EXPECT(lab, server.state == ROAM_PATH_VALIDATED);
    EXPECT(lab, roam_address_same_ip(&server.remote, &lab->clients[0].nats[1]->node.ip));
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    EXPECT(lab, lab_goodbye(lab));
}

static void s018_a_migration_completes_in_spite_of_loss(struct lab *lab)
{
    for (size_t i = 0; i < 2; i++)
        lab->config.up[i].loss_ppm = lab->config.down[i].loss_ppm = 50000;
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    for (size_t i = 0; i < 10; i++) {
        lab_begin(lab, i % 2 == 0 ? TRANSFER_UPLOAD : TRANSFER_DOWNLOAD, 60000);
        EXPECT(lab, lab_run(lab, ROAM_MILLISECONDS(100)));
        roam_address local = lab_socket(lab, (i + 1) % 2);
        EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
        EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(60)) && lab_run(lab, ROAM_SECONDS(5)));
        EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &local));
    }
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 10);
    for (struct link *link = lab->world.links; link != NULL; link = link->next)
        link->config.loss_ppm = 0;
    EXPECT(lab, lab_goodbye(lab));
}

static void s019_a_migration_to_a_dead_path_fails_and_the_connection_stays(struct lab *lab)
{
    //= rfc9000#8.2.4-4 Failure of one path's validation does not by itself end the connection.
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address before = *roam_conn_local_address(lab_client(lab)->conn);
    interface_set_down(lab->clients[0].interfaces[1], true);
    roam_address local = lab_socket(lab, 1);
    lab_begin(lab, TRANSFER_DOWNLOAD, 300000);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run_done(lab, ROAM_SECONDS(5)) && lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_FAILED) == 1 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &before));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 0);
    /* Only one way is dead: the server hears the probes, and its answers are lost. */
    lab->clients[0].interfaces[1]->node.up->down = false;
    local = lab_socket(lab, 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &local) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(10)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_FAILED) == 2 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    EXPECT(lab, lab_transfer(lab, TRANSFER_ECHO, 10000));
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &before));
    EXPECT(lab, lab_goodbye(lab));
}

/* Where nothing is lost, each challenge of one side is received, answered and believed once, by its eight octets. */
static bool steps_agree(const struct app_history *asks, const struct app_history *answers)
{
    const struct app_event *asked;
    for (size_t n = 0; (asked = app_history_find(asks, ROAM_EVENT_PATH_CHALLENGED, n)) != NULL; n++) {
        if (app_history_count_data(asks, ROAM_EVENT_PATH_CHALLENGED, asked->path_data) != 1 ||
            app_history_count_data(answers, ROAM_EVENT_PATH_CHALLENGE_RECEIVED, asked->path_data) != 1 ||
            app_history_count_data(answers, ROAM_EVENT_PATH_RESPONDED, asked->path_data) != 1 ||
            app_history_count_data(asks, ROAM_EVENT_PATH_ANSWERED, asked->path_data) != 1)
            return false;
    }
    return asks->counts[ROAM_EVENT_PATH_CHALLENGED] == answers->counts[ROAM_EVENT_PATH_CHALLENGE_RECEIVED];
}

/* Each CID that the peer begins to use is told of once. */
static bool uses_agree(const struct app_history *history, uint64_t expected)
{
    const struct app_event *used;
    for (size_t n = 0; (used = app_history_find(history, ROAM_EVENT_CID_USED, n)) != NULL; n++) {
        const struct app_event *other;
        for (size_t k = 0; k < n && (other = app_history_find(history, ROAM_EVENT_CID_USED, k)) != NULL; k++) {
            if (roam_cid_equal(&other->cid, &used->cid) || other->sequence == used->sequence)
                return false;
        }
    }
    return history->counts[ROAM_EVENT_CID_USED] == expected;
}

static void s020_each_step_of_a_migration_is_reported_once(struct lab *lab)
{
    EXPECT(lab, lab_open(lab) && lab_connect(lab));
    roam_address first = lab->clients[0].local, second = lab_socket(lab, 1);
    EXPECT(lab, client_app_probe(lab_client(lab), &second) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_VALIDATED) == 1 && client_count(lab, ROAM_EVENT_PATH_MOVED) == 0);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &first));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 0);
    EXPECT(lab, client_app_migrate(lab_client(lab), &second) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 1);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &second));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 1);
    EXPECT(lab, client_app_migrate(lab_client(lab), &first) == ROAM_OK);
    EXPECT(lab, lab_run(lab, ROAM_SECONDS(2)) && lab_transfer(lab, TRANSFER_ECHO, 1000));
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_MOVED) == 2);
    EXPECT(lab, roam_address_equal(roam_conn_local_address(lab_client(lab)->conn), &first));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_MOVED] == 2);
    EXPECT(lab, client_count(lab, ROAM_EVENT_PATH_FAILED) == 0);
    const struct app_event *moved = app_history_find(&lab->server_app.history, ROAM_EVENT_PATH_MOVED, 0);
    EXPECT(lab, moved != NULL && roam_address_same_ip(&moved->previous, &lab->clients[0].nats[0]->node.ip));
    EXPECT(lab, roam_address_same_ip(&moved->remote, &lab->clients[0].nats[1]->node.ip));
    EXPECT(lab, steps_agree(&lab->server_app.history, &lab_client(lab)->history));
    EXPECT(lab, steps_agree(&lab_client(lab)->history, &lab->server_app.history));
    EXPECT(lab, lab->server_app.history.counts[ROAM_EVENT_PATH_CHALLENGED] > 0);
    /* The first path comes back under the CID that it had. */
    EXPECT(lab, uses_agree(&lab->server_app.history, 1) && uses_agree(&lab_client(lab)->history, 1));
    EXPECT(lab, lab_goodbye(lab));
}

const struct scenario scenarios_migrate[] = {
    SCENARIO(s016_a_client_probes_a_new_address_and_then_moves_without_loss_under_new_cids),
    SCENARIO(s017_a_move_without_probing_is_validated_by_the_server),
    SCENARIO(s018_a_migration_completes_in_spite_of_loss),
    SCENARIO(s019_a_migration_to_a_dead_path_fails_and_the_connection_stays),
    SCENARIO(s020_each_step_of_a_migration_is_reported_once),
    {NULL, NULL},
};
