"""A stopped benchmark is cut back to what it had finished, and to nothing that is not alike."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neighborgraph.bench.cases import Case
from neighborgraph.bench.measurement import Circumstances, Measurement, append_record
from neighborgraph.bench.resume import cut_back, finished_cases
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import ConfigError, DataFileError

HERE = Circumstances("a GPU", {"torch": "2.11.0"}, "abc", "2026-11-25", "bench attend --json f")
TIMES = Timing(1.0, 0.9, 1.1, 10, None)


def row(graph: str, stage: str = "forward", timing: Timing | None = TIMES) -> Measurement:
    return Measurement(
        "attend", "ours", graph, 3, 4, "dot", "float32", 1, 8, stage, timing, None, ""
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two cases, the second of which may not be whole."""
    path = tmp_path / "run.jsonl"
    for each in (
        row("cora-clustered", "host forward"),
        row("mesh", timing=None),
        row("mesh", "forward+backward"),
        row("cora-clustered"),
    ):
        append_record(path, each, HERE)
    return path


def test_the_last_case_is_measured_again(path: Path) -> None:
    lines = path.read_text().splitlines()
    later = replace(HERE, date="2026-11-26", command="bench attend --resume --json f")
    rows = cut_back(path, later)
    assert path.read_text().splitlines() == lines[:3]
    assert [each.stage for each in rows] == ["host forward", "forward", "forward+backward"]
    assert rows[1].timing is None
    assert rows[2] == row("mesh", "forward+backward")
    assert finished_cases(rows) == {Case("attend", "mesh", "dot", "float32", 1, 8)}


def test_a_line_that_was_cut_off_is_dropped(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"op": "att')
    assert len(cut_back(path, HERE)) == 3
    assert len(path.read_text().splitlines()) == 3


def test_host_times_alone_are_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    append_record(path, row("cora-clustered", "host forward"), HERE)
    assert cut_back(path, HERE) == []
    assert path.read_text() == ""


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert cut_back(tmp_path / "run.jsonl", HERE) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("hardware", "another GPU"), ("versions", {}), ("commit", "abd"), ("command", "bench")],
)
def test_what_is_not_alike_is_refused_and_kept(path: Path, name: str, value: object) -> None:
    before = path.read_text()
    with pytest.raises(ConfigError, match=f"was measured with {name} "):
        cut_back(path, replace(HERE, **{name: value}))
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["{}\n{}\n", "no record\nno record\n", "[]\n[]\n"])
def test_another_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    with pytest.raises(DataFileError, match=r"run.jsonl, line 1 is not a record of a benchmark"):
        cut_back(path, HERE)
    assert path.read_text() == text


def test_a_row_is_found_again_in_its_record() -> None:
    for each in (row("mesh"), row("mesh", timing=None)):
        assert Measurement.of(json.loads(json.dumps(each.record(HERE)))) == each
