/*
 * The host's addresses on Linux, by rtnetlink: links, addresses and routes are dumped one after the other, and six
 * groups of events say when to do so again. Kept: only what the kernel itself sends is believed, and a dump that was
 * torn by a change is done again.
 */
#include "io/network_watch.h"

#ifdef __linux__

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/minmax.h"
#include "io/sockaddr.h"

/* The kernel fills at most so much at a time. */
#define DUMP_BYTES 32768

/* A dump that changes meanwhile is begun again; if it does so all the time, an event follows anyway. */
#define DUMP_ATTEMPTS 3

/* Routes that are looked at: default ones come first, and a host with a table of the whole Internet has other worries. */
#define ROUTES_MAX 4096

struct link_entry {
    uint32_t index;
    unsigned flags;
    char name[ROAM_NETWORK_NAME_MAX];
};

/* What the dumps have given so far. */
struct reading {
    struct host_addresses *addresses;
    struct link_entry *links;
    size_t link_count, link_capacity;
    size_t routes;
    bool out_of_memory;
};

typedef void take_message(struct reading *reading, const struct nlmsghdr *message);

/* ---- Attributes -------------------------------------------------------------------------------------------------- */

static uint32_t attribute_u32(const struct rtattr *attribute)
{
    uint32_t value = 0;
    memcpy(&value, RTA_DATA(attribute), min_size(sizeof(value), RTA_PAYLOAD(attribute)));
    return value;
}

static const struct rtattr *find_attribute(const struct nlmsghdr *message, size_t header_bytes, unsigned short type)
{
    const struct rtattr *attribute =
        (const struct rtattr *)((const char *)NLMSG_DATA(message) + NLMSG_ALIGN(header_bytes));
    size_t left = NLMSG_PAYLOAD(message, header_bytes);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
        if (attribute->rta_type == type)
            return attribute;
    return NULL;
}

