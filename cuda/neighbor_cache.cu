// Tables of neighbours: written as events happen, read as of a time, and joined. Defined in
// neighborgraph/ops/neighbor_cache/reference.py.
//
// No slot is written by two threads, so that it never mixes two events and no order is left to
// chance: entries are sorted by the row or slot that they want, in the order of events, and the
// last of those that want the same one decides. Bytes that must move, where e is the number of
// entries and everything else stays in the caches: keys and places, about 10 times 8 bytes an entry
// for the sort; 24 bytes read of each line and 24 written for each slot; for a look-up 24 bytes read
// and 32 written a slot.
#include "common/philox.cuh"

using Integer = long long;
using Word = unsigned long long;

__device__ inline Integer thread() {
    return Integer(blockIdx.x) * blockDim.x + threadIdx.x;
}

// The step of SplitMix64.
__device__ inline Word mix(Word bits) {
    bits += 0x9E3779B97F4A7C15ull;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBull;
    return bits ^ bits >> 31;
}

// Lines [e], each one entry or, mirrored, two: entry 2i is line i, entry 2i + 1 the same reversed.
template <class Time>
struct Lines {
    const Integer *node, *other;
    const Time* at;
    const Integer* number;
    Integer count, mirrored;

    __device__ Integer entries() const { return mirrored ? 2 * count : count; }
    __device__ Integer line(Integer entry) const { return mirrored ? entry >> 1 : entry; }
    __device__ bool reversed(Integer entry) const { return mirrored && entry & 1; }
    __device__ Integer from(Integer entry) const {
        return (reversed(entry) ? other : node)[line(entry)];
    }
    __device__ Integer to(Integer entry) const {
        return (reversed(entry) ? node : other)[line(entry)];
    }
    // Whether a line may follow the one before it, or for the first what the table has seen.
    __device__ bool is_valid(Integer i, Time last_time, Integer last_event, Integer rows) const {
        Time before = i ? at[i - 1] : last_time;
        Integer number_before = i ? number[i - 1] : last_event;
        bool rises = number[i] > number_before || (i && !mirrored && number[i] == number_before);
        bool inside = node[i] >= 0 && node[i] < rows && other[i] >= -1;
        return inside && (!mirrored || (other[i] >= 0 && other[i] < rows)) && number[i] >= 0 && rises &&
               at[i] >= before && at[i] - at[i] == 0;  // which infinity is not
    }
};

// The slots of a table.
template <class Time>
struct Slots {
    Integer* neighbor;
    Time* time;
    Integer* event;
    unsigned short* feature;  // [rows, slots, width] of two bytes each, or null
    Integer size, width;

    __device__ void put(Integer slot, const Lines<Time>& lines, Integer entry) const {
        neighbor[slot] = lines.to(entry);
        time[slot] = lines.at[lines.line(entry)];
        event[slot] = lines.number[lines.line(entry)];
    }
    // The features of a line, or zeros.
    __device__ void describe(Integer slot, const unsigned short* vector, Integer line) const {
        for (Integer c = 0; feature && c < width; ++c)
            feature[slot * width + c] = vector ? vector[line * width + c] : 0;
    }
    __device__ Integer slot_of(Integer neighbor, Word salt) const {
        return Integer((mix(neighbor ^ salt) >> 32) * Word(size) >> 32);
    }
};

// key [entries]: the row of each entry, or with `hashed` the slot among all; behind all of them for
// the second half of a loop and for a line without a neighbour. Clears valid [1] where a line is wrong.
template <class Time>
__global__ void neighbor_cache_keys(
    const Integer* node, const Integer* other, const Time* at, const Integer* number,
    const Time* last_time, const Integer* last_event, Integer* key, int* valid, Integer count,
    Integer mirrored, Integer rows, Integer size, Integer hashed, Integer seed) {
    Lines<Time> lines{node, other, at, number, count, mirrored};
    Integer t = thread();
    if (t >= lines.entries()) return;
    Integer from = lines.from(t), to = lines.to(t);
    Slots<Time> slots{nullptr, nullptr, nullptr, nullptr, size, 0};
    key[t] = hashed ? from * size + slots.slot_of(to, mix(seed)) : from;
    if (to < 0 || (lines.reversed(t) && from == to)) key[t] = hashed ? rows * size : rows;
    if (!lines.reversed(t) && !lines.is_valid(lines.line(t), *last_time, *last_event, rows))
        *valid = 0;
}

