"""as_graph reads every format of the field, keeps what it holds, and checks it."""

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph, as_graph
from neighborgraph.testing import awkward_graphs

# [3, 4]: rows receive. Row 1 is empty.
DENSE = [[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 4.0, 5.0]]
PAIRS = {(1, 0): 2.0, (3, 0): 1.0, (0, 2): 3.0, (2, 2): 4.0, (3, 2): 5.0}


def dense() -> Tensor:
    return torch.tensor(DENSE)


def edges_of_pyg(edges: list[list[int]], **options: Any) -> EdgeIndex:
    return EdgeIndex(edges, **options)  # pyright: ignore[reportCallIssue]


def torch_csr(ptr: Any, idx: Any, value: Any, size: tuple[int, ...]) -> Tensor:
    return torch.sparse_csr_tensor(
        torch.tensor(ptr), torch.tensor(idx), value, size=size, check_invariants=False
    )


def torch_csc(ptr: Any, idx: Any, value: Any, size: tuple[int, ...]) -> Tensor:
    return torch.sparse_csc_tensor(
        torch.tensor(ptr), torch.tensor(idx), value, size=size, check_invariants=False
    )


MATRICES = {
    "torch csr": lambda: dense().to_sparse_csr(),
    "torch csc": lambda: dense().to_sparse_csc(),
    "torch coo": lambda: dense().to_sparse_coo(),
    "torch csr int32": lambda: torch.sparse_csr_tensor(
        torch.tensor([0, 2, 2, 5]).int(),
        torch.tensor([1, 3, 0, 2, 3]).int(),
        torch.tensor([2.0, 1.0, 3.0, 4.0, 5.0]),
        size=(3, 4),
        check_invariants=True,
    ),
    "scipy csr": lambda: scipy.sparse.csr_matrix(DENSE, dtype="float32"),
    "scipy csc": lambda: scipy.sparse.csc_matrix(DENSE, dtype="float32"),
    "scipy coo": lambda: scipy.sparse.coo_matrix(DENSE, dtype="float32"),
    "scipy lil": lambda: scipy.sparse.lil_matrix(DENSE, dtype="float32"),
    "scipy dok": lambda: scipy.sparse.dok_matrix(np.array(DENSE, dtype="float32")),
    "scipy csr array": lambda: scipy.sparse.csr_array(DENSE, dtype="float32"),
    "scipy csc array": lambda: scipy.sparse.csc_array(DENSE, dtype="float32"),
    "scipy coo array": lambda: scipy.sparse.coo_array(DENSE, dtype="float32"),
}


