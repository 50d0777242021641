"""sample on the CPU: numba loops over rows, and a hash table for the numbers of nodes.

An absent tensor is an array of size zero. Neighbours are looked up some rows after they were drawn
and asked for, so that the memory answers many requests at once.
"""

import numpy as np
import torch
from torch import Tensor

from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.ops.lanes import power_of_two_above
from neighborgraph.ops.philox_numba import BITS, MASK, words

ROWS_AT_ONCE = 16
"""Rows that are drawn before their neighbours are looked up."""
LONGEST_SCAN = 64
"""Up to here a drawn position is looked for among those before it, one by one."""
MIXER = np.uint64(0x9E3779B97F4A7C15)


def sample_rows(
    csr, row, key, time, until, cumulative, count, replace, last, inclusive, seed, counter
) -> tuple[Tensor, Tensor, Tensor]:
    """The edges that rows draw: receiver, source and edge."""
    ptr, idx, edge_id = csr
    size = row.shape[0]
    offsets, first, candidates = (np.zeros(size + extra, np.int64) for extra in (1, 0, 0))
    rows = np.ascontiguousarray(row.numpy())
    run_rows(
        choose_candidates,
        np.zeros(size + 1, np.int64),
        ptr.numpy(),
        array(time, np.int64),
        rows,
        array(until, np.int64),
        count,
        replace,
        last,
        inclusive,
        first,
        candidates,
        offsets,
    )
    drawn = offsets[1:]
    slots = slots_for(int(drawn.max(where=drawn < candidates, initial=0)))
    np.cumsum(offsets, out=offsets)
    receiver, source, edge = (np.empty(offsets[-1], np.int64) for _ in range(3))
    run_rows(
        draw_rows,
        offsets,
        idx.numpy(),
        edge_id.numpy(),
        array(cumulative, np.int64),
        np.ascontiguousarray(key.numpy()),
        first,
        candidates,
        count,
        replace,
        seed,
        np.uint64(counter[0]),
        np.uint64(counter[1]),
        receiver,
        source,
        edge,
        scratch=lambda: np.full(slots, -1, np.int64),
    )
    return torch.from_numpy(receiver), torch.from_numpy(source), torch.from_numpy(edge)


def sample_two_hops(csr, row, key, count, seed, counter) -> Tensor:
    """[f, count] nodes one or two steps away."""
    ptr, idx, ends = csr
    rows = row.shape[0]
    node = np.empty(rows * count, np.int64)
    slots = slots_for(count)
    run_rows(
        draw_two_hops,
        np.arange(rows + 1) * count,
        ptr.numpy(),
        idx.numpy(),
        ends.numpy(),
        np.ascontiguousarray(row.numpy()),
        np.ascontiguousarray(key.numpy()),
        count,
        seed,
        np.uint64(counter[0]),
        np.uint64(counter[1]),
        node,
        scratch=lambda: np.full(slots, -1, np.int64),
    )
    return torch.from_numpy(node).view(rows, count)


def slots_for(count: int) -> int:
    """The size of a hash table for the numbers that a row draws, a power of two; 0 without one."""
    return power_of_two_above(4 * count) if count > LONGEST_SCAN else 0


def sample_relabel(known, found) -> tuple[Tensor, Tensor]:
    """Nodes in the order of their first appearance, and the number of each node found."""
    size = known.shape[0] + found.shape[0]
    nodes = np.empty(size, np.int64)
    local = np.empty(found.shape[0], np.int64)
    # At least half of the slots stay empty.
    slot_bits = max(size, 1).bit_length() + 1
    table = np.full(2**slot_bits, -1, np.int32)
    count = number_nodes(
        np.ascontiguousarray(known.numpy()),
        np.ascontiguousarray(found.numpy()),
        table,
        np.uint64(64 - slot_bits),
        nodes,
        local,
    )
    return torch.from_numpy(nodes[:count]), torch.from_numpy(local)


def array(tensor: Tensor | None, dtype: type) -> np.ndarray:
    """A tensor's values; an absent one has size zero."""
    return np.empty(0, dtype) if tensor is None else tensor.contiguous().numpy()


@inlined
def below(high, low, bound):
    """The number high · 2^32 + low, taken as a fraction of 2^64, times bound, rounded down."""
    bound_high, bound_low = bound >> BITS, bound & MASK
    middle = high * bound_low + ((low * bound_low) >> BITS)
    other = low * bound_high + (middle & MASK)
    return high * bound_high + (middle >> BITS) + (other >> BITS)


@inlined
def first_above(values, begin, end, bound, inclusive):
    """The first position of sorted values in begin .. end that is not before bound."""
    while begin < end:
        middle = (begin + end) >> 1
        if values[middle] < bound or (inclusive and values[middle] == bound):
            begin = middle + 1
        else:
            end = middle
    return begin


@numba_kernel
def choose_candidates(
    begin,
    end,
    work,
    ptr,
    time,
    row,
    until,
    count,
    replace,
    last,
    inclusive,
    first,
    candidates,
    offsets,
):
    """Where the candidates of each row begin, how many they are, and how many are drawn."""
    for i in range(begin, end):
        start, stop = ptr[row[i]], ptr[row[i] + 1]
        if until.size > 0:
            stop = first_above(time, start, stop, until[i], inclusive)
        if last and count >= 0:
            start = max(start, stop - count)
        size = stop - start
        first[i], candidates[i] = start, size
        whole = count < 0 or size == 0 or (not replace and size < count)
        offsets[i + 1] = size if whole else count


