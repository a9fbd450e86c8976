/* Congestion controllers with packets under way, as a path has them that does not rest. */
#ifndef TESTS_UNIT_CONGESTION_AT_WORK_H
#define TESTS_UNIT_CONGESTION_AT_WORK_H

#include "recovery/congestion.h"

/* So many are in use at once at most. */
#define CONTROLLERS_MAX 16

static inline void congestion_at_work(struct congestion *congestion, enum roam_congestion algorithm,
                                      uint64_t datagram_bytes, uint64_t initial_packets, struct bbr *bbr)
{
    static struct congestion_work work[CONTROLLERS_MAX];
    static size_t next;
    congestion_init(congestion, algorithm, datagram_bytes, initial_packets, bbr);
    congestion_begin_work(congestion, &work[next++ % CONTROLLERS_MAX]);
}

#endif
