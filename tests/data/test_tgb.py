"""TGB's folders through TGB's own loader and Evaluator; every kind of damage is named."""

import builtins
import importlib.util
import pickle
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data import TGB, RankedLog, load_events
from neighborgraph.data import tgb as module
from neighborgraph.data.tgb import SIZES, evaluate_officially, import_tgb, missing_files, tamed
from neighborgraph.errors import BackendUnavailable, DataFileError
from neighborgraph.tasks.metrics import mrr

needs_tgb = pytest.mark.skipif(
    importlib.util.find_spec("tgb") is None,
    reason="the package py-tgb is not installed: pip install 'neighborgraph[tgb]'",
)
USERS, ITEMS, EVENTS = 12, 30, 400
WIDTHS = {"tgbl-wiki": 3, "tgbl-review": 1, "tgbl-coin": 1, "tgbl-comment": 3, "tgbl-flight": 16}


def write_tgb(name: str, root: Path) -> tuple[int, int]:
    """A made-up stream in the files of TGB's present version; its nodes and events."""
    draw = random.Random(7)
    folder = root / name.replace("-", "_")
    folder.mkdir(parents=True)
    version = "" if name == "tgbl-comment" else "_v2"
    ends = [(draw.randrange(USERS), draw.randrange(ITEMS)) for _ in range(EVENTS)]
    ends[:ITEMS] = [(place % USERS, place) for place in range(ITEMS)]
    times = sorted(draw.randrange(1000) for _ in range(EVENTS))
    if name == "tgbl-wiki":
        header = "user_id,item_id,timestamp,state_label,comma_separated_list_of_features"
        lines = [f"{u},{i},{t},0,0.5,-1,{u}" for (u, i), t in zip(ends, times, strict=True)]
        known = {("u", n): n for n in range(USERS)}
        known |= {("i", n): USERS + n for n in range(ITEMS)}
    else:
        kinds = {"tgbl-flight": "AB1,B738", "tgbl-comment": "250,7"}
        header, known = "ts,src,dst,rest", {}
        lines = [
            f"{t},u{u},i{i},{kinds.get(name, f'{2.0 + u}')}"
            for (u, i), t in zip(ends, times, strict=True)
        ]
        for u, i in ends:  # in the order in which they appear
            known.setdefault(("u", u), len(known))
            known.setdefault(("i", i), len(known))
    (folder / f"{name}_edgelist{version}.csv").write_text("\n".join([header, *lines]) + "\n")
    if name == "tgbl-flight":
        # Its loader expects eleven kinds and continents together.
        airports = [f"u{u},kind{u % 5},{u % 6},AA-BB,1.5,2.5" for u in range(USERS)]
        text = "\n".join(["airport_code,type,continent,iso_region,longitude,latitude", *airports])
        (folder / f"airport_node_feat{version}.csv").write_text(text + "\n")
    rows = [(known["u", u], known["i", i], t) for (u, i), t in zip(ends, times, strict=True)]
    until_val, until_test = np.quantile(times, [0.7, 0.85])
    for part, low, high in (("val", until_val, until_test), ("test", until_test, np.inf)):
        given = {}
        for u, i, t in rows:
            if low < t <= high:
                others = [known["i", n] for n in range(ITEMS) if known["i", n] != i]
                few = draw.sample(others, draw.choice((4, 9)))  # not as many for each
                # As NumPy makes them: ids are floats where no id of the past was among them.
                given[np.int64(u), np.int64(i), np.int64(t)] = np.array(few, float)
        path = folder / f"{name}_{part}_ns{version}.pkl"
        path.write_bytes(pickle.dumps(given, pickle.HIGHEST_PROTOCOL))
    return len(known), EVENTS


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """A data root with all streams, whose sizes are taken for the published ones."""
    for name in SIZES:
        monkeypatch.setitem(SIZES, name, write_tgb(name, tmp_path))
    return tmp_path


