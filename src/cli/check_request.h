/* The octets of a request, for the probe that moves in the middle of a response. Pure. */
#ifndef CLI_CHECK_REQUEST_H
#define CLI_CHECK_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define CHECK_REQUEST_MAX 2048

enum check_request_kind { CHECK_REQUEST_NONE, CHECK_REQUEST_HQ, CHECK_REQUEST_H3 };

/* What requests are made over this application protocol. */
enum check_request_kind check_request_kind(const char *alpn);

/* A GET of `path`, to be followed by the end of the stream. Returns its length; 0 where it does not fit. */
size_t check_request_write(enum check_request_kind kind, const char *authority, const char *path, uint8_t *ret,
                           size_t capacity);

/* HTTP/3: what the client's control stream begins with. */
size_t check_request_control(uint8_t *ret, size_t capacity);

#endif
