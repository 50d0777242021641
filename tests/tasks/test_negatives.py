"""Drawn pairs: their law, what they avoid, and that they follow from the generator."""

import pytest
import torch

from neighborgraph.graph import Graph, to_undirected
from neighborgraph.tasks.negatives import NEGATIVES

PATH = to_undirected(Graph.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
EDGES = torch.tensor([[0, 1, 2], [1, 2, 3]]).repeat(1, 4000)


def draw(name: str, seed: int = 0) -> torch.Tensor:
    return NEGATIVES[name](PATH).draw(EDGES, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NEGATIVES)
def test_one_pair_an_edge_from_the_generator_alone(name: str) -> None:
    pairs = draw(name)
    assert pairs.shape == EDGES.shape
    assert pairs.dtype == torch.int64
    assert torch.equal(pairs, draw(name))
    assert not torch.equal(pairs, draw(name, seed=1))
    assert set(pairs[1].tolist()) == {0, 1, 2, 3}


def share(pairs: torch.Tensor) -> torch.Tensor:
    """[4, 4] fraction of the pairs that go from a node to another."""
    return (pairs[0] * 4 + pairs[1]).bincount(minlength=16).view(4, 4) / pairs.shape[1]


def test_any_pair_is_equally_likely() -> None:
    torch.testing.assert_close(share(draw("any")), torch.full((4, 4), 1 / 16), atol=0.01, rtol=0)


def test_targets_keep_the_source() -> None:
    pairs = draw("targets")
    assert torch.equal(pairs[0], EDGES[0])
    expected = torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None].expand(4, 4) / 12
    torch.testing.assert_close(share(pairs), expected, atol=0.01, rtol=0)


def test_unlinked_pairs_are_equally_likely_and_the_rest_is_rare() -> None:
    found = share(draw("unlinked"))
    apart = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0]]) / 6
    # Ten of sixteen are linked or the same, so (5/8)^9 of the pairs stay as they are.
    torch.testing.assert_close(found, apart, atol=0.02, rtol=0)
    assert float(found[apart == 0].sum()) == pytest.approx((5 / 8) ** 9, abs=0.005)
