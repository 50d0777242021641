// Philox 4x32-10: random words of a seed and a counter, or of (seed, edge, head). Defined in
// neighborgraph/ops/philox.py.
#pragma once

struct Words {
    unsigned a, b, c, d;
};

// Four words of a seed and a counter.
__device__ inline Words philox_words(unsigned long long seed, Words counter) {
    unsigned first = unsigned(seed), second = unsigned(seed >> 32);
    auto [a, b, c, d] = counter;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned left = 0xD2511F53u * a, left_high = __umulhi(0xD2511F53u, a);
        unsigned right = 0xCD9E8D57u * c, right_high = __umulhi(0xCD9E8D57u, c);
        a = right_high ^ b ^ first, b = right;
        c = left_high ^ d ^ second, d = left;
        first += 0x9E3779B9u, second += 0xBB67AE85u;
    }
    return {a, b, c, d};
}

__device__ inline unsigned philox(unsigned long long seed, unsigned long long edge, unsigned head) {
    Words words = philox_words(seed, {unsigned(edge), unsigned(edge >> 32), head / 4, 0});
    return head & 2 ? (head & 1 ? words.d : words.c) : (head & 1 ? words.b : words.a);
}

// Keeps an edge of a head when its word is at least `threshold`, and then counts it `kept` times.
struct Dropout {
    unsigned long long seed;
    long long threshold;
    double kept;

    __device__ Dropout(const long long* seed, long long threshold, double kept)
        : seed(seed ? *seed : 0), threshold(threshold), kept(kept) {}

    __device__ double factor(unsigned edge, int head) const {
        return (long long)philox(seed, edge, head) >= threshold ? kept : 0;
    }
};
