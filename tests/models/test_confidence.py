"""Dispersion by hand and against NumPy-like sums; the gate is monotone and sees features or not."""

import math

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.models import ConfidenceGate, dispersion
from neighborgraph.tasks.node_classification import sparse_when_small


@pytest.mark.parametrize(
    ("probabilities", "variance", "entropy"),
    [
        ([0.5, 0.5], 0.0, 0.0),
        # 2 (9/16 + 1/16) - 1; 1 + (3/4 log 3/4 + 1/4 log 1/4) / log 2 = 3/4 log 3 / log 2 - 1
        ([0.75, 0.25], 0.25, 0.75 * math.log2(3) - 1),
        ([1.0, 0.0], 1.0, 1.0),
        ([0.25] * 4, 0.0, 0.0),
        # (4 / 2 - 1) / 3; half of the entropy of four
        ([0.5, 0.5, 0.0, 0.0], 1 / 3, 0.5),
        ([0.0, 0.0, 0.0, 1.0], 1.0, 1.0),
    ],
)
def test_by_hand(probabilities: list[float], variance: float, entropy: float) -> None:
    scores = torch.tensor([probabilities], dtype=torch.float64).log()
    expected = torch.tensor([[variance, entropy]], dtype=torch.float64)
    torch.testing.assert_close(dispersion(scores), expected, rtol=0, atol=1e-12)


def test_variance_and_entropy_are_what_they_are_called() -> None:
    p = torch.randn(50, 7, dtype=torch.float64).softmax(1)
    one_hot = torch.eye(7, dtype=torch.float64)[0]
    variance = p.var(1, correction=0) / one_hot.var(correction=0)
    entropy = torch.distributions.Categorical(p).entropy()
    expected = torch.stack([variance, 1 - entropy / math.log(7)], dim=1)
    torch.testing.assert_close(dispersion(p.log()), expected)


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e4])
def test_within_its_range(scale: float) -> None:
    d = dispersion(scale * torch.randn(200, 5))
    assert bool(((d >= 0) & (d <= 1)).all())


def test_order_of_classes_does_not_matter() -> None:
    scores = torch.randn(20, 5, dtype=torch.float64)
    torch.testing.assert_close(dispersion(scores[:, torch.randperm(5)]), dispersion(scores))


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="scores have 1 columns"):
        dispersion(torch.zeros(3, 1))


@pytest.mark.parametrize("features", [0, 6])
def test_more_dispersion_is_never_less_confidence(features: int) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        gate = ConfidenceGate(8, features).double()
        low = torch.rand(50, 2, dtype=torch.float64)
        high = low + torch.rand(50, 2, dtype=torch.float64) * (1 - low)
        x = torch.randn(50, 6, dtype=torch.float64)
        assert bool((gate(high, x) >= gate(low, x)).all())
        assert bool((gate(high, x) > gate(low, x)).any())


def test_formula_with_features_dense_and_sparse() -> None:
    gate, d = ConfidenceGate(4, 30).eval(), torch.rand(40, 2)
    x = torch.rand(40, 30) * (torch.rand(40, 30) < 0.05)
    assert gate.features is not None
    hidden = d @ gate.hidden.weight.abs().t() + x @ gate.features.weight.t() + gate.hidden.bias
    expected = (hidden.relu() @ gate.out.weight.abs().t() + gate.out.bias).sigmoid()[:, 0]
    torch.testing.assert_close(gate(d, x), expected)
    torch.testing.assert_close(gate(d, sparse_when_small(x)), expected)


def test_without_features_they_are_not_looked_at() -> None:
    gate, d = ConfidenceGate(4), torch.rand(9, 2)
    assert torch.equal(gate(d, torch.zeros(9, 3)), gate(d, torch.full((9, 3), torch.nan)))


def test_dropout_only_while_training() -> None:
    gate, d, x = ConfidenceGate(64, dropout=0.5), torch.rand(9, 2), torch.zeros(9, 1)
    assert not torch.equal(gate(d, x), gate(d, x))
    gate.eval()
    assert torch.equal(gate(d, x), gate(d, x))


@pytest.mark.parametrize(
    ("arguments", "dropout", "message"),
    [
        ((0,), 0.0, "hidden_channels=0 must be at least 1"),
        ((4, -1), 0.0, "feature_channels=-1 is negative"),
        ((4,), 1.0, r"dropout=1.0 is outside \[0, 1\)"),
    ],
)
def test_wrong_options(arguments: tuple, dropout: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConfidenceGate(*arguments, dropout=dropout)


def test_gradcheck() -> None:
    gate = ConfidenceGate(4, 3).double()
    d = torch.rand(6, 2, dtype=torch.float64, requires_grad=True)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gate, (d, x))
