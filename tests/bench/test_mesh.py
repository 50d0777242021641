"""The icosahedral mesh: its counts, and that it is one closed surface."""

import pytest
import torch

from neighborgraph.bench.mesh import ICOSAHEDRON, LEVEL, icosahedral_edges


@pytest.mark.parametrize("level", [0, 1, 2, 3, LEVEL])
def test_counts(level: int) -> None:
    edges, num_nodes = icosahedral_edges(level, "cpu")
    assert num_nodes == 10 * 4**level + 2
    assert edges.shape == (2, 20 * (4 ** (level + 1) - 1))
    assert edges.unique().tolist() == list(range(num_nodes))


def test_the_published_mesh() -> None:
    edges, num_nodes = icosahedral_edges(LEVEL, "cpu")
    assert (num_nodes, edges.shape[1]) == (40_962, 327_660)


def test_every_corner_of_the_icosahedron_has_five_triangles() -> None:
    assert torch.tensor(ICOSAHEDRON).flatten().bincount().tolist() == [5] * 12


def test_edges_go_both_ways_and_once() -> None:
    source, receiver = icosahedral_edges(3, "cpu")[0]
    forth, back = source * 1000 + receiver, receiver * 1000 + source
    assert forth.unique().numel() == forth.numel()
    assert torch.equal(forth.sort().values, back.sort().values)
    assert (source != receiver).all()


def test_a_corner_gains_neighbours_at_every_level_and_a_last_node_has_six() -> None:
    _, receiver = icosahedral_edges(3, "cpu")[0]
    degree = receiver.bincount()
    assert degree[:12].tolist() == [5 * 4] * 12
    assert set(degree[10 * 4**2 + 2 :].tolist()) == {6}
