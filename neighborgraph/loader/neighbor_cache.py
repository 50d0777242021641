"""NeighborCache: PyG's LastNeighborLoader, with the neighbours that were really the last."""

import torch
from torch import Tensor

from neighborgraph.ops.neighbor_cache import (
    NeighborTable,
    Recent,
    insert_events,
    lookup_neighbors,
)
from neighborgraph.ops.sample import relabel


class NeighborCache:
    """The ``size`` most recent neighbours of each node, with the methods of PyG's class.

    Events are numbered in the order of their insertion, and this is also their time. Of an event of
    a node with itself, the node gets one neighbour.

    Args:
        num_nodes: Number of nodes.
        size: Neighbours of a node that are kept.
        device: Where the table is.

    Raises:
        InputError: A size is out of range, or there is no memory for the table.
        DtypeError: A size is no int.
    """

    def __init__(self, num_nodes: int, size: int, device: torch.device | str | None = None) -> None:
        self.table = NeighborTable.empty(num_nodes, Recent(size), device=device)
        self.cur_e_id = 0

    @property
    def size(self) -> int:
        """Neighbours of a node that are kept."""
        return self.table.policy.size

    def __call__(self, n_id: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The neighbours of some nodes, from the newest to the oldest.

        Args:
            n_id: [q] int64 nodes.

        Returns:
            All nodes ascending, edges [2, e] from neighbours to the nodes asked for as places in
            them, and events [e].

        Raises:
            IdError: A node is out of range (on the CPU; a GPU stops with an assertion).
            DtypeError: ``n_id`` is no int64 tensor.
        """
        found = lookup_neighbors(self.table, n_id)
        # A GPU is waited for twice: for the number of neighbours, and of different nodes.
        shown = found.event.flatten().ge(0).nonzero().flatten()
        neighbor, event = (part.flatten()[shown] for part in (found.neighbor, found.event))
        nodes, place = ascending(torch.cat([n_id, neighbor]))
        asked, others = place.split([n_id.numel(), neighbor.numel()])
        return nodes, torch.stack([others, asked[shown // self.size]]), event

    def insert(self, src: Tensor, dst: Tensor) -> None:
        """Let both ends of each event remember the other.

        Args:
            src: [e] int64 nodes.
            dst: [e] int64 nodes.

        Raises:
            IdError: A node is out of range (on the CPU; a GPU stops with an assertion).
            InputError: They are not as many.
            DtypeError: They are no int64 tensors.
        """
        end = self.cur_e_id + src.numel()
        event = torch.arange(self.cur_e_id, end, device=src.device)
        insert_events(self.table, src, dst, event, event)
        self.cur_e_id = end

    def reset_state(self) -> None:
        """Forget all events and begin again with number 0."""
        self.table.reset()
        self.cur_e_id = 0


def ascending(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The different nodes in order, and the place of each; ``unique`` would sort all of them."""
    different, number = relabel(nodes[:0], nodes)
    different, order = different.sort()
    place = torch.empty_like(order)
    place[order] = torch.arange(order.numel(), device=order.device)
    return different, place[number]
