"""What attend refuses, and in which dtype and mode it runs."""

from math import inf, nan

import pytest
import torch

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, attend
from neighborgraph.testing import from_pairs


def valid(device: str = "cpu") -> dict:
    graph = from_pairs([(0, 0), (1, 0), (2, 3)], 3, 4).to(device)
    sizes = {"q": 4, "k": 3, "v": 3}
    return {"graph": graph, **{n: torch.randn(s, 2, 5, device=device) for n, s in sizes.items()}}


FLOAT_NAMES = "float64, float32, float16, bfloat16"
REFUSED = {
    "graph": ({"graph": torch.zeros(2, 3)}, DtypeError, "graph must be a .*Graph, got Tensor.*as_"),
    "list": ({"q": [[1.0]]}, DtypeError, r"q must be a torch.Tensor, got list"),
    "scalar": ({"q": torch.tensor(1.0)}, InputError, r"q must have shape \[nodes, ...\], got a s"),
    "no heads axis": ({"q": torch.zeros(4, 5)}, InputError, r"q must .* \[4, heads, width\].* 5\]"),
    "q rows": ({"q": torch.zeros(3, 2, 5)}, InputError, r"one row per receiver.*got \[3, 2, 5\]"),
    "k rows": ({"k": torch.zeros(4, 2, 5)}, InputError, r"k must have shape \[3, 2, 5\].*per sour"),
    "v rows": (
        {"v": torch.zeros(2, 2, 5)},
        InputError,
        r"v must have shape \[3, 2, width\].*per sour",
    ),
    "k width": ({"k": torch.zeros(3, 2, 4)}, InputError, r"k must have shape \[3, 2, 5\].*2, 4\]"),
    "v heads": (
        {"v": torch.zeros(3, 1, 9)},
        InputError,
        r"v must have shape \[3, 2, width\].*1, 9",
    ),
    "v no width": (
        {"v": torch.zeros(3, 2, 0)},
        InputError,
        r"v must have at least one head and one channel, got \[3, 2, 0\]",
    ),
    "heads": ({"k": torch.zeros(3, 1, 5)}, InputError, r"k must have shape \[3, 2, 5\].*1, 5\]"),
    "no width": (
        {"q": torch.zeros(4, 2, 0), "k": torch.zeros(3, 2, 0), "v": torch.zeros(3, 2, 0)},
        InputError,
        r"at least one head and one channel, got \[4, 2, 0\]",
    ),
    "no heads": (
        {"q": torch.zeros(4, 0, 5), "k": torch.zeros(3, 0, 5), "v": torch.zeros(3, 0, 5)},
        InputError,
        r"at least one head and one channel, got \[4, 0, 5\]",
    ),
    "mixed": (
        {"k": torch.zeros(3, 2, 5).half()},
        DtypeError,
        "k must be one of float32, got float1",
    ),
    "int": (
        {"q": torch.zeros(4, 2, 5).long()},
        DtypeError,
        f"q must be .*{FLOAT_NAMES}, got int64",
    ),
    "complex": (
        {"v": torch.zeros(3, 2, 5) * 1j},
        DtypeError,
        f"v must .*{FLOAT_NAMES}, got complex",
    ),
    "float8": (
        {"q": torch.zeros(4, 2, 5).to(torch.float8_e4m3fn)},
        DtypeError,
        "got float8_e4m3fn",
    ),
    "scale nan": ({"score": Dot(nan)}, InputError, "scale=nan must be finite"),
    "scale inf": ({"score": Dot(-inf)}, InputError, "scale=-inf must be finite"),
    "slope": ({"score": Additive(None, inf)}, InputError, "negative_slope=inf must be finite"),
    "score": (
        {"score": "dot"},
        DtypeError,
        r"score must be Dot\(...\) or Additive\(...\), got str",
    ),
    "weight shape": (
        {"score": Additive(torch.zeros(5))},
        InputError,
        r"weight must have shape \[2, 5\].*got \[5\]",
    ),
    "weight dtype": (
        {"score": Additive(torch.zeros(2, 5).double())},
        DtypeError,
        "weight must be one of float32, got float64",
    ),
    "bias shape": (
        {"bias": torch.zeros(3)},
        InputError,
        r"bias must have shape \[3, 2\].*got \[3\]",
    ),
    "bias dtype": (
        {"bias": torch.zeros(3, 2).half()},
        DtypeError,
        "bias must be one of float32, got float16",
    ),
    "edge rows": (
        {"edge": torch.zeros(4, 2, 5)},
        InputError,
        r"edge must have shape \[3, 2, 5\].*one row per edge, heads and width of k",
    ),
    "edge width": (
        {"edge": torch.zeros(3, 2, 4), "score": Additive()},
        InputError,
        r"edge must have shape \[3, 2, 5\].*got \[3, 2, 4\]",
    ),
    "edge dtype": (
        {"edge": torch.zeros(3, 2, 5).double()},
        DtypeError,
        "edge must be one of float32, got float64",
    ),
    "edge vectors and wide values": (
        {"edge": torch.zeros(3, 2, 5), "v": torch.zeros(3, 2, 9)},
        InputError,
        "join keys and values, so v must have width 5 like k, got 9",
    ),
    "dropout": ({"dropout": 1.5}, InputError, r"dropout=1.5 must be in \[0, 1\]"),
    "dropout nan": ({"dropout": nan}, InputError, r"dropout=nan must be in \[0, 1\]"),
    "seed": (
        {"dropout": 0.5, "seed": 2**63},
        InputError,
        r"seed=9223372036854775808 must be in \[-2\^63, 2\^63\)",
    ),
    "seed dtype": (
        {"dropout": 0.5, "seed": torch.zeros(1)},
        DtypeError,
        "seed must be one of int64, got float32",
    ),
    "seed shape": (
        {"dropout": 0.5, "seed": torch.zeros(2).long()},
        InputError,
        r"seed must have shape \[1\].*got \[2\]",
    ),
    "self-loops": (
        {"self_loops": True},
        InputError,
        "self_loops=True needs as many receivers as sources, got 4 and 3",
    ),
    "device": (
        {"k": torch.zeros(3, 2, 5, device="meta")},
        DeviceError,
        r"graph is on cpu but k is on meta; move one with .to",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refuses(fault: str) -> None:
    changes, error, message = REFUSED[fault]
    with pytest.raises(error, match=message):
        attend(**{**valid(), **changes})
    assert attend(**valid()).isfinite().all()


@pytest.mark.cuda
def test_refuses_tensors_on_another_device() -> None:
    with pytest.raises(DeviceError, match=r"graph is on cuda:0 but q is on cpu"):
        attend(**{**valid("cpu"), "graph": valid("cuda")["graph"]})


def test_a_gradient_needs_the_transpose(device: str) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2, transpose=False).to(device)
    q = torch.randn(2, 1, 4, device=device)
    assert attend(graph, q, q, q).isfinite().all()
    with pytest.raises(InputError, match=r"a gradient needs the graph's transpose.*transpose=True"):
        attend(graph, q, q, q.clone().requires_grad_())
    with torch.no_grad():
        attend(graph, q, q, q.clone().requires_grad_())


def test_inference_keeps_every_bit_and_saves_nothing(device: str) -> None:
    inputs = valid(device)
    expected = attend(**inputs)
    for name in "qkv":
        inputs[name].requires_grad_()
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            out = attend(**inputs)
        assert torch.equal(out, expected)
        assert out.grad_fn is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_runs_in_its_dtype(device: str, dtype: torch.dtype) -> None:
    inputs = valid(device)
    inputs["edge"] = torch.randn(3, 2, 5, device=device)
    inputs["bias"] = torch.randn(3, 2, device=device)
    narrow = {n: inputs[n].to(dtype) for n in ("q", "k", "v", "edge")}
    expected = attend(**{**inputs, **narrow})
    with torch.autocast(device, dtype):
        mixed = {**inputs, "k": narrow["k"], "v": inputs["v"].requires_grad_()}
        out = attend(**mixed)
    assert out.dtype == dtype
    assert torch.equal(out, expected)
    out.float().sum().backward()
    assert mixed["v"].grad.dtype == torch.float32
    inputs = {name: x.double() if name != "graph" else x for name, x in inputs.items()}
    with torch.autocast(device, dtype):
        assert attend(**inputs).dtype == torch.float64
