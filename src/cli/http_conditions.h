/* Conditional requests, RFC 9110 section 13, and which coding a client takes, section 12.5.3. */
#ifndef CLI_HTTP_CONDITIONS_H
#define CLI_HTTP_CONDITIONS_H

#include <stdbool.h>
#include <time.h>

/* Fields of a request; NULL where there is none. */
struct http_conditions {
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since, *if_range;
};

/* What a representation is known by. */
struct http_validators {
    const char *etag; /* with its quotes, strong */
    time_t modified;
};

/* 200, 304 or 412 for a GET or HEAD. */
int http_conditions_judge(const struct http_conditions *conditions, const struct http_validators *validators,
                          time_t now);

/* Whether a Range field counts. */
bool http_range_applies(const struct http_conditions *conditions, const struct http_validators *validators, time_t now);

/* The weight, in thousandths, that an Accept-Encoding field (NULL: there was none) gives a coding; 0: not acceptable. */
int http_coding_weight(const char *accept_encoding, const char *coding);

#endif
