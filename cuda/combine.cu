// Folds the partial results of rows that were cut into several items, in slot order, so that the
// result does not depend on which item finished first. One thread for each element of a cut row.
//
// split_row [s]: the cut rows; slots split_ptr[t] .. split_ptr[t+1] belong to split_row[t]. A
// padded schedule ends with entries of row -1, which stand for nothing.
#include "common/epilogue.cuh"
#include "common/extreme.cuh"
#include "common/softmax_state.cuh"

struct Element {
    long long split, channel;  // which cut row, which of its elements

    __device__ Element(long long width) {
        long long thread = blockIdx.x * (long long)blockDim.x + threadIdx.x;
        split = thread / width;
        channel = thread % width;
    }
};

// partial [slots, F] -> out [n, F] = r_i * sum over slots, plus s * add_i; row_scale and add may be
// null.
template <class T>
__global__ void combine_sum(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial, const acc_t<T>* row_scale,
    const T* add, T* out, long long splits, long long width, double add_scale) {
    Element element(width);
    if (element.split >= splits || split_row[element.split] < 0) return;
    long long row = split_row[element.split], at = row * width + element.channel;
    acc_t<T> sum = 0;
    for (long long slot = split_ptr[element.split]; slot < split_ptr[element.split + 1]; ++slot)
        sum += partial[slot * width + element.channel];
    narrow(Epilogue<T>{row_scale, add, acc_t<T>(add_scale)}.of(sum, row, at), out[at]);
}

// partial, partial_winner [slots, F] -> out, winner [n, F].
template <class T>
__global__ void combine_max(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial, const int* partial_winner,
    const acc_t<T>* row_scale, const T* add, T* out, int* winner, long long splits, long long width,
    double add_scale) {
    Element element(width);
    if (element.split >= splits || split_row[element.split] < 0) return;
    long long row = split_row[element.split], at = row * width + element.channel;
    Extreme<acc_t<T>> best{acc_t<T>(0), -1};
    for (long long slot = split_ptr[element.split]; slot < split_ptr[element.split + 1]; ++slot) {
        long long part = slot * width + element.channel;
        Extreme<acc_t<T>> other{partial[part], partial_winner[part]};
        if (other.beats(best)) best = other;
    }
    narrow(Epilogue<T>{row_scale, add, acc_t<T>(add_scale)}.of(best.value, row, at), out[at]);
    winner[at] = best.edge;
}

// partial_out [slots, H, D], partial_state [slots, H, 2] (top, total) -> out [n, H, D], lse [n, H],
// state [n, H, 2] (top, 1 / total).
template <class T>
__global__ void combine_softmax(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial_out,
    const acc_t<T>* partial_state, T* out, acc_t<T>* lse, acc_t<T>* state_out, long long splits,
    long long heads, long long head_width) {
    using A = acc_t<T>;
    Element element(heads * head_width);
    if (element.split >= splits || split_row[element.split] < 0) return;
    long long row = split_row[element.split], head = element.channel / head_width;
    SoftmaxState<A> state;
    A mixed = 0;
    for (long long slot = split_ptr[element.split]; slot < split_ptr[element.split + 1]; ++slot) {
        const A* part = partial_state + 2 * (slot * heads + head);
        A factor, share = state.merge(part[0], part[1], factor);
        mixed = factor * mixed + share * partial_out[slot * heads * head_width + element.channel];
    }
    narrow(mixed * state.inverse_total(), out[row * heads * head_width + element.channel]);
    if (element.channel % head_width == 0) state.store(lse, state_out, row * heads + head);
}
