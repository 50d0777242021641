"""Made-up graphs for tests and ``--tiny``, labelled as such."""

import torch

from neighborgraph.data.dataset import NodeDataset
from neighborgraph.data.link_dataset import LinkDataset, SharedNegatives
from neighborgraph.data.split import random_per_class
from neighborgraph.graph import Graph, to_undirected


def block_graph(
    *, classes: int, nodes_per_class: int, features: int, inside: float, outside: float, seed: int
) -> NodeDataset:
    """A stochastic block model whose features, in [0, 1], hint at the class.

    Args:
        classes: C, the number of blocks.
        nodes_per_class: Nodes a block.
        features: F, at least C.
        inside: Probability of an edge within a block.
        outside: Probability of an edge between blocks.
        seed: Of the generator.
    """
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat_interleave(nodes_per_class)
    probability = torch.where(y[:, None] == y, inside, outside)
    edges = torch.rand(probability.shape, generator=random) < probability
    x = torch.rand(y.numel(), features, generator=random)
    x[torch.arange(y.numel()), y] += 0.5
    x /= 1.5
    return NodeDataset(
        name="tiny",
        graph=to_undirected(Graph.from_edge_index(edges.triu(1).nonzero().t(), y.numel())),
        x=x,
        y=y,
        num_classes=classes,
        split_rule=random_per_class(y, train=5, val=5, val_per_class=True),
        source="synthetic stochastic block model",
    )


def load_tiny() -> NodeDataset:
    """120 nodes in four blocks: trains in a second, proves that the parts fit together."""
    return block_graph(classes=4, nodes_per_class=30, features=16, inside=0.2, outside=0.01, seed=0)


def load_tiny_links() -> LinkDataset:
    """The graph of `load_tiny` with a fifth of its links held out; features hint at the blocks."""
    whole = load_tiny()
    random = torch.Generator().manual_seed(1)
    edges = whole.graph.edge_index
    edges = edges[:, edges[0] < edges[1]]
    edges = edges[:, torch.randperm(edges.shape[1], generator=random)]
    val, test, train = edges.split([60, 60, edges.shape[1] - 120], dim=1)
    nodes = whole.graph.num_rows
    apart = torch.ones(nodes, nodes, dtype=torch.bool).triu(1)
    apart[edges[0], edges[1]] = False
    negatives = apart.nonzero().t()
    negatives = negatives[:, torch.randperm(negatives.shape[1], generator=random)[:400]]
    return LinkDataset(
        name="tiny-links",
        graph=to_undirected(Graph.from_edge_index(train, nodes)),
        x=whole.x,
        train=train,
        val=SharedNegatives(val, negatives[:, :200], 20),
        test=SharedNegatives(test, negatives[:, 200:], 20),
        source=whole.source,
    )
