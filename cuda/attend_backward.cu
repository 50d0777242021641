// Gradients of attend; derived at the head of neighborgraph/ops/attend/op.py.
//
// Weights are recomputed as p = exp(score - lse). Sums over rows give the gradient of the queries,
// sums over the transpose those of keys and values, so every output row has one owner.
#include "common/lanes.cuh"
#include "common/softmax_state.cuh"

// grad q_i = scale * sum_e p_e (g_i . v_j - delta_i) k_j, with delta_i = g_i . out_i - grad_lse_i.
// stats [n, H, 2] receives (lse, delta) side by side: the transposed pass reads both at random.
template <class T, int VEC, int LANES, int VECTORS>
__global__ void __launch_bounds__(128)
attend_grad_q(const int* item_row, const long long* item_ptr, const int* item_slot,
              const int* idx, const T* q, const T* k, const T* v, const T* out,
              const acc_t<T>* lse, const T* grad, const acc_t<T>* grad_lse, T* grad_q,
              acc_t<T>* stats, acc_t<T>* partial, long long items, long long parts,
              long long heads_per_warp, long long heads, long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS>;
    constexpr int U = L::UNROLL;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item = load_item(item_row, item_ptr, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A query[L::CHANNELS], g[L::CHANNELS], sum[L::CHANNELS] = {};
    lanes.load(query, q, item.row, A(scale) * log2_e<A>);
    lanes.load(g, grad, item.row, A(1));
    Vector<T, VEC> result[VECTORS];
    lanes.load(result, out, item.row);
    long long state = item.row * heads + lanes.head;
    A lse_i = lanes.has_head() ? lse[state] : A(0);
    A delta = lanes.dot(g, result) - (lanes.has_head() ? grad_lse[state] : A(0));
    for (long long e = item.begin + lanes.slot; e - lanes.slot < item.end; e += U * lanes.slots) {
        Vector<T, VEC> key[U][VECTORS], value[U][VECTORS];
        int col[U];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            long long edge = e + u * lanes.slots;
            col[u] = edge < item.end ? idx[edge] : -1;
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(key[u], k, col[u]);
            lanes.load(value[u], v, col[u]);
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            A score = lanes.dot(query, key[u]), gv = lanes.dot(g, value[u]);
            if (col[u] < 0 || score == -infinity<A>()) continue;
            A grad_score = exp_2(score - lse_i * log2_e<A>) * (gv - delta);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) sum[c] += grad_score * key[u][c / VEC][c % VEC];
        }
    }

    lanes.sum_over_slots(sum);
    if (lanes.slot != 0 || !lanes.has_head()) return;
#pragma unroll
    for (int c = 0; c < L::CHANNELS; ++c) sum[c] *= A(scale);
    if (item.slot < 0) lanes.store(grad_q, item.row, sum, A(1));
    else lanes.store_partial(partial, item.slot, sum);
    if (item.first && lanes.lane == 0) stats[2 * state] = lse_i, stats[2 * state + 1] = delta;
}

// grad k_j = scale * sum_e p_e (g_i . v_j - delta_i) q_i and grad v_j = sum_e p_e g_i, where the
// items walk the transpose: row j of an item is a source, idx names the receivers i.
template <class T, int VEC, int LANES, int VECTORS>
__global__ void __launch_bounds__(128)
attend_grad_kv(const int* item_row, const long long* item_ptr, const int* item_slot,
               const int* idx, const T* q, const T* k, const T* v, const acc_t<T>* stats,
               const T* grad, T* grad_k, T* grad_v, acc_t<T>* partial_k, acc_t<T>* partial_v,
               long long items, long long parts, long long heads_per_warp, long long heads,
               long long width, double scale) {
    using A = acc_t<T>;
    using L = Lanes<T, VEC, LANES, VECTORS>;
    constexpr int U = L::UNROLL;
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item = load_item(item_row, item_ptr, item_slot, warp.item);
    L lanes = L::over_heads(warp, heads_per_warp, heads, width);

    A key[L::CHANNELS], value[L::CHANNELS], sum_k[L::CHANNELS] = {}, sum_v[L::CHANNELS] = {};
    lanes.load(key, k, item.row, A(scale) * log2_e<A>);
    lanes.load(value, v, item.row, A(1));
    for (long long e = item.begin + lanes.slot; e - lanes.slot < item.end; e += U * lanes.slots) {
        Vector<T, VEC> query[U][VECTORS], g[U][VECTORS];
        A lse[U], delta[U];
        int row[U];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            long long edge = e + u * lanes.slots;
            row[u] = edge < item.end ? idx[edge] : -1;
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            lanes.load(query[u], q, row[u]);
            lanes.load(g[u], grad, row[u]);
            Vector<A, 2> pair = Vector<A, 2>::zero();
            if (row[u] >= 0 && lanes.has_head())
                pair = Vector<A, 2>::load(stats + 2 * (row[u] * (long long)heads + lanes.head));
            lse[u] = pair[0], delta[u] = pair[1];
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            A score = lanes.dot(key, query[u]), gv = lanes.dot(value, g[u]);
            if (row[u] < 0 || score == -infinity<A>()) continue;
            A p = exp_2(score - lse[u] * log2_e<A>), grad_score = p * (gv - delta[u]);
#pragma unroll
            for (int c = 0; c < L::CHANNELS; ++c) {
                sum_v[c] += p * g[u][c / VEC][c % VEC];
                sum_k[c] += grad_score * query[u][c / VEC][c % VEC];
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
