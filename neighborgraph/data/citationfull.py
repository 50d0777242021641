"""DBLP, the full citation graph of Bojchevski and Guennemann (2018), from its ``.npz`` archive.

It has no published split. The protocol of the citation graphs is used: for every seed 20 random
training nodes a class, 500 for validation and 1,000 for the test.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from neighborgraph.data.dataset import NodeDataset
from neighborgraph.data.files import PublishedFile, build_or_refuse, locate, read_arrays
from neighborgraph.data.split import random_per_class
from neighborgraph.graph import Graph, to_undirected

FILE = PublishedFile(
    "https://raw.githubusercontent.com/abojchevski/graph2gauss/"
    "240248289d38c22ba28ea8e56b7d6873e291499b/data/dblp.npz",
    "3e179a9ebf2968d9ad67544c8978bf4759e489d8",
)
KINDS = {
    "adj_indices": "iu",
    "adj_indptr": "iu",
    "attr_data": "f",
    "attr_indices": "iu",
    "attr_indptr": "iu",
    "attr_shape": "iu",
    "labels": "iu",
}


def load_dblp(root: Path, download: bool) -> NodeDataset:
    """Read ``root``/DBLP/raw/dblp.npz.

    Several re-packed copies of this archive are in use, so its content is checked for consistency
    and by the archive's own checksums, not against one digest.

    Raises:
        DataFileError: The file is missing or damaged.
    """
    folders = ["DBLP", "dblp", "citationfull/dblp"]
    path = locate(root, folders, [FILE], download) / FILE.name
    arrays = read_arrays(path, KINDS)
    return build_or_refuse(path, partial(assemble, arrays))


def assemble(arrays: dict[str, np.ndarray]) -> NodeDataset:
    """Adjacency and attributes are stored as CSR; self-loops are dropped, as is usual for DBLP."""
    y = torch.from_numpy(arrays["labels"]).long()
    rows, columns = csr_coordinates("adj", arrays)
    edge_index = torch.stack([rows, columns])[:, rows != columns]
    nodes, width = (int(size) for size in arrays["attr_shape"])
    rows, columns = csr_coordinates("attr", arrays)
    x = torch.zeros(nodes, width)
    x[rows, columns] = torch.from_numpy(arrays["attr_data"]).float()
    return NodeDataset(
        name="dblp",
        graph=to_undirected(Graph.from_edge_index(edge_index, num_nodes=y.numel())),
        x=x,
        y=y,
        num_classes=int(y.max()) + 1,
        split_rule=random_per_class(y, train=20, val=500, test=1000),
        source="CitationFull DBLP (Bojchevski and Guennemann, 2018), random splits",
    )


def csr_coordinates(name: str, arrays: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of every entry of a stored CSR matrix."""
    pointer = torch.from_numpy(arrays[f"{name}_indptr"]).long()
    columns = torch.from_numpy(arrays[f"{name}_indices"]).long()
    counts = pointer.diff()
    if int(pointer[0]) != 0 or int(pointer[-1]) != columns.numel() or bool((counts < 0).any()):
        raise ValueError(f"{name}_indptr does not rise from 0 to {columns.numel()}")
    return torch.arange(counts.numel()).repeat_interleave(counts), columns
