/*
 * The connection table: which connection does a datagram belong to? By connection ID, always; by what else there is,
 * where that tells nothing: the client's first destination CID during its handshake, a reset token at the end of
 * what cannot be read. Retired CIDs stay in quarantine for a while: they reach nobody and provoke nothing.
 */
#ifndef ENDPOINT_CONN_TABLE_H
#define ENDPOINT_CONN_TABLE_H

#include "base/hash_map.h"
#include "conn/conn.h"

/* CIDs remembered after retirement, and for how long: beyond any delay that a packet may have. */
#define QUARANTINE_MAX  4096
#define QUARANTINE_TIME ROAM_SECONDS(30)

struct quarantined {
    roam_cid cid;
    roam_time until;
};

struct conn_table {
    const roam_allocator *allocator;
    struct hash_map by_cid;
    struct hash_map by_initial_dcid; /* the client's address and its first destination CID */
    struct hash_map by_reset_token;
    struct quarantined *quarantine; /* ring of QUARANTINE_MAX, allocated with the first */
    size_t quarantine_first, quarantine_count;
};

void conn_table_init(struct conn_table *table, const roam_allocator *allocator, const roam_rng *rng);
void conn_table_done(struct conn_table *table);

/* False without memory. The CID must be new. */
bool conn_table_add(struct conn_table *table, const roam_cid *cid, roam_conn *conn);

/* True where any connection, living or in quarantine, has or had it. */
bool conn_table_has(const struct conn_table *table, const roam_cid *cid);

/* The connection is gone. */
void conn_table_remove(struct conn_table *table, const roam_cid *cid);

/* The CID is retired. */
void conn_table_quarantine(struct conn_table *table, const roam_cid *cid, roam_time now);

/* NULL where nobody has it; *ret_retired tells a CID in quarantine from an unknown one. */
roam_conn *conn_table_find(const struct conn_table *table, const roam_cid *cid, bool *ret_retired);

/* The same in two steps, for several at once: asks for the memory that the search will look at, and returns the hash
 * that it goes by. */
uint64_t conn_table_prefetch(const struct conn_table *table, const roam_cid *cid);
roam_conn *conn_table_find_hash(const struct conn_table *table, uint64_t hash);

/* Lets those go whose time is over. */
void conn_table_expire(struct conn_table *table, roam_time now);

/* *ret_hash is all that is needed to take it out again. */
bool conn_table_add_initial(struct conn_table *table, const roam_address *remote, const roam_cid *dcid, roam_conn *conn,
                            uint64_t *ret_hash);
void conn_table_remove_initial(struct conn_table *table, uint64_t hash);
roam_conn *conn_table_find_initial(const struct conn_table *table, const roam_address *remote, const roam_cid *dcid);

bool conn_table_add_reset_token(struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES], roam_conn *conn);
void conn_table_remove_reset_token(struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES],
                                   const roam_conn *conn);
roam_conn *conn_table_find_reset_token(const struct conn_table *table, const uint8_t token[RESET_TOKEN_BYTES]);

#endif
