"""What is prepared for sampling: zero weights left out, times in order, sums exact."""

from typing import Any

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.ops.sample import Population
from neighborgraph.testing import from_pairs, random_graph

GRAPH = from_pairs([(0, 1), (2, 1), (1, 0), (3, 1), (0, 0)], 4, 3)  # edges 2, 4 | 0, 1, 3 | none


def test_a_graph_as_it_is(device: str) -> None:
    population: Any = Population.of(GRAPH.to(device))
    assert population.ptr.tolist() == [0, 2, 5, 5]
    assert population.edge_id.tolist() == [2, 4, 0, 1, 3]
    assert population.idx.tolist() == [1, 0, 0, 2, 3]
    assert (population.num_rows, population.num_nodes) == (3, 4)
    assert population.row.tolist() == [0, 0, 1, 1, 1]


def test_zero_weights_are_left_out(device: str) -> None:
    weight = torch.tensor([0.5, 0.0, 0.0, 1.0, 3.0], device=device)
    population: Any = Population.of(GRAPH.to(device), weight=weight)
    assert population.ptr.tolist() == [0, 1, 3, 3]
    assert population.edge_id.tolist() == [4, 0, 3]
    full = 2**52
    assert population.cumulative.tolist() == [0, full, full + full // 2, 2 * full + full // 2]


def test_rows_are_sorted_by_time(device: str) -> None:
    time = torch.tensor([7, -3, 5, 7, 2], device=device)
    population: Any = Population.of(GRAPH.to(device), time=time)
    assert population.edge_id.tolist() == [4, 2, 1, 0, 3]
    assert population.time.tolist() == [2, 5, -3, 7, 7]


def test_sums_fit_and_are_the_same_for_every_float_type(device: str) -> None:
    graph = random_graph(0, 5, 50, 4000).to(device)
    weight = torch.rand(4000, dtype=torch.float16, device=device) + 2**-10
    sums: Any = [
        Population.of(graph, weight=weight.to(t)).cumulative for t in (torch.float16, torch.float64)
    ]
    assert torch.equal(*sums)
    rows = Population.of(graph, weight=weight).ptr
    totals = (sums[0][rows[1:]] - sums[0][rows[:-1]])[graph.degree > 0]
    assert (totals > 2**52).all()
    assert (totals < 2**62).all()


def test_subnormal_weights_count_for_something(device: str) -> None:
    weight = torch.tensor([5e-324, 1e308, 1.0, 1.0, 1.0], dtype=torch.float64, device=device)
    population: Any = Population.of(GRAPH.to(device), weight=weight)
    assert population.cumulative.diff()[2] == 1


REFUSED = {
    "negative weight": ({"weight": torch.tensor([1.0, 1, -1, 1, 1])}, InputError, r"weight\[2\]"),
    "NaN weight": ({"weight": torch.tensor([1.0, torch.nan, 1, 1, 1])}, InputError, r"weight\[1\]"),
    "infinite weight": ({"weight": torch.tensor([torch.inf, 1, 1, 1, 1])}, InputError, "finite"),
    "too few weights": ({"weight": torch.ones(4)}, InputError, r"shape \[5\]"),
    "whole weights": ({"weight": torch.ones(5, dtype=torch.int64)}, DtypeError, "weight"),
    "NaN time": (
        {"time": torch.tensor([0, 0, 0, torch.nan, 0], dtype=torch.float64)},
        InputError,
        r"time\[3\] is NaN",
    ),
    "float32 time": ({"time": torch.zeros(5)}, DtypeError, "int64, float64"),
    "too many times": ({"time": torch.zeros(6, dtype=torch.int64)}, InputError, r"shape \[5\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    options, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        Population.of(GRAPH, **options)
