/*
 * The two sets of connection IDs, called in any order that their headers allow. Octet 0 chooses lengths and limits; then
 * each step takes two octets, the operation (bit 7: without memory) and its argument.
 *
 * After each step the sets check themselves, and a model that knows nothing but the history checks what they may not
 * know: that a sequence which went is never live again, that what went is retired on the wire, and that none is issued
 * twice.
 */
#include "cid/local_cid.h"
#include "cid/remote_cid.h"
#include "fuzz/program.h"
#include "unit/counting_allocator.h"

#define SEQUENCES 256
#define STEPS_MAX 2000
#define PATHS     20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fate { UNSEEN, LIVE, GONE, RETIRED };

struct world {
    struct counting_allocator counting;
    roam_allocator allocator;
    struct local_cid_set local;
    struct remote_cid_set remote;
    uint8_t fates[SEQUENCES]; /* enum fate of the peer's */
    uint64_t issued;          /* the next number that one of ours must get */
    roam_time now;
};

/* ---- Ours */

static void make_cid(roam_cid *ret, uint8_t len, uint8_t kind, uint64_t sequence)
{
    *ret = (roam_cid){.len = len};
    if (len > 3) {
        ret->bytes[0] = kind;
        ret->bytes[1] = (uint8_t)sequence;
        ret->bytes[2] = (uint8_t)(sequence >> 8);
    }
}

static void issue(struct world *world)
{
    struct local_cid_set *set = &world->local;
    roam_cid cid;
    if (local_cid_wanted(set) == 0 || !local_cid_reserve(set, 1))
        return;
    make_cid(&cid, set->cid_bytes, 1, world->issued);
    struct local_cid *entry = local_cid_issue(set, &cid);
    require(entry->sequence == world->issued++ && local_cid_find(set, &cid) == entry);
}

static void retire_ours(struct world *world, uint8_t argument)
{
    struct local_cid_set *set = &world->local;
    roam_cid retired;
    const uint64_t before = set->count, sequence = argument & 0x3f, sent_below = set->sent_below;
    const uint64_t on = (argument & 0x40) != 0 ? sequence : UINT64_MAX;
    const uint64_t error = local_cid_on_retire(set, sequence, on, &retired);
    const bool forbidden = set->cid_bytes == 0 || sequence >= sent_below || on == sequence;
    require((error != ROAM_NO_ERROR) == forbidden);
    if (error == ROAM_NO_ERROR && retired.len != UINT8_MAX)
        require(set->count == before - 1 && local_cid_find(set, &retired) == NULL);
    else
        require(set->count == before);
}

static void send_ours(struct world *world)
{
    const struct local_cid *pending = local_cid_next_pending(&world->local);
    if (pending == NULL)
        return;
    require(local_cid_frame_retire_prior_to(&world->local, pending) <= pending->sequence);
    local_cid_on_sent(&world->local, pending->sequence);
}

static void step_local(struct world *world, uint8_t op, uint8_t argument)
{
    struct local_cid_set *set = &world->local;
    const uint64_t below = set->sent_below;
    switch (op) {
    case 0:
        issue(world);
        break;
    case 1:
        send_ours(world);
        break;
    case 2:
        if (argument < below)
            local_cid_on_acked(set, argument);
        break;
    case 3:
        local_cid_on_lost(set, argument);
        break;
    case 4:
        retire_ours(world, argument);
        break;
    case 5:
        local_cid_request_retirement(set, argument % (set->next_sequence + 1));
        break;
    case 6:
        if ((argument & 1) != 0)
            local_cid_insist_on_retirement(set);
        else
            local_cid_repeat(set);
        break;
    default:
        if (set->count == 0 || set->entries[argument % set->count].sequence >= below)
            return;
        const bool was_used = set->entries[argument % set->count].used;
        require(local_cid_on_used(set, &set->entries[argument % set->count], world->now, 1200) == !was_used);
    }
}

/* ---- The peer's */

/* Of the same sequence mostly the same frame; now and then a contradiction. */
static void give(struct world *world, uint8_t how, uint8_t sequence)
{
    struct remote_cid_set *set = &world->remote;
    struct frame frame = {.type = FRAME_NEW_CONNECTION_ID};
    const uint64_t back = (how & 3) == 0 ? sequence : (how & 3) * 2u;
    bool added = false;
    frame.new_connection_id.sequence = sequence;
    frame.new_connection_id.retire_prior_to = sequence - (back < sequence ? back : sequence);
    make_cid(&frame.new_connection_id.cid, 8, 2, (how & 0x1c) == 0x1c ? sequence / 2u : sequence);
    const uint8_t token[RESET_TOKEN_BYTES] = {3, (uint8_t)((how & 0x1c) == 0x18 ? sequence / 2u : sequence)};
    memcpy(frame.new_connection_id.reset_token, token, RESET_TOKEN_BYTES);
    const uint64_t error = remote_cid_on_new(set, &frame, &added);
    require(error == ROAM_NO_ERROR || error == ROAM_PROTOCOL_VIOLATION || error == ROAM_CONNECTION_ID_LIMIT_ERROR ||
            (error == ROAM_INTERNAL_ERROR && world->counting.refuses));
    require(!added || world->fates[sequence] == UNSEEN);
}

