/*
 * The paths of a connection, called in any order that their headers allow: paths come and go, are proven, rest and
 * begin afresh; datagrams pass within what the 3x limit leaves. Octet 0 chooses limits; then each step takes two octets,
 * the operation (bit 7: without memory) and its argument, whose low bits choose the path.
 *
 * After each step all invariants are checked: of the set, of each path, of each search for the datagram size.
 */
#include "fuzz/program.h"
#include "path/path_set.h"
#include "unit/counting_allocator.h"

#define STEPS_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct counting_allocator counting;
    roam_allocator allocator;
    roam_config config;
    struct path_set set;
    uint64_t random;
    roam_time now;
};

static void fill_random(void *context, void *buf, size_t len)
{
    struct world *world = context;
    for (size_t i = 0; i < len; i++) {
        world->random = world->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)buf)[i] = (uint8_t)(world->random >> 56);
    }
}

static roam_address address_of(uint8_t which)
{
    roam_address ret = {.ip = {192, 0, 2, which}, .port = (uint16_t)(1000 + (which & 3)), .family = ROAM_FAMILY_IPV4};
    if ((which & 0x10) != 0)
        ret = (roam_address){.ip = {0x20, 1, 0xd, 0xb8, which}, .port = 443, .family = ROAM_FAMILY_IPV6};
    return ret;
}

/* A new path, in the place of another one where the set is full. */
static void add(struct world *world, uint8_t argument)
{
    const roam_address local = address_of(argument >> 4 & 7), remote = address_of(argument & 0x1f);
    struct path_set *set = &world->set;
    if (path_set_find_address(set, &local, &remote) != NULL)
        return;
    if (set->count == set->max) {
        const struct path *evictable = path_set_evictable(set);
        if (evictable == NULL)
            return;
        require(evictable->id != set->active_id && evictable->id != set->fallback_id);
        path_set_remove(set, evictable->id);
    }
    const uint64_t id = set->next_id;
    struct path *path = path_set_add(set, &local, &remote, &world->config, world->now);
    require(path != NULL || world->counting.refuses);
    if (path != NULL)
        require(path->id == id && path_set_find(set, id) == path && path_set_find_remote(set, &remote) != NULL);
}

static void validate(struct world *world, struct path *path, uint8_t argument)
{
    static const uint8_t nothing[PATH_DATA_BYTES];
    const roam_rng rng = {.fill = fill_random, .context = world};
    struct path_validation *validation = &path->validation;
    uint8_t data[PATH_DATA_BYTES];
    roam_time delay;
    if (path->work == NULL)
        return;
    switch (argument >> 5) {
    case 0:
    case 1:
        path_validation_start(validation, world->now, ROAM_MILLISECONDS(argument), ROAM_MILLISECONDS(10));
        break;
    case 2:
        if (validation->challenge_due)
            path_validation_on_sent(validation, &rng, world->now, (argument & 0x10) != 0, data);
        break;
    case 3:
        require(path_validation_on_response(validation, nothing, world->now, NULL) == VALIDATION_NO_MATCH);
        break;
    case 4:
        if (validation->kept == 0)
            break;
        memcpy(data, validation->challenges[argument % validation->kept].data, sizeof(data));
        if (path_validation_on_response(validation, data, world->now, &delay) != VALIDATION_NO_MATCH)
            path->address_validated |= validation->address_proven;
        break;
    case 5:
        path_validation_on_rtt(validation, ROAM_MICROSECONDS(argument));
        break;
    case 6:
        path_validation_expire(validation, world->now);
        break;
    default:
        if ((argument & 0x10) != 0)
            path_validation_abandon(validation);
        else
            path_validation_fail(validation);
    }
}

static void pass_datagram(struct world *world, struct path *path, uint8_t argument)
{
    uint8_t data[PATH_DATA_BYTES] = {argument};
    const size_t bytes = 1 + (size_t)(argument >> 3) * 48;
    if ((argument & 4) != 0) {
        path_on_received(path, bytes, world->now);
    } else if (bytes <= path_allowance(path)) {
        path_on_sent(path, bytes, world->now);
        path_on_fate(path, (argument & 8) != 0);
    }
    if (path->work == NULL)
        return;
    if ((argument & 0x20) != 0)
        path_owe_response(path, data, world->now);
    if ((argument & 0x40) != 0 && path_may_respond(path))
        path_take_response(path, data, world->now);
    if ((argument & 0x80) != 0)
        path_on_acked(path);
}

