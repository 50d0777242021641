"""neighbor_cache on the CPU: numba loops, over lines in their order or over queries on all threads.

An absent tensor is an array of size zero. Features are bytes, of any type. A table does not fit
into the processor's caches, so that slots are asked for some lines before they are written.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.errors import IdError, InputError
from neighborgraph.jit.numba_inline import inlined, prefetch
from neighborgraph.jit.numba_kernel import numba_kernel, run_rows
from neighborgraph.ops.arrays import empty
from neighborgraph.ops.philox_numba import BITS, MASK, words

AHEAD = 8
"""Lines between the request for a slot and its use."""
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
THIRTY, TWENTY_SEVEN, THIRTY_ONE = np.uint64(30), np.uint64(27), np.uint64(31)
WORD_BYTES = 8
NODE, OTHER, EVENT, TIME, TIME_FALLS, EVENT_FALLS = 1, 2, 3, 4, 5, 6
"""What may be wrong with a line."""
PAST, UNORDERED = 2, 3
"""What may be wrong with a query, beside its node."""


def neighbor_cache_recent(
    neighbor,
    time,
    event,
    count,
    feature,
    last_time,
    last_event,
    node,
    other,
    at,
    number,
    vector,
    mirrored,
) -> None:
    """Each neighbour takes the slot of the oldest one; see ``reference.py``."""
    lines = lines_of(node, other, at, number)
    expect_lines(event.shape[0], last_time, last_event, lines, mirrored)
    slots = neighbor.numpy(), time.numpy(), event.numpy(), bytes_of(feature)
    insert_recent(*slots, count.numpy(), lines, bytes_of(vector), mirrored)
    remember(last_time, last_event, at, number)


def neighbor_cache_hashed(
    neighbor,
    time,
    event,
    feature,
    last_time,
    last_event,
    node,
    other,
    at,
    number,
    vector,
    mirrored,
    threshold,
    seed,
) -> None:
    """Each neighbour has one slot; see ``reference.py``."""
    lines = lines_of(node, other, at, number)
    expect_lines(event.shape[0], last_time, last_event, lines, mirrored)
    slots = neighbor.numpy(), time.numpy(), event.numpy(), bytes_of(feature)
    insert_hashed(*slots, lines, bytes_of(vector), mirrored, np.uint64(threshold), seed)
    remember(last_time, last_event, at, number)


def neighbor_cache_lookup(
    neighbor, time, event, count, last_time, node, until, inclusive
) -> tuple[Tensor, ...]:
    """The visible slots of each query; see ``reference.py``."""
    nodes = node.contiguous().numpy()
    bounds = np.empty(0, time.numpy().dtype) if until is None else until.contiguous().numpy()
    expect_queries(event.shape[0], last_time, nodes, bounds)
    shape = len(nodes), neighbor.shape[1]
    found: Any = tuple(empty(*shape, dtype=t.dtype) for t in (neighbor, time, event, event))
    slots = neighbor.numpy(), time.numpy(), event.numpy()
    queries = nodes, bounds, inclusive, *(t.numpy() for t in found)
    ends = np.arange(shape[0] + 1) * shape[1]
    if count is None:
        run_rows(hashed_rows, ends, *slots, *queries)
    else:
        run_rows(recent_rows, ends, *slots, count.numpy(), *queries)
    return found


def neighbor_cache_join(key, code) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct keys of each row; see ``reference.py``."""
    key = key.contiguous()
    rows, columns = key.shape
    keys, codes, places = torch.full_like(key, -1), torch.zeros_like(key), torch.full_like(key, -1)
    arrays = (t.numpy() for t in (key, code.contiguous(), keys, codes, places))
    run_rows(join_rows, np.arange(rows + 1) * columns, *arrays)
    return keys, codes, places


def lines_of(*tensors: Tensor) -> Any:
    """Lines as kernels read them."""
    return tuple(tensor.contiguous().numpy() for tensor in tensors)


def bytes_of(features: Tensor | None) -> np.ndarray:
    """Features [..., F] as bytes; of the same memory where it is a table's."""
    if features is None:
        return np.empty((0, 0), np.uint8)
    last = features.detach().contiguous().view(torch.uint8)
    return last.flatten(0, -2).numpy()


def remember(last_time: Tensor, last_event: Tensor, at: Tensor, number: Tensor) -> None:
    """What later calls must not fall behind."""
    if at.shape[0]:
        last_time.copy_(at[-1:])
        last_event.copy_(number[-1:])


