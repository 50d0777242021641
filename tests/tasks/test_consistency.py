"""Consistency training: the loss by hand, what a step calls, and that it learns."""

from typing import Any

import pytest
import torch

from neighborgraph.data.synthetic import load_tiny
from neighborgraph.models import GRAND
from neighborgraph.tasks import ConsistentClassification, consistency_loss, fit
from neighborgraph.tasks.settings import ConsistencySettings, OptimizerSettings, TrainingSettings

TINY = load_tiny()


def test_consistency_by_hand() -> None:
    p = torch.tensor([[[0.9, 0.1], [0.6, 0.4]]])
    # Mean 3/4 and 1/4, squared and divided by their sum 9/10 and 1/10.
    expected = (0.0 + 2 * 0.3**2) / 2
    assert consistency_loss(p.log(), 0.5).item() == pytest.approx(expected)
    # Unsharpened: each is 0.15 away in both classes.
    assert consistency_loss(p.log(), 1.0).item() == pytest.approx(2 * 0.15**2)


def test_consistency_survives_certainty_and_is_zero_without_doubt() -> None:
    scores = torch.tensor([[[1000.0, 0.0], [1000.0, 0.0]]], requires_grad=True)
    loss = consistency_loss(scores, 0.01)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_the_target_has_no_gradient() -> None:
    scores = torch.randn(5, 3, 4, requires_grad=True)
    consistency_loss(scores, 0.5).backward()
    p = scores.detach().requires_grad_()
    mean = scores.detach().softmax(-1).mean(1, keepdim=True).square()
    (p.softmax(-1) - mean / mean.sum(-1, keepdim=True)).square().sum(-1).mean().backward()
    torch.testing.assert_close(scores.grad, p.grad)


class Noisy(torch.nn.Module):
    """Says something else in every call of training, and the same in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[torch.Tensor] = []

    def forward(self, x, graph) -> torch.Tensor:
        scores = torch.randn(120, 4) if self.training else torch.ones(120, 4)
        self.said.append(scores)
        return scores


def task(**consistency: Any) -> ConsistentClassification:
    return ConsistentClassification(TINY, consistency=ConsistencySettings(**consistency))


@pytest.mark.parametrize(("samples", "weight"), [(1, 0.5), (3, 2.0), (3, 0.0)])
def test_loss_is_the_mean_over_calls_and_the_consistency(samples: int, weight: float) -> None:
    model, made = Noisy(), task(samples=samples, weight=weight, temperature=0.3)
    found = made.loss(model)
    assert len(model.said) == samples
    ids = made.parts["train"]
    crosses = [torch.nn.functional.cross_entropy(z[ids], TINY.y[ids]) for z in model.said]
    expected = torch.stack(crosses).mean()
    expected += weight * consistency_loss(torch.stack(model.said, dim=1), 0.3)
    torch.testing.assert_close(found, expected)


def test_evaluation_is_one_call() -> None:
    model, made = Noisy().eval(), task(samples=3)
    metrics = made.evaluate(model).metrics
    assert len(model.said) == 1
    assert metrics["test_acc"] == pytest.approx((TINY.y[made.parts["test"]] == 0).float().mean())


def test_grand_learns() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"in_channels": 16, "hidden_channels": 16, "out_channels": 4}
    fitted = fit(
        GRAND(**sizes, hops=3, dropout=0.2, input_dropout=0.1),
        task(samples=2),
        optimizer=OptimizerSettings(lr=0.02),
        training=TrainingSettings(epochs=60),
    )
    assert fitted.metrics["test_acc"] > 0.9
