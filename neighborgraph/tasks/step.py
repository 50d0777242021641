"""Step: one batch of training, run operation by operation or replayed from a CUDA graph.

A step never waits for the GPU. Its losses are added up on the device, and reading their mean is the
one point at which an epoch synchronises.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

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
    """Records the operations of a batch once for each shape, and replays them after that.

    The first batch of a shape is trained on operation by operation, so that whatever is made at
    first use (kernels, Adam's moments) is there; the second is recorded, and from then on a batch
    costs three launches of the host. The numbers are those of the eager step, bit for bit.

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
        """Record nothing yet."""
        super().__init__(loss, model, adam, processes)
        self.seen: set[Any] = set()
        self.recorded: dict[Any, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]] = {}
        # Work that is to be recorded must not run on the default stream, nor what precedes it.
        self.stream = torch.cuda.Stream(self.total.device)

    def __call__(self, *batch: Tensor) -> None:
        """Train on one batch."""
        shape = tuple((tensor.shape, tensor.dtype) for tensor in batch)
        if shape in self.recorded:
            self.replay(shape, batch)
        elif shape in self.seen:
            self.record(shape, batch)
            self.replay(shape, batch)
        else:
            self.seen.add(shape)
            self.warm_up(batch)
        self.count += 1

    def warm_up(self, batch: tuple[Tensor, ...]) -> None:
        """Train on one batch on the stream that will record."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            self.train(*batch)
        current.wait_stream(self.stream)

    def record(self, shape: Any, batch: tuple[Tensor, ...]) -> None:
        """Record one batch; nothing is computed."""
        buffers = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in batch)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self.train(*buffers)
        self.recorded[shape] = graph, buffers

    def replay(self, shape: Any, batch: tuple[Tensor, ...]) -> None:
        """Train on one batch as it was recorded."""
        graph, buffers = self.recorded[shape]
        for buffer, tensor in zip(buffers, batch, strict=True):
            buffer.copy_(tensor)
        graph.replay()
