/*
 * What servers give for the next connection, tokens (RFC 9000 section 8.1.3) and sessions (RFC 8446 section 2.2): a text
 * file with a line for each, "NAME:PORT HEX" or "session NAME:PORT HEX", that only its owner reads. What is taken leaves
 * the file, so that it goes out once.
 */
#ifndef CLI_KEEP_FILE_H
#define CLI_KEEP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keepsake { KEEP_TOKEN, KEEP_SESSION, KEEPSAKES };

/* Longest token and longest session that is kept, as a client of this library takes no longer ones. */
#define KEEP_TOKEN_BYTES_MAX   512
#define KEEP_SESSION_BYTES_MAX 16384

/* Takes the newest one of this server out of the file; ret has room for the longest of its kind. Returns its length, 0
 * where there is none; -1, with errno, where the file cannot be used. */
ptrdiff_t keep_file_take(const char *file, enum keepsake what, const char *name, uint16_t port, uint8_t *ret);

/* Puts one there. False, with errno, where the file cannot be used; what is too long is left out. */
bool keep_file_put(const char *file, enum keepsake what, const char *name, uint16_t port, const uint8_t *data,
                   size_t len);

#endif
