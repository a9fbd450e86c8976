/*
 * One direction of a bad network. Pure: given the time and a datagram's size it says when that arrives, once, twice or
 * never. What is drawn comes from the seed alone.
 */
#ifndef CLI_NATBOX_LINK_H
#define CLI_NATBOX_LINK_H

#include <roam/types.h>

#define MILLION 1000000

struct link_config {
    roam_time delay, jitter;  /* each datagram takes delay .. delay + jitter */
    roam_time reorder_by;     /* those that are held back take so much more, and are overtaken */
    uint64_t rate_bits_per_s; /* 0: no limit */
    uint64_t burst_bytes;     /* go out at once after a pause, whatever the rate */
    uint64_t queue_bytes;     /* waiting for the rate at most */
    uint64_t mtu_bytes;       /* the largest payload; 0: no limit */
    uint64_t loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm;
    uint64_t row_max;               /* so many in a row are lost, or corrupted, at most; 0: no limit */
    uint64_t drop_after, drop_next; /* when so many have come, so many more vanish */
    roam_time outage, outage_every; /* how long everything vanishes, from beginning to beginning; 0: never, only once */
    roam_time outage_after;         /* the first begins so long after link_begin */
};

struct link_counters {
    uint64_t packets, bytes; /* that came */
    uint64_t lost, queue_full, too_large, duplicated, reordered, corrupted, outage;
};

struct link {
    struct link_config config;
    struct link_counters counters;
    uint64_t random;   /* state of the generator */
    roam_time full_at; /* when the bucket has all its tokens again, as a time: the future means that it lacks some */
    roam_time last_arrival;           /* nothing but what is held back arrives before it */
    roam_time begun;                  /* ROAM_TIME_NEVER before link_begin */
    uint64_t lost_row, corrupted_row; /* of the latest datagrams, all of which were */
};

enum link_fate { LINK_PASSES, LINK_LOST, LINK_QUEUE_FULL, LINK_TOO_LARGE, LINK_OUTAGE };

struct link_verdict {
    enum link_fate fate;
    size_t copies;          /* LINK_PASSES: 1 or 2 */
    roam_time arrivals[2];  /* of each copy, not before now */
    bool reordered;         /* held back */
    uint32_t corrupted_bit; /* which to flip, counted from the first; UINT32_MAX: none */
};

#define NO_BIT UINT32_MAX

void link_init(struct link *link, const struct link_config *config, uint64_t seed);

/* The network is in use from now on: outages are counted from here. Only the first call matters. */
void link_begin(struct link *link, roam_time now);

/* A datagram enters. */
struct link_verdict link_admit(struct link *link, roam_time now, size_t bytes);

/* The next number of a splitmix64 generator. */
uint64_t next_random(uint64_t *state);

#endif
