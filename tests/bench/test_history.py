"""Histories of runs: written, and read back in order."""

from pathlib import Path

import pytest

from neighborgraph.bench.history import History, read_histories, write_history
from neighborgraph.errors import ConfigError, DataFileError

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
