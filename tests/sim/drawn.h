/*
 * Drawn worlds: topology, configuration, workload and faults follow from a seed. Faults come to an end; then every
 * transfer must get done, both sides must close by the application's word, and all memory must come back. Before,
 * during and after, the oracle looks.
 */
#ifndef SIM_DRAWN_H
#define SIM_DRAWN_H

#include "sim/lab.h"
#include "sim/view.h"

enum fault_kind {
    FAULT_NAT_PORTS, /* other ports, the old mapping dead or alive */
    FAULT_NAT_REBOOT,
    FAULT_NAT_ADDRESS,
    FAULT_NAT_PORT_STORM, /* a fresh port for every packet, for a while */
    FAULT_REBIND,         /* the client's socket moves, on any interface */
    FAULT_MIGRATE,
    FAULT_PROBE,
    FAULT_LINK_DOWN,
    FAULT_LOSS,         /* heavy, for a while */
    FAULT_SPOOF_MOVE,   /* packets of the client's get a victim's address as their source */
    FAULT_SPOOF_COPY,   /* ... or copies of them do, which come first */
    FAULT_SPOOF_ECHO,   /* ... or come right behind, from one address or from many */
    FAULT_SPOOF_FLIP,   /* by turns some of them come from the victim */
    FAULT_NO_RESPONSES, /* those that hold a PATH_RESPONSE are dropped, for a while */
    FAULT_REPLAY,       /* some old ones come once more, from where they were or from elsewhere */
    FAULT_KEY_UPDATE,
    FAULT_CID_PLAN, /* the server makes its CIDs in another way, and has all of them replaced */
    FAULT_PING,
    FAULT_MTU,          /* the client's access carries more or less than before */
    FAULT_ADDRESS_GONE, /* for a while; of a client that moves by itself, as the next */
    FAULT_SEND_FAILS,   /* the client's sockets refuse, for a while */
    FAULT_SLEEP,        /* the client's host is suspended, for a while */
    FAULT_KINDS
};

struct drawn_totals {
    uint64_t seeds, clients, transfers, bytes;
    uint64_t packets, sent, lost, duplicated, corrupted;
    uint64_t faults[FAULT_KINDS];
    uint64_t migrated, rebound; /* calls that were accepted */
    uint64_t moves, validated, failed_paths, reverts;
    uint64_t guarded;         /* datagrams to addresses that were not proven yet */
    uint64_t pings;           /* by impatient applications */
    uint64_t by_itself;       /* moves that a client decided upon */
    uint64_t resized;         /* times that a path got another size of datagrams */
    uint64_t said, heard;     /* datagrams of applications: sent, and taken */
    uint64_t unsaid;          /* ... and let go before they were sent */
    uint64_t early, rejected; /* connections whose early data was taken, and was not */
    uint64_t starved;         /* worlds in which the server had no CID left to answer with */
    uint64_t virtual_ms;
};

struct drawn_result {
    bool passed;
    char failure[512];
    uint64_t trace_hash;
    struct drawn_totals totals;
};

/* view may be NULL. */
void drawn_run(struct drawn_result *ret, uint64_t seed, const struct sim_certs *certs, const struct sim_view *view);
void drawn_totals_add(struct drawn_totals *totals, const struct drawn_totals *more);
void drawn_totals_print(const struct drawn_totals *totals);

/* ---- draw.c: what a seed chooses */

#define FAULTS_MAX 24

struct drawn;

struct fault {
    struct sim_event event;
    struct drawn *drawn;
    enum fault_kind kind;
    size_t client, interface;
    uint64_t choice; /* the rest of what is to be chosen */
    roam_time span;  /* how long it lasts */
    bool running;
};

/* Each so many datagrams of a client's are kept, and the newest so many of them. */
#define DRAWN_KEEP_EVERY 7
#define DRAWN_KEPT_MAX   8

/* What is done to the datagrams of one client. */
struct drawn_attack {
    enum fault_kind kind;
    uint64_t left; /* datagrams still to be attacked */
    uint64_t choice, seen, kept_at;
    struct sim_packet *kept[DRAWN_KEPT_MAX];
    struct sim_packet *echo; /* waits for the true one to pass */
    roam_address echo_src;
};

struct drawn {
    struct lab lab;
    struct sim_rng rng;
    struct sim_rng chatter; /* of datagrams, so that they change nothing else */
    struct sim_rng early;   /* likewise of early data */
    roam_time fault_span;   /* faults happen within this time from the start */
    struct sim_event end;   /* of all faults */
    bool over;
    struct fault faults[FAULTS_MAX];
    size_t fault_count;
    struct drawn_attack attacks[LAB_CLIENTS_MAX];
    roam_address victim; /* its port changes from one forged datagram to the next */
    struct drawn_totals totals;
};

void draw_world(struct drawn *drawn);
void draw_workload(struct drawn *drawn);
void draw_faults(struct drawn *drawn);

/* ---- drawn_attack.c */
bool drawn_intercept(void *context, struct sim_packet *packet);
void drawn_attack_begin(struct drawn *drawn, const struct fault *fault);
void drawn_attacks_end(struct drawn *drawn);

/* ---- faults.c: what happens */
void faults_start(struct drawn *drawn);

#endif
