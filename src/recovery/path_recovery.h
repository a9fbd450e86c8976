/* What loss recovery keeps for each path: a path embeds one. Never dropped on migration; reset only as RFC 9000
 * section 9.4 says. */
#ifndef RECOVERY_PATH_RECOVERY_H
#define RECOVERY_PATH_RECOVERY_H

#include "recovery/congestion.h"
#include "recovery/pacer.h"
#include "recovery/rtt.h"
#include "wire/packet.h"
#include "wire/packet_number.h"

struct path_recovery {
    struct rtt rtt;
    struct congestion congestion;
    struct pacer pacer;
    uint64_t largest_acked[PACKET_SPACES]; /* of the packets sent on this path; PACKET_NUMBER_NONE */
    roam_time first_sample_at; /* persistent congestion looks only at packets sent after it; NEVER before one */
};

/* `bbr`: memory for that controller, see congestion_init. */
void path_recovery_init(struct path_recovery *recovery, const roam_config *config, struct bbr *bbr);

/* New network: RTT, window and pacer as at the start, in_flight kept. `initial_rtt` seeds the RTT (0: the default). */
void path_recovery_reset(struct path_recovery *recovery, const roam_config *config, roam_time initial_rtt);

#endif
