// Philox 4x32-10, a random word for each (seed, edge, head). Defined in
// neighborgraph/ops/philox.py.
#pragma once

__device__ inline unsigned philox(unsigned long long seed, unsigned long long edge, unsigned head) {
    unsigned first = unsigned(seed), second = unsigned(seed >> 32);
    unsigned a = unsigned(edge), b = unsigned(edge >> 32), c = head / 4, d = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned left = 0xD2511F53u * a, left_high = __umulhi(0xD2511F53u, a);
        unsigned right = 0xCD9E8D57u * c, right_high = __umulhi(0xCD9E8D57u, c);
        a = right_high ^ b ^ first, b = right;
        c = left_high ^ d ^ second, d = left;
        first += 0x9E3779B9u, second += 0xBB67AE85u;
    }
    return head & 2 ? (head & 1 ? d : c) : (head & 1 ? b : a);
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
