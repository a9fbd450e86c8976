/* Sockets to listen on: see places.h. An endpoint answers from the address that it was spoken to at, so that any
 * number of them is one server. */
#include "cli/places.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Port 0 becomes the one that the kernel chose. False with errno. */
static bool bind_socket(struct places *places, roam_address *address)
{
    if (roam_io_bind(places->io, address, address) != ROAM_OK)
        return false;
    places->bound[places->count++] = *address;
    return true;
}

static bool bind_one(struct places *places, roam_address *address, const char *what)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (!bind_socket(places, address)) {
        say_error("cannot listen on %s: %s", what, strerror(errno));
        return false;
    }
    fprintf(stderr, "listening on %s\n", roam_address_format(address, text));
    return true;
}

/* Everywhere, in both families where the host has both; port 0 becomes the same one in both. */
static bool bind_everywhere(struct places *places, uint16_t port, uint16_t *ret_port)
{
    roam_address ipv4 = {.family = ROAM_FAMILY_IPV4, .port = port}, ipv6 = {.family = ROAM_FAMILY_IPV6};
    char what[32];
    snprintf(what, sizeof(what), "port %u", port);
    if (!places->options->ipv6 && !bind_one(places, &ipv4, what))
        return false;
    *ret_port = ipv6.port = ipv4.port;
    if (places->options->ipv4)
        return true;
    if (!bind_socket(places, &ipv6)) {
        /* A host without IPv6 is no reason to stop, a port that another program has is. */
        if (!places->options->ipv6 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
            return true;
        say_error("cannot listen on [::]:%u: %s", ipv6.port, strerror(errno));
        return false;
    }
    *ret_port = ipv6.port;
    fprintf(stderr, "listening on [::]:%u\n", ipv6.port);
    return true;
}

/* ret_name (256 octets) is how the other side would call us. */
static bool bind_place(struct places *places, const char *where, char *ret_name, uint16_t *ret_port)
{
    char host[256], text[300];
    uint16_t port;
    roam_address address;
    if (!split_host_port(where, "", host, &port)) {
        say_error("not a place to listen on: '%s'; try 4433, 127.0.0.1:4433 or [::1]:4433", where);
        return false;
    }
    if (host[0] == '\0') {
        gethostname(ret_name, 255);
        return bind_everywhere(places, port, ret_port);
    }
    snprintf(text, sizeof(text), strcmp(host, "localhost") == 0 ? "127.0.0.1" : "%s", host);
    if (!roam_address_parse(&address, text)) {
        say_error("not an address to listen on: '%s'", host);
        return false;
    }
    address.port = port;
    if (!bind_one(places, &address, where))
        return false;
    snprintf(ret_name, 256, address.family == ROAM_FAMILY_IPV6 ? "[%s]" : "%s", host);
    *ret_port = address.port;
    return true;
}

/* ---- Where we would rather be ------------------------------------------------------------------------------------ */

/* One of our sockets is there already: at that address, or everywhere. */
static bool is_covered(const struct places *places, const roam_address *address)
{
    static const uint8_t anywhere[sizeof(address->ip)];
    for (size_t i = 0; i < places->count; i++) {
        const roam_address *bound = &places->bound[i];
        bool wildcard = bound->family == address->family && memcmp(bound->ip, anywhere, sizeof(anywhere)) == 0;
        if (bound->port == address->port && (wildcard || roam_address_same_ip(bound, address)))
            return true;
    }
    return false;
}

static bool bind_preferred(struct places *places, uint16_t first_port, roam_address *address)
{
    char text[ROAM_ADDRESS_TEXT_MAX];
    if (address->port == 0)
        address->port = first_port;
    if (!is_covered(places, address) && !bind_socket(places, address)) {
        say_error("cannot listen on %s: %s", roam_address_format(address, text), strerror(errno));
        return false;
    }
    fprintf(stderr, "preferred address %s\n", roam_address_format(address, text));
    return true;
}

static bool prefer(struct places *places, uint16_t first_port)
{
    const struct address_list *wanted = &places->options->preferred;
    roam_address addresses[2];
    const roam_address *of_family[2] = {NULL, NULL}; /* IPv4, IPv6 */
    for (size_t i = 0; i < wanted->count; i++) {
        size_t family = wanted->addresses[i].family == ROAM_FAMILY_IPV6;
        if (of_family[family] != NULL) {
            say_error("--preferred takes one address of each family");
            return false;
        }
        addresses[family] = wanted->addresses[i];
        of_family[family] = &addresses[family];
        if (!bind_preferred(places, first_port, &addresses[family]))
            return false;
    }
    if (wanted->count == 0 || roam_endpoint_prefer(roam_io_endpoint(places->io), of_family[0], of_family[1]) == ROAM_OK)
        return true;
    say_error("no preferred address without connection IDs, nor one that is no host's");
    return false;
}

bool places_open_all(struct places *ret, roam_io *io, const struct net_options *options,
                     const struct command_line *line, char *ret_name, uint16_t *ret_port)
{
    *ret = (struct places){.io = io, .options = options};
    setup_buffers(io, options);
    for (size_t i = 0; i < line->positional_count; i++) {
        char name[256] = "localhost";
        uint16_t port;
        if (!bind_place(ret, line->positional[i], name, &port))
            return false;
        if (i == 0) {
            memcpy(ret_name, name, sizeof(name));
            *ret_port = port;
        }
    }
    report_buffers(io);
    return prefer(ret, *ret_port);
}

bool places_open(roam_io *io, const struct net_options *options, const struct command_line *line, char *ret_name,
                 uint16_t *ret_port)
{
    struct places places;
    return places_open_all(&places, io, options, line, ret_name, ret_port);
}
