"""Seeds: recorded once, taken over on resume, never trampled on."""

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neighborgraph.bench.record import read_records
from neighborgraph.bench.runner import Run, run_seeds
from neighborgraph.data import load_interactions
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import CheckpointError, ConfigError, DataFileError
from neighborgraph.models import LocalAugmentation
from neighborgraph.tasks import Checkpoints, NodeClassification, Ranker, load_recipe
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


def test_resume_does_not_take_the_record_of_other_data_of_that_name(tmp_path: Path) -> None:
    run_seeds(make(tmp_path), 1)
    run = make(tmp_path, resume=True)
    assert run.recorded(0) is not None
    other = replace(TINY, x=TINY.x + 1)
    assert replace(run, dataset=other).recorded(0) is None


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


def make_recommender(out: Path, *overrides: str, resume: bool = False) -> Run:
    texts = ("training.epochs=12", "training.evaluate_every=5", "batches.size=300", *overrides)
    recipe = load_recipe("lightgcn", "default", texts)
    dataset = load_interactions("tiny-interactions")
    return Run("lightgcn", dataset, recipe, texts, torch.device("cpu"), out, resume)


def test_a_recommender_leaves_record_history_and_ranker(tmp_path: Path) -> None:
    (record,) = run_seeds(make_recommender(tmp_path), 1)
    assert (record.dataset, record.protocol) == ("tiny-interactions", "validation")
    assert 0.3 < record.metrics["test_recall@20"] <= 1
    path = tmp_path / "history" / "lightgcn-tiny-interactions" / "seed-0.jsonl"
    moments = [json.loads(line) for line in path.read_text().splitlines()]
    assert [moment["epoch"] for moment in moments] == [5, 10, 12]
    assert record.metrics["val_recall@20"] == max(m["val_recall@20"] for m in moments)
    ranker = Ranker.load(make_recommender(tmp_path).checkpoints(0).folder / "ranker")
    assert ranker.users.shape == (160, 64)


def test_a_recommender_stopped_continues_to_the_same_record(tmp_path: Path, monkeypatch) -> None:
    (straight,) = run_seeds(make_recommender(tmp_path / "straight"), 1)
    left = [7]

    def counted(self, model, *batch):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return model.loss(*batch)

    monkeypatch.setattr("neighborgraph.tasks.Recommendation.loss", counted)
    with pytest.raises(Stopped):
        run_seeds(make_recommender(tmp_path / "stopped"), 1)
    with pytest.raises(ConfigError, match="stopped after epoch 2; add --resume"):
        make_recommender(tmp_path / "stopped").prepare(0)
    run = make_recommender(tmp_path / "stopped", resume=True)
    run.prepare(0)
    (resumed,) = run_seeds(run, 1)
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    rankers = [
        Ranker.load(make_recommender(tmp_path / name).checkpoints(0).folder / "ranker")
        for name in ("straight", "stopped")
    ]
    assert torch.equal(rankers[0].users, rankers[1].users)


def test_a_disk_that_fills_loses_no_checkpoint_and_no_record(tmp_path: Path, monkeypatch) -> None:
    more = ("training.checkpoint_every=3",)
    # A checkpoint is flushed five times; the second one fails.
    flush, left = os.fsync, [7]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device; choose another folder"):
        run_seeds(make_recommender(tmp_path, *more), 1)
    checkpoint = make_recommender(tmp_path, *more).checkpoints(0).load()
    assert checkpoint is not None
    assert checkpoint.step == 3
    monkeypatch.setattr(os, "fsync", flush)
    run = make_recommender(tmp_path, *more, resume=True)
    run.prepare(0)
    (resumed,) = run_seeds(run, 1)
    (straight,) = run_seeds(make_recommender(tmp_path / "straight", *more), 1)
    assert resumed.metrics == straight.metrics


def test_a_history_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "history").touch()
    with pytest.raises(DataFileError, match=r"cannot write .*history/lightgcn-tiny"):
        run_seeds(make_recommender(tmp_path), 1)
    # The training is not lost: a resumed run has nothing left to train.
    checkpoint = Checkpoints(make_recommender(tmp_path).checkpoints(0).folder).load()
    assert checkpoint is not None
    assert checkpoint.state["finished"]
    (tmp_path / "history").unlink()
    (record,) = run_seeds(make_recommender(tmp_path, resume=True), 1)
    assert record.best_epoch in (5, 10, 12)


def test_tensorboard_sees_every_evaluation(tmp_path: Path, monkeypatch) -> None:
    seen: list = []

    class Board:
        def __init__(self, folder: Path) -> None:
            seen.append(folder)

        def __call__(self, moment: dict) -> None:
            seen.append(moment["epoch"])

        def close(self) -> None:
            seen.append("closed")

    monkeypatch.setattr("neighborgraph.bench.runner.TensorBoard", Board)
    run_seeds(replace(make_recommender(tmp_path), tensorboard=tmp_path / "board"), 1)
    assert seen == [
        tmp_path / "board" / "lightgcn-tiny-interactions" / "seed-0",
        5,
        10,
        12,
        "closed",
    ]


@pytest.mark.parametrize("fits", [1, 2, 3])
def test_killed_while_a_generator_is_fitted(tmp_path: Path, monkeypatch, fits: int) -> None:
    changes = ("generator.epochs=1", "generator.warm_up=2", "generator.predictions=3")

    def run(out: Path, resume: bool = False) -> list:
        made = make(out, *changes, resume=resume, model="la-gcn")
        return [record.metrics for record in run_seeds(made, 3)]

    straight = run(tmp_path / "straight")
    fit, left = LocalAugmentation.fit, [fits]

    def interrupted(*args, **options):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(LocalAugmentation, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed")
    assert run(tmp_path / "killed", resume=True) == straight
