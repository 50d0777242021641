"""attend against the definition in float64, held to the error of ordinary arithmetic."""

import random

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import attend_with_lse
from neighborgraph.ops.attend import reference
from neighborgraph.testing import AWKWARD, assert_close, awkward_graphs, from_degrees

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
WIDTHS = [1, 2, 3, 7, 8, 16, 31, 33, 64, 100, 128, 256]
HEADS = [1, 2, 3, 8]
SCORE_SIZES = [0.1, 1.0, 4.0, 60.0, 6000.0]
NAMES = ("out", "lse", "grad_q", "grad_k", "grad_v")


def both_passes(function, graph: Graph, inputs: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """Output, log-sum-exp, and the gradients of q, k, v."""
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    results = function(graph, *leaves)
    lse = results[1]
    # The log-sum-exp of an empty row is constant.
    loss = (results[0] * grads[0]).sum() + (lse * grads[1]).masked_fill(lse.isinf(), 0).sum()
    return [*(t.detach() for t in results), *torch.autograd.grad(loss, leaves)]


def plain_passes(graph: Graph, inputs: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """The same by the operator's own formulas, in ordinary Torch and float32.

    The weights are those of the definition. Autograd through it would not do for the gradients:
    δ is rounded apart from <g, v>, as the two are in any kernel that keeps nothing per edge, so
    that a row of one edge does not look exact.
    """
    dtype = inputs[0].dtype
    q, k, v, grad, grad_lse = (t.float() for t in (*inputs, *grads))
    out, lse = reference.attend(graph, q, k, v)
    out = out.to(dtype)
    scale = q.shape[-1] ** -0.5
    col, row = graph.edge_index
    score = (q[row] * k[col]).sum(-1) * scale
    top = torch.full_like(lse, -torch.inf)
    top = top.scatter_reduce(0, row[:, None].expand_as(score), score, "amax")
    share = (score - top[row]).exp()
    p = (share / torch.zeros_like(top).index_add(0, row, share)[row])[..., None]
    delta = (grad.double() * out.double()).sum(-1).float() - grad_lse
    grad_score = p * ((grad[row] * v[col]).sum(-1) - delta[row])[..., None] * scale
    return [
        out,
        lse,
        torch.zeros_like(q).index_add(0, row, grad_score * k[col]).to(dtype),
        torch.zeros_like(k).index_add(0, col, grad_score * q[row]).to(dtype),
        torch.zeros_like(v).index_add(0, col, p * grad[row]).to(dtype),
    ]


def worst_of_plain(
    exact: list[Tensor], graph: Graph, inputs: list[Tensor], grads: list[Tensor]
) -> list[Tensor]:
    """The worse, by element, of four orders of the channels: on few elements one may be lucky."""
    worst = plain_passes(graph, inputs, grads)
    for _ in range(3):
        order = torch.randperm(inputs[0].shape[-1], device=graph.device)
        shuffled = [t[..., order] for t in inputs]
        plain = plain_passes(graph, shuffled, [grads[0][..., order], grads[1]])
        for i, (result, reference64) in enumerate(zip(plain, exact, strict=True)):
            back = result if result.dim() == 2 else result[..., order.argsort()]
            worse = (back - reference64).abs() > (worst[i] - reference64).abs()
            worst[i] = torch.where(worse, back, worst[i])
    return worst


def check(graph: Graph, dtype: torch.dtype, heads: int, width: int, size: float, seed: int) -> None:
    """Forward and every gradient under the error rule; scores have standard deviation ``size``."""
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: int, *inner: int) -> Tensor:
        return torch.randn(rows, *inner, generator=generator).to(graph.device)

    n, m = graph.num_rows, graph.num_cols
    inputs = [draw(rows, heads, width) for rows in (n, m, m)]
    inputs[0] *= size
    grads = [draw(n, heads, width), draw(n, heads)]
    inputs, grads = [t.to(dtype) for t in inputs], [grads[0].to(dtype), grads[1]]
    exact = both_passes(
        reference.attend, graph, [t.double() for t in inputs], [t.double() for t in grads]
    )
    grads[1] = grads[1].to(torch.promote_types(dtype, torch.float32))
    actual = both_passes(attend_with_lse, graph, inputs, grads)
    if dtype == torch.float64:
        # No wider reference exists: a rounding error of a score is one of its weight.
        plain = [t * (1 + 1e-13 * max(1.0, size)) for t in exact]
    else:
        plain = worst_of_plain(exact, graph, inputs, grads)
    for name, a, e, p in zip(NAMES, actual, exact, plain, strict=True):
        where = f"{name} (H={heads}, D={width}, scores {size:g}, seed {seed})"
        assert_close(a, e, p, factor=3 if name.startswith("grad") else 2, name=where)


def sample(name: str, dtype: torch.dtype, count: int) -> list[tuple[int, int, float]]:
    """Shapes and score sizes: all widths, and heads while a row stays within 512 channels."""
    draw = random.Random(f"{name} {dtype}")
    widths = draw.sample(WIDTHS, len(WIDTHS)) * (count // len(WIDTHS) + 1)
    return [
        (draw.choice([h for h in HEADS if h * width <= 512]), width, draw.choice(SCORE_SIZES))
        for width in widths[:count]
    ]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs(device: str, name: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs(device)[name]
    for seed, (heads, width, size) in enumerate(sample(name, dtype, 16)):
        check(graph, dtype, heads, width, size, seed)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("heads", "width"), [(65, 1), (1024, 1), (7, 3), (1, 61), (1, 127), (1, 512)]
)
def test_many_heads_and_wide_heads(device: str, dtype: torch.dtype, heads: int, width: int) -> None:
    graph = from_degrees([3, 0, 40, 700, 1], 30, seed=3).to(device)
    check(graph, dtype, heads, width, 1.0, seed=0)


def test_float16_overflows_only_where_the_result_does(device: str) -> None:
    graph = from_degrees([1000], 4, seed=0).to(device)
    q = torch.zeros(1, 1, 2, dtype=torch.float16, device=device)
    v = torch.full((4, 1, 2), 65504.0, dtype=torch.float16, device=device)
    assert torch.equal(attend_with_lse(graph, q, torch.ones_like(v), v)[0], v[:1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_hub_is_summed_in_float32(device: str, dtype: torch.dtype) -> None:
    degree = 262_144
    edge_index = torch.stack([torch.arange(degree), torch.zeros(degree, dtype=torch.int64)])
    graph = Graph.from_edge_index(edge_index, (degree, 1)).to(device)
    v = (torch.randn(degree, 1, 2, device=device) + 1).to(dtype)
    q = torch.zeros(1, 1, 2, dtype=dtype, device=device)
    out = attend_with_lse(graph, q, v, v)[0]
    exact = v.double().mean(0)
    # Half a unit in the last place is what rounding the result costs.
    assert (out[0].double() - exact).abs().max() <= 5e-4 + torch.finfo(dtype).eps / 2 * 1.01
