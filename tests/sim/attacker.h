/*
 * Somebody at the root of the tree who sees what clients send: rewrites sources, copies datagrams to other sources,
 * keeps them for later or for ever, or runs ahead of the true path and forwards the answers (RFC 9000 section 9.3.3).
 *
 * He cannot read. That he picks datagrams by the frames in them stands for one who knows what they will be from their
 * size and time, and always guesses right.
 */
#ifndef SIM_ATTACKER_H
#define SIM_ATTACKER_H

#include "sim/lab.h"

#define ATTACKER_KEPT_MAX 256

enum attack {
    ATTACK_NONE,
    ATTACK_MOVE,    /* the datagram comes from the victim instead */
    ATTACK_COPY,    /* a copy comes from the victim first */
    ATTACK_ECHO,    /* a copy comes from the victim, a little after the true one */
    ATTACK_KEEP,    /* a copy is kept for attacker_replay */
    ATTACK_HOLD,    /* it is kept, and does not arrive before attacker_replay */
    ATTACK_DROP,    /* it never arrives */
    ATTACK_FLIP,    /* by turns some datagrams are left alone and some come from the victim */
    ATTACK_FORWARD, /* a copy comes first, from the attacker, who passes the answers on to the client */
    ATTACK_TWIN     /* it comes twice, from the client and from the attacker, in any order; answers go on likewise */
};

struct attacker {
    struct node node; /* first; its address is where answers to forwarded datagrams go */
    struct lab *lab;
    enum attack attack;
    uint64_t left;          /* datagrams still to be attacked */
    uint64_t only;          /* where it is set, those with one of these frames */
    roam_address only_from; /* where it is set, those of this source (any of its ports, where that is 0) */
    roam_address victim;    /* MOVE, COPY, ECHO, FLIP: the source that they get */
    bool fresh_port;        /* another port of the victim's each time */
    uint64_t turn;          /* FLIP: so many datagrams to a turn */
    uint64_t seen;          /* attacked so far */
    struct sim_packet *kept[ATTACKER_KEPT_MAX];
    size_t kept_count;
    roam_address client; /* FORWARD, TWIN: whom the answers are for */
    struct link *twin;   /* another way to the root */
};

/* Takes its place in an open lab, and goes with its world. */
struct attacker *attacker_new(struct lab *lab, const char *ip);

/* Attacks the next n datagrams of clients'. */
void attacker_start(struct attacker *attacker, enum attack attack, uint64_t n);

/* Leaves everybody alone. What was kept is kept. */
void attacker_stop(struct attacker *attacker);

/* Sends all that was kept once more, from their sources, or from the victim's address. */
void attacker_replay(struct attacker *attacker, bool from_victim);
void attacker_forget(struct attacker *attacker);

#endif
