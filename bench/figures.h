/* What the measurements here share: clocks, numbers that look random, and medians. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <roam/types.h>

#define ROUNDS_MAX 25

/* One figure, measured once a round. */
struct figure {
    double values[ROUNDS_MAX];
    size_t count;
};

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* The number that belongs to an index: the keys of a table need not be kept to be asked for again (SplitMix64). */
static inline uint64_t scatter(uint64_t index)
{
    uint64_t z = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void figure_add(struct figure *figure, double value)
{
    figure->values[figure->count++] = value;
}

static inline double figure_least(const struct figure *figure)
{
    double least = figure->values[0];
    for (size_t i = 1; i < figure->count; i++)
        least = figure->values[i] < least ? figure->values[i] : least;
    return least;
}

/* Median, least and most. */
static inline void figure_print(struct figure *figure, int width, int digits)
{
    qsort(figure->values, figure->count, sizeof(figure->values[0]), compare_doubles);
    double low = figure->values[(figure->count - 1) / 2], high = figure->values[figure->count / 2];
    char text[64];
    snprintf(text, sizeof(text), "%.*f (%.*f-%.*f)", digits, (low + high) / 2, digits, figure->values[0], digits,
             figure->values[figure->count - 1]);
    printf("  %*s", width, text);
}

/* The argument as a count from 1 to `max`, or the end of the program. */
static inline size_t count_from(const char *program, const char *text, size_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > max) {
        fprintf(stderr, "%s: not a number from 1 to %zu: %s\n", program, max, text);
        exit(2);
    }
    return (size_t)value;
}

/* malloc and free, and how many octets are out. */
static inline void *counting_reallocate(void *context, void *ptr, size_t old_bytes, size_t new_bytes)
{
    size_t *bytes_out = context;
    if (new_bytes == 0) {
        free(ptr);
        *bytes_out -= old_bytes;
        return NULL;
    }
    void *moved = realloc(ptr, new_bytes);
    if (moved != NULL)
        *bytes_out += new_bytes - old_bytes;
    return moved;
}

#endif
