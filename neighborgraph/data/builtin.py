"""A real data set that needs no file and no network: scikit-learn's handwritten digits."""

import torch

from neighborgraph.data.dataset import NodeDataset
from neighborgraph.data.split import random_per_class
from neighborgraph.graph import Graph, to_undirected

NUM_NEIGHBORS = 8
"""Edges to the most similar images, before the graph is made symmetric."""


def load_digits() -> NodeDataset:
    """1,797 images of 8 x 8 pixels in 10 classes, each joined to its 8 nearest by pixel distance.

    Features are the pixels, scaled to [0, 1]. For every seed 20 random images a class train, 30
    a class validate, and the rest is the test.
    """
    # Imported here: scikit-learn takes a second, and only this data set needs it.
    from sklearn.datasets import load_digits as load_images
    from sklearn.neighbors import kneighbors_graph

    pixels, digit = load_images(return_X_y=True)
    pixels = pixels / 16.0
    neighbors = kneighbors_graph(pixels, NUM_NEIGHBORS).tocoo()
    edge_index = torch.stack([torch.from_numpy(neighbors.col), torch.from_numpy(neighbors.row)])
    y = torch.from_numpy(digit).long()
    return NodeDataset(
        name="digits",
        graph=to_undirected(Graph.from_edge_index(edge_index, num_nodes=y.numel())),
        x=torch.from_numpy(pixels).float(),
        y=y,
        num_classes=10,
        split_rule=random_per_class(y, train=20, val=30, val_per_class=True),
        source="scikit-learn handwritten digits, 8-nearest-neighbour graph, random splits",
    )
