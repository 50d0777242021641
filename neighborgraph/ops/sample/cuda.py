"""sample on the GPU: what is launched, and the two sizes that are read back."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neighborgraph.jit import Instance, load
from neighborgraph.ops.lanes import WARP, power_of_two_above

BLOCK = 256
LARGEST = torch.iinfo(torch.int64).max


def sample_rows(
    csr, row, key, time, until, cumulative, count, replace, last, inclusive, seed, counter
) -> tuple[Tensor, Tensor, Tensor]:
    """The edges that rows draw: receiver, source and edge."""
    ptr, idx, edge_id = csr
    row, key = row.contiguous(), key.contiguous()
    until = None if until is None else until.contiguous()
    rows = row.shape[0]
    first, candidates = torch.empty_like(row), torch.empty_like(row)
    offsets = row.new_zeros(rows + 1)
    chosen = first, candidates, offsets[1:]
    flags = count, int(replace), int(last), int(inclusive)
    per_item("sample_candidates", rows, ptr, time, row, until, *chosen, rows, *flags)
    offsets.cumsum_(0)
    edges = int(offsets[-1])
    receiver, source, edge = (row.new_empty(edges) for _ in range(3))
    if count < 0:
        per_item("sample_all", edges, first, offsets, edge, rows, edges)
    else:
        lanes = lanes_of(count)
        inputs = cumulative, key, first, candidates, offsets
        numbers = rows, count, int(replace), seed, *counter
        per_item(f"sample_draw<{lanes}>", rows * lanes, *inputs, edge, *numbers)
    per_item("sample_gather", edges, idx, edge_id, offsets, edge, source, receiver, rows, edges)
    return receiver, source, edge


def sample_two_hops(csr, row, key, count, seed, counter) -> Tensor:
    """[f, count] nodes one or two steps away."""
    ptr = csr[0]
    rows = row.shape[0]
    node = row.new_empty(rows, count)
    if count > 0:
        numbers = rows, ptr.shape[0] - 1, count, seed, *counter
        lanes = lanes_of(count)
        inputs = *csr, row.contiguous(), key.contiguous()
        per_item(f"sample_two_hops<{lanes}>", rows * lanes, *inputs, node, *numbers)
    return node


def sample_relabel(known, found) -> tuple[Tensor, Tensor]:
    """Nodes in the order of their first appearance, and the number of each node found."""
    known, found = known.contiguous(), found.contiguous()
    k, s = known.shape[0], found.shape[0]
    # At least half of the slots stay empty.
    slot_bits = max(k + s, 1).bit_length() + 1
    keys = known.new_full((2**slot_bits,), -1)
    places = known.new_full((2**slot_bits,), LARGEST)
    slot, local, is_new = known.new_empty(k + s), torch.empty_like(found), torch.empty_like(found)
    per_item("relabel_insert", k + s, known, found, keys, places, slot, k, s, 64 - slot_bits)
    per_item("relabel_first", s, places, slot, is_new, k, s)
    rank = is_new.cumsum(0)
    nodes = known.new_empty(k + (int(rank[-1]) if s else 0))
    nodes[:k] = known
    per_item("relabel_number", s, found, places, slot, rank, nodes, local, k, s)
    return nodes, local


def lanes_of(count: int) -> int:
    """Threads that share a row which draws ``count``."""
    return min(WARP, power_of_two_above(max(count, 1)))


def per_item(kernel: str, threads: int, *args: Tensor | int | None) -> None:
    """Launch a thread for each item; nothing where there are none."""
    if threads:
        device = next(arg.device for arg in args if isinstance(arg, Tensor))
        load(instance(kernel), device).launch(-(-threads // BLOCK), BLOCK, *args)


def instance(kernel: str) -> Instance:
    """A kernel and the file that it is in."""
    files = {"relabel": "sample_relabel.cu", "sample_two_hops": "sample_two_hops.cu"}
    for start, file in files.items():
        if kernel.startswith(start):
            return Instance(file, kernel)
    return Instance("sample.cu", kernel)


def instances() -> Iterator[Instance]:
    """Every instance that any sample can ask for."""
    for kernel in ("sample_candidates", "sample_all", "sample_gather"):
        yield instance(kernel)
    for kernel in ("relabel_insert", "relabel_first", "relabel_number"):
        yield instance(kernel)
    lanes = 1
    while lanes <= WARP:
        yield instance(f"sample_draw<{lanes}>")
        yield instance(f"sample_two_hops<{lanes}>")
        lanes *= 2
