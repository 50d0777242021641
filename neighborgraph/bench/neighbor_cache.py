"""Milliseconds to insert a batch of events into tables of neighbours, and to look up both its ends.

Streams are made up: ends are drawn with the density of a square, so that some nodes have many more
events than others, and tables are filled before anything is timed. The floor copies as many bytes
as an insertion or a look-up must move at least. The peer is PyG's LastNeighborLoader, beside which
ours has the same methods and results.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neighborgraph.bench.measurement import Measurement, figure
from neighborgraph.bench.named import by_name
from neighborgraph.bench.timer import measure
from neighborgraph.ops.neighbor_cache import (
    Hashed,
    NeighborTable,
    Recent,
    insert_events,
    lookup_neighbors,
)

BATCHES = 4
"""Batches of a stream, taken in turn."""
FILLED = 16
"""Events of a node before anything is timed, in the mean, but no more than this many batches."""
ENTRY_BYTES, PLACE_BYTES = 24 + 24, 24 + 32
"""That move at least: of an entry read and written, of a slot read and a place written."""
DEFAULT_STREAMS = {"cpu": ("messages", "wide-tenth"), "cuda": ("messages", "large-batch", "wide")}


@dataclass(frozen=True)
class Stream:
    """The sizes of one stream.

    Attributes:
        name: On the command line.
        nodes: Nodes n.
        slots: Slots K of a node.
        batch: Events of a batch.
    """

    name: str
    nodes: int
    slots: int
    batch: int

    def ends(self, device: torch.device) -> list[Tensor]:
        """[2, batch] sources and destinations of each batch."""
        generator = torch.Generator(device).manual_seed(0)
        shape = BATCHES, 2, self.batch
        drawn = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        return list((drawn.square_() * self.nodes).long())

    @property
    def fillings(self) -> int:
        """Batches that are inserted before anything is timed."""
        return min(FILLED, -(-FILLED * self.nodes // (2 * self.batch)))


STREAMS = {
    stream.name: stream
    for stream in (
        Stream("tiny", 300, 4, 50),
        Stream("messages", 1_899, 32, 100),
        Stream("large-batch", 1_899, 32, 1_000),
        Stream("wide-tenth", 100_000, 32, 100_000),
        Stream("wide", 1_000_000, 32, 1_000_000),
    )
}


def chosen_streams(names: Iterable[str], device: str) -> list[Stream]:
    """By name, or the default ones of a device.

    Raises:
        ConfigError: There is no such stream.
    """
    return by_name("stream", STREAMS, names, DEFAULT_STREAMS[device])


def neighbor_cache_rows(
    stream: Stream, device: torch.device, seconds: float, peers: Iterable[str]
) -> Iterator[Measurement]:
    """Times of each policy, and of the class in the place of PyG's; ratios are to ours.

    Args:
        stream: The sizes.
        device: Where everything is.
        seconds: Spent on the timed runs of one row, about.
        peers: Which of ``pyg`` and ``floor`` are measured, too.
    """
    ends = stream.ends(device)
    for form, stages in FORMS.items():
        for stage, providers in stages.items():
            ours = None
            for name, (title, make) in providers.items():
                if name != "ours" and name not in peers:
                    continue
                call = make(stream, ends)
                runs = [lambda part=part, call=call: call(part) for part in ends]
                timing = measure(runs, [{"ends": part} for part in ends], seconds=seconds)
                ours = ours or timing.median_ms
                yield Measurement(
                    op="neighbor_cache",
                    provider=title,
                    graph=stream.name,
                    nodes=stream.nodes,
                    edges=stream.batch,
                    form=form,
                    dtype="int64",
                    heads=0,
                    width=0,
                    stage=stage,
                    timing=timing,
                    ratio=timing.median_ms / ours,
                    note=rates(stream, stage, timing.median_ms),
                )


def rates(stream: Stream, stage: str, milliseconds: float) -> str:
    """Events, and slots that were read, in a second."""
    per_second = 1e-3 / milliseconds  # millions
    events = f"{stream.nodes:,} x {stream.slots}, {stream.batch:,} events"
    said = [f"{figure(stream.batch * per_second)} M events/s"]
    if "look-up" in stage:
        said.append(f"{figure(2 * stream.batch * stream.slots * per_second)} M slots/s")
    return f"{events}: {', '.join(said)}"


Make = Callable[[Stream, list[Tensor]], Callable[[Tensor], Any]]


class Play:
    """A table that events are inserted into without end."""

    def __init__(self, policy: Recent | Hashed, nodes: int, device: torch.device) -> None:
        self.table = NeighborTable.empty(nodes, policy, device=device)
        self.next = 0

    def insert(self, ends: Tensor) -> None:
        """A batch, whose times are its events."""
        event = torch.arange(self.next, self.next + ends.shape[1], device=ends.device)
        insert_events(self.table, ends[0], ends[1], event, event)
        self.next += ends.shape[1]

    def look_up(self, ends: Tensor) -> None:
        """Both ends as of the time of the next event."""
        node = ends.flatten()
        lookup_neighbors(self.table, node, torch.full_like(node, self.next))

    def step(self, ends: Tensor) -> None:
        """What a model does with a batch."""
        self.look_up(ends)
        self.insert(ends)


def filled(policy: Recent | Hashed, stream: Stream, ends: list[Tensor]) -> Play:
    """A table with what a stream has before anything is timed."""
    play = Play(policy, stream.nodes, ends[0].device)
    for number in range(stream.fillings):
        play.insert(ends[number % BATCHES])
    return play


def played(policy: Callable[[int], Recent | Hashed], method: str) -> Make:
    """One of the methods of `Play`."""
    return lambda stream, ends: getattr(filled(policy(stream.slots), stream, ends), method)


def copied(entry_bytes: int, place_bytes: int) -> Make:
    """A copy that moves some bytes an entry, and some a place of a look-up of both ends."""

    def make(stream: Stream, ends: list[Tensor]) -> Callable[[Tensor], Any]:
        moved = 2 * stream.batch * (entry_bytes + stream.slots * place_bytes)
        source = torch.ones(moved // 16, dtype=torch.int64, device=ends[0].device)
        target = torch.empty_like(source)
        return lambda _: target.copy_(source)

    return make


def loaded(kind: Callable[..., Any]) -> Make:
    """Insertion and query of a class like PyG's."""

    def make(stream: Stream, ends: list[Tensor]) -> Callable[[Tensor], Any]:
        cache = kind(stream.nodes, stream.slots, device=ends[0].device)
        for number in range(stream.fillings):
            cache.insert(*ends[number % BATCHES])

        def run(part: Tensor) -> None:
            cache(part.flatten().unique())
            cache.insert(*part)

        return run

    return make


