"""Other libraries' graphs to ours: edge tensors, PyG, torch.sparse, torch_sparse, SciPy.

A sparse matrix is read as the operator A of the product A @ x: its rows receive. This is what PyG
calls ``adj_t``, so ``aggregate(as_graph(A), x, weight=as_graph(A).weight)`` equals ``A @ x``.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.checks import expect_shape
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph.csr import Graph
from neighborgraph.graph.structure import expect_sizes


def as_graph(
    adjacency: Any, num_nodes: int | tuple[int, int] | None = None, *, transpose: bool = True
) -> Graph:
    """Build a Graph from any of the field's formats, with all structural checks.

    Args:
        adjacency: A Graph (returned as it is), an edge_index tensor [2, e], a PyG ``EdgeIndex``, a
            ``torch.sparse`` CSR, CSC or COO tensor [n, m] (an uncoalesced one keeps its
            duplicates), a ``torch_sparse.SparseTensor`` or a SciPy sparse matrix or array [n, m].
        num_nodes: Number of nodes, or (sources, receivers); needed for an edge tensor that does
            not know its size. A matrix or a Graph has its own, which must agree.
        transpose: False leaves out the transpose: less memory, no backward pass.

    Returns:
        The graph; a matrix's stored values become its weights when they are floating point.

    Raises:
        InputError: The structure is wrong, or ``num_nodes`` is missing or contradicts it.
        DtypeError: The format, or the type of its ids or values, is not known.
    """
    graph = convert(adjacency, num_nodes, transpose)
    size = (graph.num_cols, graph.num_rows)
    if num_nodes is not None and expect_sizes(num_nodes) != size:
        raise InputError(
            f"num_nodes = {num_nodes!r}, but adjacency has (sources, receivers) {size}"
        )
    return graph


def convert(adjacency: Any, num_nodes: int | tuple[int, int] | None, transpose: bool) -> Graph:
    """The graph of an ``adjacency`` in whatever format it has."""
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


def from_edges(edge_index: Any, num_nodes: int | tuple[int, int] | None, transpose: bool) -> Graph:
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
    expect_matrix(matrix.shape)
    if matrix.dense_dim() != 0:
        raise InputError("a sparse adjacency must hold one value an edge, not a row of them")
    if matrix.layout == torch.sparse_csr:
        arrays = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        return from_compressed_rows(*arrays, shape=matrix.shape, transpose=transpose)
    if matrix.layout == torch.sparse_csc:
        arrays = matrix.ccol_indices(), matrix.row_indices(), matrix.values()
        return from_compressed_columns(*arrays, shape=matrix.shape, transpose=transpose)
    if matrix.layout == torch.sparse_coo:
        # The public accessors refuse an uncoalesced tensor, whose duplicates are to be kept.
        num_rows, num_cols = matrix.shape
        return Graph.from_edge_index(
            matrix._indices().flip(0),
            (num_cols, num_rows),
            weight=as_weight(matrix._values()),
            transpose=transpose,
        )
    raise DtypeError(f"a sparse adjacency must be CSR, CSC or COO, got {matrix.layout}")


def from_scipy(matrix: Any, transpose: bool) -> Graph:
    """A SciPy sparse matrix or array [n, m] whose rows receive; COO duplicates are kept."""
    expect_matrix(matrix.shape)
    if matrix.format in ("csr", "csc"):
        # SciPy's own conversion would follow a damaged pointer out of bounds.
        arrays = (as_tensor(array) for array in (matrix.indptr, matrix.indices, matrix.data))
        build = from_compressed_rows if matrix.format == "csr" else from_compressed_columns
        return build(*arrays, shape=matrix.shape, transpose=transpose)
    coo = matrix.tocoo()
    num_rows, num_cols = coo.shape
    return Graph.from_edge_index(
        torch.stack([as_tensor(coo.col), as_tensor(coo.row)]),
        (num_cols, num_rows),
        weight=as_weight(as_tensor(coo.data)),
        transpose=transpose,
    )


def from_compressed_rows(
    ptr: Tensor, idx: Tensor, value: Tensor, shape: Sequence[int], transpose: bool
) -> Graph:
    """The CSR arrays of a matrix [n, m] whose rows receive."""
    num_rows, num_cols = shape
    expect_shape("ptr", ptr, (num_rows + 1,), "one more than the matrix has rows")
    return Graph.from_csr(ptr, idx, num_cols, weight=as_weight(value), transpose=transpose)


def from_compressed_columns(
    ptr: Tensor, idx: Tensor, value: Tensor, shape: Sequence[int], transpose: bool
) -> Graph:
    """The CSC arrays of a matrix [n, m] whose rows receive: a CSR of the reversed graph."""
    num_rows, num_cols = shape
    expect_shape("ptr", ptr, (num_cols + 1,), "one more than the matrix has columns")
    graph = Graph.from_csr(ptr, idx, num_rows, weight=as_weight(value)).T
    return graph if transpose else replace(graph, cols=None)


def expect_matrix(shape: Sequence[int]) -> None:
    """Refuse a vector, a batch of matrices, or a matrix of rows of values."""
    if len(shape) != 2:
        raise InputError(f"a sparse adjacency must be a matrix, got shape {list(shape)}")


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy of a NumPy array, which may be read-only."""
    try:
        return torch.tensor(array)
    except TypeError as error:
        raise DtypeError(
            f"adjacency holds {array.dtype} values, which Torch does not have; convert them with "
            "adjacency.astype('float64')"
        ) from error


def as_weight(value: Tensor | None) -> Tensor | None:
    """Stored values as edge weights; integer and boolean patterns carry none."""
    if value is None or not (value.is_floating_point() or value.is_complex()):
        return None
    return value  # Complex values go on to be refused: dropping them would go unnoticed.


def is_instance(value: object, module: str, *names: str) -> bool:
    """isinstance() against a library that is loaded already, else nobody can have made one."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, n) for n in names))
