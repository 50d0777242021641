// The best k of each row of scores, exactly: a block goes over its row once and keeps a shortlist of
// what beats the worst of the best so far, sorted whenever it is full. Each candidate is a number of
// its own, so the order in which threads add theirs does not matter.

typedef unsigned long long Key;

constexpr int BLOCK = 256, UNROLL = 4, TILE = BLOCK * UNROLL;

// The larger key is the better item: by score, of equal scores by the smaller id. No item has the
// key 0, which NaN gets.
__device__ inline Key key_of(float score, unsigned id) {
    if (score != score) return 0;
    unsigned bits = __float_as_uint(score + 0.0f);  // -0 becomes 0
    unsigned ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return Key(ascending) << 32 | (0xffffffffu - id);
}

__device__ inline float score_of(Key key) {
    unsigned ascending = unsigned(key >> 32);
    return __uint_as_float(ascending & 0x80000000u ? ascending ^ 0x80000000u : ~ascending);
}

__device__ inline long long id_of(Key key) {
    return 0xffffffffu - unsigned(key);
}

// Candidates of one row in shared memory; after keep() the best of them, in order.
struct Shortlist {
    static constexpr int SIZE = 2 * TILE;  // the best and one tile fit

    Key key[SIZE];
    Key bound;  // a smaller key is not among the best
    int filled;

    __device__ void clear() {
        if (threadIdx.x == 0) bound = filled = 0;
        __syncthreads();
    }

    // Whether the next tile might not fit any more; for at least one of the threads that add.
    __device__ bool add(Key candidate) {
        int place = atomicAdd(&filled, 1);
        key[place] = candidate;
        return place >= SIZE - TILE;
    }

    // By all threads after a barrier: of the candidates, the best `count`.
    __device__ void keep(int count) {
        for (int place = filled + threadIdx.x; place < SIZE; place += BLOCK) key[place] = 0;
        sort();
        if (threadIdx.x == 0) {
            filled = count;
            bound = key[count - 1];
        }
        __syncthreads();
    }

    // Bitonic, the largest first. Unrolled it would not fit into the instruction cache.
    __device__ void sort() {
#pragma unroll 1
        for (int run = 2; run <= SIZE; run *= 2)
#pragma unroll 1
            for (int step = run / 2; step > 0; step /= 2) {
                __syncthreads();
                for (int pair = threadIdx.x; pair < SIZE / 2; pair += BLOCK) {
                    int left = 2 * pair - (pair & (step - 1));
                    Key a = key[left], b = key[left + step];
                    bool falls = (left & run) == 0;
                    if ((a < b) == falls) {
                        key[left] = b;
                        key[left + step] = a;
                    }
                }
            }
        __syncthreads();
    }
};

// NaN in the place of each item of column[rowptr[0], rowptr[1]); clears valid [1] and leaves memory
// alone where there is no such place.
template <class Id>
__device__ void hide(
    float* score, const long long* rowptr, const Id* column, int* valid, long long items,
    long long nnz) {
    long long begin = rowptr[0], end = rowptr[1];
    bool fits = 0 <= begin && begin <= end && end <= nnz;
    if (!fits) *valid = 0;
    for (long long e = begin + threadIdx.x; fits && e < end; e += BLOCK) {
        long long item = column[e];
        if (0 <= item && item < items)
            score[item] = __uint_as_float(0x7fffffffu);
        else
            *valid = 0;
    }
    __syncthreads();
}

// score [rows, stride] of which `items` count; rowptr [rows + 1] or null; best, item [rows, k].
// Places first to last - 1 are filled, at most TILE, with what is worse than place first - 1.
template <class Id>
__global__ void __launch_bounds__(BLOCK) topk_select(
    float* score, const long long* rowptr, const Id* column, int* valid, float* best,
    long long* item, long long stride, long long items, long long nnz, long long k,
    long long first, long long last) {
    __shared__ Shortlist list;
    long long row = blockIdx.x;
    score += row * stride;
    best += row * k;
    item += row * k;
    list.clear();
    if (rowptr) hide(score, rowptr + row, column, valid, items, nnz);

    Key ceiling = ~Key(0);
    if (first > 0) ceiling = item[first - 1] < 0 ? 0 : key_of(best[first - 1], item[first - 1]);
    int count = int(last - first);
    for (long long tile = 0; tile < items; tile += TILE) {
        float values[UNROLL];
        bool full = false;
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            long long id = tile + u * BLOCK + threadIdx.x;
            values[u] = id < items ? score[id] : __uint_as_float(0x7fffffffu);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            Key key = key_of(values[u], unsigned(tile + u * BLOCK + threadIdx.x));
            if (list.bound < key && key < ceiling) full |= list.add(key);
        }
        if (__syncthreads_or(full)) list.keep(count);
    }
    list.keep(count);
    for (int place = threadIdx.x; place < count; place += BLOCK) {
        Key key = list.key[place];
        best[first + place] = key ? score_of(key) : __uint_as_float(0xff800000u);
        item[first + place] = key ? id_of(key) : -1;
    }
}
