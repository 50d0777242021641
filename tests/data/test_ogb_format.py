"""The published sizes add up, and a made-up folder cannot lose its label by one file."""

import gzip
from pathlib import Path

import pytest

from neighborgraph.data.ogb_format import (
    NODE_FORMATS,
    RELEASE,
    folder_name,
    is_synthetic,
    kept_name,
    missing_files,
    read_count,
)


@pytest.mark.parametrize("name", NODE_FORMATS)
def test_parts_cover_all_nodes(name: str) -> None:
    form = NODE_FORMATS[name]
    assert sum(form.part_sizes) == form.nodes
    assert form.archive.startswith("https://")
    assert folder_name(name) == name.replace("-", "_")


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


def plant(folder: Path, name_inside: str = "") -> None:
    """A complete folder of files that hold a number."""
    for name in NODE_FORMATS["ogbn-arxiv"].files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            if name != RELEASE:
                with gzip.GzipFile(name_inside, "wb", fileobj=file) as out:
                    out.write(b"12\n")


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


def test_any_label_is_enough(tmp_path: Path) -> None:
    plant(tmp_path, "edge.csv")
    assert not is_synthetic(tmp_path)
    (tmp_path / RELEASE).write_text("SYNTHETIC: made up")
    assert is_synthetic(tmp_path)
    plant(tmp_path, "SYNTHETIC-edge.csv")
    assert (tmp_path / RELEASE).read_bytes() == b""
    assert is_synthetic(tmp_path)


def test_name_inside_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "edge.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n"))
    assert kept_name(path) == ""
    path.write_bytes(b"1,2\n")
    assert kept_name(path) == ""


def test_count(tmp_path: Path) -> None:
    path = tmp_path / "num-node-list.csv.gz"
    path.write_bytes(gzip.compress(b"169343\n"))
    assert read_count(path) == 169_343
    for content, message in (
        (gzip.compress(b"169343\n")[:-9], "truncated or damaged"),
        (b"169343\n", "truncated or damaged"),
        (gzip.compress(b"many\n"), "invalid literal"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_count(path)
