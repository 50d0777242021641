"""sample against its definition: every way of drawing, on every awkward graph, bit for bit."""

import time
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.sample import Draw, Population, ordered, reference, relabel, sample_neighbors
from neighborgraph.testing import awkward_graphs, from_degrees, from_pairs

GRAPHS = awkward_graphs()
COUNTS = [0, 1, 2, 5, 33, 70, -1]


def weights_of(graph: Graph) -> Tensor:
    """Weights from 1e-30 to 1e30, and some zeros."""
    generator = torch.Generator().manual_seed(3)
    exponent = torch.rand(graph.num_edges, generator=generator) * 60 - 30
    keep = torch.rand(graph.num_edges, generator=generator) < 0.8
    return (10 ** exponent.double() * keep).float()


def times_of(graph: Graph) -> Tensor:
    """Times with many ties."""
    return torch.randint(-3, 9, (graph.num_edges,), generator=torch.Generator().manual_seed(4))


def population_of(name: str, kind: str, device: str) -> Population:
    graph = GRAPHS[name]
    weight = weights_of(graph).to(device) if "weight" in kind else None
    times = times_of(graph).to(device) if "time" in kind else None
    return Population.of(graph.to(device), weight=weight, time=times)


@pytest.mark.parametrize("kind", ["plain", "weight", "time", "weight and time"])
@pytest.mark.parametrize("name", GRAPHS)
def test_equals_the_definition(device: str, name: str, kind: str) -> None:
    population = population_of(name, kind, device)
    generator = torch.Generator().manual_seed(5)
    rows = max(population.num_rows, 1)
    row = torch.randint(rows, (12 if population.num_rows else 0,), generator=generator).to(device)
    until = None
    if "time" in kind:
        until = torch.randint(-4, 10, row.shape, generator=generator).to(device)
    turns = product(COUNTS, [False, True], [False, True] if "time" in kind else [False])
    for turn, (count, replace, last) in enumerate(turns):
        draw = Draw(seed=-(2**60) + turn, epoch=turn, hop=turn % 3, relation=5)
        options = {"until": until, "replace": replace, "last": last, "inclusive": turn % 2 == 0}
        found = sample_neighbors(population, row, count, draw, **options)
        expected = reference.sample_neighbors(population, row, count, draw, **options)
        for name_of, actual, wanted in zip(found._fields, found, expected, strict=True):
            assert torch.equal(actual, wanted), (name_of, count, replace, last)


def test_sums_of_weights_that_wrap_around(device: str) -> None:
    graph = from_degrees([5] * 1000, 50, seed=3).to(device)  # 5000 times 2^52 in all
    population: Any = Population.of(graph, weight=torch.ones(5000, device=device))
    assert (population.cumulative < 0).any()
    row = torch.arange(300, 600, device=device)
    for replace in (False, True):
        found = sample_neighbors(population, row, 3, Draw(5), replace=replace)
        wanted = reference.sample_neighbors(population, row, 3, Draw(5), replace=replace)
        assert torch.equal(found.edge, wanted[2])


