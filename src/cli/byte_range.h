/* The Range and Content-Range fields, RFC 9110 section 14. */
#ifndef CLI_BYTE_RANGE_H
#define CLI_BYTE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More are more work for us than for who asks: then the whole is sent. */
#define BYTE_RANGES_MAX 16

struct byte_range {
    uint64_t first, len;
};

enum byte_range_verdict {
    BYTE_RANGE_IGNORED,       /* no such field, malformed, or too much: the whole is sent */
    BYTE_RANGE_SATISFIABLE,   /* *ret_count of them */
    BYTE_RANGE_UNSATISFIABLE, /* 416 */
};

/* What `field` (NULL: there was none) asks for of a representation of `total` octets. Ranges that overlap or touch are
 * joined, in the order in which they were asked for. */
enum byte_range_verdict byte_range_parse(const char *field, uint64_t total, struct byte_range ret[BYTE_RANGES_MAX],
                                         size_t *ret_count);

/* "bytes FIRST-LAST/TOTAL"; *ret_total is UINT64_MAX for "*". */
bool byte_range_parse_content(const char *field, struct byte_range *ret, uint64_t *ret_total);

#endif
