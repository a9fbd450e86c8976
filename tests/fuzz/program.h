/* An input as a program: octets that are taken one after the other, and zeros when they are used up. */
#ifndef TESTS_FUZZ_PROGRAM_H
#define TESTS_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct program {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t program_take(struct program *program)
{
    if (program->size == 0)
        return 0;
    program->size--;
    return *program->data++;
}

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

#endif
