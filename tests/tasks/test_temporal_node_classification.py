"""Temporal node classification: labels from the past, learned beside links, in no memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.data.streams import load_tiny_events
from neighborgraph.errors import InputError
from neighborgraph.graph import Events
from neighborgraph.models import NATClassifier
from neighborgraph.tasks import Checkpoints, Fitted, TemporalNodeClassification, fit
from neighborgraph.tasks.metrics import roc_auc
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

TINY = load_tiny_events().events
SPLIT = TINY.split()
SMALL: dict[str, Any] = {"self_channels": 8, "hidden_channels": 16, "near": 6, "far": 0}


def small() -> NATClassifier:
    torch.manual_seed(0)
    return NATClassifier(**SMALL).eval()


def parts(batch: Events) -> tuple[Tensor, ...]:
    return batch.source, batch.destination, batch.time, batch.event


def test_the_loss_is_that_of_links_and_of_labels() -> None:
    model = small()
    task = TemporalNodeClassification(TINY, model, batch_size=700)
    first = next(iter(task.batches(model, epoch=0)))
    *link, label = first
    assert torch.equal(label, TINY.label[:700]) if TINY.label is not None else False
    found = task.loss(model, *first)
    task.memory.reset()
    scores = task.predict(model, *link)
    links = torch.nn.functional.softplus(-scores[0]).mean()
    links += torch.nn.functional.softplus(scores[1]).mean()
    task.memory.reset()
    states = task.classify(model, *parts(TINY.part(0, 700)))
    kept = SPLIT.train.label
    assert kept is not None
    share = kept.double().mean()
    cost = torch.nn.functional.softplus(torch.where(label == 1, -states, states)).double()
    weight = torch.where(label == 1, 0.5 / share, 0.5 / (1 - share))
    torch.testing.assert_close(found.double(), links.double() + (weight * cost).mean())


def test_labels_of_a_batch_never_enter_its_scores() -> None:
    flipped = replace(TINY, label=None if TINY.label is None else 1 - TINY.label)
    found = []
    for events in (TINY, flipped):
        model = small()
        task = TemporalNodeClassification(events, model)
        with torch.no_grad():
            for batch in task.batches(model, epoch=0):
                task.loss(model, *batch)
            scores = [task.classify(model, *parts(batch)) for batch in SPLIT.val.batches(32)]
        found.append((torch.cat(scores), task.memory.tensors()))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(tensor, found[1][1][name]) for name, tensor in found[0][1].items())


def test_an_evaluation_replays_the_past() -> None:
    model = small()
    task = TemporalNodeClassification(TINY, model, judged_size=50)
    found = task.evaluate(model)
    assert task.evaluate(model) == found
    assert set(found.metrics) == {"val_rocauc", "test_rocauc"}
    assert found.val_loss == 1 - found.metrics["val_rocauc"]
    task.replay(model, task.past)
    scores = torch.cat([task.classify(model, *parts(batch)) for batch in SPLIT.val.batches(50)])
    label = SPLIT.val.label
    assert label is not None
    assert found.metrics["val_rocauc"] == roc_auc(scores[:, None], label[:, None])


def train(folder: Path | None = None, killed_after: int = 0) -> tuple[Fitted, dict[str, Tensor]]:
    def watch(moment: Any) -> None:
        if moment["epoch"] == killed_after:
            raise KeyboardInterrupt

    model = small()
    fitted = fit(
        model,
        TemporalNodeClassification(TINY, model, seed=1),
        optimizer=OptimizerSettings(lr=0.01),
        training=TrainingSettings(epochs=4, checkpoint_every=1),
        checkpoints=None if folder is None else Checkpoints(folder),
        watch=watch,
    )
    return fitted, model.state_dict()


def test_a_planted_signal_is_found_and_a_killed_run_goes_on(tmp_path: Path) -> None:
    whole, parameters = train()
    assert whole.metrics["test_rocauc"] > 0.9  # which group a node is of is in its past alone
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, killed_after=3)
    again, resumed = train(tmp_path)
    assert again.val_losses == whole.val_losses
    assert all(torch.equal(resumed[name], tensor) for name, tensor in parameters.items())


def labelled(label: Tensor | None) -> Events:
    return replace(TINY, label=label)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "the events have no labels"),
        (torch.zeros(1500, dtype=torch.int64), r"of the train part are 0, but must be \[e\] int64"),
        (torch.arange(1500) % 3, "of the train part are 0, 1, 2, but"),
        (torch.arange(1500) % 2 * 1.0, r"\[1050\] torch.float32 of the train part are 0.0, 1.0"),
        ((torch.arange(1500) < 700).long(), "of the val part are 0, but"),
    ],
)
def test_refusals(label: Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TemporalNodeClassification(labelled(label), small())


@pytest.mark.cuda
def test_recorded_steps_are_those_of_a_cpu() -> None:
    found = {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = NATClassifier(**SMALL, dropout=0.0).to(device)
        task = TemporalNodeClassification(TINY, model, device=device)
        fitted = fit(
            model, task, optimizer=OptimizerSettings(lr=0.001), training=TrainingSettings(epochs=2)
        )
        found[device] = fitted.val_losses
    assert found["cuda"] == pytest.approx(found["cpu"], abs=5e-3)
