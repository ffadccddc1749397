#include "histogram.h"

double histogram_quantile_us(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count), below = 0;

    if (!histogram->count)
        return 0;
    if (wanted >= histogram->count)
        wanted = histogram->count - 1;
    for (uint32_t cell = 0; cell < HISTOGRAM_CELLS; cell++) {
        below += histogram->cells[cell];
        if (below <= wanted)
            continue;
        double value = cell;
        if (cell >= 64)
            value = ((double)(64 + cell % 64) + 0.5) * (double)(UINT64_C(1) << (cell / 64 - 1));
        if (value > (double)histogram->highest)
            value = (double)histogram->highest;
        return value / 1000;
    }
    return (double)histogram->highest / 1000;
}
