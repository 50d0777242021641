"""The made-up graph: repeatable, and with more edges inside a block than between blocks."""

import torch

from neighborgraph.data.synthetic import block_graph, load_tiny, load_tiny_links


def test_tiny_is_the_same_every_time() -> None:
    assert load_tiny().digest == load_tiny().digest


def test_features_are_in_the_range_of_a_bag_of_words() -> None:
    x = load_tiny().x
    assert 0 <= x.min() < 0.1
    assert 0.9 < x.max() <= 1


def test_blocks_are_denser_inside() -> None:
    graph = block_graph(classes=3, nodes_per_class=50, features=3, inside=0.3, outside=0.02, seed=1)
    source, receiver = graph.graph.edge_index
    same = graph.y[source] == graph.y[receiver]
    # Expected: 3 * 50 * 49 * 0.3 = 2205 inside, 3 * 2 * 50 * 50 * 0.02 = 300 between.
    assert 1900 < int(same.sum()) < 2500
    assert 200 < int((~same).sum()) < 400
    assert not bool((source == receiver).any())
    assert torch.equal(graph.y.bincount(), torch.tensor([50, 50, 50]))


def test_tiny_links_are_those_of_the_tiny_graph() -> None:
    whole, links = load_tiny(), load_tiny_links()
    assert links.digest == load_tiny_links().digest
    assert 2 * (links.train.shape[1] + 120) == whole.graph.num_edges

    def pairs(edges: torch.Tensor) -> set[tuple[int, ...]]:
        return set(map(tuple, edges.t().tolist()))

    parts = [links.train, links.val.edges, links.test.edges]
    assert set().union(*map(pairs, parts)) <= pairs(whole.graph.edge_index)
    negatives = [links.val.negatives, links.test.negatives]
    assert not set().union(*map(pairs, negatives)) & pairs(whole.graph.edge_index)
    assert len(set().union(*map(pairs, parts + negatives))) == links.train.shape[1] + 520
