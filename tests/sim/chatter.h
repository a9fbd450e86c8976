/*
 * Datagrams of the applications: a client sends bursts of them, a server answers some with as many octets. All that were
 * ever sent stand in one book, so that whoever takes one knows each of its octets, and that it came once:
 *
 *   - What is taken was sent by the other side, has the same octets, and was not taken before.
 *   - Of each that was sent one fate is told at most: acknowledged, lost, expired or outgrown.
 *   - What expired or was outgrown before it left is never taken.
 *   - What is acknowledged was taken, unless the receiver has dropped some for want of room.
 */
#ifndef SIM_CHATTER_H
#define SIM_CHATTER_H

#include "sim/host.h"

/* One datagram. */
struct said {
    const struct host *from;
    size_t len;
    uint64_t key;
    bool heard;
    roam_event_type fate; /* ROAM_EVENT_NONE: not told */
};

struct said_book {
    struct world *world;
    struct said *entries;
    size_t count, capacity;
    uint64_t heard, dropped; /* by receivers, on connections that have ended */
    uint64_t fates[ROAM_EVENT_TYPES];
};

void said_book_init(struct said_book *book, struct world *world);
void said_book_done(struct said_book *book);

/* Sends one; what the library says of it. At least eight octets, which say which one it is. */
roam_result said_book_send(struct said_book *book, struct host *from, roam_conn *conn, size_t len);
/* Takes and compares all there are; answers some of them where `answers`. */
void said_book_take(struct said_book *book, struct host *host, roam_conn *conn, bool answers);
void said_book_on_fate(struct said_book *book, const struct host *host, const roam_event *event);
/* The connection has ended. */
void said_book_on_closed(struct said_book *book, struct host *host, roam_conn *conn);
/* Nothing is under way any more: fails the world where something that was acknowledged has gone. */
void said_book_judge(struct said_book *book);

/* What a client says. */
struct chatter {
    uint64_t left;
    size_t burst;
    roam_time gap; /* between bursts */
    bool lazy;     /* what came is taken with the next burst only */
    struct sim_event timer;
};

#define CHATTER_BYTES_MIN 8

/* A burst; the sizes follow from the book's entries: often the largest that fits. */
void chatter_burst(struct chatter *chatter, struct said_book *book, struct host *host, roam_conn *conn);

#endif
