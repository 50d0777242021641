"""The training loop: it learns, resumes bit for bit, answers signals, and stops at NaN."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import TrainingError
from neighborgraph.models import DAGNN
from neighborgraph.tasks import Checkpoints, Evaluation, Fitted, NodeClassification, Task, fit
from neighborgraph.tasks.interrupt import Stopped
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

TINY = load_tiny()
ADAM = OptimizerSettings(lr=0.01, weight_decay=0.005)


class StopAfter(Task):
    """A task during whose n-th training step a signal arrives."""

    def __init__(self, task: Task, steps: int, number: int = signal.SIGTERM):
        self.task, self.steps, self.number = task, steps, number

    def loss(self, model: torch.nn.Module, *batch: torch.Tensor) -> torch.Tensor:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), self.number)
        return self.task.loss(model)

    def evaluate(self, model: torch.nn.Module) -> Evaluation:
        return self.task.evaluate(model)


def build(seed: int = 0) -> DAGNN:
    torch.manual_seed(seed)
    return DAGNN(in_channels=16, hidden_channels=16, out_channels=4, hops=3, dropout=0.5)


def train(
    model: torch.nn.Module,
    task: Task | None = None,
    folder: Path | None = None,
    **settings: Any,
) -> Fitted:
    return fit(
        model,
        task or NodeClassification(TINY),
        optimizer=ADAM,
        training=TrainingSettings(**{"epochs": 40, "checkpoint_every": 7} | settings),
        checkpoints=None if folder is None else Checkpoints(folder),
        identity={"seed": 0},
    )


def final_tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(folder).load()
    assert checkpoint is not None
    return checkpoint.tensors


def test_it_learns_and_leaves_the_best_state() -> None:
    model, task = build(), NodeClassification(TINY)
    fitted = train(model, task, epochs=80)
    assert fitted.metrics["test_acc"] > 0.85
    assert fitted.val_losses[fitted.best_epoch - 1] == min(fitted.val_losses)
    with torch.no_grad():
        assert task.evaluate(model.eval()).metrics == fitted.metrics


def test_no_epochs_evaluate_the_untrained_model() -> None:
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fitted = train(model, epochs=0)
    assert (fitted.best_epoch, fitted.epochs, fitted.val_losses) == (0, 0, ())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("stops", [(1,), (7,), (13,), (40,), (3, 9, 20)])
def test_stopped_and_resumed_equals_straight_through(tmp_path: Path, stops: tuple) -> None:
    straight_model = build()
    straight = train(straight_model, folder=tmp_path / "straight")
    for steps in stops:
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            train(build(), StopAfter(NodeClassification(TINY), steps), tmp_path / "stopped")
    resumed_model = build(seed=99)
    torch.manual_seed(12345)
    resumed = train(resumed_model, folder=tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    assert (resumed.metrics, resumed.best_epoch) == (straight.metrics, straight.best_epoch)
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for name, tensor in straight_model.state_dict().items():
        assert torch.equal(tensor, resumed_model.state_dict()[name])


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = train(build(), folder=tmp_path, patience=5, epochs=500)
    assert first.epochs < 500
    again = train(build(), StopAfter(NodeClassification(TINY), 1), tmp_path, patience=5, epochs=500)
    assert again == first


def test_ctrl_c_leaves_a_checkpoint_of_that_epoch(tmp_path: Path) -> None:
    task = StopAfter(NodeClassification(TINY), 10, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="stopped by SIGINT"):
        train(build(), task, tmp_path)
    checkpoint = Checkpoints(tmp_path).load()
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.state["finished"]) == (10, False)


class NaNAfter(StopAfter):
    """A task whose n-th training loss is not a number."""

    def loss(self, model: torch.nn.Module, *batch: torch.Tensor) -> torch.Tensor:
        self.steps -= 1
        return self.task.loss(model) * (float("nan") if self.steps == 0 else 1.0)


def test_nan_stops_and_leaves_the_best_parameters(tmp_path: Path) -> None:
    model = build()
    with pytest.raises(TrainingError, match=r"epoch 10: the training loss is nan; .*optimizer\.lr"):
        train(model, NaNAfter(NodeClassification(TINY), 10), tmp_path)
    assert all(bool(t.isfinite().all()) for t in model.state_dict().values())
    checkpoint = Checkpoints(tmp_path).load()
    assert checkpoint is not None
    assert checkpoint.step == 7


def test_infinite_validation_loss_stops_too() -> None:
    class Diverged(StopAfter):
        def evaluate(self, model: torch.nn.Module) -> Evaluation:
            return Evaluation(float("inf"), {})

    with pytest.raises(TrainingError, match="before training: the validation loss is inf"):
        train(build(), Diverged(NodeClassification(TINY), 100))


def test_evaluated_every_few_epochs_and_after_the_last() -> None:
    seen: list[dict[str, float]] = []
    fitted = fit(
        build(),
        NodeClassification(TINY),
        optimizer=ADAM,
        training=TrainingSettings(epochs=11, evaluate_every=4),
        watch=seen.append,
    )
    assert [moment["epoch"] for moment in fitted.history] == [4, 8, 11]
    assert tuple(seen) == fitted.history
    assert set(seen[0]) >= {"epoch", "seconds", "loss", "val_loss", "val_acc", "test_acc"}
    assert fitted.best_epoch in (0, 4, 8, 11)


def test_an_epoch_is_every_batch_of_the_task() -> None:
    class Batches(Task):
        """Pulls the one parameter towards each number of a batch."""

        def batches(self, model, epoch):
            return [(torch.tensor([float(epoch), 1.0]),), (torch.tensor([2.0]),)]

        def loss(self, model, *batch):
            (parameter,) = model.parameters()
            return ((parameter.sum() - batch[0]) ** 2).sum()

        def evaluate(self, model):
            (parameter,) = model.parameters()
            return Evaluation(parameter.item(), {})

    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    plain = model.weight.detach().clone().requires_grad_()
    adam = torch.optim.Adam([plain], lr=0.01, weight_decay=0.005, fused=True)
    fitted = fit(model, Batches(), optimizer=ADAM, training=TrainingSettings(epochs=2))
    losses = []
    for target in ([0.0, 1.0], [2.0], [1.0, 1.0], [2.0]):
        adam.zero_grad()
        loss = ((plain.sum() - torch.tensor(target)) ** 2).sum()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    # The untrained weight 0 has the lowest loss, so it is kept; the history tells of the epochs.
    assert model.weight.item() == 0.0
    assert fitted.val_losses[-1] == plain.item()
    assert [m["loss"] for m in fitted.history] == [sum(losses[:2]) / 2, sum(losses[2:]) / 2]


def test_quiet_when_not_a_terminal(capfd) -> None:
    train(build(), epochs=2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.cuda
def test_resume_is_exact_on_a_gpu(tmp_path: Path) -> None:
    task = NodeClassification(TINY, device="cuda")
    straight = train(build().cuda(), task, tmp_path / "straight")
    with pytest.raises(Stopped):
        train(build().cuda(), StopAfter(task, 13), tmp_path / "stopped")
    resumed = train(build(seed=99).cuda(), task, tmp_path / "stopped")
    assert resumed.val_losses == straight.val_losses
    ours, theirs = final_tensors(tmp_path / "stopped"), final_tensors(tmp_path / "straight")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
