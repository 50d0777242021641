"""Graphs whose neighbours tend to differ in class, with ten published splits each.

From "A critical look at the evaluation of GNNs under heterophily" (Platonov et al., 2023).
``chameleon`` has the same node in training and test several times; ``chameleon_filtered`` is the
one without. ``minesweeper`` and ``tolokers`` are binary, and scored by ROC-AUC as in the paper.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from neighborgraph.data.dataset import BinaryDataset, NodeDataset, Split
from neighborgraph.data.files import (
    PublishedFile,
    build_or_refuse,
    locate,
    read_arrays,
    read_published,
)
from neighborgraph.data.split import cycle
from neighborgraph.graph import Graph, to_undirected

URL = (
    "https://raw.githubusercontent.com/yandex-research/heterophilous-graphs/"
    "a431395582e929d88271309716bea4fe24ce6318/data/{name}.npz"
)
HETEROPHILOUS = {
    "actor": "84327f6738c09166380b31319f9f5063ab1104e0",
    "chameleon": "d49331e592b7795ab1b6ba58e08859e8931da3b6",
    "chameleon_filtered": "90a5725f5f5b4f4a9a02ded8595f86e2969b82ee",
    "cornell": "f2c24d5a41fa234cec130eb270c8f7cda94fd851",
    "minesweeper": "cc2387032c65b92a5c520c473db1527cbb329d32",
    "texas": "6d6e861782bb4458ee95077b0ca62d265097cf08",
    "tolokers": "b8375a91a8f3c9e32c84fed7c151bbaf6ea6f0c7",
}
"""Name to digest of the published file."""
BINARY = ("minesweeper", "tolokers")
KINDS = {
    "node_features": "fiub",
    "node_labels": "iu",
    "edges": "iu",
    "train_masks": "b",
    "val_masks": "b",
    "test_masks": "b",
}


def load_heterophilous(name: str, root: Path, download: bool) -> NodeDataset:
    """Read one of ``HETEROPHILOUS`` from ``root``/<name>/raw/<name>.npz; seed s has split s % 10.

    Raises:
        DataFileError: The file is missing, damaged, or not the published one.
    """
    file = PublishedFile(URL.format(name=name), HETEROPHILOUS[name])
    folder = locate(root, [name, f"heterophilous/{name}"], [file], download)
    read_published(folder, file)
    arrays = read_arrays(folder / file.name, KINDS)
    return build_or_refuse(folder / file.name, partial(assemble, name, arrays))


def assemble(name: str, arrays: dict[str, np.ndarray]) -> NodeDataset:
    """Edges are stored once a pair, splits as masks."""
    y = torch.from_numpy(arrays["node_labels"]).long()
    edge_index = torch.from_numpy(arrays["edges"]).long().t()
    masks = zip(arrays["train_masks"], arrays["val_masks"], arrays["test_masks"], strict=True)
    splits = [Split(*(torch.from_numpy(mask.nonzero()[0]) for mask in split)) for split in masks]
    kind = BinaryDataset if name in BINARY else NodeDataset
    return kind(
        name=name,
        graph=to_undirected(Graph.from_edge_index(edge_index, num_nodes=y.numel())),
        x=torch.from_numpy(arrays["node_features"]).float(),
        y=y,
        num_classes=int(y.max()) + 1,
        split_rule=cycle(splits),
        source="heterophilous-graphs, ten published splits (Platonov et al., 2023)",
    )
