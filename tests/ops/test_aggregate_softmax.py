"""aggregate's softmax: by hand, between mean and maximum, its gradients and what it refuses."""

from math import exp, inf, nan

import pytest
import torch

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate import reference
from neighborgraph.testing import assert_close, from_degrees, from_pairs, random_graph


@pytest.fixture
def graph(device: str) -> Graph:
    """Empty rows, one of one edge, and one that is cut."""
    return from_degrees([0, 3, 40, 0, 1300, 1], 7, seed=3).to(device)


def test_by_hand(device: str) -> None:
    graph = from_pairs([(0, 0), (1, 0), (1, 0), (0, 2)], 2, 3).to(device)
    x = torch.tensor([[1.0, 0.0], [2.0, -1.0]], dtype=torch.float64, device=device)
    share = [exp(0.5 * 1) / (exp(0.5 * 1) + 2 * exp(0.5 * 2)), 1 / (1 + 2 * exp(-0.5))]
    first = [share[0] * 1 + (1 - share[0]) * 2, (1 - share[1]) * -1]
    expected = torch.tensor([first, [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    out = aggregate(graph, x, "softmax", temperature=0.5)
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (40,), (2, 3)])
def test_every_channel_has_its_own_weights(graph: Graph, shape: tuple[int, ...]) -> None:
    x = torch.randn(7, *shape, dtype=torch.float64, device=graph.device)
    out = aggregate(graph, x, "softmax", temperature=2.0)
    expected = reference.aggregate(graph, x, "softmax", temperature=2.0)
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
    assert not out[[0, 3]].any()


def test_no_channels(graph: Graph) -> None:
    x = torch.randn(7, 2, 0, device=graph.device, requires_grad=True)
    out = aggregate(graph, x, "softmax")
    assert out.shape == (6, 2, 0)
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (7, 2, 0)


def test_between_the_mean_and_the_maximum(graph: Graph) -> None:
    x = torch.randn(7, 5, device=graph.device)
    for temperature, reduce in ((0.0, "mean"), (1e4, "max"), (-1e4, "min")):
        out = aggregate(graph, x, "softmax", temperature=temperature)
        torch.testing.assert_close(out, aggregate(graph, x, reduce))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_float_temperature_is_not_rounded(graph: Graph, dtype: torch.dtype) -> None:
    x = (1000 + 30 * torch.randn(7, 5, device=graph.device)).to(dtype)
    options = {"reduce": "softmax", "temperature": 0.1}  # in bfloat16, 0.1001
    exact = reference.aggregate(graph, x.double(), **options)
    plain = reference.aggregate(graph, x.float(), **options).to(dtype)
    assert_close(aggregate(graph, x, **options), exact, plain)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (2,), (3, 2)])
def test_finite_differences(device: str, shape: tuple[int, ...]) -> None:
    options = {"dtype": torch.float64, "device": device, "requires_grad": True}
    for seed in range(3):
        graph = random_graph(seed, 5, 6, 14).to(device)
        x, temperature = torch.randn(6, 3, 2, **options), torch.randn(shape, **options)

        def reduced(x, temperature, graph=graph):
            return aggregate(graph, x, "softmax", temperature=temperature)

        assert torch.autograd.gradcheck(reduced, (x, temperature))
        assert torch.autograd.gradcheck(lambda x, f=reduced: f(x, 0.7), x)


def test_nan_and_infinity_are_those_of_attend(device: str) -> None:
    graph = from_pairs([(0, 0), (1, 0), (0, 1), (2, 1), (0, 2), (3, 2)], 4, 3).to(device)
    x = torch.tensor([[1.0], [inf], [-inf], [nan]], device=device)
    out = aggregate(graph, x, "softmax").view(-1).tolist()
    assert out[:2] == [inf, 1.0]  # takes all the weight; masks its edge
    assert out[2] != out[2]


def test_autocast_keeps_every_bit(graph: Graph) -> None:
    x = torch.randn(7, 5, device=graph.device)
    expected = aggregate(graph, x, "softmax")
    with torch.autocast(graph.device.type, torch.bfloat16):
        assert torch.equal(aggregate(graph, x, "softmax"), expected)


# Torch's tracer makes an instance of each autograd.Function it meets.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiles_whole(device: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda graph, x, t: aggregate(graph, x, "softmax", temperature=t),
        fullgraph=True,
        dynamic=True,
        backend="aot_eager",
    )
    for seed in range(3):
        graph = random_graph(seed, 6 + seed, 5, 20).to(device)
        x, t = torch.randn(5, 4, device=device), torch.randn(4, device=device)
        assert torch.equal(compiled(graph, x, t), aggregate(graph, x, "softmax", temperature=t))


def test_a_second_derivative_is_refused_by_name(graph: Graph) -> None:
    x = torch.randn(7, 3, device=graph.device, requires_grad=True)
    (grad,) = torch.autograd.grad(aggregate(graph, x, "softmax").sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="attend can be differentiated once, not twice"):
        grad.square().sum().backward()


REFUSED = {
    "weight": ({"weight": torch.ones(3)}, InputError, "takes no weight; apply it to x or to the r"),
    "rows": ({"row_scale": torch.ones(4)}, InputError, "reduce='softmax' takes no row_scale"),
    "cols": ({"col_scale": torch.ones(3)}, InputError, "reduce='softmax' takes no col_scale"),
    "add": ({"add": torch.zeros(4, 2, 5)}, InputError, "reduce='softmax' takes no add"),
    "nan": ({"temperature": nan}, InputError, "temperature=nan must be finite"),
    "sum": (
        {"reduce": "sum", "temperature": 2.0},
        InputError,
        "temperature is for reduce='softmax', got it with reduce='sum'",
    ),
    "learned": (
        {"reduce": "max", "temperature": torch.ones(5)},
        InputError,
        "temperature is for reduce='softmax', got it with reduce='max'",
    ),
    "width": (
        {"temperature": torch.ones(2)},
        InputError,
        r"temperature must broadcast to \[2, 5\], the channels of x, got \[2\]",
    ),
    "axes": ({"temperature": torch.ones(1, 2, 5)}, InputError, r"\[2, 5\].*got \[1, 2, 5\]"),
    "device": (
        {"temperature": torch.ones(5, device="meta")},
        DeviceError,
        "x is on cpu but temperature is on meta; move one with .to",
    ),
    "dtype": ({"temperature": torch.ones(5).half()}, DtypeError, "temperature must be .*float32"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refuses(fault: str) -> None:
    changes, error, message = REFUSED[fault]
    graph, x = from_pairs([(0, 0), (1, 0), (2, 3)], 3, 4), torch.randn(3, 2, 5)
    with pytest.raises(error, match=message):
        aggregate(graph, x, **{"reduce": "softmax", **changes})
    assert aggregate(graph, x, "softmax").isfinite().all()
