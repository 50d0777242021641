"""Link prediction: batches, loss and evaluation by hand, learning, resumption, the Evaluator."""

import importlib.util
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neighborgraph.data import HeldOut, LinkDataset, OwnNegatives
from neighborgraph.data.ogb_links import evaluate_officially
from neighborgraph.data.synthetic import load_tiny_links
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.ops import aggregate
from neighborgraph.tasks import Checkpoints, Fitted, LinkPrediction, fit, link_prediction
from neighborgraph.tasks.interrupt import Stopped
from neighborgraph.tasks.link_prediction import measure
from neighborgraph.tasks.recipe import OptimizerSettings, TrainingSettings

TINY = load_tiny_links()


def ranked() -> LinkDataset:
    """The tiny links with three targets of its own for each edge."""

    def own(held: HeldOut) -> OwnNegatives:
        return OwnNegatives(held.edges, held.negatives.flatten()[:180].view(60, 3))

    return replace(TINY, val=own(TINY.val), test=own(TINY.test))


class DotProduct(nn.Module):
    """A linear layer and a dot product, so that the task is tested without the package's models."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 8)
        self.graphs: list[Graph] = []

    def encode(self, x: Tensor, graph: Graph) -> Tensor:
        self.graphs.append(graph)
        return self.linear(x)

    def forward(self, z: Tensor, pairs: Tensor) -> Tensor:
        return (z[pairs[0]] * z[pairs[1]]).sum(1)


class Smoothed(DotProduct):
    """What the neighbours have on average."""

    def encode(self, x: Tensor, graph: Graph) -> Tensor:
        return aggregate(graph, self.linear(x), "mean")


def train(model: nn.Module, task: LinkPrediction, folder: Path | None = None, epochs: int = 12):
    return fit(
        model,
        task,
        optimizer=OptimizerSettings(lr=0.03),
        training=TrainingSettings(epochs=epochs, evaluate_every=5, checkpoint_every=4),
        checkpoints=None if folder is None else Checkpoints(folder),
    )


def test_batches_cover_the_edges_in_an_order_of_seed_and_epoch() -> None:
    def epoch(seed: int, number: int) -> Tensor:
        task = LinkPrediction(TINY, seed=seed, batch_size=100)
        batches = list(task.batches(DotProduct(), number))
        count = TINY.train.shape[1]
        assert [edges.shape[1] for edges, _ in batches] == [100] * (count // 100) + [count % 100]
        assert all(edges.shape == negatives.shape for edges, negatives in batches)
        return torch.cat([torch.cat(batch) for batch in batches], dim=1)

    first = epoch(0, 0)
    assert sorted(first[:2].t().tolist()) == sorted(TINY.train.t().tolist())
    assert torch.equal(first, epoch(0, 0))
    assert not torch.equal(first, epoch(0, 1))
    assert not torch.equal(first, epoch(1, 0))


def test_loss_by_hand() -> None:
    task, model = LinkPrediction(TINY), DotProduct()
    edges, negatives = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[4], [5]])
    z = model.linear(TINY.x)
    good = torch.sigmoid(torch.stack([z[0] @ z[2], z[1] @ z[3]]))
    bad = torch.sigmoid(z[4] @ z[5])
    expected = -good.log().mean() - (1 - bad).log()
    torch.testing.assert_close(task.loss(model, edges, negatives), expected)
    (graph,) = model.graphs
    assert graph.num_edges == add_self_loops(TINY.graph).num_edges


@pytest.mark.parametrize("block", [1, 7, 2**18])
@pytest.mark.parametrize("data", [TINY, ranked()], ids=["shared", "own"])
def test_scores_are_those_of_all_pairs_whatever_the_block(monkeypatch, data, block: int) -> None:
    monkeypatch.setattr(link_prediction, "BLOCK", block)
    task, model = LinkPrediction(data), DotProduct()
    with torch.no_grad():
        found = dict(task.scores(model))
        z = model.linear(TINY.x)
        for part, held in (("val", data.val), ("test", data.test)):
            edges, negatives = found[part]
            u, v = held.edges
            torch.testing.assert_close(edges, (z[u] * z[v]).sum(1))
            if isinstance(held, OwnNegatives):
                expected = (z[u][:, None] * z[held.negatives]).sum(2)
            else:
                a, b = held.negatives
                expected = (z[a] * z[b]).sum(1)
            torch.testing.assert_close(negatives, expected)


def test_the_validation_selects() -> None:
    for data, name in ((TINY, "hits@20"), (ranked(), "mrr")):
        evaluation = LinkPrediction(data).evaluate(DotProduct())
        assert set(evaluation.metrics) == {f"val_{name}", f"test_{name}"}
        assert evaluation.val_loss == 1 - evaluation.metrics[f"val_{name}"]


def test_validation_edges_are_input_for_the_test_alone() -> None:
    allowed = replace(TINY, validation_input=True)
    task, model = LinkPrediction(allowed, validation_edges=True), DotProduct()
    task.evaluate(model)
    first, second = model.graphs
    assert first is task.graph
    assert second.num_edges == first.num_edges + 2 * 60
    task.loss(model, TINY.train, TINY.train)
    assert model.graphs[2] is task.graph
    with pytest.raises(InputError, match="validation_edges must be false for tiny-links"):
        LinkPrediction(TINY, validation_edges=True)


def test_training_beats_chance() -> None:
    model = Smoothed()
    task = LinkPrediction(TINY, batch_size=128, negatives="unlinked")
    fitted = train(model, task, epochs=30)
    # 20 of 200 negatives: a tenth of the edges by chance.
    assert fitted.metrics["test_hits@20"] > 0.3
    assert [moment["epoch"] for moment in fitted.history] == [5, 10, 15, 20, 25, 30]
    assert task.evaluate(model.eval()).metrics == fitted.metrics


def test_no_metric_for_other_kinds() -> None:
    with pytest.raises(TypeError, match="no metric for int"):
        measure(3, torch.zeros(1), torch.zeros(1))  # pyright: ignore[reportArgumentType]


def stop_in_batch(task: LinkPrediction, monkeypatch, number: int) -> None:
    """Makes a signal arrive in the middle of an epoch."""
    batches, left = task.batches, [number]

    def counted(model, epoch):
        for batch in batches(model, epoch):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(task, "batches", counted)


def expect_exact_resumption(tmp_path: Path, monkeypatch, device: str) -> None:
    def start() -> tuple[nn.Module, LinkPrediction]:
        torch.manual_seed(0)
        return DotProduct().to(device), LinkPrediction(TINY, batch_size=100, device=device)

    straight: Fitted = train(*start(), tmp_path / "straight")
    model, task = start()
    stop_in_batch(task, monkeypatch, 20)
    with pytest.raises(Stopped):
        train(model, task, tmp_path / "stopped")
    resumed: Fitted = train(*start(), tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    ours, theirs = (Checkpoints(tmp_path / name).load() for name in ("stopped", "straight"))
    assert ours is not None
    assert theirs is not None
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)


def test_stopped_and_resumed_equals_straight_through(tmp_path: Path, monkeypatch) -> None:
    expect_exact_resumption(tmp_path, monkeypatch, "cpu")


@pytest.mark.cuda
def test_resume_is_exact_on_a_gpu(tmp_path: Path, monkeypatch) -> None:
    expect_exact_resumption(tmp_path, monkeypatch, "cuda")


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.mark.skipif(
    importlib.util.find_spec("ogb") is None,
    reason="the package ogb is not installed: pip install 'neighborgraph[ogb]'",
)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["ogbl-ddi", "ogbl-collab", "ogbl-citation2"])
def test_our_metric_is_the_evaluators_to_the_last_digit(name: str, device: str) -> None:
    k = {"ogbl-ddi": 20, "ogbl-collab": 50}.get(name)
    kind = partial(link_prediction.SharedNegatives, k=k) if k else OwnNegatives
    held = kind(torch.empty(2, 0), torch.empty(2, 0))
    for count in (1, 3, 7, 1000, 30_011):
        edges = torch.randn(count, device=device).round(decimals=2) + 1  # with ties
        size = (count,) if k else (count, 100)
        negatives = torch.randn(size, device=device).round(decimals=2)
        assert measure(held, edges, negatives) == evaluate_officially(name, edges, negatives)


def test_the_evaluator_has_the_last_word() -> None:
    asked = []

    def official(edges: Tensor, negatives: Tensor) -> float:
        asked.append((edges.shape, negatives.shape))
        return 0.25

    task = LinkPrediction(replace(ranked(), official=official))
    assert task.official_metrics(DotProduct()) == {"val_mrr": 0.25, "test_mrr": 0.25}
    assert asked == [((60,), (60, 3))] * 2
    assert LinkPrediction(TINY).official_metrics(DotProduct()) == {}
