// What becomes of a row's reduction when it is written: out_i = r_i * reduced + s * add_i.
#pragma once

#include "common/lanes.cuh"

// A null pointer stands for r = 1, or for nothing to add.
template <class T>
struct Epilogue {
    using A = acc_t<T>;
    const A* row_scale;  // r [n]
    const T* add;        // [n, F]
    A add_scale;         // s

    // A lane's share of a row. An empty row keeps its zeros, whatever its scale.
    template <class L>
    __device__ void store(
        const L& lanes, T* out, const Item& item, A (&reduced)[L::CHANNELS]) const {
        A factor = row_scale && item.edges > 0 ? row_scale[item.row] : A(1);
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) reduced[c] *= factor;
        if (add) {
            Vector<T, L::VECTOR> added[L::COUNT];
            lanes.load(added, add, item.row);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c)
                reduced[c] += add_scale * added[c / L::VECTOR][c % L::VECTOR];
        }
        lanes.store(out, item.row, reduced, A(1));
    }

    // One element of a cut row, which has edges; `at` is its place in [n, F].
    __device__ A of(A reduced, long long row, long long at) const {
        A scaled = row_scale ? row_scale[row] * reduced : reduced;
        return add ? scaled + add_scale * widen(add[at]) : scaled;
    }
};
