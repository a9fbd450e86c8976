/* Durations, counted: see perf_histogram.h. Kept: every value has a bucket, and a bucket's values differ by less than
 * one part in 128. */
#include "cli/perf_histogram.h"

#include "base/minmax.h"

#define MILLION 1000000

/* Below this each value has a bucket of its own. */
#define EXACT_BELOW (2u << HISTOGRAM_BITS)

static unsigned bucket_of(uint64_t value)
{
    if (value < EXACT_BELOW)
        return (unsigned)value;
    unsigned shift = 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
    return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/* The largest value that belongs there. */
static uint64_t top_of(unsigned bucket)
{
    if (bucket < EXACT_BELOW)
        return bucket;
    unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t leading = bucket - (shift << HISTOGRAM_BITS);
    return (leading << shift) + ((uint64_t)1 << shift) - 1;
}

void perf_histogram_add(struct perf_histogram *histogram, uint64_t value)
{
    histogram->least = histogram->count == 0 ? value : min_u64(histogram->least, value);
    histogram->most = max_u64(histogram->most, value);
    histogram->count++;
    histogram->sum = saturating_add(histogram->sum, value);
    histogram->buckets[bucket_of(value)]++;
}

uint64_t perf_histogram_at(const struct perf_histogram *histogram, uint32_t parts)
{
    /* The smallest number of values that is at least so large a part. */
    uint64_t wanted = histogram->count / MILLION * parts + (histogram->count % MILLION * parts + MILLION - 1) / MILLION;
    uint64_t seen = 0;
    if (histogram->count == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= max_u64(wanted, 1))
            return min_u64(top_of(i), histogram->most);
    }
    return histogram->most;
}

uint64_t perf_histogram_mean(const struct perf_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / histogram->count;
}
