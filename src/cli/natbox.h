/*
 * Inside of `roam natbox`:
 *   natbox.c         the command: options, signals, the loop and its timer
 *   natbox_nat.c     doors, mappings and the ports outside: who may pass, and what a rebinding does
 *   natbox_relay.c   datagrams on their way: sockets, links, what is held until it arrives
 *   natbox_link.c    one direction of a bad network
 *   natbox_report.c  what is printed
 *
 *     client -- door [ mapping ] outer -- link up, link down -- upstream
 *
 * The bad network lies behind the NAT: on the way up a datagram bears the address that it got when it came, on the way
 * down it meets the mapping as that is when it arrives.
 */
#ifndef CLI_NATBOX_H
#define CLI_NATBOX_H

#include <uv.h>

#include "base/hash_map.h"
#include "base/timer_heap.h"
#include "cli/cli.h"
#include "cli/natbox_link.h"
#include "io/udp_socket.h"

/* A set of doors is a word of bits. */
#define DOORS_MAX 64

enum nat_kind { NAT_FULL_CONE, NAT_RESTRICTED, NAT_PORT_RESTRICTED, NAT_SYMMETRIC };
enum rebind_what { REBIND_PORT, REBIND_ADDRESS, REBIND_BOTH };
enum old_mapping { OLD_DIES, OLD_UNTIL_UPLINK, OLD_STAYS };

struct natbox_options {
    bool ipv4, ipv6, json, verbose;
    struct sandbox_options sandbox;
    unsigned kind;        /* enum nat_kind */
    unsigned rebind_what; /* enum rebind_what */
    unsigned old_mapping; /* enum old_mapping */
    roam_time rebind_every, rebind_first, timeout, watch;
    struct outage outage;
    uint64_t rebind_packets, rebind_times, clients, seed;
    struct address_list addresses;
    struct each_way delay, jitter, reorder_by, rate, burst, queue, mtu, loss, reorder, duplicate, corrupt;
    struct each_way row, drop, drop_after;
};

/* What the NAT itself did. Links count for themselves. */
struct natbox_counters {
    uint64_t mapped, rebound, expired, evicted;
    uint64_t filtered;    /* from somebody whom the mapping does not let in */
    uint64_t to_dead;     /* to a port whose mapping is gone */
    uint64_t no_port;     /* no socket for a new mapping could be had */
    uint64_t no_room;     /* too much was under way */
    uint64_t send_failed; /* the kernel did not take it */
    uint64_t up, down;    /* datagrams handed on */
};

struct natbox;

/* A place inside that stands for somebody outside: what comes here goes there. */
struct door {
    struct natbox *box;
    struct udp_socket udp;
    uv_poll_t poll;
    roam_address outside;
    unsigned index;
};

enum outer_state {
    OUTER_CURRENT, /* its mapping sends and hears by it */
    OUTER_OLD,     /* its mapping only hears by it */
    OUTER_DEAD     /* nobody does; held so that nobody else gets the port, and datagrams vanish as in a NAT */
};

/* A port outside. */
struct outer {
    struct outer *next;
    struct natbox *box;
    struct udp_socket udp;
    uv_poll_t poll;
    enum outer_state state;
    struct mapping *mapping; /* NULL where it is dead */
    roam_time died;
    size_t held; /* datagrams under way that know it */
};

/* What one mapping is for: see key_of. */
struct mapping_key {
    uint8_t bytes[24];
};

/* A client as it is seen from outside: all that it sends, or with a symmetric NAT what it sends to one door. */
struct mapping {
    struct mapping *next;
    roam_address client;
    struct mapping_key key;
    roam_address inside;   /* of ours: to which address the client sent last */
    struct outer *current; /* NULL after a rebinding, until the client sends */
    roam_address last;     /* where the newest one is or was bound; no family before the first */
    size_t address_at;     /* in the list of addresses */
    uint64_t contacted;    /* doors by which it sent */
    unsigned last_door;
    roam_time used; /* when the client sent last */
    uint64_t packets, rebindings;
    bool is_quic;      /* a long header was seen */
    uint8_t cid_bytes; /* of the connection IDs that the server chose, as long headers said */
};

struct report {
    FILE *stream;
    bool json, verbose;
    roam_time started;
};