@numba_kernel
def draw_rows(
    begin,
    end,
    offsets,
    idx,
    edge_id,
    cumulative,
    key,
    first,
    candidates,
    count,
    replace,
    seed,
    epoch,
    stream,
    receiver,
    source,
    edge,
    seen,
):
    """Positions are drawn into ``edge`` first, some rows at a time."""
    for block in range(begin, end, ROWS_AT_ONCE):
        block_end = min(block + ROWS_AT_ONCE, end)
        for i in range(block, block_end):
            t, size = offsets[i], candidates[i]
            drawn = offsets[i + 1] - t
            counter = np.uint64(key[i]), epoch, stream
            if drawn == size and (not replace or count < 0):
                for p in range(drawn):
                    edge[t + p] = first[i] + p
            elif cumulative.size > 0:
                draw_weighted(cumulative, first[i], size, replace, seed, counter, edge, t, drawn)
            elif replace:
                for p in range(drawn):
                    edge[t + p] = first[i] + draw_number(seed, counter, p, size)
            else:
                draw_distinct(first[i], size, seed, counter, edge, t, drawn, seen)
            for p in range(drawn):
                prefetch(idx, edge[t + p], 0)
                prefetch(edge_id, edge[t + p], 0)
        for i in range(block, block_end):
            for t in range(offsets[i], offsets[i + 1]):
                position = edge[t]
                receiver[t] = i
                source[t] = idx[position]
                edge[t] = edge_id[position]


@numba_kernel
def draw_two_hops(
    begin, end, work, ptr, idx, ends, row, key, count, seed, epoch, stream, node, seen
):
    """Places among the nodes around each row are drawn into ``node`` first."""
    for i in range(begin, end):
        start, stop = ptr[row[i]], ptr[row[i] + 1]
        degree = stop - start
        size = degree + ends[stop] - ends[start]
        counter = np.uint64(key[i]), epoch, stream
        if size > count:
            draw_distinct(0, size, seed, counter, node, i * count, count, seen)
        for p in range(count):
            t = i * count + p
            if size == 0:
                node[t] = draw_number(seed, counter, p, ptr.size - 1)
                continue
            place = node[t] if size > count else p % size
            if place < degree:
                node[t] = idx[start + place]
            else:
                place += ends[start] - degree
                by_way_of = first_above(ends, start, stop, place, True) - 1
                node[t] = idx[ptr[idx[by_way_of]] + place - ends[by_way_of]]


@inlined
def draw_number(seed, counter, p, bound):
    """The p-th number of a row, below bound."""
    key, epoch, stream = counter
    a, b, c, d = words(seed, key, np.uint64(p >> 1), epoch, stream)
    high, low = (c, d) if p & 1 else (a, b)
    return np.int64(below(high, low, np.uint64(bound)))


@numba_kernel
def draw_distinct(first, size, seed, counter, edge, t, drawn, seen):
    """Floyd's algorithm: candidate p is a number below size - drawn + p + 1, or the last of them.

    ``seen`` is an empty hash table for more than ``LONGEST_SCAN`` numbers, and is left empty.
    """
    for p in range(drawn):
        largest = size - drawn + p
        number = draw_number(seed, counter, p, largest + 1)
        if drawn <= LONGEST_SCAN:
            for other in range(t, t + p):
                if edge[other] == first + number:
                    number = largest
                    break
        elif not insert(seen, number):
            number = largest
            insert(seen, number)
        edge[t + p] = first + number
    if drawn > LONGEST_SCAN:
        seen[:] = -1


@inlined
def insert(seen, number):
    """Put a number into an open hash table; False when it is there."""
    mask = seen.size - 1
    slot = np.int64((np.uint64(number) * MIXER) >> BITS) & mask
    while seen[slot] >= 0:
        if seen[slot] == number:
            return False
        slot = (slot + 1) & mask
    seen[slot] = number
    return True


@inlined
def weight_of(cumulative, begin, end):
    """The weight of positions of a row. The sums wrap around, their difference not."""
    return np.int64(np.uint64(cumulative[end]) - np.uint64(cumulative[begin]))


@numba_kernel
def draw_weighted(cumulative, first, size, replace, seed, counter, edge, t, drawn):
    """Positions in proportion to weights; without replacement in ascending order.

    A number below the weight that is left skips what was drawn before it: it is a place on the
    line of all weights from which the drawn ones were cut out.
    """
    left = weight_of(cumulative, first, first + size)
    for p in range(drawn):
        number = draw_number(seed, counter, p, left)
        rank = 0
        if not replace:
            while rank < p and number >= weight_of(cumulative, first, edge[t + rank]):
                taken = edge[t + rank]
                number += weight_of(cumulative, taken, taken + 1)
                rank += 1
        begin, end = first, first + size - 1
        while begin < end:  # the last position whose weights before it do not exceed the number
            middle = (begin + end + 1) >> 1
            if weight_of(cumulative, first, middle) <= number:
                begin = middle
            else:
                end = middle - 1
        if replace:
            edge[t + p] = begin
        else:
            left -= weight_of(cumulative, begin, begin + 1)
            for other in range(p, rank, -1):
                edge[t + other] = edge[t + other - 1]
            edge[t + rank] = begin


@numba_kernel
def number_nodes(known, found, table, shift, nodes, local):
    """Fill nodes and local; returns the number of nodes. A slot holds the number of its node."""
    mask = table.size - 1
    for i in range(known.size):
        node = known[i]
        nodes[i] = node
        slot = np.int64((np.uint64(node) * MIXER) >> shift)
        while table[slot] >= 0 and nodes[table[slot]] != node:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = i
    count = known.size
    for t in range(found.size):
        node = found[t]
        slot = np.int64((np.uint64(node) * MIXER) >> shift)
        while table[slot] >= 0 and nodes[table[slot]] != node:
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = count
            nodes[count] = node
            count += 1
        local[t] = table[slot]
    return count
