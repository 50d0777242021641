"""Milliseconds to rank all items for all users, and to judge the lists by every metric.

Users, items and what was seen are made up, in the sizes of well-known data sets. The peer is what a
user of Torch and PyG writes: for a block of users a product, a mask, ``torch.topk``, and PyG's
metrics; its blocks are as large as ours. The floor is the product alone.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.named import by_name
from neighborgraph.bench.timer import measure
from neighborgraph.ops.topk import topk
from neighborgraph.tasks.ranking import PYG_METRICS, evaluate_ranking, rows_of

WIDTH, K = 64, 20
PEER_SCORES = {"cpu": 2**24, "cuda": 2**27}
"""Scores that the peer holds at once, as many as ours."""
TOLERANCE = 1e-5
DEFAULT_CATALOGUES = {"cpu": ("gowalla",), "cuda": ("gowalla", "amazon-book")}


@dataclass(frozen=True)
class Catalogue:
    """How many there are of what.

    Attributes:
        name: Of the data set that is imitated.
        users: Users U.
        items: Items I.
        seen: Pairs that are not to be listed, about.
        held_out: Pairs to find.
    """

    name: str
    users: int
    items: int
    seen: int
    held_out: int


CATALOGUES = {
    catalogue.name: catalogue
    for catalogue in (
        Catalogue("tiny", 300, 500, 3_000, 1_000),
        Catalogue("gowalla", 29_858, 40_981, 810_128, 217_242),
        Catalogue("amazon-book", 52_643, 91_599, 2_380_730, 603_378),
    )
}


def chosen_catalogues(names: Iterable[str], device: str) -> list[Catalogue]:
    """By name, or the default ones of a device.

    Raises:
        ConfigError: There is no such catalogue.
    """
    return by_name("catalogue", CATALOGUES, names, DEFAULT_CATALOGUES[device])


@dataclass(frozen=True)
class Ranking:
    """The input of one catalogue."""

    users: Tensor
    items: Tensor
    pairs: Tensor
    held_out: Tensor

    @staticmethod
    def draw(catalogue: Catalogue, device: torch.device) -> "Ranking":
        """Normal vectors and uniform pairs, each once; every user has something held out."""
        generator = torch.Generator(device).manual_seed(0)

        def vectors(count: int) -> Tensor:
            return torch.randn(count, WIDTH, generator=generator, device=device)

        def pairs(count: int) -> Tensor:
            """About so many, and at least one of every user."""
            item = torch.randint(catalogue.items, (count,), generator=generator, device=device)
            user = torch.randint(catalogue.users, (count,), generator=generator, device=device)
            user[: catalogue.users] = torch.arange(catalogue.users, device=device)
            key = (user * catalogue.items + item).unique()
            return torch.stack([key // catalogue.items, key % catalogue.items])

        users, items = vectors(catalogue.users), vectors(catalogue.items)
        return Ranking(users, items, pairs(catalogue.seen), pairs(catalogue.held_out))


def ranking_rows(
    catalogue: Catalogue, device: torch.device, seconds: float, peers: Iterable[str]
) -> Iterator[Measurement]:
    """Times of the lists, and of the lists with their metrics; ratios are to ours.

    Args:
        catalogue: The sizes.
        device: Where everything is.
        seconds: Spent on the timed runs of one row, about.
        peers: Which of ``pyg`` and ``floor`` are measured, too.
    """
    ranking = Ranking.draw(catalogue, device)
    wanted = [name for name in ("pyg", "floor") if name in peers]
    for stage, functions in STAGES.items():
        ours = None
        for name, (provider, function) in functions.items():
            if name != "ours" and name not in wanted:
                continue
            run, note = function(ranking), ""
            if name == "pyg" and not agrees(stage, ranking):
                note = "disagrees with ours"
            timing = None if note else measure([run], [vars(ranking)], seconds=seconds)
            ours = ours or timing
            yield Measurement(
                op="topk",
                provider=provider,
                graph=catalogue.name,
                nodes=catalogue.users,
                edges=ranking.pairs.shape[1],
                form=f"k={K}",
                dtype="float32",
                heads=1,
                width=WIDTH,
                stage=stage,
                timing=timing,
                ratio=timing.median_ms / ours.median_ms if timing and ours else None,
                note=note or f"{catalogue.items:,} items",
            )


def agrees(stage: str, ranking: Ranking) -> bool:
    """Whether the peer's scores or metrics are ours, to rounding."""
    functions = STAGES[stage]
    ours, theirs = (functions[name][1](ranking)() for name in ("ours", "pyg"))
    if stage == "lists":
        return torch.allclose(ours[0], theirs[0], rtol=TOLERANCE, atol=TOLERANCE)
    return all(abs(ours[name] - float(value)) < TOLERANCE for name, value in theirs.items())


