"""Hop features: what a node, its neighbours and theirs look like, computed once."""

import torch
from torch import Tensor

from neighborgraph.checks import FLOAT_DTYPES, expect_dtype, expect_shape, expect_tensor
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.nn.propagate import propagate

COLUMNS = 128
"""Features that are propagated at a time."""


@torch.no_grad()
def hop_features(
    graph: Graph, x: Tensor, hops: int, *, out: Tensor | None = None, columns: int = COLUMNS
) -> Tensor:
    r"""Features smoothed 0 to K times, side by side for each node.

    .. math::

        o_{il} = (\hat{A}^l x)_i, \qquad l = 0 \dots K

    Some columns at a time are propagated on the graph's device, in float32 or wider, and written
    where ``out`` is; so that device holds a few [n, ``columns``] matrices, whatever F is.

    Args:
        graph: A square graph of n nodes that already has the self-loops it should have.
        x: [n, F] floating point features, on any device.
        hops: K, the number of steps; 0 or more.
        out: Where to write, [n, K + 1, F] in any floating point dtype: on a GPU, in pinned memory,
            or in a file that is mapped into memory (``torch.from_file``). By default a new tensor
            like ``x``.
        columns: Features at a time; 1 or more.

    Returns:
        ``out``.

    Raises:
        InputError: A shape or a number is wrong, or a finite feature is not finite in the dtype of
            ``out``; names the first node.
        DtypeError: ``x`` or ``out`` is not floating point.
    """
    nodes = expect_square(graph, "propagation")
    expect_tensor("x", x)
    expect_dtype("x", x, FLOAT_DTYPES)
    expect_shape("x", x, (nodes, "F"))
    if hops < 0 or columns < 1:
        raise InputError(f"hops={hops} must be 0 or more and columns={columns} 1 or more")
    shape = nodes, hops + 1, x.shape[1]
    if out is None:
        out = x.new_empty(shape)
    expect_dtype("out", out, FLOAT_DTYPES)
    expect_shape("out", out, shape)
    wide = torch.promote_types(x.dtype, torch.float32)
    for first in range(0, x.shape[1], columns):
        block = x[:, first : first + columns].to(graph.device, wide)
        for hop in range(hops + 1):
            if hop > 0:
                block = propagate(graph, block)
            write_finite(block, out[:, hop, first : first + columns])
    return out


def write_finite(block: Tensor, out: Tensor) -> None:
    """Copy into a narrower dtype, and refuse what it turns into infinity."""
    narrow = block.to(out.dtype)
    lost = (block.isfinite() & ~narrow.isfinite()).any(dim=1)
    if lost.any():
        node = int(lost.nonzero()[0])
        raise InputError(
            f"a feature of node {node} is beyond the range of {out.dtype}; divide the features, or "
            "take bfloat16 or float32"
        )
    out.copy_(narrow)
