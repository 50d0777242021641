"""Laws of sample: what is drawn is there, as often as it should be, and without a bias."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from neighborgraph.ops.sample import Draw, Population, sample_neighbors
from neighborgraph.testing import from_degrees, random_graph

DRAWS = 200_000
LEAST_P = 1e-4


@settings(max_examples=500)
@given(
    seed=st.integers(0, 10**6),
    num_rows=st.integers(1, 30),
    num_edges=st.integers(0, 120),
    count=st.sampled_from([0, 1, 2, 5, 30, 2**31 - 1, -1, "degree", "degree + 1"]),
    replace=st.booleans(),
    weighted=st.booleans(),
)
def test_samples_are_edges(
    seed: int, num_rows: int, num_edges: int, count: int | str, replace: bool, weighted: bool
) -> None:
    graph = random_graph(seed, num_rows, 20, num_edges)
    if isinstance(count, str):
        count = int(graph.degree.max()) + count.endswith("1")
    count = min(count, 1000) if replace else count
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(num_edges, generator=generator) if weighted else None
    population = Population.of(graph, weight=weight)
    row = torch.randint(num_rows, (10,), generator=generator)
    receiver, source, edge = sample_neighbors(population, row, count, Draw(seed), replace=replace)

    ends = graph.edge_index[:, edge]
    assert torch.equal(ends[0], source)
    assert torch.equal(ends[1], row[receiver])
    assert (receiver.diff() >= 0).all()
    degree = population.ptr.diff()[row]
    expected = degree if count < 0 else degree.clamp(max=count)
    if replace and count >= 0:
        expected = torch.where(degree > 0, count, 0)
    assert torch.equal(receiver.bincount(minlength=10), expected)
    if not replace or count < 0:
        pair = receiver * max(num_edges, 1) + edge
        assert pair.unique().numel() == pair.numel()


def drawn_often(degree: int, count: int, *, replace: bool, weight: Tensor | None = None) -> Tensor:
    """How often each neighbour of one row is drawn in ``DRAWS`` draws of ``count``, [DRAWS, K]."""
    graph = from_degrees([degree], degree, seed=0)
    population = Population.of(graph, weight=weight)
    key = torch.arange(DRAWS)
    return sample_neighbors(
        population, torch.zeros_like(key), count, Draw(1), key=key, replace=replace
    ).edge.view(DRAWS, count)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("count", [1, 5, 10])
@pytest.mark.parametrize("degree", [2, 10, 100, 1000])
def test_uniform(degree: int, count: int, replace: bool) -> None:
    edge = drawn_often(degree, min(count, degree), replace=replace)
    counts = edge.view(-1).bincount(minlength=degree).double()
    if count >= degree and not replace:
        assert (counts == DRAWS).all()
        return
    # Counts vary less without replacement; the test is meant for independent draws.
    spread = 1 if replace else (degree - count) / (degree - 1)
    mean = counts.mean()
    assert chisquare_p((counts - mean) / spread**0.5 + mean) > LEAST_P


def chisquare_p(counts: Tensor) -> float:
    return float(chisquare(counts.numpy()).pvalue)


def test_every_pair_without_replacement_is_as_likely() -> None:
    edge = drawn_often(6, 2, replace=False).sort(dim=1).values
    counts = (edge[:, 0] * 6 + edge[:, 1]).bincount(minlength=36).double()
    assert int((counts > 0).sum()) == 15
    assert chisquare_p(counts[counts > 0]) > LEAST_P


WEIGHT = torch.arange(11.0)  # of edges 0 to 10; the first is never drawn


def test_weighted_with_replacement() -> None:
    counts = drawn_often(11, 5, replace=True, weight=WEIGHT).view(-1).bincount(minlength=11)
    assert counts[0] == 0
    expected = WEIGHT[1:].double() / WEIGHT.sum() * counts.sum()
    assert chisquare(counts[1:].double().numpy(), expected.numpy()).pvalue > LEAST_P


def test_weighted_without_replacement_is_successive_drawing() -> None:
    edge = drawn_often(11, 2, replace=False, weight=WEIGHT)
    assert (edge[:, 0] < edge[:, 1]).all()
    counts = (edge[:, 0] * 11 + edge[:, 1]).bincount(minlength=121).double().view(11, 11)
    p = WEIGHT.double() / WEIGHT.sum()
    in_turn = p[:, None] * p / (1 - p[:, None])
    expected = (in_turn + in_turn.T).triu(1) * DRAWS
    inside = expected > 0
    assert not counts[~inside].any()
    wanted = expected[inside] * counts.sum() / expected[inside].sum()
    assert chisquare(counts[inside].numpy(), wanted.numpy()).pvalue > LEAST_P


def test_weights_far_apart() -> None:
    weight = torch.tensor([1e-38, 1e38, 1e38, 0.0])
    edge = drawn_often(4, 2, replace=False, weight=weight)
    assert torch.equal(edge, torch.tensor([1, 2]).expand(DRAWS, 2))
    assert drawn_often(4, 3, replace=False, weight=weight)[0].tolist() == [0, 1, 2]
