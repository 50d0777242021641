"""neighbor_cache on the GPU: Torch sorts what is written, and one thread owns each slot."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from neighborgraph.jit import Instance, load

BLOCK, JOIN_BLOCK = 256, 128
TIME_NAMES = {torch.int64: "long long", torch.float64: "double"}
TYPED = tuple(f"neighbor_cache_{kernel}" for kernel in ("keys", "recent", "hashed", "lookup"))
"""Kernels with an instance for each type of times."""


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
    if node.shape[0] == 0:
        return
    lines = lines_of(node, other, at, number)
    key, order = sorted_keys(lines, event, last_time, last_event, mirrored, 0, 0)
    entries, rows = key.shape[0], event.shape[0]
    sizes = node.shape[0], int(mirrored), *event.shape, shorts(feature)
    slots = neighbor, time, event, feature, last_time, last_event
    inputs = *lines, contiguous(vector), key, order, count
    launch("recent", entries, time.dtype, *inputs, *slots, *sizes)
    launch("count", entries, None, key, count, entries, rows)


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
    if node.shape[0] == 0:
        return
    lines = lines_of(node, other, at, number)
    key, order = sorted_keys(lines, event, last_time, last_event, mirrored, 1, seed)
    sizes = node.shape[0], int(mirrored), *event.shape, shorts(feature)
    slots = neighbor, time, event, feature, last_time, last_event
    inputs = *lines, contiguous(vector), key, order
    launch("hashed", key.shape[0], time.dtype, *inputs, *slots, *sizes, threshold, seed)


def sorted_keys(lines, event, last_time, last_event, mirrored, hashed, seed) -> Any:
    """Keys of all entries in order, and where each was; equal ones in the order of events."""
    count = lines[0].shape[0]
    key = lines[0].new_empty(count * (1 + mirrored))
    valid = key.new_ones(1, dtype=torch.int32)
    sizes = count, int(mirrored), *event.shape, hashed, seed
    inputs = *lines, last_time, last_event
    launch("keys", key.shape[0], last_time.dtype, *inputs, key, valid, *sizes)
    torch._assert_async(valid, "events are out of range, in the past or not in order")
    return key.sort(stable=True)


def neighbor_cache_lookup(
    neighbor, time, event, count, last_time, node, until, inclusive
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The visible slots of each query; see ``reference.py``."""
    shape = queries, size = node.shape[0], event.shape[1]
    found = tuple(t.new_empty(shape) for t in (neighbor, time, event, event))
    valid = node.new_ones(1, dtype=torch.int32)
    table, asked = (neighbor, time, event, count, last_time), (node.contiguous(), contiguous(until))
    numbers = queries, event.shape[0], size, int(inclusive)
    launch("lookup", queries * size, time.dtype, *table, *asked, valid, *found, *numbers)
    torch._assert_async(valid, "queries are out of range, NaN or in the past")
    return found


def neighbor_cache_join(key, code) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct keys of each row; see ``reference.py``."""
    key = key.contiguous()
    joined = torch.empty_like(key), torch.empty_like(key), torch.empty_like(key)
    if key.numel():
        kernel = load(instance("neighbor_cache_join"), key.device)
        kernel.launch(key.shape[0], JOIN_BLOCK, key, code.contiguous(), *joined, key.shape[1])
    return joined


def lines_of(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Lines as kernels read them."""
    return tuple(tensor.contiguous() for tensor in tensors)


def contiguous(tensor: Tensor | None) -> Tensor | None:
    """The same in one piece of memory."""
    return None if tensor is None else tensor.contiguous()


def shorts(feature: Tensor | None) -> int:
    """Pairs of bytes of the features of a slot."""
    return 0 if feature is None else feature.shape[2] * feature.element_size() // 2


def launch(kernel: str, threads: int, dtype: torch.dtype | None, *args: Any) -> None:
    """One thread for each of ``threads`` things; nothing where there are none."""
    if threads:
        device = next(arg.device for arg in args if isinstance(arg, Tensor))
        name = f"neighbor_cache_{kernel}"
        loaded = load(instance(name if dtype is None else typed(name, dtype)), device)
        loaded.launch(-(-threads // BLOCK), BLOCK, *args)


def typed(kernel: str, dtype: torch.dtype) -> str:
    """The instance of a kernel for times of a type."""
    return f"{kernel}<{TIME_NAMES[dtype]}>"


def instance(kernel: str) -> Instance:
    """A kernel and the file that it is in."""
    return Instance("neighbor_cache.cu", kernel)


def instances() -> Iterator[Instance]:
    """Every instance there is."""
    for kernel in TYPED:
        for dtype in TIME_NAMES:
            yield instance(typed(kernel, dtype))
    yield instance("neighbor_cache_count")
    yield instance("neighbor_cache_join")