def test_by_hand(device: str, hand: Graph) -> None:
    population = Population.of(hand)
    row = torch.tensor([1, 2, 0, 3, 0], device=device)
    receiver, source, edge = sample_neighbors(population, row, 3, Draw(1))
    assert receiver.tolist() == [1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert source[:4].tolist() == [2, 0, 1, 1]
    assert edge[:4].tolist() == [1303, 1300, 1301, 1302]
    assert edge[7:].tolist() == [1300, 1301, 1302]
    hub = edge[4:7].tolist()
    assert len(set(hub)) == 3
    assert [e % 3 for e in hub] == source[4:7].tolist()

    receiver, _, edge = sample_neighbors(population, row, 5, Draw(1), replace=True)
    assert receiver.bincount(minlength=5).tolist() == [0, 5, 5, 5, 5]
    assert edge[:5].tolist() == [1303] * 5

    everything = sample_neighbors(population, row, -1, Draw(1), replace=True)
    assert everything.receiver.bincount(minlength=5).tolist() == [0, 1, 3, 1300, 3]


def test_relabel_by_hand(device: str) -> None:
    known = torch.tensor([5, 7, 5], device=device)
    found = torch.tensor([7, 1, 5, 9, 1, 2**62], device=device)
    nodes, local = relabel(known, found)
    assert nodes.tolist() == [5, 7, 5, 1, 9, 2**62]
    assert local.tolist() == [1, 3, 0, 4, 3, 5]


@pytest.mark.parametrize(
    ("k", "s", "distinct"), [(0, 0, 1), (5, 0, 9), (0, 40, 7), (900, 5000, 800)]
)
def test_relabel_equals_the_definition(device: str, k: int, s: int, distinct: int) -> None:
    generator = torch.Generator().manual_seed(k + s)
    ids = torch.randint(2**61, (distinct,), generator=generator)
    known, found = (ids[torch.randint(distinct, (n,), generator=generator)] for n in (k, s))
    known, found = known.to(device), found.to(device)
    for actual, wanted in zip(relabel(known, found), reference.relabel(known, found), strict=True):
        assert torch.equal(actual, wanted)


def test_a_row_does_not_depend_on_the_others_or_on_threads(device: str) -> None:
    graph = from_degrees([4, 900, 30, 0, 70] * 500, 3000, seed=1).to(device)
    population, row = Population.of(graph), torch.arange(2500, device=device)
    together = sample_neighbors(population, row, 20, Draw(9, hop=1))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    backwards = sample_neighbors(population, row.flip(0), 20, Draw(9, hop=1))
    torch.set_num_threads(threads)
    order = (2499 - backwards.receiver).argsort(stable=True)
    assert torch.equal(together.edge, backwards.edge[order])
    alone = sample_neighbors(population, row[1:2], 20, Draw(9, hop=1))
    assert torch.equal(together.edge[together.receiver == 1], alone.edge)


@pytest.mark.parametrize("name", Draw._fields)
def test_every_part_of_the_key_changes_the_sample(device: str, name: str) -> None:
    population = Population.of(from_degrees([1000], 1000, seed=1).to(device))
    row = torch.zeros(1, dtype=torch.int64, device=device)
    first = sample_neighbors(population, row, 10, Draw(0))
    other = sample_neighbors(population, row, 10, Draw(0)._replace(**{name: 1}))
    assert not torch.equal(first.edge, other.edge)
    keyed = sample_neighbors(population, row, 10, Draw(0), key=row + 1)
    assert not torch.equal(first.edge, keyed.edge)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1, -1, -(2**63)])
def test_any_seed_of_64_bits(device: str, seed: int) -> None:
    population = Population.of(from_degrees([100], 100, seed=1).to(device))
    row = torch.zeros(1, dtype=torch.int64, device=device)
    same = sample_neighbors(population, row, 5, Draw(seed - 2**64 if seed >= 2**63 else seed))
    assert torch.equal(sample_neighbors(population, row, 5, Draw(seed)).edge, same.edge)


@pytest.mark.cuda
def test_gpu_equals_cpu_on_many_rows() -> None:
    degrees = [*torch.arange(100_000).remainder(61).tolist(), 200_000]
    graph = from_degrees(degrees, 100_000, seed=2)
    generator = torch.Generator().manual_seed(1)
    row = torch.randint(graph.num_rows, (100_000,), generator=generator)
    until = torch.randint(-4, 10, row.shape, generator=generator)
    weight, times = weights_of(graph), times_of(graph)
    for options in ({}, {"weight": weight}, {"time": times}, {"weight": weight, "time": times}):
        cpu = Population.of(graph, **options)
        gpu = Population.of(graph.to("cuda"), **{k: v.cuda() for k, v in options.items()})
        for count, replace in product([1, 5, 10, 15, 40, -1], [False, True]):
            bound = until if "time" in options else None
            found = sample_neighbors(
                gpu, row.cuda(), count, Draw(7, 2), replace=replace,
                until=None if bound is None else bound.cuda(),
            )  # fmt: skip
            wanted = sample_neighbors(cpu, row, count, Draw(7, 2), replace=replace, until=bound)
            for actual, expected in zip(found, wanted, strict=True):
                assert torch.equal(actual.cpu(), expected)
        whole = sample_neighbors(cpu, row, 5, Draw(8))
        numbered = relabel(row.cuda(), whole.source.cuda())
        for actual, expected in zip(numbered, relabel(row, whole.source), strict=True):
            assert torch.equal(actual.cpu(), expected)


