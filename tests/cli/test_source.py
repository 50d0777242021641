"""Sources of data: the tables of kinds, files of one's own, and what does not fit."""

from pathlib import Path

import pytest
import torch

from neighborgraph.cli import main
from neighborgraph.cli.source import KINDS, kind_of
from neighborgraph.data import BUILTIN, DATASETS, STREAMS, RankedLog, load_events
from neighborgraph.errors import ConfigError

PARTS = ("val", "test")


def test_every_data_set_has_one_kind_of_models() -> None:
    assert sorted(name for kind in KINDS for name in kind.readers) == sorted(DATASETS)
    assert {kind.tiny for kind in KINDS} < set(BUILTIN)
    assert all(kind.tiny in kind.readers for kind in KINDS)


def test_kinds() -> None:
    assert kind_of(["nat", "edgebank"]).option == "events"
    assert kind_of(["gcn"]).option == ""
    with pytest.raises(ConfigError, match="'nat,gcn' mixes models of nodes with models of streams"):
        kind_of(["nat", "gcn"])
    with pytest.raises(ConfigError, match="mixes models of nodes with recommenders"):
        kind_of(["lightgcn", "gcn"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["gcn", "--events", "a.txt"], "--events is for models of streams; gcn is none"),
        (["nat", "--interactions", "a.csv"], "--interactions is for recommenders; nat is none"),
        (["nat", "uci-messages", "--events", "a.txt"], "two data sets; name one"),
        (["nat", "cora"], "unknown data set for nat 'cora' (known: tgbl-coin, tgbl-c"),
        (["nat"], "are required: DATASET (or --events FILE)"),
        (["nat", "uci-messages", "--download"], "--download fetches no events"),
        (["nat", "tgbl-wikki", "--download"], "did you mean 'tgbl-wiki'"),
        (["nat", "--events", "a.json"], "a.json must end in .csv"),
        (["nat", "tiny-events", "--set", "model.near=0"], "nat: near=0 must be at least 1"),
        (["nat", "tiny-events", "--set", "stream.batch_siz=2"], "did you mean 'stream.batch_size'"),
    ],
)
def test_what_does_not_fit(capsys, tmp_path: Path, typed: list[str], message: str) -> None:
    assert main(["run", *typed, "--device", "cpu", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_events_of_a_file(capsys, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    lines = [f"{t % 7},{t % 5},{t}.5,0,{t % 3},1" for t in range(200)]
    path.write_text("\n".join(["user,item,time,label,feature", *lines]))
    small = ["--set", "training.epochs=2", "--set", "model.self_channels=8"]
    typed = ["run", "nat", "--events", str(path), *small, "--device", "cpu"]
    assert main([*typed, "--out", str(tmp_path / "runs")]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[2].split()[:3] == ["nat", "calls", "1"]
    assert all(name in table[0] for name in ("test AP %", "test AUC %", "test MRR %", "val AP %"))


def test_hidden_nodes_have_columns_of_their_own(capsys, tmp_path: Path) -> None:
    typed = ["run", "edgebank", "tiny-events", "--set", "stream.hidden=0.1", "--device", "cpu"]
    assert main([*typed, "--out", str(tmp_path)]) == 0
    assert "test new AP %" in capsys.readouterr().out.splitlines()[0]


def test_streams_with_given_negatives_are_ranked_among_them(
    capsys, tmp_path: Path, monkeypatch
) -> None:
    tiny, asked = load_events("tiny-events"), []

    def read(root: Path, download: bool) -> RankedLog:
        asked.append((root, download))
        given = {f"{part}_negatives": torch.arange(225 * 4).view(225, 4) % 60 for part in PARTS}
        return RankedLog(
            "tgbl-wiki", tiny.events, tiny.node_ids, None, "", official=lambda *_: 0.125, **given
        )

    monkeypatch.setitem(STREAMS, "tgbl-wiki", read)
    typed = ["run", "edgebank", "tgbl-wiki", "--data-root", str(tmp_path), "--device", "cpu"]
    typed += ["--out", str(tmp_path / "runs")]
    assert main([*typed, "--download"]) == 0
    assert asked == [(tmp_path, True)]
    header, _, row = capsys.readouterr().out.splitlines()
    assert "test MRR %" in header and "val MRR %" in header and "AP" not in header
    assert row.split()[:6] == ["edgebank", "tgbl-wiki", "1", "12.50", "±", "n/a"]
    assert main([*typed, "--set", "stream.hidden=0.1"]) == 2
    assert "stream.hidden = 0.1 must be 0 for tgbl-wiki" in capsys.readouterr().err
