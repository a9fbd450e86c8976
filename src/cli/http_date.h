/* Dates of HTTP, RFC 9110 section 5.6.7. */
#ifndef CLI_HTTP_DATE_H
#define CLI_HTTP_DATE_H

#include <stdbool.h>
#include <time.h>

#define HTTP_DATE_TEXT_MAX 32

/* "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale. */
const char *http_date_format(time_t when, char ret[HTTP_DATE_TEXT_MAX]);

/* Takes all three forms that a recipient must take: IMF-fixdate, RFC 850's and asctime's. `now` is what a year of two
 * digits is held against. */
bool http_date_parse(const char *text, time_t now, time_t *ret);

#endif
