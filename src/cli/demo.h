/* The pieces of roam demo: the story, the same with TCP, and the places where it can happen. */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "cli/cli.h"

/* Where the story happens. */
struct stage {
    roam_address server;        /* wanted; where it really is once it is bound */
    roam_address client;        /* where the client's sockets are bound */
    roam_address before, after; /* the client's address as the server sees it */
    bool behind_nat;            /* the address changes in the network, and the client's sockets know nothing of it */
    char name[40];              /* of the namespaces */
    int home;                   /* the namespace that we came from */
};

enum side { SIDE_CLIENT, SIDE_SERVER };

/* What is opened from now on belongs to that side, until stage_leave. Nothing to do on loopback. */
bool stage_enter(const struct stage *stage, enum side side);
void stage_leave(const struct stage *stage);

/* ---- demo_netns.c */

/* Makes three namespaces with a NAT in the middle; false, and nothing left behind, where that fails (which is
 * printed). */
bool netns_make(struct stage *stage);
/* The command line that gives the NAT its other address and so flushes its mappings. */
void netns_move_command(const struct stage *stage, char *ret, size_t size);
void netns_remove(struct stage *stage);

/* ---- demo_tcp.c */

/* A TCP connection over the same stage, set up before the change and looked at after it. */
struct tcp_story {
    int listener, client, server, again; /* sockets, -1 for none */
    roam_address from;                   /* where the client is, as the server sees it */
    bool started;
    bool same_connection; /* the server read the second message on the first connection */
    bool new_connection;  /* ... on another one */
    int move_error;       /* errno of asking the kernel to move the socket */
    int client_error;     /* errno that the client's application saw on the first connection */
};

void tcp_start(struct tcp_story *tcp, const struct stage *stage);
void tcp_after(struct tcp_story *tcp, const struct stage *stage);
void tcp_print(const struct tcp_story *tcp, const struct stage *stage);
void tcp_done(struct tcp_story *tcp);

#endif
