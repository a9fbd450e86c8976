/* Which CID was seen where: an observer on the wire must not be able to tell that two addresses are one host's. */
#include <stdlib.h>
#include <string.h>

#include "sim/oracle.h"

static bool add_use(struct cid_uses *uses, const roam_cid *cid, const roam_address *local, const roam_address *remote)
{
    /* Newest first: that is nearly always the one. */
    for (size_t i = uses->count; i-- > 0;) {
        const struct cid_use *use = &uses->uses[i];
        if (roam_cid_equal(&use->cid, cid) && roam_address_equal(&use->local, local) &&
            roam_address_equal(&use->remote, remote))
            return false;
    }
    if (uses->count == uses->capacity) {
        uses->capacity = uses->capacity == 0 ? 8 : 2 * uses->capacity;
        uses->uses = realloc(uses->uses, uses->capacity * sizeof(*uses->uses));
        if (uses->uses == NULL)
            abort();
    }
    uses->uses[uses->count++] = (struct cid_use){.cid = *cid, .local = *local, .remote = *remote};
    return true;
}

void conn_view_done(struct conn_view *view)
{
    free(view->sent.uses);
    free(view->received.uses);
    free(view->rebinds);
}

void conn_view_rebind(struct conn_view *view, const roam_address *local)
{
    view->rebinds = realloc(view->rebinds, (view->rebind_count + 1) * sizeof(*view->rebinds));
    if (view->rebinds == NULL)
        abort();
    view->rebinds[view->rebind_count++] = *local;
}

void conn_view_received(struct conn_view *view, const struct observed_packet *packet)
{
    add_use(&view->received, &packet->dcid, &packet->local, &packet->remote);
}

static bool is_rebind_target(const struct conn_view *view, const roam_address *local)
{
    for (size_t i = 0; i < view->rebind_count; i++) {
        if (roam_address_equal(&view->rebinds[i], local))
            return true;
    }
    return false;
}

static bool came_from(const struct conn_view *view, const roam_cid *cid, const roam_address *remote)
{
    for (size_t i = 0; i < view->received.count; i++) {
        const struct cid_use *use = &view->received.uses[i];
        if (roam_cid_equal(&use->cid, cid) && roam_address_equal(&use->remote, remote))
            return true;
    }
    return false;
}

/* The peer's address changed, and its packets went on under a CID of ours that both addresses have used. */
static bool peer_was_rebound(const struct conn_view *view, const roam_address *a, const roam_address *b)
{
    for (size_t i = 0; i < view->received.count; i++) {
        const struct cid_use *use = &view->received.uses[i];
        if (roam_address_equal(&use->remote, a) && came_from(view, &use->cid, b))
            return true;
    }
    return false;
}

const char *conn_view_sent(struct conn_view *view, const struct observed_packet *packet)
{
    if (packet->dcid.len == 0 || !add_use(&view->sent, &packet->dcid, &packet->local, &packet->remote))
        return NULL;
    for (size_t i = 0; i + 1 < view->sent.count; i++) {
        const struct cid_use *use = &view->sent.uses[i];
        if (!roam_cid_equal(&use->cid, &packet->dcid))
            continue;
        if (!roam_address_equal(&use->local, &packet->local) && !is_rebind_target(view, &packet->local) &&
            !is_rebind_target(view, &use->local))
            return "a destination CID is used from two local addresses";
        if (!roam_address_equal(&use->remote, &packet->remote) && !peer_was_rebound(view, &use->remote, &packet->remote))
            return "a destination CID is used towards two remote addresses";
    }
    return NULL;
}
