// An item's edges as a warp walks them: other ends, the caller's numbers, and what edges bring.
#pragma once

#include "common/lanes.cuh"
#include "common/philox.cuh"

// What attention's edges bring with them. LOOPS: every node has one loop, numbered after the edges,
// in place of its own. BIAS [e', H], VECTORS [e', H, D] and DROPOUT go by the caller's numbers.
template <bool LOOPS_, bool BIAS_, bool VECTORS_, bool DROPOUT_>
struct EdgeInputs {
    static constexpr bool LOOPS = LOOPS_, BIAS = BIAS_, VECTORS = VECTORS_, DROPOUT = DROPOUT_;
};

// Of the edges of a step, those whose scores are this lane's share; see Lanes::sum_each_over_head.
template <class L>
struct Own {
    using A = typename L::A;
    int end[L::OWN];
    unsigned number[L::OWN];
    bool inside[L::OWN];  // false past the end of the item
    bool masked[L::OWN];  // replaced by the node's loop
    A bias[L::OWN];
    A kept[L::OWN];  // factor of the weight: 0 where dropped

    // The score in base 2 from its sum over channels; -inf for an edge that does not count.
    __device__ A score(int o, A sum, A to_base_2) const {
        A score = sum * to_base_2 + bias[o] * log2_e<A>;
        return inside[o] && !masked[o] ? score : -infinity<A>();
    }
};

template <class L, class Inputs>
struct Walk {
    using A = typename L::A;
    static constexpr int U = L::EDGES, OWN = L::OWN;

    const L& lanes;
    const Item& item;
    const int *idx, *edge_id;  // at the item's first edge
    int edges, loop;           // edges of the item with its loop; position of the loop, else -1
    unsigned loop_number;
    int begin;           // position of this slot's first edge in the coming step
    int end[U];          // other ends of the coming step's edges
    unsigned number[U];  // and their numbers in the caller's order
    int own_end[OWN];
    unsigned own_number[OWN];

    __device__ Walk(
        const L& lanes, const Item& item, const int* idx, const int* edge_id, const long long* ptr,
        long long num_edges)
        : lanes(lanes),
          item(item),
          idx(idx + item.first),
          edge_id(edge_id + item.first),
          edges(item.edges),
          loop(-1),
          loop_number(unsigned(num_edges) + item.row),
          begin(lanes.slot) {
        // Of the items of a cut row, the first has its loop.
        if (Inputs::LOOPS && item.first == ptr[item.row]) loop = edges++;
        if (edges > 0) gather();
    }

    __device__ bool more() const { return begin - lanes.slot < edges; }
    __device__ bool inside(int u) const { return begin + u * lanes.slots < edges; }

    // Past the end the last edge is read again, so that every address is valid.
    __device__ int position(int u) const {
        int position = begin + u * lanes.slots;
        return position < edges ? position : edges - 1;
    }

    __device__ void gather() {
#pragma unroll
        for (int u = 0; u < U; ++u) {
            end[u] = at(idx, position(u), item.row);
            number[u] = at(edge_id, position(u), loop_number);
        }
#pragma unroll
        for (int o = 0; o < OWN; ++o) {
            own_end[o] = at(idx, position(lanes.first_own() + o), item.row);
            own_number[o] = at(edge_id, position(lanes.first_own() + o), loop_number);
        }
    }

    __device__ int at(const int* array, int position, int of_loop) const {
        if (Inputs::LOOPS && position == loop) return of_loop;
        return __ldg(advance(array, position, 4));
    }

    // The own edges of the coming step, with what they bring. The walk moves on: the ends of the
    // step after it are loaded while this one's rows arrive.
    __device__ Own<L> take(const A* bias, const Dropout& dropout) {
        Own<L> own;
#pragma unroll
        for (int o = 0; o < OWN; ++o) {
            int at = lanes.first_own() + o;
            own.end[o] = own_end[o];
            own.number[o] = own_number[o];
            own.inside[o] = inside(at);
            own.masked[o] = Inputs::LOOPS && own_end[o] == item.row && position(at) != loop;
            own.bias[o] = Inputs::BIAS ? __ldg(lanes.of_head(bias, own_number[o], 1)) : A(0);
            own.kept[o] = 1;
            if (Inputs::DROPOUT) own.kept[o] = dropout.factor(own_number[o], lanes.head);
        }
        begin += U * lanes.slots;
        gather();
        return own;
    }
};
