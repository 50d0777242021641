"""TemporalModel: what a model of a stream must offer; it reads its memory first and writes then."""

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError


class Memory(Protocol):
    """What happened so far, in tensors."""

    def reset(self) -> None:
        """Forget everything."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Be what ``tensors`` was; a `CheckpointError` where that does not fit."""
        ...


class Sight(Protocol):
    """What a model sees of q nodes at a time each."""

    def split(self, first: int) -> tuple[Self, Self]:
        """That of the first of them, and that of the others."""
        ...


class TemporalModel(nn.Module, ABC):
    """A model that scores pairs of nodes by what happened before.

    It holds parameters alone: a memory is handed to it, so that one model can serve several
    streams. A batch is looked at, scored, and only then inserted:

    .. code-block:: python

        ends = model.look(memory, torch.cat([source, destination]), time.repeat(2))
        scores = model(*ends.split(len(source)))
        model.insert(memory, *ends.split(len(source)), event)

    Attributes:
        is_capturable: Whether every batch of a shape takes the same operations, none of which waits
            for a GPU, so that they can be captured.
    """

    is_capturable = True

    @abstractmethod
    def memory(
        self,
        num_nodes: int,
        *,
        time_dtype: torch.dtype = torch.int64,
        device: torch.device | str | None = None,
    ) -> Any:
        """A memory in which nothing has happened.

        Args:
            num_nodes: Number of nodes n of the stream.
            time_dtype: int64 or float64.
            device: Where it is.

        Raises:
            InputError: A size is out of range, or there is no memory; says how much it takes.
            DtypeError: ``time_dtype`` is another one.
        """

    @abstractmethod
    def look(self, memory: Any, node: Tensor, time: Tensor, feature: Tensor | None = None) -> Any:
        """What is known of nodes from before a time each; the memory is only read.

        Args:
            memory: From `memory`.
            node: [q] int64.
            time: [q] in the memory's time dtype, none before the last event that was inserted.
            feature: [E, edge_channels] features of all events so far, by their ids.

        Returns:
            A `Sight` of q rows.

        Raises:
            IdError: A node is out of range (on the CPU; a GPU stops with an assertion, as for
                times).
            InputError: A shape is wrong, or a time is in the past.
            DtypeError: An argument has another type.
        """

    @abstractmethod
    def forward(self, source: Any, destination: Any) -> Tensor:
        """Scores of pairs, logarithms of odds, from the sights of their ends.

        Args:
            source: Sight of p nodes.
            destination: Sight of D p nodes, D candidates for each source: the first candidates of
                all sources, then the second ones, and so on.

        Returns:
            [D, p].

        Raises:
            InputError: There are not the same number of candidates for each source.
        """

    @abstractmethod
    def insert(self, memory: Any, source: Any, destination: Any, event: Tensor) -> None:
        """Let events happen whose ends were looked at at their times.

        Args:
            memory: Written into.
            source: Sight of p sources, in the order of events.
            destination: Sight of their destinations.
            event: [p] int64 ids, rising from call to call.

        Raises:
            InputError: A time falls, or an event does not rise.
        """


def candidates(source: Tensor, destination: Tensor) -> int:
    """D, how many destinations there are for each source."""
    sources, destinations = len(source), len(destination)
    if destinations % max(sources, 1) or (destinations and not sources):
        raise InputError(
            f"{destinations} destinations cannot be dealt to {sources} sources; pass as many "
            "candidates for each source"
        )
    return destinations // max(sources, 1)
