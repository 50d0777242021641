// Running softmax over scores in base 2: the largest score and the sum of shares relative to it.
#pragma once

#include "common/types.cuh"

__device__ inline float exp_2(float x) { return exp2f(x); }
__device__ inline double exp_2(double x) { return exp2(x); }
__device__ inline float log_2(float x) { return log2f(x); }
__device__ inline double log_2(double x) { return log2(x); }
__device__ inline float larger(float x, float y) { return fmaxf(x, y); }  // drops NaN
__device__ inline double larger(double x, double y) { return fmax(x, y); }

// 2^(score - top). IEEE infinities need no finite stand-in: a score of -inf has no share, also when
// all are -inf, and the top score has share 1, also when it is +inf. NaN stays NaN.
template <class A> __device__ A share_of(A score, A top) {
    if (score == -infinity<A>()) return 0;
    return score == top ? A(1) : exp_2(score - top);
}

template <class A> struct SoftmaxState {
    A top = -infinity<A>();
    A total = 0;  // sum of 2^(score - top)

    // Make room for larger scores; returns the factor for everything accumulated so far. NaN does
    // not become the top: it makes its own share NaN, and with it the total.
    __device__ A raise(A score) {
        A before = top;
        top = larger(top, score);
        A factor = share_of(before, top);
        total *= factor;
        return factor;
    }

    // One +inf takes all the weight; of two, neither can.
    __device__ A inverse_total() const {
        if (top == infinity<A>() && total > 1) return infinity<A>() - infinity<A>();
        return total == 0 ? A(0) : 1 / total;
    }

    // Natural logarithm of the sum of exponentials; -inf when there was no score.
    __device__ A log_sum_exp() const {
        if (top == infinity<A>() && total > 1) return infinity<A>() - infinity<A>();
        return total == 0 ? -infinity<A>() : (top + log_2(total)) * ln_2<A>;
    }
};
