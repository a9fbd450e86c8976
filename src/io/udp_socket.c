/*
 * One UDP socket. Kept: it never blocks, never fragments (RFC 9000 section 14), tells and chooses the local address and
 * the ECN bits of each datagram; whatever the kernel refuses is lost and no more than that. Datagrams of one peer go in
 * and out together (UDP_GRO, UDP_SEGMENT); where that is refused, one by one.
 */
#include "io/udp_socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/minmax.h"
#include "conn/limits.h"
#include "io/sockaddr.h"

/* ECN is the low two bits of the octet that IPv4 calls TOS and IPv6 traffic class. */
#define ECN_MASK 3

/* Of <linux/in6.h>, which does not go with <netinet/in.h>. */
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif

static roam_result init_batch(struct datagram_batch *batch, const roam_allocator *allocator, size_t memory_bytes)
{
    memset(batch, 0, sizeof(*batch));
    batch->memory = mem_alloc(allocator, memory_bytes);
    batch->memory_bytes = memory_bytes;
    batch->wanted = BATCH_DATAGRAMS;
    return batch->memory != NULL ? ROAM_OK : ROAM_ERR_MEMORY;
}

roam_result datagram_batch_init_receive(struct datagram_batch *batch, const roam_allocator *allocator, size_t capacity)
{
    size_t stride = capacity + BUFFER_STAGGER;
    roam_result result = init_batch(batch, allocator, stride * BATCH_DATAGRAMS);
    for (size_t i = 0; i < BATCH_DATAGRAMS && result == ROAM_OK; i++) {
        batch->datagrams[i].data = batch->memory + i * stride;
        batch->datagrams[i].capacity = capacity;
    }
    return result;
}

roam_result datagram_batch_init_send(struct datagram_batch *batch, const roam_allocator *allocator)
{
    return init_batch(batch, allocator, SEND_BUFFER_BYTES);
}

void datagram_batch_done(struct datagram_batch *batch, const roam_allocator *allocator)
{
    mem_free(allocator, batch->memory, batch->memory_bytes);
    memset(batch, 0, sizeof(*batch));
}

void datagram_batch_clear(struct datagram_batch *batch)
{
    batch->count = batch->next = 0;
}

bool datagram_batch_offer(struct datagram_batch *batch, bool segmented)
{
    const roam_datagram *last = batch->count > 0 ? &batch->datagrams[batch->count - 1] : NULL;
    uint8_t *at = last != NULL ? last->data + last->len : batch->memory;
    size_t left = (size_t)(batch->memory + batch->memory_bytes - at);
    if (batch->count == BATCH_DATAGRAMS || left < SEND_BYTES_MAX)
        return false;
    batch->datagrams[batch->count] = (roam_datagram){
        .data = at, .capacity = segmented ? left : SEND_BYTES_MAX, .segment_bytes = segmented ? SEND_BYTES_MAX : 0};
    return true;
}

static bool is_segmented(const roam_datagram *datagram)
{
    return datagram->segment_bytes > 0 && datagram->segment_bytes < datagram->len;
}

static size_t segment_of(const roam_datagram *datagram)
{
    return is_segmented(datagram) ? datagram->segment_bytes : datagram->len;
}

/* May `next`, which stands right behind `last`, leave with it? Only what is of one size: a probe of the path's MTU that
 * the kernel refuses must not take smaller datagrams with it. */
static bool can_join(const roam_datagram *last, const roam_datagram *next)
{
    const size_t segment = segment_of(last), together = last->len + next->len;
    return segment == segment_of(next) && last->len % segment == 0 && together <= segment * JOINED_MAX &&
           last->ecn == next->ecn && roam_address_equal(&last->remote, &next->remote) &&
           roam_address_equal(&last->local, &next->local);
}

void datagram_batch_add(struct datagram_batch *batch, bool segmented)
{
    const roam_datagram *next = &batch->datagrams[batch->count];
    if (!segmented || batch->count == 0 || !can_join(next - 1, next)) {
        batch->count++;
        return;
    }
    roam_datagram *last = &batch->datagrams[batch->count - 1];
    last->segment_bytes = segment_of(last);
    last->len += next->len;
}

/* ---- Opening */

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

