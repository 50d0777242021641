// aggregate: out_i = r_i * reduce over edges e = (j -> i) of w_e c_j x_j, plus s * add_i; one warp
// for each range of channels of each work item. An absent factor is a null pointer and stands for
// one.
//
// Features [m, F] are H heads of D channels. A weight belongs to an edge and a head, [e, H], and a
// vector of channels lies within one head.
#include "common/epilogue.cuh"
#include "common/extreme.cuh"

// Which features of an edge take part: all of them, or those the edge won in a maximum.
struct Every {
    static constexpr bool ASKS = false;
    __device__ static bool admits(const int*, int) { return true; }
};
struct Won {
    static constexpr bool ASKS = true;
    __device__ static bool admits(const int* winner, int edge) { return *winner == edge; }
};

// The factor w_e c_j of each of a lane's vectors.
template <class L>
struct Factors {
    using A = typename L::A;
    const A* weight;     // [e, H]
    const A* col_scale;  // [m]
    int stride;          // bytes from one edge's weights to the next
    int head[L::COUNT];

    __device__ Factors(
        const L& lanes, const A* weight, const A* col_scale, int heads, int head_width)
        : weight(weight), col_scale(col_scale), stride(heads * int(sizeof(A))) {
#pragma unroll
        for (int v = 0; v < L::COUNT; ++v) head[v] = heads == 1 ? 0 : lanes.channel[v] / head_width;
    }

    __device__ A of(int edge, int col, int v) const {
        A factor = weight ? __ldg(advance(weight + head[v], edge, stride)) : A(1);
        return col_scale ? factor * col_scale[col] : factor;
    }
};

// x [m, F], winner [m, F] or null -> out [n, F]. A cut row leaves unscaled sums in
// partial [slots, F].
template <class T, int VEC, int LANES, int VECTORS, int U, class Features>
__global__ void __launch_bounds__(WARP) aggregate_sum(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* x, const acc_t<T>* weight,
    const acc_t<T>* row_scale, const acc_t<T>* col_scale, const int* winner, const T* add, T* out,
    acc_t<T>* partial, long long items, long long parts, long long heads, long long head_width,
    double add_scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_channels(warp, heads * head_width);
    Factors<L> factors(lanes, weight, col_scale, heads, head_width);

    A sum[L::CHANNELS] = {};
    int stride = U * lanes.slots;
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Step<U> step(item, e, lanes.slots);
        Vector<T, VEC> feature[U][VECTORS];
        A factor[U][VECTORS];
        int col[U], edge[U];
        step.gather(col, idx, item);
        if (weight || Features::ASKS) step.gather(edge, edge_id, item);
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(feature[u], x, col[u]);
#pragma unroll
            for (int v = 0; v < VECTORS; ++v) factor[u][v] = factors.of(edge[u], col[u], v);
        }
#pragma unroll
        for (int u = 0; u < U; ++u)
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) {
                int v = c / VEC, i = c % VEC;
                if (step.inside[u] && Features::admits(lanes.at(winner, col[u], v) + i, edge[u]))
                    sum[c] += factor[u][v] * feature[u][v][i];
            }
    }

    lanes.sum_over_slots(sum);
    if (lanes.slot != 0) return;
    if (item.slot < 0)
        Epilogue<T>{row_scale, add, A(add_scale)}.store(lanes, out, item, sum);
    else
        lanes.store_partial(partial, item.slot, sum);
}

// x [m, F] -> out [n, F], winner [n, F]: the edge id that won, -1 in an empty row. A cut row leaves
// unscaled maxima in partial [slots, F] and partial_winner [slots, F].
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(WARP) aggregate_max(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* x, const acc_t<T>* weight,
    const acc_t<T>* row_scale, const acc_t<T>* col_scale, const T* add, T* out, int* winner,
    acc_t<T>* partial, int* partial_winner, long long items, long long parts, long long heads,
    long long head_width, double add_scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_channels(warp, heads * head_width);
    Factors<L> factors(lanes, weight, col_scale, heads, head_width);

    Extreme<A> best[L::CHANNELS];
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) best[c] = Extreme<A>{A(0), -1};
    for (int e = lanes.slot; e < item.edges; e += lanes.slots) {
        int col = idx[item.first + e], edge = edge_id[item.first + e];
        Vector<T, VEC> feature[VECTORS];
        lanes.load(feature, x, col);
#pragma unroll
        for (int c = 0; c < L::CHANNELS; ++c) {
            int v = c / VEC, i = c % VEC;
            Extreme<A> candidate{factors.of(edge, col, v) * feature[v][i], edge};
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
    int* edges = item.slot < 0 ? winner : partial_winner;
    int node = item.slot < 0 ? item.row : item.slot;
    A value[L::CHANNELS];
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) {
        value[c] = best[c].value;
        if (lanes.owned[c / VEC]) lanes.at(edges, node, c / VEC)[c % VEC] = best[c].edge;
    }
    if (item.slot < 0)
        Epilogue<T>{row_scale, add, A(add_scale)}.store(lanes, out, item, value);
    else
        lanes.store_partial(partial, item.slot, value);
}

// grad_weight[e, h] = r_i c_j <g_ih, x_jh>; grad [n, F], x [m, F], winner [n, F] or null. A warp
// serves a group of heads and walks their channels, LANES * VECTORS vectors of a head at a time.
template <class T, int VEC, int LANES, int VECTORS, int U, class Features>
__global__ void __launch_bounds__(WARP) aggregate_weight_grad(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const T* grad, const T* x, const acc_t<T>* row_scale,
    const acc_t<T>* col_scale, const int* winner, acc_t<T>* grad_weight, long long items,
    long long parts, long long heads_per_warp, long long heads, long long head_width) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, head_width);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += lanes.slots) {
        Step<1> step(item, e, lanes.slots);
        long long position = item.first + step.edge[0];
        int col = idx[position], edge = edge_id[position];
        A sum = 0;
        for (int first = 0; first < head_width; first += L::STEP * VECTORS) {
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
        if (step.inside[0] && lanes.lane == 0 && lanes.has_head())
            *lanes.of_head(grad_weight, edge, 1) = sum * (row_scale ? row_scale[item.row] : A(1)) *
                                                   (col_scale ? col_scale[col] : A(1));
    }
}
