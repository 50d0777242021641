"""OGB's folders of links through OGB's own loader and Evaluator; every kind of damage is named."""

import gzip
import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data import (
    LINKS,
    OwnNegatives,
    SharedNegatives,
    SyntheticSettings,
    load_links,
    write_synthetic,
)
from neighborgraph.data.ogb_format import LINK_FORMATS
from neighborgraph.data.ogb_links import evaluate_officially
from neighborgraph.errors import DataFileError

needs_ogb = pytest.mark.skipif(
    importlib.util.find_spec("ogb") is None,
    reason="the package ogb is not installed: pip install 'neighborgraph[ogb]'",
)
SCALES = {"ogbl-ddi": 0.02, "ogbl-collab": 0.002, "ogbl-citation2": 5e-5}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A data root with all three data sets, never read before."""
    root = tmp_path_factory.mktemp("ogbl")
    for name, scale in SCALES.items():
        write_synthetic(SyntheticSettings(name, scale), root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "data")


def part_file(root: Path, name: str, part: str) -> Path:
    return root / name.replace("-", "_") / "split" / LINK_FORMATS[name].split / f"{part}.pt"


def read_part(root: Path, name: str, part: str) -> dict[str, np.ndarray]:
    return torch.load(part_file(root, name, part), weights_only=False)  # made by this test


def stored(root: Path, name: str, file: str) -> np.ndarray:
    """The numbers of a file, by a reader that is not OGB's."""
    path = root / name.replace("-", "_") / "raw" / f"{file}.csv.gz"
    return np.loadtxt(gzip.open(path, "rt"), delimiter=",", ndmin=2)


@needs_ogb
@pytest.mark.parametrize("name", SCALES)
def test_everything_arrives(root: Path, name: str, capfd) -> None:
    form = LINK_FORMATS[name]
    for data in (
        load_links(name, root),
        load_links(name, root),
    ):  # the second time from OGB's cache
        edges = stored(root, name, "edge").astype(int)
        wanted = {(a, b) for a, b in edges.tolist()} | {(b, a) for a, b in edges.tolist()}
        assert set(map(tuple, data.graph.edge_index.t().tolist())) == wanted
        assert data.graph.num_edges == len(wanted)
        assert np.array_equal(data.train.t().numpy(), edges)
        for part, held in (("valid", data.val), ("test", data.test)):
            content = read_part(root, name, part)
            if form.own_negatives:
                assert isinstance(held, OwnNegatives)
                ends = np.stack([content["source_node"], content["target_node"]])
                assert np.array_equal(held.edges.numpy(), ends)
                assert np.array_equal(held.negatives.numpy(), content["target_node_neg"])
            else:
                assert isinstance(held, SharedNegatives)
                assert np.array_equal(held.edges.t().numpy(), content["edge"])
                assert np.array_equal(held.negatives.t().numpy(), content["edge_neg"])
        if data.x is None:
            assert form.features == 0
        else:
            features = torch.tensor(stored(root, name, "node-feat"), dtype=torch.float32)
            assert torch.equal(data.x, features)
        assert data.name == f"synthetic-{name}"
        assert data.source == f"SYNTHETIC, in the format of {name}, official split"
        assert data.validation_input == (name == "ogbl-collab")
    assert capfd.readouterr().out == ""


@needs_ogb
def test_weights_of_a_pair_are_added_up(root: Path) -> None:
    graph = load_links("ogbl-collab", root).graph
    sums: dict[tuple[int, int], float] = {}
    edges, weights = stored(root, "ogbl-collab", "edge"), stored(root, "ogbl-collab", "edge_weight")
    for (a, b), weight in zip(edges.astype(int).tolist(), weights.ravel().tolist(), strict=True):
        for pair in ((a, b), (b, a)):
            sums[pair] = sums.get(pair, 0) + weight
    assert graph.weight is not None
    found = zip(map(tuple, graph.edge_index.t().tolist()), graph.weight.tolist(), strict=True)
    assert dict(found) == sums


@needs_ogb
def test_splits_may_hold_tensors_or_arrays_of_numpy_1(root: Path) -> None:
    before = load_links("ogbl-ddi", root).digest
    path = part_file(root, "ogbl-ddi", "valid")
    content = read_part(root, "ogbl-ddi", "valid")
    torch.save({name: torch.from_numpy(array) for name, array in content.items()}, path)
    assert load_links("ogbl-ddi", root).digest == before
    # NumPy 1 pickled the name of another module; the name's length is in front of it.
    torch.save(content, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"cnumpy.core.multiarray\n" in old
    path.write_bytes(old)
    assert load_links("ogbl-ddi", root).digest == before


@needs_ogb
def test_nothing_else_is_unpickled(root: Path) -> None:
    class Surprise:
        def __reduce__(self):
            return print, ("this must not run",)

    torch.save({"edge": Surprise()}, part_file(root, "ogbl-ddi", "valid"))
    with pytest.raises(DataFileError, match="Weights only load failed"):
        load_links("ogbl-ddi", root)


@pytest.mark.parametrize("gone", LINK_FORMATS["ogbl-collab"].files)
def test_half_downloaded(root: Path, gone: str) -> None:
    (root / "ogbl_collab" / gone).unlink()
    with pytest.raises(DataFileError, match="is incomplete, as after a download") as caught:
        load_links("ogbl-collab", root)
    assert gone in str(caught.value)


def test_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DataFileError, match=r"not found: there is no .*ogbl_ddi\. Pass --data-root"
    ):
        load_links("ogbl-ddi", tmp_path)


