// Gradients of attend; derived at the head of neighborgraph/ops/attend/op.py.
//
// Weights are recomputed as p = exp(score - lse). Sums over rows give the gradient of the queries,
// sums over the transpose those of keys and values, so every output row has one owner.
#include "common/lanes.cuh"
#include "common/softmax_state.cuh"

// grad q_i = scale * sum_e p_e (g_i . v_j - delta_i) k_j, with delta_i = g_i . out_i - grad_lse_i.
// stats [n, H, 2] receives (lse, delta) side by side: the transposed pass reads both at random. The
// lse of a row without weight becomes +inf there.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(128, Lanes<T, VEC, LANES, VECTORS, U>::blocks(3, 40))
    attend_grad_q(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const long long* ptr, const T* q, const T* k,
        const T* v, const T* out, const acc_t<T>* lse, const T* grad, const acc_t<T>* grad_lse,
        T* grad_q, acc_t<T>* stats, acc_t<T>* partial, long long items, long long parts,
        long long heads_per_warp, long long heads, long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A query[L::CHANNELS], g[L::CHANNELS], sum[L::CHANNELS] = {};
    lanes.load(query, q, item.row, A(scale) * log2_e<A>);
    lanes.load(g, grad, item.row, A(1));
    Vector<T, VEC> result[VECTORS];
    lanes.load(result, out, item.row);
    long long state = item.row * heads + lanes.head;
    A lse_i = lanes.has_head() ? lse[state] : A(0);
    if (lse_i == -infinity<A>()) lse_i = infinity<A>();  // a row without weight: p is 0, not NaN
    A delta = L::sum_over_head(lanes.partial_dot(g, result)) -
              (lanes.has_head() ? grad_lse[state] : A(0));
    int stride = U * lanes.slots, col[U];
    if (item.edges > 0) Step<U>(item, lanes.slot, lanes.slots).gather(col, idx, item);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Vector<T, VEC> key[U][VECTORS], value[U][VECTORS];
        A score[U], gv[U], grad_score[L::OWN];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(key[u], k, col[u]);
            lanes.load(value[u], v, col[u]);
        }
        Step<U>(item, e + stride, lanes.slots).gather(col, idx, item);
#pragma unroll
        for (int u = 0; u < U; ++u) {
            score[u] = lanes.partial_dot(query, key[u]);
            gv[u] = lanes.partial_dot(g, value[u]);
        }
        lanes.sum_each_over_head(score);
        lanes.sum_each_over_head(gv);
        Step<L::OWN> own(item, e + lanes.first_own() * lanes.slots, lanes.slots);
        bool masked = false;
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            if (!own.inside[o]) score[o] = -infinity<A>();
            bool counts = score[o] != -infinity<A>();
            A p = exp_2(score[o] - lse_i * log2_e<A>);
            grad_score[o] = counts ? p * (gv[o] - delta) : A(0);
            masked |= !counts;
        }
        if (__any_sync(ALL_LANES, masked)) L::drop_masked(score, key);
#pragma unroll
        for (int u = 0; u < U; ++u) {
            A ds = L::of_edge(grad_score, u);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) sum[c] += ds * key[u][c / VEC][c % VEC];
        }
    }

    lanes.sum_over_slots(sum);
    if (lanes.slot != 0 || !lanes.has_head()) return;
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) sum[c] *= A(scale);
    if (item.slot < 0)
        lanes.store(grad_q, item.row, sum, A(1));
    else
        lanes.store_partial(partial, item.slot, sum);
    bool leads = item.first == ptr[item.row];  // of the items of a cut row, the first
    if (leads && lanes.lane == 0) stats[2 * state] = lse_i, stats[2 * state + 1] = delta;
}

// grad k_j = scale * sum_e p_e (g_i . v_j - delta_i) q_i and grad v_j = sum_e p_e g_i, where the
// items walk the transpose: row j of an item is a source, idx names the receivers i.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(128, Lanes<T, VEC, LANES, VECTORS, U>::blocks(4, 44))
    attend_grad_kv(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const T* q, const T* k, const T* v,
        const acc_t<T>* stats, const T* grad, T* grad_k, T* grad_v, acc_t<T>* partial_k,
        acc_t<T>* partial_v, long long items, long long parts, long long heads_per_warp,
        long long heads, long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A key[L::CHANNELS], value[L::CHANNELS], sum_k[L::CHANNELS] = {}, sum_v[L::CHANNELS] = {};
    lanes.load(key, k, item.row, A(scale) * log2_e<A>);
    lanes.load(value, v, item.row, A(1));
    int stride = U * lanes.slots, row[U];
    if (item.edges > 0) Step<U>(item, lanes.slot, lanes.slots).gather(row, idx, item);
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Step<L::OWN> own(item, e + lanes.first_own() * lanes.slots, lanes.slots);
        int own_row[L::OWN];
        own.gather(own_row, idx, item);
        Vector<T, VEC> query[U][VECTORS], g[U][VECTORS];
        Vector<A, 2> lse_delta[L::OWN];
        A score[U], gv[U], p[L::OWN], grad_score[L::OWN];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(query[u], q, row[u]);
            lanes.load(g[u], grad, row[u]);
        }
#pragma unroll
        for (int o = 0; o < L::OWN; ++o)
            lse_delta[o] = Vector<A, 2>::load(lanes.of_head(stats, own_row[o]));
        Step<U>(item, e + stride, lanes.slots).gather(row, idx, item);
#pragma unroll
        for (int u = 0; u < U; ++u) {
            score[u] = lanes.partial_dot(key, query[u]);
            gv[u] = lanes.partial_dot(value, g[u]);
        }
        lanes.sum_each_over_head(score);
        lanes.sum_each_over_head(gv);
        bool masked = false;
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            if (!own.inside[o]) score[o] = -infinity<A>();
            bool counts = score[o] != -infinity<A>();
            p[o] = counts ? exp_2(score[o] - lse_delta[o][0] * log2_e<A>) : A(0);
            grad_score[o] = counts ? p[o] * (gv[o] - lse_delta[o][1]) : A(0);
            masked |= !counts;
        }
        if (__any_sync(ALL_LANES, masked)) {
            L::drop_masked(score, query);
            L::drop_masked(score, g);
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            A share = L::of_edge(p, u), ds = L::of_edge(grad_score, u);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) {
                sum_v[c] += share * g[u][c / VEC][c % VEC];
                sum_k[c] += ds * query[u][c / VEC][c % VEC];
            }
        }
    }

    lanes.sum_over_slots(sum_k);
    lanes.sum_over_slots(sum_v);
    if (lanes.slot != 0 || !lanes.has_head()) return;
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) sum_k[c] *= A(scale);
    if (item.slot < 0) {
        lanes.store(grad_k, item.row, sum_k, A(1));
        lanes.store(grad_v, item.row, sum_v, A(1));
    } else {
        lanes.store_partial(partial_k, item.slot, sum_k);
        lanes.store_partial(partial_v, item.slot, sum_v);
    }
}
