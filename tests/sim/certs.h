/* Credentials for the hosts of all worlds of this process: a server's, and a client's that trusts just that server. */
#ifndef SIM_CERTS_H
#define SIM_CERTS_H

#include <roam/roam.h>

struct sim_certs {
    roam_credentials *server, *client;
    roam_credentials *large_server; /* the same server with a certificate that takes many datagrams */
};

/* Ends the program where the library does not take them: nothing can be simulated then. */
struct sim_certs sim_certs_new(void);
void sim_certs_free(struct sim_certs *certs);

#endif
