"""attend by hand and at the limits of its scores."""

from math import inf, log, nan

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.ops import Dot, attend, attend_with_lse
from neighborgraph.ops.attend import reference
from neighborgraph.testing import assert_close, from_pairs, random_graph

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]

# Head 0 weighs sources 0, 1, 2 as 1 : 2 : 3; head 1 weighs all alike.
KEYS = [[[0.0], [1.0]], [[log(2)], [1.0]], [[log(3)], [1.0]]]
VALUES = [[[1.0], [1.0]], [[10.0], [10.0]], [[100.0], [100.0]]]
OUT = [
    [[41 / 5], [21 / 3]],
    [[0.0], [0.0]],
    [[100.0], [100.0]],
    [[138_994 / 2599], [48_064 / 1300]],
]
LSE = [[log(5), log(3)], [-inf, -inf], [log(3), 0.0], [log(2599), log(1300)]]
# What each source gives to all rows together: the gradient of a value that is one everywhere.
SHARES = [
    [[1 / 5 + 434 / 2599], [1 / 3 + 434 / 1300]],
    [[4 / 5 + 866 / 2599], [2 / 3 + 433 / 1300]],
    [[1 + 1299 / 2599], [1 + 433 / 1300]],
]
QUERY_GRADS = [
    [[4 * log(2) / 5], [1.0]],
    [[0.0], [0.0]],
    [[log(3)], [1.0]],
    [[(866 * log(2) + 1299 * log(3)) / 2599], [1.0]],
]


