"""Task: what a model is trained for. It is handed a model and knows none."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Evaluation:
    """What one look at a model found.

    Attributes:
        val_loss: The loss that selects the best epoch; lower is better.
        metrics: Name to fraction, such as ``{"test_acc": 0.84}``.
    """

    val_loss: float
    metrics: dict[str, float]


class Task(ABC):
    """A loss to descend and an evaluation to select by."""

    @abstractmethod
    def loss(self, model: nn.Module) -> Tensor:
        """The training loss of one step, to be differentiated."""

    @abstractmethod
    def evaluate(self, model: nn.Module) -> Evaluation:
        """The validation loss and all metrics; ``model`` is in evaluation mode."""
