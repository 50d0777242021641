// How an edge is scored: a factor times the sum over a head's channels of a term in the query and
// the key, which is symmetric in the two.
#pragma once

#include "common/lanes.cuh"

// scale * <q, k>. Edge vectors join the key and the value.
template <class L>
struct Dot {
    using A = typename L::A;
    static constexpr bool JOINS_VALUES = true;
    static constexpr int KEPT_ROWS = 0;  // widened rows that the score itself keeps in registers
    A factor;

    __device__ Dot(const L&, const A*, double scale) : factor(scale) {}
    __device__ A term(int, A a, A b) const { return a * b; }
    // The term's derivative by a, and by the weight.
    __device__ A slope(int, A, A b) const { return b; }
    __device__ A by_weight(int, A, A) const { return 0; }
};

// sum over channels of w * lrelu(q + k), weight w [H, D]. Edge vectors join the key.
template <class L>
struct Additive {
    using A = typename L::A;
    static constexpr bool JOINS_VALUES = false;
    static constexpr int KEPT_ROWS = 1;
    static constexpr A factor = 1;
    A weight[L::CHANNELS], negative_slope;

    __device__ Additive(const L& lanes, const A* weights, double negative_slope)
        : negative_slope(negative_slope) {
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) weight[c] = *lanes.channel_of(weights, c);
    }
    __device__ A term(int c, A a, A b) const { return weight[c] * by_weight(c, a, b); }
    __device__ A slope(int c, A a, A b) const {
        return a + b > 0 ? weight[c] : weight[c] * negative_slope;
    }
    __device__ A by_weight(int, A a, A b) const {
        A sum = a + b;
        return sum > 0 ? sum : sum * negative_slope;
    }
};