GOOD = Population.of(from_pairs([(0, 0), (1, 0)], 2, 2))
ROW = torch.tensor([0])
HALF: Any = 0.5
sample: Any = sample_neighbors  # which is given what its signature does not allow
REFUSED: dict[str, Any] = {
    "count below -1": (lambda: sample(GOOD, ROW, -2, Draw(0)), InputError, "count = -2"),
    "count too large": (
        lambda: sample(GOOD, ROW, 10**12, Draw(0)),
        InputError,
        "in \\[0, 2147483647\\], or -1",
    ),
    "float count": (lambda: sample(GOOD, ROW, 1.5, Draw(0)), DtypeError, "1.5"),
    "no count": (lambda: sample(GOOD, ROW, None, Draw(0)), DtypeError, "None"),
    "row too large": (
        lambda: sample(GOOD, torch.tensor([0, 2]), 1, Draw(0)),
        InputError,
        "row\\[1\\] = 2 is outside \\[0, 2\\)",
    ),
    "negative row": (
        lambda: sample(GOOD, torch.tensor([-1]), 1, Draw(0)),
        InputError,
        "row\\[0\\] = -1",
    ),
    "float rows": (
        lambda: sample(GOOD, torch.tensor([0.0]), 1, Draw(0)),
        DtypeError,
        "row must be one of int64",
    ),
    "rows of two axes": (
        lambda: sample(GOOD, torch.tensor([[0]]), 1, Draw(0)),
        InputError,
        "row must have shape",
    ),
    "seed of 65 bits": (
        lambda: sample(GOOD, ROW, 1, Draw(2**64)),
        InputError,
        "more than 64 bits",
    ),
    "seed no int": (lambda: sample(GOOD, ROW, 1, Draw(HALF)), DtypeError, "seed"),
    "hop too large": (
        lambda: sample(GOOD, ROW, 1, Draw(0, hop=256)),
        InputError,
        "hop = 256",
    ),
    "until without times": (
        lambda: sample(GOOD, ROW, 1, Draw(0), until=ROW),
        InputError,
        "no times",
    ),
    "key of another length": (
        lambda: sample(GOOD, ROW, 1, Draw(0), key=torch.tensor([0, 1])),
        InputError,
        "key must have shape",
    ),
    "row elsewhere": (
        lambda: sample(GOOD, ROW.to("meta"), 1, Draw(0)),
        DeviceError,
        "row is on meta",
    ),
    "float nodes": (lambda: relabel(ROW, torch.tensor([0.0])), DtypeError, "found"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("weighted", [False, True])
def test_time_does_not_follow_the_number_of_neighbours(weighted: bool) -> None:
    degrees = 1_000, 4_000_000
    row, seconds = torch.zeros(2000, dtype=torch.int64), []
    for degree in degrees:
        hub = torch.stack([torch.arange(degree), torch.zeros(degree, dtype=torch.int64)])
        graph = Graph.from_edge_index(hub, (degree, 1), transpose=False)
        population = Population.of(graph, weight=torch.ones(degree) if weighted else None)
        runs = []
        for _ in range(5):
            start = time.perf_counter()
            assert sample_neighbors(population, row, 10, Draw(0)).edge.numel() == 20_000
            runs.append(time.perf_counter() - start)
        seconds.append(min(runs))
    assert seconds[1] < 50 * seconds[0]  # of 4000 times as many neighbours


def test_order_of_times() -> None:
    values = [-torch.inf, -1e300, -1.5, -5e-324, -0.0, 0.0, 5e-324, 1.0, 1.7e9, torch.inf]
    times = torch.tensor(values, dtype=torch.float64)
    numbers = ordered(times)
    assert torch.equal(numbers[:, None] < numbers, times[:, None] < times)
    assert torch.equal(numbers[:, None] == numbers, times[:, None] == times)
    whole = torch.tensor([-(2**63), 0, 2**63 - 1])
    assert torch.equal(ordered(whole), whole)