static bool set_options(int fd, uint8_t family)
{
    //= rfc9000#14-2 No IP fragmentation of QUIC datagrams.
    //= rfc9000#14-3 Set DF on IPv4; what ICMP says of the path is not believed (14.2.1), the search finds it out.
    if (family == ROAM_FAMILY_IPV4)
        return set_option(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_option(fd, IPPROTO_IP, IP_RECVTOS, 1) &&
               set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    //= rfc9000#9.7-1 Apply an IPv6 flow label where the system lets us.
    //= rfc9000#9.7-2 Flow labels of different paths cannot be linked.
    // The kernel hashes addresses and ports with a secret of its own, so that another path, or another port, has
    // another label. Asked for, since the administrator may have left it to each socket; where it is forbidden there is
    // none.
    set_option(fd, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1);
    return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
           set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
           set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

static bool bind_and_look(int fd, const roam_address *local, roam_address *ret_bound)
{
    struct sockaddr_storage name;
    socklen_t name_bytes = sockaddr_from_address(&name, local);
    if (bind(fd, (struct sockaddr *)&name, name_bytes) != 0)
        return false;
    name_bytes = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &name_bytes) != 0)
        return false;
    address_from_sockaddr(ret_bound, (struct sockaddr *)&name);
    return true;
}

roam_result udp_socket_open(struct udp_socket *ret, const roam_address *local, size_t buffer_bytes)
{
    roam_address plain = roam_address_unmap(local), bound;
    if (!roam_address_is_set(&plain))
        return ROAM_ERR_ADDRESS;
    int domain = plain.family == ROAM_FAMILY_IPV4 ? AF_INET : AF_INET6;
    int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return ROAM_ERR_SYSTEM;
    if (!set_options(fd, plain.family) || !bind_and_look(fd, &plain, &bound)) {
        int why = errno;
        close(fd);
        errno = why;
        return ROAM_ERR_SYSTEM;
    }
    *ret = (struct udp_socket){.fd = fd, .local = bound};
    udp_socket_ask_buffers(ret, buffer_bytes);
    return ROAM_OK;
}

/* The privileged way, which knows no limit, or else as much as the administrator lets everybody have. */
static size_t ask_buffer(int fd, int force, int name, size_t bytes)
{
    const int wanted = (int)min_size(bytes, SOCKET_BUFFER_BYTES_MAX);
    int granted = 0;
    socklen_t len = sizeof(granted);
    if (!set_option(fd, SOL_SOCKET, force, wanted))
        set_option(fd, SOL_SOCKET, name, wanted);
    if (getsockopt(fd, SOL_SOCKET, name, &granted, &len) != 0)
        return 0;
    /* Linux makes it twice as large, for its own books, and says so; the limits are in the number that was asked for. */
    return (size_t)granted / 2;
}

void udp_socket_ask_buffers(struct udp_socket *socket, size_t bytes)
{
    socket->receive_buffer_bytes = ask_buffer(socket->fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
    socket->send_buffer_bytes = ask_buffer(socket->fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

bool udp_socket_bind_interface(struct udp_socket *socket, const char *name, uint32_t index)
{
    /* Since Linux 5.7 anybody may bind a socket to a device that was bound to none. Where not, IPv4 does as it is
     * asked; IPv6 takes it for a wish, and among default routes prefers the better one to the one by that interface. */
    if (setsockopt(socket->fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) == 0)
        return true;
    if (socket->local.family == ROAM_FAMILY_IPV4)
        return set_option(socket->fd, IPPROTO_IP, IP_UNICAST_IF, (int)htonl(index));
    return set_option(socket->fd, IPPROTO_IPV6, IPV6_UNICAST_IF, (int)htonl(index));
}

void udp_socket_coalesce(struct udp_socket *socket)
{
    set_option(socket->fd, IPPROTO_UDP, UDP_GRO, 1);
}

void udp_socket_close(struct udp_socket *socket)
{
    if (socket->fd >= 0)
        close(socket->fd);
    socket->fd = -1;
}

/* ---- Receiving */

static void take_control(roam_datagram *datagram, const struct cmsghdr *control)
{
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        const struct in_pktinfo *info = (const struct in_pktinfo *)CMSG_DATA(control);
        memcpy(datagram->local.ip, &info->ipi_addr, sizeof(info->ipi_addr));
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        const struct in6_pktinfo *info = (const struct in6_pktinfo *)CMSG_DATA(control);
        memcpy(datagram->local.ip, &info->ipi6_addr, sizeof(info->ipi6_addr));
        if (IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
            datagram->local.scope_id = info->ipi6_ifindex;
    } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
        int segment;
        memcpy(&segment, CMSG_DATA(control), sizeof(segment));
        datagram->segment_bytes = (size_t)segment;
    } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
        datagram->ecn = *CMSG_DATA(control) & ECN_MASK;
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
        int class;
        memcpy(&class, CMSG_DATA(control), sizeof(class));
        datagram->ecn = (uint8_t)(class & ECN_MASK);
    }
}

static void take_message(struct udp_socket *socket, roam_datagram *datagram, struct mmsghdr *message)
{
    struct msghdr *header = &message->msg_hdr;
    datagram->local = socket->local;
    datagram->len = message->msg_len;
    datagram->segment_bytes = 0;
    datagram->lent = true; /* until the next batch */
    datagram->ecn = ROAM_ECN_NOT_ECT;
    address_from_sockaddr(&datagram->remote, header->msg_name);
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control))
        take_control(datagram, control);
}

