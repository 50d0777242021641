"""A made-up folder cannot lose its label by one file; what is written can be read."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data.ogb_files import (
    LABEL,
    as_text,
    is_synthetic,
    kept_name,
    read_count,
    write_rows,
    write_split,
    write_table,
)
from neighborgraph.data.ogb_format import LINK_FORMATS, NODE_FORMATS, RELEASE


def plant(folder: Path, name_inside: str = "") -> None:
    """A complete folder of files that hold a number."""
    for name in NODE_FORMATS["ogbn-arxiv"].files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            if name != RELEASE:
                with gzip.GzipFile(name_inside, "wb", fileobj=file) as out:
                    out.write(b"12\n")


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


def test_text() -> None:
    assert as_text(np.array([[0.25, -1.0], [3.0, 0.00004]]), "%.4f") == (
        b"0.2500,-1.0000\n3.0000,0.0000\n"
    )
    assert as_text(np.array([[7], [10]]), "%d") == b"7\n10\n"


def test_rows_and_tables(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv.gz", iter([np.array([[1]]), np.array([[2], [3]])]), "%d")
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"1\n2\n3\n"
    write_table(tmp_path, 9, np.array([[0, 1], [1, 2]]))
    assert gzip.decompress((tmp_path / "edge.csv.gz").read_bytes()) == b"0,1\n1,2\n"
    assert read_count(tmp_path / "num-node-list.csv.gz") == 9
    assert read_count(tmp_path / "num-edge-list.csv.gz") == 2
    assert all(kept_name(path).startswith(LABEL) for path in tmp_path.iterdir())


def test_splits_keep_arrays_and_the_label(tmp_path: Path) -> None:
    content = {"edge": np.array([[0, 1], [5, 2]]), "edge_neg": np.array([[3, 4]])}
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_split(tmp_path / folder / "valid.pt", content)
    path = tmp_path / "a" / "valid.pt"
    assert [each.name for each in path.parent.iterdir()] == ["valid.pt"]
    assert kept_name(path).startswith("SYNTHETIC-valid/")
    assert path.read_bytes() == (tmp_path / "b" / "valid.pt").read_bytes()
    # Written and read by the test itself, so nothing unknown is unpickled.
    back = torch.load(path, weights_only=False)
    assert back.keys() == content.keys()
    assert all(np.array_equal(back[name], content[name]) for name in content)
    torch.save(content, path)
    assert kept_name(path).startswith("valid/")


def test_a_labelled_split_is_enough(tmp_path: Path) -> None:
    for name in LINK_FORMATS["ogbl-ddi"].files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert not is_synthetic(tmp_path)
    write_split(tmp_path / "split" / "target" / "test.pt", {"edge": np.zeros((1, 2), int)})
    assert is_synthetic(tmp_path)
