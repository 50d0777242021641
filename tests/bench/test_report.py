"""Groups of records and OGB's form, on records written by hand."""

from dataclasses import replace

import pytest

from neighborgraph.bench.record import Record
from neighborgraph.bench.report import group_records, submission

RECORD = Record(
    model="dagnn",
    dataset="ogbn-arxiv",
    recipe="dagnn/ogbn-arxiv",
    overrides=[],
    seed=0,
    metrics={"train_acc": 0.8, "val_acc": 0.73, "test_acc": 0.72},
    best_epoch=120,
    seconds=16.5,
    peak_memory_mb=500.0,
    device="cuda:0 (NVIDIA H200)",
    versions={"torch": "2.13.0", "ogb": "1.3.6"},
    commit="c" * 40,
    command="neighborgraph run dagnn ogbn-arxiv",
    date="2026-01-01T00:00:00+00:00",
    digest="d",
    parameters=43_857,
)
TESTS = [0.72 + 0.001 * seed for seed in range(10)]


def seeds(*numbers: int, **changes) -> list[Record]:
    return [
        replace(RECORD, seed=n, metrics={"val_acc": 0.73, "test_acc": TESTS[n % 10]}, **changes)
        for n in numbers
    ]


def test_groups() -> None:
    other = seeds(0, overrides=["optimizer.lr=0.1"])
    rerun = replace(RECORD, seed=1, seconds=1.0)
    groups = group_records([*seeds(1, 0), *other, *seeds(0, digest="e"), rerun])
    assert [[r.seed for r in group.records] for group in groups] == [[0, 1], [0], [0]]
    assert groups[0].records[1] is rerun
    assert groups[1].title == "dagnn on ogbn-arxiv --set optimizer.lr=0.1"
    assert groups[0].missing_seeds == [2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("ogbn-arxiv", "ogbn-arxiv"), ("synthetic-ogbn-arxiv", "ogbn-arxiv"), ("cora", None)],
)
def test_name_at_ogb(dataset: str, name: str | None) -> None:
    assert group_records(seeds(0, dataset=dataset))[0].ogb_name == name


def test_form() -> None:
    records = seeds(*range(12))
    records[3] = replace(records[3], command="neighborgraph run dagnn ogbn-arxiv --resume")
    text = submission(group_records(records)[0])
    entries = dict(line.split("  ", 1) for line in text.splitlines()[2:])
    entries = {name: value.strip() for name, value in entries.items()}
    assert text.splitlines()[0] == "Submission to the leaderboard of ogbn-arxiv"
    # Squared distances of 0 .. 9 to 4.5 sum to 82.5; the root of 82.5 / 9 is 3.0277.
    assert entries["Test accuracy"] == "0.7245 ± 0.0030"
    assert entries["Validation accuracy"] == "0.7300 ± 0.0000"
    assert entries["Seeds"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert entries["Parameters"] == "43,857"
    assert entries["Hardware"] == "cuda:0 (NVIDIA H200)"
    assert entries["Versions"] == "torch 2.13.0, ogb 1.3.6"
    assert entries["Code"] == f"neighborgraph at {'c' * 40}"
    assert entries["Command"] == (
        "neighborgraph run dagnn ogbn-arxiv; neighborgraph run dagnn ogbn-arxiv --resume"
    )
    assert "SYNTHETIC" not in text


def test_form_of_proteins() -> None:
    metrics = {"val_rocauc": 0.79, "test_rocauc": 0.72}
    records = [replace(r, dataset="ogbn-proteins", metrics=metrics) for r in seeds(*range(10))]
    text = submission(group_records(records)[0])
    assert "Test ROC-AUC        0.7200 ± 0.0000" in text
    assert "Validation ROC-AUC  0.7900 ± 0.0000" in text


def test_made_up_data_are_said() -> None:
    text = submission(group_records(seeds(*range(10), dataset="synthetic-ogbn-arxiv"))[0])
    first, _, dataset, *_ = text.splitlines()
    assert first == "SYNTHETIC DATA, NOT FOR SUBMISSION: synthetic-ogbn-arxiv"
    assert dataset.endswith("SYNTHETIC, in the format of ogbn-arxiv")
