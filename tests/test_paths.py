"""Folders follow the environment, and a private folder is private."""

import os
import stat
from pathlib import Path

import pytest

from neighborgraph.errors import ConfigError
from neighborgraph.paths import cache_root, data_root, private_folder


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEIGHBORGRAPH_CACHE", "NEIGHBORGRAPH_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/somewhere")


CACHE_ROOTS = [
    ({}, "/somewhere/.cache/neighborgraph"),
    ({"NEIGHBORGRAPH_CACHE": "/kernels"}, "/kernels"),
    ({"NEIGHBORGRAPH_CACHE": "/kernels", "XDG_CACHE_HOME": "/xdg"}, "/kernels"),
    ({"NEIGHBORGRAPH_CACHE": "~/kernels"}, "/somewhere/kernels"),
    ({"NEIGHBORGRAPH_CACHE": ""}, "/somewhere/.cache/neighborgraph"),
    ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/neighborgraph"),
    ({"XDG_CACHE_HOME": "relative"}, "/somewhere/.cache/neighborgraph"),
    ({"HOME": ""}, "/nonexistent/.cache/neighborgraph"),
]


@pytest.mark.parametrize(("environment", "expected"), CACHE_ROOTS)
def test_cache_root(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(expected)


def test_a_relative_cache_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", "kernels")
    message = "^NEIGHBORGRAPH_CACHE must be an absolute path, got 'kernels'$"
    with pytest.raises(ConfigError, match=message):
        cache_root()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "data"), ("", "data"), ("/sets", "/sets"), ("~/sets", "/somewhere/sets")],
)
def test_data_root(value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("NEIGHBORGRAPH_DATA", value)
    assert data_root() == Path(expected)


def test_a_private_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "a" / "b")
    assert made == (tmp_path / "a" / "b").resolve()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert private_folder(made) == made


def test_a_link_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert private_folder(tmp_path / "link") == (tmp_path / "real").resolve()


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError, match=r"others may write to .*open; run chmod go-w on it"):
        private_folder(folder)
    folder.chmod(0o755)
    assert private_folder(folder) == folder.resolve()


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match=rf"belongs to another user \(id {owner}\)"):
        private_folder(tmp_path / "cache")


def test_a_path_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        private_folder(tmp_path / "file" / "cache")
