/*
 * Loss detection, RFC 9002 section 6.1 and appendix A, when packets of one space went over several paths.
 *
 * The packet threshold compares packets of one path only; the time threshold holds across paths, with the larger of
 * the two paths' loss delays, so that a slow old path after a move is not taken for lost too soon and its packets
 * not for outstanding for ever. What is found is handed to the connection, which settles the frames.
 */
#ifndef RECOVERY_LOSS_H
#define RECOVERY_LOSS_H

#include "recovery/path_recovery.h"
#include "recovery/sent_map.h"

/* RFC 9002 sections 6.1.1 and 7.6.1. */
#define PACKET_THRESHOLD                3
#define PERSISTENT_CONGESTION_THRESHOLD 3

struct loss_context {
    void *owner;
    /* The recovery state of a path, or NULL where the path is gone. */
    struct path_recovery *(*find)(void *owner, uint64_t path_id);
    /* A packet was found lost: settle its frames. In flight is lowered by this module, which calls this for every
     * lost packet in ascending order before it marks it. */
    void (*on_lost)(void *owner, enum packet_space space, struct sent_packet *packet);
};

/* Looks through the outstanding packets up to the largest acknowledged one. Lowers congestion windows (one event a
 * path and period; persistent congestion where `max_ack_delay` and the path's PTO say so, section 7.6), marks lost
 * packets, returns the time at which to look again because the next one will be lost if nothing comes, at least
 * TIMER_GRANULARITY from now, or ROAM_TIME_NEVER. `active_path`
 * is the id of the path in use, `largest_acked` the largest number acknowledged in this space on any path
 * (PACKET_NUMBER_NONE: none, then nothing is found) and `largest_acked_sent_at` when that packet was sent. */
roam_time loss_detect(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                      uint64_t active_path, uint64_t largest_acked, roam_time largest_acked_sent_at,
                      roam_time max_ack_delay, roam_time now);

/* Every outstanding packet sent on `path_id` is declared lost at once without a word to congestion control: the
 * mapping that it went to is dead (a NAT rebinding was validated). Returns how many. */
size_t loss_declare_path(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                         uint64_t path_id);

/* The same for those of its packets that left in datagrams of more than `bytes`, which do not fit the path. */
size_t loss_declare_larger(struct sent_map *map, enum packet_space space, const struct loss_context *context,
                           uint64_t path_id, size_t bytes);

/* Looks through packets with numbers below `before`: those that nobody need acknowledge are forgotten, those sent
 * before `unanswered` are lost, as if newer ones had been acknowledged. Returns how many are lost. */
size_t loss_sweep(struct sent_map *map, enum packet_space space, const struct loss_context *context, uint64_t before,
                  roam_time unanswered, roam_time now);

/* RFC 9002 section 6.4: keys are gone, nothing of this space will be acknowledged. Bytes in flight are lowered,
 * frames are dropped. */
void loss_discard_space(struct sent_map *map, const struct loss_context *context);

#endif
