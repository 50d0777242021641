// attend: out_i = sum_e m_e p_e v_j with p_i = softmax_e(score(q_i, k_j) + bias_e), one warp for
// each group of heads of each work item. K and V are the Lanes of keys and values.
#include "common/edges.cuh"
#include "common/rows.cuh"
#include "common/score.cuh"
#include "common/softmax_state.cuh"

// The slots of a warp hold parts of the same row.
template <class V, class A>
__device__ void merge_slots(const V& values, SoftmaxState<A>& state, A (&mixed)[V::CHANNELS]) {
    for (int step = values.lanes_per_slot(); step < WARP; step *= 2) {
        A factor, other_factor = state.merge(
                      __shfl_xor_sync(ALL_LANES, state.top, step),
                      __shfl_xor_sync(ALL_LANES, state.total, step), factor);
#pragma unroll
        for (int c = 0; c < V::CHANNELS; ++c)
            mixed[c] =
                factor * mixed[c] + other_factor * __shfl_xor_sync(ALL_LANES, mixed[c], step);
    }
}

// The scores of a lane's own edges, and the largest of them.
template <class L>
struct OwnScores {
    using A = typename L::A;
    A s[L::OWN], top = -infinity<A>();
    bool masked = false;

    __device__ OwnScores(const Own<L>& own, const A* sum, A to_base_2) {
#pragma unroll
        for (int o = 0; o < L::OWN; ++o) {
            s[o] = own.score(o, sum[o], to_base_2);
            masked |= s[o] == -infinity<A>();
            top = larger(top, s[o]);
        }
    }
};

// A row that is complete, or what a cut row's item has of it.
template <class V, class A>
__device__ void finish(
    const V& values, const Item& item, const SoftmaxState<A>& state, const A (&mixed)[V::CHANNELS],
    typename V::T* out, A* lse, A* state_out, A* partial_out, A* partial_state) {
    if (item.slot < 0) {
        values.store(out, item.row, mixed, state.inverse_total());
        if (values.lane == 0) state.store(lse, state_out, item.row * values.heads + values.head);
    } else {
        values.store_partial(partial_out, item.slot, mixed);
        A* to = partial_state + 2 * (item.slot * values.heads + values.head);
        if (values.lane == 0) to[0] = state.top, to[1] = state.total;
    }
}

// q [n, H, D], k [m, H, D], v [m, H, V]; weight [H, D]; bias [e', H], edge [e', H, D] -> out
// [n, H, V]; lse [n, H], natural logarithm; state [n, H, 2] (top, 1 / total) in base 2, from which
// the backward pass finds each weight again. partial_out [slots, H, V] and partial_state
// [slots, H, 2] (top, total) are for cut rows.
template <
    class K, class V, template <class> class Score, class Inputs, class T = typename K::T,
    class A = typename K::A>
__global__ void __launch_bounds__(
    WARP,
    warps<A>(K::registers(1 + Score<K>::KEPT_ROWS, 1 + Inputs::VECTORS) + V::registers(1, 1), 16))
    attend_forward(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, const int* idx, const int* edge_id, const long long* ptr, const T* q,
        const T* k, const T* v, const A* weight, const A* bias, const T* edge,
        const long long* seed, T* out, A* lse, A* state_out, A* partial_out, A* partial_state,
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
    A query[K::CHANNELS], mixed[V::CHANNELS] = {};
    keys.load(query, q, item.row);
    SoftmaxState<A> state;
    Walk<K, Inputs> walk(keys, item, idx, edge_id, ptr, num_edges);
    while (walk.more()) {
        Rows<K, Inputs::VECTORS> key;
        Rows<V, Inputs::VECTORS && Score<K>::JOINS_VALUES> value;
        key.load(keys, k, walk.end, edge, walk.number);
        value.load(values, v, walk.end, edge, walk.number);
        Own<K> own = walk.take(bias, dropout);
        A sum[K::EDGES], share[K::OWN];
        keys.partial_sums(sum, [&](int u, int c) { return score.term(c, query[c], key(u, c)); });
        keys.sum_each_over_head(sum);
        OwnScores<K> scores(own, sum, score.factor * log2_e<A>);
        A fade = state.raise(K::max_over_owners(scores.top));
#pragma unroll
        for (int o = 0; o < K::OWN; ++o) {
            share[o] = state.share(scores.s[o]);
            state.total += share[o];
            share[o] *= own.kept[o];
        }
        if (__any_sync(ALL_LANES, scores.masked)) value.drop_masked(scores.s);
#pragma unroll
        for (int c = 0; c < V::CHANNELS; ++c) mixed[c] *= fade;
        add_weighted<K>(share, value, mixed);
    }
    state.total = K::sum_over_owners(state.total);
    merge_slots(values, state, mixed);
    if (values.slot != 0 || !values.has_head()) return;
    finish(values, item, state, mixed, out, lse, state_out, partial_out, partial_state);
}

// The weight m p of every edge, weights [e', H], from the state that the forward pass left.
template <
    class K, template <class> class Score, class Inputs, class T = typename K::T,
    class A = typename K::A>
__global__ void __launch_bounds__(WARP) attend_weights(
    const int* item_row, const long long* item_first, const int* item_edges, const int* item_slot,
    const int* idx, const int* edge_id, const long long* ptr, const T* q, const T* k,
    const A* state, const A* weight, const A* bias, const T* edge, const long long* seed,
    A* weights_out, long long items, long long parts, long long heads_per_warp, long long heads,
    long long key_width, long long num_edges, double factor, long long threshold, double kept) {
    Warp warp(parts);
    if (warp.item >= items) return;
    Item item(item_row, item_first, item_edges, item_slot, warp.item);
    K keys = K::over_heads(warp, heads_per_warp, heads, key_width);
    Score<K> score(keys, weight, factor);
    Dropout dropout(seed, threshold, kept);
    A query[K::CHANNELS];
    keys.load(query, q, item.row);
    Weights<A> weights = Weights<A>::load(keys.of_head(state, item.row, 2));
    Walk<K, Inputs> walk(keys, item, idx, edge_id, ptr, num_edges);
    while (walk.more()) {
        Rows<K, Inputs::VECTORS> key;
        key.load(keys, k, walk.end, edge, walk.number);
        Own<K> own = walk.take(bias, dropout);
        A sum[K::EDGES];
        keys.partial_sums(sum, [&](int u, int c) { return score.term(c, query[c], key(u, c)); });
        keys.sum_each_over_head(sum);
#pragma unroll
        for (int o = 0; o < K::OWN; ++o) {
            A s = own.score(o, sum[o], score.factor * log2_e<A>);
            A p = s == -infinity<A>() ? A(0) : weights.of(s) * own.kept[o];
            if (own.inside[o] && keys.writes_own())
                *keys.of_head(weights_out, own.number[o], 1) = p;
        }
    }
}
