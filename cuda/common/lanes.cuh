// How a warp covers feature rows: slots of edges, each slot a few heads, each head a few lanes.
//
// A lane owns VECTORS vectors of VEC channels of one head, LANES vectors apart. With h heads to a
// warp, h * LANES lanes carry one row and the warp has 32 / (h * LANES) slots. A slot takes U edges
// at a step, whose loads are in flight together.
#pragma once

#include "common/types.cuh"
#include "common/work.cuh"

template <class T_, int VEC, int LANES, int VECTORS, int U>
struct Lanes {
    using T = T_;
    using A = acc_t<T>;
    static constexpr int VECTOR = VEC, COUNT = VECTORS, EDGES = U;
    static constexpr int CHANNELS = VEC * VECTORS;  // channels a lane owns
    static constexpr int STEP = LANES * VEC;        // channels from one vector to the next
    // The lanes of a head share out the scores of a step's U edges, OWN each.
    static constexpr int SHARERS = U < LANES ? U : LANES;
    static constexpr int OWN = U / SHARERS;

    // Registers that a lane needs for the widened rows it keeps, with the place of each vector, and
    // for rows of a step's edges.
    static constexpr int registers(int kept_rows, int gathered_rows) {
        int kept = kept_rows * CHANNELS * int(sizeof(A)) / 4;
        return kept + gathered_rows * U * CHANNELS * int(sizeof(T)) / 4 + 2 * (VECTORS - 1);
    }

    int slot, slots;       // this lane's edge slot, and how many the warp has
    int head, heads;       // this lane's head, and how many there are (H)
    int lane;              // this lane among its head's lanes
    int width;             // channels of a head (D)
    int channel[VECTORS];  // first channel of each vector, 0 where the lane does not own one
    bool owned[VECTORS];   // a lane past the width or past the last head owns nothing

    // The parts of an item are groups of heads; heads_per_warp is a power of two.
    __device__ static Lanes over_heads(const Warp& warp, int heads_per_warp, int heads, int width) {
        int lanes_per_row = LANES * heads_per_warp;
        int shift = __ffs(lanes_per_row) - 1;
        int head = warp.part * heads_per_warp + (warp.lane & (lanes_per_row - 1)) / LANES;
        return Lanes(warp.lane >> shift, WARP >> shift, head, heads, warp.lane % LANES, 0, width);
    }

    // The parts of an item are ranges of channels of a single head.
    __device__ static Lanes over_channels(const Warp& warp, int width) {
        int first = warp.part * STEP * VECTORS;
        return Lanes(warp.lane / LANES, WARP / LANES, 0, 1, warp.lane % LANES, first, width);
    }

    __device__ Lanes(int slot, int slots, int head, int heads, int lane, int first, int width)
        : slot(slot), slots(slots), head(head), heads(heads), lane(lane), width(width) {
        begin_at(first);
    }

    // Move to the channels from `first` on.
    __device__ void begin_at(int first) {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            channel[v] = first + v * STEP + lane * VEC;
            owned[v] = has_head() && channel[v] < width;
            if (!owned[v]) channel[v] = 0;
        }
    }

    __device__ bool has_head() const { return head < heads; }

    // This lane's vector v in a node's row of [nodes, H, D] features. A lane that does not own it
    // gets another valid address, so that loads need no condition.
    template <class E>
    __device__ E* at(E* features, int node, int v) const {
        E* mine = features + ((has_head() ? head : 0) * width + channel[v]);
        return advance(mine, node, heads * width * int(sizeof(E)));
    }

    // Channel c of this lane in [H, D] numbers.
    __device__ const A* channel_of(const A* numbers, int c) const {
        return numbers + ((has_head() ? head : 0) * width + channel[c / VEC] + c % VEC);
    }

    // This lane's head's `count` numbers in [nodes, H, count]; valid also for a lane without head.
    template <class E>
    __device__ E* of_head(E* numbers, int node, int count) const {
        E* mine = numbers + count * (has_head() ? head : 0);
        return advance(mine, node, heads * count * int(sizeof(A)));
    }

    __device__ void load(Vector<T, VEC> (&row)[VECTORS], const T* features, int node) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) row[v] = Vector<T, VEC>::load(at(features, node, v));
    }

    // The same, widened.
    __device__ void load(A (&row)[CHANNELS], const T* features, int node) const {
        Vector<T, VEC> narrow_row[VECTORS];
        load(narrow_row, features, node);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) row[c] = narrow_row[c / VEC][c % VEC];
    }

    __device__ void store(T* features, int node, const A (&row)[CHANNELS], A factor) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            Vector<T, VEC> out;
