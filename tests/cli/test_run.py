"""neighborgraph run: table, records, resume, tiny."""

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("model", ["la-gcn", "la-gat", "la-gcnii", "la-grand", "grand"])
def test_a_tiny_run_of_a_citation_graphs_recipe(capsys, tmp_path: Path, model: str) -> None:
    small = ["training.epochs=2", *(["model.layers=2"] if model == "la-gcnii" else [])]
    small += ["generator.epochs=1"] if model.startswith("la-") else []
    changes = [word for change in small for word in ("--set", change)]
    table, _ = run(capsys, tmp_path, model, "cora", "--tiny", *changes)
    assert table[2].split()[:3] == [model, "tiny", "1"]


def test_a_tiny_run_stands_beside_no_published_figure(capsys, tmp_path: Path) -> None:
    table, _ = run(capsys, tmp_path, "dagnn", "cora", "--tiny")
    assert table[2].split()[-1] == "-"


def test_links_are_predicted_by_models_of_nodes(capsys, tmp_path: Path) -> None:
    small = ["--set", "model.hidden_channels=16", "--set", "predictor.hidden_channels=16"]
    table, _ = run(capsys, tmp_path, "gcn,sage", "ogbl-collab", "--tiny", "--seeds", "2", *small)
    assert [line.split()[:3] for line in table[2:]] == [
        ["gcn", "tiny-links", "2"],
        ["sage", "tiny-links", "2"],
    ]
    assert "test Hits@20 %" in table[0]
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert all(set(r["metrics"]) == {"val_hits@20", "test_hits@20"} for r in records)
    assert all(r["recipe"].endswith("/ogbl-collab") for r in records)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["mlp", "tiny-links"], "mlp has no recipe for links"),
        (["lightgcn", "ogbl-ddi"], "unknown data set for lightgcn 'ogbl-ddi'"),
        (["gcn", "ogbl-dd"], "unknown data set 'ogbl-dd'; did you mean 'ogbl-ddi'"),
    ],
)
def test_links_that_cannot_be_predicted(capsys, tmp_path: Path, typed, message: str) -> None:
    assert main(["run", *typed, "--device", "cpu", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


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


def test_recommenders_share_one_table(capsys, tmp_path: Path) -> None:
    table, said = run(capsys, tmp_path, "lightgcn,ultragcn", "gowalla", "--tiny")
    assert said == ""
    assert table[0].split("  ")[0] == "model"
    assert "recall@20 %" in table[0]
    assert [line.split()[:3] for line in table[2:]] == [
        ["lightgcn", "tiny-interactions", "1"],
        ["ultragcn", "tiny-interactions", "1"],
    ]
    assert all("test" in line for line in table[2:])  # gowalla's recipes select by the test
    assert "Table 3" not in "".join(table)


def test_the_small_set_by_its_name_and_by_none(capsys, tmp_path: Path) -> None:
    for name in (["tiny-interactions"], []):
        table, said = run(capsys, tmp_path / str(len(name)), "lightgcn", *name, "--tiny")
        assert table[2].split()[1] == "tiny-interactions"
        assert "validation" in table[2]
        assert said.endswith("no recipe for tiny-interactions, using lightgcn/default\n")


def test_interactions_of_a_file(capsys, tmp_path: Path) -> None:
    rows = [f"{u},{i},{(u * i) % 5},{u + i}" for u in range(12) for i in range(20) if (u + i) % 3]
    path = tmp_path / "gowalla.csv"  # no published figure belongs to it
    path.write_text("\n".join(["person,thing,stars,when", *rows]))
    typed = ["--interactions", str(path), "--user-column", "person", "--item-column", "thing"]
    typed += ["--time-column", "when", "--weight-column", "stars", "--min-weight", "1"]
    typed += ["--set", "split.method=time", "--set", "training.epochs=3"]
    table, _ = run(capsys, tmp_path / "runs", "lightgcn", *typed)
    assert table[2].split()[:3] == ["lightgcn", "gowalla", "1"]
    assert "Table 3" not in table[2]
    (record,) = map(json.loads, (tmp_path / "runs" / "records.jsonl").read_text().splitlines())
    assert record["recipe"] == "lightgcn/default"


def test_both_recommenders_beat_chance(capsys, tmp_path: Path) -> None:
    # 20 of 200 items at random are 10 %.
    quick = ["--set", "optimizer.lr=0.05", "--set", "training.epochs=40", "--set"]
    quick += ["batches.size=128"]
    table, _ = run(capsys, tmp_path, "lightgcn", "tiny-interactions", *quick)
    few = ["--set", "model.num_negatives=50"]
    other, _ = run(capsys, tmp_path, "ultragcn", "tiny-interactions", *quick, *few)
    assert min(float(line.split()[3]) for line in (table[2], other[2])) > 35


@pytest.mark.parametrize("model", ["lightgcn", "ultragcn"])
def test_a_recommender_learns_the_made_up_set(capsys, tmp_path: Path, model: str) -> None:
    run(capsys, tmp_path, model, "--tiny")
    record = json.loads((tmp_path / "records.jsonl").read_text())
    assert record["metrics"]["test_recall@20"] > 0.5  # a tenth at random