static void search_size(struct world *world, struct path *path, uint8_t argument)
{
    struct pmtud *pmtud = &path->pmtud;
    const roam_time sent_at = world->now - ROAM_MILLISECONDS(argument & 0x1f);
    const size_t probe = pmtud_next_probe(pmtud, UINT64_MAX, world->now);
    const size_t size = pmtud->size;
    switch (argument >> 5) {
    case 0:
        if (probe > 0)
            pmtud_on_probe_sent(pmtud);
        break;
    case 1:
        pmtud_on_sent(pmtud, size);
        break;
    case 2:
        pmtud_on_acked(pmtud, pmtud->probing ? pmtud->next_bytes : size, pmtud->probing, sent_at, world->now);
        break;
    case 3:
        pmtud_on_lost(pmtud, pmtud->probing ? pmtud->next_bytes : size, pmtud->probing, sent_at, world->now);
        break;
    case 4:
        pmtud_on_lost(pmtud, (argument & 1) != 0 ? size : DATAGRAM_BYTES_MIN - 1, false, sent_at, world->now);
        break;
    case 5:
        pmtud_on_too_large(pmtud, size, world->now);
        break;
    case 6:
        pmtud_on_base_failed(pmtud);
        break;
    default:
        pmtud_on_base_proven(pmtud, world->now);
    }
}

/* Moves there, remembers where it was, rests, begins afresh, or goes. */
static void change_set(struct world *world, struct path *path, uint8_t argument)
{
    struct path_set *set = &world->set;
    const struct path *active = path_set_active(set);
    switch (argument >> 5) {
    case 0:
    case 1:
        if (active->address_validated)
            set->fallback_id = active->id;
        set->active_id = path->id;
        path->was_active = true;
        if (set->fallback_id == set->active_id)
            set->fallback_id = PATH_ID_NONE;
        break;
    case 2:
        if (path->id != set->active_id && path->id != set->fallback_id)
            path_set_remove(set, path->id);
        break;
    case 3:
        path_set_rest(set, world->now);
        break;
    case 4:
    case 5:
        path_set_rouse(set, path);
        break;
    case 6:
        if (path->work != NULL && path->recovery.congestion.in_flight == 0 && path->id != set->fallback_id)
            path_set_renew(set, path, &world->config);
        break;
    default:
        world->now += ROAM_SECONDS(1);
    }
}

static void step(struct world *world, uint8_t op, uint8_t argument)
{
    struct path_set *set = &world->set;
    struct path *path = set->count > 0 ? set->paths[(op >> 3 & 0x0f) % set->count] : NULL;
    if (path == NULL || (op & 7) == 0)
        add(world, argument);
    else if ((op & 7) < 3)
        validate(world, path, argument);
    else if ((op & 7) < 5)
        pass_datagram(world, path, argument);
    else if ((op & 7) == 5)
        search_size(world, path, argument);
    else
        change_set(world, path, argument);
}

static void check(const struct world *world)
{
    const struct path_set *set = &world->set;
    path_set_check(set);
    for (size_t i = 0; i < set->count; i++) {
        path_check(set->paths[i]);
        pmtud_check(&set->paths[i]->pmtud);
        require(path_validation_deadline(&set->paths[i]->validation) > 0);
        require(path_state(set->paths[i]) <= ROAM_PATH_FAILED);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct program program = {data, size};
    memset(&world, 0, sizeof(world));
    world.now = ROAM_SECONDS(1000);
    world.allocator = counting_allocator(&world.counting);
    roam_config_init(&world.config);
    const uint8_t choice = program_take(&program);
    world.config.ecn = (choice & 0x10) != 0;
    world.config.pmtud = (choice & 0x20) != 0;
    path_set_init(&world.set, &world.allocator, 1 + choice % PATHS_MAX);
    for (size_t i = 0; i < STEPS_MAX && program.size > 0; i++) {
        const uint8_t op = program_take(&program), argument = program_take(&program);
        world.counting.refuses = (op & 0x80) != 0;
        world.now += ROAM_MICROSECONDS(100);
        step(&world, op, argument);
        world.counting.refuses = false;
        check(&world);
    }
    path_set_done(&world.set);
    require(world.counting.bytes_out == 0);
    return 0;
}
