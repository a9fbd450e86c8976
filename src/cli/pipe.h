/* A stream between a file descriptor to read and one to write: what netcat does. */
#ifndef CLI_PIPE_H
#define CLI_PIPE_H

#include "cli/cli.h"

/* One end: a descriptor that may not be one to wait for. */
struct pipe_end {
    int fd;        /* -1: closed, or never there */
    bool pollable; /* epoll knows it; regular files are always ready instead */
    bool polling;
    int restore_flags; /* of a descriptor that is shared with others, -1 for none */
    int restore_fd;
    uv_poll_t poll;
};

struct pipe {
    roam_io *io;
    roam_stream *stream; /* NULL before pipe_attach */
    struct pipe_end in, out;
    bool keep_output; /* others will write to standard output after us */
    bool in_ended;    /* nothing more comes from `in` */
    uint8_t *buffer;  /* what was read and the stream has not taken: [at, len) */
    size_t at, len;
    bool finished;     /* our end is written */
    bool acknowledged; /* ... and everything acknowledged */
    bool read_end;     /* the peer's end was read, and all is written to `out` */
    bool read_failed;  /* the connection ended before the peer's end came */
    bool was_reset, was_stopped;
    uint64_t code;         /* of the reset or the stop */
    int local_error;       /* errno of in or out, 0 for none */
    const char *local_end; /* "standard output", ... */
    uint64_t bytes_in, bytes_out;
};

/* -1 as in_fd: nothing is to be sent, but for what pipe_attach is given. False, with errno, without memory. */
bool pipe_init(struct pipe *pipe, roam_io *io, int in_fd, int out_fd);
/* Starts; `first` (may be NULL) goes out before what is read. */
void pipe_attach(struct pipe *pipe, roam_stream *stream, const char *first);
void pipe_on_event(struct pipe *pipe, const roam_event *event);
/* There is no stream, and will be none, for the reason in errno. */
void pipe_give_up(struct pipe *pipe);
/* The connection has ended: what came is still written, nothing is read any more. */
void pipe_on_closed(struct pipe *pipe);
/* Both directions are at their end. */
bool pipe_is_done(const struct pipe *pipe);
void pipe_done(struct pipe *pipe);

#endif