// What the table has seen now; by one thread of a kernel that runs after the check.
template <class Time>
__device__ inline void remember(const Lines<Time>& lines, Time* last_time, Integer* last_event) {
    *last_time = lines.at[lines.count - 1];
    *last_event = lines.number[lines.count - 1];
}

// The first of the places up to `end` in sorted keys that has the same key.
__device__ inline Integer first_of(const Integer* key, Integer end) {
    Integer begin = 0, wanted = key[end];
    while (begin < end) {
        Integer middle = (begin + end) >> 1;
        if (key[middle] < wanted)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

// key [entries], sorted, and where each entry was. Only the last `size` entries of a row are
// written, to different slots of it; counts stay as they are.
template <class Time>
__global__ void neighbor_cache_recent(
    const Integer* node, const Integer* other, const Time* at, const Integer* number,
    const unsigned short* vector, const Integer* key, const Integer* order, const Integer* counts,
    Integer* neighbor, Time* time, Integer* event, unsigned short* feature, Time* last_time,
    Integer* last_event, Integer count, Integer mirrored, Integer rows, Integer size,
    Integer width) {
    Lines<Time> lines{node, other, at, number, count, mirrored};
    Integer t = thread();
    if (t >= lines.entries()) return;
    if (t == 0) remember(lines, last_time, last_event);
    Integer row = key[t];
    bool is_displaced = t + size < lines.entries() && key[t + size] == row;
    if (row < 0 || row >= rows || is_displaced) return;
    Slots<Time> slots{neighbor, time, event, feature, size, width};
    Integer slot = row * size + (counts[row] + t - first_of(key, t)) % size;
    slots.put(slot, lines, order[t]);
    slots.describe(slot, vector, lines.line(order[t]));
}

// Adds the entries of each row to its count, by the last of them.
extern "C" __global__ void neighbor_cache_count(
    const Integer* key, Integer* counts, Integer entries, Integer rows) {
    Integer t = thread();
    if (t >= entries || key[t] < 0 || key[t] >= rows) return;
    if (t + 1 < entries && key[t + 1] == key[t]) return;
    counts[key[t]] += t + 1 - first_of(key, t);
}

// The entries that want one slot: sorted places begin .. end.
template <class Time>
struct Contest {
    const Lines<Time>& lines;
    const Integer *key, *order;
    Integer end, seed, threshold;

    __device__ bool has(Integer place) const { return place >= 0 && key[place] == key[end]; }
    __device__ Integer neighbor(Integer place) const { return lines.to(order[place]); }
    // Whether the entry takes the slot from whatever other neighbour is there.
    __device__ bool wins(Integer place) const {
        Integer entry = order[place];
        Word number = lines.number[lines.line(entry)];
        Words words = philox_words(
            seed, {unsigned(number), unsigned(number >> 32), unsigned(lines.from(entry)),
                   unsigned(lines.to(entry))});
        return Integer(words.a) < threshold;
    }
    // The last entry that wins; else the place before the first one.
    __device__ Integer last_winner() const {
        Integer place = end;
        while (has(place) && !wins(place)) --place;
        return place;
    }
    __device__ Integer last_with(Integer wanted, Integer first) const {
        Integer place = end;
        while (place >= first && neighbor(place) != wanted) --place;
        return place;
    }
    // Whether a neighbour that was there from the start never lost the slot.
    __device__ bool was_kept(Integer wanted) const {
        for (Integer place = end; has(place); --place)
            if (neighbor(place) != wanted && wins(place)) return false;
        return true;
    }
};

// The last of the entries that want a slot decides it. The one that last won it, or the first where
// nothing was there, or what was there, holds it; then the last entry of the same neighbour.
template <class Time>
__global__ void neighbor_cache_hashed(
    const Integer* node, const Integer* other, const Time* at, const Integer* number,
    const unsigned short* vector, const Integer* key, const Integer* order, Integer* neighbor,
    Time* time, Integer* event, unsigned short* feature, Time* last_time, Integer* last_event,
    Integer count, Integer mirrored, Integer rows, Integer size, Integer width, Integer threshold,
    Integer seed) {
    Lines<Time> lines{node, other, at, number, count, mirrored};
    Integer t = thread();
    if (t >= lines.entries()) return;
    if (t == 0) remember(lines, last_time, last_event);
    Integer slot = key[t];
    if (slot < 0 || slot >= rows * size) return;
    if (t + 1 < lines.entries() && key[t + 1] == slot) return;
    Slots<Time> slots{neighbor, time, event, feature, size, width};
    Contest<Time> contest{lines, key, order, t, seed, threshold};
    bool is_empty = event[slot] < 0;
    Integer first = contest.last_winner(), holder = neighbor[slot];
    if (contest.has(first)) {
        holder = contest.neighbor(first);
    } else {
        ++first;
        if (is_empty) holder = contest.neighbor(first);
    }
    Integer place = contest.last_with(holder, first);
    if (place < first) return;  // what was there stays as it is
    bool is_kept = !is_empty && neighbor[slot] == holder && feature && !vector;
    if (!is_kept || !contest.was_kept(holder))
        slots.describe(slot, vector, lines.line(order[place]));
    slots.put(slot, lines, order[place]);
}

// Of the `filled` newest neighbours of a row, how many a query may not see.
template <class Time>
__device__ inline Integer hidden(
    const Time* time, Integer total, Integer size, Integer filled, Time until, bool inclusive) {
    Integer begin = 0, end = filled;
    while (begin < end) {
        Integer middle = (begin + end) >> 1;
        Time its = time[(total - 1 - middle) % size];
        if (its < until || (inclusive && its == until))
            end = middle;
        else
            begin = middle + 1;
    }
    return begin;
}

// One thread for each place of each query. counts [rows] or null, until [queries] or null. Clears
// valid [1] where a query is wrong.
template <class Time>
__global__ void neighbor_cache_lookup(
    const Integer* neighbor, const Time* time, const Integer* event, const Integer* counts,
    const Time* last_time, const Integer* node, const Time* until, int* valid, Integer* to_neighbor,
    Time* to_time, Integer* to_event, Integer* to_slot, Integer queries, Integer rows,
    Integer size, Integer inclusive) {
    Integer t = thread();
    if (t >= queries * size) return;
    Integer query = t / size, place = t - query * size, row = node[query], slot = place;
    bool inside = row >= 0 && row < rows;
    if (!inside || (until && !(until[query] >= *last_time))) *valid = 0;
    bool shown = inside;
    if (inside && counts) {
        Integer total = counts[row], filled = total < size ? total : size;
        if (until)
            place += hidden(time + row * size, total, size, filled, until[query], inclusive);
        shown = place < filled;
        slot = shown ? (total - 1 - place) % size : 0;
    } else if (inside) {
        Time its = time[row * size + slot];
        shown = event[row * size + slot] >= 0;
        if (until) shown &= its < until[query] || (inclusive && its == until[query]);
    }
    Integer from = row * size + slot;
    to_neighbor[t] = shown ? neighbor[from] : -1;
    to_time[t] = shown ? time[from] : Time(0);
    to_event[t] = shown ? event[from] : -1;
    to_slot[t] = shown ? from : -1;
}

constexpr int MAX_JOINED = 4096;

// One block a pair. key, keys, codes, places [pairs, columns], code [columns]. A key belongs to the
// first column that has it; its place is the number of such columns before.
extern "C" __global__ void neighbor_cache_join(
    const Integer* key, const Integer* code, Integer* keys, Integer* codes, Integer* places,
    Integer columns) {
    __shared__ Integer own[MAX_JOINED];
    __shared__ short first[MAX_JOINED];
    Integer start = blockIdx.x * columns;
    int width = int(columns);
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        own[c] = key[start + c];
        keys[start + c] = -1;
        codes[start + c] = 0;
    }
    __syncthreads();
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        int before = 0;
        while (own[before] != own[c]) ++before;
        first[c] = own[c] < 0 ? -1 : short(before);
    }
    __syncthreads();
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        int place = -1;
        for (int b = 0; b <= first[c]; ++b) place += first[b] == b;
        places[start + c] = place;
        if (first[c] != c) continue;
        Integer joined = 0;
        for (int b = c; b < width; ++b)
            if (first[b] == c) joined |= code[b];
        keys[start + place] = own[c];
        codes[start + place] = joined;
    }
}
