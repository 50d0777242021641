"""The one training loop: Adam over the batches of a task, with selection by validation loss.

It can be interrupted at any moment and resumed from its newest checkpoint, and then ends with the
same bits as if it had never stopped: parameters, moments, random generators, best state and
history are all part of a checkpoint.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from neighborgraph.errors import TrainingError
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.checkpoint import Checkpoints
from neighborgraph.tasks.interrupt import Stopped, stop_on_signal
from neighborgraph.tasks.progress import Moment, Progress
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings
from neighborgraph.tasks.step import Step


@dataclass(frozen=True)
class Fitted:
    """The result of a training; the model holds the best state.

    Attributes:
        best_epoch: Epochs trained when the validation loss was lowest; the earliest of equals.
        metrics: The metrics at that moment.
        epochs: Epochs trained in all.
        seconds: Time in the loop, over all resumed parts.
        history: For each evaluation after an epoch ``epoch``, ``seconds``, the training ``loss`` of
            that epoch, ``val_loss`` and the metrics.
    """

    best_epoch: int
    metrics: dict[str, float]
    epochs: int
    seconds: float
    history: tuple[Moment, ...]

    @property
    def val_losses(self) -> tuple[float, ...]:
        """The validation loss at each evaluation after an epoch."""
        return tuple(moment["val_loss"] for moment in self.history)


def fit(
    model: nn.Module,
    task: Task,
    *,
    optimizer: OptimizerSettings,
    training: TrainingSettings,
    checkpoints: Checkpoints | None = None,
    identity: Mapping[str, Any] | None = None,
    label: str = "training",
    watch: Callable[[Moment], None] | None = None,
) -> Fitted:
    """Train ``model``, and leave it with the parameters of the best epoch.

    Args:
        model: Called by ``task``; on the device it shall train on.
        task: Loss and evaluation.
        optimizer: Adam's numbers.
        training: How long.
        checkpoints: Where to save; a checkpoint that is there is continued. None saves nothing.
        identity: What this run is; a checkpoint of another run is refused.
        label: In front of the progress bar and in messages.
        watch: Called with what each evaluation after an epoch found.

    Raises:
        CheckpointError: All checkpoints are damaged, or belong to another run.
        TrainingError: The loss is not a number; the model holds the best state before that. Or one
            of several processes was lost.
        Stopped: SIGINT or SIGTERM came, to any of the processes; the state was saved.
    """
    processes = task.processes
    device = next(model.parameters()).device
    adam = torch.optim.Adam(
        model.parameters(),
        lr=optimizer.lr,
        weight_decay=optimizer.weight_decay,
        # One pass over each parameter, and a step that a CUDA graph can replay.
        fused=True,
        capturable=device.type == "cuda",
    )
    progress = Progress(model, adam, checkpoints, dict(identity or {}), processes, task.memory)
    resumed = progress.resume()
    task.begin(progress)
    if not resumed:
        progress.note_best(evaluate(model, task, f"{label}, before training"))
    step = task.step(model, adam)
    begun = time.monotonic() - progress.seconds
    bar = tqdm(
        total=training.epochs,
        initial=progress.epoch,
        desc=label,
        unit="epoch",
        disable=None if processes.leads else True,  # quiet unless the output is a terminal
        dynamic_ncols=True,
        leave=False,
    )
    with bar, stop_on_signal() as request:
        while progress.wants_more(training) and not processes.highest(request.signal_number or 0):
            where = f"{label}, epoch {progress.epoch + 1}"
            try:
                loss = train_epoch(step, task, progress.epoch, where)
                evaluation = None
                if training.evaluates(progress.epoch + 1):
                    evaluation = evaluate(model, task, where)
            except TrainingError:
                model.load_state_dict(progress.best_state)
                raise
            progress.note(evaluation, loss, time.monotonic() - begun)
            task.after_epoch(progress)
            if evaluation is not None:
                bar.set_postfix(postfix(loss, evaluation), refresh=False)
                if watch is not None:
                    watch(progress.history[-1])
            bar.update()
            if progress.epoch % training.checkpoint_every == 0:
                progress.save()
        progress.finished = not progress.wants_more(training)
        progress.save()
        if signal_number := processes.highest(request.signal_number or 0):
            raise Stopped(signal_number)
    model.load_state_dict(progress.best_state)
    return Fitted(
        best_epoch=progress.best_epoch,
        metrics=progress.best_metrics,
        epochs=progress.epoch,
        seconds=progress.seconds,
        history=tuple(progress.history),
    )


def train_epoch(step: Step, task: Task, epoch: int, where: str) -> float:
    """Train on every batch of an epoch; the mean loss, which must be a number."""
    step.model.train()
    for batch in task.batches(step.model, epoch):
        step(*batch)
    return expect_finite(step.mean_loss(), "training loss", where)


@torch.no_grad()
def evaluate(model: nn.Module, task: Task, where: str) -> Evaluation:
    """The task's evaluation of ``model`` as it will be used: no dropout, no gradients."""
    model.eval()
    evaluation = task.evaluate(model)
    expect_finite(evaluation.val_loss, "validation loss", where)
    return evaluation


def expect_finite(value: float, name: str, where: str) -> float:
    """``value``, or an error that says where it stopped being a number."""
    if not math.isfinite(value):
        raise TrainingError(
            f"{where}: the {name} is {value}; try a smaller learning rate "
            "(--set optimizer.lr=...) and check the features. The last checkpoint is kept"
        )
    return value


def postfix(loss: float, evaluation: Evaluation) -> dict[str, str]:
    """What the progress bar shows beside the time left."""
    shown = {"loss": f"{loss:.3f}"}
    for name in (
        "val_acc",
        "val_rocauc",
        "val_recall@20",
        "val_hits@20",
        "val_hits@50",
        "val_mrr",
        "val_ap",
    ):
        if name in evaluation.metrics:
            shown[name] = f"{evaluation.metrics[name]:.3f}"
    return shown
