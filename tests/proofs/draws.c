/*
 * Runs a proof in an ordinary build: with every choice that there is, one run for each, where the proof says so; else with
 * values drawn at random, always the same ones, argv[1] times or as often as takes a moment.
 */
#include <stdio.h>

#include "proofs/proof.h"

#define TIMES       20000
#define CHOICES_MAX 64

/* ---- Every choice: those of the last run, of which the last one that has another value left is taken on */

static struct choice {
    uint64_t value, end;
} choices[CHOICES_MAX];
static size_t made, known;

static uint64_t choose(uint64_t end)
{
    assert(end > 0 && made < CHOICES_MAX);
    if (made == known)
        choices[known++] = (struct choice){0, end};
    assert(choices[made].end == end);
    return choices[made++].value;
}

static bool choose_on(void)
{
    made = 0;
    while (known > 0 && choices[known - 1].value + 1 == choices[known - 1].end)
        known--;
    if (known > 0)
        choices[known - 1].value++;
    return known > 0;
}

/* ---- Drawn values */

static uint64_t state = 1;

static uint64_t draw_bits(void)
{
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return bits ^ bits >> 31;
}

/* Half of them within a few of a power of two. */
uint64_t draw_u64(void)
{
    assert(!proof_takes_every_choice);
    const uint64_t shape = draw_bits();
    if ((shape & 1) != 0)
        return draw_bits() >> (shape >> 1) % 64;
    return (UINT64_C(1) << (shape >> 1) % 64) + (shape >> 8) % 5 - 3;
}

uint64_t draw_below(uint64_t end)
{
    if (proof_takes_every_choice)
        return choose(end);
    return (end > 1000 && (draw_bits() & 1) != 0 ? draw_u64() : draw_bits()) % end;
}

int main(int argc, char **argv)
{
    unsigned long runs = 0, times = argc > 1 ? strtoul(argv[1], NULL, 10) : TIMES;
    do {
        proof();
        runs++;
    } while (proof_takes_every_choice ? choose_on() : runs < times);
    printf("%lu runs\n", runs);
    return 0;
}
