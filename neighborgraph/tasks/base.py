"""Task: what a model is trained for. It is handed a model and knows none."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.step import EagerStep, Step

if TYPE_CHECKING:
    from neighborgraph.tasks.progress import Progress


@dataclass(frozen=True)
class Evaluation:
    """What one look at a model found.

    Attributes:
        val_loss: What selects the best epoch; lower is better. A loss, or one minus a metric.
        metrics: Name to fraction, such as ``{"test_acc": 0.84}``.
    """

    val_loss: float
    metrics: dict[str, float]


class Memory(Protocol):
    """What a task remembers in tensors beside its model."""

    def reset(self) -> None:
        """Forget everything."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Be what ``tensors`` was; a `CheckpointError` where that does not fit."""
        ...


class NoMemory:
    """Nothing to remember."""

    def reset(self) -> None:
        """Nothing is forgotten."""

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """There is nothing to load."""


NOTHING = NoMemory()


class Task(ABC):
    """Batches to train on, a loss to descend and an evaluation to select by.

    Attributes:
        processes: Those that share its batches.
        memory: Part of every checkpoint.
    """

    processes: Processes = ALONE
    memory: Memory = NOTHING

    def batches(self, model: nn.Module, epoch: int) -> Iterable[tuple[Tensor, ...]]:
        """The batches of one epoch, which follow from the task's seed and ``epoch`` alone.

        By default one batch of nothing: the whole data set is in the task.
        """
        return [()]

    def step(self, model: nn.Module, adam: torch.optim.Adam) -> Step:
        """How one batch is trained on."""
        return EagerStep(self.loss, model, adam, self.processes)

    def begin(self, progress: "Progress") -> None:  # noqa: B027
        """Called once, before anything is evaluated and after a checkpoint was read.

        What a task must remember between epochs it keeps in ``progress.task_state``.
        """

    def after_epoch(self, progress: "Progress") -> None:  # noqa: B027
        """Called after an epoch was counted and evaluated, before it is saved."""

    @abstractmethod
    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """The training loss of one batch, to be differentiated."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> Evaluation:
        """The validation loss and all metrics; ``model`` is in evaluation mode."""

    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """What is found for a finished model alone; by default nothing.

        It is what the publisher's own evaluator says, or what takes too long for every epoch, and
        replaces the metrics of the same names in the record.
        """
        return {}
