// Draw neighbours of rows. Defined in neighborgraph/ops/sample/reference.py.
#include "common/draw.cuh"

// What a row draws from and how many: candidates are positions first .. first + size - 1. One thread
// a row. ptr [n + 1]; time [e] or null; row, until (or null) and all outputs [rows].
extern "C" __global__ void sample_candidates(
    const Integer* ptr, const Integer* time, const Integer* row, const Integer* until,
    Integer* first, Integer* candidates, Integer* drawn, Integer rows, Integer count,
    Integer replace, Integer last, Integer inclusive) {
    Integer i = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= rows) return;
    Integer start = ptr[row[i]], stop = ptr[row[i] + 1];
    if (until) stop = first_above(time, start, stop, until[i], inclusive);
    if (last && count >= 0 && stop - count > start) start = stop - count;
    Integer size = stop - start;
    first[i] = start;
    candidates[i] = size;
    bool whole = count < 0 || size == 0 || (!replace && size < count);
    drawn[i] = whole ? size : count;
}

// The weight of positions begin .. end - 1 of a row. The sums wrap around, their difference not.
__device__ inline Integer weight_of(const Integer* cumulative, Integer begin, Integer end) {
    using Wrapping = unsigned long long;
    return Integer(Wrapping(cumulative[end]) - Wrapping(cumulative[begin]));
}

// The last of a row's candidates whose weights before it do not exceed the number.
__device__ inline Integer place_of(
    const Integer* cumulative, Integer first, Integer size, Integer number) {
    Integer begin = first, end = first + size - 1;
    while (begin < end) {
        Integer middle = (begin + end + 1) >> 1;
        if (weight_of(cumulative, first, middle) <= number)
            begin = middle;
        else
            end = middle - 1;
    }
    return begin;
}

// Without replacement, by weight: a number below the weight that is left skips what was drawn,
// which `out` keeps in ascending order.
__device__ inline void draw_weighted(
    const Integer* cumulative, Integer first, Integer size, const Numbers& numbers, Integer* out,
    Integer drawn) {
    Integer left = weight_of(cumulative, first, first + size);
    for (Integer p = 0; p < drawn; ++p) {
        Integer number = numbers.draw(p, left), rank = 0;
        for (; rank < p && number >= weight_of(cumulative, first, out[rank]); ++rank)
            number += weight_of(cumulative, out[rank], out[rank] + 1);
        Integer place = place_of(cumulative, first, size, number);
        left -= weight_of(cumulative, place, place + 1);
        for (Integer other = p; other > rank; --other) out[other] = out[other - 1];
        out[rank] = place;
    }
}

// LANES threads a row draw positions into edge [s]. offsets [rows + 1] is where a row's are.
template <int LANES>
__global__ void sample_draw(
    const Integer* cumulative, const Integer* key, const Integer* first, const Integer* candidates,
    const Integer* offsets, Integer* edge, Integer rows, Integer count, Integer replace,
    Integer seed, Integer epoch, Integer stream) {
    Integer i = (Integer(blockIdx.x) * blockDim.x + threadIdx.x) / LANES;
    if (i >= rows) return;
    int lane = threadIdx.x % LANES;
    unsigned mask = lanes_together<LANES>();
    Integer start = first[i], size = candidates[i], drawn = offsets[i + 1] - offsets[i];
    Integer* out = edge + offsets[i];
    Numbers numbers{(unsigned long long)seed, unsigned(key[i]), unsigned(epoch), unsigned(stream)};
    if (drawn == size && (!replace || count < 0)) {
        for (Integer p = lane; p < drawn; p += LANES) out[p] = start + p;
    } else if (replace) {
        for (Integer p = lane; p < drawn; p += LANES) {
            if (cumulative) {
                Integer left = weight_of(cumulative, start, start + size);
                out[p] = place_of(cumulative, start, size, numbers.draw(p, left));
            } else {
                out[p] = start + numbers.draw(p, size);
            }
        }
    } else if (cumulative) {
        if (lane == 0) draw_weighted(cumulative, start, size, numbers, out, drawn);
    } else {
        draw_distinct<LANES>(start, size, numbers, out, drawn, lane, mask);
    }
}

// All candidates of all rows, one thread an edge, whatever the degrees.
extern "C" __global__ void sample_all(
    const Integer* first, const Integer* offsets, Integer* edge, Integer rows, Integer edges) {
    Integer t = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t >= edges) return;
    Integer i = first_above(offsets, 0, rows, t, true) - 1;
    edge[t] = first[i] + t - offsets[i];
}

// Positions to neighbours and the caller's numbers of edges, one thread an edge.
extern "C" __global__ void sample_gather(
    const int* idx, const int* edge_id, const Integer* offsets, Integer* edge, Integer* source,
    Integer* receiver, Integer rows, Integer edges) {
    Integer t = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t >= edges) return;
    Integer position = edge[t];
    source[t] = idx[position];
    edge[t] = edge_id[position];
    receiver[t] = first_above(offsets, 0, rows, t, true) - 1;
}
