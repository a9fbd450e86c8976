/*
 * The usual world: one server, one or two clients, each interface of a client behind a NAT of its own. A scenario
 * changes lab->config as it likes, opens the lab, and lets things happen.
 *
 *   client 192.168.1.10 -- NAT 198.51.100.1  --\
 *          10.0.0.20    -- NAT 198.51.100.21 --- internet -- server 203.0.113.5:443
 *          172.16.0.30  -- NAT 198.51.100.41 --/                \- (preferred) 203.0.113.6:4433
 */
#ifndef SIM_LAB_H
#define SIM_LAB_H

#include "sim/app.h"
#include "sim/certs.h"
#include "sim/nat.h"
#include "wire/frame.h"

#define LAB_CLIENTS_MAX    3
#define LAB_INTERFACES_MAX 3
#define LAB_PORT           443
#define LAB_PREFERRED_PORT 4433

struct lab_config {
    uint64_t seed;
    FILE *print;
    const roam_qlog *qlog; /* of all endpoints; NULL: none */
    const struct sim_certs *certs;
    roam_config client, server;
    roam_endpoint_config client_endpoint, server_endpoint;
    size_t clients, interfaces; /* interfaces of each client */
    bool ipv6[LAB_INTERFACES_MAX];
    bool no_nat[LAB_INTERFACES_MAX];
    bool double_nat; /* a second box behind the first */
    bool one_nat;    /* all clients behind the first client's boxes */
    bool watch;      /* clients are told of their networks from the start, and move by themselves */
    struct nat_config nat[LAB_INTERFACES_MAX];
    struct link_config up[LAB_INTERFACES_MAX], down[LAB_INTERFACES_MAX]; /* of the clients' access */
    struct link_config server_link;
    bool prefers[2];        /* the server asks its clients to another address: IPv4, IPv6 */
    size_t batch, capacity; /* of all hosts */
};

struct lab_client {
    struct host *host;
    struct client_app app;
    struct interface *interfaces[LAB_INTERFACES_MAX];
    struct nat *nats[LAB_INTERFACES_MAX]; /* the outer one; NULL: none */
    struct nat *inner[LAB_INTERFACES_MAX];
    roam_address local, remote;
};

struct lab {
    struct lab_config config;
    struct world world;
    struct workload workload;
    struct host *server;
    struct server_app server_app;
    roam_address server_address[2]; /* IPv4, IPv6 */
    roam_address preferred_address[2];
    struct host *worker; /* another server, see lab_add_worker */
    struct server_app worker_app;
    roam_address worker_address;
    struct lab_client clients[LAB_CLIENTS_MAX];
    bool open;
    char report[128];
};

/* Working defaults: one client with two interfaces, 25 ms each way, no faults, port-restricted NATs. */
void lab_config_init(struct lab_config *ret, uint64_t seed, const struct sim_certs *certs);

/* Builds the world. False where the library refuses it. */
bool lab_open(struct lab *lab);

/* The server's process ends without a word, and another one takes its place, configured as lab->config says now. */
bool lab_restart_server(struct lab *lab);

/* Another server, at an address of its own, configured as lab->config says now: nobody comes to it by himself. */
bool lab_add_worker(struct lab *lab, const char *ip);

/* Ends all hosts, looks whether all memory came back, and frees the world; what failed stays readable. */
void lab_close(struct lab *lab);

/* All clients connect, and CIDs have been exchanged. */
bool lab_connect(struct lab *lab);

/* Time passes. */
bool lab_run(struct lab *lab, roam_time span);

/* Until all transfers are done, at most for `limit`; fails where they are not. */
bool lab_run_done(struct lab *lab, roam_time limit);

/* One more transfer of the first client, begun now; lab_transfer waits for it too. */
void lab_begin(struct lab *lab, enum transfer_kind kind, uint64_t bytes);
bool lab_transfer(struct lab *lab, enum transfer_kind kind, uint64_t bytes);

/* The clients close, and both sides come to their end by the application's word. */
bool lab_goodbye(struct lab *lab);

/* The active path of a connection. */
roam_path_info lab_active(const roam_conn *conn);

/* The first client's side, its outer NAT on the first interface, the server's connection. */
static inline struct client_app *lab_client(struct lab *lab)
{
    return &lab->clients[0].app;
}

static inline struct nat *lab_nat(struct lab *lab)
{
    return lab->clients[0].nats[0];
}

/* What the scenario has measured: said beside its verdict, also where it fails. */
void lab_report(struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A fresh socket on this interface of the first client. */
roam_address lab_socket(struct lab *lab, size_t interface);

/* PTO of a path, RFC 9002 section 6.2.1, from what is public. */
roam_time lab_pto(const roam_path_info *path);

/* Ends this world and opens another one of the same configuration. False where this one has failed. */
bool lab_again(struct lab *lab);

/* A link loses so many of the datagrams that hold one of these frames; `loss` must live as long as the link. */
struct lab_loss {
    uint64_t frames, left;
};
void lab_lose(struct link *link, struct lab_loss *loss);

/* Until the server's application has had so many of these events. False where they do not come within 20 s. */
bool lab_wait(struct lab *lab, roam_event_type type, uint64_t count);

/* ---- lab_look.c: questions */

static inline uint64_t lab_client_count(const struct lab *lab, roam_event_type type)
{
    return lab->clients[0].app.history.counts[type];
}

static inline uint64_t lab_server_count(const struct lab *lab, roam_event_type type)
{
    return lab->server_app.history.counts[type];
}

/* How often the server's newest connection has moved, and how many paths it knows. */
uint64_t lab_server_moves(const struct lab *lab);
size_t lab_server_paths(const struct lab *lab);

/* How the internet sees an address of the first client's on this interface. */
roam_address lab_outside(const struct lab *lab, size_t interface, const roam_address *local);
bool lab_server_is_at(const struct lab *lab, const roam_address *remote);

/* The server is where the client's active path is seen, on this interface. */
bool lab_server_follows(const struct lab *lab, size_t interface);

/* Frames that move nothing (RFC 9000 section 9.1), and all that were ever invented. */
#define LAB_PROBING                                                                                                    \
    (frame_bit(FRAME_PADDING) | frame_bit(FRAME_PATH_CHALLENGE) | frame_bit(FRAME_PATH_RESPONSE) |                     \
     frame_bit(FRAME_NEW_CONNECTION_ID))
#define LAB_ANY_FRAME UINT64_MAX

/* Packets that were recorded (oracle_record): of this host, sent or received, at that time or later, with one of these
 * frames (0: any) and none of those, to or from an address (NULL: any). */
struct lab_packets {
    const struct host *host;
    bool sent;
    roam_time from;
    uint64_t frames, without;
    const roam_address *local, *remote;
};

struct oracle_record;

/* The packet with this index among them, or NULL. */
const struct oracle_record *lab_packet(const struct lab *lab, const struct lab_packets *wanted, size_t index);
size_t lab_count_packets(const struct lab *lab, const struct lab_packets *wanted);

/* Ends the scenario where the condition does not hold. */
#define EXPECT(lab, condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            world_fail(&(lab)->world, "%s:%d: not so: %s", __FILE__, __LINE__, #condition);                            \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

#endif
