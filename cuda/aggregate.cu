// aggregate: out_i = r_i * reduce over edges e = (j -> i) of w_e c_j x_j, one warp for each range
// of channels of each work item. An absent factor is a null pointer and stands for one.
#include "common/extreme.cuh"
#include "common/lanes.cuh"

// Which features of an edge take part: all of them, or those the edge won in a maximum.
struct Every {
    static constexpr bool ASKS = false;
    __device__ static bool admits(const int*, int) { return true; }
};
struct Won {
    static constexpr bool ASKS = true;
    __device__ static bool admits(const int* winner, int edge) { return *winner == edge; }
};

// x [m, F], winner [m, F] or null -> out [n, F]. A cut row leaves unscaled sums in
// partial [slots, F].
template <class T, int VEC, int LANES, int VECTORS, int U, class Features>
__global__ void __launch_bounds__(WARP) aggregate_sum(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* x, const acc_t<T>* weight,
    const acc_t<T>* row_scale, const acc_t<T>* col_scale, const int* winner, T* out,
    acc_t<T>* partial, long long items, long long parts, long long width) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_channels(warp, width);

    A sum[L::CHANNELS] = {};
    int stride = U * lanes.slots;
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Step<U> step(item, e, lanes.slots);
        Vector<T, VEC> feature[U][VECTORS];
        A factor[U];
        int col[U], edge[U];
        step.gather(col, idx, item);
        if (weight || Features::ASKS) step.gather(edge, edge_id, item);
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(feature[u], x, col[u]);
            factor[u] = weight ? weight[edge[u]] : A(1);
            if (col_scale) factor[u] *= col_scale[col[u]];
        }
#pragma unroll
        for (int u = 0; u < U; ++u)
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) {
                int v = c / VEC, i = c % VEC;
                if (step.inside[u] && Features::admits(lanes.at(winner, col[u], v) + i, edge[u]))
                    sum[c] += factor[u] * feature[u][v][i];
            }
    }

    lanes.sum_over_slots(sum);
    if (lanes.slot != 0) return;
    if (item.slot < 0)
        lanes.store(out, item.row, sum, row_scale ? row_scale[item.row] : A(1));
    else
        lanes.store_partial(partial, item.slot, sum);
}

// x [m, F] -> out [n, F], winner [n, F]: the edge id that won, -1 in an empty row. A cut row leaves
// unscaled maxima in partial [slots, F] and partial_winner [slots, F].
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(WARP) aggregate_max(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* x, const acc_t<T>* weight,
    const acc_t<T>* row_scale, const acc_t<T>* col_scale, T* out, int* winner, acc_t<T>* partial,
    int* partial_winner, long long items, long long parts, long long width) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_channels(warp, width);

    Extreme<A> best[L::CHANNELS];
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) best[c] = Extreme<A>{A(0), -1};
    for (int e = lanes.slot; e < item.edges; e += lanes.slots) {
        int col = idx[item.first + e], edge = edge_id[item.first + e];
        Vector<T, VEC> feature[VECTORS];
        lanes.load(feature, x, col);
        A factor = (weight ? weight[edge] : A(1)) * (col_scale ? col_scale[col] : A(1));
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) {
            Extreme<A> candidate{factor * feature[c / VEC][c % VEC], edge};
            if (candidate.beats(best[c])) best[c] = candidate;
        }
    }
    for (int step = lanes.lanes_per_slot(); step < WARP; step *= 2)
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) {
            Extreme<A> other{
                __shfl_xor_sync(ALL_LANES, best[c].value, step),
                __shfl_xor_sync(ALL_LANES, best[c].edge, step)};
            if (other.beats(best[c])) best[c] = other;
        }
    if (lanes.slot != 0) return;
    A scale = row_scale && item.edges > 0 ? row_scale[item.row] : A(1);
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) {
        int v = c / VEC, i = c % VEC;
        if (!lanes.owned[v]) continue;
        if (item.slot < 0) {
            narrow(scale * best[c].value, lanes.at(out, item.row, v)[i]);
            lanes.at(winner, item.row, v)[i] = best[c].edge;
        } else {
            lanes.at(partial, item.slot, v)[i] = best[c].value;
            lanes.at(partial_winner, item.slot, v)[i] = best[c].edge;
        }
    }
}

// grad_weight[e] = r_i c_j <g_i, x_j>; grad [n, F], x [m, F], winner [n, F] or null. A warp walks
// all channels of an edge, LANES * VECTORS vectors at a time.
template <class T, int VEC, int LANES, int VECTORS, int U, class Features>
__global__ void __launch_bounds__(WARP) aggregate_weight_grad(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* grad, const T* x, const acc_t<T>* row_scale,
    const acc_t<T>* col_scale, const int* winner, acc_t<T>* grad_weight, long long items,
    long long width) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(1);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_channels(warp, width);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += lanes.slots) {
        Step<1> step(item, e, lanes.slots);
        long long position = item.first + step.edge[0];
        int col = idx[position], edge = edge_id[position];
        A sum = 0;
        for (int first = 0; first < width; first += L::STEP * VECTORS) {
            lanes.begin_at(first);
            Vector<T, VEC> g[VECTORS], feature[VECTORS];
            lanes.load(g, grad, item.row);
            lanes.load(feature, x, col);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) {
                int v = c / VEC, i = c % VEC;
                if (lanes.owned[v] && Features::admits(lanes.at(winner, item.row, v) + i, edge))
                    sum += g[v][i] * feature[v][i];
            }
        }
        sum = L::sum_over_head(sum);
        if (step.inside[0] && lanes.lane == 0)
            grad_weight[edge] = sum * (row_scale ? row_scale[item.row] : A(1)) *
                                (col_scale ? col_scale[col] : A(1));
    }
}
