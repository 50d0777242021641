"""OGB's folders through OGB's own loader and Evaluator; every kind of damage is named."""

import builtins
import gzip
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch

from neighborgraph.data import NODES, MultiLabelDataset, SyntheticSettings, load, write_synthetic
from neighborgraph.data.ogb import evaluate_officially, find_folder, import_ogb, load_ogbn, tamed
from neighborgraph.data.ogb_format import NODE_FORMATS
from neighborgraph.errors import BackendUnavailable, DataFileError, InputError
from neighborgraph.tasks.metrics import accuracy, roc_auc

needs_ogb = pytest.mark.skipif(
    importlib.util.find_spec("ogb") is None,
    reason="the package ogb is not installed: pip install 'neighborgraph[ogb]'",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A data root with both data sets, never read before."""
    root = tmp_path_factory.mktemp("ogb")
    write_synthetic(SyntheticSettings("ogbn-arxiv", 0.002, homophily=0.5, classes=4), root)
    write_synthetic(SyntheticSettings("ogbn-products", 2e-4, classes=3), root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(made, tmp_path / "data")


def write(path: Path, text: str) -> None:
    """Replace a file by one without a label."""
    path.write_bytes(gzip.compress(text.encode()))


def edit(path: Path, line: int, text: str) -> None:
    """Replace one line."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines[line] = text
    write(path, "\n".join(lines) + "\n")


def stored(path: Path) -> torch.Tensor:
    """The numbers of a file, by a reader that is not OGB's."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return torch.tensor([[float(word) for word in line.split(",")] for line in lines])


@needs_ogb
@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products"])
def test_everything_arrives(root: Path, name: str, capfd) -> None:
    form, folder = NODE_FORMATS[name], root / name.replace("-", "_")
    for data in (load(name, root), load(name, root)):  # the second time from OGB's cache
        edges = stored(folder / "raw" / "edge.csv.gz").long().t()
        assert data.graph.edge_index.shape == (2, 2 * edges.shape[1])
        wanted = {frozenset(pair) for pair in edges.t().tolist()}
        assert {frozenset(pair) for pair in data.graph.edge_index.t().tolist()} == wanted
        assert torch.equal(data.x, stored(folder / "raw" / "node-feat.csv.gz"))
        assert torch.equal(data.y, stored(folder / "raw" / "node-label.csv.gz").long().view(-1))
        assert data.num_classes == form.classes
        split = data.split(7)
        for part, ids in zip(("train", "valid", "test"), vars(split).values(), strict=True):
            kept = stored(folder / "split" / form.split / f"{part}.csv.gz")
            assert torch.equal(ids, kept.long().view(-1))
        assert data.name == f"synthetic-{name}"
        assert data.source == f"SYNTHETIC, in the format of {name}, official split"
    assert capfd.readouterr().out == ""


@needs_ogb
def test_cached_copy_is_read_without_unsafe_unpickling(root: Path) -> None:
    load("ogbn-arxiv", root)
    allowed = set(torch.serialization.get_safe_globals())
    load("ogbn-arxiv", root)
    assert set(torch.serialization.get_safe_globals()) == allowed

    class Surprise:
        def __reduce__(self):
            return print, ("this must not run",)

    (cached,) = (root / "ogbn_arxiv" / "processed").glob("geometric*.pt")
    torch.save(Surprise(), cached)
    with pytest.raises(DataFileError, match="Weights only load failed"):
        load("ogbn-arxiv", root)


@needs_ogb
def test_sizes_of_what_is_not_labelled(root: Path) -> None:
    folder = root / "ogbn_arxiv"
    (folder / "RELEASE_v1.txt").write_text("")
    for path in folder.rglob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())))
    with pytest.raises(DataFileError, match=r"339 nodes and 2332 edges, but ogbn-arxiv has 169343"):
        load("ogbn-arxiv", root)


def test_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DataFileError, match=r"not found: there is no .*ogbn_arxiv\. Pass --data-root"
    ):
        load("ogbn-arxiv", tmp_path)


def test_fetched_only_when_absent_and_asked_for(made: Path, tmp_path: Path, monkeypatch) -> None:
    fetched = []

    def fetch(url: str, target: Path, missing) -> None:
        fetched.append(target)
        shutil.copytree(made / "ogbn_arxiv", target)

    monkeypatch.setattr("neighborgraph.data.ogb.fetch_archive", fetch)
    form, folder = NODE_FORMATS["ogbn-arxiv"], tmp_path / "ogbn_arxiv"
    for _ in range(2):
        assert find_folder("ogbn-arxiv", form, tmp_path, download=True) == folder
    assert fetched == [folder]
    (folder / "RELEASE_v1.txt").unlink()
    with pytest.raises(DataFileError, match="is incomplete"):
        find_folder("ogbn-arxiv", form, tmp_path, download=True)
    assert fetched == [folder]


@pytest.mark.parametrize("gone", NODE_FORMATS["ogbn-arxiv"].files)
def test_half_downloaded(root: Path, gone: str, monkeypatch) -> None:
    monkeypatch.setattr(builtins, "input", None)
    (root / "ogbn_arxiv" / gone).unlink()
    with pytest.raises(DataFileError, match="is incomplete, as after a download") as caught:
        load("ogbn-arxiv", root)
    assert gone in str(caught.value)


DAMAGES = [
    (lambda raw, split: edit(raw / "node-label.csv.gz", 5, "nan"), "node 5 has no label"),
    (lambda raw, split: edit(raw / "node-label.csv.gz", 5, ""), "labels of shape"),
    (lambda raw, split: edit(raw / "node-label.csv.gz", 5, "40"), "label 40 of node 5 is outside"),
    (lambda raw, split: edit(raw / "node-feat.csv.gz", 2, "nan" + ",1" * 127), "NaN or infinite"),
    (lambda raw, split: edit(raw / "edge.csv.gz", 3, "2,900"), "900"),
    (lambda raw, split: edit(raw / "edge.csv.gz", 3, "a,b"), "OGB's loader cannot read"),
    (lambda raw, split: write(raw / "edge.csv.gz", "0,1\n"), "1 edges were read where"),
    (lambda raw, split: write(raw / "node-label.csv.gz", "1\n2\n"), "labels of shape"),
    (lambda raw, split: write(split / "valid.csv.gz", "\n"), "OGB's loader cannot read"),
    (lambda raw, split: cut(raw / "edge.csv.gz"), "OGB's loader cannot read"),
    (lambda raw, split: cut(raw / "num-node-list.csv.gz"), "truncated or damaged"),
]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


@needs_ogb
@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage(root: Path, damage, message: str) -> None:
    damage(root / "ogbn_arxiv" / "raw", root / "ogbn_arxiv" / "split" / "time")
    with pytest.raises(DataFileError, match=message) as caught:
        load("ogbn-arxiv", root)
    assert "ogbn_arxiv" in str(caught.value)


@needs_ogb
def test_splits_of_another_graph_and_overlapping_ones(root: Path) -> None:
    split = root / "ogbn_arxiv" / "split" / "time"
    write(split / "valid.csv.gz", "1\n339\n")
    with pytest.raises(InputError, match=r"val split holds node ids outside \[0, 339\)"):
        load("ogbn-arxiv", root).split(0)
    first = int(stored(split / "train.csv.gz")[0])
    write(split / "valid.csv.gz", f"{first}\n")
    with pytest.raises(InputError, match=f"node {first} occurs twice in its split"):
        load("ogbn-arxiv", root).split(0)


@needs_ogb
def test_half_written_cache(root: Path) -> None:
    load("ogbn-arxiv", root)
    (cached,) = (root / "ogbn_arxiv" / "processed").glob("geometric*.pt")
    cut(cached)
    with pytest.raises(DataFileError, match=r"Delete .*processed if a run was killed"):
        load("ogbn-arxiv", root)


@needs_ogb
def test_cache_of_other_files(root: Path) -> None:
    load("ogbn-arxiv", root)
    shutil.move(root / "ogbn_arxiv" / "processed", root / "old")
    shutil.rmtree(root / "ogbn_arxiv")
    write_synthetic(SyntheticSettings("ogbn-arxiv", 0.003), root)
    shutil.rmtree(root / "ogbn_arxiv" / "processed")
    shutil.move(root / "old", root / "ogbn_arxiv" / "processed")
    with pytest.raises(DataFileError, match="delete the folder processed"):
        load("ogbn-arxiv", root)


@needs_ogb
def test_a_question_is_an_error() -> None:
    with tamed(), pytest.raises(EOFError):
        input("Will you update the dataset now? (y/N)\n")
    assert sys.stdin is not None


@needs_ogb
@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products"])
def test_our_accuracy_is_the_evaluators_to_the_last_digit(name: str) -> None:
    for nodes in (1, 3, 7, 1000, 48_603):
        scores = torch.randn(nodes, 40).round(decimals=1)  # with ties
        labels = torch.randint(40, (nodes,))
        ours = accuracy(scores, labels)
        assert evaluate_officially(name, labels, scores.argmax(dim=1)) == ours


@needs_ogb
def test_our_area_is_the_evaluators() -> None:
    scores, labels = torch.randn(300, 112).round(decimals=1), torch.randint(2, (300, 112))
    labels[:, 5] = 1  # a label that all have does not count
    ours = roc_auc(scores, labels)
    theirs = evaluate_officially("ogbn-proteins", labels, scores)
    assert theirs == pytest.approx(ours, rel=1e-14)


@needs_ogb
def test_proteins_have_several_labels_and_the_mean_of_their_edges(tmp_path: Path) -> None:
    settings = SyntheticSettings("ogbn-proteins", 0.002)
    raw = write_synthetic(settings, tmp_path) / "raw"
    data = load("ogbn-proteins", tmp_path)
    assert isinstance(data, MultiLabelDataset)
    assert data.name == "synthetic-ogbn-proteins"
    assert torch.equal(data.y, stored(raw / "node-label.csv.gz").long())
    assert data.y.shape == (265, 112)
    edges, features = stored(raw / "edge.csv.gz"), stored(raw / "edge-feat.csv.gz")
    of_node = (edges == 7).any(dim=1)
    torch.testing.assert_close(data.x[7], features[of_node].mean(dim=0))
    assert data.x.shape == (265, 8)


@needs_ogb
def test_ogb_asks_no_server() -> None:
    module = import_ogb()
    assert module.Evaluator("ogbn-arxiv").eval_metric == "acc"
    assert sys.modules["ogb.version"].check_outdated is None


def test_without_the_package(monkeypatch, root: Path) -> None:
    monkeypatch.setitem(sys.modules, "ogb", None)
    monkeypatch.delitem(sys.modules, "ogb.nodeproppred", raising=False)
    with pytest.raises(BackendUnavailable, match=r"pip install 'neighborgraph\[ogb\]'"):
        load_ogbn("ogbn-arxiv", root, False)
    assert "outdated" not in sys.modules or sys.modules["outdated"] is not None


def test_names() -> None:
    assert set(NODE_FORMATS) <= set(NODES)
