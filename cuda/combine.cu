// Folds the partial results of rows that were cut into several items, in slot order, so that the
// result does not depend on which item finished first. A block serves COLUMNS elements of a run of
// cut rows. Most were cut once or twice: each of the block's STRANDS folds one of them by itself.
// The few with many slots are folded by all strands, a run of slots each.
//
// split_row [splits]: the cut rows; slots split_ptr[t] .. split_ptr[t+1] belong to split_row[t]. A
// padded schedule ends with entries of row -1, which have no slots and stand for nothing.
#include "common/epilogue.cuh"
#include "common/extreme.cuh"
#include "common/softmax_state.cuh"

constexpr int COLUMNS = 32, STRANDS = 16;
constexpr int FEW = 8;  // slots that one strand folds sooner than all of them could meet

struct CutRows {
    const int* row;  // [splits]
    const int* ptr;  // [splits + 1]
    long long splits, each, width;  // how many; how many a block serves; elements of a row

    // of_slot(slot, channel) is the part of a slot; write(row, channel, part) gets the whole.
    template <class Part, class Of, class Write>
    __device__ void fold(const Of& of_slot, const Write& write) const {
        __shared__ alignas(16) char memory[STRANDS * COLUMNS * sizeof(Part)];
        Part* parts = reinterpret_cast<Part*>(memory);
        long long blocks = (width + COLUMNS - 1) / COLUMNS;
        int strand = threadIdx.x / COLUMNS, column = threadIdx.x % COLUMNS;
        long long channel = blockIdx.x % blocks * COLUMNS + column;
        bool inside = channel < width;
        auto run = [&](long long slot, long long end) {
            Part part;
            if (inside)
                for (; slot < end; ++slot) part.take(of_slot(slot, channel));
            return part;
        };

        long long first = blockIdx.x / blocks * each;
        long long last = first + each < splits ? first + each : splits;
        for (long long split = first + strand; split < last; split += STRANDS) {
            long long begin = ptr[split], end = ptr[split + 1];
            if (inside && begin < end && end - begin <= FEW)
                write(row[split], channel, run(begin, end));
        }
        for (long long split = first; split < last; ++split) {
            long long begin = ptr[split], slots = ptr[split + 1] - begin;
            if (slots <= FEW) continue;
            parts[threadIdx.x] =
                run(begin + slots * strand / STRANDS, begin + slots * (strand + 1) / STRANDS);
            __syncthreads();
            if (inside && strand == 0) {
                Part whole = parts[column];
                for (int other = 1; other < STRANDS; ++other)
                    whole.take(parts[other * COLUMNS + column]);
                write(row[split], channel, whole);
            }
            __syncthreads();
        }
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
    const int* split_row, const int* split_ptr, long long splits, long long each,
    const acc_t<T>* partial, const acc_t<T>* row_scale, const T* add, T* out, long long width,
    double add_scale) {
    using A = acc_t<T>;
    auto of_slot = [&](long long slot, long long channel) {
        return Total<A>{partial[slot * width + channel]};
    };
    auto write = [&](long long row, long long channel, const Total<A>& total) {
        long long at = row * width + channel;
        narrow(Epilogue<T>{row_scale, add, A(add_scale)}.of(total.sum, row, at), out[at]);
    };
    CutRows{split_row, split_ptr, splits, each, width}.fold<Total<A>>(of_slot, write);
}

// partial, partial_winner [slots, F] -> out, winner [n, F].
template <class T>
__global__ void combine_max(
    const int* split_row, const int* split_ptr, long long splits, long long each,
    const acc_t<T>* partial, const int* partial_winner, const acc_t<T>* row_scale, const T* add,
    T* out, int* winner, long long width, double add_scale) {
    using A = acc_t<T>;
    auto of_slot = [&](long long slot, long long channel) {
        long long from = slot * width + channel;
        return Winner<A>{Extreme<A>{partial[from], partial_winner[from]}};
    };
    auto write = [&](long long row, long long channel, const Winner<A>& of_row) {
        long long at = row * width + channel;
        A best = of_row.best.value;
        narrow(Epilogue<T>{row_scale, add, A(add_scale)}.of(best, row, at), out[at]);
        winner[at] = of_row.best.edge;
    };
    CutRows{split_row, split_ptr, splits, each, width}.fold<Winner<A>>(of_slot, write);
}

// partial_out [slots, H, D], partial_state [slots, H, 2] (top, total) -> out [n, H, D], lse [n, H],
// state [n, H, 2] (top, 1 / total).
template <class T>
__global__ void combine_softmax(
    const int* split_row, const int* split_ptr, long long splits, long long each,
    const acc_t<T>* partial_out, const acc_t<T>* partial_state, T* out, acc_t<T>* lse,
    acc_t<T>* state_out, long long heads, long long head_width) {
    using A = acc_t<T>;
    long long width = heads * head_width;
    auto of_slot = [&](long long slot, long long channel) {
        const A* state = partial_state + 2 * (slot * heads + channel / head_width);
        return Mixture<A>{{state[0], state[1]}, partial_out[slot * width + channel]};
    };
    auto write = [&](long long row, long long channel, const Mixture<A>& whole) {
        narrow(whole.mixed * whole.state.inverse_total(), out[row * width + channel]);
        if (channel % head_width == 0)
            whole.state.store(lse, state_out, row * heads + channel / head_width);
    };
    CutRows{split_row, split_ptr, splits, each, width}.fold<Mixture<A>>(of_slot, write);
}