static void prepare_receive(struct datagram_batch *batch)
{
    for (size_t i = 0; i < batch->wanted; i++) {
        batch->iovecs[i].iov_base = batch->datagrams[i].data;
        batch->iovecs[i].iov_len = batch->datagrams[i].capacity;
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->names[i],
            .msg_namelen = sizeof(batch->names[i]),
            .msg_iov = &batch->iovecs[i],
            .msg_iovlen = 1,
            .msg_control = &batch->controls[i],
            .msg_controllen = sizeof(batch->controls[i]),
        };
    }
}

static void swap_buffers(roam_datagram *a, roam_datagram *b)
{
    uint8_t *data = a->data;
    a->data = b->data;
    b->data = data;
}

size_t udp_socket_receive(struct udp_socket *socket, struct datagram_batch *batch, struct socket_counters *counters)
{
    prepare_receive(batch);
    batch->count = 0;
    int n = recvmmsg(socket->fd, batch->messages, (unsigned)batch->wanted, MSG_DONTWAIT, NULL);
    if (n < 0) {
        /* ICMP's "connection refused" and the like end here: anybody could have sent it (RFC 9000 section 21). */
        if (errno != EAGAIN && errno != EINTR) {
            counters->receive_errors++;
            counters->last_error = errno;
        }
        return 0;
    }
    for (int i = 0; i < n; i++) {
        if (batch->messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            counters->truncated++;
            continue;
        }
        /* Buffers change places so that those in use stand together. */
        if (batch->count != (size_t)i)
            swap_buffers(&batch->datagrams[batch->count], &batch->datagrams[i]);
        take_message(socket, &batch->datagrams[batch->count++], &batch->messages[i]);
    }
    /* The next ones will be like the last. */
    if (batch->count > 0)
        batch->wanted = batch->datagrams[batch->count - 1].segment_bytes > 0 ? BATCH_COALESCED : BATCH_DATAGRAMS;
    return batch->count;
}

/* ---- Sending */

static void *add_control(struct msghdr *header, int level, int type, size_t bytes)
{
    struct cmsghdr *control = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(bytes);
    header->msg_controllen += CMSG_SPACE(bytes);
    return CMSG_DATA(control);
}

static void add_source(struct msghdr *header, const roam_address *local)
{
    if (local->family == ROAM_FAMILY_IPV4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip, sizeof(info.ipi_spec_dst));
        memcpy(add_control(header, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope_id};
        memcpy(&info.ipi6_addr, local->ip, sizeof(info.ipi6_addr));
        memcpy(add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info, sizeof(info));
    }
}