@needs_tgb
@pytest.mark.parametrize("name", SIZES)
def test_everything_arrives(root: Path, name: str, capfd) -> None:
    for _ in range(2):  # the second time from the copy that TGB's loader leaves
        log = load_events(name, root)
        assert isinstance(log, RankedLog)
        events, split = log.events, log.split
        assert (events.num_nodes, len(events)) == SIZES[name]
        assert events.time.dtype == torch.int64 and (events.time.diff() >= 0).all()
        assert events.feature is not None and events.feature.shape == (EVENTS, WIDTHS[name])
        assert (log.name, log.num_sources) == (name, None)
        assert log.source == f"TGB {name}, official split and negatives"
        # The official split, by the loader's own masks.
        loader = import_tgb("linkproppred.dataset")
        with tamed():
            theirs = loader.LinkPropPredDataset(
                name,
                root="",
                meta_dict={"dir_name": str(root / name.replace("-", "_"))},
                download=False,
            )
            theirs.load_val_ns()
            theirs.load_test_ns()
        for part, given in (("val", log.val_negatives), ("test", log.test_negatives)):
            mask, ours = getattr(theirs, f"{part}_mask"), getattr(split, part)
            ends = (theirs.full_data[key][mask] for key in ("sources", "destinations"))
            assert [ours.source.tolist(), ours.destination.tolist()] == [e.tolist() for e in ends]
            asked = theirs.negative_sampler.query_batch(
                ours.source, ours.destination, ours.time, split_mode=part
            )
            assert [[n for n in row if n >= 0] for row in given.tolist()] == asked
            assert {len(row) for row in asked} == {4, 9}
        assert len(split.train) == theirs.train_mask.sum()
    assert capfd.readouterr().out == ""


@needs_tgb
def test_digest_is_that_of_events_and_negatives(root: Path) -> None:
    log = load_events("tgbl-wiki", root)
    assert log.digest == load_events("tgbl-wiki", root).digest
    path = root / "tgbl_wiki" / "tgbl-wiki_test_ns_v2.pkl"
    given = pickle.loads(path.read_bytes())
    next(iter(given.values()))[0] = USERS
    path.write_bytes(pickle.dumps(given))
    assert log.digest != load_events("tgbl-wiki", root).digest


@needs_tgb
@pytest.mark.parametrize("digits", [0, 6])  # with many equal scores, and with hardly any
def test_our_metric_is_theirs(digits: int) -> None:
    random = torch.Generator().manual_seed(1)
    scores = torch.randn(500, 21, generator=random).mul(10**digits).round()
    scores[::3, 15:] = -torch.inf  # events of fewer negatives
    ours, theirs = mrr(scores[:, 0], scores[:, 1:]), 0.0
    for name in SIZES:
        theirs = evaluate_officially(name, scores[:, 0], scores[:, 1:])
        assert ours == pytest.approx(theirs, rel=1e-6)
    evaluator = import_tgb("linkproppred.evaluate").Evaluator("tgbl-wiki")
    singly = [
        evaluator.eval(
            {"y_pred_pos": row[:1], "y_pred_neg": row[None, 1:][:, kept], "eval_metric": ["mrr"]}
        )["mrr"]
        for row, kept in zip(scores.numpy(), scores[:, 1:].isfinite().numpy(), strict=True)
    ]
    assert np.mean(singly) == pytest.approx(theirs, rel=1e-6)  # as TGB's examples call it


@needs_tgb
@pytest.mark.parametrize("file", ["tgbl-wiki_val_ns_v2.pkl", "ml_tgbl-wiki.pkl"])
def test_nothing_but_numbers_is_unpickled(root: Path, file: str) -> None:
    load_events("tgbl-wiki", root)

    class Surprise:
        def __reduce__(self):
            return print, ("this must not run",)

    (root / "tgbl_wiki" / file).write_bytes(pickle.dumps(Surprise()))
    with pytest.raises(DataFileError, match=r"builtins\.print, which is no number or table"):
        load_events("tgbl-wiki", root)


