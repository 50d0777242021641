"""neighborgraph run: table, records, resume, tiny."""

import json
from pathlib import Path

from neighborgraph.cli import main


def run(capsys, out: Path, *typed: str) -> tuple[list[str], str]:
    """The table's lines and what was said on stderr."""
    assert main(["run", *typed, "--device", "cpu", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


def test_one_table_for_all_models(capsys, tmp_path: Path) -> None:
    table, _ = run(capsys, tmp_path, "dagnn,gcn,mlp", "digits", "--tiny", "--seeds", "2")
    assert [line.split()[0] for line in table[2:]] == ["dagnn", "gcn", "mlp"]
    assert all(line.split()[1:3] == ["tiny", "2"] for line in table[2:])
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [(r["model"], r["seed"]) for r in records] == [
        (model, seed) for model in ("dagnn", "gcn", "mlp") for seed in (0, 1)
    ]
    assert all(r["overrides"] == ["training.epochs=20"] for r in records)
    assert all(r["dataset"] == "tiny" for r in records)


def test_one_seed_has_no_deviation(capsys, tmp_path: Path) -> None:
    table, _ = run(capsys, tmp_path, "mlp", "digits", "--tiny")
    assert "± n/a" in table[2]


def test_default_recipe_is_said(capsys, tmp_path: Path) -> None:
    _, said = run(capsys, tmp_path, "mlp", "tiny", "--tiny")
    assert said == "neighborgraph: mlp has no recipe for tiny, using mlp/default\n"


def test_a_tiny_run_stands_beside_no_published_figure(capsys, tmp_path: Path) -> None:
    table, _ = run(capsys, tmp_path, "dagnn", "cora", "--tiny")
    assert table[2].split()[-1] == "-"


def test_resume_trains_only_what_is_missing(capsys, tmp_path: Path) -> None:
    run(capsys, tmp_path, "mlp", "digits", "--tiny", "--seeds", "2")
    table, _ = run(capsys, tmp_path, "mlp", "digits", "--tiny", "--seeds", "3", "--resume")
    assert table[2].split()[2] == "3"
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 3


def test_set_reaches_the_training(capsys, tmp_path: Path) -> None:
    run(capsys, tmp_path, "mlp", "tiny", "--tiny", "--set", "training.epochs=3")
    (state,) = [json.loads(path.read_text()) for path in tmp_path.rglob("state.json")]
    assert state["epoch"] == 3
    assert state["identity"]["training.epochs"] == 3


def test_both_graph_models_beat_the_mlp_on_digits(capsys, tmp_path: Path) -> None:
    table, _ = run(capsys, tmp_path, "dagnn,gcn,mlp", "digits", "--seeds", "2")
    dagnn, gcn, mlp = (float(line.split()[3]) for line in table[2:])
    assert min(dagnn, gcn) > mlp + 3