enum way { WAY_UP, WAY_DOWN };

/* What has passed one way since somebody looked. */
struct passage {
    uint64_t packets, bytes;
    roam_time first, last; /* when; of no meaning without packets */
};

struct natbox {
    struct natbox_options options;
    struct natbox_counters counters;
    struct report report;
    struct passage passages[2]; /* by enum way; with --watch */
    roam_allocator allocator;
    uv_loop_t loop;

    struct door *doors[DOORS_MAX];
    unsigned door_count;
    struct hash_map by_client;
    struct mapping *mappings;
    size_t mapping_count;
    struct outer *outers;
    roam_time upkeep_at; /* when the next mapping expires or a dead port is given back, at the earliest */
    roam_time rebind_at;
    bool begun; /* a datagram has come */

    struct link up, down;
    struct timer_heap held; /* struct held_datagram, by arrival */
    size_t held_bytes;
    struct datagram_batch receiving, sending; /* `sending` has no memory of its own */
    struct udp_socket *sending_by;
};

/* ---- natbox_nat.c */

/* Opens a place inside for what is outside; NULL with errno. `at` is where, port 0 for any. */
struct door *door_open(struct natbox *box, const roam_address *at, const roam_address *outside);

/* The outer port by which a datagram that came from a client leaves, or NULL; makes, rebinds and refreshes mappings. */
struct outer *nat_way_out(struct natbox *box, struct door *door, const roam_datagram *datagram, roam_time now);

/* The door by which a datagram that arrived at `outer` goes to the client, or NULL where it may not pass. */
struct door *nat_way_in(struct natbox *box, struct outer *outer, const roam_datagram *datagram, roam_time now);

/* All mappings lose their place, or one. */
void nat_rebind_all(struct natbox *box, const char *why, roam_time now);
/* A datagram passed; where that was the last of so many, the mapping is rebound. */
void nat_count_packet(struct natbox *box, struct mapping *mapping, roam_time now);
/* Lets mappings expire and gives dead ports back. */
void nat_upkeep(struct natbox *box, roam_time now);
void nat_done(struct natbox *box);

/* ---- natbox_relay.c */

bool relay_init(struct natbox *box, uint64_t seed);
/* False, with errno, where the loop takes no more sockets. */
bool relay_watch_door(struct door *door);
bool relay_watch_outer(struct outer *outer);
/* Delivers what has arrived. */
void relay_deliver(struct natbox *box, roam_time now);
/* When the next one arrives. */
roam_time relay_deadline(const struct natbox *box);
void relay_done(struct natbox *box);

/* ---- natbox_report.c */

struct report_field {
    const char *name;
    const char *text;            /* or */
    const roam_address *address; /* or */
    uint64_t number;
};

#define TEXT(name, value)    ((struct report_field){name, value, NULL, 0})
#define ADDRESS(name, value) ((struct report_field){name, NULL, value, 0})
#define NUMBER(name, value)  ((struct report_field){name, NULL, NULL, value})

#define REPORT(box, now, event, ...)                                                                                   \
    report_event(&(box)->report, now, event, (const struct report_field[]){__VA_ARGS__},                               \
                 sizeof((const struct report_field[]){__VA_ARGS__}) / sizeof(struct report_field))

/* One line: the event and what there is to say of it. A text that is NULL or empty is left out. */
void report_event(const struct report *report, roam_time now, const char *event, const struct report_field *fields,
                  size_t n);
void report_totals(const struct natbox *box, roam_time now);

/* A datagram is handed on. Where that is the first of another span of --watch, the one before is told. */
void report_passing(struct natbox *box, enum way way, size_t bytes, roam_time now);
/* The spans that have begun are told, and are over. */
void report_passages(struct natbox *box);

/* What a datagram looks like where it may be QUIC ("initial dcid=..."), else "". Long headers show themselves; short
 * ones are believed where the mapping has seen long ones, which told how long connection IDs are. */
#define LOOK_TEXT_MAX (32 + ROAM_CID_TEXT_MAX)
const char *look_at(const struct mapping *mapping, const uint8_t *data, size_t len, char ret[LOOK_TEXT_MAX]);
/* Learns from long headers. */
void look_learn(struct mapping *mapping, bool from_upstream, const uint8_t *data, size_t len);

#endif
