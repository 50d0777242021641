"""Temporal link prediction: what a model is asked and when, metrics, hidden nodes, resumption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.data.streams import load_tiny_events
from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.graph import Events
from neighborgraph.models import NAT, EdgeBank
from neighborgraph.tasks import Checkpoints, Fitted, TemporalLinkPrediction, fit
from neighborgraph.tasks.metrics import average_precision, mean_of_parts, mrr
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

TINY = load_tiny_events().events
SMALL: dict[str, Any] = {"self_channels": 8, "hidden_channels": 8, "near": 6, "far": 4}
PARTS = TINY.split()


class Spy(torch.nn.Module):
    """Scores by the ids of a pair, and a diary of all that is asked."""

    is_capturable = False

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[int] = []
        self.asked: list[tuple[str, Any]] = []

    def memory(self, num_nodes: int, **_: Any) -> Any:
        return self

    def reset(self) -> None:
        self.happened = []

    def look(self, memory: Any, node: Tensor, time: Tensor, feature: Any) -> "Sight":
        self.asked.append(("look", (len(self.happened), node, time)))
        return Sight(node, time)

    def forward(self, source: "Sight", destination: "Sight") -> Tensor:
        times = len(destination.node) // len(source.node)
        pair = source.node.repeat(times) * 7 + destination.node * 3
        return (pair % 11).float().view(times, -1)

    def insert(self, memory: Any, source: "Sight", destination: "Sight", event: Tensor) -> None:
        self.asked.append(("insert", (source.node, destination.node, event)))
        self.happened += event.tolist()


class Sight:
    def __init__(self, node: Tensor, time: Tensor) -> None:
        self.node, self.time = node, time

    def split(self, first: int) -> tuple["Sight", "Sight"]:
        return Sight(self.node[:first], self.time[:first]), Sight(
            self.node[first:], self.time[first:]
        )


def test_a_batch_is_looked_at_and_then_happens() -> None:
    spy = Spy()
    task = TemporalLinkPrediction(TINY, spy, seed=3, batch_size=64)
    seen = []
    for batch in task.batches(spy, epoch=2):
        source, destination, negatives, time, event = batch
        spy.asked.clear()
        loss = task.loss(spy, *batch)
        (_, (before, node, when)), (_, inserted) = spy.asked
        assert before == len(seen)
        assert node.tolist() == [*source.tolist(), *destination.tolist(), *negatives[0].tolist()]
        assert torch.equal(when, time.repeat(3))
        for found, expected in zip(inserted, (source, destination, event), strict=True):
            assert torch.equal(found, expected)
        good, bad = ((source * 7 + d * 3) % 11 for d in (destination, negatives[0]))
        expected = torch.nn.functional.softplus(-good.float()).mean()
        expected += torch.nn.functional.softplus(bad.float()).mean()
        torch.testing.assert_close(loss, expected)
        seen += event.tolist()
    assert seen == list(range(len(PARTS.train)))
    next(task.batches(spy, epoch=3))
    assert spy.happened == []  # an epoch begins anew


def test_negatives_are_drawn_by_seed_and_epoch() -> None:
    def drawn(seed: int, epoch: int) -> Tensor:
        task = TemporalLinkPrediction(TINY, Spy(), seed=seed)
        return torch.cat([batch[2] for batch in task.batches(Spy(), epoch)], dim=1)

    assert torch.equal(drawn(0, 1), drawn(0, 1))
    assert not torch.equal(drawn(0, 1), drawn(0, 2))
    assert not torch.equal(drawn(0, 1), drawn(1, 1))
    assert set(drawn(0, 1)[0].tolist()) == set(PARTS.train.destination.tolist())


def test_an_evaluation_replays_the_past() -> None:
    spy = Spy()
    task = TemporalLinkPrediction(TINY, spy, judged_size=50)
    found = task.evaluate(spy)
    assert spy.happened == list(range(len(TINY)))
    assert task.evaluate(spy) == found
    assert set(found.metrics) == {
        f"{part}_{metric}" for part in ("val", "test", "test_all") for metric in ("ap", "auc")
    }
    assert found.val_loss == 1 - found.metrics["val_ap"]
    val = PARTS.val
    scores = [
        (val.source * 7 + d * 3) % 11
        for d in (val.destination, task.negatives("val", 1, len(val), 2**32 - 1)[0])
    ]
    edges, negatives = (s.float() for s in scores)
    assert found.metrics["val_ap"] == mean_of_parts(average_precision, edges, negatives, 50)


def test_many_negatives_are_ranked_once() -> None:
    spy = Spy()
    task = TemporalLinkPrediction(TINY, spy, ranked=9)
    found = task.official_metrics(spy)
    test = PARTS.test
    drawn = task.negatives("test", 9, len(test), 2**32 - 3)
    edges = ((test.source * 7 + test.destination * 3) % 11).float()
    negatives = ((test.source * 7 + drawn * 3) % 11).float()
    assert found == {"test_mrr": mrr(edges, negatives.t())}
    assert spy.happened == list(range(len(TINY)))
    assert TemporalLinkPrediction(TINY, spy, ranked=0).official_metrics(spy) == {}


def test_hidden_nodes_train_nothing_and_are_judged_apart() -> None:
    spy = Spy()
    task = TemporalLinkPrediction(TINY, spy, hidden=0.1, seed=5, batch_size=20)
    hidden = task.split.hidden
    assert len(hidden) == 6
    for source, destination, negatives, _, _ in task.batches(spy, 0):
        assert not torch.isin(torch.cat([source, destination, negatives[0]]), hidden).any()
    found = task.evaluate(spy)
    assert spy.happened == list(range(len(TINY)))  # they happen all the same
    assert {"test_new_ap", "test_new_auc"} <= set(found.metrics)


class Killed(Exception):
    """What no training expects."""


def train(
    folder: Path | None = None, killed_after: int = 0, events: Events = TINY
) -> tuple[Fitted, dict[str, Tensor], dict[str, Tensor]]:
    def watch(moment: Any) -> None:
        if moment["epoch"] == killed_after:
            raise Killed

    torch.manual_seed(0)
    model = NAT(**SMALL)
    task = TemporalLinkPrediction(events, model, seed=1, ranked=0)
    fitted = fit(
        model,
        task,
        optimizer=OptimizerSettings(lr=0.01),
        training=TrainingSettings(epochs=4, checkpoint_every=1),
        checkpoints=None if folder is None else Checkpoints(folder),
        watch=watch,
    )
    return fitted, model.state_dict(), task.memory.tensors()


def test_a_killed_run_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole = train()
    with pytest.raises(Killed):
        train(tmp_path, killed_after=3)
    resumed = train(tmp_path)
    assert resumed[0].metrics == whole[0].metrics
    assert resumed[0].val_losses == whole[0].val_losses
    for found, expected in zip(resumed[1:], whole[1:], strict=True):
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    # A finished run trains nothing, and its memory comes back from the checkpoint.
    again = train(tmp_path)
    assert again[2].keys() == whole[2].keys()
    assert all(torch.equal(again[2][name], tensor) for name, tensor in whole[2].items())


def test_a_checkpoint_of_another_stream_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    ends = TINY.source, TINY.destination, TINY.time
    with pytest.raises(CheckpointError, match=r"hop0.neighbor is \[60, 1\] .* there"):
        train(tmp_path, events=Events.of(*ends, num_nodes=61))


def test_it_learns() -> None:
    fitted, _, _ = train()
    bank = EdgeBank()
    memorised = TemporalLinkPrediction(TINY, bank, seed=1).evaluate(bank).metrics
    assert fitted.metrics["test_ap"] > memorised["test_ap"] > 0.7


def test_refusals() -> None:
    with pytest.raises(InputError, match="batch_size=0 must be at least 1"):
        TemporalLinkPrediction(TINY, Spy(), batch_size=0)
    with pytest.raises(InputError, match="ranked=-1 must be at least 0"):
        TemporalLinkPrediction(TINY, Spy(), ranked=-1)
    with pytest.raises(InputError, match="part of 3 events is empty"):
        TemporalLinkPrediction(TINY.part(0, 3), Spy())
    task = TemporalLinkPrediction(TINY, Spy())
    with pytest.raises(InputError, match="no event is left in the val part"):
        task.judged("val", torch.zeros(2, 0))


@pytest.mark.cuda
@pytest.mark.parametrize("kind", [lambda: NAT(**SMALL, dropout=0.0), EdgeBank], ids=["nat", "bank"])
def test_a_gpu_finds_what_a_cpu_does(kind: Callable[[], Any]) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = kind().to(device)
        task = TemporalLinkPrediction(TINY, model, device=device, ranked=3)
        fitted = fit(
            model,
            task,
            optimizer=OptimizerSettings(lr=0.001),
            training=TrainingSettings(epochs=2),
        )
        found[device] = fitted.val_losses, task.official_metrics(model)
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], abs=2e-3)
    assert found["cuda"][1]["test_mrr"] == pytest.approx(found["cpu"][1]["test_mrr"], abs=5e-3)
