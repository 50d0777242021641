// Gradients of attend; derived at the head of neighborgraph/ops/attend/op.py.
//
// Weights are found again as p = 2^(score - top) / total. Every kernel adds the terms of a score in
// the same order, so that it has the same bits in all of them and weights add up to one. Sums over
// rows give the gradient of the queries, sums over the transpose those of keys and values, so every
// output row has one owner. K and V are the Lanes of keys and values.
#include "common/edges.cuh"
#include "common/rows.cuh"
#include "common/score.cuh"
#include "common/softmax_state.cuh"

// What a receiver's edges need of it; grad_lse may be null.
template <class V, class A>
__device__ RowStats<A> row_stats(
    const V& values, const A* state, const typename V::T* out, const A (&g)[V::CHANNELS],
    const A* grad_lse, int row) {
    Vector<typename V::T, V::VECTOR> result[V::COUNT];
    values.load(result, out, row);
    A delta = V::sum_over_head(values.partial_dot(g, result));
    if (grad_lse) delta -= *values.of_head(grad_lse, row, 1);
    return RowStats<A>{Weights<A>::load(values.of_head(state, row, 2)), delta};
}

// Of a lane's own edges: scores, weights m p and gradients of scores.
template <class L>
struct OwnGrads {
    using A = typename L::A;
    A s[L::OWN], p[L::OWN], ds[L::OWN];
    bool masked = false;

    template <class StatsOf>
    __device__ OwnGrads(
        const Own<L>& own, const A* sum, const A* gv, A to_base_2, StatsOf stats_of) {
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            const RowStats<A>& stats = stats_of(o);
            s[o] = own.score(o, sum[o], to_base_2);
            bool counts = s[o] != -infinity<A>();
            A weight = stats.weights.of(s[o]);
            A gradient = weight * (own.kept[o] * gv[o] - stats.delta);
            p[o] = counts ? weight * own.kept[o] : A(0);
            ds[o] = counts ? gradient : A(0);
            masked |= own.inside[o] && !counts;
        }
    }
};

template <class K>
__device__ void store_bias_grads(
    const K& keys, const Own<K>& own, const OwnGrads<K>& grads, typename K::A* grad_bias) {
#pragma unroll
    for (int o = 0; o < K::OWN; ++o)
        if (own.inside[o] && keys.writes_own())
            *keys.of_head(grad_bias, own.number[o], 1) = grads.ds[o];
}

// To grad q_i and grad w: ds_e times the term's derivative by the query, and by the weight.
template <class K, class S, class Key>
__device__ void add_slopes(
    const S& score, const OwnGrads<K>& grads, const typename K::A (&query)[K::CHANNELS],
    const Key& key, typename K::A (&sum_q)[K::CHANNELS], typename K::A (&sum_w)[K::CHANNELS]) {
#pragma unroll
    for (int u = 0; u < K::EDGES; ++u) {
        typename K::A ds = K::of_edge(grads.ds, u);
#pragma unroll
        for (int c = 0; c < K::CHANNELS; ++c) {
            sum_q[c] += ds * score.slope(c, query[c], key(u, c));
            sum_w[c] += ds * score.by_weight(c, query[c], key(u, c));
        }
    }
}

// grad edge_e = ds_e dt(k_j + edge_e, q_i), and m_e p_e g_i where edge vectors join the values.
template <class K, class S, class Key>
__device__ void store_edge_grads(
    const K& keys, const S& score, const Own<K>& own, const OwnGrads<K>& grads,
    const typename K::A* query, const Key& key, const typename K::A* g, typename K::T* grad_edge) {
#pragma unroll
    for (int u = 0; u < K::EDGES; ++u) {
        typename K::A ds = K::of_edge(grads.ds, u) * score.factor, p = K::of_edge(grads.p, u);
        typename K::A row[K::CHANNELS];
#pragma unroll
        for (int c = 0; c < K::CHANNELS; ++c) {
            row[c] = ds * score.slope(c, key(u, c), query[c]);
            if constexpr (S::JOINS_VALUES) row[c] += p * g[c];
        }
        unsigned number = K::of_edge(own.number, u);
        if (K::of_edge(own.inside, u)) keys.store(grad_edge, number, row, 1);
    }
}

