/*
 * The NAT: mappings and the ports outside that they have. Kept: a client has at most one port by which it sends, a port
 * that died lets nothing in and is nobody else's for a while, and there are never more mappings than were asked for.
 *
 *   nat_way_out     none -> CURRENT, when a client sends that has no port
 *   lose_place      CURRENT -> DEAD or OLD: a rebinding
 *   bury            anything -> DEAD: expired, evicted, or OLD when the client has sent by its next port
 *   nat_upkeep      DEAD -> closed, GRAVE_TIME later
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/minmax.h"
#include "cli/natbox.h"
#include "io/route.h"

/* How long a dead port stays ours: a server that still sends there should hear nothing, not even ICMP's refusal. */
#define GRAVE_TIME ROAM_SECONDS(10)

/* So many dead ports, and so many old ones of one mapping, are kept; then the oldest goes. */
#define GRAVES_MAX    128
#define OLD_PORTS_MAX 8

/* Ports that are asked for until one is another than the last. */
#define PORT_ATTEMPTS 4

/* ---- Doors ------------------------------------------------------------------------------------------------------- */

struct door *door_open(struct natbox *box, const roam_address *at, const roam_address *outside)
{
    struct door *door = box->door_count < DOORS_MAX ? calloc(1, sizeof(*door)) : NULL;
    if (door == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    if (udp_socket_open(&door->udp, at, SOCKET_BUFFER_BYTES) != ROAM_OK) {
        free(door);
        return NULL;
    }
    door->box = box;
    door->outside = *outside;
    door->index = box->door_count;
    if (!relay_watch_door(door)) {
        udp_socket_close(&door->udp);
        free(door);
        return NULL;
    }
    box->doors[box->door_count++] = door;
    return door;
}

static struct door *door_of(const struct natbox *box, const roam_address *outside)
{
    for (unsigned i = 0; i < box->door_count; i++)
        if (roam_address_equal(&box->doors[i]->outside, outside))
            return box->doors[i];
    return NULL;
}

/* ---- Ports outside ----------------------------------------------------------------------------------------------- */

static void on_outer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_outer(struct natbox *box, struct outer *outer)
{
    struct outer **link = &box->outers;
    while (*link != outer)
        link = &(*link)->next;
    *link = outer->next;
    uv_poll_stop(&outer->poll);
    udp_socket_close(&outer->udp);
    uv_close((uv_handle_t *)&outer->poll, on_outer_closed);
}

/* The longest ago of those in that state, of one mapping or of any (NULL); *ret_count says how many there are. */
static struct outer *oldest_outer(const struct natbox *box, enum outer_state state, const struct mapping *mapping,
                                  size_t *ret_count)
{
    struct outer *oldest = NULL;
    *ret_count = 0;
    for (struct outer *outer = box->outers; outer != NULL; outer = outer->next) {
        if (outer->state != state || (mapping != NULL && outer->mapping != mapping) || outer->held > 0)
            continue;
        oldest = outer; /* new ones are put in front */
        (*ret_count)++;
    }
    return oldest;
}

static void bury(struct natbox *box, struct outer *outer, roam_time now)
{
    size_t graves;
    struct outer *oldest = oldest_outer(box, OUTER_DEAD, NULL, &graves);
    if (graves >= GRAVES_MAX)
        close_outer(box, oldest);
    outer->state = OUTER_DEAD;
    outer->mapping = NULL;
    outer->died = now;
    box->upkeep_at = min_u64(box->upkeep_at, now + GRAVE_TIME);
}

static void bury_all(struct natbox *box, const struct mapping *mapping, enum outer_state state, roam_time now)
{
    for (struct outer *outer = box->outers; outer != NULL; outer = outer->next)
        if (outer->mapping == mapping && outer->state == state)
            bury(box, outer, now);
}

static bool open_socket(struct udp_socket *ret, const roam_address *at, uint16_t not_this)
{
    roam_address any_port = *at;
    any_port.port = 0;
    if (at->port != 0 && udp_socket_open(ret, at, SOCKET_BUFFER_BYTES) == ROAM_OK)
        return true;
    for (int i = 0; i < PORT_ATTEMPTS; i++) {
        if (udp_socket_open(ret, &any_port, SOCKET_BUFFER_BYTES) != ROAM_OK)
            return false;
        if (ret->local.port != not_this)
            return true;
        udp_socket_close(ret);
    }
    errno = EADDRINUSE;
    return false;
}

/* Where the mapping's next port is to be; false with errno. */
static bool next_place(const struct natbox *box, struct mapping *mapping, const struct door *door, roam_address *ret)
{
    const struct address_list *list = &box->options.addresses;
    bool is_first = !roam_address_is_set(&mapping->last);
    bool same_ip = is_first || box->options.rebind_what == REBIND_PORT;
    for (size_t i = 0; i < list->count; i++) {
        size_t at = (mapping->address_at + i + (same_ip ? 0 : 1)) % list->count;
        if (list->addresses[at].family != door->outside.family)
            continue;
        *ret = list->addresses[at];
        mapping->address_at = at;
        if (!is_first && box->options.rebind_what == REBIND_ADDRESS)
            ret->port = mapping->last.port;
        return true;
    }
    return route_source(&door->outside, ret);
}

static bool open_outer(struct natbox *box, struct mapping *mapping, const struct door *door)
{
    roam_address at;
    struct outer *outer = calloc(1, sizeof(*outer));
    if (outer == NULL || !next_place(box, mapping, door, &at) ||
        !open_socket(&outer->udp, &at, roam_address_same_ip(&at, &mapping->last) ? mapping->last.port : 0)) {
        free(outer);
        return false;
    }
    outer->box = box;
    outer->mapping = mapping;
    if (!relay_watch_outer(outer)) {
        udp_socket_close(&outer->udp);
        free(outer);
        return false;
    }
    outer->next = box->outers;
    box->outers = outer;
    mapping->current = outer;
    mapping->last = outer->udp.local;
    return true;
}

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

static struct mapping_key key_of(const struct natbox *box, const struct door *door, const roam_address *client)
{
    struct mapping_key key = {0};
    memcpy(key.bytes, client->ip, sizeof(client->ip));
    memcpy(key.bytes + 16, &client->scope_id, sizeof(client->scope_id));
    memcpy(key.bytes + 20, &client->port, sizeof(client->port));
    /* One place outside for all that the client sends, of each family; or one for each that it sends to. */
    key.bytes[22] = door->outside.family;
    key.bytes[23] = box->options.kind == NAT_SYMMETRIC ? (uint8_t)(door->index + 1) : 0;
    return key;
}

static void remove_mapping(struct natbox *box, struct mapping *mapping, roam_time now)
{
    struct mapping **link = &box->mappings;
    while (*link != mapping)
        link = &(*link)->next;
    *link = mapping->next;
    bury_all(box, mapping, OUTER_CURRENT, now);
    bury_all(box, mapping, OUTER_OLD, now);
    hash_map_remove(&box->by_client, &mapping->key, sizeof(mapping->key));
    box->mapping_count--;
    free(mapping);
}

static void evict_oldest(struct natbox *box, roam_time now)
{
    struct mapping *oldest = box->mappings;
    for (struct mapping *mapping = box->mappings; mapping != NULL; mapping = mapping->next)
        if (mapping->used < oldest->used)
            oldest = mapping;
    REPORT(box, now, "evicted", ADDRESS("client", &oldest->client), ADDRESS("outside", &oldest->last));
    box->counters.evicted++;
    remove_mapping(box, oldest, now);
}

static struct mapping *new_mapping(struct natbox *box, const struct mapping_key *key, const roam_address *client,
                                   roam_time now)
{
    if (box->mapping_count >= box->options.clients)
        evict_oldest(box, now);
    struct mapping *mapping = calloc(1, sizeof(*mapping));
    if (mapping == NULL || !hash_map_insert(&box->by_client, key, sizeof(*key), mapping)) {
        free(mapping);
        return NULL;
    }
    mapping->client = *client;
    mapping->key = *key;
    mapping->used = now;
    mapping->next = box->mappings;
    box->mappings = mapping;
    box->mapping_count++;
    return mapping;
}

static bool take_place(struct natbox *box, struct mapping *mapping, struct door *door, const roam_datagram *datagram,
                       roam_time now)
{
    bool is_first = !roam_address_is_set(&mapping->last);
    char look[LOOK_TEXT_MAX];
    roam_address before = mapping->last;
    if (!open_outer(box, mapping, door)) {
        if (box->counters.no_port++ == 0)
            say_error("no port for a new mapping to %s: %s", door->outside.family == ROAM_FAMILY_IPV4 ? "IPv4" : "IPv6",
                      strerror(errno));
        return false;
    }
    box->counters.mapped++;
    look_at(mapping, datagram->data, datagram->len, look);
    if (is_first)
        REPORT(box, now, "mapped", ADDRESS("client", &mapping->client), ADDRESS("outside", &mapping->last),
               ADDRESS("upstream", &door->outside), TEXT("quic", look));
    else
        REPORT(box, now, "mapped", ADDRESS("client", &mapping->client), ADDRESS("outside", &mapping->last),
               ADDRESS("was", &before), ADDRESS("upstream", &door->outside), TEXT("quic", look));
    if (box->options.old_mapping == OLD_UNTIL_UPLINK)
        bury_all(box, mapping, OUTER_OLD, now);
    return true;
}

struct outer *nat_way_out(struct natbox *box, struct door *door, const roam_datagram *datagram, roam_time now)
{
    struct mapping_key key = key_of(box, door, &datagram->remote);
    struct mapping *mapping = hash_map_find(&box->by_client, &key, sizeof(key));
    if (mapping == NULL)
        mapping = new_mapping(box, &key, &datagram->remote, now);
    if (mapping == NULL)
        return NULL;
    look_learn(mapping, false, datagram->data, datagram->len);
    if (mapping->current == NULL && !take_place(box, mapping, door, datagram, now))
        return NULL;
    mapping->inside = datagram->local;
    mapping->contacted |= UINT64_C(1) << door->index;
    mapping->last_door = door->index;
    mapping->used = now;
    if (box->options.timeout != 0)
        box->upkeep_at = min_u64(box->upkeep_at, saturating_add(now, box->options.timeout));
    return mapping->current;
}

/* ---- Who may come in --------------------------------------------------------------------------------------------- */

static bool has_contacted(const struct natbox *box, const struct mapping *mapping, const roam_address *remote,
                          bool and_port)
{
    for (unsigned i = 0; i < box->door_count; i++) {
        const roam_address *outside = &box->doors[i]->outside;
        if ((mapping->contacted >> i & 1) != 0 &&
            (and_port ? roam_address_equal(outside, remote) : roam_address_same_ip(outside, remote)))
            return true;
    }
    return false;
}

static bool lets_in(const struct natbox *box, const struct mapping *mapping, const roam_address *remote)
{
    switch ((enum nat_kind)box->options.kind) {
    case NAT_FULL_CONE:
        return true;
    case NAT_RESTRICTED:
        return has_contacted(box, mapping, remote, false);
    case NAT_PORT_RESTRICTED:
    case NAT_SYMMETRIC:
        break;
    }
    return has_contacted(box, mapping, remote, true);
}

/* Somebody who is no upstream gets a place inside, so that the client sees that it is another, and can answer. */
static struct door *door_for_stranger(struct natbox *box, const struct mapping *mapping, const roam_address *stranger,
                                      roam_time now)
{
    roam_address at = box->doors[mapping->last_door]->udp.local;
    at.port = 0;
    struct door *door = door_open(box, &at, stranger);
    if (door != NULL)
        REPORT(box, now, "stranger", ADDRESS("outside", stranger), ADDRESS("inside", &door->udp.local));
    return door;
}

struct door *nat_way_in(struct natbox *box, struct outer *outer, const roam_datagram *datagram, roam_time now)
{
    struct mapping *mapping = outer->mapping;
    const char *why = NULL;
    struct door *door = NULL;
    if (outer->state == OUTER_DEAD) {
        box->counters.to_dead++;
        why = "dead";
    } else if (!lets_in(box, mapping, &datagram->remote)) {
        box->counters.filtered++;
        why = "filtered";
    } else {
        look_learn(mapping, true, datagram->data, datagram->len);
        door = door_of(box, &datagram->remote);
        if (door == NULL)
            door = door_for_stranger(box, mapping, &datagram->remote, now);
    }
    if (why != NULL && box->report.verbose)
        REPORT(box, now, why, ADDRESS("from", &datagram->remote), ADDRESS("outside", &outer->udp.local),
               NUMBER("bytes", datagram->len));
    return door;
}

/* ---- Rebinding --------------------------------------------------------------------------------------------------- */

static void lose_place(struct natbox *box, struct mapping *mapping, const char *why, roam_time now)
{
    static const char *const fates[] = {"dies", "until-uplink", "stays"};
    if (mapping->current == NULL ||
        (box->options.rebind_times != 0 && mapping->rebindings >= box->options.rebind_times))
        return;
    REPORT(box, now, "rebind", ADDRESS("client", &mapping->client), ADDRESS("outside", &mapping->last),
           TEXT("why", why), TEXT("old", fates[box->options.old_mapping]));
    if (box->options.old_mapping == OLD_DIES) {
        bury(box, mapping->current, now);
    } else {
        size_t count;
        struct outer *oldest = oldest_outer(box, OUTER_OLD, mapping, &count);
        if (count >= OLD_PORTS_MAX)
            bury(box, oldest, now);
        mapping->current->state = OUTER_OLD;
    }
    mapping->current = NULL;
    mapping->packets = 0;
    mapping->rebindings++;
    box->counters.rebound++;
}

void nat_rebind_all(struct natbox *box, const char *why, roam_time now)
{
    for (struct mapping *mapping = box->mappings; mapping != NULL; mapping = mapping->next)
        lose_place(box, mapping, why, now);
}

void nat_count_packet(struct natbox *box, struct mapping *mapping, roam_time now)
{
    mapping->packets++;
    if (box->options.rebind_packets != 0 && mapping->packets >= box->options.rebind_packets)
        lose_place(box, mapping, "packets", now);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static roam_time expire_mappings(struct natbox *box, roam_time now)
{
    roam_time next_at = ROAM_TIME_NEVER;
    struct mapping *next;
    for (struct mapping *mapping = box->mappings; mapping != NULL && box->options.timeout != 0; mapping = next) {
        roam_time at = saturating_add(mapping->used, box->options.timeout);
        next = mapping->next;
        if (at > now) {
            next_at = min_u64(next_at, at);
            continue;
        }
        REPORT(box, now, "expired", ADDRESS("client", &mapping->client), ADDRESS("outside", &mapping->last));
        box->counters.expired++;
        remove_mapping(box, mapping, now);
    }
    return next_at;
}

void nat_upkeep(struct natbox *box, roam_time now)
{
    box->upkeep_at = expire_mappings(box, now);
    struct outer *next;
    for (struct outer *outer = box->outers; outer != NULL; outer = next) {
        next = outer->next;
        if (outer->state != OUTER_DEAD)
            continue;
        /* A datagram that waits to leave by it has it wait, too. */
        if (now >= outer->died + GRAVE_TIME && outer->held == 0)
            close_outer(box, outer);
        else
            box->upkeep_at = min_u64(box->upkeep_at, max_u64(now + ROAM_SECONDS(1), outer->died + GRAVE_TIME));
    }
}

static void on_door_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void nat_done(struct natbox *box)
{
    while (box->mappings != NULL)
        remove_mapping(box, box->mappings, 0);
    while (box->outers != NULL)
        close_outer(box, box->outers);
    for (unsigned i = 0; i < box->door_count; i++) {
        struct door *door = box->doors[i];
        uv_poll_stop(&door->poll);
        udp_socket_close(&door->udp);
        uv_close((uv_handle_t *)&door->poll, on_door_closed);
    }
    box->door_count = 0;
    hash_map_done(&box->by_client);
}
