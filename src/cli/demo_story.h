/*
 * The story of roam demo as it runs: what both halves of it (demo.c plays it, demo_server.c tells what the server
 * sees) know.
 */
#ifndef CLI_DEMO_STORY_H
#define CLI_DEMO_STORY_H

#include "cli/demo.h"

#define FIRST_MESSAGE  "Hello!"
#define SECOND_MESSAGE "Hello again!"

/* Small messages before and after the change, so that a gap would show. */
#define TICK_MS     10
#define TICKS       15
#define SENT_MAX    4096
#define STORY_LIMIT ROAM_SECONDS(20)

enum phase { PHASE_HANDSHAKE, PHASE_BEFORE, PHASE_MOVING, PHASE_AFTER, PHASE_OVER };

struct demo {
    struct stage stage;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[2];
    uv_process_t mover;
    bool mover_used;
    roam_io *server, *client;
    roam_conn *client_conn, *server_conn;
    roam_stream *stream; /* the client's */
    roam_credentials *server_credentials, *client_credentials;
    enum phase phase;
    unsigned ticks;
    bool interrupted, failed, confirmed, done;
    roam_time started, moved_at, last_read, gap_ns;

    char sent[SENT_MAX], received[SENT_MAX];
    size_t sent_len, received_len, told_len;
    uint64_t stream_id;
    bool stream_seen, same_stream, second_read;
    roam_conn_info before, after; /* the server's row */
    bool path_new, path_moved, path_challenged, path_answered, path_validated;
    unsigned handshakes;
    roam_conn_stats stats;
};

/* A line of the story: when, who, what. */
void demo_tell_at(const struct demo *demo, roam_time time, const char *who, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define tell(demo, who, ...) demo_tell_at(demo, roam_io_now((demo)->server), who, __VA_ARGS__)

/* The server's table, and its row in *ret. */
void demo_print_table(struct demo *demo, roam_conn_info *ret);

/* The story ends here, and badly. */
void demo_fail(struct demo *demo, const char *what);

void demo_on_server_event(struct demo *demo, const roam_event *event);

/* Prints the figures; true where the connection has survived. */
bool demo_judge(struct demo *demo, const struct tcp_story *tcp);

#endif
