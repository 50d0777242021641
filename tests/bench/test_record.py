"""Records: exact round trip, half lines of a kill, damaged lines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neighborgraph.bench.record import Record, append_record, read_records
from neighborgraph.errors import DataFileError

RECORD = Record(
    model="dagnn",
    dataset="cora",
    recipe="dagnn/cora",
    overrides=["optimizer.lr=0.02"],
    seed=3,
    metrics={"test_acc": 0.1 + 0.2},
    best_epoch=120,
    seconds=16.5,
    peak_memory_mb=500.0,
    device="cpu",
    versions={"torch": "2.13.0"},
    commit="",
    command="neighborgraph run dagnn cora",
    date="2026-01-01T00:00:00+00:00",
)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    for seed in range(3):
        append_record(path, replace(RECORD, seed=seed))
    assert read_records(path) == [replace(RECORD, seed=seed) for seed in range(3)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_no_file_has_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "absent") == []


def test_half_a_line_is_no_record_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_record(path, RECORD)
    with path.open("a") as file:
        file.write('{"model": "dag')
    assert read_records(path) == [RECORD]
    append_record(path, replace(RECORD, seed=4))
    assert [record.seed for record in read_records(path)] == [3, 4]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"model": "dagnn"}'])
def test_damaged_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    append_record(path, RECORD)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataFileError, match=r"records\.jsonl, line 2 is not a record"):
        read_records(path)


def test_unwritable_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFileError, match="cannot write"):
        append_record(tmp_path / "file" / "records.jsonl", RECORD)
