// Edges to rows: keys for a sort, then row pointers, work items and edges in sorted order. The
// arrays are described in neighborgraph/graph/schedule.py; one thread for each element.

constexpr long long MAX_ITEM_EDGES = 512, LONG_ITEM_EDGES = 128;

__device__ inline long long thread() {
    return blockIdx.x * (long long)blockDim.x + threadIdx.x;
}

// One way to group e edges: side 0 by receiver, side 1 by source. Everything that both sides need
// is found together, side 1 behind side 0, so that there is one sort and one sum for them.
struct Side {
    long long number, at;

    // The element t of an array whose first `length` ones are those of side 0.
    __device__ Side(long long t, long long length)
        : number(t >= length), at(t - (t >= length ? length : 0)) {}
    template <class T>
    __device__ T of(T first, T second) const {
        return number ? second : first;
    }
    // Keys of side 0 are negative: both fill half of the range of an int.
    __device__ long long key(long long row) const { return number ? row : row - (1ll << 31); }
};

// key [sides, edges + loops]: the row of each edge; row `rows`, which does not exist, for an edge
// that does not count: one whose ends are out of range, which also clears valid [1], and a loop
// that is replaced. The loops of all nodes come last.
template <class I>
__global__ void compress_keys(
    const I* row, const I* col, int* key, int* valid, long long edges, long long loops,
    long long rows, long long cols, long long sides) {
    long long t = thread();
    if (t >= sides * (edges + loops)) return;
    Side side(t, edges + loops);
    if (side.at >= edges) {
        key[t] = int(side.key(side.at - edges));
        return;
    }
    long long r = row[side.at], c = col[side.at];
    bool inside = r >= 0 && r < rows && c >= 0 && c < cols;
    if (!inside) *valid = 0;
    bool counts = inside && !(loops > 0 && r == c);
    key[t] = int(side.key(counts ? side.of(r, c) : side.of(rows, cols)));
}

// order [sides, total]: where the edge at each position was; in a side, those from `edges` on are
// loops.
template <class I>
__global__ void compress_edges(
    const long long* order, const I* row, const I* col, int* idx, int* edge_id, int* idx_of_cols,
    int* edge_id_of_cols, long long edges, long long total, long long sides) {
    long long t = thread();
    if (t >= sides * total) return;
    Side side(t, total);
    long long edge = order[t] - side.number * total;
    const I* end = side.of(col, row);
    side.of(edge_id, edge_id_of_cols)[side.at] = int(edge);
    side.of(idx, idx_of_cols)[side.at] = int(edge < edges ? (long long)end[edge] : edge - edges);
}

__device__ inline long long first_at_least(
    const int* key, long long begin, long long end, long long least) {
    while (begin < end) {
        long long middle = (begin + end) / 2;
        if (key[middle] < least)
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

// key [sides, total], sorted -> ptr [rows + 1] and, for side 1, [cols + 1]; cuts, then tails, of
// all rows of both sides: how each is cut, and whether its tail is long.
__global__ void compress_rows(
    const int* key, long long* ptr, long long* ptr_of_cols, long long* cuts, long long total,
    long long rows, long long cols, long long sides) {
    long long t = thread(), all = rows + (sides > 1 ? cols : 0);
    if (t >= all + sides) return;
    Side side(t, rows + 1);
    long long size = side.of(rows, cols), start = side.number * total, row = side.at;
    long long begin = first_at_least(key, start, start + total, side.key(row));
    side.of(ptr, ptr_of_cols)[row] = begin - start;
    if (row == size) return;
    long long degree = first_at_least(key, begin, start + total, side.key(row + 1)) - begin;
    Cut cut = Cut::of_degree(degree);
    long long at = side.number * rows + row;
    cuts[at] = cut.pack();
    cuts[all + at] = cut.tail(degree) >= LONG_ITEM_EDGES;
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

// Sums of cuts and tails over the rows of one side, of which `all` are summed in one sequence.
struct Sums {
    const long long *sums, *tail_sums;
    long long cuts_before, tails_before, rows;

    __device__ Sums(
        const long long* all_sums, const Side& side, long long rows_0, long long rows_1,
        long long all)
        : rows(side.of(rows_0, rows_1)) {
        long long first = side.number * rows_0;
        sums = all_sums + first;
        tail_sums = all_sums + all + first;
        cuts_before = first > 0 ? all_sums[first - 1] : 0;
        tails_before = all + first > 0 ? all_sums[all + first - 1] : 0;
    }
    __device__ Cut cut(long long row) const { return Cut::unpack(sums[row] - cuts_before); }
    __device__ long long tails(long long row) const { return tail_sums[row] - tails_before; }
    __device__ Cut all_cuts() const { return rows > 0 ? cut(rows - 1) : Cut{0, 0}; }
};

// What a thread does for row t of a side: its items, and what fills up behind the last ones.
struct Filling {
    Items items;
    int *split_row, *split_ptr;
    long long extra, splits;

    __device__ void put_row(const long long* ptr, const Sums& sums, long long t) const {
        long long begin = ptr[t], degree = ptr[t + 1] - begin;
        Cut own = Cut::of_degree(degree), upto = sums.cut(t), all = sums.all_cuts();
        long long tail = own.tail(degree), is_long = tail >= LONG_ITEM_EDGES;
        long long full_before = upto.full - own.full, split = upto.split - own.split;
        long long tails_before = sums.tails(t) - is_long;
        long long at = full_before + tails_before;  // of its first long item
        long long at_short = all.full + sums.tails(sums.rows - 1) + t - tails_before;
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
    __device__ void pad(const Sums& sums, long long t) const {
        Cut all = sums.all_cuts();
        if (t >= all.full && t < extra) items.put(sums.rows + t, 0, -1, 0, extra + splits - 1);
        if (t >= all.split && t <= splits) {
            if (t < splits) split_row[t] = -1;
            split_ptr[t] = int(all.full + all.split);
        }
    }
};

// sums: cuts, then tails, of all rows of both sides, summed up to and with each -> items
// [rows + extra], split_row [splits], split_ptr [splits + 1], padded; for each side. Long items
// come first, and both kinds in the order of rows.
__global__ void compress_items(
    const long long* sums, const long long* ptr, int* item_row, long long* item_first,
    int* item_edges, int* item_slot, int* split_row, int* split_ptr, const long long* ptr_of_cols,
    int* col_item_row, long long* col_item_first, int* col_item_edges, int* col_item_slot,
    int* split_col, int* split_ptr_of_cols, long long rows, long long cols, long long extra,
    long long splits, long long threads, long long sides) {
    Side side(thread(), threads);
    if (side.number >= sides) return;
    Items of_rows{item_row, item_first, item_edges, item_slot};
    Items of_cols{col_item_row, col_item_first, col_item_edges, col_item_slot};
    Filling filling{
        side.of(of_rows, of_cols), side.of(split_row, split_col),
        side.of(split_ptr, split_ptr_of_cols), extra, splits};
    Sums own(sums, side, rows, cols, rows + (sides > 1 ? cols : 0));
    if (side.at < own.rows) filling.put_row(side.of(ptr, ptr_of_cols), own, side.at);
    filling.pad(own, side.at);
}
