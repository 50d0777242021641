"""Compile and load GPU kernels ahead of their first use.

A kernel is compiled at its first call, which takes from a tenth of a second to a second and is
refused while a CUDA graph is captured. These functions run an operator once, forward and backward,
on a graph so made that every kernel of it is launched.
"""

import torch
from torch import Tensor

from neighborgraph.errors import DeviceError, InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.schedule import MAX_ITEM_EDGES
from neighborgraph.ops.aggregate import aggregate
from neighborgraph.ops.attend import Additive, Dot, attend_with_weights
from neighborgraph.ops.attend.score import Score


def precompile_attend(
    device: torch.device | str,
    dtype: torch.dtype,
    heads: int,
    width: int,
    *,
    value_width: int | None = None,
    score: Score = Dot(),  # noqa: B008, it is frozen
    bias: bool = False,
    edge: bool = False,
    dropout: bool = False,
    self_loops: bool = False,
) -> None:
    """Make `attend` of a shape ready on a GPU, forward and backward.

    Args:
        device: CUDA device.
        dtype: Of the features.
        heads: Heads H.
        width: Channels D of a key.
        value_width: Channels of a value; those of a key when None.
        score: A score of the type that will be used; its numbers do not matter.
        bias: Whether edges will have a bias.
        edge: Whether they will have vectors.
        dropout: Whether dropout will be above zero.
        self_loops: Whether self-loops will be asked for.

    Raises:
        DeviceError: ``device`` is not a CUDA device.
        BackendUnavailable: There is no usable GPU or compiler.
    """
    graph = graph_with_cuts(device)
    edges = graph.num_edges + self_loops * graph.num_rows

    def zeros(rows: int, *shape: int) -> Tensor:
        return torch.zeros(rows, *shape, dtype=dtype, device=graph.device, requires_grad=True)

    q, k = (zeros(graph.num_rows, heads, width) for _ in range(2))
    v = zeros(graph.num_rows, heads, value_width or width)
    if isinstance(score, Additive):
        score = Additive(zeros(heads, width))
    out, _ = attend_with_weights(
        graph,
        q,
        k,
        v,
        score=score,
        bias=zeros(edges, heads) if bias else None,
        edge=zeros(edges, heads, width) if edge else None,
        dropout=0.5 if dropout else 0.0,
        seed=0,
        self_loops=self_loops,
    )
    out.sum().backward()


def precompile_aggregate(
    device: torch.device | str,
    dtype: torch.dtype,
    width: int,
    reduce: str = "sum",
    *,
    heads: int = 1,
) -> None:
    """Make `aggregate` of a shape ready on a GPU, forward and backward, weighted or not.

    Args:
        device: CUDA device.
        dtype: Of the features.
        width: Channels of a node, all heads together; a multiple of ``heads``.
        reduce: The reduction.
        heads: Heads that have weights of their own.

    Raises:
        DeviceError: ``device`` is not a CUDA device.
        BackendUnavailable: There is no usable GPU or compiler.
        InputError: ``width`` is no multiple of ``heads``.
    """
    if heads < 1 or width % heads:
        raise InputError(f"width={width} must be a multiple of heads={heads}")
    graph = graph_with_cuts(device)
    shape = graph.num_cols, heads, width // heads
    x = torch.zeros(shape, dtype=dtype, device=graph.device, requires_grad=True)
    aggregate(graph, x, reduce).sum().backward()
    if reduce != "softmax":
        weights = torch.ones(graph.num_edges, heads, dtype=dtype, device=graph.device)
        aggregate(graph, x, reduce, weight=weights.requires_grad_()).sum().backward()


def graph_with_cuts(device: torch.device | str) -> Graph:
    """One node with more loops than one work item holds, so that partial results are folded."""
    if torch.device(device).type != "cuda":
        raise DeviceError(f"device={device} must be a CUDA device; the CPU needs no precompilation")
    loops = torch.zeros(2, MAX_ITEM_EDGES + 1, dtype=torch.int64, device=device)
    return Graph.from_edge_index(loops, 1)
