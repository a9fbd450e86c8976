/* Is a text JSON (RFC 8259)? A strict reader that shares no line with the writer. */
#ifndef UNIT_JSON_CHECK_H
#define UNIT_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* One value, and nothing after it. */
bool json_is_valid(const char *text, size_t len);

#endif
