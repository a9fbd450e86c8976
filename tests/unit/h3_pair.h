/*
 * HTTP/3 at both ends of a pair (pair.h), each with an application that sends what it was told to send and reads what comes,
 * unless it was told not to, and writes down what happened. Content is a pattern of the stream and the offset, so that each
 * octet is checked as it comes.
 */
#ifndef TESTS_UNIT_H3_PAIR_H
#define TESTS_UNIT_H3_PAIR_H

#include <roam/h3.h>

#include "unit/pair.h"

#define H3_PAIR_EVENTS  2048
#define H3_PAIR_STREAMS 512

struct h3_seen {
    roam_h3_event_type type;
    uint64_t stream_id, session_id, code;
    int status;
    bool local, fin;
    char text[512]; /* "METHOD scheme authority path protocol|name=value;..."; or the reason of an end */
};

struct h3_sending {
    uint64_t total, sent;
    bool trailers; /* instead of fin */
    bool done;
};

struct h3_end {
    roam_h3 *h3;
    struct h3_seen seen[H3_PAIR_EVENTS];
    size_t seen_count;
    struct h3_sending sending[H3_PAIR_STREAMS]; /* by stream id / 4 */
    uint64_t received[H3_PAIR_STREAMS];
    uint64_t received_in_all;
    bool does_not_read;
    bool content_wrong;
    bool was_early; /* the newest request */
    /* A server: what it does with a request; NULL: nothing. */
    void (*on_request)(struct h3_end *end, const roam_h3_event *event);
    uint64_t answer_bytes;
    char datagram[64];
};

struct h3_pair {
    struct pair pair;
    struct pair_config config;
    roam_h3_config client_config, server_config;
    struct h3_end client, server;
};

/* The configurations may be changed between the two. */
void h3_pair_prepare(struct h3_pair *both);
void h3_pair_start(struct h3_pair *both);
/* With HTTP/3 at the server only, or at the client only: the other end is the test's own streams. */
void h3_pair_start_one(struct h3_pair *both, bool server);
void h3_pair_stop(struct h3_pair *both);

void h3_pair_run(struct h3_pair *both, roam_time span);

/* "GET https://example.org path", all of it or with content to follow. */
uint64_t h3_pair_get(struct h3_pair *both, const char *path);
uint64_t h3_pair_post(struct h3_pair *both, const char *path, uint64_t bytes);
void h3_end_send(struct h3_end *end, uint64_t stream_id, uint64_t bytes);

size_t h3_end_count(const struct h3_end *end, roam_h3_event_type type);
/* The first such event of that stream, or NULL. */
const struct h3_seen *h3_end_find(const struct h3_end *end, roam_h3_event_type type, uint64_t stream_id);

roam_h3_field h3_field(const char *name, const char *value);

/* Answers 200 with end->answer_bytes of content. */
void h3_answer(struct h3_end *end, const roam_h3_event *event);

#endif
