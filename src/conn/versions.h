/* Which versions of QUIC a connection may have, and how it comes by the one it gets: see versions.c. */
#ifndef CONN_VERSIONS_H
#define CONN_VERSIONS_H

#include "conn/conn.h"

/* The versions that a configuration allows, the best first; returns how many. */
size_t config_versions(const roam_config *config, const uint32_t **ret);
bool config_allows_version(const roam_config *config, uint32_t version);
/* Known ones, each of them once. */
bool config_versions_are_valid(const roam_config *config);

/* Our Version Information, as things stand; its reserved version stays. */
void conn_versions_describe(const roam_conn *conn, struct version_information *ret);

/* The destination CID that Initial keys are made from. */
const roam_cid *conn_initial_keys_cid(const roam_conn *conn);

/* Keys for Initials of the version beside conn->version that may still come; none where there is no such. */
void conn_set_other_version(roam_conn *conn);

/* True for a packet of that version, if it is of a type that may have it. */
bool conn_takes_other_version(const roam_conn *conn, const struct packet_header *header);

/* Server: the client's transport parameters have come. Goes over to the version that suits both better. */
void conn_choose_version(roam_conn *conn);

/* Client: an authentic Initial of the other version came, and the server has chosen. */
void conn_follow_version(roam_conn *conn);

/* From now on conn->version it is: handshake octets came in it, or the keys are no longer wanted. */
void conn_forget_other_version(roam_conn *conn);

/* The handshake is complete: NULL, or why the version is not the one that both would have chosen. */
const char *conn_version_mismatch(const roam_conn *conn);

/* A client's token of an earlier connection, as ROAM_EVENT_NEW_TOKEN told it: the version of that connection, and behind
 * it the server's octets. Longer ones leave no room for a ClientHello. */
#define CLIENT_TOKEN_BYTES_MAX (sizeof(uint32_t) + RETRY_TOKEN_BYTES_MAX)
/* Takes the configuration's token where it is of the version that the connection begins with; false without memory. */
bool conn_take_client_token(roam_conn *conn);
/* Tells the application of a token. */
void conn_tell_token(roam_conn *conn, const uint8_t *token, size_t len);

#endif
