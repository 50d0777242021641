// Gradients of attend; derived at the head of neighborgraph/ops/attend/op.py.
//
// Weights are found again as p = 2^(score - top) / total. Every kernel adds the products of q and k
// in the same order, so that a score has the same bits in all of them and weights add up to one.
// Sums over rows give the gradient of the queries, sums over the transpose those of keys and
// values, so every output row has one owner.
#include "common/lanes.cuh"
#include "common/softmax_state.cuh"

// grad q_i = scale * sum_e p_e (g_i . v_j - delta_i) k_j, with delta_i = g_i . out_i - grad_lse_i.
// state [n, H, 2] is (top, 1 / total) in base 2. stats [n, H, 4] receives (top, 1 / total, delta,
// 0) side by side, since the pass over the transpose reads them at random.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(WARP, Lanes<T, VEC, LANES, VECTORS, U>::warps(3, 16))
    attend_grad_q(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const long long* ptr, const T* q, const T* k,
        const T* v, const T* out, const acc_t<T>* state, const T* grad, const acc_t<T>* grad_lse,
        T* grad_q, acc_t<T>* stats, acc_t<T>* partial, long long items, long long parts,
        long long heads_per_warp, long long heads, long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS, U>;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A query[L::CHANNELS], g[L::CHANNELS], sum[L::CHANNELS] = {};
    lanes.load(query, q, item.row);
    lanes.load(g, grad, item.row);
    Vector<T, VEC> result[VECTORS];
    lanes.load(result, out, item.row);
    Weights<A> weights = Weights<A>::load(lanes.of_head(state, item.row, 2));
    A delta =
        L::sum_over_head(lanes.partial_dot(g, result)) - *lanes.of_head(grad_lse, item.row, 1);
    A to_base_2 = A(scale) * log2_e<A>;
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
            score[o] = own.inside[o] ? score[o] * to_base_2 : -infinity<A>();
            bool counts = score[o] != -infinity<A>();
            A grad_of_score = weights.of(score[o]) * (gv[o] - delta);
            grad_score[o] = counts ? grad_of_score : A(0);
            masked |= own.inside[o] && !counts;
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
    if (leads && lanes.lane == 0) {
        RowStats<A>{weights, delta}.store(stats + 4 * (item.row * heads + lanes.head));
    }
}

// grad k_j = scale * sum_e p_e (g_i . v_j - delta_i) q_i and grad v_j = sum_e p_e g_i, where the
// items walk the transpose: row j of an item is a source, idx names the receivers i.
template <class T, int VEC, int LANES, int VECTORS, int U>
__global__ void __launch_bounds__(WARP, Lanes<T, VEC, LANES, VECTORS, U>::warps(4, 32))
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
    lanes.load(key, k, item.row);
    lanes.load(value, v, item.row);
    A to_base_2 = A(scale) * log2_e<A>;
    int stride = U * lanes.slots, first_own = lanes.first_own() * lanes.slots;
    int row[U], own_row[L::OWN];
    if (item.edges > 0) {
        Step<U>(item, lanes.slot, lanes.slots).gather(row, idx, item);
        Step<L::OWN>(item, lanes.slot + first_own, lanes.slots).gather(own_row, idx, item);
    }
    for (int e = lanes.slot; e - lanes.slot < item.edges; e += stride) {
        Step<L::OWN> own(item, e + first_own, lanes.slots);
        Vector<T, VEC> query[U][VECTORS], g[U][VECTORS];
        RowStats<A> of_row[L::OWN];
        A score[U], gv[U], p[L::OWN], grad_score[L::OWN];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(query[u], q, row[u]);
            lanes.load(g[u], grad, row[u]);
        }
#pragma unroll
        for (int o = 0; o < L::OWN; ++o)
            of_row[o] = RowStats<A>::load(lanes.of_head(stats, own_row[o], 4));
        Step<U>(item, e + stride, lanes.slots).gather(row, idx, item);
        Step<L::OWN>(item, e + stride + first_own, lanes.slots).gather(own_row, idx, item);
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
            score[o] = own.inside[o] ? score[o] * to_base_2 : -infinity<A>();
            bool counts = score[o] != -infinity<A>();
            A weight = of_row[o].weights.of(score[o]);
            A grad_of_score = weight * (gv[o] - of_row[o].delta);
            p[o] = counts ? weight : A(0);
            grad_score[o] = counts ? grad_of_score : A(0);
            masked |= own.inside[o] && !counts;
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
