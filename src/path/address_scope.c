/* Scopes of addresses: see the header. The ranges are those of the IANA special-purpose registries. */
#include "path/address_scope.h"

#include <string.h>

#include "base/minmax.h"

struct scope_range {
    uint8_t prefix[12]; /* as many octets as `bits` needs */
    uint8_t bits;
    enum address_scope scope;
};

static const struct scope_range ipv4_ranges[] = {
    {{0}, 8, ADDRESS_NOWHERE}, /* this network */
    {{127}, 8, ADDRESS_LOOPBACK},
    {{169, 254}, 16, ADDRESS_LINK_LOCAL},
    {{10}, 8, ADDRESS_PRIVATE},
    {{172, 16}, 12, ADDRESS_PRIVATE},
    {{192, 168}, 16, ADDRESS_PRIVATE},
    {{100, 64}, 10, ADDRESS_PRIVATE},           /* shared: behind a provider's NAT */
    {{224}, 4, ADDRESS_NOWHERE},                /* multicast */
    {{255, 255, 255, 255}, 32, ADDRESS_NOWHERE} /* broadcast */
};

static const struct scope_range ipv6_ranges[] = {
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
    {{0xfc}, 7, ADDRESS_PRIVATE}, /* unique local */
    {{0xff}, 8, ADDRESS_NOWHERE}, /* multicast */
};

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
    if (memcmp(ip, prefix, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || (ip[bits / 8] ^ prefix[bits / 8]) >> (8 - rest) == 0;
}

static enum address_scope find_range(const struct scope_range *ranges, size_t count, const uint8_t *ip)
{
    for (size_t i = 0; i < count; i++) {
        if (has_prefix(ip, ranges[i].prefix, ranges[i].bits))
            return ranges[i].scope;
    }
    return ADDRESS_GLOBAL;
}

static enum address_scope scope_of_ipv6(const uint8_t ip[16])
{
    static const uint8_t unspecified[16], loopback[16] = {[15] = 1};
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(ip, unspecified, sizeof(unspecified)) == 0)
        return ADDRESS_NOWHERE;
    if (memcmp(ip, loopback, sizeof(loopback)) == 0)
        return ADDRESS_LOOPBACK;
    if (memcmp(ip, translated, sizeof(translated)) == 0)
        return find_range(ipv4_ranges, ARRAY_LENGTH(ipv4_ranges), ip + sizeof(translated));
    return find_range(ipv6_ranges, ARRAY_LENGTH(ipv6_ranges), ip);
}

enum address_scope address_scope_of(const roam_address *address)
{
    const roam_address plain = roam_address_unmap(address);
    if (plain.family == ROAM_FAMILY_IPV4)
        return find_range(ipv4_ranges, ARRAY_LENGTH(ipv4_ranges), plain.ip);
    return plain.family == ROAM_FAMILY_IPV6 ? scope_of_ipv6(plain.ip) : ADDRESS_NOWHERE;
}

bool address_enters_loopback(const roam_address *from, const roam_address *to)
{
    return address_scope_of(to) == ADDRESS_LOOPBACK && address_scope_of(from) != ADDRESS_LOOPBACK;
}

bool address_enters_private(const roam_address *from, const roam_address *to)
{
    enum address_scope narrow = address_scope_of(to), wide = address_scope_of(from);
    return (narrow == ADDRESS_PRIVATE || narrow == ADDRESS_LINK_LOCAL) && wide > narrow;
}
