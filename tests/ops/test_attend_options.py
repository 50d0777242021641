"""Scores, edge inputs and self-loops of attend by hand, and against what they are short for."""

from math import exp, inf, log, nan

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.ops import Additive, Dot, attend, attend_with_lse, attend_with_weights
from neighborgraph.testing import from_pairs, random_graph

# Row 0 hears sources 0, 1, 2, row 1 hears source 2, row 2 nobody.
PAIRS = [(2, 1), (0, 0), (1, 0), (2, 0)]


def column(device: str, *numbers: float) -> Tensor:
    """One head of width 1 for each node or edge."""
    return torch.tensor(numbers, dtype=torch.float64, device=device).view(-1, 1, 1)


@pytest.fixture
def graph(device: str) -> Graph:
    return from_pairs(PAIRS, 3, 3).to(device)


def assert_rows(out: Tensor, *expected: float) -> None:
    assert out.flatten().tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_additive_by_hand(device: str, graph: Graph) -> None:
    q, k = column(device, 1.0, 5.0, 7.0), column(device, -3.0, 0.0, 1.0)
    v = column(device, 1.0, 10.0, 100.0)
    # Sums -2, 1 and 2; the first is below zero and the leaky ReLU shortens it to -1.
    shares = [exp(-1.0), exp(1.0), exp(2.0)]
    mean = (shares[0] + 10 * shares[1] + 100 * shares[2]) / sum(shares)
    assert_rows(attend(graph, q, k, v, score=Additive(negative_slope=0.5)), mean, 100.0, 0.0)
    # A weight stretches the terms after the leaky ReLU.
    shares = [exp(-3.0), exp(3.0), exp(6.0)]
    mean = (shares[0] + 10 * shares[1] + 100 * shares[2]) / sum(shares)
    score = Additive(column(device, 3.0)[0], negative_slope=0.5)
    assert_rows(attend(graph, q, k, v, score=score), mean, 100.0, 0.0)


def test_edge_vectors_of_a_dot_product_join_keys_and_values(device: str, graph: Graph) -> None:
    q, k, v = (column(device, *t) for t in ((2.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 2.0, 3.0)))
    # In the caller's order: 2 → 1, 0 → 0, 1 → 0, 2 → 0.
    edge = column(device, 50.0, 0.0, log(2), log(3))
    out = attend(graph, q, k, v, score=Dot(0.5), edge=edge)
    mean = (1.0 + 2 * (2.0 + log(2)) + 3 * (3.0 + log(3))) / 6
    assert_rows(out, mean, 53.0, 0.0)


def test_edge_vectors_of_an_additive_score_join_the_sum_alone(device: str, graph: Graph) -> None:
    zeros, v = column(device, 0.0, 0.0, 0.0), column(device, 1.0, 2.0, 3.0)
    edge = column(device, 50.0, 0.0, log(2), log(3))
    out = attend(graph, zeros, zeros, v, score=Additive(), edge=edge)
    assert_rows(out, (1.0 + 2 * 2.0 + 3 * 3.0) / 6, 3.0, 0.0)


def test_a_bias_is_added_in_the_callers_order(device: str, graph: Graph) -> None:
    zeros, v = column(device, 0.0, 0.0, 0.0), column(device, 1.0, 2.0, 3.0)
    bias = column(device, 50.0, 0.0, log(2), log(3)).flatten(1)
    out, lse = attend_with_lse(graph, zeros, zeros, v, bias=bias)
    assert_rows(out, 14 / 6, 3.0, 0.0)
    assert_rows(lse, log(6), 50.0, -inf)


@pytest.mark.parametrize("score", [Dot(), Additive()], ids=["dot", "additive"])
def test_a_bias_of_minus_infinity_masks_whatever_is_behind_it(device: str, score) -> None:
    graph = from_pairs(PAIRS, 3, 3).to(device)
    without = from_pairs([PAIRS[1], PAIRS[2]], 3, 3).to(device)
    q, k, v = (torch.randn(3, 2, 4, device=device) for _ in range(3))
    v[2] = nan
    bias = torch.zeros(4, 2, device=device)
    bias[[0, 3]] = -inf

    def results(graph: Graph, **options: Tensor) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in (q, k, v)]
        out, lse = attend_with_lse(graph, *leaves, score=score, **options)
        weights = attend_with_weights(graph, *leaves, score=score, **options)[1]
        out.square().sum().backward()
        return [out, lse, weights, *(t.grad for t in leaves if t.grad is not None)]

    masked, expected = results(graph, bias=bias.requires_grad_()), results(without)
    assert not masked[2][[0, 3]].any()
    masked[2] = masked[2][[1, 2]]
    for a, e in zip(masked, expected, strict=True):
        assert torch.equal(a, e)
    assert bias.grad is not None
    assert not bias.grad[[0, 3]].any()


