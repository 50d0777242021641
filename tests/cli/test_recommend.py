"""neighborgraph recommend: both forms, original ids, refusals, and a disk that is full."""

import csv
import errno
import json
import os
from pathlib import Path

import pytest

from neighborgraph.cli import main

TABLE = "who,what\n" + "".join(
    f"{user},{group}{item}\n"
    for group in "xyz"
    for user in (f"{group}-{n}" for n in range(6))
    for item in range(8)
    if (ord(user[-1]) + item) % 3
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of a seed that was trained on a table of our own."""
    folder = tmp_path_factory.mktemp("recommend")
    (folder / "mine.csv").write_text(TABLE)
    typed = ["run", "lightgcn", "--interactions", str(folder / "mine.csv")]
    typed += ["--user-column", "who", "--item-column", "what", "--out", str(folder / "runs")]
    assert main([*typed, "--set", "training.epochs=5", "--device", "cpu"]) == 0
    return folder / "runs" / "checkpoints" / "lightgcn-mine" / "seed-0"


def known() -> set[tuple[str, ...]]:
    return {tuple(line.split(",")) for line in TABLE.splitlines()[1:]}


def test_csv_of_two_users(capsys, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    typed = ["recommend", str(trained), "--users", "y-3", "x-0", "--k", "4", "--out", str(out)]
    assert main(typed) == 0
    assert f"2 lists of up to 4 items in {out}" in capsys.readouterr().out
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["user"], row["rank"]) for row in rows] == [
        (user, str(rank)) for user in ("y-3", "x-0") for rank in (1, 2, 3, 4)
    ]
    assert not known() & {(row["user"], row["item"]) for row in rows}
    scores = [float(row["score"]) for row in rows[:4]]
    assert scores == sorted(scores, reverse=True)


def test_json_lines_of_all_users_with_more_than_there_is(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists.jsonl"
    assert main(["recommend", str(trained), "--k", "500", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    pairs = known()
    items = {item for _, item in pairs}
    assert {row["user"] for row in rows} == {user for user, _ in pairs}
    for row in rows:
        # Everything but what the user has: shorter than asked for, and complete.
        assert set(row["items"]) == items - {item for user, item in pairs if user == row["user"]}
        assert len(row["scores"]) == len(row["items"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--users", "x-0", "nobody"], "user 'nobody' is not among the 18 users"),
        (["--k", "0"], "'0' is not a number from 1 to"),
        (["--out", "lists.xlsx"], "--out lists.xlsx must end in .csv or .jsonl"),
    ],
)
def test_refusals(capsys, trained: Path, tmp_path: Path, typed: list, message: str) -> None:
    out = tmp_path / "lists.csv"
    assert main(["recommend", str(trained), "--out", str(out), *typed]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_recommender(capsys, tmp_path: Path) -> None:
    assert main(["recommend", str(tmp_path), "--out", str(tmp_path / "l.csv")]) == 2
    assert "holds no finished recommender" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_file(capsys, trained, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "lists.csv"
    out.write_text("old\n")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert main(["recommend", str(trained), "--out", str(out)]) == 2
    assert f"cannot write {out}: No space left on device; nothing was" in capsys.readouterr().err
    assert out.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["lists.csv"]
