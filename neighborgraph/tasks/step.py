"""Step: one batch of training, run operation by operation or replayed from a CUDA graph.

A step never waits for the GPU. Its losses are added up on the device, and reading their mean is the
one point at which an epoch synchronises.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from neighborgraph.tasks.captured import Captured
from neighborgraph.tasks.processes import ALONE, Processes

Loss = Callable[..., Tensor]
"""(model, *batch) to a scalar."""


class Step(ABC):
    """Forward, backward and one step of Adam on one batch.

    Attributes:
        total: float64 sum of the losses since the last `mean_loss`, on the device.
        count: How many they are.
    """

    def __init__(
        self,
        loss: Loss,
        model: nn.Module,
        adam: torch.optim.Adam,
        processes: Processes = ALONE,
    ) -> None:
        """Prepare steps.

        Args:
            loss: Of one batch, or this process's summand of it.
            model: In training.
            adam: Its optimizer.
            processes: Those whose losses add up to that of a batch.
        """
        self.loss, self.model, self.adam, self.processes = loss, model, adam, processes
        device = next(model.parameters()).device
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.count = 0

    @abstractmethod
    def __call__(self, *batch: Tensor) -> None:
        """Train on one batch."""

    def mean_loss(self) -> float:
        """The mean loss since this was last asked; waits for the device."""
        self.processes.sum_(self.total)
        mean = self.total.item() / max(self.count, 1)
        self.total.zero_()
        self.count = 0
        return mean

    def train(self, *batch: Tensor) -> None:
        """One batch, operation by operation."""
        self.adam.zero_grad()
        loss = self.loss(self.model, *batch)
        loss.backward()
        self.processes.sum_gradients(self.model)
        self.adam.step()
        self.total += loss.detach()


@final
class EagerStep(Step):
    """Runs every batch operation by operation."""

    def __call__(self, *batch: Tensor) -> None:
        """Train on one batch."""
        self.train(*batch)
        self.count += 1


@final
class CapturedStep(Step):
    """Has the operations of a batch `Captured`.

    The loss must do the same operations for every batch of a shape, and must neither wait for the
    device nor draw from a generator of its own. Adam must be ``capturable``.
    """

    def __init__(
        self,
        loss: Loss,
        model: nn.Module,
        adam: torch.optim.Adam,
        processes: Processes = ALONE,
    ) -> None:
        """Capture nothing yet."""
        super().__init__(loss, model, adam, processes)
        self.replayed = Captured(self.train, self.total.device)

    def __call__(self, *batch: Tensor) -> None:
        """Train on one batch."""
        self.replayed(*batch)
        self.count += 1
