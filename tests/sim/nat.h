/*
 * A NAT box between its own network and its parent's, which may be another NAT's.
 *
 * A mapping joins an inside address to a port of the box, made by the first datagram out. Kinds, in the words of RFC
 *   3489: full cone           one mapping per inside address, anybody may answer
 *   address restricted  ... only hosts that were spoken to
 *   port restricted     ... only addresses that were spoken to
 *   symmetric           one mapping per inside address and destination
 * Mappings that carry nothing for the timeout are forgotten. An IPv6 box may translate prefixes instead of ports,
 * without any state (RFC 6296).
 */
#ifndef SIM_NAT_H
#define SIM_NAT_H

#include "sim/sim_map.h"
#include "sim/world.h"

#define NAT_PEERS_MAX 8

enum nat_kind { NAT_FULL_CONE, NAT_ADDRESS_RESTRICTED, NAT_PORT_RESTRICTED, NAT_SYMMETRIC, NAT_PREFIX, NAT_KINDS };

struct nat_config {
    enum nat_kind kind;
    bool port_preserving;   /* the inside port, where it is free */
    roam_time timeout;      /* 0: never */
    bool inbound_refreshes; /* what comes in keeps a mapping too (RFC 4787 REQ-6 allows it) */
};

struct nat_mapping {
    roam_address inside;
    roam_address peer; /* symmetric: the only destination */
    uint16_t port;
    bool open; /* false: it lets the old answers in, but nothing goes out by it any more */
    roam_time last_used;
    roam_address peers[NAT_PEERS_MAX]; /* spoken to, newest first */
    size_t peer_count;
};

struct nat {
    struct node node; /* first; node.ip is the outside address */
    struct nat_config config;
    struct sim_rng rng;
    uint8_t inside_prefix[8]; /* NAT_PREFIX */
    struct nat_mapping *mappings;
    size_t count, capacity;
    bool port_for_every_packet; /* a broken box, or somebody's attack: each datagram leaves from a fresh port */
    uint16_t next_port;
    uint64_t mapped;       /* mappings made so far */
    struct sim_map owners; /* by outside address: the inside address that it belongs to, or OWNED_BY_SEVERAL */
};

struct nat *nat_new(struct world *world, const char *name, const char *outside_ip, const struct nat_config *config);

/* NAT_PREFIX: the first 8 octets of this address are the inside's prefix. */
void nat_set_inside_prefix(struct nat *nat, const char *inside_ip);

/* Power off and on: no mapping is left. Ports that are not preserved will be others. */
void nat_reboot(struct nat *nat);

/* Every mapping gets another port, in both directions; with keep_old, answers to the old one still come in. */
void nat_change_ports(struct nat *nat, bool keep_old);

/* The provider assigns another address (or prefix): every mapping moves there, with its port where keep_ports says
 * so. */
void nat_change_address(struct nat *nat, const char *outside_ip, bool keep_ports);

/* The ports of two inside addresses change places. */
void nat_swap_ports(struct nat *nat, const roam_address *a, const roam_address *b);

/* The box forgets this inside address, and maps it to just this port from the next datagram on. */
void nat_set_port(struct nat *nat, const roam_address *inside, uint16_t port);

/* The outside address of an inside address, unset where there is none. */
roam_address nat_outside(const struct nat *nat, const roam_address *inside);

#endif
