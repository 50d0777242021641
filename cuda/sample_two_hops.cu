// Draw nodes one or two steps away. Defined in neighborgraph/ops/sample/reference.py.
#include "common/draw.cuh"

// All nodes that a row can draw, in order: those one step away, then for each of them its own.
struct TwoHops {
    const Integer* ptr;   // [n + 1]
    const int* idx;       // [e]
    const Integer* ends;  // [e + 1] nodes two steps away, by way of all positions before
    Integer start, degree, size;

    __device__ TwoHops(const Integer* ptr, const int* idx, const Integer* ends, Integer row)
        : ptr(ptr), idx(idx), ends(ends), start(ptr[row]), degree(ptr[row + 1] - start),
          size(degree + ends[start + degree] - ends[start]) {}

    __device__ Integer operator[](Integer place) const {
        if (place < degree) return idx[start + place];
        Integer end = ends[start] + place - degree;
        Integer by_way_of = first_above(ends, start, start + degree, end, true) - 1;
        return idx[ptr[idx[by_way_of]] + end - ends[by_way_of]];
    }
};

// LANES threads a row. row, key [rows], node [rows, count].
template <int LANES>
__global__ void sample_two_hops(
    const Integer* ptr, const int* idx, const Integer* ends, const Integer* row, const Integer* key,
    Integer* node, Integer rows, Integer nodes, Integer count, Integer seed, Integer epoch,
    Integer stream) {
    Integer i = (Integer(blockIdx.x) * blockDim.x + threadIdx.x) / LANES;
    if (i >= rows) return;
    int lane = threadIdx.x % LANES;
    unsigned mask = lanes_together<LANES>();
    TwoHops around(ptr, idx, ends, row[i]);
    Integer* out = node + i * count;
    Numbers numbers{(unsigned long long)seed, unsigned(key[i]), unsigned(epoch), unsigned(stream)};
    bool enough = around.size > count;
    if (enough) draw_distinct<LANES>(0, around.size, numbers, out, count, lane, mask);
    for (Integer p = lane; p < count; p += LANES) {
        if (around.size > 0)
            out[p] = around[enough ? out[p] : p % around.size];
        else
            out[p] = numbers.draw(p, nodes);
    }
}
