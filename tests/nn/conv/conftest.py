"""A layer of ours beside PyG's with the same parameters, and inputs in every format."""

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch_geometric.nn
from torch import Tensor, nn
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_edge_index

import neighborgraph.nn
from neighborgraph.graph import Graph

NODES = 14
RTOL, ATOL = 1e-9, 1e-10


def random_edges(nodes: int, edges: int, seed: int = 0) -> Tensor:
    """Some edges, of which some are loops and some are there twice; the last node has none."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes - 1, (2, edges), generator=generator)
    edge_index[1, :4] = edge_index[0, :4]
    edge_index[:, 4] = edge_index[:, 0]
    edge_index[:, 5:8] = edge_index[:, 8:11]
    return edge_index


GRAPHS: dict[str, tuple[int, Tensor]] = {
    "random": (NODES, random_edges(NODES, 50)),
    "no edges": (3, torch.empty(2, 0, dtype=torch.int64)),
    "empty": (0, torch.empty(2, 0, dtype=torch.int64)),
    "loops": (3, torch.tensor([[0, 0, 2, 2, 1], [0, 0, 2, 0, 2]])),
    "hub": (20, torch.stack([torch.arange(1100) % 19, torch.zeros(1100, dtype=torch.int64)])),
}
"""What layers stumble over: no edges, no nodes, loops and repeats, a row that is cut."""


@pytest.fixture(autouse=True)
def checked_matrices() -> Iterator[None]:
    """Torch checks the sparse matrices that tests make, and does not warn that it would not."""
    with torch.sparse.check_sparse_tensor_invariants():
        yield


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> tuple[int, Tensor]:
    """The number of nodes and the edges of one of the graphs."""
    return GRAPHS[request.param]


@pytest.fixture
def edge_index() -> Tensor:
    """Edges over 14 nodes with loops and repeats."""
    return GRAPHS["random"][1].clone()


def simple_edges() -> Tensor:
    """Edges without repeats, as a sparse matrix has them, in the order of its rows; with loops."""
    return torch.tensor([[3, 1, 2, 0, 3, 1, 4], [0, 1, 1, 2, 2, 3, 4]])


def sparse(values: Tensor | None = None) -> Tensor:
    """The matrix ``adj_t`` of `simple_edges`, with an isolated node."""
    edge_index = simple_edges()
    values = torch.ones(edge_index.shape[1]).double() if values is None else values
    return torch.sparse_coo_tensor(edge_index.flip(0), values, (6, 6)).coalesce()


MakeEdgeIndex: Any = EdgeIndex  # whose arguments type checkers take for those of a Tensor
FORMATS: dict[str, Callable[[], Any]] = {
    "int64": simple_edges,
    "int32": lambda: simple_edges().int(),
    "EdgeIndex": lambda: MakeEdgeIndex(simple_edges(), sparse_size=(6, 6)),
    "EdgeIndex by col": lambda: MakeEdgeIndex(simple_edges(), sparse_size=(6, 6), sort_order="col"),
    "csr": lambda: sparse().to_sparse_csr(),
    "csc": lambda: sparse().to_sparse_csc(),
    "coo": sparse,
    "Graph": lambda: Graph.from_edge_index(simple_edges(), 6),
}
"""One graph of six nodes in every format."""


@pytest.fixture(params=FORMATS)
def adjacency(request: pytest.FixtureRequest) -> Any:
    """The graph of six nodes in one of the formats."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        return FORMATS[request.param]()


Pair = tuple[Any, Any]


@pytest.fixture
def pair() -> Callable[..., Pair]:
    """Makes a layer of ours and PyG's, in float64, with the same parameters."""

    def make(name: str, *args: Any, **kwargs: Any) -> Pair:
        pyg = getattr(torch_geometric.nn, name)(*args, **kwargs).double()
        ours = getattr(neighborgraph.nn, name)(*copy.deepcopy(args), **kwargs).double()
        ours.load_state_dict(pyg.state_dict())
        with torch.no_grad():  # biases begin at zero, which would hide them
            for mine, theirs in zip(ours.parameters(), pyg.parameters(), strict=True):
                if not isinstance(mine, nn.UninitializedParameter):
                    theirs.copy_(torch.randn_like(theirs))
                    mine.copy_(theirs)
        return ours, pyg

    return make


def run(layer: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """What a layer returns, and all gradients of a loss that weighs every output differently."""
    layer.zero_grad()
    leaves: list[Tensor] = []

    def own(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(own(part) for part in value)
        is_feature = isinstance(value, Tensor) and value.layout == torch.strided
        if is_feature and value.is_floating_point() and value.requires_grad:
            value = value.detach().clone().requires_grad_()
            leaves.append(value)
        return value

    inputs = tuple(own(value) for value in inputs)
    options = {name: own(value) for name, value in options.items()}
    out = layer(*inputs, **options)
    first = out[0] if isinstance(out, tuple) else out
    weight = torch.linspace(-1, 1, max(first.numel(), 1)).to(first)[: first.numel()]
    loss = (first * weight.view_as(first)).sum()
    if loss.requires_grad:
        loss.backward()
    return {
        "out": first.detach(),
        "more": out[1] if isinstance(out, tuple) else None,
        "inputs": [grad_of(leaf) for leaf in leaves],
        "parameters": [grad_of(p) for p in layer.parameters()],
    }


def grad_of(leaf: Tensor) -> Tensor:
    """The gradient, where none is zero."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Holds our layer to PyG's: outputs, and gradients of inputs and of parameters."""

    def compare(
        layers: Pair, *inputs: Any, fused: bool = True, plain: Any = None, **options: Any
    ) -> None:
        ours, pyg = layers
        path = ours.path(*inputs, **options)
        assert path.fused is fused, path.reason
        theirs = inputs if plain is None else (inputs[0], plain, *inputs[2:])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Converting sparse tensor")
            warnings.filterwarnings("ignore", "Sparse")
            wanted, actual = run(pyg, theirs, options), run(ours, inputs, options)
        for name in ("out", "inputs", "parameters"):
            torch.testing.assert_close(
                actual[name],
                wanted[name],
                rtol=RTOL,
                atol=ATOL,
                msg=lambda text, n=name: f"{n}: {text}",
            )

    return compare


@pytest.fixture
def plain() -> Callable[[Any], Any]:
    """The same adjacency for PyG.

    PyG knows no Graph, its attention no CSC matrix, and its gradients with int32 are wrong (Torch
    2.13 misreads an expanded int32 index on the CPU).
    """

    def convert(adjacency: Any) -> Any:
        if isinstance(adjacency, Graph):
            return adjacency.edge_index
        if adjacency.layout == torch.sparse_csc:
            return to_edge_index(adjacency)[0].flip(0)
        return adjacency.long() if adjacency.dtype == torch.int32 else adjacency

    return convert


@pytest.fixture
def features() -> Callable[..., Tensor]:
    """Random float64 features that want a gradient."""

    def make(*shape: int, grad: bool = True) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64).requires_grad_(grad)

    return make


@pytest.fixture
def compiled() -> Callable[..., None]:
    """Holds a layer to itself under a full-graph compilation, with gradients."""

    def check(layer: nn.Module, *inputs: Any, backend: str = "aot_eager") -> None:
        torch._dynamo.reset()
        whole = torch.compile(layer, fullgraph=True, backend=backend)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
            actual = run(whole, inputs, {})
        wanted = run(layer, inputs, {})
        for name in ("out", "inputs", "parameters"):
            torch.testing.assert_close(actual[name], wanted[name], rtol=RTOL, atol=ATOL)

    return check
