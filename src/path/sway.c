/* To and fro: see the header. */
#include "path/sway.h"

#include "base/minmax.h"
#include "path/path_set.h"

/* A sway is forgotten after so many times the wait that it has led to, and never sooner than after so many PTOs. */
#define FORGET_WAITS 4
#define FORGET_PTOS  16

void sway_init(struct sway *sway)
{
    *sway = (struct sway){.left_id = PATH_ID_NONE};
}

void sway_on_move(struct sway *sway, roam_time now, uint64_t from_id, uint64_t to_id, roam_time pto)
{
    bool returns = to_id == sway->left_id && now < sway->forget_at;
    sway->returns = returns ? sway->returns + 1 : 0;
    sway->left_id = from_id;
    uint64_t ptos = 0;
    if (sway->returns >= SWAY_FREE_RETURNS)
        ptos = min_u64(SWAY_WAIT_PTOS << min_u64(sway->returns - SWAY_FREE_RETURNS, 16), SWAY_WAIT_PTOS_MAX);
    sway->steady_until = saturating_add(now, saturating_mul(ptos, pto));
    sway->forget_at = saturating_add(now, saturating_mul(max_u64(FORGET_WAITS * ptos, FORGET_PTOS), pto));
}

bool sway_must_wait(const struct sway *sway, roam_time now, uint64_t to_id)
{
    return to_id == sway->left_id && now < sway->steady_until;
}
