"""Events a second over a stream so long that nobody holds it, and the memory that it takes.

Events are drawn a batch at a time where the tables are, looked up, inserted and dropped. Ends have
a power law: of the nodes in the order of their events, the one of rank r has a share that falls
with r to the power 1 / SKEW - 1. The drawing counts, as reading would.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neighborgraph.bench.machine import peak_memory_mb
from neighborgraph.bench.measurement import Measurement, figure
from neighborgraph.bench.named import by_name
from neighborgraph.bench.neighbor_cache import POLICIES, Play
from neighborgraph.bench.timer import Timing, peak_extra_cpu, peak_extra_cuda, wait

STRETCHES, PIECES = 20, 5
"""Rows of a stream, and timed pieces of each."""
SKEW = 2.5
SPREAD = 2_654_435_761
"""A prime, by which nodes with many events are spread over all ids."""
DEFAULT_LENGTHS = {"cpu": "million", "cuda": "hundred-million"}


@dataclass(frozen=True)
class LongStream:
    """The sizes of one stream.

    Attributes:
        name: On the command line.
        nodes: Nodes n.
        slots: Slots K of a node.
        batch: Events of a batch.
        events: Of the stream; as many batches in each piece.
    """

    name: str
    nodes: int
    slots: int
    batch: int
    events: int

    @property
    def batches(self) -> int:
        """Of a piece."""
        return self.events // (STRETCHES * PIECES * self.batch)

    def draw(self, generator: torch.Generator) -> Tensor:
        """[2, batch] ends of the next events."""
        drawn = torch.rand(
            2, self.batch, generator=generator, device=generator.device, dtype=torch.float64
        )
        rank = drawn.pow_(SKEW).mul_(self.nodes).long()
        return rank.mul_(SPREAD).remainder_(self.nodes)


LONG_STREAMS = {
    stream.name: stream
    for stream in (
        LongStream("tiny", 300, 4, 50, 10_000),
        LongStream("million", 100_000, 32, 10_000, 1_000_000),
        LongStream("hundred-million", 10_000_000, 32, 100_000, 100_000_000),
    )
}


def chosen_long_streams(names: Iterable[str], device: str) -> list[LongStream]:
    """By name, or the default one of a device.

    Raises:
        ConfigError: There is no such stream.
    """
    return by_name("stream", LONG_STREAMS, names, [DEFAULT_LENGTHS[device]])


def long_stream_rows(stream: LongStream, device: torch.device) -> Iterator[Measurement]:
    """Each policy's times of a batch in each stretch; a row's edges are the events seen by then."""
    for form in POLICIES:
        yield from stretches(stream, form, device)


def stretches(stream: LongStream, form: str, device: torch.device) -> Iterator[Measurement]:
    """One policy's rows; its table is freed at their end."""
    policy = POLICIES[form](stream.slots)
    warm = torch.zeros(2, stream.batch, dtype=torch.int64, device=device)
    Play(policy, 1, device).step(warm)  # kernels are compiled before anything is timed
    generator = torch.Generator(device).manual_seed(0)
    play = Play(policy, stream.nodes, device)
    for _ in range(STRETCHES):
        timing = time_stretch(play, stream, generator)
        yield Measurement(
            op="long_stream",
            provider="ours",
            graph=stream.name,
            nodes=stream.nodes,
            edges=play.next,
            form=form,
            dtype="int64",
            heads=0,
            width=0,
            stage="draw + look-up + insert",
            timing=timing,
            ratio=1.0,
            note=progress(play, stream, timing, device),
        )


def progress(play: Play, stream: LongStream, timing: Timing, device: torch.device) -> str:
    """Speed, and all memory that was held at most: on a GPU since the stretch began."""
    memory = [f"host {peak_memory_mb(torch.device('cpu')):,.0f} MiB"]
    if device.type == "cuda":
        memory.insert(0, f"GPU {peak_memory_mb(device):,.0f} MiB")
    used = int((play.table.event >= 0).sum()) / play.table.event.numel()
    return (
        f"{play.next:,} events seen: {figure(speed(stream, timing))} M events/s, "
        f"{used:.1%} of {stream.nodes:,} x {stream.slots} slots in use, peak {', '.join(memory)}"
    )


def speed(stream: LongStream, timing: Timing) -> float:
    """Millions of events a second."""
    return stream.batch / timing.median_ms / 1e3


def time_stretch(play: Play, stream: LongStream, generator: torch.Generator) -> Timing:
    """Milliseconds of a batch, on the wall clock, in each piece of the next stretch."""
    device = generator.device
    times = []

    def run() -> None:
        for _ in range(PIECES):
            wait(device)
            begin = time.perf_counter()
            for _ in range(stream.batches):
                play.step(stream.draw(generator))
            wait(device)
            times.append((time.perf_counter() - begin) * 1e3 / stream.batches)

    on_gpu = device.type == "cuda"
    peak = peak_extra_cuda(run, device) if on_gpu else peak_extra_cpu(run)
    return Timing.of(times, peak)
