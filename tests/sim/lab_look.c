/* What scenarios ask of the usual world: where the server is, and which packets have gone where. */
#include "sim/oracle.h"
#include "sim/scenario.h"

uint64_t lab_server_moves(const struct lab *lab)
{
    roam_conn_info info = {0};
    if (lab->server_app.newest != NULL)
        roam_conn_get_info(lab->server_app.newest, &info);
    return info.moves;
}

size_t lab_server_paths(const struct lab *lab)
{
    roam_path_info paths[PATHS_MAX];
    return lab->server_app.newest != NULL ? roam_conn_paths(lab->server_app.newest, paths, PATHS_MAX) : 0;
}

roam_address lab_outside(const struct lab *lab, size_t interface, const roam_address *local)
{
    const struct lab_client *client = &lab->clients[0];
    return client->nats[interface] != NULL ? nat_outside(client->nats[interface], local) : *local;
}

bool lab_server_is_at(const struct lab *lab, const roam_address *remote)
{
    if (lab->server_app.newest == NULL)
        return false;
    roam_address there = lab_active(lab->server_app.newest).remote;
    return roam_address_equal(&there, remote);
}

bool lab_server_follows(const struct lab *lab, size_t interface)
{
    const struct client_app *app = &lab->clients[0].app;
    if (app->conn == NULL)
        return false;
    roam_address outside = lab_outside(lab, interface, roam_conn_local_address(app->conn));
    return lab_server_is_at(lab, &outside);
}

static bool fits(const struct oracle_record *record, const struct lab_packets *wanted)
{
    const struct observed_packet *packet = &record->packet;
    return record->host == wanted->host && packet->sent == wanted->sent && record->time >= wanted->from &&
           (wanted->frames == 0 || (packet->frames & wanted->frames) != 0) &&
           (wanted->without == 0 || (packet->frames & wanted->without) == 0) &&
           (wanted->remote == NULL || roam_address_equal(&packet->remote, wanted->remote)) &&
           (wanted->local == NULL || roam_address_equal(&packet->local, wanted->local));
}

const struct oracle_record *lab_packet(const struct lab *lab, const struct lab_packets *wanted, size_t index)
{
    const struct oracle_record *records;
    size_t n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++) {
        if (fits(&records[i], wanted) && index-- == 0)
            return &records[i];
    }
    return NULL;
}

size_t lab_count_packets(const struct lab *lab, const struct lab_packets *wanted)
{
    const struct oracle_record *records;
    size_t count = 0, n = oracle_records(lab->world.oracle, &records);
    for (size_t i = 0; i < n; i++)
        count += fits(&records[i], wanted);
    return count;
}
