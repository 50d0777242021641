"""Graphs kept for as long as the tensor they were made from lives unchanged, and their scalings.

Full-batch training passes the same ``edge_index`` to every layer at every step; it is converted
once. Nothing is kept of a tensor whose changes cannot be seen: one without a version counter, or of
a class with behaviour of its own. An entry knows the tensor by a weak reference, so that it neither
keeps it alive nor outlives it. What follows from a graph alone, such as the factors of its rows, is
kept beside it in the same way: a graph never changes.
"""

import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neighborgraph.graph import Graph

Stamp = tuple[Hashable, ...]


class Kept(NamedTuple):
    """A graph or a tensor, and on a GPU the stream it was made on and the moment it was ready."""

    value: Any
    parts: tuple[Tensor, ...]
    stream: int
    ready: Any

    @classmethod
    def of(cls, value: Any, *parts: Tensor) -> "Kept":
        """What was made just now, which has these tensors."""
        return cls(value, parts, *now(parts[0].device))


class Entry(NamedTuple):
    """All graphs made from one tensor in one state, by what was asked for."""

    owner: weakref.ref
    stamp: Stamp
    graphs: dict[Hashable, Kept]


# Every access is one operation on a dict, so threads need no lock. Two that miss at the same time
# both convert, and one result stays.
_entries: dict[int, Entry] = {}
_beside: weakref.WeakKeyDictionary[Graph, dict[Hashable, Kept]] = weakref.WeakKeyDictionary()


def kept_graph(
    owner: object,
    parts: Iterable[Tensor],
    key: Hashable,
    transpose: bool,
    build: Callable[[], Graph],
) -> Graph:
    """The graph built for ``owner`` and ``key`` before, if nothing has changed, or a new one.

    Args:
        owner: The adjacency; the entry vanishes with it.
        parts: Its tensors, which are watched for changes.
        key: What else the graph depends on.
        transpose: A graph without its transpose is not enough.
        build: Makes the graph.
    """
    stamp = stamp_of(parts)
    if stamp is None:
        return build()
    entry = _entries.get(id(owner))
    if entry is None or entry.owner() is not owner or entry.stamp != stamp:
        entry = Entry(weakref.ref(owner, forget(id(owner))), stamp, {})
    kept = entry.graphs.get(key)
    if kept is not None and (kept.value.cols is not None or not transpose):
        wait_for(kept)
        return kept.value
    graph = build()
    if has_values(graph.device):
        entry.graphs[key] = Kept.of(graph, *graph.rows, *(graph.cols or ()))
        _entries[id(owner)] = entry
    return graph


def kept_beside(graph: Graph, key: Hashable, build: Callable[[], Tensor]) -> Tensor:
    """The constant tensor made for ``graph`` and ``key`` before, or a new one.

    Args:
        graph: The tensor vanishes with it.
        key: What the tensor is, and what else it depends on.
        build: Makes the tensor from the graph.
    """
    if torch.compiler.is_compiling():
        return build()
    kept = _beside.get(graph, {}).get(key)
    if kept is not None:
        wait_for(kept)
        return kept.value
    with torch.inference_mode(False):  # in which no backward pass could save it
        tensor = build()
    # A fake tensor, of a run that only wants to know shapes, has no values either.
    if type(tensor) is Tensor and has_values(tensor.device):
        _beside.setdefault(graph, {})[key] = Kept.of(tensor, tensor)
    return tensor


def has_values(device: torch.device) -> bool:
    """Whether what is computed now is; a captured CUDA graph computes when it is replayed."""
    return device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def stamp_of(parts: Iterable[Tensor]) -> Stamp | None:
    """What changes when one of the tensors does; None where changes would go unnoticed."""
    stamp: list[Hashable] = []
    for part in parts:
        if type(part) is not Tensor or part.is_inference():
            return None
        layout = part.shape, part.stride(), part.dtype, part.device
        stamp += [part.data_ptr(), part._version, *layout]
    return tuple(stamp)


def forget(key: int) -> Callable[[weakref.ref], None]:
    """A callback that removes the entry of a dead tensor, unless another one has its place."""

    def remove(owner: weakref.ref) -> None:
        entry = _entries.get(key)
        if entry is not None and entry.owner is owner:
            _entries.pop(key, None)

    return remove


def now(device: torch.device) -> tuple[int, Any]:
    """The current stream of a device and a mark in it."""
    if device.type != "cuda":
        return 0, None
    stream = torch.cuda.current_stream(device)
    return stream.cuda_stream, stream.record_event()


def wait_for(kept: Kept) -> None:
    """On another stream than the one it was made on: wait until it is, and keep its memory."""
    device = kept.parts[0].device
    if kept.ready is None or torch._C._cuda_getCurrentRawStream(device.index) == kept.stream:
        return
    if torch.cuda.is_current_stream_capturing():  # which began when everything was done
        return
    stream = torch.cuda.current_stream(device)
    stream.wait_event(kept.ready)
    for part in kept.parts:
        part.record_stream(stream)
