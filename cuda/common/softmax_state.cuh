// Running softmax over scores in base 2: the largest score and the sum of shares relative to it.
#pragma once

#include "common/types.cuh"

// Flushes results below 2^-126 to zero, which is below the rounding of any sum of shares.
__device__ inline float exp_2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline double exp_2(double x) {
    return exp2(x);
}
__device__ inline float log_2(float x) {
    return log2f(x);
}
__device__ inline double log_2(double x) {
    return log2(x);
}

template <class A>
struct SoftmaxState {
    A top = -infinity<A>();
    A total = 0;  // sum of 2^(score - top)

    // What a score counts for beside the top one: 2^(score - top). IEEE infinities need no finite
    // stand-in: a score of -inf has no share, also when all are -inf; the top score has share 1,
    // also when it is +inf; NaN stays NaN. Written without a branch: the compiler would move what
    // the score depends on, loads included, behind it.
    __device__ A share(A score) const {
        A base = top == -infinity<A>() ? A(0) : top;
        A relative = exp_2(score - base);
        return score == base ? A(1) : relative;
    }

    // Make room for a larger score; returns the factor for everything accumulated so far. NaN does
    // not become the top: it makes its own share NaN, and with it the total.
    __device__ A raise(A score) {
        A before = top;
        top = larger(top, score);
        A factor = before == -infinity<A>() ? A(0) : share(before);
        total *= factor;
        return factor;
    }

    // Take in what another part of the row accumulated; returns its factor, and the own one in
    // `factor`.
    __device__ A merge(A other_top, A other_total, A& factor) {
        factor = raise(other_top);
        A other_factor = other_top == -infinity<A>() ? A(0) : share(other_top);
        total += other_factor * other_total;
        return other_factor;
    }

    // One +inf takes all the weight; of two, neither can.
    __device__ bool undefined() const { return top == infinity<A>() && total > 1; }

    __device__ A inverse_total() const {
        if (undefined()) return infinity<A>() - infinity<A>();
        return total == 0 ? A(0) : 1 / total;
    }

    // Natural logarithm of the sum of exponentials; -inf when there was no score.
    __device__ A log_sum_exp() const {
        if (undefined()) return infinity<A>() - infinity<A>();
        return total == 0 ? -infinity<A>() : (top + log_2(total)) * ln_2<A>;
    }

    // The results of a row's head: what users get, and what the backward pass starts from.
    __device__ void store(A* lse, A* top_and_inverse_total, long long at) const {
        lse[at] = log_sum_exp();
        top_and_inverse_total[2 * at] = top;
        top_and_inverse_total[2 * at + 1] = inverse_total();
    }
};

// The weights of a row whose softmax is complete.
template <class A>
struct Weights {
    SoftmaxState<A> softmax;
    A inverse_total;

    // From (top, 1 / total) as SoftmaxState::store leaves them.
    __device__ static Weights load(const A* from) {
        Vector<A, 2> pair = Vector<A, 2>::load(from);
        Weights weights;
        weights.softmax.top = pair[0];
        weights.inverse_total = pair[1];
        return weights;
    }

    __device__ A of(A score) const { return softmax.share(score) * inverse_total; }
};

// What an edge's gradients need of its receiver: (top, 1 / total, delta, 0) of each head.
template <class A>
struct RowStats {
    Weights<A> weights;
    A delta;

    __device__ static RowStats load(const A* from) {
        constexpr int N = 16 / sizeof(A);
        Vector<A, N> parts[4 / N];
#pragma unroll
        for (int i = 0; i < 4 / N; ++i) parts[i] = Vector<A, N>::load(from + i * N);
        RowStats stats;
        stats.weights.softmax.top = parts[0][0];
        stats.weights.inverse_total = parts[1 / N][1 % N];
        stats.delta = parts[2 / N][2 % N];
        return stats;
    }

    __device__ void store(A* to) const {
        to[0] = weights.softmax.top;
        to[1] = weights.inverse_total;
        to[2] = delta;
        to[3] = 0;
    }
};
