"""aggregate against the definition in float64, held to its error in ordinary arithmetic."""

import random

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate import reference
from neighborgraph.testing import AWKWARD, assert_close, awkward_graphs, from_degrees

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
SHAPES = [(1,), (2,), (3,), (7,), (16,), (31,), (33,), (64,), (100,), (128,), (256,), (600,)]
SHAPES += [(2, 8), (3, 31), (8, 16), (2, 2, 4), (5, 12), (3, 200)]
REDUCTIONS = ["sum", "mean", "max", "min", "softmax"]
# "heads" is a weight for each edge and head, which takes the place of one for each edge.
FACTORS = ["weight", "heads", "row_scale", "col_scale", "add"]
WANTED = ["x", "weight", "add"]
SCALES = {"add_scale": -0.75}


def both_passes(function, graph: Graph, reduce: str, inputs: dict, grad: Tensor) -> dict:
    """Output, and the gradients of x, and of weight and add if there are any."""
    leaves = {name: t.detach().clone() for name, t in inputs.items()}
    wanted = [name for name in WANTED if name in leaves]
    for name in wanted:
        leaves[name].requires_grad_()
    factors = {name: t for name, t in leaves.items() if name != "x"}
    scales = {"temperature": 1.5} if reduce == "softmax" else SCALES
    out = function(graph, leaves["x"], reduce, **factors, **scales)
    grads = torch.autograd.grad(out, [leaves[name] for name in wanted], grad)
    return {"out": out.detach(), **dict(zip(wanted, grads, strict=True))}


def draw_inputs(graph: Graph, dtype: torch.dtype, shape: tuple, factors: list[str]) -> dict:
    """Standard normal features and factors."""
    sizes = {
        "x": (graph.num_cols, *shape),
        "weight": (graph.num_edges, shape[0]) if "heads" in factors else (graph.num_edges,),
        "row_scale": (graph.num_rows,),
        "col_scale": (graph.num_cols,),
        "add": (graph.num_rows, *shape),
    }
    names = ["x", *dict.fromkeys("weight" if name == "heads" else name for name in factors)]
    return {name: torch.randn(sizes[name]).to(graph.device, dtype) for name in names}


def check(graph: Graph, dtype: torch.dtype, reduce: str, shape: tuple, factors: list[str]) -> None:
    """Forward and every gradient under the error rule."""
    n, m = graph.num_rows, graph.num_cols
    inputs = draw_inputs(graph, dtype, shape, factors)
    grad = torch.randn(n, *shape).to(graph.device, dtype)

    def at(wider: torch.dtype, edges: Tensor | None = None) -> dict:
        """The definition in a wider dtype, its edges taken in this order."""
        widened = {name: t.to(wider) for name, t in inputs.items()}
        if edges is None:
            return both_passes(reference.aggregate, graph, reduce, widened, grad.to(wider))
        moved = Graph.from_edge_index(graph.edge_index[:, edges], (m, n))
        if "weight" in widened:
            widened["weight"] = widened["weight"][edges]
        found = both_passes(reference.aggregate, moved, reduce, widened, grad.to(wider))
        if "weight" in found:
            found["weight"] = found["weight"][edges.argsort()]
        return found

    exact = at(torch.float64)
    actual = both_passes(aggregate, graph, reduce, inputs, grad)
    if dtype == torch.float64:  # no wider reference exists
        plain = {name: t * (1 + 1e-13) for name, t in exact.items()}
    else:
        plain = {name: t.to(actual[name].dtype) for name, t in at(torch.float32).items()}
        # The worst of a few orders: where few numbers are summed up, one may be lucky. The ties of
        # an extreme would go to other edges.
        for _ in range(0 if reduce in ("max", "min") else 3):
            edges = torch.randperm(graph.num_edges).to(graph.device)
            for name, other in at(torch.float32, edges).items():
                other = other.to(plain[name].dtype)
                worse = (other - exact[name]).abs() > (plain[name] - exact[name]).abs()
                plain[name] = torch.where(worse, other, plain[name])
    for name, result in actual.items():
        where = f"{name} ({reduce}, {list(shape)}, {', '.join(factors) or 'no factors'})"
        assert_close(result, exact[name], plain[name], factor=2 if name == "out" else 3, name=where)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs(device: str, name: str, reduce: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs(device)[name]
    draw = random.Random(f"{name} {reduce} {dtype}")
    for shape in draw.sample(SHAPES, 6):
        factors = draw.sample(FACTORS, draw.randint(0, 4))
        check(graph, dtype, reduce, shape, [] if reduce == "softmax" else factors)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("reduce", ["sum", "max"])
def test_rows_cut_into_few_and_many_parts(device: str, reduce: str, dtype: torch.dtype) -> None:
    graph = from_degrees([6000, 2, 9000, 700, 0, 1100], 5000, seed=1).to(device)
    check(graph, dtype, reduce, (33,), [])
