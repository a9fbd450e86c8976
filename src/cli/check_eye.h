/*
 * The eye: reads the packets of a connection of ours from copies of its datagrams, both ways, with the keys that the
 * connection has, and changes nothing there. So what the server sends to an address that we have left can be read
 * without the connection ever getting it.
 */
#ifndef CLI_CHECK_EYE_H
#define CLI_CHECK_EYE_H

#include "cli/check_log.h"
#include "conn/conn.h"

#define EYE_TOKEN_BYTES_MAX 512

struct eye {
    roam_allocator allocator;           /* outlives the connection's */
    struct packet_keys send, receive;   /* copies: what they stand for is the connection's */
    unsigned tickets;                   /* NewSessionTicket messages */
    uint64_t next_tls_message;          /* offset in the 1-RTT CRYPTO stream where the next message begins */
    unsigned new_tokens;                /* NEW_TOKEN frames */
    uint8_t token[EYE_TOKEN_BYTES_MAX]; /* the newest */
    size_t token_bytes;
    unsigned retries; /* Retry packets */
    size_t retry_token_bytes;
    uint64_t largest_received; /* number of the newest 1-RTT packet that was read; PACKET_NUMBER_NONE */
};

void eye_init(struct eye *eye);
void eye_done(struct eye *eye);

/* Fills entry->type and what follows. `data` is a copy and is destroyed. Received datagrams are looked at after the
 * connection got them, so that it has the keys that they bring. */
void eye_look(struct eye *eye, const roam_conn *conn, uint8_t *data, size_t len, struct seen_datagram *entry);

#endif
