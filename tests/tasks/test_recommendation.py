"""Recommendation: keyed batches, evaluation by hand, learning, and exact resumption."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neighborgraph.data import Interactions, load_interactions
from neighborgraph.tasks import Checkpoints, Fitted, Recommendation, fit, recommendation
from neighborgraph.tasks.interrupt import Stopped
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

TINY = load_interactions("tiny-interactions").split(0)


def train(model: nn.Module, task: Recommendation, folder: Path | None = None, **more: Any):
    settings = {"epochs": 12, "evaluate_every": 5, "checkpoint_every": 4} | more
    return fit(
        model,
        task,
        optimizer=OptimizerSettings(lr=0.03),
        training=TrainingSettings(**settings),
        checkpoints=None if folder is None else Checkpoints(folder),
    )


# --- Batches ---


class Marking(nn.Module):
    """Draws what says which pair it was drawn for."""

    def draw(self, pairs, generator):
        return (pairs[0] * 1000 + pairs[1])[:, None].expand(-1, 3)


@pytest.mark.parametrize("at_once", [1, 700, 2**24])
def test_batches_cover_the_epoch_with_their_own_negatives(monkeypatch, at_once: int) -> None:
    monkeypatch.setattr(recommendation, "DRAWN_AT_ONCE", at_once)
    task = Recommendation(TINY, batch_size=100, draw="edges")
    drawn = list(task.batches(Marking(), 0))
    n = TINY.train.shape[1]
    assert [pairs.shape[1] for pairs, _ in drawn] == [100] * (n // 100) + [n % 100]
    for pairs, negatives in drawn:
        assert torch.equal(negatives, (pairs[0] * 1000 + pairs[1])[:, None].expand(-1, 3))
    pairs = torch.cat([pairs for pairs, _ in drawn], dim=1)
    assert sorted(pairs.t().tolist()) == TINY.train.t().tolist()


def test_an_epoch_follows_from_seed_and_number_alone(factors) -> None:
    model = factors(TINY.num_users, TINY.num_items)

    def epoch(seed: int, number: int) -> torch.Tensor:
        batches = Recommendation(TINY, seed=seed, batch_size=64).batches(model, number)
        return torch.cat([torch.cat([pairs, negatives[None]]) for pairs, negatives in batches], 1)

    torch.manual_seed(5)
    first = epoch(0, 3)
    torch.manual_seed(6)
    assert torch.equal(epoch(0, 3), first)
    assert not torch.equal(epoch(0, 4), first)
    assert not torch.equal(epoch(1, 3), first)


# --- Evaluation ---

HAND = Interactions(
    name="hand",
    num_users=2,
    num_items=30,
    train=torch.tensor([[0, 1], [0, 1]]),
    val=torch.tensor([[0], [25]]),
    test=torch.tensor([[0, 0, 1], [21, 29, 0]]),
    user_ids=np.arange(2),
    item_ids=np.arange(30),
    protocol="validation",
    source="by hand",
)


class Falling(nn.Module):
    """Ranks item 0 first, then 1, and so on, for every user."""

    def embeddings(self):
        return torch.ones(2, 1), 30.0 - torch.arange(30.0)[:, None]


def test_metrics_by_hand() -> None:
    evaluation = Recommendation(HAND).evaluate(Falling())
    metrics = evaluation.metrics
    # User 0's validation item 25 is in place 25, behind the twenty.
    assert metrics["val_recall@20"] == 0.0
    assert evaluation.val_loss == 1.0
    # Items 21 and 29 of user 0 are in no list of 20; user 1's item 0 is its first.
    assert metrics["test_recall@20"] == 0.5
    assert metrics["test_mrr@10"] == 0.5
    assert metrics["test_precision@20"] == pytest.approx(0.5 / 20)
    assert set(metrics) > {"test_ndcg@10", "test_map@20", "test_hit_rate@20", "test_coverage@20"}
    assert not any(name.startswith("val_") and "@10" in name for name in metrics)


def test_known_items_are_skipped() -> None:
    # 20 in front of item 21: without the training item 0 and a validation item among them, it is
    # in place 20; under the validation part the items of the test are not known.
    data = replace(HAND, val=torch.tensor([[0], [5]]))
    metrics = Recommendation(data).evaluate(Falling()).metrics
    assert metrics["test_recall@20"] == pytest.approx((0.5 + 1) / 2)
    assert metrics["val_recall@20"] == 1.0


def test_published_protocol_selects_by_the_test() -> None:
    data = replace(HAND, val=HAND.test, protocol="published")
    evaluation = Recommendation(data).evaluate(Falling())
    assert evaluation.val_loss == 1 - evaluation.metrics["test_recall@20"]
    assert not any(name.startswith("val_") for name in evaluation.metrics)


def test_a_list_longer_than_the_catalogue(factors) -> None:
    data = replace(
        HAND,
        num_items=3,
        item_ids=np.arange(3),
        val=torch.tensor([[0], [1]]),
        test=torch.tensor([[0, 1], [2, 0]]),
    )
    metrics = Recommendation(data).evaluate(factors(2, 3)).metrics
    assert metrics["test_recall@20"] == metrics["val_recall@20"] == 1.0


# --- Training ---


@pytest.mark.parametrize("draw", ["users", "edges"])
def test_training_beats_chance(factors, draw: str) -> None:
    model = factors(TINY.num_users, TINY.num_items)
    task = Recommendation(TINY, batch_size=128, draw=draw)
    fitted = train(model, task, epochs=30)
    # 20 of 200 items at random are a tenth; a perfect guess of the group is 0.7 or so.
    assert fitted.metrics["test_recall@20"] > 0.35
    assert [moment["epoch"] for moment in fitted.history] == [5, 10, 15, 20, 25, 30]
    assert fitted.metrics["val_recall@20"] == max(m["val_recall@20"] for m in fitted.history)
    assert task.evaluate(model.eval()).metrics == fitted.metrics


def stop_in_batch(task: Recommendation, monkeypatch, number: int) -> None:
    """Makes a signal arrive in the middle of an epoch."""
    batches, left = task.batches, [number]

    def counted(model, epoch):
        for batch in batches(model, epoch):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(task, "batches", counted)


def final(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(folder).load()
    assert checkpoint is not None
    return checkpoint.tensors


def expect_exact_resumption(factors, tmp_path: Path, monkeypatch, device: str) -> None:
    def start() -> tuple[nn.Module, Recommendation]:
        model = factors(TINY.num_users, TINY.num_items).to(device)
        return model, Recommendation(TINY, seed=3, batch_size=100, device=device)

    torch.manual_seed(0)
    straight: Fitted = train(*start(), tmp_path / "straight")
    torch.manual_seed(0)
    model, task = start()
    # Twelve batches an epoch: in the fourth and in the eighth.
    for number in (40, 50):
        stop_in_batch(task, monkeypatch, number)
        with pytest.raises(Stopped):
            train(model, task, tmp_path / "stopped")
        model, task = start()
    resumed: Fitted = train(model, task, tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    ours, theirs = final(tmp_path / "stopped"), final(tmp_path / "straight")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_stopped_and_resumed_equals_straight_through(factors, tmp_path, monkeypatch) -> None:
    expect_exact_resumption(factors, tmp_path, monkeypatch, "cpu")


def test_killed_in_an_epoch_goes_on_from_the_checkpoint_before(factors, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def start(seed: int = 3) -> tuple[nn.Module, Recommendation]:
        torch.manual_seed(0)
        return factors(160, 200), Recommendation(TINY, seed=seed, batch_size=100)

    def dying(batches, left):
        def drawn(model, epoch):
            for batch in batches(model, epoch):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                yield batch

        return drawn

    straight: Fitted = train(*start(), tmp_path / "straight")
    model, task = start()
    task.batches = dying(task.batches, [70])  # in the sixth epoch; the fourth was saved
    with pytest.raises(Killed):
        train(model, task, tmp_path / "killed")
    checkpoint = Checkpoints(tmp_path / "killed").load()
    assert checkpoint is not None
    assert checkpoint.step == 4
    resumed: Fitted = train(*start(), tmp_path / "killed")
    assert resumed.val_losses == straight.val_losses
    ours, theirs = final(tmp_path / "killed"), final(tmp_path / "straight")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.cuda
def test_resume_is_exact_on_a_gpu(factors, tmp_path, monkeypatch) -> None:
    expect_exact_resumption(factors, tmp_path, monkeypatch, "cuda")


@pytest.mark.cuda
def test_an_epoch_on_a_gpu_waits_once(factors, waiting_refused) -> None:
    model = factors(TINY.num_users, TINY.num_items).cuda()
    task = Recommendation(TINY, batch_size=100, device="cuda")
    adam = torch.optim.Adam(model.parameters(), fused=True, capturable=True)
    step = task.step(model, adam)
    for epoch in range(3):
        for batch in task.batches(model, epoch):
            step(*batch)
    with waiting_refused():
        for batch in task.batches(model, 3):
            step(*batch)
    assert step.mean_loss() > 0