def test_a_bias_of_plus_infinity_takes_all_the_weight(device: str, graph: Graph) -> None:
    zeros, v = column(device, 0.0, 0.0, 0.0), column(device, 1.0, 2.0, 3.0)
    bias = column(device, 0.0, 0.0, inf, 0.0).flatten(1)
    out, weights = attend_with_weights(graph, zeros, zeros, v, bias=bias)
    assert_rows(out, 2.0, 3.0, 0.0)
    assert_rows(weights, 1.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("width", [1, 2, 40])
def test_values_may_have_another_width_than_keys(device: str, width: int) -> None:
    graph = random_graph(1, 9, 7, 30).to(device)
    q, k, v = (torch.randn(n, 2, 8, device=device) for n in (9, 7, 7))
    out = attend(graph, q, k, v)
    wide = torch.cat([v] * 5, dim=-1)[..., :width].requires_grad_()
    q.requires_grad_()
    part = attend(graph, q, k, wide)
    torch.testing.assert_close(part, torch.cat([out] * 5, dim=-1)[..., :width])
    grad_q, grad_v = torch.autograd.grad(part.sum(), (q, wide))
    assert (grad_q.shape, grad_v.shape) == (q.shape, wide.shape)


def inputs_of(kind: str, graph: Graph, edges: int) -> dict:
    """Options of a score with every edge input, in float64."""
    options = {"dtype": torch.float64, "device": graph.device}
    score = Dot() if kind == "dot" else Additive(torch.randn(2, 3, **options))
    edge, bias = torch.randn(edges, 2, 3, **options), torch.randn(edges, 2, **options)
    return {"score": score, "edge": edge, "bias": bias}


@pytest.mark.parametrize("kind", ["dot", "additive"])
def test_self_loops_replace_those_of_the_graph(device: str, kind: str) -> None:
    for seed in range(5):
        drawn = random_graph(seed, 8, 8, 40).edge_index
        loops = torch.tensor([[3, 5, 3, 0], [3, 5, 3, 0]])
        graph = Graph.from_edge_index(torch.cat([drawn[:, :20], loops, drawn[:, 20:]], 1), 8)
        source, receiver = graph.edge_index
        others = (source != receiver).to(device)
        loopless = Graph.from_edge_index(graph.edge_index[:, others.cpu()], 8)
        rewritten = add_self_loops(loopless).to(device)
        graph = graph.to(device)
        options = inputs_of(kind, graph, graph.num_edges + 8)
        kept = torch.cat([others, torch.ones(8, dtype=torch.bool, device=device)])
        fewer = {**options, "edge": options["edge"][kept], "bias": options["bias"][kept]}
        q, k, v = (torch.randn(8, 2, 3, dtype=torch.float64, device=device) for _ in range(3))
        grad = torch.randn_like(q)

        def results(graph: Graph, options: dict, inputs=(q, k, v), grad=grad, **more) -> list:
            leaves = [t.clone().requires_grad_() for t in inputs]
            edge, bias = (options[name].clone().requires_grad_() for name in ("edge", "bias"))
            options = {**options, "edge": edge, "bias": bias, **more}
            out, weights = attend_with_weights(graph, *leaves, **options)
            return [out, *torch.autograd.grad(out, [*leaves, edge, bias], grad), weights]

        actual = results(graph, options, self_loops=True)
        expected = results(rewritten, fewer)
        for number in (4, 5, 6):  # one row for each edge
            assert not actual[number][~kept].any()
            actual[number] = actual[number][kept]
        for a, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(a, e, rtol=1e-11, atol=1e-12)


def test_with_self_loops_no_row_is_empty(device: str) -> None:
    graph = from_pairs([], 3, 3).to(device)
    q = torch.randn(3, 2, 4, device=device)
    out, weights = attend_with_weights(graph, q, q, q, self_loops=True)
    assert torch.equal(out, q)
    assert torch.equal(weights, torch.ones(3, 2, device=device))
