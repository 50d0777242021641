"""Awkward graphs and the error rule, held once for every test and benchmark.

Kernels break where degrees are uneven: on empty rows, duplicates, hubs that are cut into several
work items, sizes around a warp. `awkward_graphs` has them all and `coverage` proves it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from types import MappingProxyType

import torch
from torch import Tensor

from neighborgraph.graph import Graph

EXTRA_ULPS = 4
"""Rounding that even an exact formula shows: units in the last place of the largest value."""


def devices() -> list[torch.device]:
    """The CPU, and the GPU when there is one."""
    names = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [torch.device(name) for name in names]


def from_pairs(pairs: Iterable[tuple[int, int]], num_cols: int, num_rows: int) -> Graph:
    """A graph from (source, receiver) pairs."""
    edge_index = torch.tensor(list(pairs), dtype=torch.int64).view(-1, 2).t()
    return Graph.from_edge_index(edge_index, (num_cols, num_rows))


def from_degrees(degrees: Sequence[int], num_cols: int, seed: int) -> Graph:
    """A graph whose row i has ``degrees[i]`` random sources, its edges in shuffled order."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.arange(len(degrees)).repeat_interleave(torch.tensor(degrees))
    row = row[torch.randperm(row.numel(), generator=generator)]
    col = torch.randint(num_cols, row.shape, generator=generator)
    return Graph.from_edge_index(torch.stack([col, row]), (num_cols, len(degrees)))


def heavy_tailed_degrees(num_rows: int, largest: int, seed: int) -> list[int]:
    """Degrees 1/u - 1 with u uniform: half the rows have none, a few are hubs."""
    u = torch.rand(num_rows, generator=torch.Generator().manual_seed(seed))
    return (1 / u - 1).clamp(max=largest).long().tolist()


def repeated_edges() -> Graph:
    """100 random edges of which 30 are there a second time and one 40 times."""
    generator = torch.Generator().manual_seed(8)
    edge_index = torch.randint(20, (2, 100), generator=generator)
    copies = [edge_index, edge_index[:, :30], edge_index[:, :1].expand(2, 39)]
    return Graph.from_edge_index(torch.cat(copies, dim=1), 20)


def random_graph(
    seed: int,
    num_rows: int = 20,
    num_cols: int | None = None,
    num_edges: int = 60,
    *,
    dtype: torch.dtype | None = None,
) -> Graph:
    """A random multigraph with hubs, empty rows, duplicates and edges in no order.

    Node ids are drawn as floor(n u²) with u uniform, and renumbered so that hubs are anywhere.

    Args:
        seed: Equal seeds and sizes give equal graphs.
        num_rows: Receivers n.
        num_cols: Sources m; None means as many as receivers.
        num_edges: Edges e.
        dtype: Element type of standard normal edge weights; None means no weights.
    """
    generator = torch.Generator().manual_seed(seed)
    num_cols = num_rows if num_cols is None else num_cols

    def draw(size: int) -> Tensor:
        u = torch.rand(num_edges, generator=generator, dtype=torch.float64)
        return torch.randperm(size, generator=generator)[(size * u**2).long()]

    edge_index = torch.stack([draw(num_cols), draw(num_rows)])
    weight = None if dtype is None else torch.randn(num_edges, generator=generator).to(dtype)
    return Graph.from_edge_index(edge_index, (num_cols, num_rows), weight=weight)


AWKWARD: dict[str, Callable[[], Graph]] = {
    "empty": lambda: from_pairs([], 0, 0),
    "no_edges": lambda: from_pairs([], 5, 5),
    "no_receivers": lambda: from_pairs([], 7, 0),
    "self_loop": lambda: from_pairs([(0, 0)], 1, 1),
    "star_in": lambda: from_pairs([(leaf, 0) for leaf in range(1, 41)], 41, 41),
    # Its transpose has a row that is cut.
    "star_out": lambda: from_pairs([(0, leaf) for leaf in range(1, 1101)], 1101, 1101),
    "path": lambda: from_pairs([(node, node + 1) for node in range(24)], 25, 25),
    "clique": lambda: from_pairs(
        [(j, i) for i, j in product(range(17), repeat=2) if i != j], 17, 17
    ),
    "bipartite": lambda: from_degrees([3, 0, 7, 1, 9, 2, 0, 5, 4, 4, 12], 23, seed=5),
    "constant_degree": lambda: from_degrees([4] * 30, 30, seed=6),
    "heavy_tailed": lambda: from_degrees(heavy_tailed_degrees(120, 700, seed=1), 120, seed=7),
    "duplicates": repeated_edges,
    "empty_rows": lambda: from_degrees([0, 3, 5, 0, 1, 2, 8, 0, 6, 4, 3, 0, 7, 2, 0], 15, seed=9),
    "one_row": lambda: from_degrees([0, 0, 1500, 0], 300, seed=10),
    "degrees": lambda: from_degrees([31, 32, 33, 0, 511, 512, 513, 1, 1025], 90, seed=11),
    "blocks": lambda: from_pairs(
        [
            (start + i, start + j)
            for start in (0, 12, 24)
            for i, j in product(range(12), repeat=2)
            if (i * j) % 3
        ],
        45,
        45,
    ),
}
"""How to make each graph: empty ones, extremes of degree, and the ordinary shapes between."""


@cache
def awkward_graphs(device: str = "cpu") -> Mapping[str, Graph]:
    """The small graphs on which kernels break, by name; made once a process for each device."""
    return MappingProxyType({name: make().to(device) for name, make in AWKWARD.items()})


