// What a step gathers: U rows of a tensor, and the edges' own vectors that are added to them.
#pragma once

#include "common/lanes.cuh"

// The vectors of a step's edges, by the caller's numbers; nothing where edges have none.
template <class L, bool PRESENT>
struct EdgeVectors {
    using A = typename L::A;
    using Row = Vector<typename L::T, L::VECTOR>;
    Row row[L::EDGES][L::COUNT];

    __device__ void load(
        const L& lanes, const typename L::T* edge, const unsigned (&number)[L::EDGES]) {
#pragma unroll
        for (int u = 0; u < L::EDGES; ++u) lanes.load(row[u], edge, number[u]);
    }
    __device__ A add(A x, int u, int c) const { return x + row[u][c / L::VECTOR][c % L::VECTOR]; }
    __device__ void drop(int u) {
#pragma unroll
        for (int v = 0; v < L::COUNT; ++v) row[u][v] = Row::zero();
    }
};
template <class L>
struct EdgeVectors<L, false> {
    using A = typename L::A;
    __device__ void load(const L&, const typename L::T*, const unsigned (&)[L::EDGES]) {}
    __device__ A add(A x, int, int) const { return x; }
    __device__ void drop(int) {}
};

// Rows of a tensor, each with its edge's vector where VECTORS.
template <class L, bool VECTORS>
struct Rows {
    using A = typename L::A;
    using Row = Vector<typename L::T, L::VECTOR>;
    Row row[L::EDGES][L::COUNT];
    EdgeVectors<L, VECTORS> vectors;

    __device__ void load(
        const L& lanes, const typename L::T* features, const int (&node)[L::EDGES],
        const typename L::T* edge, const unsigned (&number)[L::EDGES]) {
#pragma unroll
        for (int u = 0; u < L::EDGES; ++u) lanes.load(row[u], features, node[u]);
        vectors.load(lanes, edge, number);
    }

    __device__ A operator()(int u, int c) const {
        return vectors.add(row[u][c / L::VECTOR][c % L::VECTOR], u, c);
    }

    // Empty the rows of edges whose score is -inf: they must not count, and 0 times NaN would.
    __device__ void drop_masked(const A* score) {
#pragma unroll
        for (int u = 0; u < L::EDGES; ++u)
            if (L::of_edge(score, u) == -infinity<A>()) {
#pragma unroll
                for (int v = 0; v < L::COUNT; ++v) row[u][v] = Row::zero();
                vectors.drop(u);
            }
    }
};

// sum[c] += x_u * row(u, c) over the edges u of a step, whose numbers x their owners hold.
template <class L, class Row, class A, int CHANNELS>
__device__ void add_weighted(const A* x, const Row& row, A (&sum)[CHANNELS]) {
#pragma unroll
    for (int u = 0; u < L::EDGES; ++u) {
        A x_u = L::of_edge(x, u);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) sum[c] += x_u * row(u, c);
    }
}
