"""The timing graphs have the sizes and the tails that their names promise."""

import pytest
import torch

from neighborgraph.bench import graphs
from neighborgraph.bench.graphs import GRAPHS, MAX_DEGREE, SIZES, full_name, graph_like
from neighborgraph.errors import ConfigError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("arxiv", "arxiv-clustered"),
        ("products-random", "products-random"),
        ("power-law", "power-law-clustered"),
        ("mesh", "mesh"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert full_name(text) == name
    assert full_name(name) == name


@pytest.mark.parametrize(
    ("text", "meant"), [("redit-random", "reddit-random"), ("skew", "skewed"), ("arxv", "arxiv")]
)
def test_unknown_name(text: str, meant: str) -> None:
    known = "known are arxiv, .*, cora, each with one of -clustered, .*, and minibatch, .*, gowalla"
    with pytest.raises(ConfigError, match=rf"unknown graph '{text}'; {known}; .*'{meant}'\?"):
        full_name(text)


@pytest.mark.parametrize("name", ["cora-random", "cora-clustered", "power-law-random"])
def test_sizes(name: str) -> None:
    graph = graph_like(name)
    nodes, edges = SIZES[name.rpartition("-")[0]]
    assert graph.num_rows == graph.num_cols == nodes
    # Rounding, clamping and the removal of duplicates change the number of edges a little.
    assert 0.8 * edges < graph.num_edges < 1.2 * edges
    assert graph.degree.max() <= MAX_DEGREE


@pytest.mark.parametrize("name", ["cora-clustered", "mesh", "gowalla"])
def test_edges_are_sorted_and_distinct(name: str) -> None:
    (source, receiver), (num_sources, _) = GRAPHS[name](generator())
    assert ((receiver * num_sources + source).diff() > 0).all()


def test_same_seed_same_graph() -> None:
    one, two, other = (GRAPHS["cora-random"](generator(seed))[0] for seed in (1, 1, 2))
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


def test_shuffled_and_reordered_are_the_clustered_graph() -> None:
    degrees = [
        torch.stack([graph.degree, graph.col_degree], 1).tolist()
        for graph in (graph_like(f"cora-{kind}") for kind in ("clustered", "shuffled", "reordered"))
    ]
    assert degrees[0] != degrees[1] != degrees[2]
    assert sorted(degrees[0]) == sorted(degrees[1]) == sorted(degrees[2])


def test_uniform_degrees_are_equal() -> None:
    (source, receiver), sizes = graphs.uniform(30, 100, generator())
    assert sizes == (30, 30)
    for ends in (source, receiver):
        assert set(ends.bincount(minlength=30).tolist()) == {3, 4}
    assert (receiver.diff() >= 0).all()
    assert not torch.equal(source, source.sort().values)


def test_skewed_has_one_long_row_and_one_long_column() -> None:
    (source, receiver), _ = graphs.skewed(40, 100 + 2 * 60, 60, generator())
    for ends in (source, receiver):
        degree = ends.bincount(minlength=40)
        assert degree.sum() == 220
        assert degree.argmax() == 20 and degree[20] >= 60
        others = torch.cat([degree[:20], degree[21:]])
        assert others.max() <= 3 + 2
    assert (receiver.diff() >= 0).all()


def test_skewed_and_uniform_are_as_large() -> None:
    skewed, uniform = (GRAPHS[name] for name in ("skewed", "uniform"))
    edges = graphs.SKEWED_SIZE[1]
    assert edges == 2_315_598 + 2_000_000
    (of_skewed, size), (of_uniform, other) = skewed(generator()), uniform(generator())
    assert of_skewed.shape == of_uniform.shape == (2, edges)
    assert size == other == (169_343, 169_343)
    assert of_skewed[0].bincount().max() >= 1_000_000 <= of_skewed[1].bincount().max()


def test_gowalla() -> None:
    graph = graph_like("gowalla")
    assert (graph.num_cols, graph.num_rows, graph.num_edges) == (40_981, 29_858, 810_128)
    for degree in (graph.degree, graph.col_degree):
        assert degree.max() > 20 * degree.double().mean()


def test_minibatch_has_seeds_first_and_grows_by_hops() -> None:
    (source, receiver), (nodes, rows) = GRAPHS["minibatch"](generator())
    assert nodes == rows == source.max() + 1
    assert 180_000 < source.numel() < 220_000
    assert (receiver.diff() >= 0).all()
    degree = receiver.bincount()
    assert (degree[: graphs.SEEDS] >= 1).all() and degree.max() == graphs.FANOUT[0]
    # A node has its number from the hop that reaches it first.
    hop = torch.full((nodes,), -1)
    hop[: graphs.SEEDS] = 0
    for number in range(1, 4):
        reached = source[hop[receiver] == number - 1]
        hop[reached[hop[reached] < 0]] = number
    assert (hop.diff() >= 0).all()
    assert hop[-1] == 3
