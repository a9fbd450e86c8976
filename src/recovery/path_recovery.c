/*
 * What loss recovery keeps for one path, put together. A reset forgets what was learnt of the network and nothing of
 * what was sent: in_flight and the acknowledged numbers stay, for the packets are still in the sent maps.
 */
#include "recovery/path_recovery.h"

void path_recovery_init(struct path_recovery *recovery, const roam_config *config, struct bbr *bbr)
{
    congestion_init(&recovery->congestion, config->congestion, config->datagram_bytes, config->initial_window_packets,
                    bbr);
    recovery->pacer = NULL;
    for (int space = 0; space < PACKET_SPACES; space++)
        recovery->largest_acked[space] = PACKET_NUMBER_NONE;
    path_recovery_reset(recovery, config, 0);
}

void path_recovery_begin_work(struct path_recovery *recovery, struct recovery_work *work)
{
    recovery->pacer = &work->pacer;
    pacer_init(recovery->pacer, recovery->congestion.datagram_bytes, recovery->congestion.initial_packets);
    congestion_begin_work(&recovery->congestion, &work->congestion);
}

bool path_recovery_may_rest(const struct path_recovery *recovery, roam_time now)
{
    return recovery->pacer != NULL && congestion_may_rest(&recovery->congestion) &&
           pacer_is_full(recovery->pacer, now, &recovery->congestion, &recovery->rtt);
}

void path_recovery_rest(struct path_recovery *recovery)
{
    recovery->pacer = NULL;
    congestion_rest(&recovery->congestion);
}

void path_recovery_reset(struct path_recovery *recovery, const roam_config *config, roam_time initial_rtt)
{
    //= rfc9000#9.4-2 Congestion controller and RTT estimate start again on a new network.
    rtt_init(&recovery->rtt, initial_rtt > 0 ? initial_rtt : config->initial_rtt);
    congestion_reset(&recovery->congestion);
    if (recovery->pacer != NULL)
        pacer_init(recovery->pacer, recovery->congestion.datagram_bytes, recovery->congestion.initial_packets);
    recovery->first_sample_at = ROAM_TIME_NEVER;
}
