"""Local augmentation in training: fresh samples, what is read when, and exact resumption."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import InputError
from neighborgraph.models import LAGCN, LAGRAND
from neighborgraph.tasks import (
    AugmentedClassification,
    Checkpoints,
    Fitted,
    SubstitutedClassification,
    consistency_loss,
    fit,
)
from neighborgraph.tasks.interrupt import Stopped
from neighborgraph.tasks.settings import (
    ConsistencySettings,
    GeneratorSettings,
    OptimizerSettings,
    TrainingSettings,
)

TINY = load_tiny()
FAST = GeneratorSettings(epochs=2, warm_up=5, predictions=5)


def build(seed: int = 0) -> LAGCN:
    torch.manual_seed(seed)
    return LAGCN(in_channels=16, hidden_channels=8, out_channels=4, dropout=0.5, concat=2)


def task(**consistency: Any) -> AugmentedClassification:
    settings = ConsistencySettings(**{"samples": 3, **consistency})
    return AugmentedClassification(TINY, row_normalize=True, generator=FAST, consistency=settings)


def train(model: LAGCN, folder: Path | None = None, epochs: int = 30, **options: Any) -> Fitted:
    return fit(
        model,
        task(),
        optimizer=OptimizerSettings(lr=0.02, weight_decay=5e-4),
        training=TrainingSettings(epochs=epochs, checkpoint_every=7),
        checkpoints=None if folder is None else Checkpoints(folder),
        identity={"seed": 0},
        **options,
    )


def prepared(**consistency: Any) -> tuple[LAGCN, AugmentedClassification]:
    model, made = build(), task(**consistency)
    x, y = TINY.x, TINY.y
    model.augmentation.fit(x, TINY.graph, y, made.parts["train"], seed=0, **vars(FAST))
    return model, made


def test_loss_is_the_mean_over_samples_and_the_consistency() -> None:
    model, made = prepared(weight=2.0, temperature=0.3)
    model.eval()
    torch.manual_seed(5)
    found = made.loss(model).item()
    torch.manual_seed(5)
    scores = model(made.x, made.graph, made.draw(model, 3))
    ids = made.parts["train"]
    crosses = [
        torch.nn.functional.cross_entropy(scores[ids, s], TINY.y[ids]).item() for s in range(3)
    ]
    expected = sum(crosses) / 3 + 2 * consistency_loss(scores, 0.3).item()
    assert found == pytest.approx(expected)


def test_samples_are_new_in_each_step_and_normalised() -> None:
    model, made = prepared()
    sets = made.draw(model, 3)
    assert sets.shape == (2, 3, 120, 16)
    torch.testing.assert_close(sets.sum(-1), torch.ones(2, 3, 120))
    flat = sets.flatten(0, 1)
    assert len({each.sum(0)[0].item() for each in flat}) == 6
    assert not torch.equal(made.draw(model, 3), sets)


def test_the_state_names_the_sets_it_was_evaluated_with() -> None:
    model, made = prepared()
    model.eval()
    with torch.no_grad():
        first = made.evaluate(model)
        seed = model.drawn_from.item()
        scores = made.scores(model)
        assert torch.equal(made.scores(model), scores)
        second = made.evaluate(model)
    ids = made.parts["val"]
    expected = torch.nn.functional.cross_entropy(scores[ids], TINY.y[ids]).item()
    assert first.val_loss == pytest.approx(expected)
    assert second.val_loss != first.val_loss
    assert model.drawn_from.item() != seed


def test_it_learns_and_leaves_the_best_state() -> None:
    model = build()
    fitted = train(model, epochs=80)
    assert fitted.metrics["test_acc"] > 0.8
    made = task()
    with torch.no_grad():
        scores = made.scores(model.eval())
    test = made.parts["test"]
    assert made.target.measure(scores[test], TINY.y[test]) == fitted.metrics["test_acc"]


def final_tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(folder).load()
    assert checkpoint is not None
    return checkpoint.tensors


@pytest.mark.parametrize("stops", [(1,), (8, 20)])
def test_stopped_and_resumed_equals_straight_through(tmp_path: Path, stops: tuple) -> None:
    straight = train(build(), tmp_path / "straight")
    for epoch in stops:

        def watch(moment: dict[str, float], epoch: int = epoch) -> None:
            if moment["epoch"] == epoch:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Stopped):
            train(build(), tmp_path / "stopped", watch=watch)
    resumed_model = build(seed=99)
    torch.manual_seed(12345)
    resumed = train(resumed_model, tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_resumed_run_does_not_fit_again(tmp_path: Path, monkeypatch) -> None:
    def stop(moment: dict[str, float]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(build(), tmp_path, watch=stop)
    monkeypatch.setattr("neighborgraph.models.LocalAugmentation.fit", None)
    assert train(build(seed=1), tmp_path).epochs == 30


def test_test_labels_change_nothing_but_the_test_metrics(monkeypatch) -> None:
    other = TINY.y.clone()
    test = TINY.split(0).test
    other[test] = (other[test] + 1) % 4
    blind = replace(TINY, y=other, split_rule=TINY.split)
    straight = train(build(), epochs=60)
    monkeypatch.setitem(globals(), "TINY", blind)
    found = train(build(), epochs=60)
    assert found.val_losses == straight.val_losses
    assert found.metrics["test_acc"] != straight.metrics["test_acc"]


def test_features_that_the_cross_entropy_cannot_take() -> None:
    made = AugmentedClassification(replace(TINY, x=TINY.x * 2), generator=FAST)
    with pytest.raises(InputError, match="use reconstruction='squared-error'"):
        fit(
            build(),
            made,
            optimizer=OptimizerSettings(lr=0.01),
            training=TrainingSettings(epochs=1),
        )


class Spy(torch.nn.Module):
    """Says of every node the sum of its features, and remembers what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.augmentation = build().augmentation
        self.seen: list[Any] = []

    def forward(self, x, graph) -> torch.Tensor:
        self.seen.append(x)
        return torch.eye(4)[TINY.y] * len(self.seen)


