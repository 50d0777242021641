"""NeighborTable: what each node remembers, as tensors, and the two policies of what stays.

```text
              slot 0      slot 1      slot 2      slot 3
node 0   | 7 t=3 #4  | 2 t=3 #5  |  empty    |  empty    |   neighbour, time, event (and features)
node 1   |  ...
```

``neighbor``, ``time`` and ``event`` are three [n, K] tensors of 8-byte words, so that a slot is 24
bytes and a row of one of them is read by one warp in one piece.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from neighborgraph.checks import FLOAT_DTYPES
from neighborgraph.errors import CheckpointError, DtypeError, InputError
from neighborgraph.graph.events import TIME_DTYPES
from neighborgraph.ops.sample.op import signed

MAX_SLOTS = 2**31 - 1
EMPTY = -1
"""The event of an empty slot, and the neighbour that is reported for one."""


@dataclass(frozen=True)
class Recent:
    """Keep the ``size`` most recent neighbours of each node, one slot an event.

    Event number i of a node, counted from its first, is in slot i mod ``size``.
    """

    size: int

    def __post_init__(self) -> None:
        expect_slots(self.size)


@dataclass(frozen=True)
class Hashed:
    """Keep each neighbour in the one slot of ``size`` that its id hashes to.

    A newer event of the neighbour that is there takes the slot. Of another neighbour it takes the
    slot with probability ``alpha``, drawn by Philox from the seed, the event, the node and the
    neighbour, so that the result depends on nothing else.

    Attributes:
        size: Slots K of each node.
        alpha: In [0, 1].
        seed: 64 bits; it also decides which neighbours share a slot.
    """

    size: int
    alpha: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        expect_slots(self.size)
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha = {self.alpha} must be a probability in [0, 1]")
        signed(self.seed)


@dataclass(frozen=True, eq=False)
class NeighborTable:
    """A table of K slots for each of n nodes; made by `NeighborTable.empty`.

    The functions of this operator write into its tensors. Nobody else should, except that the
    features of slots that a look-up has named may be replaced.

    Attributes:
        policy: What stays.
        neighbor: [n, K] int64, the other end.
        time: [n, K] int64 or float64.
        event: [n, K] int64 ids of events, -1 in an empty slot.
        count: [n] int64 under `Recent`, how many neighbours a node was ever given; else None.
        feature: Optional [n, K, F] features of slots.
        last_time: [1], the latest time that was inserted.
        last_event: [1] int64, the largest event that was inserted.
    """

    policy: Recent | Hashed
    neighbor: Tensor
    time: Tensor
    event: Tensor
    count: Tensor | None
    feature: Tensor | None
    last_time: Tensor
    last_event: Tensor

    @staticmethod
    def empty(
        num_nodes: int,
        policy: Recent | Hashed,
        *,
        time_dtype: torch.dtype = torch.int64,
        channels: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "NeighborTable":
        """A table in which no node has a neighbour.

        Args:
            num_nodes: Number of nodes n.
            policy: What stays.
            time_dtype: int64 or float64.
            channels: Features F of a slot; 0 for none.
            dtype: Of the features.
            device: Where it is.

        Raises:
            InputError: A size is out of range, or there is no memory; says how much it takes.
            DtypeError: A dtype is not one of those above, or the policy is none.
        """
        if not isinstance(policy, Recent | Hashed):
            raise DtypeError(f"policy must be Recent or Hashed, got {type(policy).__name__}")
        for name, size in (("num_nodes", num_nodes), ("channels", channels)):
            if isinstance(size, bool) or not isinstance(size, int):
                raise DtypeError(f"{name} must be an int, got {size!r}")
            if not 0 <= size <= MAX_SLOTS:
                raise InputError(f"{name} = {size} must be in [0, {MAX_SLOTS}]")
        if time_dtype not in TIME_DTYPES:
            raise DtypeError(
                f"time_dtype = {time_dtype} must be torch.int64 or torch.float64; float32 times "
                "are not distinct beyond 2^24"
            )
        if dtype not in FLOAT_DTYPES:
            raise DtypeError(f"dtype = {dtype} must be one of {FLOAT_DTYPES}")
        shape = num_nodes, policy.size
        try:
            table = NeighborTable(
                policy=policy,
                neighbor=torch.empty(shape, dtype=torch.int64, device=device),
                time=torch.empty(shape, dtype=time_dtype, device=device),
                event=torch.empty(shape, dtype=torch.int64, device=device),
                count=torch.empty(num_nodes, dtype=torch.int64, device=device)
                if isinstance(policy, Recent)
                else None,
                feature=torch.empty(*shape, channels, dtype=dtype, device=device)
                if channels
                else None,
                last_time=torch.empty(1, dtype=time_dtype, device=device),
                last_event=torch.empty(1, dtype=torch.int64, device=device),
            )
            table.reset()
        except (RuntimeError, MemoryError) as error:
            needed = num_nodes * (policy.size * (24 + channels * dtype.itemsize) + 8)
            raise InputError(
                f"a table of num_nodes = {num_nodes} nodes, {policy.size} slots and {channels} "
                f"channels takes {needed} bytes, which are not to be had: {error}"
            ) from error
        return table

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return self.event.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, without those that are absent."""
        return {name: t for name, t in vars(self).items() if isinstance(t, Tensor)}

    def reset(self) -> None:
        """Forget everything; the tensors are then those of a new table."""
        lowest = -torch.inf
        if self.last_time.dtype == torch.int64:
            lowest = torch.iinfo(torch.int64).min
        for name, tensor in self.tensors().items():
            absent = name in ("neighbor", "event", "last_event")
            tensor.fill_(lowest if name == "last_time" else EMPTY if absent else 0)

    def snapshot(self) -> Self:
        """A copy that later insertions leave alone."""
        return self.changed(lambda tensor: tensor.clone())

    def restore(self, snapshot: "NeighborTable") -> None:
        """Make this table what it was when the snapshot was taken.

        Raises:
            CheckpointError: The snapshot is of a table with another policy, size or type.
        """
        own, other = self.layout(), snapshot.layout()
        for name, value in own.items():
            if value != other[name]:
                raise CheckpointError(
                    f"the snapshot has {name} = {other[name]}, but this table has {value}; "
                    "restore it into a table that was made with the same arguments"
                )
        theirs = snapshot.tensors()
        for name, tensor in self.tensors().items():
            tensor.copy_(theirs[name])

    def layout(self) -> dict[str, object]:
        """All that two tables must have in common for one to be restored from the other."""
        channels = 0 if self.feature is None else self.feature.shape[2]
        return {
            "policy": self.policy,
            "num_nodes": self.num_nodes,
            "time_dtype": self.time.dtype,
            "channels": channels,
            "dtype": None if self.feature is None else self.feature.dtype,
        }

    def to(self, device: torch.device | str) -> Self:
        """The same table on another device; on its own, the table itself."""
        return self.changed(lambda tensor: tensor.to(device))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with a change of every tensor."""
        return replace(self, **{name: change(t) for name, t in self.tensors().items()})

    def __repr__(self) -> str:
        channels = "" if self.feature is None else f", {self.feature.shape[2]} channels"
        return (
            f"NeighborTable({self.num_nodes} nodes, {self.policy}{channels}, {self.event.device})"
        )


def expect_slots(size: int) -> None:
    """Refuse a number of slots that is none."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise DtypeError(f"size must be an int, got {size!r}")
    if not 1 <= size <= MAX_SLOTS:
        raise InputError(f"size = {size} slots must be in [1, {MAX_SLOTS}]")
