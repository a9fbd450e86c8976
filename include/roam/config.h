/*
 * roam/config.h - what can be chosen. Each structure is filled with working defaults by its _init call, which also
 * sets its size, so that a program built against an older header goes on working with a newer library.
 */
#ifndef ROAM_CONFIG_H
#define ROAM_CONFIG_H

#include <roam/cid_plan.h>
#include <roam/error.h>
#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Credentials: who we are, and whom we trust ----------------------------------------------------------------
 * Made once, shared by any number of connections (counted references: free them when you have handed them on). */

/* SHA-256 over a certificate's SubjectPublicKeyInfo, RFC 7469 section 2.4: what a pin is. */
#define ROAM_FINGERPRINT_BYTES 32

/* Returns new credentials that trust the system's certificate authorities and hold no certificate; NULL without
 * memory. */
ROAM_API roam_credentials *roam_credentials_new(void);

/* Releases one reference. NULL is allowed. */
ROAM_API void roam_credentials_free(roam_credentials *credentials);

/* Loads a PEM certificate chain, leaf first, and its private key. ROAM_ERR_CREDENTIALS where a file is missing,
 * is not PEM, or the two do not belong together. May be called again: a server then shows each client the certificate that
 * bears the name which it asks for (SNI, RFC 6066 section 3), and the first where none does. */
ROAM_API roam_result roam_credentials_load(roam_credentials *credentials, const char *chain_file, const char *key_file);

/* Makes a new P-256 key and a self-signed certificate for the names (DNS names or IP addresses, NULL-terminated list),
 * valid for 13 months from now. Peers know it by its fingerprint. */
ROAM_API roam_result roam_credentials_generate(roam_credentials *credentials, const char *const *names);

/* The fingerprint of our own certificate. ROAM_ERR_CREDENTIALS where there is none. */
ROAM_API roam_result roam_credentials_fingerprint(const roam_credentials *credentials,
                                                  uint8_t ret[ROAM_FINGERPRINT_BYTES]);

/* Whom to trust: the authorities of a PEM file instead of the system's; or whoever holds the key with this
 * fingerprint, whatever else its certificate says (may be called more than once); or anyone at all, which protects
 * against nobody and is for tests. */
ROAM_API roam_result roam_credentials_trust_file(roam_credentials *credentials, const char *ca_file);
ROAM_API roam_result roam_credentials_trust_pin(roam_credentials *credentials,
                                                const uint8_t fingerprint[ROAM_FINGERPRINT_BYTES]);
ROAM_API void roam_credentials_trust_anyone(roam_credentials *credentials);

/* A server that asks clients for a certificate and refuses those without a trusted one. */
ROAM_API void roam_credentials_require_client(roam_credentials *credentials);

/* ---- A connection ---------------------------------------------------------------------------------------------- */

enum roam_cipher { ROAM_AES_128_GCM = 1, ROAM_AES_256_GCM = 2, ROAM_CHACHA20_POLY1305 = 4 };
/* What a client does where the server says that it would rather be spoken to at another address (RFC 9000 section 9.6).
 * It goes there with the same care as on any move: probes first, and stays where nobody answers. */
enum roam_preferred_policy {
    ROAM_PREFERRED_FOLLOW = 0,   /* unless it leads from a global address into a private network, or to loopback */
    ROAM_PREFERRED_ANYWHERE = 1, /* also into private networks; never from elsewhere to loopback */
    ROAM_PREFERRED_IGNORE = 2,   /* stays where it is */
};

/* What says how much may be on its way, on each path for itself. docs/congestion.md compares them. */
enum roam_congestion {
    ROAM_CONGESTION_CUBIC = 0,   /* RFC 9438 with HyStart++ (RFC 9406), the default: fills what loses nothing */
    ROAM_CONGESTION_NEWRENO = 1, /* RFC 9002 section 7: the plainest, and the most yielding */
    ROAM_CONGESTION_BBR = 2, /* BBRv3, draft-ietf-ccwg-bbr: measures, and minds neither random loss nor deep queues */
};

/* Who decides where a client sends from. */
enum roam_mobility {
    ROAM_MOBILITY_MANUAL = 0, /* the application alone; the default */
    ROAM_MOBILITY_AUTO = 1,   /* the connection, by what it is told of the host's networks: <roam/network.h> */
};

