/*
 * Somebody at the root of the tree who gives the next datagrams with a certain address another one, or keeps them for
 * later. What he does is less than an attacker's: nobody gains by it. A network that loses its way does the same.
 */
#ifndef SIM_MEDDLER_H
#define SIM_MEDDLER_H

#include "sim/lab.h"

#define MEDDLER_HELD_MAX 64

struct meddler {
    struct lab *lab;
    size_t left;             /* datagrams still to be meddled with */
    roam_address from, into; /* those with the one get the other; into unset: they are held back */
    bool destination;        /* of the destination, not of the source */
    struct sim_packet *held[MEDDLER_HELD_MAX];
    size_t held_count;
};

/* He sees each datagram from now on. The structure must outlast the world's time, or his successor's beginning. */
void meddler_start(struct meddler *meddler);

/* What was held back goes on its way. */
void meddler_let_go(struct meddler *meddler);

#endif
