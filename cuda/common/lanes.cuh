// How a warp covers feature rows: slots of edges, each slot a few heads, each head a few lanes.
//
// A lane owns VECTORS vectors of VEC channels of one head, LANES vectors apart. With h heads to a
// warp, h * LANES lanes carry one row and the warp has 32 / (h * LANES) slots.
#pragma once

#include "common/types.cuh"
#include "common/work.cuh"

template <class T, int VEC, int LANES, int VECTORS> struct Lanes {
    using A = acc_t<T>;
    static constexpr int CHANNELS = VEC * VECTORS;  // channels a lane owns
    // 16-byte loads in flight per lane and operand: enough to cover the latency of memory.
    static constexpr int UNROLL = VECTORS >= 4 ? 1 : 4 / VECTORS;

    int slot, slots;         // this lane's edge slot, and how many the warp has
    int head;                // this lane's head in [0, heads)
    int lane;                // this lane among its head's lanes
    int heads, width;        // H, D
    int first_channel;       // of this warp's part

    // The parts of an item are groups of heads.
    __device__ static Lanes over_heads(const Warp& warp, int heads_per_warp, int heads, int width) {
        int lanes_per_row = LANES * heads_per_warp;
        int head = warp.part * heads_per_warp + warp.lane % lanes_per_row / LANES;
        return Lanes{warp.lane / lanes_per_row, WARP / lanes_per_row, head, warp.lane % LANES,
                     heads, width, 0};
    }

    // The parts of an item are ranges of channels of a single head.
    __device__ static Lanes over_channels(const Warp& warp, int width) {
        return Lanes{warp.lane / LANES, WARP / LANES, 0, warp.lane % LANES, 1, width,
                     warp.part * LANES * CHANNELS};
    }

    __device__ bool has_head() const { return head < heads; }
    __device__ int channel(int vector) const {
        return first_channel + (vector * LANES + lane) * VEC;
    }
    __device__ bool owns(int vector) const { return has_head() && channel(vector) < width; }
    __device__ long long offset(long long node, int vector) const {
        return (node * heads + head) * (long long)width + channel(vector);
    }

    // This lane's vectors of a node's row; zeros beyond the width and for node -1.
    __device__ void load(Vector<T, VEC> (&row)[VECTORS], const T* features, long long node) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v)
            row[v] = node >= 0 && owns(v) ? Vector<T, VEC>::load(features + offset(node, v))
                                          : Vector<T, VEC>::zero();
    }

    // The same, widened and multiplied by a factor.
    __device__ void load(A (&row)[CHANNELS], const T* features, long long node, A factor) const {
        Vector<T, VEC> narrow_row[VECTORS];
        load(narrow_row, features, node);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) row[c] = factor * narrow_row[c / VEC][c % VEC];
    }

    __device__ void store(T* features, long long node, const A (&row)[CHANNELS], A factor) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            Vector<T, VEC> out;
#pragma unroll
            for (int i = 0; i < VEC; ++i) out.set(i, factor * row[v * VEC + i]);
            if (owns(v)) out.store(features + offset(node, v));
        }
    }

    // Unrounded, for the partial results of a cut row.
    __device__ void store_partial(A* partial, long long slot, const A (&row)[CHANNELS]) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v)
#pragma unroll
            for (int i = 0; i < VEC; ++i)
                if (owns(v)) partial[offset(slot, v) + i] = row[v * VEC + i];
    }

    __device__ A dot(const A (&a)[CHANNELS], const Vector<T, VEC> (&b)[VECTORS]) const {
        A sum = 0;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) sum += a[c] * b[c / VEC][c % VEC];
        return sum_over_head(sum);
    }

    __device__ static A sum_over_head(A x) {
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
        return x;
    }

    // The same channel of the same head in the next slot is this many lanes away.
    __device__ int lanes_per_slot() const { return WARP / slots; }

    __device__ void sum_over_slots(A (&row)[CHANNELS]) const {
        for (int step = lanes_per_slot(); step < WARP; step *= 2)
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) row[c] += __shfl_xor_sync(ALL_LANES, row[c], step);
    }
};
