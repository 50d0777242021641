"""aggregate against the definition in float64, held to its error in ordinary arithmetic."""

import random

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate import reference
from neighborgraph.testing import AWKWARD, assert_close, awkward_graphs

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
SHAPES = [(1,), (2,), (3,), (7,), (16,), (31,), (33,), (64,), (100,), (128,), (256,), (600,)]
SHAPES += [(2, 8), (3, 31), (8, 16), (2, 2, 4)]
REDUCTIONS = ["sum", "mean", "max", "min"]
FACTORS = ["weight", "row_scale", "col_scale"]


def both_passes(function, graph: Graph, reduce: str, inputs: dict, grad: Tensor) -> list[Tensor]:
    """Output, and the gradients of x and, if there is one, of weight."""
    leaves = {name: t.detach().clone() for name, t in inputs.items()}
    wanted = [leaves[name].requires_grad_() for name in ("x", "weight") if name in leaves]
    factors = {name: t for name, t in leaves.items() if name != "x"}
    out = function(graph, leaves["x"], reduce, **factors)
    return [out.detach(), *torch.autograd.grad(out, wanted, grad)]


def check(graph: Graph, dtype: torch.dtype, reduce: str, shape: tuple, factors: list[str]) -> None:
    """Forward and every gradient under the error rule."""
    n, m = graph.num_rows, graph.num_cols
    sizes = {"weight": graph.num_edges, "row_scale": n, "col_scale": m}
    inputs = {"x": torch.randn(m, *shape).to(graph.device, dtype)}
    for name in factors:
        inputs[name] = torch.randn(sizes[name]).to(graph.device, dtype)
    grad = torch.randn(n, *shape).to(graph.device, dtype)

    def at(wider: torch.dtype, edges: Tensor | None = None) -> list[Tensor]:
        """The definition in a wider dtype, its edges taken in this order."""
        widened = {name: t.to(wider) for name, t in inputs.items()}
        if edges is None:
            return both_passes(reference.aggregate, graph, reduce, widened, grad.to(wider))
        moved = Graph.from_edge_index(graph.edge_index[:, edges], (m, n))
        if "weight" in widened:
            widened["weight"] = widened["weight"][edges]
        out, grad_x, *rest = both_passes(
            reference.aggregate, moved, reduce, widened, grad.to(wider)
        )
        return [out, grad_x, *(t[edges.argsort()] for t in rest)]

    exact = at(torch.float64)
    actual = both_passes(aggregate, graph, reduce, inputs, grad)
    if dtype == torch.float64:  # no wider reference exists
        plain = [t * (1 + 1e-13) for t in exact]
    else:
        plain = [t.to(a.dtype) for t, a in zip(at(torch.float32), actual, strict=True)]
        # The worst of a few orders: where few numbers are summed up, one may be lucky. The ties of
        # an extreme would go to other edges.
        for _ in range(3 if reduce in ("sum", "mean") else 0):
            edges = torch.randperm(graph.num_edges).to(graph.device)
            for i, other in enumerate(at(torch.float32, edges)):
                other = other.to(plain[i].dtype)
                worse = (other - exact[i]).abs() > (plain[i] - exact[i]).abs()
                plain[i] = torch.where(worse, other, plain[i])
    for name, a, e, p in zip(("out", "grad_x", "grad_weight"), actual, exact, plain, strict=False):
        where = f"{name} ({reduce}, {list(shape)}, {', '.join(factors) or 'no factors'})"
        assert_close(a, e, p, factor=2 if name == "out" else 3, name=where)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs(device: str, name: str, reduce: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs(device)[name]
    draw = random.Random(f"{name} {reduce} {dtype}")
    for shape in draw.sample(SHAPES, 6):
        check(graph, dtype, reduce, shape, draw.sample(FACTORS, draw.randint(0, 3)))
