"""The digits: counts, a symmetric graph without self-loops, similar neighbours."""

import torch

from neighborgraph.data.builtin import NUM_NEIGHBORS, load_digits


def test_digits() -> None:
    digits = load_digits()
    assert digits.x.shape == (1797, 64)
    assert (float(digits.x.min()), float(digits.x.max())) == (0.0, 1.0)
    source, receiver = digits.graph.edge_index
    assert not bool((source == receiver).any())
    assert int(digits.graph.degree.min()) >= NUM_NEIGHBORS
    pairs = {tuple(pair) for pair in digits.graph.edge_index.t().tolist()}
    assert {(receiver, source) for source, receiver in pairs} == pairs
    same = (digits.y[source] == digits.y[receiver]).float().mean()
    assert same > 0.95


def test_digits_split() -> None:
    digits = load_digits()
    split = digits.split(4)
    assert digits.y[split.train].bincount().tolist() == [20] * 10
    assert digits.y[split.val].bincount().tolist() == [30] * 10
    assert len(split.test) == 1797 - 500
    assert not torch.equal(digits.split(5).train, split.train)