def expect_lines(num_nodes, last_time, last_event, lines, mirrored) -> None:
    """Refuse lines of which one is wrong, before anything is written."""
    node, other, at, number = lines
    last = last_time.numpy(), last_event.numpy()
    fault, line = first_fault(num_nodes, *last, node, other, at, number, mirrored)
    if fault == 0:
        return
    names = ("source", "destination") if mirrored else ("node", "neighbor")
    before_time, before = ("the table's latest time", last_time), ("the latest event", last_event)
    if line > 0:
        before_time = f"time[{line - 1}]", at[line - 1 : line]
        before = f"event[{line - 1}]", number[line - 1 : line]
    rise = "rise" if mirrored or line == 0 else "not fall"
    nodes = f"[0, {num_nodes}), the nodes of the table; correct the id or make a larger table"
    if fault == NODE:
        raise IdError(f"{names[0]}[{line}] = {node[line]} is outside {nodes}")
    if fault == OTHER and mirrored:
        raise IdError(f"{names[1]}[{line}] = {other[line]} is outside {nodes}")
    raise InputError(
        {
            OTHER: f"{names[1]}[{line}] = {other[line]} is below -1, which stands for none",
            EVENT: f"event[{line}] = {number[line]} is negative; ids of events begin at 0",
            TIME: f"time[{line}] = {at[line]} must be finite",
            TIME_FALLS: f"time[{line}] = {at[line]} is a past event: it is before "
            f"{before_time[0]} = {before_time[1][0]}; sort events by time (Events.of does), and "
            "reset() the table before a stream is played again",
            EVENT_FALLS: f"event[{line}] = {number[line]} must {rise} from {before[0]} = "
            f"{before[1][0]}; number events in the order of time (Events.of does), and reset() the "
            "table before a stream is played again",
        }[fault]
    )


def expect_queries(num_nodes, last_time, nodes, bounds) -> None:
    """Refuse queries of which one is wrong."""
    fault, query = first_wrong_query(num_nodes, last_time.numpy(), nodes, bounds)
    if fault == NODE:
        raise IdError(
            f"node[{query}] = {nodes[query]} is outside [0, {num_nodes}), the nodes of the table; "
            "correct the id or make a larger table"
        )
    if fault == UNORDERED:
        raise InputError(f"time[{query}] is NaN, which is neither before nor after")
    if fault == PAST:
        raise InputError(
            f"time[{query}] = {bounds[query]} is a past query: events until {last_time.item()} "
            "were inserted and may have displaced what it should see; look up before you insert"
        )


@numba_kernel
def first_fault(num_nodes, last_time, last_event, node, other, at, number, mirrored):
    """What is wrong with the first line that has a fault, and which line that is."""
    time, event = last_time[0], last_event[0]
    for i in range(len(node)):
        if node[i] < 0 or node[i] >= num_nodes:
            return NODE, i
        if other[i] < -1 or (mirrored and not 0 <= other[i] < num_nodes):
            return OTHER, i
        if number[i] < 0:
            return EVENT, i
        if not at[i] - at[i] == 0:  # NaN, or infinite
            return TIME, i
        if number[i] < event or (number[i] == event and (mirrored or i == 0)):
            return EVENT_FALLS, i
        if at[i] < time:
            return TIME_FALLS, i
        time, event = at[i], number[i]
    return 0, 0


@numba_kernel
def first_wrong_query(num_nodes, last_time, node, until):
    """What is wrong with the first query that has a fault, and which query that is."""
    for i in range(len(node)):
        if node[i] < 0 or node[i] >= num_nodes:
            return NODE, i
        if len(until) > 0 and until[i] != until[i]:
            return UNORDERED, i
        if len(until) > 0 and until[i] < last_time[0]:
            return PAST, i
    return 0, 0


@inlined
def mix(bits):
    """The step of SplitMix64."""
    bits = bits + STEP
    bits = (bits ^ (bits >> THIRTY)) * FIRST
    bits = (bits ^ (bits >> TWENTY_SEVEN)) * SECOND
    return bits ^ (bits >> THIRTY_ONE)


@inlined
def slot_of(neighbor, salt, size):
    """The slot of a neighbour; ``salt`` is the mixed seed."""
    return np.int64(((mix(np.uint64(neighbor) ^ salt) >> BITS) * np.uint64(size)) >> BITS)


@inlined
def draw(seed, event, node, neighbor):
    """The word that decides between two neighbours."""
    e, u, v = np.uint64(event), np.uint64(node), np.uint64(neighbor)
    a, _, _, _ = words(seed, e & MASK, e >> BITS, u & MASK, v & MASK)
    return a


@inlined
def request(neighbor, time, event, u, slot):
    """Ask for a slot before its use."""
    byte = slot * WORD_BYTES
    prefetch(neighbor, u, byte)
    prefetch(time, u, byte)
    prefetch(event, u, byte)


