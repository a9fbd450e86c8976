/* A UDP socket for QUIC, and batches of datagrams through it. */
#ifndef IO_UDP_SOCKET_H
#define IO_UDP_SOCKET_H

#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <roam/error.h>
#include <roam/types.h>

#include "base/alloc.h"

/* Messages of one system call. */
#define BATCH_DATAGRAMS 64
/* Of them, how many are taken at once while the kernel puts datagrams together: as much as the cache holds. */
#define BATCH_COALESCED 4

/* What a datagram that we send may take: a jumbo frame's worth. */
#define SEND_BYTES_MAX 9216
/* Datagrams of several connections that leave as one. More of them would save little, and whoever is
 * at the other end would wait for the last before it can begin with the first. */
#define JOINED_MAX 4
/* Datagrams to send stand back to back in so many octets: two full batches for segmentation offload, which the second
 * level of a processor's cache holds until the kernel has copied them. */
#define SEND_BUFFER_BYTES (2 * 65536)
/* The largest that UDP carries, also when the kernel has put several datagrams together (UDP_GRO). */
#define RECEIVE_BYTES_MAX 65536
/* Buffers do not begin at the same place of their pages, or they would all compete for the same lines of the cache. */
#define BUFFER_STAGGER 192

/* A socket's buffers in the kernel, each way: a millisecond at 32 Gbit/s, in which another process may have the
 * processor. */
#define SOCKET_BUFFER_BYTES (4 * 1024 * 1024)
/* More than that Linux gives nobody. */
#define SOCKET_BUFFER_BYTES_MAX (INT_MAX / 2)

/* Room for IP_PKTINFO or IPV6_PKTINFO, the ECN octet and a segment size. */
#define CONTROL_BYTES 128

struct udp_socket {
    int fd;
    roam_address local;                             /* where it is bound; the IP is zero on a wildcard socket */
    size_t receive_buffer_bytes, send_buffer_bytes; /* what the kernel has granted of what was asked for */
    bool cannot_segment; /* the kernel, or the way out, takes no UDP_SEGMENT: found at run time */
};

/* Up to BATCH_DATAGRAMS datagrams with all that the system calls want to know of them. */
struct datagram_batch {
    roam_datagram datagrams[BATCH_DATAGRAMS];
    size_t count;  /* how many of them there are */
    size_t next;   /* sending: those before are gone */
    size_t wanted; /* receiving: how many to ask for */
    struct mmsghdr messages[BATCH_DATAGRAMS];
    struct iovec iovecs[BATCH_DATAGRAMS];
    struct sockaddr_storage names[BATCH_DATAGRAMS];
    union {
        struct cmsghdr align;
        char bytes[CONTROL_BYTES];
    } controls[BATCH_DATAGRAMS];
    uint8_t *memory;
    size_t memory_bytes;
};

/* What became of datagrams that the kernel did not take or that came damaged: they are lost, as on any network. */
struct socket_counters {
    uint64_t send_errors, receive_errors, truncated;
    int last_error; /* errno of the newest one */
};

/* Buffers of `capacity` octets for BATCH_DATAGRAMS datagrams to receive; one of SEND_BUFFER_BYTES for all that are sent.
 * ROAM_ERR_MEMORY. */
roam_result datagram_batch_init_receive(struct datagram_batch *batch, const roam_allocator *allocator, size_t capacity);
roam_result datagram_batch_init_send(struct datagram_batch *batch, const roam_allocator *allocator);
void datagram_batch_done(struct datagram_batch *batch, const roam_allocator *allocator);

/* Empties a batch to send. Then datagram_batch_offer makes room for one more datagram behind the last, false where there
 * is none: it stands at batch->datagrams[batch->count], for several in one where `segmented`. datagram_batch_add counts it
 * when it has been filled; where `segmented` it leaves together with the last, whichever connections they are of, if they
 * are of one size, from one address, to one address and of one ECN codepoint. */
void datagram_batch_clear(struct datagram_batch *batch);
bool datagram_batch_offer(struct datagram_batch *batch, bool segmented);
void datagram_batch_add(struct datagram_batch *batch, bool segmented);

/* Opens a socket on `local` and asks for buffers as udp_socket_ask_buffers does; ret->local says where it really is.
 * ROAM_ERR_SYSTEM with errno, ROAM_ERR_ADDRESS. */
roam_result udp_socket_open(struct udp_socket *ret, const roam_address *local, size_t buffer_bytes);
void udp_socket_close(struct udp_socket *socket);

/* Asks for buffers of so many octets each way, SOCKET_BUFFER_BYTES where nobody has said, and looks at what is granted:
 * without CAP_NET_ADMIN at most net.core.rmem_max and net.core.wmem_max. */
void udp_socket_ask_buffers(struct udp_socket *socket, size_t bytes);

/* From now on the kernel may put datagrams of one peer together (UDP_GRO); buffers to receive must take
 * RECEIVE_BYTES_MAX. */
void udp_socket_coalesce(struct udp_socket *socket);

/* Fills the batch with what waits, and returns how many that is. */
size_t udp_socket_receive(struct udp_socket *socket, struct datagram_batch *batch, struct socket_counters *counters);

/* Told of each datagram that the kernel would not take, with its errno. */
typedef void datagram_failed(void *context, const roam_datagram *datagram, int error);

/* Sends n datagrams of the batch from batch->next on, and moves batch->next past those that are gone: sent, or lost
 * because the kernel would not take them, of which `failed` (may be NULL) hears. Returns false where the socket's
 * buffer is full: try again when it is writable. */
bool udp_socket_send(struct udp_socket *socket, struct datagram_batch *batch, size_t n,
                     struct socket_counters *counters, datagram_failed *failed, void *context);

/* Lets what the socket sends leave by this interface and no other, whatever the routes say, and lets in what comes
 * there: two interfaces with default routes else send by the better one, with whichever address. As much as the
 * kernel allows: without the right to bind to a device only the way out is chosen. Returns false with errno where
 * neither is allowed. */
bool udp_socket_bind_interface(struct udp_socket *socket, const char *name, uint32_t index);

#endif
