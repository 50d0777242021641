// Edges to rows: keys for a sort, then row pointers, work items and edges in sorted order. The
// arrays are described in neighborgraph/graph/schedule.py; one thread for each element.

constexpr long long MAX_ITEM_EDGES = 512, LONG_ITEM_EDGES = 128;

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

// How a row is cut: full items, of which it has one less when they leave nothing over, and the
// tail, which every row has. `full` is in the upper half of a word, whether there are any in the
// lower: one sum over rows adds up both.
struct Cut {
    long long full, split;

    __device__ static Cut of_degree(long long degree) {
        long long full = degree > 0 ? (degree - 1) / MAX_ITEM_EDGES : 0;
        return {full, full > 0};
    }
    __device__ static Cut unpack(long long word) { return {word >> 32, word & 0xffffffffll}; }
    __device__ long long pack() const { return full << 32 | split; }
    __device__ long long tail(long long degree) const { return degree - full * MAX_ITEM_EDGES; }
};

// key [edges], sorted -> ptr [rows + 1]; cuts [rows]; tails [rows], whether the tail is long.
__global__ void compress_rows(
    const int* key, long long* ptr, long long* cuts, long long* tails, long long edges,
    long long rows) {
    long long row = thread();
    if (row > rows) return;
    long long begin = first_at_least(key, 0, edges, row);
    ptr[row] = begin;
    if (row == rows) return;
    long long degree = first_at_least(key, begin, edges, row + 1) - begin;
    Cut cut = Cut::of_degree(degree);
    cuts[row] = cut.pack();
    tails[row] = cut.tail(degree) >= LONG_ITEM_EDGES;
}

struct Items {
    int* row;
    long long* first;
    int *edges, *slot;

    __device__ void put(
        long long at, long long its_row, long long its_first, long long its_edges,
        long long its_slot) const {
        row[at] = int(its_row);
        first[at] = its_first;
        edges[at] = int(its_edges);
        slot[at] = int(its_slot);
    }
};

// cuts and tails [rows], summed up to and with each row -> items [rows + extra], split_row
// [splits], split_ptr [splits + 1], padded. Long items come first, and both kinds in the order of
// rows.
__global__ void compress_items(
    const long long* ptr, const long long* cuts, const long long* tails, int* item_row,
    long long* item_first, int* item_edges, int* item_slot, int* split_row, int* split_ptr,
    long long rows, long long extra, long long splits) {
    long long t = thread();
    Items items{item_row, item_first, item_edges, item_slot};
    Cut all = rows > 0 ? Cut::unpack(cuts[rows - 1]) : Cut{0, 0};
    if (t < rows) {
        long long begin = ptr[t], degree = ptr[t + 1] - begin;
        Cut own = Cut::of_degree(degree), upto = Cut::unpack(cuts[t]);
        long long tail = own.tail(degree), is_long = tail >= LONG_ITEM_EDGES;
        long long full_before = upto.full - own.full, split = upto.split - own.split;
        long long tails_before = tails[t] - is_long;
        long long at = full_before + tails_before;  // of its first long item
        long long at_short = all.full + tails[rows - 1] + t - tails_before;
        long long slot = full_before + split;
        for (long long part = 0; part < own.full; ++part)
            items.put(at + part, t, begin + part * MAX_ITEM_EDGES, MAX_ITEM_EDGES, slot + part);
        long long first = begin + own.full * MAX_ITEM_EDGES;
        items.put(
            is_long ? at + own.full : at_short, t, first, tail, own.split ? slot + own.full : -1);
        if (own.split) {
            split_row[split] = int(t);
            split_ptr[split] = int(slot);
        }
    }
    if (t >= all.full && t < extra) items.put(rows + t, 0, -1, 0, extra + splits - 1);
    if (t >= all.split && t <= splits) {
        if (t < splits) split_row[t] = -1;
        split_ptr[t] = int(all.full + all.split);
    }
}