static uint32_t find_u32(const struct nlmsghdr *message, size_t header_bytes, unsigned short type, uint32_t otherwise)
{
    const struct rtattr *attribute = find_attribute(message, header_bytes, type);
    return attribute != NULL ? attribute_u32(attribute) : otherwise;
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void take_link(struct reading *reading, const struct nlmsghdr *message)
{
    const struct ifinfomsg *info = NLMSG_DATA(message);
    const struct rtattr *name = find_attribute(message, sizeof(*info), IFLA_IFNAME);
    const roam_allocator *allocator = reading->addresses->allocator;
    if (message->nlmsg_type != RTM_NEWLINK || name == NULL)
        return;
    if (reading->link_count == reading->link_capacity) {
        size_t capacity = reading->link_capacity == 0 ? 16 : 2 * reading->link_capacity, size = sizeof(*reading->links);
        void *links = mem_resize(allocator, reading->links, reading->link_capacity * size, capacity * size);
        if (links == NULL) {
            reading->out_of_memory = true;
            return;
        }
        reading->links = links;
        reading->link_capacity = capacity;
    }
    struct link_entry *entry = &reading->links[reading->link_count++];
    *entry = (struct link_entry){.index = (uint32_t)info->ifi_index, .flags = info->ifi_flags};
    memcpy(entry->name, RTA_DATA(name), min_size(sizeof(entry->name) - 1, RTA_PAYLOAD(name)));
}

static const struct link_entry *find_link(const struct reading *reading, uint32_t index)
{
    for (size_t i = 0; i < reading->link_count; i++)
        if (reading->links[i].index == index)
            return &reading->links[i];
    return NULL;
}

static void take_address(struct reading *reading, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *info = NLMSG_DATA(message);
    const struct link_entry *link = find_link(reading, info->ifa_index);
    /* IFA_LOCAL is ours where IFA_ADDRESS is the other end of a point-to-point link. */
    const struct rtattr *ip = find_attribute(message, sizeof(*info), IFA_LOCAL);
    uint32_t flags = find_u32(message, sizeof(*info), IFA_FLAGS, info->ifa_flags);
    bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
    if (ip == NULL)
        ip = find_attribute(message, sizeof(*info), IFA_ADDRESS);
    if (message->nlmsg_type != RTM_NEWADDR || ip == NULL || link == NULL || (link->flags & IFF_LOOPBACK) != 0 ||
        info->ifa_scope >= RT_SCOPE_LINK || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
        return;
    struct host_address address = {
        .ip.family = info->ifa_family == AF_INET ? ROAM_FAMILY_IPV4 : ROAM_FAMILY_IPV6,
        .interface_index = info->ifa_index,
        .usable = (link->flags & IFF_UP) != 0 && (link->flags & IFF_RUNNING) != 0 && !tentative &&
                  (flags & IFA_F_DADFAILED) == 0,
        .deprecated = (flags & IFA_F_DEPRECATED) != 0,
        .route_rank = NO_DEFAULT_ROUTE,
    };
    memcpy(address.ip.ip, RTA_DATA(ip), min_size(info->ifa_family == AF_INET ? 4 : 16, RTA_PAYLOAD(ip)));
    memcpy(address.name, link->name, sizeof(address.name));
    if (address_is_link_local(&address.ip))
        return;
    if (!host_addresses_add(reading->addresses, &address))
        reading->out_of_memory = true;
}

static void rank_interface(struct reading *reading, uint8_t family, uint32_t index, uint64_t rank)
{
    for (size_t i = 0; i < reading->addresses->count; i++) {
        struct host_address *address = &reading->addresses->entries[i];
        if (address->interface_index == index && address->ip.family == family)
            address->route_rank = min_u64(address->route_rank, rank);
    }
}

static void rank_next_hops(struct reading *reading, uint8_t family, const struct rtattr *hops, uint64_t rank)
{
    const struct rtnexthop *hop = RTA_DATA(hops);
    size_t left = RTA_PAYLOAD(hops);
    while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left) {
        if ((hop->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0)
            rank_interface(reading, family, (uint32_t)hop->rtnh_ifindex, rank);
        size_t step = NLMSG_ALIGN(hop->rtnh_len);
        if (step >= left)
            return;
        left -= step;
        hop = RTNH_NEXT(hop);
    }
}

/* Default routes of the main table: 0/0, or a half of it, as VPNs lay them over the other. */
static void take_route(struct reading *reading, const struct nlmsghdr *message)
{
    const struct rtmsg *route = NLMSG_DATA(message);
    reading->routes++;
    if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len > 1 || route->rtm_type != RTN_UNICAST ||
        (route->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0 ||
        find_u32(message, sizeof(*route), RTA_TABLE, route->rtm_table) != RT_TABLE_MAIN)
        return;
    uint8_t family = route->rtm_family == AF_INET ? ROAM_FAMILY_IPV4 : ROAM_FAMILY_IPV6;
    uint64_t rank = (uint64_t)(1 - route->rtm_dst_len) << 32 | find_u32(message, sizeof(*route), RTA_PRIORITY, 0);
    const struct rtattr *out = find_attribute(message, sizeof(*route), RTA_OIF);
    const struct rtattr *hops = find_attribute(message, sizeof(*route), RTA_MULTIPATH);
    if (out != NULL)
        rank_interface(reading, family, attribute_u32(out), rank);
    if (hops != NULL)
        rank_next_hops(reading, family, hops, rank);
}

/* ---- Dumps ------------------------------------------------------------------------------------------------------- */

static int open_netlink(uint32_t groups, int flags)
{
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool ask(int fd, uint16_t type)
{
    struct {
        struct nlmsghdr header;
        struct rtgenmsg body;
    } request = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
                   .nlmsg_type = type,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = type},
        .body = {.rtgen_family = AF_UNSPEC},
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(fd, &request, request.header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) >= 0;
}

enum dump_end { DUMP_GOES_ON, DUMP_DONE, DUMP_TORN, DUMP_FAILED };

static enum dump_end take_messages(struct reading *reading, const void *buffer, size_t bytes, take_message *take)
{
    bool torn = false;
    for (const struct nlmsghdr *message = buffer; NLMSG_OK(message, bytes); message = NLMSG_NEXT(message, bytes)) {
        torn = torn || (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (message->nlmsg_type == NLMSG_DONE)
            return torn ? DUMP_TORN : DUMP_DONE;
        if (message->nlmsg_type == NLMSG_ERROR) {
            errno = EIO;
            return DUMP_FAILED;
        }
        take(reading, message);
    }
    return torn ? DUMP_TORN : reading->routes >= ROUTES_MAX ? DUMP_DONE : DUMP_GOES_ON;
}

static enum dump_end dump(uint16_t type, take_message *take, struct reading *reading)
{
    const struct timeval patience = {.tv_sec = 1}; /* the kernel answers at once, or never */
    struct sockaddr_nl from = {0};
    _Alignas(struct nlmsghdr) char buffer[DUMP_BYTES];
    enum dump_end end = DUMP_FAILED;
    int fd = open_netlink(0, 0);
    if (fd < 0)
        return DUMP_FAILED;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (ask(fd, type)) {
        do {
            socklen_t from_bytes = sizeof(from);
            ssize_t bytes = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &from_bytes);
            if (bytes < 0 && errno != EINTR)
                end = DUMP_FAILED;
            else if (bytes < 0 || from.nl_pid != 0)
                end = DUMP_GOES_ON; /* not the kernel's word */
            else
                end = take_messages(reading, buffer, (size_t)bytes, take);
        } while (end == DUMP_GOES_ON);
    }
    int why = errno;
    close(fd);
    errno = why;
    return end;
}

static enum dump_end dump_all(struct reading *reading)
{
    enum dump_end end = dump(RTM_GETLINK, take_link, reading);
    if (end == DUMP_DONE)
        end = dump(RTM_GETADDR, take_address, reading);
    return end == DUMP_DONE ? dump(RTM_GETROUTE, take_route, reading) : end;
}

static bool list(struct host_addresses *ret)
{
    enum dump_end end = DUMP_TORN;
    bool out_of_memory = false;
    for (int i = 0; i < DUMP_ATTEMPTS && end == DUMP_TORN; i++) {
        struct reading reading = {.addresses = ret};
        ret->count = 0;
        end = dump_all(&reading);
        out_of_memory = reading.out_of_memory;
        mem_free(ret->allocator, reading.links, reading.link_capacity * sizeof(*reading.links));
    }
    if (out_of_memory)
        errno = ENOMEM;
    /* Torn each time: what was seen is as good as anything, and an event will follow. */
    return end != DUMP_FAILED && !out_of_memory;
}

/* ---- Routes ------------------------------------------------------------------------------------------------------ */

static void add_attribute(struct nlmsghdr *message, unsigned short type, const void *data, size_t bytes)
{
    struct rtattr *attribute = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(bytes);
    memcpy(RTA_DATA(attribute), data, bytes);
    message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

/* The answer to a question for one route: a route, or an error. */
static bool is_route(int fd)
{
    const struct timeval patience = {.tv_sec = 1};
    _Alignas(struct nlmsghdr) char buffer[4096];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ssize_t bytes = recv(fd, buffer, sizeof(buffer), 0);
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    return bytes > 0 && NLMSG_OK(message, (size_t)bytes) && message->nlmsg_type == RTM_NEWROUTE;
}

/* Asked for a route of the tables. Connecting a socket that is bound to an interface will not do: where no route leads
 * there, Linux takes every address for a neighbour's. */
static bool leads(const struct host_address *address, const roam_address *remote)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg body;
        char attributes[128];
    } request = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST},
    };
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    size_t bytes = address->ip.family == ROAM_FAMILY_IPV4 ? 4 : 16;
    request.body = (struct rtmsg){
        .rtm_family = address->ip.family == ROAM_FAMILY_IPV4 ? AF_INET : AF_INET6,
        .rtm_dst_len = (unsigned char)(8 * bytes),
        .rtm_src_len = (unsigned char)(8 * bytes),
        .rtm_flags = RTM_F_FIB_MATCH,
    };
    add_attribute(&request.header, RTA_DST, remote->ip, bytes);
    add_attribute(&request.header, RTA_SRC, address->ip.ip, bytes);
    add_attribute(&request.header, RTA_OIF, &address->interface_index, sizeof(address->interface_index));
    int fd = open_netlink(0, 0);
    bool found =
        fd >= 0 &&
        sendto(fd, &request, request.header.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) >= 0 &&
        is_route(fd);
    if (fd >= 0)
        close(fd);
    return found;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static int open_events(void)
{
    return open_netlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
                        SOCK_NONBLOCK);
}

/* What they say is not looked at: the list is made anew. ENOBUFS, events that did not fit, is no other case then. */
static void drain(int fd)
{
    char buffer[DUMP_BYTES];
    while (recv(fd, buffer, sizeof(buffer), MSG_TRUNC) >= 0 || errno == ENOBUFS || errno == EINTR)
        ;
}

const struct network_source network_source_netlink = {"netlink", list, leads, open_events, drain};

#else

#include <errno.h>

static bool list(struct host_addresses *ret)
{
    (void)ret;
    errno = ENOSYS;
    return false;
}

const struct network_source network_source_netlink = {"netlink", list, NULL, NULL, NULL};

#endif
