// What all samplers draw with. Defined in neighborgraph/ops/sample/reference.py.
#pragma once

#include "common/philox.cuh"

using Integer = long long;

// The first position of sorted values in begin .. end that is not before a bound.
__device__ inline Integer first_above(
    const Integer* values, Integer begin, Integer end, Integer bound, bool inclusive) {
    while (begin < end) {
        Integer middle = (begin + end) >> 1;
        if (values[middle] < bound || (inclusive && values[middle] == bound))
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

// The random numbers of one row; number p is below a bound.
struct Numbers {
    unsigned long long seed;
    unsigned key, epoch, stream;

    __device__ Integer draw(unsigned p, Integer bound) const {
        Words words = philox_words(seed, {key, p / 2, epoch, stream});
        unsigned high = p & 1 ? words.c : words.a, low = p & 1 ? words.d : words.b;
        return __umul64hi((unsigned long long)high << 32 | low, bound);
    }
};

// The threads of a warp that share a row, LANES of them.
template <int LANES>
__device__ inline unsigned lanes_together() {
    unsigned together = LANES == 32 ? ~0u : (1u << (LANES % 32)) - 1;
    return together << (threadIdx.x % 32 / LANES * LANES);
}

// Without replacement, Floyd's: LANES threads look at once whether a number was drawn before.
// Each draws the numbers of its own turns, so that they are ready when these come.
template <int LANES>
__device__ inline void draw_distinct(
    Integer first, Integer size, const Numbers& numbers, volatile Integer* out, Integer drawn,
    int lane, unsigned mask) {
    Integer mine = 0;
    for (Integer p = 0; p < drawn; ++p) {
        if (p % LANES == 0) mine = numbers.draw(p + lane, size - drawn + p + lane + 1);
        Integer number = first + __shfl_sync(mask, mine, p % LANES, LANES);
        bool seen = false;
        for (Integer other = lane; other < p; other += LANES) seen |= out[other] == number;
        if (__any_sync(mask, seen)) number = first + size - drawn + p;
        if (lane == 0) out[p] = number;
        __syncwarp(mask);
    }
}
