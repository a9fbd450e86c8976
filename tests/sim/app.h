/*
 * Applications on hosts. A client opens streams in rounds, with silence between the rounds; each stream is one
 * transfer that says in its first 16 octets which one it is, and the server serves it: echo, download, upload with a
 * receipt, or upload on a unidirectional stream. Every octet is compared on both sides. A transfer is done when both
 * sides have seen its end. A client that offers early data begins its first round with the first flight. Beside the streams go datagrams (chatter.h).
 */
#ifndef SIM_APP_H
#define SIM_APP_H

#include "sim/chatter.h"
#include "sim/host.h"
#include "sim/pump.h"

enum transfer_kind { TRANSFER_ECHO, TRANSFER_DOWNLOAD, TRANSFER_UPLOAD, TRANSFER_UNI_UPLOAD, TRANSFER_KINDS };

struct client_app;

struct transfer {
    enum transfer_kind kind;
    uint64_t bytes;
    size_t round;
    struct client_app *client;
    uint64_t key;
    struct pump_out out;
    struct pump_in in;
    bool client_done, server_done;
    roam_time started, done_at;
    roam_time last_progress, longest_stall; /* of the side that receives the bulk */
};

/* All transfers of a world, by number. */
struct workload {
    struct world *world;
    struct transfer *transfers;
    size_t count, capacity;
    uint64_t bytes_done;
    struct said_book said; /* datagrams */
};

/* A path or CID event that happened to an application. */
struct app_event {
    roam_event_type type;
    roam_time time;
    uint64_t path_id;
    roam_address local, remote, previous;
    bool proven;
    roam_cid cid;
    uint64_t sequence;
    uint8_t path_data[8];
    enum roam_move_why why;
};

#define APP_HISTORY_MAX 4096

/* What both sides keep of their events. */
struct app_history {
    uint64_t counts[ROAM_EVENT_TYPES];
    struct app_event *events;
    size_t count;
};

#define ROUNDS_MAX 16

/* A session with a certificate of the simulator's fits. */
#define APP_SESSION_MAX 8192

struct client_app {
    struct host *host;
    struct workload *workload;
    roam_config config;
    roam_conn *conn; /* NULL before and after */
    bool connected, confirmed, closed;
    bool meets_first; /* it takes a session from a connection before, and offers early data with it */
    bool meeting;     /* ... and this is that connection */
    uint8_t session[APP_SESSION_MAX];
    enum roam_early_data early_data; /* what became of it */
    roam_error error;                /* once closed */
    bool stranded;                   /* ... while it waited for a network, or for a CID to send from one with */
    size_t round, rounds;            /* current, how many */
    roam_time gaps[ROUNDS_MAX];      /* silence before each round */
    bool stay_open;                  /* do not close by itself */
    roam_time close_not_before;
    bool finished; /* all rounds are done */
    roam_time finished_at;
    struct sim_event timer;
    roam_time patience; /* a round that shows nothing for so long is helped by a PING; 0: never */
    struct sim_event watch;
    uint64_t pings; /* sent by impatience */
    bool round_running;
    struct chatter chatter;
    struct app_history history;
};

struct server_stream;

struct server_app {
    struct host *host;
    struct workload *workload;
    struct server_stream *streams;
    roam_conn *newest; /* connection accepted last, NULL once it is closed */
    uint64_t accepted, connected, closed;
    uint64_t causes[ROAM_CLOSE_CAUSES];
    roam_error error; /* of the connection closed last */
    bool starved;     /* one has ended in silence, without a CID to answer its client at a new address with */
    struct app_history history;
};

void workload_init(struct workload *workload, struct world *world);
void workload_done(struct workload *workload);

/* Before the client starts: its array may move. */
void workload_add(struct workload *workload, struct client_app *client, size_t round, enum transfer_kind kind,
                  uint64_t bytes);
bool workload_is_done(const struct workload *workload);

void client_app_init(struct client_app *app, struct host *host, struct workload *workload, const roam_config *config);
void client_app_done(struct client_app *app);

/* Connects from config.local to config.remote. */
void client_app_start(struct client_app *app);

/* Another round of one transfer, begun at once. */
void client_app_more(struct client_app *app, enum transfer_kind kind, uint64_t bytes);

/* The socket moves to `local` and nobody is told; the old one is closed. */
roam_result client_app_rebind(struct client_app *app, const roam_address *local);
roam_result client_app_migrate(struct client_app *app, const roam_address *local);
roam_result client_app_probe(struct client_app *app, const roam_address *local);
void client_app_close(struct client_app *app);

/* A transfer of this client's has come to its end on the server: look what is next. */
void client_app_nudge(struct client_app *app);

void server_app_init(struct server_app *app, struct host *host, struct workload *workload);
void server_app_done(struct server_app *app);

/* ---- app_history.c */
void app_history_add(struct app_history *history, const roam_event *event);
void app_history_done(struct app_history *history);

/* The n-th event of the type, counted from 0; NULL where there are not so many. */
const struct app_event *app_history_find(const struct app_history *history, roam_event_type type, size_t n);

/* How many events of the type carry this challenge. */
size_t app_history_count_data(const struct app_history *history, roam_event_type type, const uint8_t path_data[8]);

/* How often it happened on a path to or from an address that was the active one then: for FAILED, where somebody was.
 * (A challenge on the path that was left, RFC 9000 section 9.3.3, fails where that is dead, and harms nobody.) */
size_t app_history_failures_on_active(const struct app_history *history);

#endif
