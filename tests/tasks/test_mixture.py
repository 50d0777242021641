"""Turns by hand, undoing, who learns when, selection by validation alone, and exact resumption."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neighborgraph.data import BinaryDataset
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.models import MLP, MowstGCN, MowstModel, MowstStarGCN, MowstStarModel
from neighborgraph.tasks import (
    BinaryMixtureClassification,
    Checkpoints,
    Evaluation,
    Fitted,
    MixtureClassification,
    fit,
)
from neighborgraph.tasks.interrupt import Stopped
from neighborgraph.tasks.metrics import roc_auc
from neighborgraph.tasks.progress import Progress
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings, TurnSettings

TINY = load_tiny()
ADAM = OptimizerSettings(lr=0.01, weight_decay=0.005)
BOTH = pytest.mark.parametrize("kind", [MowstGCN, MowstStarGCN])


def build(kind: type = MowstGCN, seed: int = 0, dropout: float = 0.5) -> MowstModel:
    torch.manual_seed(seed)
    return kind(in_channels=16, hidden_channels=16, out_channels=4, dropout=dropout)


def mixture_task(**settings: Any) -> MixtureClassification:
    return MixtureClassification(TINY, turns=TurnSettings(**settings))


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> bool:
    after = module.state_dict()
    return any(not torch.equal(before[name], after[name]) for name in before)


def begun(model: nn.Module, task: MixtureClassification, loss: float) -> Progress:
    """A training before its first epoch, with a validation loss."""
    progress = Progress(model, torch.optim.Adam(model.parameters()), None, {})
    task.begin(progress)
    progress.note_best(Evaluation(loss, {}))
    return progress


def live(progress: Progress, task: MixtureClassification, losses: list[float]) -> None:
    """Epochs with these validation losses, each of which moves every parameter by one."""
    for loss in losses:
        with torch.no_grad():
            for parameter in progress.model.parameters():
                parameter += 1
        progress.note(Evaluation(loss, {}), 0.5, 1.0)
        task.after_epoch(progress)


def test_turns_by_hand() -> None:
    model, task = build(), mixture_task(patience=2, idle_rounds=2)
    progress = begun(model, task, loss=9.0)
    bias = dict(model.named_parameters())["weak.out.bias"]
    start = bias.detach().clone()
    seen = []
    # Gains in epochs 1 and 2; two epochs without one end the turn. The next turn has a gain in its
    # second epoch and ends after epoch 8. Four turns without a gain are two idle rounds.
    for loss in [8, 7, 7, 7.5, 8, 6, 6, 6, 9, 9, 9, 9, 9, 9, 9, 9]:
        live(progress, task, [float(loss)])
        moved = (bias - start).mean().item()
        seen.append((task.state["turn"], task.state["idle"], round(moved), progress.finished))
    assert seen == [
        (0, 0, 1, False),
        (0, 0, 2, False),
        (0, 0, 3, False),
        (1, 0, 2, False),  # back to the state after epoch 2
        (1, 0, 3, False),
        (1, 0, 4, False),
        (1, 0, 5, False),
        (2, 0, 4, False),  # the best of this turn
        (2, 0, 5, False),
        (3, 1, 4, False),  # did not help: undone
        (3, 1, 5, False),
        (4, 2, 4, False),
        (4, 2, 5, False),
        (5, 3, 4, False),
        (5, 3, 5, False),
        (6, 4, 4, True),
    ]


def test_a_turn_begins_with_fresh_moments() -> None:
    model, task = build(), mixture_task(patience=1)
    progress = begun(model, task, loss=1.0)
    step = task.step(model, progress.adam)
    step()
    assert len(progress.adam.state) > 0
    live(progress, task, [2.0])
    assert task.state["turn"] == 1
    assert len(progress.adam.state) == 0


def test_the_one_turn_of_mowst_star_lasts() -> None:
    model, task = build(MowstStarGCN), mixture_task(patience=1, idle_rounds=1)
    progress = begun(model, task, loss=1.0)
    live(progress, task, [2.0] * 5)
    assert (task.state["turn"], progress.finished) == (0, False)


@pytest.mark.parametrize(("pretrain", "turn", "learners"), [
    ("none", 0, {"weak", "gate"}),
    ("none", 1, {"strong"}),
    ("none", 2, {"weak", "gate"}),
    ("strong", 0, {"strong"}),
    ("strong", 1, {"weak", "gate"}),
    ("both", 1, {"weak"}),
    ("both", 3, {"strong"}),
])  # fmt: skip
def test_only_those_whose_turn_it_is_move(pretrain: str, turn: int, learners: set) -> None:
    model, task = build().train(), mixture_task(pretrain=pretrain)
    task.state["turn"] = turn
    adam = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    before = {name: state_of(part) for name, part in model.named_children()}
    step = task.step(model, adam)
    step()
    step()
    assert {name for name, part in model.named_children() if changed(before[name], part)} == (
        learners
    )
    assert step.mean_loss() > 0


def test_everything_moves_in_mowst_star() -> None:
    model, task = build(MowstStarGCN).train(), mixture_task()
    before = {name: state_of(part) for name, part in model.named_children()}
    task.step(model, torch.optim.Adam(model.parameters(), lr=0.1))()
    assert all(changed(before[name], part) for name, part in model.named_children())


def test_a_part_at_rest_has_no_dropout() -> None:
    model, task = build().train(), mixture_task()
    assert isinstance(model.weak, MLP)
    model.weak.dropout = 0.0
    assert torch.equal(task.loss(model), task.loss(model))  # the strong expert rests
    task.state["turn"] = 1
    model.train()
    assert not torch.equal(task.loss(model), task.loss(model))


@pytest.mark.parametrize("select", ["loss", "metric"])
@BOTH
def test_evaluation_is_the_models(kind: type[MowstModel], select: str) -> None:
    model, task = build(kind).eval(), mixture_task(select=select)
    nodes, split = task.nodes, TINY.split(0)
    with torch.no_grad():
        evaluation = task.evaluate(model)
        opinions = model.opinions(nodes.x, nodes.graph)
        losses = model.node_losses(opinions, TINY.y)
        right = model.node_accuracies(opinions, TINY.y).double()
    expected = losses[split.val].mean() if select == "loss" else 1 - right[split.val].mean()
    assert evaluation.val_loss == pytest.approx(expected.item())
    for part, ids in vars(split).items():
        assert evaluation.metrics[f"{part}_acc"] == pytest.approx(right[ids].mean().item())
    for expert in ("weak", "strong"):
        hits = getattr(opinions, expert).argmax(1) == TINY.y
        found = evaluation.metrics[f"{expert}_test_acc"]
        assert found == pytest.approx(hits[split.test].double().mean().item())
    assert evaluation.metrics["confidence"] == pytest.approx(opinions.confidence.mean().item())


@pytest.mark.parametrize("pretrain", ["none", "weak", "strong"])
@BOTH
def test_two_classes_are_judged_by_the_area_under_the_curve(kind: type, pretrain: str) -> None:
    binary = BinaryDataset("binary", TINY.graph, TINY.x, TINY.y % 2, 2, TINY.split_rule, "made up")
    model = kind(in_channels=16, hidden_channels=16, out_channels=2, dropout=0.5).eval()
    turns = TurnSettings(pretrain=pretrain, select="metric")
    task = BinaryMixtureClassification(binary, turns=turns)
    with torch.no_grad():
        evaluation = task.evaluate(model)
        opinions = model.opinions(task.nodes.x, task.nodes.graph)
        mixed = model(task.nodes.x, task.nodes.graph)

    def area(scores: torch.Tensor, ids: torch.Tensor) -> float:
        return roc_auc((scores[ids, 1] - scores[ids, 0])[:, None], binary.y[ids, None])

    split = TINY.split(0)
    for part, ids in vars(split).items():
        assert evaluation.metrics[f"{part}_rocauc"] == area(mixed, ids)
    for expert in ("weak", "strong"):
        found = evaluation.metrics[f"{expert}_test_rocauc"]
        assert found == area(getattr(opinions, expert), split.test)
    selecting = mixed if pretrain == "none" else getattr(opinions, pretrain)
    assert evaluation.val_loss == 1 - area(selecting, split.val)


@pytest.mark.parametrize("expert", ["weak", "strong"])
def test_pretraining_is_about_one_expert(expert: str) -> None:
    model, task = build().eval(), mixture_task(pretrain=expert)
    scores = getattr(model.opinions(task.nodes.x, task.nodes.graph), expert)
    split = TINY.split(0)
    for part, found in (("train", task.loss(model).item()), ("val", task.evaluate(model).val_loss)):
        ids = getattr(split, part)
        expected = nn.functional.cross_entropy(scores[ids], TINY.y[ids]).item()
        assert found == pytest.approx(expected)


def test_after_pretraining_the_mixture_selects_anew() -> None:
    model, task = build(MowstStarGCN), mixture_task(pretrain="strong", patience=2)
    progress = begun(model, task, loss=0.0)  # lower than any loss of the mixture
    before = state_of(model)
    live(progress, task, [1.0, 1.0])
    assert not changed(before, model)
    assert (task.state["turn"], progress.best_epoch) == (1, 2)
    assert progress.best_loss == task.evaluate(model.eval()).val_loss > 0


def train(
    model: nn.Module, task: MixtureClassification, folder: Path | None = None, **options: Any
) -> Fitted:
    return fit(
        model,
        task,
        optimizer=ADAM,
        training=TrainingSettings(epochs=60, checkpoint_every=7),
        checkpoints=None if folder is None else Checkpoints(folder),
        identity={"seed": 0},
        **options,
    )


@pytest.mark.parametrize(("kind", "reached"), [(MowstGCN, 0.7), (MowstStarGCN, 0.9)])
def test_it_learns_and_leaves_the_best_state(kind: type[MowstModel], reached: float) -> None:
    model = build(kind)
    task = mixture_task(pretrain="strong", patience=15, select="metric")
    fitted = fit(model, task, optimizer=ADAM, training=TrainingSettings(epochs=150))
    assert fitted.metrics["test_acc"] > max(reached, fitted.metrics["weak_test_acc"])
    with torch.no_grad():
        assert task.evaluate(model.eval()).metrics == fitted.metrics
    assert all(parameter.requires_grad for parameter in model.parameters())


def stop_at(epoch: int) -> Any:
    """Sends the signal that a user would, after so many epochs."""

    def watch(moment: dict[str, float]) -> None:
        if moment["epoch"] == epoch:
            os.kill(os.getpid(), signal.SIGTERM)

    return watch


def final_tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(folder).load()
    assert checkpoint is not None
    return checkpoint.tensors


@pytest.mark.parametrize("stops", [(1,), (17,), (30,), (8, 23, 44)])
@pytest.mark.parametrize("pretrain", ["none", "both"])
def test_stopped_and_resumed_equals_straight_through(
    tmp_path: Path, stops: tuple, pretrain: str
) -> None:
    settings = {"pretrain": pretrain, "patience": 3, "select": "metric"}
    straight_model, straight_task = build(), mixture_task(**settings)
    straight = train(straight_model, straight_task, tmp_path / "straight")
    assert straight_task.state["turn"] > 2
    for epoch in stops:
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            train(build(), mixture_task(**settings), tmp_path / "stopped", watch=stop_at(epoch))
    resumed_model, resumed_task = build(seed=99), mixture_task(**settings)
    torch.manual_seed(12345)
    resumed = train(resumed_model, resumed_task, tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    assert resumed_task.state == straight_task.state
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not changed(state_of(straight_model), resumed_model)


@pytest.mark.cuda
def test_resume_is_exact_on_a_gpu(tmp_path: Path) -> None:
    turns = TurnSettings(pretrain="strong", patience=3, select="metric")
    task = MixtureClassification(TINY, turns=turns, device="cuda")
    straight = train(build().cuda(), task, tmp_path / "straight")
    with pytest.raises(Stopped):
        train(build().cuda(), task, tmp_path / "stopped", watch=stop_at(23))
    resumed = train(build(seed=99).cuda(), task, tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@BOTH
def test_test_labels_change_nothing_but_the_test_metrics(kind: type[MowstModel]) -> None:
    other = TINY.y.clone()
    test = TINY.split(0).test
    other[test] = (other[test] + 1) % 4
    # Splits are drawn by class, so that of the true labels is kept.
    blind = replace(TINY, y=other, split_rule=TINY.split)
    settings = TurnSettings(pretrain="both", patience=5, select="metric")
    found = []
    for dataset in (TINY, blind):
        model = build(kind)
        fitted = train(model, MixtureClassification(dataset, turns=settings))
        found.append((fitted.best_epoch, fitted.val_losses, state_of(model), fitted.metrics))
    (epoch, losses, state, metrics), (blind_epoch, blind_losses, blind_state, blind_metrics) = found
    assert (epoch, losses) == (blind_epoch, blind_losses)
    assert all(torch.equal(state[name], blind_state[name]) for name in state)
    assert metrics["test_acc"] != blind_metrics["test_acc"]


def test_a_gcn_of_pyg_as_the_strong_expert() -> None:
    from torch_geometric.nn.models import GCN as PygGCN

    torch.manual_seed(0)
    weak = MLP(in_channels=16, hidden_channels=16, out_channels=4, dropout=0.5)
    strong = PygGCN(16, 16, num_layers=2, out_channels=4, dropout=0.5)
    model = MowstStarModel(weak, strong)
    fitted = train(model, mixture_task(pretrain="strong", patience=10))
    assert fitted.metrics["test_acc"] > 0.8
