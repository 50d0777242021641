"""Milliseconds of a training step of LightGCN and UltraGCN, whole and in parts, beside a peer.

LightGCN's peer is PyG's model, with its loss and its random negatives as PyG's example has them.
UltraGCN's is a plain transcription of the published batch: an embedding is gathered for every
negative. All run on the same batches with the same optimiser, and draw on the device.

The parts are timed one by one; the whole step is timed over steps in a row, as a training makes
them, and so without what a host can do while a GPU works.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.bench.graphs import GRAPHS
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.timer import Timing, measure, wait
from neighborgraph.data import load_interactions
from neighborgraph.errors import DataFileError
from neighborgraph.models import LightGCN, UltraGCN
from neighborgraph.tasks.step import CapturedStep, EagerStep

BATCHES = 8
REPEATS = 5
"""Timed rows of steps."""
MOST_STEPS = 200
"""Of one row."""
CHANNELS = 64
LAYERS = 3
DRAW, LOSS, BACKWARD, STEP = "draw", "loss", "loss + backward", "whole step"


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
        model: Has ``draw(pairs)`` and ``loss(pairs, negatives)``.
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


def lightgcns(data: Data, peers: bool) -> Iterator[Trainee]:
    """Ours, ours captured, and PyG's."""
    yield from ours(LightGCN(*data.sizes, embedding_dim=CHANNELS, num_layers=LAYERS), data)
    if peers:
        yield Trainee("PyG eager", PygLightGCN(*data.sizes).to(data.pairs.device))


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
    model = trainee.model
    if not trainee.captured:
        drawn = [model.draw(batch) for batch in batches]
        pairs = list(zip(batches, drawn, strict=True))

        def backward(batch: Tensor, negatives: Tensor) -> None:
            model.zero_grad()
            model.loss(batch, negatives).backward()

        parts: dict[str, Callable[[Tensor, Tensor], object]] = {
            DRAW: lambda batch, _: model.draw(batch),
            LOSS: model.loss,
            BACKWARD: backward,
        }
        for stage, part in parts.items():
            runs = [lambda pair=pair, part=part: part(*pair) for pair in pairs]
            yield stage, measure(runs, [{"batch": batches[0]}], seconds=seconds)
    yield STEP, time_steps(trainee, batches, seconds)


def time_steps(trainee: Trainee, batches: list[Tensor], seconds: float) -> Timing:
    """Milliseconds of a step, over steps in a row."""
    model, device = trainee.model, batches[0].device
    adam = torch.optim.Adam(
        model.parameters(), lr=1e-3, fused=True, capturable=device.type == "cuda"
    )
    step_kind = CapturedStep if trainee.captured else EagerStep
    step = step_kind(lambda model, *batch: model.loss(*batch), model, adam)

    def milliseconds(count: int) -> float:
        wait(device)
        begin = time.perf_counter()
        for number in range(count):
            batch = batches[number % len(batches)]
            step(batch, model.draw(batch))
        wait(device)
        return (time.perf_counter() - begin) * 1e3 / count

    milliseconds(3)  # kernels are compiled, Adam's moments made, and the graph recorded
    estimate = milliseconds(1)
    count = min(max(int(seconds * 1e3 / REPEATS / estimate), 1), MOST_STEPS)
    return Timing.of([milliseconds(count) for _ in range(REPEATS)])


class PygLightGCN(nn.Module):
    """PyG's LightGCN as PyG's example trains it."""

    def __init__(self, num_users: int, num_items: int, pairs: Tensor) -> None:
        """Take the edges, in both directions."""
        super().__init__()
        # Imported here: PyG takes seconds, and only a benchmark with peers needs it.
        theirs: Any = importlib.import_module("torch_geometric.nn.models")
        self.num_users, self.num_items = num_users, num_items
        self.model = theirs.LightGCN(num_users + num_items, CHANNELS, LAYERS)
        forth = torch.stack([pairs[0], num_users + pairs[1]])
        self.edge_index = torch.cat([forth, forth.flip(0)], dim=1)

    def draw(self, pairs: Tensor) -> Tensor:
        """Any item for each pair, [B]."""
        return torch.randint(self.num_items, pairs[0].shape, device=pairs.device)

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        """PyG's BPR loss of a batch."""
        users, items = pairs
        targets = torch.cat([items, negatives]) + self.num_users
        edges = torch.stack([users.repeat(2), targets])
        positive, negative = self.model(self.edge_index, edges).chunk(2)
        return self.model.recommendation_loss(positive, negative, node_id=edges.unique())


class PublishedUltraGCN(nn.Module):
    """The batch of UltraGCN as its paper writes it, in plain Torch."""

    def __init__(self, ours: UltraGCN) -> None:
        """Take the sizes, weights and tables of our model; the parameters are copies."""
        super().__init__()
        self.ours = [ours]  # in a list, so that it is no sub-module
        self.users = nn.Embedding.from_pretrained(ours.users.weight.detach().clone(), freeze=False)
        self.items = nn.Embedding.from_pretrained(ours.items.weight.detach().clone(), freeze=False)

    def draw(self, pairs: Tensor) -> Tensor:
        """Any items, [B, R]."""
        return self.ours[0].draw(pairs)

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        """The sum over the batch."""
        (ours,) = self.ours
        users, items = pairs
        user = self.users(users)
        factor = ours.user_factor[users]
        entropy = F.binary_cross_entropy_with_logits

        scores = (user * self.items(items)).sum(-1)
        weight = ours.w1 + ours.w2 * factor * ours.item_factor[items]
        loss = entropy(scores, torch.ones_like(scores), weight, reduction="sum")

        scores = (user[:, None] * self.items(negatives)).sum(-1)
        weight = ours.w3 + ours.w4 * factor[:, None] * ours.item_factor[negatives]
        each = entropy(scores, torch.zeros_like(scores), weight, reduction="none")
        loss = loss + ours.negative_weight * each.mean(-1).sum()

        scores = (user[:, None] * self.items(ours.neighbors[items])).sum(-1)
        loss = loss - ours.item_weight * (ours.omega[items] * scores.sigmoid().log()).sum()
        norm = sum(parameter.square().sum() for parameter in self.parameters())
        return loss + ours.reg / 2 * norm


MODELS: dict[str, tuple[int, Callable[[Data, bool], Iterator[Trainee]]]] = {
    "lightgcn": (2048, lightgcns),
    "ultragcn": (512, ultragcns),
}
"""Batch size of the papers' Gowalla runs, and who is trained."""
