"""The heterophilous graphs: published counts and splits, and damaged files."""

import shutil
from pathlib import Path

import pytest
import torch

from neighborgraph.data import BinaryDataset
from neighborgraph.data.heterophilous import load_heterophilous
from neighborgraph.errors import DataFileError
from neighborgraph.paths import data_root

# nodes, undirected edges, features, classes, and split 0: train, validation, test
PUBLISHED = {
    "actor": (7600, 26659, 932, 5, 3648, 2432, 1520),
    "chameleon": (2277, 31371, 2325, 5, 1092, 729, 456),
    "chameleon_filtered": (890, 8854, 2325, 5, 409, 287, 194),
    "cornell": (183, 277, 1703, 5, 87, 59, 37),
    "minesweeper": (10000, 39402, 7, 2, 5000, 2500, 2500),
    "texas": (183, 279, 1703, 5, 87, 59, 37),
    "tolokers": (11758, 519000, 10, 2, 5879, 2939, 2940),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(real, name: str) -> None:
    dataset = real(name)
    split = dataset.split(0)
    found = (
        dataset.graph.num_rows,
        dataset.graph.num_edges // 2,
        dataset.x.shape[1],
        dataset.num_classes,
        *(len(ids) for ids in (split.train, split.val, split.test)),
    )
    assert found == PUBLISHED[name]
    assert isinstance(dataset, BinaryDataset) == (name in ("minesweeper", "tolokers"))


def test_seed_selects_one_of_ten_splits(real) -> None:
    dataset = real("texas")
    assert torch.equal(dataset.split(12).train, dataset.split(2).train)
    assert not torch.equal(dataset.split(1).train, dataset.split(2).train)


def test_truncated_file(real, tmp_path: Path) -> None:
    real("texas")
    places = [data_root() / folder / "raw" for folder in ("texas", "heterophilous/texas")]
    source = next(place for place in places if place.is_dir())
    shutil.copytree(source, tmp_path / "texas" / "raw")
    path = tmp_path / "texas" / "raw" / "texas.npz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataFileError, match=r"texas\.npz is damaged .* 28486 bytes"):
        load_heterophilous("texas", tmp_path, download=False)
