/* Limits of a connection, each with its reason. */
#ifndef CONN_LIMITS_H
#define CONN_LIMITS_H

#include "base/minmax.h"
#include "cid/remote_cid.h"
#include "path/path_set.h"
#include "recovery/loss.h"

/* RFC 9000 section 7.5 wants at least 4,096 octets of CRYPTO data taken ahead of order; certificates chains are
 * larger. */
#define CRYPTO_BUFFER_BYTES_MAX (64 * 1024)
_Static_assert(CRYPTO_BUFFER_BYTES_MAX >= 4096, "RFC 9000 section 7.5");

/* Packets that came before their keys and are kept until these come: a flight's worth. */
#define EARLY_PACKETS_MAX      8
#define EARLY_PACKET_BYTES_MAX 2048

/* A Retry token that still leaves room for a ClientHello in 1200 octets. */
#define RETRY_TOKEN_BYTES_MAX 512

/* A peer may ask for ACKs that are delayed no less than this: event loops keep time in milliseconds. */
#define MIN_ACK_DELAY ROAM_MILLISECONDS(1)

/* Closing and draining last this many PTOs, RFC 9000 section 10.2. */
#define CLOSE_PTOS 3

/* An idle timeout is at least this many PTOs, RFC 9000 section 10.1. */
#define IDLE_PTOS_MIN 3

/* Backoff of the PTO stops doubling here: 2^10 * 1 s is beyond any idle timeout. */
#define PTO_BACKOFF_MAX 10

/* A path that is neither active nor fallback is forgotten after so long without a packet: long enough for a client that
 * comes back, short enough that its CID is soon retired. */
#define PATH_LINGER ROAM_SECONDS(10)

/* A path that the peer has asked on and not moved to is its standby: it asks again every 25 s (MOBILITY_REFRESH),
 * and one of these may be lost. */
#define STANDBY_LINGER ROAM_SECONDS(60)

/* Addresses of a server's name that are tried in turn beside the first. */
#define ALTERNATES_MAX 7

/* PINGs of a client whose server has fallen silent while streams are open: after 1, 2, 4, ... PTOs. One that is
 * answered has shown the server where the client is; more only help where the address changes again before the
 * server speaks. */
#define SILENCE_PINGS_MAX 4

/* PTOs in a row after which a client that moved gives the server new CIDs: it may have none left to answer with. */
#define PTOS_BEFORE_NEW_CIDS 2

/* ... and gives it new ones again, although it has not retired those from before yet. */
#define PTOS_BEFORE_INSISTING 3
_Static_assert(PTOS_BEFORE_INSISTING > PTOS_BEFORE_NEW_CIDS, "first as the RFC would have it");

/* CIDs of the peer's that are left untouched when we change ours without need: one for a move. */
#define ROTATION_RESERVE 1

/* A CID of the peer's is at least this many PTOs old before we change it because the peer has changed its own: longer
 * than our last change takes to come back as the peer's. */
#define ROTATION_PTOS_MIN 3

/* Octets that no 1-RTT packet of ours falls below: 21 octets of a Stateless Reset hide among the packets that the
 * peer's CIDs can be on (RFC 9000 section 10.3: 22 more than the shortest CID asked for). */
#define SHORT_PACKET_BYTES_MIN(cid_len) (22 + (size_t)(cid_len))

/* An ACK-only packet is no larger: 20 octets of CID, a few ranges, ECN counts. */
#define ACK_PACKET_BYTES_MAX 96

/* Validations of an address that is proven which the peer leaves unanswered while it is heard from there, until the
 * path counts as too small for QUIC: the second begins afresh, so that an outage at the wrong moment condemns no
 * path. */
#define SIZE_FAILURES_MAX 2

/* Paths that a connection needs: the active one, the one to fall back to, and the one that the peer has just moved
 * to. */
#define CONN_PATHS_MIN 3
_Static_assert(CONN_PATHS_MIN <= PATHS_MAX, "they fit");
_Static_assert(REMOTE_ASSIGNMENTS_MAX > PATHS_MAX, "a path may have its CID before another has made room for it");

/* After so long with nothing to do a connection gives its buffers back and forgets the expanded forms of its keys: it
 * takes microseconds to make them again, and a server that is dialled by many holds those of so long. */
#define TRIM_AFTER ROAM_MILLISECONDS(500)

/* So long after the handshake is confirmed a client's TLS waits for session tickets. */
#define TICKETS_PATIENCE ROAM_SECONDS(2)

/* Spans of one packet's plaintext: each STREAM frame takes two, and each DATAGRAM frame that is not copied. */
#define PACKET_SPANS_MAX 16

/* What a DATAGRAM frame can have at most: 65535 says that any will do that fits into a packet (RFC 9221 section 3). */
#define DATAGRAM_FRAME_BYTES_MAX 65535

/* Up to so many octets a datagram is copied into its packet; a larger one is encrypted from where it waits, which
 * takes two spans. */
#define DATAGRAM_COPIED_MAX 256

/* DATAGRAM frames of one packet: each is a record to be found when the packet is settled. */
#define PACKET_DATAGRAMS_MAX 64

/* ACK-only packets in a row before one carries a PING, so that the peer acknowledges acknowledgements (section
 * 13.2.7). */
#define ACK_ONLY_PACKETS_MAX 32

/* Each so many packets, if that one holds nothing but an ACK, the record of what was sent is looked through: of ACKs
 * the newest are remembered, and the rest is given up when nobody has acknowledged it in so many PTOs. A peer that
 * sends and never acknowledges would let it grow without end. */
#define ACKS_PER_SWEEP  64
#define ACKS_REMEMBERED 1024
#define UNANSWERED_PTOS 3

/* ACK ranges written into one frame. */
#define ACK_RANGES_SENT_MAX 32

/* Segments that leave by one system call fill at most one datagram of UDP over IPv4. */
#define SEGMENTED_BYTES_MAX 65507

/* Datagrams that may leave beyond the congestion window on each PTO, RFC 9002 section 6.2.4. */
#define PTO_PROBES 2

#endif
