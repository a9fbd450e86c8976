/*
 * The CIDs of an endpoint: made to its plan, entered in the table, kept from coming back; and what a CID that nobody
 * has says about whose it is.
 *
 * plans[0] is what CIDs are made to now, the others are those of before, the newest first: CIDs that they made live on
 * until their connections have changed them, and are still recognised afterwards. Each plan has a reset key of its own,
 * which is nobody else's even where the static key is shared (RFC 9000 section 21.11).
 */
#include <assert.h>
#include <string.h>

#include "conn/cids.h"
#include "crypto/key_schedule.h"
#include "endpoint/endpoint.h"

/* A source of randomness that repeats itself so often is broken; better no CID than one that somebody has. */
#define CID_ATTEMPTS_MAX 64

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

static bool is_same_layout(const roam_cid_plan *a, const roam_cid_plan *b)
{
    return a->kind == b->kind && a->config_id == b->config_id && a->encode_length == b->encode_length &&
           a->server_id_bytes == b->server_id_bytes && memcmp(a->server_id, b->server_id, sizeof(a->server_id)) == 0 &&
           a->nonce_bytes == b->nonce_bytes && a->extra_bytes == b->extra_bytes && a->has_key == b->has_key &&
           equal_in_constant_time(a->key, b->key, sizeof(a->key)) && a->worker == b->worker && a->process == b->process;
}

static bool init_plan(const roam_endpoint *endpoint, const roam_cid_plan *layout, struct endpoint_plan *ret)
{
    uint8_t scope[CID_SCOPE_BYTES_MAX];
    if (!cid_plan_init(&ret->plan, layout, endpoint->config.cid_bytes, &endpoint->rng, endpoint->scatter_key))
        return false;
    //= rfc9000#21.11-1 The reset key is this server's alone: a packet that is led to another one finds no usable token.
    reset_key_scope(ret->reset_key, endpoint->reset_key, scope, cid_plan_scope(&ret->plan, scope));
    return true;
}

static void forget_plan(struct endpoint_plan *plan)
{
    cid_plan_done(&plan->plan);
    wipe(plan->reset_key, sizeof(plan->reset_key));
}

/* Puts the plan in front. A plan that comes back goes on where it stopped: its nonces must not be given twice. */
static bool use_plan(roam_endpoint *endpoint, const roam_cid_plan *layout)
{
    struct endpoint_plan plan;
    size_t at = 0;
    while (at < endpoint->plan_count && !is_same_layout(&endpoint->plans[at].plan.layout, layout))
        at++;
    if (at < endpoint->plan_count) {
        plan = endpoint->plans[at];
    } else {
        if (!init_plan(endpoint, layout, &plan))
            return false;
        if (endpoint->plan_count == CID_PLANS_KEPT)
            forget_plan(&endpoint->plans[--endpoint->plan_count]);
        at = endpoint->plan_count++;
    }
    memmove(&endpoint->plans[1], &endpoint->plans[0], at * sizeof(plan));
    endpoint->plans[0] = plan;
    return true;
}

bool endpoint_cids_init(roam_endpoint *endpoint)
{
    const roam_cid_plan *layout = &endpoint->config.cid_plan;
    if (layout->kind != ROAM_CID_RANDOM)
        endpoint->config.cid_bytes = roam_cid_plan_length(layout);
    return use_plan(endpoint, layout);
}

void endpoint_cids_done(roam_endpoint *endpoint)
{
    while (endpoint->plan_count > 0)
        forget_plan(&endpoint->plans[--endpoint->plan_count]);
    wipe(endpoint->scatter_key, sizeof(endpoint->scatter_key));
    wipe(endpoint->config.cid_plan.key, sizeof(endpoint->config.cid_plan.key));
}

roam_result roam_endpoint_set_cid_plan(roam_endpoint *endpoint, roam_time now, const roam_cid_plan *plan)
{
    endpoint->now = now;
    //= rfc9000#10.3.2-2 One length for all CIDs: a server that has lost its state must know where they end.
    bool same_length = plan->kind == ROAM_CID_RANDOM || roam_cid_plan_length(plan) == endpoint->config.cid_bytes;
    if (roam_cid_plan_check(plan, NULL) != ROAM_OK || !same_length)
        return ROAM_ERR_CONFIG;
    if (!use_plan(endpoint, plan))
        return ROAM_ERR_MEMORY;
    LIST_FOR_EACH(node, &endpoint->conns)
    conn_renew_all_cids(CONTAINER_OF(node, roam_conn, endpoint_node), now);
    return ROAM_OK;
}

/* ---- CIDs come and go -------------------------------------------------------------------------------------------- */

bool endpoint_cid_new(roam_endpoint *endpoint, roam_conn *conn, roam_cid *ret)
{
    if (endpoint->config.cid_bytes == 0) {
        ret->len = 0;
        return true;
    }
    struct cid_plan *plan = &endpoint->plans[0].plan;
    for (unsigned attempt = 0; attempt < CID_ATTEMPTS_MAX; attempt++) {
        bool planned = cid_plan_generate(plan, ret, &endpoint->rng);
        //= rfc9000#5.1-2 Not while any connection has it, nor for a while after one has retired it.
        //= rfc9000#10.3.2-3 Never a CID of another connection, whose token would be its token.
        //= rfc9000#10.3.2-4 Nor one whose token a reset has told: that would take the same 64 random bits twice.
        if (conn_table_has(&endpoint->table, ret))
            continue;
        endpoint->stats.cids_unroutable += !planned;
        return conn_table_add(&endpoint->table, ret, conn);
    }
    return false;
}

void endpoint_retry_cid(roam_endpoint *endpoint, roam_cid *ret)
{
    //= rfc9000#7.2 The client will use this as its destination CID: at least 8 unpredictable octets.
    cid_plan_stray(&endpoint->plans[0].plan, ret, INITIAL_DCID_BYTES_MIN, &endpoint->rng);
}

void endpoint_reset_token(const roam_endpoint *endpoint, const roam_cid *cid, uint8_t ret[RESET_TOKEN_BYTES])
{
    reset_token_make(ret, endpoint->plans[0].reset_key, cid);
}

/* ---- CIDs that nobody has ---------------------------------------------------------------------------------------- */

/* Under random CIDs there is one server, or each has a static key of its own: all that come are for us. So are those
 * that name nobody where the reset key died with the process that knew them: the token is of no use anywhere else. */
static bool may_be_ours(const roam_endpoint *endpoint)
{
    return endpoint->plans[0].plan.layout.kind == ROAM_CID_RANDOM || !endpoint->config.static_key_set;
}

bool endpoint_may_reset(const roam_endpoint *endpoint, const roam_cid *cid, uint8_t ret_token[RESET_TOKEN_BYTES])
{
    for (size_t i = 0; i < endpoint->plan_count; i++) {
        const struct endpoint_plan *plan = &endpoint->plans[i];
        enum cid_owner owner = cid_plan_owner(&plan->plan, cid);
        //= rfc9000#21.11-2 No reset where another server could have the connection alive.
        //= rfc9000#5.2.3-2 A packet that was led to the wrong worker is no way to learn a token.
        if (owner == CID_OWNER_OTHER)
            return false;
        if (owner == CID_OWNER_SELF) {
            reset_token_make(ret_token, plan->reset_key, cid);
            return true;
        }
    }
    if (!may_be_ours(endpoint))
        return false;
    endpoint_reset_token(endpoint, cid, ret_token);
    return true;
}
