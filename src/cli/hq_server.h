/* HTTP/0.9 over QUIC (ALPN hq-interop): the files of one directory. */
#ifndef CLI_HQ_SERVER_H
#define CLI_HQ_SERVER_H

#include "cli/cli.h"

struct hq_server {
    roam_io *io;
    int root; /* the directory */
    bool verbose;
    uint8_t *chunk; /* what is being read from a file */
};

/* False, with errno: no such directory. */
bool hq_server_init(struct hq_server *server, roam_io *io, const char *directory, bool verbose);
void hq_server_on_event(struct hq_server *server, const roam_event *event);
void hq_server_done(struct hq_server *server);

#endif