def our_lists(ranking: Ranking) -> Callable[[], Any]:
    """Ours, given what was seen as rows."""
    seen = rows_of(ranking.pairs, len(ranking.users))
    return lambda: topk(ranking.users, ranking.items, K, seen)


def our_metrics(ranking: Ranking) -> Callable[[], Any]:
    """Ours, lists and all metrics."""
    seen = rows_of(ranking.pairs, len(ranking.users))
    return lambda: evaluate_ranking(ranking.users, ranking.items, seen, ranking.held_out, (K,))


def blocks_of(ranking: Ranking) -> Iterator[tuple[int, Tensor]]:
    """The first user of a block, and the block's scores."""
    block = max(1, PEER_SCORES[ranking.users.device.type] // len(ranking.items))
    for begin in range(0, len(ranking.users), block):
        yield begin, ranking.users[begin : begin + block] @ ranking.items.T


def torch_lists(ranking: Ranking) -> Callable[[], Any]:
    """A product, a mask and ``torch.topk`` for each block of users."""
    seen, column = rows_of(ranking.pairs, len(ranking.users))
    user = ranking.pairs[0]  # in order
    ends = seen.tolist()

    def run() -> tuple[Tensor, Tensor]:
        parts = []
        for begin, scores in blocks_of(ranking):
            own = slice(ends[begin], ends[begin + len(scores)])
            scores[user[own] - begin, column[own]] = -torch.inf
            parts.append(scores.topk(K))
        scores, ids = zip(*parts, strict=True)
        return torch.cat(scores), torch.cat(ids)

    return run


def pyg_metrics(ranking: Ranking) -> Callable[[], Any]:
    """The same, and PyG's metrics."""
    from torch_geometric import metrics

    lists = torch_lists(ranking)
    kinds: dict[str, Any] = {
        f"{name}@{K}": getattr(metrics, kind)(K) for name, kind in PYG_METRICS.items()
    }
    kinds[f"coverage@{K}"] = metrics.LinkPredCoverage(K, len(ranking.items))
    collection = metrics.LinkPredMetricCollection(kinds).to(ranking.users.device)

    def run() -> dict[str, float]:
        collection.reset()
        collection.update(lists()[1], ranking.held_out)
        return {name: float(value) for name, value in collection.compute().items()}

    return run


def products(ranking: Ranking) -> Callable[[], Any]:
    """All scores, and nothing done with them."""

    def run() -> None:
        for _ in blocks_of(ranking):
            pass

    return run


STAGES: dict[str, dict[str, tuple[str, Callable[[Ranking], Callable[[], Any]]]]] = {
    "lists": {
        "ours": ("ours", our_lists),
        "pyg": ("torch.topk", torch_lists),
        "floor": ("floor", products),
    },
    "lists + metrics": {"ours": ("ours", our_metrics), "pyg": ("torch.topk, PyG", pyg_metrics)},
}
"""What is timed, and by whom: a name of ``--peers``, a title, and what makes the run."""