static void prepare_send(struct udp_socket *socket, struct datagram_batch *batch, size_t i, bool with_source)
{
    const roam_datagram *datagram = &batch->datagrams[i];
    struct msghdr *header = &batch->messages[i].msg_hdr;
    int class = datagram->ecn;
    memset(&batch->controls[i], 0, sizeof(batch->controls[i]));
    batch->iovecs[i] = (struct iovec){.iov_base = datagram->data, .iov_len = datagram->len};
    *header = (struct msghdr){
        .msg_name = &batch->names[i],
        .msg_namelen = sockaddr_from_address(&batch->names[i], &datagram->remote),
        .msg_iov = &batch->iovecs[i],
        .msg_iovlen = 1,
        .msg_control = &batch->controls[i],
    };
    bool ipv4 = socket->local.family == ROAM_FAMILY_IPV4;
    /* A bound socket needs not be told, and one without an address lets the kernel choose. */
    if (with_source && address_is_wildcard(&socket->local) && !address_is_wildcard(&datagram->local))
        add_source(header, &datagram->local);
    if (class != ROAM_ECN_NOT_ECT)
        memcpy(add_control(header, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS, sizeof(class)),
               &class, sizeof(class));
    if (is_segmented(datagram)) {
        uint16_t segment = (uint16_t)datagram->segment_bytes;
        memcpy(add_control(header, SOL_UDP, UDP_SEGMENT, sizeof(segment)), &segment, sizeof(segment));
    }
    if (header->msg_controllen == 0)
        header->msg_control = NULL;
}

/* The address that this datagram should come from is gone, as it is after a change of network, but the socket is not
 * bound to it: it leaves from the address that the kernel has now, and the peer's view of us moves. */
static bool send_from_anywhere(struct udp_socket *socket, struct datagram_batch *batch)
{
    if (!address_is_wildcard(&socket->local) || address_is_wildcard(&batch->datagrams[batch->next].local))
        return false;
    prepare_send(socket, batch, batch->next, false);
    return sendmsg(socket->fd, &batch->messages[batch->next].msg_hdr, MSG_DONTWAIT) >= 0;
}

static void note_failure(struct socket_counters *counters, const roam_datagram *datagram, datagram_failed *failed,
                         void *context)
{
    counters->send_errors++;
    counters->last_error = errno;
    if (failed != NULL)
        failed(context, datagram, errno);
}

/* What the kernel would not cut apart leaves in single datagrams; when one of them is refused as well, it was not for
 * the cutting, and the rest is lost with it. False where the rest has to wait. */
static bool send_cut_apart(struct udp_socket *socket, struct datagram_batch *batch, struct socket_counters *counters,
                           datagram_failed *failed, void *context)
{
    roam_datagram *rest = &batch->datagrams[batch->next];
    while (rest->len > 0) {
        const roam_datagram whole = *rest;
        rest->len = min_size(whole.segment_bytes, whole.len);
        prepare_send(socket, batch, batch->next, true);
        bool sent = sendmsg(socket->fd, &batch->messages[batch->next].msg_hdr, MSG_DONTWAIT) >= 0;
        if (!sent && (errno == EAGAIN || errno == EINTR)) {
            *rest = whole;
            if (errno == EAGAIN)
                return false;
            continue;
        }
        if (!sent) {
            note_failure(counters, rest, failed, context);
            break;
        }
        socket->cannot_segment = true;
        rest->data += rest->len;
        rest->len = whole.len - rest->len;
    }
    batch->next++;
    return true;
}

/* Sends some; false where the socket's buffer is full. */
static bool send_some(struct udp_socket *socket, struct datagram_batch *batch, size_t n,
                      struct socket_counters *counters, datagram_failed *failed, void *context)
{
    int sent = sendmmsg(socket->fd, &batch->messages[batch->next], (unsigned)n, MSG_DONTWAIT);
    if (sent > 0) {
        batch->next += (size_t)sent;
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno == EINTR)
        return true;
    if ((errno == EINVAL || errno == ENETUNREACH || errno == EADDRNOTAVAIL) && send_from_anywhere(socket, batch)) {
        batch->next++;
        return true;
    }
    if ((errno == EINVAL || errno == EIO || errno == EOPNOTSUPP) && is_segmented(&batch->datagrams[batch->next]))
        return send_cut_apart(socket, batch, counters, failed, context);
    /* EMSGSIZE, ECONNREFUSED, ENETUNREACH, EPERM, ENOBUFS, ...: this one is lost, which loss recovery knows how to
     * mend. */
    note_failure(counters, &batch->datagrams[batch->next], failed, context);
    batch->next++;
    return true;
}

bool udp_socket_send(struct udp_socket *socket, struct datagram_batch *batch, size_t n,
                     struct socket_counters *counters, datagram_failed *failed, void *context)
{
    size_t end = batch->next + n;
    for (size_t i = batch->next; i < end; i++)
        prepare_send(socket, batch, i, true);
    while (batch->next < end)
        if (!send_some(socket, batch, end - batch->next, counters, failed, context))
            return false;
    return true;
}
