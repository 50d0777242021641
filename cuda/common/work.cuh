// Work items: what one warp does. The arrays are described in neighborgraph/graph/schedule.py.
#pragma once

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

struct Item {
    long long row;
    long long begin, end;  // edges
    long long slot;        // where a cut row leaves its partial result; -1 writes the row itself
    bool first;            // the row's first item
};

// A warp serves one part (a group of heads or channels) of one item; parts of an item are
// neighbours, so that they share its indices in the cache.
struct Warp {
    long long item;
    int part;
    int lane;

    __device__ Warp(long long parts) {
        long long warp = (blockIdx.x * (long long)blockDim.x + threadIdx.x) / WARP;
        item = warp / parts;
        part = int(warp % parts);
        lane = threadIdx.x % WARP;
    }
};

__device__ inline Item load_item(const int* item_row, const long long* item_ptr,
                                 const int* item_slot, long long item) {
    int row = item_row[item];
    return Item{row, item_ptr[item], item_ptr[item + 1], item_slot[item],
                item == 0 || item_row[item - 1] != row};
}
