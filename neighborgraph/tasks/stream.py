"""What all tasks of a stream share: its memory, its batches and the loss of its links."""

from abc import ABC
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Events, EventSplit
from neighborgraph.tasks.base import Memory, Task
from neighborgraph.tasks.captured import Captured
from neighborgraph.tasks.randomness import keyed_generator
from neighborgraph.tasks.step import CapturedStep, Step


class StreamModel(Protocol):
    """What a model must offer; `neighborgraph.models.TemporalModel` does."""

    is_capturable: bool
    """Whether every batch of a shape takes the same operations, none of which waits for a GPU."""

    def memory(self, num_nodes: int, *, time_dtype: torch.dtype, device: torch.device) -> Memory:
        """A memory in which nothing has happened."""
        ...

    def look(self, memory: Any, node: Tensor, time: Tensor, feature: Tensor | None, /) -> Any:
        """What is known of nodes [q] from before times [q]; its ``split(i)`` cuts it in two."""
        ...

    def __call__(self, source: Any, destination: Any) -> Tensor:
        """[D, p] scores of D candidates for each of p sources: logarithms of odds."""
        ...

    def insert(self, memory: Any, source: Any, destination: Any, event: Tensor) -> None:
        """Let p events happen."""
        ...


class StreamTask(Task, ABC):
    """Events in the order of time, each told from one with a destination drawn at random.

    The model is a `StreamModel`. A batch is scored by what happened before it and only then
    inserted into the memory, which every epoch begins without. Several events of a batch do not see
    each other.
    """

    def __init__(
        self,
        events: Events,
        split: EventSplit,
        model: StreamModel,
        *,
        seed: int,
        batch_size: int,
        judged_size: int,
    ):
        """Keep the parts of the stream, and make a memory.

        Args:
            events: The whole stream, where to train.
            split: Of it.
            model: Which memory is wanted.
            seed: Of the negatives.
            batch_size: Events a step.
            judged_size: Events at once in an evaluation.

        Raises:
            InputError: A number is out of range.
        """
        for name, number in (("batch_size", batch_size), ("judged_size", judged_size)):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        self.seed, self.batch_size, self.judged_size = seed, batch_size, judged_size
        self.device, self.split, self.feature = events.device, split, events.feature
        # With the events of hidden nodes, which happen though training does not see them.
        self.past = events.part(0, len(events) - len(split.val) - len(split.test))
        self.pools = {"train": split.train.destination.unique()}
        self.memory = model.memory(
            events.num_nodes, time_dtype=events.time.dtype, device=self.device
        )

    def negatives(self, part: str, count: int, size: int, epoch: int) -> Tensor:
        """[count, size] destinations, drawn from those of a part of the stream."""
        pool, host = self.pools[part], torch.device("cpu")
        # Drawn on the host, so that every device is asked about the same negatives.
        generator = keyed_generator(host, self.seed, epoch)
        return pool[torch.randint(len(pool), (count, size), generator=generator).to(self.device)]

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Sources, destinations and negatives, times and ids; the last batch may be smaller."""
        self.memory.reset()
        train = self.split.train
        drawn = self.negatives("train", 1, len(train), epoch).split(self.batch_size, dim=1)
        for batch, negatives in zip(train.batches(self.batch_size), drawn, strict=True):
            yield batch.source, batch.destination, negatives, batch.time, batch.event

    def step(self, model: nn.Module, adam: torch.optim.Adam) -> Step:
        """Captured on a GPU, where the host would be slower than the device."""
        if self.captures(model):
            return CapturedStep(self.loss, model, adam)
        return super().step(model, adam)

    def captures(self, model: nn.Module) -> bool:
        """Whether operations are captured in CUDA graphs."""
        return self.device.type == "cuda" and bool(model.is_capturable)

    def often(self, function: Callable[..., Any], model: nn.Module) -> Callable[..., Any]:
        """A function of a model and a batch, as one of a batch that is called for many of them."""
        bound = partial(function, model)
        return Captured(bound, self.device) if self.captures(model) else bound

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Binary cross entropy of the events plus that of the negatives, each a mean."""
        return link_loss(self.predict(model, *batch))

    def predict(
        self,
        model: nn.Module,
        source: Tensor,
        destination: Tensor,
        negatives: Tensor,
        time: Tensor,
        event: Tensor,
    ) -> Tensor:
        """[1 + R, b] scores of events and of their negatives [R, b]; then the events happen."""
        stream: StreamModel = model  # pyright: ignore[reportAssignmentType]
        node = torch.cat([source, destination, negatives.flatten()])
        sources, candidates = self.look(stream, node, time)
        scores = stream(sources, candidates)
        stream.insert(self.memory, sources, candidates.split(len(source))[0], event)
        return scores

    def look(self, model: StreamModel, node: Tensor, time: Tensor) -> tuple[Any, Any]:
        """Sights of sources [b] and of D others for each, from nodes [b + D b] and times [b]."""
        times = time.repeat(len(node) // len(time))
        return model.look(self.memory, node, times, self.feature).split(len(time))

    def replay(self, model: nn.Module, events: Events) -> None:
        """Let events happen without a score; from the first event on, in an empty memory."""
        if events is self.past:
            self.memory.reset()
        happen = self.often(self.happen, model)
        for batch in events.batches(self.batch_size):
            happen(batch.source, batch.destination, batch.time, batch.event)

    def happen(
        self, model: nn.Module, source: Tensor, destination: Tensor, time: Tensor, event: Tensor
    ) -> None:
        """Insert a batch."""
        stream: StreamModel = model  # pyright: ignore[reportAssignmentType]
        ends = self.look(stream, torch.cat([source, destination]), time)
        stream.insert(self.memory, *ends, event)


def link_loss(scores: Tensor) -> Tensor:
    """Binary cross entropy of events plus that of their negatives, from scores [1 + R, b]."""
    return F.softplus(-scores[0]).mean() + F.softplus(scores[1:]).mean()
