"""DBLP: published counts, a hand-made archive, and inconsistent ones."""

from pathlib import Path

import numpy as np
import pytest

from neighborgraph.data.citationfull import load_dblp
from neighborgraph.errors import DataFileError

SMALL = {
    # 0 - 1 in both directions, 1 -> 2 in one, and a self-loop at 2.
    "adj_indices": np.array([1, 0, 2, 2]),
    "adj_indptr": np.array([0, 1, 3, 4]),
    "attr_data": np.array([1.0, 2.0], dtype=np.float32),
    "attr_indices": np.array([0, 3]),
    "attr_indptr": np.array([0, 1, 1, 2]),
    "attr_shape": np.array([3, 4]),
    "labels": np.array([0, 1, 1]),
}


def write(root: Path, folder: str, **changes: np.ndarray) -> None:
    place = root / folder / "raw"
    place.mkdir(parents=True)
    np.savez(place / "dblp.npz", **{**SMALL, **changes})


@pytest.mark.parametrize("folder", ["DBLP", "dblp", "citationfull/dblp"])
def test_small_archive(tmp_path: Path, folder: str) -> None:
    write(tmp_path, folder)
    dataset = load_dblp(tmp_path, download=False)
    edges = sorted(map(tuple, dataset.graph.edge_index.t().tolist()))
    assert edges == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert dataset.x.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2]]
    assert dataset.num_classes == 2


@pytest.mark.parametrize(
    "change",
    [
        {"adj_indptr": np.array([0, 1, 3, 5])},
        {"adj_indptr": np.array([0, 3, 1, 4])},
        {"adj_indices": np.array([1, 0, 9, 2])},
        {"attr_indices": np.array([0, 4])},
        {"attr_shape": np.array([2, 4])},
        {"labels": np.array([0, 1])},
        {"labels": np.array([0, -1, 1])},
        {"attr_data": np.array([1.0, np.nan])},
    ],
)
def test_inconsistent_archives_are_refused(tmp_path: Path, change: dict) -> None:
    write(tmp_path, "dblp", **change)
    with pytest.raises(DataFileError, match=r"dblp\.npz does not hold a consistent data set"):
        load_dblp(tmp_path, download=False)


def test_published_counts(real) -> None:
    dataset = real("dblp")
    assert (dataset.graph.num_rows, dataset.graph.num_edges) == (17_716, 105_734)
    assert (dataset.x.shape[1], dataset.num_classes) == (1639, 4)
    split = dataset.split(0)
    assert dataset.y[split.train].bincount().tolist() == [20] * 4
    assert (len(split.val), len(split.test)) == (500, 1000)
