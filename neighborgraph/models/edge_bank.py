"""EdgeBank, from "Towards Better Evaluation for Dynamic Link Prediction" (NeurIPS 2022)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.graph.events import TIME_DTYPES
from neighborgraph.models.temporal import TemporalModel, candidates


@dataclass(eq=False)
class EdgeMemory:
    """The pairs that have met, and when last.

    Attributes:
        num_nodes: n.
        pair: [m] int64, source * n + destination, ascending.
        time: [m] int64 or float64.
    """

    num_nodes: int
    pair: Tensor
    time: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Pairs and times."""
        return {"pair": self.pair, "time": self.time}

    def reset(self) -> None:
        """Forget everything."""
        self.pair, self.time = self.pair[:0], self.time[:0]

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Be what `tensors` was.

        Raises:
            CheckpointError: It was of another kind of memory, or of times of another type.
        """
        if tensors.keys() != {"pair", "time"} or tensors["time"].dtype != self.time.dtype:
            raise CheckpointError(
                f"the memory holds {', '.join(sorted(tensors))}; an EdgeBank's has pair and time "
                f"in {self.time.dtype}"
            )
        device = self.pair.device
        self.pair, self.time = tensors["pair"].to(device), tensors["time"].to(device)


@dataclass(frozen=True, eq=False)
class EdgeSight:
    """Nodes at a time each, and all pairs that had met when they were looked at."""

    node: Tensor
    time: Tensor
    met: EdgeMemory

    def split(self, first: int) -> tuple["EdgeSight", "EdgeSight"]:
        """That of the first nodes, and that of the others."""
        former, latter = (
            EdgeSight(node, time, self.met)
            for node, time in zip(
                self.node.tensor_split([first]), self.time.tensor_split([first]), strict=True
            )
        )
        return former, latter


class EdgeBank(TemporalModel):
    """Pairs that met before will meet again, and no others (arXiv 2207.10128).

    A baseline that memorises and does not learn, but for one score of pairs that have met and one
    of pairs that have not, which are fitted.
    """

    window = math.inf
    is_capturable = False  # what has met grows

    def __init__(self) -> None:
        """Begin with even odds on either side."""
        super().__init__()
        self.met = nn.Parameter(torch.ones(()))
        self.new = nn.Parameter(-torch.ones(()))

    def memory(
        self,
        num_nodes: int,
        *,
        time_dtype: torch.dtype = torch.int64,
        device: torch.device | str | None = None,
    ) -> EdgeMemory:
        """No pair has met; see `TemporalModel`."""
        if time_dtype not in TIME_DTYPES:
            raise InputError(f"time_dtype = {time_dtype} must be torch.int64 or torch.float64")
        empty = torch.empty(0, dtype=torch.int64, device=device)
        return EdgeMemory(num_nodes, empty, empty.to(time_dtype))

    def look(
        self, memory: EdgeMemory, node: Tensor, time: Tensor, feature: Tensor | None = None
    ) -> EdgeSight:
        """All pairs that have met; see `TemporalModel`."""
        met = EdgeMemory(memory.num_nodes, memory.pair, memory.time)
        return EdgeSight(node, time, met)

    def forward(self, source: EdgeSight, destination: EdgeSight) -> Tensor:
        """Scores [D, p] of pairs; see `TemporalModel`."""
        times, met = candidates(source.node, destination.node), source.met
        pair = source.node.repeat(times) * met.num_nodes + destination.node
        # One pair more, which nothing equals, so that every place exists.
        known = torch.cat([met.pair, met.pair.new_full((1,), -1)])
        last = torch.cat([met.time, met.time.new_zeros(1)])
        place = torch.searchsorted(met.pair, pair)
        elapsed = destination.time - last[place]
        has_met = (known[place] == pair) & (elapsed > 0) & (elapsed <= self.window)
        return torch.where(has_met, self.met, self.new).view(times, -1)

    def insert(
        self, memory: EdgeMemory, source: EdgeSight, destination: EdgeSight, event: Tensor
    ) -> None:
        """Let events happen; see `TemporalModel`."""
        pair = torch.cat([memory.pair, source.node * memory.num_nodes + destination.node])
        time = torch.cat([memory.time, source.time])
        memory.pair, place = pair.unique(return_inverse=True)
        memory.time = time.new_zeros(len(memory.pair)).scatter_reduce_(
            0, place, time, "amax", include_self=False
        )


class EdgeBankWindow(EdgeBank):
    """Pairs that met in a window of time before will meet again, and no others."""

    def __init__(self, *, window: float):
        """Choose the window.

        Args:
            window: Its length, in the units of the stream's times.

        Raises:
            InputError: ``window`` is not above 0.
        """
        super().__init__()
        if not window > 0:
            raise InputError(f"window={window} must be above 0")
        self.window = window
