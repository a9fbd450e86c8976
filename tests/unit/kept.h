/* A hook of a pair that keeps copies of the first datagrams on the wire, for a test to look at or to give again. */
#ifndef TESTS_UNIT_KEPT_H
#define TESTS_UNIT_KEPT_H

#include <string.h>

#include "pair.h"

#define KEPT_MAX 32

/* Copies of what went over the wire, as the receiver would see it. */
static struct kept {
    bool to_server;
    size_t len;
    uint8_t data[2048];
} kept[KEPT_MAX];
static size_t kept_count;

static inline bool keep_copies(struct pair *of, bool to_server, roam_datagram *datagram)
{
    (void)of;
    if (kept_count < KEPT_MAX) {
        kept[kept_count] = (struct kept){.to_server = to_server, .len = datagram->len};
        memcpy(kept[kept_count++].data, datagram->data, datagram->len);
    }
    return true;
}

#endif
