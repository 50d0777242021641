"""neighborgraph cache, on a cache of its own."""

from pathlib import Path

import pytest

from neighborgraph.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", str(tmp_path))
    return tmp_path


def test_empty(folder: Path, capsys) -> None:
    assert main(["cache"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("0 files, 0.0 MB") == 2
    assert str(folder) in printed


def test_info_and_clear_cover_cpu_kernels(folder: Path, capsys) -> None:
    (folder / "numba").mkdir(mode=0o700)
    (folder / "numba" / "kernel").write_bytes(bytes(3 * 2**20))
    assert main(["cache", "info"]) == 0
    assert "numba: 1 files, 3.0 MB" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == "removed 1 files\n"
    assert not (folder / "numba").exists()


def test_relative_cache_folder(monkeypatch, capsys) -> None:
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", "here")
    assert main(["cache"]) == 2
    assert "NEIGHBORGRAPH_CACHE must be an absolute path" in capsys.readouterr().err
