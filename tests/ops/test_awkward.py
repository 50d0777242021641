"""Every operator, forward and backward, on every awkward graph: small enough for a memory checker.

The answers are held to the definition in tests/ops/test_*_oracle.py; here every kernel meets every
structure once, in 16-bit and 32-bit, with widths that fill a vector load and widths that do not.
"""

from collections.abc import Iterator

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, aggregate, attend, attend_with_weights
from neighborgraph.testing import awkward_graphs

GRAPHS = awkward_graphs()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.fixture(autouse=True)
def new_memory_is_nan() -> Iterator[None]:
    """An output element that no kernel writes stays NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(("heads", "width"), [(1, 128), (3, 7), (2, 16)])
@pytest.mark.parametrize("name", GRAPHS)
def test_attend_leaves_nothing_unwritten(
    name: str, heads: int, width: int, dtype: torch.dtype, device: str
) -> None:
    graph = GRAPHS[name].to(device)
    q, k, v = (features(n, (heads, width), dtype, device) for n in rows_of(graph))
    out = attend(graph, q, k, v)
    grads = torch.autograd.grad(out.float().square().sum(), (q, k, v))
    for tensor in (out, *grads):
        assert tensor.isfinite().all()
    assert not out[graph.degree == 0].any()
    assert not grads[1][graph.col_degree == 0].any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(("heads", "width"), [(1, 128), (3, 7), (2, 16), (4, 1)])
@pytest.mark.parametrize("score", ["dot", "additive"])
@pytest.mark.parametrize("name", GRAPHS)
def test_attend_with_every_option_leaves_nothing_unwritten(
    name: str, score: str, heads: int, width: int, dtype: torch.dtype, device: str
) -> None:
    graph = GRAPHS[name].to(device)
    self_loops = graph.num_rows == graph.num_cols
    edges = graph.num_edges + self_loops * graph.num_rows
    inner = heads, width
    inputs = [features(n, inner, dtype, device) for n in (*rows_of(graph), edges)]
    bias = features(edges, (heads,), dtype, device)
    weight = features(heads, (width,), dtype, device)
    q, k, v, edge = inputs
    if score == "additive":
        v = features(graph.num_cols, (heads, width + 1), dtype, device)
    out, weights = attend_with_weights(
        graph,
        q,
        k,
        v,
        score=Dot() if score == "dot" else Additive(weight),
        edge=edge,
        bias=bias,
        dropout=0.4,
        seed=1,
        self_loops=self_loops,
    )
    wanted = (q, k, v, edge, bias) + ((weight,) if score == "additive" else ())
    grads = torch.autograd.grad(out.float().square().sum(), wanted)
    for tensor in (out, weights, *grads):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("width", [3, 64, 300])
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("name", GRAPHS)
def test_aggregate_leaves_nothing_unwritten(
    name: str, reduce: str, width: int, dtype: torch.dtype, device: str
) -> None:
    graph = GRAPHS[name].to(device)
    _, x, _ = (features(n, (width,), dtype, device) for n in rows_of(graph))
    weight = torch.rand(graph.num_edges, device=device, requires_grad=True)
    row_scale = torch.rand(graph.num_rows, device=device)
    out = aggregate(graph, x, reduce, weight=weight, row_scale=row_scale)
    grads = torch.autograd.grad(out.float().square().sum(), (x, weight))
    for tensor in (out, *grads):
        assert tensor.isfinite().all()
    assert not out[graph.degree == 0].any()
    assert not grads[0][graph.col_degree == 0].any()


def rows_of(graph: Graph) -> tuple[int, int, int]:
    """Rows of q, k and v."""
    return graph.num_rows, graph.num_cols, graph.num_cols


def features(nodes: int, shape: tuple[int, ...], dtype: torch.dtype, device: str) -> torch.Tensor:
    """Seeded features that want a gradient."""
    generator = torch.Generator().manual_seed(nodes)
    return torch.randn(nodes, *shape, generator=generator).to(device, dtype).requires_grad_()
