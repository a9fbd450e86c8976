/* Which readable thing was seen where: see the header. */
#include "sim/oracle_linkage.h"

#include <stdlib.h>
#include <string.h>

#include "endpoint/endpoint.h"
#include "sim/sim_map.h"

#define SPIN_BIT 0x20

/* Datagrams below this may be Stateless Resets, whose first octets are random. */
#define RESET_BYTES_MAX 43

/* An address of a client's. Those that silent rebindings join have one root. */
struct place {
    size_t parent;
};

/* Where a thing was seen first. */
struct sight {
    size_t place;
    roam_address remote;
};

struct linkage {
    struct world *world;
    struct place *places;
    size_t place_count, place_capacity;
    struct sim_map place_index;
    struct sight *sights;
    size_t sight_count, sight_capacity;
    struct sim_map sight_index; /* by hash of the thing */
    struct linkage_stats stats;
};

struct linkage *linkage_new(struct world *world)
{
    struct linkage *linkage = calloc(1, sizeof(*linkage));
    if (linkage == NULL)
        abort();
    linkage->world = world;
    return linkage;
}

void linkage_free(struct linkage *linkage)
{
    free(linkage->places);
    free(linkage->sights);
    sim_map_done(&linkage->place_index);
    sim_map_done(&linkage->sight_index);
    free(linkage);
}

const struct linkage_stats *linkage_stats(const struct linkage *linkage)
{
    return &linkage->stats;
}

static void *grow(void *array, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    array = realloc(array, *capacity * bytes);
    if (array == NULL)
        abort();
    return array;
}

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static size_t place_of(struct linkage *linkage, const struct host *client, const roam_address *local)
{
    bool added;
    uint64_t *index =
        sim_map_get(&linkage->place_index, sim_hash_address(client->id, local), linkage->place_count, &added);
    if (!added)
        return *index;
    linkage->places = grow(linkage->places, linkage->place_count, &linkage->place_capacity, sizeof(linkage->places[0]));
    linkage->places[linkage->place_count] = (struct place){.parent = linkage->place_count};
    linkage->stats.places++;
    return linkage->place_count++;
}

static size_t root_of(struct linkage *linkage, size_t place)
{
    while (linkage->places[place].parent != place) {
        linkage->places[place].parent = linkage->places[linkage->places[place].parent].parent;
        place = linkage->places[place].parent;
    }
    return place;
}

void linkage_on_rebind(struct linkage *linkage, const struct host *client, const roam_address *from,
                       const roam_address *to)
{
    size_t a = root_of(linkage, place_of(linkage, client, from)), b = root_of(linkage, place_of(linkage, client, to));
    linkage->places[a].parent = b;
}

/* ---- Sights ------------------------------------------------------------------------------------------------------ */

static void see(struct linkage *linkage, const struct host *client, const char *what, const uint8_t *thing, size_t len,
                size_t place, const roam_address *remote)
{
    bool added;
    uint64_t hash = client->id;
    if (len == 0)
        return;
    for (size_t at = 0; at < len; at += ROAM_CID_MAX) {
        roam_cid part = {.len = (uint8_t)(len - at < ROAM_CID_MAX ? len - at : ROAM_CID_MAX)};
        memcpy(part.bytes, thing + at, part.len);
        hash = sim_hash_cid(hash, &part);
    }
    uint64_t *index = sim_map_get(&linkage->sight_index, hash, linkage->sight_count, &added);
    if (added) {
        linkage->sights =
            grow(linkage->sights, linkage->sight_count, &linkage->sight_capacity, sizeof(linkage->sights[0]));
        linkage->sights[linkage->sight_count++] = (struct sight){.place = place, .remote = *remote};
        linkage->stats.cids++;
        return;
    }
    const struct sight *first = &linkage->sights[*index];
    char text[ROAM_CID_TEXT_MAX], here[ROAM_ADDRESS_TEXT_MAX];
    roam_cid shown = {.len = (uint8_t)(len < ROAM_CID_MAX ? len : ROAM_CID_MAX)};
    memcpy(shown.bytes, thing, shown.len);
    if (root_of(linkage, first->place) != root_of(linkage, place) || !roam_address_equal(&first->remote, remote))
        world_fail(linkage->world, "an observer links two places by the %s %s, seen on the way to %s too", what,
                   roam_cid_format(&shown, text), roam_address_format(remote, here));
}

static void look_at_short_header(struct linkage *linkage, const uint8_t *data, size_t cid_len)
{
    struct linkage_stats *stats = &linkage->stats;
    stats->short_headers++;
    stats->spins += (data[0] & SPIN_BIT) != 0;
    for (size_t bit = 0; bit < 5; bit++)
        stats->ones[bit] += data[0] >> (4 - bit) & 1;
    for (size_t bit = 0; bit < 8; bit++)
        stats->ones[5 + bit] += data[1 + cid_len] >> (7 - bit) & 1;
}

/* Octets of the CIDs that such datagrams go to. */
static size_t cid_bytes_of_receiver(const struct host *client, bool out)
{
    const struct host *receiver = client;
    for (const struct host *host = client->world->hosts; out && host != NULL; host = host->next) {
        if (host->is_server)
            receiver = host;
    }
    return receiver->endpoint != NULL ? receiver->endpoint->config.cid_bytes : 0;
}

/* Whether client and server have said to each other that they take packets without the fixed bit. */
static bool both_grease(const struct host *client)
{
    bool ret = true;
    for (const struct host *host = client->world->hosts; host != NULL; host = host->next) {
        if (host->is_server && host->endpoint != NULL)
            ret &= host->endpoint->accept->grease;
    }
    LIST_FOR_EACH(node, &client->endpoint->conns)
    ret &= CONTAINER_OF(node, roam_conn, endpoint_node)->config->grease;
    return ret;
}

void linkage_on_datagram(struct linkage *linkage, const struct host *client, const struct sim_packet *packet, bool out)
{
    const roam_address *local = out ? &packet->src : &packet->dst, *remote = out ? &packet->dst : &packet->src;
    size_t place = place_of(linkage, client, local), cid_len = cid_bytes_of_receiver(client, out);
    size_t left = packet->len;
    const uint8_t *data = packet->data;
    if (packet->forged || packet->astray)
        return;
    while (left > 0) {
        struct packet_header header;
        if (packet_header_parse(&header, data, left, cid_len) != ROAM_DROP_NONE ||
            header.type == PACKET_OTHER_VERSION || header.type == PACKET_VERSION_NEGOTIATION)
            return;
        //= rfc9287#3.1 Never to who has not said that it takes them.
        if (out && packet_lacks_fixed_bit(&header) && !both_grease(client))
            world_fail(linkage->world, "%s: a packet without the fixed bit", client->name);
        if (header.type == PACKET_ONE_RTT && packet->len > RESET_BYTES_MAX)
            look_at_short_header(linkage, data, cid_len);
        if (header.type != PACKET_ONE_RTT || packet->len > RESET_BYTES_MAX)
            see(linkage, client, "connection ID", header.dcid.bytes, header.dcid.len, place, remote);
        if (header.type != PACKET_ONE_RTT)
            see(linkage, client, "connection ID", header.scid.bytes, header.scid.len, place, remote);
        if (header.type == PACKET_INITIAL)
            see(linkage, client, "token", header.token, header.token_len, place, remote);
        data += header.packet_len;
        left -= header.packet_len;
    }
}
