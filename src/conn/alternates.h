/* Where else a server's name leads: see alternates.c. */
#ifndef CONN_ALTERNATES_H
#define CONN_ALTERNATES_H

#include "conn/mobility.h"

/* The name leads here too, in order of preference; more than ALTERNATES_MAX are forgotten. */
void conn_remember_alternates(roam_conn *conn, const roam_address *addresses, size_t n);

/* A PTO has passed without a sign of life from anybody: the next address, if there is one. */
void conn_try_alternate(roam_conn *conn);

#endif
