// Folds the partial results of rows that were cut into several items. A block serves COLUMNS
// elements of one cut row: each of its STRANDS folds a run of the row's slots, and then the first
// takes in the others. All in slot order, so that the result does not depend on which item finished
// first.
//
// split_row [s]: the cut rows; slots split_ptr[t] .. split_ptr[t+1] belong to split_row[t]. A
// padded schedule ends with entries of row -1, which stand for nothing.
#include "common/epilogue.cuh"
#include "common/extreme.cuh"
#include "common/softmax_state.cuh"

constexpr int COLUMNS = 32, STRANDS = 16;

// Which element of which cut row a thread works on, and which of its slots.
struct Share {
    long long row, channel, first, end;
    int strand, column;
    bool inside;

    __device__ Share(const int* split_row, const int* split_ptr, long long width) {
        long long blocks = (width + COLUMNS - 1) / COLUMNS, split = blockIdx.x / blocks;
        strand = threadIdx.x / COLUMNS;
        column = threadIdx.x % COLUMNS;
        channel = blockIdx.x % blocks * COLUMNS + column;
        row = split_row[split];
        inside = row >= 0 && channel < width;
        long long begin = split_ptr[split], slots = split_ptr[split + 1] - begin;
        first = begin + slots * strand / STRANDS;
        end = begin + slots * (strand + 1) / STRANDS;
    }

    // Fold the slots into `part`; true for the thread that holds the whole afterwards.
    template <class Part, class Of>
    __device__ bool fold(Part& part, const Of& of_slot) const {
        __shared__ alignas(16) char memory[STRANDS * COLUMNS * sizeof(Part)];
        Part* parts = reinterpret_cast<Part*>(memory);
        if (inside)
            for (long long slot = first; slot < end; ++slot) part.take(of_slot(slot));
        parts[threadIdx.x] = part;
        __syncthreads();
        if (!inside || strand > 0) return false;
        for (int other = 1; other < STRANDS; ++other) part.take(parts[other * COLUMNS + column]);
        return true;
    }
};

template <class A>
struct Total {
    A sum = 0;

    __device__ void take(const Total& other) { sum += other.sum; }
};

template <class A>
struct Winner {
    Extreme<A> best{A(0), -1};

    __device__ void take(const Winner& other) {
        if (other.best.beats(best)) best = other.best;
    }
};

template <class A>
struct Mixture {
    SoftmaxState<A> state;
    A mixed = 0;

    __device__ void take(const Mixture& other) {
        A factor, share = state.merge(other.state.top, other.state.total, factor);
        mixed = factor * mixed + share * other.mixed;
    }
};

// partial [slots, F] -> out [n, F] = r_i * sum over slots, plus s * add_i; row_scale and add may be
// null.
template <class T>
__global__ void combine_sum(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial, const acc_t<T>* row_scale,
    const T* add, T* out, long long width, double add_scale) {
    using A = acc_t<T>;
    Share share(split_row, split_ptr, width);
    Total<A> total;
    auto of_slot = [&](long long slot) { return Total<A>{partial[slot * width + share.channel]}; };
    if (!share.fold(total, of_slot)) return;
    long long at = share.row * width + share.channel;
    narrow(Epilogue<T>{row_scale, add, A(add_scale)}.of(total.sum, share.row, at), out[at]);
}

// partial, partial_winner [slots, F] -> out, winner [n, F].
template <class T>
__global__ void combine_max(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial, const int* partial_winner,
    const acc_t<T>* row_scale, const T* add, T* out, int* winner, long long width,
    double add_scale) {
    using A = acc_t<T>;
    Share share(split_row, split_ptr, width);
    Winner<A> own;
    auto of_slot = [&](long long slot) {
        long long from = slot * width + share.channel;
        return Winner<A>{Extreme<A>{partial[from], partial_winner[from]}};
    };
    if (!share.fold(own, of_slot)) return;
    long long at = share.row * width + share.channel;
    A best = own.best.value;
    narrow(Epilogue<T>{row_scale, add, A(add_scale)}.of(best, share.row, at), out[at]);
    winner[at] = own.best.edge;
}

// partial_out [slots, H, D], partial_state [slots, H, 2] (top, total) -> out [n, H, D], lse [n, H],
// state [n, H, 2] (top, 1 / total).
template <class T>
__global__ void combine_softmax(
    const int* split_row, const int* split_ptr, const acc_t<T>* partial_out,
    const acc_t<T>* partial_state, T* out, acc_t<T>* lse, acc_t<T>* state_out, long long heads,
    long long head_width) {
    using A = acc_t<T>;
    long long width = heads * head_width;
    Share share(split_row, split_ptr, width);
    long long head = share.channel / head_width;
    Mixture<A> whole;
    auto of_slot = [&](long long slot) {
        const A* state = partial_state + 2 * (slot * heads + head);
        return Mixture<A>{{state[0], state[1]}, partial_out[slot * width + share.channel]};
    };
    if (!share.fold(whole, of_slot)) return;
    A mean = whole.mixed * whole.state.inverse_total();
    narrow(mean, out[share.row * width + share.channel]);
    if (share.channel % head_width == 0)
        whole.state.store(lse, state_out, share.row * heads + head);
}
