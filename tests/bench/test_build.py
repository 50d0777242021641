"""The benchmark of building a Graph."""

import json
from pathlib import Path

import pytest

from neighborgraph.bench.build import main


def test_rows_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "build.jsonl"
    assert main(["--edges", "1000", "--json", str(record)]) == 0
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(row["provider"], row["pass"]) for row in rows] == [
        (provider, stage)
        for stage in ("with transpose", "without transpose")
        for provider in ("checked", "trusted")
    ]
    assert all(row["edges"] == 1000 and row["nodes"] == 20 for row in rows)
    assert "s, 1,000 edges" in capsys.readouterr().out


def test_too_few_edges(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--edges", "5"]) == 2
    assert capsys.readouterr().err == "neighborgraph: --edges 5 must be at least 100\n"
