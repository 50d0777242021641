"""Milliseconds of a training step of LargeGT, whole and in parts, beside the released data path.

The whole step is what `SampledClassification` trains: the next batch is drawn and gathered while
the present one is computed. Steps are timed in a row, the parts one by one. The graph is on the
device, and so are the features, but for those of papers, which a GPU gathers from the host. The
peer's tables hold the nodes drawn for some batches, made before anything is timed, because those
of all nodes would take longer than the benchmark.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from neighborgraph.bench.graphs import full_name, graph_like
from neighborgraph.bench.largegt_peers import WORKERS, TokenTables, plain
from neighborgraph.bench.measurement import Measurement, figure
from neighborgraph.bench.peers import TOLERANCES, largest_difference
from neighborgraph.bench.timer import Timing, measure, wait
from neighborgraph.data import NodeDataset, Split
from neighborgraph.models import LargeGT
from neighborgraph.tasks import SampledClassification
from neighborgraph.tasks.step import EagerStep

HEADS = 2
BUSY_STEPS = 10
"""That are profiled."""
REPEATS = 3
"""Timed rows of steps."""
STEPS = (8, 100)
"""Fewest and most of one row; what is made ahead shows only in a row."""
PEER_STEPS = 2 * WORKERS
"""Of one row of the peer's, and in front of the first: as many as its workers are ahead."""
TABLE_BATCHES = 4 * PEER_STEPS
PARTS = ("sample", "gather", "sample + gather", "forward + backward", "whole step")
DRAWN, TAKEN, GATHERED, COMPUTED, STEP = PARTS

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        width: Of the features.
        classes: Classes.
        train: Nodes of an epoch; of a small graph half of its nodes.
        nodes: K, nodes that give tokens for one.
        batch: Nodes a step.
        hidden: Width of the local module.
        positions: Width of the global one.
        codes: Centroids.
        precisions: What is timed.
        features: Whose memory holds them.
    """

    width: int
    classes: int
    train: int
    nodes: int
    batch: int
    hidden: int
    positions: int
    codes: int
    precisions: tuple[str, ...]
    features: str = "device"


PRODUCTS = 100, 47, 196_615
BOTH = "float32", "bfloat16"
SIZES = {
    "cpu": Sizes(*PRODUCTS, 10, 128, 64, 16, 256, ("float32",)),
    "cuda": Sizes(*PRODUCTS, 100, 1024, 256, 64, 4096, BOTH),
    "papers-tenth": Sizes(128, 172, 120_718, 100, 1024, 512, 128, 4096, ("bfloat16",), "host"),
}
"""By graph, else by device; on a GPU the settings published for products and papers100M."""
DEFAULT_GRAPHS = {"cpu": "power-law", "cuda": "products"}


def largegt_rows(
    graph: str, device: torch.device, seconds: float, *, peers: bool = True
) -> Iterator[Measurement]:
    """Times of every part, ours first; ratios are to ours in the same precision.

    Args:
        graph: Name of a timing graph.
        device: Where the graph, the features and the model are.
        seconds: Spent on the timed runs of one row, about; the peer's take longer.
        peers: Whether the released data path is timed, too.
    """
    sizes = SIZES.get(graph, SIZES[device.type])
    dataset = made_up(graph, sizes, device)
    for precision in sizes.precisions:
        task = SampledClassification(
            dataset,
            nodes=sizes.nodes,
            batch_size=sizes.batch,
            position_channels=sizes.positions,
            precision=precision,
            features=sizes.features,
            device=device,
        )
        trained = len(task.train)
        ours: dict[str, float] = {}
        for side in sides(task, sizes, peers):
            for part, timing in side.timings(seconds):
                base = ours.setdefault(part, timing.median_ms)
                yield Measurement(
                    op="largegt",
                    provider=side.provider,
                    graph=full_name(graph),
                    nodes=dataset.graph.num_rows,
                    edges=dataset.graph.num_edges,
                    form=f"K={sizes.nodes}",
                    dtype=precision,
                    heads=HEADS,
                    width=sizes.hidden,
                    stage=part,
                    timing=timing,
                    ratio=timing.median_ms / base,
                    note=side.note(part, timing, ours, trained),
                )


def made_up(graph: str, sizes: Sizes, device: torch.device) -> NodeDataset:
    """Normal features and uniform classes on a timing graph, on the device."""
    made = graph_like(graph, device)
    generator = torch.Generator(device).manual_seed(0)
    nodes = made.num_rows
    order = torch.randperm(nodes, generator=generator, device=device)
    train = min(sizes.train, nodes // 2)
    few = (nodes - train) // 2
    return NodeDataset(
        name=graph,
        graph=made,
        x=torch.randn(nodes, sizes.width, generator=generator, device=device),
        y=torch.randint(sizes.classes, (nodes,), generator=generator, device=device),
        num_classes=sizes.classes,
        split_rule=lambda _: Split(order[:train], order[train : train + few], order[-few:]),
        source="made up",
    )


@dataclass(frozen=True)
class Side:
    """Who trains.

    Attributes:
        provider: What the table says.
        task: Whose batches, or whose loss alone, are used.
        step: One step of training.
        batches: Without end.
        parts: What is timed by itself, over the numbers of batches.
        steps: Of a row of steps; None is as many as there is time for.
        memory: Whose holds the features.
    """

    provider: str
    task: SampledClassification
    step: Callable[..., object]
    batches: Callable[[], Iterator[Batch]]
    parts: dict[str, list[Callable[[], object]]]
    steps: int | None
    memory: str

    def timings(self, seconds: float) -> Iterator[tuple[str, Timing]]:
        """Times of every part."""
        device = self.task.y.device
        for part, runs in self.parts.items():
            yield part, measure(runs, [{"y": self.task.y + 1}], seconds=seconds)
        if GATHERED not in self.parts:
            yield GATHERED, in_a_row(self.batches(), lambda *_: None, device, seconds, self.steps)
        yield STEP, in_a_row(self.batches(), self.step, device, seconds, self.steps)

    def note(self, part: str, timing: Timing, ours: dict[str, float], trained: int) -> str:
        """What follows from the times of a part."""
        said = [f"batch {self.task.batch_size:,}, features of the {self.memory}"]
        if part == STEP:
            steps = -(-trained // self.task.batch_size)
            epoch = figure(timing.median_ms * steps / 1e3)
            said.append(f"{epoch} s an epoch of {trained:,} nodes")
            if self.steps is None:
                share = ours[DRAWN] / timing.median_ms
                said.append(f"sampling by itself {share:.1%} of it")
            if self.task.y.is_cuda:
                held = torch.cuda.max_memory_allocated(self.task.y.device) / 2**30
                said.append(f"at most {held:.1f} GiB with the graph")
            if self.task.y.is_cuda and self.steps is None:
                busy = busy_share(self.batches(), self.step, BUSY_STEPS)
                said.append(f"GPU busy for {busy:.0%}")
        if part in (GATHERED, STEP) and self.steps is not None:
            said.append(f"{WORKERS} workers, tables of {TABLE_BATCHES} batches made before")
        return ", ".join(said)


def sides(task: SampledClassification, sizes: Sizes, peers: bool) -> Iterator[Side]:
    """Ours, then the released data path with the same model in plain PyTorch."""
    torch.manual_seed(0)
    model = LargeGT(
        in_channels=sizes.width,
        hidden_channels=sizes.hidden,
        out_channels=sizes.classes,
        num_nodes=len(task.y),
        global_channels=sizes.positions,
        codes=sizes.codes,
        heads=HEADS,
    ).to(task.y.device)
    theirs = plain(model)
    first = list(itertools.islice(task.shares(0), 3))
    expect_equal(task, model, theirs, first[0])
    yield ours_of(task, model, first, sizes.features)
    if peers:
        yield theirs_of(task, theirs, first)


def ours_of(task: SampledClassification, model: LargeGT, batches: list[Batch], memory: str) -> Side:
    """Our training."""
    ids = [batch[2] for batch in batches]
    drawn = [task.with_others(some, 0) for some in ids]
    return Side(
        provider="ours",
        task=task,
        step=EagerStep(task.loss, model, adam(model)),
        batches=lambda: itertools.chain.from_iterable(
            task.batches(model, epoch) for epoch in itertools.count()
        ),
        parts={
            DRAWN: [partial(task.with_others, some, 0) for some in ids],
            TAKEN: [lambda nodes=nodes: task.features[nodes] for nodes in drawn],
            GATHERED: [partial(task.seen_from, some, 0) for some in ids],
            COMPUTED: [partial(backward, task, model, batch) for batch in batches],
        },
        steps=None,
        memory=memory,
    )


def theirs_of(task: SampledClassification, model: LargeGT, batches: list[Batch]) -> Side:
    """Training over tables."""
    ids = itertools.islice(task.shares(0), TABLE_BATCHES)
    drawn = torch.cat([task.with_others(batch[2], 0) for batch in ids]).cpu()
    tables = TokenTables(task.features.cpu(), task.position.cpu(), drawn)
    optimizer = adam(model)

    def step(*batch: Tensor) -> float:
        """The released loop asks for every loss."""
        loss = backward(task, model, batch)
        optimizer.step()
        return loss.item()

    return Side(
        provider="released data path",
        task=task,
        step=step,
        batches=lambda: tables.batches(task.batch_size, task.y.device),
        parts={COMPUTED: [partial(backward, task, model, batch) for batch in batches]},
        steps=PEER_STEPS,
        memory="host",
    )


def adam(model: LargeGT) -> torch.optim.Adam:
    """The optimiser of both."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)


