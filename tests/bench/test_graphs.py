"""The timing graphs have the sizes and the tails that their names promise."""

import pytest
import torch

from neighborgraph.bench.graphs import MAX_DEGREE, SIZES, Shape, edges_like, graph_like
from neighborgraph.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("arxiv", Shape("arxiv", True)),
        ("arxiv-clustered", Shape("arxiv", True)),
        ("products-random", Shape("products", False)),
        ("power-law", Shape("power-law", True)),
        ("power-law-random", Shape("power-law", False)),
    ],
)
def test_names_parse(text: str, shape: Shape) -> None:
    assert Shape.parse(text) == shape
    assert Shape.parse(str(shape)) == shape


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown graph 'redit'; known are arxiv.*'reddit'\?"):
        Shape.parse("redit-random")


@pytest.mark.parametrize("name", ["cora-random", "cora-clustered", "power-law-random"])
def test_sizes(name: str) -> None:
    graph = graph_like(name)
    nodes, edges = SIZES[Shape.parse(name).name]
    assert graph.num_rows == graph.num_cols == nodes
    # Rounding, clamping and the removal of duplicates change the number of edges a little.
    assert 0.8 * edges < graph.num_edges < 1.2 * edges
    assert graph.degree.max() <= MAX_DEGREE


def test_edges_are_sorted_and_distinct() -> None:
    edge_index, nodes = edges_like(Shape("cora", True), "cpu")
    pair = edge_index[1] * nodes + edge_index[0]
    assert (pair.diff() > 0).all()


def test_same_seed_same_graph() -> None:
    one, two, other = (edges_like(Shape("cora", False), "cpu", seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_random_columns_have_hubs_and_clustered_ones_are_near() -> None:
    random, clustered = (graph_like(f"power-law-{kind}") for kind in ("random", "clustered"))
    mean = random.num_edges / random.num_cols
    assert random.col_degree.max() > 20 * mean
    nodes = clustered.num_rows
    source, receiver = clustered.edge_index
    distance = (source - receiver).abs()
    distance = torch.minimum(distance, nodes - distance)
    # Three standard deviations of max(64, 4 e / n).
    assert (distance < 3 * 64).double().mean() > 0.6
