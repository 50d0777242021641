// Work items: what one warp does. The arrays are described in neighborgraph/graph/schedule.py.
#pragma once

#include "common/types.cuh"

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// A warp serves one part (a group of heads, or a range of channels) of one item. It is a block of
// its own: rows differ in length, and a block of several warps holds its place until the longest
// is done. The parts of an item are neighbours, so that they share its indices in the cache.
struct Warp {
    long long item;
    int part;
    int lane;

    __device__ Warp(long long parts) {
        long long warp = blockIdx.x;
        item = parts == 1 ? warp : warp / parts;  // a 64-bit division costs as much as ten edges
        part = int(warp - item * parts);
        lane = threadIdx.x;
    }
};

struct Item {
    int row;
    int slot;  // where a cut row leaves its partial result; -1 writes the row itself
    int edges;
    long long first;  // position of its first edge

    __device__ Item(
        const int* item_row, const long long* item_first, const int* item_edges,
        const int* item_slot, long long item)
        : row(item_row[item]),
          slot(item_slot[item]),
          edges(item_edges[item]),
          first(item_first[item]) {}
};

// The edges a lane's slot takes in one step of an item: U of them, `slots` apart. Past the item's
// end the last edge is read again, so that every address is valid; `inside` says which ones count.
template <int U>
struct Step {
    int edge[U];
    bool inside[U];

    __device__ Step(const Item& item, int begin, int slots) {
#pragma unroll
        for (int u = 0; u < U; ++u) {
            edge[u] = begin + u * slots;
            inside[u] = edge[u] < item.edges;
            edge[u] = inside[u] ? edge[u] : item.edges - 1;
        }
    }

    // Their values in an array over all edges, such as the columns.
    __device__ void gather(int (&values)[U], const int* array, const Item& item) const {
#pragma unroll
        for (int u = 0; u < U; ++u) values[u] = __ldg(advance(array + item.first, edge[u], 4));
    }
};
