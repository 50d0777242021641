"""Made-up data sets of links: sizes, repeats, parts and negatives are those of the real ones."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data.ogb_format import LINK_FORMATS
from neighborgraph.data.ogb_graph import SyntheticSettings
from neighborgraph.data.ogb_synthetic import write_synthetic
from neighborgraph.data.ogb_synthetic_links import (
    Pairs,
    draw_apart,
    draw_targets,
    hold_out_of_sources,
    with_repeats,
)
from neighborgraph.errors import ConfigError

SCALES = {"ogbl-ddi": 0.05, "ogbl-collab": 0.01, "ogbl-citation2": 0.001}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("ogbl")
    for name, scale in SCALES.items():
        write_synthetic(SyntheticSettings(name, scale, seed=1), root)
    return root


def read(root: Path, name: str, file: str) -> np.ndarray:
    """The numbers of a file, by a reader that is not the project's."""
    path = root / name.replace("-", "_") / "raw" / f"{file}.csv.gz"
    return np.loadtxt(gzip.open(path, "rt"), delimiter=",", ndmin=2)


def read_part(root: Path, name: str, part: str) -> dict[str, np.ndarray]:
    path = root / name.replace("-", "_") / "split" / LINK_FORMATS[name].split / f"{part}.pt"
    return torch.load(path, weights_only=False)  # written by this test


def edges_of(part: dict[str, np.ndarray]) -> np.ndarray:
    if "edge" in part:
        return part["edge"]
    return np.stack([part["source_node"], part["target_node"]], axis=1)


def keys(edges: np.ndarray) -> set[tuple[int, int]]:
    return {(min(pair), max(pair)) for pair in edges.astype(int).tolist()}


@pytest.mark.parametrize("name", SCALES)
def test_sizes(root: Path, name: str) -> None:
    form, scale = LINK_FORMATS[name], SCALES[name]
    nodes = round(scale * form.nodes)
    assert read(root, name, "num-node-list").item() == nodes
    parts = [read_part(root, name, part) for part in ("train", "valid", "test")]
    train, val, test = map(edges_of, parts)
    assert np.array_equal(read(root, name, "edge"), train)
    assert read(root, name, "num-edge-list").item() == len(train)
    # A small ddi has not as many as its scale asks for.
    room = form.most_pairs * nodes**2 / 2 / sum(form.part_sizes)
    for edges, size in zip((train, val, test), form.part_sizes, strict=True):
        assert edges.dtype == np.int64
        assert len(edges) == pytest.approx(min(scale, room) * size, rel=0.02, abs=2)
    for part, number in zip(parts[1:], form.negatives, strict=True):
        if form.own_negatives:
            assert part["target_node_neg"].shape == (len(edges_of(part)), number)
        else:
            assert part["edge_neg"].shape == (round(scale * number), 2)
    # Held-out pairs are no training pairs.
    assert not keys(train) & keys(val)
    assert not keys(train) & keys(test)
    assert not keys(val) & keys(test)
    if form.features:
        assert read(root, name, "node-feat").shape == (nodes, form.features)


@pytest.mark.parametrize("name", SCALES)
def test_no_negative_is_an_edge(root: Path, name: str) -> None:
    parts = [read_part(root, name, part) for part in ("train", "valid", "test")]
    joined = set().union(*(keys(edges_of(part)) for part in parts))
    for part in parts[1:]:
        if "edge_neg" in part:
            negatives = part["edge_neg"]
            assert len(keys(negatives)) == len(negatives)
        else:
            source = np.repeat(part["source_node"], part["target_node_neg"].shape[1])
            negatives = np.stack([source, part["target_node_neg"].ravel()], axis=1)
        assert (negatives[:, 0] != negatives[:, 1]).all()
        assert not keys(negatives) & joined


def test_collab_has_repeated_pairs_weights_and_years(root: Path) -> None:
    train = read_part(root, "ogbl-collab", "train")
    assert train.keys() == {"edge", "weight", "year"}
    repeated = 1 - len(keys(train["edge"])) / len(train["edge"])
    assert repeated == pytest.approx(0.18, abs=0.01)
    assert np.array_equal(read(root, "ogbl-collab", "edge_weight").ravel(), train["weight"])
    assert np.array_equal(read(root, "ogbl-collab", "edge_year").ravel(), train["year"])
    assert train["weight"].min() == 1
    years = [read_part(root, "ogbl-collab", part)["year"] for part in ("train", "valid", "test")]
    assert years[0].max() == 2017
    assert set(years[1]) == {2018}
    assert set(years[2]) == {2019}


def test_citation_holds_out_two_edges_of_a_source(root: Path) -> None:
    val, test = (read_part(root, "ogbl-citation2", part) for part in ("valid", "test"))
    assert val.keys() == {"source_node", "target_node", "target_node_neg"}
    assert np.array_equal(val["source_node"], test["source_node"])
    assert len(np.unique(val["source_node"])) == len(val["source_node"])
    years = read(root, "ogbl-citation2", "node_year").ravel()
    assert set(years[val["source_node"]]) == {2019}


def test_held_out_sources_keep_an_edge() -> None:
    edges = np.array([[0, 1], [2, 1], [0, 2], [0, 3], [2, 3], [0, 4]])
    parts = hold_out_of_sources(np.random.default_rng(0), edges, LINK_FORMATS["ogbl-citation2"])
    assert [part.tolist() for part in parts] == [
        [[2, 1], [0, 3], [2, 3], [0, 4]],
        [[0, 1]],
        [[0, 2]],
    ]


def test_repeats() -> None:
    edges = np.array([[0, 1], [2, 3], [4, 5]])
    more = with_repeats(np.random.default_rng(0), edges, 0.5)
    assert len(more) == 6
    assert {tuple(edge) for edge in more.tolist()} == {(0, 1), (2, 3), (4, 5)}
    assert len(with_repeats(np.random.default_rng(0), edges, 0.0)) == 3


def test_pairs() -> None:
    joined = Pairs.of(4, np.array([[0, 1], [3, 2]]))
    a, b = np.array([0, 1, 2, 3, 1, 0, 3]), np.array([1, 0, 3, 2, 2, 0, 0])
    assert joined.have(a, b).tolist() == [True, True, True, True, False, True, False]


def test_every_pair_that_is_apart_can_be_drawn() -> None:
    joined = Pairs.of(4, np.array([[0, 1], [3, 2]]))
    random, settings = np.random.default_rng(0), SyntheticSettings("ogbl-ddi", 0.1)
    assert keys(draw_apart(random, joined, 4, settings)) == {(0, 2), (0, 3), (1, 2), (1, 3)}
    targets = draw_targets(random, joined, np.array([0, 2]), 50)
    assert [set(row) for row in targets.tolist()] == [{2, 3}, {0, 1}]
    with pytest.raises(ConfigError, match="too few nodes for 5 pairs without an edge"):
        draw_apart(random, joined, 5, settings)


def test_ddi_at_full_size_has_the_real_ones_numbers(tmp_path: Path) -> None:
    name, form = "ogbl-ddi", LINK_FORMATS["ogbl-ddi"]
    write_synthetic(SyntheticSettings(name, 1.0), tmp_path)
    train, val, test = (read_part(tmp_path, name, part) for part in ("train", "valid", "test"))
    assert tuple(len(part["edge"]) for part in (train, val, test)) == form.part_sizes
    assert (len(val["edge_neg"]), len(test["edge_neg"])) == form.negatives
    degree = np.bincount(train["edge"].ravel())
    assert len(degree) == form.nodes
    assert 1500 < degree.max() < 2400
