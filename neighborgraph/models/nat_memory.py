"""NATMemory: the tables of NAT, one slot of its own for each node and some for each hop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_same_tensors
from neighborgraph.ops import Hashed, NeighborTable, Recent


@dataclass(frozen=True, eq=False)
class NATMemory:
    """What NAT remembers of n nodes.

    Attributes:
        own: One slot a node, of its last event: the other end, and the node's self representation
            (d channels) and hop-0 vector (F channels) from before that event.
        hops: The tables of hop 1, and of hop 2 where there are any: a neighbour a hashed slot, and
            its vector (F channels) from before the slot's event.
    """

    own: NeighborTable
    hops: tuple[NeighborTable, ...]

    @staticmethod
    def empty(
        num_nodes: int,
        sizes: tuple[int, ...],
        *,
        self_channels: int,
        slot_channels: int,
        alpha: float,
        seed: int,
        time_dtype: torch.dtype,
        dtype: torch.dtype,
        device: torch.device | str | None,
    ) -> "NATMemory":
        """Tables in which no node has met another; see `NeighborTable.empty`."""
        common = {"time_dtype": time_dtype, "dtype": dtype, "device": device}
        width = self_channels + slot_channels
        return NATMemory(
            NeighborTable.empty(num_nodes, Recent(1), channels=width, **common),
            tuple(
                NeighborTable.empty(
                    num_nodes, Hashed(size, alpha, seed), channels=slot_channels, **common
                )
                for size in sizes
            ),
        )

    @property
    def tables(self) -> tuple[NeighborTable, ...]:
        """All tables, from hop 0."""
        return self.own, *self.hops

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of all tables by hop and name."""
        return {
            f"hop{hop}.{name}": tensor
            for hop, table in enumerate(self.tables)
            for name, tensor in table.tensors().items()
        }

    def reset(self) -> None:
        """Forget everything."""
        for table in self.tables:
            table.reset()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Be what `tensors` was.

        Raises:
            CheckpointError: It was of another model, or of another number of nodes.
        """
        own = self.tensors()
        expect_same_tensors("memory", tensors, own)
        for name, tensor in own.items():
            tensor.copy_(tensors[name])

    def self_vectors(self, node: Tensor, channels: int) -> Tensor:
        """[..., d] the stored self representations of nodes; of a negative one any."""
        expect_dtype("node", node, (torch.int64,))
        rows = self.own.feature.flatten(0, 1)[:, :channels]  # pyright: ignore
        found = rows.index_select(0, node.clamp(min=0).flatten())
        return found.view(*node.shape, channels)
