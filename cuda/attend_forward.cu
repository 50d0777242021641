// attend: out_i = sum_j p_ij v_j with p_i = softmax_j(scale * q_i . k_j), one warp for each group
// of heads of each work item.
#include "common/lanes.cuh"
#include "common/softmax_state.cuh"

// q, out [n, H, D]; k, v [m, H, D]; lse [n, H], natural logarithm; state [n, H, 2] (top, 1 / total)
// in base 2, from which the backward pass finds each weight again.
// partial_out [slots, H, D] and partial_state [slots, H, 2] (top, total) are for cut rows.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(WARP, Lanes<T, VEC, LANES, VECTORS, U>::warps(2, 16))
    attend_forward(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const T* q, const T* k, const T* v, T* out,
        acc_t<T>* lse, acc_t<T>* state_out, acc_t<T>* partial_out, acc_t<T>* partial_state,
        long long items, long long parts, long long heads_per_warp, long long heads,
        long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A query[L::CHANNELS], mixed[L::CHANNELS] = {};
    lanes.load(query, q, item.row);
    A to_base_2 = A(scale) * log2_e<A>;
    SoftmaxState<A> state;
    int stride = U * lanes.slots, col[U];
    if (item.edges > 0) Step<U>(item, lanes.slot, lanes.slots).gather(col, idx, item);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Vector<T, VEC> key[U][VECTORS], value[U][VECTORS];
        A dot[U], score[L::OWN], share[L::OWN], top = -infinity<A>();
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(key[u], k, col[u]);
            lanes.load(value[u], v, col[u]);
        }
        // The next step's columns arrive while this one's rows do.
        Step<U>(item, e + stride, lanes.slots).gather(col, idx, item);
#pragma unroll
        for (int u = 0; u < U; ++u) dot[u] = lanes.partial_dot(query, key[u]);
        lanes.sum_each_over_head(dot);
        Step<L::OWN> own(item, e + lanes.first_own() * lanes.slots, lanes.slots);
        bool masked = false;
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            score[o] = own.inside[o] ? dot[o] * to_base_2 : -infinity<A>();
            masked |= score[o] == -infinity<A>();
            top = larger(top, score[o]);
        }
        A factor = state.raise(L::max_over_owners(top));
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            share[o] = state.share(score[o]);
            state.total += share[o];
        }
        if (__any_sync(ALL_LANES, masked)) L::drop_masked(score, value);
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) mixed[c] *= factor;
#pragma unroll
        for (int u = 0; u < U; ++u) {
            A p = L::of_edge(share, u);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) mixed[c] += p * value[u][c / VEC][c % VEC];
        }
    }

    state.total = L::sum_over_owners(state.total);
    for (int step = lanes.lanes_per_slot(); step < WARP; step *= 2) {
        A factor, other_factor = state.merge(
                      __shfl_xor_sync(ALL_LANES, state.top, step),
                      __shfl_xor_sync(ALL_LANES, state.total, step), factor);
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c)
            mixed[c] =
                factor * mixed[c] + other_factor * __shfl_xor_sync(ALL_LANES, mixed[c], step);
    }
    if (lanes.slot != 0 || !lanes.has_head()) return;
    if (item.slot < 0) {
        lanes.store(out, item.row, mixed, state.inverse_total());
        if (lanes.lane == 0) state.store(lse, state_out, item.row * heads + lanes.head);
    } else {
        lanes.store_partial(partial_out, item.slot, mixed);
        A* to = partial_state + 2 * (item.slot * heads + lanes.head);
        if (lanes.lane == 0) to[0] = state.top, to[1] = state.total;
    }
}
