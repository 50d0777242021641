"""Sampled classification: what a batch holds, equal draws, shares of processes, and resumption."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import InputError
from neighborgraph.graph import add_self_loops
from neighborgraph.models import LargeGT, LargeGTLocal
from neighborgraph.nn import propagate, random_projection
from neighborgraph.ops import Draw, TwoHops, sample_two_hops
from neighborgraph.tasks import Checkpoints, Fitted, SampledClassification, fit
from neighborgraph.tasks.metrics import accuracy
from neighborgraph.tasks.processes import Processes
from neighborgraph.tasks.recipe import OptimizerSettings, TrainingSettings

TINY = load_tiny()
SIZES = {"in_channels": 16, "hidden_channels": 8, "out_channels": 4, "num_nodes": 120}


class Spy(torch.nn.Module):
    """Scores that depend on everything a model is given, and a memory of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, tokens, position, node) -> torch.Tensor:
        self.seen.append((tokens, position, node))
        return tokens.sum((1, 2))[:, :4] + position.sum(1, keepdim=True) + node[:, None] / 100


def test_what_a_model_is_given() -> None:
    task = SampledClassification(TINY, nodes=6, batch_size=7, position_channels=3, seed=2)
    model, graph = Spy(), add_self_loops(TINY.graph)
    batches = list(task.batches(model, epoch=5))
    sizes = [len(node) for *_, node in batches]
    assert max(sizes) <= 7
    assert max(sizes) - min(sizes) <= 1
    train = torch.cat([node for *_, node in batches])
    assert torch.equal(train.sort().values, TINY.split(2).train.sort().values)
    once = propagate(graph, TINY.x)
    hops = torch.stack([TINY.x, once, propagate(graph, once)], dim=1)
    for tokens, position, node in batches:
        others = sample_two_hops(TwoHops.of(TINY.graph), node, 5, Draw(2, epoch=5))
        assert torch.equal(tokens, hops[torch.cat([node[:, None], others], dim=1)])
        assert torch.equal(position, random_projection(graph, 3, seed=2)[node])
        loss = task.loss(model, tokens, position, node)
        for given, seen in zip((tokens, position, node), model.seen[-1], strict=True):
            assert torch.equal(given, seen)
        scores = model(tokens, position, node)
        assert torch.equal(loss, torch.nn.functional.cross_entropy(scores, TINY.y[node]))


def test_epochs_draw_anew_and_seeds_too() -> None:
    def drawn(seed: int, epoch: int) -> torch.Tensor:
        task = SampledClassification(TINY, nodes=6, seed=seed)
        return next(task.batches(Spy(), epoch))[0]

    assert torch.equal(drawn(0, 3), drawn(0, 3))
    assert not torch.equal(drawn(0, 3), drawn(0, 4))
    assert not torch.equal(drawn(0, 3), drawn(1, 3))


def test_evaluation_in_batches_always_draws_the_same() -> None:
    model, split = Spy(), TINY.split(0)
    found = [
        SampledClassification(TINY, nodes=6, batch_size=size).evaluate(model)
        for size in (1000, 7, 7)
    ]
    assert found[0].metrics == found[1].metrics == found[2].metrics
    assert found[0].val_loss == pytest.approx(found[1].val_loss)
    task = SampledClassification(TINY, nodes=6)
    scores = task.all_scores(model, split.test)
    assert found[0].metrics["test_acc"] == accuracy(scores, TINY.y[split.test])
    assert set(found[0].metrics) == {"val_acc", "test_acc"}


def test_own_evaluator_has_the_last_word() -> None:
    judged = replace(TINY, official=lambda y, classes: (y + 10 * classes).float().mean().item())
    task, model, split = SampledClassification(judged, nodes=3), Spy(), TINY.split(0)
    classes = task.all_scores(model, split.val).argmax(1)
    expected = (TINY.y[split.val] + 10 * classes).float().mean().item()
    assert task.official_metrics(model)["val_acc"] == pytest.approx(expected)
    assert SampledClassification(TINY).official_metrics(model) == {}


def test_processes_share_a_batch() -> None:
    settings: dict[str, Any] = {"nodes": 4, "batch_size": 9, "seed": 1}
    model, whole = Spy(), SampledClassification(TINY, **settings)
    parts = [
        SampledClassification(TINY, **settings, processes=Processes(rank, 2)) for rank in (0, 1)
    ]
    rows = zip(whole.batches(model, 0), *(part.batches(model, 0) for part in parts), strict=True)
    for batch, first, second in rows:
        for tensor, *halves in zip(batch, first, second, strict=False):
            assert torch.equal(torch.cat(halves), tensor)
        summed = parts[0].loss(model, *first) + parts[1].loss(model, *second)
        torch.testing.assert_close(summed, whole.loss(model, *batch))


