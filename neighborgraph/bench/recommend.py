"""Milliseconds of a training step of LightGCN and UltraGCN, whole and in parts, beside a peer.

All run on the same batches with the same optimiser, and draw on the device.

The parts are timed one by one; the whole step is timed over steps in a row, as a training makes
them, and so without what a host can do while a GPU works. Last comes the item-item graph of
UltraGCN for pairs as many as those of Amazon-Book, in far less memory than a dense matrix.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neighborgraph.bench.graphs import GRAPHS, bipartite
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.ranking import CATALOGUES, Catalogue
from neighborgraph.bench.recommend_peers import PublishedUltraGCN, PygLightGCN
from neighborgraph.bench.timer import Timing, measure, wait
from neighborgraph.data import load_interactions
from neighborgraph.errors import DataFileError
from neighborgraph.models import LightGCN, UltraGCN
from neighborgraph.models.cooccurrence import co_occurring_items
from neighborgraph.tasks.step import CapturedStep, EagerStep

BATCHES = 8
REPEATS = 5
"""Timed rows of steps."""
MOST_STEPS = 200
"""Of one row."""
CHANNELS = 64
LAYERS = 3
NEIGHBORS = 10
STEP = "whole step"


@dataclass(frozen=True)
class Data:
    """Training pairs.

    Attributes:
        num_users: U.
        num_items: I.
        pairs: [2, n], sorted, on the device.
        origin: What the table says of them.
    """

    num_users: int
    num_items: int
    pairs: Tensor
    origin: str

    @property
    def sizes(self) -> tuple[int, int, Tensor]:
        """What recommenders are built from."""
        return self.num_users, self.num_items, self.pairs


@dataclass(frozen=True)
class Trainee:
    """A model that is trained.

    Attributes:
        provider: What the table says.
        model: Has ``draw(pairs)``, ``embeddings()`` and ``loss(pairs, negatives)``.
        captured: Whether its steps are replayed from a CUDA graph.
    """

    provider: str
    model: Any
    captured: bool = False


def recommend_rows(
    device: torch.device, seconds: float, *, peers: bool = True, root: Path | None = None
) -> Iterator[Measurement]:
    """Times of both models, ours first; ratios are to ours.

    Args:
        device: Where everything is.
        seconds: Spent on the timed runs of one row, about.
        peers: Whether the peers are measured, too.
        root: Folder that may hold Gowalla; by default the usual one. Without it, made-up pairs of
            its size are used.
    """
    data = gowalla(device, root)
    for name, (batch_size, trainees_of) in MODELS.items():
        order = torch.randperm(data.pairs.shape[1], generator=torch.Generator().manual_seed(0))
        chosen = order[: BATCHES * batch_size].to(device)
        batches = [data.pairs[:, ids].contiguous() for ids in chosen.split(batch_size)]
        ours: dict[str, float] = {}
        for trainee in trainees_of(data, peers):
            for stage, timing in timings(trainee, batches, seconds):
                base = ours.setdefault(stage, timing.median_ms)
                yield Measurement(
                    op="recommend",
                    provider=trainee.provider,
                    graph="gowalla",
                    nodes=data.num_users + data.num_items,
                    edges=data.pairs.shape[1],
                    form=name,
                    dtype="float32",
                    heads=1,
                    width=CHANNELS,
                    stage=stage,
                    timing=timing,
                    ratio=timing.median_ms / base,
                    note=f"batch {batch_size:,}, {data.origin}",
                )
    yield item_graph_row(CATALOGUES["amazon-book"], seconds)


def gowalla(device: torch.device, root: Path | None) -> Data:
    """The real training pairs where they are, else as many made-up ones."""
    try:
        log = load_interactions("gowalla", root)
    except DataFileError as error:
        if "not found: looked in" not in str(error):
            raise
        edge_index, sizes = GRAPHS["gowalla"](torch.Generator().manual_seed(0))
        return Data(sizes[1], sizes[0], edge_index.flip(0).to(device), "made-up pairs")
    return Data(len(log.user_ids), len(log.item_ids), log.pairs.to(device), "real pairs")


def item_graph_row(size: Catalogue, seconds: float) -> Measurement:
    """Time and memory of UltraGCN's item-item graph, which is made once, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    edge_index, _ = bipartite(size.items, size.users, size.seen, generator)
    pairs = edge_index.flip(0)

    def run() -> object:
        return co_occurring_items(size.users, size.items, pairs, NEIGHBORS)

    return Measurement(
        op="recommend",
        provider="ours",
        graph=size.name,
        nodes=size.users + size.items,
        edges=size.seen,
        form="ultragcn",
        dtype="float32",
        heads=0,
        width=0,
        stage="item graph",
        timing=measure([run], [{"pairs": pairs}], seconds=seconds),
        ratio=1.0,
        note=f"{NEIGHBORS} of {size.items:,} items for each, made-up pairs, on the CPU",
    )


