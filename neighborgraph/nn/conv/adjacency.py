"""What PyG's layers accept as ``edge_index``, as a Graph.

A sparse matrix is PyG's ``adj_t``: its rows receive. Edges are numbered in the order in which an
adjacency stores them, which is the order of PyG's ``to_edge_index``.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import (
    Size,
    SparseTensor,  # pyright: ignore[reportAttributeAccessIssue]
)
from torch_geometric.utils import is_torch_sparse_tensor

from neighborgraph.checks import INDEX_DTYPES
from neighborgraph.errors import EdgeRowsError, InputError
from neighborgraph.graph import Graph
from neighborgraph.nn.conv.cache import kept_graph
from neighborgraph.ops.compress import compress

Loops = Literal["keep", "replace", "add"]
"""Edges as they are; each node's loops replaced by one, as the last n edges; n loops added."""


def refusal(adjacency: Any, device: torch.device) -> str:
    """Why an adjacency has to go to PyG's own code, or an empty string."""
    if isinstance(adjacency, Graph):
        return ""
    if is_sparse_tensor(adjacency):
        if adjacency.requires_grad():
            return "a sparse adjacency that requires grad"
        if adjacency.device() != device:
            return f"edge_index is on {adjacency.device()}, the features on {device}"
        return "torch.compile with a SparseTensor" if torch.compiler.is_compiling() else ""
    if not isinstance(adjacency, Tensor):
        return f"edge_index is a {type(adjacency).__name__}"
    if adjacency.device != device:
        return f"edge_index is on {adjacency.device}, the features on {device}"
    if is_torch_sparse_tensor(adjacency):
        if adjacency.requires_grad:
            return "a sparse adjacency that requires grad"
        if adjacency.dim() != 2 or adjacency.dense_dim() != 0:
            return "a sparse adjacency with more than one value an edge"
        if adjacency.layout == torch.sparse_coo and not adjacency.is_coalesced():
            return "a sparse adjacency that is not coalesced"
        return ""
    if adjacency.dtype not in INDEX_DTYPES:
        return f"edge_index is {adjacency.dtype}"
    if adjacency.dim() != 2 or adjacency.shape[0] != 2:
        return f"edge_index has shape {list(adjacency.shape)}"
    return ""


def is_sparse(adjacency: Any) -> bool:
    """Whether an adjacency is a torch.sparse matrix."""
    return isinstance(adjacency, Tensor) and is_torch_sparse_tensor(adjacency)


def is_sparse_tensor(adjacency: Any) -> bool:
    """Whether an adjacency is a ``torch_sparse.SparseTensor``; PyG has a stand-in without it."""
    return isinstance(adjacency, SparseTensor)


def graph_of(
    adjacency: Any, num_nodes: tuple[int, int], *, loops: Loops = "keep", transpose: bool = True
) -> Graph:
    """The graph of an adjacency that `refusal` accepts; made once as long as it does not change.

    Args:
        adjacency: In any of the formats.
        num_nodes: Rows of source and of receiver features.
        loops: What is done about self-loops. A graph whose loops were replaced is one of
            `compress`: it still counts the edges that were left out.
        transpose: False leaves out the transpose where there is none yet.

    Raises:
        InputError: The adjacency knows its size and it is another.
        IdError: An id is out of range.
    """
    expect_size(adjacency, num_nodes)
    if isinstance(adjacency, Graph) and loops == "keep":
        return adjacency

    def build() -> Graph:
        edge_index = edge_index_of(adjacency)
        if loops == "add":
            node = torch.arange(num_nodes[1], dtype=edge_index.dtype, device=edge_index.device)
            edge_index = torch.cat([edge_index, node.expand(2, -1)], dim=1)
        return compress(edge_index, num_nodes, self_loops=loops == "replace", transpose=transpose)

    if torch.compiler.is_compiling():
        return build()
    owner = adjacency._data if isinstance(adjacency, EdgeIndex) else adjacency
    return kept_graph(owner, parts_of(adjacency), (num_nodes, loops), transpose, build)


def expect_size(adjacency: Any, num_nodes: tuple[int, int]) -> None:
    """Refuse another number of nodes than an adjacency says it has."""
    for name, size, wanted in zip(
        ("sources", "receivers"), size_of(adjacency), num_nodes, strict=True
    ):
        if size is not None and size != wanted:
            raise InputError(
                f"edge_index has {size} {name}, but there are features of {wanted}; "
                "pass one row of features for each node"
            )


