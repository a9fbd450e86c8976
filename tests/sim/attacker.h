/*
 * Somebody at the root of the tree who sees what clients send: rewrites sources, copies datagrams to other sources,
 * keeps them for later, or runs ahead of the true path and forwards the answers (RFC 9000 section 9.3.3).
 */
#ifndef SIM_ATTACKER_H
#define SIM_ATTACKER_H

#include "sim/lab.h"

#define ATTACKER_KEPT_MAX 256

enum attack { ATTACK_NONE, ATTACK_MOVE, ATTACK_COPY, ATTACK_KEEP, ATTACK_FORWARD };

struct attacker {
    struct node node; /* first; its address is where answers to forwarded datagrams go */
    struct lab *lab;
    enum attack attack;
    uint64_t left;       /* datagrams still to be attacked */
    roam_address victim; /* MOVE, COPY: the source that they get */
    bool fresh_port;     /* another port of the victim's each time */
    struct sim_packet *kept[ATTACKER_KEPT_MAX];
    size_t kept_count;
    roam_address client; /* FORWARD: whom the answers are for */
};

/* Takes its place in an open lab, and goes with its world. */
struct attacker *attacker_new(struct lab *lab, const char *ip);

/* Attacks the next n datagrams of clients'. */
void attacker_start(struct attacker *attacker, enum attack attack, uint64_t n);

/* Sends all that was kept once more, from their sources, or from the victim's address. */
void attacker_replay(struct attacker *attacker, bool from_victim);

#endif