def lightgcns(data: Data, peers: bool) -> Iterator[Trainee]:
    """Ours, ours captured, and PyG's."""
    yield from ours(LightGCN(*data.sizes, embedding_dim=CHANNELS, num_layers=LAYERS), data)
    if peers:
        yield Trainee("PyG eager", PygLightGCN(*data.sizes, CHANNELS, LAYERS).to(data.pairs.device))


def ultragcns(data: Data, peers: bool) -> Iterator[Trainee]:
    """Ours, ours captured, and the published batch."""
    model = UltraGCN(*data.sizes, embedding_dim=CHANNELS)
    yield from ours(model, data)
    if peers:
        yield Trainee("published batch", PublishedUltraGCN(model))


def ours(model: nn.Module, data: Data) -> Iterator[Trainee]:
    """One of our models, on a GPU also captured."""
    model.to(data.pairs.device)
    yield Trainee("ours", model)
    if data.pairs.is_cuda:
        yield Trainee("ours, captured", model, captured=True)


def timings(
    trainee: Trainee, batches: list[Tensor], seconds: float
) -> Iterator[tuple[str, Timing]]:
    """Times of every part that can be timed alone, and of whole steps."""
    parameters = list(trainee.model.parameters())
    on_gpu = batches[0].is_cuda
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=on_gpu)
    if not trainee.captured:
        yield from part_timings(trainee.model, adam, batches, seconds)
    yield STEP, time_steps(trainee, adam, batches, seconds)


def part_timings(
    model: Any, adam: torch.optim.Adam, batches: list[Tensor], seconds: float
) -> Iterator[tuple[str, Timing]]:
    """Times of the parts, each by itself."""

    def backward(batch: Tensor, negatives: Tensor) -> None:
        model.zero_grad()
        model.loss(batch, negatives).backward()

    parts: dict[str, Callable[[Tensor, Tensor], object]] = {
        "draw": lambda batch, _: model.draw(batch),
        "embeddings": lambda *_: model.embeddings(),
        "loss": model.loss,
        "loss + backward": backward,
        "Adam": lambda *_: adam.step(),
    }
    pairs = [(batch, model.draw(batch)) for batch in batches]
    for stage, part in parts.items():
        runs = [lambda pair=pair, part=part: part(*pair) for pair in pairs]
        yield stage, measure(runs, [{"batch": batches[0]}], seconds=seconds)


def time_steps(
    trainee: Trainee, adam: torch.optim.Adam, batches: list[Tensor], seconds: float
) -> Timing:
    """Milliseconds of a step, over steps in a row."""
    model, device = trainee.model, batches[0].device
    kind = CapturedStep if trainee.captured else EagerStep
    step = kind(lambda model, *batch: model.loss(*batch), model, adam)

    def milliseconds(count: int) -> float:
        wait(device)
        begin = time.perf_counter()
        for number in range(count):
            batch = batches[number % len(batches)]
            step(batch, model.draw(batch))
        wait(device)
        return (time.perf_counter() - begin) * 1e3 / count

    milliseconds(3)  # kernels are compiled, Adam's moments made, and the graph captured
    estimate = milliseconds(1)
    count = min(max(int(seconds * 1e3 / REPEATS / estimate), 1), MOST_STEPS)
    return Timing.of([milliseconds(count) for _ in range(REPEATS)])


MODELS: dict[str, tuple[int, Callable[[Data, bool], Iterator[Trainee]]]] = {
    "lightgcn": (2048, lightgcns),
    "ultragcn": (512, ultragcns),
}
"""Batch size of the papers' Gowalla runs, and who is trained."""
