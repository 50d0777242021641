// Number nodes in the order of their first appearance, with a hash table of first places.
// Defined in neighborgraph/ops/sample/reference.py.

using Integer = long long;
using Word = unsigned long long;

// The key of an empty slot: no node has it, since ids are not negative.
constexpr Word EMPTY = ~0ull;

// One thread a place: the k known nodes first, then the s found. keys [slots] start EMPTY and
// places [slots] at the number of places; slot [k + s] says where a node went.
extern "C" __global__ void relabel_insert(
    const Integer* known, const Integer* found, Word* keys, Integer* places, Integer* slot,
    Integer num_known, Integer num_found, Integer shift) {
    Integer t = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t >= num_known + num_found) return;
    Word node = t < num_known ? known[t] : found[t - num_known];
    Word last = (1ull << (64 - shift)) - 1, at = (node * 0x9E3779B97F4A7C15ull) >> shift;
    while (true) {
        Word before = keys[at];
        if (before == EMPTY) before = atomicCAS(keys + at, EMPTY, node);
        if (before == EMPTY || before == node) break;
        at = (at + 1) & last;
    }
    atomicMin(places + at, t);
    slot[t] = at;
}

// is_new [s]: whether a found node is there for the first time.
extern "C" __global__ void relabel_first(
    const Integer* places, const Integer* slot, Integer* is_new, Integer num_known,
    Integer num_found) {
    Integer t = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t < num_found) is_new[t] = places[slot[num_known + t]] == num_known + t;
}

// rank [s] is the sum of is_new up to and with each place. Fills local [s] and nodes [k + new].
extern "C" __global__ void relabel_number(
    const Integer* found, const Integer* places, const Integer* slot, const Integer* rank,
    Integer* nodes, Integer* local, Integer num_known, Integer num_found) {
    Integer t = Integer(blockIdx.x) * blockDim.x + threadIdx.x;
    if (t >= num_found) return;
    Integer first = places[slot[num_known + t]];
    local[t] = first < num_known ? first : num_known + rank[first - num_known] - 1;
    if (first == num_known + t) nodes[local[t]] = found[t];
}
