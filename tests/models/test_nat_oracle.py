"""NAT against itself with dictionaries and loops, one node and one slot at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from neighborgraph.models import NAT, NATSum
from neighborgraph.ops.neighbor_cache.reference import drawn, slot_of
from neighborgraph.ops.philox import threshold

Slot = tuple[int, float, int, Tensor]
"""Neighbour, time, event and vector."""


class SlowNAT:
    """A stream as NAT sees it, with the parameters of a model."""

    def __init__(self, model: NAT, num_nodes: int, feature: Tensor | None) -> None:
        self.model, self.feature = model, feature
        self.selves = {u: torch.zeros(model.self_channels).double() for u in range(num_nodes)}
        self.nothing = torch.zeros(model.slot_channels).double()
        self.last: dict[int, Slot] = {}
        self.tables: list[dict[tuple[int, int], Slot]] = [{} for _ in model.sizes]

    def batch(self, events: list[tuple[int, int, float, int]], negatives: list[int]) -> Tensor:
        """[2, b] scores of a batch's events and negatives; the events happen after that."""
        scores = [
            [self.score(u, v, t) for u, v, t, _ in events],
            [self.score(u, n, t) for (u, _, t, _), n in zip(events, negatives, strict=True)],
        ]
        reads = [(self.read(u, t), self.read(v, t)) for u, v, t, _ in events]
        for (u, v, t, e), (of_u, of_v) in zip(events, reads, strict=True):
            for node, other, own, theirs in ((u, v, of_u, of_v), (v, u, of_v, of_u)):
                self.selves[node] = own["latest"]
                self.last[node] = other, t, e, own["slots"][0][node][1]
                kept = own["slots"][1].get(other, (0, self.nothing))[1]
                self.put(0, node, other, t, e, kept)
                if len(self.tables) > 1:
                    for far, (_, vector) in sorted(theirs["slots"][1].items(), key=self.place):
                        self.put(1, node, far, t, e, vector)
        return torch.stack([torch.stack(row) for row in scores])

    def place(self, item: Any) -> int:
        """Where a neighbour of hop 1 has its slot."""
        return slot_of(item[0], self.model.hash_seed, self.model.sizes[0])

    def put(self, hop: int, node: int, other: int, t: float, event: int, vector: Tensor) -> None:
        """One slot of a table, for which a newcomer must fight."""
        seed, table = self.model.hash_seed, self.tables[hop]
        place = node, slot_of(other, seed, self.model.sizes[hop])
        word = drawn(seed, *(torch.tensor([x]) for x in (event, node, other)))
        is_other = place in table and table[place][0] != other
        if not is_other or int(word) < threshold(self.model.alpha):
            table[place] = other, t, event, vector.detach()

    def read(self, node: int, t: float) -> dict[str, Any]:
        """A node's self representation, and (time, vector) of each neighbour of hops 0, 1 and 2."""
        own = latest = self.selves[node]
        slots: list[dict[int, tuple[float, Tensor]]] = [{} for _ in range(1 + len(self.tables))]
        slots[0][node] = t, self.nothing
        if node in self.last:
            other, at, event, vector = self.last[node]
            latest = self.refresh(self.model.refresh_self, own, other, t - at, event)
            own = latest if at < t else own
            fresh = self.refresh(self.model.refresh_slot, vector, node, t - at, event)
            slots[0][node] = at, fresh
        for hop, table in enumerate(self.tables, 1):
            for (owner, _), (other, at, event, vector) in table.items():
                if owner == node:
                    fresh = self.refresh(self.model.refresh_slot, vector, other, t - at, event)
                    slots[hop][other] = at, fresh
        return {"own": own, "latest": latest.detach(), "slots": slots}

    def refresh(self, layer: Any, stored: Tensor, other: int, elapsed: float, event: int) -> Tensor:
        """A GRU's step by its equations."""
        parts = [self.selves[other]]
        if self.feature is not None:
            parts.append(self.feature[event])
        parts.append(torch.exp(-elapsed * self.model.encode_time.rate).float().double())
        message = layer.message.weight @ torch.cat(parts)
        given = layer.cell.weight_ih @ message + layer.cell.bias_ih
        kept = layer.cell.weight_hh @ stored + layer.cell.bias_hh
        (r, z, n), (r2, z2, n2) = given.chunk(3), kept.chunk(3)
        reset, update = (r + r2).sigmoid(), (z + z2).sigmoid()
        return (1 - update) * (n + reset * n2).tanh() + update * stored

    def score(self, u: int, v: int, t: float) -> Tensor:
        """The score of a pair from what both remember of before t."""
        ends = self.read(u, t), self.read(v, t)
        joint: dict[int, tuple[Tensor, int]] = {}
        for shift, end in ((0, ends[0]), (3, ends[1])):
            for hop, slots in enumerate(end["slots"]):
                for node, (at, vector) in slots.items():
                    if at < t or hop == 0:
                        seen = vector if at < t else torch.zeros_like(vector)
                        total, code = joint.get(node, (torch.zeros_like(vector), 0))
                        joint[node] = total + seen, code | 1 << hop + shift
        position = self.model.joint.position.weight
        x = torch.stack([torch.cat([total, position[code]]) for total, code in joint.values()])
        z = self.aggregated(x)
        return self.model.head(torch.cat([z, ends[0]["own"], ends[1]["own"]]))[0]

    def aggregated(self, x: Tensor) -> Tensor:
        """One vector of a joint neighbourhood."""
        layer: Any = self.model.aggregate
        if isinstance(self.model, NATSum):
            return layer.out(sum(x))
        weights = [leaky_relu(x @ w, 0.2).softmax(dim=0) for w in layer.score.weight]
        return layer.out(torch.cat([w @ x for w in weights]))


NODES, EVENTS = 9, 30
SMALL: dict[str, Any] = {
    "self_channels": 5,
    "slot_channels": 3,
    "position_channels": 2,
    "time_channels": 2,
    "hidden_channels": 4,
    "near": 3,
    "alpha": 0.6,
}


@pytest.mark.parametrize("kind", [NAT, NATSum])
@pytest.mark.parametrize("far", [0, 2])
@pytest.mark.parametrize("size", [1, 4, EVENTS])
def test_equal_to_a_slow_transcription(kind: type[NAT], far: int, size: int) -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        model = kind(**SMALL, edge_channels=2 * (seed % 2), far=far, hash_seed=seed)
        model = model.double().eval()
        feature = torch.randn(EVENTS, 2).double() if seed % 2 else None
        ends = torch.randint(NODES, (3, EVENTS))
        time = torch.randint(40, (EVENTS,)).sort().values  # with ties
        slow, memory = SlowNAT(model, NODES, feature), model.memory(NODES)
        for event in torch.arange(EVENTS).split(size):
            (u, v, n), t = ends[:, event], time[event]
            with torch.no_grad():
                seen = model.look(memory, torch.cat([u, v, n]), t.repeat(3), feature)
                sources, others = seen.split(len(event))
                scores = model(sources, others)
                model.insert(memory, sources, others.split(len(event))[0], event)
                rows = zip(*(x.tolist() for x in (u, v, t, event)), strict=True)
                expected = slow.batch(list(rows), n.tolist())
            torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-6)
