"""What aggregate adds to its result, and weights of heads: by hand, in laws, and compiled."""

from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate
from neighborgraph.testing import from_degrees, from_pairs, random_graph

REDUCTIONS = ["sum", "mean", "max", "min"]


@pytest.fixture
def graph(device: str) -> Graph:
    """Empty rows, one of one edge, and one that is cut."""
    return from_degrees([0, 3, 40, 0, 1300, 1], 7, seed=3).to(device)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_add_by_hand(device: str, reduce: str) -> None:
    graph = from_pairs([(0, 1), (1, 1), (1, 0)], 2, 3).to(device)
    x = torch.tensor([[1.0], [10.0]], device=device)
    add = torch.tensor([[1.0], [2.0], [3.0]], device=device)
    scale = torch.tensor([2.0, -1.0, inf], device=device)  # row 2 is empty
    reduced = {"sum": 11.0, "mean": 5.5, "max": 10.0, "min": 1.0}[reduce]
    out = aggregate(graph, x, reduce, row_scale=scale, add=add, add_scale=0.5)
    assert out.view(-1).tolist() == [20.5, 1.0 - reduced, 1.5]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_adding_zeros_changes_no_bit(graph: Graph, reduce: str) -> None:
    x = torch.randn(7, 5, device=graph.device)
    plain = aggregate(graph, x, reduce)
    assert torch.equal(aggregate(graph, x, reduce, add=x.new_zeros(6, 5)), plain)
    add = torch.full((6, 5), 1e30, device=graph.device)
    assert torch.equal(aggregate(graph, x, reduce, add=add, add_scale=0.0), plain)


def test_a_sum_and_what_is_added_are_rounded_together(device: str) -> None:
    graph = from_pairs([(0, 0), (1, 0)] + [(2, 1)] * 2049, 3, 2).to(device)
    x = torch.tensor([[2048.0], [1.0], [1.0]], device=device).half()
    add = torch.ones(2, 1, device=device).half()
    assert aggregate(graph, x, add=add).tolist() == [[2050.0]] * 2  # 2049 alone becomes 2048


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("add_scale", [1.0, -2.5])
def test_gradient_of_what_is_added(graph: Graph, reduce: str, add_scale: float) -> None:
    x = torch.randn(7, 5, device=graph.device)
    add = torch.randn(6, 5, device=graph.device, requires_grad=True)
    grad = torch.randn(6, 5, device=graph.device)
    for create_graph in (False, True):
        out = aggregate(graph, x, reduce, add=add, add_scale=add_scale)
        (grad_add,) = torch.autograd.grad(out, add, grad, create_graph=create_graph)
        assert torch.equal(grad_add, add_scale * grad)
        assert not grad.requires_grad  # the caller's tensor stays as it was


def test_what_is_added_needs_no_transpose(device: str) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2, transpose=False).to(device)
    add = torch.randn(2, 3, device=device, requires_grad=True)
    aggregate(graph, torch.randn(2, 3, device=device), add=add).sum().backward()
    assert add.grad is not None
    assert torch.equal(add.grad, torch.ones_like(add))


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("shape", [(1,), (4,), (3, 1), (2, 6), (3, 5), (4, 2, 3), (40, 8)])
def test_a_head_is_aggregated_like_features_with_its_weights(
    graph: Graph, reduce: str, shape: tuple[int, ...]
) -> None:
    def leaf(*size: int) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        whole = torch.randint(-8, 8, size, generator=generator)  # so that no sum is rounded
        return whole.to(graph.device, torch.float32).requires_grad_()

    x, weight = leaf(7, *shape), leaf(graph.num_edges, shape[0])
    scale = torch.tensor([1.0, 2.0, 0.5, 1.0, -1.0, 4.0], device=graph.device)
    scale = None if reduce == "mean" else scale
    together = aggregate(graph, x, reduce, weight=weight, row_scale=scale)
    apart = [
        aggregate(graph, x[:, h], reduce, weight=weight[:, h], row_scale=scale)
        for h in range(shape[0])
    ]
    assert torch.equal(together, torch.stack(apart, dim=1))
    grad = leaf(*together.shape).detach()
    expected = torch.autograd.grad(torch.stack(apart, dim=1), (x, weight), grad)
    actual = torch.autograd.grad(together, (x, weight), grad)
    for a, e in zip(actual, expected, strict=True):
        # A mean's 1/degree is rounded, so that its sums depend on their order.
        torch.testing.assert_close(a, e, rtol=1e-6, atol=3e-5 if reduce == "mean" else 0)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_finite_differences(device: str, reduce: str) -> None:
    options = {"dtype": torch.float64, "device": device, "requires_grad": True}
    for seed in range(4):
        graph = random_graph(seed, 5, 6, 14).to(device)
        x, add = torch.randn(6, 3, 2, **options), torch.randn(5, 3, 2, **options)
        weight = torch.randn(14, 3, **options)
        scale = torch.randn(6, dtype=torch.float64, device=device)

        def reduced(x, weight, add, graph=graph, scale=scale):
            factors = {"weight": weight, "col_scale": scale, "add": add, "add_scale": 0.7}
            return aggregate(graph, x, reduce, **factors)

        assert torch.autograd.gradcheck(reduced, (x, weight, add))
        assert torch.autograd.gradcheck(reduced, (x.detach(), weight.detach(), add))


