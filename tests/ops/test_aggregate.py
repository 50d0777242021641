"""aggregate by hand, ties and NaN in its extremes, and what it refuses."""

from math import inf, nan
from typing import Any

import pytest
import torch

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate import reference
from neighborgraph.testing import assert_close, from_degrees, from_pairs, random_graph

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
REDUCTIONS = ["sum", "mean", "max", "min"]

X = [[1.0, 2.0], [4.0, 8.0], [-2.0, 16.0]]
OUT = {
    "sum": [[9.0, 18.0], [0.0, 0.0], [-2.0, 16.0], [1300.0, 11_260.0]],
    "mean": [[3.0, 6.0], [0.0, 0.0], [-2.0, 16.0], [1.0, 11_260 / 1300]],
    "max": [[4.0, 8.0], [0.0, 0.0], [-2.0, 16.0], [4.0, 16.0]],
    "min": [[1.0, 2.0], [0.0, 0.0], [-2.0, 16.0], [-2.0, 2.0]],
}
# How often each source is counted, and each edge's gradient where it is not zero.
X_GRADS = {
    "sum": [[435.0] * 2, [435.0] * 2, [434.0] * 2],
    "mean": [[1 / 3 + 434 / 1300] * 2, [2 / 3 + 433 / 1300] * 2, [1 + 433 / 1300] * 2],
    "max": [[0.0, 0.0], [2.0, 1.0], [1.0, 2.0]],
    "min": [[1.0, 2.0], [0.0, 0.0], [2.0, 1.0]],
}
EXTREME_WEIGHT_GRADS = {
    "max": {1: 4.0, 2: 16.0, 1301: 12.0, 1303: 14.0},
    "min": {0: 2.0, 2: -2.0, 1300: 3.0, 1303: 14.0},
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_by_hand(hand: Graph, device: str, reduce: str, dtype: torch.dtype) -> None:
    out = aggregate(hand, torch.tensor(X, dtype=dtype, device=device), reduce)
    expected = torch.tensor(OUT[reduce], dtype=torch.float64).to(dtype)
    if reduce == "mean":
        torch.testing.assert_close(out.cpu(), expected)
    else:
        assert torch.equal(out.cpu(), expected)  # rounded once, so exactly


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradients_by_hand(hand: Graph, device: str, reduce: str) -> None:
    x = torch.tensor(X, dtype=torch.float64, device=device, requires_grad=True)
    weight = torch.ones(1304, dtype=torch.float64, device=device, requires_grad=True)
    aggregate(hand, x, reduce, weight=weight).sum().backward()
    expected = torch.tensor(X_GRADS[reduce], dtype=torch.float64)
    assert x.grad is not None
    assert weight.grad is not None
    torch.testing.assert_close(x.grad.cpu(), expected)
    if reduce in EXTREME_WEIGHT_GRADS:
        nonzero = weight.grad.cpu().nonzero().view(-1)
        found = dict(zip(nonzero.tolist(), weight.grad.cpu()[nonzero].tolist(), strict=True))
        assert found == EXTREME_WEIGHT_GRADS[reduce]
    else:
        source = torch.cat([torch.arange(1300) % 3, torch.tensor([0, 1, 1, 2])])
        per_edge = torch.tensor([3.0, 12.0, 14.0], dtype=torch.float64)[source]
        if reduce == "mean":
            per_edge /= torch.tensor([1300] * 1300 + [3, 3, 3, 1])
        torch.testing.assert_close(weight.grad.cpu(), per_edge)


def test_factors_by_hand(device: str) -> None:
    graph = from_pairs([(0, 1), (1, 1), (1, 0)], 2, 3).to(device)
    x = torch.tensor([[1.0], [10.0]], device=device)
    factors: dict[str, Any] = {
        "weight": torch.tensor([2.0, 3.0, 5.0], device=device),
        "row_scale": torch.tensor([1.0, -1.0, 4.0], device=device),
        "col_scale": torch.tensor([7.0, 0.5], device=device),
    }
    by_hand = {
        "sum": [25.0, -(2 * 7 + 3 * 5), 0.0],
        "mean": [25.0, -(2 * 7 + 3 * 5) / 2, 0.0],
        "max": [25.0, -15.0, 0.0],  # row_scale multiplies what the maximum found
        "min": [25.0, -14.0, 0.0],
    }
    for reduce, expected in by_hand.items():
        out = aggregate(graph, x, reduce, **factors)
        assert out.view(-1).tolist() == expected


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 2), (0,)])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_any_feature_shape(device: str, reduce: str, shape: tuple[int, ...]) -> None:
    graph = random_graph(0, 6, 5, 20).to(device)
    x = torch.randn(5, *shape, device=device, requires_grad=True)
    out = aggregate(graph, x, reduce)
    flat = aggregate(graph, x.reshape(5, -1), reduce) if shape != (0,) else out
    assert out.shape == (6, *shape)
    assert torch.equal(out, flat.view(6, *shape))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("reduce", ["max", "min"])
