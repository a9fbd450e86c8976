/*
 * Tokens of servers, for the next connection (RFC 9000 section 8.1.3): a text file with a line for each, "NAME:PORT
 * HEX", that only its owner reads. A token leaves the file when it is taken, so that it goes out once.
 */
#ifndef CLI_TOKEN_FILE_H
#define CLI_TOKEN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tokens kept for one server: the newest. */
#define TOKENS_KEPT 4

/* Longest token that is kept, as a client of this library takes no longer one. */
#define TOKEN_FILE_BYTES_MAX 512

/* Takes the newest token of this server out of the file. Returns its length, 0 where there is none; -1, with errno,
 * where the file cannot be used. */
ptrdiff_t token_file_take(const char *file, const char *name, uint16_t port, uint8_t ret[TOKEN_FILE_BYTES_MAX]);

/* Puts one there. False, with errno, where the file cannot be used; a token that is too long is left out. */
bool token_file_put(const char *file, const char *name, uint16_t port, const uint8_t *token, size_t len);

#endif
