/* Who was asked where: a PATH_RESPONSE leaves where the challenge came in, and no challenge is answered twice. */
#include "sim/oracle.h"

static uint64_t place_of(const struct observed_packet *packet)
{
    return sim_hash_address(sim_hash_address(1, &packet->local), &packet->remote);
}

static uint64_t *count_of(struct sim_map *map, const struct observed_packet *packet)
{
    bool added;
    return sim_map_get(map, place_of(packet), 0, &added);
}

void conn_view_challenged(struct conn_view *view, const struct observed_packet *packet)
{
    if (packet->frames & frame_bit(FRAME_PATH_CHALLENGE))
        ++*count_of(&view->asked, packet);
}

const char *conn_view_responds(struct conn_view *view, const struct observed_packet *packet)
{
    /* A path that the application has put on another socket takes what it owes along. */
    if (!(packet->frames & frame_bit(FRAME_PATH_RESPONSE)) || conn_view_was_rebound(view, &packet->local))
        return NULL;
    uint64_t asked = *count_of(&view->asked, packet);
    if (asked == 0)
        return "a challenge is answered on another path";
    return ++*count_of(&view->answered, packet) > asked ? "a challenge is answered twice" : NULL;
}
