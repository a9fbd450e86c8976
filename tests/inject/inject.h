/*
 * Fails one call of a program on purpose. Loaded in front of the C library (LD_PRELOAD), it recognizes each allocation and
 * each fallible system call by the calls that led to it, counts it, and lets the one that was asked for fail. What it is
 * told, by the environment:
 *
 *     ROAM_INJECT_BOOK    a file for struct inject_book, where every distinct call is written down
 *     ROAM_INJECT_FAIL    ID:N[:ERROR], in hexadecimal, decimal, decimal: the call of this id fails when it is made for the
 *                         Nth time, from 1, with the ERRORth of its errors, from 0
 *     ROAM_INJECT_TEST    the place of the one unit test, from 0, that the program is to run
 *
 * Calls count that the program's own code leads to: those before main and those of other threads do not.
 */
#ifndef INJECT_INJECT_H
#define INJECT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INJECT_CALLS_MAX   65536
#define INJECT_FRAMES_MAX  56
#define INJECT_MODULES_MAX 64
#define INJECT_NAME_BYTES  32

struct inject_call {
    uint64_t id; /* 0: none yet */
    uint32_t count;
    uint8_t errors; /* in how many ways it can fail */
    uint8_t is_memory;
    uint16_t frames;
    char name[INJECT_NAME_BYTES];
    uint64_t frame[INJECT_FRAMES_MAX]; /* innermost first: the module in the upper 16 bits, the offset in it below */
};

/* Read by tests/inject/book.py, which knows this layout. */
struct inject_book {
    uint64_t failed;  /* how often a call was made to fail: 0 or 1 */
    uint64_t missing; /* calls that found no room */
    uint64_t tests;   /* unit tests of the program; 0: it has none */
    char module[INJECT_MODULES_MAX][128];
    struct inject_call call[INJECT_CALLS_MAX];
};

/* NULL where nothing is written down. */
extern struct inject_book *inject_book;

/* Whether this call is to fail. `errors`: what errno may then be, ended by 0; it is set. */
bool inject_fails(const char *name, bool is_memory, const int *errors);

/* Whether the call comes from a library that answers errors of some calls with abort(). */
bool inject_caller_gives_up(const void *caller);

/* What the caller's own definition hides. Ends the program where there is none. */
void *inject_next(const char *name);

#endif