def by_hand(device: str, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    queries = [[[1.0], [0.0]]] * 4
    return [torch.tensor(t, dtype=dtype, device=device) for t in (queries, KEYS, VALUES)]


def assert_equals(actual: torch.Tensor, expected: list, tolerance: float = 1e-12) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.double().cpu(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    list(zip(FLOATS, [1e-12, 2e-6, 1e-3, 8e-3], strict=True)),
    ids=str,
)
def test_by_hand(hand: Graph, device: str, dtype: torch.dtype, tolerance: float) -> None:
    out, lse = attend_with_lse(hand, *by_hand(device, dtype), score=Dot(1.0))
    assert_equals(out, OUT, tolerance)
    assert_equals(lse, LSE, tolerance)
    assert out.dtype == dtype
    assert lse.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_gradients_by_hand(hand: Graph, device: str) -> None:
    q, k, v = (t.requires_grad_() for t in by_hand(device))
    out, lse = attend_with_lse(hand, q, k, v, score=Dot(1.0))
    (grad_v,) = torch.autograd.grad(out.sum(), v, retain_graph=True)
    assert_equals(grad_v, SHARES)
    # The log-sum-exp grows with a score as that edge's share does. Queries are 1 and 0.
    grad_q, grad_k = torch.autograd.grad(lse.sum(), (q, k))
    assert_equals(grad_q, QUERY_GRADS)
    assert_equals(grad_k[:, :1], [share[:1] for share in SHARES])
    assert_equals(grad_k[:, 1:], [[[0.0]]] * 3)


def test_default_scale_is_one_over_the_root_of_the_width(hand: Graph, device: str) -> None:
    q, k, v = (torch.randn(n, 2, 16, device=device) for n in (4, 3, 3))
    assert torch.equal(attend(hand, q, k, v), attend(hand, q, k, v, score=Dot(0.25)))


@pytest.mark.parametrize("scale", [0.0, -1.5, 1e-30])
def test_any_finite_scale(hand: Graph, device: str, scale: float) -> None:
    q, k, v = (torch.randn(n, 2, 5, device=device, dtype=torch.float64) for n in (4, 3, 3))
    expected, *_ = reference.attend(hand, q, k, v, score=Dot(scale))
    torch.testing.assert_close(attend(hand, q, k, v, score=Dot(scale)), expected)


def star(device: str, sources: int) -> Graph:
    """Row 0 receives from every source; row 1 is empty."""
    return from_pairs([(source, 0) for source in range(sources)], sources, 2).to(device)


def attend_to_scores(
    device: str, scores: list[float], v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and log-sum-exp of the one row whose edges have these scores, in float32."""
    q, k = torch.zeros(2, *v.shape[1:], device=device), torch.zeros_like(v)
    q[..., 0] = 1
    k[:, 0, 0] = torch.tensor(scores)
    out, lse = attend_with_lse(star(device, len(scores)), q, k, v, score=Dot(1.0))
    assert torch.equal(out[1], torch.zeros_like(out[1]))
    assert lse[1].item() == -inf
    return out[0], lse[0]


def extremes(device: str) -> list[float]:
    # The GPU keeps scores in base 2, which ends at 3.4e38 / log2(e).
    largest = 3e38 if device == "cpu" else 2.3e38
    return [-largest, -2.5e5, -5e4, -1e4, -100.0, 0.0, 88.8, 1e4, largest]


@pytest.mark.parametrize("which", range(9))
@pytest.mark.parametrize("degree", [1, 3, 700])
def test_equal_scores_of_any_size_share_alike(device: str, which: int, degree: int) -> None:
    score = extremes(device)[which]
    ones = torch.ones(degree, 1, 1, device=device)
    out, lse = attend_to_scores(device, [score] * degree, ones)
    assert abs(out.item() - 1) <= 2e-6
    v = torch.randn(degree, 1, 64, device=device)
    out, _ = attend_to_scores(device, [score] * degree, v)
    in_order = torch.zeros_like(v[0])
    for value in v:
        in_order += value
    assert_close(out, v.double().mean(0), in_order / degree)
    assert lse.item() == pytest.approx(score + log(degree), rel=1e-6, abs=1e-5)


def test_the_largest_of_extreme_scores_takes_all(device: str) -> None:
    scores = extremes(device)
    v = torch.randn(9, 1, 4, device=device)
    out, lse = attend_to_scores(device, scores, v)
    assert torch.equal(out, v[8])
    assert lse.item() == pytest.approx(scores[8], rel=1e-6)


def test_one_infinite_score_takes_all_and_two_are_nan(device: str) -> None:
    v = torch.randn(4, 1, 3, device=device)
    out, lse = attend_to_scores(device, [1.0, inf, -3.0, 9.0], v)
    assert torch.equal(out, v[1])
    assert lse.item() == inf
    out, lse = attend_to_scores(device, [inf, 0.0, inf, 0.0], v)
    assert out.isnan().all()
    assert lse.isnan().all()


def test_minus_infinity_masks_its_edge(device: str) -> None:
    v = torch.randn(4, 1, 3, device=device)
    v[2] = nan
    out, lse = attend_to_scores(device, [0.5, 0.5, -inf, -inf], v)
    assert_close(out, v[:2].double().mean(0), v[:2].mean(0))
    assert lse.item() == pytest.approx(0.5 + log(2))


@pytest.mark.parametrize("degree", [1, 40, 1100])
def test_a_row_of_masked_edges_is_an_empty_row(device: str, degree: int) -> None:
    v = torch.full((degree, 1, 3), nan, device=device)
    out, lse = attend_to_scores(device, [-inf] * degree, v)
    assert torch.equal(out, torch.zeros_like(out))
    assert lse.item() == -inf


def test_masked_edges_take_no_part_in_gradients(device: str) -> None:
    graph = from_pairs([(0, 0), (1, 0), (2, 0), (2, 1)], 3, 2).to(device)
    without = from_pairs([(0, 0), (1, 0)], 3, 2).to(device)
    q = torch.ones(2, 1, 1, device=device)
    k = torch.tensor([0.5, 1.5, -inf], device=device).view(3, 1, 1)
    v = torch.tensor([2.0, 5.0, 7.0], device=device).view(3, 1, 1)

    def gradients(graph: Graph) -> list[list[float]]:
        inputs = [t.clone().requires_grad_() for t in (q, k, v)]
        attend(graph, *inputs, score=Dot(1.0)).square().sum().backward()
        return [t.grad.view(-1).tolist() for t in inputs if t.grad is not None]

    torch.testing.assert_close(gradients(graph), gradients(without))


@pytest.mark.parametrize("poisoned", ["q", "k", "v"])
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_poison_reaches_the_rows_that_use_it(device: str, poisoned: str, value: float) -> None:
    for seed in range(10):
        graph = random_graph(seed, 12, 15, 40).to(device)
        inputs = {
            n: torch.randn(s, 2, 3, device=device) for n, s in {"q": 12, "k": 15, "v": 15}.items()
        }
        clean, _ = attend_with_lse(graph, *inputs.values())
        inputs[poisoned][seed % 12, 1, 1] = value
        out, lse = attend_with_lse(graph, *inputs.values())
        expected, expected_lse, _ = reference.attend(graph, *inputs.values())
        torch.testing.assert_close(out, expected, equal_nan=True)
        torch.testing.assert_close(lse, expected_lse, equal_nan=True)
        source, receiver = graph.edge_index
        users = receiver[source == seed % 12] if poisoned != "q" else torch.tensor([seed % 12])
        spared = torch.ones(12, dtype=torch.bool, device=device)
        spared[users.to(device)] = False
        assert torch.equal(out[spared], clean[spared])
        assert torch.equal(out[:, 0], clean[:, 0])


def test_a_source_without_edges_changes_nothing(device: str) -> None:
    graph = from_pairs([(0, 0), (1, 0), (1, 2)], 4, 3).to(device)
    q = torch.randn(3, 2, 5, device=device)
    k, v = torch.randn(4, 2, 5, device=device), torch.randn(4, 2, 5, device=device)

    def results() -> list[torch.Tensor]:
        inputs = [t.clone().requires_grad_() for t in (q, k, v)]
        out, lse = attend_with_lse(graph, *inputs)
        out.square().sum().backward()
        return [out, lse, *(t.grad for t in inputs if t.grad is not None)]

    clean = results()
    k[2:], v[2:] = nan, inf
    for before, after in zip(clean, results(), strict=True):
        assert torch.equal(before, after)
    assert not clean[3][2:].any()
    assert not clean[4][2:].any()