def substituted(**consistency: Any) -> SubstitutedClassification:
    settings = ConsistencySettings(**{"samples": 3, **consistency})
    return SubstitutedClassification(TINY, row_normalize=True, generator=FAST, consistency=settings)


def test_drawn_features_take_the_place_of_the_true_ones() -> None:
    model, made = Spy(), substituted()
    train = made.parts["train"]
    model.augmentation.fit(TINY.x, TINY.graph, TINY.y, train, seed=0, **vars(FAST))
    scores = made.samples(model)
    # S = 3 calls with the true features, then one for each of K S = 6 drawn sets.
    assert scores[0, :, TINY.y[0]].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert all(x is made.x for x in model.seen[:3])
    drawn = torch.stack(model.seen[3:])
    torch.testing.assert_close(drawn.sum(-1), torch.ones(6, 120))
    assert len({each[0, 0].item() for each in drawn}) == 6
    model.seen.clear()
    made.evaluate(model)
    assert len(model.seen) == 1
    assert model.seen[0] is made.x


def test_la_grand_learns_and_resumes_exactly(tmp_path: Path) -> None:
    def run(folder: Path, seed: int = 0, **options: Any) -> Fitted:
        torch.manual_seed(seed)
        sizes: dict[str, Any] = {
            "in_channels": 16,
            "hidden_channels": 16,
            "out_channels": 4,
            "hops": 2,
        }
        return fit(
            LAGRAND(**sizes, dropout=0.2),
            substituted(),
            optimizer=OptimizerSettings(lr=0.05),
            training=TrainingSettings(epochs=60, checkpoint_every=7),
            checkpoints=Checkpoints(folder),
            identity={},
            **options,
        )

    def stop(moment: dict[str, float]) -> None:
        if moment["epoch"] == 16:
            os.kill(os.getpid(), signal.SIGTERM)

    straight = run(tmp_path / "straight")
    assert straight.metrics["test_acc"] > 0.8
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", watch=stop)
    assert run(tmp_path / "stopped", seed=9).val_losses == straight.val_losses
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.cuda
def test_resume_is_exact_on_a_gpu(tmp_path: Path) -> None:
    def run(folder: Path, **options: Any) -> Fitted:
        made = AugmentedClassification(TINY, generator=FAST, device="cuda")
        return fit(
            build().cuda(),
            made,
            optimizer=OptimizerSettings(lr=0.02),
            training=TrainingSettings(epochs=20, checkpoint_every=7),
            checkpoints=Checkpoints(folder),
            identity={},
            **options,
        )

    def stop(moment: dict[str, float]) -> None:
        if moment["epoch"] == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    straight = run(tmp_path / "straight")
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", watch=stop)
    assert run(tmp_path / "stopped").val_losses == straight.val_losses
