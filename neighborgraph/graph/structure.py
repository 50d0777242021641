"""Structural faults, refused once at construction so that no kernel ever reads out of bounds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from neighborgraph.checks import (
    FLOAT_DTYPES,
    INDEX_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
)
from neighborgraph.errors import DeviceError, DtypeError, InputError

MAX_ID = 2**31 - 1
"""Node and edge ids are int32 inside; offsets into feature arrays are 64-bit."""


def expect_sizes(num_nodes: int | tuple[int, int]) -> tuple[int, int]:
    """(sources, receivers) from one size or a pair, each in [0, 2^31 - 1]."""
    sizes = tuple(num_nodes) if isinstance(num_nodes, Sequence) else (num_nodes, num_nodes)
    if len(sizes) != 2 or any(isinstance(s, bool) or not isinstance(s, int) for s in sizes):
        raise DtypeError(
            f"num_nodes must be an int or a pair (sources, receivers), got {num_nodes!r}"
        )
    for size in sizes:
        expect_size("num_nodes", size)
    return sizes[0], sizes[1]


def expect_size(name: str, size: int) -> None:
    """Refuse a number of nodes outside [0, 2^31 - 1]."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise DtypeError(f"{name} must be an int, got {size!r}")
    if not 0 <= size <= MAX_ID:
        raise InputError(f"{name} = {size} is outside [0, {MAX_ID}]: ids are 32-bit")


def expect_same_sizes(num_cols: int, num_rows: int, user: str) -> int:
    """The number of nodes, or an error when sources and receivers differ in number."""
    if num_rows != num_cols:
        raise InputError(
            f"{user} needs a square graph, but graph has {num_cols} sources and "
            f"{num_rows} receivers"
        )
    return num_rows


def expect_values(name: str, tensor: Tensor) -> None:
    """Refuse anything but a dense tensor with memory behind it."""
    expect_tensor(name, tensor)
    if tensor.layout != torch.strided:
        raise DtypeError(
            f"{name} must be a dense tensor, got layout {tensor.layout}; "
            "pass a sparse matrix to as_graph"
        )
    if tensor.is_meta:
        raise DeviceError(f"{name} is on meta, which holds no values; put it on cpu or cuda")


def expect_edge_index(edge_index: Tensor) -> None:
    """Refuse anything but [2, e] int32 or int64 with e below 2^31."""
    expect_values("edge_index", edge_index)
    expect_dtype("edge_index", edge_index, INDEX_DTYPES)
    if edge_index.dim() == 2 and edge_index.shape[0] != 2 and edge_index.shape[1] == 2:
        raise InputError(
            f"edge_index must have shape [2, e], got {list(edge_index.shape)}: it looks "
            "transposed, pass edge_index.t()"
        )
    expect_shape("edge_index", edge_index, (2, "e"), "sources, then receivers")
    expect_edge_count("edge_index", edge_index.shape[1])


def expect_edge_count(name: str, num_edges: int) -> None:
    """Refuse more edges than 32-bit edge ids can number."""
    if num_edges > MAX_ID:
        raise InputError(f"{name} holds {num_edges} edges, at most {MAX_ID} are supported")


def expect_ids(name: str, ids: Tensor, size: int, size_name: str) -> None:
    """Refuse an id outside [0, size), naming the first position that has one."""
    if ids.numel() == 0:
        return
    low, high = (int(bound) for bound in ids.aminmax())
    if low >= 0 and high < size:
        return
    position = int(((ids < 0) | (ids >= size)).nonzero()[0])
    raise InputError(
        f"{name}[{position}] = {int(ids[position])} is outside [0, {size}); "
        f"correct the id or pass a larger {size_name}"
    )


def expect_pointer(ptr: Tensor, idx: Tensor) -> None:
    """Refuse a CSR pointer that does not rise from 0 to the number of ids, and ids not 1-D."""
    expect_values("ptr", ptr)
    expect_values("idx", idx)
    expect_dtype("ptr", ptr, INDEX_DTYPES)
    expect_dtype("idx", idx, INDEX_DTYPES)
    expect_same_device(ptr=ptr, idx=idx)
    expect_shape("ptr", ptr, ("n + 1",))
    expect_shape("idx", idx, ("e",))
    expect_edge_count("idx", idx.numel())
    if ptr.numel() == 0:
        raise InputError("ptr is empty; a pointer over n rows has n + 1 entries and starts at 0")
    expect_size("the number of rows in ptr", ptr.numel() - 1)
    if int(ptr[0]) != 0:
        raise InputError(f"ptr[0] = {int(ptr[0])}, it must be 0")
    falls = (ptr[1:] < ptr[:-1]).nonzero()
    if falls.numel():
        position = int(falls[0]) + 1
        raise InputError(
            f"ptr[{position}] = {int(ptr[position])} is below ptr[{position - 1}] = "
            f"{int(ptr[position - 1])}; a pointer never decreases"
        )
    if int(ptr[-1]) != idx.numel():
        raise InputError(
            f"ptr[{ptr.numel() - 1}] = {int(ptr[-1])} must equal the number of ids, "
            f"{idx.numel()}; is an entry of ptr (n + 1 of them) missing?"
        )


def expect_weight(weight: Tensor | None, num_edges: int, **ids: Tensor) -> None:
    """Refuse edge weights that are not [e] floating point beside the named ids."""
    if weight is None:
        return
    expect_values("weight", weight)
    expect_dtype("weight", weight, FLOAT_DTYPES)
    expect_shape("weight", weight, (num_edges,), "one weight per edge")
    expect_same_device(**ids, weight=weight)
