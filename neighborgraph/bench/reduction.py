"""What the bench knows of aggregate: its forms, their input, and who else computes them."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from neighborgraph.bench.peers import (
    Function,
    Prepare,
    Segments,
    composed_peers,
    gather_floor,
)
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate

NAMES = ("sum", "mean", "max", "weighted", "softmax")


@dataclass(frozen=True)
class Reduction:
    """One form of aggregation.

    Attributes:
        name: ``sum``, ``mean`` or ``max``; ``weighted``, a sum with constant weights
            1/sqrt(degree degree) as GCN and LightGCN take it; ``softmax``, channel by channel as
            PyG's SoftmaxAggregation.
    """

    name: str

    @staticmethod
    def parse(text: str) -> "Reduction":
        """One of ``NAMES``."""
        if text not in NAMES:
            raise ConfigError(
                f"unknown reduction {text!r}; known are {', '.join(NAMES)}{nearest(text, NAMES)}"
            )
        return Reduction(text)

    def __str__(self) -> str:
        return self.name

    is_random = False
    depth = 1

    def inputs(
        self,
        graph: Graph,
        dtype: torch.dtype,
        heads: int,
        width: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Standard normal features, which want a gradient."""
        x = torch.randn(graph.num_cols, heads, width, generator=generator, device=graph.device)
        return {"x": x.to(dtype).requires_grad_()}

    def ours(self, graph: Graph, dtype: torch.dtype) -> Function:
        """`aggregate`."""
        if self.name == "weighted":
            weight = symmetric_weight(graph, dtype)
            return lambda x: aggregate(graph, x, weight=weight)
        return lambda x: aggregate(graph, x, self.name)

    def peers(self) -> dict[str, Prepare]:
        """By name; a matrix product can be a sum of any kind and no more."""
        peers = composed_peers(self.compose)
        if self.name in ("sum", "mean", "weighted"):
            peers |= {"sparse": self.sparse, "sparse-kept": self.sparse_kept}
        return peers

    def compose(self, graph: Graph, dtype: torch.dtype, segments: Segments) -> Function:
        """Gather and scatter, as PyG's message passing does."""
        source, receiver = graph.edge_index
        size = graph.num_rows
        if self.name == "weighted":
            weight = symmetric_weight(graph, dtype)[:, None, None]
            return lambda x: segments.reduce(
                x.index_select(0, source) * weight, receiver, size, "sum"
            )
        if self.name == "softmax":

            def run(x):
                message = x.index_select(0, source)
                share = segments.softmax(message, receiver, size)
                return segments.reduce(message * share, receiver, size, "sum")

            return run
        return lambda x: segments.reduce(x.index_select(0, source), receiver, size, self.name)

    def sparse(self, graph: Graph, dtype: torch.dtype) -> Function:
        """``torch.sparse.mm`` of the CSR adjacency; its backward transposes on every call."""
        adjacency = as_sparse(graph, self.values(graph, dtype))
        return lambda x: torch.sparse.mm(adjacency, x.flatten(1)).view(-1, *x.shape[1:])

    def sparse_kept(self, graph: Graph, dtype: torch.dtype) -> Function:
        """``torch.sparse.mm`` as well as it can be used: the transpose is kept for the backward."""
        values = self.values(graph, dtype)
        both = as_sparse(graph, values), as_sparse(graph.T, values)
        return lambda x: SparseSum.apply(*both, x.flatten(1)).view(-1, *x.shape[1:])

    def values(self, graph: Graph, dtype: torch.dtype) -> Tensor:
        """The matrix's values [e] in the caller's edge order."""
        if self.name == "weighted":
            return symmetric_weight(graph, dtype)
        if self.name == "mean":
            receiver = graph.edge_index[1]
            return graph.degree.clamp(min=1).double().reciprocal()[receiver].to(dtype)
        return torch.ones(graph.num_edges, dtype=dtype, device=graph.device)

    def floor(self, graph: Graph, dtype: torch.dtype) -> Function:
        """Gathers the rows of x, and nothing else."""
        return lambda x: gather_floor(graph, x, x)


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


def as_sparse(graph: Graph, values: Tensor) -> Tensor:
    """The adjacency [n, m] in CSR, with int32 indices where they fit.

    Args:
        graph: n receivers, m sources, e edges.
        values: [e] in the caller's edge order.
    """
    ptr = graph.rows.ptr
    if graph.num_edges < 2**31:
        ptr = ptr.to(torch.int32)
    idx = graph.rows.idx.to(ptr.dtype)
    by_row = values.index_select(0, graph.rows.edge_id.long())
    size = (graph.num_rows, graph.num_cols)
    with warnings.catch_warnings():
        # That CSR is in beta, and that a graph checked at birth is not checked again.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(ptr, idx, by_row, size, check_invariants=False)


def symmetric_weight(graph: Graph, dtype: torch.dtype) -> Tensor:
    """1/sqrt(degree of source · degree of receiver) of every edge, [e] in the caller's order."""
    source, receiver = graph.edge_index
    product = graph.col_degree[source].double() * graph.degree[receiver]
    return product.rsqrt().to(dtype)