/* Versions of QUIC: RFC 9000 and RFC 9369. They do the same; version 2 looks otherwise to who looks on. */
#define ROAM_QUIC_V1      0x00000001u
#define ROAM_QUIC_V2      0x6b3343cfu
#define ROAM_VERSIONS_MAX 4

/* A server's secret, and one that it shares with those whom it invites. */
#define ROAM_STATIC_KEY_BYTES 32

typedef struct roam_config {
    size_t size;                   /* set by roam_config_init */
    roam_credentials *credentials; /* a server needs a certificate; a client's NULL trusts the system's authorities */
    const char *const *alpn;       /* protocols by preference, NULL-terminated; at least one (RFC 9001 section 8.1) */
    const char *server_name;       /* name to ask for and to verify; NULL: the host given to roam_connect */
    unsigned ciphers;              /* enum roam_cipher, or-ed; 0: all, AES-128-GCM first */

    /* Transport parameters that we send, RFC 9000 section 18.2. */
    roam_time max_idle_timeout;          /* 0: none from our side; default 30 s */
    uint64_t initial_max_data;           /* octets on all streams; default 16 MiB */
    uint64_t initial_max_stream_data;    /* octets on each stream of any kind; default 6 MiB */
    uint64_t initial_max_streams_bidi;   /* streams that the peer may open; default 100 */
    uint64_t initial_max_streams_uni;    /* default 100 */
    uint64_t active_connection_id_limit; /* CIDs of the peer's that we hold, 2..16; default 8 */
    roam_time max_ack_delay;             /* default 25 ms; below 2^14 ms */
    uint64_t max_udp_payload;            /* largest datagram that we take; 1200..65527, default 65527 */
    bool disable_active_migration;       /* default false; NAT rebinding is survived all the same */

    /* How we send. */
    enum roam_congestion congestion;
    uint64_t initial_window_packets; /* default 10, RFC 9002 section 7.2 */
    roam_time initial_rtt;           /* default 333 ms, RFC 9002 section 6.2.2 */
    uint64_t datagram_bytes;         /* size of full datagrams at first; default 1200, RFC 9000 section 14 */
    bool ecn;                        /* mark packets ECT(0) and validate, RFC 9000 section 13.4; default true */
    size_t stream_buffer_bytes;      /* octets that a stream takes ahead of the network; default 1 MiB */

    /* How long we hold on. */
    roam_time keep_alive;        /* PING after so long in silence; 0: never, the default */
    roam_time handshake_timeout; /* default 10 s */

    /* Migration. */
    uint32_t max_paths; /* paths kept at once, 3..16; default 4 */

    /* A client's NEW_TOKEN token (ROAM_EVENT_NEW_TOKEN) of this very server, copied; NULL: none. Left out where the
     * connection begins in another version of QUIC than that of the token. To be used once: a second time it spares nothing, and tells who looks on that it is the same client (RFC 9000 section 8.1.3). */
    const uint8_t *token;
    size_t token_bytes;
    const roam_address *remote; /* roam_connect: where to, instead of resolving the host; NULL: resolve */
    const roam_address *local;  /* roam_connect: where from; NULL: the endpoint's socket for that family */
    void *user;                 /* handed to roam_conn_user */

    enum roam_mobility mobility; /* of a client; default ROAM_MOBILITY_MANUAL */

    /* Looks for the largest datagram that each path carries, RFC 8899, and falls back to 1200 octets where full ones
     * vanish; default true. What is larger than max_datagram_bytes, or than the peer takes, is not tried: 1200..65507,
     * default 8972, which fills jumbo frames. */
    bool pmtud;
    uint64_t max_datagram_bytes;

    /* Addresses that are not the one that the handshake ran on, RFC 9000 sections 9.6 and 21.5.6. */
    roam_address preferred_ipv4, preferred_ipv6; /* a server's, that it asks clients to move to; unset: none */
    enum roam_preferred_policy preferred_policy; /* a client's */
    bool refuse_private_moves; /* a server refuses a client that goes from a global to a private or link-local address;
                                * default false, for who comes home does just that. From elsewhere to loopback nobody
                                * may go. */

    /* The CIDs on our packets change while the addresses stay, so that who looks on only now and then cannot link what
     * he sees (RFC 9000 section 9.5), as long as the peer has given us a spare one beside that for a move; and the peer
     * is asked to change those that it writes where it passes a limit by a quarter. */
    roam_time cid_rotate_idle;  /* after so long without a packet of ours; default 20 s, 0: never */
    roam_time cid_rotate_after; /* after so long in use; default 0: never */
    uint64_t cid_rotate_bytes;  /* after so many octets; default 0: never */

    /* A server asks the application whether a client that was proven at `from` may be at `to`, before anything is done
     * for the new address: no path, no challenge, nothing of the packet is read. False: the packet is dropped
     * (move_refused), as is every other one from there, and the connection stays where it is. Asked for each packet
     * from an address that is none of its paths, after it proved authentic. May look at the connection, and change
     * nothing. NULL: it may. */
    bool (*may_move)(void *context, const roam_conn *conn, const roam_address *from, const roam_address *to);
    void *may_move_context;

    /* A session that a client had with this very server (ROAM_EVENT_NEW_SESSION), copied; NULL: none. The handshake then
     * needs no certificate and less computing (RFC 8446 section 2.2), and with early_data a round trip less. Where the
     * server does not want it any more, or would not be trusted today by its certificate and name, the handshake is a
     * full one. To be used once, like a token; a secret, to be kept where nobody else reads or writes: damage is noticed,
     * malice is not. */
    const uint8_t *session;
    size_t session_bytes;

    /* Where both sides say so, a resumed session takes its keys from the earlier one alone (psk_ke, RFC 8446 section
     * 4.2.9), which spares the server half of the computing. What was sent is then no secret from who learns the
     * server's ticket key later: there is no forward secrecy (roam_conn_stats.forward_secrecy). Default false. */
    bool resume_without_dh;

    /* Octets that the peer may be ahead of what the application has read, on a stream and on all together, grow from the
     * initial ones to at most this many, where they are used up within two round trips; default 64 MiB, 0: they stay as
     * they are. */
    uint64_t max_window_bytes;

    /* Datagrams, RFC 9221: see roam_conn_send_datagram. What the peer may send: octets of a whole DATAGRAM frame, that is
     * a little more than what it carries. 0, the default: none, and the peer is told so; 65535: whatever fits into a
     * packet. What we send is the peer's to allow. */
    uint64_t max_datagram_frame_bytes;
    size_t datagram_queue_bytes; /* octets of datagrams that wait to be sent, and as many to be taken; default 1 MiB */
    roam_time
        datagram_lifetime; /* what has waited so long is not sent any more (RFC 9221 section 5.4); default 0: it is */
    bool datagram_fates;   /* ROAM_EVENT_DATAGRAM_ACKED and the others that tell a tag; default false */

    /* Early data (0-RTT, RFC 9001 section 4.6), where both sides say so; default false. A client sends on a resumed session
     * before the server has answered: streams may be opened as soon as roam_connect has returned, if
     * roam_conn_early_data is not ROAM_EARLY_NONE. A server reads it, and answers, before the handshake is complete. It
     * takes each session once (roam_endpoint_config.tokens_remembered of them are known again, older ones bring none; 0:
     * none is taken), so that a copy of the client's packets does nothing; but only this endpoint knows that, and until
     * ROAM_EVENT_CONNECTED it is not proven that the client is there. No secret is forward secret in it. A server that
     * asks clients for certificates takes none. */
    bool early_data;

    /* Versions of QUIC that may be spoken, by preference, 0 behind the last: ROAM_QUIC_V1 and ROAM_QUIC_V2. A client begins
     * with the first. A server goes over to the first of its own that the client offers, at no cost of time (RFC 9368
     * section 2.3); one that was begun in a version that is not listed is answered with the list. Default: none, which is
     * both: a client begins with version 1, a server is content with what the client has begun with. */
    uint32_t versions[ROAM_VERSIONS_MAX];

    /* Greasing: what QUIC leaves free is given random values, so that nobody on the way comes to rely on it (RFC 9287, RFC
     * 9000 sections 6.3 and 18.1); default true. The fixed bit of packets is 0 as often as 1 where the peer takes that, and
     * taken as it comes. Who tells QUIC from other protocols on the same port by that bit (RFC 9443) sets false: then it
     * is 1 in all packets of both directions. */
    bool grease;

    /* Says that the peer may ask for fewer acknowledgements, or for one at once (draft-ietf-quic-ack-frequency, frames
     * ACK_FREQUENCY and IMMEDIATE_ACK), and asks so itself where the peer takes it; default true. */
    bool ack_frequency;

    /* Client: the key of a silent server (roam_endpoint_config.invitation_key), copied. Each connection then begins with
     * an invitation in its Initials, which takes the place of `token`. */
    bool invitation_key_set;
    uint8_t invitation_key[ROAM_STATIC_KEY_BYTES];
} roam_config;

