/*
 * What went over the wire of one connection that `roam check` makes: a line for each datagram, with what its 1-RTT
 * packet says. Plain data, written by the bench (check_bench.c) and the eye (check_eye.c); what follows from it for a
 * move is worked out by log_move_facts, which looks at nothing else.
 */
#ifndef CLI_CHECK_LOG_H
#define CLI_CHECK_LOG_H

#include <roam/types.h>

#include "wire/frame.h"

/* PATH_CHALLENGE frames of one datagram that are kept. */
#define SEEN_CHALLENGES_MAX 4

struct seen_datagram {
    roam_time time;
    bool sent;             /* by us */
    bool opened;           /* a 1-RTT packet of it could be read */
    unsigned place;        /* which of our sockets, by number */
    enum packet_type type; /* of the first packet */
    size_t bytes;
    /* Of its 1-RTT packets: */
    roam_cid dcid;
    uint64_t number;
    uint64_t frames; /* a bit for each type */
    bool has_ack;
    uint64_t acked; /* largest */
    uint64_t ack_delay;
    size_t stream_bytes;
    unsigned challenge_count;
    uint8_t challenges[SEEN_CHALLENGES_MAX][PATH_DATA_BYTES];
};

struct check_log {
    struct seen_datagram *entries;
    size_t count, capacity;
};

void log_init(struct check_log *log);
void log_done(struct check_log *log);
/* A new zeroed entry at the end, valid until the next call; NULL without memory. */
struct seen_datagram *log_add(struct check_log *log);

/* What a move of ours from one socket to another drew from the server. */
struct move_facts {
    unsigned sent_new;         /* datagrams that we sent from the new place */
    size_t trigger_bytes;      /* the first of them */
    roam_time moved_at;        /* when it left */
    unsigned received_new;     /* datagrams that came to the new place and could be read */
    roam_time first_after;     /* how long the first took */
    unsigned received_old;     /* that went to the old place all the same */
    bool acked_new;            /* a packet from the new place was acknowledged there */
    roam_time acked_after;     /* how long that took */
    uint64_t stream_bytes_new; /* octets of streams that came to the new place */

    unsigned challenges_new, challenges_old;
    bool challenge_first;         /* the packet with the lowest number to the new place bears one */
    bool first_is_certain;        /* its predecessor was seen: no packet before it is missing */
    uint64_t first_frames;        /* what that packet bears */
    size_t challenge_bytes;       /* largest datagram with a challenge to the new place */
    bool challenge_room;          /* when a challenge was sent there, 1,200 octets were allowed (sent by us x 3) */
    bool challenge_repeated;      /* the same data in two challenges */
    unsigned responses_new;       /* PATH_RESPONSE frames that came there */
    size_t response_bytes;        /* largest datagram with one */
    bool non_probing_new;         /* anything but probing frames came there */
    roam_time answered_after;     /* our first PATH_RESPONSE left so long after the move; 0: none did */
    uint64_t bytes_in, bytes_out; /* octets to and from the new place until then */
    uint64_t bytes_beyond;        /* the most by which 3 x what we had sent was exceeded until then */

    bool cid_shared; /* a destination CID stands on packets to both places */
    roam_cid cid_old, cid_new;
};

/* `begin`: the entry from which on the move counts; old_place and new_place are numbers of sockets. */
void log_move_facts(const struct check_log *log, size_t begin, unsigned old_place, unsigned new_place,
                    struct move_facts *ret);

/* True where a packet that left from `place` at or behind entry `begin` was acknowledged in one that came there. */
bool log_is_acked(const struct check_log *log, size_t begin, unsigned place);

#endif
