/*
 * Somebody who listens in every network that a client is in, and compares. What he can read without a key - connection
 * IDs in both directions, tokens, the bits of the first octet that no header protection covers - must not tell him that
 * what he sees in two places is one client (RFC 9000 section 9.5), unless the client moved without knowing or saying:
 * then nothing but the address changed. A place is an address of a client's, with one of a server's behind it.
 *
 * Out of scope: sizes and times of packets, what the IP header says, and what a NAT gives away, which may hand one
 * socket's port, and with it what is still sent there, to another of the same client's.
 */
#ifndef SIM_ORACLE_LINKAGE_H
#define SIM_ORACLE_LINKAGE_H

#include "sim/host.h"

struct linkage;

/* What is seen of protected bits, for who wants to look whether they look random: of short headers, bit by bit from the
 * first octet's bit 4 down to bit 0, then of the first octet of the packet number. */
#define LINKAGE_PROTECTED_BITS 13

struct linkage_stats {
    uint64_t short_headers;
    uint64_t ones[LINKAGE_PROTECTED_BITS];
    uint64_t spins; /* spin bits that were set */
    uint64_t cids, places;
};

struct linkage *linkage_new(struct world *world);
void linkage_free(struct linkage *linkage);

/* A datagram on a client's wire. */
void linkage_on_datagram(struct linkage *linkage, const struct host *client, const struct sim_packet *packet, bool out);

/* The client's socket has moved and nobody was told: both addresses may be known for one client's. */
void linkage_on_rebind(struct linkage *linkage, const struct host *client, const roam_address *from,
                       const roam_address *to);

const struct linkage_stats *linkage_stats(const struct linkage *linkage);

#endif