ROAM_API void roam_config_init(roam_config *ret);

/* ---- An endpoint ----------------------------------------------------------------------------------------------- */

/* When a server makes a client prove its address before it keeps any state for it, RFC 9000 section 8.1.2. */
enum roam_retry_policy {
    ROAM_RETRY_NEVER = 0,
    ROAM_RETRY_WHEN_BUSY = 1, /* above retry_half_open half-open handshakes; the default */
    ROAM_RETRY_ALWAYS = 2,
};

typedef struct roam_endpoint_config {
    size_t size;               /* set by roam_endpoint_config_init */
    roam_allocator allocator;  /* reallocate NULL: roam_allocator_default */
    roam_rng rng;              /* fill NULL: roam_rng_default */
    const roam_config *accept; /* how incoming connections are configured, copied; NULL: none are accepted */
    uint8_t cid_bytes;         /* length of the CIDs that we issue: 0 or 4..20, default 8 (64 bits) */
    bool static_key_set;       /* false: a random static key, so that resets and tokens end with this endpoint */
    uint8_t static_key[ROAM_STATIC_KEY_BYTES]; /* from it come reset tokens and token keys, RFC 9000 section 10.3.2 */
    enum roam_retry_policy retry;
    uint32_t retry_half_open;       /* default 1,000 */
    uint32_t max_connections;       /* default 1,000,000 */
    uint32_t resets_per_second;     /* Stateless Resets and Version Negotiations sent; default 1,000 */
    roam_time retry_token_lifetime; /* default 10 s */
    roam_time new_token_lifetime;   /* default 24 h */
    uint32_t tokens_remembered;     /* used tokens that are known again, twice as many at most; default 65,536 */
    roam_time
        unix_time_offset;   /* what makes Unix time, in nanoseconds, of this endpoint's time. Tokens bear it, so that
                                     * they outlive a restart, with a static_key; <roam/io.h> sets it where it is 0 */
    uint32_t max_events;    /* events in the queue beyond which path and CID events are dropped; default 65,536 */
    uint32_t force_version; /* a client's first version, to provoke Version Negotiation; 0: that of roam_config */
    roam_cid_plan cid_plan; /* what CIDs are made of; default random octets. Any other kind says their length too */

    /* Strangers are clients whose Initial proves no address. Beyond any of the first three limits they are asked for
     * proof by Retry (under ROAM_RETRY_NEVER they are dropped); beyond the others Initials are dropped and counted, without
     * an answer. A prefix is a /24 of IPv4 or a /56 of IPv6; some share their account with others, by a hash that nobody
     * outside can compute. 0: no limit. */
    uint32_t strangers_per_second; /* handshakes begun with strangers, in all; default 1,000 */
    uint32_t strangers_per_prefix; /* and of one prefix, a second; default 250 */
    uint32_t
        half_open_per_prefix; /* handshakes in progress with strangers of one prefix; with others of it, as many again
                                    * are let in; default 256 */
    uint32_t max_half_open;   /* handshakes in progress in all; default 20,000 */
    uint32_t retries_per_second; /* Retries sent, a sixteenth of them at most to one prefix; default 5,000 */

    /* Silence: a server with an invitation key answers nobody who has neither an invitation under this key (a client's
     * roam_config.invitation_key) nor an unused token of ours: no handshake, no Retry, no Version Negotiation, no refusal
     * and no Stateless Reset, so that whoever tries its port finds nothing there. An invitation serves once, and for two
     * minutes: the clocks of both sides may differ by no more. An invited client's address still needs its proof. */
    bool invitation_key_set;
    uint8_t invitation_key[ROAM_STATIC_KEY_BYTES];

    /* Memory of the endpoint and all its connections, with 32 KiB for what TLS takes in each handshake; 0, the default: no
     * limit. Above seven eighths no strangers are let in, above fifteen sixteenths the newest handshakes end
     * (ROAM_CLOSE_MEMORY), and beyond the limit there is no memory, which is the end of the connection that wants it. */
    uint64_t max_memory_bytes;
} roam_endpoint_config;

ROAM_API void roam_endpoint_config_init(roam_endpoint_config *ret);

#ifdef __cplusplus
}
#endif

#endif
