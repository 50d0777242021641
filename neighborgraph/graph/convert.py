"""Other libraries' graphs to ours: edge tensors, PyG, torch.sparse, torch_sparse, SciPy.

A sparse matrix is read as the operator A of the product A @ x: its rows receive. This is what PyG
calls ``adj_t``, so ``aggregate(as_graph(A), x, weight=as_graph(A).weight)`` equals ``A @ x``.
"""

import sys
from typing import Any

import torch
from torch import Tensor

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph.csr import Graph


def as_graph(
    adjacency: Any, num_nodes: int | tuple[int, int] | None = None, *, transpose: bool = True
) -> Graph:
    """Build a Graph from any of the field's formats, with all structural checks.

    Args:
        adjacency: A Graph (returned as it is), an edge_index tensor [2, e], a PyG ``EdgeIndex``, a
            ``torch.sparse`` CSR, CSC or COO tensor [n, m] (an uncoalesced one keeps its
            duplicates), a ``torch_sparse.SparseTensor`` or a SciPy sparse matrix or array [n, m].
        num_nodes: Number of nodes, or (sources, receivers); needed for an edge tensor that does
            not know its size.
        transpose: False leaves out the transpose: less memory, no backward pass.

    Returns:
        The graph; a matrix's stored values become its weights when they are floating point.

    Raises:
        InputError: The structure is wrong or ``num_nodes`` is missing.
        DtypeError: The format is not known.
    """
    if isinstance(adjacency, Graph):
        return adjacency
    if isinstance(adjacency, Tensor):
        if adjacency.layout == torch.strided:
            return from_edges(adjacency, num_nodes, transpose)
        return from_torch_sparse(adjacency, transpose)
    if is_instance(adjacency, "torch_sparse", "SparseTensor"):
        ptr, idx, value = adjacency.csr()
        num_cols = adjacency.size(1)
        return Graph.from_csr(ptr, idx, num_cols, weight=as_weight(value), transpose=transpose)
    if is_instance(adjacency, "scipy.sparse", "sparray", "spmatrix"):
        return from_scipy(adjacency, transpose)
    raise DtypeError(
        f"adjacency must be an edge_index tensor, an EdgeIndex, a torch.sparse tensor, a "
        f"SparseTensor, a SciPy sparse matrix or a Graph, got {type(adjacency).__name__}"
    )


def from_edges(
    edge_index: Tensor, num_nodes: int | tuple[int, int] | None, transpose: bool
) -> Graph:
    """An edge_index tensor; a PyG EdgeIndex may know its own (sources, receivers)."""
    if is_instance(edge_index, "torch_geometric", "EdgeIndex"):
        known = edge_index.sparse_size()
        if num_nodes is None and None not in known:
            num_nodes = known
        edge_index = edge_index.as_subclass(Tensor)
    if num_nodes is None:
        raise InputError(
            "num_nodes is required for an edge_index: the largest id does not show isolated nodes"
        )
    return Graph.from_edge_index(edge_index, num_nodes, transpose=transpose)


def from_torch_sparse(matrix: Tensor, transpose: bool) -> Graph:
    """A torch.sparse tensor [n, m] whose rows receive."""
    if matrix.dim() != 2 or matrix.dense_dim() != 0:
        raise InputError(f"a sparse adjacency must be a matrix, got shape {list(matrix.shape)}")
    num_rows, num_cols = matrix.shape
    if matrix.layout == torch.sparse_csr:
        return Graph.from_csr(
            matrix.crow_indices(),
            matrix.col_indices(),
            num_cols,
            weight=as_weight(matrix.values()),
            transpose=transpose,
        )
    if matrix.layout == torch.sparse_csc:
        ptr, receiver, value = matrix.ccol_indices(), matrix.row_indices(), matrix.values()
        source = torch.arange(num_cols, device=ptr.device).repeat_interleave(ptr.diff())
        edge_index = torch.stack([source, receiver.long()])
    elif matrix.layout == torch.sparse_coo:
        # The public accessors refuse an uncoalesced tensor, whose duplicates are to be kept.
        edge_index, value = matrix._indices().flip(0), matrix._values()
    else:
        raise DtypeError(f"a sparse adjacency must be CSR, CSC or COO, got {matrix.layout}")
    return Graph.from_edge_index(
        edge_index, (num_cols, num_rows), weight=as_weight(value), transpose=transpose
    )


def from_scipy(matrix: Any, transpose: bool) -> Graph:
    """A SciPy sparse matrix or array [n, m] whose rows receive; COO duplicates are kept."""
    coo = matrix.tocoo()
    edge_index = torch.stack([torch.from_numpy(ids.astype("int64")) for ids in (coo.col, coo.row)])
    num_rows, num_cols = coo.shape
    return Graph.from_edge_index(
        edge_index,
        (num_cols, num_rows),
        weight=as_weight(torch.from_numpy(coo.data)),
        transpose=transpose,
    )


def as_weight(value: Tensor | None) -> Tensor | None:
    """Stored values as edge weights; integer and boolean patterns carry none."""
    return value if value is not None and value.is_floating_point() else None


def is_instance(value: object, module: str, *names: str) -> bool:
    """isinstance() against a library that is loaded already, else nobody can have made one."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, n) for n in names))
