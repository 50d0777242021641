"""Seeds: recorded once, taken over on resume, never trampled on."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neighborgraph.bench.record import read_records
from neighborgraph.bench.runner import Run, run_seeds
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import CheckpointError, ConfigError
from neighborgraph.tasks import NodeClassification, load_recipe
from neighborgraph.tasks.interrupt import Stopped

TINY = load_tiny()


def make(out: Path, *overrides: str, resume: bool = False, model: str = "gcn") -> Run:
    # Enough learning in eight epochs that two seeds do not end alike.
    learning = ("optimizer.lr=0.03", "data.row_normalize=false")
    texts = ("training.epochs=8", "training.checkpoint_every=3", *learning, *overrides)
    recipe = load_recipe(model, "tiny", texts)
    return Run(model, TINY, recipe, texts, torch.device("cpu"), out, resume)


@pytest.fixture
def stop_in_step(monkeypatch):
    """Makes a signal arrive in the n-th training step from now."""

    def arm(steps: int) -> None:
        loss, left = NodeClassification.loss, [steps]

        def counted(self, model):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return loss(self, model)

        monkeypatch.setattr(NodeClassification, "loss", counted)

    return arm


def test_one_record_a_seed(tmp_path: Path) -> None:
    records = run_seeds(make(tmp_path), 2)
    assert read_records(tmp_path / "records.jsonl") == [
        replace(record, overrides=list(record.overrides)) for record in records
    ]
    first, second = records
    assert (first.seed, second.seed) == (0, 1)
    assert (first.model, first.dataset, first.recipe) == ("gcn", "tiny", "gcn/default")
    assert first.metrics.keys() == {"train_acc", "val_acc", "test_acc"}
    assert all(0 <= value <= 1 for value in first.metrics.values())
    assert first.metrics != second.metrics


def test_same_seed_gives_the_same_metrics(tmp_path: Path) -> None:
    (first,) = run_seeds(make(tmp_path / "a"), 1)
    (second,) = run_seeds(make(tmp_path / "b"), 1)
    assert (first.metrics, first.best_epoch) == (second.metrics, second.best_epoch)


def test_resume_takes_recorded_seeds_and_adds_the_rest(tmp_path: Path) -> None:
    first = run_seeds(make(tmp_path), 2)
    records = run_seeds(make(tmp_path, resume=True), 3)
    assert [record.date for record in records[:2]] == [record.date for record in first]
    assert [r.seed for r in read_records(tmp_path / "records.jsonl")] == [0, 1, 2]


def test_resume_does_not_take_the_record_of_other_numbers(tmp_path: Path) -> None:
    run_seeds(make(tmp_path), 1)
    other = make(tmp_path, "optimizer.lr=0.02", resume=True)
    assert other.recorded(0) is None
    other.prepare(0)
    run_seeds(other, 1)
    assert len(read_records(tmp_path / "records.jsonl")) == 2


def test_stopped_seed_continues_to_the_same_record(tmp_path: Path, stop_in_step) -> None:
    (straight,) = run_seeds(make(tmp_path / "straight"), 1)
    stop_in_step(5)
    with pytest.raises(Stopped):
        run_seeds(make(tmp_path / "stopped"), 1)
    assert read_records(tmp_path / "stopped" / "records.jsonl") == []
    run = make(tmp_path / "stopped", resume=True)
    run.prepare(0)
    (resumed,) = run_seeds(run, 1)
    assert resumed.metrics == straight.metrics
    assert resumed.best_epoch == straight.best_epoch


def test_unfinished_run_is_not_trampled_on(tmp_path: Path, stop_in_step) -> None:
    stop_in_step(5)
    with pytest.raises(Stopped):
        run_seeds(make(tmp_path), 1)
    with pytest.raises(ConfigError, match=r"stopped after epoch 5; add --resume .* or .*--out"):
        make(tmp_path).prepare(0)
    other = make(tmp_path, "optimizer.lr=0.5", resume=True)
    other.prepare(0)
    with pytest.raises(CheckpointError, match=r"optimizer\.lr is 0\.03 there and 0\.5 here"):
        run_seeds(other, 1)


def test_finished_run_is_done_anew_without_resume(tmp_path: Path) -> None:
    for _ in range(2):
        run = make(tmp_path)
        run.prepare(0)
        run_seeds(run, 1)
    assert len(read_records(tmp_path / "records.jsonl")) == 2


def test_wrong_model_option_names_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dagnn/default, section \[model\]: .*'hopps'.*'hops'"):
        make(tmp_path, "model.hopps=3", model="dagnn").check()