// grad q_i = sum_e ds_e dt(q_i, k_j) with ds_e = p_e (m_e g_i . v_j - delta_i) and delta_i =
// g_i . out_i - grad_lse_i. state [n, H, 2] is (top, 1 / total) in base 2. stats [n, H, 4] receives
// (top, 1 / total, delta, 0) side by side, since the pass over the transpose reads them at random.
// grad_weight [n, H, D] is each row's share; it, grad_bias [e', H] and grad_edge [e', H, D] may be
// null.
template <
    class K, class V, template <class> class Score, class Inputs, class T = typename K::T,
    class A = typename K::A>
__global__ void __launch_bounds__(
    WARP,
    warps<A>(
        K::registers(2 + 2 * Score<K>::KEPT_ROWS, 1 + Inputs::VECTORS) + V::registers(1, 1), 16))
    attend_grad_q(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const int* edge_id, const long long* ptr, const T* q,
        const T* k, const T* v, const T* out, const A* state, const T* grad, const A* grad_lse,
        const A* weight, const A* bias, const T* edge, const long long* seed, T* grad_q,
        A* stats_out, A* grad_weight, A* grad_bias, T* grad_edge, A* partial_q, A* partial_weight,
        long long items, long long parts, long long heads_per_warp, long long heads,
        long long key_width, long long value_width, long long num_edges, double factor,
        long long threshold, double kept) {
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    K keys = K::over_heads(warp, heads_per_warp, heads, key_width);
    V values = V::over_heads(warp, heads_per_warp, heads, value_width);
    Score<K> score(keys, weight, factor);
    Dropout dropout(seed, threshold, kept);
    A query[K::CHANNELS], g[V::CHANNELS], sum_q[K::CHANNELS] = {}, sum_w[K::CHANNELS] = {};
    keys.load(query, q, item.row);
    values.load(g, grad, item.row);
    RowStats<A> stats = row_stats(values, state, out, g, grad_lse, item.row);
    Walk<K, Inputs> walk(keys, item, idx, edge_id, ptr, num_edges);
    while (walk.more()) {
        Rows<K, Inputs::VECTORS> key;
        Rows<V, Inputs::VECTORS && Score<K>::JOINS_VALUES> value;
        key.load(keys, k, walk.end, edge, walk.number);
        value.load(values, v, walk.end, edge, walk.number);
        Own<K> own = walk.take(bias, dropout);
        A sum[K::EDGES], gv[K::EDGES];
        keys.partial_sums(sum, [&](int u, int c) { return score.term(c, query[c], key(u, c)); });
        values.partial_sums(gv, [&](int u, int c) { return g[c] * value(u, c); });
        keys.sum_each_over_head(sum);
        keys.sum_each_over_head(gv);
        OwnGrads<K> grads(own, sum, gv, score.factor * log2_e<A>, [&](int) { return stats; });
        if (__any_sync(ALL_LANES, grads.masked)) key.drop_masked(grads.s);
        if (Inputs::BIAS && grad_bias) store_bias_grads(keys, own, grads, grad_bias);
        add_slopes(score, grads, query, key, sum_q, sum_w);
        if (Inputs::VECTORS && grad_edge)
            store_edge_grads(keys, score, own, grads, query, key, g, grad_edge);
    }
    keys.sum_over_slots(sum_q);
    bool weighted = Score<K>::KEPT_ROWS && grad_weight;
    if (weighted) keys.sum_over_slots(sum_w);
    if (keys.slot != 0 || !keys.has_head()) return;
    keys.finish(item, sum_q, score.factor, grad_q, partial_q);
    if (weighted && item.slot < 0) keys.store_partial(grad_weight, item.row, sum_w);
    if (weighted && item.slot >= 0) keys.store_partial(partial_weight, item.slot, sum_w);
    bool leads = item.first == ptr[item.row];  // of the items of a cut row, the first
    if (leads && keys.lane == 0) stats.store(stats_out + 4 * (item.row * heads + keys.head));
}

