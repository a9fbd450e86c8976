/*
 * A client that moves by itself: what it remembers of the host's networks, beside the list that all connections of the
 * endpoint share. Only clients with ROAM_MOBILITY_AUTO have one. What to do is path/mobility's to say; this gathers the
 * facts and acts on the verdict, in conn_mobility_run and nowhere else.
 */
#ifndef CONN_MOBILITY_H
#define CONN_MOBILITY_H

#include "conn/conn.h"

struct network_rule {
    char network[ROAM_ADDRESS_TEXT_MAX]; /* as given */
    roam_address address;                /* unset: the name of an interface */
    enum roam_network_rule rule;
};

struct mobility {
    bool due;            /* something changed: decide before the next datagram */
    bool waiting;        /* there is no network to send from */
    bool active_refused; /* the system does not send from where the connection is */
    struct network_rule rules[ROAM_NETWORK_RULES_MAX];
    size_t rule_count;
};

#endif
