/* See meddler.h. */
#include "sim/meddler.h"

static bool meddle(void *context, struct sim_packet *packet)
{
    struct meddler *meddler = context;
    roam_address *address = meddler->destination ? &packet->dst : &packet->src;
    if (meddler->left == 0 || !roam_address_equal(address, &meddler->from))
        return true;
    meddler->left--;
    if (roam_address_is_set(&meddler->into)) {
        *address = meddler->into;
        packet->forged = true;
        return true;
    }
    if (meddler->held_count == MEDDLER_HELD_MAX)
        return true;
    meddler->held[meddler->held_count++] = packet;
    return false;
}

void meddler_start(struct meddler *meddler)
{
    meddler->lab->world.intercept = meddle;
    meddler->lab->world.intercept_context = meddler;
}

void meddler_let_go(struct meddler *meddler)
{
    for (size_t i = 0; i < meddler->held_count; i++)
        node_send_down(&meddler->lab->world.internet, meddler->held[i]);
    meddler->held_count = 0;
}