PROPERTIES: dict[str, Callable[[Graph], bool]] = {
    "no receivers": lambda graph: graph.num_rows == 0,
    "no edges": lambda graph: graph.num_edges == 0,
    "empty rows": lambda graph: 0 in graph.degree and graph.num_edges > 0,
    "first and last row empty": lambda graph: (
        graph.num_edges > 0 and not graph.degree[[0, -1]].any()
    ),
    "self-loops": lambda graph: (
        graph.num_rows == graph.num_cols
        and bool((graph.edge_index[0] == graph.edge_index[1]).any())
    ),
    "duplicates": lambda graph: graph.edge_index.unique(dim=1).shape[1] < graph.num_edges,
    "bipartite": lambda graph: graph.num_rows != graph.num_cols,
    "hub rows": lambda graph: graph.rows.split_row.numel() > 0,
    "hub columns": lambda graph: graph.expect_cols("coverage").split_row.numel() > 0,
    "edges out of order": lambda graph: bool((graph.edge_index[1].diff() < 0).any()),
}
"""What makes a graph awkward; a hub has more edges than one work item holds."""


def coverage(graphs: Iterable[Graph]) -> dict[str, int]:
    """How many of ``graphs`` have each of the `PROPERTIES`; a suite should have no zero."""
    graphs = list(graphs)
    return {name: sum(map(has, graphs)) for name, has in PROPERTIES.items()}


def assert_close(
    actual: Tensor,
    reference64: Tensor,
    plain: Tensor,
    factor: float = 2.0,
    *,
    name: str = "result",
) -> None:
    """Hold a result to the error that ordinary arithmetic of its own precision makes.

    max |actual - reference64| <= factor · max |plain - reference64| + 4 ulp(max |reference64|)

    No constant tolerance fits both a row of 8 edges and one of 100,000; this one adapts. NaN must
    be exactly where the reference has it. Where the reference, rounded, or ``plain`` is infinite,
    ``actual`` must equal one of the two.

    Args:
        actual: The result under test.
        reference64: The same quantity in float64.
        plain: The same formula in ordinary Torch, in the dtype of ``actual``.
        factor: 2 for a forward result, 3 for a gradient.
        name: What the message calls the result.

    Raises:
        AssertionError: Says how far off the worst element is, and what was allowed.
    """
    for role, other in (("reference64", reference64), ("plain", plain)):
        if other.shape != actual.shape:
            raise AssertionError(
                f"{name} has shape {list(actual.shape)}, but {role} has {list(other.shape)}"
            )
    if (reference64.dtype, plain.dtype) != (torch.float64, actual.dtype):
        raise AssertionError(
            f"{name} is {actual.dtype}; reference64 must be torch.float64 and plain like {name}, "
            f"got {reference64.dtype} and {plain.dtype}"
        )
    actual, reference64, plain = (t.detach().cpu() for t in (actual, reference64, plain))
    expected = reference64.to(actual.dtype)

    at = first_true(actual.isnan() != expected.isnan())
    if at is not None:
        found = "NaN" if actual[at].isnan() else f"{actual[at].item():.8g}"
        raise AssertionError(f"{name}{list(at)} is {found}, the reference {reference64[at].item()}")

    finite = expected.isfinite() & plain.isfinite()
    at = first_true(~finite & ~expected.isnan() & (actual != expected) & (actual != plain))
    if at is not None:
        raise AssertionError(
            f"{name}{list(at)} is {actual[at].item()}, neither the reference "
            f"{expected[at].item()} nor plain {plain[at].item()}"
        )
    assert_within_budget(actual, reference64, plain, finite, factor, name)


def assert_within_budget(
    actual: Tensor, reference64: Tensor, plain: Tensor, finite: Tensor, factor: float, name: str
) -> None:
    """The error rule over the elements that are ``finite``."""
    if not finite.any():
        return
    error = torch.where(finite, (actual.double() - reference64).abs(), 0.0)
    plain_error = torch.where(finite, (plain.double() - reference64).abs(), 0.0).max().item()
    largest = torch.where(finite, reference64.abs(), 0.0).max().item()
    budget = factor * plain_error + EXTRA_ULPS * ulp(largest, actual.dtype)
    # Written so that an infinite error, or a NaN, is a failure too.
    at = first_true(~(error <= budget))
    if at is not None:
        worst = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
        raise AssertionError(
            f"{name} is too far from the reference at {int((~(error <= budget)).sum())} of "
            f"{error.numel()} elements; worst is {name}{list(worst)} = "
            f"{actual[worst].item():.8g} against {reference64[worst].item():.8g}, error "
            f"{error[worst].item():.3g}, allowed {budget:.3g} = {factor:g} x {plain_error:.3g} of "
            f"plain {actual.dtype} + {EXTRA_ULPS} ulp at {largest:.3g}"
        )


def ulp(magnitude: float, dtype: torch.dtype) -> float:
    """The distance between neighbouring numbers of ``dtype`` at ``magnitude``."""
    info = torch.finfo(dtype)
    _, exponent = math.frexp(max(magnitude, info.smallest_normal))
    return math.ldexp(info.eps, exponent - 1)


def first_true(mask: Tensor) -> tuple[int, ...] | None:
    """Index of the first True, or None."""
    if not mask.any():
        return None
    return tuple(int(i) for i in mask.nonzero()[0])