@needs_tgb
def test_a_pickle_of_numpy_1_is_read(root: Path) -> None:
    path = root / "tgbl_wiki" / "tgbl-wiki_test_ns_v2.pkl"
    content = pickle.dumps(pickle.loads(path.read_bytes()), protocol=2)
    assert b"numpy._core" in content
    path.write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    assert isinstance(load_events("tgbl-wiki", root), RankedLog)


def change(name: str, edit: Callable[[dict], object]) -> Callable[[Path], None]:
    """Edit the negatives of a part."""

    def damage(folder: Path) -> None:
        path = folder / f"tgbl-wiki_{name}_ns_v2.pkl"
        given = pickle.loads(path.read_bytes())
        edit(given)
        path.write_bytes(pickle.dumps(given))

    return damage


def cut(folder: Path) -> None:
    path = folder / "tgbl-wiki_edgelist_v2.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-7]))


def spoil(folder: Path) -> None:
    path = folder / "tgbl-wiki_edgelist_v2.csv"
    path.write_text(path.read_text().replace("0.5", "nan", 1))


def halve(folder: Path) -> None:
    path = folder / "tgbl-wiki_test_ns_v2.pkl"
    path.write_bytes(path.read_bytes()[:500])


DAMAGES = [
    (cut, r"42 nodes and 393 events, but tgbl-wiki has 42 nodes and 400 events"),
    (spoil, "a feature of event 0 is NaN or infinite"),
    (halve, "TGB's loader cannot read"),
    (change("val", lambda given: given.popitem()), r"val has no negatives for the event \("),
    (change("test", lambda g: g.update({k: [99] for k in g})), r"negative 99 of event 0 of test"),
    (change("test", lambda g: g.update({k: [-2] for k in g})), r"negative -2 of event 0 of test"),
]


@needs_tgb
@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage(root: Path, damage: Callable[[Path], None], message: str, monkeypatch) -> None:
    monkeypatch.setattr(builtins, "input", None)
    damage(root / "tgbl_wiki")
    with pytest.raises(DataFileError, match=message):
        load_events("tgbl-wiki", root)


@needs_tgb
@pytest.mark.parametrize("name", SIZES)
def test_half_downloaded(root: Path, name: str) -> None:
    folder = root / name.replace("-", "_")
    for path in folder.iterdir():
        assert missing_files(name, folder) == []
        content = path.read_bytes()
        path.write_bytes(b"")
        assert missing_files(name, folder) == [path.name]
        with pytest.raises(DataFileError, match="is incomplete, as after a download"):
            load_events(name, root)
        path.write_bytes(content)


@needs_tgb
def test_fetched_only_when_absent_and_asked_for(root: Path, tmp_path_factory, monkeypatch) -> None:
    fetched, empty = [], tmp_path_factory.mktemp("empty")

    def fetch(url: str, target: Path, missing: Callable[[Path], list[str]]) -> None:
        fetched.append(url)
        shutil.copytree(root / "tgbl_wiki", target)
        assert missing(target) == []

    monkeypatch.setattr(module, "fetch_archive", fetch)
    with pytest.raises(DataFileError, match=r"not found: there is no .*tgbl_wiki\. Pass --data"):
        load_events("tgbl-wiki", empty)
    assert fetched == []
    for _ in range(2):
        load_events("tgbl-wiki", empty, download=True)
    assert len(fetched) == 1 and fetched[0].startswith("https://")


@needs_tgb
def test_what_is_tamed_is_let_go(root: Path) -> None:
    loader = import_tgb("linkproppred.dataset")
    before = loader.load_pkl, loader.pd.read_pickle, sys.stdin
    load_events("tgbl-wiki", root)
    assert (loader.load_pkl, loader.pd.read_pickle, sys.stdin) == before


def test_without_the_package(tmp_path: Path, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tgb"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tgb", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'neighborgraph\[tgb\]'"):
        load_events("tgbl-wiki", tmp_path)
    assert set(TGB) == set(SIZES)
