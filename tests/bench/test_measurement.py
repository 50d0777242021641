"""Rows as JSON lines, as a table and as a page."""

import json
from pathlib import Path

import pytest
import torch

from neighborgraph.bench import measurement
from neighborgraph.bench.measurement import Circumstances, Measurement
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import DataFileError

TIMED = Measurement(
    op="attend",
    provider="ours",
    graph="cora-random",
    nodes=5,
    edges=7,
    form="dot+edge",
    dtype="float32",
    heads=4,
    width=16,
    stage="forward",
    timing=Timing(1.23456, 1.0, 234.5, 9, 0.5),
    ratio=1.0,
    note="",
)
FAILED = Measurement(**vars(TIMED) | {"timing": None, "ratio": None, "note": "out of memory"})
HERE = Circumstances("a CPU", {"torch": "2.13"}, "", "2026-01-02T03:04:05+00:00", "bench attend")

FIELDS = """op provider graph nodes edges form dtype heads width pass median_ms p20_ms p80_ms runs
peak_extra_mb ratio note hardware versions commit date command""".split()


@pytest.mark.parametrize("row", [TIMED, FAILED], ids=["timed", "failed"])
def test_record_has_all_fields(row: Measurement) -> None:
    assert set(row.record(HERE)) == set(FIELDS)


def test_records_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.jsonl"
    measurement.write_text(path, "")
    for number, row in enumerate((TIMED, FAILED), 1):
        measurement.append_record(path, row, HERE)
        assert path.read_text().count("\n") == number
    timed, failed = map(json.loads, path.read_text().splitlines())
    assert (timed["pass"], timed["median_ms"], timed["hardware"]) == ("forward", 1.23456, "a CPU")
    assert (failed["median_ms"], failed["note"]) == (None, "out of memory")


def test_unwritable_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "run.jsonl"
    with pytest.raises(DataFileError, match=r"cannot write .*run\.jsonl: "):
        measurement.write_text(path, "")
    with pytest.raises(DataFileError, match=r"cannot write .*run\.jsonl: "):
        measurement.append_record(path, TIMED, HERE)


def test_table_is_aligned() -> None:
    lines = measurement.table([TIMED, FAILED]).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert "1.23" in lines[2] and "1 - 234" in lines[2]
    assert "out of memory" in lines[3]


@pytest.mark.parametrize(
    ("value", "text"), [(0.012345, "0.0123"), (1.5, "1.5"), (99.96, "100"), (12345.6, "12346")]
)
def test_figures(value: float, text: str) -> None:
    assert measurement.figure(value) == text


def test_page_names_where_and_how() -> None:
    page = measurement.page([TIMED], HERE, "run.jsonl", "run.png")
    for part in ("a CPU", "torch 2.13", "`bench attend`", "(run.jsonl)", "2026-01-02"):
        assert part in page
    assert "](run.png)" in page


def test_page_links_only_what_there_is() -> None:
    assert "](" not in measurement.page([TIMED], HERE)


def test_circumstances_of_this_machine() -> None:
    here = Circumstances.of(torch.device("cpu"))
    assert here.hardware.endswith("threads")
    assert {"torch", "torch-geometric", "neighborgraph"} <= here.versions.keys()


def test_command_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/neighborgraph", "bench", "two words"])
    monkeypatch.setattr(measurement.sys.modules["__main__"], "__spec__", None)
    assert measurement.typed_command() == "neighborgraph bench 'two words'"
