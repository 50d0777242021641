// The floor under attend: gathers the same rows of k and v in the same order as attend_forward, and
// does the least with them that keeps the loads. Timed by the benchmarks; computes nothing of use.
#include "common/lanes.cuh"

// out_i = sum over edges (j -> i) of k_j * v_j, elementwise; rows are not cut.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(
    WARP, warps<acc_t<T>>(Lanes<T, VEC, LANES, VECTORS, U>::registers(1, 2), 28))
    gather_floor(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const T* k, const T* v, T* out, long long items,
        long long parts, long long heads_per_warp, long long heads, long long width) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);
    A sum[L::CHANNELS] = {};
    int stride = U * lanes.slots, col[U];
    if (item.edges > 0) Step<U>(item, lanes.slot, lanes.slots).gather(col, idx, item);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Step<U> step(item, e, lanes.slots);
        Vector<T, VEC> key[U][VECTORS], value[U][VECTORS];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(key[u], k, col[u]);
            lanes.load(value[u], v, col[u]);
        }
        Step<U>(item, e + stride, lanes.slots).gather(col, idx, item);
#pragma unroll
        for (int u = 0; u < U; ++u)
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c)
                if (step.inside[u]) sum[c] += key[u][c / VEC][c % VEC] * value[u][c / VEC][c % VEC];
    }
    lanes.sum_over_slots(sum);
    if (lanes.slot == 0 && lanes.has_head()) lanes.store(out, item.row, sum, A(1));
}
