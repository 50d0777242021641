"""attend against the definition in float64, held to the error of ordinary arithmetic."""

import random
from dataclasses import dataclass
from itertools import product

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, attend, attend_with_lse
from neighborgraph.ops.attend import reference
from neighborgraph.ops.philox import keep, kept_factor
from neighborgraph.testing import AWKWARD, assert_close, awkward_graphs, from_degrees

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
WIDTHS = [1, 2, 3, 7, 8, 16, 31, 33, 64, 100, 128, 256]
HEADS = [1, 2, 3, 8]
SCORE_SIZES = [0.1, 1.0, 4.0, 60.0, 6000.0]
SEED = -(2**62) - 12345


@dataclass(frozen=True)
class Case:
    """What attend is asked for; scores have a standard deviation of about ``size``."""

    heads: int
    width: int
    value_width: int
    size: float = 1.0
    score: str = "dot"
    edge_inputs: tuple[str, ...] = ()
    dropout: float = 0.0
    self_loops: bool = False

    def options(self, tensors: dict[str, Tensor]) -> dict:
        """The keywords of attend, for tensors by name."""
        score = Dot() if self.score == "dot" else Additive(tensors.get("weight"), 0.3)
        inputs = {name: tensors[name] for name in self.edge_inputs}
        rest = {"dropout": self.dropout, "seed": SEED, "self_loops": self.self_loops}
        return {"score": score, **inputs, **rest}

    def draw(self, graph: Graph, dtype: torch.dtype, seed: int) -> tuple[dict, list[Tensor]]:
        """Inputs by name, and gradients of the output and the log-sum-exp."""
        generator = torch.Generator().manual_seed(seed)

        def randn(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(graph.device)

        n, m, heads = graph.num_rows, graph.num_cols, self.heads
        edges = graph.num_edges + self.self_loops * n
        tensors = {
            "q": randn(n, heads, self.width) * self.size,
            "k": randn(m, heads, self.width),
            "v": randn(m, heads, self.value_width),
        }
        if self.score == "additive":
            tensors["weight"] = randn(heads, self.width) / self.width**0.5
        if "bias" in self.edge_inputs:
            tensors["bias"] = randn(edges, heads)
            tensors["bias"][randn(edges, heads) > 1.5] = -torch.inf
        if "edge" in self.edge_inputs:
            tensors["edge"] = randn(edges, heads, self.width)
        wide = torch.promote_types(dtype, torch.float32)
        for name, tensor in tensors.items():
            keeps_float32 = name in ("weight", "bias") and seed % 2 == 1
            tensors[name] = tensor.to(wide if keeps_float32 else dtype)
        return tensors, [randn(n, heads, self.value_width).to(dtype), randn(n, heads).to(wide)]


def both_passes(function, graph: Graph, case: Case, tensors: dict, grads: list[Tensor]) -> dict:
    """Output, log-sum-exp and the gradient of every input, by name."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in tensors.items()}
    q, k, v = (leaves[name] for name in "qkv")
    out, lse, *_ = function(graph, q, k, v, **case.options(leaves))
    # The log-sum-exp of an empty row is constant.
    loss = (out * grads[0]).sum() + (lse * grads[1]).masked_fill(lse.isinf(), 0).sum()
    found = torch.autograd.grad(loss, list(leaves.values()))
    named = {f"grad_{name}": grad for name, grad in zip(leaves, found, strict=True)}
    return {"out": out.detach(), "lse": lse.detach(), **named}


def plain_passes(graph: Graph, case: Case, tensors: dict, grads: list[Tensor]) -> dict:
    """The same by the operator's own formulas, in ordinary Torch and float32.

    Scores and weights are those of the definition. Autograd through all of it would not do for the
    gradients: δ is rounded apart from <g, u>, as the two are in any kernel that keeps nothing per
    edge, so that a row of one edge does not look exact.
    """
    dtypes = {name: t.dtype for name, t in tensors.items()}
    leaves = {name: t.detach().float().requires_grad_() for name, t in tensors.items()}
    q, k, v = (leaves[name] for name in "qkv")
    grad, grad_lse = (t.float() for t in grads)
    options = case.options(leaves)
    with torch.no_grad():
        out, lse, _ = reference.attend(graph, q, k, v, **options)
    out = out.to(dtypes["v"])
    edges = reference.Edges.of(graph, case.self_loops)
    row, col = edges.row, edges.col
    bias, edge = leaves.get("bias"), leaves.get("edge")
    s = reference.scores(edges, q, k, options["score"], bias, edge)
    share, total, _ = reference.shares(s.detach(), row, graph.num_rows)
    p = share / torch.where(total == 0, 1.0, total)[row]
    m = torch.ones_like(p)
    if case.dropout > 0:
        number = torch.arange(len(row), device=row.device)
        m = keep(SEED, number, case.heads, case.dropout) * kept_factor(case.dropout)
    joins = edge is not None and case.score == "dot"
    value = (v[col] + edge if joins else v[col]).detach()
    delta = (grad.double() * out.double()).sum(-1).float() - grad_lse
    grad_score = p * (m * (grad[row] * value).sum(-1) - delta[row])
    scored = [name for name in leaves if name != "v"]
    found = dict(
        zip(scored, torch.autograd.grad(s, [leaves[n] for n in scored], grad_score), strict=True)
    )
    pulled = (m * p)[..., None] * grad[row]
    found["v"] = torch.zeros_like(v).index_add(0, col, pulled)
    if joins:
        found["edge"] = found["edge"] + pulled
    named = {f"grad_{name}": found[name].to(dtypes[name]) for name in leaves}
    return {"out": out, "lse": lse, **named}


def worst_of_plain(exact: dict, graph: Graph, case: Case, tensors: dict, grads: list) -> dict:
    """The worse, by element, of four orders of the channels: on few elements one may be lucky."""
    worst = plain_passes(graph, case, tensors, grads)
    for _ in range(3):
        order = torch.randperm(case.width, device=graph.device)
        same = case.value_width == case.width
        other = order if same else torch.randperm(case.value_width, device=graph.device)
        by_name = {"q": order, "k": order, "weight": order, "edge": order, "v": other}
        shuffled = {n: t[..., by_name[n]] if n in by_name else t for n, t in tensors.items()}
        plain = plain_passes(graph, case, shuffled, [grads[0][..., other], grads[1]])
        by_result = {"out": other, **{f"grad_{n}": o for n, o in by_name.items()}}
        for name, result in plain.items():
            if name in by_result:
                result = result[..., by_result[name].argsort()]
            worse = (result - exact[name]).abs() > (worst[name] - exact[name]).abs()
            worst[name] = torch.where(worse, result, worst[name])
    return worst


def check(graph: Graph, dtype: torch.dtype, case: Case, seed: int) -> None:
    """Forward and every gradient under the error rule."""
    tensors, grads = case.draw(graph, dtype, seed)
    doubles = {name: t.double() for name, t in tensors.items()}
    exact = both_passes(reference.attend, graph, case, doubles, [g.double() for g in grads])
    actual = both_passes(attend_with_lse, graph, case, tensors, grads)
    if dtype == torch.float64:
        # No wider reference exists: a rounding error of a score is one of its weight.
        plain = {n: t * (1 + 1e-13 * max(1.0, case.size)) for n, t in exact.items()}
    else:
        plain = worst_of_plain(exact, graph, case, tensors, grads)
    for name, result in actual.items():
        factor = 3 if name.startswith("grad") else 2
        where = f"{name} ({case}, seed {seed})"
        assert_close(result, exact[name], plain[name], factor=factor, name=where)


def sample(name: str, dtype: torch.dtype, count: int) -> list[Case]:
    """Shapes and score sizes: all widths, and heads while a row stays within 512 channels."""
    draw = random.Random(f"{name} {dtype}")
    widths = draw.sample(WIDTHS, len(WIDTHS)) * (count // len(WIDTHS) + 1)
    return [
        Case(draw.choice([h for h in HEADS if h * w <= 512]), w, w, draw.choice(SCORE_SIZES))
        for w in widths[:count]
    ]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs(device: str, name: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs(device)[name]
    for seed, case in enumerate(sample(name, dtype, 8)):
        check(graph, dtype, case, seed)


SCORES = ["dot", "additive", "width 1"]
EDGE_INPUTS = [(), ("bias",), ("edge",), ("bias", "edge")]
OPTIONS = list(product(SCORES, EDGE_INPUTS, [0.0, 0.4], [False, True]))
PER_GRAPH = 6


def options_of(name: str, dtype: torch.dtype) -> list[Case]:
    """The options that a graph is tested with: together the graphs take every one, in turn."""
    square = [key for key, graph in awkward_graphs().items() if graph.num_rows == graph.num_cols]
    turns = random.Random(str(dtype)).sample(OPTIONS, len(OPTIONS))
    draw = random.Random(f"{name} {dtype}")
    first = (square.index(name) if name in square else draw.randrange(48)) * PER_GRAPH
    cases = []
    for turn in range(first, first + PER_GRAPH):
        score, edge_inputs, dropout, self_loops = turns[turn % len(turns)]
        width = 1 if score == "width 1" else draw.choice([2, 3, 8, 16, 33])
        shares_width = score == "dot" and "edge" in edge_inputs
        value_width = width if shares_width else draw.choice([1, 5, 8, 24])
        self_loops = self_loops and name in square
        shape = draw.choice([1, 2, 5]), width, value_width, draw.choice([0.3, 1.0, 4.0])
        cases.append(Case(*shape, score, edge_inputs, dropout, self_loops))
    return cases


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", AWKWARD)
def test_options_on_awkward_graphs(device: str, name: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs(device)[name]
    for seed, case in enumerate(options_of(name, dtype)):
        check(graph, dtype, case, seed)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_combination_of_options_is_among_them(dtype: torch.dtype) -> None:
    cases = [case for name in AWKWARD for case in options_of(name, dtype)]
    tested = {(c.score, c.edge_inputs, c.dropout, c.self_loops) for c in cases}
    assert tested == set(OPTIONS)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("heads", "width", "value_width"),
    [(65, 1, 1), (1024, 1, 1), (7, 3, 3), (1, 61, 61), (1, 127, 3), (1, 512, 512), (4, 1, 200)],
)
def test_many_heads_and_wide_heads(
    device: str, dtype: torch.dtype, heads: int, width: int, value_width: int
) -> None:
    graph = from_degrees([3, 0, 40, 700, 1], 30, seed=3).to(device)
    check(graph, dtype, Case(heads, width, value_width), seed=0)


def test_float16_overflows_only_where_the_result_does(device: str) -> None:
    graph = from_degrees([1000], 4, seed=0).to(device)
    q = torch.zeros(1, 1, 2, dtype=torch.float16, device=device)
    v = torch.full((4, 1, 2), 65504.0, dtype=torch.float16, device=device)
    assert torch.equal(attend(graph, q, torch.ones_like(v), v), v[:1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_hub_is_summed_in_float32(device: str, dtype: torch.dtype) -> None:
    degree = 262_144
    edge_index = torch.stack([torch.arange(degree), torch.zeros(degree, dtype=torch.int64)])
    graph = Graph.from_edge_index(edge_index, (degree, 1)).to(device)
    v = (torch.randn(degree, 1, 2, device=device) + 1).to(dtype)
    q = torch.zeros(1, 1, 2, dtype=dtype, device=device)
    out = attend(graph, q, v, v)
    exact = v.double().mean(0)
    # Half a unit in the last place is what rounding the result costs.
    assert (out[0].double() - exact).abs().max() <= 5e-4 + torch.finfo(dtype).eps / 2 * 1.01
