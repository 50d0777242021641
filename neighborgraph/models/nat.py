"""NAT, from "Neighborhood-aware Scalable Temporal Network Representation Learning" (LoG 2022)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.errors import InputError
from neighborgraph.models.nat_memory import NATMemory
from neighborgraph.models.options import expect_counts, expect_options
from neighborgraph.models.temporal import TemporalModel, candidates
from neighborgraph.nn import JointAttention, JointNeighborhood, JointSum, Refresh, TimeEncoder
from neighborgraph.ops import insert_neighbors, lookup_neighbors

DESTINATION = 3
"""The bits of hops 0, 1 and 2 of a destination are those of a source, so many places further."""


@dataclass(frozen=True, eq=False)
class NATSight:
    """What NAT sees of q nodes, in S slots each: hop 0, which is the node itself, then hops 1, 2.

    Vectors are up to date, and zero in an empty slot.

    Attributes:
        node: [q] int64.
        time: [q], when it is seen.
        own: [q, d] self representations by what happened before that time.
        latest: [q, d] the same by all that was inserted, which at most adds an event of that time.
        neighbor: [q, S] int64, all that is remembered; -1 where nothing is.
        vector: [q, S, F] of all that is remembered.
        is_before: [q, S] bool, what is of before the time.
    """

    node: Tensor
    time: Tensor
    own: Tensor
    latest: Tensor
    neighbor: Tensor
    vector: Tensor
    is_before: Tensor

    def split(self, first: int) -> tuple["NATSight", "NATSight"]:
        """That of the first nodes, and that of the others."""
        sizes = [first, len(self.node) - first]
        parts = zip(*(tensor.split(sizes) for tensor in vars(self).values()), strict=True)
        former, latter = (NATSight(*part) for part in parts)
        return former, latter


class NAT(TemporalModel):
    r"""Pairs of nodes by the neighbours that they remember together (arXiv 2209.01084).

    Every node u has a self representation s and remembers itself (hop 0), M nodes that it met (hop
    1) and nodes that these had met (hop 2), each with a vector of F channels. When they are read,
    the event of a slot, with node w, features e and time t', is applied:

    .. math::

        v' = \operatorname{GRU}_F(W_F [s_w ; e ; c(t - t')], v), \qquad
        s' = \operatorname{GRU}_d(W_d [s_w ; e ; c(t - t')], s)

    A pair is scored by its `JointNeighborhood` J and its ends:

    .. math::

        \mathrm{score}(u, v) = \operatorname{MLP}\big([\operatorname{AGGR}(J(u, v)) ; s'_u ; s'_v]
            \big)

    Then its event is written: both ends store s' and v', give each other a slot of hop 1, and take
    over what the other remembers at hop 1 into hop 2. AGGR is `JointAttention`.
    """

    aggregator: type[JointAttention | JointSum] = JointAttention

    def __init__(
        self,
        *,
        edge_channels: int = 0,
        self_channels: int = 72,
        slot_channels: int = 4,
        position_channels: int = 16,
        time_channels: int = 10,
        hidden_channels: int = 100,
        near: int = 32,
        far: int = 16,
        alpha: float = 0.9,
        heads: int = 2,
        dropout: float = 0.1,
        hash_seed: int = 0,
    ):
        """Create the layers.

        Args:
            edge_channels: Features of an event; 0 for none.
            self_channels: d, width of s.
            slot_channels: F, width of v.
            position_channels: Width of the embedding of position codes.
            time_channels: Width of c.
            hidden_channels: Width of what is made of a joint neighbourhood.
            near: Slots of a node at hop 1.
            far: Slots of a node at hop 2; 0 for no such hop.
            alpha: Probability that a neighbour displaces another one from its slot.
            heads: Of the attention.
            dropout: Probability of dropping an entry of what is made of one, in [0, 1).
            hash_seed: Of slots and displacements.

        Raises:
            InputError: A number is out of range.
        """
        super().__init__()
        expect_options(
            dropout=dropout,
            self_channels=self_channels,
            slot_channels=slot_channels,
            position_channels=position_channels,
            hidden_channels=hidden_channels,
        )
        expect_counts(time_channels=time_channels, near=near, heads=heads)
        for name, count in (("edge_channels", edge_channels), ("far", far)):
            if count < 0:
                raise InputError(f"{name}={count} must be at least 0")
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha={alpha} is outside [0, 1]")
        self.edge_channels, self.alpha, self.hash_seed = edge_channels, alpha, hash_seed
        self.self_channels, self.slot_channels = self_channels, slot_channels
        self.sizes = (near, far) if far else (near,)
        message = self_channels + edge_channels + time_channels
        self.encode_time = TimeEncoder(time_channels)
        self.refresh_self = Refresh(message, self_channels)
        self.refresh_slot = Refresh(message, slot_channels)
        self.joint = JointNeighborhood(position_channels)
        self.aggregate = self.aggregator(
            slot_channels + position_channels, hidden_channels, heads=heads
        )
        self.drop = nn.Dropout(dropout)
        self.make_heads(hidden_channels + 2 * self_channels)
        hops = torch.tensor([0, *(hop for hop, m in enumerate(self.sizes, 1) for _ in range(m))])
        bits = torch.cat([1 << hops, 1 << hops + DESTINATION])
        self.register_buffer("code", bits, persistent=False)

    code: Tensor

    def make_heads(self, width: int) -> None:
        """Create what scores pairs by vectors [p, width]."""
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def memory(
        self,
        num_nodes: int,
        *,
        time_dtype: torch.dtype = torch.int64,
        device: torch.device | str | None = None,
    ) -> NATMemory:
        """Tables in which no node has met another; see `TemporalModel`."""
        return NATMemory.empty(
            num_nodes,
            self.sizes,
            self_channels=self.self_channels,
            slot_channels=self.slot_channels,
            alpha=self.alpha,
            seed=self.hash_seed,
            time_dtype=time_dtype,
            dtype=self.refresh_self.message.weight.dtype,
            device=device,
        )

    def look(
        self, memory: NATMemory, node: Tensor, time: Tensor, feature: Tensor | None = None
    ) -> NATSight:
        """What nodes remember at a time each; see `TemporalModel`."""
        # With what is of the very time, which is not shown but must not be lost when writing.
        found = [lookup_neighbors(table, node, time, inclusive=True) for table in memory.tables]
        own, d = found[0], self.self_channels
        event, at = (torch.cat([getattr(f, name) for f in found], 1) for name in ("event", "time"))
        elapsed = (time[:, None] - at).masked_fill(event < 0, 0)
        context = self.context_of(event, elapsed, feature)

        stored: list[Any] = [f.feature for f in found]
        before = stored[0][:, 0, :d]
        partner = memory.self_vectors(own.neighbor[:, 0], d)
        after = self.refresh_self(before, partner, *(part[:, 0] for part in context))
        neighbor = torch.cat([node[:, None], *(f.neighbor for f in found[1:])], dim=1)
        vector = self.refresh_slot(
            torch.cat([stored[0][:, :, d:], *stored[1:]], dim=1),
            memory.self_vectors(neighbor, d),
            *context,
        )
        is_known, is_before = event >= 0, (event >= 0) & (elapsed > 0)
        return NATSight(
            node=node,
            time=time,
            own=torch.where(is_before[:, :1], after, before),
            latest=torch.where(is_known[:, :1], after, before),
            neighbor=neighbor,
            vector=vector * is_known[..., None],
            is_before=is_before,
        )

    def forward(self, source: NATSight, destination: NATSight) -> Tensor:
        """Scores [D, p] of pairs; see `TemporalModel`."""
        times = candidates(source.node, destination.node)
        return self.head(self.pair_vectors(source, destination, times)).view(times, -1)

    def pair_vectors(self, source: NATSight, destination: NATSight, times: int = 1) -> Tensor:
        """[D p, hidden_channels + 2 d] what is known of pairs, of D candidates a source."""
        ends = shown(source), shown(destination)
        key, vector, own = (
            torch.cat([a.repeat(times, *[1] * (a.dim() - 1)), b], dim=1)
            for a, b in zip(*ends, strict=True)
        )
        z = self.drop(self.aggregate(*self.joint(key, self.code, vector)))
        return torch.cat([z, own], dim=1)

    @torch.no_grad()
    def insert(
        self, memory: NATMemory, source: NATSight, destination: NATSight, event: Tensor
    ) -> None:
        """Let events happen; see `TemporalModel`."""
        node, time, vector = (both(source, destination, n) for n in ("node", "time", "vector"))
        other, neighbor = both(destination, source, "node"), both(source, destination, "neighbor")
        event = event.repeat_interleave(2)
        own = torch.cat([both(source, destination, "latest"), vector[:, 0]], dim=1)
        insert_neighbors(memory.own, node, other, time, event, feature=own)

        near, far = self.sizes[0], memory.hops[1:]
        first = slice(1, 1 + near)
        is_other = neighbor[:, first] == other[:, None]
        kept = (vector[:, first] * is_other[..., None]).sum(dim=1)
        insert_neighbors(memory.hops[0], node, other, time, event, feature=kept)
        for table in far:
            insert_neighbors(
                table,
                node.repeat_interleave(near),
                both(destination, source, "neighbor")[:, first].flatten(),
                time.repeat_interleave(near),
                event.repeat_interleave(near),
                feature=both(destination, source, "vector")[:, first].flatten(0, 1),
            )

    def context_of(
        self, event: Tensor, elapsed: Tensor, feature: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Parts [q, S, ...] of what events say beside the neighbour; event -1 may say anything."""
        dtype = self.refresh_self.message.weight.dtype
        code = self.encode_time(elapsed).to(dtype)
        if feature is None:
            if self.edge_channels:
                raise InputError(
                    f"feature is None, but the model has edge_channels={self.edge_channels}; pass "
                    "the features of all events so far"
                )
            return (code,)
        expect_shape("feature", feature, ("E", self.edge_channels), "as wide as the model's")
        found = feature.index_select(0, event.clamp(min=0).flatten())
        return found.view(*event.shape, self.edge_channels).to(dtype), code


class NATSum(NAT):
    """NAT with a sum in the place of the attention, as its authors' code computes it."""

    aggregator = JointSum


def shown(end: NATSight) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes [q, S], vectors and self representations from before the time; itself a node knows."""
    is_known = end.is_before.clone()
    is_known[:, 0] = True
    neighbor = end.neighbor.masked_fill(~is_known, -1)
    return neighbor, end.vector * end.is_before[..., None], end.own


def both(first: NATSight, second: NATSight, name: str) -> Tensor:
    """[2 p, ...] an attribute of two ends in turn, so that the lines of an event are together."""
    return torch.stack([getattr(first, name), getattr(second, name)], dim=1).flatten(0, 1)