@pytest.mark.cuda
def test_on_a_gpu_batches_made_ahead_have_the_same_bits() -> None:
    task = SampledClassification(
        TINY, nodes=6, batch_size=7, position_channels=3, seed=2, device="cuda"
    )
    plain = SampledClassification(TINY, nodes=6, batch_size=7, position_channels=3, seed=2)
    ahead = list(task.batches(Spy(), 5))
    for batch, same in zip(ahead, task.shares(5), strict=True):
        for tensor, again in zip(batch, same, strict=True):
            assert torch.equal(tensor, again)
    # The order of an epoch is the device's; what is drawn around a node is not.
    for tokens, _, node in ahead:
        around = plain.with_others(node.cpu(), 5)
        torch.testing.assert_close(tokens.cpu(), plain.features[around])


@pytest.mark.cuda
def test_on_a_gpu_features_in_host_memory_train_the_same() -> None:
    _, state = train(epochs=4, device="cuda", features="device")
    _, same = train(epochs=4, device="cuda", features="host")
    for name, tensor in state.items():
        assert torch.equal(same[name], tensor), name


def test_bfloat16_is_of_features_and_products_alone() -> None:
    task = SampledClassification(TINY, nodes=6, precision="bfloat16")
    exact = SampledClassification(TINY, nodes=6)
    assert task.features.dtype == torch.bfloat16
    assert torch.equal(task.features, exact.features.bfloat16())
    model = LargeGTLocal(in_channels=16, hidden_channels=8, out_channels=4).eval()
    batch = task.seen_from(TINY.split(0).val, 0)
    scores = task.scores(model, *batch)
    assert scores.dtype == torch.float32
    wide = exact.scores(model, *exact.seen_from(TINY.split(0).val, 0))
    assert not torch.equal(scores, wide)
    torch.testing.assert_close(scores, wide, rtol=0.05, atol=0.05)
    fitted, state = train(epochs=60, precision="bfloat16")
    assert fitted.metrics["test_acc"] > 0.5
    assert all(tensor.dtype != torch.bfloat16 for tensor in state.values())


class Killed(Exception):
    """What no training expects."""


def train(
    folder: Path | None = None, epochs: int = 8, killed_after: int = 0, **settings: Any
) -> tuple[Fitted, dict[str, torch.Tensor]]:
    def watch(moment: Any) -> None:
        if moment["epoch"] == killed_after:
            raise Killed

    torch.manual_seed(0)
    model = LargeGT(**SIZES, global_channels=4, codes=10).to(settings.get("device", "cpu"))
    fitted = fit(
        model,
        SampledClassification(TINY, nodes=5, batch_size=16, position_channels=4, **settings),
        optimizer=OptimizerSettings(lr=0.01),
        training=TrainingSettings(epochs=epochs, checkpoint_every=3),
        checkpoints=None if folder is None else Checkpoints(folder),
        identity={"seed": 0},
        watch=watch,
    )
    return fitted, model.state_dict()


def test_it_learns() -> None:
    fitted, _ = train(epochs=60)
    assert fitted.history[-1]["loss"] < 0.7 * fitted.history[0]["loss"]
    assert fitted.metrics["test_acc"] > 0.5  # of four classes


def test_resumption_is_exact(tmp_path: Path) -> None:
    straight, state = train()
    with pytest.raises(Killed):
        train(tmp_path, killed_after=5)
    resumed, again = train(tmp_path)
    assert resumed.metrics == straight.metrics
    for name, tensor in state.items():
        assert torch.equal(again[name], tensor), name


def test_refusals() -> None:
    with pytest.raises(InputError, match="nodes=0 must be at least 1"):
        SampledClassification(TINY, nodes=0)
    with pytest.raises(InputError, match="3 nodes a step are too few for 2 processes"):
        SampledClassification(TINY, batch_size=3, processes=Processes(0, 2))
    with pytest.raises(InputError, match="precision='float8' must be one of float32, bfloat16"):
        SampledClassification(TINY, precision="float8")
    with pytest.raises(InputError, match="features='disk' must be one of device, host"):
        SampledClassification(TINY, features="disk")
