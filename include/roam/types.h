/*
 * roam/types.h - the small types that every other header speaks of: time, addresses, connection IDs,
 * datagrams, and the three things that the core never takes for itself: memory, randomness and time.
 */
#ifndef ROAM_TYPES_H
#define ROAM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ROAM_API __attribute__((visibility("default")))
#else
#define ROAM_API
#endif

typedef struct roam_endpoint roam_endpoint;
typedef struct roam_conn roam_conn;
typedef struct roam_stream roam_stream;
typedef struct roam_credentials roam_credentials;

/* A point in time or a span of it, in nanoseconds. Points count from any epoch that the caller likes, as long as
 * it never runs backwards; the core reads no clock of its own. */
typedef uint64_t roam_time;

/* The deadline of something that waits for nothing. */
#define ROAM_TIME_NEVER      UINT64_MAX
#define ROAM_MICROSECONDS(n) ((roam_time)(n)*1000)
#define ROAM_MILLISECONDS(n) ((roam_time)(n)*1000000)
#define ROAM_SECONDS(n)      ((roam_time)(n)*1000000000)

enum roam_family { ROAM_FAMILY_NONE = 0, ROAM_FAMILY_IPV4 = 4, ROAM_FAMILY_IPV6 = 6 };

/* An IP address and a UDP port. All zero is "no address" (roam_address_is_set says false). */
typedef struct roam_address {
    uint8_t ip[16];    /* network order; IPv4 uses the first four octets, the rest are zero */
    uint32_t scope_id; /* interface index of an IPv6 link-local address, else 0 */
    uint16_t port;     /* host order */
    uint8_t family;    /* enum roam_family */
    uint8_t reserved;  /* zero */
} roam_address;

/* Longest text of an address: "[", IPv6, "%scope", "]", ":port", NUL. */
#define ROAM_ADDRESS_TEXT_MAX 72

/* Reads "192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.1", "2001:db8::1" (port 0 where none stands). Returns
 * false, and leaves *ret untouched, on any other text: names are not resolved here. */
ROAM_API bool roam_address_parse(roam_address *ret, const char *text);

/* Writes "192.0.2.1:443" or "[2001:db8::1]:443" into ret (NUL-terminated, RFC 5952 form) and returns ret. */
ROAM_API char *roam_address_format(const roam_address *address, char ret[ROAM_ADDRESS_TEXT_MAX]);

/* True where both name the same host and port. IPv4-mapped IPv6 equals its IPv4 address. */
ROAM_API bool roam_address_equal(const roam_address *a, const roam_address *b);

/* True where both name the same host, whatever the port. */
ROAM_API bool roam_address_same_ip(const roam_address *a, const roam_address *b);

/* ::ffff:192.0.2.1 becomes 192.0.2.1; every other address is returned as it is. */
ROAM_API roam_address roam_address_unmap(const roam_address *address);

static inline bool roam_address_is_set(const roam_address *address)
{
    return address->family != ROAM_FAMILY_NONE;
}

/* RFC 9000 section 17.2: at most 20 octets in version 1. */
#define ROAM_CID_MAX 20

/* A connection ID, RFC 9000 section 5.1: what a connection is. */
typedef struct roam_cid {
    uint8_t len;
    uint8_t bytes[ROAM_CID_MAX];
} roam_cid;

/* Longest text of a connection ID: two digits an octet and the NUL. */
#define ROAM_CID_TEXT_MAX (2 * ROAM_CID_MAX + 1)

/* Writes the CID in lower-case hexadecimal into ret and returns ret. */
ROAM_API char *roam_cid_format(const roam_cid *cid, char ret[ROAM_CID_TEXT_MAX]);

ROAM_API bool roam_cid_equal(const roam_cid *a, const roam_cid *b);

/* ECN codepoints of the IP header, RFC 3168. */
enum roam_ecn { ROAM_ECN_NOT_ECT = 0, ROAM_ECN_ECT1 = 1, ROAM_ECN_ECT0 = 2, ROAM_ECN_CE = 3 };

/*
 * One UDP payload on its way in or out, or several of one size back to back (segment_bytes > 0, the last may be
 * shorter), as UDP GSO and GRO carry them.
 *   in:  data[0..len) is what came; the core decrypts it in place, so it must be writable until the call returns. Where
 *        `lent` is set, it also stays where it is, untouched, until roam_endpoint_reclaim: then data of streams and of
 *        datagrams is handed out where it lies, and copied only if it is not read by then.
 *   out: the caller gives data and capacity, and segment_bytes, which is 0 where each datagram is to stand alone; the
 *        core sets len, segment_bytes, ecn, local and remote.
 */
typedef struct roam_datagram {
    roam_address local;  /* ours; the port always set, the IP unset where the socket does not tell */
    roam_address remote; /* the peer's */
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t segment_bytes; /* 0: one datagram */
    uint8_t ecn;          /* enum roam_ecn */
    bool lent;
} roam_datagram;

/* Memory comes from the application, through one function in the manner of realloc:
 *   ptr NULL: allocate new_bytes;  new_bytes 0: free, return NULL;  else resize, keeping the content.
 * old_bytes is what was asked for when ptr was allocated. Returns NULL where there is no memory; ptr is then still
 * allocated. Must return memory aligned for any type. */
typedef struct roam_allocator {
    void *(*reallocate)(void *context, void *ptr, size_t old_bytes, size_t new_bytes);
    void *context;
} roam_allocator;

/* Randomness comes from the application: fill puts len unpredictable octets into buf and cannot fail. CIDs, keys of
 * tokens, PATH_CHALLENGE data come from it, so that outside of tests it must be cryptographically strong. (TLS draws
 * its own from its library.) */
typedef struct roam_rng {
    void (*fill)(void *context, void *buf, size_t len);
    void *context;
} roam_rng;

/* malloc and free of the C library, and the kernel's random numbers: what an endpoint takes where its configuration
 * names nothing else. */
ROAM_API roam_allocator roam_allocator_default(void);
ROAM_API roam_rng roam_rng_default(void);

#ifdef __cplusplus
}
#endif

#endif
