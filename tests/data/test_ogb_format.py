"""The published sizes add up, and every file of a folder is known."""

import gzip
from pathlib import Path

import pytest

from neighborgraph.data.ogb_format import (
    LINK_FORMATS,
    NODE_FORMATS,
    OGB_FORMATS,
    RELEASE,
    folder_name,
    missing_files,
)


@pytest.mark.parametrize("name", OGB_FORMATS)
def test_names_and_archives(name: str) -> None:
    assert OGB_FORMATS[name].archive.startswith("https://")
    assert folder_name(name) == name.replace("-", "_")


@pytest.mark.parametrize("name", NODE_FORMATS)
def test_parts_cover_all_nodes(name: str) -> None:
    form = NODE_FORMATS[name]
    assert sum(form.part_sizes) == form.nodes


@pytest.mark.parametrize(
    ("name", "edges", "metric"),
    [
        ("ogbl-ddi", 1_334_889, 20),
        ("ogbl-collab", 1_285_465, 50),
        ("ogbl-citation2", 30_561_187, None),
    ],
)
def test_parts_cover_all_links(name: str, edges: int, metric: int | None) -> None:
    form = LINK_FORMATS[name]
    assert sum(form.part_sizes) == edges
    assert form.part_sizes[0] == form.edges
    assert form.hits == metric
    assert form.own_negatives == (metric is None)


def test_files_of_links() -> None:
    split = tuple(f"split/time/{part}.pt" for part in ("train", "valid", "test"))
    assert LINK_FORMATS["ogbl-collab"].files == (
        "RELEASE_v1.txt",
        "raw/edge.csv.gz",
        "raw/num-node-list.csv.gz",
        "raw/num-edge-list.csv.gz",
        "raw/node-feat.csv.gz",
        "raw/edge_weight.csv.gz",
        "raw/edge_year.csv.gz",
        *split,
    )
    assert LINK_FORMATS["ogbl-citation2"].files[4:] == (
        "raw/node-feat.csv.gz",
        "raw/node_year.csv.gz",
        *split,
    )
    assert "raw/node-feat.csv.gz" not in LINK_FORMATS["ogbl-ddi"].files


def test_files() -> None:
    assert NODE_FORMATS["ogbn-arxiv"].files == (
        "RELEASE_v1.txt",
        "raw/edge.csv.gz",
        "raw/num-node-list.csv.gz",
        "raw/num-edge-list.csv.gz",
        "raw/node-feat.csv.gz",
        "raw/node-label.csv.gz",
        "raw/node_year.csv.gz",
        "split/time/train.csv.gz",
        "split/time/valid.csv.gz",
        "split/time/test.csv.gz",
    )


def plant(folder: Path) -> None:
    """A complete folder of files that hold a number."""
    for name in NODE_FORMATS["ogbn-arxiv"].files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == RELEASE else gzip.compress(b"12\n"))


def test_missing_and_empty_files(tmp_path: Path) -> None:
    form = NODE_FORMATS["ogbn-arxiv"]
    plant(tmp_path)
    assert list(missing_files(tmp_path, form)) == []  # the release note may be empty
    (tmp_path / RELEASE).unlink()
    (tmp_path / "raw" / "edge.csv.gz").write_bytes(b"")
    assert list(missing_files(tmp_path, form)) == [RELEASE, "raw/edge.csv.gz"]


def test_a_file_may_have_its_older_name(tmp_path: Path) -> None:
    form = NODE_FORMATS["ogbn-proteins"]
    assert "raw/edge-feat.csv.gz" in form.files
    for name in form.files:
        path = tmp_path / name.replace("node_species", "species")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert list(missing_files(tmp_path, form)) == []
