"""neighborgraph bench: table, files, refusals, and what is left of a run that is stopped."""

import argparse
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.peers import TITLES
from neighborgraph.cli import bench, main

TYPED = ["bench", "aggregate", "--graphs", "cora", "--heads", "1x4", "--device", "cpu"]
TYPED += ["--seconds", "0.01", "--peers", "sparse", "pyg"]


def test_table_record_page_and_picture(capsys, tmp_path: Path) -> None:
    record, page, picture = (tmp_path / f"run.{end}" for end in ("jsonl", "md", "png"))
    files = ["--json", record, "--markdown", page, "--plot", picture]
    assert main([*TYPED, *map(str, files)]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert [row["provider"] for row in rows] == ["ours", "PyG eager", "torch.sparse"] * 2
    assert {row["graph"] for row in rows} == {"cora-clustered"}
    assert printed.out.strip() in page.read_text()
    assert "](run.jsonl)" in page.read_text() and "](run.png)" in page.read_text()
    assert picture.stat().st_size > 10_000
    assert "[1/1] aggregate sum on cora-clustered, float32 1x4" in printed.err
    assert "  forward, torch.sparse: " in printed.err


def test_build(capsys) -> None:
    assert main(["bench", "build", "--edges", "1000", "--device", "cpu", "--seconds", "0.01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[7].strip() for line in lines[2:]] == ["checked", "trusted"] * 2
    assert "s, 1,000 edges" in lines[2]


def test_curves_of_a_long_stream(capsys, tmp_path: Path) -> None:
    typed = ["bench", "long_stream", "--graphs", "tiny", "--device", "cpu"]
    assert main([*typed, "--plot", str(tmp_path / "stream.png")]) == 0
    assert capsys.readouterr().out.count("| long_stream | ") == 40
    assert (tmp_path / "stream.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("atend", "unknown operator 'atend'; did you mean 'attend'? (known: attend, aggregate, l"),
        ("attend --graphs corra", "unknown graph 'corra'"),
        ("attend --scores gta", "unknown score 'gta'"),
        ("attend --heads 4", "--heads '4' must look like 4x32"),
        ("attend --peers pgy", "unknown peer 'pgy'; did you mean 'pyg'? (known: pyg, compiled"),
        ("attend --peers all pyg", "unknown peer 'all'"),
        ("attend --device tpu", "unknown device 'tpu'"),
        ("attend --seconds 0", "'0' is not a number of seconds above 0"),
        ("attend --seconds soon", "'soon' is not a number of seconds above 0"),
        ("build --edges 5", "'5' is not a number from 100"),
        ("attend --edges 500", "--edges is for build; type neighborgraph bench build"),
        (
            "sample --data-root .",
            "--data-root is for recommend; type neighborgraph bench recommend",
        ),
    ],
)
def test_refusals_are_one_line(typed: str, message: str, capsys) -> None:
    assert main(["bench", *typed.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_unwritable_place_is_found_first(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main([*TYPED, "--json", str(tmp_path / "file" / "run.jsonl")]) == 2
    printed = capsys.readouterr()
    assert "cannot write" in printed.err and "forward" not in printed.err
    assert printed.out == ""


def test_plot_without_matplotlib_is_refused_first(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*TYPED, "--plot", str(tmp_path / "run.png")]) == 2
    assert "neighborgraph[plot]" in capsys.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal has it; a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_keeps_its_rows(number: int, capsys, monkeypatch, tmp_path: Path) -> None:
    measure_cases = bench.measure_cases

    def stopped_after_two(*arguments) -> Iterator[Measurement]:
        rows = measure_cases(*arguments)
        yield next(rows)
        yield next(rows)
        os.kill(os.getpid(), number)
        yield from rows

    monkeypatch.setattr(bench, "measure_cases", stopped_after_two)
    record, page = tmp_path / "run.jsonl", tmp_path / "run.md"
    assert main([*TYPED, "--json", str(record), "--markdown", str(page)]) == 128 + number
    assert record.read_text().count("\n") == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert printed.out.strip() in page.read_text()
    assert (
        printed.err.splitlines()[-1] == f"neighborgraph: stopped by {signal.Signals(number).name}"
    )


def test_defaults_are_both_operators_and_all_peers() -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    options = parser.parse_args([])
    assert options.ops == [] and options.seconds == 0.5
    assert bench.chosen_peers(options.peers) == list(TITLES)
    assert bench.chosen_peers(["none"]) == []


def test_help_says_what_the_defaults_are(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    text = capsys.readouterr().out
    assert "mesh, skewed beside uniform, Cora, Gowalla, and reddit and products" in text
    assert "mini-batches whose edges are new in each run (+fresh)" in text
    assert "--scores dot --dtypes float16 --heads 4x32" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_stopped_run_goes_on(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "run.jsonl"
    typed = [*TYPED, "--json", str(record), "--graphs", "cora", "gowalla"]
    monkeypatch.setattr("sys.argv", typed)
    assert main(typed) == 0
    lines = record.read_text().splitlines()
    record.write_text("\n".join(lines[:-2]) + "\n")  # two rows of the second graph are missing
    monkeypatch.setattr("sys.argv", [*typed, "--resume"])
    capsys.readouterr()
    assert main([*typed, "--resume"]) == 0
    printed = capsys.readouterr()
    assert "on cora-clustered" not in printed.err
    assert "[2/2] aggregate sum on gowalla" in printed.err
    again = record.read_text().splitlines()
    assert again[:6] == lines[:6]
    assert len(again) == len(lines) == len(printed.out.strip().splitlines()) - 2


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("attend --resume", "name them with --json FILE"),
        (
            "build --resume --json f",
            "--resume is for attend, aggregate, layers, models, not for build",
        ),
    ],
)
def test_what_cannot_be_resumed(capsys, typed: str, message: str) -> None:
    assert main(["bench", *typed.split(), "--device", "cpu"]) == 2
    assert message in capsys.readouterr().err
