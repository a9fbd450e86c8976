/*
 * A load balancer at the root of the tree: what comes for the server's address goes to the server, or to a second
 * worker behind the same address, and what the worker sends comes from the server's address. It chooses by the CID
 * where its plan reads one, else by the client's address and port, as plain balancers do.
 */
#ifndef SIM_BALANCER_H
#define SIM_BALANCER_H

#include "sim/lab.h"

enum balancing { BALANCE_TO_SERVER, BALANCE_TO_WORKER, BALANCE_BY_ADDRESS, BALANCE_BY_CID };

struct balancer {
    struct lab *lab;
    enum balancing how;
    roam_cid_plan plan; /* BY_CID: of the server; the worker's differs in the server id alone */
    uint8_t worker_id[ROAM_CID_SERVER_ID_MAX];
    const roam_address *only_from; /* the rule is for what comes from this IP address; NULL: for all */
    uint64_t to_server, to_worker; /* datagrams */
};

/* It sees each datagram from now on; the lab must have a worker. The structure must outlast the world's time. */
void balancer_start(struct balancer *balancer);

#endif
