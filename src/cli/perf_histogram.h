/*
 * Durations, counted: a bucket for each value up to 255 ns, and 128 for each power of two above, so that what is read
 * out is at most one part in 128 too high. No allocation, whatever comes.
 */
#ifndef CLI_PERF_HISTOGRAM_H
#define CLI_PERF_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* All zero is an empty one. */
struct perf_histogram {
    uint64_t count, sum;
    uint64_t least, most; /* exactly */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void perf_histogram_add(struct perf_histogram *histogram, uint64_t value);

/* The value that so many parts of a million do not exceed: 500000 is the median. 0 of an empty one. */
uint64_t perf_histogram_at(const struct perf_histogram *histogram, uint32_t parts);

/* 0 of an empty one. */
uint64_t perf_histogram_mean(const struct perf_histogram *histogram);

#endif
