// Edges to rows: keys for a sort, then row pointers, work items and edges in sorted order. The
// arrays are described in neighborgraph/graph/schedule.py; one thread for each element.

constexpr long long MAX_ITEM_EDGES = 512;

__device__ inline long long thread() {
    return blockIdx.x * (long long)blockDim.x + threadIdx.x;
}

// key [edges + loops]: the row of each edge; row `rows`, which does not exist, for an edge that
// does not count: one whose ends are out of range, which also clears valid [1], and a loop that is
// replaced. The loops of all nodes come last.
template <class I>
__global__ void compress_keys(
    const I* row, const I* col, int* key, int* valid, long long edges, long long loops,
    long long rows, long long cols) {
    long long t = thread();
    if (t >= edges + loops) return;
    if (t >= edges) {
        key[t] = int(t - edges);
        return;
    }
    long long r = row[t], c = col[t];
    bool inside = r >= 0 && r < rows && c >= 0 && c < cols;
    if (!inside) *valid = 0;
    key[t] = int(inside && !(loops > 0 && r == c) ? r : rows);
}

// order [total]: the number of the edge at each position; from `edges` on they are loops.
template <class I>
__global__ void compress_edges(
    const long long* order, const I* col, int* idx, int* edge_id, long long edges,
    long long total) {
    long long t = thread();
    if (t >= total) return;
    long long edge = order[t];
    edge_id[t] = int(edge);
    idx[t] = int(edge < edges ? (long long)col[edge] : edge - edges);
}

__device__ inline long long first_at_least(
    const int* key, long long begin, long long end, long long row) {
    while (begin < end) {
        long long middle = (begin + end) / 2;
        if (key[middle] < row)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

// How a row is cut: items beyond its first in the upper half of the word, whether there are any in
// the lower. One sum over rows then adds up both.
struct Cut {
    long long extra, split;

    __device__ static Cut of_degree(long long degree) {
        long long extra = degree > 0 ? (degree - 1) / MAX_ITEM_EDGES : 0;
        return {extra, extra > 0};
    }
    __device__ static Cut unpack(long long word) { return {word >> 32, word & 0xffffffffll}; }
    __device__ long long pack() const { return extra << 32 | split; }
};

// key [edges], sorted -> ptr [rows + 1], cuts [rows].
__global__ void compress_rows(
    const int* key, long long* ptr, long long* cuts, long long edges, long long rows) {
    long long row = thread();
    if (row > rows) return;
    long long begin = first_at_least(key, 0, edges, row);
    ptr[row] = begin;
    if (row == rows) return;
    long long degree = first_at_least(key, begin, edges, row + 1) - begin;
    cuts[row] = Cut::of_degree(degree).pack();
}

// cuts [rows], summed up to and with each row -> items [rows + extra], split_row [splits],
// split_ptr [splits + 1], padded.
__global__ void compress_items(
    const long long* ptr, const long long* cuts, int* item_row, long long* item_first,
    int* item_edges, int* item_slot, int* split_row, int* split_ptr, long long rows,
    long long extra, long long splits) {
    long long t = thread();
    if (t < rows) {
        long long degree = ptr[t + 1] - ptr[t];
        Cut own = Cut::of_degree(degree), upto = Cut::unpack(cuts[t]);
        long long extra_before = upto.extra - own.extra, splits_before = upto.split - own.split;
        long long slot = extra_before + splits_before;
        for (long long part = 0; part <= own.extra; ++part) {
            long long item = t + extra_before + part, done = part * MAX_ITEM_EDGES;
            item_row[item] = int(t);
            item_first[item] = ptr[t] + done;
            item_edges[item] = int(part < own.extra ? MAX_ITEM_EDGES : degree - done);
            item_slot[item] = own.split ? int(slot + part) : -1;
        }
        if (own.split) {
            split_row[splits_before] = int(t);
            split_ptr[splits_before] = int(slot);
        }
    }
    Cut all = rows > 0 ? Cut::unpack(cuts[rows - 1]) : Cut{0, 0};
    if (t >= all.extra && t < extra) {
        item_row[rows + t] = 0;
        item_first[rows + t] = -1;
        item_edges[rows + t] = 0;
        item_slot[rows + t] = int(extra + splits - 1);
    }
    if (t >= all.split && t <= splits) {
        if (t < splits) split_row[t] = -1;
        split_ptr[t] = int(all.extra + all.split);
    }
}
