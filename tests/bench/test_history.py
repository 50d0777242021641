"""Histories of runs: written, read back in order, and drawn."""

from pathlib import Path

import pytest

from neighborgraph.bench import history
from neighborgraph.bench.history import History, draw_histories, read_histories, write_history
from neighborgraph.errors import BackendUnavailable, ConfigError, DataFileError

MOMENTS = [
    {"epoch": 1, "seconds": 0.1, "loss": 0.7, "val_acc": 0.2, "test_acc": 0.25},
    {"epoch": 5, "seconds": 0.5, "loss": 0.5, "val_acc": 0.4, "test_acc": 0.35},
]
HISTORIES = [History(name, seed, MOMENTS) for name in ("gat-cora", "gcn-cora") for seed in (0, 1)]


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    for each in reversed(HISTORIES):
        write_history(tmp_path, each)
    assert read_histories(tmp_path) == HISTORIES


@pytest.mark.parametrize("text", ["", "not JSON\n"])
def test_broken_files_are_named(tmp_path: Path, text: str) -> None:
    write_history(tmp_path, HISTORIES[0])
    path = tmp_path / "history" / "gat-cora" / "seed-0.jsonl"
    path.write_text(text)
    with pytest.raises(DataFileError, match=r"seed-0\.jsonl is not the history of a seed"):
        read_histories(tmp_path)


def test_a_folder_without_histories(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no history; name the --out folder"):
        read_histories(tmp_path)


def test_a_picture_comes_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"
    draw_histories(HISTORIES, "test_acc", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataFileError, match="cannot write"):
        draw_histories(HISTORIES, "test_acc", tmp_path / "none" / "curves.png")


def test_unknown_metrics_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=r"no 'test_ac'; .* did you mean 'test_acc'"):
        draw_histories(HISTORIES, "test_ac", tmp_path / "curves.png")


def test_without_matplotlib(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match="neighborgraph\\[plot\\]"):
        history.draw_histories(HISTORIES, "test_acc", tmp_path / "curves.png")