// grad k_j = sum_e ds_e dt(k_j, q_i) and grad v_j = sum_e m_e p_e g_i, where the items walk the
// transpose: row j of an item is a source, idx names the receivers i.
template <
    class K, class V, template <class> class Score, class Inputs, class T = typename K::T,
    class A = typename K::A>
__global__ void __launch_bounds__(
    WARP,
    warps<A>(K::registers(2 + Score<K>::KEPT_ROWS, 1 + Inputs::VECTORS) + V::registers(2, 1), 32))
    attend_grad_kv(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const int* edge_id, const long long* ptr, const T* q,
        const T* k, const T* v, const A* stats, const T* grad, const A* weight, const A* bias,
        const T* edge, const long long* seed, T* grad_k, T* grad_v, A* partial_k, A* partial_v,
        long long items, long long parts, long long heads_per_warp, long long heads,
        long long key_width, long long value_width, long long num_edges, double factor,
        long long threshold, double kept) {
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    K keys = K::over_heads(warp, heads_per_warp, heads, key_width);
    V values = V::over_heads(warp, heads_per_warp, heads, value_width);
    Score<K> score(keys, weight, factor);
    Dropout dropout(seed, threshold, kept);
    A key[K::CHANNELS], value[V::CHANNELS], sum_k[K::CHANNELS] = {}, sum_v[V::CHANNELS] = {};
    keys.load(key, k, item.row);
    values.load(value, v, item.row);
    Walk<K, Inputs> walk(keys, item, idx, edge_id, ptr, num_edges);
    while (walk.more()) {
        Rows<K, false> query;
        Rows<V, false> g;
        EdgeVectors<K, Inputs::VECTORS> vectors;
        RowStats<A> stats_of[K::OWN];
        query.load(keys, q, walk.end, nullptr, walk.number);
        g.load(values, grad, walk.end, nullptr, walk.number);
        vectors.load(keys, edge, walk.number);
        Own<K> own = walk.take(bias, dropout);
#pragma unroll
        for (int o = 0; o < K::OWN; ++o)
            stats_of[o] = RowStats<A>::load(keys.of_head(stats, own.end[o], 4));
        auto key_of = [&](int u, int c) { return vectors.add(key[c], u, c); };
        A sum[K::EDGES], gv[K::EDGES];
        keys.partial_sums(
            sum, [&](int u, int c) { return score.term(c, key_of(u, c), query(u, c)); });
        values.partial_sums(gv, [&](int u, int c) {
            return g(u, c) * (Score<K>::JOINS_VALUES ? vectors.add(value[c], u, c) : value[c]);
        });
        keys.sum_each_over_head(sum);
        keys.sum_each_over_head(gv);
        OwnGrads<K> grads(
            own, sum, gv, score.factor * log2_e<A>, [&](int o) { return stats_of[o]; });
        if (__any_sync(ALL_LANES, grads.masked)) query.drop_masked(grads.s), g.drop_masked(grads.s);
        auto slope = [&](int u, int c) { return score.slope(c, key_of(u, c), query(u, c)); };
        add_weighted<K>(grads.p, g, sum_v);
        add_weighted<K>(grads.ds, slope, sum_k);
    }
    keys.sum_over_slots(sum_k);
    values.sum_over_slots(sum_v);
    if (keys.slot != 0 || !keys.has_head()) return;
    keys.finish(item, sum_k, score.factor, grad_k, partial_k);
    values.finish(item, sum_v, A(1), grad_v, partial_v);
}
