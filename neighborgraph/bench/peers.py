"""What others compute in the same place: PyG's compositions, `torch.sparse`, and the bare gather.

A peer is a function of a Graph and a dtype that prepares whatever a user of it would keep, and
returns the function of the features that is timed. Its answers are compared with ours before that.
"""

import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph
from neighborgraph.jit import Instance
from neighborgraph.ops import aggregate, attend
from neighborgraph.ops.items import launch
from neighborgraph.ops.lanes import aligned, lanes_for

Function = Callable[..., Tensor]
Peer = Callable[[Graph, torch.dtype], Function]

TOLERANCES = {
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.float16: 5e-2,
    torch.bfloat16: 3e-1,
}
"""Largest difference in norm, relative to ours; wide for peers that add up in 16 bits."""


def attend_ours(graph: Graph, dtype: torch.dtype) -> Function:
    """Attend of q, k, v."""
    return lambda q, k, v: attend(graph, q, k, v)


def attend_pyg(graph: Graph, dtype: torch.dtype) -> Function:
    """Gather, softmax and scatter as ``TransformerConv`` composes them, edges sorted by receiver.

    The gathers are ``index_select`` as in PyG's own message passing: its backward is one
    ``index_add``, much faster than that of indexing with a tensor.
    """
    expect_pyg()
    from torch_geometric.utils import scatter, softmax

    source, receiver, size = *sorted_edges(graph), graph.num_rows

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        score = (q.index_select(0, receiver) * k.index_select(0, source)).sum(-1)
        weight = softmax(score / math.sqrt(q.shape[-1]), receiver, num_nodes=size)
        message = v.index_select(0, source) * weight[..., None]
        return scatter(message, receiver, dim=0, dim_size=size, reduce="sum")

    return run


def attend_floor(graph: Graph, dtype: torch.dtype) -> Function:
    """The least that any fused kernel must do: gather the rows of k and v. Not attention."""

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads, width = q.shape[1:]
        lanes = lanes_for(q.dtype, width, heads)
        parts = -(-heads // lanes.heads)
        out = torch.empty_like(q)
        items = graph.rows.item_row.shape[0]
        instance = Instance("gather_floor.cu", f"gather_floor<{lanes.template(q.dtype)}>")
        sizes = items, parts, lanes.heads, heads, width
        launch(instance, graph.rows, parts, aligned(k), aligned(v), out, *sizes)
        return out

    return run


def aggregate_ours(graph: Graph, dtype: torch.dtype) -> Function:
    """The sum of neighbour rows."""
    return lambda x: aggregate(graph, x)


def aggregate_pyg(graph: Graph, dtype: torch.dtype) -> Function:
    """Gather and ``torch_geometric.utils.scatter``, edges sorted by receiver."""
    expect_pyg()
    from torch_geometric.utils import scatter

    source, receiver, size = *sorted_edges(graph), graph.num_rows
    return lambda x: scatter(
        x.index_select(0, source), receiver, dim=0, dim_size=size, reduce="sum"
    )


def aggregate_sparse(graph: Graph, dtype: torch.dtype) -> Function:
    """``torch.sparse.mm`` of the CSR adjacency; its backward transposes on every call."""
    adjacency = as_sparse(graph, dtype)
    return lambda x: torch.sparse.mm(adjacency, x.flatten(1)).view(-1, *x.shape[1:])


def aggregate_sparse_both(graph: Graph, dtype: torch.dtype) -> Function:
    """``torch.sparse.mm`` as well as it can be used: the transpose is kept for the backward."""
    both = as_sparse(graph, dtype), as_sparse(graph.T, dtype)
    return lambda x: SparseSum.apply(*both, x.flatten(1)).view(-1, *x.shape[1:])


class SparseSum(torch.autograd.Function):
    """A x, and its gradient by a stored transpose of A."""

    @staticmethod
    def forward(ctx, adjacency, transpose, x):
        """A x."""
        ctx.transpose = transpose
        return torch.sparse.mm(adjacency, x)

    @staticmethod
    def backward(ctx, grad):
        """Aᵀ g."""
        return None, None, torch.sparse.mm(ctx.transpose, grad)


def as_sparse(graph: Graph, dtype: torch.dtype) -> Tensor:
    """The adjacency [n, m] of ones in CSR, with int32 indices where they fit."""
    ptr = graph.rows.ptr
    if graph.num_edges < 2**31:
        ptr = ptr.to(torch.int32)
    idx = graph.rows.idx.to(ptr.dtype)
    ones = torch.ones(idx.numel(), dtype=dtype, device=graph.device)
    size = (graph.num_rows, graph.num_cols)
    with warnings.catch_warnings():
        # That CSR is in beta, and that a graph checked at birth is not checked again.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(ptr, idx, ones, size, check_invariants=False)


def sorted_edges(graph: Graph) -> tuple[Tensor, Tensor]:
    """int64 sources and receivers in receiver order, in which scattering is fastest."""
    row = torch.arange(graph.num_rows, device=graph.device)
    return graph.rows.idx.long(), row.repeat_interleave(graph.degree)


def expect_pyg() -> None:
    """Refuse to go on without PyG."""
    if importlib.util.find_spec("torch_geometric") is None:
        raise BackendUnavailable(
            "torch-geometric is not installed; pip install torch-geometric to compare with it"
        )


@torch.no_grad()
def largest_difference(actual: Sequence[Tensor], ours: Sequence[Tensor]) -> float:
    """The largest norm of a difference between paired tensors, relative to ours; NaN is NaN."""
    differences = [
        float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-30))
        for a, b in zip(actual, ours, strict=True)
    ]
    return math.nan if any(map(math.isnan, differences)) else max(differences)


OURS = {"attend": attend_ours, "aggregate": aggregate_ours}
PEERS: dict[str, dict[str, Peer]] = {
    "attend": {"PyG eager": attend_pyg},
    "aggregate": {
        "PyG scatter": aggregate_pyg,
        "torch.sparse.mm": aggregate_sparse,
        "torch.sparse.mm + kept transpose": aggregate_sparse_both,
    },
}
"""By operator, then by the name that a table shows."""