static void step_paths(struct world *world, uint8_t op, uint8_t argument)
{
    struct remote_cid_set *set = &world->remote;
    const uint64_t path = argument % PATHS, other = argument / PATHS;
    const bool may_add = set->assignment_count < REMOTE_ASSIGNMENTS_MAX || remote_cid_assignment(set, path) != NULL;
    struct remote_cid *cid;
    switch (op) {
    case 0:
        if (may_add && remote_cid_assign(set, path))
            require(remote_cid_of_path(set, path) != NULL);
        break;
    case 1:
        if (may_add && remote_cid_assignment(set, other) != NULL)
            remote_cid_share(set, path, other);
        break;
    case 2:
        if (may_add)
            remote_cid_rotate(set, path);
        break;
    case 3:
        remote_cid_release(set, path);
        break;
    default:
        cid = remote_cid_of_path(set, path);
        if (cid != NULL)
            cid->used = true;
        if (cid != NULL && cid->has_reset_token)
            require(remote_cid_of_token(set, cid->reset_token) == cid);
    }
}

static void step_retirements(struct world *world, uint8_t op, uint8_t argument)
{
    struct remote_cid_set *set = &world->remote;
    uint64_t sequence;
    if (op == 0 && remote_cid_next_retirement(set, &sequence)) {
        require(sequence >= SEQUENCES || world->fates[sequence] == GONE);
        remote_cid_on_retirement_sent(set, sequence);
    } else if (op == 1) {
        remote_cid_on_retirement_lost(set, argument);
    } else if (world->fates[argument] == GONE) {
        remote_cid_on_retirement_acked(set, argument);
        world->fates[argument] = RETIRED;
    }
}

/* What the sets say now, against what was. */
static void compare(struct world *world)
{
    uint8_t now[SEQUENCES] = {UNSEEN};
    const struct remote_cid_set *set = &world->remote;
    for (size_t i = 0; i < set->count; i++)
        now[set->entries[i].sequence] = LIVE;
    for (size_t i = 0; i < set->retirement_count; i++)
        now[remote_cid_retirements(set)[i].sequence] = GONE;
    for (size_t i = 0; i < SEQUENCES; i++) {
        if (now[i] == UNSEEN)
            require(world->fates[i] == UNSEEN || world->fates[i] == RETIRED);
        else
            require(world->fates[i] <= now[i]);
        if (now[i] != UNSEEN)
            world->fates[i] = now[i];
    }
    remote_cid_set_check(&world->remote);
    local_cid_set_check(&world->local);
}

static void begin(struct world *world, uint8_t choice)
{
    roam_cid ours, theirs;
    memset(world, 0, sizeof(*world));
    world->allocator = counting_allocator(&world->counting);
    make_cid(&ours, (choice & 0x0f) == 0x0f ? 0 : 8, 1, 0);
    make_cid(&theirs, (choice & 0xf0) == 0xf0 ? 0 : 8, 2, 0);
    require(local_cid_set_init(&world->local, &world->allocator, &ours));
    require(remote_cid_set_init(&world->remote, &world->allocator, &theirs, 2 + (choice >> 4) % 15u));
    world->issued = 1;
    if ((choice & 1) != 0 && ours.len > 0 && local_cid_reserve(&world->local, 1)) {
        make_cid(&ours, 8, 1, world->issued++);
        local_cid_add_preferred(&world->local, &ours);
    }
    local_cid_set_peer_limit(&world->local, 1 + choice % 16u);
    world->fates[0] = LIVE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct program program = {data, size};
    begin(&world, program_take(&program));
    for (size_t i = 0; i < STEPS_MAX && program.size > 0; i++) {
        const uint8_t op = program_take(&program), argument = program_take(&program);
        world.counting.refuses = (op & 0x80) != 0;
        world.now += ROAM_MILLISECONDS(1);
        switch (op >> 5 & 3) {
        case 0:
            step_local(&world, op & 7, argument);
            break;
        case 1:
            give(&world, op & 0x1f, argument);
            break;
        case 2:
            step_paths(&world, (op & 0x1f) % 5, argument);
            break;
        default:
            step_retirements(&world, (op & 0x1f) % 3, argument);
        }
        world.counting.refuses = false;
        compare(&world);
    }
    local_cid_set_done(&world.local);
    remote_cid_set_done(&world.remote);
    require(world.counting.bytes_out == 0);
    return 0;
}