def size_of(adjacency: Any) -> tuple[int | None, int | None]:
    """(sources, receivers) as far as an adjacency knows them."""
    if isinstance(adjacency, Graph):
        return adjacency.num_cols, adjacency.num_rows
    if isinstance(adjacency, EdgeIndex):
        return adjacency.sparse_size()
    if is_sparse_tensor(adjacency):
        return adjacency.size(1), adjacency.size(0)
    if is_torch_sparse_tensor(adjacency):
        return adjacency.shape[1], adjacency.shape[0]
    return None, None


def num_nodes_of(
    adjacency: Any, source: Tensor, target: Tensor | None, size: Size = None
) -> tuple[int, int]:
    """(sources, receivers) of features, whose receivers may be missing.

    Raises:
        InputError: ``size``, which only an edge_index tensor needs, contradicts the features.
    """
    known = size_of(adjacency)
    given = known if size is None or known != (None, None) else tuple(size)
    num_cols, num_rows = source.shape[0], None if target is None else target.shape[0]
    if num_rows is None:
        num_rows = num_cols if given[1] is None else given[1]
    for name, wanted, found in zip(
        ("sources", "receivers"), given, (num_cols, num_rows), strict=True
    ):
        if wanted is not None and wanted != found:
            raise InputError(f"size has {wanted} {name}, but there are features of {found}")
    return num_cols, num_rows


def edge_index_of(adjacency: Any) -> Tensor:
    """Sources and receivers [2, e] in the order of the edges' numbers."""
    if isinstance(adjacency, Graph):
        return adjacency.edge_index
    if isinstance(adjacency, EdgeIndex):
        return adjacency._data
    if is_sparse_tensor(adjacency):
        row, col = parts_of(adjacency)
        return torch.stack([col, row])
    if not is_torch_sparse_tensor(adjacency):
        return adjacency
    parts = parts_of(adjacency)
    if adjacency.layout == torch.sparse_coo:
        return parts[0].flip(0)
    ptr, idx = parts
    size = ptr.numel() - 1
    outer = torch.arange(size, dtype=idx.dtype, device=idx.device)
    outer = outer.repeat_interleave(ptr.diff(), output_size=idx.numel())
    is_csr = adjacency.layout == torch.sparse_csr
    return torch.stack([idx, outer] if is_csr else [outer, idx])


def parts_of(adjacency: Any) -> tuple[Tensor, ...]:
    """The tensors that say who neighbours whom; none of a Graph, which never changes."""
    if isinstance(adjacency, Graph):
        return ()
    if isinstance(adjacency, EdgeIndex):
        return (adjacency._data,)
    if is_sparse_tensor(adjacency):
        return adjacency.storage.row(), adjacency.storage.col()
    if adjacency.layout == torch.sparse_coo:
        return (adjacency._indices(),)
    if adjacency.layout == torch.sparse_csr:
        return adjacency.crow_indices(), adjacency.col_indices()
    if adjacency.layout == torch.sparse_csc:
        return adjacency.ccol_indices(), adjacency.row_indices()
    return (adjacency,)


def values_of(adjacency: Any) -> Tensor | None:
    """The stored values of a sparse matrix, the weights of a Graph."""
    if isinstance(adjacency, Graph):
        return adjacency.weight
    if is_sparse_tensor(adjacency):
        return adjacency.storage.value()
    if not is_torch_sparse_tensor(adjacency):
        return None
    return adjacency._values() if adjacency.layout == torch.sparse_coo else adjacency.values()


def expect_edge_rows(name: str, values: Tensor, adjacency: Any) -> None:
    """Refuse values of edges that are not as many as the edges."""
    edges = number_of_edges(adjacency)
    if values.shape[0] != edges:
        raise EdgeRowsError(
            f"{name} has {values.shape[0]} rows, but edge_index has {edges} edges; pass one row "
            "for each edge, in the order of edge_index"
        )


def number_of_edges(adjacency: Any) -> int:
    """Edges e, duplicates counted."""
    if isinstance(adjacency, Graph):
        return adjacency.num_edges
    if is_sparse_tensor(adjacency):
        return adjacency.nnz()
    return adjacency._nnz() if is_torch_sparse_tensor(adjacency) else adjacency.shape[1]