#pragma unroll
            for (int i = 0; i < VEC; ++i) out.set(i, factor * row[v * VEC + i]);
            if (owned[v]) out.store(at(features, node, v));
        }
    }

    // Unrounded, for the partial results of a cut row.
    __device__ void store_partial(A* partial, int slot, const A (&row)[CHANNELS]) const {
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c)
            if (owned[c / VEC]) at(partial, slot, c / VEC)[c % VEC] = row[c];
    }

    // A row that is complete, times `factor`, or the partial result of a cut one.
    __device__ void finish(
        const Item& item, A (&row)[CHANNELS], A factor, T* whole, A* partial) const {
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) row[c] *= factor;
        if (item.slot < 0)
            store(whole, item.row, row, 1);
        else
            store_partial(partial, item.slot, row);
    }

    // This lane's share of a sum over the channels of its head.
    template <class Term>
    __device__ A partial_sum(Term term) const {
        A sum = 0;
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            A part = 0;
#pragma unroll
            for (int i = 0; i < VEC; ++i) part += term(v * VEC + i);
            sum += owned[v] ? part : A(0);
        }
        return sum;
    }

    // The same for each edge of a step; term(u, c) is what channel c of edge u adds.
    template <class Term>
    __device__ void partial_sums(A (&sum)[U], Term term) const {
#pragma unroll
        for (int u = 0; u < U; ++u) sum[u] = partial_sum([&](int c) { return term(u, c); });
    }

    __device__ A partial_dot(const A (&a)[CHANNELS], const Vector<T, VEC> (&b)[VECTORS]) const {
        return partial_sum([&](int c) { return a[c] * b[c / VEC][c % VEC]; });
    }

    __device__ static A sum_over_head(A x) {
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
        return x;
    }

    // Sums each of x[0 .. U) over the head's lanes. The lanes share the sums out: each ends up
    // with OWN of them in x[0 .. OWN), those of the edges from first_own() on. Carrying half as
    // many at each step takes 5 shuffles for 4 sums over 16 lanes, where one by one takes 16.
    __device__ void sum_each_over_head(A (&x)[U]) const {
        int carried = U;
#pragma unroll
        for (int step = LANES / 2; step > 0; step /= 2) {
            if (carried > OWN) {
                carried /= 2;
                bool upper = lane & step;
#pragma unroll
                for (int i = 0; i < carried; ++i) {
                    A sent = upper ? x[i] : x[i + carried];
                    A kept = upper ? x[i + carried] : x[i];
                    x[i] = kept + __shfl_xor_sync(ALL_LANES, sent, step);
                }
            } else {
#pragma unroll
                for (int i = 0; i < OWN; ++i) x[i] += __shfl_xor_sync(ALL_LANES, x[i], step);
            }
        }
    }
    __device__ int first_own() const { return lane / (LANES / SHARERS) * OWN; }

    // Several lanes may own the same edges; one of them writes what belongs to an edge and a head.
    __device__ bool writes_own() const { return has_head() && lane % (LANES / SHARERS) == 0; }

    // What the owner of edge u has for it.
    template <class E>
    __device__ static E of_edge(const E* own, int u) {
        return __shfl_sync(ALL_LANES, own[u % OWN], u / OWN * (LANES / SHARERS), LANES);
    }

    // Over the lanes that own different edges; all lanes of the head get the result.
    __device__ static A max_over_owners(A x) {
#pragma unroll
        for (int step = LANES / SHARERS; step < LANES; step *= 2)
            x = larger(x, __shfl_xor_sync(ALL_LANES, x, step));
        return x;
    }
    __device__ static A sum_over_owners(A x) {
#pragma unroll
        for (int step = LANES / SHARERS; step < LANES; step *= 2)
            x += __shfl_xor_sync(ALL_LANES, x, step);
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

// Warps to aim for on a multiprocessor when a lane needs `registers` and `others` numbers more. A
// quarter of a multiprocessor has 16384 registers and room for 8 blocks of one warp.
template <class A>
constexpr int warps(int registers, int others) {
    int fit = 16384 / WARP / (registers + others * int(sizeof(A)) / 4);
    return 4 * (fit < 1 ? 1 : fit > 8 ? 8 : fit);
}