def test_a_tie_goes_to_the_lowest_edge_id(device: str, reduce: str) -> None:
    # Edges in no order, so that the id is not the position; -0 and 0 are equal.
    pairs = [(2, 1), (1, 0), (0, 0), (2, 0), (0, 1), (0, 1)] + [(1, 2)] * 1500
    graph = from_pairs(pairs, 3, 3).to(device)
    x = torch.tensor([[3.0], [3.0], [3.0]], device=device, requires_grad=True)
    weight = torch.ones(len(pairs), device=device, requires_grad=True)
    aggregate(graph, x, reduce, weight=weight).sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    assert x.grad.view(-1).tolist() == [0.0, 2.0, 1.0]
    assert weight.grad.nonzero().view(-1).tolist() == [0, 1, 6]
    zeros = torch.tensor([[0.0], [-0.0], [0.0]], device=device, requires_grad=True)
    aggregate(graph, zeros, reduce).sum().backward()
    assert zeros.grad is not None
    assert zeros.grad.view(-1).tolist() == [0.0, 2.0, 1.0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_poison_reaches_the_rows_that_use_it(device: str, reduce: str, value: float) -> None:
    for seed in range(10):
        graph = random_graph(seed, 12, 15, 40).to(device)
        x = torch.randn(15, 3, device=device)
        clean = aggregate(graph, x, reduce)
        x[seed, 1] = value
        out = aggregate(graph, x, reduce)
        torch.testing.assert_close(out, reference.aggregate(graph, x, reduce), equal_nan=True)
        source, receiver = graph.edge_index
        spared = torch.ones(12, dtype=torch.bool, device=device)
        spared[receiver[source == seed]] = False
        assert torch.equal(out[spared], clean[spared])
        assert torch.equal(out[:, ::2], clean[:, ::2])
        if value != value:
            assert out[~spared, 1].isnan().all()


@pytest.mark.parametrize("reduce", ["max", "min"])
@pytest.mark.parametrize("where", [0, 700, 1499])
def test_the_first_nan_wins_and_gets_the_gradient(device: str, reduce: str, where: int) -> None:
    graph = from_pairs([(source, 0) for source in range(1500)], 1500, 1).to(device)
    x = torch.randn(1500, 1, device=device)
    x[where:] = nan
    x.requires_grad_()
    out = aggregate(graph, x, reduce)
    out.backward(torch.ones_like(out))
    assert out.isnan().all()
    assert x.grad is not None
    assert x.grad.nonzero().tolist() == [[where, 0]]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_empty_rows_and_unused_sources_are_exactly_zero(device: str, reduce: str) -> None:
    graph = from_degrees([0, 3, 0, 700, 0], 9, seed=1).to(device)
    unused = graph.col_degree == 0
    x = torch.randn(9, 4, device=device, requires_grad=True)
    # Not even a scale of NaN or infinity makes an empty row anything but zero.
    scale = torch.tensor([nan, 1.0, inf, 1.0, -inf], device=device)
    out = aggregate(graph, x, reduce, row_scale=scale)
    assert torch.equal(out[[0, 2, 4]], torch.zeros(3, 4, device=device))
    assert out[[1, 3]].all()
    out.sum().backward()
    assert x.grad is not None
    assert not x.grad[unused].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_long_sums_are_kept_in_float32_and_rounded_once(device: str, dtype: torch.dtype) -> None:
    degree = 262_144
    graph = from_pairs([], 1, 2)
    edge_index = torch.zeros(2, degree, dtype=torch.int64)
    graph = Graph.from_edge_index(edge_index, (1, 2)).to(device)
    ones = torch.ones(1, 3, dtype=dtype, device=device)
    total = torch.tensor(float(degree)).to(dtype).item()  # inf in float16
    assert aggregate(graph, ones).tolist() == [[total] * 3, [0.0] * 3]
    assert aggregate(graph, ones, "mean").tolist() == [[1.0] * 3, [0.0] * 3]
    x = (torch.randn(degree, 2, device=device) + 1).to(dtype)
    graph = Graph.from_edge_index(torch.stack([torch.arange(degree), edge_index[0]]), (degree, 1))
    exact = x.double().mean(0, keepdim=True)
    plain = (exact + 5e-4).to(dtype)
    assert_close(aggregate(graph.to(device), x, "mean"), exact, plain, factor=1)


def valid(device: str = "cpu") -> dict:
    graph = from_pairs([(0, 0), (1, 0), (2, 3)], 3, 4).to(device)
    return {"graph": graph, "x": torch.randn(3, 5, device=device)}


FLOAT_NAMES = "float64, float32, float16, bfloat16"
REFUSED = {
    "graph": ({"graph": None}, DtypeError, r"graph must be a .*Graph, got NoneType.*as_graph"),
    "list": ({"x": [[1.0]]}, DtypeError, "x must be a torch.Tensor, got list"),
    "scalar": ({"x": torch.tensor(1.0)}, InputError, r"x must have shape \[nodes, ...\], got a s"),
    "rows": ({"x": torch.zeros(4, 5)}, InputError, r"x must have .*\[3, 5\] \(one row per source"),
    "int": ({"x": torch.zeros(3, 5).int()}, DtypeError, f"x must be .*{FLOAT_NAMES}, got int32"),
    "bool": ({"x": torch.zeros(3, 5).bool()}, DtypeError, f"x must .*{FLOAT_NAMES}, got bool"),
    "complex": ({"x": torch.zeros(3, 5) * 1j}, DtypeError, f"x must .*{FLOAT_NAMES}, got complex"),
    "reduce": (
        {"reduce": "avg"},
        InputError,
        "reduce='avg' must be one of sum, mean, max, min, s",
    ),
    "typo": ({"reduce": "maxx"}, InputError, r"reduce='maxx'.*; did you mean 'max'\?"),
    "weights": ({"weight": torch.ones(4)}, InputError, r"weight must have shape \[3\], got \[4\]"),
    "weight axes": (
        {"weight": torch.ones(3, 1)},
        InputError,
        r"weight must .*\[3, 5\], got \[3, 1\]",
    ),
    "weight dtype": (
        {"weight": torch.ones(3).double()},
        DtypeError,
        "weight must be one of float32.*, got float64",
    ),
    "weight int": ({"weight": torch.ones(3).int()}, DtypeError, "weight must be .*, got int32"),
    "row scale": ({"row_scale": torch.ones(3)}, InputError, r"row_scale must .*\[4\], got \[3\]"),
    "col scale": ({"col_scale": torch.ones(4)}, InputError, r"col_scale must .*\[3\], got \[4\]"),
    "scale grad": (
        {"row_scale": torch.ones(4, requires_grad=True)},
        InputError,
        "row_scale requires grad, but scalings are constants; multiply x or the result",
    ),
    "col grad": (
        {"col_scale": torch.ones(3, requires_grad=True)},
        InputError,
        "col_scale requires grad, but scalings are constants",
    ),
    "device": (
        {"weight": torch.ones(3, device="meta")},
        DeviceError,
        r"graph is on cpu but weight is on meta; move one with .to",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refuses(fault: str) -> None:
    changes, error, message = REFUSED[fault]
    with pytest.raises(error, match=message):
        aggregate(**{**valid(), **changes})
    assert aggregate(**valid()).isfinite().all()


def test_a_gradient_needs_the_transpose(device: str) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2, transpose=False).to(device)
    x = torch.randn(2, 4, device=device, requires_grad=True)
    assert aggregate(graph, x.detach()).isfinite().all()
    with pytest.raises(InputError, match=r"a gradient needs the graph's transpose.*transpose=True"):
        aggregate(graph, x)
    # The gradient of the weights alone walks the rows.
    weight = torch.ones(1, device=device, requires_grad=True)
    aggregate(graph, x.detach(), weight=weight).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, x[:1].detach().sum(1))


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_inference_and_autocast_keep_every_bit_and_save_nothing(device: str, reduce: str) -> None:
    inputs = valid(device)
    expected = aggregate(**inputs, reduce=reduce)
    inputs["x"].requires_grad_()
    with torch.autocast(device, torch.bfloat16):
        out = aggregate(**inputs, reduce=reduce)
    assert torch.equal(out, expected)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            out = aggregate(**inputs, reduce=reduce)
        assert torch.equal(out, expected)
        assert out.grad_fn is None
