"""Strides, offsets and neighbours in memory never reach a result: equal bits for equal values."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, aggregate, attend
from neighborgraph.testing import from_degrees

GUARD = 256
Op = Callable[..., Tensor]


def transposed(t: Tensor) -> Tensor:
    return t.transpose(0, -1).contiguous().transpose(0, -1)


def every_second(t: Tensor) -> Tensor:
    wide = t.new_full((*t.shape[:-1], 2 * t.shape[-1]), torch.nan)
    wide[..., ::2] = t
    return wide[..., ::2]


def wide_rows(t: Tensor) -> Tensor:
    wide = t.new_full((t.shape[0], *(2 * size + 3 for size in t.shape[1:])), torch.nan)
    window = tuple(slice(1, size + 1) for size in t.shape[1:])
    wide[(slice(None), *window)] = t
    return wide[(slice(None), *window)]


def behind_a_guard(t: Tensor, offset: int = 0) -> Tensor:
    """The values between NaNs, ``offset`` elements off a boundary that suits vector loads."""
    buffer = t.new_full((t.numel() + 2 * GUARD + offset,), torch.nan)
    buffer[GUARD + offset : GUARD + offset + t.numel()] = t.reshape(-1)
    return buffer[GUARD + offset : GUARD + offset + t.numel()].view(t.shape)


LAYOUTS = {
    "transposed": transposed,
    "every second": every_second,
    "wide rows": wide_rows,
    "guarded": behind_a_guard,
    "offset 1": lambda t: behind_a_guard(t, 1),
    "offset 3": lambda t: behind_a_guard(t, 3),
}

# Each with the arguments that take a layout, the gradient of the output among them.
OPS: dict[str, Op] = {
    "attend": attend,
    "attend dot": lambda graph, q, k, v, b, a: attend(
        graph, q, k, v, bias=b, edge=a, dropout=0.4, seed=1
    ),
    "attend additive": lambda graph, q, k, v, b, a, w: attend(
        graph, q, k, v, score=Additive(w), bias=b, edge=a, dropout=0.4, seed=1
    ),
    "sum": lambda graph, x, w: aggregate(graph, x, weight=w),
    "mean": lambda graph, x, w: aggregate(graph, x, "mean", weight=w, row_scale=w[: len(x) + 1]),
    "max": lambda graph, x, w: aggregate(graph, x, "max", weight=w),
}


@pytest.fixture
def graph(device: str) -> Graph:
    return from_degrees([5, 0, 40, 3, 600, 1, 31, 9], 7, seed=2).to(device)


def draw(op: str, graph: Graph, dtype: torch.dtype) -> list[Tensor]:
    """Inputs, and last the gradient of the output."""
    n, m, e, inner = graph.num_rows, graph.num_cols, graph.num_edges, (2, 8)
    shapes = [(m, *inner), (e,)]
    if op.startswith("attend"):
        options = {"attend": [], "attend dot": [(e, 2), (e, *inner)]}
        more = options.get(op, [*options["attend dot"], inner])
        shapes = [(n, *inner), (m, *inner), (m, *inner), *more]
    return [torch.randn(s).to(graph.device, dtype) for s in (*shapes, (n, *inner))]


def both_passes(op: str, graph: Graph, inputs: list[Tensor], grad: Tensor) -> list[Tensor]:
    leaves = [t.detach().requires_grad_() for t in inputs]
    wanted = leaves
    if op == "mean":  # its scaling is a slice of the weights and must not require grad
        leaves = [leaves[0], leaves[1].detach()]
        wanted = leaves[:1]
    out = OPS[op](graph, *leaves)
    return [out.detach(), *torch.autograd.grad(out, wanted, grad)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPS)
def test_layouts(op: str, layout: str, dtype: torch.dtype, graph: Graph) -> None:
    tensors = draw(op, graph, dtype)
    expected = both_passes(op, graph, tensors[:-1], tensors[-1])
    assert all(t.isfinite().all() for t in expected)
    for changed in range(len(tensors)):
        moved = list(tensors)
        moved[changed] = LAYOUTS[layout](tensors[changed])
        assert torch.equal(moved[changed], tensors[changed])
        if layout in ("transposed", "every second", "wide rows") and moved[changed].dim() > 1:
            assert not moved[changed].is_contiguous()
        actual = both_passes(op, graph, moved[:-1], moved[-1])
        for a, e in zip(actual, expected, strict=True):
            assert torch.equal(a, e)


@pytest.mark.parametrize("op", OPS)
def test_expanded_inputs_and_gradients(op: str, graph: Graph) -> None:
    tensors = [t[:1].expand_as(t) for t in draw(op, graph, torch.float32)]
    dense = [t.contiguous() for t in tensors]
    expected = both_passes(op, graph, dense[:-1], dense[-1])
    for a, e in zip(both_passes(op, graph, tensors[:-1], tensors[-1]), expected, strict=True):
        assert torch.equal(a, e)


@pytest.mark.parametrize("op", OPS)
def test_a_backward_pass_of_a_sum_has_a_gradient_of_stride_zero(op: str, graph: Graph) -> None:
    *inputs, grad = draw(op, graph, torch.float32)
    leaves = [t.requires_grad_(op != "mean") for t in inputs]
    leaves[0].requires_grad_()
    wanted = [t for t in leaves if t.requires_grad]
    by_sum = torch.autograd.grad(OPS[op](graph, *leaves).sum(), wanted)
    by_ones = torch.autograd.grad(OPS[op](graph, *leaves), wanted, torch.ones_like(grad))
    for a, e in zip(by_sum, by_ones, strict=True):
        assert torch.equal(a, e)


def test_guards_stay_as_they_are(device: str, graph: Graph) -> None:
    q, k, v = draw("attend", graph, torch.float32)[:3]
    buffer = torch.full((2 * GUARD + q.numel(),), torch.nan, device=device)
    buffer[GUARD:-GUARD] = q.reshape(-1)
    before = buffer.clone()
    attend(graph, buffer[GUARD:-GUARD].view(q.shape), k, v)
    assert torch.equal(buffer.nan_to_num(7.0), before.nan_to_num(7.0))
