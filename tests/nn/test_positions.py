"""Positions: inner products of walks, but for chance."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.nn import propagate, random_projection


@pytest.fixture
def graph() -> Graph:
    return add_self_loops(to_undirected(Graph.from_edge_index(torch.randint(30, (2, 60)), 30)))


def test_positions_keep_the_inner_products_of_walks(graph: Graph) -> None:
    dense = propagate(graph, torch.eye(30, dtype=torch.float64))
    walks = torch.nn.functional.normalize(dense @ dense + dense @ dense @ dense, dim=1)
    position = random_projection(graph, 20_000, coefficients=(0.0, 0.0, 1.0, 1.0))
    torch.testing.assert_close(position.norm(dim=1), torch.ones(30))
    error = (position.double() @ position.double().t() - walks @ walks.t()).abs().max()
    assert error < 0.05  # about five standard deviations of chance
    again = random_projection(graph, 20_000, coefficients=(0.0, 0.0, 1.0, 1.0))
    assert torch.equal(position, again)
    assert not torch.equal(position, random_projection(graph, 20_000, seed=1))


def test_a_node_that_no_walk_reaches_has_no_position() -> None:
    alone = Graph.from_edge_index(torch.tensor([[0], [1]]), 3)
    assert random_projection(alone, 4, coefficients=(0.0, 1.0))[[0, 2]].tolist() == [[0.0] * 4] * 2


def test_refusals(graph: Graph) -> None:
    with pytest.raises(InputError, match="channels=0 must be at least 1"):
        random_projection(graph, 0)
    with pytest.raises(InputError, match="coefficients is empty"):
        random_projection(graph, 3, coefficients=())
