"""Progress: everything a training has reached, and its way into and out of a checkpoint."""

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_same_tensors
from neighborgraph.errors import CheckpointError
from neighborgraph.tasks.base import NOTHING, Evaluation, Memory
from neighborgraph.tasks.checkpoint import Checkpoint, Checkpoints
from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.settings import TrainingSettings

log = logging.getLogger(__name__)
SAVED = (
    "epoch",
    "seconds",
    "finished",
    "best_epoch",
    "best_loss",
    "best_metrics",
    "history",
    "task_state",
)
"""Attributes of `Progress` that go into a checkpoint as they are; tensors go beside them."""
Moment = dict[str, float]
"""One evaluation: ``epoch``, ``seconds``, ``loss``, ``val_loss`` and the metrics."""


@dataclass
class Progress:
    """The state of a training between two epochs.

    Attributes:
        model: The model in training.
        adam: Its optimizer.
        checkpoints: Where to save; None saves nothing.
        identity: What this run is.
        processes: Those that train together; the first of them saves.
        memory: What the task remembers in tensors.
        epoch: Epochs trained.
        seconds: Time spent.
        finished: Whether no epoch is left to train.
        best_epoch: Epochs trained when the validation loss was lowest.
        best_loss: That loss; infinite before the first evaluation.
        best_metrics: The metrics at that moment.
        best_state: The model's state at that moment.
        history: Each evaluation after an epoch.
        task_state: What the task remembers between epochs.
    """

    model: nn.Module
    adam: torch.optim.Adam
    checkpoints: Checkpoints | None
    identity: dict[str, Any]
    processes: Processes = ALONE
    memory: Memory = NOTHING
    epoch: int = 0
    seconds: float = 0.0
    finished: bool = False
    best_epoch: int = 0
    best_loss: float = float("inf")
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[Moment] = field(default_factory=list)
    task_state: dict[str, int] = field(default_factory=dict)

    def resume(self) -> bool:
        """Continue from the newest checkpoint; False when there is none.

        Raises:
            CheckpointError: All are damaged, or the newest belongs to another run.
            TrainingError: The processes do not begin at the same epoch of the same run.
        """
        checkpoint = None if self.checkpoints is None else self.checkpoints.load()
        if checkpoint is not None:
            self.restore(checkpoint)
        self.processes.expect_same(f"epoch {self.epoch} of {self.identity}")
        self.processes.copy_parameters(self.model)
        return checkpoint is not None

    def wants_more(self, training: TrainingSettings) -> bool:
        """Whether epochs are left and neither rule of early stopping has fired.

        The window rule is the one of DAGNN: past half of the epochs, stop when the validation loss
        is above the mean of the ``window`` losses before it. It counts evaluations.
        """
        if self.finished or self.epoch >= training.epochs:
            return False
        if training.patience and self.epoch - self.best_epoch >= training.patience:
            return False
        if not training.window or self.epoch - 1 <= training.epochs // 2:
            return True
        losses = [moment["val_loss"] for moment in self.history[-training.window - 1 :]]
        return len(losses) < 2 or losses[-1] <= sum(losses[:-1]) / len(losses[:-1])

    def note(self, evaluation: Evaluation | None, loss: float, seconds: float) -> None:
        """Count an epoch and keep its state when it was evaluated and is the best so far.

        Args:
            evaluation: What was found after the epoch; None when nobody looked.
            loss: The epoch's training loss.
            seconds: Time spent since the first epoch.
        """
        self.epoch += 1
        self.seconds = seconds
        if evaluation is None:
            return
        moment = {"epoch": self.epoch, "seconds": seconds, "loss": loss}
        self.history.append(moment | {"val_loss": evaluation.val_loss} | evaluation.metrics)
        if evaluation.val_loss < self.best_loss:
            self.note_best(evaluation)

    def note_best(self, evaluation: Evaluation) -> None:
        """Keep the current state as the best."""
        self.best_epoch = self.epoch
        self.best_loss = evaluation.val_loss
        self.best_metrics = evaluation.metrics
        self.best_state = {k: t.detach().clone() for k, t in self.model.state_dict().items()}

    def save(self) -> None:
        """Write a checkpoint, if there is a place for it."""
        if self.checkpoints is None or not self.processes.leads:
            return
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"best.{name}": t for name, t in self.best_state.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.adam.state[parameter].items():
                tensors[f"adam.{key}.{name}"] = value
        tensors |= {f"memory.{name}": t for name, t in self.memory.tensors().items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        state = {"identity": self.identity} | {name: getattr(self, name) for name in SAVED}
        self.checkpoints.save(self.epoch, tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: It belongs to another run, model or kind of device.
        """
        for reason in checkpoint.skipped:
            log.warning("skipped a damaged checkpoint: %s", reason)
        state, tensors = checkpoint.state, checkpoint.tensors
        expect_same_run(state["identity"], self.identity)
        expect_same_tensors("model", part(tensors, "model."), self.model.state_dict())
        if ("random.cuda" in tensors) != (self.device.type == "cuda"):
            raise CheckpointError(
                f"the checkpoint was made on another kind of device than {self.device}, so its "
                "run cannot continue bit for bit; use the same --device, or another --out"
            )
        for name in SAVED:
            setattr(self, name, state[name])
        self.model.load_state_dict(part(tensors, "model."))
        self.best_state = {k: t.to(self.device) for k, t in part(tensors, "best.").items()}
        for name, parameter in self.model.named_parameters():
            self.adam.state[parameter] = {
                key: value.to(parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
                if (value := tensors.get(f"adam.{key}.{name}")) is not None
            }
        self.memory.load(part(tensors, "memory."))
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with ``prefix``, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def expect_same_run(saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a checkpoint of another run, naming what differs."""
    differing = [
        f"{key} is {saved.get(key)!r} there and {wanted.get(key)!r} here"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    ]
    if differing:
        raise CheckpointError(
            f"the checkpoint belongs to another run: {'; '.join(differing)}. Use the same "
            "settings, or another folder with --out"
        )
