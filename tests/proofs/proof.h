/*
 * What the proofs are written in. A proof is a function that draws values, turns the real sources with them (which it
 * includes) and asserts what must hold. There are two kinds of them:
 *
 * - Arithmetic over all numbers, which has a line that opens with "cbmc:", the bounds of its loops. CBMC (`make proofs`)
 *   reads `draw_...` as "any value": no input at all then breaks an assertion or meets undefined behaviour. An ordinary
 *   build runs the same function some thousand times with values drawn at random, so that a proof that says something
 *   wrong, or that no longer compiles, is noticed on every machine.
 * - Sets, whose state is what a solver is slow with and a processor fast: there every choice is taken, one after the
 *   other, within bounds that the proof tells (`proof_takes_every_choice`). What they do with numbers is to compare them
 *   and to ask whether they touch, so that where there are few, few values stand for all. `make check` runs them, under
 *   the sanitizers too.
 */
#ifndef TESTS_PROOFS_PROOF_H
#define TESTS_PROOFS_PROOF_H

/* An assertion that is compiled away proves nothing. */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void proof(void);
extern const bool proof_takes_every_choice;

#ifdef __CPROVER__
uint64_t nondet_u64(void);
static inline uint64_t draw_u64(void)
{
    return nondet_u64();
}

static inline uint64_t draw_below(uint64_t end)
{
    uint64_t value = nondet_u64();
    __CPROVER_assume(value < end);
    return value;
}
#else
/* Any number, those at the edges of things more often than others. */
uint64_t draw_u64(void);
/* Any number below `end`, which is not 0. */
uint64_t draw_below(uint64_t end);
#endif

static inline bool draw_bool(void)
{
    return draw_below(2) != 0;
}

static inline uint8_t draw_u8(void)
{
    return (uint8_t)draw_below(256);
}

#endif
