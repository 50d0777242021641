"""neighborgraph report, from made-up data through OGB's loader and Evaluator to its form."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from neighborgraph.bench.record import append_record, read_records
from neighborgraph.cli import main

needs_ogb = pytest.mark.skipif(
    importlib.util.find_spec("ogb") is None,
    reason="the package ogb is not installed: pip install 'neighborgraph[ogb]'",
)


def said(capsys, *typed: str, code: int = 0) -> tuple[str, str]:
    """What was printed on stdout and on stderr."""
    assert main(list(typed)) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


@needs_ogb
@pytest.mark.parametrize(
    ("name", "scale", "models", "metric"),
    [
        ("ogbn-arxiv", "0.003", "dagnn,gcn", "val acc %"),
        ("ogbn-products", "0.0003", "dagnn,gcn", "val acc %"),
        ("ogbn-proteins", "0.003", "dagnn,gcn", "val ROC-AUC %"),
        ("ogbl-ddi", "0.03", "sage,gcn", "val Hits@20 %"),
        ("ogbl-collab", "0.002", "sage,gcn", "val Hits@50 %"),
        ("ogbl-citation2", "0.0001", "sage,gcn", "val MRR %"),
    ],
)
def test_round_trip(
    capsys, tmp_path: Path, name: str, scale: str, models: str, metric: str
) -> None:
    root, out, other = tmp_path / "data", tmp_path / "runs", models.split(",")[0]
    options = ["--homophily", "0.6", "--classes", "4", "--seed", "5"]
    text, _ = said(capsys, "data", "synth", name, "--scale", scale, "--out", str(root), *options)
    assert "SYNTHETIC" in text
    short = ["--set", "training.epochs=6", "--set", "model.hidden_channels=16", "--device", "cpu"]
    if name.startswith("ogbl"):
        short += ["--set", "predictor.hidden_channels=16", "--set", "links.batch_size=300"]
        short += ["--set", "optimizer.lr=0.03"]
    if name == "ogbl-collab":
        short += ["--set", "links.validation_edges=true"]
    run = ["run", models, name, "--data-root", str(root), "--out", str(out), *short]
    table, _ = said(capsys, *run, "--seeds", "2")
    rows = table.splitlines()[2:]
    assert [row.split()[:3] for row in rows] == [
        [other, f"synthetic-{name}", "2"],
        ["gcn", f"synthetic-{name}", "2"],
    ]
    assert metric in table
    assert rows[0].split()[-1] == rows[1].split()[-1] == "-"  # no published figure beside it

    for record in read_records(out / "records.jsonl"):
        # What OGB's Evaluator found at the end is what ours had found at that epoch.
        run_name = f"{record.model}-synthetic-{name}"
        history = (out / "history" / run_name / f"seed-{record.seed}.jsonl").read_text()
        moments = {moment["epoch"]: moment for moment in map(json.loads, history.splitlines())}
        assert record.best_epoch > 0
        moment = moments[record.best_epoch]
        ours = {metric: moment[metric] for metric in record.metrics}
        if name == "ogbn-proteins":
            # An area by counting and one by trapezoids are rounded differently.
            assert record.metrics == pytest.approx(ours, rel=1e-12)
        else:
            assert record.metrics == ours
        assert record.parameters > 0
        assert record.versions["ogb"]
        assert record.command

    table_again, _ = said(capsys, "report", str(out))
    assert table_again == table
    text, problem = said(capsys, "report", "--ogb", str(out), code=2)
    assert text == ""
    assert f"{other} on synthetic-{name} --set training.epochs=6" in problem
    assert problem.count("lacks the seeds 2, 3, 4, 5, 6, 7, 8, 9") == 2

    # OGB's number of seeds is the default, and those that are there are kept.
    said(capsys, *[word.replace(models, "gcn") for word in run], "--resume")
    text, problem = said(capsys, "report", str(out), "--ogb", code=2)
    assert text.startswith(f"SYNTHETIC DATA, NOT FOR SUBMISSION: synthetic-{name}")
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in text
    assert f"{other} on" in problem
    assert "gcn on" not in problem


def test_reports_of_other_folders(capsys, tmp_path: Path) -> None:
    _, problem = said(capsys, "report", str(tmp_path), code=2)
    assert "holds no record; name the --out folder" in problem
    out = tmp_path / "runs"
    said(capsys, "run", "mlp", "digits", "--tiny", "--out", str(out), "--device", "cpu")
    _, problem = said(capsys, "report", "--ogb", str(out), code=2)
    assert "holds no run on a data set of OGB" in problem


def test_table_stands_beside_the_published_figure(capsys, tmp_path: Path) -> None:
    out = str(tmp_path)
    said(capsys, "run", "mlp", "tiny", "--out", out, "--device", "cpu", "--seeds", "2")
    (first, second) = read_records(tmp_path / "records.jsonl")
    for record in (first, second):
        renamed = replace(record, model="dagnn", dataset="cora", recipe="dagnn/cora")
        append_record(tmp_path / "records.jsonl", renamed)
    table, _ = said(capsys, "report", out)
    rows = [line.split() for line in table.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["mlp", "tiny", "2"], ["dagnn", "cora", "2"]]
    assert "84.4" in rows[1]
    assert "84.4" not in rows[0]


def test_plot_draws_the_first_test_metric(capsys, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    said(capsys, "run", "gcn", "--tiny", "--device", "cpu", "--out", str(tmp_path))
    said(capsys, "report", str(tmp_path), "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    _, error = said(
        capsys, "report", str(tmp_path), "--plot", str(picture), "--metric", "f1", code=2
    )
    assert "gcn-tiny has no 'f1'; it has loss, val_loss, train_acc" in error


def test_curves_of_runs(capsys, tmp_path: Path) -> None:
    out, picture = tmp_path / "runs", tmp_path / "curve.png"
    run = ["run", "mlp", "tiny", "--out", str(out), "--device", "cpu", "--seeds", "1"]
    for width in ("4", "8"):
        said(capsys, *run, "--set", f"model.hidden_channels={width}")
    drawn = ["--against", "model.hidden_channels", "--plot", str(picture)]
    table, _ = said(capsys, "report", str(out / "records.jsonl"))
    assert len(table.splitlines()) == 4
    assert said(capsys, "report", str(out / "records.jsonl"), *drawn) == ("", "")
    assert picture.stat().st_size > 10_000
    _, problem = said(capsys, "report", str(out), *drawn[:2], code=2)
    assert "--against and --metric are of --plot FILE" in problem
    _, problem = said(capsys, "report", str(out), "--against", "model.width", *drawn[2:], code=2)
    assert "no runs differ in model.width" in problem
