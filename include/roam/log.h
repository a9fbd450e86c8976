/*
 * roam/log.h - what connections say for those who look on. Nothing unless asked for, and no file by itself: what there
 * is to say goes to a sink. roam_io_qlog and roam_io_keylog (roam/io.h) are sinks that write files.
 *
 * qlog: what a connection does, packet by packet and step by step, in the words of qlog
 * (draft-ietf-quic-qlog-main-schema, draft-ietf-quic-qlog-quic-events): one JSON text sequence (RFC 7464) for each
 * connection, which qvis and other tools read; docs/qlog.md says what stands in it. No key, reset token or address
 * validation token is ever said, nor what streams carry.
 *
 * keylog: the secrets of a connection, in the format that NSS began (SSLKEYLOGFILE), so that a capture of it can be
 * decrypted. Whoever has them reads all of it.
 */
#ifndef ROAM_LOG_H
#define ROAM_LOG_H

#include <roam/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which drafts' names events and fields bear. What they say is the same. */
enum roam_qlog_names {
    ROAM_QLOG_NAMES_QVIS = 0, /* transport:packet_sent: draft-ietf-quic-qlog-quic-events-08, which qvis knows */
    ROAM_QLOG_NAMES_LATEST,   /* quic:packet_sent: draft-ietf-quic-qlog-quic-events-13 */
};

typedef struct roam_qlog {
    /* A connection begins, known by its original destination CID. Returns what the other calls are given, or NULL:
     * nothing is said of this connection. */
    void *(*open)(void *context, const roam_cid *original_dcid, bool is_server);

    /* Takes the next `len` octets: whole records. False says that it can take no more: then nothing is said any more,
     * `close` comes, and roam_endpoint_stats.qlog_failures counts one. */
    bool (*write)(void *context, void *log, const char *text, size_t len);
    void (*close)(void *context, void *log);
    void *context;

    enum roam_qlog_names names;
    uint64_t unix_epoch_ns; /* what the Unix clock (nanoseconds since 1970) showed at roam_time 0; 0: nobody knows */
} roam_qlog;

/* Logs the connections of this endpoint that begin from now on; NULL: none of them. The structure is copied; the sink
 * must last as long as the endpoint. Each connection takes some 20 KiB more. */
ROAM_API void roam_endpoint_set_qlog(roam_endpoint *endpoint, const roam_qlog *qlog);

/* Longest line of a keylog, without its end: the longest label, a client random and a secret. */
#define ROAM_KEYLOG_LINE_MAX 255

typedef struct roam_keylog {
    /* One line: "SERVER_TRAFFIC_SECRET_0 CLIENT-RANDOM SECRET", NUL-terminated, without a line feed. */
    void (*write)(void *context, const char *line);
    void *context;
} roam_keylog;

/* Tells the secrets of the connections of this endpoint that begin from now on; NULL: none. Copied; the sink must last
 * as long as the endpoint. Nothing but this call makes a connection tell its secrets: the core looks at no environment,
 * and keeps GnuTLS from doing so. */
ROAM_API void roam_endpoint_set_keylog(roam_endpoint *endpoint, const roam_keylog *keylog);

#ifdef __cplusplus
}
#endif

#endif
