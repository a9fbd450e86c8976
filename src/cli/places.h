/* Where `roam listen` listens: any number of places, and those that it would rather be spoken to at. */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include "cli/cli.h"

/* Everywhere is two sockets; and there may be two preferred ones. */
#define PLACES_MAX (2 * POSITIONAL_MAX + 2)

struct places {
    roam_io *io;
    const struct net_options *options;
    roam_address bound[PLACES_MAX];
    size_t count;
};

/* Opens a socket at each [ADDR:]PORT of the line and each --preferred address, says so, and tells the endpoint what it
 * prefers. ret_name (256 octets) and *ret_port are how the other side would call the first. False, with the reason
 * said, where one cannot be opened. */
bool places_open(roam_io *io, const struct net_options *options, const struct command_line *line, char *ret_name,
                 uint16_t *ret_port);

/* The same, and *ret says which sockets there are. */
bool places_open_all(struct places *ret, roam_io *io, const struct net_options *options,
                     const struct command_line *line, char *ret_name, uint16_t *ret_port);

#endif
