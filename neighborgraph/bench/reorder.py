"""Seconds to find a locality order and renumber a graph by it, beside building the graph."""

from collections.abc import Callable, Iterator

import torch

from neighborgraph.bench.graphs import full_name, graph_like
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.timer import measure
from neighborgraph.graph import Graph

DEFAULT_GRAPHS = {"cpu": "power-law-shuffled", "cuda": "products-shuffled"}
BLOCK = 1024
"""Rows over which a column counts once: what it costs when they are read together."""


def reorder_rows(graph: str, device: torch.device, seconds: float) -> Iterator[Measurement]:
    """Times of `Graph.reorder` and of the checked build; the ratio is to the former.

    Args:
        graph: A name of a square graph.
        device: Where.
        seconds: Spent on the timed runs of one row, about.
    """
    name = full_name(graph)
    made = graph_like(name, device)
    edge_index = made.edge_index
    size = made.num_rows
    share = f"{distinct_share(made):.3f} -> {distinct_share(made.reorder().graph):.3f}"
    stages: dict[str, tuple[Callable[[], object], str]] = {
        "reorder": (made.reorder, f"{share} distinct columns an edge in {BLOCK:,} rows"),
        "build": (lambda: Graph.from_edge_index(edge_index, size), ""),
    }
    reorder_ms = None
    for stage, (run, note) in stages.items():
        timing = measure([run], [{"edge_index": edge_index}], seconds=seconds)
        reorder_ms = reorder_ms or timing.median_ms
        yield Measurement(
            op="reorder",
            provider="ours",
            graph=name,
            nodes=size,
            edges=made.num_edges,
            form="-",
            dtype="int64",
            heads=0,
            width=0,
            stage=stage,
            timing=timing,
            ratio=timing.median_ms / reorder_ms,
            note=note,
        )


def distinct_share(graph: Graph, block: int = BLOCK) -> float:
    """Different columns in each block of consecutive rows, all blocks together, over the edges."""
    source, receiver = graph.edge_index
    pair = receiver.div_(block, rounding_mode="floor").mul_(graph.num_cols).add_(source)
    return pair.unique().numel() / max(graph.num_edges, 1)
