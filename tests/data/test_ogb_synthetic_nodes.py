"""Made-up data sets of nodes: sizes, classes, homophily and labels are those asked for."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from neighborgraph.data import SyntheticSettings, write_synthetic
from neighborgraph.data.ogb_format import NODE_FORMATS


def read(path: Path) -> np.ndarray:
    """The numbers of a file, by a reader that is not the project's."""
    return np.loadtxt(gzip.open(path, "rt"), delimiter=",", ndmin=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_synthetic(
        SyntheticSettings("ogbn-arxiv", 0.01, seed=3), tmp_path_factory.mktemp("ogb")
    )


def test_sizes(folder: Path) -> None:
    form = NODE_FORMATS["ogbn-arxiv"]
    nodes, edges = round(form.nodes / 100), round(form.edges / 100)
    assert folder.name == "ogbn_arxiv"
    assert read(folder / "raw" / "num-node-list.csv.gz").item() == nodes
    assert read(folder / "raw" / "num-edge-list.csv.gz").item() == edges
    assert read(folder / "raw" / "edge.csv.gz").shape == (edges, 2)
    assert read(folder / "raw" / "node-feat.csv.gz").shape == (nodes, form.features)
    labels = read(folder / "raw" / "node-label.csv.gz")
    assert set(labels.ravel()) == set(range(form.classes))
    parts = [
        read(folder / "split" / "time" / f"{part}.csv.gz").ravel()
        for part in ("train", "valid", "test")
    ]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(nodes))
    for ids, size in zip(parts, form.part_sizes, strict=True):
        assert len(ids) == pytest.approx(size / 100, abs=1.5)
    years = read(folder / "raw" / "node_year.csv.gz").ravel()
    assert years[parts[0].astype(int)].max() < 2018 == years[parts[1].astype(int)].min()
    assert years[parts[2].astype(int)].min() == 2019


def test_pairs_are_different_and_homophily_is_exact(folder: Path) -> None:
    edges = read(folder / "raw" / "edge.csv.gz").astype(int)
    assert (edges[:, 0] != edges[:, 1]).all()
    assert len(np.unique(np.sort(edges, axis=1), axis=0)) == len(edges)
    labels = read(folder / "raw" / "node-label.csv.gz").ravel()
    inside = labels[edges[:, 0]] == labels[edges[:, 1]]
    assert inside.sum() == round(0.65 * len(edges))
    # Neither end of an edge is always the smaller id.
    assert 0.4 < (edges[:, 0] < edges[:, 1]).mean() < 0.6


def test_classes_and_homophily_as_asked(tmp_path: Path) -> None:
    made = write_synthetic(
        SyntheticSettings("ogbn-products", 2e-4, homophily=0.25, classes=3), tmp_path
    )
    labels = read(made / "raw" / "node-label.csv.gz").ravel()
    edges = read(made / "raw" / "edge.csv.gz").astype(int)
    assert set(labels) == {0, 1, 2}
    assert (labels[edges[:, 0]] == labels[edges[:, 1]]).mean() == pytest.approx(0.25, abs=1e-3)


def test_a_smaller_exponent_has_a_longer_tail(tmp_path: Path) -> None:
    most = []
    for tail in (2.2, 6.0):
        settings = SyntheticSettings("ogbn-arxiv", 0.01, tail=tail)
        edges = read(write_synthetic(settings, tmp_path / str(tail)) / "raw" / "edge.csv.gz")
        most.append(np.bincount(edges.astype(int).ravel()).max())
    assert most[0] > 4 * most[1]


def test_several_labels_and_features_on_edges(tmp_path: Path) -> None:
    form = NODE_FORMATS["ogbn-proteins"]
    raw = write_synthetic(SyntheticSettings("ogbn-proteins", 0.002), tmp_path) / "raw"
    nodes = round(form.nodes * 0.002)
    edges = nodes**2 // 16  # a graph so small has not as many as the scale asks for
    assert read(raw / "edge.csv.gz").shape == (edges, 2)
    assert read(raw / "edge-feat.csv.gz").shape == (edges, 8)
    labels = read(raw / "node-label.csv.gz")
    assert labels.shape == (nodes, 112)
    assert set(labels.ravel()) == {0, 1}
    assert 0.1 < labels.mean() < 0.5
    assert set(read(raw / "node_species.csv.gz").ravel()) == set(range(1, 9))
    assert not (raw / "node-feat.csv.gz").exists()
