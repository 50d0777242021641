"""neighborgraph env."""

from pathlib import Path

import torch

from neighborgraph.cli import env, main
from neighborgraph.jit import Driver


def test_prints_every_fact(capsys) -> None:
    assert main(["env"]) == 0
    printed = capsys.readouterr().out
    assert torch.__version__ in printed
    for name in ("python", "driver", "numba", "cuda-core", "kernel cache", "data folder"):
        assert any(line.startswith(name) for line in printed.splitlines())


def test_says_why_there_is_no_driver(monkeypatch) -> None:
    monkeypatch.setattr(env, "driver", lambda: Driver(False, "no GPU here"))
    assert env.facts()["driver"] == "none: no GPU here"


def test_absent_package() -> None:
    assert env.version("no-such-package-anywhere") == "not installed"


def test_folder_states(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert env.folder_state(tmp_path).endswith("(writable)")
    assert env.folder_state(tmp_path / "file").endswith("(not a folder)")
    assert env.folder_state(tmp_path / "none").endswith("(absent)")