@inlined
def entries(node, other, mirrored):
    """What a line writes: nothing without a neighbour, and a loop once."""
    return 0 if other < 0 else 2 if mirrored and node != other else 1


@numba_kernel
def insert_recent(neighbor, time, event, feature, count, lines, vector, mirrored):
    """Give each node its neighbour; a mirrored line that is no loop is two."""
    node, other, at, number = lines
    size = event.shape[1]
    for line in range(len(node)):
        if line + AHEAD < len(node):
            u, v = node[line + AHEAD], other[line + AHEAD]
            request(neighbor, time, event, u, count[u] % size)
            if mirrored:
                request(neighbor, time, event, v, count[v] % size)
        for turn in range(entries(node[line], other[line], mirrored)):
            u, v = (other[line], node[line]) if turn else (node[line], other[line])
            slot = count[u] % size
            neighbor[u, slot] = v
            time[u, slot] = at[line]
            event[u, slot] = number[line]
            for byte in range(feature.shape[1]):
                feature[u * size + slot, byte] = vector[line, byte] if len(vector) else 0
            count[u] += 1


@numba_kernel
def insert_hashed(neighbor, time, event, feature, lines, vector, mirrored, threshold, seed):
    """Give each node its neighbour where that wins its slot; a mirrored line is two."""
    node, other, at, number = lines
    size = event.shape[1]
    salt = mix(np.uint64(seed))
    for line in range(len(node)):
        if line + AHEAD < len(node):
            u, v = node[line + AHEAD], other[line + AHEAD]
            request(neighbor, time, event, u, slot_of(v, salt, size))
            if mirrored:
                request(neighbor, time, event, v, slot_of(u, salt, size))
        for turn in range(entries(node[line], other[line], mirrored)):
            u, v = (other[line], node[line]) if turn else (node[line], other[line])
            slot = slot_of(v, salt, size)
            is_empty = event[u, slot] < 0
            is_same = not is_empty and neighbor[u, slot] == v
            if not is_empty and not is_same and draw(seed, number[line], u, v) >= threshold:
                continue
            neighbor[u, slot] = v
            time[u, slot] = at[line]
            event[u, slot] = number[line]
            if len(vector) or not is_same:
                for byte in range(feature.shape[1]):
                    feature[u * size + slot, byte] = vector[line, byte] if len(vector) else 0


@inlined
def is_before(time, until, query, inclusive):
    """Whether a query may see what happened at a time."""
    if len(until) == 0:
        return True
    return time < until[query] or (inclusive and time == until[query])


@numba_kernel
def recent_rows(begin, end, _, neighbor, time, event, count, node, until, inclusive, *found):
    """The queries begin to end - 1, the newest neighbour first."""
    size = event.shape[1]
    for i in range(begin, end):
        u = node[i]
        newest = count[u] - 1
        oldest = max(0, count[u] - size)
        while newest >= oldest and not is_before(time[u, newest % size], until, i, inclusive):
            newest -= 1
        slot = newest % size
        for place in range(size):
            show(neighbor, time, event, u, slot, newest - place >= oldest, i, place, found)
            slot = slot - 1 if slot > 0 else size - 1


@numba_kernel
def hashed_rows(begin, end, _, neighbor, time, event, node, until, inclusive, *found):
    """The queries begin to end - 1, slot by slot."""
    for i in range(begin, end):
        u = node[i]
        for slot in range(event.shape[1]):
            shown = event[u, slot] >= 0 and is_before(time[u, slot], until, i, inclusive)
            show(neighbor, time, event, u, slot, shown, i, slot, found)


@inlined
def show(neighbor, time, event, u, slot, shown, i, place, found):
    """Place ``place`` of query i is a slot, or empty."""
    to_neighbor, to_time, to_event, to_slot = found
    to_neighbor[i, place] = neighbor[u, slot] if shown else -1
    to_time[i, place] = time[u, slot] if shown else 0
    to_event[i, place] = event[u, slot] if shown else -1
    to_slot[i, place] = u * event.shape[1] + slot if shown else -1


@numba_kernel
def join_rows(begin, end, _, key, code, keys, codes, places):
    """The pairs begin to end - 1."""
    for i in range(begin, end):
        found = 0
        for column in range(key.shape[1]):
            k = key[i, column]
            if k < 0:
                continue
            place = 0
            while place < found and keys[i, place] != k:
                place += 1
            if place == found:
                keys[i, place] = k
                found += 1
            places[i, column] = place
            codes[i, place] |= code[column]
