// histogram: latencies in nanoseconds, log-linear with 64 steps per power of two (under 1.6 % wide).
#pragma once

#include <stdint.h>

enum { HISTOGRAM_CELLS = 64 * 59 };

struct histogram {
    uint64_t count, highest;
    uint64_t cells[HISTOGRAM_CELLS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    uint32_t cell = (uint32_t)value;

    if (value >= 64) {
        int power = 63 - __builtin_clzll(value);

        cell = ((uint32_t)(power - 6) << 6) + (uint32_t)(value >> (power - 6));
    }
    histogram->cells[cell]++;
    histogram->count++;
    if (value > histogram->highest)
        histogram->highest = value;
}

// The value below which `share` (0..1) of the entries lie, in microseconds.
double histogram_quantile_us(const struct histogram *histogram, double share);
