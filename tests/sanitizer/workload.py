"""Every kernel, forward and backward, on the graphs on which kernels break; checks nothing itself.

``python workload.py PART`` runs the kernels of one part of ``PARTS``.

Memory comes straight from the driver and is not filled, so that a sanitizer sees every overrun and
every read of what nobody wrote.
"""

import sys
from functools import partial
from itertools import product

import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import (
    Additive,
    Dot,
    Draw,
    Hashed,
    NeighborTable,
    Population,
    Recent,
    TwoHops,
    aggregate,
    attend,
    attend_with_weights,
    insert_events,
    join_neighbors,
    lookup_neighbors,
    relabel,
    sample_neighbors,
    sample_two_hops,
    topk,
)
from neighborgraph.ops.compress import compress
from neighborgraph.testing import awkward_graphs

GRAPHS = ("no_edges", "self_loop", "empty_rows", "bipartite", "one_row", "star_out", "degrees")
SHAPES = ((1, 128, 128), (3, 7, 12), (8, 64, 64))
"""Heads, width of keys, width of values."""


def run_attend(graph: Graph, dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    """Each score with nothing, with everything, and with each edge input alone."""
    heads, width, value_width = shape
    alone = [tuple(i == j for j in range(4)) for i in range(4)]
    for additive, present in product((False, True), [(False,) * 4, *alone, (True,) * 4]):
        loops, bias, edge, dropout = present
        loops = loops and graph.num_rows == graph.num_cols
        edges = graph.num_edges + loops * graph.num_rows
        values = width if edge and not additive else value_width
        q, k, v = (
            features(nodes, heads, channels, dtype=dtype)
            for nodes, channels in (
                (graph.num_rows, width),
                (graph.num_cols, width),
                (graph.num_cols, values),
            )
        )
        out, _ = attend_with_weights(
            graph,
            q,
            k,
            v,
            score=Additive(features(heads, width, dtype=dtype)) if additive else Dot(),
            bias=features(edges, heads, dtype=dtype) if bias else None,
            edge=features(edges, heads, width, dtype=dtype) if edge else None,
            dropout=0.3 * dropout,
            seed=1,
            self_loops=loops,
        )
        out.sum().backward()


def run_aggregate(graph: Graph, dtype: torch.dtype, width: int) -> None:
    """Each reduction, weighted and scaled."""
    for reduce in ("sum", "mean", "max", "min"):
        out = aggregate(
            graph,
            features(graph.num_cols, width, dtype=dtype),
            reduce,
            weight=features(graph.num_edges, dtype=dtype),
            row_scale=features(graph.num_rows, dtype=dtype).detach(),
            add=features(graph.num_rows, width, dtype=dtype),
        )
        out.sum().backward()


def run_compress(graph: Graph, dtype: torch.dtype) -> None:
    """Both widths of ids, with loops replaced where there can be some; then over the result."""
    sizes = graph.num_cols, graph.num_rows
    for ids, loops in product((torch.int32, torch.int64), (False, True)):
        made = compress(graph.edge_index.to(ids), sizes, self_loops=loops and sizes[0] == sizes[1])
        x = features(sizes[0], 2, 32, dtype=dtype)
        attend(made, features(sizes[1], 2, 32, dtype=dtype), x, x).sum().backward()
        aggregate(made, x, "max").sum().backward()


def run_sample(graph: Graph) -> None:
    """Each way of drawing, and the numbers of what was drawn."""
    weight = torch.rand(graph.num_edges, device="cuda")
    time = torch.arange(graph.num_edges, device="cuda")
    row = torch.arange(graph.num_rows, device="cuda").repeat(3)
    for population in (Population.of(graph), Population.of(graph, weight=weight, time=time)):
        until = None if population.time is None else row * 7
        for count, replace in product((-1, 1, 5, 40), (False, True)):
            sample = sample_neighbors(population, row, count, Draw(1), until=until, replace=replace)
            relabel(row, sample.source)
    if graph.num_rows == graph.num_cols:
        for count in (1, 5, 40):
            sample_two_hops(TwoHops.of(graph), row, count, Draw(1))


def run_topk(graph: Graph, dtype: torch.dtype) -> None:
    """Rows as users who have seen their neighbours, of whom there are few; and many more items."""
    users = features(graph.num_rows, 16, dtype=dtype).detach()
    for count, k in product((graph.num_cols, graph.num_cols + 5000), (1, 20, 1500)):
        items = features(count, 16, dtype=dtype).detach()
        topk(users, items, k)
        for column in (graph.rows.idx, graph.rows.idx.long()):
            topk(users, items, k, (graph.rows.ptr, column))


def run_neighbor_cache(graph: Graph, dtype: torch.dtype) -> None:
    """Both policies and types of times, with and without features; look-ups and their join."""
    size = max(graph.num_rows, graph.num_cols)
    event = torch.arange(graph.num_edges, device="cuda")
    node = torch.arange(size, device="cuda")
    for policy, time in product((Recent(3), Hashed(5, 0.5)), (torch.int64, torch.float64)):
        table = NeighborTable.empty(
            size, policy, time_dtype=time, channels=3, dtype=dtype, device="cuda"
        )
        for number, part in enumerate(event.split(500)):
            vector = features(len(part), 3, dtype=dtype) if number % 2 else None
            ends = graph.edge_index[:, part]
            insert_events(table, ends[0], ends[1], part.to(time), part, feature=vector)
        found = lookup_neighbors(table, node, (node * 0 + graph.num_edges).to(time))
        join_neighbors(found.neighbor, found.neighbor.new_ones(policy.size))


def features(*shape: int, dtype: torch.dtype) -> Tensor:
    """Random numbers that want a gradient."""
    return torch.randn(*shape, dtype=dtype, device="cuda").requires_grad_()


def aggregate_on(graph: Graph, dtype: torch.dtype) -> None:
    """All widths."""
    for width in (3, 64, 300):
        run_aggregate(graph, dtype, width)


PARTS = {
    **{f"attend {shape}": partial(run_attend, shape=shape) for shape in SHAPES},
    "aggregate": aggregate_on,
    "compress": run_compress,
    "sample": lambda graph, dtype: run_sample(graph),
    "topk": run_topk,
    "neighbor_cache": run_neighbor_cache,
}
"""What a process of its own runs: a sanitizer takes a minute for each."""

if __name__ == "__main__":
    for name, dtype in product(GRAPHS, (torch.float16, torch.float32)):
        PARTS[sys.argv[1]](awkward_graphs("cuda")[name], dtype)
    torch.cuda.synchronize()