def backward(task: SampledClassification, model: LargeGT, batch: Batch) -> Tensor:
    """The loss of a batch, and new gradients."""
    model.zero_grad()
    loss = task.loss(model, *batch)
    loss.backward()
    return loss.detach()


def expect_equal(task: Any, ours: LargeGT, theirs: LargeGT, batch: Batch) -> None:
    """Refuse to time two models that differ."""
    few = [tensor[:64] for tensor in batch]
    with torch.no_grad():
        scores = [task.scores(model.eval(), *few) for model in (theirs, ours)]
    ours.train()
    theirs.train()
    difference = largest_difference(scores[:1], scores[1:])
    assert difference <= TOLERANCES[task.precision], f"models differ by {difference:.3g}"


def in_a_row(
    batches: Iterator[Batch],
    use: Callable[..., object],
    device: torch.device,
    seconds: float,
    steps: int | None,
) -> Timing:
    """Milliseconds of a step, over steps in a row."""

    def milliseconds(count: int) -> float:
        wait(device)
        begin = time.perf_counter()
        for batch in itertools.islice(batches, count):
            use(*batch)
        wait(device)
        return (time.perf_counter() - begin) * 1e3 / count

    milliseconds(steps or 3)  # workers start, and Adam's moments are made
    count = steps or int(seconds * 1e3 / REPEATS / milliseconds(3))
    count = min(max(count, STEPS[0]), STEPS[1])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return Timing.of([milliseconds(count) for _ in range(REPEATS)])


def busy_share(batches: Iterator[Batch], use: Callable[..., object], steps: int) -> float:
    """The part of the time from the first kernel of some steps to the last, in which any runs."""
    for batch in itertools.islice(batches, steps):
        use(*batch)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for batch in itertools.islice(batches, steps):
            use(*batch)
        torch.cuda.synchronize()
    spans = [(event.time_range.start, event.time_range.end) for event in profile.events() or ()]
    return covered_share(spans)


def covered_share(spans: Sequence[tuple[float, float]]) -> float:
    """The part of the time between the first begin and the last end that lies in any span."""
    if not spans:
        return math.nan  # no profiler of the GPU
    spans = sorted(spans)
    covered, reached = 0.0, spans[0][0]
    for begin, end in spans:
        covered += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return covered / (reached - spans[0][0])