def without(name: str):
    def change(content: dict[str, np.ndarray]) -> None:
        del content[name]

    return change


def put(name: str, row: int, value: float):
    def change(content: dict[str, np.ndarray]) -> None:
        content[name][row, 0] = value

    return change


def shorten(name: str, rows: int):
    def change(content: dict[str, np.ndarray]) -> None:
        content[name] = content[name][:rows]

    return change


def emptied(content: dict[str, np.ndarray]) -> None:
    content["edge"] = torch.zeros(0, 2, dtype=torch.int64)  # pyright: ignore[reportArgumentType]


def turned(content: dict[str, np.ndarray]) -> None:
    content["edge_neg"] = content["edge_neg"].T


def as_numbers(content: dict[str, np.ndarray]) -> None:
    content["edge"] = content["edge"].astype(np.float64)


DAMAGES = [
    ("ogbl-ddi", "valid", without("edge_neg"), "split valid has no edge_neg, but edge"),
    ("ogbl-ddi", "train", without("edge"), "split train has no edge, but nothing"),
    ("ogbl-ddi", "valid", put("edge", 2, 85), r"val edges\[2\] = 85 is outside \[0, 85\)"),
    ("ogbl-ddi", "test", put("edge_neg", 2, -1), r"test negatives\[2\] = -1 is outside"),
    (
        "ogbl-ddi",
        "test",
        shorten("edge_neg", 19),
        "has 19 negatives, but Hits@20 needs at least 20",
    ),
    ("ogbl-ddi", "test", emptied, "the test split is empty"),
    ("ogbl-ddi", "test", turned, r"test negatives must have shape \[2, Q\]"),
    ("ogbl-ddi", "test", as_numbers, "edge of split test holds torch.float64 in the place of ids"),
    ("ogbl-ddi", "train", shorten("edge", 9), "9 training edges, but the graph has 462"),
    ("ogbl-ddi", "train", put("edge", 0, 85), r"training edges hold node ids outside \[0, 85\)"),
    ("ogbl-ddi", "train", put("edge", 0, 3), "the split is that of another graph"),
    (
        "ogbl-citation2",
        "test",
        shorten("target_node_neg", 2),
        r"negatives must have shape \[4, R\]",
    ),
    ("ogbl-citation2", "test", without("source_node"), "split test has no source_node"),
    ("ogbl-citation2", "valid", put("target_node_neg", 0, 146), "is outside"),
]


@needs_ogb
@pytest.mark.parametrize(("name", "part", "change", "message"), DAMAGES)
def test_damaged_splits(root: Path, name: str, part: str, change, message: str) -> None:
    content = read_part(root, name, part)
    change(content)
    torch.save(content, part_file(root, name, part))
    with pytest.raises(DataFileError, match=message) as caught:
        load_links(name, root)
    assert name.replace("-", "_") in str(caught.value)


@needs_ogb
def test_truncated_split(root: Path) -> None:
    path = part_file(root, "ogbl-ddi", "valid")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataFileError, match="OGB's loader cannot read"):
        load_links("ogbl-ddi", root)


@needs_ogb
def test_sizes_of_what_is_not_labelled(root: Path) -> None:
    folder = root / "ogbl_ddi"
    (folder / "RELEASE_v1.txt").write_text("")
    for path in folder.rglob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())))
    for part in ("train", "valid", "test"):
        content = read_part(root, "ogbl-ddi", part)
        torch.save(content, part_file(root, "ogbl-ddi", part))
    with pytest.raises(DataFileError, match="85 nodes and 462 edges, but ogbl-ddi has 4267"):
        load_links("ogbl-ddi", root)


@needs_ogb
def test_the_evaluators_mean_is_that_of_its_list() -> None:
    edges, negatives = torch.randn(200), torch.randn(200, 30)
    better = (negatives > edges[:, None]).sum(dim=1)
    wanted = math.fsum((1 / (better + 1).float()).tolist()) / 200
    assert evaluate_officially("ogbl-citation2", edges, negatives) == wanted


def test_names() -> None:
    assert set(LINK_FORMATS) <= set(LINKS)