def our_loader(*args: Any, **options: Any) -> Any:
    """Our class in the place of PyG's; its package imports PyG, which takes seconds."""
    return importlib.import_module("neighborgraph.loader").NeighborCache(*args, **options)


def last_neighbor_loader(*args: Any, **options: Any) -> Any:
    """PyG's class."""
    from torch_geometric.nn.models.tgn import LastNeighborLoader

    return LastNeighborLoader(*args, **options)


def stages_of(policy: Callable[[int], Recent | Hashed]) -> dict[str, dict[str, tuple[str, Make]]]:
    """What is timed of a policy, and by whom."""
    return {
        "insert": {
            "ours": ("ours", played(policy, "insert")),
            "floor": ("floor", copied(ENTRY_BYTES, 0)),
        },
        "look-up": {
            "ours": ("ours", played(policy, "look_up")),
            "floor": ("floor", copied(0, PLACE_BYTES)),
        },
        "look-up + insert": {
            "ours": ("ours", played(policy, "step")),
            "floor": ("floor", copied(ENTRY_BYTES, PLACE_BYTES)),
        },
    }


POLICIES: dict[str, Callable[[int], Recent | Hashed]] = {
    "recent": Recent,
    "hashed 0.9": lambda slots: Hashed(slots, 0.9),
}
FORMS = {
    **{name: stages_of(policy) for name, policy in POLICIES.items()},
    "LastNeighborLoader": {
        "query + insert": {
            "ours": ("ours", loaded(our_loader)),
            "pyg": ("PyG", loaded(last_neighbor_loader)),
        }
    },
}
"""What is timed: a policy or a class, a stage, and for names of ``--peers`` a title and a run."""
