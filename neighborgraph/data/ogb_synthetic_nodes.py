"""The files of made-up ``ogbn-*`` data sets: nodes whose edges and features hint at classes."""

from pathlib import Path

import numpy as np

from neighborgraph.data.ogb_files import write_rows, write_table
from neighborgraph.data.ogb_format import NODE_FORMATS, PARTS, NodeFormat
from neighborgraph.data.ogb_graph import (
    SyntheticSettings,
    draw_edges,
    draw_features,
    draw_nodes,
)

NODE_VALUES = {
    "node_year": ((1998, 2018), (2018, 2019), (2019, 2021)),
    "node_species": ((1, 6), (6, 7), (7, 9)),
}
"""Half-open ranges of the years or species of the nodes that train, validate and test."""
OFTEN, SELDOM = 0.85, 0.05
"""How often a node has a label that its group has, or has not."""


def write_node_files(settings: SyntheticSettings, folder: Path) -> None:
    """Draw everything and write the files of one data set, but for its release note."""
    form, random = NODE_FORMATS[settings.name], np.random.default_rng(settings.seed)
    nodes = draw_nodes(random, settings)
    edges = draw_edges(random, nodes, settings.num_edges(form.edges), settings)
    part = draw_parts(random, settings.num_nodes, form)
    raw, split = folder / "raw", folder / "split" / form.split
    write_table(raw, settings.num_nodes, edges)
    if form.node_file is not None:
        first, end = np.array(NODE_VALUES[form.node_file]).T
        values = random.integers(first[part], end[part])
        write_rows(raw / f"{form.node_file}.csv.gz", [values[:, None]], "%d")
    if form.on_edges:
        labels = draw_label_sets(random, nodes.label, form.classes, settings)
        inside = nodes.label[edges[:, 0]] * (nodes.label[edges[:, 0]] == nodes.label[edges[:, 1]])
        write_rows(raw / "node-label.csv.gz", [labels], "%d")
        write_rows(raw / "edge-feat.csv.gz", draw_features(random, inside, settings), "%.4f")
    else:
        write_rows(raw / "node-label.csv.gz", [nodes.label[:, None]], "%d")
        write_rows(raw / "node-feat.csv.gz", draw_features(random, nodes.label, settings), "%.4f")
    for number, name in enumerate(PARTS):
        write_rows(split / f"{name}.csv.gz", [np.flatnonzero(part == number)[:, None]], "%d")


def draw_parts(random: np.random.Generator, count: int, form: NodeFormat) -> np.ndarray:
    """[n] 0, 1 or 2: the node trains, validates or tests; as many of each as in the real one."""
    bounds = np.cumsum(form.part_sizes)[:2] / form.nodes * count
    # At least one node in every part.
    bounds = np.maximum(bounds.round(), [1, 2])
    part = np.searchsorted(bounds, np.arange(count), side="right")
    return random.permutation(part)


def draw_label_sets(
    random: np.random.Generator, group: np.ndarray, labels: int, settings: SyntheticSettings
) -> np.ndarray:
    """[n, T] labels of 0 and 1, alike within a group."""
    has = random.random((settings.num_classes, labels)) < 0.25
    chance = np.where(has, OFTEN, SELDOM)[group]
    return (random.random(chance.shape) < chance).astype(np.int64)