REFUSED = {
    "add rows": ({"add": torch.zeros(3, 2, 5)}, InputError, r"add must have shape \[4, 2, 5\] \(o"),
    "add width": ({"add": torch.zeros(4, 2, 1)}, InputError, r"\[4, 2, 5\] \(one row per receiver"),
    "add dtype": ({"add": torch.zeros(4, 2, 5).half()}, DtypeError, "add must be one of float32"),
    "add list": ({"add": [1.0]}, DtypeError, "add must be a torch.Tensor, got list"),
    "add device": (
        {"add": torch.zeros(4, 2, 5, device="meta")},
        DeviceError,
        "graph is on cpu but add is on meta; move one with .to",
    ),
    "scale": ({"add_scale": inf}, InputError, "add_scale=inf must be finite"),
    "scale tensor": (
        {"add_scale": torch.tensor(2.0)},
        DtypeError,
        "add_scale must be a float, got a tensor; multiply with it beforehand",
    ),
    "heads": ({"weight": torch.ones(3, 3)}, InputError, r"weight must .*\[3, 2\], got \[3, 3\]"),
    "edges": ({"weight": torch.ones(2, 2)}, InputError, r"weight must .*\[3, 2\], got \[2, 2\]"),
    "weight list": ({"weight": [1.0]}, DtypeError, "weight must be a torch.Tensor, got list"),
    "axes": ({"weight": torch.ones(3, 2, 5)}, InputError, r"weight must .*\[3\], got \[3, 2, 5\]"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refuses(fault: str) -> None:
    changes, error, message = REFUSED[fault]
    valid: dict[str, Any] = {"add": torch.zeros(4, 2, 5), "weight": torch.ones(3, 2)}
    graph, x = from_pairs([(0, 0), (1, 0), (2, 3)], 3, 4), torch.randn(3, 2, 5)
    with pytest.raises(error, match=message):
        aggregate(graph, x, **{**valid, **changes})
    assert aggregate(graph, x, **valid).isfinite().all()


@pytest.mark.parametrize("operator", ["aggregate_sum", "aggregate_max", "aggregate_weight_grad"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_opcheck(graph: Graph, operator: str, dtype: torch.dtype) -> None:
    rows, wide = list(graph.rows), torch.float64 if dtype == torch.float64 else torch.float32
    x, add = (torch.randn(n, 6).to(graph.device, dtype) for n in (7, 6))
    weight = torch.randn(graph.num_edges, 3).to(graph.device, wide)
    winner = torch.randint(graph.num_edges, (7, 6), dtype=torch.int32, device=graph.device)
    arguments = {
        "aggregate_sum": (rows, x, weight, None, None, winner, add, 0.5),
        "aggregate_max": (rows, x, weight, None, None, add, 0.5),
        "aggregate_weight_grad": (rows, add, x, None, None, None, 3),
    }[operator]
    torch.library.opcheck(getattr(torch.ops.neighborgraph, operator).default, arguments)


# Torch's tracer makes an instance of each autograd.Function it meets.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_compiles_whole(device: str, reduce: str) -> None:
    def both(graph: Graph, x: Tensor, weight: Tensor, add: Tensor, add_scale: float) -> Tensor:
        return aggregate(graph, x, reduce, weight=weight, add=add, add_scale=add_scale)

    torch._dynamo.reset()
    compiled = torch.compile(both, fullgraph=True, dynamic=True, backend="aot_eager")
    for seed, add_scale in enumerate((1.0, 0.5, -2.0)):
        graph = random_graph(seed, 6 + seed, 5, 20).to(device)
        inputs = [
            torch.randn(size, device=device, requires_grad=True)
            for size in ((5, 2, 3), (20, 2), (6 + seed, 2, 3))
        ]
        x, weight, add = inputs
        expected = both(graph, x, weight, add, add_scale)
        actual = compiled(graph, x, weight, add, add_scale)
        assert torch.equal(actual, expected)
        for a, e in zip(
            torch.autograd.grad(actual.square().sum(), inputs),
            torch.autograd.grad(expected.square().sum(), inputs),
            strict=True,
        ):
            assert torch.equal(a, e)
