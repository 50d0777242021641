"""Seconds to check and build a Graph, with and without its checks and its transpose."""

from collections.abc import Iterator

import torch

from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.timer import measure
from neighborgraph.graph import Graph

EDGES_PER_NODE = 50
FEWEST_EDGES = 2 * EDGES_PER_NODE
"""Two nodes at least, or all ids are zero."""

BUILDERS = {"checked": Graph.from_edge_index, "trusted": Graph.from_trusted_edge_index}
TRANSPOSE = {"with transpose": True, "without transpose": False}


def build_rows(num_edges: int, device: torch.device, seconds: float) -> Iterator[Measurement]:
    """Times over uniformly random int64 edges in no order; the ratio is to the checked build.

    Args:
        num_edges: At least ``FEWEST_EDGES``.
        device: Where.
        seconds: Spent on the timed runs of one row, about.
    """
    num_nodes = num_edges // EDGES_PER_NODE
    sizes = num_nodes, num_nodes
    generator = torch.Generator(device).manual_seed(0)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator, device=device)
    for stage, transpose in TRANSPOSE.items():
        checked_ms = None
        for provider, builder in BUILDERS.items():

            def run(builder=builder, transpose=transpose) -> Graph:
                return builder(edge_index, sizes, transpose=transpose)

            timing = measure([run], [{"edge_index": edge_index}], seconds=seconds)
            checked_ms = checked_ms or timing.median_ms
            yield Measurement(
                op="build",
                provider=provider,
                graph="uniform",
                nodes=num_nodes,
                edges=num_edges,
                form="-",
                dtype="int64",
                heads=0,
                width=0,
                stage=stage,
                timing=timing,
                ratio=timing.median_ms / checked_ms,
                note=f"{timing.median_ms / 1e3:.3g} s, {num_edges:,} edges",
            )
