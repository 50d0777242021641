"""Ranked link prediction: each event among its own destinations, before it happens."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.data.streams import load_tiny_events
from neighborgraph.errors import InputError
from neighborgraph.graph import EventSplit
from neighborgraph.models import NAT, EdgeBank
from neighborgraph.tasks import RankedLinkPrediction, fit
from neighborgraph.tasks import ranked_link_prediction as module
from neighborgraph.tasks.metrics import mrr
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

TINY = load_tiny_events().events
SPLIT = TINY.split()


def given(part: str, width: int = 7) -> Tensor:
    """As many destinations for each event as a generator says, and -1 behind them."""
    random = torch.Generator().manual_seed(len(part))
    size = len(getattr(SPLIT, part))
    drawn = torch.randint(60, (size, width), generator=random)
    counts = torch.randint(1, width + 1, (size, 1), generator=random)
    return drawn.masked_fill(torch.arange(width) >= counts, -1)


def task_of(model: Any, official: Any = mrr, **options: Any) -> RankedLinkPrediction:
    return RankedLinkPrediction(
        TINY, SPLIT, model, given("val"), given("test"), official, **options
    )


def small_nat() -> NAT:
    torch.manual_seed(0)
    return NAT(self_channels=8, hidden_channels=8, near=6, far=4).eval()


@pytest.mark.parametrize("most", [1, 70, 2**15])
@torch.no_grad()
def test_scores_are_those_of_pairs_one_by_one(most: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", most)
    model = small_nat()
    task, plain = task_of(model), task_of(model)
    for one in (task, plain):
        one.replay(model, one.past)
    negatives = given("val")
    for batch, some in zip(SPLIT.val.batches(32), negatives.split(32), strict=True):
        found = task.rank(model, batch.source, batch.destination, some, batch.time, batch.event)
        every = some.clamp(min=0).t().contiguous()
        expected = plain.predict(
            model, batch.source, batch.destination, every, batch.time, batch.event
        ).t()
        assert found.shape == (len(batch), 8)
        assert (found[:, 1:] == -torch.inf).tolist() == (some < 0).tolist()
        kept = found.isfinite()
        assert torch.allclose(found[kept], expected[kept], atol=1e-5)
    for name, tensor in plain.memory.tensors().items():
        assert torch.allclose(task.memory.tensors()[name], tensor, atol=1e-5), name


def test_equal_to_a_dictionary() -> None:
    model = EdgeBank()
    found = task_of(model, judged_size=1).evaluate(model)
    last: dict[tuple[int, int], int] = {}
    ranks: dict[str, list[float]] = {"train": [], "val": [], "test": []}
    for part, ranked in ranks.items():
        events = getattr(SPLIT, part)
        rows = [[]] * len(events) if part == "train" else given(part).tolist()
        columns = (events.source.tolist(), events.destination.tolist(), events.time.tolist())
        for u, v, at, row in zip(*columns, rows, strict=True):
            met = last.get((u, v), at) < at
            others = [last.get((u, w), at) < at for w in row if w >= 0]
            higher, same = sum(o > met for o in others), sum(o == met for o in others)
            ranked.append(1 + higher + same / 2)
            last[u, v] = at
    for part in ("val", "test"):
        expected = sum(1 / rank for rank in ranks[part]) / len(ranks[part])
        assert found.metrics[f"{part}_mrr"] == pytest.approx(expected, rel=1e-6)
    assert found.val_loss == 1 - found.metrics["val_mrr"]
    assert set(found.metrics) == {"val_mrr", "test_mrr"}


def test_the_publishers_metric_is_handed_all_scores() -> None:
    model, seen = EdgeBank(), []

    def official(edges: Tensor, negatives: Tensor) -> float:
        seen.append((edges, negatives))
        return mrr(edges, negatives)

    task = task_of(model, official)
    metrics = task.official_metrics(model)
    assert metrics == task.evaluate(model).metrics
    for (edges, negatives), part in zip(seen, ("val", "test"), strict=True):
        assert edges.shape == (len(getattr(SPLIT, part)),)
        assert (negatives == -torch.inf).tolist() == (given(part) < 0).tolist()


def test_future_negatives_change_nothing_before() -> None:
    model = small_nat()
    expected = task_of(model).evaluate(model).metrics["val_mrr"]
    changed = RankedLinkPrediction(TINY, SPLIT, model, given("val"), given("test") * 0, mrr)
    assert changed.evaluate(model).metrics["val_mrr"] == expected


def test_it_learns() -> None:
    model = small_nat()
    task = task_of(model, seed=1)
    before = task.evaluate(model).metrics["test_mrr"]
    fitted = fit(
        model,
        task,
        optimizer=OptimizerSettings(lr=0.01),
        training=TrainingSettings(epochs=3),
    )
    assert fitted.metrics["test_mrr"] > before + 0.1
    assert fitted.val_losses[fitted.best_epoch - 1] == pytest.approx(1 - fitted.metrics["val_mrr"])


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"test_negatives \[225\] must be \[225, Q\]"):
        RankedLinkPrediction(TINY, SPLIT, EdgeBank(), given("val"), given("test")[:, 0], mrr)
    with pytest.raises(InputError, match=r"val_negatives \[224, 7\] must be \[225, Q\]"):
        RankedLinkPrediction(TINY, SPLIT, EdgeBank(), given("val")[1:], given("test"), mrr)
    with pytest.raises(InputError, match="judged_size=0 must be at least 1"):
        task_of(EdgeBank(), judged_size=0)


@pytest.mark.cuda
def test_a_gpu_ranks_as_a_cpu() -> None:
    model = small_nat()
    expected = task_of(model).evaluate(model).metrics
    on_gpu = task_of(model.cuda(), device="cuda")
    assert isinstance(on_gpu.split, EventSplit) and on_gpu.split.val.device.type == "cuda"
    with torch.no_grad():
        found = on_gpu.evaluate(model).metrics
    assert found == {name: pytest.approx(value, abs=5e-3) for name, value in expected.items()}
