"""The definition of neighbor_cache in plain torch: one line after the other, one slot at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.ops.philox import MASK, WORD, philox

BITS = 2**64
STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


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
    """Each neighbour takes the slot of the oldest one."""
    for line, u, v in entries(node, other, mirrored):
        slot = int(count[u]) % neighbor.shape[1]
        neighbor[u, slot], time[u, slot], event[u, slot] = v, at[line], number[line]
        if feature is not None:
            feature[u, slot] = 0 if vector is None else vector[line]
        count[u] += 1
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
    """Each neighbour has one slot, for which it must fight another one that is there."""
    words = drawn(seed, number, node, other), drawn(seed, number, other, node)
    for line, u, v in entries(node, other, mirrored):
        word = words[0 if (u, v) == (int(node[line]), int(other[line])) else 1][line]
        slot = slot_of(v, seed, neighbor.shape[1])
        is_empty = int(event[u, slot]) < 0
        is_same = not is_empty and int(neighbor[u, slot]) == v
        if not (is_empty or is_same or int(word) < threshold):
            continue
        neighbor[u, slot], time[u, slot], event[u, slot] = v, at[line], number[line]
        if feature is not None and vector is not None:
            feature[u, slot] = vector[line]
        elif feature is not None and not is_same:
            feature[u, slot] = 0
    remember(last_time, last_event, at, number)


def entries(node: Tensor, other: Tensor, mirrored: bool) -> Iterator[tuple[int, int, int]]:
    """Line, node and neighbour of all that is written, in order."""
    for line, (u, v) in enumerate(zip(node.tolist(), other.tolist(), strict=True)):
        if v >= 0:
            yield line, u, v
        if mirrored and u != v:
            yield line, v, u


def remember(last_time: Tensor, last_event: Tensor, at: Tensor, number: Tensor) -> None:
    """What later calls must not fall behind."""
    if at.numel():
        last_time.copy_(at[-1:])
        last_event.copy_(number[-1:])


def slot_of(neighbor: int, seed: int, size: int) -> int:
    """The slot of a neighbour: the upper 32 bits of a mixed id, as a fraction, times the size."""
    return (mix(neighbor ^ mix(seed % BITS)) // WORD) * size // WORD


def mix(bits: int) -> int:
    """The step of SplitMix64 (https://doi.org/10.1145/2714064.2660195): every bit moves all."""
    bits = (bits + STEP) % BITS
    bits = (bits ^ bits >> 30) * FIRST % BITS
    bits = (bits ^ bits >> 27) * SECOND % BITS
    return bits ^ bits >> 31


def drawn(seed: int, event: Tensor, node: Tensor, neighbor: Tensor) -> Tensor:
    """The word that is below the threshold when a neighbour displaces another."""
    counter = event & MASK, event >> 32 & MASK, node & MASK, neighbor & MASK
    return philox(counter, (seed & MASK, (seed >> 32) & MASK))[0]


def neighbor_cache_lookup(
    neighbor, time, event, count, last_time, node, until, inclusive
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The visible slots of each query: newest first with a count, else in their places."""
    size = neighbor.shape[1]
    shape = len(node), size
    slot = torch.full(shape, -1, device=node.device)
    for i, u in enumerate(node.tolist()):
        slots = list(range(size))
        if count is not None:
            total = int(count[u])
            slots = [number % size for number in range(total - 1, max(0, total - size) - 1, -1)]
        shown = [
            s for s in slots if int(event[u, s]) >= 0 and is_before(time[u, s], until, i, inclusive)
        ]
        for place, s in zip(range(size) if count is not None else shown, shown, strict=False):
            slot[i, place] = u * size + s
    known = slot >= 0

    def found(values: Tensor, empty: int) -> Tensor:
        result = torch.full(shape, empty, dtype=values.dtype, device=node.device)
        return result.masked_scatter_(known, values.flatten()[slot[known]])

    return found(neighbor, -1), found(time, 0), found(event, -1), slot


def is_before(time: Tensor, until: Tensor | None, query: int, inclusive: bool) -> bool:
    """Whether a query may see what happened at a time."""
    if until is None:
        return True
    return bool(time < until[query]) or (inclusive and bool(time == until[query]))


def neighbor_cache_join(key: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct keys of each row."""
    keys, codes, places = torch.full_like(key, -1), torch.zeros_like(key), torch.full_like(key, -1)
    for i, row in enumerate(key.tolist()):
        found: dict[int, int] = {}
        for column, k in enumerate(row):
            if k < 0:
                continue
            place = found.setdefault(k, len(found))
            keys[i, place], places[i, column] = k, place
            codes[i, place] |= code[column]
    return keys, codes, places