@pytest.fixture(autouse=True)
def quiet_torch_sparse():
    """Torch warns once a process that its compressed layouts are young."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse .* tensor support is in beta")
        warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled")
        yield


@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_becomes_its_edges_and_weights(name: str, transpose: bool) -> None:
    graph = as_graph(MATRICES[name](), transpose=transpose)
    assert (graph.num_rows, graph.num_cols) == (3, 4)
    assert (graph.cols is not None) is transpose
    assert graph.weight is not None
    assert graph.weight.dtype == torch.float32
    pairs = map(tuple, graph.edge_index.t().tolist())
    assert dict(zip(pairs, graph.weight.tolist(), strict=True)) == PAIRS


@pytest.mark.parametrize("name", MATRICES)
def test_the_graph_does_not_share_the_matrixs_memory(name: str) -> None:
    matrix = MATRICES[name]()
    graph = as_graph(matrix)
    assert graph.weight is not None
    before = graph.weight.tolist()
    if isinstance(matrix, Tensor):
        (matrix._values() if matrix.layout == torch.sparse_coo else matrix.values()).fill_(9)
    elif name.startswith(("scipy csr", "scipy csc", "scipy coo")):
        matrix.data[:] = 9
    assert graph.weight.tolist() == before


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_a_matrix_on_its_device(layout: str, device: str) -> None:
    matrix = getattr(dense().to(device), f"to_sparse_{layout}")()
    assert as_graph(matrix).device.type == device


def test_uncoalesced_duplicates_are_kept() -> None:
    matrix = torch.sparse_coo_tensor(
        torch.tensor([[2, 0, 2], [1, 0, 1]]),
        torch.tensor([1.0, 2.0, 3.0]),
        size=(3, 2),
        check_invariants=True,
    )
    graph = as_graph(matrix)
    assert graph.edge_index.tolist() == [[1, 0, 1], [2, 0, 2]]
    assert graph.weight is not None
    assert graph.weight.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["coo_matrix", "coo_array"])
def test_scipy_duplicates_are_kept(kind: str) -> None:
    matrix = getattr(scipy.sparse, kind)(([1.0, 2.0, 3.0], ([2, 0, 2], [1, 0, 1])), shape=(3, 2))
    graph = as_graph(matrix)
    assert graph.edge_index.tolist() == [[1, 0, 1], [2, 0, 2]]
    assert graph.weight is not None
    assert graph.weight.dtype == torch.float64


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8"])
def test_integer_and_boolean_patterns_have_no_weights(dtype: str) -> None:
    assert as_graph(scipy.sparse.csr_matrix(np.array(DENSE, dtype=dtype))).weight is None
    pattern = dense().to(getattr(torch, dtype)).to_sparse_coo()
    assert as_graph(pattern).weight is None


def test_a_read_only_scipy_matrix_is_read_without_a_warning() -> None:
    matrix = scipy.sparse.csr_matrix(DENSE)
    for array in (matrix.indptr, matrix.indices, matrix.data):
        array.flags.writeable = False
    assert as_graph(matrix).num_edges == 5


def test_empty_matrices() -> None:
    for shape in ((0, 0), (0, 7), (5, 0), (5, 5)):
        graph = as_graph(scipy.sparse.csr_matrix(shape))
        assert (graph.num_rows, graph.num_cols, graph.num_edges) == (*shape, 0)
        again = as_graph(torch.zeros(shape).to_sparse_coo())
        assert (again.num_rows, again.num_cols, again.num_edges) == (*shape, 0)


def test_a_matrix_is_the_operator_of_its_product() -> None:
    graph = as_graph(scipy.sparse.csr_matrix(DENSE, dtype="float32"))
    x = torch.randn(4, 2)
    col, row = graph.edge_index
    assert graph.weight is not None
    product = torch.zeros(3, 2).index_add(0, row, graph.weight[:, None] * x[col])
    torch.testing.assert_close(product, dense() @ x)


def test_a_graph_is_returned_as_it_is() -> None:
    graph = awkward_graphs()["path"]
    assert as_graph(graph) is graph
    assert as_graph(graph, 25) is graph


def test_an_edge_tensor() -> None:
    graph = as_graph(torch.tensor([[0, 1], [2, 2]], dtype=torch.int32), (2, 3), transpose=False)
    assert (graph.num_cols, graph.num_rows, graph.cols) == (2, 3, None)


EDGES = [[2, 0, 1, 0], [1, 2, 0, 1]]
BY_RECEIVER = [[1, 0, 2, 0], [0, 1, 1, 2]]
BY_SOURCE = [[0, 0, 1, 2], [1, 2, 0, 1]]


@pytest.mark.parametrize(
    ("edges", "order"), [(EDGES, None), (BY_RECEIVER, "col"), (BY_SOURCE, "row")]
)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_an_edge_index_of_pyg(edges: list, order: str | None, dtype: torch.dtype) -> None:
    sized = edges_of_pyg(edges, sparse_size=(3, 4), sort_order=order, dtype=dtype)
    graph = as_graph(sized)
    assert type(graph.edge_index) is Tensor
    assert type(graph.rows.idx) is Tensor
    assert graph.edge_index.tolist() == edges
    assert (graph.num_cols, graph.num_rows) == (3, 4)

    unsized = edges_of_pyg(edges, sort_order=order, dtype=dtype)
    assert as_graph(unsized, (3, 4)).edge_index.tolist() == edges
    with pytest.raises(InputError, match="num_nodes is required"):
        as_graph(unsized)
    with pytest.raises(InputError, match="num_nodes is required"):
        as_graph(edges_of_pyg(edges, sparse_size=(3, None), sort_order=order, dtype=dtype))


def test_an_edge_index_of_pyg_goes_to_the_constructor_too() -> None:
    graph = Graph.from_edge_index(edges_of_pyg(EDGES, sparse_size=(3, 3)), 3)
    assert graph.edge_index.tolist() == EDGES
    with pytest.raises(InputError, match=r"edge_index\[0\]\[0\] = 2 is outside \[0, 2\)"):
        Graph.from_edge_index(edges_of_pyg(EDGES, sparse_size=(3, 3)), (2, 3))


@pytest.mark.skipif(
    importlib.util.find_spec("torch_sparse") is None, reason="torch_sparse is not installed"
)
def test_a_sparse_tensor() -> None:
    torch_sparse = importlib.import_module("torch_sparse")
    graph = as_graph(torch_sparse.SparseTensor.from_dense(dense()))
    pairs = map(tuple, graph.edge_index.t().tolist())
    assert graph.weight is not None
    assert dict(zip(pairs, graph.weight.tolist(), strict=True)) == PAIRS


def damaged(kind: str, array: str, position: int, value: int) -> Any:
    """A SciPy matrix whose arrays were changed after SciPy had checked them."""
    matrix = getattr(scipy.sparse, kind)(DENSE)
    getattr(matrix, array)[position] = value
    return matrix


ONES = torch.ones(2)

BAD = {
    "edge tensor without a size": (
        lambda: torch.tensor(EDGES),
        InputError,
        "num_nodes is required for an edge_index: the largest id does not show isolated nodes",
    ),
    "dense matrix": (lambda: dense(), InputError, "num_nodes is required"),
    "list": (lambda: EDGES, DtypeError, "adjacency must be an edge_index tensor, .*got list"),
    "numpy": (lambda: np.array(EDGES), DtypeError, "SciPy sparse matrix or a Graph, got ndarray"),
    "None": (lambda: None, DtypeError, "got NoneType"),
    "bsr": (
        lambda: torch.eye(4).to_sparse_bsr((2, 2)),
        DtypeError,
        "must be CSR, CSC or COO, got torch.sparse_bsr",
    ),
    "three axes": (
        lambda: torch.ones(2, 2, 2).to_sparse_coo(),
        InputError,
        r"must be a matrix, got shape \[2, 2, 2\]",
    ),
    "batch": (
        lambda: torch.stack([torch.eye(2)] * 2).to_sparse_csr(),
        InputError,
        r"must be a matrix, got shape \[2, 2, 2\]",
    ),
    "rows of values": (
        lambda: torch.ones(2, 2).to_sparse_coo().to_dense().to_sparse(1),
        InputError,
        "must hold one value an edge",
    ),
    "scipy vector": (
        lambda: scipy.sparse.coo_array(np.array([1.0, 0.0])),
        InputError,
        r"must be a matrix, got shape \[2\]",
    ),
    "complex": (
        lambda: scipy.sparse.csr_matrix(np.eye(2) + 1j),
        DtypeError,
        "weight must be one of .*got complex128",
    ),
    "long double": (
        lambda: scipy.sparse.csr_matrix(np.eye(2, dtype=np.longdouble)),
        DtypeError,
        r"adjacency holds \w+ values, which Torch does not have; .*astype",
    ),
    "scipy csr id": (
        lambda: damaged("csr_matrix", "indices", 1, 4),
        InputError,
        r"idx\[1\] = 4 is outside \[0, 4\)",
    ),
    "scipy csr pointer": (
        lambda: damaged("csr_matrix", "indptr", 2, 2**30),
        InputError,
        rf"ptr\[3\] = 5 is below ptr\[2\] = {2**30}",
    ),
    "scipy csc id": (
        lambda: damaged("csc_matrix", "indices", 0, -1),
        InputError,
        r"idx\[0\] = -1 is outside \[0, 3\)",
    ),
    "scipy csc pointer": (
        lambda: damaged("csc_matrix", "indptr", 4, 2**30),
        InputError,
        rf"ptr\[4\] = {2**30} must equal the number of ids, 5",
    ),
    "scipy coo id": (
        lambda: damaged("coo_matrix", "row", 2, 3),
        InputError,
        r"edge_index\[1\]\[2\] = 3 is outside \[0, 3\)",
    ),
    "torch csr pointer": (
        lambda: torch_csr([0, 2, 1], [0], torch.ones(1), (2, 2)),
        InputError,
        r"ptr\[2\] = 1 is below ptr\[1\] = 2",
    ),
    "torch csr of another size": (
        lambda: torch_csr([0, 1], [0], torch.ones(1), (5, 5)),
        InputError,
        r"ptr must have shape \[6\] \(one more than the matrix has rows\), got \[2\]",
    ),
    "torch csr id": (
        lambda: torch_csr([0, 1, 2], [0, 2], ONES, (2, 2)),
        InputError,
        r"idx\[1\] = 2 is outside \[0, 2\)",
    ),
    "torch csr values": (
        lambda: torch_csr([0, 1, 2], [0, 1], torch.ones(3), (2, 2)),
        InputError,
        r"weight must have shape \[2\] .*got \[3\]",
    ),
    "torch csc pointer": (
        lambda: torch_csc([0, -5, 1], [0], torch.ones(1), (2, 2)),
        InputError,
        r"ptr\[1\] = -5 is below ptr\[0\] = 0",
    ),
    "torch csc of another size": (
        lambda: torch_csc([0, 1], [0], torch.ones(1), (1, 2)),
        InputError,
        r"ptr must have shape \[3\] \(one more than the matrix has columns\), got \[2\]",
    ),
    "torch csc id": (
        lambda: torch_csc([0, 1, 2], [0, 9], ONES, (2, 2)),
        InputError,
        r"idx\[1\] = 9 is outside \[0, 2\)",
    ),
    "torch coo id": (
        lambda: torch.sparse_coo_tensor(
            torch.tensor([[0, 1], [1, 7]]), ONES, size=(2, 2), check_invariants=False
        ),
        InputError,
        r"edge_index\[0\]\[1\] = 7 is outside \[0, 2\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_adjacency_is_refused(name: str) -> None:
    make, error, message = BAD[name]
    adjacency = make()
    with pytest.raises(error, match=message):
        as_graph(adjacency)
    assert as_graph(scipy.sparse.csr_matrix(DENSE)).num_edges == 5


@pytest.mark.parametrize(
    "adjacency", [scipy.sparse.csr_matrix(DENSE), as_graph(scipy.sparse.csr_matrix(DENSE))]
)
def test_a_contradicting_size_is_refused(adjacency: Any) -> None:
    assert as_graph(adjacency, (4, 3)).num_rows == 3
    with pytest.raises(InputError, match=r"num_nodes = 4, but adjacency has .* \(4, 3\)"):
        as_graph(adjacency, 4)
    with pytest.raises(InputError, match=r"num_nodes = \(3, 4\), but adjacency has"):
        as_graph(adjacency, (3, 4))
