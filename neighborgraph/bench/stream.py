"""Milliseconds of a training batch of NAT, and of one that is only scored, over batches in a row.

The stream is made up, of as many nodes and events as the messages of UCI. What is timed begins when
the first events have filled the tables, and is what a training does: drawing negatives, moving
nothing, and on a GPU replaying what was captured.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.timer import Timing, wait
from neighborgraph.graph import Events
from neighborgraph.models import NAT, NATSum
from neighborgraph.tasks import TemporalLinkPrediction

NODES, EVENTS = 1_899, 59_835
"""Of the messages of UCI."""
WARM = 10_000
"""Events before anything is timed."""
BATCH_SIZES = (100, 1_000)
REPEATS = 5
"""Timed rows of batches."""
MODELS: dict[str, type[NAT]] = {"nat": NAT, "nat-sum": NATSum}
"""Name in the table to model."""


def stream_rows(
    device: torch.device, seconds: float, events: Events | None = None
) -> Iterator[Measurement]:
    """Times of each model and batch size.

    Args:
        device: Where everything is.
        seconds: Spent on the timed batches of one row, about.
        events: The stream; by default a made-up one.
    """
    events = made_up() if events is None else events
    for name, kind in MODELS.items():
        for size in BATCH_SIZES:
            torch.manual_seed(0)
            model = kind().to(device)
            task = TemporalLinkPrediction(events, model, batch_size=size, device=device)
            for stage, timing in timings(task, model, size, seconds):
                yield Measurement(
                    op="stream",
                    provider="ours",
                    graph="messages",
                    nodes=events.num_nodes,
                    edges=size,
                    form=name,
                    dtype="float32",
                    heads=2,
                    width=100,
                    stage=stage,
                    timing=timing,
                    ratio=1.0,
                    note=f"batch {size:,}, {size / timing.median_ms * 1e3:,.0f} events a second",
                )


def made_up() -> Events:
    """Ends with the density of a square, and half of the events between ends that met before."""
    random = torch.Generator().manual_seed(0)
    drawn = torch.rand(2, EVENTS, generator=random, dtype=torch.float64)
    ends = (drawn.square_() * NODES).long()
    event = torch.arange(EVENTS)
    earlier = (torch.rand(EVENTS, generator=random) * event).long()
    again = torch.rand(EVENTS, generator=random) < 0.5
    ends = torch.where(again, ends[:, earlier], ends)
    return Events.of(ends[0], ends[1], event * 280, NODES)


def timings(
    task: TemporalLinkPrediction, model: nn.Module, size: int, seconds: float
) -> Iterator[tuple[str, Timing]]:
    """Times of training batches, and of batches that are scored and inserted."""
    on_gpu = task.device.type == "cuda"
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True, capturable=on_gpu)
    model.train()
    yield "training batch", time_batches(task, model, task.step(model, adam), size, seconds)

    predict = task.often(task.predict, model)

    @torch.no_grad()
    def score(*batch: Tensor) -> None:
        predict(*batch)

    model.eval()
    yield "scored batch", time_batches(task, model, score, size, seconds)


def time_batches(
    task: TemporalLinkPrediction,
    model: nn.Module,
    step: Callable[..., None],
    size: int,
    seconds: float,
) -> Timing:
    """Milliseconds of a batch, over batches in a row; the stream begins again for each row."""
    warm = min(WARM, len(task.split.train) // 2) // size

    def milliseconds(count: int) -> float:
        batches = iter(task.batches(model, epoch=0))
        for batch in islice(batches, warm):
            step(*batch)
        wait(task.device)
        begin = time.perf_counter()
        done = 0
        for batch in islice(batches, count):
            step(*batch)
            done += 1
        wait(task.device)
        return (time.perf_counter() - begin) * 1e3 / max(done, 1)

    estimate = milliseconds(3)
    count = max(int(seconds * 1e3 / REPEATS / estimate), 1)
    return Timing.of([milliseconds(count) for _ in range(REPEATS)])
