"""Cora and CiteSeer against PyG's own reader; hostile pickles against the unpickler."""

import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from neighborgraph.data.planetoid import DIGESTS, FOLDERS, load_planetoid, unpickle
from neighborgraph.errors import DataFileError
from neighborgraph.paths import data_root

PATH = Path("ind.cora.x")


def raw_folder(name: str) -> Path:
    places = [data_root() / parent / FOLDERS[name] / "raw" for parent in ("", "planetoid")]
    found = [place for place in places if place.is_dir()]
    if not found:
        pytest.skip(f"{name} is not in {data_root()}; set NEIGHBORGRAPH_DATA to its folder")
    return found[0]


@pytest.mark.parametrize("name", ["cora", "citeseer", "pubmed"])
def test_equals_pyg(real, name: str, tmp_path: Path) -> None:
    from torch_geometric.datasets import Planetoid

    ours = real(name)
    folder = FOLDERS[name]
    shutil.copytree(raw_folder(name), tmp_path / folder / "raw")
    theirs: Any = Planetoid(str(tmp_path), folder)[0]
    assert torch.equal(ours.x, theirs.x)
    assert torch.equal(ours.y, theirs.y)
    edges = {tuple(edge) for edge in ours.graph.edge_index.t().tolist()}
    assert len(edges) == ours.graph.num_edges
    assert edges == {tuple(edge) for edge in theirs.edge_index.t().tolist()}
    split = ours.split(0)
    for part, ids in (("train", split.train), ("val", split.val), ("test", split.test)):
        assert torch.equal(ids, theirs[f"{part}_mask"].nonzero().view(-1))


def test_random_splits_follow_the_seed(real) -> None:
    published, ours = real("cora"), real("cora-random")
    assert ours.name == "cora-random"
    assert ours.digest == published.digest
    split, again, other = ours.split(0), ours.split(0), ours.split(1)
    assert [len(ids) for ids in (split.train, split.val, split.test)] == [140, 500, 1000]
    assert torch.bincount(ours.y[split.train]).tolist() == [20] * 7
    assert torch.equal(split.train, again.train)
    assert not torch.equal(split.train, other.train)


def test_reading_writes_nothing(real, tmp_path: Path) -> None:
    real("cora")
    shutil.copytree(raw_folder("cora"), tmp_path / "Cora" / "raw")
    before = sorted(tmp_path.rglob("*"))
    load_planetoid("cora", tmp_path, download=False)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("part", list(DIGESTS["cora"]))
def test_damage_in_any_file_is_refused_by_its_name(real, tmp_path: Path, part: str) -> None:
    real("cora")
    shutil.copytree(raw_folder("cora"), tmp_path / "Cora" / "raw")
    path = tmp_path / "Cora" / "raw" / f"ind.cora.{part}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=rf"ind\.cora\.{part} is damaged or another file"):
        load_planetoid("cora", tmp_path, download=False)


def test_arrays_and_matrices_are_rebuilt() -> None:
    array = unpickle(PATH, old_names(np.arange(6, dtype=np.int32).reshape(2, 3)))
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    matrix = unpickle(PATH, old_names(csr_matrix(np.eye(3, dtype=np.float32))))
    assert matrix.toarray().tolist() == np.eye(3).tolist()


def old_names(value: object) -> bytes:
    """A pickle with the module names of the numpy and scipy of 2016."""
    content = pickle.dumps(value, protocol=3)
    for new, old in (("numpy._core", "numpy.core"), ("scipy.sparse._csr", "scipy.sparse.csr")):
        content = content.replace(new.encode(), old.encode())
    return content


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_code_runs(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "marker"
    calls = [
        Call(Path.touch, marker),
        Call(os.mkdir, str(marker)),
        Call(eval, f"open({str(marker)!r}, 'w')"),
        Call(exec, f"open({str(marker)!r}, 'w')"),
        Call(io.open, str(marker), "w"),
        {"x": [Call(os.system, f"touch {marker}")]},
    ]
    for call in calls:
        with pytest.raises(DataFileError, match=r"not a pickle of arrays: the name .* not allowed"):
            unpickle(PATH, pickle.dumps(call, protocol=protocol))
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b"\x80\x02]q\x00."[:-1]])
def test_garbage_is_refused(content: bytes) -> None:
    with pytest.raises(DataFileError, match=r"ind\.cora\.x is not a pickle of arrays"):
        unpickle(PATH, content)


def test_missing_folder_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"--data-root DIR where DIR/PubMed/raw") as caught:
        load_planetoid("pubmed", tmp_path, download=False)
    assert "ind.pubmed.allx" in str(caught.value)
